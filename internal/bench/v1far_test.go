package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/internal/ccstest"
)

// connect has far serve one connection, until the test ends.
func connect(t *testing.T, far *v1far) net.Conn {
	here, there := ccstest.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		far.serve(there)
	}()
	t.Cleanup(func() {
		here.Close()
		<-served
	})
	return here
}

// get reads frames until one of that kind has come on that stream, and returns
// it with the kinds of those before.
func get(t *testing.T, f *http2.Framer, kind http2.FrameType, id uint32) (http2.Frame, []http2.FrameType) {
	t.Helper()
	var before []http2.FrameType
	for {
		got, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("no %v on stream %d, but %v after %v", kind, id, err, before)
		}
		if got.Header().Type == kind && got.Header().StreamID == id {
			return got, before
		}
		before = append(before, got.Header().Type)
	}
}

// begin says what a client says first.
func begin(t *testing.T, conn net.Conn) *http2.Framer {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// An encoder makes header blocks.
type encoder struct {
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.enc = hpack.NewEncoder(&e.buf)
	return e
}

func (e *encoder) block(fields ...hpack.HeaderField) []byte {
	e.buf.Reset()
	for _, f := range fields {
		_ = e.enc.WriteField(f)
	}
	return bytes.Clone(e.buf.Bytes())
}

func good(more ...hpack.HeaderField) []hpack.HeaderField {
	return append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https:"}, {Name: ":path", Value: v1Path},
		{Name: "authorization", Value: "Bearer " + accessToken},
	}, more...)
}

func TestTheFarEndAnswersAnyProgram(t *testing.T) {
	far := &v1far{}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return connect(t, far), nil }}}
	defer client.CloseIdleConnections()
	ask := func(path, authorization string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://far"+path, bytes.NewReader(request().Append(nil)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", authorization)
		req.Header.Set("X-Some-Header", "and its value")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for range 3 { // the first fills the table
		if status, body := ask(v1Path, "Bearer "+accessToken); status != 200 || !strings.HasPrefix(body, `{"name":"projects/bench-project/messages/`) {
			t.Errorf("%d %s", status, body)
		}
	}
	for _, wrong := range [][2]string{{"/v1/projects/other/messages:send", "Bearer " + accessToken}, {v1Path, "Bearer x"}} {
		if status, body := ask(wrong[0], wrong[1]); status != 404 {
			t.Errorf("%q: %d %s", wrong, status, body)
		}
	}
	if status, _ := ask(v1Path, "Bearer "+accessToken); status != 200 {
		t.Errorf("%d after others", status)
	}
	if far.answered.Load() != 4 || far.refused.Load() != 2 || far.conns.Load() != 1 || far.pending.Load() != 1 {
		t.Errorf("answered %d, refused %d, connections %d, pending %d", far.answered.Load(), far.refused.Load(), far.conns.Load(), far.pending.Load())
	}
}

func TestTheFarEndReadsEveryFormOfHeader(t *testing.T) {
	far := &v1far{}
	f := begin(t, connect(t, far))
	e := newEncoder()
	id := uint32(1)
	ask := func(what string, write func()) {
		t.Helper()
		write()
		got, _ := get(t, f, http2.FrameHeaders, id)
		fields, err := hpack.NewDecoder(4096, nil).DecodeFull(got.(*http2.HeadersFrame).HeaderBlockFragment())
		if err != nil || fields[0].Name != ":status" || fields[0].Value != "200" {
			t.Errorf("%s: %v, %v", what, fields, err)
		}
		id += 2
	}
	ask("in one frame, with a body", func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.block(good()...), EndHeaders: true})
		_ = f.WriteData(id, true, []byte("{}"))
	})
	ask("by indexes, without a body", func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.block(good()...), EndHeaders: true, EndStream: true})
	})
	ask("with padding and priority", func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.block(good()...), EndHeaders: true, PadLength: 7,
			Priority: http2.PriorityParam{StreamDep: 0, Weight: 3}})
		_ = f.WriteDataPadded(id, true, []byte("{}"), make([]byte, 5))
	})
	ask("in three frames, with what fills the table", func() {
		block := e.block(good(hpack.HeaderField{Name: "x-long", Value: strings.Repeat("long", 100)})...)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:3]})
		_ = f.WriteContinuation(id, false, block[3:20])
		_ = f.WriteContinuation(id, true, block[20:])
		_ = f.WriteData(id, true, nil)
	})
	ask("by other indexes", func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.block(good()...), EndHeaders: true, EndStream: true})
	})
}

