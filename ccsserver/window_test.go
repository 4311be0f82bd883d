package ccsserver_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS47_R_A24_TheWindowIsABrakeAndNothingElse(t *testing.T) {
	t.Run("S47 a hundred are unanswered, and no more is read", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			for i := range 99 {
				p.write(downstream(fmt.Sprint("m-", i)))
			}
			p.write(pingIQ)
			p.want(p.pong())
			p.write(downstream("m-99"), pingIQ) // the hundredth, and then it still reads
			p.want(p.pong())
			p.write(downstream("m-100"), pingIQ)
			srv.wantHandedOn(t, 100)
			p.wantQuiet()
			time.Sleep(5 * time.Second)
			p.wantBeats()
			srv.wantHandedOn(t, 100)

			srv.take(t).Answer(nil, nil)
			p.want(acked("m-0"), p.pong())
			srv.wantHandedOn(t, 101)
		})
	})
	t.Run("S47 the bound is a setting, and a nack frees as an ack does", func(t *testing.T) {
		play(t, &ccsserver.Options{Window: 2}, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			var first *ccsserver.Request
			for _, p := range []*peer{second, p} { // each has its own window
				p.write(downstream("a"+p.id), downstream("b"+p.id), downstream("c"+p.id))
				first = srv.take(t)
				srv.take(t)
			}
			srv.wantHandedOn(t, 4)
			first.Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
			srv.wantHandedOn(t, 5)
			p.next()
			second.wantQuiet()
		})
	})
	t.Run("S47 acks of the app server pass below the window, and receipts free nothing", func(t *testing.T) {
		play(t, &ccsserver.Options{Window: 2}, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			p.want(upstream("u-1"))
			p.write(downstream("m-1"), downstream("m-2"), ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 1)
			p.write(downstream("m-3"))
			srv.offer(t, receiptOf("m-0"))
			p.want(receipt("m-0"))
			srv.wantHandedOn(t, 2)
		})
	})
	t.Run("S47 a peer that ignores it is slowed by its own connection, and not closed", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.handle(func(r *ccsserver.Request) {
				time.AfterFunc(10*time.Second, func() { r.Answer(nil, nil) })
			})
			p := srv.bind(t)
			big := strings.Repeat("x", 4000)
			var written atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range 500 {
					p.try(stanza(fmt.Sprintf(`{"to":"%s","message_id":"m-%d","data":{"k":"%s"}}`, token, i, big)))
					written.Add(1)
				}
			}()
			synctest.Wait()
			if n := written.Load(); n > int64(100+2*(64<<10)/len(big)) {
				t.Errorf("%d messages were taken off the peer's hands", n)
			}
			<-done
			time.Sleep(11 * time.Second)
			all := map[string]bool{}
			for i := range 500 {
				all[acked(fmt.Sprint("m-", i))] = true
			}
			p.dropBeats()
			p.wantInAnyOrder(all)
			if len(srv.closed()) != 0 {
				t.Error("the stream was closed")
			}
		})
	})
	for name, ahead := range map[string]int{
		"S47 a ping behind a full window is answered within 15 s of an outage":       101,
		"S47 a ping behind a thousand messages is answered within 15 s of an outage": 1000,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				srv.hold()
				p := srv.bind(t)
				go func() {
					for i := range ahead {
						p.try(downstream(fmt.Sprint("m-", i)))
					}
					p.try(pingIQ)
				}()
				time.Sleep(15 * time.Second)
				got := p.came()
				if !strings.HasSuffix(got, p.pong()) {
					t.Fatalf("no pong after 15 s, but %s", shown(got, nil))
				}
				if n := strings.Count(got, `"error":"SERVICE_UNAVAILABLE"`); n != ahead {
					t.Errorf("%d nacks, want %d", n, ahead)
				}
				p.skip()
				if len(srv.closed()) != 0 {
					t.Error("the stream was closed")
				}

				// What is handed on in an outage is bounded, too.
				srv.wantHandedOn(t, min(ahead, 100))
				for i := range 10 {
					time.Sleep(12 * time.Second)
					p.skip()
					for j := range 100 {
						p.write(downstream(fmt.Sprint("n-", i, "-", j)))
					}
				}
				if n := srv.handedOn(); n > 200 {
					t.Errorf("%d messages are in work on one stream", n)
				}

				// And when the outage is over, so is its consequence.
				for range srv.handedOn() {
					srv.take(t).Answer(nil, nil)
				}
				time.Sleep(12 * time.Second)
				p.skip()
				srv.handle(nil)
				p.write(downstream("m-0"), downstream("x-1"))
				p.want(acked("m-0"), acked("x-1"))
			})
		})
	}
	t.Run("S47 in an outage acked ids are acked and reused ones refused, as always", func(t *testing.T) {
		play(t, &ccsserver.Options{Window: 2}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(downstream("a"))
			p.want(acked("a"))
			srv.hold()
			p.write(downstream("b"), downstream("c"))
			time.Sleep(12 * time.Second)
			p.want(nacked("b", "SERVICE_UNAVAILABLE", textTimeout), nacked("c", "SERVICE_UNAVAILABLE", textTimeout))
			p.write(downstream("a"), stanza(`{"to":"`+token+`","message_id":"b"}`), downstream("b"), downstream("d"))
			p.want(acked("a"), nacked("b", "INVALID_JSON", textReused), nacked("b", "SERVICE_UNAVAILABLE", textTimeout),
				nacked("d", "SERVICE_UNAVAILABLE", textBusy))
			srv.wantHandedOn(t, 3)
			other := srv.bind(t) // another stream has a window of its own
			other.write(downstream("d"))
			srv.wantHandedOn(t, 4)
		})
	})
}

