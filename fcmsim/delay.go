package fcmsim

import (
	"container/heap"
	"sync"
	"time"
)

// delays call functions later, in the order of their times, from one timer:
// ten thousand answers held back must not cost ten thousand goroutines.
type delays struct {
	mu      sync.Mutex // guards what follows
	waiting delayHeap
	seq     uint64
	timer   *time.Timer // nil: none was ever needed
	running bool        // the timer's goroutine is at work and will look again
	stopped bool
}

type delayed struct {
	due time.Time
	seq uint64 // keeps the order of what is due at the same time
	f   func()
}

func (d *delays) add(wait time.Duration, f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.seq++
	it := &delayed{time.Now().Add(wait), d.seq, f}
	heap.Push(&d.waiting, it)
	if d.waiting[0] == it && !d.running {
		d.arm()
	}
}

// arm is called with mu held.
func (d *delays) arm() {
	wait := time.Until(d.waiting[0].due)
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.run)
		return
	}
	d.timer.Reset(wait)
}

func (d *delays) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running {
		return // the timer was set anew while it fired; the other one looks again
	}
	d.running = true
	for len(d.waiting) > 0 && !d.waiting[0].due.After(time.Now()) {
		f := heap.Pop(&d.waiting).(*delayed).f
		d.mu.Unlock()
		f()
		d.mu.Lock()
	}
	d.running = false
	if len(d.waiting) > 0 && !d.stopped {
		d.arm()
	}
}

// stop forgets what waits.
func (d *delays) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.waiting = nil
	if d.timer != nil {
		d.timer.Stop()
	}
}

type delayHeap []*delayed

func (h delayHeap) Len() int { return len(h) }
func (h delayHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].seq < h[j].seq
}
func (h delayHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *delayHeap) Push(x any)   { *h = append(*h, x.(*delayed)) }
func (h *delayHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