// The same bytes mean something else when the table has moved.
func TestTheFarEndKnowsWhatIndexesMeanNow(t *testing.T) {
	e := newEncoder()
	filling := e.block(good()...)
	indexes := e.block(good()...)
	newFields := []hpack.HeaderField{{Name: "x-new", Value: "1"}, {Name: "x-newer", Value: "1"}}
	moving := e.block(good(newFields...)...)
	e = newEncoder()
	e.block(good()...)
	refused := e.block(newFields...)
	for name, blocks := range map[string][][]byte{
		"a block that moves the table, twice":         {filling, indexes, moving, moving},
		"indexes behind a block that moves the table": {filling, indexes, moving, indexes},
		"indexes behind a refused one that does so":   {filling, indexes, refused, indexes},
		"new fields behind a block that only repeats": {filling, indexes, indexes, refused},
	} {
		f := begin(t, connect(t, &v1far{}))
		last := ""
		for i, block := range blocks {
			id := uint32(2*i + 1)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
			got, _ := get(t, f, http2.FrameHeaders, id)
			fields, err := hpack.NewDecoder(4096, nil).DecodeFull(got.(*http2.HeadersFrame).HeaderBlockFragment())
			if err != nil {
				t.Fatal(err)
			}
			last = fields[0].Value
		}
		if last != "404" {
			t.Errorf("%s: %s", name, last)
		}
	}
}

func TestTheFarEndKeepsToTheRulesOfConnections(t *testing.T) {
	far := &v1far{}
	f := begin(t, connect(t, far))
	e := newEncoder()
	got, _ := get(t, f, http2.FrameSettings, 0)
	if n, ok := got.(*http2.SettingsFrame).Value(http2.SettingMaxConcurrentStreams); !ok || n != 100 {
		t.Errorf("it allows %d streams", n)
	}
	if got, _ = get(t, f, http2.FrameSettings, 0); !got.(*http2.SettingsFrame).IsAck() {
		t.Error("it does not say that it has read our settings")
	}
	_ = f.WritePing(false, [8]byte{1, 2, 3})
	if got, _ = get(t, f, http2.FramePing, 0); !got.(*http2.PingFrame).IsAck() || got.(*http2.PingFrame).Data != [8]byte{1, 2, 3} {
		t.Errorf("it answers a ping with %v", got)
	}
	// A megabyte of bodies is a reason to say that it was read.
	id := uint32(1)
	for range 70 {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.block(good()...), EndHeaders: true})
		_ = f.WriteData(id, true, make([]byte, 16<<10))
		id += 2
	}
	got, _ = get(t, f, http2.FrameWindowUpdate, 0)
	if n := got.(*http2.WindowUpdateFrame).Increment; n < 1<<20 {
		t.Errorf("it says that it has read %d bytes", n)
	}
}

func TestTheFarEndWaitsForRoom(t *testing.T) {
	far := &v1far{}
	f := begin(t, connect(t, far))
	e := newEncoder()
	fit := 65535 / int(v1Accepted.data)
	for i := range fit + 10 {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: e.block(good()...), EndHeaders: true, EndStream: true})
	}
	get(t, f, http2.FrameData, uint32(2*fit-1))
	_ = f.WritePing(false, [8]byte{})
	if _, before := get(t, f, http2.FramePing, 0); slices.Contains(before, http2.FrameData) || far.answered.Load() != int64(fit) {
		t.Errorf("after %d answers, for which there is room, %v; %d are counted", fit, before, far.answered.Load())
	}
	_ = f.WriteWindowUpdate(0, 1<<20)
	get(t, f, http2.FrameData, uint32(2*(fit+9)+1))
}

func TestTheFarEndAnswersInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &v1far{delay: 20 * time.Millisecond, sleep: time.Sleep}
		f := begin(t, connect(t, far))
		e := newEncoder()
		began := time.Now()
		for i := range 3 {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: e.block(good()...), EndHeaders: true, EndStream: true})
			synctest.Wait()
		}
		time.Sleep(10 * time.Millisecond)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: e.block(good()...), EndHeaders: true, EndStream: true})
		for i, want := range []time.Duration{20, 20, 20, 30} {
			get(t, f, http2.FrameData, uint32(2*i+1))
			if took := time.Since(began); took != want*time.Millisecond {
				t.Errorf("answer %d came after %v", i, took)
			}
		}
		if n := far.pending.Load(); n != 4 {
			t.Errorf("%d were unanswered at most", n)
		}
	})
}

func TestWrongFramesEndAConnection(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"no preface":                []byte("GET / HTTP/1.1\r\nHost: far\r\n\r\n"),
		"too long a frame":          append([]byte(http2.ClientPreface), 0, 0x40, 1, 0, 0, 0, 0, 0, 1),
		"more padding than payload": append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, 9, 0)...),
		"no room for padding":       append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersPadded, 1)...),
		"no room for priority":      append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersPriority, 1, 1)...),
		"a header that is none":     append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff)...),
		"a header without end":      append([]byte(http2.ClientPreface), bytes.Repeat(appendFrame(nil, http2.FrameContinuation, 0, 1, make([]byte, 16<<10)...), 5)...),
		"a short window update":     append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameWindowUpdate, 0, 0, 1)...),
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, &v1far{})
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write(bytes); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("it does not close: %v", err)
			}
		})
	}
}

