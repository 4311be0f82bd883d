package legacy

import (
	"cmp"
	"context"
	"errors"
	"strings"
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

// judge says what the lane's answer to m means.
func judge(m *ccs.Downstream, a downstream.Answer, err error) outcome {
	if err != nil {
		return outcome{word: translate.LegacyResult(err), retryAfter: translate.RetryAfter(err)}
	}
	return outcome{answer: a, id: messageID(a, m)}
}

// errNoLane is the outcome of a message whose project was taken away, or is
// about to come.
var errNoLane = &fcm.SendError{Class: fcm.Unavailable, Err: errors.New("the project has no lane now")}

// send makes a message of each target, hands all of them to the lane at once,
// and waits for their answers, which come back in the order of the targets. It
// is not ok if the caller leaves first; what was begun goes on.
func (h *Handler) send(ctx context.Context, project string, q *request, accepted time.Time) (_ []outcome, ok bool) {
	lane := h.lanes(project)
	targets := q.targets()
	outcomes := make([]outcome, len(targets))
	var left atomic.Int64
	left.Store(int64(len(targets)))
	done := make(chan struct{})
	settle := func(i int, judge func() outcome) {
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
		o := judge()
		outcomes[i] = o
		if f := h.opt.Events.Answered; f != nil {
			f(project, cmp.Or(o.word, "ok"), time.Since(accepted))
		}
	}
	for i, m := range targets {
		switch {
		case q.each != "":
			settle(i, func() outcome { return outcome{word: q.each} })
		case q.tokens != nil && (m.To == "" || strings.HasPrefix(string(m.To), topics)):
			settle(i, func() outcome { return outcome{word: translate.InvalidRegistration} })
		case lane == nil:
			settle(i, func() outcome { return judge(m, downstream.Answer{}, errNoLane) })
		default:
			lane.Submit(&downstream.Message{CCS: m, Accepted: accepted}, func(a downstream.Answer, err error) {
				settle(i, func() outcome { return judge(m, a, err) })
			})
		}
	}
	select {
	case <-done:
		return outcomes, true
	case <-ctx.Done():
		return nil, false
	}
}

// targets makes one message for each target; all share what is equal. A request
// without a target has one message to nobody, which is not sent.
func (q *request) targets() []*ccs.Downstream {
	to := q.tokens
	if to == nil {
		to = []string{q.to}
	}
	room := make([]ccs.Downstream, len(to))
	list := make([]*ccs.Downstream, len(to))
	for i := range to {
		room[i] = q.message
		room[i].To, room[i].Condition = ccs.RegistrationToken(to[i]), q.condition
		room[i].MessageID = ccs.NewMessageID()
		list[i] = &room[i]
	}
	return list
}

// messageID is the last part of the name that the far end gave; where it gave
// none, ours.
func messageID(a downstream.Answer, m *ccs.Downstream) string {
	if _, id, ok := strings.Cut(a.Name, "/messages/"); ok && id != "" {
		return id
	}
	return string(m.MessageID)
}
