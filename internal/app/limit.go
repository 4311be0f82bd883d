package app

import (
	"net"
	"sync"
)

// A connectionLimit bounds the open connections of several listeners. At the
// bound they accept no more, and new ones wait in the kernel.
type connectionLimit struct {
	places chan struct{}
	hit    func() // called when one has to wait
}

func newConnectionLimit(n int, hit func()) *connectionLimit {
	return &connectionLimit{places: make(chan struct{}, n), hit: hit}
}

func (c *connectionLimit) listener(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, limit: c, closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	limit  *connectionLimit
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a place, and then for a connection.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.limit.places <- struct{}{}:
	default:
		l.limit.hit()
		select {
		case l.limit.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.limit.places
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.limit.places })
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &limitedTCP{TCPConn: tcp, leave: leave}, nil
	}
	return &limitedConn{Conn: conn, leave: leave}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}

// A limitedTCP is a limitedConn that can be watched by the kernel, half closed and
// reset like the connection itself.
type limitedTCP struct {
	*net.TCPConn
	leave func()
}

func (c *limitedTCP) Close() error {
	err := c.TCPConn.Close()
	c.leave()
	return err
}

// ownDescriptors are kept for far ends, files and listeners, so that strangers who
// take all connections keep nothing of what was taken before from its way.
const ownDescriptors = 64

// frontConnections is how many connections the fronts may have where the process
// may have so many descriptors: those of the admin listener have their own.
func frontConnections(descriptors, admin int) int {
	return max(descriptors-ownDescriptors-admin, descriptors/2, 1)
}
