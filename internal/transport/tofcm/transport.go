package tofcm

import (
	"context"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/downstream"
	"penstock/internal/translate"
)

// A Sender is what a [Transport] needs of a [fcmsend.Sender].
type Sender interface {
	SendBy(ctx context.Context, r *fcm.SendRequest, by time.Time) (fcmsend.Result, error)
}

// Options are what is optional about a [Transport]. The zero value of a field is
// its documented default.
type Options struct {
	// Translate says how legacy messages are turned into v1. Default: as
	// translate does by itself.
	Translate *translate.Options
	// StartWithin is how long after its acceptance a request may begin; one that
	// found no connection until then is not sent. It is the lane's verdict
	// timeout less [downstream.LastCall]. Default 11 s.
	StartWithin time.Duration
}

// A Transport sends through FCM HTTP v1. It bounds each try by the sender's
// request timeout.
type Transport struct {
	sender      Sender
	translate   *translate.Options
	startWithin time.Duration
}

var _ downstream.Transport = (*Transport)(nil)

// New makes a transport.
func New(sender Sender, opt *Options) *Transport {
	var o Options
	if opt != nil {
		o = *opt
	}
	if o.StartWithin <= 0 {
		o.StartWithin = 11 * time.Second
	}
	return &Transport{sender: sender, translate: o.Translate, startWithin: o.StartWithin}
}

// Send implements [downstream.Transport].
func (t *Transport) Send(ctx context.Context, m *downstream.Message) (downstream.Answer, error) {
	now := time.Now()
	accepted := m.Accepted
	if accepted.IsZero() {
		accepted = now
	}
	var r *fcm.SendRequest
	var err error
	if m.CCS != nil {
		r, err = translate.ToV1(m.CCS, translate.Times{Accepted: accepted, Now: now}, t.translate)
	} else {
		r, err = translate.Age(m.V1, now.Sub(accepted))
	}
	if err != nil {
		return downstream.Answer{}, err
	}
	by := accepted.Add(t.startWithin)
	if r.Message != nil {
		// No try begins after the time to live; now or never is a second.
		if ttl, ok := r.Message.TTL(); ok {
			if end := now.Add(max(ttl, time.Second)); end.Before(by) {
				by = end
			}
		}
	}
	result, err := t.sender.SendBy(ctx, r, by)
	if err != nil {
		return downstream.Answer{}, err
	}
	return downstream.Answer{Name: result.Name}, nil
}
