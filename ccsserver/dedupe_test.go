package ccsserver_test

import (
	"fmt"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS42_R_A27_TheSameIDAgain(t *testing.T) {
	// The same content, written otherwise.
	const other = `<message id="again"><gcm xmlns="google:mobile:data">{ "data" : {"\u006b":"v"}, "message_id":"m-1", "x":1, "to":"` + token + `"}</gcm></message>`
	t.Run("S42 an acked message gets the same ack and is not sent again", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			p.write(other)
			p.want(acked("m-1"))
			second.write(downstream("m-1"))
			second.want(acked("m-1"))
			p.cut()
			time.Sleep(9 * time.Minute)
			second.skip()
			third := srv.bind(t)
			third.write(downstream("m-1"))
			third.want(acked("m-1"))
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("S42 while the first is in work a second copy waits for its ack", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"), other)
			second.write(downstream("m-1"))
			srv.wantHandedOn(t, 1)
			p.wantQuiet()
			second.wantQuiet()
			time.Sleep(5 * time.Second)
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-1"), acked("m-1"))
			second.want(acked("m-1"))
			p.wantQuiet()
		})
	})
	t.Run("S42 while the first is in work a second copy waits for its nack", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"), other)
			second.write(downstream("m-1"))
			srv.wantHandedOn(t, 1)
			srv.take(t).Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
			nack := nacked("m-1", "BAD_REGISTRATION", "The registration token is malformed")
			p.want(nack, nack)
			second.want(nack)
			p.wantQuiet()
		})
	})
	t.Run("S42 a copy on another stream gets the answer although the first stream is gone", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			p.cut()
			p.wait()
			second.write(downstream("m-1"))
			second.wantQuiet()
			r.Answer(nil, nil)
			second.want(acked("m-1"))
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("S42 a nacked id is open again, for any content", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.refuse(&ccs.NackError{Code: ccs.CodeServiceUnavailable})
			p.write(downstream("m-1"))
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textBusy))
			srv.handle(nil)
			p.write(stanza(`{"to":"T2","message_id":"m-1"}`))
			p.want(answer(`{"message_type":"ack","from":"T2","message_id":"m-1"}`))
			srv.wantHandedOn(t, 2)
		})
	})
	t.Run("S42 another content is refused, in work and acked", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			for range 2 {
				for _, p := range []*peer{p, second} {
					for _, other := range []string{
						`"data":{"k":"w"}`, `"data":{"k":"v"},"direct_boot_ok":true`,
						`"data":{"k":"v"},"fcm_options":{"analytics_label":"spring"}`,
					} {
						p.write(stanza(`{"to":"` + token + `","message_id":"m-1",` + other + `}`))
						p.want(nacked("m-1", "INVALID_JSON", textReused))
						p.wantQuiet()
					}
				}
				if r != nil {
					r.Answer(nil, nil)
					p.want(acked("m-1"))
					r = nil
				}
			}
			p.write(downstream("m-1")) // the refusals have changed nothing
			p.want(acked("m-1"))
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("S42 an acked id is forgotten after ten minutes, not earlier", func(t *testing.T) {
		play(t, &ccsserver.Options{QuietAfter: time.Hour}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			for i := range 20 { // all of them, not only the first ones
				p.write(downstream(fmt.Sprint("m-", i)))
			}
			p.skip()
			time.Sleep(10*time.Minute - 1)
			p.write(downstream("m-0"), downstream("m-19"))
			p.want(acked("m-0"), acked("m-19"))
			srv.wantHandedOn(t, 20)
			pass(1)
			p.write(downstream("m-19"), downstream("m-7"))
			p.want(acked("m-19"), acked("m-7"))
			srv.wantHandedOn(t, 22)
			p.write(downstream("m-19"), downstream("m-7")) // remembered anew
			p.want(acked("m-19"), acked("m-7"))
			for i := range 20 { // what is forgotten takes nothing newer with it
				p.write(downstream(fmt.Sprint("n-", i)))
			}
			p.skip()
			p.write(downstream("m-19"), downstream("m-7"))
			p.want(acked("m-19"), acked("m-7"))
			srv.wantHandedOn(t, 42)
		})
	})
	t.Run("S42 an id in work is never forgotten", func(t *testing.T) {
		play(t, &ccsserver.Options{DedupeMax: 3, AnswerTimeout: time.Hour, QuietAfter: time.Hour}, func(t *testing.T, srv *server) {
			srv.hold()
			p, second := srv.bind(t), srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			srv.handle(nil)
			for i := range 10 {
				p.write(downstream(fmt.Sprint("n-", i)))
			}
			p.skip()
			time.Sleep(30 * time.Minute)
			second.write(downstream("m-1"))
			srv.wantHandedOn(t, 11)
			r.Answer(nil, nil)
			p.want(acked("m-1"))
			second.want(acked("m-1"))
		})
	})
	t.Run("S42 at the bound the oldest acked id gives way", func(t *testing.T) {
		play(t, &ccsserver.Options{DedupeMax: 3}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			for i := 1; i <= 4; i++ {
				p.write(downstream(fmt.Sprint("m-", i)))
			}
			p.skip()
			p.write(downstream("m-2"), downstream("m-3"), downstream("m-4"))
			p.skip()
			srv.wantHandedOn(t, 4)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			srv.wantHandedOn(t, 5)
			if n := srv.ForgottenEarly(); n != 2 {
				t.Errorf("%d ids are counted as forgotten early, want 2", n)
			}
		})
	})
}

func TestTheLateOutcome(t *testing.T) {
	t.Run("a verdict that takes too long is a nack, and nothing follows it", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			time.Sleep(12*time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textTimeout))
			r.Answer(nil, nil)
			p.wantQuiet()
		})
	})
	t.Run("the same id sent again waits for the late verdict", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			time.Sleep(12 * time.Second)
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textTimeout))
			p.write(downstream("m-1"))
			p.wantQuiet()
			time.Sleep(time.Second)
			r.Answer(nil, nil)
			p.want(acked("m-1"))
			p.wantQuiet()
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("the same id sent again after the late ack gets it", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			r := srv.take(t)
			time.Sleep(12 * time.Second)
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textTimeout))
			r.Answer(nil, nil)
			p.cut()
			p = srv.bind(t)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("each message has its own time", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			time.Sleep(3 * time.Second)
			p.write(downstream("m-2"))
			time.Sleep(3 * time.Second)
			p.write(downstream("m-3"))
			srv.take(t)
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-2"))
			time.Sleep(6 * time.Second)
			p.want(nacked("m-1", "SERVICE_UNAVAILABLE", textTimeout))
			time.Sleep(6*time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.want(nacked("m-3", "SERVICE_UNAVAILABLE", textTimeout))
		})
	})
}
