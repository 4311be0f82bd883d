package faultproxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Direction is that of the bytes: to the server, or to the client.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// String is for people.
func (d Direction) String() string {
	if d == ToServer {
		return "to server"
	}
	return "to client"
}

// A Road is how bytes travel in one direction. The zero value is a good one.
type Road struct {
	Latency time.Duration // each byte arrives so much later
	Jitter  time.Duration // and up to so much more; the order stays
	Rate    int           // bytes a second; 0: no bound
	Slice   int           // the most bytes of one write; 0: no bound
}

// A Deed is what happens to a link at a certain byte.
type Deed uint8

const (
	// Cut closes both connections in order: what had been passed on can be
	// read, then the end. TCP makes a reset of it where bytes of the other
	// direction are unread.
	Cut Deed = iota + 1
	// Reset breaks both connections: what is not read yet is gone.
	Reset
	// HalfClose ends this direction alone: the reader sees the end, the
	// writer's bytes go nowhere, the other direction lives on.
	HalfClose
	// Silence passes nothing on in this direction any more, and reads no
	// further: nobody is told. [Link.Silence] ends it.
	Silence
	// Flip turns the lowest bit of the next byte round, and goes on.
	Flip
)

// String is for people and for reports.
func (d Deed) String() string {
	switch d {
	case Cut:
		return "cut"
	case Reset:
		return "reset"
	case HalfClose:
		return "half-close"
	case Silence:
		return "silence"
	case Flip:
		return "flip"
	}
	return "nothing"
}

const (
	chunkSize = 4 << 10
	chunks    = 16 // that one direction holds, 64 KiB in all; then it reads no further
)

// A Link passes bytes between two connections. Any goroutine may call its
// methods.
type Link struct {
	client, server net.Conn
	ways           [2]*way
	done           chan struct{} // closed when the link is over
	over           sync.Once
}

// A way is one direction of a link.
type way struct {
	from, to net.Conn
	link     *Link
	chance   *rand.Rand  // the writing goroutine's own
	full     chan chunk  // read and not yet passed on; closed by the reader
	empty    chan []byte // what chunks are made of; nil: not made yet

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	road    Road
	deed    Deed  // 0: none is planned
	at      int64 // when passed reaches it
	passed  int64
	silent  bool
	void    bool // HalfClose: what comes goes nowhere
}

type chunk struct {
	buf []byte
	at  time.Time // when it was read
	err error     // why there is no more; buf is nil
}

// NewLink makes a link between the connection that a client made and one to
// its server. It starts nothing. seed decides about jitter.
func NewLink(client, server net.Conn, seed uint64) *Link {
	l := &Link{client: client, server: server, done: make(chan struct{})}
	l.ways[ToServer] = newWay(l, client, server, seed)
	l.ways[ToClient] = newWay(l, server, client, seed+1)
	return l
}

func newWay(l *Link, from, to net.Conn, seed uint64) *way {
	w := &way{
		from: from, to: to, link: l, chance: rand.New(rand.NewPCG(seed, 0)),
		full: make(chan chunk, chunks+1), empty: make(chan []byte, chunks),
		changed: make(chan struct{}),
	}
	for range chunks {
		w.empty <- nil
	}
	return w
}

// Run passes bytes on until both directions have ended, or a deed or [Link.Close]
// ends the link. Both connections are closed then. It may be called once.
func (l *Link) Run() {
	var all sync.WaitGroup
	for _, w := range l.ways {
		all.Go(w.read)
	}
	var passing sync.WaitGroup
	for _, w := range l.ways {
		passing.Go(w.pass)
	}
	passing.Wait()
	l.end(false)
	all.Wait()
}

// Close breaks the link as [Reset] does.
func (l *Link) Close() { l.end(true) }

// ServerSide is the address under which the server knows the client.
func (l *Link) ServerSide() net.Addr { return l.server.LocalAddr() }

// Done is closed when the link is over.
func (l *Link) Done() <-chan struct{} { return l.done }

// SetRoad changes how bytes travel from now on.
func (l *Link) SetRoad(d Direction, r Road) {
	l.ways[d].change(func(w *way) { w.road = r })
}

// After plans a deed for when n more bytes have been passed on in a direction;
// with 0, for now. It replaces one that was planned there before.
func (l *Link) After(d Direction, n int64, deed Deed) {
	l.ways[d].change(func(w *way) { w.deed, w.at = deed, w.passed+n })
}

// Silence begins or ends silence in a direction.
func (l *Link) Silence(d Direction, on bool) {
	l.ways[d].change(func(w *way) { w.silent = on })
}

// Passed is how many bytes have been passed on in a direction.
func (l *Link) Passed(d Direction) int64 {
	w := l.ways[d]
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed
}

