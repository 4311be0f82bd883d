package ccsclient

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// places bound the unfinished calls of a pool. Whoever waits for one gets it in
// the order of asking. A program that hands over faster than answers come would
// be woken for each answer, which costs more than the answer itself; so while
// somebody waits, places that get free on a reading goroutine are given back
// several at a time, at the latest when it has handled all that it has read, or,
// if a program's function holds it up, a moment later.
type places struct {
	mu      *sync.Mutex   // the pool's
	tokens  chan struct{} // one for each call; full: wait
	waiting atomic.Int32
	owed    atomic.Int32 // free, but not given back yet. Changed with mu held
	held    *time.Timer  // of giveBackHeld; nil: none was held back yet. Guarded by mu
}

// placesAtOnce is how many free places are held back at most, placesHeld how
// long.
const (
	placesAtOnce = 64
	placesHeld   = 5 * time.Millisecond
)

func newPlaces(mu *sync.Mutex, n int) places {
	return places{mu: mu, tokens: make(chan struct{}, n)}
}

// take waits for a place until ctx ends or closing is closed.
func (p *places) take(ctx context.Context, closing <-chan struct{}) error {
	select {
	case p.tokens <- struct{}{}:
		return nil
	default:
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.tokens <- struct{}{}:
		return nil
	case <-closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// free notes that a call has ended. Called with mu held.
func (p *places) free() {
	n := p.owed.Add(1)
	switch {
	case n >= placesAtOnce, p.waiting.Load() == 0:
		p.giveBack()
	case n > 1: // the timer runs
	case p.held == nil:
		p.held = time.AfterFunc(placesHeld, p.giveBackHeld)
	default:
		p.held.Reset(placesHeld)
	}
}

func (p *places) giveBackHeld() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack()
}

// giveBack lets others have what is free. Called with mu held. The timer is left
// alone: what it finds then is not less free.
func (p *places) giveBack() {
	for range p.owed.Swap(0) {
		<-p.tokens
	}
}
