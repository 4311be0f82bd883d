package fcmsim

import (
	"net"
	"sync/atomic"
	"time"
)

// A faultConn is the connection of a stream whose bytes can be read slowly, and
// spoiled. Its methods may be called by any goroutine.
type faultConn struct {
	net.Conn
	pace   atomic.Pointer[pace] // nil: full speed
	closed func()
}

// A pace is how slowly a connection is read, and until when.
type pace struct {
	perStep int
	until   time.Time
}

// slowStep is the time between two slow reads.
const slowStep = 100 * time.Millisecond

// wrap makes the connection of a stream that is about to be bound one that
// faults can reach.
func (s *Sim) wrap(stream string, conn net.Conn) net.Conn {
	c := &faultConn{Conn: conn, closed: func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, stream) // it was never bound
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[stream] = c
	return c
}

// slow has so many bytes read a second, for so long; none: full speed.
func (c *faultConn) slow(bytes int, d time.Duration) {
	if bytes == 0 {
		c.pace.Store(nil)
		return
	}
	if d == 0 {
		d = defaultSlow
	}
	c.pace.Store(&pace{int(int64(bytes) * int64(slowStep) / int64(time.Second)), time.Now().Add(d)})
}

func (c *faultConn) Read(p []byte) (int, error) {
	at := c.pace.Load()
	if at != nil && !time.Now().Before(at.until) {
		c.pace.CompareAndSwap(at, nil)
		at = nil
	}
	if at != nil {
		time.Sleep(slowStep)
		p = p[:min(len(p), at.perStep)]
	}
	return c.Conn.Read(p)
}

// wrongBytes begin with what may stand nowhere in XML.
const wrongBytes = "\x00\xff]]><<wrong bytes>&\x00"

// garble writes bytes that are no XML between two batches of stanzas.
func (c *faultConn) garble() {
	// Nobody learns of an error: the stream is being spoiled anyway.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write([]byte(wrongBytes))
}

// NetConn is the connection below TLS, for whoever resets it.
func (c *faultConn) NetConn() net.Conn {
	if t, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c.Conn
}

// CloseWrite says TLS's last word, if there is TLS; the rest is up to whoever
// has [faultConn.NetConn].
func (c *faultConn) CloseWrite() error {
	t, ok := c.Conn.(interface {
		NetConn() net.Conn
		CloseWrite() error
	})
	if !ok {
		return nil
	}
	return t.CloseWrite()
}

func (c *faultConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
