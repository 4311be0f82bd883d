package fcmsend_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcm"
	"penstock/fcmsend"
)

// sendMany sends n messages at once.
func sendMany(t *testing.T, s *fcmsend.Sender, n int) []*sending {
	all := make([]*sending, n)
	for i := range all {
		all[i] = send(t, s, toToken("i", itoa(i)))
	}
	synctest.Wait() // until each is as far as it gets
	return all
}

func wantAllAccepted(t *testing.T, all []*sending) {
	t.Helper()
	for _, p := range all {
		p.wantAccepted()
	}
}

// pending is how many requests wait on c.
func (c *farConn) pending() int {
	synctest.Wait()
	return len(c.arrived)
}

func TestTheSenderTellsItsBoundsAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(nil)
		late := make(chan struct{})
		opt.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
			<-late
			return w.dial(t.Context(), network, address)
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		ctx, cancel := context.WithCancel(t.Context())
		p := sendWith(ctx, t, s, toToken())
		p.wantPending()
		cancel()
		p.wantError(fcm.Unavailable, false)
		close(late) // and nobody has a request any more
		began := time.Now()
		conn := w.conn()
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("the connection is greeted after %v", took)
		}
		conn.mu.Lock()
		defer conn.mu.Unlock()
		want := map[http2.SettingID]uint32{
			http2.SettingEnablePush: 0, http2.SettingInitialWindowSize: 80 << 10, http2.SettingMaxHeaderListSize: 64 << 10,
		}
		if !maps.Equal(conn.bounds, want) {
			t.Errorf("SETTINGS %v; want %v", conn.bounds, want)
		}
	})
}

func TestS_42_NeverMoreThanAHundredStreamsBeforeSettings(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.silent = true
		s := w.sender(&fcmsend.Options{MaxConnections: 1})
		all := sendMany(t, s, 250)
		conn := w.conn()
		if n := conn.pending(); n != 100 {
			t.Errorf("%d streams before SETTINGS; want 100", n)
		}
		conn.write(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
		})
		if n := conn.pending(); n != 100 {
			t.Errorf("%d streams although 1000 are allowed; want 100", n)
		}
		for range 250 {
			conn.request().accept()
		}
		wantAllAccepted(t, all)
		if conn.most != 100 {
			t.Errorf("%d streams were open at a time; want 100", conn.most)
		}
		w.noConn()
	})
}

func TestS_42_R_F13_AServerThatAllowsFewerGetsFewer(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.settings = []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}
		s := w.sender(&fcmsend.Options{MaxConnections: 1})
		send(t, s, toToken()).wantPending() // so that the SETTINGS are read
		conn := w.conn()
		all := sendMany(t, s, 20)
		for range 21 {
			r := conn.request()
			conn.noRequest()
			r.accept()
		}
		wantAllAccepted(t, all)
		// Then none, and then again.
		conn.write(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		})
		synctest.Wait()
		p := send(t, s, toToken())
		p.wantPending()
		conn.noRequest()
		conn.write(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 5})
		})
		conn.request().accept()
		p.wantAccepted()
	})
}

func TestS_44_GoAwayLetsFinishAndNewOnesGoElsewhere(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var gone []string
		s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{GoAway: func(c fcmsend.ConnectionInfo, code, reason string) {
			gone = append(gone, fmt.Sprint(c.ID, c.Protocol, code, reason))
		}}})
		old := sendMany(t, s, 10)
		first := w.conn()
		var requests []*request
		for range 10 {
			requests = append(requests, first.request())
		}
		first.goAway(1<<31-1, http2.ErrCodeNo, "time\nto go~\x7f\xff"+strings.Repeat("!", 200)) // as before a graceful end
		synctest.Wait()
		young := sendMany(t, s, 10)
		second := w.conn()
		for range 10 {
			second.request().accept()
		}
		wantAllAccepted(t, young)
		first.goAway(requests[9].id, http2.ErrCodeNo, "")
		time.Sleep(9 * time.Second)
		if first.isOver() {
			t.Fatal("the connection was closed with requests on it")
		}
		for _, r := range requests {
			r.accept()
		}
		wantAllAccepted(t, old)
		if !first.isOver() {
			t.Error("the connection was not closed when it was done")
		}
		if want := "1h2NO_ERRORtime.to go~.." + strings.Repeat("!", 120-13); len(gone) != 2 || gone[0] != want {
			t.Errorf("events %q", gone)
		}
	})
}

func TestS_45_R_F12_StreamsAboveTheLastIdAreSentAgainAtOnce(t *testing.T) {
	for name, code := range map[string]http2.ErrCode{"without error": http2.ErrCodeNo, "with an error": http2.ErrCodeEnhanceYourCalm} {
		t.Run("S-45 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(nil)
				all := sendMany(t, s, 10)
				first := w.conn()
				bodies := map[string]int{}
				var kept []*request
				for i := range 10 {
					r := first.request()
					bodies[string(r.body)]++
					if i < 4 {
						kept = append(kept, r)
					}
				}
				began := time.Now()
				first.goAway(7, code, "")
				second := w.conn()
				for range 6 {
					r := second.request()
					bodies[string(r.body)]++
					r.accept()
				}
				second.noRequest()
				if took := time.Since(began); took != 0 {
					t.Errorf("sent again after %v; want at once", took)
				}
				for _, r := range kept {
					r.accept()
				}
				wantAllAccepted(t, all)
				twice := 0
				for _, n := range bodies {
					if n == 2 {
						twice++
					}
				}
				if len(bodies) != 10 || twice != 6 {
					t.Errorf("%d messages, %d written twice; want 10 and 6", len(bodies), twice)
				}
			})
		})
	}
}

