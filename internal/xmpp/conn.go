package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"penstock/ccs"
)

// Causes for the end of a [Conn], beside stream errors and failures.
var (
	ErrGoodbye = errors.New("closed in order") // ours: the closing tag is written
	ErrCut     = errors.New("cut")             // ours: the connection is reset, nothing is written
)

// GoodbyeTime bounds how long a stream's last words may take to leave, and how
// long the connection then waits for the peer to close its side
// (docs/protocol.md, End of the stream).
const GoodbyeTime = 2 * time.Second

// A PanicError is what became of a panic in a stanza's handler: it costs the
// stream, never the process.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// A Conn is the connection of one stream, at either end, with its reader and
// its writer. During login one goroutine calls [Conn.Reader] and [Conn.Send].
// After that [Conn.Run] has the reader, and any goroutine may call the rest.
type Conn struct {
	net.Conn
	rd *Reader
	w  *Writer

	// CaughtUp is called by the reading goroutine when it has handled all that it
	// has read, and Received whenever bytes came; Ended, by Run, when nothing is
	// read any more and the last words are out, before the connection is closed:
	// that may take a while, since the peer closes too. Set them before Run, or
	// leave them nil.
	CaughtUp func()
	Received func()
	Ended    func()

	lastIn, lastOut atomic.Int64 // Unix nanoseconds
	ctx             context.Context
	end             context.CancelCauseFunc
	last            atomic.Bool // EndWhenRead was called
	running         bool        // Run has begun: the reading goroutine's own
}

// NewConn makes a Conn of a connection that is ready for the stream's first
// header: TLS, if any, is done.
func NewConn(conn net.Conn, read ReaderOptions, write WriterOptions) *Conn {
	c := &Conn{Conn: conn}
	c.rd = NewReader((*inlet)(c), read)
	c.w = NewWriter((*outlet)(c), write)
	now := time.Now().UnixNano()
	c.lastIn.Store(now)
	c.lastOut.Store(now)
	c.ctx, c.end = context.WithCancelCause(context.Background())
	return c
}

// Reader is the stream's reader, for the goroutine that logs in.
func (c *Conn) Reader() *Reader { return c.rd }

// Send writes b at once. Only for logging in, before Run.
func (c *Conn) Send(b []byte) error {
	_, err := c.Write(b)
	return err
}

// Append adds to what is to leave (see [Writer.Append]).
func (c *Conn) Append(f func(dst []byte) []byte) error { return c.w.Append(f) }

// Flush lets leave what is pending. The reading goroutine need not call it: it
// flushes by itself before it waits for input, so that answers travel in batches.
func (c *Conn) Flush() { c.w.Flush() }

// Pending is how many bytes wait to leave.
func (c *Conn) Pending() int { return c.w.Pending() }

// LastIn is when bytes last came.
func (c *Conn) LastIn() time.Time { return time.Unix(0, c.lastIn.Load()) }

// LastOut is when bytes last left.
func (c *Conn) LastOut() time.Time { return time.Unix(0, c.lastOut.Load()) }

// Done is closed when the stream's end has begun; Cause tells why.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Cause is why the stream ends or has ended; nil while it lives.
func (c *Conn) Cause() error { return context.Cause(c.ctx) }

// End ends the stream. The first cause counts and decides about the last words:
// a [*ccs.StreamError] is written; for [ErrGoodbye], [ErrClosed] and a
// [*PeerError] the closing tag is; for [ErrCut] the connection is reset; for any other nothing is written.
func (c *Conn) End(cause error) { c.end(cause) }

// EndWhenRead ends the stream in order, as [ErrGoodbye], once the reader has
// handled all that it has read from the connection.
func (c *Conn) EndWhenRead() {
	c.last.Store(true)
	c.SetReadDeadline(time.Unix(1, 0))
}

// An inlet is the connection as the reader sees it.
type inlet Conn

func (in *inlet) Read(p []byte) (int, error) {
	if in.running {
		in.w.Flush()
		if in.CaughtUp != nil {
			in.CaughtUp()
		}
	}
	n, err := in.Conn.Read(p)
	if n > 0 {
		in.lastIn.Store(time.Now().UnixNano())
		if in.running && in.Received != nil {
			in.Received()
		}
	}
	return n, err
}

// An outlet is the connection as the writer sees it.
type outlet Conn

func (out *outlet) Write(p []byte) (int, error) {
	n, err := out.Conn.Write(p)
	out.lastOut.Store(time.Now().UnixNano())
	return n, err
}

