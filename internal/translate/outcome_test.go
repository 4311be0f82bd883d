package translate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

// answered is the outcome of a message that FCM answered so.
func answered(target fcm.TargetKind, status int, body string) *fcm.SendError {
	e := fcm.ParseErrorReply(status, []byte(body))
	return &fcm.SendError{Class: fcm.Classify(target, e), Reply: e}
}

// v1 is the body of an error reply, with the details that follow.
func v1(code int, status, message string, details ...string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"status":%q,"message":%q,"details":[%s]}}`, code, status, message, strings.Join(details, ","))
}

const google = `{"@type":"type.googleapis.com/google.`

// The details of error replies.
func fcmError(code string) string {
	return google + `firebase.fcm.v1.FcmError","errorCode":"` + code + `"}`
}
func apnsError(status int, reason string) string {
	return fmt.Sprintf(google+`firebase.fcm.v1.ApnsError","statusCode":%d,"reason":"%s"}`, status, reason)
}
func violation(field, description string) string {
	return google + `rpc.BadRequest","fieldViolations":[{"field":"` + field + `","description":"` + description + `"}]}`
}
func errorInfo(reason string) string {
	return google + `rpc.ErrorInfo","reason":"` + reason + `","domain":"googleapis.com"}`
}

const (
	invalidArgument = "INVALID_ARGUMENT"
	html            = `<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title><p>secret path</html>`
	gatewayText     = "Request is missing required authentication credential. Expected OAuth 2 access token"
)

// TestT_46_OutcomeRows has one row for each row of docs/fcm-http.md, Answers: what
// FCM answers, and what senders of the three protocols read. An envelope of 0 is
// FCM's own reply.
func TestT_46_OutcomeRows(t *testing.T) {
	device, topic := fcm.TargetDevice, fcm.TargetTopic
	is := func(field, text string) string {
		return v1(400, invalidArgument, text, violation(field, text), fcmError(invalidArgument))
	}
	for _, tt := range []struct {
		name string
		err  error
		nack ccs.Code
		word string
		v1   int
	}{
		{"T-08 no target", answered(device, 400, is("message", "Recipient of the message is not set.")), ccs.CodeInvalidJSON, "MissingRegistration", 0},
		{"a malformed token", answered(device, 400, is("message.token", "The registration token is not a valid FCM registration token")), ccs.CodeBadRegistration, "InvalidRegistration", 0},
		{"a malformed token, told without violations", answered(device, 400, v1(400, invalidArgument, "The registration token is not a valid FCM registration token", fcmError(invalidArgument))), ccs.CodeBadRegistration, "InvalidRegistration", 0},
		{"a bad topic", answered(topic, 400, is("message", "Topic name contains invalid characters.")), ccs.CodeInvalidJSON, "InvalidParameters", 0},
		{"a bad condition", answered(fcm.TargetCondition, 400, v1(400, invalidArgument, "Request contains an invalid argument.")), ccs.CodeInvalidJSON, "InvalidParameters", 0},
		{"T-54 too large", answered(device, 400, v1(400, invalidArgument, "Message is too large. The maximum is 4K (4096 bytes).", google+`rpc.BadRequest"}`, fcmError(invalidArgument))), ccs.CodeInvalidJSON, "MessageTooBig", 0},
		{"T-54 too large, for Android", answered(device, 400, v1(400, invalidArgument, "Android message is too big", fcmError(invalidArgument))), ccs.CodeInvalidJSON, "MessageTooBig", 0},
		{"T-54 too large, for Apple", answered(device, 400, v1(400, invalidArgument, "iOS message is too big")), ccs.CodeInvalidJSON, "MessageTooBig", 0},
		{"T-54 too large, by the status alone", answered(device, 413, ""), ccs.CodeInvalidJSON, "MessageTooBig", 400},
		{"T-54 too large, in Apple's own words", answered(device, 400, v1(400, invalidArgument, "Request contains an invalid argument.", apnsError(413, "PayloadTooLarge"))), ccs.CodeInvalidJSON, "MessageTooBig", 0},
		{"a reserved key", answered(device, 400, is("message.data", "Invalid data payload key: from")), ccs.CodeInvalidJSON, "InvalidDataKey", 0},
		{"a reserved key, told without violations", answered(device, 400, v1(400, invalidArgument, "Invalid data payload key: from", fcmError(invalidArgument))), ccs.CodeInvalidJSON, "InvalidDataKey", 0},
		{"a reserved key, told by a violation alone", answered(device, 400, v1(400, invalidArgument, "Request contains an invalid argument.", violation("message.data", "Invalid data payload key: from"), fcmError(invalidArgument))), ccs.CodeInvalidJSON, "InvalidDataKey", 0},
		{"a ttl for the web", answered(device, 400, is("message.webpush.headers.TTL", "TTL must be a non-negative integer.")), ccs.CodeInvalidJSON, "InvalidTtl", 0},
		{"a ttl for Android", answered(device, 400, is("message.android.ttl", "Invalid value")), ccs.CodeInvalidJSON, "InvalidTtl", 0},
		{"a ttl for Apple", answered(device, 400, is("message.apns.headers.apns-expiration", "Invalid value")), ccs.CodeInvalidJSON, "InvalidTtl", 0},
		{"a package name", answered(device, 400, is("message.android.restricted_package_name", "Invalid value")), ccs.CodeInvalidJSON, "InvalidPackageName", 0},
		{"a package name in the other spelling", answered(device, 400, is("message.android.restrictedPackageName", "Invalid value")), ccs.CodeInvalidJSON, "InvalidPackageName", 0},
		{"another field", answered(device, 400, is("message.android.notification.color", "Invalid value")), ccs.CodeInvalidJSON, "InvalidParameters", 0},
		{"a dead token", answered(device, 404, v1(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED"))), ccs.CodeDeviceUnregistered, "NotRegistered", 0},
		{"a device of Apple's that is gone", answered(device, 400, v1(400, invalidArgument, "APNs device token is disabled.", apnsError(410, "Unregistered"))), ccs.CodeDeviceUnregistered, "NotRegistered", 0},
		{"the same, told otherwise", answered(device, 404, v1(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED"), apnsError(410, "Unregistered"))), ccs.CodeDeviceUnregistered, "NotRegistered", 0},
		{"another sender's token", answered(device, 403, v1(403, "PERMISSION_DENIED", "SenderId mismatch", fcmError("SENDER_ID_MISMATCH"))), ccs.CodeSenderIDMismatch, "MismatchSenderId", 0},
		{"the key for APNs", answered(device, 401, v1(401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service", fcmError("THIRD_PARTY_AUTH_ERROR"), apnsError(403, "InvalidProviderToken"))), ccs.CodeInvalidAPNSCredential, "InvalidApnsCredential", 0},
		{"the key for APNs, with the gateway's text", answered(device, 401, v1(401, "UNAUTHENTICATED", gatewayText, fcmError("THIRD_PARTY_AUTH_ERROR"))), ccs.CodeInvalidAPNSCredential, "InvalidApnsCredential", 0},
		{"the project's quota", answered(device, 429, v1(429, "RESOURCE_EXHAUSTED", "Quota exceeded for project_number:123", errorInfo("RATE_LIMIT_EXCEEDED"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-53 a device's quota", answered(device, 429, v1(429, "RESOURCE_EXHAUSTED", "x", fcmError("QUOTA_EXCEEDED"))), ccs.CodeDeviceMessageRateExceeded, "DeviceMessageRateExceeded", 0},
		{"T-53 a topic's quota", answered(topic, 429, v1(429, "RESOURCE_EXHAUSTED", "Topic quota exceeded.", fcmError("QUOTA_EXCEEDED"))), ccs.CodeTopicsMessageRateExceeded, "TopicsMessageRateExceeded", 0},
		{"T-53 a condition's quota", answered(fcm.TargetCondition, 429, v1(429, "RESOURCE_EXHAUSTED", "x", fcmError("QUOTA_EXCEEDED"))), ccs.CodeTopicsMessageRateExceeded, "TopicsMessageRateExceeded", 0},
		{"T-47 no credential", answered(device, 401, v1(401, "UNAUTHENTICATED", gatewayText, errorInfo("CREDENTIALS_MISSING"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 a wrong credential", answered(device, 401, v1(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 an expired credential", answered(device, 401, v1(401, "UNAUTHENTICATED", "x", errorInfo("ACCESS_TOKEN_EXPIRED"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 no permission", answered(device, 403, v1(403, "PERMISSION_DENIED", "Permission denied on projects/X", errorInfo("IAM_PERMISSION_DENIED"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 the API is off", answered(device, 403, v1(403, "PERMISSION_DENIED", "x", errorInfo("SERVICE_DISABLED"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 the scope is missing", answered(device, 403, v1(403, "PERMISSION_DENIED", "x", errorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 a 401 that is no JSON", answered(device, 401, html), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 a 403 that is no JSON", answered(device, 403, html), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-47 no access token to be had", &fcm.SendError{Class: fcm.Credential, Err: errors.New("invalid_grant")}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"inside FCM", answered(device, 500, v1(500, "INTERNAL", "Internal error encountered.", fcmError("INTERNAL"))), ccs.CodeInternalServerError, "InternalServerError", 500},
		{"overload", answered(device, 503, v1(503, "UNAVAILABLE", "The service is currently unavailable.", fcmError("UNAVAILABLE"))), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-48 HTML from a front end", answered(device, 502, html), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"too late inside Google", answered(device, 504, v1(504, "DEADLINE_EXCEEDED", "x")), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"cancelled", answered(device, 499, v1(499, "CANCELLED", "x")), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"no reply", &fcm.SendError{Class: fcm.Unavailable, Err: context.DeadlineExceeded}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"a 404 that names no device", answered(device, 404, v1(404, "NOT_FOUND", "Requested entity was not found.")), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-48 an unknown path", answered(device, 404, html), ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"T-25 expired", &fcm.SendError{Class: fcm.Expired}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"a fault of ours", errors.New("secret"), ccs.CodeInternalServerError, "InternalServerError", 500},
		{"an outcome of no class", &fcm.SendError{}, ccs.CodeInternalServerError, "InternalServerError", 500},
		{"wrapped", fmt.Errorf("lane: %w", &fcm.SendError{Class: fcm.Unregistered}), ccs.CodeDeviceUnregistered, "NotRegistered", 404},

		// A far end that speaks CCS.
		{"a far end's INVALID_JSON", &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "InvalidJson : INVALID_TTL"}, ccs.CodeInvalidJSON, "InvalidParameters", 400},
		{"a far end's message that is too big", &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "InvalidJson: MESSAGE_TOO_BIG : Field"}, ccs.CodeInvalidJSON, "MessageTooBig", 400},
		{"a far end's reserved key", &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "InvalidJson: INVALID_DATA_KEY : Field"}, ccs.CodeInvalidJSON, "InvalidDataKey", 400},
		{"a far end's BAD_REGISTRATION", &ccs.NackError{Code: ccs.CodeBadRegistration}, ccs.CodeBadRegistration, "InvalidRegistration", 400},
		{"a far end's DEVICE_UNREGISTERED", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}, ccs.CodeDeviceUnregistered, "NotRegistered", 404},
		{"a far end's SENDER_ID_MISMATCH", &ccs.NackError{Code: ccs.CodeSenderIDMismatch}, ccs.CodeSenderIDMismatch, "MismatchSenderId", 403},
		{"a far end's INVALID_APNS_CREDENTIAL", &ccs.NackError{Code: ccs.CodeInvalidAPNSCredential}, ccs.CodeInvalidAPNSCredential, "InvalidApnsCredential", 401},
		{"a far end's DEVICE_MESSAGE_RATE_EXCEEDED", &ccs.NackError{Code: ccs.CodeDeviceMessageRateExceeded}, ccs.CodeDeviceMessageRateExceeded, "DeviceMessageRateExceeded", 429},
		{"a far end's QUOTA_EXCEEDED", &ccs.NackError{Code: ccs.CodeQuotaExceeded}, ccs.CodeDeviceMessageRateExceeded, "DeviceMessageRateExceeded", 429},
		{"a far end's TOPICS_MESSAGE_RATE_EXCEEDED", &ccs.NackError{Code: ccs.CodeTopicsMessageRateExceeded}, ccs.CodeTopicsMessageRateExceeded, "TopicsMessageRateExceeded", 429},
		{"a far end's SERVICE_UNAVAILABLE", &ccs.NackError{Code: ccs.CodeServiceUnavailable}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"a far end's INTERNAL_SERVER_ERROR", &ccs.NackError{Code: ccs.CodeInternalServerError}, ccs.CodeInternalServerError, "InternalServerError", 500},
		{"T-47 a far end that does not know us", &ccs.NackError{Code: ccs.CodeAuthenticationFailed}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"a far end's connection is not the sender's", &ccs.NackError{Code: ccs.CodeConnectionDraining}, ccs.CodeServiceUnavailable, "Unavailable", 503},
		{"a far end's BAD_ACK is none of the sender's", &ccs.NackError{Code: ccs.CodeBadAck}, ccs.CodeInternalServerError, "InternalServerError", 500},
		{"a code that nobody knows", &ccs.NackError{Code: "WHATEVER"}, ccs.CodeInternalServerError, "InternalServerError", 500},
	} {
		t.Run(tt.name+", XMPP", func(t *testing.T) {
			nack := translate.Nack(tt.err, nil)
			if nack.Code != tt.nack || !errors.Is(nack.Err, tt.err) {
				t.Errorf("got %v, want %s", nack, tt.nack)
			}
			for _, secret := range []string{"<", "secret", "project", "OAuth", "APNS or"} {
				if strings.Contains(nack.Text(), secret) && nack.Code != ccs.CodeInvalidAPNSCredential {
					t.Errorf("the sender reads %q", nack.Text())
				}
			}
		})
		t.Run(tt.name+", HTTP", func(t *testing.T) {
			if got := translate.LegacyResult(tt.err); got != tt.word {
				t.Errorf("got %s, want %s", got, tt.word)
			}
		})
		t.Run(tt.name+", v1", func(t *testing.T) {
			r := translate.Envelope(tt.err)
			e, _ := errors.AsType[*fcm.SendError](tt.err)
			if tt.v1 == 0 {
				if r != e.Reply {
					t.Errorf("got %+v, want FCM's own", r)
				}
				return
			}
			if r.HTTPStatus != tt.v1 || e != nil && r == e.Reply {
				t.Fatalf("got %+v, want %d", r, tt.v1)
			}
			// What an SDK makes of it is what the outcome means.
			switch class := fcm.Classify(device, fcm.ParseErrorReply(r.HTTPStatus, r.Append(nil))); {
			case tt.v1 == 503 && class == fcm.Unavailable && r.Code == fcm.CodeUnavailable:
			case tt.v1 == 500 && class == fcm.Internal && r.Code == fcm.CodeInternal:
			case tt.v1 < 500 && (translate.Nack(&fcm.SendError{Class: class}, nil).Code == tt.nack || tt.nack == ccs.CodeTopicsMessageRateExceeded && r.Code == fcm.CodeQuotaExceeded):
			default:
				t.Errorf("%+v is of class %v", r, class)
			}
			if strings.ContainsAny(r.Message, "<>") || strings.Contains(r.Message, "secret") {
				t.Errorf("the caller reads %q", r.Message)
			}
		})
	}
}

func TestNoErrorIsNoFault(t *testing.T) {
	if n := translate.Nack(nil, nil); n != nil {
		t.Errorf("Nack = %v", n)
	}
	if e := translate.Envelope(nil); e != nil {
		t.Errorf("Envelope = %v", e)
	}
	if w, a := translate.LegacyResult(nil), translate.RetryAfter(nil); w != "" || a != 0 {
		t.Errorf("%q, %v", w, a)
	}
}

// TestT_47_OurFaultsCostNoToken asks for every class that is not the address's.
func TestT_47_OurFaultsCostNoToken(t *testing.T) {
	for class := fcm.Class(0); class <= fcm.Expired+1; class++ {
		if class == fcm.Unregistered || class == fcm.MalformedToken || class == fcm.SenderIDMismatch {
			continue
		}
		for _, opt := range []*translate.Options{nil, {AuthenticationFailed: true}} {
			err := &fcm.SendError{Class: class}
			switch translate.Nack(err, opt).Code {
			case ccs.CodeDeviceUnregistered, ccs.CodeBadRegistration, ccs.CodeSenderIDMismatch:
				t.Errorf("%v costs a token over XMPP", class)
			}
			switch translate.LegacyResult(err) {
			case translate.NotRegistered, translate.InvalidRegistration, translate.MismatchSenderID:
				t.Errorf("%v costs a token over HTTP", class)
			}
			switch translate.Envelope(err).Code {
			case fcm.CodeUnregistered, fcm.CodeSenderIDMismatch:
				t.Errorf("%v costs a token over v1", class)
			}
		}
	}
}

func TestT_46_AuthenticationFailedIsASetting(t *testing.T) {
	on := &translate.Options{AuthenticationFailed: true}
	for _, tt := range []struct {
		name string
		err  error
		want ccs.Code
	}{
		{"a credential", &fcm.SendError{Class: fcm.Credential}, ccs.CodeAuthenticationFailed},
		{"a permission", answered(fcm.TargetDevice, 403, v1(403, "PERMISSION_DENIED", "x", errorInfo("IAM_PERMISSION_DENIED"))), ccs.CodeAuthenticationFailed},
		{"a far end that does not know us", &ccs.NackError{Code: ccs.CodeAuthenticationFailed}, ccs.CodeAuthenticationFailed},
		{"a wrong path", answered(fcm.TargetDevice, 404, html), ccs.CodeServiceUnavailable},
		{"no reply about a configuration", &fcm.SendError{Class: fcm.Configuration}, ccs.CodeServiceUnavailable},
		{"overload", &fcm.SendError{Class: fcm.Unavailable}, ccs.CodeServiceUnavailable},
	} {
		if got := translate.Nack(tt.err, on).Code; got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		// Other settings do not switch it on.
		if got := translate.Nack(tt.err, &translate.Options{PassThrough: true}).Code; got != ccs.CodeServiceUnavailable {
			t.Errorf("%s, and it is off: got %s, want SERVICE_UNAVAILABLE", tt.name, got)
		}
	}
}

func TestAnUnknownOutcomeIsSaidToBeOne(t *testing.T) {
	for _, class := range []fcm.Class{fcm.Unavailable, fcm.Internal, 0} {
		err := &fcm.SendError{Class: class, OutcomeUnknown: true, Err: errors.New("secret")}
		nack := translate.Nack(err, nil)
		if nack.Code != ccs.CodeServiceUnavailable || !strings.HasPrefix(nack.Text(), "outcome unknown: ") {
			t.Errorf("%v: %v", class, nack)
		}
		if w := translate.LegacyResult(err); w != translate.Unavailable {
			t.Errorf("%v: %s", class, w)
		}
		if r := translate.Envelope(err); r.HTTPStatus != 503 || !strings.Contains(r.Message, "unknown") {
			t.Errorf("%v: %+v", class, r)
		}
	}
	// A verdict is one, whatever became of an attempt before it.
	if nack := translate.Nack(&fcm.SendError{Class: fcm.Unregistered, OutcomeUnknown: true}, nil); nack.Code != ccs.CodeDeviceUnregistered {
		t.Errorf("%v", nack)
	}
}

func TestExpiredIsSaidToBe(t *testing.T) {
	if nack := translate.Nack(&fcm.SendError{Class: fcm.Expired}, nil); !strings.Contains(nack.Text(), "time to live") {
		t.Error(nack)
	}
}

func TestT_48_WhatSendersReadOfAnInvalidMessage(t *testing.T) {
	invalid := func(violations ...fcm.FieldViolation) error {
		return &fcm.SendError{Class: fcm.InvalidMessage, Reply: &fcm.Error{HTTPStatus: 400, Message: "<html>", BadRequest: &fcm.BadRequest{Violations: violations}}}
	}
	tooLarge := &fcm.SendError{Class: fcm.InvalidMessage, Reply: &fcm.Error{
		HTTPStatus: 400, Message: "Message is too large. The maximum is 4K (4096 bytes).", BadRequest: &fcm.BadRequest{},
	}}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"T-48 fields and what is wrong with them", invalid(fcm.FieldViolation{Field: "message.a", Description: "b"}, fcm.FieldViolation{Field: "c"}, fcm.FieldViolation{Description: "d"}), "message.a: b; c; d"},
		{"T-48 never HTML", invalid(fcm.FieldViolation{Field: "message.a", Description: "<html><p>b"}, fcm.FieldViolation{Field: "<p>"}), ccs.CodeInvalidJSON.Sentence()},
		{"T-48 HTML beside what may be read", invalid(fcm.FieldViolation{Field: "message.a", Description: "<p>"}, fcm.FieldViolation{Field: "message.b", Description: "c"}), "message.b: c"},
		{"T-48 nothing invisible", invalid(fcm.FieldViolation{Field: "a\x00b", Description: "c\n\u200bd\xff"}), "a?b: c??d\ufffd"},
		{"T-48 at most 200 characters", invalid(fcm.FieldViolation{Field: "f", Description: strings.Repeat("é", 300)}), "f: " + strings.Repeat("é", 196) + "…"},
		{"T-48 exactly 200 characters", invalid(fcm.FieldViolation{Field: "f", Description: strings.Repeat("é", 197)}), "f: " + strings.Repeat("é", 197)},
		{"T-48 200 of several", invalid(fcm.FieldViolation{Description: strings.Repeat("a", 150)}, fcm.FieldViolation{Description: strings.Repeat("b", 150)}), strings.Repeat("a", 150) + "; " + strings.Repeat("b", 47) + "…"},
		{"T-48 no violations", invalid(), ccs.CodeInvalidJSON.Sentence()},
		{"T-48 S36 too large, which has no violations", tooLarge, "InvalidJson: MESSAGE_TOO_BIG : The message is larger than the far end takes"},
		{"T-48 S36 too large in the words of before", &fcm.SendError{Class: fcm.InvalidMessage, Reply: &fcm.Error{HTTPStatus: 400, Message: "iOS message is too big"}}, "InvalidJson: MESSAGE_TOO_BIG : The message is larger than the far end takes"},
		{"T-48 a far end's own text", &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "no such\nfield"}, "no such?field"},
		{"T-48 a far end's HTML", &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "<html>"}, ccs.CodeInvalidJSON.Sentence()},
		{"T-48 a far end's text about anything else", &ccs.NackError{Code: ccs.CodeServiceUnavailable, Description: "project X"}, ccs.CodeServiceUnavailable.Sentence()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := translate.Nack(tt.err, nil).Text()
			if got != tt.want || !utf8.ValidString(got) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestEnvelopeTellsAFarEndsReason(t *testing.T) {
	r := translate.Envelope(&ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "no such field"})
	if r.BadRequest == nil || len(r.BadRequest.Violations) != 1 || r.BadRequest.Violations[0].Description != "no such field" {
		t.Errorf("%+v", r.BadRequest)
	}
	if r := translate.Envelope(&ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "<p>"}); r.BadRequest != nil {
		t.Errorf("%+v", r.BadRequest)
	}
	if r := translate.Envelope(&ccs.NackError{Code: ccs.CodeBadRegistration}); r.BadRequest == nil || r.BadRequest.Violations[0].Field != "message.token" {
		t.Errorf("%+v", r)
	}
}

// TestEnvelopeKeepsNoUnreadableReply asks about replies of which nothing could
// be read: a caller gets one that its SDK can read.
func TestEnvelopeKeepsNoUnreadableReply(t *testing.T) {
	for name, reply := range map[string]*fcm.Error{
		"none":         nil,
		"no JSON":      {HTTPStatus: 400, Status: invalidArgument, NotJSON: true},
		"no status":    {HTTPStatus: 400},
		"no failure":   {HTTPStatus: 200, Status: invalidArgument},
		"nothing else": {},
	} {
		r := translate.Envelope(&fcm.SendError{Class: fcm.InvalidMessage, Reply: reply})
		if r == reply || r.HTTPStatus != 400 || r.Status != invalidArgument || r.Code != fcm.CodeInvalidArgument || r.Message == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"what FCM asked for", &fcm.SendError{Class: fcm.Unavailable, RetryAfter: 3 * time.Second}, 3 * time.Second},
		{"overload", &fcm.SendError{Class: fcm.Unavailable}, 10 * time.Second},
		{"inside FCM", &fcm.SendError{Class: fcm.Internal}, 10 * time.Second},
		{"a credential", &fcm.SendError{Class: fcm.Credential}, 10 * time.Second},
		{"the project's quota", &fcm.SendError{Class: fcm.ProjectQuota}, time.Minute},
		{"a device's quota", &fcm.SendError{Class: fcm.DeviceQuota}, time.Minute},
		{"a topic's quota", &fcm.SendError{Class: fcm.TopicQuota}, time.Minute},
		{"a topic's quota, asked for", &fcm.SendError{Class: fcm.TopicQuota, RetryAfter: time.Hour}, time.Hour},
		{"expired", &fcm.SendError{Class: fcm.Expired}, 10 * time.Second},
		{"a verdict", &fcm.SendError{Class: fcm.Unregistered, RetryAfter: time.Second}, 0},
		{"a far end's", &ccs.NackError{Code: ccs.CodeServiceUnavailable}, 10 * time.Second},
		{"ours", errors.New("x"), 10 * time.Second},
	} {
		if got := translate.RetryAfter(tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRefuseTellsTheRuleOfCCS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		m     ccs.Downstream
		field string
		word  string
	}{
		{"too big", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"k": strings.Repeat("x", 4096)}}, "data", translate.MessageTooBig},
		{"a reserved key", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"priority": "x"}}, "data", translate.InvalidDataKey},
		{"a time to live", ccs.Downstream{To: "T", MessageID: "m", TTL: new(time.Duration(-1))}, "time_to_live", translate.InvalidTTL},
		{"a priority", ccs.Downstream{To: "T", MessageID: "m", Priority: "x"}, "priority", translate.InvalidParameters},
	} {
		wrong, ok := errors.AsType[*ccs.FieldError](tt.m.Validate())
		if !ok {
			t.Fatalf("%s: valid", tt.name)
		}
		err := translate.Refuse(wrong)
		wantClass(t, err, fcm.InvalidMessage, tt.field)
		if got := translate.LegacyResult(err); got != tt.word {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.word)
		}
	}
	reserved := ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"priority": "x"}}
	wrong, _ := errors.AsType[*ccs.FieldError](reserved.Validate())
	if v := translate.Refuse(wrong).Violations(); v[0].Description != "Invalid data payload key: priority" {
		t.Errorf("%+v", v)
	}
	wrong = &ccs.FieldError{Field: "data", Reason: "x"}
	if v := translate.Refuse(wrong).Violations(); v[0].Description != "x" {
		t.Errorf("%+v", v)
	}
}
