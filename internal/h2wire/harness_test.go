package h2wire_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/internal/ccstest"
	"penstock/internal/h2wire"
)

// serve has net/http serve h behind the layer, over connections in memory.
func serve(t *testing.T, h http.HandlerFunc, opt *h2wire.Options) *ccstest.Listener {
	t.Helper()
	l := ccstest.Listen()
	srv := &http.Server{
		Handler:        h,
		Protocols:      h2wire.Protocols(),
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: 250},
		ErrorLog:       log.New(io.Discard, "", 0),
		MaxHeaderBytes: 64 << 10,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(h2wire.NewListener(l, nil, opt))
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return l
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %q %v", r.Method, r.URL.Path, r.Header.Get("X-Test"), body, err)
	for k := range r.Trailer {
		fmt.Fprintf(w, " %s=%s", k, r.Trailer.Get(k))
	}
}

// A client speaks HTTP/2 frame by frame.
type client struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
	enc    *hpack.Encoder
	block  bytes.Buffer
	next   uint32
	bodies map[uint32]*strings.Builder
	status map[uint32]string
}

func dial(t *testing.T, l *ccstest.Listener) *client {
	t.Helper()
	conn, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, Framer: http2.NewFramer(conn, conn), next: 1,
		bodies: map[uint32]*strings.Builder{}, status: map[uint32]string{}}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.block)
	io.WriteString(conn, http2.ClientPreface)
	c.WriteSettings()
	return c
}

// fields encodes a request's header block.
func (c *client) fields(pairs ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(c.block.Bytes())
}

func (c *client) request(method, scheme, path string, more ...string) []byte {
	return c.fields(append([]string{":method", method, ":scheme", scheme, ":authority", "fcm.example", ":path", path}, more...)...)
}

// open begins a stream with a header block.
func (c *client) open(block []byte, end bool) uint32 {
	c.t.Helper()
	id := c.next
	c.next += 2
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true}); err != nil {
		c.t.Fatal(err)
	}
	return id
}

// get sends a GET.
func (c *client) get(scheme, path string, more ...string) uint32 {
	return c.open(c.request("GET", scheme, path, more...), true)
}

// frame reads the next frame that is not about windows and settings.
func (c *client) frame() http2.Frame {
	c.t.Helper()
	for {
		c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
					c.status[0] = fmt.Sprint(n)
				}
				c.WriteSettingsAck()
			}
		case *http2.WindowUpdateFrame:
		default:
			return f
		}
	}
}

// answer reads until the stream has ended, and returns status and body. Those of
// other streams are kept.
func (c *client) answer(id uint32) string {
	c.t.Helper()
	for {
		if b := c.bodies[id]; b != nil && strings.HasSuffix(b.String(), "\x00") {
			return c.status[id] + " " + strings.TrimSuffix(b.String(), "\x00")
		}
		switch f := c.frame().(type) {
		case *http2.MetaHeadersFrame:
			c.bodies[f.StreamID] = new(strings.Builder)
			c.status[f.StreamID] = f.PseudoValue("status")
			if f.StreamEnded() {
				c.bodies[f.StreamID].WriteString("\x00")
			}
		case *http2.DataFrame:
			c.bodies[f.StreamID].Write(f.Data())
			if f.StreamEnded() {
				c.bodies[f.StreamID].WriteString("\x00")
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			c.t.Fatalf("GOAWAY %v %q", f.ErrCode, f.DebugData())
		}
	}
}

func (c *client) want(id uint32, want string) {
	c.t.Helper()
	if got := c.answer(id); got != want {
		c.t.Errorf("stream %d: %s; want %s", id, got, want)
	}
}

// wantGoAway reads GOAWAY, and passes over what comes before it.
func (c *client) wantGoAway(last uint32, code http2.ErrCode, debug string) {
	c.t.Helper()
	for {
		g, ok := c.frame().(*http2.GoAwayFrame)
		if !ok {
			continue
		}
		if g.LastStreamID != last || g.ErrCode != code || string(g.DebugData()) != debug {
			c.t.Errorf("GOAWAY %d %v %q; want %d %v %q", g.LastStreamID, g.ErrCode, g.DebugData(), last, code, debug)
		}
		return
	}
}

// wantEnd reads until the connection ends, and wants nothing before that but
// what belongs to settings and windows.
func (c *client) wantEnd() {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		f, err := c.ReadFrame()
		if err == nil {
			switch f.(type) {
			case *http2.SettingsFrame, *http2.WindowUpdateFrame:
				continue
			}
			c.t.Fatalf("%v; want the end", f)
		}
		if err != io.EOF { //nolint:errorlint // readers compare with EOF itself
			c.t.Fatalf("%v; want EOF", err)
		}
		return
	}
}
