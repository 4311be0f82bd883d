package ccsclient

import (
	"time"

	"penstock/internal/xmpp"
)

// startQuiet starts the watch over the server's silence.
func (s *Session) startQuiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quietDue = time.Now().Add(s.opt.QuietAfter)
	s.quietTimer = time.AfterFunc(s.opt.QuietAfter, s.quiet)
	if len(s.flights) > 0 {
		s.hurryQuiet(time.Now())
	}
}

// hurryQuiet sees to it that the watch looks in time now that something is
// unanswered. Called with mu held.
func (s *Session) hurryQuiet(now time.Time) {
	if s.quietTimer == nil {
		return // Run has not begun
	}
	if due := now.Add(s.opt.BusyQuietAfter); due.Before(s.quietDue) {
		s.quietDue = due
		s.quietTimer.Reset(s.opt.BusyQuietAfter)
	}
}

// quiet looks whether the server has been silent for too long: it pings, or
// gives the stream up; then it sleeps until the next thing may be due
// (docs/protocol.md, Keepalive). A dead stream is closed, never only noted:
// what is left of it otherwise is a phantom that swallows messages.
func (s *Session) quiet() {
	now := time.Now()
	in := s.conn.LastIn()
	s.mu.Lock()
	if s.state == StateClosed {
		s.mu.Unlock()
		return
	}
	if !s.pinged.IsZero() && !in.Before(s.pinged) {
		s.pinged = time.Time{}
	}
	if !s.pinged.IsZero() && now.Sub(s.pinged) >= s.opt.PingTimeout {
		s.mu.Unlock()
		if f := s.opt.Events.PingFailed; f != nil {
			f(s.State())
		}
		s.conn.End(errPeerSilent)
		return
	}
	since, limit := in, s.opt.QuietAfter
	if len(s.flights) > 0 {
		limit = min(limit, s.opt.BusyQuietAfter)
		if s.busySince.After(since) {
			since = s.busySince
		}
	}
	ping := s.pinged.IsZero() && now.Sub(since) >= limit
	if ping {
		s.pinged = now
	}
	s.quietDue = since.Add(limit)
	if !s.pinged.IsZero() {
		s.quietDue = s.pinged.Add(s.opt.PingTimeout)
	}
	s.quietTimer.Reset(max(s.quietDue.Sub(now), time.Millisecond))
	s.mu.Unlock()
	if ping {
		_ = s.conn.Append(func(dst []byte) []byte { return xmpp.AppendPing(dst, "", "", "ping") })
		s.conn.Flush()
	}
}
