package downstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

func TestStartAndStop(t *testing.T) {
	t.Run("messages may be handed over before Run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := prepare(t, newFarEnd(), downstream.Options{})
			r := h.submit(to("a"))
			time.Sleep(time.Second)
			r.wantNone(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var running sync.WaitGroup
			running.Go(func() { _ = h.lane.Run(ctx) })
			synctest.Wait()
			r.wantAccepted(t)
			if err := h.lane.Run(ctx); err == nil {
				t.Error("Run may be called twice")
			}
			cancel()
			running.Wait()
		})
	})
	t.Run("Shutdown refuses what waits and waits for what flies", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = 5 * time.Second
			opt := unlimited()
			opt.Pace.MaxInFlight = 1
			h := prepare(t, far, opt)
			done := make(chan error, 1)
			go func() { done <- h.lane.Run(t.Context()) }()
			synctest.Wait()
			flies, waits := h.submit(to("a")), h.submit(to("b"))
			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			flies.wantAccepted(t)
			flies.wantAt(t, 5*time.Second)
			if e := waits.wantNotSent(t); !errors.Is(e, downstream.ErrClosed) {
				t.Errorf("cause %v, want ErrClosed", e.Err)
			}
			waits.wantAt(t, 0)
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if e := h.submit(to("c")).wantNotSent(t); !errors.Is(e, downstream.ErrClosed) {
				t.Errorf("cause %v, want ErrClosed", e.Err)
			}
			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Errorf("a second Shutdown: %v", err)
			}
		})
	})
	t.Run("Shutdown refuses what rests", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.fate = func(time.Duration, *downstream.Message) error { return refused() }
			h := start(t, far, downstream.Options{})
			r := h.submit(to("a"))
			synctest.Wait()
			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if e := r.wantNotSent(t); !errors.Is(e, downstream.ErrClosed) {
				t.Errorf("cause %v, want ErrClosed", e.Err)
			}
			time.Sleep(time.Minute)
			if n := len(far.seen()); n != 1 {
				t.Errorf("%d tries, want 1", n)
			}
		})
	})
	t.Run("what fails while the lane shuts down is not tried again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = time.Second
			far.fate = func(time.Duration, *downstream.Message) error { return refused() }
			h := start(t, far, downstream.Options{})
			r := h.submit(to("a"))
			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			r.wantNotSent(t)
			r.wantAt(t, time.Second)
		})
	})
	t.Run("Shutdown cuts what flies when its context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = time.Hour
			h := start(t, far, downstream.Options{})
			r := h.submit(to("a"))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := h.lane.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			r.wantAt(t, 20*time.Second)
			if e := r.wantClass(t, fcm.Unavailable); !e.OutcomeUnknown {
				t.Errorf("error %v, want an unknown outcome", e)
			}
		})
	})
	t.Run("Shutdown before Run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := prepare(t, newFarEnd(), downstream.Options{})
			r := h.submit(to("a"))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := h.lane.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Shutdown: %v", err)
			}
			r.wantNotSent(t)
			if err := h.lane.Run(t.Context()); err != nil {
				t.Errorf("Run after Shutdown: %v", err)
			}
			if n := len(h.far.seen()); n != 0 {
				t.Errorf("%d tries", n)
			}
		})
	})
	t.Run("the end of Run's context cuts what flies and refuses what waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = time.Hour
			opt := unlimited()
			opt.Pace.MaxInFlight = 1
			h := prepare(t, far, opt)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() { done <- h.lane.Run(ctx) }()
			synctest.Wait()
			flies, waits := h.submit(to("a")), h.submit(to("b"))
			why := errors.New("enough")
			cancel(why)
			if err := <-done; !errors.Is(err, why) {
				t.Errorf("Run: %v, want the cause", err)
			}
			if e := flies.wantClass(t, fcm.Unavailable); !e.OutcomeUnknown {
				t.Errorf("error %v, want an unknown outcome", e)
			}
			waits.wantNotSent(t)
			h.submit(to("c")).wantNotSent(t)
			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	})
}

// TestManyGoroutines is for the race detector: everything at once, and each
// message has one answer.
func TestManyGoroutines(t *testing.T) {
	far := newFarEnd()
	n := 0
	far.fate = func(time.Duration, *downstream.Message) error {
		far.mu.Lock()
		defer far.mu.Unlock()
		n++
		switch n % 7 {
		case 0:
			return refused()
		case 1:
			return unregistered()
		case 2:
			return deviceQuota(fcm.DeviceQuota)
		}
		return nil
	}
	lane, err := downstream.New(far, &downstream.Options{Pace: &pace.Options{PerMinute: 60_000_000, Ramp: -1, MaxInFlight: 50}, MaxInWork: 200})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, lane: lane, far: far}
	var running, callers sync.WaitGroup
	running.Go(func() { _ = lane.Run(t.Context()) })
	var mu sync.Mutex
	var all []*result
	for g := range 8 {
		callers.Go(func() {
			for i := range 300 {
				if i%10 == 0 {
					lane.State()
				}
				r := h.submit(to(fmt.Sprint(g, i%50)))
				mu.Lock()
				all = append(all, r)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if err := lane.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	running.Wait()
	if counts := tally(t, all); counts["accepted"] == 0 || counts["unregistered"] == 0 {
		t.Errorf("outcomes %v", counts)
	}
	if st := lane.State(); st.InFlight != 0 || st.Waiting != 0 {
		t.Errorf("state %+v, want nothing left", st)
	}
}
