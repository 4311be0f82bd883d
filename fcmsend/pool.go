package fcmsend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	dialBackoff    = time.Second // after the first dial that failed; it doubles
	dialBackoffMax = 30 * time.Second
	// uselessFree is how many connections in a row may end before anything was
	// answered on them until the next one waits as after a failed dial.
	uselessFree = 3
	// ceilingTime is how long fewer streams are opened after the far end has
	// complained of too many; then twice as many are tried.
	ceilingTime = 10 * time.Minute
)

// A conn is one connection, of either protocol.
type conn interface {
	roundTrip(ctx context.Context, k *call, limit time.Duration)
	shut(err error) // waits for nothing
}

// pool has the connections: as few as the calls under way need, up to a bound.
// Calls go to the oldest connection that has room, so that those which are no
// longer needed fall idle and are closed.
type pool struct {
	opt     *Options
	to      *target
	ctx     context.Context // ends with the sender
	cancel  context.CancelFunc
	running sync.WaitGroup // dials, readers, writers

	mu        sync.Mutex // guards what follows
	closed    bool
	links     []*link   // oldest first; those that are leaving too
	waiters   []*waiter // first come, first served
	dials     int       // under way
	room      int       // of a connection, as the last one had it
	nextID    uint64
	failures  int // dials that failed in a row
	useless   int // connections in a row on which nothing was answered
	notBefore time.Time
	dialErr   error // why, while there are failures
	ceiling   int   // streams on a connection that the far end bore with
	ceilingAt time.Time
}

// A link is a connection in the pool. What is not fixed, the pool's lock guards.
type link struct {
	pool *pool
	conn conn
	info ConnectionInfo

	allowed  int // calls at a time, as the far end says
	inFlight int
	most     int  // that ever were in flight
	leaving  bool // takes nothing new
	silent   bool // looks dead
	useful   bool // something was answered
	calls    uint64
	seen     uint64 // calls when the idle timer fired last
	idle     *time.Timer
}

// A waiter is a call that waits for room. It reads one link or error from ready.
type waiter struct {
	ready chan granted // of room for one
}

type granted struct {
	link *link
	err  error
}

func newPool(opt *Options, to *target) *pool {
	p := &pool{opt: opt, to: to, room: opt.StreamsPerConnection, ceiling: opt.StreamsPerConnection}
	if to.scheme == "http" {
		p.room = 1
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// close cuts all connections and waits for their goroutines.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	links := p.links
	p.links = nil
	for _, w := range p.waiters {
		w.ready <- granted{err: errClosed}
	}
	p.waiters = nil
	p.mu.Unlock()
	p.cancel()
	for _, l := range links {
		l.conn.shut(errClosed)
	}
	p.running.Wait()
}

// acquire returns a connection with a place on it, which must be released. It
// waits for one until ctx ends, or until by.
func (p *pool) acquire(ctx context.Context, by time.Time) (*link, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if len(p.waiters) == 0 {
		if l := p.free(); l != nil {
			l.take()
			p.mu.Unlock()
			return l, nil
		}
	}
	if p.dials == 0 && !p.hasLive() && time.Now().Before(p.notBefore) {
		err := p.dialErr
		p.mu.Unlock()
		return nil, err
	}
	w := &waiter{ready: make(chan granted, 1)}
	p.waiters = append(p.waiters, w)
	p.dialAsNeeded()
	p.mu.Unlock()
	late, stop := alarm(by)
	defer stop()
	var why error
	select {
	case g := <-w.ready:
		return g.link, g.err
	case <-ctx.Done():
		why = context.Cause(ctx)
	case <-late:
		why = errLate
	}
	p.mu.Lock()
	for i, other := range p.waiters {
		if other == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.mu.Unlock()
			return nil, why
		}
	}
	p.mu.Unlock()
	if g := <-w.ready; g.link != nil { // it came in the same moment
		p.release(g.link, false)
	}
	return nil, why
}

// release gives the place back. Useful: something was answered.
func (p *pool) release(l *link, useful bool) {
	p.mu.Lock()
	l.inFlight--
	if useful && !l.useful {
		l.useful = true
		p.useless = 0
	}
	done := l.leaving && l.inFlight == 0
	p.grant()
	p.mu.Unlock()
	if done {
		l.conn.shut(errGone)
	}
}

// leave is release of a connection that has turned out to be over.
func (p *pool) leave(l *link) {
	p.mu.Lock()
	l.leaving = true
	p.mu.Unlock()
	p.release(l, false)
}

// take counts a call. The lock is held.
func (l *link) take() {
	l.inFlight++
	l.calls++
	l.most = max(l.most, l.inFlight)
}

// free returns the oldest connection that has room; nil: none. The lock is held.
func (p *pool) free() *link {
	limit := p.limit()
	for _, l := range p.links {
		if !l.leaving && !l.silent && l.inFlight < min(l.allowed, limit) {
			return l
		}
	}
	return nil
}

// limit is how many streams we open on one connection. The lock is held.
func (p *pool) limit() int {
	if p.ceiling < p.opt.StreamsPerConnection && time.Since(p.ceilingAt) >= ceilingTime {
		p.ceiling = min(2*p.ceiling, p.opt.StreamsPerConnection)
		p.ceilingAt = time.Now()
	}
	return p.ceiling
}

// hasLive reports whether a connection is there that room may be expected of.
// The lock is held.
func (p *pool) hasLive() bool {
	for _, l := range p.links {
		if !l.leaving && !l.silent {
			return true
		}
	}
	return false
}

