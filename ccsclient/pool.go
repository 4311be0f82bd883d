package ccsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// A Pool keeps one or more streams to a connection server and sends through
// whichever has room. [Pool.Run] must run for anything to happen; messages may
// be handed over before. Any goroutine may call its methods.
type Pool struct {
	endpoint string
	cred     Credentials
	opt      Options
	inbox    *inbox

	places  places
	closing chan struct{} // closed when no more messages are taken
	stopped chan struct{} // closed when the streams are being ended
	ended   chan struct{} // closed when Run is done

	mu       sync.Mutex // guards what follows, and the calls
	calls    map[ccs.MessageID]*call
	again    []*call // written before, oldest first; they leave before fresh ones
	fresh    callQueue
	seq      uint64
	streams  []*Session // live ones, draining ones too
	next     int
	dialing  int
	lastErr  error
	empty    chan struct{} // closed, and set to nil, when no call is left
	wanted   chan struct{} // closed, and set to nil, when a message waits for room
	started  bool
	isShut   bool
	isClosed bool
}

// NewPool makes a pool for endpoint, "host:port". It starts nothing. opt is
// copied and checked.
func NewPool(endpoint string, cred Credentials, opt *Options) (*Pool, error) {
	o, err := opt.withDefaults(endpoint, cred)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		endpoint: endpoint, cred: cred, opt: o,
		closing: make(chan struct{}), stopped: make(chan struct{}), ended: make(chan struct{}),
		calls: make(map[ccs.MessageID]*call),
	}
	p.places = newPlaces(&p.mu, o.MaxWaiting+o.Streams*o.Window)
	p.inbox = newInbox(&p.opt, p)
	return p, nil
}

// Send hands m over and waits for its final answer. The error is nil for an
// ack; it wraps
//   - [*ccs.FieldError] if m does not pass its own checks,
//   - [*ccs.NackError] for a nack that is final,
//   - ctx's error if ctx ended before m was written: nothing was sent,
//   - [ErrWithdrawn], [ErrDuplicateID], [ErrClosed]: nothing was sent,
//   - [ErrOutcomeUnknown] if ctx or the pool ended after m was written.
//
// m must not change until Send returns; after ErrOutcomeUnknown not before
// [Events.Late], or the pool's end.
func (p *Pool) Send(ctx context.Context, m *ccs.Downstream) (Answer, error) {
	return p.SendBy(ctx, m, time.Time{})
}

// SendBy is [Pool.Send] for a message that is of no use if it leaves late: one
// that was not written until by is not sent, and its error wraps [ErrLate]. The
// answer to what was written is awaited all the same. The zero time: there is no
// such bound.
func (p *Pool) SendBy(ctx context.Context, m *ccs.Downstream, by time.Time) (Answer, error) {
	end := make(chan result, 1)
	c, err := p.hand(ctx, m, func(a Answer, err error) { end <- result{a, err} })
	if err != nil {
		return Answer{Message: m}, sendError(m, err)
	}
	if !by.IsZero() {
		late := time.AfterFunc(time.Until(by), func() { p.giveUp(c, ErrLate) })
		defer late.Stop()
	}
	select {
	case r := <-end:
		return r.a, r.err
	case <-ctx.Done():
		p.giveUp(c, ctx.Err())
		r := <-end
		return r.a, r.err
	}
}

type result struct {
	a   Answer
	err error
}

// SendFunc hands m over and returns; done is called once with what [Pool.Send]
// would have returned, on one of the pool's goroutines: it must be quick. An
// error means that m was not taken, and done is not called. SendFunc waits only
// while the pool holds as many messages as it may.
func (p *Pool) SendFunc(ctx context.Context, m *ccs.Downstream, done func(Answer, error)) error {
	c, err := p.hand(ctx, m, done)
	if err != nil {
		return sendError(m, err)
	}
	if ctx.Done() != nil {
		unwatch := context.AfterFunc(ctx, func() { p.giveUp(c, ctx.Err()) })
		p.mu.Lock()
		c.unwatch = unwatch
		over := c.told
		p.mu.Unlock()
		if over {
			unwatch()
		}
	}
	return nil
}

// hand checks m, waits for a place, and puts m on its way.
func (p *Pool) hand(ctx context.Context, m *ccs.Downstream, done func(Answer, error)) (*call, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := p.places.take(ctx, p.closing); err != nil {
		return nil, err
	}
	c := &call{p: p, m: m, began: time.Now(), done: done}
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.isShut {
		err = ErrClosed
	} else if p.calls[m.MessageID] != nil {
		err = ErrDuplicateID
	} else if err = ctx.Err(); err == nil {
		p.seq++
		c.seq = p.seq
		p.calls[m.MessageID] = c
		waiting := p.first() != nil // then there is no room anywhere
		p.fresh.push(c, len(p.calls))
		if !waiting {
			p.pump(nil, c.began)
		}
		return c, nil
	}
	p.places.free()
	p.places.giveBack()
	return nil, err
}

