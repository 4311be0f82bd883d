package pace_test

import (
	"fmt"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

// A clock drives a Governor through time of its own.
type clock struct {
	t     *testing.T
	g     *pace.Governor
	began time.Time
	now   time.Time
	at    []time.Duration // of each admitted message
}

func newClock(t *testing.T, opt *pace.Options) *clock {
	t.Helper()
	g := pace.New(opt)
	// A moment later, and not at the beginning of the governor's first second.
	began := time.Now().Add(300 * time.Millisecond)
	return &clock{t: t, g: g, began: began, now: began}
}

func (c *clock) since() time.Duration  { return c.now.Sub(c.began) }
func (c *clock) sleep(d time.Duration) { c.now = c.now.Add(d) }

var device, other = pace.Target{Name: "token-1"}, pace.Target{Name: "token-2"}
var topic = pace.Target{Name: "news", Topic: true}

// admit wants a message to be admitted.
func (c *clock) admit(to pace.Target) pace.Decision {
	c.t.Helper()
	d := c.g.Admit(c.now, to)
	if !d.OK {
		c.t.Fatalf("at %v: %s, want a message to be admitted", c.since(), describe(d))
	}
	return d
}

// wantWait wants a message to wait, for that reason and so long.
func (c *clock) wantWait(why pace.Reason, wait time.Duration) {
	c.t.Helper()
	d := c.g.Admit(c.now, pace.Target{})
	if d.OK || d.Refused != 0 || d.Why != why || d.Wait != wait {
		c.t.Fatalf("at %v: %s, want to wait %v for %v", c.since(), describe(d), wait, why)
	}
}

// wantRefusal wants a message to be refused for so long.
func (c *clock) wantRefusal(to pace.Target, class fcm.Class, wait time.Duration) {
	c.t.Helper()
	d := c.g.Admit(c.now, to)
	if d.OK || d.Refused != class || d.Wait != wait {
		c.t.Fatalf("at %v: %s, want refusal %v for %v", c.since(), describe(d), class, wait)
	}
	if got, left := c.g.Refuses(c.now, to); got != class || left != wait {
		c.t.Fatalf("at %v: Refuses says %v for %v, want %v for %v", c.since(), got, left, class, wait)
	}
}

// try admits a message and reports how it went.
func (c *clock) try(to pace.Target, o pace.Outcome) pace.Change {
	c.t.Helper()
	return c.g.Report(c.now, c.admit(to).Ticket, o)
}

func describe(d pace.Decision) string {
	switch {
	case d.OK:
		return "admitted"
	case d.Refused != 0:
		return fmt.Sprintf("refused %v for %v", d.Refused, d.Wait)
	}
	return fmt.Sprintf("waits %v for %v", d.Wait, d.Why)
}

// pour has messages wait all the time, until so long from now, and notes when
// each was let through. All are accepted at once.
func (c *clock) pour(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		v := c.g.Admit(c.now, pace.Target{})
		switch {
		case v.OK:
			c.at = append(c.at, c.since())
			c.g.Report(c.now, v.Ticket, pace.Outcome{})
		case v.Why != pace.Rate || v.Wait <= 0:
			c.t.Fatalf("at %v: %s", c.since(), describe(v))
		default:
			c.now = c.now.Add(min(v.Wait, end.Sub(c.now)))
		}
	}
}

// between counts the messages let through in that time.
func (c *clock) between(from, to time.Duration) int {
	n := 0
	for _, at := range c.at {
		if from <= at && at < to {
			n++
		}
	}
	return n
}

