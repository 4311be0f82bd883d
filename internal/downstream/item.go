package downstream

import (
	"errors"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/pace"
	"penstock/internal/translate"
)

// An item is one message from its hand-over to its answer. Its fields are
// guarded by the lane's mu, but for those that never change.
type item struct {
	m        *Message
	done     func(Answer, error) // called once, without mu
	target   pace.Target
	seq      uint64
	accepted time.Duration
	latest   time.Duration // when its turn must come at the latest
	mortal   bool          // latest is the end of its time to live
	once     bool          // now or never: no second try

	state  itemState
	index  int // in waiting
	tries  int
	ticket pace.Ticket
	last   error // of a try that sent nothing
}

type itemState uint8

const (
	itemWaiting  itemState = iota // for its turn
	itemFlying                    // it is being tried
	itemResting                   // a try sent nothing; the next one is due later
	itemAnswered                  // final
)

func (l *Lane) newItem(m *Message, done func(Answer, error), now time.Time) *item {
	it := &item{m: m, done: done, target: target(m)}
	accepted := m.Accepted
	if accepted.IsZero() {
		accepted = now
	}
	it.accepted = accepted.Sub(l.epoch)
	it.latest = it.accepted + l.opt.VerdictTimeout - LastCall
	ttl, ok := timeToLive(m)
	switch {
	case !ok:
	case ttl <= 0:
		it.once = true
		it.latest = min(it.latest, it.accepted+nowOrNever)
	case it.accepted+ttl < it.latest:
		it.mortal = true
		it.latest = it.accepted + ttl
	}
	return it
}

// target is what m is for, as far as it can be told.
func target(m *Message) pace.Target {
	switch {
	case m.CCS != nil && m.CCS.To != "":
		name, isTopic := strings.CutPrefix(string(m.CCS.To), ccs.TopicPrefix)
		return pace.Target{Name: name, Topic: isTopic}
	case m.CCS != nil:
		return pace.Target{Name: m.CCS.Condition, Topic: true}
	case m.V1 == nil || m.V1.Message == nil:
		return pace.Target{}
	}
	kind, name := m.V1.Message.Target()
	return pace.Target{Name: name, Topic: kind != fcm.TargetDevice}
}

// timeToLive is how long after its acceptance m may be tried, if it says so.
func timeToLive(m *Message) (time.Duration, bool) {
	if m.CCS != nil {
		if m.CCS.TTL == nil {
			return 0, false
		}
		return *m.CCS.TTL, true
	}
	if m.V1 == nil || m.V1.Message == nil {
		return 0, false
	}
	return m.V1.Message.TTL()
}

// dialect is how m was written.
func dialect(m *Message) Dialect {
	if m.CCS != nil {
		return Legacy
	}
	return V1
}

// notSent is the refusal of a message that nothing is wrong with.
func notSent(cause error, retryAfter time.Duration) error {
	return &fcm.SendError{Class: fcm.Unavailable, RetryAfter: retryAfter, Err: cause}
}

// errTooMany is why a message to a device or a topic is refused without asking.
var errTooMany = errors.New("this target has had as many messages as it may")

func tooMany(class fcm.Class, retryAfter time.Duration) error {
	return &fcm.SendError{Class: class, RetryAfter: retryAfter, Err: errTooMany}
}

// unsent reports whether a try failed before anything left: no outcome, no
// reply, and no doubt.
func unsent(err error) bool {
	e, ok := errors.AsType[*fcm.SendError](err)
	return ok && e.Class == fcm.Unavailable && e.Reply == nil && !e.OutcomeUnknown
}

// verdict reads an outcome for the pace and for events. What is no error of
// ours becomes one.
func verdict(err error) (pace.Outcome, error) {
	if err == nil {
		return pace.Outcome{}, nil
	}
	if e, ok := errors.AsType[*fcm.SendError](err); ok {
		// A message that the transport could not translate, or whose time to live
		// was over, has not left us. A refusal of our own may look like FCM's reply;
		// the rule that was broken is its cause.
		_, unasked := errors.AsType[*fcm.FieldError](err)
		unasked = unasked || e.Class == fcm.Expired
		return pace.Outcome{Class: e.Class, RetryAfter: e.RetryAfter, Unasked: unasked}, err
	}
	if e, ok := errors.AsType[*ccs.NackError](err); ok {
		if e.Code == ccs.CodeBadAck { // says nothing of how the far end is
			return pace.Outcome{Class: fcm.InvalidMessage}, err
		}
		return pace.Outcome{Class: translate.ClassOf(e.Code)}, err
	}
	return pace.Outcome{Class: fcm.Internal}, &fcm.SendError{Class: fcm.Internal, OutcomeUnknown: true, Err: err}
}
