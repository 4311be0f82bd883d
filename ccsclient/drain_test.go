package ccsclient_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// acceptsUpstream is a handler that is done at once.
func acceptsUpstream(o *ccsclient.Options) {
	o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }
}

func TestC49_OnControlTheNextStreamOpensAtOnce(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var draining []ccsclient.Stream
		p, first := srv.bound(func(o *ccsclient.Options) {
			o.Window = 3
			o.Events.Draining = func(s ccsclient.Stream) { draining = append(draining, s) }
		})
		before := p.sendMany(1, 5)
		first.want(ids(1, 3)...)
		now := time.Now()
		first.control()
		if d := srv.dialled(); len(d) != 2 || !d[1].Equal(now) {
			t.Fatalf("dialled at %v, want a second time at %v", d, now)
		}
		if len(draining) != 1 || draining[0].State != ccsclient.StateDraining || draining[0].InFlight != 3 {
			t.Errorf("told of %+v", draining)
		}
		// Room on the draining stream is no room for new messages.
		first.ack("m-1")
		before[0].wantAcked()
		after := p.send("m-6")
		time.Sleep(5 * time.Second)
		first.wantQuiet()
		second := srv.bind() // while the first is open
		second.want("m-4", "m-5", "m-6")
		second.ack("m-4", "m-5", "m-6")
		for _, r := range append(before[3:], after) {
			if a := r.wantAcked(); a.Attempts != 1 {
				t.Errorf("%s took %d attempts", r.id, a.Attempts)
			}
		}
		for i := 7; i < 30; i++ {
			r := p.send(nth(i))
			second.want(string(nth(i)))
			second.ack(string(nth(i)))
			r.wantAcked()
		}
		first.wantQuiet()
		if got := p.State().Streams; len(got) != 2 || got[0].State != ccsclient.StateDraining || got[0].InFlight != 2 || got[1].State != ccsclient.StateOpen {
			t.Errorf("the streams are %+v", got)
		}
	})
}

func TestC50_TheDrainingStreamIsReadAndAckedOnUntilTheServerClosesIt(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(st *stream)
		orderly bool
	}{
		"by its closing tag": {func(st *stream) { st.goodbye(); st.hangUp() }, true},
		"by closing alone":   {(*stream).hangUp, false},
		"by a reset":         {(*stream).cut, false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var closed []error
				p, first := srv.bound(func(o *ccsclient.Options) {
					acceptsUpstream(o)
					o.Events.Closed = func(_ ccsclient.Stream, err error) { closed = append(closed, err) }
				})
				all := p.sendMany(1, 40)
				first.want(ids(1, 40)...)
				first.control()
				second := srv.bind()
				for i := range 25 {
					time.Sleep(time.Second)
					first.upstream("device", "old-"+string(nth(i)))
					first.wantAck("device", "old-"+string(nth(i)))
					first.ack(string(nth(i + 1)))
					all[i].wantAcked()
				}
				first.wantQuiet()
				second.wantQuiet()
				if closed != nil {
					t.Errorf("closed before its end: %v", closed)
				}
				c.end(first)
				// What is unanswered then is sent again on the second, in order.
				second.want(ids(26, 40)...)
				second.ack(ids(26, 40)...)
				for _, r := range all[25:] {
					if a := r.wantAcked(); a.Attempts != 2 {
						t.Errorf("%s took %d attempts", r.id, a.Attempts)
					}
				}
				if len(closed) != 1 || (closed[0] == nil) != c.orderly {
					t.Errorf("closed with %v", closed)
				}
				srv.wantNoDial(5 * time.Second) // the second lives
			})
		})
	}
	t.Run("or until a limit of our own", func(t *testing.T) {
		for limit, want := range map[time.Duration]time.Duration{0: time.Minute, 10 * time.Second: 10 * time.Second} {
			play(t, func(t *testing.T, srv *server) {
				p, first := srv.bound(func(o *ccsclient.Options) { o.DrainLimit = limit })
				r := p.send("m-1")
				first.want("m-1")
				first.control()
				began := time.Now()
				second := srv.bind()
				time.Sleep(want - time.Second)
				second.wantQuiet()
				first.wantEnd()
				if took := time.Since(began); took != want {
					t.Errorf("the draining stream was closed after %v, want %v", took, want)
				}
				second.want("m-1")
				second.ack("m-1")
				r.wantAcked()
			})
		}
	})
}

