package pace_test

import (
	"math"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

func TestS_49_NoMinuteHasMoreThanItMay(t *testing.T) {
	for _, tt := range []struct {
		name      string
		perMinute int
		want      int
	}{
		{"the default", 0, 600_000},
		{"a few", 7, 7},
		{"one", 1, 1},
		{"sixty", 60, 60},
		{"a few thousand", 5000, 5000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, &pace.Options{PerMinute: tt.perMinute, Ramp: -1})
			c.pour(2 * time.Minute)
			// In whatever way FCM cuts its minutes.
			if got := c.most(time.Minute); got > tt.want {
				t.Errorf("%d messages in one minute, want at most %d", got, tt.want)
			}
			// And it is used: all but what a burst may be larger by.
			if got, want := len(c.at), 2*tt.want*999/1000; got < want {
				t.Errorf("%d messages in two minutes, want at least %d", got, want)
			}
			// Spread over the minute.
			if got, want := c.most(time.Second), max(1, tt.want*105/100/60+1); got > want {
				t.Errorf("%d messages in one second, want at most %d", got, want)
			}
		})
	}
	t.Run("also after a rest", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 6000, Ramp: -1})
		for range 5 {
			c.pour(40 * time.Second)
			c.sleep(20 * time.Second)
		}
		if got := c.most(time.Minute); got > 6000 {
			t.Errorf("%d messages in one minute, want at most 6000", got)
		}
	})
	t.Run("or is off", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		for range 100_000 {
			c.try(pace.Target{}, pace.Outcome{})
		}
		if got := c.g.State(c.now).Rate; got != 0 {
			t.Errorf("state says %v a second, want no rate", got)
		}
	})
}

func TestS_50_FromNothingToTheTopTakesAMinute(t *testing.T) {
	for _, tt := range []struct {
		name string
		ramp time.Duration
		want time.Duration
	}{
		{"by default", 0, time.Minute},
		{"ten minutes", 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, &pace.Options{PerMinute: 12_000, Ramp: tt.ramp}) // 200 a second
			c.pour(tt.want + 10*time.Second)
			top := func(s int) bool {
				return c.between(time.Duration(s)*time.Second, time.Duration(s+1)*time.Second) >= 198
			}
			reached := 0
			for !top(reached) {
				if reached++; reached > 2000 {
					t.Fatal("the top was never reached")
				}
			}
			// 99 in 100 of the top, and so of the time.
			if at := time.Duration(reached) * time.Second; at < tt.want*99/100 || at > tt.want+5*time.Second {
				t.Errorf("the top was reached after %v, want %v and at most 5 s more", at, tt.want)
			}
			// Evenly: no second has more than its share over the one before.
			step := int(200/tt.want.Seconds()) + 2
			for s := 1; s < reached; s++ {
				at := time.Duration(s) * time.Second
				if before, now := c.between(at-time.Second, at), c.between(at, at+time.Second); now > max(11, before+2*step) {
					t.Errorf("second %d has %d messages after %d", s, now, before)
				}
			}
		})
	}
	t.Run("again after a rest", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 12_000})
		c.pour(70 * time.Second)
		c.sleep(2 * time.Minute)
		from := c.since()
		c.pour(10 * time.Second)
		if got := c.between(from, from+time.Second); got > 12 {
			t.Errorf("%d messages in the first second after a rest", got)
		}
	})
	t.Run("but not after a short one", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 12_000})
		c.pour(70 * time.Second)
		c.sleep(30 * time.Second)
		from := c.since()
		c.pour(time.Second)
		if got := c.between(from, from+time.Second); got < 190 {
			t.Errorf("%d messages in the first second after a short rest, want 200", got)
		}
	})
	t.Run("a few are not slowed down", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 600, Ramp: time.Hour})
		c.pour(10 * time.Second)
		if got := len(c.at); got < 95 {
			t.Errorf("%d messages in ten seconds, want 100", got)
		}
	})
	t.Run("bursts do not make it shorter", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 12_000})
		for range 30 {
			c.pour(time.Second)
			c.sleep(time.Second)
		}
		if got := c.g.State(c.now).Rate; got > 10+32*190/62 {
			t.Errorf("after half a minute of sending %.0f a second, want half of 200", got)
		}
	})
	t.Run("not if it is off", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 12_000, Ramp: -1})
		c.pour(time.Second)
		if got := len(c.at); got < 195 {
			t.Errorf("%d messages in the first second, want 200", got)
		}
	})
}

// steady sends so many messages a second, evenly, each accepted at once.
func (c *clock) steady(perSecond int, d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(time.Second / time.Duration(perSecond)) {
		c.try(pace.Target{}, pace.Outcome{})
	}
}

