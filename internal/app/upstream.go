package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
)

const (
	// upstreamWindow is how many upstream messages a far end leaves unacked on
	// one stream.
	upstreamWindow = ccs.Window
	// roomAgain is how soon a message is offered again that found no room.
	roomAgain = time.Second
	// receiptPatience is how long an app server may take to ack a receipt before
	// it counts as one that acks none.
	receiptPatience = 30 * time.Second
)

func ccsSender(id string) ccs.SenderID { return ccs.SenderID(id) }

// An upstream hands what comes from a far end to the app servers of one sender
// id. Its handlers return nil, which acks towards the far end, when an app server
// has acked; while none is there the far end goes unacked, and keeps the message.
type upstream struct {
	server *ccsserver.Server
	sender ccs.SenderID
	offers *offers
	// closing is closed when the pool is about to be shut down. What no app server
	// has is left to the far end then; of what one has, the ack is awaited.
	closing <-chan struct{}
	// acksNoReceipts: the last receipt that was waited for was never acked. Many
	// old app servers ack none.
	acksNoReceipts atomic.Bool
}

// An offer is a message on its way to the app servers.
type offer struct {
	written atomic.Bool       // to one of them
	told    chan struct{}     // of room for one: it was written
	ended   chan struct{}     // closed at its end
	outcome ccsserver.Outcome // then
}

// Offers are the messages of devices that the server has on their way. They outlive
// the pool that brought them: where another one takes its place, since the key to
// the far end has changed, say, the far end brings again what it has no ack of, and
// that copy ends as the first one does. Any goroutine may call.
type offers struct {
	mu     sync.Mutex // guards inWork
	inWork map[offerKey]*offer
}

// An offerKey names a message of a device: ids are unique for one device only.
type offerKey struct {
	sender ccs.SenderID
	from   ccs.RegistrationToken
	id     ccs.MessageID
}

func newOffers() *offers { return &offers{inWork: make(map[offerKey]*offer)} }

// add remembers an offer, unless it has ended already.
func (l *offers) add(key offerKey, o *offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-o.ended:
	default:
		l.inWork[key] = o
	}
}

// end ends an offer and forgets it.
func (l *offers) end(key offerKey, o *offer, outcome ccsserver.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.outcome = outcome
	close(o.ended)
	if l.inWork[key] == o {
		delete(l.inWork, key)
	}
}

// get returns the offer of a message that was brought before; nil: there is none.
func (l *offers) get(key offerKey) *offer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inWork[key]
}

// offer offers m, and waits until there is room for it.
func (u *upstream) offer(ctx context.Context, m ccs.FromServer) (*offer, error) {
	o := &offer{told: make(chan struct{}, 1), ended: make(chan struct{})}
	var key offerKey // of a message; receipts are not told apart
	if m, is := m.(*ccs.Upstream); is {
		key = offerKey{u.sender, m.From, m.MessageID}
	}
	for {
		// Before there is room for a copy: by then the first one may have ended.
		if first := u.offers.get(key); first != nil {
			return first, nil
		}
		err := u.server.Offer(u.sender, m, ccsserver.OfferOptions{
			Offered: func(string, int) {
				o.written.Store(true)
				select {
				case o.told <- struct{}{}:
				default:
				}
			},
			Done: func(end ccsserver.Outcome) {
				if _, is := m.(*ccs.Receipt); is && end == ccsserver.Acked {
					u.acksNoReceipts.Store(false)
				}
				u.offers.end(key, o, end)
			},
		})
		switch {
		case err == nil:
			if key != (offerKey{}) {
				u.offers.add(key, o)
			}
			return o, nil
		case errors.Is(err, ccsserver.ErrFull), errors.Is(err, ccsserver.ErrInWork):
			// In work: the first one is being taken in at this moment.
		case errors.Is(err, ccsserver.ErrClosed):
			return nil, errLeft
		default:
			return nil, err
		}
		select {
		case <-time.After(roomAgain):
		case <-u.closing:
			return nil, errLeft
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// errLeft leaves a message to the far end, which brings it again.
var errLeft = fmt.Errorf("app: no app server has it: %w", ccsclient.ErrUnhandled)

// message is a [ccsclient.UpstreamHandler].
func (u *upstream) message(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
	o, err := u.offer(ctx, m)
	if err != nil {
		return err
	}
	closing := u.closing
	for {
		select {
		case <-o.ended:
			switch o.outcome {
			case ccsserver.Acked:
				return nil
			case ccsserver.Expired:
				return fmt.Errorf("app: upstream message %s: %w", m.MessageID, ccsserver.ErrExpired)
			default: // the server closed
				return errLeft
			}
		case <-closing:
			if !o.written.Load() {
				return errLeft
			}
			closing = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// receipt is a [ccsclient.ReceiptHandler]. A receipt that was written to an app
// server which acks none is done with.
func (u *upstream) receipt(ctx context.Context, r *ccs.Receipt) error {
	o, err := u.offer(ctx, r)
	if err != nil {
		return err
	}
	closing := u.closing
	var patience <-chan time.Time
	for {
		select {
		case <-o.ended:
			switch end := o.outcome; {
			case end == ccsserver.Dropped && !o.written.Load(): // the server closed
				return errLeft
			case end == ccsserver.Expired:
				return fmt.Errorf("app: receipt %s: %w", r.MessageID, ccsserver.ErrExpired)
			}
			return nil
		case <-o.told:
			if u.acksNoReceipts.Load() {
				return nil
			}
			if patience == nil {
				patience = time.After(receiptPatience)
			}
		case <-patience:
			u.acksNoReceipts.Store(true)
			return nil
		case <-closing:
			if !o.written.Load() {
				return errLeft
			}
			closing = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
