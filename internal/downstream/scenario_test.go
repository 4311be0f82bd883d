package downstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
	"penstock/internal/translate"
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

// While an operator must act no message is tried but a probe now and then, and
// nothing of it looks like a fault of the messages'.
func TestS_17_S_27_R_F21_R_F23_Statement20_TheOperatorMustAct(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail error
		why  pace.Reason
	}{
		{"an expired access token that no other replaces", credential(), pace.Credential},
		{"a revoked key", &fcm.SendError{Class: fcm.Credential, Err: errors.New("invalid_grant")}, pace.Credential},
		{"R-F23 statement 16: a wrong project id", configuration(403), pace.Configuration},
		{"R-F24 S-20 statement 16: 404 that says nothing of the token", configuration(404), pace.Configuration},
		{"a CCS endpoint that refuses the key", &ccs.NackError{Code: ccs.CodeAuthenticationFailed}, pace.Credential},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.takes = 10 * time.Millisecond
				mended := 20 * time.Minute
				far.fate = func(at time.Duration, _ *downstream.Message) error {
					if at < mended {
						return tt.fail
					}
					return nil
				}
				h := start(t, far, downstream.Options{})
				all := h.load(5, 25*time.Minute)
				time.Sleep(time.Minute)
				// The operator is told with the first outcome, and once.
				if got := h.holds(); len(got) != 1 || got[0].Why != tt.why || !errors.Is(got[0].Err, tt.fail) || got[0].For != 10*time.Second {
					t.Errorf("events %+v, want one", got)
				}
				// 10, 20, 40, 80, 160 s, and then each five minutes.
				tries := far.seen()
				n := far.between(0, mended)
				if n != 8 {
					t.Errorf("%d tries in twenty minutes, want one and seven probes", n)
				}
				for i := 1; i < n; i++ {
					if gap, want := tries[i].at-tries[i-1].at, min(10*time.Second<<(i-1), 5*time.Minute); gap < want {
						t.Errorf("probe %d came after %v, want %v", i, gap, want)
					}
				}
				counts := tally(t, all)
				for outcome := range counts {
					switch outcome {
					case "accepted", "not sent", tt.fail.Error(), tt.why.String():
					default:
						t.Errorf("outcomes %v, want nothing that blames a message", counts)
					}
				}
				if counts["not sent"] < 19*60*5 {
					t.Errorf("outcomes %v, want all others not sent", counts)
				}
				// It resumes by itself.
				all[len(all)-1].wantAccepted(t)
				if n := h.changes(); n != 2 {
					t.Errorf("%d events, want held and resumed", n)
				}
			})
		})
	}
}

// The pause of a broken project is told to those who waited for nothing.
func TestWhoWaitedForNothingLearnsForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(time.Duration, *downstream.Message) error { return configuration(403) }
		h := start(t, far, downstream.Options{})
		h.submit(to("a"))
		time.Sleep(11 * time.Second)
		h.submit(to("b")) // a probe; the next one is due 20 s later
		synctest.Wait()
		r := h.submit(to("c"))
		time.Sleep(11 * time.Second)
		synctest.Wait()
		e := r.wantNotSent(t)
		r.wantAt(t, 22*time.Second)
		held, _ := errors.AsType[*downstream.HeldError](e)
		if e.RetryAfter != 9*time.Second || held == nil || held.Why != pace.Configuration || held.Last != nil {
			t.Errorf("error %v for %v, want the configuration for 9 s", e, e.RetryAfter)
		}
	})
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

// Two projects share nothing: in fake time the answers of the good one come in
// the very same moment, whatever the other one does.
func TestABrokenProjectLeavesOthersAlone(t *testing.T) {
	run := func(t *testing.T, beside func(*testing.T)) []time.Duration {
		var at []time.Duration
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = 30 * time.Millisecond
			good := start(t, far, downstream.Options{})
			var other sync.WaitGroup
			if beside != nil {
				other.Go(func() { beside(t) })
			}
			all := good.load(50, 2*time.Minute)
			other.Wait()
			time.Sleep(time.Minute)
			for _, r := range all {
				r.wantAccepted(t)
				at = append(at, r.at)
			}
		})
		return at
	}
	alone := run(t, nil)
	for _, tt := range []struct {
		name string
		fail error
	}{
		{"credentials", credential()}, {"503", overload(0)}, {"connection refused", refused()}, {"quota", projectQuota(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			beside := run(t, func(t *testing.T) {
				far := newFarEnd()
				far.takes = time.Millisecond
				far.fate = func(time.Duration, *downstream.Message) error { return tt.fail }
				bad := start(t, far, downstream.Options{})
				bad.load(200, 2*time.Minute)
			})
			if !slices.Equal(alone, beside) {
				t.Error("the answers of the good project came at other times")
			}
		})
	}
}

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

