package fcmsend

import "time"

// A State is how a sender stands, for metrics and for people.
type State struct {
	Connections []ConnectionState // oldest first
	InFlight    int               // requests on all of them
	Waiting     int               // for a place on one
	Dialing     int               // connections that are being opened

	// TokenExpiry is the end of the access token; zero: there is none. HeldUntil
	// is until when no other is asked for after TokenErr; zero: there was no
	// failure.
	TokenExpiry time.Time
	TokenErr    error
	HeldUntil   time.Time
	// DialErr is why the last connection could not be opened; nil: it could.
	DialErr error
}

// A ConnectionState is how one connection stands.
type ConnectionState struct {
	ConnectionInfo
	InFlight int
	Limit    int  // of requests at a time
	Leaving  bool // takes nothing new, and ends with its last request
	Silent   bool // a request got no byte in all its time
}

// State tells how the sender stands at this moment.
func (s *Sender) State() State {
	var st State
	p := s.pool
	p.mu.Lock()
	limit := p.limit()
	for _, l := range p.links {
		st.Connections = append(st.Connections, ConnectionState{
			ConnectionInfo: l.info, InFlight: l.inFlight, Limit: min(l.allowed, limit), Leaving: l.leaving, Silent: l.silent,
		})
		st.InFlight += l.inFlight
	}
	st.Waiting, st.Dialing = len(p.waiters), p.dials
	if p.failures > 0 || p.useless > uselessFree {
		st.DialErr = p.dialErr
	}
	p.mu.Unlock()

	t := s.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	if cur := t.cur.Load(); cur != nil {
		st.TokenExpiry = cur.expiry
	}
	if t.failures > 0 {
		st.TokenErr, st.HeldUntil = t.failure, t.notBefore
	}
	return st
}
