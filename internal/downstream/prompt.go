package downstream

import (
	"errors"
	"sync"
	"time"

	"penstock/fcm"
)

// Prompt is a lane for callers that keep no ids, as those of HTTP: after the
// verdict timeout they have an answer, and a verdict that comes later reaches
// nobody. [Lane.Submit] itself tells late ones, for callers that know whose
// they are. Any goroutine may call.
type Prompt struct{ *Lane }

// ErrLate is the cause of an answer that could wait no longer: the message is
// in flight, and may have been sent.
var ErrLate = errors.New("the verdict is late")

// Submit is [Lane.Submit], but at the verdict timeout, counted from the
// message's acceptance, the answer of one that is in flight is a
// *fcm.SendError of class Unavailable whose outcome is unknown.
func (p Prompt) Submit(m *Message, done func(Answer, error)) {
	wait := p.opt.VerdictTimeout
	if !m.Accepted.IsZero() {
		wait -= time.Since(m.Accepted)
	}
	if wait <= 0 {
		p.Lane.Submit(m, done) // the lane tries it no more, and says so before this returns
		return
	}
	var once sync.Once // the one that comes second waits until the first was told
	late := time.AfterFunc(wait, func() {
		once.Do(func() { done(Answer{}, &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true, Err: ErrLate}) })
	})
	p.Lane.Submit(m, func(a Answer, err error) {
		once.Do(func() {
			late.Stop()
			done(a, err)
		})
	})
}
