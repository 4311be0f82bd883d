package fcmsim_test

import (
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
			for _, id := range []ccs.MessageID{"m-1", "m-2"} {
				a.send(down(token, id))
			}
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
