package fcm_test

import (
	"testing"
	"time"

	"penstock/fcm"
)

func seconds(n float64) *fcm.Duration {
	d := fcm.Duration(n * float64(time.Second))
	return &d
}

func TestS_38_TimeToLiveShrinksByTheTimeWaited(t *testing.T) {
	cases := []struct {
		name   string
		in     string
		waited time.Duration
		want   string // empty: over
	}{
		{"android", `{"message":{"token":"t","android":{"ttl":"60s"}}}`, 10 * time.Second, `{"message":{"token":"t","android":{"ttl":"50s"}}}`},
		{"android, newer", `{"message":{"token":"t","android_v2":{"ttl":"60s"}}}`, 10 * time.Second, `{"message":{"token":"t","android_v2":{"ttl":"50s"}}}`},
		{"browsers", `{"message":{"token":"t","webpush":{"headers":{"TTL":"60","Urgency":"high"}}}}`, 10 * time.Second, `{"message":{"token":"t","webpush":{"headers":{"TTL":"50","Urgency":"high"}}}}`},
		{"browsers, in lower case", `{"message":{"token":"t","webpush":{"headers":{"ttl":"60"}}}}`, 10 * time.Second, `{"message":{"token":"t","webpush":{"headers":{"ttl":"50"}}}}`},
		{"browsers without a number", `{"message":{"token":"t","webpush":{"headers":{"TTL":"abc"}}}}`, 10 * time.Second, `{"message":{"token":"t","webpush":{"headers":{"TTL":"abc"}}}}`},
		{"a date stays", `{"message":{"token":"t","android":{"ttl":"60s"},"apns":{"headers":{"apns-expiration":"1600"}}}}`, 10 * time.Second,
			`{"message":{"token":"t","android":{"ttl":"50s"},"apns":{"headers":{"apns-expiration":"1600"}}}}`},
		{"none", `{"message":{"token":"t","data":{"k":"v"}}}`, time.Hour, `{"message":{"token":"t","data":{"k":"v"}}}`},
		{"parts of seconds do not count", `{"message":{"token":"t","android":{"ttl":"60s"}}}`, 10*time.Second + 999*time.Millisecond, `{"message":{"token":"t","android":{"ttl":"50s"}}}`},
		{"a clock that went back", `{"message":{"token":"t","android":{"ttl":"60s"}}}`, -time.Hour, `{"message":{"token":"t","android":{"ttl":"60s"}}}`},
		{"a fraction stays", `{"message":{"token":"t","android":{"ttl":"3.5s"}}}`, 2 * time.Second, `{"message":{"token":"t","android":{"ttl":"1.5s"}}}`},
		{"now or never", `{"message":{"token":"t","android":{"ttl":"0s"}}}`, 999 * time.Millisecond, `{"message":{"token":"t","android":{"ttl":"0s"}}}`},
		{"now or never is over", `{"message":{"token":"t","android":{"ttl":"0s"}}}`, time.Second, ""},
		{"the very end", `{"message":{"token":"t","android":{"ttl":"60s"}}}`, time.Minute, `{"message":{"token":"t","android":{"ttl":"0s"}}}`},
		{"over", `{"message":{"token":"t","android":{"ttl":"60s"}}}`, time.Minute + 1, ""},
		{"over, newer", `{"message":{"token":"t","android_v2":{"ttl":"60s"}}}`, 2 * time.Minute, ""},
		{"over, in a browser", `{"message":{"token":"t","webpush":{"headers":{"TTL":"10"}}}}`, 11 * time.Second, ""},
		{"over, and browsers' is not", `{"message":{"token":"t","android":{"ttl":"10s"},"webpush":{"headers":{"TTL":"60"}}}}`, 30 * time.Second,
			`{"message":{"token":"t","android":{"ttl":"0s"},"webpush":{"headers":{"TTL":"30"}}}}`},
		{"browsers' is over, and Android's is not", `{"message":{"token":"t","android":{"ttl":"60s"},"webpush":{"headers":{"TTL":"10"}}}}`, 30 * time.Second,
			`{"message":{"token":"t","android":{"ttl":"30s"},"webpush":{"headers":{"TTL":"0"}}}}`},
	}
	for _, c := range cases {
		t.Run("S-38 "+c.name, func(t *testing.T) {
			r, err := fcm.ParseSendRequest([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			before := string(r.Append(nil))
			got, ok := r.Aged(c.waited)
			switch {
			case ok != (c.want != ""):
				t.Fatalf("Aged = %v; want %v", ok, c.want != "")
			case !ok && got != nil:
				t.Errorf("a request that is over is %s", got.Append(nil))
			case ok:
				want, err := fcm.ParseSendRequest([]byte(c.want))
				if err != nil {
					t.Fatal(err)
				}
				if string(got.Append(nil)) != string(want.Append(nil)) {
					t.Errorf("%s; want %s", got.Append(nil), c.want)
				}
			}
			if after := string(r.Append(nil)); after != before {
				t.Errorf("the request itself became %s", after)
			}
		})
	}
}

func TestAgedTakesARequestWithoutMessage(t *testing.T) {
	r := &fcm.SendRequest{}
	if got, ok := r.Aged(time.Hour); got != r || !ok {
		t.Errorf("Aged = %v, %v", got, ok)
	}
	r = &fcm.SendRequest{Message: &fcm.Message{Android: &fcm.AndroidConfig{TTL: seconds(60)}}}
	if got, ok := r.Aged(999 * time.Millisecond); got != r || !ok {
		t.Errorf("Aged = %v, %v; want the same", got, ok)
	}
}
