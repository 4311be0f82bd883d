package ccsserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS50_UpstreamAndReceiptsAreAddressedAsGoogleDid(t *testing.T) {
	for user, to := range map[string]string{
		sender:                         sender + "@gcm.googleapis.com",
		sender + "@fcm.googleapis.com": sender + "@fcm.googleapis.com",
	} {
		t.Run(user, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bindAs(t, user)
				srv.offer(t, fromDevice("u-1"))
				p.want(`<message to="`, to, `" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">`,
					`{"data":{"k":"v"},"from":"`, token, `","message_id":"u-1","category":"com.example.app"}</gcm></message>`)
				srv.offer(t, receiptOf("39"))
				p.want(`<message to="`, to, `" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">`,
					`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"`, token,
					`","message_sent_timestamp":"1498801519251"},"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}</gcm></message>`)
			})
		})
	}
}

func TestS51_DataIsStringsAndNothingIsNull(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		srv.offer(t, &ccs.Upstream{From: token, MessageID: "u-1", Category: "c", TTL: duration(24 * time.Hour),
			Data: map[string]string{"n": "100", "b": "true", "e": "", "x": `<a & "b">`}})
		p.want(toApp(`{"data":{"b":"true","e":"","n":"100","x":"\u003ca \u0026 \"b\"\u003e"},"time_to_live":86400,"from":"` + token + `","message_id":"u-1","category":"c"}`))
		srv.offer(t, &ccs.Upstream{From: token, MessageID: "u-2"}) // what is absent is left out
		p.want(toApp(`{"data":{},"from":"` + token + `","message_id":"u-2"}`))
	})
}

func TestS52_OneLiveStreamAtATime(t *testing.T) {
	t.Run("each message goes to one stream, in turn", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			a, b, stranger := srv.bind(t), srv.bind(t), srv.bindAs(t, rival)
			offers := map[string]*offer{}
			for i := range 6 {
				id := fmt.Sprint("u-", i)
				offers[id] = srv.offer(t, fromDevice(id))
			}
			time.Sleep(59 * time.Second)
			if all := a.came() + b.came(); strings.Count(all, "<message ") != 6 || strings.Count(a.came(), "<message ") != 3 {
				t.Errorf("a: %s\nb: %s", a.came(), b.came())
			}
			stranger.wantQuiet()
			for id, o := range offers {
				o.want(t, 0, 1)
				p, at := a, a.id
				if strings.Contains(b.came(), `"`+id+`"`) {
					p, at = b, b.id
				}
				if o.streams[0] != at {
					t.Errorf("%s was offered to %s, want %s", id, o.streams[0], at)
				}
				p.write(ack(token, id))
				o.want(t, ccsserver.Acked, 1)
			}
		})
	})
	t.Run("none goes to a stream that drains, is not bound, or is another sender's", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			draining := srv.bind(t)
			time.Sleep(time.Second)
			draining.write(downstream("m-1"))
			draining.want(acked("m-1"))
			srv.hold()
			draining.write(downstream("m-2")) // keeps it
			srv.Drain(ccsserver.DrainOptions{})
			draining.want(control)
			unbound := srv.dial(t)
			unbound.login(sender)
			stranger := srv.bindAs(t, rival)
			o := srv.offer(t, fromDevice("u-1"))
			time.Sleep(5 * time.Second)
			for _, p := range []*peer{draining, unbound, stranger} {
				p.wantQuiet()
			}
			o.want(t, 0, 0)
			p := srv.bind(t)
			p.want(upstream("u-1"))
			p.write(ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 1)
		})
	})
}

func TestS53_R_A26_SettledByItsOwnStreamAlone(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		a, b, stranger := srv.bind(t), srv.bind(t), srv.bindAs(t, rival)
		o := srv.offer(t, fromDevice("u-1"))
		a.want(upstream("u-1"))
		other := srv.offer(t, fromDevice("u-2"))
		b.want(upstream("u-2"))

		for _, foreign := range []struct {
			p    *peer
			what string
		}{
			{b, ack(token, "u-1")},        // another stream of the sender
			{stranger, ack(token, "u-1")}, // another sender
			{a, ack("bbbb", "u-1")},       // another device's
			{a, ack(token, "u-2")},        // another message
			{a, ack(token, "u-3")},        // none at all
			{a, ack("gcm.googleapis.com", "u-1")},
			{a, ack("gcm.googleapis.com", "dr2:u-1")},
		} {
			foreign.p.write(foreign.what)
			foreign.p.wantQuiet()
		}
		o.want(t, 0, 1)
		other.want(t, 0, 1)
		if n := srv.unknownAcks(); n != 7 {
			t.Errorf("%d unknown acks were counted, want 7", n)
		}
		a.write(ack(token, "u-1"))
		o.want(t, ccsserver.Acked, 1)
		b.write(ack(token, "u-2"))
		other.want(t, ccsserver.Acked, 1)
	})
	t.Run("and not by the ack of an earlier stream", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			a := srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			a.want(upstream("u-1"))
			srv.Cut([]string{a.id})
			b := srv.bind(t)
			b.want(upstream("u-1"))
			c := srv.bind(t)
			c.write(ack(token, "u-1"))
			o.want(t, 0, 2)
			b.write(ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 2)
		})
	})
}

