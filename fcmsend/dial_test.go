package fcmsend_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestS_43_AsManyDialsAsThoseWhoWaitWillFill(t *testing.T) {
	for _, c := range []struct {
		name        string
		say         func(c *farConn)
		calls, want int
	}{
		{"no limit is told", func(*farConn) {}, 250, 2},
		{"ten streams are allowed", func(c *farConn) {
			c.write(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 10})
			})
		}, 45, 4},
		{"none is allowed", func(c *farConn) {
			c.write(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			})
		}, 3, 3},
	} {
		t.Run("S-43 "+c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				opt := w.options(&fcmsend.Options{MaxConnections: 20, DialTimeout: time.Hour})
				first, nowhere := true, dialNowhere(opt)
				never := opt.Dial
				opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if first {
						first = false
						return w.dial(ctx, network, address)
					}
					return never(ctx, network, address)
				}
				s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request().accept()
				p.wantAccepted()
				c.say(conn)
				synctest.Wait()
				sendMany(t, s, c.calls)
				if n := nowhere.Load(); int(n) != c.want || s.State().Dialing != c.want {
					t.Errorf("%d dials, %d in the state; want %d", n, s.State().Dialing, c.want)
				}
			})
		})
	}
}

func TestR_F9_WhereNobodyAnswersNothingIsSentAndDialsAreRare(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		refused := errors.New("connection refused")
		w.setFail(refused)
		var failed int
		s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{DialFailed: func(err error, next time.Time) {
			failed++
			if !errors.Is(err, refused) || !next.After(time.Now()) {
				t.Errorf("DialFailed(%v, %v)", err, next)
			}
		}}})
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			for _, p := range sendMany(t, s, 20) {
				if e := p.wantError(fcm.Unavailable, false); !errors.Is(e, refused) {
					t.Fatalf("error %v; want the dial's", e)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		dials := w.dialled()
		if len(dials) < 20 || len(dials) > 60 || failed != len(dials) {
			t.Errorf("%d dials and %d events in ten minutes; want 20 to 60", len(dials), failed)
		}
		if st := s.State(); !errors.Is(st.DialErr, refused) {
			t.Errorf("state %+v", st)
		}
		// And within half a minute of its return it is there again.
		w.setFail(nil)
		w.handle = (*request).accept
		for began = time.Now(); ; time.Sleep(100 * time.Millisecond) {
			if _, err := s.Send(t.Context(), toToken()); err == nil {
				break
			}
			if time.Since(began) > 31*time.Second {
				t.Fatal("half a minute after its return no message gets through")
			}
		}
		if st := s.State(); st.DialErr != nil {
			t.Errorf("state %+v", st)
		}
	})
}

func TestConnectionsThatEndAtOnceAreNoStorm(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		go func() {
			for {
				select {
				case c := <-w.conns:
					c.goAway(0, http2.ErrCodeNo, "")
					c.nc.Close()
				case <-t.Context().Done():
					return
				}
			}
		}()
		s := w.sender(nil)
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			send(t, s, toToken()).wantError(fcm.Unavailable, false)
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(w.dialled()); n < 20 || n > 70 {
			t.Errorf("%d dials in ten minutes; want 20 to 70", n)
		}
		if st := s.State(); st.DialErr == nil {
			t.Errorf("state %+v; want a cause", st)
		}
	})
}

func TestR_F9_HalfAMinuteIsTheLongestWait(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.setFail(errors.New("nobody answers"))
		s := w.sender(nil)
		for range 100 {
			send(t, s, toToken()).wantError(fcm.Unavailable, false)
			time.Sleep(30 * time.Second)
		}
		if n := len(w.dialled()); n != 100 {
			t.Errorf("%d dials, want one each half a minute", n)
		}
	})
}

func TestAConnectionThatComesAfterCloseIsClosed(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		l := w.host("fcm.example:8080")
		late := make(chan struct{})
		opt := w.options(&fcmsend.Options{Endpoint: plainEndpoint})
		opt.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
			<-late // whatever the context says
			return w.dial(context.WithoutCancel(t.Context()), network, address)
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		p := send(t, s, toToken())
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			s.Close()
		}()
		p.wantError(fcm.Unavailable, false)
		close(late)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := nc.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v; want the connection closed", n, err)
		}
		<-closed
	})
}

// Three connections in a row may end before an answer, as often as one answers
// in between; the fourth makes everybody wait.
func TestConnectionsThatAnswerBreakTheRowOfThoseThatDoNot(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		end := func(conn *farConn) {
			conn.nc.Close()
			synctest.Wait()
		}
		row := func(length int) {
			t.Helper()
			for range length {
				p := send(t, s, toToken())
				p.wantPending()
				conn := w.conn()
				conn.request()
				end(conn)
				p.wantError(fcm.Unavailable, true)
			}
		}
		answered := func() {
			t.Helper()
			p := send(t, s, toToken())
			p.wantPending()
			conn := w.conn()
			conn.request().accept()
			p.wantAccepted()
			end(conn)
		}
		for range 4 {
			row(3)
			answered()
		}
		row(4)
		p := send(t, s, toToken())
		if err := p.wantError(fcm.Unavailable, false); p.took != 0 || !strings.Contains(err.Error(), "before anything is answered") {
			t.Errorf("told after %v: %v", p.took, err)
		}
		w.noConn()
		time.Sleep(time.Second) // the first wait is no longer
		answered()
	})
}

