package h2wire_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/internal/ccstest"
	"penstock/internal/h2wire"
)

// A gate is a handler that answers when it is told to.
type gate struct {
	arrived chan string   // paths
	release chan struct{} // closed: all go on
}

func newGate() *gate { return &gate{make(chan string, 1000), make(chan struct{})} }

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	g.arrived <- r.URL.Path
	select {
	case <-g.release:
		echo(w, r)
	case <-r.Context().Done():
	}
}

func (g *gate) paths() (list []string) {
	for len(g.arrived) > 0 {
		list = append(list, <-g.arrived)
	}
	slices.Sort(list)
	return list
}

func bubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestM_22_OneStreamTooManyEndsTheConnection(t *testing.T) {
	bubble(t, "M-22 the limit is announced, held, and passed once", func(t *testing.T) {
		g := newGate()
		c := dial(t, serve(t, g.serve, &h2wire.Options{MaxStreams: 100}))
		for range 100 {
			c.get("https", "/a")
		}
		synctest.Wait()
		if n := len(g.arrived); n != 100 {
			t.Fatalf("%d requests reached the server; want 100", n)
		}
		id := c.get("https", "/b")
		c.wantGoAway(id-2, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		if c.status[0] != "100" {
			t.Errorf("SETTINGS_MAX_CONCURRENT_STREAMS is %s; want 100", c.status[0])
		}
		close(g.release)
		start := time.Now()
		c.wantEnd() // no stream is answered behind the error
		if took := time.Since(start); took != time.Second {
			t.Errorf("the connection ended after %v; want a second, in which GOAWAY can be read", took)
		}
	})
	for name, end := range map[string]func(c *client, id uint32){
		"answered":       func(c *client, id uint32) { c.answer(id) },
		"reset":          func(c *client, id uint32) { c.WriteRSTStream(id, http2.ErrCodeCancel) },
		"refused by Go":  func(c *client, id uint32) { c.answer(id) },
		"aborted":        func(c *client, id uint32) { c.answer(id) },
		"ended by DATA":  func(c *client, id uint32) { c.WriteData(id, true, nil); c.answer(id) },
		"ended by trail": func(c *client, id uint32) { c.open2(id); c.answer(id) },
	} {
		bubble(t, "M-22 a stream that is "+name+" makes room", func(t *testing.T) {
			c := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/abort" {
					panic(http.ErrAbortHandler)
				}
				echo(w, r)
			}, &h2wire.Options{MaxStreams: 1}))
			for range 300 {
				var id uint32
				switch name {
				case "aborted":
					id = c.get("https", "/abort")
				case "refused by Go":
					id = c.get("ftp", "/")
				case "ended by DATA", "ended by trail":
					id = c.open(c.request("POST", "https", "/"), false)
				default:
					id = c.get("https", "/")
				}
				end(c, id)
			}
			c.want(c.get("https", "/last"), `200 GET /last  "" <nil>`)
		})
	}
	bubble(t, "M-22 a stream whose client has not ended it counts on", func(t *testing.T) {
		c := dial(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0")
		}, &h2wire.Options{MaxStreams: 2}))
		c.open(c.request("POST", "https", "/"), false)
		c.open(c.request("POST", "https", "/"), false)
		synctest.Wait()
		// Go's server answers and resets with NO_ERROR: then they are over.
		c.want(c.get("https", "/"), `200 `)
	})
}

// open2 ends a stream by trailers.
func (c *client) open2(id uint32) {
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields("x-t", "1"), EndStream: true, EndHeaders: true})
}

