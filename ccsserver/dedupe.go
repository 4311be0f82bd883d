package ccsserver

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"time"

	"penstock/ccs"
)

// A dedupe remembers message ids with their answers, so that an id sent again
// gets the answer of the first copy and nothing is handed over twice
// (docs/protocol.md, Message ids). Ids in work are remembered always; acked
// ones for a window, at most max of them, the oldest out first; a nacked id is
// open again at once.
//
// Ids are remembered as digests, under seeds that nobody outside of the process
// knows: a million of them have no pointer for the garbage collector to follow,
// and two of them are equal by accident once in 2^128 pairs.
type dedupe struct {
	window time.Duration
	max    int
	start  time.Time // what times are counted from: a duration takes less room
	seeds  [4]maphash.Seed

	mu     sync.Mutex // guards what follows, and the waiters of every Request
	work   map[digest]*Request
	acked  map[digest]ackedID
	extras map[digest]*ccs.Ack // what an ack said beyond the plain one
	order  ackedRing
	early  int // acked ids that were forgotten before their window was over
}

// A digest stands for a message id of one sender.
type digest [2]uint64

type ackedID struct {
	content uint64
	until   time.Duration // when it is over
}

func newDedupe(window time.Duration, most int) *dedupe {
	d := &dedupe{
		window: window, max: most, start: time.Now(),
		work: make(map[digest]*Request), acked: make(map[digest]ackedID), extras: make(map[digest]*ccs.Ack),
	}
	for i := range d.seeds {
		d.seeds[i] = maphash.MakeSeed()
	}
	return d
}

// digest keeps the ids of two senders apart.
func (d *dedupe) digest(sender ccs.SenderID, id ccs.MessageID) digest {
	return digest{
		maphash.String(d.seeds[0], string(sender)) + maphash.String(d.seeds[1], string(id)),
		maphash.String(d.seeds[2], string(sender)) + maphash.String(d.seeds[3], string(id)),
	}
}

// content is equal for messages that say the same, whatever their ids; for
// others by accident, once in 2^64 times that an id is used again. It is what
// [ccs.Downstream.ContentHash] would be if it were not for good.
func (d *dedupe) content(m *ccs.Downstream) uint64 {
	seed := d.seeds[0]
	sum := uint64(0)
	for _, field := range [...]string{
		string(m.To), m.Condition, string(m.CollapseKey), string(m.Priority), m.RestrictedPackageName, m.AnalyticsLabel,
	} {
		sum = mix(sum, maphash.String(seed, field))
	}
	flags := uint64(1)
	for _, flag := range [...]bool{
		m.TTL != nil, m.ContentAvailable, m.MutableContent, m.DelayWhileIdle, m.DeliveryReceiptRequested, m.DryRun,
		m.DirectBootOK,
	} {
		flags <<= 1
		if flag {
			flags |= 1
		}
	}
	if m.TTL != nil {
		flags += uint64(*m.TTL) << 8
	}
	sum = mix(sum, flags)
	for _, data := range [...]map[string]string{m.Data, m.Notification} {
		var members uint64 // a sum, since maps have no order
		for key, val := range data {
			members += mix(maphash.String(seed, key), maphash.String(seed, val))
		}
		sum = mix(sum, members)
	}
	return sum
}

// mix joins two hashes into one that depends on their order.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, bits.RotateLeft64(b, 32)^0xd1b54a32d192ed03)
	return hi ^ lo
}

// A joining is what dedupe found about a message that has just come.
type joining uint8

const (
	joinedFirst    joining = iota // nobody knows this id: ask the handler
	joinedWaiting                 // the same message is in work: its answer will come
	joinedAcked                   // it was acked: the same ack again
	joinedConflict                // the id belongs to another message
	refusedFirst                  // nobody knows this id, and nothing new is to begin
	refusedWaiting                // the same message is in work, and nobody is to wait for it
)

