package ccsserver

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// A session is one bound stream: authenticated, with a JID, ready for stanzas.
type session struct {
	*xmpp.Conn

	// Fixed once the stream is bound.
	srv      *Server
	id       string
	sender   ccs.SenderID
	domain   string
	resource string
	bound    time.Time
	box      *mailbox

	draining atomic.Bool
	held     atomic.Bool  // an upstream message waits for the peer to read
	owed     atomic.Int32 // len(unacked), for those who don't hold box.mu
	writing  atomic.Int32 // answers that have left the list and are not written yet; grows with mu held

	room chan struct{} // one token: the reader, if it waits for a slot, is to look again. Written by freed; never closed

	mu         sync.Mutex // guards what follows
	oldest     *pending
	newest     *pending
	inFlight   int
	late       map[*pending]struct{} // nacked for the time they took, and still without verdict
	timeout    *time.Timer
	timeoutAt  time.Time     // when; zero: it is not set
	waiting    bool          // the reader waits for room: silence is our own doing
	lastCall   bool          // new downstream is nacked CONNECTION_DRAINING
	mayClose   bool          // draining, and long enough
	closing    bool          // the reader stops at the end of what it has read
	over       bool          // the stream is gone; no timer is armed any more
	timers     []*time.Timer // a handful: readiness, and drains that are yet to be announced
	closeAfter alarm         // the steps of a drain
	lastCallAt alarm
	limit      alarm
	quietTimer *time.Timer
	pinged     time.Time // zero: no ping is out
	ponged     bool      // the peer has answered a ping of ours once

	ready atomic.Bool // upstream messages may come. Set with box.mu held

	// Guarded by box.mu.
	unacked        map[upKey]*item
	receipts       []*item
	again          *time.Timer // of lookAgain
	againAt        time.Time
	receiptAcked   time.Time // the last time
	acksNoReceipts bool      // it had all the time to
}

// errPeerDead ends a stream whose peer lets a ping go by.
var errPeerDead = errors.New("the peer is silent: no byte came after a ping")

func (s *session) jid() string     { return s.bareJID() + "/" + s.resource }
func (s *session) bareJID() string { return string(s.sender) + "@" + s.domain }