func TestC51_ADrainingNackCountsAsDraining(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var draining int
		p, first := srv.bound(func(o *ccsclient.Options) {
			acceptsUpstream(o)
			o.Events.Draining = func(ccsclient.Stream) { draining++ }
			o.Events.Answered = func(a ccsclient.Answer, err error) {
				if err != nil {
					t.Errorf("%s was answered with %v", a.Message.MessageID, err)
				}
			}
		})
		all := p.sendMany(1, 6)
		first.want(ids(1, 6)...)
		now := time.Now()
		first.ack("m-1")
		first.nack("m-2", ccs.CodeConnectionDraining, "Connection draining")
		first.nack("m-3", ccs.CodeConnectionDraining, "Connection draining")
		if d := srv.dialled(); len(d) != 2 || !d[1].Equal(now) {
			t.Fatalf("dialled at %v, want a second time at %v", d, now)
		}
		newer := p.send("m-7")
		all[1].wantOpen()
		second := srv.bind()
		second.want("m-2", "m-3", "m-7") // same ids, before newer ones
		first.nack("m-5", ccs.CodeConnectionDraining, "Connection draining")
		second.want("m-5")
		first.control() // after the nacks: nothing new
		first.ack("m-4")
		first.upstream("device", "u-1")
		first.wantAck("device", "u-1")
		second.ack("m-2", "m-3", "m-5", "m-7")
		first.hangUp()
		second.want("m-6")
		second.ack("m-6")
		for i, r := range append(all, newer) {
			want := 2
			if i == 0 || i == 3 || i == 6 {
				want = 1
			}
			if a := r.wantAcked(); a.Attempts != want {
				t.Errorf("%s took %d attempts, want %d", r.id, a.Attempts, want)
			}
		}
		if draining != 1 {
			t.Errorf("draining was told %d times", draining)
		}
		first.wantEnd()
		if n := len(srv.dialled()); n != 2 {
			t.Errorf("%d dials", n)
		}
	})
}

func TestC52_ControlComesWithAndWithoutIDAndOfUnknownKinds(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		drains  bool
	}{
		"as documented":      {`{"message_type":"control","control_type":"CONNECTION_DRAINING"}`, true},
		"with an id":         {`{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":"c-1","from":"gcm.googleapis.com"}`, true},
		"with a numeric id":  {`{"control_type":"CONNECTION_DRAINING","message_id":12,"message_type":"control"}`, true},
		"with an empty id":   {`{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":""}`, true},
		"with a null id":     {`{"message_type":"control","message_id":null,"control_type":"CONNECTION_DRAINING"}`, true},
		"of an unknown kind": {`{"message_type":"control","control_type":"SOMETHING_NEW"}`, false},
		"of no kind":         {`{"message_type":"control","message_id":"c-1"}`, false},
	} {
		for _, kind := range []string{"", ` type="normal"`, ` id=""`} {
			t.Run(name+kind, func(t *testing.T) {
				play(t, func(t *testing.T, srv *server) {
					p, first := srv.bound(acceptsUpstream)
					first.write(`<message` + kind + `><data:gcm xmlns:data="google:mobile:data">` + c.payload + `</data:gcm></message>`)
					first.wantQuiet() // it is never acked
					p.send("m-1")
					if !c.drains {
						srv.wantOdd("control of unknown type")
						first.want("m-1")
						srv.wantNoDial(time.Second)
						return
					}
					srv.bind().want("m-1")
					first.wantQuiet()
					if odd := srv.noted(); odd != nil {
						t.Errorf("reported: %q", odd)
					}
				})
			})
		}
	}
}

