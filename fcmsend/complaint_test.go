package fcmsend_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcmsend"
)

func TestS_46_FewerStreamsAfterTheFarEndHasComplained(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1})
		all := sendMany(t, s, 100)
		first := w.conn()
		for range 100 {
			first.request()
		}
		first.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		second := w.conn()
		if n := second.pending(); n != 50 {
			t.Errorf("%d streams; want half of those that were too many", n)
		}
		for range 100 {
			second.request().accept()
		}
		wantAllAccepted(t, all)
		if second.most != 50 {
			t.Errorf("%d streams at a time; want 50", second.most)
		}
		// Ten minutes later it tries more again.
		time.Sleep(10 * time.Minute)
		all = sendMany(t, s, 150)
		third := w.conn()
		if n := third.pending(); n != 100 {
			t.Errorf("%d streams after ten minutes; want 100", n)
		}
		for range 150 {
			third.request().accept()
		}
		wantAllAccepted(t, all)
	})
}

func TestS_46_TheMostStreamsThereWereCount(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		all := sendMany(t, s, 80)
		first := w.conn()
		for range 80 {
			first.request().accept()
		}
		wantAllAccepted(t, all)
		p := send(t, s, toToken())
		first.request()
		first.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		w.conn().request().accept()
		p.wantAccepted()
		if n := s.State().Connections[0].Limit; n != 40 {
			t.Errorf("%d streams; want half of the most there were", n)
		}
	})
}

// What a complaint hands back must not be sent again by the old limit.
func TestS_46_AComplaintIsHeardBeforeItsStreamsAreSentAgain(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{GoAway: func(fcmsend.ConnectionInfo, string, string) {
			time.Sleep(time.Millisecond) // until whoever can go on has done so
			if n := len(w.dialled()); n != 1 {
				t.Errorf("%d dials when the sender hears of it; want the first", n)
			}
		}}})
		all := sendMany(t, s, 100)
		first := w.conn()
		first.pending()
		first.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		for range 2 {
			conn := w.conn()
			if n := conn.pending(); n != 50 {
				t.Errorf("%d streams; want half of those that were too many", n)
			}
			for range 50 {
				conn.request().accept()
			}
		}
		wantAllAccepted(t, all)
	})
}

// Two connections of as many streams say one thing, and so does one twice.
func TestS_46_OneLimitIsComplainedOfOnEachConnection(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 4})
		all := sendMany(t, s, 400)
		for range 4 {
			conn := w.conn()
			for range 100 {
				conn.request()
			}
			for range 2 {
				conn.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
			}
			synctest.Wait()
		}
		for range 4 {
			conn := w.conn()
			if n := conn.pending(); n != 50 {
				t.Errorf("%d streams on a new connection; want half of those that were too many", n)
			}
			w.conns <- conn
		}
		for answered := 0; answered < 400; {
			conn := w.conn()
			for conn.pending() > 0 {
				conn.request().accept()
				answered++
			}
			w.conns <- conn
		}
		wantAllAccepted(t, all)
	})
}

func TestS_46_ALateComplaintRaisesNothing(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 2})
		sendMany(t, s, 200)
		first, second := w.conn(), w.conn()
		complain := func(c *farConn, want int) {
			t.Helper()
			for c.pending() > 0 {
				c.request()
			}
			c.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
			synctest.Wait()
			for _, l := range s.State().Connections {
				if l.Limit != want {
					t.Errorf("%d streams; want %d", l.Limit, want)
				}
			}
		}
		complain(first, 50)
		complain(w.conn(), 25)
		complain(second, 25) // it says it of a hundred
	})
}

func TestS_46_OneStreamIsTheLeast(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{StreamsPerConnection: 1})
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		conn.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		w.conn().request().accept()
		p.wantAccepted()
	})
}

func TestS_46_TwiceAsManyStreamsAreTriedEachTenMinutes(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 70, IdleTimeout: 2 * time.Hour, RequestTimeout: time.Hour})
		all := sendMany(t, s, 70)
		for range 2 {
			conn := w.conn()
			for conn.pending() > 0 {
				conn.request()
			}
			conn.goAway(0, http2.ErrCodeProtocol, "exceeded_max_concurrent_streams")
		}
		conn := w.conn()
		for range 70 {
			conn.request().accept()
		}
		wantAllAccepted(t, all)
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{
			{0, 17},
			{10*time.Minute - 1, 17}, {1, 34},
			{10*time.Minute - 1, 34}, {1, 68},
			{10*time.Minute - 1, 68}, {1, 70},
			{20 * time.Minute, 70},
		} {
			time.Sleep(tt.after)
			if n := s.State().Connections[0].Limit; n != tt.want {
				t.Errorf("%v later: %d streams, want %d", tt.after, n, tt.want)
			}
		}
		// Other goodbyes say nothing about streams.
		for _, bye := range []struct {
			code   http2.ErrCode
			reason string
		}{{http2.ErrCodeNo, "exceeded_max_concurrent_streams"}, {http2.ErrCodeProtocol, "too_many_pings"}} {
			conn.goAway(0, bye.code, bye.reason)
			p := send(t, s, toToken())
			conn = w.conn()
			conn.request().accept()
			p.wantAccepted()
			if n := s.State().Connections[0].Limit; n != 70 {
				t.Errorf("%d streams after %v %s, want 70", n, bye.code, bye.reason)
			}
		}
	})
}
