package ccsserver

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Limit is one of [ConnectionLimits] by a word for metrics; the set is closed.
type Limit string

// The limits.
const (
	LimitPerAddress      Limit = "per_address"
	LimitRate            Limit = "rate"
	LimitUnauthenticated Limit = "unauthenticated"
	LimitPerSender       Limit = "per_sender"
)

// A LimitError is why [Events.Refused] tells of a connection that one limit too
// many stood against.
type LimitError struct {
	Limit Limit
	text  string
}

func (e *LimitError) Error() string { return e.text }

// Reasons for refusing a connection, all but the last before it says anything.
var (
	errTooManyPerAddress = &LimitError{LimitPerAddress, "too many unauthenticated connections from this address"}
	errTooFast           = &LimitError{LimitRate, "connections from this address come too fast"}
	errTooMany           = &LimitError{LimitUnauthenticated, "too many unauthenticated connections"}
	errTooManyStreams    = &LimitError{LimitPerSender, "the sender has as many streams as it may"}
)

// maxAddresses bounds how many addresses the gate remembers. At the bound those
// that have nothing open are forgotten, with their failures.
const maxAddresses = 32_768

// A gate counts connections that are not authenticated yet, and failed logins,
// by address. The right key is never refused: failures only make the next
// refusal slower (docs/protocol.md, SASL), and a connection that will come to
// nothing takes nobody's place, however long its end takes.
type gate struct {
	limits ConnectionLimits

	mu     sync.Mutex // guards what follows
	open   int        // unauthenticated connections, but for the next
	ending int        // those that will come to nothing
	byAddr map[netip.Addr]*address
}

type address struct {
	open     int     // unauthenticated connections, but for the next
	ending   int     // those that will come to nothing
	tokens   float64 // of the bucket that bounds new connections
	at       time.Time
	failures int
	failedAt time.Time
}

// addressOf is the unit that limits count: an IPv4 address, a /64 of IPv6.
func addressOf(a net.Addr) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}, false
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr(), ip.IsLoopback()
		}
	}
	return ip, ip.IsLoopback()
}

// A place is what a connection takes up at the gate until it is authenticated
// or gone. It belongs to one goroutine.
type place struct {
	g      *gate
	ip     netip.Addr
	exempt bool // counts in all only
	ending bool
}

// enter admits a connection or says why not. leave must be called once for
// each place that was given.
func (g *gate) enter(a net.Addr) (*place, error) {
	ip, loopback := addressOf(a)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &place{g: g, ip: ip, exempt: loopback || !ip.IsValid()}
	if g.open >= g.limits.Unauthenticated {
		return nil, errTooMany
	}
	if p.exempt {
		g.open++
		return p, nil
	}
	ad := g.address(ip, now)
	ad.tokens = min(float64(g.limits.Burst), ad.tokens+now.Sub(ad.at).Seconds()*g.limits.Rate)
	ad.at = now
	switch {
	case ad.tokens < 1:
		return nil, errTooFast
	case ad.open >= g.limits.PerAddress:
		return nil, errTooManyPerAddress
	}
	ad.tokens--
	ad.open++
	g.open++
	return p, nil
}

func (p *place) leave() {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	if p.ending {
		p.g.ending--
	} else {
		p.g.open--
	}
	if p.exempt {
		return
	}
	if ad := p.g.byAddr[p.ip]; p.ending { // it is remembered while something is open
		ad.ending--
	} else {
		ad.open--
	}
}

// ends gives up a place before the connection is gone: its login has failed, and
// what is left are last words and the peer's time to close. Else those who
// fail again and again would keep the right key out. It reports whether the
// connection may stay for that: as many as may be unauthenticated do.
func (p *place) ends() (stay bool) {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	first := !p.ending
	if first {
		p.ending = true
		p.g.open--
		p.g.ending++
	}
	stay = p.g.ending <= p.g.limits.Unauthenticated
	if p.exempt {
		return stay
	}
	ad := p.g.byAddr[p.ip]
	if first {
		ad.open--
		ad.ending++
	}
	return stay && ad.ending <= p.g.limits.PerAddress
}

// failed counts a failed login and returns how long its refusal is to be held
// back: 0.1 s from the second on, doubling up to 0.9 s. A quarter of an hour
// without failures forgives all.
func (p *place) failed() time.Duration {
	now := time.Now()
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	ad := p.g.address(p.ip, now)
	if now.Sub(ad.failedAt) > 15*time.Minute {
		ad.failures = 0
	}
	ad.failures++
	ad.failedAt = now
	if ad.failures == 1 {
		return 0
	}
	return min(100*time.Millisecond<<min(ad.failures-2, 8), 900*time.Millisecond)
}

func (g *gate) address(ip netip.Addr, now time.Time) *address {
	if ad := g.byAddr[ip]; ad != nil {
		return ad
	}
	if len(g.byAddr) >= maxAddresses {
		for k, ad := range g.byAddr {
			if ad.open+ad.ending == 0 {
				delete(g.byAddr, k)
			}
		}
	}
	ad := &address{tokens: float64(g.limits.Burst), at: now}
	g.byAddr[ip] = ad
	return ad
}
