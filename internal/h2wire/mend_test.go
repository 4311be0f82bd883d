package h2wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
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
	"penstock/internal/localca"
)

func TestM_25_ASchemeWithAColonIsMended(t *testing.T) {
	for name, opt := range map[string]*h2wire.Options{"mending only": nil, "counting streams too": {MaxStreams: 100}} {
		t.Run("M-25 "+name, func(t *testing.T) {
			c := dial(t, serve(t, echo, opt))
			for i := range 5 { // later blocks are references to the tables
				path := fmt.Sprintf("/%d", i/2)
				c.want(c.get("https:", path, "x-test", "yes"), "200 GET "+path+` yes "" <nil>`)
			}
			c.want(c.get("http:", "/http", "x-test", "yes"), `200 GET /http yes "" <nil>`)
			c.want(c.get("https", "/right", "x-test", "yes"), `200 GET /right yes "" <nil>`)
		})
	}
}

func TestM_25_NothingElseAboutASchemeIsMended(t *testing.T) {
	c := dial(t, serve(t, echo, nil))
	c.want(c.get("ftp", "/"), "PROTOCOL_ERROR")
	c.want(c.get("https::", "/"), "PROTOCOL_ERROR")
	// A key may end in a colon.
	c.want(c.get("https:", "/path:", "x-test", "yes:"), `200 GET /path: yes: "" <nil>`)
}

func TestM_25_AClientThatChangesItsMindIsUnderstood(t *testing.T) {
	c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
	for i, scheme := range []string{"https", "https", "https:", "https", "https:", "http", "https:"} {
		want := fmt.Sprintf(`200 GET / v%d "" <nil>`, i/2)
		c.want(c.get(scheme, "/", "x-test", fmt.Sprint("v", i/2), "x-other", strings.Repeat("o", 3000*(i%2))), want)
	}
}

func TestBlocksOfEveryShapeAreMended(t *testing.T) {
	c := dial(t, serve(t, echo, nil))
	post := func(param http2.HeadersFrameParam, parts ...[]byte) uint32 {
		param.StreamID = c.next
		c.next += 2
		param.BlockFragment, param.EndHeaders = parts[0], len(parts) == 1
		c.WriteHeaders(param)
		for i, part := range parts[1:] {
			c.WriteContinuation(param.StreamID, i == len(parts)-2, part)
		}
		return param.StreamID
	}
	block := func() []byte { return c.request("POST", "https:", "/", "x-test", "yes") }

	b := block()
	id := post(http2.HeadersFrameParam{EndStream: true, PadLength: 77}, b)
	c.want(id, `200 POST / yes "" <nil>`)

	b = block()
	id = post(http2.HeadersFrameParam{Priority: http2.PriorityParam{StreamDep: 1, Weight: 3}, PadLength: 255}, b)
	c.WriteData(id, true, []byte("body"))
	c.want(id, `200 POST / yes "body" <nil>`)

	b = block()
	parts := [][]byte{nil}
	for i := range b {
		parts = append(parts, b[i:i+1])
	}
	id = post(http2.HeadersFrameParam{EndStream: true}, append(parts, nil)...)
	c.want(id, `200 POST / yes "" <nil>`)

	// Larger than one frame, so that it is written anew in several.
	big := strings.Repeat("x~", 12_000)
	b = c.request("POST", "https:", "/", "x-test", big)
	id = post(http2.HeadersFrameParam{Priority: http2.PriorityParam{Exclusive: true, StreamDep: 1}}, b[:16000], b[16000:])
	c.WriteData(id, true, nil)
	c.want(id, "200 POST / "+big+` "" <nil>`)

	b = c.request("POST", "https:", "/", "x-test", "yes", "trailer", "x-sum")
	id = post(http2.HeadersFrameParam{}, b)
	c.WriteData(id, false, []byte("body"))
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields("x-sum", "4"), EndStream: true, EndHeaders: true})
	c.want(id, `200 POST / yes "body" <nil> X-Sum=4`)
}

