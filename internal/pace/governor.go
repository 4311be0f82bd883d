package pace

import (
	"cmp"
	"sync"
	"time"

	"penstock/fcm"
)

// Options are what is optional about a [Governor]. The zero value of a field is
// its documented default, which is what Google publishes; a negative number
// switches the rule off.
type Options struct {
	// PerMinute is how many messages the project may send in any minute. They
	// are spread evenly, with bursts of 50 ms. Default 600,000. Negative: no
	// rate, no ramp, and no halving after FCM's word that it was too much.
	PerMinute int
	// Ramp is how long the way from nothing to PerMinute takes at least, at the
	// start, after a minute of less, and after an outage. Default 60 s.
	Ramp time.Duration
	// MaxInFlight is how many tries may be under way. Default 1,000.
	MaxInFlight int
	// DevicePerMinute and DevicePerHour are what one device may get. Defaults
	// 240 and 5,000.
	DevicePerMinute, DevicePerHour int
	// TopicPerMinute is how many messages may go to one topic or condition.
	// Default: as many as one likes.
	TopicPerMinute int
	// MaxTargets is how many devices are remembered, how many topics, and how
	// many of either that the far end has made wait: so many of each of the
	// three. Beyond, those that were quiet for longest are forgotten first, up to
	// half of them at a time, and counted. Default 1,000,000.
	MaxTargets int
}

// Unlimited are options for a far end that has no quotas, such as a simulator:
// no rate, and no limit for a device. What the far end asks for is still done.
func Unlimited() *Options {
	return &Options{PerMinute: -1, DevicePerMinute: -1, DevicePerHour: -1}
}

// A Target is where a message goes. The empty name is no target, and has no
// limit.
type Target struct {
	Name  string
	Topic bool // a topic or a condition, and not a device or a group
}

// A Reason is why messages wait.
type Reason uint8

// The reasons. The zero Reason is none of them.
const (
	// Rate: the project's messages a minute, or its ramp.
	Rate Reason = iota + 1
	// InFlight: as many tries are under way as may be.
	InFlight
	// Quota: FCM said that the project sends too much.
	Quota
	// Storm: most tries fail, as if FCM were down or out of reach.
	Storm
	// Credential and Configuration: FCM takes nothing from us until an operator
	// has mended something.
	Credential
	Configuration
)

// String is a word for logs and metrics; the set is closed.
func (r Reason) String() string {
	switch r {
	case Rate:
		return "rate"
	case InFlight:
		return "in_flight"
	case Quota:
		return "quota"
	case Storm:
		return "storm"
	case Credential:
		return "credential"
	case Configuration:
		return "configuration"
	}
	return "none"
}

// A Decision is what a [Governor] says about one message: it may be tried (OK),
// it is refused (Refused), or it waits.
type Decision struct {
	OK     bool
	Ticket Ticket // if OK: for Report
	// Refused is DeviceQuota or TopicQuota, a verdict on this message.
	Refused fcm.Class
	// Why it waits.
	Why Reason
	// Wait is how long it waits, or, if refused, when such a message would not
	// be. 0: until the next Report.
	Wait time.Duration
	// Resumed is what held the project until now, if that is over with this
	// decision.
	Resumed Reason
}

// A Ticket stands for one try, from [Governor.Admit] to [Governor.Report].
type Ticket struct {
	target uint64 // 0: none
	topic  bool
	probe  bool
	life   uint32 // the breaker's, when the try began
	cuts   uint32 // how often the rate had been halved by then
}

// An Outcome is what became of a try.
type Outcome struct {
	Class      fcm.Class     // 0: accepted
	RetryAfter time.Duration // what FCM asked for; 0: nothing
	// Unasked: the message was refused without asking FCM, of which it therefore
	// says nothing. Class and RetryAfter do not count.
	Unasked bool
}

// A Change is what an outcome changed for the whole project.
type Change struct {
	Held    Reason        // the project is held from now on, or still, after Mended
	For     time.Duration // until the next probe, or until it goes on
	Resumed Reason        // what held it does so no more
}

// maxRetryAfter bounds what we let FCM ask for: after this we ask again.
const maxRetryAfter = time.Hour

// A Governor is the pace of one project. Any goroutine may call its methods;
// the time that they are told must not go back by much.
type Governor struct {
	opt   Options
	epoch time.Time // all times below are counted from here, on the monotonic clock

	mu       sync.Mutex // guards what follows
	inFlight int
	rate     rate
	breaker  breaker
	targets  targets
	held     int64 // until then FCM wants nothing of the project
	holding  bool  // held was set, and its end was not told yet
	cuts     uint32
}

// New makes a Governor. opt is copied; nil is the zero value.
func New(opt *Options) *Governor {
	var o Options
	if opt != nil {
		o = *opt
	}
	o.PerMinute = cmp.Or(o.PerMinute, 600_000)
	o.Ramp = cmp.Or(o.Ramp, time.Minute)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 1000)
	o.DevicePerMinute = cmp.Or(o.DevicePerMinute, 240)
	o.DevicePerHour = cmp.Or(o.DevicePerHour, 5000)
	o.MaxTargets = cmp.Or(o.MaxTargets, 1_000_000)
	return &Governor{
		opt: o, epoch: time.Now(),
		rate:    newRate(o.PerMinute, o.Ramp),
		targets: newTargets(o),
	}
}

