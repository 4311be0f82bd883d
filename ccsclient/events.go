package ccsclient

import (
	"time"

	"penstock/ccs"
)

// Events tell what happens to a pool's streams and messages. Each function is
// optional, is called on the pool's own goroutines, several at a time, and must
// be quick.
type Events struct {
	// Connecting: an attempt begins. Connected: TCP and TLS stand.
	// Authenticated: the stream is bound, under that JID.
	Connecting    func(endpoint string)
	Connected     func(address string)
	Authenticated func(stream Stream)
	// Draining: the server announced the stream's end; the next is being opened.
	Draining func(stream Stream)
	// Closed: a stream is gone; err is nil if it was closed in order by us, or
	// by the server after it had drained.
	Closed func(stream Stream, err error)
	// ReconnectingIn: the next attempt comes after d. ReconnectFailed: an
	// attempt failed, the first one included.
	ReconnectingIn  func(d time.Duration)
	ReconnectFailed func(err error)
	// PingFailed: the server let a ping go by; the stream is given up.
	PingFailed func(stream Stream)
	// Answered: a message has its final answer; err as [Pool.Send] returns it.
	Answered func(a Answer, err error)
	// Late: an answer came after the caller had been told that the outcome is
	// unknown.
	Late func(a Answer, err error)
	// Handled: a handler is done with an upstream message or a receipt for
	// good; err is nil, or why it failed. It was acked in both cases.
	Handled func(m ccs.FromServer, err error)
	// Unhandled: no handler is set for this message, or it is a receipt and too
	// many wait for theirs; it was not acked.
	Unhandled func(m ccs.FromServer)
	// Odd: something was ignored that CCS does not know: a payload that is no
	// message, an unknown type, an answer to an unknown id.
	Odd func(stream Stream, what string)
}

func (e *Events) connecting(endpoint string) {
	if e.Connecting != nil {
		e.Connecting(endpoint)
	}
}

func (e *Events) answered(a Answer, err error) {
	if e.Answered != nil {
		e.Answered(a, err)
	}
}

func (e *Events) late(a Answer, err error) {
	if e.Late != nil {
		e.Late(a, err)
	}
}

func (e *Events) odd(s *Session, what string) {
	if e.Odd != nil {
		e.Odd(s.State(), what)
	}
}

// An Answer is what became of a downstream message.
type Answer struct {
	Message *ccs.Downstream
	// Attempts is how often the message was written to a stream.
	Attempts int
	// RegistrationID is the canonical token to use from now on, or empty.
	RegistrationID ccs.RegistrationToken
	// Success, Failure and FailedRegistrationIDs are a device group's.
	Success, Failure      int
	FailedRegistrationIDs []ccs.RegistrationToken
	// Took is the time from handing the message over to its answer.
	Took time.Duration
}

// A Stream describes one stream at one moment.
type Stream struct {
	Slot     int         // which of the pool's streams it is or was
	ID       string      // as the server's header gave it; new for each stream
	JID      string      // as the server gave it
	Address  string      // the server's
	State    StreamState // open, draining or closed
	Since    time.Time   // of the state
	InFlight int         // messages that are unanswered
	// Oldest is when the longest unanswered message was written; zero if none is.
	Oldest time.Time
}

// A StreamState is open, draining or closed.
type StreamState string

// The states of a stream.
const (
	StateOpen     StreamState = "open"
	StateDraining StreamState = "draining" // its end was announced: answers still flow, new messages go elsewhere
	StateClosed   StreamState = "closed"
)
