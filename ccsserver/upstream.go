package ccsserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"penstock/ccs"
)

// Errors of [Server.Offer] and [Server.Deliver].
var (
	ErrFull    = errors.New("too many messages wait for this sender id")
	ErrInWork  = errors.New("a message with this id is on its way already")
	ErrClosed  = errors.New("the server is closed")
	ErrExpired = errors.New("nobody acked the message within its time to live")
)

// An Outcome is how an offer ended.
type Outcome uint8

// The outcomes of an offer.
const (
	Acked   Outcome = iota + 1 // the app server acked it on the stream that brought it
	Expired                    // its time to live is over
	Dropped                    // the server closed, or a receipt that is never acked gave way
)

const (
	upstreamTTL = 24 * time.Hour // of messages that name none, and of receipts
	// Receipts are not acked by many app servers that ran for years, so they
	// neither count towards the window nor come again for ever.
	receiptOffers  = 3
	unackedReceipt = 1000
	// How long a stream with that many may go without acking one before it
	// counts as one that never will.
	receiptPatience = 30 * time.Second
	// A stream whose peer reads too slowly gets no upstream message: another
	// stream may have it, and what piles up for this one stays within bounds.
	upstreamPending = 256 << 10
	readingTime     = 100 * time.Millisecond // after which it is looked at again
)

// OfferOptions are what is optional about an offer.
type OfferOptions struct {
	// Done is called once with the outcome.
	Done func(Outcome)
	// Offered is called each time the message is written to a stream.
	Offered func(stream string, n int)
}

// Offer hands m, an [*ccs.Upstream] or a [*ccs.Receipt], to one bound,
// non-draining stream of sender, and to another or a later one when that
// stream is gone unacked; until its time to live is over. It does not wait.
// It refuses with [ErrFull], [ErrInWork] or [ErrClosed].
//
// A receipt of a message that is in work waits until that is answered, since an
// app server knows nothing of receipts that come before: refused only then, it is
// [Dropped].
func (srv *Server) Offer(sender ccs.SenderID, m ccs.FromServer, opt OfferOptions) error {
	it := &item{msg: m, opt: opt}
	ttl, of := upstreamTTL, ccs.MessageID("")
	switch m := m.(type) {
	case *ccs.Upstream:
		it.key = upKey{from: m.From, id: m.MessageID}
		if m.TTL != nil {
			ttl = min(*m.TTL, ccs.MaxTTL)
		}
	case *ccs.Receipt:
		it.receipt, of = true, m.OriginalMessageID
		it.key = upKey{from: m.Device, id: receiptID(m.MessageID)}
	default:
		return fmt.Errorf("ccsserver: offer: %T is neither an upstream message nor a receipt", m)
	}
	box := srv.mailbox(sender)
	if it.receipt {
		late := func() {
			if box.put(it, ttl) != nil && opt.Done != nil {
				opt.Done(Dropped)
			}
		}
		if srv.ids.behind(sender, of, late) {
			return nil
		}
	}
	return box.put(it, ttl)
}

// Deliver offers an upstream message and waits until it is acked. When ctx
// ends first the message stays offered: it may still be delivered.
func (srv *Server) Deliver(ctx context.Context, sender ccs.SenderID, m *ccs.Upstream) error {
	end := make(chan Outcome, 1)
	if err := srv.Offer(sender, m, OfferOptions{Done: func(o Outcome) { end <- o }}); err != nil {
		return fmt.Errorf("ccsserver: deliver %s: %w", m.MessageID, err)
	}
	select {
	case o := <-end:
		switch o {
		case Acked:
			return nil
		case Expired:
			return fmt.Errorf("ccsserver: deliver %s: %w", m.MessageID, ErrExpired)
		default:
			return fmt.Errorf("ccsserver: deliver %s: %w", m.MessageID, ErrClosed)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}
