package legacy

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/internal/downstream"
)

// An outcome is what became of one message.
type outcome struct {
	err        word // empty: it was accepted
	retryAfter time.Duration
	answer     downstream.Answer
	id         string // of an accepted one
}

// send makes a message of each target, hands all of them to the lane at once,
// and waits for their answers, which come back in the order of the targets. It
// is not ok if the caller leaves first; what was begun goes on.
func (h *Handler) send(ctx context.Context, project string, lane Lane, q *request, accepted time.Time) (outcomes []outcome, ok bool) {
	targets := q.targets()
	outcomes = make([]outcome, len(targets))
	var left atomic.Int64
	left.Store(int64(len(targets)))
	done := make(chan struct{})
	settle := func(i int, o outcome) {
		outcomes[i] = o
		if f := h.opt.Events.Answered; f != nil {
			f(project, o.err.outcome(), time.Since(accepted))
		}
		if left.Add(-1) == 0 {
			close(done)
		}
	}
	for i, m := range targets {
		switch {
		case q.each != "":
			settle(i, outcome{err: q.each})
			continue
		case q.tokens != nil && (m.To == "" || strings.HasPrefix(string(m.To), topics)):
			settle(i, outcome{err: invalidRegistration})
			continue
		}
		lane.Submit(&downstream.Message{CCS: m, Accepted: accepted}, func(a downstream.Answer, err error) {
			if err != nil {
				settle(i, judge(err))
				return
			}
			settle(i, outcome{answer: a, id: messageID(a, m)})
		})
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
