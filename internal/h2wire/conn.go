package h2wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Verdict is what becomes of a stream that a client opens.
type Verdict uint8

const (
	// Pass has the server handle it.
	Pass Verdict = iota
	// Refuse resets it with REFUSED_STREAM; the server never sees it.
	Refuse
	// GoAway announces that the connection takes no more streams, this one
	// included.
	GoAway
)

// Options are what is optional about a [Conn]. The zero value mends only.
type Options struct {
	// Failed tells, at most once for each connection, that no HTTP came about on
	// it: the handshake of TLS failed, or TLS came where there is none. It is
	// called on the goroutine that reads, and must be quick.
	Failed func(remote net.Addr, why error)
	// MaxStreams is how many streams a client may have open at a time. It is
	// announced in place of the server's number, which should be larger. A
	// client that opens more gets GOAWAY with PROTOCOL_ERROR and the text
	// exceeded_max_concurrent_streams, and the connection ends. 0: the server's
	// own limit holds, streams are not counted, and what follows is off.
	MaxStreams int
	// NewStream decides about each stream when it is opened. It must be quick.
	NewStream func() Verdict
	// PingEvery is how far apart PINGs have to be between which neither side
	// has sent anything on a stream; more than MaxPings in a row that are closer
	// get GOAWAY with ENHANCE_YOUR_CALM and the text too_many_pings. 0: off.
	PingEvery time.Duration
	MaxPings  int
	// Now is the clock of PingEvery. Default: time.Now.
	Now func() time.Time
}

// Bounds of a connection.
const (
	readBuffer = 4 << 10
	// maxBlock bounds one header block: as it came, and its fields when they
	// are written anew. A larger one is left to the server as it is, and so is
	// all that follows it; where blocks are written anew already, the
	// connection ends.
	maxBlock = 64 << 10
	// maxRefused bounds the streams that were refused and that the client has
	// not ended yet; at the bound the connection ends.
	maxRefused = 1000
	// maxPending bounds the layer's own frames that a client does not read; at
	// the bound the connection ends.
	maxPending = 64 << 10
	// goodbyeTime is how long a client may take to close a connection that
	// takes nothing more. Closing at once could destroy what was sent last.
	goodbyeTime = time.Second
	// recordHandshake is the first byte of a client that speaks TLS (RFC 8446, 5.1).
	recordHandshake = 0x16
)

var (
	errEnded = errors.New("h2wire: the connection was ended by GOAWAY")
	errDeaf  = errors.New("h2wire: the client does not read what it is told")
	errTLS   = errors.New("h2wire: TLS on a port without it")
)

// A Conn is a connection with the layer on it. One goroutine may read at a time
// and one may write; the other methods may be called by any. It has no method
// ConnectionState: an [http.Server] would take a connection with one for
// encrypted, and speak HTTP/1.1 only.
type Conn struct {
	net.Conn
	opt Options

	in    input  // belongs to Read
	block block  // likewise
	out   output // belongs to Write, and to whoever holds its turn

	mu sync.Mutex // guards what follows; never held during I/O
	streams
}

// Wrap puts the layer on a connection. opt is copied; nil is the zero value.
func Wrap(conn net.Conn, opt *Options) *Conn {
	c := &Conn{Conn: conn}
	if opt != nil {
		c.opt = *opt
	}
	if c.opt.Now == nil {
		c.opt.Now = time.Now
	}
	return c
}

// NetConn is the connection below TLS, for whoever resets it.
func (c *Conn) NetConn() net.Conn {
	if t, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c.Conn
}

