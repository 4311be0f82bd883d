package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
)

// A violation is something that must not be.
type violation struct {
	kind string
	what string
}

// The kinds of violations.
const (
	kindLost      = "lost"           // told acked, and no device has it
	kindStuck     = "stuck"          // no outcome in the end
	kindLie       = "lie"            // told what the server never said
	kindDuplicate = "duplicate"      // sent or handled again without need
	kindPhantom   = "phantom"        // never sent
	kindCorrupt   = "corrupt"        // came with other words
	kindWindow    = "window"         // more unanswered on a stream than may be
	kindEarlyAck  = "early-ack"      // a device's message was acked before its handler was done
	kindDouble    = "double-outcome" // told twice
	kindAbandoned = "abandoned"      // a sound stream was left with unanswered messages
	kindSilent    = "unanswered"     // a sound stream was closed by the server without an answer that it owed
	kindGaveUp    = "gave-up"        // a caller was told what is the client's to mend
	kindLeak      = "leak"           // goroutines, memory, or a shutdown that does not end
)

// A verdict is what a caller was told.
type verdict string

// A nack's verdict is its code.
const (
	toldAck     verdict = "ack"
	toldUnknown verdict = "unknown"
	toldNotSent verdict = "not sent" // withdrawn, or over before it was written
)

// A link is a connection as the faults know it.
type link struct{ struck atomic.Bool }

// A stream is one of a server's streams. Guarded by the history's mu.
type stream struct {
	link    *link
	drained time.Time
	closed  time.Time
	orderly bool
	owing   bool // it ended with unanswered messages, as a drain may that took its whole time
}

// broken reports whether what was said on the stream may not have been heard.
func (s *stream) broken() bool {
	return s.link.struck.Load() || !s.closed.IsZero() && !s.orderly
}

// A reception is one copy of a downstream message at a server.
type reception struct {
	on     *stream
	answer verdict // empty: none was written
	behind bool    // the caller had been told an answer already
}

// excused reports whether the client was right to send the message again, or
// to give it up, behind this copy.
func (r *reception) excused() bool {
	switch ccs.Code(r.answer) {
	case ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeConnectionDraining:
		return true
	}
	return r.on.broken() || r.answer == "" && r.on.owing
}

// A message is a downstream message's story.
type message struct {
	told       verdict
	toldAt     time.Time
	copies     []*reception
	deliveries map[int]int // by the server's number
}

// An upstream is the story of a device's message.
type upstream struct {
	mayExpire bool
	from      int         // the number of the server that has it
	handled   map[int]int // by pool, to the end
	tried     map[int]bool
	settled   time.Time
}

// A history joins what the callers were told with what the servers saw. Its
// methods are called as things happen, by any goroutine; what is over is judged
// and forgotten, so that it does not grow.
type history struct {
	window int
	limit  time.Duration // of a drain
	report func(violation)

	mu        sync.Mutex // guards what follows
	messages  map[string]*message
	upstreams map[string]*upstream
	streams   map[string]*stream
	ending    bool // the pools say goodbye: streams may end as they like
	tally     tally
}

// A tally counts what happened.
type tally struct {
	Messages   int            `json:"messages"`
	Acked      int            `json:"acked"`
	Nacked     int            `json:"nacked"`
	Unknown    int            `json:"unknown"`
	NotSent    int            `json:"not_sent"`
	Late       int            `json:"late"`
	Upstream   int            `json:"upstream"`
	Refused    int            `json:"upstream_refused"` // by a server on its way out
	Settled    int            `json:"settled"`
	Receipts   int            `json:"receipts"`
	Streams    int            `json:"streams"`
	Resent     int            `json:"resent"`     // copies behind the first
	Ambiguous  int            `json:"ambiguous"`  // messages with a copy whose answer may be lost
	Duplicates int            `json:"duplicates"` // deliveries, and handlings, behind the first: each excused
	Kinds      map[string]int `json:"violations"`
}

func newHistory(window int, limit time.Duration, report func(violation)) *history {
	return &history{
		window: window, limit: limit, report: report,
		messages: make(map[string]*message), upstreams: make(map[string]*upstream), streams: make(map[string]*stream),
		tally: tally{Kinds: make(map[string]int)},
	}
}

// blame reports a violation. Called with mu held.
func (h *history) blame(kind, format string, args ...any) {
	h.tally.Kinds[kind]++
	if h.tally.Kinds[kind] <= 5 { // the others are counted
		h.report(violation{kind, fmt.Sprintf(format, args...)})
	}
}