func (s *session) info() Stream {
	st := Stream{
		ID: s.id, Sender: s.sender, JID: s.jid(), Address: s.RemoteAddr().String(),
		Since: s.bound, State: StateOpen, Unacked: int(s.owed.Load()),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.InFlight = s.inFlight
	switch {
	case s.closing:
		st.State = StateClosing
	case s.draining.Load():
		st.State = StateDraining
	}
	return st
}

// serve handles stanzas until the stream ends and its connection is closed.
// What is unacked goes to another stream as soon as the last words are out: the
// peer may take its time to close.
func (s *session) serve() {
	s.Received = s.unhold
	s.Ended = func() {
		s.stopTimers()
		s.box.leave(s)
		s.srv.forget(s)
		if f := s.srv.opt.Events.Closed; f != nil {
			err := s.Cause()
			if errors.Is(err, xmpp.ErrGoodbye) || errors.Is(err, xmpp.ErrClosed) {
				err = nil
			}
			f(s.info(), err)
		}
	}
	s.startTimers()
	_ = s.Run(s.stanza) // its cause is told above
}

// stanza handles one first-level element of a bound stream.
func (s *session) stanza(el xmpp.Element) error {
	switch {
	case el.Is(xmpp.NSClient, "message"):
		s.box.setReady(s)
		return s.message(el)
	case el.Is(xmpp.NSClient, "iq"):
		return s.iq(el)
	case el.Is(xmpp.NSClient, "presence"):
		s.box.setReady(s)
		return nil
	case el.Is(xmpp.NSSM, "enable"):
		s.reply(func(dst []byte) []byte { return append(dst, xmpp.SMFailed...) })
		return nil
	case el.Is(xmpp.NSSM, "r"), el.Is(xmpp.NSSM, "a"):
		return nil
	case el.Is(xmpp.NSSASL, "auth"):
		return &ccs.StreamError{Condition: ccs.ConditionPolicyViolation, Text: "already authenticated"}
	}
	if e, ok := xmpp.PeerErrorOf(el); ok {
		return e
	}
	s.srv.opt.Events.odd(s, "unknown stanza")
	return &ccs.StreamError{Condition: ccs.ConditionUnsupportedStanzaType}
}

// reply appends what the server itself has to say. An error would mean that the
// stream is ending; whoever ended it knows why.
func (s *session) reply(f func(dst []byte) []byte) { _ = s.Append(f) }

func (s *session) message(el xmpp.Element) error {
	payload, ok := el.Payload()
	if !ok {
		// Google's answer is not known, and an error stanza ends some clients' processes.
		s.srv.opt.Events.odd(s, "a message without payload")
		return nil
	}
	m, err := ccs.ParseFromApp(payload)
	if err != nil {
		bad, ok := errors.AsType[*ccs.PayloadError](err)
		if !ok {
			return err
		}
		s.refuse(el, payload, bad)
		return nil
	}
	switch m := m.(type) {
	case *ccs.Downstream:
		return s.downstream(m)
	case *ccs.Ack:
		s.ack(m)
	}
	return nil
}

// refuse answers a payload that is no message: with a nack wherever there is an
// id to nack, since error stanzas end some clients' processes.
func (s *session) refuse(el xmpp.Element, payload []byte, bad *ccs.PayloadError) {
	if bad.MessageID != "" {
		nack := &ccs.Nack{From: bad.From, MessageID: bad.MessageID, Code: bad.Code, Description: bad.Text}
		if s.Append(func(dst []byte) []byte { return appendAnswer(dst, nack) }) == nil {
			if f := s.srv.opt.Events.Answered; f != nil {
				f(s.id, s.sender, nil, nack)
			}
		}
		return
	}
	s.srv.opt.Events.odd(s, "a payload without message_id, or no JSON")
	id, _ := el.Attr("id")
	s.reply(func(dst []byte) []byte {
		return xmpp.AppendBadJSON(dst, string(id), s.jid(), payload, bad.Text)
	})
}

func (s *session) iq(el xmpp.Element) error {
	id, _ := el.Attr("id")
	to, _ := el.Attr("to")
	kind, _ := el.Attr("type")
	switch string(kind) {
	case "get", "set":
	default:
		// A result or an error: if our ping is out, any byte was answer enough.
		s.mu.Lock()
		s.ponged = true
		s.mu.Unlock()
		return nil
	}
	switch {
	case has(el, xmpp.NSSession, "session"):
		s.reply(func(dst []byte) []byte { return xmpp.AppendResult(dst, "", "", string(id)) })
		s.box.setReady(s)
		return nil
	case has(el, xmpp.NSPing, "ping"):
		s.reply(func(dst []byte) []byte { return xmpp.AppendResult(dst, string(to), s.jid(), string(id)) })
	case has(el, xmpp.NSBind, "bind"):
		s.reply(func(dst []byte) []byte {
			return xmpp.AppendIQError(dst, string(to), s.jid(), string(id), "not-allowed")
		})
	default:
		s.reply(func(dst []byte) []byte {
			return xmpp.AppendIQError(dst, string(to), s.jid(), string(id), "feature-not-implemented")
		})
	}
	s.box.setReady(s)
	return nil
}

func has(el xmpp.Element, space, local string) bool {
	_, ok := el.Child(space, local)
	return ok
}

func appendAnswer(dst []byte, m ccs.FromServer) []byte {
	dst = append(dst, xmpp.AnswerOpen...)
	dst = ccs.AppendFromServer(dst, m)
	return append(dst, xmpp.AnswerClose...)
}

func (s *session) appendUpstream(dst []byte, m ccs.FromServer) []byte {
	dst = xmpp.AppendUpstreamOpen(dst, s.bareJID())
	dst = ccs.AppendFromServer(dst, m)
	return append(dst, xmpp.UpstreamClose...)
}
