package fcmsim_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/fcmsim"
)

func TestFaults(t *testing.T) {
	t.Run("a delay holds back the answer, not the message", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Delay: time.Minute, Next: 1})
			b.fault(fcmsim.Fault{Delay: 30 * time.Second, Next: 1})
			for _, id := range []ccs.MessageID{"slow", "slower", "quick"} {
				a.send(down(token, id))
			}
			a.want(ack(down(token, "quick")))
			b.wantIDs(token, "slow", "slower", "quick")
			a.wantQuiet(30*time.Second - 1)
			a.want(ack(down(token, "slower")))
			a.want(ack(down(token, "slow")))
			for i, want := range []time.Duration{time.Minute, 30 * time.Second, 0} {
				if r := b.Record()[i]; r.AnsweredAt.Sub(r.Time) != want {
					t.Errorf("%s was answered after %v, want %v", r.MessageID, r.AnsweredAt.Sub(r.Time), want)
				}
			}
		})
	})
	t.Run("silence is never answered, and opens the id with the stream's end", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Silence: true, Next: 1})
			a.send(down(token, "m-1"))
			a.wantQuiet(13 * time.Second) // longer than any answer of a real server takes
			b.wantIDs(token)
			if r := b.Record()[0]; r.Answer != "" {
				t.Fatalf("the record says %q", r.Answer)
			}
			a.conn.Close()
			synctest.Wait()
			b.login().sendAcked(down(token, "m-1"))
			b.wantIDs(token, "m-1")
		})
	})
	t.Run("silence after delivery: the copy is acked and not delivered again", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Silence: true, Deliver: true, Next: 1})
			a.send(down(token, "m-1"))
			a.wantQuiet(time.Minute)
			b.wantIDs(token, "m-1")
			a.conn.Close()
			synctest.Wait()
			b.login().sendAcked(down(token, "m-1"))
			b.wantIDs(token, "m-1")
			if r := b.Record(); r[0].Answer != "" || r[1].Answer != "ack" || r[0].StreamEnded.IsZero() || r[0].StreamEnded.After(r[1].Time) {
				t.Errorf("the record says %+v", r)
			}
		})
	})
	t.Run("a cut handles nothing that comes behind it", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Cut: true, Next: 1})
			a.send(down(token, "m-1"), down(token, "m-2")) // the second must not find the stream cut
			a.wantEnd()
			b.wantIDs(token)
			again := b.login()
			for _, id := range []ccs.MessageID{"m-1", "m-2"} {
				again.sendAcked(down(token, id))
			}
			b.wantIDs(token, "m-1", "m-2")
		})
	})
	t.Run("a cut after delivery", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Cut: true, Deliver: true, Next: 1, Delay: time.Second})
			a.send(down(token, "m-1"))
			a.sendAcked(down(token, "m-2"))
			a.wantQuiet(time.Second - 1)
			a.wantEnd()
			b.login().sendAcked(down(token, "m-1"))
			b.wantIDs(token, "m-1", "m-2")
		})
	})
	t.Run("a slow reading, of one stream, for a while", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, other, token := b.login(), b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Slow: 100, SlowFor: time.Minute, Next: 1})
			a.sendAcked(down(token, "m-1")) // read at once: it is slow from then on
			sendTimed := func(a *app, id ccs.MessageID, least, most time.Duration) {
				t.Helper()
				start := time.Now()
				a.sendAcked(down(token, id))
				if took := time.Since(start); took < least || took > most {
					t.Errorf("%s was answered after %v, want %v to %v", id, took, least, most)
				}
			}
			// A stanza has some 250 bytes, most of them the token.
			sendTimed(a, "m-2", 2*time.Second, 5*time.Second)
			sendTimed(other, "o-1", 0, 0)
			time.Sleep(time.Minute)
			sendTimed(a, "m-3", 0, 200*time.Millisecond) // the read that was under way is the last slow one
			sendTimed(a, "m-4", 0, 0)

			b.fault(fcmsim.Fault{Slow: 100, Nack: "X", Next: 1})
			a.send(down(token, "m-5"))
			a.wantNack("m-5", "X")
			sendTimed(a, "m-6", 2*time.Second, 5*time.Second)
			time.Sleep(10 * time.Second) // the default
			sendTimed(a, "m-7", 0, 200*time.Millisecond)
			b.fault(fcmsim.Fault{Slow: 100, SlowFor: time.Hour})
			sendTimed(a, "m-8", 0, 0)
			b.ClearFaults()
			sendTimed(a, "m-9", 0, 200*time.Millisecond)
		})
	})
	for _, deliver := range []bool{false, true} {
		t.Run(fmt.Sprintf("wrong bytes in place of an answer, delivered: %t", deliver), func(t *testing.T) {
			inBubble(t, fcmsim.Options{}, func(b *bench) {
				a, other, token := b.login(), b.login(), b.Tokens()[0]
				b.fault(fcmsim.Fault{WrongBytes: true, Deliver: deliver, Next: 1})
				a.send(down(token, "m-1"))
				m, err := a.next(time.Minute)
				bad, ok := errors.AsType[*ccs.StreamError](err)
				if !ok || bad.Condition != ccs.ConditionNotWellFormed {
					t.Fatalf("got %#v, %v, want bytes that are no XML", m, err)
				}
				other.sendAcked(down(token, "o-1"))
				if deliver {
					b.wantIDs(token, "m-1", "o-1")
				} else {
					b.wantIDs(token, "o-1")
				}
				if r := b.Record()[0]; r.Answer != "" {
					t.Errorf("the record says %q", r.Answer)
				}
				a.conn.Close()
				synctest.Wait()
				b.login().sendAcked(down(token, "m-1"))
				if deliver {
					b.wantIDs(token, "m-1", "o-1")
				} else {
					b.wantIDs(token, "o-1", "m-1")
				}
			})
		})
	}
	t.Run("only for one token, and the first that matches", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.fault(fcmsim.Fault{Token: token, Nack: ccs.CodeServiceUnavailable})
			b.fault(fcmsim.Fault{Nack: ccs.CodeInternalServerError, Next: 1})
			b.fault(fcmsim.Fault{Token: "/topics/x", Nack: ccs.CodeTopicsMessageRateExceeded})
			for _, c := range []struct {
				to   ccs.RegistrationToken
				code ccs.Code
			}{
				{token, ccs.CodeServiceUnavailable},
				{b.Tokens()[1], ccs.CodeInternalServerError},
				{token, ccs.CodeServiceUnavailable},
				{"/topics/x", ccs.CodeTopicsMessageRateExceeded},
			} {
				a.send(down(c.to, "m-1"))
				a.wantNack("m-1", c.code)
			}
			a.sendAcked(down(b.Tokens()[1], "m-2"))
			var applied []int
			for _, f := range b.Faults() {
				applied = append(applied, f.Applied)
			}
			if !reflect.DeepEqual(applied, []int{2, 1, 1}) {
				t.Errorf("applied %v", applied)
			}
			b.ClearFaults()
			a.sendAcked(down(token, "m-3"))
		})
	})
	t.Run("a share by chance, the same with the same seed", func(t *testing.T) {
		pattern := func(f fcmsim.Fault) (s string) {
			inBubble(t, fcmsim.Options{}, func(b *bench) {
				a := b.login()
				b.fault(f)
				for range 400 {
					m := down(b.Tokens()[0], ccs.NewMessageID())
					a.send(m)
					if _, ok := a.read().(*ccs.Nack); ok {
						s += "n"
					} else {
						s += "a"
					}
				}
			})
			return s
		}
		count := func(s string) (n int) {
			for _, c := range s {
				if c == 'n' {
					n++
				}
			}
			return n
		}
		share := pattern(fcmsim.Fault{Nack: "X", Share: 0.25, Seed: 7})
		if n := count(share); n < 70 || n > 130 {
			t.Errorf("%d of 400 nacked, want about 100", n)
		}
		if again := pattern(fcmsim.Fault{Nack: "X", Share: 0.25, Seed: 7}); again != share {
			t.Error("the same seed gave another pattern")
		}
		if other := pattern(fcmsim.Fault{Nack: "X", Share: 0.25, Seed: 8}); other == share {
			t.Error("another seed gave the same pattern")
		}
		if n := count(pattern(fcmsim.Fault{Nack: "X", NackShare: 0.25})); n < 70 || n > 130 {
			t.Errorf("%d of 400 nacked, want about 100", n)
		}
		if n := count(pattern(fcmsim.Fault{Nack: "X", Share: 1, NackShare: 1})); n != 400 {
			t.Errorf("%d of 400 nacked", n)
		}
	})
	t.Run("a share of 1 without nack is all", func(t *testing.T) {
		inBubble(t, fcmsim.Options{Server: &ccsserver.Options{Window: 1000}}, func(b *bench) {
			a := b.login()
			b.fault(fcmsim.Fault{Delay: time.Second, Share: 1})
			for range 100 {
				a.send(down(b.Tokens()[0], ccs.NewMessageID()))
			}
			a.wantQuiet(time.Second - 1)
		})
	})
	t.Run("those that make no sense are refused", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			for _, f := range []fcmsim.Fault{
				{}, {Token: "x"}, {Cut: true, Next: -1}, {Cut: true, Share: -0.1}, {Cut: true, Share: 1.1},
				{Cut: true, NackShare: 0.5}, {Delay: -1}, {Delay: 2 * time.Hour}, {Nack: "no good"},
				{Nack: "A", Cut: true}, {Nack: "A", Silence: true}, {Cut: true, Silence: true},
				{Silence: true, Delay: 1}, {Deliver: true}, {Deliver: true, Nack: "A"},
				{Slow: -1}, {Slow: 9}, {Slow: 1_000_001}, {SlowFor: 1}, {Slow: 10, SlowFor: -1}, {Slow: 10, SlowFor: 2 * time.Hour},
				{WrongBytes: true, Delay: 1}, {WrongBytes: true, Nack: "A"}, {WrongBytes: true, Cut: true}, {WrongBytes: true, Silence: true},
			} {
				if err := b.SetFault(f); err == nil {
					t.Errorf("%+v was taken", f)
				}
			}
			for range 1000 {
				b.fault(fcmsim.Fault{Cut: true, Token: "nobody"})
			}
			if err := b.SetFault(fcmsim.Fault{Cut: true}); err == nil {
				t.Error("the 1,001st was taken")
			}
		})
	})
}

// TestWindowKeepsPace shows that held-back answers fill the window, and free it.
func TestWindowKeepsPace(t *testing.T) {
	inBubble(t, fcmsim.Options{AnswerDelay: time.Second}, func(b *bench) {
		a := b.login()
		for range 250 {
			a.send(down(b.Tokens()[0], ccs.NewMessageID()))
		}
		start := time.Now()
		for i := range 250 {
			if _, ok := a.read().(*ccs.Ack); !ok {
				t.Fatal("no ack")
			}
			if took, least := time.Since(start), time.Duration(1+i/100)*time.Second; took != least {
				t.Fatalf("answer %d came after %v, want %v", i, took, least)
			}
		}
	})
}
