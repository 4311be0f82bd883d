package ccsclient_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestC21_TheWindowStopsAtAHundred(t *testing.T) {
	t.Run("by default", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			p.sendMany(1, 250)
			st.want(ids(1, 100)...)
			st.wantQuiet()
			if s := p.State(); s.InFlight != 100 || s.Waiting != 150 || s.Streams[0].InFlight != 100 {
				t.Errorf("%v, want 100 in flight and 150 waiting", s)
			}
			time.Sleep(10 * time.Minute) // the server never answers, but lives
			st.wantQuiet()
		})
	})
	t.Run("a smaller one", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 3 })
			p.sendMany(1, 10)
			st.want(ids(1, 3)...)
			st.wantQuiet()
		})
	})
	t.Run("one for each stream", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, one := srv.bound(func(o *ccsclient.Options) { o.Streams, o.Window = 2, 5 })
			two := srv.bind()
			p.sendMany(1, 20)
			for range 5 {
				one.payload()
				two.payload()
			}
			one.wantQuiet()
			two.wantQuiet()
		})
	})
	t.Run("for a session too", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			s, st, _ := srv.session(nil)
			for i := 1; i <= 120; i++ {
				sendBy(t.Context(), t, s, msg(nth(i)))
				synctest.Wait()
			}
			st.want(ids(1, 100)...)
			st.wantQuiet()
			for i := 1; i <= 20; i++ {
				st.ack(string(nth(i)))
				st.payload()
				st.wantQuiet()
			}
			s.Close()
		})
	})
}

func TestC22_AcksLeaveAlthoughTheWindowIsFull(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }
			o.Receipts = func(context.Context, *ccs.Receipt) error { return nil }
		})
		p.sendMany(1, 150)
		st.want(ids(1, 100)...)
		st.wantQuiet()
		for i := range 120 {
			id := string(nth(i))
			st.upstream("device", id)
			st.wantAck("device", id)
		}
		st.receipt("m-1")
		st.wantAck("gcm.googleapis.com", "dr2:m-1")
		st.wantQuiet()
	})
}

func TestC23_OnlyAnAnswerToAKnownIDFreesASlot(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Window = 4
			o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }
		})
		all := p.sendMany(1, 20)
		st.want(ids(1, 4)...)

		st.ack("m-2")
		all[1].wantAcked()
		st.want("m-5")
		st.wantQuiet()
		st.nack("m-1", ccs.CodeDeviceUnregistered, "x")
		all[0].wantNack(ccs.CodeDeviceUnregistered)
		st.want("m-6")
		st.wantQuiet()

		for name, write := range map[string]func(){
			"a receipt":                func() { st.receipt("m-3") },
			"an upstream message":      func() { st.upstream("device", "m-3"); st.wantAck("device", "m-3") },
			"an ack of an unknown id":  func() { st.ack("m-99") },
			"a nack of an unknown id":  func() { st.nack("m-99", ccs.CodeBadRegistration, "x") },
			"an answer that came once": func() { st.ack("m-2"); st.nack("m-1", ccs.CodeDeviceUnregistered, "x") },
			"an answer not yet due":    func() { st.ack("m-7") },
			"a message of some type":   func() { st.say(`{"message_type":"news","message_id":"m-3"}`) },
			"what is no JSON":          func() { st.say(`m-3`) },
		} {
			write()
			st.wantQuiet()
			if s := p.State(); s.InFlight != 4 {
				t.Errorf("%s left %d in flight, want 4", name, s.InFlight)
			}
		}
		// A control frees none either: nothing more goes to that stream.
		st.control()
		st.wantQuiet()
		if s := p.State(); s.InFlight != 4 || s.Waiting != 14 {
			t.Errorf("%v after a control", s)
		}
	})
}

func TestC24_AnswersAreMatchedByIDInAnyOrder(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		all := p.sendMany(0, 99)
		st.want(ids(0, 99)...)
		for n, i := range rand.New(rand.NewPCG(1, 2)).Perm(100) {
			id := string(nth(i))
			all[i].wantOpen()
			if n%3 == 0 {
				st.nack(id, ccs.Code("CODE_"+id), "text of "+id)
				nack := all[i].wantNack(ccs.Code("CODE_" + id))
				if nack.Description != "text of "+id {
					t.Errorf("%s got the text %q", id, nack.Description)
				}
				continue
			}
			st.say(`{"message_id":"` + id + `","registration_id":"new-` + id + `","from":"` + token + `","message_type":"ack"}`)
			if a := all[i].wantAcked(); a.RegistrationID != ccs.RegistrationToken("new-"+id) {
				t.Errorf("%s got the answer of %s", id, a.RegistrationID)
			}
		}
		if s := p.State(); s.InFlight+s.Waiting != 0 {
			t.Errorf("%v, want nothing left", s)
		}
	})
}

func TestAFullWindowDoesNotOutliveItsStream(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 5 })
		for range 5 { // acks that are lost with their stream take no slot of the next one
			st.want(idsOf(p.sendMany(1, 5))...)
			st.cut()
			st = srv.bind()
			st.want(ids(1, 5)...)
			st.wantQuiet()
			st.ack(ids(1, 5)...)
		}
	})
}

func idsOf(all []*sent) (list []string) {
	for _, r := range all {
		list = append(list, string(r.id))
	}
	return list
}
