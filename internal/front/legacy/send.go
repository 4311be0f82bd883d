package legacy

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/translate"
)

// An outcome is what became of one message.
type outcome struct {
	word       string // what went wrong, in the language of legacy HTTP; empty: it was accepted
	retryAfter time.Duration
	answer     downstream.Answer
	id         string // of an accepted one
}

// judge says what the lane's answer to m means; with an error there need be no m.
func judge(m *ccs.Downstream, a downstream.Answer, err error) outcome {
	if err != nil {
		return outcome{word: translate.LegacyResult(err), retryAfter: translate.RetryAfter(err)}
	}
	return outcome{answer: a, id: messageID(a, m)}
}

// errNoLane is the outcome of a message whose project was taken away, or is
// about to come.
var errNoLane = &fcm.SendError{Class: fcm.Unavailable, Err: errors.New("the project has no lane now")}

// send makes a message for each recipient, hands all of them to the lane at
// once, and waits for their answers, which come back in the order of the
// recipients. With a word nothing is handed on, and it is what all are told. It
// is not ok if the caller leaves first; what was begun goes on.
func (h *Handler) send(ctx context.Context, project string, q *translate.Legacy, word string, accepted time.Time) (_ []outcome, ok bool) {
	outcomes := make([]outcome, q.Len())
	answered := func(o outcome) {
		if f := h.opt.Events.Answered; f != nil {
			f(project, cmp.Or(o.word, "ok"), time.Since(accepted))
		}
	}
	if word != "" {
		for i := range outcomes {
			outcomes[i].word = word
			answered(outcomes[i])
		}
		return outcomes, true
	}

	var left atomic.Int64
	left.Store(int64(len(outcomes)))
	done := make(chan struct{})
	settle := func(i int, m *ccs.Downstream, a downstream.Answer, err error) {
		// The lane's goroutine is no place to panic on.
		defer func() {
			if v := recover(); v != nil {
				outcomes[i] = outcome{word: translate.InternalServerError}
				h.failed(project, panicked(v))
			}
			if left.Add(-1) == 0 {
				close(done)
			}
		}()
		outcomes[i] = judge(m, a, err)
		answered(outcomes[i])
	}
	lane := h.lanes(project)
	for i := range outcomes {
		m, err := q.At(i)
		if err == nil && lane == nil {
			err = errNoLane
		}
		if err != nil {
			settle(i, m, downstream.Answer{}, err)
			continue
		}
		m.MessageID = ccs.NewMessageID()
		if f := h.opt.Events.Accepted; f != nil {
			f(project)
		}
		lane.Submit(&downstream.Message{CCS: m, Accepted: accepted}, func(a downstream.Answer, err error) { settle(i, m, a, err) })
	}
	select {
	case <-done:
		return outcomes, true
	case <-ctx.Done():
		return nil, false
	}
}

// messageID is the last part of the name that the far end gave; where it gave
// none, ours.
func messageID(a downstream.Answer, m *ccs.Downstream) string {
	return cmp.Or(translate.LastPart(a.Name), string(m.MessageID))
}
