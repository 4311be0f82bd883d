package downstream_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// load hands over so many messages a second, evenly, each to a device of its
// own, and returns their results in order.
func (h *harness) load(perSecond int, d time.Duration) []*result {
	var all []*result
	for i := range perSecond * int(d/time.Second) {
		all = append(all, h.submit(to(fmt.Sprintf("device-%d", i))))
		time.Sleep(time.Second / time.Duration(perSecond))
	}
	return all
}

// tally counts results by what they came to, and fails the test if one has not
// exactly one answer.
func tally(t *testing.T, all []*result) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for i, r := range all {
		r.mu.Lock()
		if r.calls != 1 {
			t.Fatalf("message %d has %d answers, want one", i, r.calls)
		}
		e, _ := errors.AsType[*fcm.SendError](r.err)
		switch {
		case r.err == nil:
			counts["accepted"]++
		case e == nil:
			counts[r.err.Error()]++
		case e.OutcomeUnknown:
			counts[e.Class.String()+" unknown"]++
		case e.Reply == nil && e.Class == fcm.Unavailable:
			counts["not sent"]++
		default:
			counts[e.Class.String()]++
		}
		r.mu.Unlock()
	}
	return counts
}

// An outage of ten minutes under a steady load: few tries while it lasts, no
// storm when it is over.
func TestR_F27_Statement19_TenMinutesOutage(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func() error
	}{
		{"503", func() error { return overload(0) }},
		{"500", func() error { return &fcm.SendError{Class: fcm.Internal, Reply: &fcm.Error{HTTPStatus: 500}} }},
		{"R-F9 connection refused", refused},
		{"R-F10 no reply", timedOut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const normal = 50
				far := newFarEnd()
				far.takes = 20 * time.Millisecond
				from, until := 2*time.Minute, 12*time.Minute
				far.fate = func(at time.Duration, _ *downstream.Message) error {
					if from <= at && at < until {
						return tt.fail()
					}
					return nil
				}
				h := start(t, far, downstream.Options{})
				all := h.load(normal, 15*time.Minute)
				time.Sleep(time.Minute)
				counts := tally(t, all)
				if counts["accepted"]+counts["not sent"]+counts["unavailable"]+counts["unavailable unknown"]+counts["internal"] != len(all) {
					t.Errorf("outcomes %v of %d messages", counts, len(all))
				}
				// What was refused by far is nothing beside what was not sent.
				if counts["not sent"] < 9*60*normal {
					t.Errorf("outcomes %v, want most of ten minutes not sent", counts)
				}
				// Until the breaker opens half of a hundred outcomes must fail;
				// then one probe a second; and repeats at most ten a second.
				if n := far.between(from, from+2*time.Second); n > 2*normal {
					t.Errorf("%d tries in the first two seconds of the outage", n)
				}
				if n := far.between(from+2*time.Second, until); n > 605 {
					t.Errorf("%d tries in the rest of ten minutes, want one a second", n)
				}
				// Afterwards from nothing to normal in a minute, and never more
				// than twice of it.
				for s := range 120 {
					at := until + time.Duration(s)*time.Second
					n := far.between(at, at+time.Second)
					if limit := max(12, normal*(s+1)/60+normal/20+2); n > limit {
						t.Errorf("second %d after the outage has %d tries, want at most %d", s, n, limit)
					}
				}
				if n := far.between(until+65*time.Second, until+125*time.Second); n < 60*normal*95/100 {
					t.Errorf("%d tries in the second minute after the outage, want %d", n, 60*normal)
				}
				for _, r := range all[(14*60)*normal:] {
					r.wantAccepted(t)
				}
				if got := h.holds(); len(got) != 1 || got[0].Why != pace.Storm || got[0].Err == nil || got[0].Project != "p" {
					t.Errorf("events %+v, want one storm with its cause", got)
				}
				if n := h.changes(); n != 2 {
					t.Errorf("%d events, want held and resumed", n)
				}
			})
		})
	}
}

// One failure in a hundred is no storm.
func TestR_F28_OneFailureInAHundredHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 100 * time.Millisecond
		n := 0
		far.fate = func(time.Duration, *downstream.Message) error {
			far.mu.Lock()
			defer far.mu.Unlock()
			if n++; n%100 == 0 {
				return overload(0)
			}
			return nil
		}
		h := start(t, far, downstream.Options{})
		all := h.load(200, 2*time.Minute)
		time.Sleep(time.Minute)
		if counts := tally(t, all); counts["accepted"] != 23760 || counts["unavailable"] != 240 {
			t.Errorf("outcomes %v", counts)
		}
		h.wantEvents()
		for i, r := range all {
			if took := r.at - time.Duration(i)*5*time.Millisecond; i > 1000 && took > 110*time.Millisecond {
				t.Fatalf("message %d took %v", i, took)
			}
		}
	})
}