// pump writes waiting messages to streams that have room, those that were
// written before first. It is called whenever there may be more room, so that
// where a message waits there is none. reading is the stream whose reading
// goroutine calls, or nil: it flushes by itself. Called with mu held.
func (p *Pool) pump(reading *Session, now time.Time) {
	var touched *Session
	for {
		c := p.first()
		if c == nil {
			break
		}
		s := p.write(c, reading, now)
		if s == nil {
			break
		}
		if touched != nil && touched != s {
			touched.conn.Flush()
		}
		touched = s
	}
	if touched != nil && touched != reading {
		touched.conn.Flush()
	}
	if p.wanted != nil && p.first() != nil {
		close(p.wanted)
		p.wanted = nil
	}
}

// caughtUp is called when a stream has handled all the answers that it has read.
func (p *Pool) caughtUp() {
	if p.places.owed.Load() > 0 {
		p.mu.Lock()
		p.places.giveBack()
		p.mu.Unlock()
	}
}

// first is the call whose turn it is; nil if none waits.
func (p *Pool) first() *call {
	for len(p.again) > 0 {
		if c := p.again[0]; c.state == queued {
			return c
		}
		p.again = slices.Delete(p.again, 0, 1)
	}
	for c := p.fresh.first(); c != nil; c = p.fresh.first() {
		if c.state == queued {
			return c
		}
		p.fresh.pop()
	}
	return nil
}

// write puts c, the first call, on a stream with room, and returns that stream.
func (p *Pool) write(c *call, reading *Session, now time.Time) *Session {
	s := reading
	if s == nil || s.start(c.m, c, now) != nil {
		s = nil
		for i := range p.streams {
			o := p.streams[(p.next+i)%len(p.streams)]
			if o != reading && !o.full.Load() && o.start(c.m, c, now) == nil {
				p.next = (p.next + i + 1) % len(p.streams)
				s = o
				break
			}
		}
	}
	if s == nil {
		return nil
	}
	c.state = flying
	c.attempts++
	if len(p.again) > 0 && p.again[0] == c {
		p.again = slices.Delete(p.again, 0, 1)
	} else {
		p.fresh.pop()
	}
	return s
}

// Withdraw takes a message back. If it was not written yet its sender gets
// [ErrWithdrawn] and nothing is sent; otherwise [ErrOutcomeUnknown]. False:
// there is no unfinished message with this id.
func (p *Pool) Withdraw(id ccs.MessageID) bool {
	p.mu.Lock()
	c := p.calls[id]
	p.mu.Unlock()
	if c == nil {
		return false
	}
	p.giveUp(c, ErrWithdrawn)
	return true
}

// Broadcast sends m to each of many tokens, with a new message id each; m's
// own target and id are ignored. It returns when every message has its final
// answer. each is called once for every token, one at a time. The error is
// ctx's, or [ErrClosed], or nil: what became of each message is each's to note.
func (p *Pool) Broadcast(ctx context.Context, m *ccs.Downstream, to []ccs.RegistrationToken, each func(Answer, error)) error {
	var mu sync.Mutex
	var left sync.WaitGroup
	one := func(a Answer, err error) {
		defer left.Done()
		mu.Lock()
		defer mu.Unlock()
		each(a, err)
	}
	var failed error
	for _, token := range to {
		c := *m
		c.To, c.Condition, c.MessageID = token, "", ccs.NewMessageID()
		left.Add(1)
		if err := p.SendFunc(ctx, &c, one); err != nil {
			one(Answer{Message: &c}, err)
			if errors.Is(err, ErrClosed) || ctx.Err() != nil {
				failed = err
			}
		}
	}
	left.Wait()
	return failed
}

// Run keeps the streams until ctx ends, or the pool is shut down or closed. It
// may be called once. It returns nil after Shutdown and Close; when ctx ends it
// cuts the streams and returns ctx's error.
func (p *Pool) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.started {
		p.mu.Unlock()
		return errors.New("ccsclient: Run was called before")
	}
	p.started = true
	p.mu.Unlock()
	defer close(p.ended)

	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // handlers and dials: until the streams are gone
	defer cancel()
	var keepers, handlers sync.WaitGroup
	handlers.Go(func() { p.inbox.run(work) })
	dials, stopDials := context.WithCancel(work)
	for slot := range p.opt.Streams {
		keepers.Go(func() { p.keep(dials, slot) })
	}
	var err error
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
		p.end(xmpp.ErrCut)
	case <-p.stopped:
	}
	stopDials()
	keepers.Wait()
	p.failRest()
	cancel()
	handlers.Wait()
	return err
}

