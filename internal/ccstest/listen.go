package ccstest

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// backlog is how many dialled streams may wait for Accept; the next Dial waits.
const backlog = 128

// A Listener accepts the far ends of the pipes that its Dial makes.
type Listener struct {
	waiting chan *Conn    // written by Dial, read by Accept and Close; never closed
	done    chan struct{} // closed by Close
	once    sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener for [Pipe]s.
func Listen() *Listener {
	return &Listener{waiting: make(chan *Conn, backlog), done: make(chan struct{})}
}

// Dial makes a pipe, leaves one end to Accept and returns the other. Like TCP
// it does not wait for Accept unless 128 others do. It fails when ctx ends
// first, and with [syscall.ECONNREFUSED] once the listener is closed.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", err)
	}
	if l.isClosed() {
		return nil, opError("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near, far := Pipe()
	select {
	case l.waiting <- far.(*Conn):
		if l.isClosed() {
			l.drop() // Close may have looked before we wrote
		}
		return near, nil
	case <-l.done:
		return nil, opError("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		return nil, opError("dial", ctx.Err())
	}
}

// Accept returns the next stream, or [net.ErrClosed], wrapped, after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		if !l.isClosed() {
			return c, nil
		}
		c.Reset()
	case <-l.done:
	}
	return nil, opError("accept", net.ErrClosed)
}

// Close stops the listener. Streams that nobody has accepted are reset, as a
// kernel does; accepted ones live on.
func (l *Listener) Close() error {
	err := opError("close", net.ErrClosed)
	l.once.Do(func() {
		close(l.done)
		l.drop()
		err = nil
	})
	return err
}

// Addr returns the address of every pipe.
func (l *Listener) Addr() net.Addr { return addr{} }

func (l *Listener) isClosed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *Listener) drop() {
	for {
		select {
		case c := <-l.waiting:
			c.Reset()
		default:
			return
		}
	}
}
