package ccsserver

import (
	"slices"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// An Announcement is how the end of a stream becomes known to the app server.
type Announcement uint8

const (
	// ByControl writes CONNECTION_DRAINING; downstream messages are taken and
	// answered as before until the last call.
	ByControl Announcement = iota
	// ByNack writes nothing, but nacks each new downstream message
	// CONNECTION_DRAINING. Google did so at times.
	ByNack
)

// drainNotBefore is the age before which no stream hears of draining: clients
// fail on a control while they log in, and others would spin.
const drainNotBefore = time.Second

// DrainOptions choose what drains and how. The zero value drains every stream,
// by control, with the server's [DrainTimes].
type DrainOptions struct {
	Streams  []string // ids; nil: all
	Announce Announcement
	Times    DrainTimes
	// Spread is over which time the announcements are spread. Default: at once.
	Spread time.Duration
}

// Drain announces the end of streams and closes each when nothing on it is
// unanswered (docs/protocol.md, Draining). It does not wait. It returns the
// ids of the streams that it found.
func (srv *Server) Drain(opt DrainOptions) []string {
	opt.Times = opt.Times.or(srv.opt.Drain)
	found := srv.choose(opt.Streams)
	ids := make([]string, len(found))
	for i, s := range found {
		ids[i] = s.id
		var wait time.Duration
		if opt.Spread > 0 {
			wait = opt.Spread * time.Duration(i) / time.Duration(len(found))
		}
		s.after(max(wait, drainNotBefore-time.Since(s.bound)), func() { s.drain(opt) })
	}
	return ids
}

// Cut resets the connections of streams, as a dying machine would; nil: all.
// It returns the ids of the streams that it found.
func (srv *Server) Cut(streams []string) []string {
	var ids []string
	for _, s := range srv.choose(streams) {
		ids = append(ids, s.id)
		s.End(xmpp.ErrCut)
	}
	return ids
}

func (srv *Server) choose(ids []string) []*session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var found []*session
	for s := range srv.sessions {
		if ids == nil || slices.Contains(ids, s.id) {
			found = append(found, s)
		}
	}
	return found
}

// after runs f later, at once if d is not positive, never once the stream is gone.
func (s *session) after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.timers = append(s.timers, time.AfterFunc(d, f))
	}
}

// drain announces the stream's end, the first time, and sees to it that the
// stream closes. A later drain may only bring the end nearer: a server that is
// shut down does not wait for one that takes its time.
func (s *session) drain(opt DrainOptions) {
	s.box.mu.Lock() // no upstream message is on its way to s behind this
	first := s.draining.CompareAndSwap(false, true)
	s.box.mu.Unlock()
	if first {
		if opt.Announce == ByControl {
			s.reply(func(dst []byte) []byte {
				return appendAnswer(dst, &ccs.Control{Type: ccs.ControlDraining})
			})
			s.Flush()
		} else {
			s.callLast()
		}
		if f := s.srv.opt.Events.Draining; f != nil {
			f(s.info())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeAfter.sooner(s.over, opt.Times.CloseAfter, func() {
		s.mu.Lock()
		s.mayClose = true
		s.mu.Unlock()
		s.closeIfIdle()
	})
	s.lastCallAt.sooner(s.over, opt.Times.LastCall, s.callLast)
	s.limit.sooner(s.over, opt.Times.Limit, func() { s.End(xmpp.ErrGoodbye) })
}

// An alarm is a timer that can only be brought forward. Guarded by the
// session's mu.
type alarm struct {
	timer *time.Timer
	at    time.Time
}

// sooner has f called after d, unless it is to be called earlier anyway, or the
// stream is over.
func (a *alarm) sooner(over bool, d time.Duration, f func()) {
	at := time.Now().Add(d)
	if over || a.timer != nil && !at.Before(a.at) {
		return
	}
	a.stop()
	a.timer, a.at = time.AfterFunc(d, f), at
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (s *session) callLast() {
	s.mu.Lock()
	s.lastCall = true
	s.mu.Unlock()
	s.freed() // a reader that waits for room has something to nack
}

// closeIfIdle closes a draining stream that has waited long enough and on
// which nothing is unanswered, either way. What was read is still answered.
//
// A stream with an unacked upstream message is not idle. An ack counts only on
// the stream that carried the message, and app servers are told to go on acking
// there: whoever is at work with it would get it once more if the stream closed
// under it. One that never acks costs the drain its whole limit, and nothing else.
// Receipts do not count: many app servers ack none.
func (s *session) closeIfIdle() {
	if !s.draining.Load() {
		return
	}
	s.mu.Lock()
	idle := s.mayClose && !s.closing && s.inFlight == 0 && s.writing.Load() == 0 && s.owed.Load() == 0
	if idle {
		s.closing, s.lastCall = true, true
	}
	s.mu.Unlock()
	if idle {
		s.EndWhenRead()
	}
}