func TestS_17_WhatTheTransportRefusesEndsNoHold(t *testing.T) {
	translated := func(m *ccs.Downstream) *fcm.SendError {
		_, err := translate.ToV1(m, translate.Times{Accepted: time.Unix(1000, 0), Now: time.Unix(1010, 0)}, nil)
		e, ok := errors.AsType[*fcm.SendError](err)
		if !ok {
			t.Fatalf("%+v: %v, want it refused", m, err)
		}
		return e
	}
	for word, refusal := range map[string]*fcm.SendError{
		"no topic":  translated(&ccs.Downstream{To: "/topics/bad#topic"}),
		"over":      translated(&ccs.Downstream{To: "T", TTL: new(time.Second)}),
		"no target": {Class: fcm.InvalidMessage, Err: (&fcm.SendRequest{}).Validate()}, // as the sender refuses it
	} {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.fate = func(_ time.Duration, m *downstream.Message) error {
				switch name(m) {
				case word:
					return refusal
				case "answered":
					return &fcm.SendError{Class: fcm.InvalidMessage, Reply: &fcm.Error{HTTPStatus: 400}}
				}
				return credential()
			}
			h := start(t, far, unlimited())
			h.submit(to("first"))
			time.Sleep(10 * time.Second)
			r := h.submit(to(word))
			synctest.Wait()
			r.wantClass(t, refusal.Class)
			h.submit(to("next"))
			synctest.Wait()
			h.wantEvents("0s held credential")
			if st := h.lane.State().Pace; st.Held != pace.Credential || st.For != 20*time.Second {
				t.Errorf("state %+v, want it held for longer than the first time", st)
			}
			// What the far end itself has refused, it has read.
			time.Sleep(20 * time.Second)
			h.submit(to("answered"))
			synctest.Wait()
			h.wantEvents("0s held credential", "30s resumed credential")
		})
	}
}

func TestS_17_S_27_WhatIsMendedIsTriedAtOnce(t *testing.T) {
	for _, fail := range []error{credential(), configuration(403)} {
		synctest.Test(t, func(t *testing.T) {
			far := newFarEnd()
			far.takes = 100 * time.Millisecond
			var broken atomic.Bool
			broken.Store(true)
			far.fate = func(time.Duration, *downstream.Message) error {
				if broken.Load() {
					return fail
				}
				return nil
			}
			h := start(t, far, unlimited())
			class := fail.(*fcm.SendError).Class //nolint:errorlint // as made above
			word := map[fcm.Class]string{fcm.Credential: "credential", fcm.Configuration: "configuration"}[class]
			h.submit(to("first"))
			time.Sleep(time.Second)
			var waiting []*result
			for range 50 {
				waiting = append(waiting, h.submit(to("waiting")))
			}
			// In vain: one of those that wait is tried, and all wait on.
			h.lane.Mended()
			time.Sleep(time.Second)
			if n := far.between(time.Second, time.Hour); n != 1 {
				t.Errorf("%d tries after it was mended in vain, want one", n)
			}
			h.wantEvents("100ms held "+word, "1.1s held "+word)
			if got := h.holds()[1]; got.For != 10*time.Second || !errors.Is(got.Err, fail) {
				t.Errorf("held %+v", got)
			}
			for _, r := range waiting[1:] {
				r.wantNone(t)
			}
			// In earnest: one shows it, and the others follow.
			broken.Store(false)
			h.lane.Mended()
			h.lane.Mended()
			synctest.Wait()
			if n := far.between(2*time.Second, time.Hour); n != 1 {
				t.Errorf("%d tries at once, want one", n)
			}
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			for _, r := range waiting[1:] {
				r.wantAccepted(t)
			}
			h.wantEvents("100ms held "+word, "1.1s held "+word, "2.1s resumed "+word)

			// Without a message, the next one that comes is it.
			broken.Store(true)
			h.submit(to("again"))
			time.Sleep(time.Second)
			h.lane.Mended()
			broken.Store(false)
			if st := h.lane.State().Pace; st.Held.String() != word || st.For != 0 {
				t.Errorf("state %+v, want it held until the next try", st)
			}
			time.Sleep(time.Minute)
			late := h.submit(to("late"))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			late.wantAccepted(t)

			if err := h.lane.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			h.lane.Mended() // nobody is there
		})
	}
}