func (h *history) locked(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// sent is called before a message is handed over, and once for each.
func (h *history) sent(id string) {
	h.locked(func() {
		h.tally.Messages++
		h.messages[id] = &message{deliveries: make(map[int]int)}
	})
}

// told is what the caller learned.
func (h *history) told(id string, v verdict, now time.Time) {
	h.locked(func() {
		m := h.messages[id]
		if m == nil || m.told != "" {
			h.blame(kindDouble, "%s: told %s, and had been told before", id, v)
			return
		}
		m.told, m.toldAt = v, now
		switch v {
		case toldAck:
			h.tally.Acked++
		case toldUnknown:
			h.tally.Unknown++
		case toldNotSent:
			h.tally.NotSent++
		default:
			h.tally.Nacked++
		}
	})
}

// late is an answer behind "unknown".
func (h *history) late(id string) {
	h.locked(func() {
		h.tally.Late++
		if m := h.messages[id]; m != nil && m.told != toldUnknown {
			h.blame(kindDouble, "%s: a late answer, and its caller had been told %q", id, m.told)
		}
	})
}

func (h *history) bound(id string, l *link) {
	h.locked(func() {
		h.tally.Streams++
		h.streams[id] = &stream{link: l}
	})
}

func (h *history) draining(id string, now time.Time) {
	h.locked(func() {
		if s := h.streams[id]; s != nil {
			s.drained = now
		}
	})
}

// closed is a stream's end at the server, with what was unanswered on it. The
// server itself ends a stream with unanswered messages only when it has drained
// for the whole limit.
func (h *history) closed(id string, orderly bool, unanswered int, now time.Time) {
	h.locked(func() {
		s := h.streams[id]
		if s == nil {
			return
		}
		s.closed, s.orderly = now, orderly
		early := s.drained.IsZero() || now.Sub(s.drained) < h.limit
		s.owing = unanswered > 0 || !early
		if orderly && unanswered > 0 && early && !h.ending && !s.link.struck.Load() {
			h.blame(kindAbandoned, "stream %s: the client said goodbye while %d messages were unanswered", id, unanswered)
		}
	})
}

// received is a copy at a server, before it takes a slot of the window.
func (h *history) received(streamID, id string, right bool, unanswered int) {
	h.locked(func() {
		m := h.messages[id]
		if m == nil {
			h.blame(kindPhantom, "%s: it was never sent, or long ago", id)
			return
		}
		if !right {
			h.blame(kindCorrupt, "%s: it is not what was sent", id)
		}
		if unanswered >= h.window {
			h.blame(kindWindow, "stream %s: %d downstream messages are unanswered", streamID, unanswered+1)
		}
		s := h.streams[streamID]
		if s == nil {
			s = &stream{link: new(link)}
		}
		m.copies = append(m.copies, &reception{on: s, behind: m.told != "" && m.told != toldUnknown})
	})
}

func (h *history) answered(streamID, id string, v verdict) {
	h.locked(func() {
		m, s := h.messages[id], h.streams[streamID]
		if m == nil {
			return
		}
		for _, r := range m.copies {
			if r.on == s && r.answer == "" {
				r.answer = v
				return
			}
		}
	})
}

// delivered is called when a device has the message; server tells one server
// from the next.
func (h *history) delivered(server int, id string) {
	h.locked(func() {
		if m := h.messages[id]; m != nil {
			m.deliveries[server]++
		}
	})
}

// receipt is a delivery receipt at the program.
func (h *history) receipt(id string) {
	h.locked(func() {
		h.tally.Receipts++
		if m := h.messages[id]; m != nil && len(m.deliveries) == 0 {
			h.blame(kindPhantom, "%s: a receipt, and no device has it", id)
		}
	})
}

// written is called before a device writes.
func (h *history) written(id string, server int, mayExpire bool) {
	h.locked(func() {
		h.tally.Upstream++
		h.upstreams[id] = &upstream{from: server, mayExpire: mayExpire, handled: make(map[int]int), tried: make(map[int]bool)}
	})
}

// unwritten takes back a message that the server did not take.
func (h *history) unwritten(id string) {
	h.locked(func() {
		h.tally.Upstream--
		h.tally.Refused++
		delete(h.upstreams, id)
	})
}

// unsettled lists what a server had when it ended, and gives it to the next.
func (h *history) unsettled(server, next int) (ids []string) {
	h.locked(func() {
		for id, u := range h.upstreams {
			if u.from == server && u.settled.IsZero() && !u.mayExpire {
				u.from = next
				ids = append(ids, id)
			}
		}
	})
	slices.Sort(ids)
	return ids
}

// offered is called when an upstream message was written to a stream on which,
// with it, so many are unacked.
func (h *history) offered(streamID string, unacked int) {
	h.locked(func() {
		if unacked > h.window {
			h.blame(kindWindow, "stream %s: %d upstream messages are unacked", streamID, unacked)
		}
	})
}

// firstTry reports whether a pool's handler sees a message for the first time.
func (h *history) firstTry(id string, pool int) (first bool) {
	h.locked(func() {
		if u := h.upstreams[id]; u != nil {
			first = !u.tried[pool]
			u.tried[pool] = true
		}
	})
	return first
}

// handled is called when a handler is done with an upstream message for good,
// before it returns.
func (h *history) handled(id string, pool int, right bool) {
	h.locked(func() {
		u := h.upstreams[id]
		switch {
		case u == nil:
			h.blame(kindPhantom, "%s: no device wrote it, or long ago", id)
			return
		case !right:
			h.blame(kindCorrupt, "%s: it is not what the device wrote", id)
		}
		if u.handled[pool]++; u.handled[pool] > 1 {
			h.blame(kindDuplicate, "%s: handled twice by the same pool", id)
		} else if len(u.handled) > 1 {
			h.tally.Duplicates++
		}
	})
}

// settled is the server's word that an upstream message is acked.
func (h *history) settled(id string, now time.Time) {
	h.locked(func() {
		u := h.upstreams[id]
		switch {
		case u == nil || !u.settled.IsZero():
			h.blame(kindDouble, "%s: acked, and had been settled before", id)
			return
		case len(u.handled) == 0:
			h.blame(kindEarlyAck, "%s: acked, and no handler is done with it", id)
		}
		u.settled = now
		h.tally.Settled++
	})
}

// sweep judges and forgets what has been over for a while.
func (h *history) sweep(before time.Time) {
	h.locked(func() {
		for id, m := range h.messages {
			if m.told != "" && m.toldAt.Before(before) {
				h.judge(id, m)
				delete(h.messages, id)
			}
		}
		for id, u := range h.upstreams {
			if !u.settled.IsZero() && u.settled.Before(before) {
				delete(h.upstreams, id)
			}
		}
		for id, s := range h.streams {
			if !s.closed.IsZero() && s.closed.Before(before) {
				delete(h.streams, id)
			}
		}
	})
}

// open counts what has no outcome yet.
func (h *history) open() (messages, upstreams int) {
	h.locked(func() {
		for _, m := range h.messages {
			if m.told == "" {
				messages++
			}
		}
		for _, u := range h.upstreams {
			if u.settled.IsZero() && !u.mayExpire {
				upstreams++
			}
		}
	})
	return messages, upstreams
}

// end judges all that is left; what has no outcome by now never gets one.
func (h *history) end() {
	h.locked(func() {
		for id, m := range h.messages {
			if m.told == "" {
				h.blame(kindStuck, "%s: no outcome", id)
				continue
			}
			h.judge(id, m)
		}
		for id, u := range h.upstreams {
			if u.settled.IsZero() && !u.mayExpire {
				h.blame(kindStuck, "%s: never acked", id)
			}
		}
		h.messages, h.upstreams, h.streams = nil, nil, nil // so that they count for nothing in the heap
	})
}

// judge looks at a message whose caller has been told. Called with mu held.
func (h *history) judge(id string, m *message) {
	firm, again, answers := 0, false, make(map[verdict]bool)
	ambiguous := false
	for _, r := range m.copies {
		answers[r.answer] = true
		switch {
		case r.excused():
		case r.answer == "" && !r.on.closed.IsZero():
			h.blame(kindSilent, "%s: its stream was closed in order, and had no answer for it", id)
		default:
			firm++
			again = again || r.behind
		}
		ambiguous = ambiguous || r.on.broken() || r.answer == ""
	}
	if ambiguous {
		h.tally.Ambiguous++
	}
	h.tally.Resent += max(len(m.copies)-1, 0)
	total := 0
	for server, n := range m.deliveries {
		total += n
		if n > 1 {
			h.blame(kindDuplicate, "%s: delivered %d times by server %d", id, n, server)
		}
	}
	h.tally.Duplicates += max(total-1, 0)
	switch {
	case firm > 1:
		h.blame(kindDuplicate, "%s: sent %d times over sound streams that answered", id, firm)
	case again:
		h.blame(kindDuplicate, "%s: sent again behind its answer", id)
	}
	switch m.told {
	case toldAck:
		if total == 0 {
			h.blame(kindLost, "%s: told acked, and no device has it; %d copies came", id, len(m.copies))
		} else if !answers[toldAck] {
			h.blame(kindLie, "%s: told acked, and the server never acked it", id)
		}
	case toldUnknown:
	case toldNotSent:
		for _, r := range m.copies {
			if r.answer == "" || r.answer == toldAck {
				h.blame(kindLie, "%s: told that nothing was sent, and a copy came", id)
				break
			}
		}
	case verdict(ccs.CodeConnectionDraining):
		h.blame(kindGaveUp, "%s: its caller was told of a drain", id)
	default:
		if !answers[m.told] {
			h.blame(kindLie, "%s: told %s, and the server never said so", id, m.told)
		}
	}
}
