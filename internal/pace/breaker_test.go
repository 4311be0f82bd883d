package pace_test

import (
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

func quick() *pace.Options { return &pace.Options{PerMinute: -1} }

func TestTheOperatorsMattersHoldTheProject(t *testing.T) {
	for _, tt := range []struct {
		name  string
		class fcm.Class
		why   pace.Reason
	}{
		{"S-17 R-F21 a broken credential", fcm.Credential, pace.Credential},
		{"S-27 R-F23 a broken configuration", fcm.Configuration, pace.Configuration},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, quick())
			change := c.try(device, pace.Outcome{Class: tt.class})
			if change != (pace.Change{Held: tt.why, For: 10 * time.Second}) {
				t.Errorf("change %+v", change)
			}
			// One probe at a time, with growing pauses.
			wait := 10 * time.Second
			for range 8 {
				c.wantWait(tt.why, wait)
				if why, left := c.g.Held(c.now); why != tt.why || left != wait {
					t.Errorf("held by %v for %v", why, left)
				}
				if st := c.g.State(c.now); st.Held != tt.why || st.For != wait {
					t.Errorf("state %+v", st)
				}
				c.sleep(wait - 1)
				c.wantWait(tt.why, 1)
				c.sleep(1)
				probe := c.admit(device).Ticket
				c.wantWait(tt.why, 0)
				c.sleep(time.Minute)
				c.wantWait(tt.why, 0)
				if why, left := c.g.Held(c.now); why != tt.why || left != 0 {
					t.Errorf("held by %v for %v while a probe is under way", why, left)
				}
				if change := c.g.Report(c.now, probe, pace.Outcome{Class: tt.class}); change != (pace.Change{}) {
					t.Errorf("change %+v, want none", change)
				}
				wait = min(2*wait, 5*time.Minute)
			}
			c.sleep(wait)
			if change := c.try(device, pace.Outcome{}); change != (pace.Change{Resumed: tt.why}) {
				t.Errorf("change %+v, want it to go on", change)
			}
			for range 100 {
				c.try(device, pace.Outcome{})
			}
			if change := c.try(device, pace.Outcome{Class: tt.class}); change.For != 10*time.Second {
				t.Errorf("change %+v, want the first pause again", change)
			}
		})
	}
	t.Run("S-32 for longer if FCM says so", func(t *testing.T) {
		c := newClock(t, quick())
		c.try(device, pace.Outcome{Class: fcm.Configuration, RetryAfter: time.Minute})
		c.wantWait(pace.Configuration, time.Minute)
	})
	t.Run("what was on its way changes nothing", func(t *testing.T) {
		c := newClock(t, quick())
		var late []pace.Ticket
		for range 4 {
			late = append(late, c.admit(device).Ticket)
		}
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.sleep(time.Second)
		for i, o := range []pace.Outcome{{}, {Class: fcm.Credential}, {Class: fcm.Configuration}} {
			if change := c.g.Report(c.now, late[i], o); change != (pace.Change{}) {
				t.Errorf("change %+v, want none", change)
			}
			c.wantWait(pace.Credential, 9*time.Second)
		}
		c.sleep(9 * time.Second)
		c.try(device, pace.Outcome{})
		if change := c.g.Report(c.now, late[3], pace.Outcome{Class: fcm.Credential}); change != (pace.Change{}) {
			t.Errorf("change %+v, want none from before it was mended", change)
		}
		c.admit(device)
	})
	t.Run("an outage meanwhile mends nothing", func(t *testing.T) {
		c := newClock(t, quick())
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.sleep(10 * time.Second)
		if change := c.try(device, pace.Outcome{Class: fcm.Unavailable}); change != (pace.Change{}) {
			t.Errorf("change %+v, want none", change)
		}
		c.wantWait(pace.Credential, 20*time.Second)
	})
	t.Run("one matter may hide another", func(t *testing.T) {
		c := newClock(t, quick())
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.sleep(10 * time.Second)
		change := c.try(device, pace.Outcome{Class: fcm.Configuration})
		if change != (pace.Change{Held: pace.Configuration, For: 10 * time.Second, Resumed: pace.Credential}) {
			t.Errorf("change %+v", change)
		}
	})
	t.Run("a quota says that the rest is well", func(t *testing.T) {
		c := newClock(t, quick())
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.sleep(10 * time.Second)
		change := c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Second})
		if change != (pace.Change{Held: pace.Quota, For: time.Second, Resumed: pace.Credential}) {
			t.Errorf("change %+v", change)
		}
		c.wantWait(pace.Quota, time.Second)
	})
	t.Run("a probe keeps to the project's quota and to its target's", func(t *testing.T) {
		c := newClock(t, quick())
		late, probe := c.admit(device).Ticket, c.admit(other).Ticket
		c.g.Report(c.now, late, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: time.Minute})
		c.g.Report(c.now, probe, pace.Outcome{Class: fcm.Credential})
		if why, left := c.g.Held(c.now); why != pace.Credential || left != time.Minute {
			t.Errorf("held by %v for %v, want the longer one", why, left)
		}
		c.sleep(10 * time.Second)
		c.wantWait(pace.Quota, 50*time.Second)
	})
}

