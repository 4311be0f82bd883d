package front_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A peer speaks HTTP/2 frame by frame, so that it can do what no client would.
type peer struct {
	*http2.Framer
	site    *site
	conn    net.Conn
	encoded bytes.Buffer
	hpack   *hpack.Encoder
	next    uint32 // the next stream
}

// connect opens a connection of HTTP/2.
func connect(t *testing.T, s *site) *peer {
	t.Helper()
	c := s.dial(t)
	p := &peer{Framer: http2.NewFramer(c, c), site: s, conn: c, next: 1}
	p.hpack = hpack.NewEncoder(&p.encoded)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return p
}

// block encodes the header of a request with the right key; more are pairs.
func (p *peer) block(more ...string) []byte {
	p.encoded.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", "https", ":authority", "penstock.test", ":path", p.site.path,
		"authorization", "Bearer " + goodKey, "content-type", "application/json",
	}, more...)
	for i := 0; i < len(fields); i += 2 {
		_ = p.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory
	}
	return p.encoded.Bytes()
}

// begin opens a stream with a header and leaves its body for later.
func (p *peer) begin(more ...string) (stream uint32, err error) {
	stream = p.next
	p.next += 2
	return stream, p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.block(more...), EndHeaders: true})
}

// ask sends a whole request.
func (p *peer) ask(to string) (stream uint32, err error) {
	stream, err = p.begin()
	if err == nil {
		err = p.WriteData(stream, true, []byte(p.site.body(to)))
	}
	return stream, err
}

// An ending is how a stream or the connection ended.
type ending struct {
	status string // of an answer
	reset  http2.ErrCode
	goAway http2.ErrCode
	closed bool // the connection
}

// await reads until the stream is answered or reset, or the connection ends.
// The ends of other streams are passed over.
func (p *peer) await(stream uint32) ending {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return ending{closed: true}
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream {
				return ending{status: f.PseudoValue("status")}
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return ending{reset: f.ErrCode}
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return ending{goAway: f.ErrCode}
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = p.WriteSettingsAck() // a connection that has ended is told by the next read
			}
		}
	}
}

// serves2 fails the test unless a good caller is served now over HTTP/2, on a
// connection of its own.
func (s *site) serves2(t *testing.T) {
	t.Helper()
	p := connect(t, s)
	stream, err := p.ask("GOOD")
	if end := p.await(stream); err != nil || end.status != "200" {
		t.Errorf("a good caller gets %+v, %v", end, err)
	}
}

func TestR_A31_R_A32_R_A37_TheSameAnswersOverHTTP2(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		for _, tt := range []struct {
			name, path, body string
			head             http.Header
			announced        bool
			status           int
		}{
			{"R-A31 a good request", d.path, d.body("T"), nil, true, 200},
			{"R-A31 no key", d.path, d.body("T"), http.Header{"Authorization": nil}, true, 401},
			{"R-A31 two keys", d.path, d.body("T"), http.Header{"Authorization": {"Bearer " + goodKey, "Bearer " + goodKey}}, true, 401},
			{"R-A32 two slashes", "/" + d.path, d.body("T"), nil, true, 404},
			{"R-A32 dots", "/x/.." + d.path, d.body("T"), nil, true, 404},
			{"R-A37 two types", d.path, d.body("T"), http.Header{"Content-Type": {"application/json", "text/plain"}}, true, 415},
			{"R-A37 an encoding", d.path, d.body("T"), http.Header{"Content-Encoding": {"br"}}, true, 415},
			{"R-A37 2 MiB", d.path, strings.Repeat(" ", 2<<20), nil, false, 413},
			{"R-A37 2 MiB, announced", d.path, strings.Repeat(" ", 2<<20), nil, true, 413},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := openHTTP2(t, d, 0)
					only := new(http.Protocols)
					only.SetUnencryptedHTTP2(true)
					transport := &http.Transport{Protocols: only, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.listener.Dial(ctx) }}
					defer transport.CloseIdleConnections()
					r, err := http.NewRequestWithContext(t.Context(), "POST", "http://penstock.test", strings.NewReader(tt.body))
					if err != nil {
						t.Fatal(err)
					}
					r.URL.Path = tt.path
					if !tt.announced {
						r.ContentLength = -1
					}
					r.Header = http.Header{"Authorization": {"Bearer " + goodKey}, "Content-Type": {"application/json"}}
					maps.Copy(r.Header, tt.head)
					res, err := transport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					if _, err := io.Copy(io.Discard, res.Body); err != nil || res.ProtoMajor != 2 || res.StatusCode != tt.status {
						t.Errorf("got %s %d, %v; want %d", res.Proto, res.StatusCode, err, tt.status)
					}
					if n := len(s.lane.recipients()); (n == 1) != (tt.status == 200) {
						t.Errorf("%d sent", n)
					}
				})
			})
		}
	})
}

