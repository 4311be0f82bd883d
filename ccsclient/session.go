package ccsclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// A Session is one stream that is logged in. Any goroutine may call its methods.
type Session struct {
	conn    *xmpp.Conn
	opt     *Options
	slot    int
	id      string
	jid     string
	inbox   *inbox
	pool    *Pool         // whose stream it is, set before Run; nil: nobody's
	ends    chan struct{} // closed when the stream's end was announced
	over    chan struct{} // closed when no answer will come any more
	closed  chan struct{} // closed when Run is done
	room    chan struct{} // one token: a slot of the window is free. Never closed
	view    ccs.View      // the reading goroutine's alone
	notices sync.Once
	worked  atomic.Bool // an answer, or a message from a device, came on it
	full    atomic.Bool // the window is; a hint for those who don't hold mu

	mu         sync.Mutex // guards what follows
	flights    map[ccs.MessageID]flight
	state      StreamState
	drained    bool // the end was announced
	leaving    bool // Shutdown was called: nothing more is taken
	since      time.Time
	busySince  time.Time // when the window was last empty and got its first message
	quietTimer *time.Timer
	quietDue   time.Time
	pinged     time.Time // zero: no ping is out
	drainTimer *time.Timer
}

// A flight is a message that was written and is unanswered.
type flight struct {
	m     *ccs.Downstream
	since time.Time
	to    lander
}

// A lander is told once what became of a message that a stream had taken. It is
// called by the stream's reading goroutine, or by the one that ends it.
type lander interface {
	landed(s *Session, l landing)
}

// A landing is what a stream knows of a message in the end: an ack (neither
// field set, or what it said beyond the plain one), a nack, or nothing.
type landing struct {
	ack  *ccs.Ack
	nack *ccs.NackError
	over bool // the stream ended; the outcome is unknown
}

func newSession(conn *xmpp.Conn, id, jid string, opt *Options, box *inbox, slot int) *Session {
	now := time.Now()
	s := &Session{
		conn: conn, opt: opt, slot: slot, id: id, jid: jid, inbox: box,
		ends: make(chan struct{}), over: make(chan struct{}), closed: make(chan struct{}), room: make(chan struct{}, 1),
		flights: make(map[ccs.MessageID]flight, opt.Window), state: StateOpen, since: now,
	}
	return s
}

// State describes the stream now.
func (s *Session) State() Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stream{
		Slot: s.slot, ID: s.id, JID: s.jid, Address: s.conn.RemoteAddr().String(),
		State: s.state, Since: s.since, InFlight: len(s.flights),
	}
	for _, f := range s.flights {
		if st.Oldest.IsZero() || f.since.Before(st.Oldest) {
			st.Oldest = f.since
		}
	}
	return st
}

// Draining is closed when the server has announced the stream's end: new
// messages go to another stream, answers still come on this one.
func (s *Session) Draining() <-chan struct{} { return s.ends }

// announced reports whether the server has announced the stream's end.
func (s *Session) announced() bool {
	select {
	case <-s.ends:
		return true
	default:
		return false
	}
}

// Run reads the stream until it ends, and returns why: nil after
// [Session.Shutdown], or when the server closed a stream that it had drained;
// [ErrClosed] after [Session.Close]. When ctx ends it cuts the stream and returns
// ctx's error. It may be called once.
func (s *Session) Run(ctx context.Context) error {
	defer close(s.closed)
	if s.pool == nil {
		// A pool's streams share its inbox, which outlives them.
		handling, stop := context.WithCancel(ctx)
		var handlers sync.WaitGroup
		handlers.Go(func() { s.inbox.run(handling) })
		defer handlers.Wait()
		defer stop()
	}
	unlink := context.AfterFunc(ctx, func() { s.conn.End(xmpp.ErrCut) })
	defer unlink()
	s.startQuiet()
	if s.pool != nil {
		s.conn.CaughtUp = s.pool.caughtUp
	}
	s.conn.Ended = s.finish // closing the connection may take seconds: nobody waits for that
	err := s.conn.Run(s.stanza)
	if errors.Is(err, xmpp.ErrGoodbye) || s.drained && errors.Is(err, xmpp.ErrClosed) {
		return nil
	}
	if errors.Is(err, xmpp.ErrCut) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrClosed
	}
	return err
}

// finish ends the hope for answers and gives back what is unanswered.
func (s *Session) finish() {
	s.mu.Lock()
	s.state, s.since = StateClosed, time.Now()
	s.quietTimer.Stop()
	if s.drainTimer != nil {
		s.drainTimer.Stop()
	}
	left := s.flights
	s.flights = nil
	s.mu.Unlock()
	if s.pool != nil {
		s.pool.orphaned(left)
	} else {
		for _, f := range left {
			f.to.landed(s, landing{over: true})
		}
	}
	close(s.over)
}