func TestTooLargeABlockIsTheServersAffair(t *testing.T) {
	more := func(n int) (pairs []string) {
		for i := range n {
			pairs = append(pairs, fmt.Sprint("x-", i), strings.Repeat("a", 100))
		}
		return pairs
	}
	parts := func(c *client, scheme string, n int) uint32 {
		b := c.request("GET", scheme, "/", more(n)...)
		id := c.next
		c.next += 2
		for i := 0; len(b) > 0; i++ {
			part := b[:min(len(b), 16_000)]
			b = b[len(part):]
			if i == 0 {
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: true, EndHeaders: len(b) == 0})
			} else {
				c.WriteContinuation(id, len(b) == 0, part)
			}
		}
		return id
	}
	t.Run("as long as blocks pass", func(t *testing.T) {
		c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
		if got := c.answer(parts(c, "https", 485)); !strings.HasPrefix(got, "431 ") {
			t.Errorf("got %s", got)
		}
		c.want(c.get("https", "/", "x-test", "yes"), `200 GET / yes "" <nil>`)
		parts(c, "https", 4000)
		c.wantGoAway(5, http2.ErrCodeProtocol, "")
	})
	bubble(t, "and ends a connection whose blocks are written anew", func(t *testing.T) {
		for _, scheme := range []string{"https:", "https"} {
			c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
			c.want(c.get("https:", "/", "x-test", "yes"), `200 GET / yes "" <nil>`)
			parts(c, scheme, 800)
			c.wantGoAway(1, http2.ErrCodeEnhanceYourCalm, "header block")
			c.wantEnd()
		}
		c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
		c.want(c.get("https:", "/", "x-test", "yes"), `200 GET / yes "" <nil>`)
		go parts(c, "https:", 4000)
		c.wantGoAway(1, http2.ErrCodeEnhanceYourCalm, "header block")
	})
	bubble(t, "and ends it without GOAWAY where streams are not counted", func(t *testing.T) {
		c := dial(t, serve(t, echo, nil))
		c.want(c.get("https:", "/", "x-test", "yes"), `200 GET / yes "" <nil>`)
		parts(c, "https:", 800)
		c.wantEnd()
	})
	bubble(t, "and a small block of large fields is one", func(t *testing.T) {
		c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
		var pairs []string
		for range 40 { // the first adds to the table, the others are a byte each
			pairs = append(pairs, "x-test", strings.Repeat("y", 3000))
		}
		c.get("https:", "/", pairs...)
		c.wantGoAway(0, http2.ErrCodeEnhanceYourCalm, "header block")
		c.wantEnd()
	})
}

func TestWhatCannotBeReadIsTheServersAffair(t *testing.T) {
	t.Run("a block that is no HPACK", func(t *testing.T) {
		c := dial(t, serve(t, echo, &h2wire.Options{MaxStreams: 100}))
		c.want(c.get("https", "/"), `200 GET /  "" <nil>`)
		c.open([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, true)
		c.wantGoAway(3, http2.ErrCodeCompression, "")
	})
	t.Run("a frame inside a block", func(t *testing.T) {
		c := dial(t, serve(t, echo, nil))
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.request("GET", "https", "/"), EndStream: true})
		c.WritePing(false, [8]byte{})
		c.wantGoAway(0, http2.ErrCodeProtocol, "")
	})
	t.Run("a continuation of nothing", func(t *testing.T) {
		c := dial(t, serve(t, echo, nil))
		c.WriteContinuation(1, true, c.request("GET", "https", "/"))
		c.wantGoAway(0, http2.ErrCodeProtocol, "")
	})
	t.Run("more padding than payload", func(t *testing.T) {
		c := dial(t, serve(t, echo, nil))
		c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte{9, 1, 2})
		c.next += 2
		c.want(1, "PROTOCOL_ERROR")
		c.want(c.open(c.request("GET", "https", "/", "x-test", "yes"), true), `200 GET / yes "" <nil>`)
	})
}

// TestWhatCannotBeWrittenAnewEndsTheConnection is about connections whose blocks
// the server could not read as they come.
func TestWhatCannotBeWrittenAnewEndsTheConnection(t *testing.T) {
	for name, say := range map[string]func(c *client){
		"a block that is no HPACK": func(c *client) { c.open([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, true) },
		"a continuation of another stream": func(c *client) {
			c.AllowIllegalWrites = true
			b := c.request("GET", "https:", "/")
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: b[:2]})
			c.WriteContinuation(5, true, b[2:])
		},
		"a continuation of nothing": func(c *client) { c.WriteContinuation(3, true, c.request("GET", "https:", "/")) },
		"a frame inside a block": func(c *client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.request("GET", "https:", "/")})
			c.WritePing(false, [8]byte{})
		},
		"more padding than payload": func(c *client) {
			c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 3, append([]byte{200}, c.request("GET", "https:", "/")...))
		},
		"half a priority": func(c *client) {
			c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 3, []byte{0, 0, 0, 0})
		},
		"a block that breaks off": func(c *client) {
			b := c.request("GET", "https:", "/", "x-test", "yes")
			c.open(b[:len(b)-1], true)
		},
		"padding of nothing": func(c *client) {
			c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 3, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen atomic.Int64
				c := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
					seen.Add(1)
					echo(w, r)
				}, &h2wire.Options{MaxStreams: 100}))
				c.want(c.get("https:", "/"), `200 GET /  "" <nil>`)
				say(c)
				c.wantGoAway(1, http2.ErrCodeProtocol, "header block")
				c.wantEnd()
				if n := seen.Load(); n != 1 {
					t.Errorf("the server saw %d requests, and the client was told of one", n)
				}
			})
		})
	}
}

