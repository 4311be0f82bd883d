package fcmsend_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/localca"
)

// answerAll is a far end that costs next to nothing: it looks at the heads of
// frames only, and answers all that is in its buffer at once.
func answerAll(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 64<<10)
	if _, err := in.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	var block []byte
	{
		var buf blockWriter
		enc := hpack.NewEncoder(&buf)
		enc.SetMaxDynamicTableSize(0)
		enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		enc.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/json; charset=UTF-8"})
		block = buf
	}
	out := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	frame := func(length int, kind, flags byte, id uint32) {
		out = append(out, byte(length>>16), byte(length>>8), byte(length), kind, flags)
		out = binary.BigEndian.AppendUint32(out, id)
	}
	received := 0
	for {
		head, err := in.Peek(9)
		if err != nil {
			return
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		kind, flags, id := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		if _, err := in.Discard(9 + length); err != nil {
			return
		}
		switch {
		case kind == 4 && flags == 0:
			frame(0, 4, 1, 0)
		case kind == 0:
			received += length
			if flags&1 != 0 {
				frame(len(block), 1, 4, id)
				out = append(out, block...)
				frame(len(success), 0, 1, id)
				out = append(out, success...)
			}
			if received > 16<<10 {
				frame(4, 8, 0, 0)
				out = binary.BigEndian.AppendUint32(out, uint32(received))
				received = 0
			}
		}
		if in.Buffered() < 9 && len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

type blockWriter []byte

func (b *blockWriter) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func benchMessage() *fcm.SendRequest {
	ttl := fcm.Duration(600e9)
	return &fcm.SendRequest{Message: &fcm.Message{
		Token:   "cXdlcnR5dWlvcGFzZGZnaG:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ-hQMRKRrZuJAEcl7B338qju59zJMjw2DELjzEvxwYv7hH5Ynpc1ODQ0aT4U4OFEeco8ohsN5PjL1iC2dNtk2BAokeMCg2ZXKqpc8FXKmhX94kIxQ",
		Data:    map[string]string{"id": "m-000001", "kind": "order", "number": "4711", "state": "shipped"},
		Android: &fcm.AndroidConfig{Priority: fcm.PriorityHigh, TTL: &ttl},
	}}
}

// BenchmarkSend has that many goroutines send over TLS on loopback.
func BenchmarkSend(b *testing.B) {
	for _, far := range []string{"frames", "net/http"} {
		for _, goroutines := range []int{1, 100, 400} {
			b.Run(fmt.Sprintf("%s/%d", far, goroutines), func(b *testing.B) {
				endpoint, config := benchServer(b, far)
				s, err := fcmsend.New(project, fcmsend.Static(accessToken), &fcmsend.Options{Endpoint: endpoint, TLS: config})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				r := benchMessage()
				benchmark(b, goroutines, func() error {
					_, err := s.Send(b.Context(), r)
					return err
				})
				b.ReportMetric(float64(len(s.State().Connections)), "conns")
			})
		}
	}
}

// BenchmarkGeneralClient sends the same requests, made before, through the
// HTTP/2 client of net/http, as what this package would otherwise
// stand on (docs/adr/0007-own-http2-connection.md).
func BenchmarkGeneralClient(b *testing.B) {
	for _, goroutines := range []int{1, 100, 400} {
		b.Run(fmt.Sprintf("frames/%d", goroutines), func(b *testing.B) {
			endpoint, config := benchServer(b, "frames")
			transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			body := benchMessage().Append(nil)
			send := func() error {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, endpoint+sendPath, bytes.NewReader(body))
				if err != nil {
					return err
				}
				r.Header.Set("Authorization", "Bearer "+accessToken)
				r.Header.Set("Content-Type", "application/json")
				resp, err := transport.RoundTrip(r)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			}
			benchmark(b, goroutines, send)
		})
	}
}

// benchmark has that many goroutines share out b.N calls.
func benchmark(b *testing.B, goroutines int, send func() error) {
	if err := send(); err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for range goroutines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := send(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
}

// cpuTime is what the process has used, both ends of the wire.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchServer(b *testing.B, far string) (string, *tls.Config) {
	ca, err := localca.Open("", nil)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := ca.Server(nil)
	if err != nil {
		b.Fatal(err)
	}
	client := &tls.Config{RootCAs: ca.Pool()}
	if far == "net/http" {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			io.WriteString(w, success)
		}))
		srv.EnableHTTP2 = true
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		srv.StartTLS()
		b.Cleanup(srv.Close)
		return srv.URL, client
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(nc)
		}
	}()
	return "https://" + l.Addr().String(), client
}