// most is the largest number of messages in any time of that length.
func (c *clock) most(length time.Duration) int {
	most, first := 0, 0
	for last, at := range c.at {
		for at-c.at[first] >= length {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func TestReasonsHaveWords(t *testing.T) {
	want := []string{"none", "rate", "in_flight", "quota", "storm", "credential", "configuration", "none"}
	for i, word := range want {
		if got := pace.Reason(i).String(); got != word {
			t.Errorf("reason %d is %q, want %q", i, got, word)
		}
	}
}

func TestR_F29_NoMoreThanSoManyAreInFlight(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  *pace.Options
		want int
	}{
		{"a thousand by default", pace.Unlimited(), 1000},
		{"as many as one says", &pace.Options{PerMinute: -1, MaxInFlight: 7}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, tt.opt)
			var tickets []pace.Ticket
			for range tt.want {
				tickets = append(tickets, c.admit(pace.Target{}).Ticket)
			}
			c.wantWait(pace.InFlight, 0)
			if got := c.g.State(c.now).InFlight; got != tt.want {
				t.Errorf("state says %d in flight, want %d", got, tt.want)
			}
			c.sleep(9 * time.Second) // they take their time
			c.wantWait(pace.InFlight, 0)
			c.g.Report(c.now, tickets[0], pace.Outcome{})
			c.admit(pace.Target{})
			c.wantWait(pace.InFlight, 0)
		})
	}
	t.Run("or without bound", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, MaxInFlight: -1})
		for range 5000 {
			c.admit(pace.Target{})
		}
	})
}

func TestProjectQuotaHoldsTheProject(t *testing.T) {
	for _, tt := range []struct {
		name       string
		retryAfter time.Duration
		wait       time.Duration
	}{
		{"S-28 R-F25 for as long as FCM says", 30 * time.Second, 30 * time.Second},
		{"S-28 shorter than usual too", 3 * time.Second, 3 * time.Second},
		{"S-31 R-F25 a minute if it does not say", 0, time.Minute},
		{"an hour at most", 1000 * time.Hour, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, nil)
			change := c.try(device, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: tt.retryAfter})
			if change != (pace.Change{Held: pace.Quota, For: tt.wait}) {
				t.Errorf("change %+v", change)
			}
			c.wantWait(pace.Quota, tt.wait)
			if why, left := c.g.Held(c.now); why != pace.Quota || left != tt.wait {
				t.Errorf("held by %v for %v", why, left)
			}
			c.sleep(tt.wait - 1)
			c.wantWait(pace.Quota, 1)
			c.sleep(1)
			if why, _ := c.g.Held(c.now); why != 0 {
				t.Errorf("held by %v, want by nothing", why)
			}
			if d := c.admit(other); d.Resumed != pace.Quota {
				t.Errorf("resumed %v, want quota", d.Resumed)
			}
			c.sleep(time.Second)
			if d := c.admit(other); d.Resumed != 0 {
				t.Errorf("resumed %v again", d.Resumed)
			}
		})
	}
	t.Run("what was on its way may make it longer, and never shorter", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		first, second, third := c.admit(device).Ticket, c.admit(device).Ticket, c.admit(device).Ticket
		c.g.Report(c.now, first, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: 30 * time.Second})
		c.sleep(time.Second)
		if change := c.g.Report(c.now, second, pace.Outcome{Class: fcm.ProjectQuota, RetryAfter: 10 * time.Second}); change != (pace.Change{}) {
			t.Errorf("change %+v, want none", change)
		}
		c.wantWait(pace.Quota, 29*time.Second)
		c.g.Report(c.now, third, pace.Outcome{Class: fcm.ProjectQuota})
		c.wantWait(pace.Quota, time.Minute)
	})
}

