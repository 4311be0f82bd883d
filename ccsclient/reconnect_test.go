package ccsclient_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestC46_EveryEndLeadsToANewStream(t *testing.T) {
	const streamError = `<stream:error><system-shutdown xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>`
	for name, c := range map[string]struct {
		end    func(st *stream)
		closed string // what Events.Closed says
	}{
		"end of file":                       {(*stream).hangUp, "EOF"},
		"end of file within a stanza":       {func(st *stream) { st.write(`<message><gcm`); st.hangUp() }, "unexpected EOF"},
		"reset":                             {(*stream).cut, "reset"},
		"closing tag":                       {(*stream).goodbye, "closing tag"},
		"closing tag and close":             {func(st *stream) { st.goodbye(); st.hangUp() }, "closing tag"},
		"stream error":                      {func(st *stream) { st.write(streamError) }, "system-shutdown"},
		"stream error and close":            {func(st *stream) { st.write(streamError + `</stream:stream>`); st.hangUp() }, "system-shutdown"},
		"XML that is not well-formed":       {func(st *stream) { st.write(`<message></mess>`) }, "not-well-formed"},
		"a stanza without end":              {func(st *stream) { st.write(`<message>` + strings.Repeat("<a/>", 20_000)) }, "policy-violation"},
		"text between stanzas":              {func(st *stream) { st.write(`hello`) }, "not-well-formed"},
		"silence":                           {func(st *stream) { st.srv.mute.Store(true) }, "silent"},
		"silence with something unanswered": {func(st *stream) { st.srv.mute.Store(true) }, "silent"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var closings list[error]
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.Events.Closed = func(_ ccsclient.Stream, err error) { closings.add(err) }
				})
				if name != "silence" {
					p.send("m-1")
					st.want("m-1")
				}
				began := time.Now()
				c.end(st)
				synctest.Wait()
				if name != "silence" && name != "silence with something unanswered" {
					// It had worked hardly, but it is the first end: at once.
					if d := srv.dialled(); len(d) != 2 || !d[1].Equal(began) {
						t.Fatalf("dialled at %v, want again at %v", d, began)
					}
				}
				second := srv.bind()
				srv.mute.Store(false)
				r := p.send("m-2")
				if name != "silence" {
					second.want("m-1")
				}
				second.want("m-2")
				second.ack("m-2")
				r.wantAcked()
				time.Sleep(5 * time.Second) // the old connection is closed by now
				closed := closings.take()
				if len(closed) != 1 || closed[0] == nil || !strings.Contains(closed[0].Error(), c.closed) {
					t.Errorf("closed with %v, want %q", closed, c.closed)
				}
				if _, err := st.conn.Write([]byte(" ")); err == nil {
					t.Error("the old connection is open")
				}
				if n := len(p.State().Streams); n != 1 {
					t.Errorf("%d streams", n)
				}
			})
		})
	}
}

