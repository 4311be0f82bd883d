package pace

import (
	"math/bits"
	"time"

	"penstock/fcm"
)

// Numbers of the breaker.
const (
	// stormProbe is how often a far end is tried that answers nothing useful.
	stormProbe = time.Second
	// mendProbe is the first wait for an operator to mend something; it doubles
	// up to mendProbeMax.
	mendProbe    = 10 * time.Second
	mendProbeMax = 5 * time.Minute
	// Of the last stormWindow outcomes, and stormLeast of them at least, half
	// must have failed for a storm. Outcomes older than a pause of stormPause
	// say nothing about the present.
	stormWindow = 100
	stormLeast  = 20
	stormPause  = 10 * time.Second
)

// A breaker stops all tries but one at a time when they are of no use. Times
// are nanoseconds since the governor's epoch.
type breaker struct {
	why     Reason // 0: closed, all is well
	next    int64  // when the next probe is due
	backoff time.Duration
	probing bool
	// life grows when the breaker opens: a try from before says nothing about
	// what came after.
	life uint32
	// hoped: something was mended, and no probe has shown yet whether it was enough.
	hoped  bool
	recent window
}

// report takes in what became of a try. It reports whether a probe was of no use
// although something had been mended.
func (b *breaker) report(n int64, t Ticket, o Outcome) (inVain bool) {
	if t.probe {
		b.probing = false
	}
	why := Reason(0)
	switch o.Class {
	case fcm.Credential:
		why = Credential
	case fcm.Configuration:
		why = Configuration
	case fcm.Unavailable, fcm.Internal:
		why = Storm
	}
	if t.life != b.life && !(t.probe && why == 0) { // a probe that came through is a good word, whenever it began
		return false
	}
	inVain = b.hoped && why != 0
	b.hoped = false
	switch {
	case b.why == 0 && why == Storm:
		if b.recent.add(n, true); b.recent.storm() {
			b.open(n, why, stormProbe, o.RetryAfter)
		}
	case b.why == 0 && why != 0:
		b.open(n, why, mendProbe, o.RetryAfter)
	case b.why == 0:
		b.recent.add(n, false)
	case why == 0: // the probe came through
		*b = breaker{life: b.life}
	case b.why == Storm && why == Storm:
		b.wait(n, stormProbe, o.RetryAfter)
	case why == Storm || why == b.why: // an operator's matter is not mended by an outage
		b.wait(n, min(2*b.backoff, mendProbeMax), o.RetryAfter)
	default:
		b.open(n, why, mendProbe, o.RetryAfter)
	}
	return inVain
}

// mended has the next probe come at once, if it waits for an operator.
func (b *breaker) mended(n int64) bool {
	if b.why != Credential && b.why != Configuration {
		return false
	}
	b.life++ // what was tried before says nothing of what there is now
	b.next, b.backoff, b.hoped = n, mendProbe/2, true
	return true
}

func (b *breaker) open(n int64, why Reason, backoff, retryAfter time.Duration) {
	*b = breaker{why: why, life: b.life + 1}
	b.wait(n, backoff, retryAfter)
}

func (b *breaker) wait(n int64, backoff, retryAfter time.Duration) {
	b.backoff = backoff
	b.next = n + int64(max(backoff, retryAfter))
}

// A window remembers the last stormWindow outcomes.
type window struct {
	bad  [2]uint64
	n    int // how many outcomes there are
	pos  int // where the next one goes
	last int64
}

func (w *window) add(n int64, bad bool) {
	if n-w.last > int64(stormPause) {
		*w = window{}
	}
	w.last = n
	word, bit := &w.bad[w.pos/64], uint64(1)<<(w.pos%64)
	*word &^= bit
	if bad {
		*word |= bit
	}
	w.pos = (w.pos + 1) % stormWindow
	w.n = min(w.n+1, stormWindow)
}

func (w *window) storm() bool {
	bad := bits.OnesCount64(w.bad[0]) + bits.OnesCount64(w.bad[1])
	return w.n >= stormLeast && 2*bad >= w.n
}
