package fcmsim_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcmsim"
)

// benchBody is a message of common size.
func benchBody(sim *fcmsim.Sim) string {
	return fmt.Sprintf(`{"message":{"token":%q,"data":{"order":"12345","state":"shipped","url":"https://shop.example/orders/12345"},`+
		`"notification":{"title":"Your order","body":"It is on its way."},"android":{"priority":"high","ttl":"3600s","collapse_key":"order"},`+
		`"apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"sound":"default"}}}}}`, sim.Tokens()[0])
}

// BenchmarkSend is one request without the network.
func BenchmarkSend(b *testing.B) {
	sim, err := fcmsim.New(&fcmsim.Options{ClearText: true, RecordMax: 1000})
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	h, auth, body := sim.HTTPHandler(), "Bearer "+sim.AccessToken(), benchBody(sim)
	r := httptest.NewRequest(http.MethodPost, "http://sim.test/v1/projects/"+sim.ProjectID()+"/messages:send", nil)
	r.Header.Set("Authorization", auth)
	text := strings.NewReader(body)
	r.Body = io.NopCloser(text)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		text.Reset(body)
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) WriteHeader(status int)      { w.status = status }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSendOverHTTP2 is one request over TLS and HTTP/2 on loopback, of a
// client that costs next to nothing: it writes the same frames again and again,
// 50 streams at a time, and counts answers.
func BenchmarkSendOverHTTP2(b *testing.B) {
	sim, err := fcmsim.Start(&fcmsim.Options{HTTPListen: []string{"127.0.0.1:0"}, RecordMax: 1000})
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(sim.FCMURL(), "https://"), &tls.Config{RootCAs: sim.CertPool(), NextProtos: []string{"h2"}})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	var block, batch bytes.Buffer
	enc, auth := hpack.NewEncoder(&block), "Bearer "+sim.AccessToken()
	headers := func() []byte {
		block.Reset()
		for _, f := range [][2]string{
			{":method", "POST"}, {":scheme", "https"}, {":authority", "fcm.googleapis.com"},
			{":path", "/v1/projects/" + sim.ProjectID() + "/messages:send"}, {"authorization", auth}, {"content-type", "application/json"},
		} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return bytes.Clone(block.Bytes())
	}
	use, again := headers(), headers() // the second is references to the table
	body := []byte(benchBody(sim))
	fr := http2.NewFramer(&batch, conn)
	io.WriteString(&batch, http2.ClientPreface)
	fr.WriteSettings()
	fr.WriteWindowUpdate(0, 1<<30)
	fr.SetReuseFrames()

	const window = 50
	next, open, done := uint32(1), 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	for done < b.N {
		for open < window && int(next/2) < b.N {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: use, EndHeaders: true})
			fr.WriteData(next, true, body)
			next += 2
			open++
			use = again
		}
		if batch.Len() > 0 {
			if _, err := conn.Write(batch.Bytes()); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
		for more := true; more; more = open > window/2 || int(next/2) >= b.N && open > 0 {
			f, err := fr.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				b.Fatal(f)
			case *http2.SettingsFrame:
				if !f.IsAck() {
					fr.WriteSettingsAck()
				}
			case *http2.DataFrame:
				if f.StreamEnded() {
					open--
					done++
				}
			}
		}
	}
}
