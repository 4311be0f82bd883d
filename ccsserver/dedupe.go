package ccsserver

import (
	"strings"
	"sync"
	"time"

	"penstock/ccs"
)

// A dedupe remembers message ids with their answers, so that an id sent again
// gets the answer of the first copy and nothing is handed over twice
// (docs/protocol.md, Message ids). Ids in work are remembered always; acked
// ones for a window, at most max of them, the oldest out first; a nacked id is
// open again at once.
type dedupe struct {
	window time.Duration
	max    int
	start  time.Time // what times are counted from: a duration takes less room

	mu      sync.Mutex // guards what follows, and the waiters of every Request
	entries map[dedupeKey]dedupeEntry
	settled settledRing
	dropped int // acked ids forgotten before their window was over
}

// A dedupeKey keeps the ids of two senders apart.
type dedupeKey struct {
	sender ccs.SenderID
	id     ccs.MessageID
}

type dedupeEntry struct {
	content [16]byte
	request *Request      // the first copy while it is in work; nil: acked
	ack     *ccs.Ack      // what the ack said beyond the plain one, or nil
	until   time.Duration // when an acked id is over
}

func newDedupe(window time.Duration, most int) *dedupe {
	return &dedupe{window: window, max: most, start: time.Now(), entries: make(map[dedupeKey]dedupeEntry)}
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

// join finds out about p's message. For joinedWaiting p now waits with the
// first copy; for joinedAcked the ack's extras are returned. With full set
// p neither begins nor waits.
func (d *dedupe) join(sender ccs.SenderID, p *pending, full bool) (joining, *ccs.Ack, *Request) {
	sum := p.m.ContentHash()
	content := [16]byte(sum[:16])
	key := dedupeKey{sender, p.m.MessageID}
	now := time.Since(d.start)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	e, known := d.entries[key]
	if known && e.request == nil && now >= e.until {
		known = false // over, though forget has not come to it yet
	}
	switch {
	case !known && full:
		return refusedFirst, nil, nil
	case !known:
		r := &Request{Sender: sender, Stream: p.s.id, Message: p.m, table: d, events: p.s.srv.opt.Events, content: content}
		r.waiters = append(r.firstWaiter[:0], p)
		// The message's own id may be a part of a larger string, which would
		// stay in memory as long as the id does.
		key.id = ccs.MessageID(strings.Clone(string(key.id)))
		d.entries[key] = dedupeEntry{content: content, request: r}
		return joinedFirst, nil, r
	case e.content != content:
		return joinedConflict, nil, nil
	case e.request != nil && full:
		return refusedWaiting, nil, nil
	case e.request != nil:
		e.request.waiters = append(e.request.waiters, p)
		return joinedWaiting, nil, nil
	default:
		return joinedAcked, e.ack, nil
	}
}

// settle ends r's work and returns who waits for the answer; false if r was
// settled before.
func (d *dedupe) settle(r *Request, acked bool, extra *ccs.Ack) (waiters []*pending, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.settled {
		return nil, false
	}
	r.settled = true
	waiters, r.waiters = r.waiters, nil
	key := dedupeKey{r.Sender, r.Message.MessageID}
	if !acked {
		delete(d.entries, key)
		return waiters, true
	}
	key.id = ccs.MessageID(strings.Clone(string(key.id)))
	until := time.Since(d.start) + d.window
	d.entries[key] = dedupeEntry{content: r.content, ack: extra, until: until}
	if d.settled.len() >= d.max {
		d.drop(d.settled.pop())
		d.dropped++
	}
	d.settled.push(settledID{key: key, until: until})
	return waiters, true
}

// leave takes p off the list of those who wait for r, so that a stream that
// is gone is not held by a message that takes long.
func (d *dedupe) leave(sender ccs.SenderID, p *pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[dedupeKey{sender, p.m.MessageID}]
	if e.request == nil {
		return
	}
	for i, w := range e.request.waiters {
		if w == p {
			e.request.waiters = append(e.request.waiters[:i:i], e.request.waiters[i+1:]...)
			return
		}
	}
}

// forget drops what is over. Called with mu held; a few at a time, so that no
// caller pays for a great many.
func (d *dedupe) forget(now time.Duration) {
	for range 4 {
		if d.settled.len() == 0 || now < d.settled.first().until {
			return
		}
		d.drop(d.settled.pop())
	}
}

// drop takes out what was settled then. An id that was over may have come
// anew since: that entry stays. Called with mu held.
func (d *dedupe) drop(s settledID) {
	if e := d.entries[s.key]; e.request == nil && e.until == s.until {
		delete(d.entries, s.key)
	}
}

type settledID struct {
	key   dedupeKey
	until time.Duration
}

// A settledRing is a queue of acked ids in the order of their end.
type settledRing struct {
	buf  []settledID
	head int
	n    int
}

func (r *settledRing) len() int          { return r.n }
func (r *settledRing) first() *settledID { return &r.buf[r.head] }

func (r *settledRing) pop() settledID {
	s := r.buf[r.head]
	r.buf[r.head] = settledID{}
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return s
}

func (r *settledRing) push(s settledID) {
	if r.n == len(r.buf) {
		grown := make([]settledID, max(64, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = s
	r.n++
}