func TestC53_TheSecondStreamMayDrainWhileTheFirstStillDoes(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, first := srv.bound(acceptsUpstream)
		one := p.send("m-1")
		first.want("m-1")
		first.control()
		second := srv.bind()
		two := p.send("m-2")
		second.want("m-2")
		second.control()
		third := srv.bind()
		three := p.send("m-3")
		third.want("m-3")
		third.nack("m-3", ccs.CodeConnectionDraining, "x")
		fourth := srv.bind()
		fourth.want("m-3")
		if got := p.State().Streams; len(got) != 4 {
			t.Fatalf("%d streams, want the four", len(got))
		}
		// Each goes on answering, and is acked on.
		for i, st := range []*stream{first, second, third, fourth} {
			id := string(nth(i))
			st.upstream("device", id)
			st.wantAck("device", id)
		}
		second.ack("m-2") // the later one first
		two.wantAcked()
		second.goodbye()
		second.hangUp()
		first.hangUp()
		fourth.want("m-1")
		fourth.ack("m-1", "m-3")
		one.wantAcked()
		three.wantAcked()
		third.goodbye()
		third.wantGoodbye()
		third.hangUp()
		synctest.Wait()
		if got := p.State().Streams; len(got) != 1 || got[0].State != ccsclient.StateOpen {
			t.Errorf("the streams are %+v", got)
		}
		if n := len(srv.dialled()); n != 4 {
			t.Errorf("%d dials, want 4", n)
		}
	})
}

func TestC54_ShutdownWaitsForAnswersAndSaysGoodbye(t *testing.T) {
	shutdown := func(ctx context.Context, p *client) chan error {
		ended := make(chan error, 1)
		go func() { ended <- p.Shutdown(ctx) }()
		synctest.Wait()
		return ended
	}
	t.Run("with everything answered in time", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 2 })
			all := p.sendMany(1, 4)
			st.want("m-1", "m-2")
			ended := shutdown(t.Context(), p)
			late := p.send("m-5")
			late.wantErr(ccsclient.ErrClosed) // no more messages are taken
			if err := p.SendFunc(t.Context(), msg("m-6"), nil); !errors.Is(err, ccsclient.ErrClosed) {
				t.Errorf("SendFunc: %v", err)
			}
			time.Sleep(20 * time.Second)
			st.wantQuiet()
			st.ack("m-1")
			st.want("m-3") // but what was taken is sent
			st.nack("m-2", ccs.CodeServiceUnavailable, "x")
			st.want("m-4")
			st.ack("m-3", "m-4")
			st.want("m-2") // and retried
			st.wantQuiet()
			st.ack("m-2")
			st.wantGoodbyeTag()
			select {
			case <-ended:
				t.Error("Shutdown did not wait for the server's closing tag")
			default:
			}
			st.goodbye()
			st.hangUp()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			for _, r := range all {
				r.wantAcked()
			}
			if err := <-p.ended; err != nil {
				t.Errorf("Run returned %v", err)
			}
			srv.wantNoDial(time.Minute)
		})
	})
	t.Run("with answers outstanding", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 2 })
			all := p.sendMany(1, 4)
			st.want("m-1", "m-2")
			st.nack("m-2", ccs.CodeServiceUnavailable, "x")
			st.want("m-3")
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			began := time.Now()
			ended := shutdown(ctx, p)
			st.wantGoodbye()
			if took := time.Since(began); took != 500*time.Millisecond {
				t.Errorf("goodbye was said after %v", took)
			}
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown returned %v", err)
			}
			// The other's closing tag is not waited for without limit.
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the connection was closed after %v", took)
			}
			if _, err := st.conn.Write([]byte(" ")); err == nil {
				t.Error("the connection is open")
			}
			all[0].wantErr(ccsclient.ErrOutcomeUnknown)
			all[1].wantErr(ccsclient.ErrClosed)
			all[2].wantErr(ccsclient.ErrOutcomeUnknown)
			all[3].wantErr(ccsclient.ErrClosed)
			for _, i := range []int{1, 3} {
				if errors.Is(all[i].err, ccsclient.ErrOutcomeUnknown) {
					t.Errorf("%v, but nothing of it is under way", all[i].err)
				}
			}
			if err := <-p.ended; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	})
	t.Run("on every stream, draining ones too", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, first := srv.bound(nil)
			p.send("m-1")
			first.want("m-1")
			first.control()
			second := srv.bind()
			ended := shutdown(t.Context(), p)
			second.wantQuiet()
			first.ack("m-1")
			first.wantGoodbyeTag()
			second.wantGoodbyeTag()
			first.hangUp()
			second.hangUp()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("through a cut meanwhile", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			r := p.send("m-1")
			st.want("m-1")
			ended := shutdown(t.Context(), p)
			st.cut()
			second := srv.bind()
			second.want("m-1")
			second.ack("m-1")
			r.wantAcked()
			second.wantGoodbyeTag()
			second.hangUp()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("while nothing can be reached", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.setRefuse(errors.New("no route"))
			p := srv.pool(nil)
			r := p.send("m-1")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown returned %v", err)
			}
			r.wantErr(ccsclient.ErrClosed)
			if err := p.Shutdown(t.Context()); err != nil {
				t.Errorf("a second time it returned %v", err)
			}
		})
	})
	t.Run("before Run", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, err := ccsclient.NewPool(endpoint, credentials, srv.options(nil))
			if err != nil {
				t.Fatal(err)
			}
			r := sendBy(t.Context(), t, p, msg("m-1"))
			r.wantOpen()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown returned %v although a message is left", err)
			}
			r.wantErr(ccsclient.ErrClosed)
			if err := p.Run(t.Context()); err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	})
	t.Run("while Run is about to begin", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, err := ccsclient.NewPool(endpoint, credentials, srv.options(nil))
			if err != nil {
				t.Fatal(err)
			}
			r := sendBy(t.Context(), t, p, msg("m-1"))
			r.wantOpen()
			shut, ran := make(chan error, 1), make(chan error, 1)
			go func() { shut <- p.Shutdown(t.Context()) }()
			time.Sleep(time.Second)
			go func() { ran <- p.Run(t.Context()) }()
			st := srv.bind()
			st.want("m-1")
			st.ack("m-1")
			r.wantAcked()
			st.wantGoodbye()
			if err := <-shut; err != nil {
				t.Errorf("Shutdown returned %v", err)
			}
			if err := <-ran; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	})
}

