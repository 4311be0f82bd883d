package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestC36_C54_AShutdownWaitsForHandlers(t *testing.T) {
	type way struct {
		shutdown func(ctx context.Context) error
		st       *stream
	}
	ways := map[string]func(srv *server, change func(*ccsclient.Options)) way{
		"of a pool": func(srv *server, change func(*ccsclient.Options)) way {
			p, st := srv.bound(change)
			return way{p.Shutdown, st}
		},
		"of a session": func(srv *server, change func(*ccsclient.Options)) way {
			s, st, _ := srv.session(change)
			return way{s.Shutdown, st}
		},
	}
	for name, begin := range ways {
		with := func(t *testing.T, f func(t *testing.T, w way, calls chan *handling, told *list[string])) {
			play(t, func(t *testing.T, srv *server) {
				h, calls := handler()
				told := new(list[string])
				w := begin(srv, func(o *ccsclient.Options) {
					o.Upstream, o.Handlers = h, 2
					o.Receipts = func(ctx context.Context, r *ccs.Receipt) error {
						return h(ctx, nil, &ccs.Upstream{MessageID: r.MessageID})
					}
					o.Events.Handled = func(_ ccs.FromServer, err error) { told.add(fmt.Sprint(err)) }
				})
				f(t, w, calls, told)
			})
		}
		shut := func(ctx context.Context, w way) chan error {
			ended := make(chan error, 1)
			go func() { ended <- w.shutdown(ctx) }()
			synctest.Wait()
			return ended
		}
		t.Run("C36 C54 "+name, func(t *testing.T) {
			with(t, func(t *testing.T, w way, calls chan *handling, told *list[string]) {
				w.st.upstream("device", "u-1")
				one := handled(t, calls, "u-1")
				w.st.upstream("device", "u-2")
				two := handled(t, calls, "u-2")
				w.st.upstream("device", "u-3") // waits for a handler
				w.st.receipt("r-1")
				three := handled(t, calls, ccs.ReceiptIDs+"r-1")
				ended := shut(t.Context(), w)
				w.st.upstream("device", "u-4") // comes too late
				w.st.upstream("device", "u-1") // of which the first copy is under way
				time.Sleep(time.Hour)
				w.st.wantQuiet()
				one.end <- nil
				w.st.wantAck("device", "u-1")
				w.st.wantAck("device", "u-1")
				two.end <- errors.New("failed for good")
				w.st.wantAck("device", "u-2")
				w.st.wantQuiet()
				if three.ctx.Err() != nil {
					t.Error("the context of a handler under way has ended")
				}
				three.end <- nil
				w.st.wantAck(ccs.ReceiptFrom, ccs.ReceiptIDs+"r-1")
				w.st.wantGoodbye()
				if err := <-ended; err != nil {
					t.Errorf("Shutdown returned %v", err)
				}
				wantNoCall(t, calls)
				if got := fmt.Sprint(told.take()); got != "[<nil> failed for good <nil>]" {
					t.Errorf("told %s", got)
				}
			})
		})
		t.Run("C36 C54 "+name+", until its time is over", func(t *testing.T) {
			with(t, func(t *testing.T, w way, calls chan *handling, told *list[string]) {
				w.st.upstream("device", "u-1")
				call := handled(t, calls, "u-1")
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				ended := shut(ctx, w)
				time.Sleep(5*time.Second - 1)
				if call.ctx.Err() != nil {
					t.Error("the handler's context has ended early")
				}
				w.st.wantGoodbyeTag() // and no ack in front of it
				w.st.hangUp()
				if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown returned %v", err)
				}
				if took := time.Since(began); took != 5*time.Second || call.ctx.Err() == nil {
					t.Errorf("it took %v; the handler's context: %v", took, call.ctx.Err())
				}
				if got := told.take(); len(got) != 0 {
					t.Errorf("told %v", got)
				}
			})
		})
		for what, err := range map[string]error{
			"another try":           fmt.Errorf("busy: %w", ccsclient.ErrTryAgain),
			"what cannot be sent":   fmt.Errorf("answer: %w", ccsclient.ErrClosed),
			"what it will not have": fmt.Errorf("not ours: %w", ccsclient.ErrUnhandled),
		} {
			t.Run("C36 C54 "+name+", which leaves unacked "+what, func(t *testing.T) {
				with(t, func(t *testing.T, w way, calls chan *handling, told *list[string]) {
					w.st.upstream("device", "u-1")
					call := handled(t, calls, "u-1")
					ended := shut(t.Context(), w)
					call.end <- err
					w.st.wantGoodbye()
					if err := <-ended; err != nil {
						t.Errorf("Shutdown returned %v", err)
					}
					wantNoCall(t, calls)
					if got := told.take(); len(got) != 0 {
						t.Errorf("told %v", got)
					}
				})
			})
		}
		t.Run("C36 C54 "+name+", which ends the wait for another try", func(t *testing.T) {
			with(t, func(t *testing.T, w way, calls chan *handling, told *list[string]) {
				w.st.upstream("device", "u-1")
				for range 4 {
					handled(t, calls, "u-1").end <- ccsclient.ErrTryAgain
					time.Sleep(8 * time.Second)
				}
				handled(t, calls, "u-1").end <- ccsclient.ErrTryAgain
				synctest.Wait()
				began := time.Now()
				ended := shut(t.Context(), w)
				w.st.wantGoodbyeTag()
				w.st.hangUp()
				if err := <-ended; err != nil || time.Since(began) != 0 {
					t.Errorf("Shutdown returned %v after %v", err, time.Since(began))
				}
				if got := told.take(); len(got) != 0 {
					t.Errorf("told %v", got)
				}
			})
		})
	}
}

func TestUpstreamBreaksNoStreamThatIsBeingShutDown(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		h, calls := handler()
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = h
			o.Receipts = func(context.Context, *ccs.Receipt) error { t.Error("a receipt is handled"); return nil }
		})
		r := p.send("m-1") // holds the shutdown up
		st.want("m-1")
		ended := make(chan error, 1)
		go func() { ended <- p.Shutdown(t.Context()) }()
		synctest.Wait()
		for i := range 2000 {
			st.upstream("device", fmt.Sprint("u-", i))
			st.receipt(fmt.Sprint("r-", i))
		}
		wantNoCall(t, calls)
		st.wantQuiet()
		st.ack("m-1")
		r.wantAcked()
		st.wantGoodbye()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAMessageMayBeLeftUnhandled(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		h, calls := handler()
		_, one := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = h
			o.Events.Handled = func(m ccs.FromServer, err error) { srv.note(fmt.Sprint("handled ", err)) }
		})
		one.upstream("device", "u-1")
		one.upstream("device", "u-2")
		handled(t, calls, "u-1").end <- fmt.Errorf("no: %w", ccsclient.ErrUnhandled)
		handled(t, calls, "u-2").end <- nil // nothing waits for it
		one.wantAck("device", "u-2")
		time.Sleep(time.Hour)
		wantNoCall(t, calls)
		one.wantQuiet()
		one.cut()
		two := srv.bind()
		two.upstream("device", "u-1")
		again := handled(t, calls, "u-1")
		if d := ccsclient.DeliveryOf(again.ctx); d.Redelivered {
			t.Errorf("%+v", d)
		}
		again.end <- nil
		two.wantAck("device", "u-1")
		if got := srv.noted(); fmt.Sprint(got) != "[handled <nil> handled <nil>]" {
			t.Errorf("noted %q", got)
		}
	})
}
