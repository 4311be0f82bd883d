package ccsserver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// settle lets a stream grow old enough to hear of draining.
func settle() { pass(time.Second) }

// pass lets time pass, and all happen that is due then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestS66_AnswersThatAreBeingWrittenKeepTheStream(t *testing.T) {
	play(t, &ccsserver.Options{AnswerTimeout: 2 * time.Second}, func(t *testing.T, srv *server) {
		srv.hold()
		p := srv.bind(t)
		srv.dawdle.Store(int64(time.Second)) // as a goroutine that is kept from its processor
		p.write(downstream("m-1"), downstream("m-2"))
		pass(1500 * time.Millisecond)
		srv.Drain(ccsserver.DrainOptions{}) // it may close at 2.5 s, between the two answers
		p.want(control)
		pass(3 * time.Second)
		p.wantClosed(
			nacked("m-1", ccs.CodeServiceUnavailable, textTimeout),
			nacked("m-2", ccs.CodeServiceUnavailable, textTimeout), end)
	})
}

func TestS64_ControlComesBeforeEveryOrderlyClose(t *testing.T) {
	t.Run("a drain", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			settle()
			if ids := srv.Drain(ccsserver.DrainOptions{}); !slices.Equal(ids, []string{p.id}) {
				t.Errorf("draining %v, want %s", ids, p.id)
			}
			p.want(control) // message_type and control_type, and nothing else
			if s := srv.Streams(); s[0].State != ccsserver.StateDraining {
				t.Errorf("the state is %s", s[0].State)
			}
			time.Sleep(time.Second)
			p.wantClosed(end)
			if c := srv.closed(); len(c) != 1 || c[0].err != nil {
				t.Errorf("closed: %v", c)
			}
		})
	})
	t.Run("once, however often it is asked for", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.Drain(ccsserver.DrainOptions{})
			srv.Drain(ccsserver.DrainOptions{Streams: []string{p.id}})
			settle()
			srv.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})
			p.want(control)
			time.Sleep(time.Second)
			p.wantClosed(end)
		})
	})
	t.Run("a shutdown", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			settle()
			down := shutdown(srv)
			p.want(control)
			time.Sleep(time.Second)
			p.wantClosed(end)
			p.hangUp()
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("only the streams that are named", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			a, b := srv.bind(t), srv.bind(t)
			settle()
			srv.Drain(ccsserver.DrainOptions{Streams: []string{a.id, "0000000000000000"}})
			a.want(control)
			time.Sleep(time.Second)
			a.wantClosed(end)
			b.wantQuiet()
			if ids := srv.Drain(ccsserver.DrainOptions{Streams: []string{}}); len(ids) != 0 {
				t.Errorf("nobody was named, and %v drain", ids)
			}
			b.wantQuiet()
		})
	})
	t.Run("spread over time", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			var all []*peer
			for range 4 {
				all = append(all, srv.bind(t))
			}
			settle()
			srv.Drain(ccsserver.DrainOptions{Spread: 40 * time.Second})
			for announced := 1; announced <= 4; announced++ {
				n := 0
				for _, p := range all {
					if strings.HasPrefix(p.came(), control) {
						n++
					}
				}
				if n != announced {
					t.Errorf("%d have heard of it, want %d", n, announced)
				}
				time.Sleep(10 * time.Second)
			}
			for _, p := range all {
				p.wantClosed(control, end)
			}
		})
	})
}

// shutdown begins a shutdown without a limit.
func shutdown(srv *server) chan error {
	end := make(chan error, 1)
	go func() { end <- srv.Shutdown(context.Background()) }()
	return end
}

func TestS65_NoControlInTheFirstSecond(t *testing.T) {
	for name, drain := range map[string]func(srv *server){
		"by a drain":    func(srv *server) { srv.Drain(ccsserver.DrainOptions{}) },
		"by a shutdown": func(srv *server) { shutdown(srv) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bound(t, sender)
				time.Sleep(300 * time.Millisecond)
				drain(srv)
				p.write(sessionIQ, downstream("m-1"))
				p.want(sessionEnd, acked("m-1"))
				time.Sleep(700*time.Millisecond - 1)
				p.wantQuiet()
				pass(1)
				p.want(control)
				time.Sleep(time.Second)
				p.wantClosed(end)
			})
		})
	}
	t.Run("nor a nack for it", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})
			time.Sleep(time.Second - 1)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			pass(1)
			p.write(downstream("m-2"))
			p.want(nacked("m-2", "CONNECTION_DRAINING", textDraining))
		})
	})
}

