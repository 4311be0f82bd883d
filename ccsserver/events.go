package ccsserver

import (
	"net"
	"time"

	"penstock/ccs"
)

// A Stream describes one bound stream at one moment.
type Stream struct {
	ID       string       `json:"id"` // 16 hexadecimal digits, new for each stream
	Sender   ccs.SenderID `json:"sender_id"`
	JID      string       `json:"jid"`
	Address  string       `json:"address"`
	Since    time.Time    `json:"since"`
	State    StreamState  `json:"state"`
	InFlight int          `json:"in_flight"` // downstream messages that are unanswered
	Unacked  int          `json:"unacked"`   // upstream messages that are unacked
}

// A StreamState is open, draining or closing.
type StreamState string

// The states of a bound stream.
const (
	StateOpen     StreamState = "open"
	StateDraining StreamState = "draining" // about to close: answers still flow, no new upstream starts
	StateClosing  StreamState = "closing"  // nothing more is taken
)

// Events tell what happens. Each function is optional, is called on the
// server's own goroutines, several at a time, and must be quick; what it is
// given must not be changed.
type Events struct {
	// Refused: a connection ended before its stream was bound: by a limit, in
	// TLS, by time, by a refused login, or because the peer left.
	Refused func(addr net.Addr, why error)
	// AuthFailed: wrong credentials, or credentials that are none.
	AuthFailed func(addr net.Addr, sender ccs.SenderID)
	// Bound: a stream is ready for stanzas. Closed: it is gone; err is nil
	// after an orderly end.
	Bound  func(s Stream)
	Closed func(s Stream, err error)
	// Draining: the stream's end was announced.
	Draining func(s Stream)
	// Received: a well-formed downstream message came, a repeated one too.
	Received func(stream string, sender ccs.SenderID, m *ccs.Downstream)
	// Answered: an answer was written; m is nil if what came was no message.
	Answered func(stream string, sender ccs.SenderID, m *ccs.Downstream, answer ccs.FromServer)
	// Failed: the handler's verdict was an error that is none of the app
	// server's business. The app server read INTERNAL_SERVER_ERROR, if it was
	// still there.
	Failed func(sender ccs.SenderID, m *ccs.Downstream, err error)
	// Offered: an upstream message or a receipt was written to a stream, the
	// n-th time. Settled: it was acked.
	Offered func(stream string, m ccs.FromServer, n int)
	Settled func(stream string, m ccs.FromServer)
	// UnknownAck: an ack for what was not sent there. It is ignored.
	UnknownAck func(stream string, a *ccs.Ack)
	// Odd: something that CCS does not know was ignored or refused: a message
	// without payload, a payload that is no JSON, an unknown stanza.
	Odd func(stream string, what string)
}

func (e *Events) refused(a net.Addr, why error) {
	if e.Refused != nil {
		e.Refused(a, why)
	}
}

func (e *Events) failed(r *Request, err error) {
	if e.Failed != nil {
		e.Failed(r.Sender, r.Message, err)
	}
}

func (e *Events) odd(s *session, what string) {
	if e.Odd != nil {
		e.Odd(s.id, what)
	}
}
