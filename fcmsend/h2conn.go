package fcmsend

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// receiveWindow is what a stream may send: a body at its bound and some
	// more, so that a body beyond the bound is noticed and none ever waits.
	receiveWindow = maxReply + 16<<10
	// connWindow is what all streams together may send before we look.
	connWindow = 1 << 20
	// maxBuffered bounds what waits for the socket besides requests: answers to
	// a far end that sends and does not read. Beyond it the connection ends.
	maxBuffered = 1 << 20
	maxFrame    = 16 << 10
	// lastStream is where a connection is given up for a new one. Ids end at 2^31.
	lastStream = 1<<31 - 1<<16
)

// An h2conn is one connection of HTTP/2. It does for sends what a general
// client cannot: it knows of each request whether its last byte was handed to
// the socket, and it writes many requests at once.
//
// The sender's goroutines put requests into a buffer; a writer empties it; a
// reader takes frames and finishes calls; a timer asks whether the far end is
// alive.
type h2conn struct {
	nc        net.Conn
	raw       net.Conn // below TLS
	owner     connOwner
	quiet     time.Duration
	pingLimit time.Duration
	done      chan struct{} // closed when err is set
	wake      chan struct{} // of room for one: the buffer is not empty
	began     time.Time
	lastRead  atomic.Int64 // nanoseconds since began
	doubted   atomic.Bool  // a request got not a byte in all its time

	// The reader's alone.
	framer *http2.Framer
	dec    *hpack.Decoder
	head   head // of the header that is being read

	mu       sync.Mutex // guards what follows
	err      error      // why the connection is over
	broken   error      // why nothing can be written any more
	leaving  bool       // no new streams; so it is when err is set
	streams  map[uint32]*call
	nextID   uint32
	out      []byte // waits for the writer
	buffered uint64 // bytes ever put into out
	handed   uint64 // bytes that the socket has, or may have
	writing  bool   // the writer is at the socket, and will know of handed
	window   int64  // bytes of bodies that the far end takes on all streams
	initial  int64  // and at first on one
	blocked  []*call
	headers  headerWriter
	pinged   int64 // nanoseconds since began, of the last ping; 0: none
	timer    *time.Timer
}

// A connOwner is told what changes about a connection. No lock of the
// connection's is held.
type connOwner interface {
	limited(streams uint32)                      // how many streams the far end allows
	doubt(silent *atomic.Bool)                   // whether it looks dead, as silent says now
	goingAway(code http2.ErrCode, reason string) // nothing new here
	over(err error)                              // and nothing at all
}

// newH2 starts a connection on nc; its goroutines are counted in running, and
// leave when it is shut.
func newH2(nc net.Conn, to *target, opt *Options, owner connOwner, running *sync.WaitGroup) *h2conn {
	c := &h2conn{
		nc: nc, raw: belowTLS(nc), owner: owner,
		quiet: opt.QuietAfter, pingLimit: opt.PingTimeout,
		began: time.Now(),
		done:  make(chan struct{}), wake: make(chan struct{}, 1),
		streams: make(map[uint32]*call), nextID: 1,
		window: 65535, initial: 65535,
	}
	c.headers.init(to, opt.UserAgent)
	c.framer = http2.NewFramer(nil, bufio.NewReaderSize(clockedReader{c}, 16<<10))
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.dec = hpack.NewDecoder(4096, c.onField)
	c.dec.SetMaxStringLength(maxHeader)

	c.out = append(c.out, http2.ClientPreface...)
	c.out = appendSettings(c.out,
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader})
	c.out = appendWindowUpdate(c.out, 0, connWindow-65535)
	c.buffered = uint64(len(c.out))
	c.wake <- struct{}{}
	c.timer = time.AfterFunc(c.quiet, c.check)

	running.Go(c.write)
	running.Go(c.read)
	return c
}

// roundTrip sends the call's request and waits for its end.
func (c *h2conn) roundTrip(ctx context.Context, k *call, limit time.Duration) {
	c.mu.Lock()
	if c.leaving {
		c.mu.Unlock()
		k.end, k.err = elsewhere, errGone
		return
	}
	k.stream.id = c.nextID
	k.stream.begun = time.Now()
	k.stream.window = c.initial
	c.nextID += 2
	c.leaving = c.nextID >= lastStream
	c.streams[k.stream.id] = k
	before := len(c.out)
	c.out = c.headers.append(c.out, k.stream.id, k.auth, len(k.body))
	c.buffered += uint64(len(c.out) - before)
	k.stream.rest = k.body
	c.pump(k)
	if k.stream.offset == 0 {
		c.blocked = append(c.blocked, k)
	}
	c.mu.Unlock()
	c.signal()
	k.wait(ctx, limit, c.abandon)
}

// pump puts as much of k's body into the buffer as the windows allow, and the
// end of the stream behind its last byte. No body is empty. The lock is held.
func (c *h2conn) pump(k *call) {
	s := &k.stream
	before := len(c.out)
	for s.offset == 0 {
		n := int(min(int64(len(s.rest)), maxFrame, s.window, c.window))
		if n <= 0 {
			break
		}
		last := n == len(s.rest)
		var flags http2.Flags
		if last {
			flags = http2.FlagDataEndStream
		}
		c.out = appendFrameHeader(c.out, n, http2.FrameData, flags, s.id)
		c.out = append(c.out, s.rest[:n]...)
		s.rest = s.rest[n:]
		s.window -= int64(n)
		c.window -= int64(n)
		if last {
			s.offset = c.buffered + uint64(len(c.out)-before)
		}
	}
	c.buffered += uint64(len(c.out) - before)
}