// One connection that goes on answering excuses no others.
func TestOneThatAnswersDoesNotHideThoseThatDoNot(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{StreamsPerConnection: 1, MaxConnections: 2, RequestTimeout: time.Hour})
		p := send(t, s, toToken())
		good := w.conn()
		good.request().accept()
		p.wantAccepted()
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			p := send(t, s, toToken())
			r := good.request()
			other := send(t, s, toToken())
			other.wantPending()
			if len(w.conns) > 0 {
				bad := w.conn()
				bad.request()
				bad.nc.Close()
				other.wantError(fcm.Unavailable, true)
				other = nil
			}
			r.accept()
			p.wantAccepted()
			if other != nil {
				good.request().accept()
				other.wantAccepted()
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(w.dialled()); n < 20 || n > 70 {
			t.Errorf("%d dials in ten minutes; want 20 to 70", n)
		}
	})
}

// dialNowhere has dials last until they are given up, and counts them.
func dialNowhere(opt *fcmsend.Options) *atomic.Int32 {
	dials := new(atomic.Int32)
	opt.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return dials
}

func TestWhoWaitsWhereNoneIsAllowedGetsTheNextConnection(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1})
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		conn.write(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		})
		synctest.Wait()
		p = send(t, s, toToken())
		p.wantPending()
		conn.nc.Close()
		w.conn().request().accept()
		if p.wantAccepted(); p.took != 0 {
			t.Errorf("took %v", p.took)
		}
	})
}

// Connections that nobody wrote on tell nothing of the far end.
func TestConnectionsThatNobodyUsedAreNoRow(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(nil)
		slow := true
		opt.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
			if slow {
				time.Sleep(2 * time.Second)
			}
			return w.dial(t.Context(), network, address)
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		for range 6 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			sendWith(ctx, t, s, toToken()).wantError(fcm.Unavailable, false)
			cancel()
			w.conn().nc.Close()
			synctest.Wait()
			if n := len(s.State().Connections); n != 0 {
				t.Fatalf("%d connections in the state", n)
			}
		}
		slow = false
		p := send(t, s, toToken())
		w.conn().request().accept()
		if p.wantAccepted(); p.took != 0 {
			t.Errorf("took %v", p.took)
		}
	})
}

func TestCloseEndsADialAndNothingIsDialledAfter(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(&fcmsend.Options{DialTimeout: time.Hour})
		dials := dialNowhere(opt)
		opt.Events = &fcmsend.Events{DialFailed: func(err error, _ time.Time) { t.Errorf("told of a dial that Close has ended: %v", err) }}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		all := sendMany(t, s, 3)
		began := time.Now()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		for _, p := range append(all, send(t, s, toToken())) {
			if err := p.wantError(fcm.Unavailable, false); !strings.Contains(err.Error(), "the sender is closed") {
				t.Errorf("error %v", err)
			}
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("%d dials, want one", n)
		}
	})
}

// While a dial is under way nobody is told that another one has failed.
func TestWhoComesWhileADialIsUnderWayWaitsForIt(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(&fcmsend.Options{StreamsPerConnection: 1, MaxConnections: 2})
		var dials atomic.Int32
		fail, late := make(chan struct{}), make(chan struct{})
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				<-fail
				return nil, errors.New("nobody answers")
			}
			<-late
			return w.dial(ctx, network, address)
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		all := sendMany(t, s, 2)
		if n := dials.Load(); n != 2 {
			t.Fatalf("%d dials for two", n)
		}
		close(fail)
		synctest.Wait()
		all = append(all, send(t, s, toToken()))
		for _, p := range all {
			p.wantPending()
		}
		close(late)
		conn := w.conn()
		for range all {
			conn.request().accept()
		}
		wantAllAccepted(t, all)
	})
}

func TestAConnectionTooManyIsNoStormEither(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{StreamsPerConnection: 1, RequestTimeout: time.Hour})
		busy := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		w.setFail(errors.New("too many connections"))
		var all []*sending
		for range 100 {
			all = append(all, send(t, s, toToken()))
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(w.dialled()); n > 8 {
			t.Errorf("%d dials in ten seconds", n)
		}
		r.accept()
		busy.wantAccepted()
		for range all {
			conn.request().accept()
		}
		wantAllAccepted(t, all)
	})
}

func TestDialsAreOneForAllThatWait(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		l := w.hosts["fcm.googleapis.com:443"]
		w.hosts["fcm.googleapis.com:443"] = nil
		s := w.sender(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sendWith(ctx, t, s, toToken()).wantError(fcm.Unavailable, false)
		w.hosts["fcm.googleapis.com:443"] = l
		time.Sleep(2 * time.Second)
		before := len(w.dialled())
		all := sendMany(t, s, 100)
		conn := w.conn()
		for range 100 {
			conn.request().accept()
		}
		wantAllAccepted(t, all)
		if n := len(w.dialled()) - before; n != 1 {
			t.Errorf("%d dials for 100 messages; want 1", n)
		}
	})
}

func TestR_F15_ACertificateOfAnotherIsNotTalkedTo(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(nil)
		opt.TLS.RootCAs = newFar(t).ca.Pool()
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		e := send(t, s, toToken()).wantError(fcm.Unavailable, false)
		if !strings.Contains(e.Error(), "certificate") {
			t.Errorf("error %v; want it to name the certificate", e)
		}
		if _, err := w.open[0].Write(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the connection is left open: %v", err)
		}
	})
}
