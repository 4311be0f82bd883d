package xmpp

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

// WriterOptions bound a [Writer]. The zero value is the default.
type WriterOptions struct {
	Timeout    time.Duration // a single write that is stuck that long ends the writer; 30 s
	MaxPending int           // bytes that may wait before the writer is full; 1 MiB
}

const (
	writeTimeout  = 30 * time.Second
	maxPending    = 1 << 20
	flushItself   = 32 << 10 // pending bytes that leave without being told to
	idleBuffer    = 4 << 10  // what an idle writer may hold on to
	releaseBehind = time.Second
)

// A Writer collects what several goroutines append, and writes it in batches
// from one goroutine: while one write is under way the next batch gathers, so
// a busy stream needs far fewer writes than it has stanzas. It is for a
// connection that nobody else writes to. Run must be called once; all other
// methods may be called by several goroutines.
type Writer struct {
	dst     Deadliner
	timeout time.Duration
	max     int
	wake    chan struct{} // buffer of one; Run waits on it, anybody fills it, nobody closes it
	room    chan struct{} // buffer of one; filled when writing has got on, or has ended; nobody closes it

	mu      sync.Mutex // guards what follows
	pending []byte     // what is appended
	spare   []byte     // the other buffer, while it is not being written
	writing int        // how many bytes are being written
	ready   bool       // pending may leave
	closed  bool
	err     error // why the writer has ended
}

// A Deadliner is what a [Writer] writes to, such as a net.Conn.
type Deadliner interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// NewWriter returns a writer to dst. It writes nothing before Run is called.
func NewWriter(dst Deadliner, opt WriterOptions) *Writer {
	w := &Writer{dst: dst, timeout: opt.Timeout, max: opt.MaxPending, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	if w.timeout <= 0 {
		w.timeout = writeTimeout
	}
	if w.max <= 0 {
		w.max = maxPending
	}
	return w
}

// Append lets f append to what is pending: f gets a buffer and returns it
// longer, as append does. It is called at once, by one goroutine at a time,
// and must not call the writer. What it appends stays together, and stays here
// until Flush is called or much has gathered.
//
// Append never waits: whoever answers many streams must not be held up by one
// whose peer does not read. What keeps the pending bytes within bounds is that
// the reading goroutine of a full writer reads no further (see Full), and that
// the windows bound what others append. It returns the error that ended the
// writer, net.ErrClosed behind Close, and then has not called f.
func (w *Writer) Append(f func(dst []byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return net.ErrClosed
	}
	w.pending = f(w.pending)
	if len(w.pending) >= flushItself {
		w.flush()
	}
	return nil
}

// Full reports whether more than MaxPending bytes wait. Whoever appends in
// answer to what it reads then stops reading until Room says that writing has
// got on.
func (w *Writer) Full() bool { return w.Pending() > w.max }

// Room has a token when writing has got on, or has ended, since it was last
// taken. One goroutine may wait for it.
func (w *Writer) Room() <-chan struct{} { return w.room }

// gotOn tells whoever waits for room.
func (w *Writer) gotOn() {
	select {
	case w.room <- struct{}{}:
	default:
	}
}

// Flush lets what is pending leave now. It never blocks.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

func (w *Writer) flush() {
	if len(w.pending) > 0 && !w.ready {
		w.ready = true
		w.signal()
	}
}

// signal wakes Run.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Pending returns how many bytes have been appended and not yet written.
func (w *Writer) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) + w.writing
}

// Close takes nothing more. Run ends when what was pending is written.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.signal()
	w.gotOn()
}

// Abort ends the writer at once; what is pending is dropped. Append and Run
// return err, net.ErrClosed if that is nil, unless something ended the writer
// before. A write that is stuck is freed by closing the connection, which is
// up to its owner.
func (w *Writer) Abort(err error) {
	if err == nil {
		err = net.ErrClosed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(err)
}

// end remembers the first error and lets everybody know.
func (w *Writer) end(err error) {
	if w.err == nil {
		w.err = err
	}
	w.pending, w.spare = nil, nil
	w.signal()
	w.gotOn()
}

// Run writes what is flushed, until Close, Abort or an error. It returns nil
// behind Close, when all is written, else the first error.
func (w *Writer) Run() error {
	idle := time.NewTimer(releaseBehind)
	defer idle.Stop()
	for {
		// Others who are about to append come first: one write for all of them
		// costs hardly more than one for the first, and no time that a peer sees.
		runtime.Gosched()
		out, large, err := w.take()
		if err != nil {
			return err
		}
		if len(out) > 0 {
			w.put(out, w.write(out))
			continue
		}
		if w.finished() {
			return nil
		}
		if !large {
			<-w.wake
			continue
		}
		// A busy writer falls idle between any two batches, hence it waits
		// a little before it gives up its buffers.
		idle.Reset(releaseBehind)
		select {
		case <-w.wake:
		case <-idle.C:
			w.release()
		}
	}
}

// take swaps the buffers if something may leave. Else it reports whether the
// buffers are larger than an idle writer's should be.
func (w *Writer) take() (out []byte, large bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, false, w.err
	}
	if !w.ready && !w.closed {
		return nil, cap(w.pending) > idleBuffer || cap(w.spare) > idleBuffer, nil
	}
	out = w.pending
	w.pending, w.spare = w.spare[:0], nil
	w.ready, w.writing = false, len(out)
	return out, false, nil
}

// write writes one batch.
func (w *Writer) write(out []byte) error {
	if err := w.dst.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return fmt.Errorf("xmpp: write: %w", err)
	}
	n, err := w.dst.Write(out)
	if err == nil && n < len(out) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("xmpp: write: %w", err)
	}
	return nil
}

// put gives the buffer of a batch back, with the outcome of its write.
func (w *Writer) put(out []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = 0
	if err != nil {
		w.end(err)
	}
	if w.err != nil {
		return
	}
	w.spare = out[:0]
	w.gotOn()
}

// finished reports whether Close was called. Run asks when nothing is left.
func (w *Writer) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.pending) == 0
}

// release drops large buffers that hold nothing.
func (w *Writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 && cap(w.pending) > idleBuffer {
		w.pending = nil
	}
	if cap(w.spare) > idleBuffer {
		w.spare = nil
	}
}