// Whoever mends what holds the project need not wait for the next probe.
func TestWhatWasRefusedUnaskedSaysNothing(t *testing.T) {
	unasked := pace.Outcome{Class: fcm.InvalidMessage, Unasked: true}
	t.Run("of an operator's matter", func(t *testing.T) {
		c := newClock(t, quick())
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.sleep(10 * time.Second)
		for range 3 { // each takes the place of the probe, and gives it back
			if change := c.try(device, unasked); change != (pace.Change{}) {
				t.Errorf("change %+v, want none", change)
			}
		}
		if why, left := c.g.Held(c.now); why != pace.Credential || left != 0 {
			t.Errorf("held by %v for %v", why, left)
		}
		c.try(device, pace.Outcome{Class: fcm.Credential})
		c.wantWait(pace.Credential, 20*time.Second) // the second one in a row
	})
	t.Run("of a storm", func(t *testing.T) {
		c := newClock(t, quick())
		for range 19 {
			c.try(device, pace.Outcome{Class: fcm.Unavailable})
		}
		for range 100 {
			c.try(device, unasked)
		}
		if change := c.try(device, pace.Outcome{Class: fcm.Unavailable}); change.Held != pace.Storm {
			t.Errorf("change %+v, want it held", change)
		}
	})
	t.Run("but gives its place back", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, MaxInFlight: 1})
		c.try(device, unasked)
		c.try(device, pace.Outcome{})
	})
}