// grant gives places to those who wait, in the order in which they came, and
// sees to new connections for the rest. Where there is none and will be none for
// a while, it tells them. The lock is held.
func (p *pool) grant() {
	for len(p.waiters) > 0 {
		l := p.free()
		if l == nil {
			break
		}
		l.take()
		p.waiters[0].ready <- granted{link: l}
		p.waiters[0] = nil
		p.waiters = p.waiters[1:]
	}
	p.dialAsNeeded()
	if p.dials > 0 || p.hasLive() {
		return
	}
	for _, w := range p.waiters {
		w.ready <- granted{err: p.dialErr}
	}
	p.waiters = nil
}

// dialAsNeeded opens as many connections as those who wait will fill; after a
// failure one at a time. The lock is held.
func (p *pool) dialAsNeeded() {
	room := max(1, min(p.room, p.limit()))
	for len(p.waiters) > p.dials*room && p.dials+p.counted() < p.opt.MaxConnections &&
		!time.Now().Before(p.notBefore) && (p.failures == 0 || p.dials == 0) {
		p.dials++
		p.running.Go(p.dial)
	}
}

// counted is how many connections stand against the bound. Those that are
// leaving do not, or a replacement could not be opened; they last no longer than
// their requests. The lock is held.
func (p *pool) counted() int {
	n := 0
	for _, l := range p.links {
		if !l.leaving && !l.silent {
			n++
		}
	}
	return n
}

// dial opens one connection and puts it into the pool.
func (p *pool) dial() {
	nc, protocol, err := p.opt.dial(p.ctx, p.to)
	if err != nil {
		p.dialFailed(err)
		return
	}
	l := &link{pool: p}
	p.mu.Lock()
	p.dials--
	if p.closed {
		p.mu.Unlock()
		nc.Close()
		return
	}
	p.nextID++
	l.info = ConnectionInfo{ID: p.nextID, Protocol: protocol, Since: time.Now()}
	if l.allowed = 1; protocol == protoH2 {
		l.allowed = p.opt.StreamsPerConnection
		l.conn = newH2(nc, p.to, p.opt, l, &p.running)
	} else {
		l.conn = newH1(nc, p.to, p.opt, l, &p.running)
	}
	p.room = l.allowed
	p.failures = 0
	p.links = append(p.links, l)
	l.idle = time.AfterFunc(p.opt.IdleTimeout, l.closeIdle)
	p.grant()
	p.mu.Unlock()
	if p.opt.Events.ConnectionOpened != nil {
		p.opt.Events.ConnectionOpened(l.info)
	}
}

// dialFailed tells those who wait, unless connections are there whose places
// they may get.
func (p *pool) dialFailed(err error) {
	p.mu.Lock()
	p.dials--
	p.failures++
	next := p.backOff(p.failures, err)
	p.grant()
	closed := p.closed
	p.mu.Unlock()
	if p.opt.Events.DialFailed != nil && !closed {
		p.opt.Events.DialFailed(err, next)
	}
}

// backOff sets when the next dial may be. The lock is held.
func (p *pool) backOff(failures int, err error) time.Time {
	wait := min(dialBackoff<<min(failures-1, 10), dialBackoffMax)
	p.dialErr = err
	p.notBefore = time.Now().Add(wait/2 + rand.N(wait/2))
	return p.notBefore
}

// closeIdle closes a connection that nothing has used since the timer fired
// last.
func (l *link) closeIdle() {
	p := l.pool
	p.mu.Lock()
	if l.leaving {
		p.mu.Unlock()
		return
	}
	if l.inFlight > 0 || l.calls != l.seen {
		l.seen = l.calls
		l.idle.Reset(p.opt.IdleTimeout)
		p.mu.Unlock()
		return
	}
	l.leaving = true
	p.mu.Unlock()
	l.conn.shut(errGone)
}

// limited implements connOwner: the far end's SETTINGS.
func (l *link) limited(streams uint32) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	l.allowed = int(min(streams, uint32(p.opt.StreamsPerConnection)))
	p.room = l.allowed
	p.grant()
}

// doubt implements connOwner. It reads what counts under the lock, so that the
// last one to change it has the last word.
func (l *link) doubt(silent *atomic.Bool) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	l.silent = silent.Load()
	p.grant()
}

// goingAway implements connOwner: GOAWAY.
func (l *link) goingAway(code http2.ErrCode, reason string) {
	p := l.pool
	p.mu.Lock()
	l.leaving = true
	if code == http2.ErrCodeProtocol && reason == "exceeded_max_concurrent_streams" {
		// Of what it allowed this connection: others say the same of theirs, and one
		// may say it twice.
		p.ceiling = min(p.limit(), max(1, l.most/2))
		p.ceilingAt = time.Now()
	}
	done := l.inFlight == 0
	p.grant()
	p.mu.Unlock()
	if p.opt.Events.GoAway != nil {
		p.opt.Events.GoAway(l.info, code.String(), reason)
	}
	if done {
		l.conn.shut(errGone)
	}
}

// over implements connOwner.
func (l *link) over(err error) {
	p := l.pool
	p.mu.Lock()
	l.leaving = true
	l.idle.Stop()
	for i, other := range p.links {
		if other == l {
			p.links = append(p.links[:i], p.links[i+1:]...)
			break
		}
	}
	if !l.useful && l.calls > 0 && !errors.Is(err, errLeft) {
		if p.useless++; p.useless > uselessFree {
			p.backOff(p.useless-uselessFree, fmt.Errorf("connections end before anything is answered: %w", err))
		}
	}
	p.grant()
	p.mu.Unlock()
	if errors.Is(err, errGone) || errors.Is(err, errClosed) {
		err = nil // we have closed it ourselves
	}
	if p.opt.Events.ConnectionClosed != nil {
		p.opt.Events.ConnectionClosed(l.info, err)
	}
}