func TestS66_S67_S68_WhileDraining(t *testing.T) {
	// drained is a stream that drains and is kept by an unanswered message.
	drained := func(t *testing.T, srv *server) (*peer, *ccsserver.Request) {
		t.Helper()
		srv.hold()
		p := srv.bind(t)
		settle()
		p.write(downstream("first"))
		r := srv.take(t)
		srv.Drain(ccsserver.DrainOptions{})
		p.want(control)
		return p, r
	}
	t.Run("S66 acks are taken, and what was read is answered", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			p.want(upstream("u-1"))
			settle()
			p.write(downstream("m-1"), downstream("m-2"))
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(5 * time.Second)
			p.wantQuiet()
			p.write(ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 1)
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-1"))
			srv.take(t).Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
			p.wantClosed(nacked("m-2", "BAD_REGISTRATION", "The registration token is malformed"), end)
		})
	})
	t.Run("S66 it reads on: pings and queries are answered", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p, _ := drained(t, srv)
			time.Sleep(5 * time.Second)
			p.write(pingIQ)
			p.want(p.pong())
		})
	})
	t.Run("S67 no upstream and no receipt starts", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p, r := drained(t, srv)
			o, rec := srv.offer(t, fromDevice("u-1")), srv.offer(t, receiptOf("39"))
			time.Sleep(5 * time.Second)
			p.wantQuiet()
			r.Answer(nil, nil)
			p.wantClosed(acked("first"), end)
			o.want(t, 0, 0)
			rec.want(t, 0, 0)
			srv.bind(t).want(receipt("39"), upstream("u-1"))
		})
	})
	t.Run("S68 a downstream is carried out and acked", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			p, r := drained(t, srv)
			for i := range 14 {
				time.Sleep(time.Second)
				id := fmt.Sprint("m-", i)
				p.write(downstream(id))
				srv.take(t).Answer(nil, nil)
				p.want(acked(id))
			}
			r.Answer(nil, nil)
			p.wantClosed(acked("first"), end)
		})
	})
	t.Run("S68 and at the very end it is nacked, or was never read", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			p, r := drained(t, srv)
			time.Sleep(15*time.Second - 1)
			p.write(downstream("in time"))
			srv.wantHandedOn(t, 2)
			pass(1)
			p.write(downstream("late"), downstream("first"))
			p.want(nacked("late", "CONNECTION_DRAINING", textDraining), nacked("first", "CONNECTION_DRAINING", textDraining))
			srv.wantHandedOn(t, 2)
			second := srv.bind(t)
			second.write(downstream("late"))
			srv.wantHandedOn(t, 3)
			srv.take(t).Answer(nil, nil)
			p.want(acked("in time"))
			r.Answer(nil, nil)
			p.wantClosed(acked("first"), end)
		})
	})
	t.Run("S68 what waits behind a full window is nacked at the last call", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour, Window: 2}, func(t *testing.T, srv *server) {
			p, _ := drained(t, srv)
			p.write(downstream("m-1"), downstream("m-2"), downstream("m-3"))
			time.Sleep(15*time.Second - 1)
			p.wantBeats()
			pass(1)
			p.dropBeats()
			p.want(nacked("m-2", "CONNECTION_DRAINING", textDraining), nacked("m-3", "CONNECTION_DRAINING", textDraining))
			srv.wantHandedOn(t, 2)
		})
	})
	t.Run("S68 announced by nack, each new one is nacked and the old ones are answered", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			settle()
			p.write(downstream("first"))
			r := srv.take(t)
			srv.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})
			p.wantQuiet()
			p.write(downstream("m-1"))
			p.want(nacked("m-1", "CONNECTION_DRAINING", textDraining))
			srv.wantHandedOn(t, 1)
			time.Sleep(3 * time.Second)
			r.Answer(nil, nil)
			p.wantClosed(acked("first"), end)
		})
	})
	t.Run("S68 what comes while the stream closes has no answer, or the nack", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			settle()
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			pass(time.Second)
			p.try(downstream("m-1"))
			p.wantClosed(end)
			srv.wantHandedOn(t, 0)
		})
	})
}

