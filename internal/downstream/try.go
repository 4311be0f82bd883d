package downstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"penstock/fcm"
)

// A try that sent nothing is followed by another one after repeatFirst,
// doubling up to repeatMax, with jitter.
const (
	repeatFirst = 100 * time.Millisecond
	repeatMax   = 2 * time.Second
)

// try tries a message once. It is a goroutine of its own.
func (l *Lane) try(it *item) {
	defer l.calls.Done()
	deepen(it.tries)
	began := time.Now()
	a, err := l.send(it.m)
	ended := time.Now()
	outcome, err := verdict(err)
	var t turn
	l.mu.Lock()
	l.flying--
	it.tries++
	change := l.pace.Report(ended, it.ticket, outcome)
	again := unsent(err) && l.repeat(it, err, ended)
	if !again {
		it.state = itemAnswered
	}
	l.pump(ended, &t)
	l.mu.Unlock()
	if change.Resumed != 0 {
		l.opt.Events.resumed(Resumed{Project: l.opt.Project, Why: change.Resumed})
	}
	if change.Held != 0 {
		l.opt.Events.held(Held{Project: l.opt.Project, Why: change.Held, For: change.For, Err: err})
	}
	if !again {
		e, _ := errors.AsType[*fcm.SendError](err)
		l.opt.Events.answered(Answered{
			Project: l.opt.Project, Dialect: dialect(it.m), Class: outcome.Class,
			OutcomeUnknown: e != nil && e.OutcomeUnknown, Tries: it.tries,
			Queued: began.Sub(l.epoch) - it.accepted, Sending: ended.Sub(began),
		})
		it.done(a, err)
	}
	l.do(&t, ended)
}

// deepen makes the goroutine's stack as large as a try needs it, at once. A new
// one is small and would grow in steps, each with all that is on it by then: a
// tenth of what a message costs from end to end. It returns a byte of its room,
// so that the compiler must keep it.
//
//go:noinline
func deepen(tries int) byte {
	var room [6 << 10]byte
	return room[tries%len(room)]
}

// send calls the transport. A panic there costs this message and no other.
func (l *Lane) send(m *Message) (a Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &fcm.SendError{Class: fcm.Internal, OutcomeUnknown: true, Err: fmt.Errorf("the transport panicked: %v", v)}
		}
	}()
	return l.transport.Send(l.tries, m)
}

// repeat lets a message rest that was not sent, for another try, if there may
// be one. Called with mu held.
func (l *Lane) repeat(it *item, cause error, now time.Time) bool {
	rest := min(repeatFirst<<min(it.tries-1, 8), repeatMax)
	rest = rest/2 + rand.N(rest/2)
	if l.isShut || it.once || now.Sub(l.epoch)+rest >= it.latest || !l.pace.MayRepeat(now) {
		return false
	}
	it.state, it.last = itemResting, cause
	l.resting[it] = time.AfterFunc(rest, func() { l.rested(it) })
	return true
}

// rested puts a message back among those that wait.
func (l *Lane) rested(it *item) {
	now := time.Now()
	var t turn
	l.mu.Lock()
	if it.state != itemResting {
		l.mu.Unlock()
		return
	}
	l.calls.Add(1)
	defer l.calls.Done()
	delete(l.resting, it)
	it.state = itemWaiting
	l.waiting.add(it)
	l.pump(now, &t)
	l.mu.Unlock()
	l.do(&t, now)
}