// start writes m if the window has room, and tells to what became of it. The
// stanza leaves with the next flush. m must not change until then.
func (s *Session) start(m *ccs.Downstream, to lander, now time.Time) error {
	s.mu.Lock()
	if err := s.mayStart(m.MessageID); err != nil {
		s.mu.Unlock()
		return err
	}
	s.flights[m.MessageID] = flight{m: m, since: now, to: to}
	if len(s.flights) == 1 {
		s.busySince = now
		s.hurryQuiet(now)
	}
	s.full.Store(s.windowFull())
	s.mu.Unlock()
	if s.opt.Trace != nil {
		s.trace(Out, m)
	}
	if (planted == "drop" || planted == "twice") && plantedNow() {
		if planted == "drop" {
			go s.land([]byte(m.MessageID), landing{})
			return nil
		}
		_ = s.conn.Append(func(dst []byte) []byte { return appendMessage(dst, m) })
	}
	// An error means that the stream is ending: m lands with the others.
	_ = s.conn.Append(func(dst []byte) []byte { return appendMessage(dst, m) })
	return nil
}

// mayStart says why no message with this id can be written now, if so. Called
// with mu held.
func (s *Session) mayStart(id ccs.MessageID) error {
	switch {
	case s.state == StateClosed, s.leaving:
		return ErrClosed
	case s.state == StateDraining:
		return ErrDraining
	}
	if s.pool == nil { // a pool knows its ids
		if _, taken := s.flights[id]; taken {
			return ErrDuplicateID
		}
	}
	if s.windowFull() {
		return errWindowFull
	}
	return nil
}

// windowFull is called with mu held.
func (s *Session) windowFull() bool {
	return len(s.flights) >= s.opt.Window && (planted != "window" || len(s.flights) > s.opt.Window)
}

func appendMessage(dst []byte, m ccs.FromApp) []byte {
	dst = append(dst, xmpp.MessageOpen...)
	dst = ccs.AppendFromApp(dst, m)
	return append(dst, xmpp.MessageClose...)
}

// Send writes m on this stream and waits for its answer; it waits for room in
// the window first. It does not send again: that is a [Pool]'s work. Errors
// are those of [Pool.Send], and [ErrDraining].
func (s *Session) Send(ctx context.Context, m *ccs.Downstream) (Answer, error) {
	a := Answer{Message: m}
	if err := m.Validate(); err != nil {
		return a, sendError(m, err)
	}
	began := time.Now()
	end := make(once, 1)
	for {
		err := s.start(m, end, time.Now())
		if err == nil {
			break
		}
		if !errors.Is(err, errWindowFull) {
			s.freeRoom() // the token may have been meant for somebody else
			return a, sendError(m, err)
		}
		select {
		case <-s.room:
		case <-s.ends:
		case <-s.over:
		case <-ctx.Done():
			return a, sendError(m, ctx.Err())
		}
	}
	s.conn.Flush()
	s.freeRoom() // one token may stand for several slots: whoever waits looks again
	a.Attempts = 1
	select {
	case l := <-end:
		a.Took = time.Since(began)
		switch {
		case l.over:
			return a, sendError(m, ErrOutcomeUnknown)
		case l.nack != nil:
			return a, sendError(m, l.nack)
		}
		a.take(l.ack)
		return a, nil
	case <-ctx.Done():
		return a, sendError(m, unknown(ctx.Err()))
	}
}

// once is the lander of one message.
type once chan landing

func (c once) landed(_ *Session, l landing) { c <- l }

func (a *Answer) take(ack *ccs.Ack) {
	if ack != nil {
		a.RegistrationID, a.Success, a.Failure = ack.RegistrationID, ack.Success, ack.Failure
		a.FailedRegistrationIDs = ack.FailedRegistrationIDs
	}
}

func sendError(m *ccs.Downstream, err error) error {
	return fmt.Errorf("ccsclient: send %s: %w", m.MessageID, err)
}

// unknown does not wrap why: by itself that would mean that nothing was sent.
func unknown(why error) error { return fmt.Errorf("%w (%v)", ErrOutcomeUnknown, why) } //nolint:errorlint // see above

// stanza handles one element. It runs on the reading goroutine.
func (s *Session) stanza(el xmpp.Element) error {
	switch {
	case el.Is(xmpp.NSClient, "message"):
		s.message(el)
		return nil
	case el.Is(xmpp.NSClient, "iq"):
		s.iq(el)
		return nil
	}
	if e, ok := xmpp.PeerErrorOf(el); ok {
		return e
	}
	s.opt.Events.odd(s, "an element that CCS does not know")
	return nil
}

func (s *Session) iq(el xmpp.Element) {
	kind, _ := el.Attr("type")
	if string(kind) != "get" && string(kind) != "set" {
		return // an answer to our ping or session: its bytes were sign of life enough
	}
	idBytes, _ := el.Attr("id")
	fromBytes, _ := el.Attr("from")
	id, from := string(idBytes), string(fromBytes)
	_, ping := el.Child(xmpp.NSPing, "ping")
	_ = s.conn.Append(func(dst []byte) []byte {
		if ping {
			return xmpp.AppendResult(dst, "", from, id)
		}
		return xmpp.AppendIQError(dst, "", from, id, "feature-not-implemented")
	})
}

