package observe_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
)

// No caller can mend the project's key for Apple, and none may be looking.
func TestR_F22_TheOperatorIsToldOfABadKeyForAPNs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const line = `level=WARN msg="messages fail: the project's key for APNs or web push is missing, wrong or expired" project=`
		o, _, text := observer(t)
		shop, news := o.Lane("shop"), o.Lane("news")
		shop.Answered(downstream.Answered{Tries: 1})
		shop.Answered(downstream.Answered{Tries: 1, Class: fcm.SenderIDMismatch})
		if strings.Contains(text.String(), line) {
			t.Fatalf("the key is well, and the log says %s", text)
		}
		fail := func() {
			for range 1000 {
				shop.Answered(downstream.Answered{Tries: 1, Class: fcm.ThirdPartyAuth})
			}
		}
		fail()
		news.Answered(downstream.Answered{Tries: 1, Class: fcm.ThirdPartyAuth})
		if got := text.String(); strings.Count(got, line+"shop\n") != 1 || strings.Count(got, line+"news\n") != 1 {
			t.Errorf("not one line for each project: %s", got)
		}
		time.Sleep(10*time.Minute - time.Nanosecond)
		fail()
		if n := strings.Count(text.String(), line+"shop"); n != 1 {
			t.Errorf("%d lines within ten minutes", n)
		}
		time.Sleep(time.Nanosecond)
		fail()
		if got := text.String(); strings.Count(got, line+"shop left_out=1999\n") != 1 || strings.Count(got, line+"shop") != 2 {
			t.Errorf("not one more line, for 1999 others: %s", got)
		}
	})
}
