package ccs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/downstream"
	"penstock/internal/keys"
	"penstock/internal/translate"
)

// A Lane is the way of one project's messages; see [downstream.Lane].
type Lane interface {
	// Submit takes charge of m and calls answer once, on any goroutine, maybe
	// before it returns. It does not block. The error is a *fcm.SendError or a
	// *ccs.NackError.
	Submit(m *downstream.Message, answer func(downstream.Answer, error))
}

var _ Lane = (*downstream.Lane)(nil)

// Options are what may be left out. A nil pointer is the zero value.
type Options struct {
	Translate *translate.Options // how outcomes become nacks
	Events    *Events
}

// Events tell what happens. They are called on the goroutines of the streams and
// of the lane, so they must be quick. A nil one is left out.
type Events struct {
	// Accepted tells of one message that is about to be handed to its lane.
	Accepted func(project string)
	// Answered tells what became of one message: "ok", or the code of its nack.
	// took counts from when the message was read.
	Answered func(project, outcome string, took time.Duration)
	// Failed tells of a fault of our own; project may be empty.
	Failed func(project string, err error)
}

// A Handler gives the messages of a ccsserver to lanes. Several goroutines may
// call.
type Handler struct {
	ring  *keys.Ring
	lanes func(project string) Lane
	opt   Options
}

var _ ccsserver.Handler = (*Handler)(nil)

// New makes a handler that asks ring for the project of a sender id. lanes
// returns the lane of a project by its name, or nil if it has none now.
func New(ring *keys.Ring, lanes func(project string) Lane, opt *Options) *Handler {
	h := &Handler{ring: ring, lanes: lanes}
	if opt != nil {
		h.opt = *opt
	}
	if h.opt.Events == nil {
		h.opt.Events = new(Events)
	}
	return h
}

// nackNotReady answers a sender that has no lane: its project was taken away
// while its stream lived, or is about to come.
var nackNotReady = &ccs.NackError{Code: ccs.CodeServiceUnavailable}

// Downstream implements [ccsserver.Handler]. It does not block. A panic, here
// or on the way back, costs its message and not the stream.
func (h *Handler) Downstream(r *ccsserver.Request) {
	accepted := time.Now()
	project := ""
	defer h.contain(r, &project)
	p, ok := h.ring.Sender(r.Sender)
	if !ok {
		r.Answer(nil, nackNotReady)
		return
	}
	project = p.Name
	lane := h.lanes(project)
	if lane == nil {
		r.Answer(nil, nackNotReady)
		return
	}
	if f := h.opt.Events.Accepted; f != nil {
		f(project)
	}
	lane.Submit(&downstream.Message{CCS: r.Message, Accepted: accepted}, func(a downstream.Answer, err error) {
		defer h.contain(r, &project)
		outcome := "ok"
		if err != nil {
			nack := translate.Nack(err, h.opt.Translate)
			outcome = string(nack.Code)
			r.Answer(nil, nack)
		} else {
			r.Answer(ackOf(a), nil)
		}
		if f := h.opt.Events.Answered; f != nil {
			f(project, outcome, time.Since(accepted))
		}
	})
}

// contain turns a panic into an answer and an event.
func (h *Handler) contain(r *ccsserver.Request, project *string) {
	v := recover()
	if v == nil {
		return
	}
	if f := h.opt.Events.Failed; f != nil {
		f(*project, fmt.Errorf("front/ccs: panic: %v\n%s", v, debug.Stack()))
	}
	r.Answer(nil, &ccs.NackError{Code: ccs.CodeInternalServerError})
}

// ackOf is what an ack says beyond the plain one; nil: nothing.
func ackOf(a downstream.Answer) *ccs.Ack {
	if a.RegistrationID == "" && a.Success == 0 && a.Failure == 0 && len(a.FailedRegistrationIDs) == 0 {
		return nil
	}
	return &ccs.Ack{
		RegistrationID: a.RegistrationID,
		Success:        a.Success, Failure: a.Failure, FailedRegistrationIDs: a.FailedRegistrationIDs,
	}
}

// Accounts lets app servers log in with the keys of a ring that count for CCS.
func Accounts(ring *keys.Ring) ccsserver.Accounts { return accounts{ring} }

type accounts struct{ ring *keys.Ring }

func (a accounts) Authenticate(ctx context.Context, sender ccs.SenderID, key string) error {
	err := a.ring.Authenticate(ctx, sender, key)
	if errors.Is(err, keys.ErrUnknown) {
		return ccsserver.ErrBadCredentials
	}
	return err
}
