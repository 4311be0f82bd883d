package ccsclient

import (
	"slices"
	"strings"
	"time"

	"penstock/ccs"
)

// A call is one message from its hand-over to its final answer
// (docs/flow.md, Downstream). Its fields are guarded by the pool's mu, but for
// those that never change.
type call struct {
	p     *Pool
	m     *ccs.Downstream
	seq   uint64 // the order of hand-over
	began time.Time
	done  func(Answer, error) // called once, without mu

	state    callState
	attempts int
	retries  int
	lost     bool     // a copy was written and its stream ended: the outcome is unknown
	told     bool     // done was called, or is about to be
	hearing  bool     // done is being called with "unknown"
	late     *telling // an answer that came meanwhile: it is told behind that
	timer    *time.Timer
	unwatch  func() bool
}

type callState uint8

const (
	queued   callState = iota // waits for room on a stream
	flying                    // written and unanswered
	resting                   // nacked; its next attempt is due later
	finished                  // final
)

// landed is the stream's word on the message. It runs on the stream's reading
// goroutine.
func (c *call) landed(s *Session, l landing) {
	p, now := c.p, time.Now()
	p.mu.Lock()
	var tell telling
	switch {
	case c.state != flying:
	case l.nack == nil, isSameID(l.nack) && c.attempts > 1:
		// "Same id received before" means, for a message sent twice, that the
		// first copy was accepted (docs/protocol.md, Message ids).
		tell = p.settle(c, l.ack, nil, now)
	case l.nack.Code == ccs.CodeConnectionDraining && (!c.told || p.opt.KeepAfterCancel):
		p.requeue(c)
	default:
		if wait, ok := p.mayRetry(c, l.nack); ok {
			c.retries++
			c.state = resting
			c.timer = time.AfterFunc(wait, func() { p.rested(c) })
		} else {
			tell = p.settle(c, nil, l.nack, now)
		}
	}
	p.pump(s, now)
	p.mu.Unlock()
	tell.do()
}

// orphaned takes back what a stream left unanswered. It does so at once for all,
// so that they leave again in their order, and before newer ones.
func (p *Pool) orphaned(left map[ccs.MessageID]flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range left {
		c, ok := f.to.(*call)
		switch {
		case !ok || c.state != flying:
		case c.told && !p.opt.KeepAfterCancel:
			p.finish(c) // its caller has given up, and so do we
		default:
			c.lost = true
			p.requeue(c)
		}
	}
	p.places.giveBack()
	p.pump(nil, time.Now())
}

func isSameID(n *ccs.NackError) bool {
	return n.Code == ccs.CodeInvalidJSON && strings.HasPrefix(strings.TrimSpace(n.Description), ccs.TextSameID)
}

// mayRetry says when a nacked message may be sent again, if at all: doubling
// waits with jitter, as often as the options say, within its time to live.
func (p *Pool) mayRetry(c *call, n *ccs.NackError) (time.Duration, bool) {
	if !n.Code.Retryable() || c.told || c.retries >= p.opt.RetryMax {
		return 0, false
	}
	wait := jitter(p.opt.RetryFirst << min(c.retries, 16))
	if c.m.TTL != nil && time.Since(c.began)+wait >= *c.m.TTL {
		return 0, false
	}
	return wait, true
}

// rested puts a nacked message back in its place.
func (p *Pool) rested(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == resting {
		p.requeue(c)
		p.pump(nil, time.Now())
	}
}

// requeue puts a message that was sent before back in front of newer ones.
// Called with mu held.
func (p *Pool) requeue(c *call) {
	c.state = queued
	i, _ := slices.BinarySearchFunc(p.again, c.seq, func(o *call, seq uint64) int {
		return int(int64(o.seq) - int64(seq))
	})
	p.again = slices.Insert(p.again, i, c)
}

