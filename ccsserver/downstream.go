package ccsserver

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// A Handler gives the verdict on downstream messages.
type Handler interface {
	// Downstream takes charge of one message. It is called on the goroutine
	// that reads the stream, so it must not block: whatever takes time it
	// hands to others, who call [Request.Answer] later. Each request is
	// answered once; while it is not, the message's id is in work, and it
	// holds a slot of its stream's window for [Options.AnswerTimeout]. A stream
	// with a whole window of messages that took longer, and still have no
	// verdict, has new ones refused by SERVICE_UNAVAILABLE. A panic ends the
	// stream, and answers INTERNAL_SERVER_ERROR.
	Downstream(r *Request)
}

// A HandlerFunc is a function that is a [Handler].
type HandlerFunc func(r *Request)

// Downstream calls f.
func (f HandlerFunc) Downstream(r *Request) { f(r) }

// Blocking makes a Handler of a function that returns its verdict: nil is an
// ack, a [*ccs.NackError] that nack, anything else INTERNAL_SERVER_ERROR. Each
// message gets a goroutine, so that there are at most as many as messages
// unanswered; a panic in it is an error like any other. ctx ends with the
// server, not with the stream: what was accepted outlives the stream that
// brought it.
func Blocking(ctx context.Context, f func(ctx context.Context, sender ccs.SenderID, m *ccs.Downstream) error) Handler {
	return HandlerFunc(func(r *Request) {
		go func() {
			defer func() {
				if v := recover(); v != nil {
					r.Answer(nil, &xmpp.PanicError{Value: v, Stack: debug.Stack()})
				}
			}()
			r.Answer(nil, f(ctx, r.Sender, r.Message))
		}()
	})
}

// A Request is one downstream message on its way to an answer. Repeated copies
// of the message share the first one's request.
type Request struct {
	Sender  ccs.SenderID
	Stream  string // the stream that brought the first copy
	Message *ccs.Downstream

	table   *dedupe
	events  *Events
	key     digest
	content uint64
	came    time.Duration // as the table counts
	inline  atomic.Bool   // the handler has not returned yet: the reader will flush

	first   pending     // of the stream that brought this copy
	room    [1]*pending // for waiters: nearly always there is but one
	waiters []*pending  // guarded by table.mu
	settled bool        // likewise
	behind  []func()    // likewise; what comes when all of them have the answer
}

// Answer settles the message. With a nil err it is an ack; ack may add a
// canonical token or the counts of a device group, and is nil for a plain one;
// it must not change afterwards.
// A [*ccs.NackError] is that nack. Any other error is ours to mend: the app
// server learns only that it failed, and [Events.Failed] the rest. Only the
// first call counts. Any goroutine may call.
func (r *Request) Answer(ack *ccs.Ack, err error) {
	waiters, first := r.table.settle(r, err == nil, ack)
	if !first {
		return
	}
	a := answer{ack: ack}
	if err != nil {
		nack, ok := errors.AsType[*ccs.NackError](err)
		if !ok {
			r.events.failed(r, err)
			nack = nackFailed
		}
		a = answer{nack: nack}
	}
	for _, p := range waiters {
		p.s.answer(p, a)
		// Only now is it safe to ask: as long as the handler has not returned,
		// the reader's flush is still to come, and takes the answer along.
		if !r.inline.Load() || p.s.id != r.Stream {
			p.s.Flush()
		}
	}
	for _, f := range r.table.answered(r) {
		f()
	}
}

// An answer is what becomes of a message: a nack, or else an ack, with what it
// says beyond the plain one, if anything.
type answer struct {
	ack  *ccs.Ack
	nack *ccs.NackError
}

// appendTo appends the answer to m as a stanza.
func (a answer) appendTo(dst []byte, m *ccs.Downstream) []byte {
	if a.nack != nil {
		return appendAnswer(dst, a.nackTo(m))
	}
	return appendAnswer(dst, a.ackTo(m))
}

func (a answer) nackTo(m *ccs.Downstream) *ccs.Nack {
	return &ccs.Nack{From: m.Target(), MessageID: m.MessageID, Code: a.nack.Code, Description: a.nack.Text()}
}

func (a answer) ackTo(m *ccs.Downstream) *ccs.Ack {
	ack := &ccs.Ack{From: m.Target(), MessageID: m.MessageID}
	if a.ack != nil {
		ack.RegistrationID, ack.Success, ack.Failure = a.ack.RegistrationID, a.ack.Success, a.ack.Failure
		ack.FailedRegistrationIDs = a.ack.FailedRegistrationIDs
	}
	return ack
}

// message is the answer to m as a message.
func (a answer) message(m *ccs.Downstream) ccs.FromServer {
	if a.nack != nil {
		return a.nackTo(m)
	}
	return a.ackTo(m)
}

var (
	nackReused   = &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "message_id reused with another content"}
	nackFailed   = &ccs.NackError{Code: ccs.CodeInternalServerError}
	nackDraining = &ccs.NackError{Code: ccs.CodeConnectionDraining}
	nackBusy     = &ccs.NackError{Code: ccs.CodeServiceUnavailable}
	nackTimeout  = &ccs.NackError{Code: ccs.CodeServiceUnavailable, Description: "outcome unknown; the same message_id sent again gets the late outcome"}
)

// A pending is one downstream message that a stream has not answered. It is a
// part of the request that was made for it.
type pending struct {
	s    *session
	m    *ccs.Downstream
	due  time.Time
	done bool // answered, or the stream is gone; guarded by s.mu

	prev, next *pending // the stream's list, in the order of due; guarded by s.mu
}

