package ccsserver

import (
	"maps"
	"net"
	"slices"
	"syscall"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// readyAfter is when upstream messages may go to a stream whose peer has sent
// nothing since it bound (docs/protocol.md, Upstream).
const readyAfter = time.Second

func (s *session) startTimers() {
	s.after(readyAfter, func() { s.box.setReady(s) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quietTimer = time.AfterFunc(s.srv.opt.QuietAfter, s.quiet)
}

// stopTimers ends every timer of the stream; none is armed afterwards. Nobody
// waits for answers any more.
func (s *session) stopTimers() {
	for _, p := range s.stop() {
		s.srv.ids.leave(s.sender, p)
	}
}

// stop is the part of stopTimers that needs the lock. It returns what has no
// verdict yet.
func (s *session) stop() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timeout != nil {
		s.timeout.Stop()
	}
	s.quietTimer.Stop()
	for _, a := range []*alarm{&s.closeAfter, &s.lastCallAt, &s.limit} {
		a.stop()
	}
	for _, t := range s.timers {
		t.Stop()
	}
	s.timers = nil
	open := slices.Collect(maps.Keys(s.late))
	for p := s.oldest; p != nil; {
		next := p.next
		p.done, p.prev, p.next = true, nil, nil // none is to hold the others
		open = append(open, p)
		p = next
	}
	s.oldest, s.newest = nil, nil
	return open
}

// waitingBeat is how often a stream writes a space whose reader waits for room
// in the window: it does not see the peer go, but the write fails then.
const waitingBeat = 5 * time.Second

// beat has quiet look soon, now that the reader waits. Called with mu held.
func (s *session) beat() {
	if !s.over {
		s.quietTimer.Reset(min(waitingBeat, s.srv.opt.QuietAfter))
	}
}

// quiet looks whether the stream has been silent for too long: it writes a
// space, pings, or gives the peer up; then it sleeps until the next thing may
// be due (docs/protocol.md, Keepalive).
func (s *session) quiet() {
	opt := &s.srv.opt
	now := time.Now()
	in, out := s.LastIn(), s.LastOut()

	s.mu.Lock()
	beat := opt.QuietAfter
	if s.waiting {
		beat = min(beat, waitingBeat)
	}
	space, ping := now.Sub(out) >= beat, false
	if space {
		out = now
	}
	switch {
	case s.waiting || !s.pinged.IsZero() && !in.Before(s.pinged):
		s.pinged = time.Time{} // it lives, or it is we who do not read
		if s.waiting {
			in = now
		}
	case !s.pinged.IsZero() && now.Sub(s.pinged) >= opt.PingTimeout:
		if s.ponged || !kernelWatches(s.Conn.Conn) {
			s.mu.Unlock()
			s.End(errPeerDead)
			return
		}
		// This peer has never answered a ping. As long as the kernel gets its
		// segments acknowledged, the peer lives.
		s.pinged = time.Time{}
		in = now
	}
	if s.pinged.IsZero() && now.Sub(in) >= opt.QuietAfter {
		ping = true
		s.pinged = now
	}
	next := min(out.Add(beat).Sub(now), in.Add(opt.QuietAfter).Sub(now))
	if !s.pinged.IsZero() {
		next = min(out.Add(beat).Sub(now), s.pinged.Add(opt.PingTimeout).Sub(now))
	}
	if !s.over {
		s.quietTimer.Reset(max(next, time.Millisecond))
	}
	s.mu.Unlock()
	if space {
		s.reply(func(dst []byte) []byte { return append(dst, xmpp.KeepAlive...) })
	}
	if ping {
		s.reply(func(dst []byte) []byte { return xmpp.AppendPing(dst, ccs.DefaultHost, s.jid(), "ping") })
	}
	s.Flush()
}

// kernelWatches reports whether the operating system itself ends conn when
// bytes of ours stay unacknowledged (see [watchByKernel]).
func kernelWatches(conn net.Conn) bool {
	_, ok := tcpOf(conn)
	return ok && userTimeout
}

// A tcpConn is a [net.TCPConn], or what has one inside and its methods.
type tcpConn interface {
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SyscallConn() (syscall.RawConn, error)
}

func tcpOf(conn net.Conn) (tcpConn, bool) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	t, ok := conn.(tcpConn)
	return t, ok
}
