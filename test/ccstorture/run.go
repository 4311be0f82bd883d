package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// A run is one torture from its beginning to its end.
type run struct {
	seed    uint64
	total   time.Duration
	rate    int // messages a second, of all pools together
	plan    []fault
	tell    func(what string, fields map[string]any)
	show    func(r *run)
	began   time.Time
	history *history
	worlds  []*world

	timers  []timer // of the goroutine that plays the plan
	next    [senders * poolsOfSender]atomic.Int64
	hits    map[string]int
	missed  int
	bursts  sync.WaitGroup
	samples []sample
}

// A sample is what the process held at a moment.
type sample struct {
	at         time.Duration
	heap       uint64 // bytes that are alive
	goroutines int
}

func (r *run) measure() sample {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to
	runtime.ReadMemStats(&m)
	return sample{time.Since(r.began), m.HeapAlloc, runtime.NumGoroutine()}
}

// start brings up servers, proxies and pools.
func (r *run) start(dir string) error {
	for i := range senders {
		w, err := newWorld(i, r.seed, dir, r.history)
		if err != nil {
			return err
		}
		r.worlds = append(r.worlds, w)
	}
	return nil
}

// play lets it all happen, until the time is over or ctx ends.
func (r *run) play(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	var all sync.WaitGroup
	for pool := range senders * poolsOfSender {
		all.Go(func() { r.flow(ctx, pool) })
	}
	for _, w := range r.worlds {
		all.Go(func() { every(ctx, 50*time.Millisecond, w.write) })
	}
	all.Go(func() {
		every(ctx, time.Second, func() {
			r.history.sweep(time.Now().Add(-30 * time.Second))
			r.show(r)
		})
	})
	all.Go(func() {
		every(ctx, max(r.total/40, time.Second), func() {
			s := r.measure()
			r.samples = append(r.samples, s)
			r.tell("sample", map[string]any{"heap": s.heap, "goroutines": s.goroutines})
		})
	})
	for _, f := range r.plan {
		if !sleep(ctx, time.Until(r.began.Add(f.At))) {
			break
		}
		if r.befall(f) {
			r.hits[f.Kind]++
		} else {
			r.missed++
		}
		r.tell("fault", map[string]any{"kind": f.Kind, "dice": f.Dice})
	}
	<-ctx.Done()
	all.Wait()
	r.bursts.Wait()
	r.heal()
}

// quiet waits until everything has its outcome, with drains on the way, since a
// server that never answers holds a message as long as its stream lives.
func (r *run) quiet() {
	deadline := time.Now().Add(time.Minute)
	drain := time.Now().Add(3 * time.Second)
	for time.Now().Before(deadline) {
		if m, u := r.history.open(); m+u == 0 {
			return
		}
		if time.Now().After(drain) {
			drain = time.Now().Add(10 * time.Second)
			r.drainAll()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stop says goodbye in order, and judges what is left.
func (r *run) stop() {
	r.history.locked(func() { r.history.ending = true })
	var all sync.WaitGroup
	for _, w := range r.worlds {
		for _, p := range w.pools {
			all.Go(func() {
				bye, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := p.Shutdown(bye); err != nil {
					r.history.locked(func() { r.history.blame(kindStuck, "a pool's shutdown: %v", err) })
				}
			})
		}
	}
	all.Wait()
	for _, w := range r.worlds {
		w.close()
	}
	r.history.end()
	r.worlds, r.timers = nil, nil // so that they count for nothing in the heap
}

// flow hands messages over to a pool at its rate.
func (r *run) flow(ctx context.Context, pool int) {
	gap := time.Duration(senders*poolsOfSender) * time.Second / time.Duration(r.rate)
	begun, n := time.Now(), 0
	every(ctx, 5*time.Millisecond, func() {
		for due := int(time.Since(begun) / gap); n < due && ctx.Err() == nil; n++ {
			r.send(ctx, pool)
		}
	})
}

// burst hands over many messages at once, beyond the flow.
func (r *run) burst(pool, n int) {
	r.bursts.Go(func() {
		for range n {
			r.send(context.Background(), pool)
		}
	})
}

// send hands the pool's next message over. ctx bounds only the wait for room.
func (r *run) send(ctx context.Context, pool int) {
	w := r.worlds[pool/poolsOfSender]
	p := w.pools[pool%poolsOfSender]
	s := makeSpec(r.seed, &w.devices, pool, int(r.next[pool].Add(1)))
	id := s.message.MessageID
	mine, cancel := context.WithCancel(context.Background())
	if s.patience > 0 {
		mine, cancel = context.WithTimeout(context.Background(), s.patience)
	}
	unlink := context.AfterFunc(ctx, cancel) // only until it is handed over
	r.history.sent(string(id))
	err := p.SendFunc(mine, s.message, func(_ ccsclient.Answer, err error) {
		cancel()
		r.history.told(string(id), verdictOf(err), time.Now())
	})
	unlink()
	if err != nil {
		cancel()
		r.history.told(string(id), verdictOf(err), time.Now())
		return
	}
	if s.withdraw > 0 {
		time.AfterFunc(s.withdraw, func() { p.Withdraw(id) })
	}
}

func verdictOf(err error) verdict {
	if nack, ok := errors.AsType[*ccs.NackError](err); ok {
		return verdict(nack.Code)
	}
	switch {
	case err == nil:
		return toldAck
	case errors.Is(err, ccsclient.ErrOutcomeUnknown):
		return toldUnknown
	}
	return toldNotSent
}

// every calls f again and again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
