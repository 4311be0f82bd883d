package cli

import (
	"context"
	"errors"
	"fmt"

	"penstock/ccs"
	"penstock/ccsclient"
)

// A workKey names a message: ids are unique for one device only.
type workKey struct {
	kind string
	from ccs.RegistrationToken
	id   ccs.MessageID
}

func (l *listenLine) key() workKey { return workKey{l.Kind, l.device(), l.MessageID} }

// A work is a message whose handler was called and that is not acked yet: one
// upstream message and one receipt at most.
type work struct {
	tries int
	busy  bool // its handler, or its ack, is under way
}

func (l *listening) upstream(ctx context.Context, out ccsclient.Sender, m *ccs.Upstream) error {
	return l.handle(ctx, m, func(line *listenLine, tries int) error {
		if l.served[m.Data["action"]] {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(l.commands, cancel)()
			return l.processors(ctx, out, m)
		}
		return l.runCommand(line, tries)
	})
}

func (l *listening) receipt(ctx context.Context, r *ccs.Receipt) error {
	return l.handle(ctx, r, l.runCommand)
}

// handle shows a message and does the work for it. What is not to be acked is
// left unhandled.
func (l *listening) handle(ctx context.Context, m ccs.FromServer, do func(line *listenLine, tries int) error) error {
	line := lineOf(m)
	d := ccsclient.DeliveryOf(ctx)
	line.Stream, line.Redelivered = d.Stream.ID, d.Redelivered
	leave := func() error {
		l.rest(line.key())
		return ccsclient.ErrUnhandled
	}
	tries := l.begin(line.key())
	if tries == 0 {
		return leave()
	}
	if tries == 1 {
		if err := l.print(&line); err != nil {
			l.stop(fmt.Errorf("stdout: %w: what was not written is not acked, and will come again", err))
			return leave()
		}
	}
	if line.Redelivered {
		return nil // the work was done for the first copy; only its ack was lost
	}
	err := do(&line, tries)
	switch {
	case l.commands.Err() != nil && err != nil:
		l.say("%s %s was broken off: it is not acked, and will come again", line.Kind, line.who())
		return leave()
	case errors.Is(err, ccsclient.ErrTryAgain):
		l.rest(line.key())
	}
	return err
}

// begin notes that a message's handler was called, and returns how often it was
// by now; 0: nothing more is handled.
func (l *listening) begin(key workKey) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return 0
	}
	w := l.works[key]
	if w == nil {
		w = &work{}
		l.works[key] = w
	}
	w.tries++
	w.busy = true
	return w.tries
}

// rest notes that a message waits, to be tried again or for the end.
func (l *listening) rest(key workKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.works[key]; w != nil {
		w.busy = false
	}
	l.tellIdle()
}

// handled hears that a message is done with for good, and acked.
func (l *listening) handled(m ccs.FromServer, err error) {
	line := lineOf(m)
	if err != nil {
		l.say("failed for good, and acked: %s %s: %v", line.Kind, line.who(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed++
	}
	delete(l.works, line.key())
	l.tellIdle()
}

// tellIdle is called with mu held.
func (l *listening) tellIdle() {
	if l.idle == nil {
		return
	}
	for _, w := range l.works {
		if w.busy {
			return
		}
	}
	close(l.idle)
	l.idle = nil
}

// whenIdle is closed once no handler is under way. It is called once, after
// the last one has begun.
func (l *listening) whenIdle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := make(chan struct{})
	l.idle = idle
	l.tellIdle()
	return idle
}
