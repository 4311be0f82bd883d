package main

import (
	"slices"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/fcmsim"
	"penstock/internal/faultproxy"
)

// befall does what a fault says, and reports whether there was anything to hit.
func (r *run) befall(f fault) bool {
	w := r.worlds[f.Dice[0]%senders]
	much := time.Duration(f.Dice[3] % 1000)
	switch f.Kind {
	case faultCut, faultReset, faultHalfClose, faultFlip, faultSilence, faultSlow:
		return r.befallLink(f, w)
	case faultDrain:
		return len(w.current().Drain(ccsserver.DrainOptions{})) > 0
	case faultDrainNack:
		return len(w.current().Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})) > 0
	case faultDrainTwo:
		r.after(300*time.Millisecond, func() { w.current().Drain(ccsserver.DrainOptions{}) })
		return len(w.current().Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: 2 * time.Second}})) > 0
	case faultRestart, faultKill:
		for i := range uint32(senders) {
			w := r.worlds[(f.Dice[0]+i)%senders]
			if w.restart.TryLock() { // else its last one is still under way
				return w.replace(f.Kind == faultKill) == nil
			}
		}
		return false
	case faultLate:
		r.burst(w.number*poolsOfSender+int(f.Dice[1]%poolsOfSender), 4*window)
		return w.current().SetFault(fcmsim.Fault{Next: 5 * window, Delay: 400*time.Millisecond + much*time.Millisecond/2}) == nil
	case faultFullCut:
		pool := int(f.Dice[1] % poolsOfSender)
		if len(w.proxies[pool].Links()) == 0 {
			return false
		}
		r.burst(w.number*poolsOfSender+pool, 4*window)
		r.after(200*time.Millisecond, func() {
			for _, l := range w.proxies[pool].Links() {
				w.strike(l)
				l.Close()
			}
		})
		// The pool is back before these answers are.
		return w.current().SetFault(fcmsim.Fault{Next: 4 * window, Delay: time.Second + much*time.Millisecond}) == nil
	case faultNacks:
		codes := []ccs.Code{ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeDeviceMessageRateExceeded}
		return w.current().SetFault(fcmsim.Fault{Next: 1 + int(much)/10, Nack: codes[f.Dice[2]%3]}) == nil
	case faultMute:
		return w.current().SetFault(fcmsim.Fault{Next: 1 + int(much)/50, Silence: true, Deliver: f.Dice[2]%2 == 0}) == nil
	case faultSimCut:
		return w.current().SetFault(fcmsim.Fault{Next: 1, Cut: true, Deliver: f.Dice[2]%2 == 0}) == nil
	}
	return false
}

// befallLink hits one connection of one pool, or of the other one if that has
// none just now.
func (r *run) befallLink(f fault, w *world) bool {
	links := w.proxies[f.Dice[1]%poolsOfSender].Links()
	if len(links) == 0 {
		links = w.proxies[(f.Dice[1]+1)%poolsOfSender].Links()
	}
	if len(links) == 0 {
		return false
	}
	l := links[f.Dice[2]%uint32(len(links))]
	w.strike(l)
	direction := faultproxy.Direction(f.Dice[3] % 2)
	n := int64(f.Dice[3] / 2 % 3000)
	much := time.Duration(f.Dice[3] % 1000)
	switch f.Kind {
	case faultCut:
		l.After(direction, n, faultproxy.Cut)
	case faultReset:
		l.After(direction, n, faultproxy.Reset)
	case faultHalfClose:
		l.After(direction, n, faultproxy.HalfClose)
	case faultFlip:
		l.After(direction, n, faultproxy.Flip)
	case faultSilence:
		l.After(direction, n, faultproxy.Silence)
		both := f.Dice[3]/2%3 == 0 // else the other direction lives on
		if both {
			l.Silence(1-direction, true)
		}
		r.after(6*time.Second+much*2*time.Millisecond, func() {
			l.Silence(faultproxy.ToServer, false)
			l.Silence(faultproxy.ToClient, false)
		})
	case faultSlow:
		road := faultproxy.Road{
			Latency: much * time.Millisecond / 5, Jitter: much * time.Millisecond / 10,
			Rate: 20_000 + 200*int(much), Slice: 1 + int(much)/10,
		}
		l.SetRoad(faultproxy.ToServer, road)
		l.SetRoad(faultproxy.ToClient, road)
		r.after(3*time.Second+much*3*time.Millisecond, func() {
			l.SetRoad(faultproxy.ToServer, faultproxy.Road{})
			l.SetRoad(faultproxy.ToClient, faultproxy.Road{})
		})
	}
	return true
}

// after does something later, unless the faults have ended by then. It is
// called by the goroutine that plays the plan.
func (r *run) after(d time.Duration, f func()) {
	now := time.Now()
	r.timers = slices.DeleteFunc(r.timers, func(t timer) bool { return t.due.Before(now) }) // or they hold their links for ever
	r.timers = append(r.timers, timer{time.AfterFunc(d, f), now.Add(d)})
}

// A timer is something that is to happen.
type timer struct {
	*time.Timer
	due time.Time
}

// heal ends all faults that last.
func (r *run) heal() {
	for _, t := range r.timers {
		t.Stop()
	}
	for _, w := range r.worlds {
		w.current().ClearFaults()
		for _, p := range w.proxies {
			for _, l := range p.Links() {
				for _, d := range []faultproxy.Direction{faultproxy.ToServer, faultproxy.ToClient} {
					l.SetRoad(d, faultproxy.Road{})
					l.Silence(d, false)
				}
			}
		}
	}
}
