package fcm_test

import (
	"testing"
	"time"

	"penstock/fcm"
)

func TestTimesToLiveAreChangedInACopyOrNotAtAll(t *testing.T) {
	t.Parallel()
	zero := fcm.Duration(0)
	never := &fcm.SendRequest{Message: &fcm.Message{Token: "T", Android: &fcm.AndroidConfig{TTL: &zero}}}
	if got, ok := never.Aged(time.Millisecond); !ok || got != never {
		t.Errorf("now or never became %v, %v", got, ok)
	}
	web := &fcm.SendRequest{Message: &fcm.Message{Token: "T", Webpush: &fcm.WebpushConfig{
		Headers: map[string]string{"TTL": "600", "ttl": "700", "Urgency": "high"},
	}}}
	got, ok := web.Aged(time.Minute)
	if !ok || got.Message.Webpush.Headers["TTL"] != "540" || got.Message.Webpush.Headers["ttl"] != "640" || got.Message.Webpush.Headers["Urgency"] != "high" {
		t.Errorf("two spellings of one header became %v, %v", got.Message.Webpush, ok)
	}
	if h := web.Message.Webpush.Headers; h["TTL"] != "600" || h["ttl"] != "700" {
		t.Errorf("the request was changed: %v", h)
	}
}