func TestS_45_EachConnectionMayGoAwayAfterAHundredRequests(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		go func() {
			for {
				var c *farConn
				select {
				case c = <-w.conns:
				case <-t.Context().Done():
					return
				}
				for range 100 {
					select {
					case r := <-c.arrived:
						if r.id == 199 {
							c.goAway(r.id, http2.ErrCodeNo, "")
						}
						r.accept()
					case <-t.Context().Done():
						return
					}
				}
			}
		}()
		done := make(chan error, 20)
		for range 20 {
			go func() {
				var err error
				for range 50 {
					if _, e := s.Send(t.Context(), toToken()); e != nil {
						err = e
					}
				}
				done <- err
			}()
		}
		for range 20 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := len(w.dialled()); n < 10 || n > 11 {
			t.Errorf("%d connections for 1000 messages; want 10 or 11", n)
		}
	})
}

func TestStreamsBelowTheLastIdHaveAnUnknownOutcome(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		all := sendMany(t, s, 2)
		conn := w.conn()
		conn.request()
		conn.request()
		conn.goAway(3, http2.ErrCodeInternal, "")
		all[0].wantPending()
		conn.nc.Close()
		for _, p := range all {
			p.wantError(fcm.Unavailable, true)
		}
		w.noConn()
	})
}

func TestR_F12_RefusedStreamsAreSentAgainAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		for range 5 {
			conn.request().cancel(http2.ErrCodeRefusedStream)
		}
		conn.request().accept()
		p.wantAccepted()
		if p.took != 0 {
			t.Errorf("took %v", p.took)
		}
		// Not for ever.
		p = send(t, s, toToken())
		for range 9 {
			conn.request().cancel(http2.ErrCodeRefusedStream)
		}
		p.wantError(fcm.Unavailable, false)
		conn.noRequest()
	})
}

func TestS_47_PingsAreRare(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{IdleTimeout: time.Hour})
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		time.Sleep(30*time.Second - time.Millisecond)
		if n := len(conn.pinged()); n != 0 {
			t.Errorf("%d pings in 30 s", n)
		}
		time.Sleep(10 * time.Minute)
		pings := conn.pinged()
		if len(pings) < 15 {
			t.Errorf("%d pings in ten minutes; want one each 30 s", len(pings))
		}
		for i := 1; i < len(pings); i++ {
			if gap := pings[i].Sub(pings[i-1]); gap < 30*time.Second {
				t.Errorf("%v between two pings; want 30 s at least", gap)
			}
		}
		// While there is traffic there is none.
		before := len(conn.pinged())
		for range 100 {
			p := send(t, s, toToken())
			conn.request().accept()
			p.wantAccepted()
			time.Sleep(5 * time.Second)
		}
		if n := len(conn.pinged()) - before; n > 1 {
			t.Errorf("%d pings on a busy connection", n)
		}
	})
}

func TestS_47_APingThatIsAnsweredKeepsItsConnection(t *testing.T) {
	for _, tt := range []struct{ quiet, timeout time.Duration }{{10 * time.Second, 15 * time.Second}, {20 * time.Second, 20 * time.Second}, {10 * time.Second, time.Second}} {
		t.Run(fmt.Sprintf("S-47 after %v, for %v", tt.quiet, tt.timeout), func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(&fcmsend.Options{QuietAfter: tt.quiet, PingTimeout: tt.timeout, IdleTimeout: time.Hour})
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request().accept()
				p.wantAccepted()
				time.Sleep(10 * time.Minute)
				if conn.isOver() {
					t.Fatal("the connection was closed, and every ping was answered")
				}
				pings := conn.pinged()
				if len(pings) < 10 {
					t.Errorf("%d pings in ten minutes", len(pings))
				}
				for i := 1; i < len(pings); i++ {
					if gap := pings[i].Sub(pings[i-1]); gap < tt.quiet {
						t.Errorf("a ping %v after another", gap)
					}
				}
				conn.setMute(true)
				last := time.Now()
				time.Sleep(max(tt.quiet, tt.timeout) + tt.timeout + time.Second)
				if !conn.isOver() {
					t.Errorf("dead for %v, and it is still there", time.Since(last))
				}
			})
		})
	}
}

func TestR_F14_ADeadConnectionIsFoundByPing(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var why error
		var closed time.Time
		s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{ConnectionClosed: func(_ fcmsend.ConnectionInfo, err error) {
			why, closed = err, time.Now()
		}}})
		p := send(t, s, toToken())
		conn := w.conn()
		conn.setMute(true)
		conn.request().accept()
		p.wantAccepted()
		began := time.Now()
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if took := closed.Sub(began); why == nil || took < 45*time.Second || took > 46*time.Second {
			t.Errorf("closed after %v: %v; want 45 s and a cause", took, why)
		}
		p = send(t, s, toToken())
		w.conn().request().accept()
		p.wantAccepted()
	})
}

func TestR_F10_ABlackHoleGetsNothingNew(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		first := w.conn()
		first.setMute(true)
		first.request()
		p.wantError(fcm.Unavailable, true)
		if st := s.State(); !st.Connections[0].Silent {
			t.Errorf("state %+v; want the connection doubted", st)
		}
		p = send(t, s, toToken())
		second := w.conn()
		second.request().accept()
		p.wantAccepted()
		// A byte brings the trust back.
		first.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
		synctest.Wait()
		p = send(t, s, toToken())
		first.request().accept()
		p.wantAccepted()
	})
}

func TestASlowAnswerOnALiveConnectionDoesNotDoubtIt(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		slow := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		time.Sleep(5 * time.Second)
		p := send(t, s, toToken())
		conn.request().accept()
		p.wantAccepted()
		slow.wantError(fcm.Unavailable, true)
		if st := s.State(); st.Connections[0].Silent {
			t.Errorf("state %+v; want no doubt", st)
		}
		w.noConn()
	})
}