// Admit decides about one message that is ready to be tried at once. A Decision
// that is OK takes its place; it must be followed by one [Governor.Report].
func (g *Governor) Admit(now time.Time, t Target) Decision {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	key := g.targets.key(t)
	if class, wait := g.targets.refusal(n, key, t.Topic); class != 0 {
		return Decision{Refused: class, Wait: wait}
	}
	var d Decision
	if g.breaker.why != 0 {
		if g.breaker.probing {
			return Decision{Why: g.breaker.why}
		}
		if wait := g.breaker.next - n; wait > 0 {
			return Decision{Why: g.breaker.why, Wait: time.Duration(wait)}
		}
	}
	if wait := g.held - n; wait > 0 {
		return Decision{Why: Quota, Wait: time.Duration(wait)}
	}
	if g.holding {
		g.holding = false
		d.Resumed = Quota
	}
	if g.opt.MaxInFlight > 0 && g.inFlight >= g.opt.MaxInFlight {
		d.Why = InFlight
		return d
	}
	if wait := g.rate.take(n); wait > 0 {
		d.Why, d.Wait = Rate, wait
		return d
	}
	probe := g.breaker.why != 0
	g.breaker.probing = probe
	g.rate.count(n)
	g.targets.count(n, key, t.Topic)
	g.inFlight++
	d.OK = true
	d.Ticket = Ticket{target: key, topic: t.Topic, probe: probe, life: g.breaker.life, cuts: g.cuts}
	return d
}

// Refuses tells the verdict that a message to t would get without being tried,
// whatever else makes it wait: DeviceQuota or TopicQuota, and until when. 0:
// none.
func (g *Governor) Refuses(now time.Time, t Target) (fcm.Class, time.Duration) {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.targets.refusal(n, g.targets.key(t), t.Topic)
}

// Report tells what became of a try.
func (g *Governor) Report(now time.Time, t Ticket, o Outcome) Change {
	n := int64(now.Sub(g.epoch))
	o.RetryAfter = min(o.RetryAfter, maxRetryAfter)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if o.Unasked {
		if t.probe {
			g.breaker.probing = false // the next message is the probe
		}
		return Change{}
	}
	var c Change
	switch o.Class {
	case fcm.DeviceQuota, fcm.TopicQuota:
		g.targets.hold(n, t.target, o.RetryAfter)
	case 0:
		g.targets.release(n, t.target)
	case fcm.ProjectQuota:
		c = g.quota(n, t, o.RetryAfter)
	}
	was := g.breaker.why
	inVain := g.breaker.report(n, t, o)
	is := g.breaker.why
	if is != 0 && (is != was || inVain) {
		c.Held, c.For = is, time.Duration(g.breaker.next-n)
	}
	if is != was {
		c.Resumed = was
		if is != 0 {
			g.rate.fell(n)
		} else {
			g.rate.rose(n)
		}
	}
	return c
}

// quota holds the project, and halves its rate, but for messages that were on
// their way already when it was halved.
func (g *Governor) quota(n int64, t Ticket, retryAfter time.Duration) Change {
	wait := cmp.Or(max(retryAfter, 0), fcm.QuotaFloor)
	g.held = max(g.held, n+int64(wait))
	if t.cuts == g.cuts {
		g.cuts++
		g.rate.halve(n, g.held)
	}
	if g.holding {
		return Change{}
	}
	g.holding = true
	return Change{Held: Quota, For: wait}
}

// Mended tells that an operator has changed what a credential or a configuration
// depends on: if one of them holds the project, the next message may be tried at
// once, alone, and if that was of no use the project is held anew. A failure of
// what is under way does not count. It reports whether that is so.
func (g *Governor) Mended(now time.Time) bool {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.mended(n)
}

// MayRepeat says whether a message that was tried before may be tried again
// now: repeats are at most a tenth of what was sent in the last minute, or ten
// a second. It counts the repeat.
func (g *Governor) MayRepeat(now time.Time) bool {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rate.repeat(n)
}

// Held tells what holds the whole project now, if anything does, and for how
// long at least.
func (g *Governor) Held(now time.Time) (Reason, time.Duration) {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heldBy(n)
}

func (g *Governor) heldBy(n int64) (Reason, time.Duration) {
	switch {
	case g.breaker.why != 0:
		return g.breaker.why, time.Duration(max(g.breaker.next, g.held, n) - n)
	case g.held > n:
		return Quota, time.Duration(g.held - n)
	}
	return 0, 0
}

// A State describes a [Governor] at one moment.
type State struct {
	InFlight int
	// Rate is how many messages a second may be sent now; 0: as many as one likes.
	Rate float64
	// Held is what holds the project, and For how much longer, or until the next
	// probe; 0: nothing does.
	Held Reason
	For  time.Duration
	// Targets is how many devices and topics are remembered, one that has been
	// made to wait as another; at most three times MaxTargets. Forgotten is how
	// many were forgotten before their time since there were too many.
	Targets   int
	Forgotten uint64
}

// State describes the Governor now.
func (g *Governor) State(now time.Time) State {
	n := int64(now.Sub(g.epoch))
	g.mu.Lock()
	defer g.mu.Unlock()
	s := State{
		InFlight: g.inFlight, Rate: g.rate.now(n),
		Targets: g.targets.len(), Forgotten: g.targets.forgotten(),
	}
	s.Held, s.For = g.heldBy(n)
	return s
}