func TestM_23_AFloodOfPingsEndsTheConnection(t *testing.T) {
	opt := &h2wire.Options{MaxStreams: 100, PingEvery: 10 * time.Second, MaxPings: 2}
	pong := func(c *client) {
		c.t.Helper()
		c.WritePing(false, [8]byte{1})
		if f, ok := c.frame().(*http2.PingFrame); !ok || !f.IsAck() {
			c.t.Fatalf("got %v; want the answer to a PING", f)
		}
	}
	bubble(t, "M-23 three early ones", func(t *testing.T) {
		c := dial(t, serve(t, echo, opt))
		c.want(c.get("https", "/"), `200 GET /  "" <nil>`)
		for range 3 { // the first is not early
			pong(c)
			time.Sleep(9 * time.Second)
		}
		c.WritePing(false, [8]byte{})
		c.wantGoAway(1, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
		c.wantEnd()
	})
	bubble(t, "M-23 not those that are rare", func(t *testing.T) {
		c := dial(t, serve(t, echo, opt))
		for range 100 {
			pong(c)
			time.Sleep(10 * time.Second)
		}
	})
	bubble(t, "M-23 not early ones with others between them", func(t *testing.T) {
		c := dial(t, serve(t, echo, opt))
		for i := range 100 {
			pong(c)
			time.Sleep(time.Duration(9+i%2) * time.Second)
		}
	})
	bubble(t, "M-23 not those between requests, nor answers to PINGs", func(t *testing.T) {
		c := dial(t, serve(t, echo, opt))
		for range 100 {
			pong(c)
			c.WritePing(true, [8]byte{})
			c.want(c.get("https", "/"), `200 GET /  "" <nil>`)
		}
	})
	bubble(t, "M-23 not those between what a client sends", func(t *testing.T) {
		g := newGate()
		c := dial(t, serve(t, g.serve, opt))
		for range 20 { // nothing is answered
			c.get("https", "/")
			pong(c)
		}
		id := c.open(c.request("POST", "https", "/"), false)
		for range 20 {
			c.WriteData(id, false, nil)
			pong(c)
		}
		for i := range 20 {
			c.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
			pong(c)
		}
		close(g.release)
	})
	bubble(t, "M-23 not those between what the server sends", func(t *testing.T) {
		more := make(chan struct{})
		c := dial(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for range more {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
		}, opt))
		c.get("https", "/")
		for i := range 20 {
			more <- struct{}{}
			for n := range 2 - min(i, 1) { // HEADERS too, before the first DATA
				if f := c.frame(); f.Header().StreamID != 1 {
					t.Fatalf("frame %d, %d is %v", i, n, f)
				}
			}
			pong(c)
		}
		close(more)
	})
	bubble(t, "M-23 not answers to PINGs that nobody sent", func(t *testing.T) {
		c := dial(t, serve(t, echo, opt))
		for range 100 {
			c.WritePing(true, [8]byte{})
		}
		c.want(c.get("https", "/"), `200 GET /  "" <nil>`)
	})
	bubble(t, "M-23 by the clock that is given", func(t *testing.T) {
		var now atomic.Int64
		opt := *opt
		opt.Now = func() time.Time { return time.Unix(now.Add(10), 0) }
		c := dial(t, serve(t, echo, &opt))
		for range 100 {
			pong(c)
		}
	})
}