// TestTheServersTableMayBeOfAnySize: blocks that are written anew refer to
// nothing.
func TestTheServersTableMayBeOfAnySize(t *testing.T) {
	l := ccstest.Listen()
	srv := &http.Server{Handler: http.HandlerFunc(echo), Protocols: h2wire.Protocols(), HTTP2: &http.HTTP2Config{MaxDecoderHeaderTableSize: 1}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(h2wire.NewListener(l, nil, nil))
	}()
	t.Cleanup(func() { srv.Close(); <-done })
	c := dial(t, l)
	c.enc.SetMaxDynamicTableSize(0)
	for range 3 {
		c.want(c.get("https:", "/", "x-test", "yes"), `200 GET / yes "" <nil>`)
	}
}

func TestBlocksAreWrittenAnewInFramesThatEveryReceiverTakes(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(http2.ClientPreface)
	c := client{t: t, Framer: http2.NewFramer(&text, nil), next: 1}
	c.enc = hpack.NewEncoder(&c.block)
	b := c.request("POST", "https:", "/", "x-test", strings.Repeat("~", 40_000))
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:100], EndStream: true, Priority: http2.PriorityParam{Weight: 7}, PadLength: 3})
	for b = b[100:]; len(b) > 0; b = b[min(len(b), 5000):] {
		c.WriteContinuation(1, len(b) <= 5000, b[:min(len(b), 5000)])
	}
	out, err := io.ReadAll(h2wire.Wrap(&pieces{text: text.Bytes(), size: 1000}, nil))
	if err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(nil, bytes.NewReader(out[len(http2.ClientPreface):]))
	fr.SetMaxReadFrameSize(1<<24 - 1)
	var got []string
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			break
		}
		if h := f.Header(); h.Length > 16<<10 {
			t.Errorf("a frame of %d bytes", h.Length)
		}
		got = append(got, fmt.Sprintf("%v %x", f.Header().Type, f.Header().Flags))
	}
	if fmt.Sprint(got) != "[HEADERS 21 CONTINUATION 0 CONTINUATION 4]" {
		t.Errorf("%v", got)
	}
}

// TestTheLayerIsNotSeen has the same requests answered with and without it.
func TestTheLayerIsNotSeen(t *testing.T) {
	ca, err := localca.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	serve := func(t *testing.T, layer bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(echo), TLSConfig: config.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if !layer {
				srv.ServeTLS(l, "", "")
				return
			}
			srv.Protocols = h2wire.Protocols()
			srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 250}
			srv.Serve(h2wire.NewListener(l, config, &h2wire.Options{MaxStreams: 100}))
		}()
		t.Cleanup(func() { srv.Close(); <-done })
		return "https://" + l.Addr().String()
	}
	ask := func(t *testing.T, base string, h2 bool) (answers []string) {
		c := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()},
		}}
		defer c.CloseIdleConnections()
		for i := range 200 {
			req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, fmt.Sprintf("%s/%d", base, i%7),
				bytes.NewReader(bytes.Repeat([]byte("b"), (i*i*97)%70_000)))
			req.Header.Set("X-Test", strings.Repeat("t", i*11%5000))
			if i%5 == 0 {
				req.Body = io.NopCloser(strings.NewReader("chunks"))
				req.ContentLength = -1
				req.Trailer = http.Header{"X-Sum": {fmt.Sprint(i)}}
			}
			r, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			answers = append(answers, fmt.Sprint(r.Proto, r.StatusCode, r.Header.Get("Content-Type"), string(body), err))
		}
		return answers
	}
	for name, h2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			with, without := ask(t, serve(t, true), h2), ask(t, serve(t, false), h2)
			for i := range with {
				if with[i] != without[i] || !strings.Contains(with[i], name+".0200") && !strings.Contains(with[i], name+"200") {
					t.Fatalf("answer %d: %.200s; without the layer %.200s", i, with[i], without[i])
				}
			}
		})
	}
	t.Run("HTTP without TLS", func(t *testing.T) {
		for _, layer := range []bool{true, false} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, layer), "https://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			got, err := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), "HTTP/1.0 400 Bad Request\r\n") {
				t.Errorf("layer %v: %q, %v", layer, got, err)
			}
		}
	})
}

