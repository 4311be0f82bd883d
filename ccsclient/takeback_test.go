package ccsclient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestC54_TakeBackTakesBackWhatWasNeverWritten(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window, o.MaxWaiting = 3, 2 })
		all := p.sendMany(1, 5)
		st.want("m-1", "m-2", "m-3")
		st.nack("m-3", ccs.CodeServiceUnavailable, "x") // it rests; m-4 is written in its place
		st.want("m-4")
		taken := make(chan error, 1)
		go func() { // there is a place for five
			taken <- p.SendFunc(context.Background(), msg("m-6"), func(ccsclient.Answer, error) { t.Error("m-6 was taken") })
		}()
		synctest.Wait()
		p.TakeBack()
		all[4].wantErr(ccsclient.ErrWithdrawn)
		synctest.Wait()
		select {
		case err := <-taken:
			if !errors.Is(err, ccsclient.ErrClosed) {
				t.Errorf("who waited for a place got %v", err)
			}
		default:
			t.Error("who waits for a place is left waiting")
		}
		p.send("m-7").wantErr(ccsclient.ErrClosed)
		for _, r := range all[:4] {
			r.wantOpen()
		}
		st.ack("m-1", "m-2", "m-4")
		st.want("m-3") // what was written gets its final answer
		st.wantQuiet() // and m-5 has no place any more
		ended := make(chan error, 1)
		go func() { ended <- p.Shutdown(t.Context()) }()
		synctest.Wait()
		st.ack("m-3")
		for _, r := range all[:4] {
			r.wantAcked()
		}
		st.wantGoodbye()
		st.hangUp()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		srv.wantNoDial(time.Minute)
	})
}

func TestTakeBackBeforeThereWasAStream(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		srv.setRefuse(errors.New("nobody there"))
		p := srv.pool(nil)
		all := p.sendMany(1, 3)
		p.TakeBack()
		for _, r := range all {
			r.wantErr(ccsclient.ErrWithdrawn)
		}
		p.TakeBack() // changes nothing
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if st := p.State(); st.Waiting+st.InFlight+st.Resting > 0 {
			t.Errorf("left: %v", st)
		}
	})
}
