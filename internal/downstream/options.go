package downstream

import (
	"errors"
	"fmt"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

// Options are what is optional about a [Lane]. The zero value of a field is its
// documented default.
type Options struct {
	// Project is for events and errors.
	Project fcm.ProjectID
	// Pace is the project's pace. Default: as towards Google.
	Pace *pace.Options
	// MaxInWork is how many messages a lane holds, waiting and in flight; what
	// comes beyond is refused with [ErrBusy]. Default 10,000.
	MaxInWork int
	// VerdictTimeout is how long after its acceptance a message should have its
	// answer. One that still waits a second before is refused as not sent; one
	// that is in flight then gets its answer when it comes. Default 12 s, and
	// more than a second.
	VerdictTimeout time.Duration
	Events         *Events
}

// Events are told what happens in a lane. They are called without a lock, on
// the goroutine where it happened, and must be quick. Nil functions are fine.
type Events struct {
	// Answered: a message got its answer.
	Answered func(Answered)
	// Held: the project waits, all of it, from now on. An operator must act if
	// the reason is [pace.Credential] or [pace.Configuration].
	Held func(Held)
	// Resumed: what held the project does so no more.
	Resumed func(Resumed)
}

// An Answered says how one message went.
type Answered struct {
	Project fcm.ProjectID
	Dialect Dialect
	// Class is 0 for an accepted message, and the nack's nearest class for a
	// *ccs.NackError.
	Class fcm.Class
	// OutcomeUnknown: the far end may have taken it.
	OutcomeUnknown bool
	// Tries is how often it was tried; 0: it was refused without.
	Tries int
	// Queued is the time from acceptance to the last try, or to the refusal;
	// Sending is how long the last try took.
	Queued, Sending time.Duration
}

// Outcome is a word for metrics: "accepted" or the class; the set is closed.
func (a Answered) Outcome() string {
	if a.Class == 0 {
		return "accepted"
	}
	return a.Class.String()
}

// A Dialect is how the front's message was written.
type Dialect string

// The dialects.
const (
	Legacy Dialect = "legacy" // CCS and legacy HTTP
	V1     Dialect = "v1"
)

// A Held says what holds a project.
type Held struct {
	Project fcm.ProjectID
	Why     pace.Reason
	For     time.Duration // until the next try, as far as it is known
	Err     error         // the outcome that decided it; for an operator
}

// A Resumed says what holds a project no more.
type Resumed struct {
	Project fcm.ProjectID
	Why     pace.Reason
}

func (e *Events) answered(a Answered) {
	if e != nil && e.Answered != nil {
		e.Answered(a)
	}
}

func (e *Events) held(h Held) {
	if e != nil && e.Held != nil {
		e.Held(h)
	}
}

func (e *Events) resumed(r Resumed) {
	if e != nil && e.Resumed != nil {
		e.Resumed(r)
	}
}

// Causes of refusals: inside a *fcm.SendError of class Unavailable whose
// outcome is known. Nothing was sent.
var (
	// ErrBusy: the lane holds as many messages as it may.
	ErrBusy = errors.New("as many messages are in work as may be")
	// ErrClosed: the lane takes no more messages.
	ErrClosed = errors.New("closed")
)

// A HeldError is the cause of a refusal: the message's turn did not come in
// time.
type HeldError struct {
	Why  pace.Reason // what it waited for last
	Last error       // why the last try sent nothing; nil: it was not tried
}

func (e *HeldError) Error() string {
	text := fmt.Sprintf("not sent in time (%s)", e.Why)
	if e.Last != nil {
		text += ": " + e.Last.Error()
	}
	return text
}

// Unwrap returns the cause of the last try.
func (e *HeldError) Unwrap() error { return e.Last }

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.MaxInWork == 0 {
		c.MaxInWork = 10_000
	}
	if c.VerdictTimeout == 0 {
		c.VerdictTimeout = 12 * time.Second
	}
	switch {
	case c.MaxInWork < 0:
		return c, errors.New("downstream: Options.MaxInWork is negative")
	case c.VerdictTimeout <= LastCall:
		return c, fmt.Errorf("downstream: Options.VerdictTimeout is %v, and must be more than %v", c.VerdictTimeout, LastCall)
	}
	return c, nil
}