func (s *Session) message(el xmpp.Element) {
	payload, ok := el.Payload()
	if kind, _ := el.Attr("type"); string(kind) == "error" {
		s.errorStanza(el, payload)
		return
	}
	if !ok {
		s.opt.Events.odd(s, "a message without payload")
		return
	}
	if err := s.view.Scan(payload); err != nil {
		s.opt.Events.odd(s, "a payload that is no message: "+err.Error())
		return
	}
	if s.opt.Trace != nil {
		s.trace(In, s.view.Message())
	}
	if s.view.Kind != ccs.KindControl && s.view.Kind != ccs.KindUnknown {
		s.worked.Store(true)
	}
	switch s.view.Kind {
	case ccs.KindAck:
		if planted == "lost_ack" && plantedNow() {
			return
		}
		var ack *ccs.Ack
		if !s.view.PlainAck() {
			ack, _ = s.view.Message().(*ccs.Ack)
		}
		s.land(s.view.MessageID, landing{ack: ack})
	case ccs.KindNack:
		nack := &ccs.NackError{Code: ccs.Code(s.view.Code), Description: string(s.view.Description)}
		if nack.Code == ccs.CodeConnectionDraining {
			s.drain() // announced by this nack alone, perhaps
		}
		s.land(s.view.MessageID, landing{nack: nack})
	case ccs.KindControl:
		if string(s.view.ControlType) == string(ccs.ControlDraining) {
			s.drain()
		} else {
			s.opt.Events.odd(s, "a control of unknown type")
		}
	case ccs.KindUpstream, ccs.KindReceipt:
		if !s.inbox.take(s, s.view.Message()) {
			s.conn.End(errUpstreamOverflow)
		}
	default:
		s.opt.Events.odd(s, "a message of unknown type")
	}
}

// land takes the message out of the window and tells whoever sent it. The
// window shrinks by answers to known ids only (docs/protocol.md, Flow control).
func (s *Session) land(id []byte, l landing) {
	s.mu.Lock()
	f, ok := s.flights[ccs.MessageID(id)]
	if ok {
		delete(s.flights, f.m.MessageID)
		s.full.Store(false)
	}
	s.mu.Unlock()
	if !ok {
		s.opt.Events.odd(s, "an answer to an unknown message id")
		return
	}
	s.freeRoom()
	f.to.landed(s, l)
}

// freeRoom wakes one of those who wait for the window.
func (s *Session) freeRoom() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// errorStanza handles the answer to a payload that the server could not read.
// It fails the right message if the echo, or the stanza's id, tells which.
func (s *Session) errorStanza(el xmpp.Element, payload []byte) {
	text := "the server refused the stanza"
	if e, ok := el.Child(xmpp.NSClient, "error"); ok {
		if t, ok := e.Child(xmpp.NSStanzas, "text"); ok && len(t.Text()) > 0 {
			text = string(t.Text())
		}
	}
	s.opt.Events.odd(s, "an error stanza: "+text)
	id, _ := el.Attr("id")
	m, err := ccs.ParseFromApp(payload)
	if d, ok := m.(*ccs.Downstream); ok {
		id = []byte(d.MessageID)
	} else if bad, ok := errors.AsType[*ccs.PayloadError](err); ok && bad.Code == ccs.CodeInvalidJSON && bad.MessageID != "" {
		id = []byte(bad.MessageID)
	}
	s.mu.Lock()
	_, known := s.flights[ccs.MessageID(id)]
	s.mu.Unlock()
	if known {
		s.land(id, landing{nack: &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: text}})
	}
}

// drain notes that the stream's end was announced.
func (s *Session) drain() {
	s.notices.Do(func() {
		s.mu.Lock()
		if s.state == StateOpen {
			s.state, s.drained, s.since = StateDraining, true, time.Now()
			s.drainTimer = time.AfterFunc(s.opt.DrainLimit, func() { s.conn.End(errDrainLimit) })
		}
		s.mu.Unlock()
		close(s.ends)
		if planted == "close" {
			s.conn.End(xmpp.ErrGoodbye)
		}
		if f := s.opt.Events.Draining; f != nil {
			f(s.State())
		}
	})
}

// ack tells the server that an upstream message or a receipt was handled. On
// a stream that is gone it does nothing: the message will come again.
func (s *Session) ack(a *ccs.Ack) {
	if s.conn.Append(func(dst []byte) []byte { return appendMessage(dst, a) }) != nil {
		return
	}
	s.conn.Flush()
	if s.opt.Trace != nil {
		s.trace(Out, a)
	}
}

// Shutdown takes no more messages, waits until everything written is answered
// and every handler under way has returned, or ctx ends, says goodbye and waits
// for the stream's end. No handler begins any more. Run must be running.
func (s *Session) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	s.inbox.close()
	var err error
	for err == nil && s.State().InFlight > 0 {
		select {
		case <-s.room:
		case <-s.over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		select {
		case <-s.inbox.over:
		case <-s.over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.freeRoom() // whoever waits for the window learns that nothing more is taken
	s.conn.End(xmpp.ErrGoodbye)
	<-s.closed
	return err
}

// Close cuts the stream.
func (s *Session) Close() { s.conn.End(xmpp.ErrCut) }