// wantGoodbyeTag wants the closing tag, and leaves the connection open.
func (st *stream) wantGoodbyeTag() {
	st.t.Helper()
	if x := st.next(); x != any(errGoodbye) {
		st.t.Fatalf("%v, want the closing tag", x)
	}
}

func TestCloseReturnsTheUnansweredInOrder(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 30 })
		all := p.sendMany(1, 60)
		st.want(ids(1, 30)...)
		st.ack("m-2", "m-5")
		st.nack("m-3", ccs.CodeBadRegistration, "x")
		st.nack("m-7", ccs.CodeServiceUnavailable, "x") // rests
		p.Withdraw("m-50")                              // never written
		p.Withdraw("m-8")                               // written: nobody waits, but it is unanswered
		st.want(ids(31, 34)...)
		var want []ccs.MessageID
		for i := 1; i <= 60; i++ {
			if !slices.Contains([]int{2, 3, 5, 50}, i) {
				want = append(want, nth(i))
			}
		}
		if got := p.Close(); !slices.Equal(got, want) {
			t.Errorf("unanswered: %v\nwant %v", got, want)
		}
		st.wantEnd() // cut, without a word
		for i, r := range all {
			switch n := i + 1; {
			case slices.Contains([]int{2, 5}, n):
				r.wantAcked()
			case n == 3:
				r.wantNack(ccs.CodeBadRegistration)
			case n == 50:
				r.wantErr(ccsclient.ErrWithdrawn)
			case n == 7, n > 34:
				r.wantErr(ccsclient.ErrClosed)
			default:
				r.wantErr(ccsclient.ErrOutcomeUnknown)
			}
		}
		if err := <-p.ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
		if got := p.Close(); len(got) != 0 {
			t.Errorf("a second time: %v", got)
		}
		p.send("m-99").wantErr(ccsclient.ErrClosed)
		srv.wantNoDial(time.Hour)
	})
}

