package toccs

import (
	"context"
	"errors"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/translate"
)

// A Pool is what a [Transport] needs of a [ccsclient.Pool].
type Pool interface {
	SendBy(ctx context.Context, m *ccs.Downstream, by time.Time) (ccsclient.Answer, error)
	State() ccsclient.PoolState
}

// Options are what is optional about a [Transport]. The zero value of a field is
// its documented default.
type Options struct {
	// Timeout bounds one try, from handing the message to the pool to its
	// answer. Default 10 s.
	Timeout time.Duration
	// StartWithin is how long after its acceptance a message may be written; one
	// that found no stream with room until then is not sent. It is the lane's
	// verdict timeout less [downstream.LastCall]. Default 11 s.
	StartWithin time.Duration
}

// A Transport sends through a CCS endpoint.
type Transport struct {
	pool        Pool
	timeout     time.Duration
	startWithin time.Duration
}

var _ downstream.Transport = (*Transport)(nil)

// New makes a transport. The pool's Run is the caller's to call.
func New(pool Pool, opt *Options) *Transport {
	var o Options
	if opt != nil {
		o = *opt
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.StartWithin <= 0 {
		o.StartWithin = 11 * time.Second
	}
	return &Transport{pool: pool, timeout: o.Timeout, startWithin: o.StartWithin}
}

// Send implements [downstream.Transport].
func (t *Transport) Send(ctx context.Context, m *downstream.Message) (downstream.Answer, error) {
	now := time.Now()
	accepted := m.Accepted
	if accepted.IsZero() {
		accepted = now
	}
	down, err := inCCS(m, now.Sub(accepted))
	if err != nil {
		return downstream.Answer{}, err
	}
	by := accepted.Add(t.startWithin)
	if down.TTL != nil {
		// No try begins after the time to live; now or never is a second.
		if end := now.Add(max(*down.TTL, time.Second)); end.Before(by) {
			by = end
		}
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	a, err := t.pool.SendBy(ctx, down, by)
	if err != nil {
		return downstream.Answer{}, t.failure(err)
	}
	return downstream.Answer{
		RegistrationID: a.RegistrationID,
		Success:        a.Success, Failure: a.Failure,
		FailedRegistrationIDs: a.FailedRegistrationIDs,
	}, nil
}

// inCCS is m in the words of CCS, with an id, after it has waited so long.
func inCCS(m *downstream.Message, waited time.Duration) (*ccs.Downstream, error) {
	if m.CCS == nil {
		r, err := translate.Age(m.V1, waited)
		if err != nil {
			return nil, err
		}
		return translate.ToCCS(r, ccs.NewMessageID())
	}
	down := *m.CCS
	if down.MessageID == "" {
		down.MessageID = ccs.NewMessageID()
	}
	if whole := waited.Truncate(time.Second); down.TTL != nil && whole > 0 {
		if waited > *down.TTL {
			return nil, &fcm.SendError{Class: fcm.Expired}
		}
		left := *down.TTL - whole
		down.TTL = &left
	}
	return &down, nil
}

// failure says what an error of the pool means for the message.
func (t *Transport) failure(err error) error {
	if nack, ok := errors.AsType[*ccs.NackError](err); ok {
		return nack
	}
	if wrong, ok := errors.AsType[*ccs.FieldError](err); ok {
		return translate.Refuse(wrong)
	}
	switch {
	case errors.Is(err, ccsclient.ErrOutcomeUnknown):
		return &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true, Err: err}
	case errors.Is(err, ccsclient.ErrDuplicateID), errors.Is(err, ccsclient.ErrWithdrawn), errors.Is(err, ccsclient.ErrClosed):
		return &fcm.SendError{Class: fcm.Unavailable, Err: err}
	}
	// The time was over before the message was written: there was no stream, or
	// no room on one. If the endpoint refuses our key, that is why.
	if refused, ok := errors.AsType[*ccsclient.CredentialsError](t.pool.State().LastError); ok {
		return &fcm.SendError{Class: fcm.Credential, Err: refused}
	}
	return &fcm.SendError{Class: fcm.Unavailable, Err: err}
}
