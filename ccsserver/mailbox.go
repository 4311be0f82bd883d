package ccsserver

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/ccs"
)

// A mailbox holds what waits for one sender id, and its bound streams.
type mailbox struct {
	srv *Server

	mu       sync.Mutex // guards what follows, and what streams and items say it does
	sessions []*session
	next     int // whose turn it is
	seq      uint64
	upstream queue
	receipts queue
	inWork   map[upKey]*item // upstream messages, waiting or unacked
	after    []func()        // what unlock calls
	closed   bool
}

// unlock releases mu and then calls back those whose items have ended.
func (b *mailbox) unlock() {
	after := b.after
	b.after = nil
	b.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// An upKey names an upstream message: ids are unique for one device only.
type upKey struct {
	from ccs.RegistrationToken
	id   ccs.MessageID
}

type item struct {
	msg     ccs.FromServer
	key     upKey
	receipt bool
	opt     OfferOptions
	timer   *time.Timer

	// Guarded by the mailbox's mu.
	seq     uint64
	due     time.Time // when its time to live is over
	offers  int
	offered time.Time // the last time
	on      *session  // unacked there; nil: waiting
	over    bool
}

// A queue holds waiting items in order; those that are over are skipped when met.
type queue struct {
	items []*item
	live  int
}

func (q *queue) push(it *item) {
	if len(q.items) > 2*q.live+64 {
		q.items = slices.DeleteFunc(q.items, func(it *item) bool { return it.over })
	}
	q.items = append(q.items, it)
	q.live++
}

func (q *queue) first() *item {
	for len(q.items) > 0 && q.items[0].over {
		q.items[0] = nil
		q.items = q.items[1:]
	}
	if len(q.items) == 0 {
		q.items = nil
		return nil
	}
	return q.items[0]
}

func (q *queue) pop() {
	q.items[0] = nil
	q.items = q.items[1:]
	q.live--
}

// again puts items back that were unacked when their stream went, in the order
// in which they were first offered.
func (q *queue) again(items []*item) {
	q.items = append(q.items, items...)
	q.live += len(items)
	slices.SortStableFunc(q.items, func(a, b *item) int { return cmp.Compare(a.seq, b.seq) })
}

func receiptID(id ccs.MessageID) ccs.MessageID {
	return ccs.MessageID(strings.TrimPrefix(string(id), ccs.ReceiptIDs))
}

func (b *mailbox) queueOf(it *item) *queue {
	if it.receipt {
		return &b.receipts
	}
	return &b.upstream
}

// put takes a new item in, and offers it at once if some stream has room.
func (b *mailbox) put(it *item, ttl time.Duration) error {
	b.mu.Lock()
	q := b.queueOf(it)
	switch {
	case b.closed:
		b.mu.Unlock()
		return ErrClosed
	case q.live >= b.srv.opt.MaxWaiting:
		b.mu.Unlock()
		return ErrFull
	case !it.receipt && b.inWork[it.key] != nil:
		b.mu.Unlock()
		return ErrInWork
	}
	b.seq++
	it.seq = b.seq
	it.due = time.Now().Add(ttl)
	if !it.receipt {
		b.inWork[it.key] = it
	}
	q.push(it)
	if ttl > 0 {
		it.timer = time.AfterFunc(ttl, func() { b.expire(it) })
	}
	b.mu.Unlock()
	b.pump()
	if ttl <= 0 { // now or never
		b.mu.Lock()
		waits := it.on == nil
		b.mu.Unlock()
		if waits {
			b.expire(it)
		}
	}
	return nil
}

// pump writes waiting items to streams that have room: receipts first, since
// nothing holds them back.
func (b *mailbox) pump() {
	type offer struct {
		it     *item
		stream string
		n      int
	}
	var made []offer
	b.mu.Lock()
	for _, q := range []*queue{&b.receipts, &b.upstream} {
		for it := q.first(); it != nil; it = q.first() {
			s := b.choose(it)
			if s == nil {
				break
			}
			if s.Append(func(dst []byte) []byte { return s.appendUpstream(dst, it.msg) }) != nil {
				s.ready.Store(false) // its end is on the way
				continue
			}
			q.pop()
			it.on = s
			it.offers++
			it.offered = time.Now()
			s.hold(it)
			s.Flush()
			made = append(made, offer{it, s.id, it.offers})
		}
	}
	b.unlock()
	for _, o := range made {
		if o.it.opt.Offered != nil {
			o.it.opt.Offered(o.stream, o.n)
		}
		if f := b.srv.opt.Events.Offered; f != nil {
			f(o.stream, o.it.msg, o.n)
		}
	}
}

// choose finds the stream for it, in turn. Called with mu held.
func (b *mailbox) choose(it *item) *session {
	for i := range b.sessions {
		s := b.sessions[(b.next+i)%len(b.sessions)]
		if !s.ready.Load() || s.draining.Load() {
			continue
		}
		if !it.receipt && len(s.unacked) >= b.srv.opt.UpstreamWindow || it.receipt && !s.takesReceipts() {
			continue
		}
		if s.Pending() > upstreamPending {
			s.lookAgain(readingTime)
			continue
		}
		b.next = (b.next + i + 1) % len(b.sessions)
		return s
	}
	return nil
}

// takesReceipts reports whether s may get another receipt. A peer that acks
// receipts gets no more than it keeps up with; one that never does, as many
// ran for years, gets them all, and the oldest are given up. Called with the
// mailbox's mu held.
func (s *session) takesReceipts() bool {
	if len(s.receipts) < unackedReceipt || s.acksNoReceipts {
		return true
	}
	last := s.receipts[0].offered
	if s.receiptAcked.After(last) {
		last = s.receiptAcked
	}
	if left := receiptPatience - time.Since(last); left > 0 {
		s.lookAgain(left)
		return false
	}
	s.acksNoReceipts = true
	return true
}

// lookAgain has the mailbox look at s again in a while: the quickest sign that
// the peer has read on is that it writes, but it need not. Called with the
// mailbox's mu held.
func (s *session) lookAgain(in time.Duration) {
	at := time.Now().Add(in)
	if s.held.Swap(true) && !at.Before(s.againAt) {
		return // a look is due before that
	}
	s.againAt = at
	if s.again == nil {
		s.again = time.AfterFunc(in, s.unhold)
	} else {
		s.again.Reset(in)
	}
}

func (s *session) unhold() {
	if s.held.CompareAndSwap(true, false) {
		s.box.pump()
	}
}

// hold remembers that s owes an ack for it. Called with the mailbox's mu held.
func (s *session) hold(it *item) {
	if !it.receipt {
		s.unacked[it.key] = it
		s.owed.Store(int32(len(s.unacked)))
		return
	}
	s.receipts = append(s.receipts, it)
	if len(s.receipts) > unackedReceipt {
		old := s.receipts[0]
		s.receipts = slices.Delete(s.receipts, 0, 1)
		s.box.finishLocked(old, Dropped)
	}
}

// finishLocked ends an item. Called with mu held; unlock tells whoever waits.
func (b *mailbox) finishLocked(it *item, o Outcome) {
	it.over = true
	it.on = nil
	if !it.receipt {
		delete(b.inWork, it.key)
	}
	if it.timer != nil {
		it.timer.Stop()
	}
	if it.opt.Done != nil {
		b.after = append(b.after, func() { it.opt.Done(o) })
	}
}

// expire ends an item whose time to live is over, wherever it is. One that is
// unacked on a stream stays the stream's affair: it may be acked any moment.
func (b *mailbox) expire(it *item) {
	b.mu.Lock()
	defer b.unlock()
	if it.over || it.on != nil {
		return
	}
	b.queueOf(it).live--
	b.finishLocked(it, Expired)
}

// ack settles what the stream's peer acked. An ack counts only from the
// stream that carried the message; any other is counted and ignored
// (docs/protocol.md, Upstream).
func (s *session) ack(a *ccs.Ack) {
	b := s.box
	key := upKey{from: a.To, id: a.MessageID}
	b.mu.Lock()
	it := s.unacked[key]
	if it != nil {
		delete(s.unacked, key)
		s.owed.Store(int32(len(s.unacked)))
	} else if i := s.receiptFor(a); i >= 0 {
		it = s.receipts[i]
		s.receipts = slices.Delete(s.receipts, i, i+1)
		s.receiptAcked, s.acksNoReceipts = time.Now(), false
	}
	if it == nil {
		b.mu.Unlock()
		if f := b.srv.opt.Events.UnknownAck; f != nil {
			f(s.id, a)
		}
		return
	}
	b.finishLocked(it, Acked)
	b.unlock()
	if f := b.srv.opt.Events.Settled; f != nil {
		f(s.id, it.msg)
	}
	b.pump()
	s.closeIfIdle()
}

// receiptFor finds the oldest unacked receipt that a may mean; -1: none. Some
// app servers cut the prefix off the id, which then could be one that a device
// chose: those acks go to whom receipts come from. Called with the mailbox's mu
// held.
func (s *session) receiptFor(a *ccs.Ack) int {
	id := receiptID(a.MessageID)
	if id == a.MessageID && a.To != ccs.ReceiptFrom {
		return -1
	}
	return slices.IndexFunc(s.receipts, func(it *item) bool { return it.key.id == id })
}

// setReady lets upstream messages go to s (docs/protocol.md, Upstream: the
// peer may not be listening before).
func (b *mailbox) setReady(s *session) {
	if s.ready.Load() {
		return
	}
	b.mu.Lock()
	was := s.ready.Swap(true)
	b.mu.Unlock()
	if !was {
		b.pump()
	}
}

// join adds a bound stream; false: the sender has as many as it may.
func (b *mailbox) join(s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.sessions) >= b.srv.opt.Connections.PerSender {
		return false
	}
	s.resource = b.freeResource(s.resource)
	b.sessions = append(b.sessions, s)
	return true
}

