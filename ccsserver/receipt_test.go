package ccsserver_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS59_TheFieldsOfAReceipt(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		srv.offer(t, receiptOf("39"))
		p.want(toApp(`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"` + token +
			`","message_sent_timestamp":"1498801519251"},"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`))
		srv.offer(t, &ccs.Receipt{MessageID: "dr2:40", OriginalMessageID: "40", Status: ccs.StatusSentToDevice, Device: token})
		p.want(toApp(`{"category":"","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"40","device_registration_id":"` + token +
			`","message_sent_timestamp":"0"},"message_id":"dr2:40","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`))
	})
}

func TestS60_ReceiptsHoldNothingBack(t *testing.T) {
	t.Run("upstream flows past any number of unacked receipts", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			var receipts []*offer
			for i := range 500 {
				receipts = append(receipts, srv.offer(t, receiptOf(fmt.Sprint(i))))
			}
			p.skip()
			for i := range 100 {
				id := fmt.Sprint("u-", i)
				srv.offer(t, fromDevice(id))
				p.want(upstream(id))
			}
			receipts[0].want(t, 0, 1)
			receipts[499].want(t, 0, 1)
		})
	})
	t.Run("and receipts past a full upstream window", func(t *testing.T) {
		play(t, &ccsserver.Options{UpstreamWindow: 1}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.offer(t, fromDevice("u-1"))
			srv.offer(t, fromDevice("u-2"))
			srv.offer(t, receiptOf("39"))
			p.want(upstream("u-1"), receipt("39"))
		})
	})
	t.Run("a receipt that nobody acks is offered to three streams and dropped", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			o := srv.offer(t, receiptOf("39"))
			for i := range 3 {
				p := srv.bind(t)
				p.want(receipt("39"))
				time.Sleep(time.Minute)
				o.want(t, 0, i+1)
				p.cut()
				p.wait()
			}
			o.want(t, ccsserver.Dropped, 3)
			srv.bind(t).wantQuiet()
		})
	})
	t.Run("a thousand may be unacked on a stream, then the oldest gives way", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			var offers []*offer
			for i := range 1002 {
				offers = append(offers, srv.offer(t, receiptOf(fmt.Sprint(i))))
				if i < 1000 {
					p.want(receipt(fmt.Sprint(i)))
				}
			}
			u := srv.offer(t, fromDevice("u-1")) // waits for no receipt
			p.want(upstream("u-1"))
			u.want(t, 0, 1)
			time.Sleep(30*time.Second - 1)
			p.wantQuiet()
			pass(1) // a peer that has acked none until now never will
			p.want(receipt("1000"), receipt("1001"))
			offers[0].want(t, ccsserver.Dropped, 1)
			offers[1].want(t, ccsserver.Dropped, 1)
			offers[2].want(t, 0, 1)
			p.write(ack("gcm.googleapis.com", "dr2:0"), ack("gcm.googleapis.com", "dr2:2"))
			offers[2].want(t, ccsserver.Acked, 1)
			p.cut()
			p = srv.bind(t)
			settle()
			if all := p.came(); !strings.Contains(all, receipt("3")+receipt("4")+receipt("5")) {
				t.Errorf("what was unacked did not come again in order: %.300s", all)
			}
		})
	})
	t.Run("a peer that acks receipts gets no more than it keeps up with", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			var offers []*offer
			for i := range 3000 {
				offers = append(offers, srv.offer(t, receiptOf(fmt.Sprint(i))))
			}
			for i := range 3000 {
				p.want(receipt(fmt.Sprint(i)))
				if i < 1000 {
					time.Sleep(20 * time.Millisecond)
				}
				p.write(ack("gcm.googleapis.com", "dr2:"+fmt.Sprint(i)))
			}
			p.wantQuiet()
			for _, o := range offers {
				o.want(t, ccsserver.Acked, 1)
			}
		})
	})
	t.Run("a receipt that waits for a day is over", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			o := srv.offer(t, receiptOf("39"))
			time.Sleep(24*time.Hour - 1)
			o.want(t, 0, 0)
			pass(1)
			o.want(t, ccsserver.Expired, 0)
		})
	})
	t.Run("receipts do not keep a draining stream open", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.offer(t, receiptOf("39"))
			p.want(receipt("39"))
			time.Sleep(time.Second)
			srv.Drain(ccsserver.DrainOptions{})
			p.want(control)
			time.Sleep(time.Second)
			p.wantClosed(end)
		})
	})
}