// end stops taking messages and ends the streams, by that cause.
func (p *Pool) end(cause error) {
	p.mu.Lock()
	p.shut()
	if !p.isClosed {
		p.isClosed = true
		close(p.stopped)
	}
	streams := slices.Clone(p.streams)
	p.mu.Unlock()
	for _, s := range streams {
		s.conn.End(cause)
	}
}

// shut stops taking messages. Called with mu held.
func (p *Pool) shut() {
	if !p.isShut {
		p.isShut = true
		close(p.closing)
	}
}

// failRest tells the callers of whatever is left when the streams are gone.
func (p *Pool) failRest() {
	p.mu.Lock()
	var tell []telling
	for _, c := range p.unfinished() {
		err := ErrClosed
		if c.lost || c.state == flying {
			err = ErrOutcomeUnknown
		}
		p.finish(c)
		if !c.told {
			tell = append(tell, c.tell(c.answer(), sendError(c.m, err)))
		}
	}
	p.places.giveBack()
	p.mu.Unlock()
	for i := range tell {
		tell[i].do()
	}
}

// unfinished lists the calls in the order of hand-over. Called with mu held.
func (p *Pool) unfinished() []*call {
	list := make([]*call, 0, len(p.calls))
	for _, c := range p.calls {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *call) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// Shutdown takes no more messages, waits until every one has its final answer
// and every handler that is under way has returned, or ctx ends, says goodbye on
// every stream and waits for their end. No handler begins any more: what comes
// from devices is left unacked, and will come again. It returns ctx's error if
// messages or handlers were left; the messages' senders then learn
// [ErrOutcomeUnknown], or [ErrClosed] if they were never written, and the
// handlers' contexts end. [Pool.Run] may begin meanwhile: a program that has just
// said go need not wait for it.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.inbox.close()
	var left []chan struct{} // each is closed when that is done
	p.mu.Lock()
	p.shut()
	if len(p.calls) > 0 && !p.isClosed {
		if p.empty == nil {
			p.empty = make(chan struct{})
		}
		left = append(left, p.empty)
	}
	if p.started {
		left = append(left, p.inbox.over)
	}
	p.mu.Unlock()
	var err error
	for _, done := range left {
		select {
		case <-done:
			continue
		default:
		}
		select {
		case <-done:
		case <-p.ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.end(xmpp.ErrGoodbye)
	p.await()
	return err
}

// Close cuts every stream now and returns the ids of the messages that had no
// final answer, in the order in which they were handed over.
func (p *Pool) Close() []ccs.MessageID {
	p.mu.Lock()
	p.shut()
	var ids []ccs.MessageID
	for _, c := range p.unfinished() {
		ids = append(ids, c.m.MessageID)
	}
	p.mu.Unlock()
	p.end(xmpp.ErrCut)
	p.await()
	return ids
}

// await waits for Run, or does its last deed if it never ran.
func (p *Pool) await() {
	p.mu.Lock()
	started := p.started
	p.mu.Unlock()
	if started {
		<-p.ended
	} else {
		p.failRest()
	}
}

// A PoolState describes a pool at one moment.
type PoolState struct {
	Streams    []Stream
	Waiting    int   // messages that wait for room on a stream
	Resting    int   // messages that were nacked and are due again later
	InFlight   int   // messages that are written and unanswered
	Connecting int   // attempts to connect under way
	LastError  error // why the last attempt to connect failed; nil once one succeeded
}

// State describes the pool now.
func (p *Pool) State() PoolState {
	p.mu.Lock()
	st := PoolState{Connecting: p.dialing, LastError: p.lastErr}
	for _, c := range p.calls {
		switch c.state {
		case queued:
			st.Waiting++
		case resting:
			st.Resting++
		case flying:
			st.InFlight++
		}
	}
	streams := slices.Clone(p.streams)
	p.mu.Unlock()
	for _, s := range streams {
		st.Streams = append(st.Streams, s.State())
	}
	return st
}

// String is for people: a line for the messages, and one for each stream.
func (st PoolState) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d waiting, %d in flight, %d resting, %d connecting", st.Waiting, st.InFlight, st.Resting, st.Connecting)
	if st.LastError != nil {
		fmt.Fprintf(&b, ", last error: %v", st.LastError)
	}
	for _, s := range st.Streams {
		fmt.Fprintf(&b, "\n  stream %d %s at %s: %s for %s, %d in flight", s.Slot, s.JID, s.Address, s.State,
			time.Since(s.Since).Round(time.Millisecond), s.InFlight)
		if !s.Oldest.IsZero() {
			fmt.Fprintf(&b, ", oldest unanswered for %s", time.Since(s.Oldest).Round(time.Millisecond))
		}
	}
	return b.String()
}
