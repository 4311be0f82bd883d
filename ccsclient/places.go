package ccsclient

import (
	"context"
	"sync/atomic"
)

// places bound the unfinished calls of a pool. Whoever waits for one gets it in
// the order of asking. A program that hands over faster than answers come would
// be woken for each answer, which costs more than the answer itself; so while
// somebody waits, places that get free on a reading goroutine are given back
// several at a time, and at the latest when it has handled all that it has read.
type places struct {
	tokens  chan struct{} // one for each call; full: wait
	waiting atomic.Int32
	owed    atomic.Int32 // free, but not given back yet. Changed with the pool's mu held
}

// placesAtOnce is how many free places are held back at most.
const placesAtOnce = 64

func newPlaces(n int) places { return places{tokens: make(chan struct{}, n)} }

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
	if n := p.owed.Add(1); n >= placesAtOnce || p.waiting.Load() == 0 {
		p.giveBack()
	}
}

// giveBack lets others have what is free. Called with mu held.
func (p *places) giveBack() {
	for range p.owed.Swap(0) {
		<-p.tokens
	}
}