func TestAReceiptComesBehindTheAnswer(t *testing.T) {
	held := func(t *testing.T, f func(t *testing.T, srv *server, p *peer, r *ccsserver.Request)) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			f(t, srv, p, srv.take(t))
		})
	}
	t.Run("an ack", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, p *peer, r *ccsserver.Request) {
			first, second := srv.offer(t, receiptOf("m-1")), srv.offer(t, receiptOf("m-1"))
			p.wantQuiet()
			first.want(t, 0, 0)
			// Others do not wait.
			srv.offer(t, receiptOf("m-0"))
			p.want(receipt("m-0"))
			r.Answer(nil, nil)
			p.want(acked("m-1"), receipt("m-1"), receipt("m-1"))
			first.want(t, 0, 1)
			second.want(t, 0, 1)
			// And nothing waits for what was answered.
			srv.offer(t, receiptOf("m-1"))
			p.want(receipt("m-1"))
		})
	})
	t.Run("a nack", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, p *peer, r *ccsserver.Request) {
			srv.offer(t, receiptOf("m-1"))
			r.Answer(nil, &ccs.NackError{Code: ccs.CodeServiceUnavailable})
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", (&ccs.NackError{Code: ccs.CodeServiceUnavailable}).Text()), receipt("m-1"))
			// The id is open again.
			p.write(downstream("m-1"))
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-1"))
		})
	})
	t.Run("that comes late", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, p *peer, r *ccsserver.Request) {
			time.Sleep(13 * time.Second)
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textTimeout))
			srv.offer(t, receiptOf("m-1"))
			p.wantQuiet()
			r.Answer(nil, nil)
			p.want(receipt("m-1"))
		})
	})
	t.Run("to its own sender", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, _ *peer, _ *ccsserver.Request) {
			other := srv.bindAs(t, rival)
			if err := srv.Offer(rival, receiptOf("m-1"), ccsserver.OfferOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := other.next(); !strings.Contains(got, `"dr2:m-1"`) {
				t.Errorf("got %s", got)
			}
		})
	})
	t.Run("but no more than a hundred wait", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, p *peer, r *ccsserver.Request) {
			var offers []*offer
			for range 101 {
				offers = append(offers, srv.offer(t, receiptOf("m-1")))
			}
			p.want(receipt("m-1"))
			p.wantQuiet()
			offers[99].want(t, 0, 0)
			offers[100].want(t, 0, 1)
			r.Answer(nil, nil)
			p.want(acked("m-1"))
			offers[99].want(t, 0, 1)
		})
	})
	t.Run("whose id came anew while it was written", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, p *peer, first *ccsserver.Request) {
			other := srv.bind(t)
			srv.dawdle.Store(int64(time.Second))
			written := make(chan struct{})
			go func() {
				defer close(written)
				first.Answer(nil, &ccs.NackError{Code: ccs.CodeServiceUnavailable})
			}()
			synctest.Wait()
			other.write(downstream("m-1"))
			second := srv.take(t) // a nacked id is open again
			srv.offer(t, receiptOf("m-1"))
			srv.dawdle.Store(0)
			<-written
			p.next()
			p.write(downstream("m-1"))
			srv.wantHandedOn(t, 2) // it waits with the second
			p.wantQuiet()
			second.Answer(nil, nil)
			p.want(acked("m-1"))
			synctest.Wait()
			if n := strings.Count(p.came()+other.came(), `"dr2:m-1"`); n != 1 {
				t.Errorf("%d receipts came, want one", n)
			}
		})
	})
	t.Run("or is dropped with the server", func(t *testing.T) {
		held(t, func(t *testing.T, srv *server, _ *peer, r *ccsserver.Request) {
			o := srv.offer(t, receiptOf("m-1"))
			srv.Close()
			o.want(t, 0, 0)
			r.Answer(nil, nil)
			o.want(t, ccsserver.Dropped, 0)
		})
	})
}

func TestS61_AReceiptsAckWithAndWithoutItsPrefix(t *testing.T) {
	for name, tt := range map[string]struct {
		ack     string
		settles bool
	}{
		"the full id, as node-xcs and go-gcm":  {ack("gcm.googleapis.com", "dr2:39"), true},
		"without the prefix, as google/go-gcm": {ack("gcm.googleapis.com", "39"), true},
		"the full id to somebody else":         {ack("fcm.googleapis.com", "dr2:39"), true},
		"the ack of a device's message 39":     {ack(token, "39"), false},
		"another id":                           {ack("gcm.googleapis.com", "dr2:40"), false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				o := srv.offer(t, receiptOf("39"))
				p.want(receipt("39"))
				p.write(tt.ack)
				p.wantQuiet()
				if tt.settles {
					o.want(t, ccsserver.Acked, 1)
				} else {
					o.want(t, 0, 1)
				}
				p.cut()
				p = srv.bind(t)
				if tt.settles {
					p.wantQuiet()
				} else {
					p.want(receipt("39"))
				}
			})
		})
	}
	t.Run("a message and a receipt of the same id are settled apart", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			o, r := srv.offer(t, fromDevice("39")), srv.offer(t, receiptOf("39"))
			p.want(upstream("39"), receipt("39"))
			p.write(ack(token, "39"))
			o.want(t, ccsserver.Acked, 1)
			r.want(t, 0, 1)
			p.write(ack(token, "39")) // a repeated ack is for nothing
			r.want(t, 0, 1)
			p.write(ack("gcm.googleapis.com", "39"))
			r.want(t, ccsserver.Acked, 1)
		})
	})
	t.Run("receipts of one message from many devices are settled one by one", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			a, b := srv.offer(t, receiptOf("39")), srv.offer(t, receiptOf("39"))
			p.want(receipt("39"), receipt("39"))
			p.write(ack("gcm.googleapis.com", "dr2:39"))
			a.want(t, ccsserver.Acked, 1)
			b.want(t, 0, 1)
			p.write(ack("gcm.googleapis.com", "dr2:39"))
			b.want(t, ccsserver.Acked, 1)
		})
	})
}
