package translate_test

import (
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

func TestS_38_WhatHasWaitedTooLongIsExpired(t *testing.T) {
	r := request(t, `{"message":{"token":"T","android":{"ttl":"10s"}}}`)
	aged, err := translate.Age(r, 4*time.Second)
	if err != nil || time.Duration(*aged.Message.Android.TTL) != 6*time.Second {
		t.Errorf("%v, %v", aged, err)
	}
	aged, err = translate.Age(r, 11*time.Second)
	wantClass(t, err, fcm.Expired, "")
	if aged != nil {
		t.Error("there is a request all the same")
	}
}