// answerTimeout is how long the handler may take for a message of sender.
func (srv *Server) answerTimeout(sender ccs.SenderID) time.Duration {
	if f := srv.opt.AnswerTimeoutOf; f != nil {
		if d := f(sender); d > 0 {
			return d
		}
	}
	return srv.opt.AnswerTimeout
}

// downstream takes one message that was read. It waits while the window is
// full: the reader reads no further, which is all the brake there is
// (docs/protocol.md, Flow control).
func (s *session) downstream(m *ccs.Downstream) error {
	if f := s.srv.opt.Events.Received; f != nil {
		f(s.id, s.sender, m)
	}
	r := &Request{Sender: s.sender, Stream: s.id, Message: m, table: s.srv.ids, events: s.srv.opt.Events}
	p := &r.first
	p.s, p.m = s, m
	limit := s.srv.answerTimeout(s.sender)
	for {
		s.mu.Lock()
		if s.lastCall {
			s.waiting = false
			s.mu.Unlock()
			s.write(m, answer{nack: nackDraining})
			return nil
		}
		if s.inFlight < s.srv.opt.Window {
			break
		}
		if !s.waiting {
			s.waiting = true
			s.beat()
		}
		s.mu.Unlock()
		s.Flush()
		select {
		case <-s.room:
		case <-s.Done():
			return s.Cause()
		}
	}
	s.waiting = false
	now := time.Now()
	p.due = now.Add(limit)
	s.link(p)
	full := len(s.late) >= s.srv.opt.Window
	s.mu.Unlock()

	switch joined, extra := s.srv.ids.join(r, now, full); joined {
	case joinedFirst:
		s.hand(r)
	case joinedWaiting:
	case joinedAcked:
		s.answer(p, answer{ack: extra})
	case joinedConflict:
		s.answer(p, answer{nack: nackReused})
	case refusedFirst:
		s.answer(p, answer{nack: nackBusy})
	case refusedWaiting:
		s.answer(p, answer{nack: nackTimeout})
	}
	return nil
}

// hand gives a request to the handler. One that panics has answered, too: the
// id would be in work for ever, and the app server bring the message again as
// often as it reconnects.
func (s *session) hand(r *Request) {
	r.inline.Store(true)
	returned := false
	defer func() {
		r.inline.Store(false)
		if !returned {
			r.Answer(nil, errPanicked)
		}
	}()
	s.srv.handler.Downstream(r)
	returned = true
}

var errPanicked = errors.New("the handler panicked")

// answer writes the answer to p, unless it has one or the stream is gone.
func (s *session) answer(p *pending, a answer) {
	s.mu.Lock()
	if p.done {
		delete(s.late, p)
		s.mu.Unlock()
		return
	}
	s.unlink(p)
	waiting := s.waiting
	s.writing.Add(1)
	s.mu.Unlock()
	s.write(p.m, a)
	s.writing.Add(-1)
	if waiting {
		s.freed()
	}
	s.closeIfIdle()
}

// freed wakes the reader, which waits for room in the window.
func (s *session) freed() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// write appends the answer to m to what is to leave. An error means that the
// stream is ending; whoever ended it knows why.
func (s *session) write(m *ccs.Downstream, a answer) {
	if s.Append(func(dst []byte) []byte { return a.appendTo(dst, m) }) != nil {
		return
	}
	if f := s.srv.opt.Events.Answered; f != nil {
		f(s.id, s.sender, m, a.message(m))
	}
}

// link puts p into the stream's list: at its end, but for messages that have
// more time left, from before their sender's time was made shorter. Called with
// mu held.
func (s *session) link(p *pending) {
	before := s.newest
	for before != nil && before.due.After(p.due) {
		before = before.prev
	}
	p.prev = before
	if before != nil {
		p.next, before.next = before.next, p
	} else {
		p.next, s.oldest = s.oldest, p
	}
	if p.next != nil {
		p.next.prev = p
	} else {
		s.newest = p
	}
	s.inFlight++
	if s.oldest == p {
		s.armTimeout(p)
	}
}

// unlink takes p off the list. Called with mu held.
func (s *session) unlink(p *pending) {
	p.done = true
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		s.oldest = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		s.newest = p.prev
	}
	p.prev, p.next = nil, nil
	s.inFlight--
}

// armTimeout sees to it that a timer runs that ends not later than p is due.
// One that ends before is left alone: it looks for itself when it ends. Called
// with mu held.
func (s *session) armTimeout(p *pending) {
	if s.over || !s.timeoutAt.IsZero() && !s.timeoutAt.After(p.due) {
		return
	}
	s.timeoutAt = p.due
	d := time.Until(p.due)
	if s.timeout == nil {
		s.timeout = time.AfterFunc(d, s.answerOverdue)
	} else {
		s.timeout.Reset(d)
	}
}

// answerOverdue tells the app server of messages whose handler takes too long:
// a full window would otherwise keep the stream from reading pings for ever.
// They are late until their verdict comes. While a whole window is late, new
// messages are refused at once, or each window of them would take as long
// again, and what is in work would grow without a bound.
func (s *session) answerOverdue() {
	now := time.Now()
	var late []*pending
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.timeoutAt = time.Time{}
	for p := s.oldest; p != nil && !p.due.After(now); p = s.oldest {
		s.unlink(p)
		s.late[p] = struct{}{}
		late = append(late, p)
	}
	if s.oldest != nil {
		s.armTimeout(s.oldest)
	}
	s.writing.Add(int32(len(late)))
	s.mu.Unlock()
	for _, p := range late {
		s.write(p.m, answer{nack: nackTimeout})
	}
	s.writing.Add(-int32(len(late)))
	s.Flush()
	s.freed()
	s.closeIfIdle()
}