// CloseWrite ends the direction to the client, if the connection can do that.
func (c *Conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// An input is the state of reading.
type input struct {
	mode  inputMode
	buf   []byte // read and not looked at: buf[r:w]
	r, w  int
	ready []byte // to be returned first
	head  [headerLen]byte
	left  int   // bytes of a frame's payload that pass, or are dropped
	drop  bool  // they are dropped
	err   error // to be returned behind ready
	told  bool  // that no HTTP came about
}

type inputMode uint8

const (
	sniffing inputMode = iota
	framing
	raw // no HTTP/2: everything passes
)

// Read returns what the server is to see.
func (c *Conn) Read(p []byte) (int, error) {
	in := &c.in
	for {
		switch {
		case len(p) == 0:
			return 0, nil
		case len(in.ready) > 0:
			n := copy(p, in.ready)
			in.ready = in.ready[n:]
			return n, nil
		case in.err != nil:
			return 0, c.ending(in.err)
		case in.left > 0 && !in.drop, in.mode == raw:
			return c.pass(p)
		case in.left > 0:
			c.skip()
		case in.mode == sniffing:
			c.sniff()
		default:
			c.frame()
		}
	}
}

// pass returns bytes as they came: in a frame, up to its end.
func (c *Conn) pass(p []byte) (int, error) {
	in := &c.in
	if in.mode != raw {
		p = p[:min(len(p), in.left)]
	}
	var n int
	var err error
	if in.r < in.w {
		n = copy(p, in.buf[in.r:in.w])
		in.r += n
	} else {
		n, err = c.Conn.Read(p)
	}
	if in.mode != raw {
		in.left -= n
	}
	return n, err
}

// skip drops bytes of a frame.
func (c *Conn) skip() {
	in := &c.in
	if in.r == in.w && !c.fill(1) {
		return
	}
	n := min(in.left, in.w-in.r)
	in.r += n
	in.left -= n
}

// fill reads until n bytes wait in the buffer, which has room for them. If that
// fails, those that wait are passed on, and then the error.
func (c *Conn) fill(n int) bool {
	in := &c.in
	if in.buf == nil {
		in.buf = make([]byte, readBuffer)
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	for in.w < n {
		m, err := c.Conn.Read(in.buf[in.w:])
		in.w += m
		if err != nil && in.w < n {
			c.surrender(err)
			return false
		}
	}
	return true
}

// surrender passes on what was held back, and the error that came behind it.
func (c *Conn) surrender(err error) {
	in := &c.in
	in.err = err
	var held []byte
	switch {
	case c.block.open && c.block.enc != nil:
		return // half a block, which the server's table is not for
	case c.block.open:
		held = c.block.frames
	}
	in.ready = append(held, in.buf[in.r:in.w]...)
	in.r, in.w = 0, 0
}

// sniff decides by the first bytes whether the client speaks HTTP/2.
func (c *Conn) sniff() {
	in := &c.in
	for n := 1; n <= len(preface); n++ {
		if in.w-in.r < n && !c.fill(n) {
			return
		}
		if in.buf[in.r+n-1] != preface[n-1] {
			if _, ok := c.Conn.(*tls.Conn); !ok && in.buf[in.r] == recordHandshake {
				c.failed(errTLS) // and the server answers 400
			}
			in.mode = raw
			return
		}
	}
	in.mode = framing
	in.left = len(preface)
	c.out.framed.Store(true)
}

// frame looks at the next frame.
func (c *Conn) frame() {
	in := &c.in
	if in.w-in.r < headerLen && !c.fill(headerLen) {
		return
	}
	h := parseHeader(in.buf[in.r:])
	if !c.block.blind && (c.block.open || h.kind == frameHeaders || h.kind == frameContinuation) {
		c.blockFrame(h)
		return
	}
	in.left = int(h.length)
	if c.opt.MaxStreams > 0 {
		verdict, err := c.clientFrame(h)
		if err != nil {
			in.err = err
			return
		}
		in.drop = verdict == drop
	}
	copy(in.head[:], in.buf[in.r:])
	in.r += headerLen
	if !in.drop {
		in.ready = in.head[:]
	}
}

// ending makes of an error of reading the one that the server gets. What ended
// by GOAWAY is read to its end first, so that the client gets to see it.
func (c *Conn) ending(err error) error {
	if t, ok := c.Conn.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
		c.failed(err)
	}
	if !errors.Is(err, errEnded) {
		return err
	}
	if c.SetReadDeadline(time.Now().Add(goodbyeTime)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, 1<<20))
	}
	return io.EOF
}

// failed tells that no HTTP came about, once: a server that gets an error may
// read again.
func (c *Conn) failed(why error) {
	if c.in.told {
		return
	}
	c.in.told = true
	answerPlain(why)
	if c.opt.Failed != nil {
		c.opt.Failed(c.RemoteAddr(), why)
	}
}

// answerPlain tells a client that spoke HTTP without TLS what it did.
func answerPlain(err error) {
	var re tls.RecordHeaderError
	if !errors.As(err, &re) || re.Conn == nil {
		return
	}
	switch string(re.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET":
		_ = re.Conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
		_, _ = io.WriteString(re.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
}