// A far end that takes nine seconds has a thousand messages and no more.
func TestR_F29_ASlowFarEndIsNotOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 9 * time.Second
		h := start(t, far, downstream.Options{Pace: &pace.Options{Ramp: -1}})
		var all []*result
		for i := range 3000 {
			all = append(all, h.submit(to(fmt.Sprintf("device-%d", i))))
		}
		for range 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			if st := h.lane.State(); st.InFlight > 1000 {
				t.Fatalf("%d in flight", st.InFlight)
			}
		}
		// A thousand at once, and a thousand more nine seconds later; the rest
		// had to wait for too long.
		counts := tally(t, all)
		if counts["accepted"] != 2000 || counts["not sent"] != 1000 {
			t.Errorf("outcomes %v", counts)
		}
		h.wantEvents()
		e, _ := errors.AsType[*downstream.HeldError](all[2999].err)
		if e == nil || e.Why != pace.InFlight || e.Error() != "not sent in time (in_flight)" {
			t.Errorf("error %v", all[2999].err)
		}
	})
}

func TestS_28_S_31_R_F25_Statement18_TooMuchForTheProject(t *testing.T) {
	for _, tt := range []struct {
		name       string
		retryAfter time.Duration
		wait       time.Duration
	}{
		{"with Retry-After", 30 * time.Second, 30 * time.Second},
		{"without", 0, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.takes = 10 * time.Millisecond
				far.fate = func(at time.Duration, m *downstream.Message) error {
					if at == 30*time.Second {
						return projectQuota(tt.retryAfter)
					}
					return nil
				}
				h := start(t, far, downstream.Options{})
				all := h.load(100, 4*time.Minute)
				from := 30*time.Second + 10*time.Millisecond
				all[3000].wantClass(t, fcm.ProjectQuota)
				if n := far.between(from, from+tt.wait); n > 1 { // one is handed over in that very moment
					t.Errorf("%d tries within %v", n, tt.wait)
				}
				// What waited until it could wait no more says how long to stay away.
				e := all[3100].wantNotSent(t)
				if want := from + tt.wait - 42*time.Second; e.RetryAfter != want {
					t.Errorf("Retry-After %v, want %v", e.RetryAfter, want)
				}
				if held, _ := errors.AsType[*downstream.HeldError](e); held == nil || held.Why != pace.Quota {
					t.Errorf("cause %v, want the quota", e.Err)
				}
				// Half the rate, and no more than a tenth more each minute.
				first := far.between(from+tt.wait, from+tt.wait+time.Minute)
				second := far.between(from+tt.wait+time.Minute, from+tt.wait+2*time.Minute)
				if first > 3200 || first < 2900 || second > first*110/100+5 || second < first*105/100 {
					t.Errorf("%d and %d tries in the minutes after, want 50 a second and a tenth more", first, second)
				}
				h.wantEvents(fmt.Sprint(from, " held quota"), fmt.Sprint(from+tt.wait, " resumed quota"))
			})
		})
	}
}

// One device or topic that has had too many does not hold up others.
func TestS_29_S_30_R_F26_TooMuchForOneTarget(t *testing.T) {
	for _, tt := range []struct {
		name  string
		to    string
		class fcm.Class
	}{
		{"a device", "device", fcm.DeviceQuota},
		{"a topic", "/topics/news", fcm.TopicQuota},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.fate = func(at time.Duration, m *downstream.Message) error {
					if name(m) == tt.to && at < 90*time.Second {
						return deviceQuota(tt.class)
					}
					return nil
				}
				h := start(t, far, unlimited())
				var tried []time.Duration
				for range 10 * 60 {
					r := h.submit(to(tt.to))
					o := h.submit(to("other"))
					synctest.Wait()
					r.wantAt(t, time.Since(far.epoch)) // at once, either way
					o.wantAccepted(t)
					time.Sleep(time.Second)
				}
				for _, try := range far.seen() {
					if try.to == tt.to {
						tried = append(tried, try.at)
					}
				}
				// After a minute, after two more, and then as they come.
				if want := []time.Duration{0, time.Minute, 3 * time.Minute, 181 * time.Second}; !slices.Equal(tried[:4], want) {
					t.Errorf("tried at %v, want %v", tried[:4], want)
				}
				if len(tried) != 2+7*60 {
					t.Errorf("%d tries, want %d", len(tried), 2+7*60)
				}
				h.wantEvents()
			})
		})
	}
	t.Run("a refusal says how long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.fate = func(time.Duration, *downstream.Message) error { return deviceQuota(fcm.DeviceQuota) }
			h := start(t, far, unlimited())
			h.submit(to("a"))
			time.Sleep(20 * time.Second)
			r := h.submit(to("a"))
			if e := r.wantClass(t, fcm.DeviceQuota); e.RetryAfter != 40*time.Second || e.OutcomeUnknown {
				t.Errorf("error %+v, want one for 40 s", e)
			}
			answers := h.answers()
			last := answers[len(answers)-1]
			if last.Tries != 0 || last.Class != fcm.DeviceQuota {
				t.Errorf("event %+v, want a refusal without a try", last)
			}
		})
	})
	t.Run("and comes at once though all others wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.fate = func(_ time.Duration, m *downstream.Message) error {
				if name(m) == "a" {
					return deviceQuota(fcm.DeviceQuota)
				}
				return projectQuota(time.Hour)
			}
			h := start(t, far, unlimited())
			h.submit(to("a"))
			synctest.Wait()
			h.submit(to("b"))
			synctest.Wait()
			waits := h.submit(to("c"))
			refused := h.submit(to("a"))
			refused.wantClass(t, fcm.DeviceQuota)
			waits.wantNone(t)
		})
	})
	t.Run("a limit of ours as well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			h := start(t, far, downstream.Options{Pace: &pace.Options{PerMinute: -1}})
			var all []*result
			for range 300 {
				all = append(all, h.submit(to("a")))
			}
			synctest.Wait()
			if counts := tally(t, all); counts["accepted"] != 240 || counts["device_quota"] != 60 {
				t.Errorf("outcomes %v, want 240 accepted and 60 refused", counts)
			}
		})
	})
}