// finish takes a call off the books. Called with mu held.
func (p *Pool) finish(c *call) {
	c.state = finished
	delete(p.calls, c.m.MessageID)
	if c.timer != nil {
		c.timer.Stop()
	}
	p.places.free()
	if len(p.calls) == 0 && p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// settle finishes a call with its answer. Called with mu held; what it returns
// is to be done without.
func (p *Pool) settle(c *call, ack *ccs.Ack, err error, now time.Time) telling {
	p.finish(c)
	a := Answer{Message: c.m, Attempts: c.attempts, Took: now.Sub(c.began)}
	a.take(ack)
	if err != nil {
		err = sendError(c.m, err)
	}
	if !c.told {
		return c.tell(a, err)
	}
	late := telling{c: c, a: a, err: err, late: true}
	if c.hearing {
		c.late = &late
		return telling{}
	}
	return late
}

func (c *call) answer() Answer {
	return Answer{Message: c.m, Attempts: c.attempts, Took: time.Since(c.began)}
}

// tell marks the caller as told. Called with mu held; what it returns is to be
// done without.
func (c *call) tell(a Answer, err error) telling {
	c.told = true
	return telling{c: c, a: a, err: err, unwatch: c.unwatch}
}

// A telling is what is to be told about a call; the zero value is nothing. It
// is no function, since those cost memory for each answer.
type telling struct {
	c       *call
	a       Answer
	err     error
	late    bool
	unwatch func() bool
}

func (t *telling) do() {
	switch {
	case t.c == nil:
	case t.late:
		t.c.p.opt.Events.late(t.a, t.err)
	default:
		if t.unwatch != nil {
			t.unwatch()
		}
		t.c.p.opt.Events.answered(t.a, t.err)
		t.c.done(t.a, t.err)
	}
}

// giveUp ends the caller's interest in c: why is its context's error,
// [ErrWithdrawn] or [ErrLate]. A message that was never written, or whose every
// copy was refused, goes no further; of one that is out the outcome is unknown,
// and it is not late.
func (p *Pool) giveUp(c *call, why error) {
	p.mu.Lock()
	if c.told || c.state == finished || why == ErrLate && c.attempts > 0 { //nolint:errorlint // our own word, as we wrote it
		p.mu.Unlock()
		return
	}
	err := why
	switch {
	case c.state == flying:
		err = unknown(why) // the slot stays taken until the answer, or the stream's end
	case c.lost:
		err = unknown(why)
		if !p.opt.KeepAfterCancel {
			p.finish(c)
		}
	default:
		p.finish(c)
	}
	tell := c.tell(c.answer(), sendError(c.m, err))
	c.hearing = true
	p.places.giveBack()
	p.pump(nil, time.Now())
	p.mu.Unlock()
	tell.do()
	p.mu.Lock()
	c.hearing = false
	late := c.late
	p.mu.Unlock()
	if late != nil {
		late.do()
	}
}

// TakeBack takes no more messages, and takes back those that were never written:
// their senders get [ErrWithdrawn]. What was written still gets its final answer,
// and is sent again where that takes it. It is for a program that is told to end;
// [Pool.Shutdown] is to follow.
func (p *Pool) TakeBack() {
	p.mu.Lock()
	p.shut()
	var tell []telling
	for _, c := range p.unfinished() {
		if c.attempts == 0 {
			p.finish(c)
			tell = append(tell, c.tell(c.answer(), sendError(c.m, ErrWithdrawn)))
		}
	}
	p.places.giveBack()
	p.mu.Unlock()
	for i := range tell {
		tell[i].do()
	}
}

// A callQueue is a first-in, first-out queue of calls.
type callQueue struct {
	items []*call
	head  int
}

// push adds a call. At most live calls of the queue still wait; the others were
// withdrawn, and must not pile up behind one that waits for long.
func (q *callQueue) push(c *call, live int) {
	if len(q.items)-q.head > 2*live+64 {
		q.items = slices.DeleteFunc(q.items[q.head:], func(c *call) bool { return c.state != queued })
		q.head = 0
	}
	q.items = append(q.items, c)
}

func (q *callQueue) first() *call {
	if q.head == len(q.items) {
		return nil
	}
	return q.items[q.head]
}

func (q *callQueue) pop() {
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