// pumpBlocked lets the streams that waited for window go on, in their order.
// The lock is held.
func (c *h2conn) pumpBlocked() {
	left := c.blocked[:0]
	for _, k := range c.blocked {
		if c.pump(k); k.stream.offset == 0 {
			left = append(left, k)
		}
	}
	clear(c.blocked[len(left):])
	c.blocked = left
}

// forget takes k out. The lock is held.
func (c *h2conn) forget(k *call) {
	delete(c.streams, k.stream.id)
	if k.stream.offset == 0 { // the next request must not find it under another id
		for i, b := range c.blocked {
			if b == k {
				c.blocked = append(c.blocked[:i], c.blocked[i+1:]...)
				break
			}
		}
	}
}

// sent reports whether the far end may have the whole request. The lock is held.
func (c *h2conn) sent(k *call) bool {
	return k.stream.offset != 0 && k.stream.offset <= c.handed
}

// abandon ends a call whose time is over.
func (c *h2conn) abandon(k *call, err error) {
	c.mu.Lock()
	if c.streams[k.stream.id] != k {
		c.mu.Unlock()
		return // it is done
	}
	// What waits in the buffer will be written all the same, so that only a
	// request whose end never got there is known to be unsent.
	end := unknown
	switch {
	case k.stream.header:
		end = answered
	case k.stream.offset == 0:
		end = unsent
	}
	c.forget(k)
	c.control(appendReset(nil, k.stream.id, http2.ErrCodeCancel))
	silent := c.lastRead.Load() < int64(k.stream.begun.Sub(c.began)+time.Second)
	k.finish(end, err)
	c.mu.Unlock()
	c.signal()
	if silent && errors.Is(err, errTimeout) {
		// Hardly a byte in all the time: nothing new goes here until one comes.
		c.doubted.Store(true)
		c.owner.doubt(&c.doubted)
	}
}

// control puts a frame of ours behind what is buffered. The lock is held.
func (c *h2conn) control(frame []byte) {
	c.out = append(c.out, frame...)
	c.buffered += uint64(len(frame))
}

func (c *h2conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // the writer has not yet looked
	}
}

// write hands the buffer to the socket, all that is there at once.
func (c *h2conn) write() {
	var spare []byte
	for {
		select {
		case <-c.wake:
		case <-c.done:
			c.nc.Close() // with TLS's word of farewell, if shut has left that
			return
		}
		// Whoever is about to send gets a turn first, so that one write carries
		// them all (docs/adr/0007-own-http2-connection.md).
		runtime.Gosched()
		for {
			c.mu.Lock()
			buf := c.out
			if c.err != nil || len(buf) == 0 {
				c.mu.Unlock()
				break
			}
			c.out = spare[:0]
			before := c.handed
			c.handed = c.buffered
			c.writing = true
			c.mu.Unlock()

			c.nc.SetWriteDeadline(time.Now().Add(c.pingLimit))
			n, err := c.nc.Write(buf)

			c.mu.Lock()
			c.writing = false
			if err != nil {
				c.handed = before + uint64(n)
			}
			over := c.err != nil
			c.mu.Unlock()
			switch {
			case over:
				c.settle()
				return
			case err != nil:
				c.lastWords(fmt.Errorf("write: %w", err))
				return
			}
			if spare = buf; cap(spare) > 256<<10 {
				spare = nil
			}
		}
	}
}

// lastWords ends a connection that takes no more, after a moment for what the
// far end has said before it left: a GOAWAY may tell what it has not processed.
func (c *h2conn) lastWords(err error) {
	c.mu.Lock()
	c.leaving = true
	c.broken = err
	c.mu.Unlock()
	c.nc.SetReadDeadline(time.Now().Add(time.Second))
}

// shut ends the connection, once. If the writer is at it, it is the one to say
// what the socket has taken, and so what became of the calls.
func (c *h2conn) shut(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	err = cmp.Or(c.broken, err)
	c.err = err
	c.leaving = true
	close(c.done)
	c.timer.Stop()
	writing := c.writing
	polite := err == errGone && !writing //nolint:errorlint // our own word, as we wrote it
	c.mu.Unlock()
	if !polite {
		// A farewell would wait for seconds where the far end takes nothing.
		c.raw.Close()
	}
	if !writing {
		c.settle()
	}
	c.owner.over(err)
}

// settle ends the calls of a connection that is over.
func (c *h2conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked = nil
	for id, k := range c.streams {
		delete(c.streams, id)
		switch {
		case k.stream.header:
			k.finish(answered, c.err)
		case c.sent(k):
			k.finish(unknown, c.err)
		default:
			k.finish(elsewhere, c.err)
		}
	}
}

// check pings a silent connection, and ends one that stays so.
func (c *h2conn) check() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	now, read := int64(time.Since(c.began)), c.lastRead.Load()
	silent := time.Duration(now - read)
	switch {
	case c.pinged > read:
		c.mu.Unlock()
		c.shut(errPing)
		return
	case silent < c.quiet:
		c.timer.Reset(c.quiet - silent)
	default:
		c.pinged = now
		c.control(append(appendFrameHeader(nil, 8, http2.FramePing, 0, 0), "penstock"...))
		c.timer.Reset(c.pingLimit)
	}
	c.mu.Unlock()
	c.signal()
}

// belowTLS is what nc writes to.
func belowTLS(nc net.Conn) net.Conn {
	if secured, ok := nc.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return nc
}

// A clockedReader notes when bytes came.
type clockedReader struct{ c *h2conn }

func (r clockedReader) Read(p []byte) (int, error) {
	n, err := r.c.nc.Read(p)
	if n > 0 {
		r.c.lastRead.Store(int64(time.Since(r.c.began)))
		if r.c.doubted.Load() {
			r.c.doubted.Store(false)
			r.c.owner.doubt(&r.c.doubted)
		}
	}
	return n, err
}
