package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

// A desk is a server that app servers log in to, and what hands messages of a
// far end to it.
type desk struct {
	t   *testing.T
	srv *ccsserver.Server
	up  *upstream
	l   *ccstest.Listener
}

func newDesk(t *testing.T, opt ccsserver.Options) *desk {
	t.Helper()
	opt.ClearText = true
	srv, err := ccsserver.New(ccsserver.HandlerFunc(func(r *ccsserver.Request) { r.Answer(nil, nil) }),
		ccsserver.NewKeys(map[ccs.SenderID][]string{"1": {"key"}}), &opt)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t, srv, &upstream{server: srv, sender: "1", offers: newOffers()}, ccstest.Listen()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(d.l)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return d
}

// appServer logs in, and is gone when leave is called.
func (d *desk) appServer(opt ccsclient.Options) (leave func()) {
	d.t.Helper()
	opt.ClearText = true
	opt.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.l.Dial(ctx) }
	pool, err := ccsclient.NewPool("desk:1", ccsclient.Credentials{SenderID: "1", Key: "key"}, &opt)
	if err != nil {
		d.t.Fatal(err)
	}
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = pool.Run(context.Background())
	}()
	if _, err := pool.Send(d.t.Context(), &ccs.Downstream{To: "t", MessageID: ccs.NewMessageID()}); err != nil {
		d.t.Fatal(err) // it is there
	}
	return func() {
		pool.Close()
		<-ran
		synctest.Wait()
	}
}

var receipts atomic.Int64

func receipt() *ccs.Receipt {
	id := ccs.MessageID(fmt.Sprintf("m-%d", receipts.Add(1)))
	return &ccs.Receipt{Category: "app", MessageID: ccs.ReceiptIDs + id, OriginalMessageID: id, Device: "d", Status: "MESSAGE_SENT_TO_DEVICE"}
}

// hand hands a receipt over, and tells how long it took.
func (d *desk) hand() time.Duration {
	d.t.Helper()
	began := time.Now()
	if err := d.up.receipt(d.t.Context(), receipt()); err != nil {
		d.t.Fatal(err)
	}
	return time.Since(began)
}

// Many app servers ack no receipt: those must not stop, and yet who acks is
// waited for.
func TestReceiptsForThoseWhoAckNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{})
		leave := d.appServer(ccsclient.Options{Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }})
		if took := d.hand(); took != receiptPatience {
			t.Errorf("the first took %v", took)
		}
		for range 5 {
			if took := d.hand(); took != 0 {
				t.Errorf("another took %v", took)
			}
		}
		// Who acks messages may ack no receipts all the same.
		if err := d.up.message(t.Context(), nil, upstreamOf("u-1")); err != nil {
			t.Error(err)
		}
		if took := d.hand(); took != 0 {
			t.Errorf("behind a message that was acked: %v", took)
		}
		leave()
		acks := make(chan struct{}, 100)
		leave = d.appServer(ccsclient.Options{Receipts: func(context.Context, *ccs.Receipt) error {
			time.Sleep(time.Second)
			acks <- struct{}{}
			return nil
		}, Handlers: 10})
		defer leave()
		time.Sleep(time.Minute) // it gets those that were left
		n := len(acks)
		if took := d.hand(); took != time.Second || len(acks) != n+1 {
			t.Errorf("of one who acks: %v, %d acked", took, len(acks)-n)
		}
	})
}

func TestReceiptsWaitForAnAppServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := d.up.receipt(ctx, receipt()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an app server: %v", err)
		}
		// Its time to live is over: it is done with.
		if err := d.up.receipt(t.Context(), receipt()); !errors.Is(err, ccsserver.ErrExpired) {
			t.Errorf("in the end: %v", err)
		}
	})
}

func TestFullMailboxIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{MaxWaiting: 1})
		message := func(id ccs.MessageID) *ccs.Upstream {
			return &ccs.Upstream{From: "d", Category: "app", MessageID: id, Data: map[string]string{}}
		}
		done := make(chan error, 4)
		for _, id := range []ccs.MessageID{"u-1", "u-1", "u-2"} { // one twice, and one too many
			go func() { done <- d.up.message(t.Context(), nil, message(id)) }()
			synctest.Wait()
		}
		go func() { done <- d.up.receipt(t.Context(), receipt()) }()
		synctest.Wait()
		second := make(chan error, 1)
		go func() { second <- d.up.receipt(t.Context(), receipt()) }()
		time.Sleep(time.Minute)
		if len(done) != 0 || len(second) != 0 {
			t.Fatalf("acked, and nobody was there: %v", <-done)
		}
		defer d.appServer(ccsclient.Options{
			Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil },
			Receipts: func(context.Context, *ccs.Receipt) error { return nil },
		})()
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}

// A copy that a second stream brings is acked when an app server has taken the
// message, and not because the first one is there.
func TestACopyWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{})
		done := make(chan error, 2)
		for range 2 {
			go func() {
				done <- d.up.message(t.Context(), nil, &ccs.Upstream{From: "d", Category: "app", MessageID: "u-1", Data: map[string]string{}})
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		if len(done) != 0 {
			t.Fatalf("it returned %v, and nobody was there", <-done)
		}
		defer d.appServer(ccsclient.Options{Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }})()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// On the way out nothing is acked that nobody took, and nobody waits for it.
func TestNothingIsAckedWhenTheServerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{})
		done := make(chan error, 4)
		hand := func() {
			go func() { done <- d.up.message(t.Context(), nil, upstreamOf("u-1")) }()
			go func() { done <- d.up.receipt(t.Context(), receipt()) }()
			synctest.Wait()
		}
		hand() // before
		time.Sleep(time.Minute)
		if len(done) != 0 {
			t.Fatalf("it returned %v, and nobody was there", <-done)
		}
		d.srv.Close()
		hand() // after
		for range 4 {
			select {
			case err := <-done:
				if !errors.Is(err, ccsclient.ErrUnhandled) {
					t.Errorf("got %v, which acks", err)
				}
			default:
				t.Fatal("it waits for a server that is closed")
			}
		}
	})
}

