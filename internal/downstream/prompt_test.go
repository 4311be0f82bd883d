package downstream_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
)

// A prompt lane answers by the verdict timeout, once; before that it answers as
// the lane does.
func TestAPromptLaneKeepsNobodyWaiting(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration // of a try
		held  time.Duration // since its acceptance, before the lane got it
		at    time.Duration // of the answer
		late  bool
	}{
		{"a verdict in time", 3 * time.Second, 0, 3 * time.Second, false},
		{"a verdict that is late", 20 * time.Second, 0, 12 * time.Second, true},
		{"the time before counts", 20 * time.Second, 5 * time.Second, 7 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.takes = tt.takes
				h := start(t, far, unlimited())
				m := to("T")
				m.Accepted = time.Now().Add(-tt.held)
				begun := time.Now()
				type told struct {
					at  time.Duration
					err error
				}
				answers := make(chan told, 2)
				downstream.Prompt{Lane: h.lane}.Submit(m, func(_ downstream.Answer, err error) {
					answers <- told{time.Since(begun), err}
				})
				time.Sleep(time.Minute)
				if len(answers) != 1 {
					t.Fatalf("%d answers, want one", len(answers))
				}
				got := <-answers
				if got.at != tt.at {
					t.Errorf("answered after %v, want %v", got.at, tt.at)
				}
				e, _ := errors.AsType[*fcm.SendError](got.err)
				if late := e != nil && e.Class == fcm.Unavailable && e.OutcomeUnknown && errors.Is(e, downstream.ErrLate); late != tt.late || !late && got.err != nil {
					t.Errorf("got %v", got.err)
				}
			})
		})
	}
}

// What was not sent is said so, also by a prompt lane.
func TestAPromptLaneTellsWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(time.Duration, *downstream.Message) error { return refused() }
		h := start(t, far, unlimited())
		answers := make(chan error, 2)
		downstream.Prompt{Lane: h.lane}.Submit(to("T"), func(_ downstream.Answer, err error) { answers <- err })
		time.Sleep(time.Minute)
		if e, ok := errors.AsType[*fcm.SendError](<-answers); !ok || e.OutcomeUnknown || len(answers) != 0 {
			t.Errorf("got %v", e)
		}
	})
}

// A message that comes when its time is over already was not sent, however long
// it takes to say so.
func TestAPromptLaneKnowsWhatCameTooLateToBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := unlimited()
		opt.Events = &downstream.Events{Answered: func(downstream.Answered) { time.Sleep(time.Millisecond) }}
		lane, err := downstream.New(newFarEnd(), &opt)
		if err != nil {
			t.Fatal(err)
		}
		m := to("T")
		m.Accepted = time.Now().Add(-12 * time.Second)
		answers := make(chan error, 2)
		downstream.Prompt{Lane: lane}.Submit(m, func(_ downstream.Answer, err error) { answers <- err })
		time.Sleep(time.Minute)
		if len(answers) != 1 {
			t.Fatalf("%d answers, want one", len(answers))
		}
		e, _ := errors.AsType[*fcm.SendError](<-answers)
		if _, held := errors.AsType[*downstream.HeldError](e); !held || e.OutcomeUnknown {
			t.Errorf("got %v, want that it was not sent in time", e)
		}
	})
}