// Written once and repeated by its index, a header of ten thousand lines takes
// ten thousand bytes on the wire, and many times that behind it.
func TestR_A35_TenThousandLinesOverHTTP2(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := openHTTP2(t, d, 0)
			p := connect(t, s)
			stream, err := p.begin(slices.Repeat([]string{"x", "y"}, 10_000)...)
			if end := p.await(stream); err != nil || end.status != "431" {
				t.Errorf("got %+v, %v", end, err)
			}
			s.serves2(t)
		})
	})
}

// A write timeout is one of streams over HTTP/2, and resets them, which is one
// more frame behind those that are not read. The timeout of the connection counts
// anew when a write got on a little before it was stuck.
func TestR_A34_R_L10_WhoReadsNothingOverHTTP2IsCutOff(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := openHTTP2(t, d, 0)
			p := connect(t, s)
			start := time.Now()
			var err error
			for i := 0; err == nil; i++ {
				err = p.WritePing(false, [8]byte{byte(i), byte(i >> 8)}) // it is answered
				if i > 6000 {
					time.Sleep(time.Second)
				}
				if time.Since(start) > 2*time.Minute {
					t.Fatal("the connection lives on")
				}
			}
			if since := time.Since(start); since < 30*time.Second || since > 65*time.Second {
				t.Errorf("it ended after %v", since)
			}
			s.serves2(t)
			time.Sleep(5 * time.Second) // a server that has said goodbye closes a second later
		})
	})
}

// A line that is longer than all may be together is not decoded at all, and what
// follows could not be either: the connection ends.
func TestR_A35_R_L10_ALineBeyondTheBoundOverHTTP2(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := openHTTP2(t, d, 0)
			p := connect(t, s)
			stream, err := p.begin("x", strings.Repeat("y", 17_000))
			if end := p.await(stream); err != nil || end.goAway != http2.ErrCodeCompression {
				t.Errorf("got %+v, %v", end, err)
			}
			if n := len(s.lane.recipients()); n > 0 {
				t.Errorf("%d sent", n)
			}
			s.serves2(t)
			time.Sleep(5 * time.Second) // a server that has said goodbye closes a second later
		})
	})
}

// Streams beyond the hundredth are refused, and those that are open get their
// answers.
func TestR_A36_R_L12_AHundredStreamsAndNoMore(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := openHTTP2(t, d, 5*time.Second)
			p := connect(t, s)
			var last uint32
			for i := range 101 {
				stream, err := p.ask(fmt.Sprint("T", i))
				if err != nil {
					t.Fatal(err)
				}
				last = stream
			}
			if end := p.await(last); end.reset != http2.ErrCodeRefusedStream {
				t.Errorf("the 101st stream: %+v", end)
			}
			if end := p.await(1); end.status != "200" {
				t.Errorf("the first stream: %+v", end)
			}
			if n := len(s.lane.recipients()); n != 100 {
				t.Errorf("%d sent", n)
			}
		})
	})
}

