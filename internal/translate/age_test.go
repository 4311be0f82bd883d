package translate_test

import (
	"reflect"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/translate"
)

func request(t *testing.T, body string) *fcm.SendRequest {
	t.Helper()
	r, err := fcm.ParseSendRequest([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

func TestS_38_TimesToLiveShrinkAndDatesDoNotMove(t *testing.T) {
	const apns = `"apns":{"headers":{"apns-expiration":"1600"}}`
	for _, tt := range []struct {
		name, message string
		waited        time.Duration
		want          string // empty: expired
	}{
		{"all of them", `"android":{"ttl":"600s"},"webpush":{"headers":{"TTL":"700","Urgency":"high"}},` + apns, 10*time.Second + 999*time.Millisecond, `"android":{"ttl":"590s"},"webpush":{"headers":{"TTL":"690","Urgency":"high"}},` + apns},
		{"the newer part for Android", `"android_v2":{"ttl":"600s"}`, 10 * time.Second, `"android_v2":{"ttl":"590s"}`},
		{"a fraction stays", `"android":{"ttl":"3.5s"}`, 2 * time.Second, `"android":{"ttl":"1.500000000s"}`},
		{"a header in another case", `"webpush":{"headers":{"ttl":"60"}}`, 10 * time.Second, `"webpush":{"headers":{"ttl":"50"}}`},
		{"less than a second", `"android":{"ttl":"600s"}`, 999 * time.Millisecond, `"android":{"ttl":"600s"}`},
		{"nothing to shrink", `"android":{"priority":"high"},` + apns, time.Hour, `"android":{"priority":"high"},` + apns},
		{"a header that is no number is FCM's to refuse", `"webpush":{"headers":{"TTL":"abc"}}`, time.Hour, `"webpush":{"headers":{"TTL":"abc"}}`},
		{"the very end", `"android":{"ttl":"10s"}`, 10 * time.Second, `"android":{"ttl":"0s"}`},
		{"over", `"android":{"ttl":"10s"}`, 10*time.Second + 1, ""},
		{"over, in a browser", `"webpush":{"headers":{"TTL":"10"}}`, 11 * time.Second, ""},
		{"over, the newer part", `"android_v2":{"ttl":"10s"}`, 11 * time.Second, ""},
		{"now or never", `"android":{"ttl":"0s"}`, time.Second, ""},
		{"one is over and another is not", `"android":{"ttl":"10s"},"webpush":{"headers":{"TTL":"60"}}`, 30 * time.Second, `"android":{"ttl":"0s"},"webpush":{"headers":{"TTL":"30"}}`},
		{"the other is over", `"android":{"ttl":"60s"},"webpush":{"headers":{"TTL":"10"}}`, 30 * time.Second, `"android":{"ttl":"30s"},"webpush":{"headers":{"TTL":"0"}}`},
	} {
		t.Run("S-38 "+tt.name, func(t *testing.T) {
			body := func(message string) string {
				return `{"message":{"token":"T",` + message + `,"tomorrow":1},"validate_only":true}`
			}
			r, before := request(t, body(tt.message)), request(t, body(tt.message))
			got, err := translate.Age(r, tt.waited)
			if !reflect.DeepEqual(r, before) {
				t.Error("the request itself was changed")
			}
			if tt.want == "" {
				wantClass(t, err, fcm.Expired, "")
				if got != nil {
					t.Error("there is a request all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ordered(t, got.Append(nil)), ordered(t, []byte(body(tt.want))); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("a request without a message is somebody else's to refuse", func(t *testing.T) {
		r := &fcm.SendRequest{}
		if got, err := translate.Age(r, time.Hour); got != r || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
}
