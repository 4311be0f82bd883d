package fcmsend_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestSendByIsNotSentLate(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1, RequestTimeout: time.Minute})
		first := send(t, s, toToken("n", "1"))
		c := w.conn()
		r := c.request()
		began := time.Now()
		result, err := s.SendBy(t.Context(), toToken("n", "2"), began.Add(3*time.Second))
		wantError(t, result, err, fcm.Unavailable, false)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it waited for %v, want 3 s", took)
		}
		c.noRequest()

		second := make(chan error, 1)
		go func() {
			_, err := s.SendBy(t.Context(), toToken("n", "3"), time.Now().Add(3*time.Second))
			second <- err
		}()
		synctest.Wait()
		r.accept()
		first.wantAccepted()
		r = c.request() // there is room in time
		time.Sleep(30 * time.Second)
		r.accept() // and the answer may come later than that
		if err := <-second; err != nil {
			t.Error(err)
		}

		third := make(chan error, 1)
		go func() {
			_, err := s.SendBy(t.Context(), toToken("n", "4"), time.Now().Add(-time.Second))
			third <- err
		}()
		c.request().accept() // where there is room nobody asks for the time
		if err := <-third; err != nil {
			t.Error(err)
		}
	})
}

func TestSendByDoesNotWaitForATokenLongerEither(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { time.Sleep(9 * time.Second); giveToken(rw, "token", 3599) })
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		began := time.Now()
		result, err := s.SendBy(t.Context(), toToken(), began.Add(3*time.Second))
		wantError(t, result, err, fcm.Unavailable, false)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it waited for %v, want 3 s", took)
		}
		time.Sleep(10 * time.Second)
		w.noConn()
	})
}
