package fcmsend

import (
	"context"
	"errors"
	"time"

	"penstock/fcm"
)

// Deliver sends a message and tries again as Google asks (docs/fcm-http.md,
// Retrying), for a caller who keeps no messages: after [fcm.Advise]'s waits,
// until its times to live are over or [fcm.RetryFor] has passed, whichever
// is first. A time to live of 0 is tried once. What is sent again has its time
// to live shortened by what has passed.
//
// The error is that of the last try. OutcomeUnknown is set if it was of any of
// them. If ctx ends in a wait, the last error is returned at once.
func (s *Sender) Deliver(ctx context.Context, r *fcm.SendRequest) (Result, error) {
	began := time.Now()
	unknown := false
	for attempt, aged := 1, r; ; attempt++ {
		result, err := s.Send(ctx, aged)
		if err == nil {
			return result, nil
		}
		failure, _ := errors.AsType[*fcm.SendError](err)
		unknown = unknown || failure.OutcomeUnknown
		failure.OutcomeUnknown = unknown
		wait, _, again := fcm.Advise(failure, attempt)
		if token, ok := errors.AsType[*TokenError](failure); ok && token.Temporary() {
			again = true // the token endpoint will be back, and nothing was sent
		}
		if !again {
			return Result{}, failure
		}
		passed := time.Since(began) + wait
		ttl, _ := r.Message.TTL()
		if aged, again = r.Aged(passed); !again || ttl == 0 || passed >= fcm.RetryFor {
			return Result{}, failure
		}
		select {
		case <-ctx.Done():
			return Result{}, failure
		case <-time.After(wait):
		}
	}
}