// freeResource keeps a wish that no stream of the sender has; a wish in use
// gets eight digits behind it, as Google's answers had. Called with mu held.
func (b *mailbox) freeResource(wish string) string {
	if wish == "" {
		return randomHex()
	}
	begin := strings.ToValidUTF8(wish[:min(len(wish), 64)], "")
	for slices.ContainsFunc(b.sessions, func(s *session) bool { return s.resource == wish }) {
		wish = begin + randomHex()[:8]
	}
	return wish
}

// leave takes a stream out that is gone; what it left unacked is offered again.
func (b *mailbox) leave(s *session) {
	b.mu.Lock()
	now := time.Now() // behind the lock: whoever expired before it left the item to us
	b.sessions = slices.DeleteFunc(b.sessions, func(o *session) bool { return o == s })
	s.ready.Store(false)
	if s.again != nil {
		s.again.Stop()
	}
	left := append(slices.Collect(maps.Values(s.unacked)), s.receipts...)
	s.unacked, s.receipts = nil, nil
	var upstream, receipts []*item
	for _, it := range left {
		it.on = nil
		switch {
		case b.closed, it.receipt && it.offers >= receiptOffers:
			b.finishLocked(it, Dropped)
		case !now.Before(it.due):
			b.finishLocked(it, Expired)
		case it.receipt:
			receipts = append(receipts, it)
		default:
			upstream = append(upstream, it)
		}
	}
	b.upstream.again(upstream)
	b.receipts.again(receipts)
	b.unlock()
	b.pump()
}

// close drops what waits. Streams that still live keep theirs until they end.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.unlock()
	b.closed = true
	for _, q := range []*queue{&b.upstream, &b.receipts} {
		for it := q.first(); it != nil; it = q.first() {
			q.pop()
			b.finishLocked(it, Dropped)
		}
	}
}