// soon tries one message as soon as the rate lets it.
func (c *clock) soon(o pace.Outcome) pace.Change {
	c.t.Helper()
	d := c.g.Admit(c.now, pace.Target{})
	if d.Why == pace.Rate {
		c.sleep(d.Wait)
		d = c.admit(pace.Target{})
	}
	return c.g.Report(c.now, d.Ticket, o)
}

func TestR_F25_AfterTooMuchTheRateIsHalvedAndGrowsSlowly(t *testing.T) {
	c := newClock(t, &pace.Options{PerMinute: 30_000, Ramp: -1}) // 500 a second
	c.steady(200, 2*time.Minute)
	first, second := c.admit(device).Ticket, c.admit(device).Ticket
	quota := pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: 30 * time.Second}
	c.g.Report(c.now, first, quota)
	c.g.Report(c.now, second, quota) // one halving, however many were on their way
	c.sleep(30 * time.Second)
	from := c.since()
	c.pour(30 * time.Minute)
	c.g.State(c.now)
	for minute := range 9 {
		// In seconds, since a burst at the beginning is part of the first minute.
		at := from + time.Duration(minute)*time.Minute
		want := 100 * math.Pow(1.1, float64(minute))
		if got := float64(c.between(at, at+time.Second)); got > want*1.06+1 || got < want*0.97-1 {
			t.Errorf("after %d minutes %.0f messages a second, want %.0f", minute, got, want)
		}
	}
	if got := c.between(c.since()-time.Second, c.since()); got < 495 {
		t.Errorf("after half an hour %d messages a second, want all 500", got)
	}
	t.Run("each time again", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 60_000, Ramp: -1})
		c.steady(400, 2*time.Minute)
		for _, want := range []float64{200, 100, 50, 25} {
			c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
			c.sleep(time.Second)
			if got := c.g.State(c.now).Rate; math.Abs(got-want) > want/20 {
				t.Errorf("rate %.1f, want %.0f", got, want)
			}
		}
	})
	t.Run("from the first step of the ramp after a rest", func(t *testing.T) {
		for _, wait := range []time.Duration{30 * time.Second, time.Minute} {
			c := newClock(t, nil)
			for _, want := range []float64{80, 40, 20} {
				c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: wait})
				c.sleep(wait)
				if got := c.g.State(c.now).Rate; math.Abs(got-want) > 1 {
					t.Errorf("waiting for %v: rate %.1f, want %.0f", wait, got, want)
				}
			}
		}
	})
	t.Run("to half of what was used since", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 60_000, Ramp: -1})
		c.steady(400, 2*time.Minute)
		c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
		c.sleep(time.Second)
		c.steady(100, 2*time.Minute) // 200 might be sent
		c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
		c.sleep(time.Second)
		if got := c.g.State(c.now).Rate; math.Abs(got-50) > 2 {
			t.Errorf("rate %.1f, want 50", got)
		}
	})
	t.Run("not below five a second for a few", func(t *testing.T) {
		c := newClock(t, nil)
		c.steady(1, 2*time.Minute)
		c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
		c.sleep(time.Second)
		if got := c.g.State(c.now).Rate; math.Abs(got-5) > 0.1 {
			t.Errorf("rate %.1f, want 5", got)
		}
	})
	t.Run("down to one a second", func(t *testing.T) {
		c := newClock(t, nil)
		for range 10 {
			c.try(device, pace.Outcome{Class: fcm.ProjectQuota})
			c.sleep(time.Minute)
		}
		if got := c.g.State(c.now).Rate; got < 1 || got > 1.1 {
			t.Errorf("rate %v, want 1", got)
		}
	})
	t.Run("not without a rate", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
		c.sleep(time.Second)
		for range 1000 {
			c.try(device, pace.Outcome{})
		}
	})
}

func TestRepeatsHaveABudget(t *testing.T) {
	repeats := func(c *clock) int {
		n := 0
		for c.g.MayRepeat(c.now) {
			n++
		}
		return n
	}
	t.Run("R-F27 ten a second", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		for range 3 {
			if got := repeats(c); got != 10 {
				t.Errorf("%d repeats, want 10", got)
			}
			c.sleep(time.Second)
		}
	})
	t.Run("R-F27 or a tenth of what was sent in the last minute", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		c.steady(100, time.Minute)
		if got := repeats(c); got < 590 || got > 600 {
			t.Errorf("%d repeats, want 600", got)
		}
		c.sleep(time.Second)
		if got := repeats(c); got != 10 {
			t.Errorf("%d repeats a second later, want 10", got)
		}
		c.sleep(2 * time.Minute)
		if got := repeats(c); got != 10 {
			t.Errorf("%d repeats when nothing was sent, want 10", got)
		}
	})
}
