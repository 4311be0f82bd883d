package fcmsim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcmsim"
)

// A wire speaks HTTP/2 with the simulator frame by frame.
type wire struct {
	h *h2
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	next  uint32
}

func (h *h2) wire() *wire {
	h.t.Helper()
	conn, err := h.l.Dial(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	t := tls.Client(conn, &tls.Config{RootCAs: h.CertPool(), ServerName: "fcm.googleapis.com", NextProtos: []string{"h2"}})
	h.t.Cleanup(func() { t.Close() })
	w := &wire{h: h, Framer: http2.NewFramer(t, t), next: 1}
	w.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.enc = hpack.NewEncoder(&w.block)
	if _, err := io.WriteString(t, http2.ClientPreface); err != nil {
		h.t.Fatal(err)
	}
	if got := t.ConnectionState().NegotiatedProtocol; got != "h2" {
		h.t.Fatalf("the protocol is %q", got)
	}
	w.WriteSettings()
	return w
}

// send begins a request to send, and ends it if its body is to be sent.
func (w *wire) send(scheme string, end bool) uint32 {
	w.block.Reset()
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", scheme}, {":authority", "fcm.googleapis.com"},
		{":path", "/v1/projects/" + w.h.ProjectID() + "/messages:send"}, {"authorization", w.h.auth}, {"content-type", "application/json"},
	} {
		w.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	id := w.next
	w.next += 2
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.block.Bytes(), EndHeaders: true})
	if end {
		w.WriteData(id, true, fmt.Appendf(nil, `{"message":{"token":%q}}`, w.h.Tokens()[0]))
	}
	return id
}

// read returns the next frame that is an answer, GOAWAY, or a reset.
func (w *wire) read() http2.Frame {
	w.h.t.Helper()
	for {
		f, err := w.ReadFrame()
		if err != nil {
			w.h.t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if n, ok := f.Value(http2.SettingMaxConcurrentStreams); !f.IsAck() && (!ok || n != 100) {
				w.h.t.Errorf("SETTINGS_MAX_CONCURRENT_STREAMS is %d", n)
			}
		case *http2.MetaHeadersFrame, *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return f
		}
	}
}

func (w *wire) wantGoAway(last uint32, code http2.ErrCode, debug string) {
	w.h.t.Helper()
	g, ok := w.read().(*http2.GoAwayFrame)
	if !ok || g.LastStreamID != last || g.ErrCode != code || string(g.DebugData()) != debug {
		w.h.t.Errorf("%+v %s; want GOAWAY %d %v %s", g, g.DebugData(), last, code, debug)
	}
}

func TestM_22_MoreThanAHundredStreamsEndTheConnection(t *testing.T) {
	overHTTP(t, "M-22 the hundred and first", fcmsim.Options{}, func(h *h2) {
		w := h.wire()
		for range 101 {
			w.send("https", false)
		}
		w.wantGoAway(199, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		if f, err := w.ReadFrame(); err == nil {
			h.t.Errorf("%v came behind GOAWAY", f)
		}
	})
	overHTTP(t, "M-22 and Go's client, which never opens it", fcmsim.Options{AnswerDelay: time.Second}, func(h *h2) {
		c := h.client(true)
		var all sync.WaitGroup
		for range 350 {
			all.Go(func() { h.mustPost(c) })
		}
		all.Wait()
		if n := h.delivered(); n != 350 {
			h.t.Errorf("%d delivered", n)
		}
	})
}

func TestM_23_PingsWithoutEndEndTheConnection(t *testing.T) {
	c := newClock()
	overHTTP(t, "M-23", fcmsim.Options{Now: c.now}, func(h *h2) {
		w := h.wire()
		for range 100 {
			w.WritePing(false, [8]byte{})
			synctest.Wait()
			c.pass(10 * time.Second)
		}
		for range 4 { // the first is not early, and two may be
			w.WritePing(false, [8]byte{})
		}
		w.wantGoAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
	})
}

func TestM_24_GoAwayNamesTheLastStream(t *testing.T) {
	overHTTP(t, "M-24", fcmsim.Options{AnswerDelay: time.Minute}, func(h *h2) {
		h.fault(fcmsim.Fault{GoAway: true, Every: 2})
		w := h.wire()
		w.send("https", true)
		w.send("https", false)
		w.send("https", true)
		answered := 0
		for goneAway := false; answered < 3; {
			switch f := w.read().(type) {
			case *http2.MetaHeadersFrame:
				if answered++; f.PseudoValue("status") != "200" || f.StreamID > 5 {
					h.t.Errorf("%v", f)
				}
			case *http2.GoAwayFrame: // with the second message, that of the third stream
				if f.LastStreamID != 5 || f.ErrCode != http2.ErrCodeNo || goneAway {
					h.t.Errorf("%v", f)
				}
				goneAway = true
				w.send("https", true)
				w.WriteData(3, true, fmt.Appendf(nil, `{"message":{"token":%q}}`, h.Tokens()[0]))
			default:
				h.t.Fatalf("%v", f)
			}
		}
		if n := h.delivered(); n != 3 {
			h.t.Errorf("%d delivered; want 3", n)
		}
	})
}

func TestM_24_GoAwayMayLeaveAStreamOut(t *testing.T) {
	overHTTP(t, "M-24", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{GoAway: true, Refuse: true, Every: 2})
		w := h.wire()
		w.send("https", true)
		w.read()
		w.send("https", true)
		w.wantGoAway(1, http2.ErrCodeNo, "")
		if n := h.delivered(); n != 1 {
			h.t.Errorf("%d delivered", n)
		}
		h.fault(fcmsim.Fault{Refuse: true})
		w = h.wire()
		id := w.send("https", true)
		if f, ok := w.read().(*http2.RSTStreamFrame); !ok || f.StreamID != id || f.ErrCode != http2.ErrCodeRefusedStream {
			h.t.Errorf("%v; want REFUSED_STREAM", f)
		}
	})
}