// Each flood either does no harm or costs its connection; memory and goroutines
// stay bounded, and others are served all the while.
func TestR_A36_FloodsOfFrames(t *testing.T) {
	ended := func(end ending) bool { return end.closed || end.goAway != 0 }
	atEachDoor(t, func(t *testing.T, d door) {
		for _, tt := range []struct {
			name  string
			flood func(p *peer, i int) error // one round
			n     int
			ends  bool // the connection
		}{
			{"R-A36 streams that are reset at once", func(p *peer, _ int) error {
				stream, err := p.begin()
				if err == nil {
					err = p.WriteRSTStream(stream, http2.ErrCodeCancel)
				}
				return err
			}, 5_000, false},
			{"R-A36 whole requests that are reset at once", func(p *peer, _ int) error {
				stream, err := p.ask("RESET")
				if err == nil {
					err = p.WriteRSTStream(stream, http2.ErrCodeCancel)
				}
				return err
			}, 2_000, false},
			{"R-A36 a header without an end", func(p *peer, i int) error {
				block := p.block("x", strings.Repeat("y", 1000))
				if i == 0 {
					return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
				}
				return p.WriteContinuation(1, false, block)
			}, 10_000, true},
			{"R-A36 empty pieces of a header", func(p *peer, i int) error {
				if i == 0 {
					return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block()})
				}
				return p.WriteContinuation(1, false, nil)
			}, 30_000, true},
			{"R-A36 settings", func(p *peer, _ int) error {
				return p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			}, 30_000, true},
			{"R-A36 pings", func(p *peer, i int) error {
				return p.WritePing(false, [8]byte{byte(i), byte(i >> 8), byte(i >> 16)})
			}, 30_000, true},
			{"R-A36 data for a stream that is none", func(p *peer, _ int) error {
				return p.WriteData(1001, false, make([]byte, 1000))
			}, 100, true},
			{"R-A36 a window of nothing", func(p *peer, _ int) error {
				return p.WriteWindowUpdate(0, 1<<31-1)
			}, 3, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := openHTTP2(t, d, time.Second)
					s.serves2(t)
					synctest.Wait()
					// While a collection takes the stacks of goroutines that have
					// ended, NumGoroutine counts those as living. Let it take them now.
					runtime.GC()
					before := runtime.NumGoroutine()
					p := connect(t, s)
					most := 0
					var err error
					for i := 0; err == nil && i < tt.n; i++ {
						// Nothing is read: answers pile up where they can.
						err = tt.flood(p, i)
						if i%1000 == 0 {
							most = max(most, runtime.NumGoroutine()-before)
						}
					}
					// Each message that reached the lane has one goroutine of the
					// lane's own here.
					if most -= len(s.lane.recipients()); most > 1000 {
						t.Errorf("%d goroutines more than before", most)
					}
					s.serves2(t)
					_ = p.conn.SetReadDeadline(time.Now().Add(time.Minute))
					if end := p.await(1 << 30); tt.ends && !ended(end) {
						t.Errorf("the connection lives on: %+v", end)
					}
					time.Sleep(5 * time.Second) // a server that has said goodbye closes a second later
				})
			})
		}
	})
}

// Some clients take a GOAWAY for the end of the request, and never see that it is
// their key that is wrong; and a connection may be a proxy's, with others on it.
func TestR_A31_AWrongKeyOverHTTP2IsAnsweredAndNoMore(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := openHTTP2(t, d, 0)
			p := connect(t, s)
			for range 2 {
				stream, err := p.begin("authorization", "Bearer another")
				if err == nil {
					err = p.WriteData(stream, true, []byte(d.body("T")))
				}
				for status := ""; status == ""; {
					f, readErr := p.ReadFrame()
					if err != nil || readErr != nil {
						t.Fatal(err, readErr)
					}
					switch f := f.(type) {
					case *http2.GoAwayFrame:
						t.Fatalf("GOAWAY %v in front of the answer", f.ErrCode)
					case *http2.MetaHeadersFrame:
						if status = f.PseudoValue("status"); f.StreamID != stream || status != "401" {
							t.Fatalf("got %s on stream %d", status, f.StreamID)
						}
					case *http2.SettingsFrame:
						if !f.IsAck() {
							_ = p.WriteSettingsAck()
						}
					}
				}
			}
			stream, err := p.ask("GOOD")
			if end := p.await(stream); err != nil || end.status != "200" {
				t.Errorf("the right key on the same connection gets %+v, %v", end, err)
			}
		})
	})
}