func TestATargetThatHasHadTooManyIsHeldAlone(t *testing.T) {
	for _, tt := range []struct {
		name  string
		to    pace.Target
		class fcm.Class
	}{
		{"S-29 R-F26 a device", device, fcm.DeviceQuota},
		{"S-30 a topic", topic, fcm.TopicQuota},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, pace.Unlimited())
			// A minute, and each time twice as long, up to an hour.
			wait := time.Minute
			for range 300 {
				if change := c.try(tt.to, pace.Outcome{Class: tt.class}); change != (pace.Change{}) {
					t.Errorf("change %+v, want none for the project", change)
				}
				c.wantRefusal(tt.to, tt.class, wait)
				c.admit(other)
				c.admit(pace.Target{Name: tt.to.Name, Topic: !tt.to.Topic})
				c.sleep(wait - 1)
				c.wantRefusal(tt.to, tt.class, 1)
				c.sleep(1)
				wait = min(2*wait, time.Hour)
			}
			// One that was taken makes all good.
			c.try(tt.to, pace.Outcome{})
			c.try(tt.to, pace.Outcome{Class: tt.class})
			c.wantRefusal(tt.to, tt.class, time.Minute)
		})
	}
	t.Run("whatever limits of ours there are", func(t *testing.T) {
		for _, to := range []pace.Target{device, topic} {
			c := newClock(t, &pace.Options{TopicPerMinute: 10})
			class := map[bool]fcm.Class{false: fcm.DeviceQuota, true: fcm.TopicQuota}[to.Topic]
			c.try(to, pace.Outcome{Class: class})
			c.wantRefusal(to, class, time.Minute)
		}
	})
	t.Run("S-32 for longer if FCM says so", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		c.try(device, pace.Outcome{Class: fcm.DeviceQuota, RetryAfter: 5 * time.Minute})
		c.wantRefusal(device, fcm.DeviceQuota, 5*time.Minute)
	})
	t.Run("and not for longer by what was on its way", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		var late []pace.Ticket
		for range 4 {
			late = append(late, c.admit(device).Ticket)
		}
		c.g.Report(c.now, late[0], pace.Outcome{Class: fcm.DeviceQuota})
		c.sleep(time.Second)
		c.g.Report(c.now, late[1], pace.Outcome{Class: fcm.DeviceQuota})
		c.wantRefusal(device, fcm.DeviceQuota, 59*time.Second)
		c.g.Report(c.now, late[2], pace.Outcome{}) // nor is it good again by that
		c.wantRefusal(device, fcm.DeviceQuota, 59*time.Second)
		c.g.Report(c.now, late[3], pace.Outcome{Class: fcm.DeviceQuota, RetryAfter: 2 * time.Minute})
		c.wantRefusal(device, fcm.DeviceQuota, 2*time.Minute)
	})
	t.Run("and a message without a target never", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		c.try(pace.Target{}, pace.Outcome{Class: fcm.DeviceQuota})
		c.try(pace.Target{}, pace.Outcome{})
	})
}

func TestOneTargetGetsNoMoreThanItMay(t *testing.T) {
	quick := pace.Options{PerMinute: -1}
	t.Run("a device: 240 at once, and one more each quarter of a second", func(t *testing.T) {
		c := newClock(t, &quick)
		for range 240 {
			c.try(device, pace.Outcome{})
		}
		c.wantRefusal(device, fcm.DeviceQuota, 250*time.Millisecond)
		c.admit(other)
		c.admit(pace.Target{Name: device.Name, Topic: true})
		c.sleep(250*time.Millisecond - 1)
		c.wantRefusal(device, fcm.DeviceQuota, 1)
		c.sleep(1)
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 250*time.Millisecond)
		c.sleep(time.Minute)
		for range 240 {
			c.try(device, pace.Outcome{})
		}
		c.wantRefusal(device, fcm.DeviceQuota, 250*time.Millisecond)
	})
	t.Run("a device: 5,000 an hour", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: -1})
		for range 5000 {
			c.try(device, pace.Outcome{})
		}
		c.wantRefusal(device, fcm.DeviceQuota, 720*time.Millisecond)
		c.sleep(720 * time.Millisecond)
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 720*time.Millisecond)
	})
	t.Run("other numbers", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 2, DevicePerHour: 3})
		c.try(device, pace.Outcome{})
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 30*time.Second)
		c.sleep(30 * time.Second)
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 20*time.Minute-30*time.Second)
	})
	t.Run("only by the minute, or the hour", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 1, DevicePerHour: -1})
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, time.Minute)
		c = newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: -1, DevicePerHour: 1})
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, time.Hour)
	})
	t.Run("a topic: only if one says so", func(t *testing.T) {
		c := newClock(t, &quick)
		for range 10_000 {
			c.try(topic, pace.Outcome{})
		}
		c = newClock(t, &pace.Options{PerMinute: -1, TopicPerMinute: 6})
		for range 6 {
			c.try(topic, pace.Outcome{})
		}
		c.wantRefusal(topic, fcm.TopicQuota, 10*time.Second)
		c.admit(device)
		c.sleep(10 * time.Second)
		c.admit(topic)
	})
	t.Run("without limit if one says so", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		for range 20_000 {
			c.try(device, pace.Outcome{})
		}
	})
	t.Run("no target", func(t *testing.T) {
		c := newClock(t, &quick)
		for range 1000 {
			c.try(pace.Target{}, pace.Outcome{})
		}
	})
}