// end closes both connections, once.
func (l *Link) end(broken bool) {
	l.over.Do(func() {
		close(l.done)
		if broken {
			reset(l.client)
			reset(l.server)
		}
		l.client.Close()
		l.server.Close()
	})
}

// reset has the closing of c break the connection.
func reset(c net.Conn) {
	switch c := c.(type) {
	case interface{ SetLinger(int) error }:
		_ = c.SetLinger(0) // it fails on one that is gone
	case interface{ Reset() }:
		c.Reset()
	}
}

func (w *way) change(f func(w *way)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
	close(w.changed)
	w.changed = make(chan struct{})
}

// read fills chunks until the connection ends.
func (w *way) read() {
	defer close(w.full)
	for {
		var buf []byte
		select {
		case buf = <-w.empty:
		case <-w.link.done:
			return
		}
		if !w.talks() {
			return
		}
		if buf == nil {
			buf = make([]byte, chunkSize)
		}
		n, err := w.from.Read(buf[:cap(buf)])
		if n > 0 {
			w.full <- chunk{buf: buf[:n], at: time.Now()} // there is room for every chunk and an end
		}
		if err != nil {
			w.full <- chunk{err: err}
			return
		}
	}
}

// talks waits while the direction is silent; false: the link is over.
func (w *way) talks() bool {
	for {
		w.mu.Lock()
		silent, changed := w.silent, w.changed
		w.mu.Unlock()
		if !silent {
			return true
		}
		select {
		case <-changed:
		case <-w.link.done:
			return false
		}
	}
}

// pass writes chunks, until their end or the link's.
func (w *way) pass() {
	for {
		if !w.plan() {
			return
		}
		w.mu.Lock()
		changed := w.changed
		due := w.deed != 0 && w.deed != Flip && w.passed >= w.at
		w.mu.Unlock()
		if due {
			continue // it was planned just now
		}
		select {
		case c, more := <-w.full:
			if !more || !w.chunk(c) {
				return
			}
		case <-changed:
		case <-w.link.done:
			return
		}
	}
}

// chunk passes one chunk on; false: nothing more goes this way.
func (w *way) chunk(c chunk) bool {
	if c.err != nil {
		return w.talks() && w.ended(c.err)
	}
	w.mu.Lock()
	road := w.road
	w.mu.Unlock()
	late := road.Latency
	if road.Jitter > 0 {
		late += time.Duration(w.chance.Int64N(int64(road.Jitter)))
	}
	if !w.sleep(late - time.Since(c.at)) {
		return false
	}
	for b := c.buf; len(b) > 0; {
		if !w.plan() || !w.talks() {
			return false
		}
		n, ok := w.some(b)
		if !ok {
			return false
		}
		b = b[n:]
	}
	w.empty <- c.buf
	return true
}

// some passes the beginning of b on: up to the next deed, in one write.
func (w *way) some(b []byte) (int, bool) {
	w.mu.Lock()
	road, void := w.road, w.void
	n := len(b)
	if road.Slice > 0 {
		n = min(n, road.Slice)
	}
	if w.deed != 0 && w.passed < w.at {
		n = int(min(int64(n), w.at-w.passed))
	} else if w.deed == Flip {
		b[0] ^= 1
		w.deed = 0
	}
	w.mu.Unlock()
	if road.Rate > 0 {
		n = min(n, max(1, road.Rate/50))
		if !w.sleep(time.Duration(n) * time.Second / time.Duration(road.Rate)) {
			return 0, false
		}
	}
	if !void {
		if _, err := w.to.Write(b[:n]); err != nil {
			w.link.end(true) // the reader is gone
			return 0, false
		}
	}
	w.mu.Lock()
	w.passed += int64(n)
	w.mu.Unlock()
	return n, true
}

// plan does the deed that is due, if any; false: the link is over by it.
func (w *way) plan() bool {
	w.mu.Lock()
	deed := w.deed
	if deed == 0 || deed == Flip || w.passed < w.at {
		w.mu.Unlock()
		return true
	}
	w.deed = 0
	switch deed {
	case Silence:
		w.silent = true
	case HalfClose:
		w.void = true
	}
	w.mu.Unlock()
	switch deed {
	case Cut:
		w.link.end(false)
		return false
	case Reset:
		w.link.end(true)
		return false
	case HalfClose:
		closeWrite(w.to)
	}
	return true
}

// ended passes the end of a connection on. The other direction may live.
func (w *way) ended(err error) bool {
	if !errors.Is(err, io.EOF) {
		w.link.end(true)
	} else {
		closeWrite(w.to)
	}
	return false
}

func closeWrite(c net.Conn) {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // it fails on one that is gone
	}
}

// sleep waits; false: the link is over.
func (w *way) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.link.done:
		return false
	}
}