func TestS54_AGoodAckGetsNoAnswer(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		o, r := srv.offer(t, fromDevice("u-1")), srv.offer(t, receiptOf("39"))
		p.want(upstream("u-1"), receipt("39"))
		p.write(ack(token, "u-1"), ack("gcm.googleapis.com", "dr2:39"))
		o.want(t, ccsserver.Acked, 1)
		r.want(t, ccsserver.Acked, 1)
		time.Sleep(59 * time.Second)
		p.wantQuiet()
	})
}

func TestS55_R_A26_AcksForNothingAreCountedAndIgnored(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		o := srv.offer(t, fromDevice("u-1"))
		p.want(upstream("u-1"))
		p.write(ack(token, "u-1"), ack(token, "u-1"), ack(token, "nothing"), ack(token, "dr2:nothing"))
		o.want(t, ccsserver.Acked, 1)
		for range 200 { // no patience is lost, either
			p.write(ack("nobody", "nothing"))
		}
		p.wantQuiet()
		if n := srv.unknownAcks(); n != 203 {
			t.Errorf("%d were counted, want 203", n)
		}
		p.write(downstream("m-1"))
		p.want(acked("m-1"))
	})
	for name, tt := range map[string]struct{ json, from, id, field string }{
		"no message_id":       {`{"to":"T","message_type":"ack"}`, "T", "unknown", "message_id"},
		"no to":               {`{"message_id":"u-1","message_type":"ack"}`, "unknown", "u-1", "to"},
		"neither":             {`{"message_type":"ack"}`, "unknown", "unknown", "message_id"},
		"an empty message_id": {`{"to":"T","message_id":"","message_type":"ack"}`, "T", "unknown", "message_id"},
	} {
		t.Run("an ack with "+name+" is a BAD_ACK and no reason to part", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza(tt.json))
				p.want(answer(`{"message_type":"nack","from":"` + tt.from + `","message_id":"` + tt.id +
					`","error":"BAD_ACK","error_description":"InvalidJson: JSON_PARSING_ERROR : Missing Required Field: ` + tt.field + `"}`))
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
			})
		})
	}
}