func TestC47_ReconnectingIsQuickOnceAndThenSlow(t *testing.T) {
	// A session that worked: a message was answered on it.
	work := func(p *client, st *stream, id ccs.MessageID) {
		t.Helper()
		r := p.send(id)
		st.want(string(id))
		st.ack(string(id))
		r.wantAcked()
	}
	const many = 500 // connections: a client that spins makes no time pass
	// wantPace wants no more than ten dials in any ten seconds.
	wantPace := func(t *testing.T, dials []time.Time) {
		t.Helper()
		for i := 10; i < len(dials); i++ {
			if d := dials[i].Sub(dials[i-10]); d < 10*time.Second {
				t.Fatalf("11 dials within %v: %v", d, dials[i-10:i+1])
			}
		}
	}
	t.Run("at once after a session that worked, then with back-off", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			var waits list[time.Duration]
			p, st := srv.bound(func(o *ccsclient.Options) {
				o.Events.ReconnectingIn = waits.add
			})
			work(p, st, "m-1")
			for range 2 { // whatever went wrong before that session
				srv.setRefuse(errors.New("no route"))
				waits.take()
				now := time.Now()
				st.cut()
				if d := srv.dialled(); !d[len(d)-1].Equal(now) {
					t.Errorf("the last dial was at %v, want one at once at %v", d[len(d)-1], now)
				}
				time.Sleep(5 * time.Minute)
				wantDoubling(t, waits.take(), 8)
				srv.setRefuse(nil)
				st = srv.bind()
				work(p, st, "m-1")
			}
			wantPace(t, srv.dialled())
		})
	})
	t.Run("a long quiet session has worked too", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.setRefuse(errors.New("no route"))
			srv.pool(nil)
			time.Sleep(time.Minute)
			srv.setRefuse(nil)
			st := srv.bind()
			time.Sleep(11 * time.Second)
			now := time.Now()
			st.cut()
			if d := srv.dialled(); !d[len(d)-1].Equal(now) {
				t.Errorf("the last dial was at %v, want one at once at %v", d[len(d)-1], now)
			}
		})
	})
	t.Run("a server that cuts right behind the login", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.pool(nil)
			began := time.Now()
			for n := 0; time.Since(began) < 5*time.Minute && n < many; n++ {
				srv.bind().cut()
			}
			dials := srv.dialled()
			wantPace(t, dials)
			if len(dials) < 6 || len(dials) > 25 {
				t.Errorf("%d dials in 5 minutes, want few, but not none", len(dials))
			}
			for i := 2; i < len(dials); i++ {
				if d := dials[i].Sub(dials[i-1]); d < time.Second {
					t.Errorf("dial %d came %v behind the one before", i, d)
				}
			}
		})
	})
	t.Run("a server that cuts behind each answer", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p := srv.pool(nil)
			began := time.Now()
			for i := 0; time.Since(began) < time.Minute && i < many; i++ {
				st := srv.bind()
				work(p, st, nth(i))
				st.cut()
			}
			dials := srv.dialled()
			wantPace(t, dials)
			if len(dials) < 30 {
				t.Errorf("%d dials in a minute: each session worked", len(dials))
			}
		})
	})
	t.Run("a server that drains at once", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.pool(func(o *ccsclient.Options) { o.DrainLimit = time.Second })
			began := time.Now()
			for n := 0; time.Since(began) < time.Minute && n < many; n++ {
				srv.bind().control()
			}
			wantPace(t, srv.dialled())
		})
	})
	t.Run("a server that refuses the connection", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.setRefuse(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
			srv.pool(nil)
			time.Sleep(time.Hour)
			dials := srv.dialled()
			wantPace(t, dials)
			if n := len(dials); n < 75 || n > 130 {
				t.Errorf("%d dials in an hour, want one each 15 to 60 s", n)
			}
		})
	})
	t.Run("as the options say", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.setRefuse(errors.New("no route"))
			srv.pool(func(o *ccsclient.Options) { o.BackoffFirst, o.BackoffMax = 10*time.Millisecond, 20*time.Millisecond })
			time.Sleep(time.Minute)
			dials := srv.dialled()
			wantPace(t, dials)
			if n := len(dials); n < 50 || n > 70 {
				t.Errorf("%d dials in a minute, want ten in each ten seconds", n)
			}
		})
	})
}

func TestC48_WhatWasUnansweredLeavesAgainFirstInOrderAndInTheWindow(t *testing.T) {
	t.Run("after a cut", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 40 })
			all := p.sendMany(1, 100)
			st.want(ids(1, 40)...)
			for _, id := range []string{"m-3", "m-40", "m-1", "m-20"} {
				st.ack(id)
			}
			st.want(ids(41, 44)...)
			var unanswered []string
			for _, id := range ids(1, 44) {
				if !slices.Contains([]string{"m-3", "m-40", "m-1", "m-20"}, id) {
					unanswered = append(unanswered, id)
				}
			}
			st.cut()
			between := p.send("m-101")
			second := srv.bind()
			second.want(unanswered...)
			second.wantQuiet() // 40: the window is full
			second.ack(unanswered[5])
			second.want("m-45")
			// Cut once more: the order is that of the hand-over, still.
			second.cut()
			third := srv.bind()
			left := append(slices.DeleteFunc(slices.Clone(unanswered), func(id string) bool { return id == unanswered[5] }), "m-45")
			third.want(left...)
			third.wantQuiet()
			for _, id := range left {
				third.ack(id)
			}
			for _, id := range ids(46, 101) {
				third.want(id)
				third.ack(id)
			}
			for i, r := range append(all, between) {
				a := r.wantAcked()
				want := 1
				switch n := i + 1; {
				case n == 45:
					want = 2
				case string(r.id) == unanswered[5]:
					want = 2
				case slices.Contains(unanswered, string(r.id)):
					want = 3
				}
				if a.Attempts != want {
					t.Errorf("%s took %d attempts, want %d", r.id, a.Attempts, want)
				}
			}
		})
	})
	t.Run("on a stream that is there already", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, first := srv.bound(func(o *ccsclient.Options) { o.Window = 50 })
			p.sendMany(1, 50)
			first.want(ids(1, 50)...)
			first.control()
			second := srv.bind()
			p.sendMany(51, 110)
			second.want(ids(51, 100)...) // full, and ten wait
			first.hangUp()
			second.wantQuiet()
			for i := range 50 {
				second.ack(string(nth(51 + i)))
				second.want(string(nth(1 + i)))
			}
			for i := range 10 {
				second.ack(string(nth(1 + i)))
				second.want(string(nth(101 + i)))
			}
		})
	})
	t.Run("between a live stream and newer messages", func(t *testing.T) {
		for range 20 { // the order of a map would show itself
			play(t, func(t *testing.T, srv *server) {
				p, first := srv.bound(nil)
				p.sendMany(1, 30)
				first.want(ids(1, 30)...)
				first.control()
				second := srv.bind()
				first.hangUp()
				second.want(ids(1, 30)...)
			})
		}
	})
	t.Run("with a nacked one in its place", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 3 })
			p.sendMany(1, 5)
			st.want(ids(1, 3)...)
			st.nack("m-1", ccs.CodeServiceUnavailable, "x")
			st.want("m-4")
			st.cut()
			second := srv.accept()
			time.Sleep(5 * time.Second) // m-1 is due again
			second.login(loginFeatures, bindFeatures, boundResult)
			second.element()
			second.ready()
			second.want("m-1", "m-2", "m-3")
			second.ack("m-1")
			second.want("m-4")
			second.ack("m-2")
			second.want("m-5")
		})
	})
}