// A limit of ours must not refuse what FCM would take: as many as may be, all at
// once, in each minute.
func TestADeviceLimitRefusesNothingThatKeepsIt(t *testing.T) {
	c := newClock(t, &pace.Options{PerMinute: -1, DevicePerHour: -1})
	for minute := range 100 {
		c.now = c.began.Add(time.Duration(minute) * time.Minute)
		for range 240 {
			c.try(device, pace.Outcome{})
		}
	}
}

func TestNobodyIsRememberedWhoHasNoLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		opt  pace.Options
		to   pace.Target
		want int
	}{
		"a topic, and limits for devices":     {pace.Options{PerMinute: -1}, topic, 0},
		"a device, and a limit for topics":    {pace.Options{PerMinute: -1, DevicePerMinute: -1, DevicePerHour: -1, TopicPerMinute: 5}, device, 0},
		"a device with a limit an hour only":  {pace.Options{PerMinute: -1, DevicePerMinute: -1}, device, 1},
		"a device with a limit a minute only": {pace.Options{PerMinute: -1, DevicePerHour: -1}, device, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock(t, &tt.opt)
			// The clocks of several goroutines may differ by a little.
			for range 3 {
				c.try(tt.to, pace.Outcome{})
				c.sleep(-time.Millisecond)
			}
			if n := c.g.State(c.now).Targets; n != tt.want {
				t.Errorf("%d targets, want %d", n, tt.want)
			}
		})
	}
	t.Run("one a minute", func(t *testing.T) {
		c := newClock(t, &pace.Options{TopicPerMinute: 1})
		c.try(topic, pace.Outcome{})
		c.wantRefusal(topic, fcm.TopicQuota, time.Minute)
	})
}