func TestS69_TheEndOfADrain(t *testing.T) {
	t.Run("an idle stream closes within two seconds", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			settle()
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.wantClosed(end)
			time.Sleep(2 * time.Second)
			p.wantGone()
		})
	})
	t.Run("one that falls idle later closes then", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			settle()
			p.write(downstream("m-1"))
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(10 * time.Second)
			srv.take(t).Answer(nil, nil)
			p.wantClosed(acked("m-1"), end)
		})
	})
	t.Run("one that waits for an ack of upstream closes behind it", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.offer(t, fromDevice("u-1"))
			p.want(upstream("u-1"))
			settle()
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(20 * time.Second)
			p.wantQuiet()
			p.write(ack(token, "u-1"))
			p.wantClosed(end)
		})
	})
	t.Run("one that waits for an ack of a receipt waits for nothing", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			rec := srv.offer(t, receiptOf("39"))
			p.want(receipt("39"))
			settle()
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(time.Second)
			p.wantClosed(end)
			rec.want(t, 0, 1)
			srv.bind(t).want(receipt("39"))
		})
	})
	t.Run("any closes within thirty seconds", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			p.want(upstream("u-1"))
			settle()
			for i := range 150 { // with its reader stuck, too
				p.write(downstream(fmt.Sprint("m-", i)))
			}
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(30*time.Second - 1)
			if all := p.came(); strings.Contains(all, end) {
				t.Errorf("it has closed already: %s", all)
			}
			p.skip()
			pass(1)
			p.dropBeats() // its reader waits, and one was due
			p.wantClosed(end)
			o.want(t, 0, 1)
			time.Sleep(2 * time.Second)
			p.wantGone()
		})
	})
	t.Run("by default each message has its answer before that", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			settle()
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			n := 0
			for i := range 300 {
				p.try(downstream(fmt.Sprint("m-", i)))
				n++
				time.Sleep(100 * time.Millisecond)
				if len(srv.closed()) > 0 {
					break
				}
			}
			all := p.came()
			answered := strings.Count(all, `"SERVICE_UNAVAILABLE"`) + strings.Count(all, `"CONNECTION_DRAINING"`)
			if answered < n-1 || !strings.HasSuffix(all, end) { // the last may have met the close
				t.Errorf("%d of %d were answered: %s", answered, n, shown(all, nil))
			}
		})
	})
	t.Run("the times are settings, of the server and of one drain", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour, Drain: ccsserver.DrainTimes{CloseAfter: 3 * time.Second, Limit: 4 * time.Second}}, func(t *testing.T, srv *server) {
			srv.hold()
			idle, busy := srv.bind(t), srv.bind(t)
			settle()
			busy.write(downstream("m-1"))
			srv.Drain(ccsserver.DrainOptions{Streams: []string{idle.id}})
			srv.Drain(ccsserver.DrainOptions{Streams: []string{busy.id}, Times: ccsserver.DrainTimes{LastCall: time.Second, Limit: 2 * time.Second, CloseAfter: time.Second}})
			idle.want(control)
			busy.want(control)
			pass(time.Second)
			busy.write(downstream("m-2"))
			busy.want(nacked("m-2", "CONNECTION_DRAINING", textDraining))
			time.Sleep(time.Second)
			busy.wantClosed(end)
			idle.wantQuiet()
			time.Sleep(time.Second)
			idle.wantClosed(end)
		})
	})
	t.Run("a peer that does not read is cut", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			settle()
			p.deafen()
			go func() {
				for range 5000 {
					p.try(pingIQ)
				}
			}()
			srv.Drain(ccsserver.DrainOptions{})
			time.Sleep(5 * time.Second)
			if len(srv.closed()) != 1 {
				t.Error("the stream has not ended")
			}
			p.wantGone()
		})
	})
}