func TestNobodyDialsOnceThePoolEnds(t *testing.T) {
	for name, end := range map[string]func(p *client){
		"by Shutdown":      func(p *client) { _ = p.Shutdown(p.t.Context()) },
		"by Close":         func(p *client) { p.Close() },
		"by Run's context": func(p *client) { p.cancel() },
		"by Close, twice":  func(p *client) { go p.Close(); p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 { // which goroutine is first is chance
				play(t, func(t *testing.T, srv *server) {
					p, st := srv.bound(nil)
					go func() {
						if st.next() == any(errGoodbye) {
							st.conn.Close()
						}
					}()
					end(p)
					if err := <-p.ended; err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if n := len(srv.dialled()); n != 1 {
						t.Fatalf("%d dials, want the first one alone", n)
					}
				})
			}
		})
	}
	t.Run("seen before Run's context has ended", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.setRefuse(errors.New("no route"))
			p, err := ccsclient.NewPool(endpoint, credentials, srv.options(nil))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ccsclient.KeepAfterEnd(ctx, p)
			if n := len(srv.dialled()); n != 0 {
				t.Errorf("%d dials, want none", n)
			}
		})
	})
}

func TestDrainingWhileTheDialFails(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var waits list[time.Duration]
		p, first := srv.bound(func(o *ccsclient.Options) {
			acceptsUpstream(o)
			o.DrainLimit = 10 * time.Minute
			o.Events.ReconnectingIn = waits.add
		})
		one := p.send("m-1")
		first.want("m-1")
		srv.setRefuse(errors.New("no route"))
		first.control()
		two := p.send("m-2")
		for i := range 30 { // in service for acks and answers all the time
			time.Sleep(time.Second)
			first.upstream("device", string(nth(i)))
			first.wantAck("device", string(nth(i)))
		}
		first.ack("m-1")
		one.wantAcked()
		first.wantQuiet()
		two.wantOpen()
		if s := p.State(); s.LastError == nil || !strings.Contains(s.LastError.Error(), "no route") || s.Waiting != 1 {
			t.Errorf("the state is %v", s)
		}
		wantDoubling(t, waits.take(), 4)
		srv.setRefuse(nil)
		second := srv.bind()
		second.want("m-2")
		second.ack("m-2")
		two.wantAcked()
		first.hangUp()
		srv.wantNoDial(time.Minute)
	})
}

// wantDoubling wants at least n waits, each between one and four times as long
// as what doubles, from a second to a quarter of a minute.
func wantDoubling(t *testing.T, waits []time.Duration, n int) {
	t.Helper()
	if len(waits) < n {
		t.Fatalf("waits %v, want at least %d", waits, n)
	}
	for i, d := range waits {
		least := min(time.Second<<i, 15*time.Second)
		if d < least || d > 4*least {
			t.Errorf("waits %v: number %d should be between %v and %v", waits, i+1, least, 4*least)
		}
	}
}

func TestADrainEndsOldWaits(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var waits list[time.Duration]
		srv.setRefuse(errors.New("no route"))
		p := srv.pool(func(o *ccsclient.Options) {
			o.Events.ReconnectingIn = waits.add
		})
		time.Sleep(40 * time.Second)
		srv.setRefuse(nil)
		st := srv.bind()
		r := p.send("m-1")
		st.want("m-1")
		st.ack("m-1")
		r.wantAcked()
		srv.setRefuse(errors.New("no route"))
		waits.take()
		st.control()
		time.Sleep(20 * time.Second)
		wantDoubling(t, waits.take(), 3) // from a second on, whatever was before
	})
}