// TestBytesPassAsTheyCame reads a conversation in pieces of every size.
func TestBytesPassAsTheyCame(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(http2.ClientPreface)
	near, far := ccstest.Pipe()
	near.Close()
	c := newClient(t, far)
	c.Framer = http2.NewFramer(&text, nil)
	c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 77})
	for i := range 5 {
		id := c.open(c.request("POST", "https", "/", "x-test", strings.Repeat("~", 100*i)), false)
		c.WriteData(id, true, bytes.Repeat([]byte("d"), 3000*i))
		c.WritePing(false, [8]byte{})
		c.WriteWindowUpdate(id, 10)
	}
	text.Write([]byte{0, 0, 9, 4}) // an end in the middle of a frame's header
	for _, opt := range []*h2wire.Options{nil, {MaxStreams: 100}} {
		for size := 1; size < 40; size++ {
			w := h2wire.Wrap(&pieces{text: text.Bytes(), size: size}, opt)
			var got []byte
			p := make([]byte, 1+size*7%50)
			for {
				n, err := w.Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF { //nolint:errorlint // what Read returns
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, text.Bytes()) {
				t.Fatalf("pieces of %d: %d bytes came, not the %d that were sent, or others", size, len(got), text.Len())
			}
		}
	}
}

// A network may cut a conversation anywhere, and its end may come with its last
// bytes.
func TestM_25_RequestsAreMendedHoweverTheyCome(t *testing.T) {
	var text bytes.Buffer
	near, far := ccstest.Pipe()
	near.Close()
	c := newClient(t, far)
	text.WriteString(http2.ClientPreface)
	c.Framer = http2.NewFramer(&text, nil)
	c.WriteSettings()
	var want []string
	for i := range 4 {
		id := c.open(c.request("POST", "https:", fmt.Sprint("/", i), "x-test", strings.Repeat("~", 50*i)), i == 0)
		want = append(want, fmt.Sprintf("POST https /%d %d", i, 50*i))
		if i > 0 {
			c.WriteData(id, true, make([]byte, 100*i))
			want = append(want, fmt.Sprint("DATA ", 100*i))
		}
	}
	c.get("https:", "/end")
	want = append(want, "GET https /end 0")
	for _, opt := range []*h2wire.Options{nil, {MaxStreams: 100}} {
		for _, eof := range []bool{false, true} {
			for _, size := range []int{1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, text.Len()} {
				came, err := io.ReadAll(h2wire.Wrap(&pieces{text: text.Bytes(), size: size, eof: eof}, opt))
				if err != nil {
					t.Fatal(err)
				}
				rest, ok := bytes.CutPrefix(came, []byte(http2.ClientPreface))
				fr := http2.NewFramer(nil, bytes.NewReader(rest))
				fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
				var got []string
				for {
					f, err := fr.ReadFrame()
					if err != nil {
						ok = ok && err == io.EOF //nolint:errorlint // what Read returns
						break
					}
					switch f := f.(type) {
					case *http2.MetaHeadersFrame:
						test := ""
						for _, field := range f.RegularFields() {
							test = field.Value
						}
						got = append(got, fmt.Sprintf("%s %s %s %d", f.PseudoValue("method"), f.PseudoValue("scheme"), f.PseudoValue("path"), len(test)))
					case *http2.DataFrame:
						got = append(got, fmt.Sprint("DATA ", len(f.Data())))
					}
				}
				if !ok || !slices.Equal(got, want) {
					t.Fatalf("pieces of %d, the end with the last %v: %q came, want %q", size, eof, got, want)
				}
			}
		}
	}
}

// pieces is a connection from which so many bytes at a time can be read.
type pieces struct {
	net.Conn
	text    []byte
	size    int
	eof     bool // the last bytes come with the end
	written bytes.Buffer
}

func (c *pieces) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	if c.eof && len(c.text) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (c *pieces) SetReadDeadline(time.Time) error { return nil }

func (c *pieces) Write(p []byte) (int, error) { return c.written.Write(p) }