func TestS48_AThousandAtOnceAreAllAnswered(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		srv.handle(func(r *ccsserver.Request) {
			// Answers come out of order, each after some 50 ms.
			d := 50*time.Millisecond + time.Duration(len(r.Message.MessageID)*7919%13)*time.Millisecond
			time.AfterFunc(d, func() { r.Answer(nil, nil) })
		})
		p := srv.bind(t)
		want := map[string]bool{}
		var all strings.Builder
		for i := range 1000 {
			id := fmt.Sprint("m-", i)
			all.WriteString(downstream(id))
			want[acked(id)] = true
		}
		go p.try(all.String())
		time.Sleep(2 * time.Second)
		p.wantInAnyOrder(want)
		p.wantQuiet()
		srv.wantHandedOn(t, 1000)
	})
}

func TestAPeerThatGoesIsMissedThoughNobodyReads(t *testing.T) {
	play(t, &ccsserver.Options{AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
		srv.hold()
		p := srv.bind(t)
		for i := range 150 {
			p.write(downstream(fmt.Sprint("m-", i)))
		}
		settle()
		p.conn.Close()
		time.Sleep(10*time.Second + 1)
		if len(srv.closed()) != 1 {
			t.Error("the stream of a peer that has gone is still there after two spaces")
		}
	})
}

// A sender's own time for an answer counts for its messages and no others, from
// the first message behind a change.
func TestEachSenderHasItsOwnTimeForAnAnswer(t *testing.T) {
	var own atomic.Int64 // of sender
	own.Store(int64(3 * time.Second))
	timeOf := func(who ccs.SenderID) time.Duration {
		switch who {
		case sender:
			return time.Duration(own.Load())
		case rival:
			return 0 // the general one
		}
		return -1
	}
	late := func(id string) string { return nacked(id, ccs.CodeServiceUnavailable, textTimeout) }
	play(t, &ccsserver.Options{AnswerTimeout: 5 * time.Second, AnswerTimeoutOf: timeOf}, func(t *testing.T, srv *server) {
		srv.hold()
		p, other := srv.bind(t), srv.bindAs(t, rival)
		p.write(downstream("a"))
		other.write(downstream("a"))
		pass(3*time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("a"))
		other.wantQuiet()
		pass(2*time.Second - 1)
		other.wantQuiet()
		pass(1)
		other.want(late("a"))

		// Later the time is shorter, and then longer: nobody waits for one who came
		// before, and none is told before its time.
		p.write(downstream("b"), downstream("c"))
		synctest.Wait()
		own.Store(int64(time.Second))
		p.write(downstream("d"), downstream("e"))
		synctest.Wait()
		own.Store(int64(2 * time.Second))
		p.write(downstream("f"))
		pass(time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("d"), late("e"))
		pass(time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("f"))
		pass(time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("b"), late("c"))
		p.write(downstream("g"))
		pass(2*time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("g"))
	})
	// One that has its answer leaves the others in their order.
	play(t, &ccsserver.Options{AnswerTimeoutOf: timeOf}, func(t *testing.T, srv *server) {
		srv.hold()
		p := srv.bind(t)
		for i, seconds := range []int{6, 2, 4, 2, 5} {
			own.Store(int64(time.Duration(seconds) * time.Second))
			p.write(downstream(fmt.Sprint("m-", i)))
			synctest.Wait()
		}
		for range 2 { // m-0, m-1
			srv.take(t).Answer(nil, nil)
		}
		p.want(acked("m-0"), acked("m-1"))
		srv.take(t)
		srv.take(t)
		srv.take(t).Answer(nil, nil)
		p.want(acked("m-4"))
		pass(2 * time.Second)
		p.want(late("m-3"))
		pass(2*time.Second - 1)
		p.wantQuiet()
		pass(1)
		p.want(late("m-2"))
		pass(time.Minute)
		p.want()
	})
}