func (out *outlet) SetWriteDeadline(t time.Time) error { return out.Conn.SetWriteDeadline(t) }

// Run hands the stream's elements to handle, one after the other, until handle
// returns an error, the peer ends the stream, or [Conn.End] is called. It then
// says the last words, closes the connection and returns the cause: [ErrClosed]
// if it was the peer's closing tag. It starts the writing goroutine and waits
// for it.
func (c *Conn) Run(handle func(Element) error) error {
	c.running = true
	woken := make(chan struct{})
	var limit *time.Timer
	context.AfterFunc(c.ctx, func() {
		defer close(woken)
		if errors.Is(c.Cause(), ErrCut) {
			c.w.Abort(ErrCut)
			reset(c.Conn)
		}
		// A peer that does not read must not keep the last words from ending.
		limit = time.AfterFunc(GoodbyeTime, func() {
			c.w.Abort(os.ErrDeadlineExceeded)
			c.Close()
		})
		c.SetReadDeadline(time.Unix(1, 0))
	})
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := c.w.Run(); err != nil {
			c.end(fmt.Errorf("write: %w", err))
		}
	}()
	c.end(c.read(handle)) // whoever was first has named the cause
	<-woken               // or its deadline would hit the reading that is to come
	cause := c.Cause()
	softly := c.sayGoodbye(cause)
	<-written
	limit.Stop()
	if c.Ended != nil {
		c.Ended()
	}
	if softly {
		CloseSoftly(c.Conn)
	} else {
		c.Close()
	}
	return cause
}

// read handles elements until the stream ends, and returns why.
func (c *Conn) read(handle func(Element) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.Join(&PanicError{Value: v, Stack: debug.Stack()},
				&ccs.StreamError{Condition: ccs.ConditionInternalServerError})
		}
	}()
	for {
		el, err := c.rd.Next()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			if c.last.Load() {
				return ErrGoodbye
			}
			return c.Cause() // End woke us; its cause counts
		}
		for c.w.Full() && c.ctx.Err() == nil {
			// The peer does not read what it asked for: we read no further.
			c.w.Flush()
			select {
			case <-c.w.Room():
			case <-c.ctx.Done():
			}
		}
		if c.ctx.Err() != nil {
			return c.Cause() // nothing that comes behind the end has a meaning
		}
		if err := handle(el); err != nil {
			return err
		}
	}
}

// sayGoodbye appends the last words, and reports whether the cause left any to say.
func (c *Conn) sayGoodbye(cause error) bool {
	defer c.w.Close()
	end := func(dst []byte) []byte { return append(dst, StreamEnd...) }
	_, theirs := errors.AsType[*PeerError](cause)
	ours, ok := errors.AsType[*ccs.StreamError](cause)
	switch {
	case theirs, errors.Is(cause, ErrGoodbye), errors.Is(cause, ErrClosed):
		return c.w.Append(end) == nil
	case ok:
		return c.w.Append(func(dst []byte) []byte { return end(AppendStreamError(dst, ours)) }) == nil
	}
	return false
}

// A PeerError is a stream error that the peer wrote.
type PeerError struct{ Stream *ccs.StreamError }

func (e *PeerError) Error() string { return "the peer ended the stream: " + e.Stream.Error() }

// Unwrap returns the stream error.
func (e *PeerError) Unwrap() error { return e.Stream }

// PeerErrorOf reads a <stream:error> of the peer's; false if el is none.
func PeerErrorOf(el Element) (*PeerError, bool) {
	e, ok := el.StreamError()
	return &PeerError{Stream: e}, ok
}

// CloseSoftly closes a connection so that what was written arrives: closing
// with unread bytes would send a reset, which may overtake them. It closes the
// writing side, then reads and discards until the peer closes too, or
// [GoodbyeTime] is over.
func CloseSoftly(conn net.Conn) {
	defer conn.Close()
	if c, ok := conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() != nil {
		return
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if t, ok := c.NetConn().(interface{ CloseWrite() error }); ok && t.CloseWrite() != nil {
			return
		}
	}
	if conn.SetReadDeadline(time.Now().Add(GoodbyeTime)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
	}
}

// reset closes a connection at once; what has not left is lost.
func reset(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	switch c := conn.(type) {
	case interface{ SetLinger(int) error }:
		_ = c.SetLinger(0)
	case interface{ Reset() }:
		c.Reset()
	}
	conn.Close()
}
