package ccsclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// A place that an answer has freed is there for others although the program
// takes its time with the answer.
func TestDoneMayHandOverToSomebodyWhoSends(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window, o.MaxWaiting = 1, 1 })
		told := make(chan ccs.MessageID)
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			for i := range 3 { // two places; the third waits
				m := msg(nth(i))
				if err := p.SendFunc(context.Background(), m, func(a ccsclient.Answer, err error) { told <- a.Message.MessageID }); err != nil {
					t.Error(err)
				}
			}
			for range 3 {
				<-told
			}
		}()
		for i := range 3 {
			st.want(string(nth(i)))
			st.ack(string(nth(i)))
			synctest.Wait()
		}
		select {
		case <-finished:
		case <-time.After(time.Hour):
			t.Fatal("nothing goes on")
		}
	})
}