func TestS_17_S_27_WhatIsMendedIsTriedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		class fcm.Class
		why   pace.Reason
	}{
		{"S-17 a credential", fcm.Credential, pace.Credential},
		{"S-27 a configuration", fcm.Configuration, pace.Configuration},
	} {
		held := func(t *testing.T) *clock {
			c := newClock(t, quick())
			c.try(device, pace.Outcome{Class: tt.class})
			for _, wait := range []time.Duration{10, 20, 40} {
				c.sleep(wait * time.Second)
				c.try(device, pace.Outcome{Class: tt.class})
			}
			c.wantWait(tt.why, 80*time.Second)
			return c
		}
		mend := func(c *clock) {
			c.t.Helper()
			if !c.g.Mended(c.now) {
				c.t.Error("nothing was to be mended")
			}
			if why, left := c.g.Held(c.now); why != tt.why || left != 0 {
				c.t.Errorf("held by %v for %v, want until the next try", why, left)
			}
		}
		t.Run(tt.name+", and all is well", func(t *testing.T) {
			c := held(t)
			mend(c)
			probe := c.admit(device).Ticket
			c.wantWait(tt.why, 0) // one alone
			if change := c.g.Report(c.now, probe, pace.Outcome{}); change != (pace.Change{Resumed: tt.why}) {
				t.Errorf("change %+v, want it to go on", change)
			}
			c.admit(device)
			c.admit(other)
		})
		t.Run(tt.name+", in vain", func(t *testing.T) {
			c := held(t)
			mend(c)
			// The operator is told once more, and the waits begin anew.
			if change := c.try(device, pace.Outcome{Class: tt.class}); change != (pace.Change{Held: tt.why, For: 10 * time.Second}) {
				t.Errorf("change %+v, want it to be held still", change)
			}
			c.wantWait(tt.why, 10*time.Second)
			c.sleep(10 * time.Second)
			if change := c.try(device, pace.Outcome{Class: tt.class}); change != (pace.Change{}) {
				t.Errorf("change %+v, want none", change)
			}
			c.wantWait(tt.why, 20*time.Second)
		})
		t.Run(tt.name+", while a probe is under way", func(t *testing.T) {
			for _, word := range []fcm.Class{tt.class, fcm.Unavailable, fcm.Unregistered, 0} {
				c := held(t)
				c.sleep(80 * time.Second)
				probe := c.admit(device).Ticket
				c.sleep(time.Second)
				mend(c)
				c.wantWait(tt.why, 0)
				change := c.g.Report(c.now, probe, pace.Outcome{Class: word})
				if word == fcm.Unregistered || word == 0 {
					if change != (pace.Change{Resumed: tt.why}) {
						t.Errorf("%v: change %+v, want it to go on", word, change)
					}
					continue
				}
				// It began before: the next one counts, and comes at once.
				if change != (pace.Change{}) {
					t.Errorf("%v: change %+v, want none", word, change)
				}
				if change := c.try(device, pace.Outcome{}); change != (pace.Change{Resumed: tt.why}) {
					t.Errorf("%v: change %+v, want it to go on", word, change)
				}
			}
		})
	}
	t.Run("nothing else is mended", func(t *testing.T) {
		c := newClock(t, quick())
		if c.g.Mended(c.now) {
			t.Error("nothing was broken")
		}
		late := c.admit(device).Ticket
		if change := c.g.Report(c.now, late, pace.Outcome{Class: fcm.Credential}); change.Held != pace.Credential {
			t.Errorf("change %+v, want it to be held", change)
		}
		c = newClock(t, quick())
		c.outcomes(20, always(fcm.Unavailable))
		if why, _ := c.g.Held(c.now); why != pace.Storm || c.g.Mended(c.now) {
			t.Errorf("held by %v, want a storm, which nobody mends", why)
		}
		c.wantWait(pace.Storm, time.Second)
	})
}

// outcomes reports a number of them, one each millisecond, and returns after
// how many something changed; 0: nothing did.
func (c *clock) outcomes(n int, of func(i int) fcm.Class) (int, pace.Change) {
	c.t.Helper()
	for i := range n {
		if change := c.try(device, pace.Outcome{Class: of(i)}); change != (pace.Change{}) {
			return i + 1, change
		}
		c.sleep(time.Millisecond)
	}
	return 0, pace.Change{}
}

func always(class fcm.Class) func(int) fcm.Class { return func(int) fcm.Class { return class } }

func unlimited() *pace.Options { return pace.Unlimited() }

