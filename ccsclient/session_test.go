package ccsclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestASessionSendsOnItsOneStream(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		s, st, ended := srv.session(func(o *ccsclient.Options) { o.Window = 2 })
		send := func(id ccs.MessageID) *sent {
			r := sendBy(t.Context(), t, s, msg(id))
			synctest.Wait()
			return r
		}
		one, two, three := send("m-1"), send("m-2"), send("m-3")
		st.want("m-1", "m-2")
		st.wantQuiet() // the window
		send("m-1").wantErr(ccsclient.ErrDuplicateID)
		st.nack("m-1", ccs.CodeServiceUnavailable, "x")
		one.wantNack(ccs.CodeServiceUnavailable) // retrying is a pool's work
		st.want("m-3")
		st.ack("m-2")
		two.wantAcked()

		ctx, cancel := context.WithCancel(t.Context())
		four := sendBy(ctx, t, s, msg("m-4"))
		synctest.Wait()
		five := sendBy(ctx, t, s, msg("m-5"))
		synctest.Wait()
		cancel()
		four.wantErr(ccsclient.ErrOutcomeUnknown)
		five.wantErr(context.Canceled)
		st.want("m-4")
		if n := s.State().InFlight; n != 2 {
			t.Errorf("%d in flight, want m-3 and the one whose outcome is unknown", n)
		}
		select {
		case <-s.Draining():
			t.Error("Draining is closed too early")
		default:
		}
		st.control()
		<-s.Draining()
		send("m-6").wantErr(ccsclient.ErrDraining)
		st.hangUp()
		three.wantErr(ccsclient.ErrOutcomeUnknown)
		if err := <-ended; err == nil {
			t.Error("Run returned nil although the stream broke with something unanswered")
		}
		send("m-7").wantErr(ccsclient.ErrClosed)
		if got := s.State().State; got != ccsclient.StateClosed {
			t.Errorf("the state is %s", got)
		}
		srv.wantNoDial(time.Minute)
	})
}

func TestWhyASessionsRunReturns(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *ccsclient.Session, st *stream, cancel context.CancelFunc)
		want func(err error) bool
	}{
		"nil after Shutdown": {func(s *ccsclient.Session, st *stream, _ context.CancelFunc) {
			if err := s.Shutdown(context.Background()); err != nil {
				st.t.Error(err)
			}
		}, func(err error) bool { return err == nil }},
		"nil when it drained and the server closed it": {func(_ *ccsclient.Session, st *stream, _ context.CancelFunc) {
			st.control()
			st.goodbye()
			st.hangUp()
		}, func(err error) bool { return err == nil }},
		"the reason when the server closes without draining": {func(_ *ccsclient.Session, st *stream, _ context.CancelFunc) {
			st.goodbye()
			st.hangUp()
		}, func(err error) bool { return err != nil }},
		"the stream error": {func(_ *ccsclient.Session, st *stream, _ context.CancelFunc) {
			st.write(`<stream:error><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`)
			st.hangUp()
		}, func(err error) bool {
			e, ok := errors.AsType[*ccs.StreamError](err)
			return ok && e.Condition == "conflict"
		}},
		"ErrClosed after Close": {func(s *ccsclient.Session, _ *stream, _ context.CancelFunc) { s.Close() },
			func(err error) bool { return errors.Is(err, ccsclient.ErrClosed) }},
		"the context's error": {func(_ *ccsclient.Session, _ *stream, cancel context.CancelFunc) { cancel() },
			func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				dialled := make(chan *ccsclient.Session, 1)
				go func() {
					s, err := ccsclient.Dial(t.Context(), endpoint, credentials, srv.options(nil))
					if err != nil {
						t.Error(err)
					}
					dialled <- s
				}()
				st := srv.bind()
				s := <-dialled
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				synctest.Wait()
				c.end(s, st, cancel)
				if err := <-ended; !c.want(err) {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

func TestASessionsHandlersRunAndAnswerByTheSession(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		s, st, ended := srv.session(func(o *ccsclient.Options) {
			o.Upstream = func(ctx context.Context, out ccsclient.Sender, m *ccs.Upstream) error {
				_, err := out.Send(ctx, &ccs.Downstream{To: m.From, MessageID: "reply"})
				return err
			}
			o.Receipts = func(context.Context, *ccs.Receipt) error { return nil }
		})
		st.upstream("device", "u-1")
		if m := st.payload(); m["to"] != "device" || m["message_id"] != "reply" {
			t.Errorf("%v, want the reply", m)
		}
		st.wantQuiet() // the message is being handled
		st.ack("reply")
		st.wantAck("device", "u-1")
		st.receipt("m-1")
		st.wantAck("gcm.googleapis.com", "dr2:m-1")
		st.upstream("device", "u-2") // its handler will be waiting for the answer
		st.payload()
		s.Close()
		if err := <-ended; !errors.Is(err, ccsclient.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
		st.wantEnd()
	})
}

func TestASessionsShutdownTakesNothingMore(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		s, st, ended := srv.session(func(o *ccsclient.Options) { o.Window = 2 })
		send := func(id ccs.MessageID) *sent {
			r := sendBy(t.Context(), t, s, msg(id))
			synctest.Wait()
			return r
		}
		one, two := send("m-1"), send("m-2")
		st.want("m-1", "m-2")
		waits := []*sent{send("m-3"), send("m-4"), send("m-5")}
		shut := make(chan error, 1)
		go func() { shut <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		st.ack("m-1")
		one.wantAcked()
		st.wantQuiet() // what waited was not written, and is not any more
		late := send("m-6")
		late.wantErr(ccsclient.ErrClosed)
		st.ack("m-2")
		two.wantAcked()
		for _, r := range waits {
			r.wantErr(ccsclient.ErrClosed)
		}
		st.wantGoodbyeTag()
		st.goodbye()
		st.hangUp()
		if err := <-shut; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	play(t, func(t *testing.T, srv *server) {
		s, st, _ := srv.session(nil)
		r := sendBy(t.Context(), t, s, msg("m-1"))
		st.want("m-1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v", err)
		}
		st.wantGoodbye()
		r.wantErr(ccsclient.ErrOutcomeUnknown)
	})
}

func TestAnErrorOfSendSaysWhichMessage(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		s, st, _ := srv.session(nil)
		r := sendBy(t.Context(), t, s, msg("m-17"))
		st.want("m-17")
		s.Close()
		r.wantErr(ccsclient.ErrOutcomeUnknown)
		if !strings.HasPrefix(r.err.Error(), "ccsclient: send m-17: outcome unknown") {
			t.Errorf("%v", r.err)
		}
	})
}
