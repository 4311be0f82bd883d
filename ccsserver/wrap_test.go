package ccsserver_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"penstock/ccsserver"
)

// dumb is a connection that takes nothing more, and counts its closings.
type dumb struct {
	net.Conn
	closed *atomic.Int32
}

func (d dumb) Write([]byte) (int, error) { return 0, errors.New("broken") }
func (d dumb) Close() error              { d.closed.Add(1); return d.Conn.Close() }

// What Wrap returned is what is closed, also if bind's result cannot leave.
func TestWrappedConnectionIsClosedWhenBindsResultCannotLeave(t *testing.T) {
	var closed atomic.Int32
	opt := &ccsserver.Options{Wrap: func(_ string, c net.Conn) net.Conn { return dumb{c, &closed} }}
	play(t, opt, func(t *testing.T, srv *server) {
		p := srv.dial(t)
		p.login(sender)
		p.write(bindIQ)
		p.wantGone()
		if closed.Load() == 0 {
			t.Error("the wrapped connection was never closed")
		}
	})
}