func TestM_24_GoAwayLetsStreamsInProgressFinish(t *testing.T) {
	// conns has the layer's end of each connection.
	setup := func(t *testing.T) (*gate, *client, *h2wire.Conn) {
		g := newGate()
		l := ccstest.Listen()
		conns := make(chan *h2wire.Conn, 1)
		srv := &http.Server{Handler: http.HandlerFunc(g.serve), Protocols: h2wire.Protocols()}
		inner := h2wire.NewListener(l, nil, &h2wire.Options{MaxStreams: 100})
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.Serve(&tapped{inner, conns})
		}()
		t.Cleanup(func() { srv.Close(); <-done })
		c := dial(t, l)
		return g, c, <-conns
	}
	bubble(t, "M-24 and ignores those above the last", func(t *testing.T) {
		g, c, conn := setup(t)
		a, b := c.get("https", "/a"), c.open(c.request("POST", "https", "/b"), false)
		synctest.Wait()
		conn.GoAway()
		conn.GoAway()
		c.wantGoAway(b, http2.ErrCodeNo, "")
		// Written before GOAWAY was read: streams that nobody processes, with
		// blocks that later ones refer to.
		ignored := c.open(c.request("POST", "https", "/ignored", "x-test", "big"), false)
		for range 100 { // more than the connection's window
			c.WriteData(ignored, false, make([]byte, 16_000))
		}
		c.WriteWindowUpdate(ignored, 5)
		c.WritePriority(ignored, http2.PriorityParam{Weight: 1})
		c.WriteRSTStream(ignored, http2.ErrCodeCancel)
		trailers := c.open(c.request("POST", "https", "/ignored"), false)
		c.open2(trailers)
		c.WriteData(b, true, []byte("rest"))
		synctest.Wait()
		if got := fmt.Sprint(g.paths()); got != "[/a /b]" {
			t.Errorf("the server saw %s", got)
		}
		close(g.release)
		c.want(a, `200 GET /a  "" <nil>`)
		c.want(b, `200 POST /b  "rest" <nil>`)
		c.wantEnd()
	})
	bubble(t, "M-24 and gives the connection's window back", func(t *testing.T) {
		g, c, conn := setup(t)
		c.get("https", "/a")
		synctest.Wait()
		conn.GoAway()
		c.wantGoAway(1, http2.ErrCodeNo, "")
		id := c.open(c.request("POST", "https", "/ignored"), false)
		c.WriteData(id, true, make([]byte, 1234))
		for {
			f, err := c.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 && w.Increment == 1234 {
				break
			}
		}
		close(g.release)
	})
	bubble(t, "M-24 and a client that closes first ends it at once", func(t *testing.T) {
		g, c, conn := setup(t)
		close(g.release)
		c.want(c.get("https", "/a"), `200 GET /a  "" <nil>`)
		conn.GoAway()
		c.wantGoAway(1, http2.ErrCodeNo, "")
		start := time.Now()
		c.conn.(*ccstest.Conn).CloseWrite()
		c.wantEnd()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
	bubble(t, "M-24 and a client's reset of the last stream ends it", func(t *testing.T) {
		_, c, conn := setup(t)
		id := c.get("https", "/a")
		synctest.Wait()
		conn.GoAway()
		c.wantGoAway(id, http2.ErrCodeNo, "")
		c.WriteRSTStream(id, http2.ErrCodeCancel)
		start := time.Now()
		c.wantEnd()
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v; want a second", took)
		}
	})
	bubble(t, "M-24 and one that does not has a second", func(t *testing.T) {
		g, c, conn := setup(t)
		close(g.release)
		c.want(c.get("https", "/a"), `200 GET /a  "" <nil>`)
		start := time.Now()
		conn.GoAway()
		c.wantGoAway(1, http2.ErrCodeNo, "")
		c.wantEnd()
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v; want a second", took)
		}
	})
	bubble(t, "and a connection whose streams are not counted knows no GoAway", func(t *testing.T) {
		near, far := ccstest.Pipe()
		conn := h2wire.Wrap(far, nil)
		conn.GoAway()
		conn.Close()
		if got, err := io.ReadAll(near); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// tapped is a listener that tells of its connections.
type tapped struct {
	net.Listener
	conns chan *h2wire.Conn
}

func (l *tapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.conns <- c.(*h2wire.Conn)
	}
	return c, err
}

func TestStreamsAreRefusedBeforeTheyAreRead(t *testing.T) {
	verdicts := []h2wire.Verdict{}
	var n int
	opt := &h2wire.Options{MaxStreams: 100, NewStream: func() h2wire.Verdict {
		v := verdicts[n%len(verdicts)]
		n++
		return v
	}}
	bubble(t, "by REFUSED_STREAM", func(t *testing.T) {
		g := newGate()
		close(g.release)
		verdicts, n = []h2wire.Verdict{h2wire.Pass, h2wire.Refuse}, 0
		c := dial(t, serve(t, g.serve, opt))
		for i := range 20 {
			c.want(c.get("https", fmt.Sprint("/", i/3)), fmt.Sprintf(`200 GET /%d  "" <nil>`, i/3))
			id := c.open(c.request("POST", "https", fmt.Sprint("/", i/3), "x-test", "refused"), false)
			c.WriteData(id, i%2 == 0, make([]byte, 5000))
			if i%4 == 1 {
				c.open2(id)
			}
			c.want(id, "REFUSED_STREAM")
		}
		if got := g.paths(); len(got) != 20 {
			t.Errorf("the server saw %d streams; want 20", len(got))
		}
	})
	bubble(t, "by GOAWAY that leaves them out", func(t *testing.T) {
		g := newGate()
		verdicts, n = []h2wire.Verdict{h2wire.Pass, h2wire.GoAway}, 0
		c := dial(t, serve(t, g.serve, opt))
		a := c.get("https", "/a")
		c.get("https", "/b")
		c.wantGoAway(a, http2.ErrCodeNo, "")
		synctest.Wait()
		close(g.release)
		c.want(a, `200 GET /a  "" <nil>`)
		c.wantEnd()
		if got := fmt.Sprint(g.paths()); got != "[/a]" {
			t.Errorf("the server saw %s", got)
		}
	})
	bubble(t, "by GOAWAY where there is no other", func(t *testing.T) {
		verdicts, n = []h2wire.Verdict{h2wire.GoAway}, 0
		c := dial(t, serve(t, echo, opt))
		c.get("https", "/a")
		c.wantGoAway(0, http2.ErrCodeNo, "")
		c.wantEnd()
	})
	bubble(t, "by the connection's end where blocks cannot be read", func(t *testing.T) {
		verdicts, n = []h2wire.Verdict{h2wire.Refuse}, 0
		c := dial(t, serve(t, echo, opt))
		c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, c.next, []byte{9, 1, 2})
		c.want(c.next, "PROTOCOL_ERROR")
		c.next += 2
		c.get("https", "/b") // the server's table would miss what it holds
		c.wantGoAway(0, http2.ErrCodeProtocol, "header block")
		c.wantEnd()
	})
	bubble(t, "and a client that leaves too many of them open is sent away", func(t *testing.T) {
		verdicts, n = []h2wire.Verdict{h2wire.Refuse}, 0
		c := dial(t, serve(t, echo, opt))
		for range 1000 {
			c.want(c.open(c.request("POST", "https", "/"), false), "REFUSED_STREAM")
		}
		c.open(c.request("POST", "https", "/"), false)
		c.wantGoAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_refused_streams")
		c.wantEnd()
	})
	bubble(t, "and one that ends them is not", func(t *testing.T) {
		verdicts, n = []h2wire.Verdict{h2wire.Refuse}, 0
		c := dial(t, serve(t, echo, opt))
		for i := range 4800 {
			switch i % 4 {
			case 0:
				c.want(c.get("https", "/"), "REFUSED_STREAM")
			case 1:
				id := c.open(c.request("POST", "https", "/"), false)
				c.WriteData(id, true, nil)
				c.want(id, "REFUSED_STREAM")
			case 2:
				id := c.open(c.request("POST", "https", "/"), false)
				c.WriteRSTStream(id, http2.ErrCodeCancel)
				c.want(id, "REFUSED_STREAM")
			case 3:
				id := c.open(c.request("POST", "https", "/"), false)
				c.open2(id)
				c.want(id, "REFUSED_STREAM")
			}
		}
	})
}