// join finds out about r, a message that has just come. For joinedWaiting its
// pending now waits with the first copy; for joinedAcked the ack's extras are
// returned. With full set it neither begins nor waits.
func (d *dedupe) join(r *Request, now time.Time, full bool) (joining, *ccs.Ack) {
	r.key, r.content = d.digest(r.Sender, r.Message.MessageID), d.content(r.Message)
	r.came = now.Sub(d.start)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(r.came)
	if first := d.work[r.key]; first != nil && !first.settled {
		switch {
		case first.content != r.content:
			return joinedConflict, nil
		case full:
			return refusedWaiting, nil
		}
		first.waiters = append(first.waiters, &r.first)
		return joinedWaiting, nil
	}
	// One that is over may still be there: forget takes its time.
	if a, known := d.acked[r.key]; known && r.came < a.until {
		if a.content != r.content {
			return joinedConflict, nil
		}
		return joinedAcked, d.extras[r.key]
	}
	if full {
		return refusedFirst, nil
	}
	r.room[0] = &r.first
	r.waiters = r.room[:]
	d.work[r.key] = r
	return joinedFirst, nil
}

// settle ends r's work and returns who waits for the answer; false if r was
// settled before. When they have it, answered must be called.
func (d *dedupe) settle(r *Request, acked bool, extra *ccs.Ack) (waiters []*pending, first bool) {
	now := r.came // if the handler answers before it returns, which takes no time
	if !r.inline.Load() {
		now = time.Since(d.start)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.settled {
		return nil, false
	}
	r.settled = true
	waiters, r.waiters = r.waiters, nil
	if !acked {
		return waiters, true
	}
	until := now + d.window
	d.acked[r.key] = ackedID{content: r.content, until: until}
	if extra != nil {
		d.extras[r.key] = extra
	} else if len(d.extras) > 0 {
		delete(d.extras, r.key) // of an older message with this id
	}
	if d.order.len() >= d.max {
		if d.drop(d.order.pop()) {
			d.early++
		}
	}
	d.order.push(ackedAt{key: r.key, until: until})
	return waiters, true
}

// answered lets go of r, whose answer was written to all who waited, and returns
// what was to come behind it.
func (d *dedupe) answered(r *Request) []func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.work[r.key] == r { // the id may have come anew
		delete(d.work, r.key)
	}
	return r.behind
}

// maxBehind is how much may wait for the answer to one message; more goes ahead.
const maxBehind = 100

// behind has f called when the message that is in work under this id was
// answered. False: nothing is, or too much waits already; f is not called.
func (d *dedupe) behind(sender ccs.SenderID, id ccs.MessageID, f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.work[d.digest(sender, id)]
	if r == nil || len(r.behind) >= maxBehind {
		return false
	}
	r.behind = append(r.behind, f)
	return true
}

// leave takes p off the list of those who wait for an answer. p lets go of its
// stream, which is gone: p may be a part of the request, and that may be in work
// for long.
func (d *dedupe) leave(sender ccs.SenderID, p *pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.work[d.digest(sender, p.m.MessageID)]
	if first == nil {
		return
	}
	if i := slices.Index(first.waiters, p); i >= 0 {
		first.waiters = slices.Delete(first.waiters, i, i+1)
		p.s = nil
	}
}

// forgottenEarly is how many acked ids had to give way to newer ones so far.
func (d *dedupe) forgottenEarly() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.early
}

// forget drops what is over. Called with mu held; a few at a time, so that no
// caller pays for a great many.
func (d *dedupe) forget(now time.Duration) {
	for range 4 {
		if d.order.len() == 0 || now < d.order.first().until {
			return
		}
		d.drop(d.order.pop())
	}
}

// drop takes out what was acked then. An id that was over may have come anew
// since: that one stays, and false is returned. Called with mu held.
func (d *dedupe) drop(a ackedAt) bool {
	if d.acked[a.key].until != a.until {
		return false
	}
	delete(d.acked, a.key)
	delete(d.extras, a.key)
	return true
}

type ackedAt struct {
	key   digest
	until time.Duration
}

// An ackedRing is a queue of acked ids in the order of their end.
type ackedRing struct {
	buf  []ackedAt
	head int
	n    int
}

func (r *ackedRing) len() int        { return r.n }
func (r *ackedRing) first() *ackedAt { return &r.buf[r.head] }

func (r *ackedRing) pop() ackedAt {
	a := r.buf[r.head]
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return a
}

func (r *ackedRing) push(a ackedAt) {
	if r.n == len(r.buf) {
		grown := make([]ackedAt, max(64, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = a
	r.n++
}