func TestAStormOpensTheBreaker(t *testing.T) {
	held := pace.Change{Held: pace.Storm, For: time.Second}
	for _, tt := range []struct {
		name   string
		before int // accepted ones
		of     func(i int) fcm.Class
		after  int
	}{
		{"R-F27 nothing but 503 from the beginning", 0, always(fcm.Unavailable), 20},
		{"R-F27 nothing but 500 from the beginning", 0, always(fcm.Internal), 20},
		{"R-F27 503 after all was well", 10_000, always(fcm.Unavailable), 50},
		{"a half", 0, func(i int) fcm.Class { return []fcm.Class{0, fcm.Unavailable}[i%2] }, 20},
		{"R-F28 one in a hundred", 0, func(i int) fcm.Class { return []fcm.Class{fcm.Unavailable, 0}[min(1, i%100)] }, 0},
		{"R-F28 one in ninety-seven", 0, func(i int) fcm.Class { return []fcm.Class{fcm.Unavailable, 0}[min(1, i%97)] }, 0},
		{"a quarter", 10_000, func(i int) fcm.Class { return []fcm.Class{fcm.Unavailable, 0, 0, 0}[i%4] }, 0},
		{"half of a hundred, the first among them", 0, func(i int) fcm.Class {
			if i == 0 || i > 50 {
				return fcm.Unavailable
			}
			return 0
		}, 100},
		{"dead tokens", 0, always(fcm.Unregistered), 0},
		{"bad messages", 0, always(fcm.InvalidMessage), 0},
		{"Apple's key", 0, always(fcm.ThirdPartyAuth), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, unlimited())
			if n, _ := c.outcomes(tt.before, always(0)); n != 0 {
				t.Fatal("something changed while all was well")
			}
			n, change := c.outcomes(10_000, tt.of)
			if n != tt.after {
				t.Errorf("the breaker opened after %d outcomes, want %d", n, tt.after)
			}
			if n > 0 && change != held {
				t.Errorf("change %+v, want %+v", change, held)
			}
		})
	}
	t.Run("R-F27 one probe a second", func(t *testing.T) {
		c := newClock(t, unlimited())
		c.outcomes(1000, always(fcm.Unavailable))
		for range 600 {
			c.wantWait(pace.Storm, time.Second)
			c.sleep(time.Second)
			probe := c.admit(device).Ticket
			c.wantWait(pace.Storm, 0)
			if change := c.g.Report(c.now, probe, pace.Outcome{Class: fcm.Internal}); change != (pace.Change{}) {
				t.Errorf("change %+v, want none", change)
			}
		}
		c.sleep(time.Second)
		if change := c.try(device, pace.Outcome{}); change != (pace.Change{Resumed: pace.Storm}) {
			t.Errorf("change %+v, want it to go on", change)
		}
		if n, _ := c.outcomes(1000, always(fcm.Unavailable)); n != 20 {
			t.Errorf("it opened again after %d outcomes, want 20", n)
		}
	})
	t.Run("S-34 later if FCM says so", func(t *testing.T) {
		c := newClock(t, unlimited())
		for range 20 {
			c.try(device, pace.Outcome{Class: fcm.Unavailable, RetryAfter: 5 * time.Second})
		}
		c.wantWait(pace.Storm, 5*time.Second)
		c.sleep(5 * time.Second)
		c.try(device, pace.Outcome{Class: fcm.Unavailable, RetryAfter: 30 * time.Second})
		c.wantWait(pace.Storm, 30*time.Second)
	})
	t.Run("a probe may find that an operator must act", func(t *testing.T) {
		c := newClock(t, unlimited())
		c.outcomes(1000, always(fcm.Unavailable))
		c.sleep(time.Second)
		change := c.try(device, pace.Outcome{Class: fcm.Credential})
		if change != (pace.Change{Held: pace.Credential, For: 10 * time.Second, Resumed: pace.Storm}) {
			t.Errorf("change %+v", change)
		}
	})
	t.Run("failures far apart are none", func(t *testing.T) {
		c := newClock(t, unlimited())
		for range 100 {
			for range 19 {
				if change := c.try(device, pace.Outcome{Class: fcm.Unavailable}); change != (pace.Change{}) {
					t.Fatalf("change %+v, want none", change)
				}
			}
			c.sleep(10*time.Second + 1)
		}
	})
	t.Run("failures not so far apart are one", func(t *testing.T) {
		c := newClock(t, unlimited())
		for range 19 {
			c.try(device, pace.Outcome{Class: fcm.Unavailable})
		}
		c.sleep(10 * time.Second)
		if change := c.try(device, pace.Outcome{Class: fcm.Unavailable}); change != held {
			t.Errorf("change %+v, want %+v", change, held)
		}
	})
	t.Run("a probe waits for a place in flight", func(t *testing.T) {
		opt := unlimited()
		opt.MaxInFlight = 21
		c := newClock(t, opt)
		late := c.admit(device).Ticket
		for range 20 {
			c.try(device, pace.Outcome{Class: fcm.Unavailable})
		}
		c.sleep(time.Second)
		probe := c.admit(device).Ticket
		c.g.Report(c.now, late, pace.Outcome{})
		c.wantWait(pace.Storm, 0) // the late one says nothing
		c.g.Report(c.now, probe, pace.Outcome{})
		c.admit(device)
	})
}