func TestAStreamIsOpenUntilBothSidesHaveEnded(t *testing.T) {
	for _, serverFirst := range []bool{true, false} {
		var client, server bytes.Buffer
		client.WriteString(http2.ClientPreface)
		fr, back := http2.NewFramer(&client, nil), http2.NewFramer(&server, nil)
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}, EndHeaders: true})
		begun := client.Len()
		fr.WriteData(1, true, []byte("body"))
		back.WriteSettings()
		back.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})

		c := h2wire.Wrap(&pieces{text: client.Bytes(), size: 100}, &h2wire.Options{MaxStreams: 100})
		read := func(n int) {
			if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		end := []func(){func() { c.Write(server.Bytes()) }, func() { read(client.Len() - begun) }}
		if !serverFirst {
			slices.Reverse(end)
		}
		read(begun)
		got := []int{c.Streams()}
		for _, f := range end {
			f()
			got = append(got, c.Streams())
		}
		if fmt.Sprint(got) != "[1 1 0]" {
			t.Errorf("server first %v: %v streams are open in turn", serverFirst, got)
		}
	}
}

func TestAClientThatReadsNothingIsLetGo(t *testing.T) {
	var text strings.Builder
	fr := http2.NewFramer(&text, nil)
	for _, shape := range []string{"data of streams above GOAWAY", "refused streams"} {
		t.Run(shape, func(t *testing.T) {
			text.Reset()
			text.WriteString(http2.ClientPreface)
			c := client{t: t}
			c.enc = hpack.NewEncoder(&c.block)
			opt := &h2wire.Options{MaxStreams: 100, NewStream: func() h2wire.Verdict { return h2wire.GoAway }}
			if shape == "refused streams" {
				opt.NewStream = func() h2wire.Verdict { return h2wire.Refuse }
			}
			block := c.request("POST", "https", "/")
			for i := range 20_000 {
				id := uint32(1)
				if shape == "refused streams" {
					id = uint32(2*i + 1)
				}
				if i == 0 || id > 1 {
					fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: id > 1})
				}
				if id == 1 {
					fr.WriteData(id, false, []byte{1})
				}
			}
			p := &pieces{text: []byte(text.String()), size: 4000}
			// Nothing can be written before the server's SETTINGS, which do not come.
			if _, err := io.Copy(io.Discard, h2wire.Wrap(p, opt)); err == nil || len(p.text) == 0 {
				t.Error("all was read, and what was to be said was kept")
			}
		})
	}
}

