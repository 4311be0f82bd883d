package app

import (
	"context"
	"errors"
	"fmt"
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
// id. It returns nil, which acks towards the far end, when an app server has
// acked; while none is there the far end goes unacked, and keeps the message.
type upstream struct {
	server *ccsserver.Server
	sender ccs.SenderID
	// acksNoReceipts: the last receipt that was waited for was never acked. Many
	// old app servers ack none.
	acksNoReceipts atomic.Bool
}

// message is a [ccsclient.UpstreamHandler].
func (u *upstream) message(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
	for {
		err := u.server.Deliver(ctx, u.sender, m)
		switch {
		case errors.Is(err, ccsserver.ErrFull), errors.Is(err, ccsserver.ErrInWork):
			// In work: a copy came while the first one, of a stream that is
			// gone, still waits for its ack.
			if err := pause(ctx, roomAgain); err != nil {
				return err
			}
			continue
		case errors.Is(err, ccsserver.ErrClosed):
			<-ctx.Done() // we are about to end; anything else would ack it
			return ctx.Err()
		}
		return err
	}
}

// receipt is a [ccsclient.ReceiptHandler]. A receipt that was written to an app
// server which acks none is done with.
func (u *upstream) receipt(ctx context.Context, r *ccs.Receipt) error {
	offered, ended := make(chan struct{}, 1), make(chan ccsserver.Outcome, 1)
	opt := ccsserver.OfferOptions{
		Offered: func(string, int) {
			select {
			case offered <- struct{}{}:
			default:
			}
		},
		Done: func(o ccsserver.Outcome) {
			if o == ccsserver.Acked {
				u.acksNoReceipts.Store(false)
			}
			ended <- o
		},
	}
	for {
		err := u.server.Offer(u.sender, r, opt)
		if err == nil {
			break
		}
		if errors.Is(err, ccsserver.ErrClosed) {
			<-ctx.Done()
			return ctx.Err()
		}
		if err := pause(ctx, roomAgain); err != nil {
			return err
		}
	}
	var patience <-chan time.Time
	for {
		select {
		case o := <-ended:
			if o == ccsserver.Dropped && patience == nil { // never written: the server closed
				<-ctx.Done()
				return ctx.Err()
			}
			if o == ccsserver.Expired {
				return fmt.Errorf("app: receipt %s: %w", r.MessageID, ccsserver.ErrExpired)
			}
			return nil
		case <-offered:
			if u.acksNoReceipts.Load() {
				return nil
			}
			if patience == nil {
				t := time.NewTimer(receiptPatience)
				defer t.Stop()
				patience = t.C
			}
		case <-patience:
			u.acksNoReceipts.Store(true)
			return nil
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