// A receipt that an app server has got is done with, also if the server closes
// before its ack: brought again, it would be told of twice.
func TestAReceiptThatWasWrittenIsDoneWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ccsserver.Options{})
		end := make(chan struct{})
		leave := d.appServer(ccsclient.Options{Receipts: func(context.Context, *ccs.Receipt) error { <-end; return nil }})
		done := make(chan error, 1)
		go func() { done <- d.up.receipt(t.Context(), receipt()) }()
		synctest.Wait()
		d.srv.Close()
		if err := <-done; err != nil {
			t.Errorf("got %v", err)
		}
		close(end)
		leave()
	})
}

func upstreamOf(id ccs.MessageID) *ccs.Upstream {
	return &ccs.Upstream{From: "d", Category: "app", MessageID: id, Data: map[string]string{}}
}

// When the pool is about to close, what no app server has is left to the far end
// at once; the ack of what one has is awaited.
func TestWhatNobodyHasIsLeftToTheFarEnd(t *testing.T) {
	play := func(f func(d *desk, leave func(), hand func(n int) (messages, receipts chan error))) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, ccsserver.Options{MaxWaiting: 1})
			leaving, leave := context.WithCancel(context.Background())
			d.up.closing = leaving.Done()
			f(d, leave, func(n int) (chan error, chan error) {
				messages, receipts := make(chan error, n), make(chan error, n)
				for i := range n {
					go func() { messages <- d.up.message(t.Context(), nil, upstreamOf(ccs.MessageID(fmt.Sprint("u-", i)))) }()
					go func() { receipts <- d.up.receipt(t.Context(), receipt()) }()
				}
				synctest.Wait()
				return messages, receipts
			})
			leave()
		})
	}
	t.Run("nobody is there", func(t *testing.T) {
		play(func(d *desk, leave func(), hand func(int) (chan error, chan error)) {
			messages, receipts := hand(3) // one of each waits, the others wait for room
			time.Sleep(time.Minute)
			leave()
			synctest.Wait()
			if len(messages) != 3 || len(receipts) != 3 {
				t.Fatalf("%d messages and %d receipts are left at once, want all", len(messages), len(receipts))
			}
			for range 3 {
				if a, b := <-messages, <-receipts; !errors.Is(a, ccsclient.ErrUnhandled) || !errors.Is(b, ccsclient.ErrUnhandled) {
					t.Errorf("got %v and %v, which ack", a, b)
				}
			}
		})
	})
	t.Run("an app server has them", func(t *testing.T) {
		play(func(d *desk, leave func(), hand func(int) (chan error, chan error)) {
			end := make(chan struct{})
			defer d.appServer(ccsclient.Options{
				Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error { <-end; return nil },
				Receipts: func(context.Context, *ccs.Receipt) error { <-end; return nil },
			})()
			messages, receipts := hand(1)
			leave()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if len(messages) != 0 || len(receipts) != 0 {
				t.Fatal("it was not waited for")
			}
			close(end)
			if a, b := <-messages, <-receipts; a != nil || b != nil {
				t.Errorf("got %v and %v", a, b)
			}
		})
	})
}

// A pool that takes another one's place, as where the key to the far end has
// changed, is brought again what the old one left: an app server gets it once, and
// its ack counts for the copy.
func TestWhatAnotherPoolBringsAgainIsDeliveredOnce(t *testing.T) {
	for name, waiting := range map[string]int{"there is room": 100, "there is no room for another one": 1} {
		t.Run(name, func(t *testing.T) { broughtAgain(t, waiting) })
	}
}

func broughtAgain(t *testing.T, waiting int) {
	synctest.Test(t, func(t *testing.T) {
		var offered atomic.Int64
		d := newDesk(t, ccsserver.Options{
			MaxWaiting: waiting,
			Events:     &ccsserver.Events{Offered: func(string, ccs.FromServer, int) { offered.Add(1) }},
		})
		leaving, leave := context.WithCancel(t.Context())
		d.up.closing = leaving.Done()
		left := make(chan error, 1)
		go func() { left <- d.up.message(t.Context(), nil, upstreamOf("u-1")) }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, ccsclient.ErrUnhandled) {
			t.Fatalf("the old pool's: %v", err)
		}
		next := &upstream{server: d.srv, sender: "1", offers: d.up.offers}
		again := make(chan error, 1)
		go func() { again <- next.message(t.Context(), nil, upstreamOf("u-1")) }()
		time.Sleep(time.Minute)
		defer d.appServer(ccsclient.Options{Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }})()
		if err := <-again; err != nil {
			t.Errorf("the new pool's: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := offered.Load(); n != 1 {
			t.Errorf("it was written to app servers %d times, want once", n)
		}
		synctest.Wait() // or its removal might be seen half done
		if n := len(next.offers.inWork); n != 0 {
			t.Errorf("%d messages are remembered that have ended", n)
		}
		// Settled is settled: the same id may be used anew.
		if err := next.message(t.Context(), nil, upstreamOf("u-1")); err != nil || offered.Load() != 2 {
			t.Errorf("the same id later: %v, written %d times in all", err, offered.Load())
		}
	})
}
