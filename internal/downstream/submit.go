package downstream

import (
	"errors"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

// LastCall is how long before its verdict timeout a message is refused that
// still waits: later, a verdict would come too late.
const LastCall = time.Second

// Times of waiting.
const (
	// nowOrNever is how long a message with time to live 0 waits for its turn.
	nowOrNever = time.Second
	// step is the least time for which a lane sleeps whose messages wait, so
	// that a rate of ten thousand a second does not wake it for each message.
	step = 2 * time.Millisecond
)

// Submit hands m over and returns. done is called once with its answer, on
// another goroutine or before Submit returns; it must be quick. The error is
// nil, a *fcm.SendError or a *ccs.NackError.
//
// Submit never waits: a message that finds the lane full or closed is refused.
// An answer that comes after the verdict timeout is told all the same.
func (l *Lane) Submit(m *Message, done func(Answer, error)) {
	now := time.Now()
	it := l.newItem(m, done, now)
	var t turn
	l.mu.Lock()
	switch {
	case m.CCS == nil && m.V1 == nil:
		it.state = itemAnswered
		t.tell(it, &fcm.SendError{Class: fcm.InvalidMessage, Err: errors.New("there is no message")})
	case l.isShut:
		it.state = itemAnswered
		t.tell(it, notSent(ErrClosed, 0))
	case len(l.waiting)+len(l.resting)+l.flying >= l.opt.MaxInWork:
		it.state = itemAnswered
		t.tell(it, notSent(ErrBusy, 0))
	default:
		// Others' answers may come to be told here.
		l.calls.Add(1)
		defer l.calls.Done()
		l.seq++
		it.seq = l.seq
		l.waiting.add(it)
		l.pump(now, &t)
		if it.state != itemWaiting {
			break
		}
		// It waits behind others, but its own verdict need not.
		if class, wait := l.pace.Refuses(now, it.target); class != 0 {
			l.withdraw(it)
			t.tell(it, tooMany(class, wait))
		}
	}
	l.mu.Unlock()
	l.do(&t, now)
}

// withdraw takes a message out that waits or rests. Called with mu held.
func (l *Lane) withdraw(it *item) {
	if it.state == itemResting {
		l.resting[it].Stop()
		delete(l.resting, it)
	} else {
		l.waiting.remove(it)
	}
	it.state = itemAnswered
}

// pump lets messages be tried, as far as the pace allows, and gives up those
// that have waited too long. Called with mu held, whenever either may have
// changed.
func (l *Lane) pump(now time.Time, t *turn) {
	at := now.Sub(l.epoch)
	for len(l.waiting) > 0 {
		it := l.waiting[0]
		if at >= it.latest {
			l.withdraw(it)
			t.tell(it, l.tooLate(it, now))
			continue
		}
		wake := it.latest
		if l.tries != nil {
			d := l.pace.Admit(now, it.target)
			if d.Resumed != 0 {
				t.resumed = d.Resumed
			}
			if d.OK {
				l.waiting.remove(it)
				it.state, it.ticket = itemFlying, d.Ticket
				l.flying++
				l.calls.Add(1)
				go l.try(it)
				continue
			}
			if d.Refused != 0 {
				l.withdraw(it)
				t.tell(it, tooMany(d.Refused, d.Wait))
				continue
			}
			l.why = d.Why
			if d.Wait > 0 {
				wake = min(wake, at+max(d.Wait, step))
			}
		}
		l.wakeAt(at, wake)
		return
	}
}

// tooLate is the error of a message whose turn did not come in time.
func (l *Lane) tooLate(it *item, now time.Time) error {
	if it.mortal {
		return &fcm.SendError{Class: fcm.Expired, Err: it.last}
	}
	why, wait := l.pace.Held(now)
	if why == 0 {
		why = l.why
	}
	return notSent(&HeldError{Why: why, Last: it.last}, wait)
}

// wakeAt sets the timer, unless it goes off before. Called with mu held.
func (l *Lane) wakeAt(at, wake time.Duration) {
	if l.timerAt != 0 && l.timerAt <= wake {
		return
	}
	l.timerAt = wake
	if l.timer == nil {
		l.timer = time.AfterFunc(wake-at, l.wake)
	} else {
		l.timer.Reset(wake - at)
	}
}

// wake gives the messages that wait their turn, as far as there is one.
func (l *Lane) wake() {
	now := time.Now()
	var t turn
	l.mu.Lock()
	if l.isShut {
		l.mu.Unlock()
		return
	}
	l.calls.Add(1)
	defer l.calls.Done()
	l.timerAt = 0
	l.pump(now, &t)
	l.mu.Unlock()
	l.do(&t, now)
}

// A turn collects what is to be told when the lock is free again.
type turn struct {
	refused []refusal
	resumed pace.Reason
}

type refusal struct {
	it  *item
	err error
}

func (t *turn) tell(it *item, err error) { t.refused = append(t.refused, refusal{it, err}) }

// do tells it.
func (l *Lane) do(t *turn, now time.Time) {
	if t.resumed != 0 {
		l.opt.Events.resumed(Resumed{Project: l.opt.Project, Why: t.resumed})
	}
	for _, r := range t.refused {
		o, _ := verdict(r.err)
		l.opt.Events.answered(Answered{
			Project: l.opt.Project, Dialect: dialect(r.it.m), Class: o.Class, Tries: r.it.tries,
			Queued: now.Sub(l.epoch) - r.it.accepted,
		})
		r.it.done(Answer{}, r.err)
	}
}