func TestM_21_ACutIsAReset(t *testing.T) {
	overHTTP(t, "M-21 in memory", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{Cut: true})
		w := h.wire()
		w.send("https", true)
		for {
			if _, err := w.ReadFrame(); err != nil {
				if !errors.Is(err, syscall.ECONNRESET) {
					h.t.Errorf("%v; want a reset", err)
				}
				return
			}
		}
	})
	t.Run("M-21 over TCP", func(t *testing.T) {
		s, err := fcmsim.Start(&fcmsim.Options{PlainHTTPListen: []string{"127.0.0.1:0"}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.SetFault(fcmsim.Fault{Cut: true}); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.PlainURL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := fmt.Sprintf(`{"message":{"token":%q}}`, s.Tokens()[0])
		fmt.Fprintf(conn, "POST /v1/projects/%s/messages:send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
			s.ProjectID(), s.AccessToken(), len(body), body)
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v; want a reset", err)
		}
	})
}

func TestM_25_NodesSchemeIsTaken(t *testing.T) {
	overHTTP(t, "M-25", fcmsim.Options{}, func(h *h2) {
		w := h.wire()
		for _, scheme := range []string{"https:", "https:", "https", "https:"} {
			w.send(scheme, true)
			if f, ok := w.read().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" {
				h.t.Fatalf("%v", f)
			}
		}
	})
}

func TestM_26_HTTP1IsServedToo(t *testing.T) {
	overHTTP(t, "M-26 on the port with TLS", fcmsim.Options{}, func(h *h2) {
		if got, err := h.post(h.client(false)); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 {") {
			h.t.Errorf("%s, %v", got, err)
		}
		if got, err := h.post(h.client(true)); err != nil || !strings.HasPrefix(got, "HTTP/2.0 200 {") {
			h.t.Errorf("%s, %v", got, err)
		}
	})
	overHTTP(t, "M-26 and on one without", fcmsim.Options{}, func(h *h2) {
		if got, err := h.postTo(h.client(true), "http://plain", h.auth); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 {") {
			h.t.Errorf("%s, %v", got, err)
		}
	})
}

func TestHTTPListens(t *testing.T) {
	s, err := fcmsim.New(&fcmsim.Options{HTTPListen: []string{"127.0.0.1:0", "127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.FCMURL() != "" || s.PlainURL() != "" {
		t.Errorf("before Start: %s, %s", s.FCMURL(), s.PlainURL())
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.CertPool()}}}
	for _, base := range []string{s.FCMURL(), s.PlainURL()} {
		r, err := c.Get(base + "/nothing")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 404 {
			t.Errorf("%s: %d", base, r.StatusCode)
		}
	}
	taken := strings.TrimPrefix(s.PlainURL(), "http://")
	if other, err := fcmsim.Start(&fcmsim.Options{HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{taken}}); err == nil {
		other.Close()
		t.Error("two listen on one address")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	c.CloseIdleConnections()
	if _, err := c.Get(s.PlainURL()); err == nil {
		t.Error("a closed simulator answers")
	}
}

// FuzzSendBody sends anything. There is always an answer, and its status is one
// of gRPC's; what is accepted can be read by the standard library too.
func FuzzSendBody(f *testing.F) {
	sim, err := fcmsim.New(&fcmsim.Options{ClearText: true, RecordMax: 10})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { sim.Close() })
	apple, err := sim.AddDevice(&fcmsim.DeviceOptions{Token: "apple", Platform: fcmsim.PlatformIOS})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := sim.AddDevice(&fcmsim.DeviceOptions{Token: "web", Platform: fcmsim.PlatformWeb, Topics: []string{"t"}}); err != nil {
		f.Fatal(err)
	}
	h, auth := sim.HTTPHandler(), "Bearer "+sim.AccessToken()
	for _, c := range faultCases {
		f.Add(c.body)
	}
	for _, target := range []string{string(sim.Tokens()[0]), string(apple.Token), "web"} {
		for _, m := range []string{everything, everythingV2} {
			f.Add(`{"message":` + strings.Replace(m, "%s", fmt.Sprintf(`"token":%q`, target), 1) + `}`)
		}
	}
	f.Add(`{"message":{"condition":"!('a' in topics) && ('t' in topics || 'b' in topics)","data":{"a":"\ud83d\ude00\u0041\n"}}}`)
	f.Add(" ")
	f.Add("002")
	f.Add(`{"message":{"topic":"t","webpush":{"notification":{"a":[1e400,"\\",null]}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "http://sim.test/v1/projects/"+sim.ProjectID()+"/messages:send", strings.NewReader(body))
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var v struct {
			Name  string
			Error struct {
				Code            int
				Status, Message string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		if w.Code == http.StatusOK {
			if v.Name == "" || !json.Valid([]byte(body)) {
				t.Fatalf("accepted: %s", w.Body)
			}
		} else if !canonical[v.Error.Status] || v.Error.Code != w.Code || v.Error.Message == "" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		list := sim.Record()
		if _, err := json.Marshal(list[len(list)-1]); err != nil {
			t.Fatalf("the record cannot be written: %v", err)
		}
		if d, _ := sim.Device("apple"); len(d.Received) > 0 {
			if _, err := json.Marshal(d); err != nil {
				t.Fatalf("the device cannot be written: %v", err)
			}
		}
	})
}