func TestS56_UnackedUpstreamGoesToTheNextStream(t *testing.T) {
	for name, gone := range map[string]func(t *testing.T, srv *server, p *peer){
		"a cut":           func(_ *testing.T, _ *server, p *peer) { p.cut() },
		"a close":         func(_ *testing.T, _ *server, p *peer) { p.hangUp() },
		"its closing tag": func(_ *testing.T, _ *server, p *peer) { p.write(end) },
		"its fault":       func(_ *testing.T, _ *server, p *peer) { p.write("<"); p.write("<") },
		"our cut":         func(_ *testing.T, srv *server, p *peer) { srv.Cut([]string{p.id}) },
		"a drain's end": func(_ *testing.T, srv *server, p *peer) {
			srv.Drain(ccsserver.DrainOptions{})
			time.Sleep(31 * time.Second)
		},
		"silence to a ping":  func(_ *testing.T, _ *server, _ *peer) { time.Sleep(90 * time.Second) },
		"a stuck connection": func(t *testing.T, srv *server, p *peer) { stick(t, srv, p) },
	} {
		t.Run("gone by "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				first := srv.bind(t)
				o := srv.offer(t, fromDevice("u-1"))
				first.want(upstream("u-1"))
				o.want(t, 0, 1)
				gone(t, srv, first)
				second := srv.bind(t)
				second.want(upstream("u-1"))
				o.want(t, 0, 2)
				second.write(ack(token, "u-1"))
				o.want(t, ccsserver.Acked, 2)
				second.cut()
				third := srv.bind(t)
				third.wantQuiet()
			})
		})
	}
	t.Run("at once to another stream that lives, although the peer takes its time to close", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			first, second := srv.bind(t), srv.bind(t)
			o := srv.offer(t, fromDevice("u-1"))
			first.want(upstream("u-1"))
			first.write(end)
			first.want(end)
			second.want(upstream("u-1"))
			o.want(t, 0, 2)
		})
	})
	t.Run("in the order in which they came, and before newer ones", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			first := srv.bind(t)
			var want []string
			for i := range 30 {
				srv.offer(t, fromDevice(fmt.Sprint("u-", i)))
				want = append(want, upstream(fmt.Sprint("u-", i)))
			}
			first.want(want...)
			for _, i := range []int{3, 7, 29} {
				first.write(ack(token, fmt.Sprint("u-", i)))
				want[i] = ""
			}
			first.wait()
			first.cut()
			first.wait()
			for i := range 3 {
				srv.offer(t, fromDevice(fmt.Sprint("new-", i)))
				want = append(want, upstream(fmt.Sprint("new-", i)))
			}
			second := srv.bind(t)
			second.want(want...)
			second.cut()
			third := srv.bind(t)
			third.want(want...)
			third.wantQuiet()
		})
	})
	t.Run("they wait while nobody is there", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			o := srv.offer(t, fromDevice("u-1"))
			time.Sleep(24*time.Hour - time.Second)
			o.want(t, 0, 0)
			p := srv.bind(t)
			p.want(upstream("u-1"))
			p.write(ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 1)
		})
	})
	ttl := func(id string, d time.Duration) *ccs.Upstream {
		m := fromDevice(id)
		m.TTL = &d
		return m
	}
	t.Run("until their time to live is over, a day if they name none", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			day, hour := srv.offer(t, fromDevice("day")), srv.offer(t, ttl("hour", time.Hour))
			month := srv.offer(t, ttl("month", 100*24*time.Hour))
			time.Sleep(time.Hour - 1)
			hour.want(t, 0, 0)
			pass(1)
			hour.want(t, ccsserver.Expired, 0)
			time.Sleep(23*time.Hour - 1)
			day.want(t, 0, 0)
			pass(1)
			day.want(t, ccsserver.Expired, 0)
			time.Sleep(27*24*time.Hour - 1)
			month.want(t, 0, 0)
			pass(1)
			month.want(t, ccsserver.Expired, 0) // four weeks are the most
			p := srv.bind(t)
			p.wantQuiet()
		})
	})
	t.Run("one that is out when its time is over may still be acked, and is not offered again", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			late, lost := srv.offer(t, ttl("late", time.Minute)), srv.offer(t, ttl("lost", time.Minute))
			p.skip()
			time.Sleep(70 * time.Second)
			late.want(t, 0, 1)
			p.write(ack(token, "late"))
			late.want(t, ccsserver.Acked, 1)
			lost.want(t, 0, 1)
			p.cut()
			lost.want(t, ccsserver.Expired, 1)
			srv.bind(t).wantQuiet()
		})
	})
	t.Run("its time runs on while it goes from stream to stream", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			o := srv.offer(t, ttl("u", 10*time.Second))
			p := srv.bind(t)
			p.skip()
			time.Sleep(9 * time.Second)
			p.cut()
			p.wait()
			time.Sleep(time.Second)
			o.want(t, ccsserver.Expired, 1)
			srv.bind(t).wantQuiet()
		})
	})
	t.Run("zero is now or never", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			never := srv.offer(t, ttl("never", 0))
			never.want(t, ccsserver.Expired, 0)
			p := srv.bind(t)
			now, lost := srv.offer(t, ttl("now", 0)), srv.offer(t, ttl("lost", 0))
			p.skip()
			time.Sleep(10 * time.Second)
			p.write(ack(token, "now"))
			now.want(t, ccsserver.Acked, 1)
			p.cut()
			lost.want(t, ccsserver.Expired, 1)
		})
	})
}

// stick makes a peer whose connection takes nothing more, until the server
// gives it up.
func stick(t *testing.T, srv *server, p *peer) {
	t.Helper()
	p.deafen()
	for range 1000 {
		p.try(pingIQ)
	}
	time.Sleep(31 * time.Second)
	p.listen()
}