func TestTargetsAreForgotten(t *testing.T) {
	name := func(i int) pace.Target { return pace.Target{Name: fmt.Sprintf("device-%d", i)} }
	t.Run("when they were quiet for two hours", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1})
		for i := range 1000 {
			c.try(name(i), pace.Outcome{})
		}
		if st := c.g.State(c.now); st.Targets != 1000 {
			t.Fatalf("%d targets, want 1000", st.Targets)
		}
		for range 2 {
			c.sleep(time.Hour)
			c.try(device, pace.Outcome{})
		}
		if st := c.g.State(c.now); st.Targets != 1 || st.Forgotten != 0 {
			t.Errorf("%d targets, %d forgotten early, want 1 and 0", st.Targets, st.Forgotten)
		}
	})
	t.Run("but not within the hour", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: -1, DevicePerHour: 2})
		c.try(other, pace.Outcome{}) // begins an hour
		c.sleep(59 * time.Minute)
		c.try(device, pace.Outcome{})
		c.try(device, pace.Outcome{})
		c.sleep(2 * time.Minute)
		c.try(other, pace.Outcome{}) // and another one
		c.try(name(1), pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 28*time.Minute)
	})
	t.Run("and the hold of one that was taken again, however old", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		tooMany := pace.Outcome{Class: fcm.DeviceQuota}
		c.try(device, tooMany)
		c.sleep(2 * time.Hour)
		c.try(other, tooMany) // device is among the old now
		c.try(device, pace.Outcome{})
		c.try(device, tooMany)
		c.wantRefusal(device, fcm.DeviceQuota, time.Minute)
	})
	t.Run("one at a time", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 1, MaxTargets: 1, TopicPerMinute: 5})
		for i := range 10 {
			c.try(name(i), pace.Outcome{})
			c.try(pace.Target{Name: name(i).Name, Topic: true}, pace.Outcome{})
			c.wantRefusal(name(i), fcm.DeviceQuota, time.Minute)
		}
		if st := c.g.State(c.now); st.Targets != 4 || st.Forgotten != 16 {
			t.Errorf("%d known and %d forgotten, want the last two of each kind, and 16", st.Targets, st.Forgotten)
		}
	})
	t.Run("and a hold not within the hour after its end", func(t *testing.T) {
		c := newClock(t, pace.Unlimited())
		tooMany := pace.Outcome{Class: fcm.DeviceQuota}
		// Another device is made to wait each hour, the third time a minute after
		// the hold that counts has ended.
		c.try(other, tooMany)
		c.sleep(56 * time.Minute)
		for wait := time.Minute; wait <= 32*time.Minute; wait *= 2 {
			c.try(device, tooMany)
			if wait == 4*time.Minute {
				c.sleep(time.Minute)
				c.try(other, tooMany)
				c.sleep(-time.Minute)
			}
			c.sleep(wait)
		}
		c.try(device, tooMany)
		c.wantRefusal(device, fcm.DeviceQuota, time.Hour)
		c.sleep(time.Minute)
		c.try(other, tooMany)
		c.sleep(time.Hour)
		c.try(other, tooMany)
		c.try(device, tooMany)
		c.wantRefusal(device, fcm.DeviceQuota, time.Hour)
	})
	t.Run("when there are too many, those that were quiet for longest first", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 1, DevicePerHour: -1, MaxTargets: 100})
		for i := range 1000 {
			c.try(name(i), pace.Outcome{})
			if st := c.g.State(c.now); st.Targets > 100 {
				t.Fatalf("%d targets, want at most 100", st.Targets)
			}
		}
		st := c.g.State(c.now)
		if int(st.Forgotten)+st.Targets != 1000 {
			t.Errorf("%d forgotten and %d known, want 1000 together", st.Forgotten, st.Targets)
		}
		for i := 950; i < 1000; i++ {
			c.wantRefusal(name(i), fcm.DeviceQuota, time.Minute)
		}
		c.admit(name(0))
	})
	t.Run("one that is used is not among the old", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 2, DevicePerHour: -1, MaxTargets: 10})
		for i := range 100 {
			c.try(device, pace.Outcome{})
			c.try(name(i), pace.Outcome{})
			c.try(name(i+1000), pace.Outcome{})
			c.sleep(30 * time.Second)
		}
		c.try(device, pace.Outcome{})
		c.try(device, pace.Outcome{})
		c.wantRefusal(device, fcm.DeviceQuota, 30*time.Second)
		// Of 301 entries, 291 at least were thrown away; each of them once.
		if st := c.g.State(c.now); int(st.Forgotten)+st.Targets != 201 {
			t.Errorf("%d forgotten and %d known, want 201 together", st.Forgotten, st.Targets)
		}
	})
	t.Run("devices, topics and holds each by themselves", func(t *testing.T) {
		c := newClock(t, &pace.Options{PerMinute: -1, DevicePerMinute: 10, DevicePerHour: -1, TopicPerMinute: 10, MaxTargets: 100})
		// Each step makes 1,000 more of one kind, and must push out none of another.
		for i, step := range []struct {
			what  string
			topic bool
			end   pace.Outcome
		}{
			{"topics", true, pace.Outcome{}},
			{"devices", false, pace.Outcome{}},
			{"devices that are made to wait", false, pace.Outcome{Class: fcm.DeviceQuota}},
		} {
			for n := range 1000 {
				to := name(n)
				to.Topic = step.topic
				c.try(to, step.end)
			}
			if st, most := c.g.State(c.now), 100*(i+1); st.Targets > most || st.Targets <= most-51 {
				t.Errorf("after %s: %d known, want %d at most, and no fewer than half a table less", step.what, st.Targets, most)
			}
		}
	})
	t.Run("holds too", func(t *testing.T) {
		opt := pace.Unlimited()
		opt.MaxTargets = 100
		c := newClock(t, opt)
		for i := range 1000 {
			c.try(name(i), pace.Outcome{Class: fcm.DeviceQuota})
		}
		if st := c.g.State(c.now); st.Targets > 100 || int(st.Forgotten)+st.Targets != 1000 {
			t.Errorf("%d forgotten and %d known, want 1000 together and at most 100 known", st.Forgotten, st.Targets)
		}
		c.wantRefusal(name(999), fcm.DeviceQuota, time.Minute)
		c.admit(name(0))
	})
}
