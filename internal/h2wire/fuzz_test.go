package h2wire

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// scripted is a connection with a client that says one thing, in pieces.
type scripted struct {
	net.Conn
	text    []byte
	size    int
	written int
}

func (c *scripted) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

func (c *scripted) Write(p []byte) (int, error) {
	c.written += len(p)
	return len(p), nil
}

func (c *scripted) SetReadDeadline(time.Time) error { return nil }

// conversation writes what a client says in a few shapes.
func conversation(scheme string, change int) []byte {
	var text, block bytes.Buffer
	text.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&text, nil)
	enc := hpack.NewEncoder(&block)
	fr.WriteSettings()
	for i := range 6 {
		id := uint32(2*i + 1)
		block.Reset()
		if i == change {
			scheme += ":"
		}
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: scheme}, {Name: ":path", Value: "/v1/projects/p/messages:send"},
			{Name: ":authority", Value: "fcm.googleapis.com"}, {Name: "x-test", Value: string(bytes.Repeat([]byte{'x'}, 50*i))},
		} {
			enc.WriteField(f)
		}
		b := block.Bytes()
		param := http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndHeaders: true, EndStream: i%2 == 0}
		switch i {
		case 2:
			param.PadLength = 20
		case 3:
			param.Priority = http2.PriorityParam{StreamDep: 1, Weight: 2}
		case 4:
			param.BlockFragment, param.EndHeaders = b[:1], false
		}
		fr.WriteHeaders(param)
		if !param.EndHeaders {
			fr.WriteContinuation(id, true, b[1:])
		}
		if !param.EndStream {
			fr.WriteData(id, true, []byte("{}"))
		}
		fr.WritePing(false, [8]byte{})
		fr.WriteWindowUpdate(0, 1)
	}
	fr.WriteRSTStream(1, http2.ErrCodeCancel)
	return text.Bytes()
}

// FuzzFrames has a client say anything, in any segmentation. Nothing panics or
// grows without bound, and what the server gets is what was said, or, if it was
// written anew, header blocks that can be read.
func FuzzFrames(f *testing.F) {
	for change := range 7 {
		for _, scheme := range []string{"https", "http"} {
			f.Add(conversation(scheme, change), uint16(change*100+1), byte(change))
		}
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(3), byte(1))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM"), uint16(100), byte(2))
	f.Fuzz(listen)
}

// TestAConversationMayEndAnywhere cuts one at each byte.
func TestAConversationMayEndAnywhere(t *testing.T) {
	for _, change := range []int{0, 3, 7} {
		text := conversation("https", change)
		for n := range text {
			for how := range byte(16) {
				listen(t, text[:n], 97, how)
			}
		}
	}
}

// TestWhatABlockHoldsIsBounded has clients send blocks that would take more
// memory than they are.
func TestWhatABlockHoldsIsBounded(t *testing.T) {
	var flood, bomb, block bytes.Buffer
	flood.WriteString(http2.ClientPreface)
	bomb.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&flood, nil)
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
	for range 1000 {
		fr.WriteContinuation(1, false, make([]byte, 1000))
	}
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: "x", Value: string(make([]byte, 4000))})
	block.Write(bytes.Repeat([]byte{0x80 | 62}, 10_000)) // each is the field again
	http2.NewFramer(&bomb, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	for name, text := range map[string][]byte{"a block without end": flood.Bytes(), "fields that are a byte each": bomb.Bytes()} {
		c := Wrap(&scripted{text: text, size: 1000}, nil)
		out, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(out, text) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(out), len(text), err)
		}
		if n := cap(c.block.frames) + cap(c.block.fragment) + 40*cap(c.block.fields); n > 4*maxBlock {
			t.Errorf("%s: %d bytes are held", name, n)
		}
	}
}

func listen(t *testing.T, text []byte, size uint16, how byte) {
	conn := &scripted{text: text, size: int(size)%5000 + 1}
	opt := &Options{}
	streams := 0
	if how&1 != 0 {
		opt.MaxStreams = 3
		opt.PingEvery, opt.MaxPings = time.Hour, 1000
		opt.NewStream = func() Verdict {
			streams++
			if how&2 != 0 && streams%3 == 0 {
				return Refuse
			}
			return Pass
		}
	}
	c := Wrap(conn, opt)
	var out []byte
	p := make([]byte, int(how)+1)
	for {
		n, err := c.Read(p)
		out = append(out, p[:n]...)
		if n == 0 && err == nil {
			t.Fatal("a Read returned nothing")
		}
		if how&4 != 0 && len(out) > 100 {
			c.GoAway()
		}
		if how&8 != 0 && n > 0 && c.out.framed.Load() {
			c.Write(p[:n]) // a server that says what the client said
		}
		if err != nil {
			break
		}
	}
	if n := cap(c.block.frames) + cap(c.block.fragment) + c.block.buf.Cap() + cap(c.in.buf); n > 8*maxBlock {
		t.Fatalf("%d bytes are held", n)
	}
	if len(c.refused) > maxRefused+1 || opt.MaxStreams > 0 && len(c.open) > opt.MaxStreams {
		t.Fatalf("%d streams refused, %d open", len(c.refused), len(c.open))
	}
	whole := c.in.err == io.EOF || c.in.err == nil //nolint:errorlint // the very error of the connection
	anew := c.block.enc != nil
	if !anew && opt.MaxStreams == 0 && whole && !bytes.Equal(out, text) {
		t.Fatalf("%q came, not %q", out, text)
	}
	if anew && !c.block.blind {
		readable(t, out)
	}
}

// readable wants every header block to be one.
func readable(t *testing.T, text []byte) {
	dec := hpack.NewDecoder(tableSize, func(f hpack.HeaderField) {
		if f.Name == ":scheme" && len(f.Value) > 0 && f.Value[len(f.Value)-1] == ':' && f.Value != ":" {
			if f.Value[len(f.Value)-2] != ':' {
				t.Errorf("the scheme is still %q", f.Value)
			}
		}
	})
	fr := http2.NewFramer(nil, bytes.NewReader(text[len(http2.ClientPreface):]))
	fr.AllowIllegalReads = true
	fr.SetMaxReadFrameSize(1<<24 - 1)
	half := false
	for {
		f, err := fr.ReadFrame()
		if err != nil { // the end, or what the layer leaves to the server
			if half {
				t.Fatal("half a block came")
			}
			return
		}
		var fragment []byte
		var end bool
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fragment, end = f.HeaderBlockFragment(), f.HeadersEnded()
		case *http2.ContinuationFrame:
			fragment, end = f.HeaderBlockFragment(), f.HeadersEnded()
		default:
			continue
		}
		if _, err := dec.Write(fragment); err != nil {
			t.Fatalf("a block cannot be read: %v", err)
		}
		if half = !end; end {
			if err := dec.Close(); err != nil {
				t.Fatalf("a block cannot be read: %v", err)
			}
		}
	}
}
