package ccsclient

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"penstock/ccs"
)

// A Sender sends downstream messages; a [*Pool] is one, and so is a [*Session].
type Sender interface {
	Send(ctx context.Context, m *ccs.Downstream) (Answer, error)
}

// An UpstreamHandler handles messages from devices. Each is acked after the
// handler is done with it: when it returned nil, and also when it failed for
// good, since there is no nack in this direction. An error that wraps
// [ErrTryAgain] puts the message back in its place: it is handled again after
// 1, 2, 4, 8 and 16 s. One that wraps [ErrUnhandled] leaves the message unacked.
// ctx ends with the pool, not with the stream that brought the message; a
// Shutdown lets handlers end first. A message is left unacked, too, whose
// handler then asks for another try, or fails by [ErrClosed] since nothing more
// is sent. out is the pool, for answers; for a stream of [Dial]'s it is the [Session].
//
// A message may come twice; the second copy of one that was handled is acked
// without another call, as far as the last 10,000 go ([Options.Repeats] changes
// that). [DeliveryOf] tells which stream brought it.
type UpstreamHandler func(ctx context.Context, out Sender, m *ccs.Upstream) error

// A ReceiptHandler handles delivery receipts, like an [UpstreamHandler].
type ReceiptHandler func(ctx context.Context, r *ccs.Receipt) error

// A Delivery says how a message came to its handler.
type Delivery struct {
	// Stream is the one that brought it, as it is now. It may be gone: the
	// message is then acked nowhere, and comes again.
	Stream Stream
	// Redelivered: a handler was called for this message before, for a copy
	// that came earlier, the last 10,000 considered. Only [Options.Repeats]
	// lets such a copy reach a handler.
	Redelivered bool
}

// DeliveryOf tells how the message came for which a handler was called with
// ctx; the zero Delivery if ctx is no handler's.
func DeliveryOf(ctx context.Context) Delivery {
	o, ok := ctx.Value(originKey{}).(*origin)
	if !ok {
		return Delivery{}
	}
	return Delivery{Stream: o.s.State(), Redelivered: o.again}
}

// An origin never changes. A handled message lets go of it, since it holds the
// stream.
type origin struct {
	s     *Session
	again bool
}

type originKey struct{}

// ErrTryAgain asks for another try when a handler's error wraps it.
var ErrTryAgain = errors.New("try again")

// ErrUnhandled leaves a message unacked when a handler's error wraps it: this
// program will not handle it. The server brings it again, to whoever is there,
// when the stream is gone; until then it holds a place of the server's window.
var ErrUnhandled = errors.New("left unhandled")

const (
	maxTries = 6      // calls of a handler for one message
	inboxMax = 1_000  // messages, and receipts apart from them, that wait for a handler; and copies of one
	seenMax  = 10_000 // handled messages that are remembered
)

// An inbox hands what came from devices to the program's handlers and acks it.
// Receipts have a queue and workers of their own: they hold back no message.
type inbox struct {
	opt *Options
	out Sender
	// Written by take, never closed; read by the workers.
	upstream chan *delivery
	receipts chan *delivery
	closing  chan struct{} // closed by close: no handler begins any more
	over     chan struct{} // closed when run is done: none is under way

	mu       sync.Mutex // guards what follows, and the deliveries' fields
	seen     map[inboxKey]*delivery
	old      []inboxKey // a ring of handled ones, in the order of their end
	next     int
	isClosed bool
}

// An inboxKey names a message: ids are unique for one device only.
type inboxKey struct {
	from    ccs.RegistrationToken
	id      ccs.MessageID
	receipt bool
}

type delivery struct {
	m       ccs.FromServer
	key     inboxKey
	ack     *ccs.Ack
	origin  *origin
	started bool // its handler was called
	done    bool
	streams []*Session // which brought it and wait for its ack
}

func newInbox(opt *Options, out Sender) *inbox {
	return &inbox{
		opt: opt, out: out,
		upstream: make(chan *delivery, inboxMax), receipts: make(chan *delivery, inboxMax),
		closing: make(chan struct{}), over: make(chan struct{}),
		seen: make(map[inboxKey]*delivery),
	}
}

// close lets no handler begin any more: what waits is not acked, and will come
// again. Those under way go on.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isClosed {
		b.isClosed = true
		close(b.closing)
	}
}