func TestBlocksThatLeaveTheTableAsItIs(t *testing.T) {
	long := strings.Repeat("x", 300)
	sensitive := func(f hpack.HeaderField) hpack.HeaderField { f.Sensitive = true; return f }
	for name, c := range map[string]struct {
		fields []hpack.HeaderField
		want   bool
	}{
		"a static index":                 {[]hpack.HeaderField{{Name: ":method", Value: "POST"}}, true},
		"a literal that no table takes":  {[]hpack.HeaderField{sensitive(hpack.HeaderField{Name: "x-a", Value: long}), {Name: ":method", Value: "POST"}}, true},
		"a literal with a name's index":  {[]hpack.HeaderField{sensitive(hpack.HeaderField{Name: "content-length", Value: "310"})}, true},
		"a literal for the table":        {[]hpack.HeaderField{{Name: "x-a", Value: "1"}}, false},
		"a literal for the table behind": {[]hpack.HeaderField{sensitive(hpack.HeaderField{Name: "x-a", Value: long}), {Name: "x-b", Value: "1"}}, false},
	} {
		if got := inert(newEncoder().block(c.fields...)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	e := newEncoder()
	e.block(hpack.HeaderField{Name: "x-a", Value: "1"})
	if block := e.block(hpack.HeaderField{Name: "x-a", Value: "1"}); !inert(block) {
		t.Errorf("%x is an index", block)
	}
	e.enc.SetMaxDynamicTableSize(0)
	if block := e.block(hpack.HeaderField{Name: ":method", Value: "POST"}); inert(block) {
		t.Errorf("%x has a new size for the table", block)
	}
}

// A far end that is there once more, for a raw client.
func TestTheRawClientFillsWhatItMay(t *testing.T) {
	far := &v1far{delay: time.Millisecond, sleep: sleep}
	conn := connect(t, far)
	if _, err := conn.Write(hello()); err != nil {
		t.Fatal(err)
	}
	var acked counter
	var running sync.WaitGroup
	running.Go(func() { _ = runV1Raw(newV1Client(conn, "far"), &acked) })
	defer running.Wait()
	defer conn.Close()
	for began := time.Now(); acked.Load() < 1000; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d answers within 10 s", acked.Load())
		}
	}
	if far.pending.Load() != maxStreams || far.refused.Load() != 0 {
		t.Errorf("%d at a time, %d refused", far.pending.Load(), far.refused.Load())
	}
}

func TestTheRawClientMindsWindows(t *testing.T) {
	here, there := ccstest.Pipe()
	defer here.Close()
	c := newV1Client(here, "far")
	c.window = 3*c.body + 1
	n, err := c.send(10)
	if n != 3 || err != nil || c.window != 1 {
		t.Errorf("%d requests left, %v; the window is %d", n, err, c.window)
	}
	if n, _ := c.send(10); n != 0 {
		t.Errorf("%d more left", n)
	}
	if _, err := c.take(frame{http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(c.body))}); err != nil {
		t.Fatal(err)
	}
	if n, _ := c.send(10); n != 1 {
		t.Errorf("%d left when there was room for one", n)
	}
	got := make([]byte, 4*c.size)
	if _, err := io.ReadFull(there, got); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		for _, at := range c.ids {
			if id := binary.BigEndian.Uint32(got[i*c.size+at:]); id != uint32(2*i+1) {
				t.Errorf("request %d is on stream %d", i, id)
			}
		}
	}
	for name, f := range map[string]frame{"reset": {http2.FrameRSTStream, 0, 1, nil}, "GOAWAY": {http2.FrameGoAway, 0, 0, nil}} {
		if _, err := c.take(f); err == nil {
			t.Errorf("it goes on after %s", name)
		}
	}
	_, _ = c.take(frame{http2.FrameSettings, 0, 0, nil})
	_, _ = c.take(frame{http2.FramePing, 0, 0, make([]byte, 8)})
	_, _ = c.take(frame{http2.FrameSettings, http2.FlagSettingsAck, 0, nil})
	_, _ = c.take(frame{http2.FramePing, http2.FlagPingAck, 0, make([]byte, 8)})
	want := appendFrame(appendFrame(nil, http2.FrameSettings, http2.FlagSettingsAck, 0), http2.FramePing, http2.FlagPingAck, 0, make([]byte, 8)...)
	if !bytes.Equal(c.out, want) {
		t.Errorf("it answers %x", c.out)
	}
	c.read = clientWindow/2 - 5
	c.out = nil
	if done, _ := c.take(frame{http2.FrameData, http2.FlagDataEndStream, 1, make([]byte, 5)}); !done || !bytes.Equal(c.out, appendWindowUpdate(nil, clientWindow/2)) || c.read != 0 {
		t.Errorf("an answer is its end: %v; it says %x", done, c.out)
	}
	if done, _ := c.take(frame{http2.FrameData, 0, 1, nil}); done {
		t.Error("half an answer is one")
	}
}
