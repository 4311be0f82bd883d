package ccsclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// keep sees to it that a slot of the pool has a live stream until ctx ends. A
// stream that drains is kept for its answers while the next one is being
// opened; every stream belongs to the slot that dialled it, and is waited for.
func (p *Pool) keep(ctx context.Context, slot int) {
	var streams sync.WaitGroup
	defer streams.Wait()
	pace := pacer{opt: &p.opt}
	for !p.stopping() {
		if d := pace.wait(time.Now()); d > 0 {
			if f := p.opt.Events.ReconnectingIn; f != nil {
				f(d)
			}
			if !sleep(ctx, d, nil) {
				return
			}
		}
		if !p.spread(ctx, &pace) {
			return
		}
		pace.dialled(time.Now())
		p.noteDial(1, nil)
		s, err := dial(ctx, p.endpoint, p.cred, &p.opt, p.inbox, slot)
		p.noteDial(-1, err)
		if err != nil {
			if f := p.opt.Events.ReconnectFailed; f != nil {
				f(err)
			}
			if ctx.Err() != nil {
				return
			}
			pace.failed(err)
			continue
		}
		s.pool = p
		began := time.Now()
		if f := p.opt.Events.Authenticated; f != nil {
			f(s.State())
		}
		if !p.join(s) {
			s.conn.Close()
			return
		}
		streams.Go(func() {
			err := s.Run(context.Background()) // the pool ends it: see Pool.end
			p.leave(s)
			if f := p.opt.Events.Closed; f != nil {
				f(s.State(), err)
			}
		})
		select {
		case <-s.ends:
			pace.ended(s.worked.Load() || time.Since(began) >= stable, true)
		case <-s.over:
			pace.ended(s.worked.Load() || time.Since(began) >= stable, s.announced())
		case <-ctx.Done():
			return
		}
	}
}

// stopping reports whether the streams are being ended by us. ctx's end may be
// seen only after theirs.
func (p *Pool) stopping() bool {
	select {
	case <-p.stopped:
		return true
	default:
		return false
	}
}

// spread lets an app server that has nothing to send come back in its own time
// after a stream that broke. It is called before each dial. False: ctx ended.
func (p *Pool) spread(ctx context.Context, pace *pacer) bool {
	d := pace.spread
	pace.spread = 0
	if d <= 0 {
		return true
	}
	p.mu.Lock()
	if p.first() != nil {
		p.mu.Unlock()
		return true
	}
	if p.wanted == nil {
		p.wanted = make(chan struct{})
	}
	wanted := p.wanted
	p.mu.Unlock()
	if f := p.opt.Events.ReconnectingIn; f != nil {
		f(d)
	}
	return sleep(ctx, d, wanted)
}

// sleep lets d pass, unless something closes early. False: ctx ended.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-early:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Pool) noteDial(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing += n
	if n < 0 {
		p.lastErr = err
	}
}

// join adds a stream, unless the pool is closed.
func (p *Pool) join(s *Session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return false
	}
	p.streams = append(p.streams, s)
	p.pump(nil, time.Now())
	return true
}

// leave takes out a stream that is gone. What it left unanswered is in the
// queue again.
func (p *Pool) leave(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = slices.DeleteFunc(p.streams, func(o *Session) bool { return o == s })
	p.pump(nil, time.Now())
}

// A pacer says when a slot may dial again: after a stream that worked, at once
// if a message waits, and else within a time that many clients share out among
// themselves; after that with doubling waits; and never more than ten times in
// ten seconds (docs/protocol.md, Reconnecting). It belongs to one goroutine.
type pacer struct {
	opt    *Options
	due    time.Duration // before the next dial
	spread time.Duration // behind it, unless a message waits
	step   int           // waits in a row
	dials  [10]time.Time // a ring
	at     int
}

// stable is how long a stream on which nothing came must have lived to count as
// one that worked; over the same time the dials are counted.
const stable = 10 * time.Second

// credentialsWait is the least wait after refused credentials: nothing changes
// before a person has looked (docs/protocol.md, SASL).
const credentialsWait = 30 * time.Second

func (c *pacer) wait(now time.Time) time.Duration {
	oldest := c.dials[c.at]
	if oldest.IsZero() {
		return c.due
	}
	return max(c.due, oldest.Add(stable).Sub(now))
}

func (c *pacer) dialled(now time.Time) {
	c.dials[c.at] = now
	c.at = (c.at + 1) % len(c.dials)
}

// ended notes that a stream is gone, or that its end was announced.
func (c *pacer) ended(worked, announced bool) {
	if worked {
		c.step = 0
	}
	switch {
	case announced:
		c.due = 0
	case c.step == 0:
		c.step, c.due = 1, 0
		if c.opt.ReconnectSpread > 0 {
			c.spread = rand.N(c.opt.ReconnectSpread)
		}
	default:
		c.back()
	}
}

func (c *pacer) failed(err error) {
	c.step = max(c.step, 1)
	c.back()
	if errors.As(err, new(*CredentialsError)) {
		c.due = max(c.due, jitter(credentialsWait))
	}
}

// back waits longer than before: between one and four times a time that
// doubles. Clients whose server is away drift apart by that, and their attempts
// stay few at any time, however long it takes.
func (c *pacer) back() {
	least, most := c.opt.BackoffFirst, max(c.opt.BackoffFirst, c.opt.BackoffMax)
	d := min(least<<min(c.step-1, 16), max(least, most/4))
	c.due = d + rand.N(min(3*d, most-d)+1)
	c.step++
}

// jitter adds up to a half to d, so that many clients do not come back together.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/2+1) }