// TestOwnFramesStandBetweenTheServers writes the server's frames in pieces, and
// has the layer say GOAWAY in the middle of each.
func TestOwnFramesStandBetweenTheServers(t *testing.T) {
	var server strings.Builder
	fr := http2.NewFramer(&server, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 250})
	fr.WriteData(1, true, []byte("body"))
	text := server.String()
	for cut := range len(text) + 1 {
		p := &pieces{text: []byte(http2.ClientPreface), size: 100}
		c := h2wire.Wrap(p, &h2wire.Options{MaxStreams: 100})
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			t.Fatal(err)
		}
		if cut == 0 {
			c.GoAway() // before the server has said anything
		}
		for i, part := range [][]byte{[]byte(text[:cut]), []byte(text[cut:])} {
			if i > 0 {
				c.GoAway()
			}
			before := string(part)
			if n, err := c.Write(part); n != len(part) || err != nil || string(part) != before {
				t.Fatalf("cut at %d: %d bytes were written, %v, and %q has become %q", cut, n, err, before, part)
			}
		}
		back := http2.NewFramer(nil, &p.written)
		var kinds []string
		for {
			f, err := back.ReadFrame()
			if err == io.EOF { //nolint:errorlint // what Read returns
				break
			}
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			kinds = append(kinds, f.Header().Type.String())
		}
		first := kinds[0]
		slices.Sort(kinds)
		if got := fmt.Sprint(kinds); got != "[DATA GOAWAY SETTINGS]" || first != "SETTINGS" {
			t.Errorf("cut at %d: %s", cut, got)
		}
	}
}

// A client may send its first request before the server has said anything. What
// the layer says about it comes behind the server's SETTINGS all the same
// (RFC 9113, 3.4): clients end connections that begin otherwise.
func TestFramesOfTheLayerComeBehindTheServersSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict h2wire.Verdict
		want    http2.FrameType
	}{
		"GOAWAY":     {h2wire.GoAway, http2.FrameGoAway},
		"RST_STREAM": {h2wire.Refuse, http2.FrameRSTStream},
	} {
		bubble(t, name, func(t *testing.T) {
			near, far := ccstest.Pipe()
			server := h2wire.Wrap(far, &h2wire.Options{MaxStreams: 100, NewStream: func() h2wire.Verdict { return tt.verdict }})
			defer server.Close()
			c := newClient(t, near)
			c.get("https", "/early")
			read := make(chan struct{})
			go func() {
				defer close(read)
				_, _ = io.Copy(io.Discard, server)
			}()
			synctest.Wait()
			if err := http2.NewFramer(server, nil).WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 250}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []http2.FrameType{http2.FrameSettings, tt.want} {
				f, err := c.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if got := f.Header().Type; got != want {
					t.Fatalf("%v came, want %v", got, want)
				}
			}
			near.Close()
			<-read
		})
	}
}
