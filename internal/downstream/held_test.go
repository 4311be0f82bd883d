package downstream_test

import (
	"errors"
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