func TestAfterAnOutageTheRateGrowsFromNothing(t *testing.T) {
	down := func(c *clock, d time.Duration) {
		c.t.Helper()
		for n := 0; c.soon(pace.Outcome{Class: fcm.Unavailable}).Held != pace.Storm; n++ {
			if n > 100 {
				c.t.Fatal("the breaker did not open")
			}
		}
		for end := c.now.Add(d); c.now.Before(end); {
			c.sleep(time.Second)
			c.try(pace.Target{}, pace.Outcome{Class: fcm.Unavailable})
		}
		c.sleep(time.Second)
		if change := c.try(pace.Target{}, pace.Outcome{}); change.Resumed != pace.Storm {
			c.t.Fatalf("change %+v, want it to go on", change)
		}
	}
	// reach checks the way to n a second with much waiting, from now on.
	reach := func(c *clock, n int) {
		c.t.Helper()
		from := c.since()
		c.pour(3 * time.Minute)
		for s := range 105 {
			at := from + time.Duration(s)*time.Second
			got := c.between(at, at+time.Second)
			// Each second its share, and a burst at the beginning.
			if limit := max(11, n*(s+1)/60+n/20+1); got > limit {
				c.t.Errorf("second %d after the outage has %d messages, want at most %d", s, got, limit)
			}
			if got > 2*n {
				c.t.Errorf("second %d after the outage has %d messages, twice what was normal is %d", s, got, 2*n)
			}
		}
		at := from + 62*time.Second
		if got := c.between(at, at+time.Second); got < n*98/100 {
			c.t.Errorf("a minute after the outage %d messages a second, want %d", got, n)
		}
		// Then what came before counts no more.
		at = from + 112*time.Second
		if got := c.between(at, at+time.Second); got <= 2*n {
			c.t.Errorf("two minutes after the outage %d messages a second, want more than before", got)
		}
	}
	opt := &pace.Options{PerMinute: 600_000}
	t.Run("R-F27 to what was normal in a minute", func(t *testing.T) {
		c := newClock(t, opt)
		c.steady(150, 2*time.Minute)
		down(c, 10*time.Minute)
		reach(c, 150)
	})
	t.Run("what is normal is not forgotten by a second outage", func(t *testing.T) {
		c := newClock(t, opt)
		c.steady(150, 2*time.Minute)
		for range 3 {
			down(c, 10*time.Second)
			c.pour(20 * time.Second)
		}
		down(c, 2*time.Minute)
		reach(c, 150)
	})
	t.Run("what was normal long ago does not count", func(t *testing.T) {
		c := newClock(t, opt)
		c.steady(20, 2*time.Minute)
		down(c, time.Minute)
		c.pour(3 * time.Minute)
		c.sleep(time.Hour)
		c.steady(150, 2*time.Minute)
		down(c, time.Minute)
		reach(c, 150)
	})
	t.Run("what was just sent counts less than a minute", func(t *testing.T) {
		c := newClock(t, opt)
		c.steady(150, 20*time.Second)
		down(c, time.Minute)
		reach(c, 150)
	})
	t.Run("a few are not slowed down", func(t *testing.T) {
		c := newClock(t, opt)
		c.steady(2, time.Minute)
		down(c, time.Minute)
		from := c.since()
		c.pour(10 * time.Second)
		if got := c.between(from, c.since()); got < 98 || got > 101 {
			t.Errorf("%d messages in ten seconds, want 100", got)
		}
	})
	t.Run("not without a ramp", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: 600_000, Ramp: -1})
		c.steady(150, time.Minute)
		down(c, time.Minute)
		from := c.since()
		c.pour(time.Second)
		if got := c.between(from, c.since()); got < 9000 {
			t.Errorf("%d messages in a second, want the whole rate", got)
		}
	})
}
