package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestAPlanFollowsFromItsSeed(t *testing.T) {
	plan := planFaults(1, 20*time.Second, 500*time.Millisecond)
	if !slices.Equal(plan, planFaults(1, 20*time.Second, 500*time.Millisecond)) {
		t.Error("the same seed gives another plan")
	}
	if slices.Equal(plan, planFaults(2, 20*time.Second, 500*time.Millisecond)) {
		t.Error("another seed gives the same plan")
	}
	for seed := range uint64(100) {
		plan := planFaults(seed, 20*time.Second, 500*time.Millisecond)
		for _, kind := range deck {
			if !slices.ContainsFunc(plan, func(f fault) bool { return f.Kind == kind }) {
				t.Errorf("with seed %d, twenty seconds have no %s", seed, kind)
			}
		}
	}
}

func TestAMessageFollowsFromItsID(t *testing.T) {
	d := &devices{
		live: []ccs.RegistrationToken{"a", "b"}, dead: []ccs.RegistrationToken{"c"}, foreign: []ccs.RegistrationToken{"d"},
	}
	for n := range 2_000 {
		s := makeSpec(7, d, 3, n)
		if err := s.message.Validate(); err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if pool, k, ok := poolOf(s.message.MessageID); !ok || pool != 3 || k != n {
			t.Fatalf("%s is read as %d of pool %d, %v", s.message.MessageID, k, pool, ok)
		}
		if again := makeSpec(7, d, 3, n); !reflect.DeepEqual(s, again) {
			t.Fatalf("message %d comes out differently", n)
		}
		u := makeUpstream(7, d, 1, n)
		if sender, k, ok := senderOf(ccs.MessageID(upstreamID(1, n))); !ok || sender != 1 || k != n {
			t.Fatalf("upstream %d is read as %d of sender %d, %v", n, k, sender, ok)
		}
		if again := makeUpstream(7, d, 1, n); !reflect.DeepEqual(u, again) {
			t.Fatalf("upstream %d comes out differently", n)
		}
	}
	for _, id := range []ccs.MessageID{"", "m-1", "m-1-2x", "m-01-2", "m--1-2", "m-4-1", "u-0-1"} {
		if pool, n, ok := poolOf(id); ok {
			t.Errorf("%q is read as %d of pool %d", id, n, pool)
		}
	}
}

func TestWhatACallerIsToldIsOneOfFour(t *testing.T) {
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{nil, toldAck},
		{fmt.Errorf("send: %w", &ccs.NackError{Code: ccs.CodeBadRegistration}), "BAD_REGISTRATION"},
		{fmt.Errorf("send: %w", ccsclient.ErrOutcomeUnknown), toldUnknown},
		{errors.Join(ccsclient.ErrOutcomeUnknown, context.Canceled), toldUnknown},
		{context.DeadlineExceeded, toldNotSent},
		{ccsclient.ErrWithdrawn, toldNotSent},
	} {
		if got := verdictOf(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"-for", "9s"}, {"-for", "25h"}, {"-rate", "1"}, {"-every", "1ms"}, {"-seed", "-1"}, {"-nonsense"}, {"more"},
	} {
		var out, errs bytes.Buffer
		if code := torture(args, &out, &errs); code != exitUsage || errs.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
}

func TestAPlanCanBeLookedAt(t *testing.T) {
	var out, errs bytes.Buffer
	if code := torture([]string{"-plan", "-seed", "3", "-for", "1h"}, &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit %d, %q", code, errs.String())
	}
	if got, want := bytes.Count(out.Bytes(), []byte("\n")), len(planFaults(3, time.Hour, 500*time.Millisecond)); got != want {
		t.Errorf("%d lines for %d faults", got, want)
	}
}

func TestTooLittleIsInconclusive(t *testing.T) {
	enough := func(change func(r *run)) bool {
		r := &run{hits: make(map[string]int), history: newHistory(window, time.Second, nil)}
		for _, kind := range deck {
			r.hits[kind]++
			r.plan = append(r.plan, fault{Kind: kind})
		}
		r.history.tally.Acked, r.history.tally.Settled = 1, 1
		change(r)
		return r.conclusive()
	}
	for name, c := range map[string]struct {
		change func(r *run)
		want   bool
	}{
		"all":                        {func(*run) {}, true},
		"a fault that hit nothing":   {func(r *run) { r.plan = append(r.plan, fault{Kind: faultCut}) }, true},
		"a kind that never happened": {func(r *run) { delete(r.hits, faultKill) }, false},
		"many that hit nothing":      {func(r *run) { r.plan = append(r.plan, r.plan...) }, false},
		"no message acked":           {func(r *run) { r.history.tally.Acked = 0 }, false},
		"no upstream message acked":  {func(r *run) { r.history.tally.Settled = 0 }, false},
	} {
		if got := enough(c.change); got != c.want {
			t.Errorf("%s: conclusive %v", name, got)
		}
	}
}

func TestASlopeIsThatOfTheSamples(t *testing.T) {
	var list []sample
	for i := range 10 {
		list = append(list, sample{at: time.Duration(i) * time.Minute, heap: uint64(1000 + 50*i)})
	}
	if got := slope(list, func(s sample) float64 { return float64(s.heap) }); got < 49.9 || got > 50.1 {
		t.Errorf("the slope is %v, want 50", got)
	}
	if got := slope(list[:1], func(s sample) float64 { return float64(s.heap) }); got != 0 {
		t.Errorf("the slope of one sample is %v", got)
	}
}

func TestWhatGrowsWhileItRunsIsALeak(t *testing.T) {
	for name, c := range map[string]struct {
		total            time.Duration
		heap, goroutines int // more a minute, over the second half
		want             int
	}{
		"all is flat":               {30 * time.Minute, 0, 0, 0},
		"it grows a little":         {30 * time.Minute, 1 << 20, 29, 0},
		"it shrinks":                {30 * time.Minute, -3 << 20, -31, 0},
		"the heap grows":            {30 * time.Minute, 3 << 20, 0, 1},
		"there are more goroutines": {30 * time.Minute, 0, 31, 1},
		"both":                      {time.Hour, 3 << 20, 31, 2},
		"it is too short to say":    {29 * time.Minute, 3 << 20, 31, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{total: c.total, history: newHistory(window, time.Second, func(violation) {})}
			for i := range 20 { // what the first half does is not looked at
				r.samples = append(r.samples, sample{at: time.Duration(i) * time.Minute, heap: uint64(i) << 24, goroutines: 50 * i})
			}
			for i := range 20 {
				r.samples = append(r.samples, sample{
					at:   time.Duration(20+i) * time.Minute,
					heap: uint64(1<<30 + i*c.heap), goroutines: 1000 + i*c.goroutines,
				})
			}
			rep := r.account(sample{heap: 1 << 40, goroutines: 1 << 20})
			if rep.Kinds[kindLeak] != c.want {
				t.Errorf("%d leaks, want %d; slopes %v and %v", rep.Kinds[kindLeak], c.want, rep.HeapSlope, rep.GoroutineSlope)
			}
		})
	}
}