// What one target is called by the front does not matter.
func TestOneTargetByAnyName(t *testing.T) {
	v1 := func(m fcm.Message) *downstream.Message {
		return &downstream.Message{V1: &fcm.SendRequest{Message: &m}}
	}
	condition := &downstream.Message{CCS: &ccs.Downstream{Condition: "'a' in topics", MessageID: "m"}}
	for _, tt := range []struct {
		name      string
		one, same *downstream.Message
		class     fcm.Class
		different *downstream.Message
	}{
		{"a token", to("a"), v1(fcm.Message{Token: "a"}), fcm.DeviceQuota, v1(fcm.Message{Topic: "a"})},
		{"an installation", v1(fcm.Message{FID: "a"}), v1(fcm.Message{FID: "a"}), fcm.DeviceQuota, to("b")},
		{"a topic", to("/topics/a"), v1(fcm.Message{Topic: "a"}), fcm.TopicQuota, to("a")},
		{"a condition", condition, v1(fcm.Message{Condition: "'a' in topics"}), fcm.TopicQuota, to("/topics/a")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, newFarEnd(), downstream.Options{
					Pace: &pace.Options{PerMinute: -1, DevicePerMinute: 1, TopicPerMinute: 1},
				})
				h.submit(tt.one)
				h.submit(tt.same).wantClass(t, tt.class)
				r := h.submit(tt.different)
				synctest.Wait()
				r.wantAccepted(t)
			})
		})
	}
}

// A dead token is that message's matter alone.
func TestR_F24_Statement17_ADeadTokenHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(_ time.Duration, m *downstream.Message) error {
			if name(m) == "dead" {
				return unregistered()
			}
			return nil
		}
		h := start(t, far, unlimited())
		for range 1000 {
			dead, live := h.submit(to("dead")), h.submit(to("live"))
			synctest.Wait()
			dead.wantClass(t, fcm.Unregistered)
			live.wantAccepted(t)
		}
		h.wantEvents()
	})
}

// When the far end closes connections all the time, what it did not take is
// sent again, and what it took is not.
func TestR_F12_Statement21_WhatAClosingConnectionDidNotTakeIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 50 * time.Millisecond
		n, lost := 0, map[string]int{}
		far.fate = func(_ time.Duration, m *downstream.Message) error {
			far.mu.Lock()
			defer far.mu.Unlock()
			if n++; n%100 < 3 { // the streams above the last one that was taken
				lost[name(m)]++
				return refused()
			}
			return nil
		}
		h := start(t, far, unlimited())
		all := h.load(100, 10*time.Minute)
		time.Sleep(time.Minute)
		if counts := tally(t, all); counts["accepted"] != len(all) {
			t.Errorf("outcomes %v, want all accepted", counts)
		}
		tries := map[string]int{}
		for _, try := range far.seen() {
			tries[try.to]++
		}
		if len(tries) != len(all) {
			t.Errorf("%d of %d messages were tried", len(tries), len(all))
		}
		for to, n := range tries {
			if n != 1+lost[to] {
				t.Errorf("%s was tried %d times, and refused %d times", to, n, lost[to])
			}
		}
		if len(lost) < 1800 {
			t.Errorf("%d messages were refused, want 3 in 100", len(lost))
		}
		h.wantEvents()
	})
}

// Repeats have a budget: beyond it what was not sent is answered so.
func TestR_F27_RepeatsHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 100 * time.Millisecond
		far.fate = func(time.Duration, *downstream.Message) error { return refused() }
		h := start(t, far, unlimited())
		var all []*result
		for i := range 500 {
			all = append(all, h.submit(to(fmt.Sprint(i))))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		answered := 0
		for _, r := range all {
			r.mu.Lock()
			answered += r.calls
			r.mu.Unlock()
		}
		if answered != 450 { // a tenth of 500 rests
			t.Errorf("%d of 500 messages have their answer, want 450", answered)
		}
		time.Sleep(time.Minute)
		if counts := tally(t, all); counts["not sent"] != 500 {
			t.Errorf("outcomes %v, want all not sent", counts)
		}
	})
}