func TestTheFirstConnectIsTriedForEverAndTold(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var events list[string]
		srv.setRefuse(errors.New("no route"))
		p := srv.pool(func(o *ccsclient.Options) {
			o.Events = &ccsclient.Events{
				Connecting:      func(e string) { events.add("connecting " + e) },
				Connected:       func(string) { events.add("connected") },
				Authenticated:   func(s ccsclient.Stream) { events.add("authenticated " + s.JID) },
				ReconnectFailed: func(err error) { events.add(err.Error()) },
				ReconnectingIn:  func(time.Duration) { events.add("waiting") },
			}
		})
		r := p.send("m-1")
		want := []string{"connecting " + endpoint, endpoint + ": connect: no route", "waiting"}
		if got := events.take(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		time.Sleep(24 * time.Hour)
		r.wantOpen()
		if s := p.State(); s.LastError == nil || !strings.HasPrefix(s.String(), "1 waiting, 0 in flight, 0 resting, 0 connecting, last error: "+endpoint+": connect: no route") {
			t.Errorf("the state is %v", s)
		}
		srv.setRefuse(nil)
		events.take()
		st := srv.bind()
		st.want("m-1")
		st.ack("m-1")
		r.wantAcked()
		want = []string{"connecting " + endpoint, "connected", "authenticated " + jid}
		if got := events.take(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if s := p.State(); s.LastError != nil {
			t.Errorf("the state still tells of %v", s.LastError)
		}
	})
}

func TestTheHostIsLookedUpEachTime(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p := srv.pool(nil)
		for i := range 5 {
			st := srv.bind()
			r := p.send(nth(i))
			st.want(string(nth(i)))
			st.ack(string(nth(i)))
			r.wantAcked()
			if i == 3 {
				st.control()
			} else {
				st.cut()
			}
		}
		srv.bind()
		srv.mu.Lock()
		defer srv.mu.Unlock()
		for _, name := range srv.names {
			if name != "tcp "+endpoint {
				t.Errorf("dialled %s, want the name as it was given", name)
			}
		}
		if len(srv.names) != 6 {
			t.Errorf("%d dials", len(srv.names))
		}
	})
}

func TestCloseWhileDialling(t *testing.T) {
	for name, reach := range map[string]func(srv *server){
		"before the server accepts": func(*server) {},
		"before the login":          func(srv *server) { srv.accept() },
		"within the login":          func(srv *server) { srv.accept().auth(loginFeatures) },
		"within the back-off":       func(srv *server) { srv.accept().hangUp() },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p := srv.pool(nil)
				r := p.send("m-1")
				reach(srv)
				synctest.Wait()
				began := time.Now()
				if got := p.Close(); !slices.Equal(got, []ccs.MessageID{"m-1"}) {
					t.Errorf("unanswered: %v", got)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("Close took %v", took)
				}
				r.wantErr(ccsclient.ErrClosed)
				if err := <-p.ended; err != nil {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

func TestTheEndOfRunsContextCuts(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 1 })
		one, two := p.send("m-1"), p.send("m-2")
		st.want("m-1")
		p.cancel()
		if err := <-p.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		one.wantErr(ccsclient.ErrOutcomeUnknown)
		two.wantErr(ccsclient.ErrClosed)
		st.wantEnd()
		p.send("m-3").wantErr(ccsclient.ErrClosed)
	})
}

// BackoffFirst is the least wait, whatever BackoffMax is.
func TestBackoffFirstIsTheLeastWait(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		srv.setRefuse(errors.New("nobody there"))
		srv.pool(func(o *ccsclient.Options) { o.BackoffFirst, o.BackoffMax = 10*time.Second, 10*time.Second })
		time.Sleep(5 * time.Minute)
		d := srv.dialled()
		for i := 2; i < len(d); i++ {
			if w := d[i].Sub(d[i-1]); w < 10*time.Second {
				t.Fatalf("waited %v between two attempts, and BackoffFirst is 10 s", w)
			}
		}
	})
}