func TestS57_TheUpstreamWindow(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		var want []string
		var offers []*offer
		for i := range 102 {
			id := fmt.Sprint("u-", i)
			offers = append(offers, srv.offer(t, fromDevice(id)))
			want = append(want, upstream(id))
		}
		p.want(want[:100]...)
		p.wantQuiet()
		if s := srv.Streams(); s[0].Unacked != 100 {
			t.Errorf("%d are unacked, want 100", s[0].Unacked)
		}
		for range 60 { // never again on a live stream
			time.Sleep(time.Minute)
			if got := p.came(); strings.Contains(got, "<message") {
				t.Fatalf("the server wrote %s", got)
			}
			p.skip()
			p.write(`<iq type="result" id="ping"/>`)
		}
		p.write(ack(token, "u-50"))
		p.want(want[100])
		p.wantQuiet()
		offers[100].want(t, 0, 1)
		offers[101].want(t, 0, 0)

		second := srv.bind(t) // which has a window of its own
		second.want(want[101])
		p.cut()
		want[50], want[101] = "", ""
		second.want(want[:100]...) // 99 of them: the second holds one already
		second.wantQuiet()
		second.write(ack(token, "u-101"))
		second.want(want[100])
	})
	t.Run("the bound is a setting", func(t *testing.T) {
		play(t, &ccsserver.Options{UpstreamWindow: 1}, func(t *testing.T, srv *server) {
			a, b := srv.bind(t), srv.bind(t)
			for i := range 3 {
				srv.offer(t, fromDevice(fmt.Sprint("u-", i)))
			}
			a.want(upstream("u-0"))
			b.want(upstream("u-1"))
			a.wantQuiet()
			b.wantQuiet()
			b.write(ack(token, "u-1"))
			b.want(upstream("u-2"))
		})
	})
}

func TestS58_R_A25_WhoNeverAcksMayStillSend(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p, other := srv.bind(t), srv.bindAs(t, rival)
		for i := range 300 {
			srv.offer(t, fromDevice(fmt.Sprint("u-", i)))
		}
		p.skip()
		for i := range 500 {
			id := fmt.Sprint("m-", i)
			p.write(downstream(id))
			p.want(acked(id))
		}
		if err := srv.Offer(rival, fromDevice("u"), ccsserver.OfferOptions{}); err != nil {
			t.Error(err)
		}
		if got := other.next(); !strings.Contains(got, `"message_id":"u"`) {
			t.Errorf("the other sender read %s", got)
		}
		p.cut()
		p = srv.bind(t) // and all of them come again
		if n := strings.Count(p.came(), "<message "); n != 100 {
			t.Errorf("%d came again, want 100", n)
		}
	})
}

func TestS62_NoUpstreamBeforeThePeerListens(t *testing.T) {
	waiting := func(t *testing.T, srv *server) *peer {
		t.Helper()
		srv.offer(t, fromDevice("u-1"))
		srv.offer(t, receiptOf("39"))
		p := srv.bound(t, sender)
		p.wantQuiet()
		time.Sleep(time.Second - 1)
		p.wantQuiet()
		return p
	}
	for name, tt := range map[string]struct{ writes, reads string }{
		"behind the session's result":             {sessionIQ, sessionEnd},
		"behind presence":                         {`<presence/>`, ``},
		"behind the first query's answer":         {`<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`, ` type="error" id="1"><error code="501" type="cancel"><feature-not-implemented xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`},
		"behind the first ack, which is none yet": {ack(token, "x"), ``},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := waiting(t, srv)
				p.write(tt.writes)
				if strings.HasPrefix(tt.reads, " ") {
					tt.reads = `<iq to="` + p.jid + `"` + tt.reads
				}
				p.want(tt.reads, receipt("39"), upstream("u-1"))
			})
		})
	}
	t.Run("behind the first message", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := waiting(t, srv)
			p.write(downstream("m-1"))
			p.wantInAnyOrder(map[string]bool{acked("m-1"): true, receipt("39"): true, upstream("u-1"): true})
		})
	})
	t.Run("a second behind bind, to a peer that says nothing", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := waiting(t, srv)
			pass(1)
			p.want(receipt("39"), upstream("u-1"))
		})
	})
	t.Run("white space and half a stanza are no stanza", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.offer(t, fromDevice("u-1"))
			p := srv.bound(t, sender)
			p.write(" ", "<message>")
			time.Sleep(time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.want(upstream("u-1"))
		})
	})
}

func TestS63_EqualIDsOfTwoDevicesAreTwoMessages(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		other := fromDevice("u-1")
		other.From = "bbbb"
		a, b := srv.offer(t, fromDevice("u-1")), srv.offer(t, other)
		p.want(upstream("u-1"), strings.Replace(upstream("u-1"), token, "bbbb", 1))
		p.write(ack("bbbb", "u-1"))
		b.want(t, ccsserver.Acked, 1)
		a.want(t, 0, 1)
		p.cut()
		p = srv.bind(t)
		p.want(upstream("u-1"))
		p.write(ack(token, "u-1"))
		a.want(t, ccsserver.Acked, 2)
	})
}

