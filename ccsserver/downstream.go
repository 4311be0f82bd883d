package ccsserver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"penstock/ccs"
)

// A Handler gives the verdict on downstream messages.
type Handler interface {
	// Downstream takes charge of one message. It is called on the goroutine
	// that reads the stream, so it must not block: whatever takes time it
	// hands to others, who call [Request.Answer] later. Each request is
	// answered once; while it is not, the message's id is in work, and it
	// holds a slot of its stream's window for [Options.AnswerTimeout].
	Downstream(r *Request)
}

// A HandlerFunc is a function that is a [Handler].
type HandlerFunc func(r *Request)

// Downstream calls f.
func (f HandlerFunc) Downstream(r *Request) { f(r) }

// Blocking makes a Handler of a function that returns its verdict: nil is an
// ack, a [*ccs.NackError] that nack, anything else INTERNAL_SERVER_ERROR. Each
// message gets a goroutine, so that there are at most as many as messages
// unanswered. ctx ends with the server, not with the stream: what was accepted
// outlives the stream that brought it.
func Blocking(ctx context.Context, f func(ctx context.Context, sender ccs.SenderID, m *ccs.Downstream) error) Handler {
	return HandlerFunc(func(r *Request) {
		go func() { r.Answer(nil, f(ctx, r.Sender, r.Message)) }()
	})
}

// A Request is one downstream message on its way to an answer. Repeated copies
// of the message share the first one's request.
type Request struct {
	Sender  ccs.SenderID
	Stream  string // the stream that brought the first copy
	Message *ccs.Downstream

	table   *dedupe
	content [16]byte
	inline  atomic.Bool // the handler has not returned yet: the reader will flush

	// Guarded by table.mu.
	settled     bool
	waiters     []*pending
	firstWaiter [1]*pending
}

// Answer settles the message. With a nil err it is an ack; ack may add a
// canonical token or the counts of a device group, and is nil for a plain one.
// A [*ccs.NackError] is that nack. Any other error is ours to mend: the app
// server learns only that it failed. Only the first call counts. Any goroutine
// may call.
func (r *Request) Answer(ack *ccs.Ack, err error) {
	waiters := r.table.settle(r, err == nil, ack)
	if len(waiters) == 0 {
		return
	}
	flush := !r.inline.Load()
	for _, p := range waiters {
		p.s.answer(p, verdict(p.m, ack, err), flush || p.s.id != r.Stream)
	}
}

// verdict turns a handler's answer into what the app server reads.
func verdict(m *ccs.Downstream, extra *ccs.Ack, err error) ccs.FromServer {
	if err == nil {
		ack := &ccs.Ack{From: m.Target(), MessageID: m.MessageID}
		if extra != nil {
			ack.RegistrationID, ack.Success, ack.Failure = extra.RegistrationID, extra.Success, extra.Failure
			ack.FailedRegistrationIDs = extra.FailedRegistrationIDs
		}
		return ack
	}
	nack, ok := errors.AsType[*ccs.NackError](err)
	if !ok {
		nack = &ccs.NackError{Code: ccs.CodeInternalServerError}
	}
	return nackOf(m, nack)
}

func nackOf(m *ccs.Downstream, e *ccs.NackError) *ccs.Nack {
	return &ccs.Nack{From: m.Target(), MessageID: m.MessageID, Code: e.Code, Description: e.Text()}
}

var (
	nackReused   = &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "message_id reused with another content"}
	nackDraining = &ccs.NackError{Code: ccs.CodeConnectionDraining}
	nackTimeout  = &ccs.NackError{Code: ccs.CodeServiceUnavailable, Description: "outcome unknown; the same message_id sent again gets the late outcome"}
)

// A pending is one downstream message that a stream has not answered.
type pending struct {
	s    *session
	m    *ccs.Downstream
	due  time.Time
	done bool // guarded by s.mu

	prev, next *pending // the stream's list, oldest first; guarded by s.mu
}

// downstream takes one message that was read. It waits while the window is
// full: the reader reads no further, which is all the brake there is
// (docs/protocol.md, Flow control).
func (s *session) downstream(m *ccs.Downstream) error {
	if f := s.srv.opt.Events.Received; f != nil {
		f(s.id, s.sender, m)
	}
	p := &pending{s: s, m: m}
	for {
		s.mu.Lock()
		if s.lastCall {
			s.mu.Unlock()
			s.write(nackOf(m, nackDraining), m)
			return nil
		}
		if s.inFlight < s.srv.opt.Window {
			break
		}
		s.waiting = true
		s.mu.Unlock()
		s.Flush()
		select {
		case <-s.room:
		case <-s.Done():
			return s.Cause()
		}
	}
	s.waiting = false
	p.due = time.Now().Add(s.srv.opt.AnswerTimeout)
	s.link(p)
	s.mu.Unlock()

	switch joined, extra, r := s.srv.ids.join(s.sender, p); joined {
	case joinedFirst:
		r.inline.Store(true)
		s.srv.handler.Downstream(r)
		r.inline.Store(false)
	case joinedWaiting:
	case joinedAcked:
		s.answer(p, verdict(m, extra, nil), false)
	case joinedConflict:
		s.answer(p, nackOf(m, nackReused), false)
	}
	return nil
}

// answer writes the answer to p, unless it has one or the stream is gone.
func (s *session) answer(p *pending, answer ccs.FromServer, flush bool) {
	s.mu.Lock()
	if p.done {
		s.mu.Unlock()
		return
	}
	s.unlink(p)
	s.mu.Unlock()
	s.write(answer, p.m)
	if flush {
		s.Flush()
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
	s.closeIfIdle()
}

// write appends an answer to what is to leave. An error means that the stream
// is ending; whoever ended it knows why.
func (s *session) write(answer ccs.FromServer, m *ccs.Downstream) {
	if s.Append(func(dst []byte) []byte { return appendAnswer(dst, answer) }) == nil {
		s.srv.opt.Events.answered(s, m, answer)
	}
}

// link puts p at the end of the stream's list. Called with mu held.
func (s *session) link(p *pending) {
	p.prev = s.newest
	if s.newest != nil {
		s.newest.next = p
	} else {
		s.oldest = p
	}
	s.newest = p
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
// A running one is left alone: it looks for itself when it ends. Called with mu held.
func (s *session) armTimeout(p *pending) {
	if s.timeoutArmed || s.over {
		return
	}
	s.timeoutArmed = true
	d := time.Until(p.due)
	if s.timeout == nil {
		s.timeout = time.AfterFunc(d, s.answerOverdue)
	} else {
		s.timeout.Reset(d)
	}
}

// answerOverdue tells the app server of messages whose handler takes too long:
// a full window would otherwise keep the stream from reading pings for ever.
func (s *session) answerOverdue() {
	now := time.Now()
	var late []*pending
	s.mu.Lock()
	s.timeoutArmed = false
	for p := s.oldest; p != nil && !p.due.After(now); p = p.next {
		late = append(late, p)
	}
	s.mu.Unlock()
	for _, p := range late {
		s.srv.ids.leave(s.sender, p)
		s.answer(p, nackOf(p.m, nackTimeout), true)
	}
	s.mu.Lock()
	if s.oldest != nil {
		s.armTimeout(s.oldest)
	}
	s.mu.Unlock()
}