func TestS70_ASecondConnectionWhileTheFirstDrains(t *testing.T) {
	play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
		srv.hold()
		first := srv.bind(t)
		settle()
		first.write(downstream("m-1"))
		r := srv.take(t)
		srv.Drain(ccsserver.DrainOptions{})
		first.want(control)

		second := srv.bind(t)
		second.write(downstream("m-2"))
		srv.take(t).Answer(nil, nil)
		second.want(acked("m-2"))
		srv.offer(t, fromDevice("u-1"))
		second.want(upstream("u-1"))
		second.write(downstream("m-1")) // sent again, as it has no answer yet
		second.wantQuiet()
		r.Answer(nil, nil)
		second.want(acked("m-1"))
		time.Sleep(time.Second)
		first.wantClosed(acked("m-1"), end)
		srv.wantHandedOn(t, 2)
	})
}

func TestS71_AShutdownDrainsEverybodyAndEnds(t *testing.T) {
	t.Run("every accepted message is answered first", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.handle(func(r *ccsserver.Request) {
				time.AfterFunc(5*time.Second, func() { r.Answer(nil, nil) })
			})
			var all []*peer
			for i := range 10 {
				p := srv.bind(t)
				all = append(all, p)
				settle()
				p.write(downstream(fmt.Sprint("m-", i)))
			}
			for _, p := range all[:5] {
				p.skip() // these have their acks by now
			}
			start := time.Now()
			down := shutdown(srv)
			synctest.Wait()
			if _, err := srv.ln.Dial(t.Context()); err == nil {
				t.Error("it still accepts")
			}
			time.Sleep(10 * time.Second)
			for i, p := range all {
				want := control + acked(fmt.Sprint("m-", i)) + end
				if i < 5 {
					want = control + end
				}
				p.wantClosed(want)
				p.hangUp()
			}
			if err := <-down; err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("the bound is its context's", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			waits := srv.offer(t, &ccs.Upstream{From: "x", MessageID: "u-1"})
			p.skip()
			settle()
			p.write(downstream("m-1"))
			r := srv.take(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("it took %v", took)
			}
			p.want(control)
			p.wantCut()
			o.want(t, ccsserver.Dropped, 1) // never settled: who offered it keeps it
			waits.want(t, ccsserver.Dropped, 1)
			r.Answer(nil, nil) // a late verdict meets nobody
			if err := srv.Offer(sender, fromDevice("u-2"), ccsserver.OfferOptions{}); !errors.Is(err, ccsserver.ErrClosed) {
				t.Errorf("offering behind it: %v", err)
			}
		})
	})
	t.Run("without a limit of its own it ends with the drain's", func(t *testing.T) {
		play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			settle()
			p.write(downstream("m-1"))
			start := time.Now()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 33*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("an acked message was handed over, whenever the end comes", func(t *testing.T) {
		for _, after := range []time.Duration{0, 1, time.Millisecond, 50 * time.Millisecond, 999 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
			play(t, nil, func(t *testing.T, srv *server) {
				var mu sync.Mutex
				done := map[ccs.MessageID]bool{}
				srv.handle(func(r *ccsserver.Request) {
					time.AfterFunc(20*time.Millisecond, func() {
						mu.Lock()
						done[r.Message.MessageID] = true
						mu.Unlock()
						r.Answer(nil, nil)
					})
				})
				p := srv.bind(t)
				settle()
				go func() {
					for i := range 2000 {
						p.try(downstream(fmt.Sprint("m-", i)))
						time.Sleep(time.Millisecond)
					}
				}()
				time.Sleep(after)
				srv.Shutdown(t.Context())
				mu.Lock()
				defer mu.Unlock()
				all := p.came()
				n := 0
				for id := range done {
					if strings.Contains(all, acked(string(id))) {
						n++
					}
				}
				if n != strings.Count(all, `"message_type":"ack"`) {
					t.Errorf("%d of %d acks are for messages that were carried out", n, strings.Count(all, `"message_type":"ack"`))
				}
				if n != len(done) {
					t.Errorf("%d were carried out, %d of them acked", len(done), n)
				}
			})
		}
	})
}

func TestShutdownAndCloseAtAnyMoment(t *testing.T) {
	// Steps of a login, with what a peer writes at each. Wherever it stands,
	// the server ends soon, and no goroutine stays behind: the bubble would
	// tell.
	steps := []string{"", header[:20], header, auth("", sender, "wrong"), auth("", sender, key), header, bindIQ, sessionIQ, downstream("m-1"), end}
	for name, stop := range map[string]func(srv *server) error{
		"Close":    func(srv *server) error { return srv.Close() },
		"Shutdown": func(srv *server) error { return srv.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			for n := range steps {
				for _, wait := range []time.Duration{-1, 0, 100 * time.Millisecond} {
					play(t, nil, func(t *testing.T, srv *server) {
						for range 5 {
							p := srv.dial(t)
							for i, step := range steps[:n+1] {
								if i == 1 && n > 1 || i == 3 && n > 3 {
									continue // what ends the login comes only last
								}
								p.write(step)
								if wait >= 0 {
									p.wait()
								}
							}
						}
						if wait >= 0 {
							time.Sleep(wait)
						}
						start := time.Now()
						if err := stop(srv); err != nil {
							t.Errorf("behind %d steps: %v", n, err)
						}
						if took := time.Since(start); took > 5*time.Second {
							t.Errorf("behind %d steps it took %v", n, took)
						}
						if len(srv.Streams()) != 0 {
							t.Errorf("streams live: %v", srv.Streams())
						}
					})
				}
			}
		})
	}
	t.Run("between the start of a login and its first step", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			g := gate{open: make(chan struct{})}
			p := srv.dialOver(t, g)
			p.write(header)
			p.wantQuiet()
			start := time.Now()
			down := shutdown(srv)
			synctest.Wait() // the shutdown has told all logins
			close(g.open)
			if err := <-down; err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("TLS that hangs", func(t *testing.T) {
		for _, slow := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				forServer, _ := certified(t)
				srv := newServer(t, &ccsserver.Options{TLS: forServer})
				srv.dial(t).write("\x16\x03\x01")
				if slow {
					synctest.Wait()
				}
				start := time.Now()
				srv.Close()
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
			})
		}
	})
	t.Run("a server that was never started, and one that is stopped twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, err := ccsserver.New(&onward{}, everybody, &ccsserver.Options{ClearText: true})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := srv.Serve(newListener()); !errors.Is(err, ccsserver.ErrClosed) {
				t.Errorf("Serve says %v", err)
			}
			if err := srv.Offer(sender, fromDevice("u"), ccsserver.OfferOptions{}); !errors.Is(err, ccsserver.ErrClosed) {
				t.Errorf("Offer says %v", err)
			}
		})
	})
	t.Run("accounts that take their time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := newServerWith(t, nil, accounts(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth("", sender, key))
			p.wantQuiet()
			start := time.Now()
			srv.Close()
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
}

func TestCutResetsStreams(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		a, b := srv.bind(t), srv.bind(t)
		if ids := srv.Cut([]string{a.id}); !slices.Equal(ids, []string{a.id}) {
			t.Errorf("cut %v", ids)
		}
		a.wantCut()
		b.write(downstream("m-1"))
		b.want(acked("m-1"))
		if ids := srv.Cut(nil); !slices.Equal(ids, []string{b.id}) {
			t.Errorf("cut %v", ids)
		}
		b.wantCut()
	})
}

func TestALaterDrainBringsTheEndNearer(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		settle()
		srv.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: time.Hour, Limit: time.Hour}})
		p.want(control)
		time.Sleep(40 * time.Second) // beyond what any drain would take by itself
		p.write(pingIQ)
		p.want(p.pong())
		srv.Drain(ccsserver.DrainOptions{}) // as a shutdown does; announced it is already
		time.Sleep(time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.wantClosed(end)
	})
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		settle()
		srv.Drain(ccsserver.DrainOptions{})
		p.want(control)
		srv.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: time.Hour, Limit: time.Hour}})
		time.Sleep(time.Second) // never farther
		p.wantClosed(end)
	})
}