func TestOffersAreBoundedAndUnique(t *testing.T) {
	t.Run("so many wait for one sender, and as many receipts apart from them", func(t *testing.T) {
		play(t, &ccsserver.Options{MaxWaiting: 3}, func(t *testing.T, srv *server) {
			for i := range 3 {
				srv.offer(t, fromDevice(fmt.Sprint("u-", i)))
				srv.offer(t, receiptOf(fmt.Sprint(i)))
			}
			for _, m := range []ccs.FromServer{fromDevice("u-9"), receiptOf("9")} {
				if err := srv.Offer(sender, m, ccsserver.OfferOptions{}); !errors.Is(err, ccsserver.ErrFull) {
					t.Errorf("one more: %v, want ErrFull", err)
				}
			}
			if err := srv.Offer(rival, fromDevice("u-0"), ccsserver.OfferOptions{}); err != nil {
				t.Errorf("another sender's: %v", err)
			}
			p := srv.bind(t)
			p.skip()
			srv.offer(t, fromDevice("u-9")) // there is room again
			p.want(upstream("u-9"))
		})
	})
	t.Run("what has expired takes no room", func(t *testing.T) {
		play(t, &ccsserver.Options{MaxWaiting: 2}, func(t *testing.T, srv *server) {
			for i := range 1000 {
				for _, id := range []string{"a", "b"} {
					m := fromDevice(fmt.Sprint(id, i))
					m.TTL = duration(time.Second)
					srv.offer(t, m)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
		})
	})
	t.Run("a message that is on its way is not taken twice", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			again := func(want error) {
				t.Helper()
				if err := srv.Offer(sender, fromDevice("u-1"), ccsserver.OfferOptions{}); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			}
			srv.offer(t, fromDevice("u-1"))
			again(ccsserver.ErrInWork)
			p := srv.bind(t)
			p.want(upstream("u-1"))
			again(ccsserver.ErrInWork)
			p.write(ack(token, "u-1"))
			p.wantQuiet()
			again(nil)
			p.want(upstream("u-1"))
		})
	})
	t.Run("only what a device sends is offered", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			for _, m := range []ccs.FromServer{&ccs.Ack{}, &ccs.Nack{}, &ccs.Control{}, nil} {
				if err := srv.Offer(sender, m, ccsserver.OfferOptions{}); err == nil {
					t.Errorf("%T was taken", m)
				}
			}
		})
	})
}

func TestDeliverWaitsForTheAck(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		deliver := func(ctx context.Context, m *ccs.Upstream) chan error {
			end := make(chan error, 1)
			go func() { end <- srv.Deliver(ctx, sender, m) }()
			synctest.Wait()
			return end
		}
		p := srv.bind(t)
		a := deliver(t.Context(), fromDevice("a"))
		p.want(upstream("a"))
		if len(a) != 0 {
			t.Error("it returned before the ack")
		}
		if err := srv.Deliver(t.Context(), sender, fromDevice("a")); !errors.Is(err, ccsserver.ErrInWork) {
			t.Errorf("a second one: %v", err)
		}
		p.write(ack(token, "a"))
		if err := <-a; err != nil {
			t.Error(err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := deliver(ctx, fromDevice("b"))
		p.want(upstream("b"))
		if err := <-b; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("when its context ended: %v", err)
		}
		p.cut()
		p = srv.bind(t)
		p.want(upstream("b")) // it stays offered
		p.write(ack(token, "b"))

		p.cut()
		p.wait()
		late := fromDevice("late")
		late.TTL = duration(time.Second)
		if err := srv.Deliver(t.Context(), sender, late); !errors.Is(err, ccsserver.ErrExpired) {
			t.Errorf("when its time was over: %v", err)
		}
		c := deliver(t.Context(), fromDevice("c"))
		srv.Close()
		if err := <-c; !errors.Is(err, ccsserver.ErrClosed) {
			t.Errorf("when the server closed: %v", err)
		}
		if err := srv.Deliver(t.Context(), sender, fromDevice("d")); !errors.Is(err, ccsserver.ErrClosed) {
			t.Errorf("behind that: %v", err)
		}
	})
}

func TestASlowReaderGetsItsUpstreamInTheEnd(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		p.deafen()
		var offers []*offer
		for i := range 4000 { // much more than may pile up for it
			offers = append(offers, srv.offer(t, receiptOf(fmt.Sprint(i))))
		}
		offers[3999].want(t, 0, 0)
		p.listen()                   // it reads on, and says nothing
		time.Sleep(40 * time.Second) // receipts that are not acked wait half a minute, too
		p.skip()
		offers[3999].want(t, 0, 1)
	})
}