// take takes over a message that s brought. It does not block; false: there is
// no room. A receipt that finds none is left unacked, for the server to bring
// again: it is not worth a stream.
func (b *inbox) take(s *Session, m ccs.FromServer) bool {
	d := &delivery{m: m, origin: &origin{s: s}}
	handled, work := false, b.upstream
	switch m := m.(type) {
	case *ccs.Upstream:
		d.key = inboxKey{m.From, m.MessageID, false}
		d.ack = &ccs.Ack{To: m.From, MessageID: m.MessageID}
		handled = b.opt.Upstream != nil
	case *ccs.Receipt:
		// Receipts of one message to several devices share their id.
		d.key = inboxKey{m.Device, m.MessageID, true}
		d.ack = &ccs.Ack{To: ccs.ReceiptFrom, MessageID: m.MessageID}
		handled, work = b.opt.Receipts != nil, b.receipts
	}
	if !handled {
		b.unhandled(m)
		return true
	}
	b.mu.Lock()
	if known := b.seen[d.key]; known != nil {
		switch {
		case !known.started, !known.done && !b.opt.Repeats:
			if len(known.streams) == inboxMax {
				b.mu.Unlock()
				return d.key.receipt
			}
			known.streams = append(known.streams, s) // acked when its first copy is handled
			b.mu.Unlock()
			return true
		case !b.opt.Repeats:
			b.mu.Unlock()
			s.ack(d.ack)
			return true
		}
		d.origin.again = true
	}
	if b.isClosed {
		b.mu.Unlock()
		return true
	}
	d.streams = append(d.streams, s)
	if planted == "early_ack" {
		s.ack(d.ack)
	}
	select {
	case work <- d:
		b.seen[d.key] = d
		b.mu.Unlock()
		return true
	default:
		b.mu.Unlock()
		if d.key.receipt {
			b.unhandled(m)
		}
		return d.key.receipt
	}
}

func (b *inbox) unhandled(m ccs.FromServer) {
	if f := b.opt.Events.Unhandled; f != nil {
		f(m)
	}
}

// run handles messages until ctx ends or the inbox is closed, on as many
// goroutines as the options say for either kind. What is not handled then is not
// acked, and will come again. It is called once.
func (b *inbox) run(ctx context.Context) {
	defer close(b.over)
	var workers sync.WaitGroup
	for range b.opt.Handlers {
		workers.Go(func() { b.serve(ctx, b.upstream) })
		workers.Go(func() { b.serve(ctx, b.receipts) })
	}
	workers.Wait()
}

func (b *inbox) serve(ctx context.Context, work <-chan *delivery) {
	for {
		select {
		case d := <-work:
			err := b.handle(ctx, d)
			switch {
			case ctx.Err() != nil:
				b.forget(d)
				return
			case b.leaves(err):
				b.forget(d)
			default:
				b.finish(d, err)
			}
		case <-b.closing:
			return
		case <-ctx.Done():
			return
		}
	}
}

// leaves reports whether a message whose handler returned err is left unacked.
func (b *inbox) leaves(err error) bool {
	if errors.Is(err, ErrUnhandled) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isClosed && (errors.Is(err, ErrTryAgain) || errors.Is(err, ErrClosed))
}

// handle calls the handler, again if it asks for it.
func (b *inbox) handle(ctx context.Context, d *delivery) error {
	b.mu.Lock()
	if b.isClosed {
		b.mu.Unlock()
		return ErrUnhandled
	}
	d.started = true
	b.mu.Unlock()
	ctx = context.WithValue(ctx, originKey{}, d.origin)
	wait := time.Second
	for try := 1; ; try++ {
		err := b.call(ctx, d)
		if !errors.Is(err, ErrTryAgain) || try == maxTries {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			wait *= 2
		case <-b.closing:
			t.Stop()
			return err
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// call calls the handler once. A panic fails the message, not the process.
func (b *inbox) call(ctx context.Context, d *delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", v, debug.Stack())
		}
	}()
	switch m := d.m.(type) {
	case *ccs.Upstream:
		return b.opt.Upstream(ctx, b.out, m)
	case *ccs.Receipt:
		return b.opt.Receipts(ctx, m)
	}
	return nil
}

// finish acks a handled message on every live stream that brought it, and
// remembers it for a while.
func (b *inbox) finish(d *delivery, err error) {
	b.mu.Lock()
	d.done = true
	streams, m, again := d.streams, d.m, d.origin.again
	d.streams, d.m, d.origin = nil, nil, nil
	switch {
	case again: // its first copy is among them
	case len(b.old) < seenMax:
		b.old = append(b.old, d.key)
	default:
		delete(b.seen, b.old[b.next])
		b.old[b.next] = d.key
		b.next = (b.next + 1) % seenMax
	}
	b.mu.Unlock()
	for _, s := range streams {
		s.ack(d.ack)
	}
	if f := b.opt.Events.Handled; f != nil {
		f(m, err)
	}
}

// forget makes a message that was not handled come in again as a new one.
func (b *inbox) forget(d *delivery) {
	b.mu.Lock()
	delete(b.seen, d.key)
	b.mu.Unlock()
}
