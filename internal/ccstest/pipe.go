package ccstest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeBuffer is how many bytes one direction holds before its writer blocks.
const pipeBuffer = 64 << 10

// Pipe makes an in-memory, full-duplex stream and returns its two ends. Both
// are of type [*Conn]. Each direction holds 64 KiB; a writer blocks when they
// are full. The ends behave as those of a TCP connection, except that a close
// is seen by the other end at once.
func Pipe() (net.Conn, net.Conn) {
	ab, ba := newHalf(), newHalf()
	return &Conn{in: ba, out: ab}, &Conn{in: ab, out: ba}
}

// A Conn is one end of a [Pipe]. All methods may be called by several
// goroutines; concurrent writes do not mix.
type Conn struct {
	in  *half // the other end writes, this one reads
	out *half // this end writes, the other one reads
}

var _ net.Conn = (*Conn)(nil)

// Read reads what the other end wrote. It returns [io.EOF] when the other end
// has closed and all is read, a timeout that wraps [os.ErrDeadlineExceeded]
// after the deadline, and [net.ErrClosed], wrapped, after Close.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, opError("read", err)
}

// Write writes all of p, or says how much of it was taken. Towards an end that
// has closed it fails with an error that is both [io.ErrClosedPipe] and
// [syscall.EPIPE].
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, opError("write", err)
}

// Close ends both directions. The other end reads what was written, then
// [io.EOF]; what it had written and nobody read is lost.
func (c *Conn) Close() error {
	if !c.out.closeWriter() {
		return opError("close", net.ErrClosed)
	}
	c.in.closeReader()
	return nil
}

// CloseWrite ends the direction towards the other end, which reads what was
// written, then [io.EOF]. Reading goes on.
func (c *Conn) CloseWrite() error {
	return opError("close", c.out.endWrites())
}

// Reset breaks the stream as a network does: bytes that nobody has read are
// gone, and each read and write at either end fails with
// [syscall.ECONNRESET], wrapped. Both ends must still be closed.
func (c *Conn) Reset() {
	c.in.breakOff()
	c.out.breakOff()
}

// LocalAddr returns an address that equals that of every other pipe.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr returns an address that equals that of every other pipe.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline wakes blocked and future reads at t; the zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return opError("set", c.in.setDeadline(&c.in.reader, t))
}

// SetWriteDeadline wakes blocked and future writes at t; the zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return opError("set", c.out.setDeadline(&c.out.writer, t))
}

// A half is one direction of a pipe.
type half struct {
	mu      sync.Mutex // guards what follows; never held while waiting
	changed sync.Cond  // signals every change; its wait is durable in a bubble

	buf     []byte // buf[off:] is written and not read
	off     int
	ended   bool // nothing more will be written
	broken  bool // Reset was called
	writing bool // a Write is under way; others wait, so that they do not mix

	reader, writer side
}

// A side is what one user of a half has set.
type side struct {
	closed  bool
	expired bool
	timer   *time.Timer // of the deadline; nil: none to come
}

func newHalf() *half {
	h := &half{}
	h.changed.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.reader.closed:
			return 0, net.ErrClosed
		case h.broken:
			return 0, os.NewSyscallError("read", syscall.ECONNRESET)
		case len(p) == 0:
			return 0, nil
		case h.reader.expired:
			return 0, os.ErrDeadlineExceeded
		case h.off < len(h.buf):
			n := copy(p, h.buf[h.off:])
			h.off += n
			if h.off == len(h.buf) {
				h.buf, h.off = h.buf[:0], 0
			}
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mine := false
	defer func() {
		if mine {
			h.writing = false
			h.changed.Broadcast()
		}
	}()
	for {
		switch {
		case h.writer.closed:
			return n, net.ErrClosed
		case h.broken:
			return n, os.NewSyscallError("write", syscall.ECONNRESET)
		case h.ended, h.reader.closed:
			return n, errPeerClosed{}
		case n == len(p):
			return n, nil
		case h.writer.expired:
			return n, os.ErrDeadlineExceeded
		case h.writing && !mine:
			// Another Write's turn. A mutex would not be a durable wait.
		default:
			h.writing, mine = true, true
			if k := h.store(p[n:]); k > 0 {
				n += k
				h.changed.Broadcast()
				continue
			}
		}
		h.changed.Wait()
	}
}

// store appends as much of p as there is room for.
func (h *half) store(p []byte) int {
	room := pipeBuffer - (len(h.buf) - h.off)
	p = p[:min(len(p), room)]
	if h.off > 0 && len(h.buf)+len(p) > cap(h.buf) {
		h.buf, h.off = h.buf[:copy(h.buf, h.buf[h.off:])], 0
	}
	h.buf = append(h.buf, p...)
	return len(p)
}

// closeWriter reports whether the writer was still open.
func (h *half) closeWriter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer.closed {
		return false
	}
	h.writer.close()
	h.ended = true
	h.changed.Broadcast()
	return true
}

func (h *half) closeReader() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reader.close()
	h.buf, h.off = nil, 0
	h.changed.Broadcast()
}

func (h *half) endWrites() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.writer.closed:
		return net.ErrClosed
	case h.broken:
		return os.NewSyscallError("shutdown", syscall.ENOTCONN)
	}
	h.ended = true
	h.changed.Broadcast()
	return nil
}

func (h *half) breakOff() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
	h.buf, h.off = nil, 0
	h.changed.Broadcast()
}

func (h *half) setDeadline(s *side, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.stop()
	s.expired = false
	if t.IsZero() {
		return nil
	}
	left := time.Until(t)
	if left <= 0 {
		s.expired = true
		h.changed.Broadcast()
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.timer == timer { // else it was replaced while it fired
			s.expired = true
			h.changed.Broadcast()
		}
	})
	s.timer = timer
	return nil
}

func (s *side) close() {
	s.closed = true
	s.stop()
}

func (s *side) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// opError dresses err as the net package does. EOF stays naked: that is what
// readers compare with.
func opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: addr{}.Network(), Source: addr{}, Addr: addr{}, Err: err}
}

// errPeerClosed says that the far end takes nothing more.
type errPeerClosed struct{}

func (errPeerClosed) Error() string   { return "write: " + syscall.EPIPE.Error() }
func (errPeerClosed) Unwrap() []error { return []error{io.ErrClosedPipe, syscall.EPIPE} }

// addr is the address of every pipe and listener: pipes have no names.
type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }
