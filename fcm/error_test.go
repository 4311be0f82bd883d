package fcm_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/fcm"
)

func TestAnswersAreReadAndClassified(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, a := range answers {
		for _, word := range strings.Fields(a.name) {
			if n, ok := strings.CutPrefix(word, "E"); ok {
				seen[strings.TrimSuffix(n, "a")] = true
			}
		}
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			got := fcm.ParseErrorReply(a.http, []byte(a.body))
			want := a.want
			want.HTTPStatus = a.http
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("read\n%#v, want\n%#v", *got, want)
			}
			if class := fcm.Classify(a.target, got); class != a.class {
				t.Errorf("class %v, want %v", class, a.class)
			}
		})
	}
	for n := 1; n <= 26; n++ {
		if !seen[strconv.Itoa(n)] {
			t.Errorf("no answer of kind E%d is in the table", n)
		}
	}
}

// TestS_39_OrderOfDetailsDoesNotMatter turns the details of each answer round,
// each way.
func TestS_39_OrderOfDetailsDoesNotMatter(t *testing.T) {
	t.Parallel()
	turned := 0
	for _, a := range answers {
		var envelope struct {
			Error map[string]any `json:"error"`
		}
		if json.Unmarshal([]byte(a.body), &envelope) != nil {
			continue
		}
		details, _ := envelope.Error["details"].([]any)
		for range details {
			details = append(details[1:], details[0])
			envelope.Error["details"] = details
			body, err := json.Marshal(envelope)
			if err != nil {
				t.Fatal(err)
			}
			turned++
			got := fcm.ParseErrorReply(a.http, body)
			want := a.want
			want.HTTPStatus = a.http
			if !reflect.DeepEqual(*got, want) || fcm.Classify(a.target, got) != a.class {
				t.Errorf("%s, as %s: %#v", a.name, body, *got)
			}
		}
	}
	if turned < 40 {
		t.Errorf("only %d orders were tried", turned)
	}
}

func TestS_40_StrangeRepliesAreRead(t *testing.T) {
	t.Parallel()
	const fcmError = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}`
	for _, c := range []struct {
		name, body string
		http       int
		class      fcm.Class
		want       fcm.Error
	}{
		{
			"S-40 an unknown type of detail", `{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.new.Thing","errorCode":"INTERNAL"},` + fcmError + `]}}`,
			404, fcm.Unregistered, fcm.Error{Status: "NOT_FOUND", Code: fcm.CodeUnregistered},
		},
		{
			"S-40 an unknown code: the status decides", `{"error":{"status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"MOON_PHASE"}]}}`,
			503, fcm.Unavailable, fcm.Error{Status: "UNAVAILABLE", Code: "MOON_PHASE"},
		},
		{
			"S-40 the code that says nothing: the status decides", `{"error":{"status":"INTERNAL","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNSPECIFIED_ERROR"}]}}`,
			500, fcm.Internal, fcm.Error{Status: "INTERNAL", Code: fcm.CodeUnspecified},
		},
		{"S-40 an unknown status: HTTP's decides", `{"error":{"status":"TIRED"}}`, 503, fcm.Unavailable, fcm.Error{Status: "TIRED"}},
		{"S-40 an unknown reason: the status decides", `{"error":{"status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"MOON"}]}}`, 403, fcm.Configuration, fcm.Error{Status: "PERMISSION_DENIED", Info: &fcm.ErrorInfo{Reason: "MOON"}}},
		{
			"S-41 the older name of FcmError", `{"error":{"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmErrorCode","errorCode":"UNREGISTERED"}]}}`,
			404, fcm.Unregistered, fcm.Error{Status: "NOT_FOUND", Code: fcm.CodeUnregistered},
		},
		{"the first of two equal types counts", `{"error":{"details":[` + fcmError + `,{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INTERNAL"}]}}`, 404, fcm.Unregistered, fcm.Error{Code: fcm.CodeUnregistered}},
		{"wrong types everywhere", `{"error":{"code":"x","status":5,"message":{},"details":[7,null,[],{"@type":3},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":{"a":1}},{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":"410","reason":"Unregistered"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","metadata":[]}]}}`, 400, fcm.Unregistered, fcm.Error{BadRequest: &fcm.BadRequest{}, APNS: &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"}, Info: &fcm.ErrorInfo{}}},
		{"details that are no list", `{"error":{"status":"INTERNAL","details":{"@type":"x"}}}`, 500, fcm.Internal, fcm.Error{Status: "INTERNAL"}},
		{"an error that is a string", `{"error":"Deprecated endpoint"}`, 404, fcm.Configuration, fcm.Error{}},
		{"an empty object", `{}`, 500, fcm.Internal, fcm.Error{}},
		{"no body", ``, 500, fcm.Unavailable, fcm.Error{NotJSON: true}},
		{"a list", `[{"error":{"status":"NOT_FOUND"}}]`, 400, fcm.InvalidMessage, fcm.Error{NotJSON: true}},
		{"cut short", `{"error":{"status":"NOT_FO`, 503, fcm.Unavailable, fcm.Error{NotJSON: true}},
		{"two objects", `{"error":{}} {"error":{}}`, 503, fcm.Unavailable, fcm.Error{NotJSON: true}},
		{"not UTF-8", "{\"error\":{\"message\":\"\xff\"}}", 500, fcm.Unavailable, fcm.Error{NotJSON: true}},
		{"Apple's other faults leave it to the status", `{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":400,"reason":"BadDeviceToken"}]}}`, 400, fcm.InvalidMessage, fcm.Error{Status: invalid, APNS: &fcm.APNSError{StatusCode: 400, Reason: "BadDeviceToken"}}},
		{"another 410 of Apple's", `{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"ExpiredToken"}]}}`, 400, fcm.InvalidMessage, fcm.Error{Status: invalid, APNS: &fcm.APNSError{StatusCode: 410, Reason: "ExpiredToken"}}},
		{"Unregistered without 410", `{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":400,"reason":"Unregistered"}]}}`, 400, fcm.InvalidMessage, fcm.Error{Status: invalid, APNS: &fcm.APNSError{StatusCode: 400, Reason: "Unregistered"}}},
		{"the code goes before Apple's 410", `{"error":{"status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"SENDER_ID_MISMATCH"},{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"Unregistered"}]}}`, 403, fcm.SenderIDMismatch, fcm.Error{Status: "PERMISSION_DENIED", Code: fcm.CodeSenderIDMismatch, APNS: &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"}}},
		{"the code goes before the reason", `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"}]}}`, 429, fcm.DeviceQuota, fcm.Error{Status: "RESOURCE_EXHAUSTED", Code: fcm.CodeQuotaExceeded, Info: &fcm.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED"}}},
		{"the reason goes before the status", `{"error":{"status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"}]}}`, 403, fcm.ProjectQuota, fcm.Error{Status: "PERMISSION_DENIED", Info: &fcm.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED"}}},
		{"the field alone proves a token malformed", `{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.android"},{"field":"message.token","description":"d"}]}]}}`, 400, fcm.MalformedToken, fcm.Error{Status: invalid, BadRequest: &fcm.BadRequest{Violations: []fcm.FieldViolation{{Field: "message.android"}, {Field: "message.token", Description: "d"}}}}},
		{"the sentence proves nothing beside BadRequest", `{"error":{"status":"INVALID_ARGUMENT","message":"` + notAToken + `","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest"},{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, 400, fcm.InvalidMessage, fcm.Error{Status: invalid, Message: notAToken, Code: fcm.CodeInvalidArgument, BadRequest: &fcm.BadRequest{}}},
		{"the sentence proves nothing without FcmError", `{"error":{"status":"INVALID_ARGUMENT","message":"` + notAToken + `"}}`, 400, fcm.InvalidMessage, fcm.Error{Status: invalid, Message: notAToken}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := fcm.ParseErrorReply(c.http, []byte(c.body))
			c.want.HTTPStatus = c.http
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("read\n%#v, want\n%#v", *got, c.want)
			}
			if class := fcm.Classify(fcm.TargetDevice, got); class != c.class {
				t.Errorf("class %v, want %v", class, c.class)
			}
		})
	}
}

func TestDetailsGoBeforeStatuses(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]fcm.Class{
		"RATE_LIMIT_EXCEEDED": fcm.ProjectQuota, "ACCESS_TOKEN_EXPIRED": fcm.Credential, "CREDENTIALS_MISSING": fcm.Credential,
		"IAM_PERMISSION_DENIED": fcm.Configuration, "SERVICE_DISABLED": fcm.Configuration, "ACCESS_TOKEN_SCOPE_INSUFFICIENT": fcm.Configuration,
	} {
		e := &fcm.Error{HTTPStatus: 503, Status: "UNAVAILABLE", Info: &fcm.ErrorInfo{Reason: reason}}
		if got := fcm.Classify(fcm.TargetDevice, e); got != want {
			t.Errorf("the reason %s is %v, want %v", reason, got, want)
		}
	}
	gone := &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"}
	for code, want := range map[fcm.ErrorCode]fcm.Class{
		"": fcm.Unregistered, fcm.CodeUnspecified: fcm.Unregistered, fcm.CodeInvalidArgument: fcm.Unregistered, fcm.CodeUnregistered: fcm.Unregistered,
		fcm.CodeThirdPartyAuth: fcm.ThirdPartyAuth, fcm.CodeSenderIDMismatch: fcm.SenderIDMismatch, fcm.CodeUnavailable: fcm.Unavailable,
		fcm.CodeInternal: fcm.Internal, fcm.CodeQuotaExceeded: fcm.DeviceQuota,
	} {
		if got := fcm.Classify(fcm.TargetDevice, &fcm.Error{HTTPStatus: 404, Status: "NOT_FOUND", Code: code, APNS: gone}); got != want {
			t.Errorf("%q with Apple's 410 is %v, want %v", code, got, want)
		}
	}
}

func TestStatusesDecideWhereNothingElseDoes(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]fcm.Class{
		"INVALID_ARGUMENT": fcm.InvalidMessage, "FAILED_PRECONDITION": fcm.InvalidMessage, "OUT_OF_RANGE": fcm.InvalidMessage,
		"UNAUTHENTICATED": fcm.Credential, "PERMISSION_DENIED": fcm.Configuration, "NOT_FOUND": fcm.Configuration,
		"UNIMPLEMENTED": fcm.Configuration, "RESOURCE_EXHAUSTED": fcm.ProjectQuota,
		"INTERNAL": fcm.Internal, "UNKNOWN": fcm.Internal, "DATA_LOSS": fcm.Internal,
		"UNAVAILABLE": fcm.Unavailable, "DEADLINE_EXCEEDED": fcm.Unavailable, "CANCELLED": fcm.Unavailable, "ABORTED": fcm.Unavailable,
	} {
		if got := fcm.Classify(fcm.TargetDevice, &fcm.Error{HTTPStatus: 418, Status: status}); got != want {
			t.Errorf("%s is %v, want %v", status, got, want)
		}
	}
	for http, want := range map[int]fcm.Class{
		0: fcm.Unavailable, 200: fcm.Unavailable, 204: fcm.Unavailable, // no answer, or a success that cannot be read
		301: fcm.Configuration, 302: fcm.Configuration, 307: fcm.Configuration, 308: fcm.Configuration,
		400: fcm.InvalidMessage, 401: fcm.Credential, 403: fcm.Configuration, 404: fcm.Configuration, 405: fcm.Configuration,
		408: fcm.Unavailable, 410: fcm.Configuration, 413: fcm.InvalidMessage, 415: fcm.Configuration, 429: fcm.ProjectQuota,
		499: fcm.Unavailable, 500: fcm.Unavailable, 502: fcm.Unavailable, 503: fcm.Unavailable, 504: fcm.Unavailable, 599: fcm.Unavailable,
	} {
		if got := fcm.Classify(fcm.TargetDevice, &fcm.Error{HTTPStatus: http, NotJSON: true}); got != want {
			t.Errorf("HTTP %d without JSON is %v, want %v", http, got, want)
		}
	}
	if got := fcm.Classify(fcm.TargetDevice, &fcm.Error{HTTPStatus: 500}); got != fcm.Internal {
		t.Errorf("HTTP 500 with JSON is %v", got)
	}
	if got := fcm.Classify(fcm.TargetDevice, nil); got != fcm.Unavailable {
		t.Errorf("no answer is %v", got)
	}
}

// TestS_21_NothingOfAPageIsKept looks for the page's words in all that is made
// of it.
func TestS_21_NothingOfAPageIsKept(t *testing.T) {
	t.Parallel()
	e := fcm.ParseErrorReply(404, []byte("<html><title>Error 404 (Not Found)!!1</title><code>/v1/projects/secret</code></html>"))
	for _, text := range []string{string(e.Append(nil)), (&fcm.SendError{Class: fcm.Classify(fcm.TargetDevice, e), Reply: e}).Error()} {
		if strings.Contains(text, "html") || strings.Contains(text, "secret") {
			t.Errorf("the page is in %q", text)
		}
	}
}

func TestR_A65_RepliesAreBounded(t *testing.T) {
	t.Parallel()
	long := "x" + strings.Repeat("ä", 10_000)
	many := `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[` + strings.Repeat(`{"field":"f"},`, 200) + `{"field":"f"}]}`
	e := fcm.ParseErrorReply(400, []byte(`{"error":{"message":"`+long+`","details":[`+many+`]}}`))
	if len(e.Message) != 4095 || !utf8.ValidString(e.Message) {
		t.Errorf("%d bytes of the message are kept", len(e.Message))
	}
	if n := len(e.BadRequest.Violations); n != 64 {
		t.Errorf("%d violations are kept", n)
	}
	fill := strings.Repeat(`{},`, 64)
	e = fcm.ParseErrorReply(400, []byte(`{"error":{"details":[`+fill+`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INTERNAL"}]}}`))
	if e.Code != "" {
		t.Error("the 65th detail was read")
	}
	body := `{"error":{"status":"NOT_FOUND"}}`
	padding := strings.Repeat(" ", fcm.MaxReplySize-len(body))
	if e := fcm.ParseErrorReply(404, []byte(body+padding)); e.Status != "NOT_FOUND" {
		t.Errorf("a body of %d bytes was not read", fcm.MaxReplySize)
	}
	if e := fcm.ParseErrorReply(404, []byte(body+padding+" ")); !e.NotJSON || e.Status != "" {
		t.Errorf("a body of %d bytes was read", fcm.MaxReplySize+1)
	}
	metadata := make(map[string]string)
	for i := range 100 {
		metadata[strconv.Itoa(i)] = "v"
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	e = fcm.ParseErrorReply(403, []byte(`{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","metadata":`+string(raw)+`}]}}`))
	if n := len(e.Info.Metadata); n != 64 {
		t.Errorf("%d entries of metadata are kept", n)
	}
}

// TestF_02_ErrorsAreWrittenAsGoogleWritesThem compares byte for byte with a reply
// of FCM's whose details stand in our order.
func TestF_02_ErrorsAreWrittenAsGoogleWritesThem(t *testing.T) {
	t.Parallel()
	e := &fcm.Error{
		HTTPStatus: 400, Status: "INVALID_ARGUMENT", Message: "Say \"aa\" < é\n\xff", Code: fcm.CodeInvalidArgument,
		APNS:       &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"},
		BadRequest: &fcm.BadRequest{Violations: []fcm.FieldViolation{{Field: "message.token", Description: "one"}, {Description: "two"}}},
		Info:       &fcm.ErrorInfo{Reason: "R", Domain: "d", Metadata: map[string]string{"b": "2", "a": "1", "e": "5", "d": "4", "c": "3"}},
	}
	want := `{
  "error": {
    "code": 400,
    "message": "Say \"aa\" < é\n` + "\ufffd" + `",
    "status": "INVALID_ARGUMENT",
    "details": [
      {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": "INVALID_ARGUMENT"
      },
      {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": 410,
        "reason": "Unregistered"
      },
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
          {
            "field": "message.token",
            "description": "one"
          },
          {
            "description": "two"
          }
        ]
      },
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "R",
        "domain": "d",
        "metadata": {
          "a": "1",
          "b": "2",
          "c": "3",
          "d": "4",
          "e": "5"
        }
      }
    ]
  }
}
`
	if got := string(e.Append(nil)); got != want {
		t.Errorf("written\n%s\nwant\n%s", got, want)
	}
	if got := string((&fcm.Error{HTTPStatus: 404, Status: "NOT_FOUND", BadRequest: &fcm.BadRequest{}}).Append([]byte("x"))); got != `x{
  "error": {
    "code": 404,
    "message": "",
    "status": "NOT_FOUND",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest"
      }
    ]
  }
}
` {
		t.Errorf("written\n%s", got)
	}
	compact, err := json.Marshal(fcm.Error{HTTPStatus: 500, Status: "INTERNAL"})
	if err != nil || string(compact) != `{"error":{"code":500,"message":"","status":"INTERNAL"}}` {
		t.Errorf("MarshalJSON: %s, %v", compact, err)
	}
}

// TestF_02_ErrorsSurviveBeingWrittenAndRead writes what was read of each answer,
// and reads it again.
func TestF_02_ErrorsSurviveBeingWrittenAndRead(t *testing.T) {
	t.Parallel()
	for _, a := range answers {
		if a.want.NotJSON {
			continue
		}
		first := fcm.ParseErrorReply(a.http, []byte(a.body))
		second := fcm.ParseErrorReply(a.http, first.Append(nil))
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: first %#v, then %#v", a.name, first, second)
		}
	}
}

// canonical are the names that SDKs know.
var canonical = []string{
	"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "ABORTED", "ALREADY_EXISTS",
	"RESOURCE_EXHAUSTED", "CANCELLED", "INTERNAL", "UNKNOWN", "DATA_LOSS", "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
}

func TestOnlyCanonicalStatusesAreWritten(t *testing.T) {
	t.Parallel()
	for _, status := range append([]string{"", "UNREGISTERED", "QUOTA_EXCEEDED", "OK", "ok"}, canonical...) {
		for _, http := range []int{0, 302, 400, 401, 403, 404, 409, 413, 429, 499, 500, 501, 502, 503, 504} {
			got := fcm.ParseErrorReply(http, (&fcm.Error{HTTPStatus: http, Status: status}).Append(nil)).Status
			if !slices.Contains(canonical, got) || slices.Contains(canonical, status) && got != status {
				t.Errorf("HTTP %d with status %q is written with %q", http, status, got)
			}
		}
	}
	for http, want := range map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 413: "INVALID_ARGUMENT",
		429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	} {
		if got := fcm.ParseErrorReply(http, (&fcm.Error{HTTPStatus: http, Status: "?"}).Append(nil)).Status; got != want {
			t.Errorf("HTTP %d is written with %q, want %q", http, got, want)
		}
	}
}

func TestSendErrorsTellClassAndCauseWithoutGooglesSentence(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection reset")
	e := &fcm.SendError{
		Class: fcm.MalformedToken, OutcomeUnknown: true, Err: cause,
		Reply: &fcm.Error{HTTPStatus: 400, Status: "INVALID_ARGUMENT", Code: fcm.CodeInvalidArgument, Message: "of project secret", BadRequest: violation("message.token", "text")},
	}
	if got, want := e.Error(), "malformed_token, outcome unknown (HTTP 400 INVALID_ARGUMENT INVALID_ARGUMENT): connection reset"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(e, cause) {
		t.Error("the cause is not wrapped")
	}
	for reason, want := range map[string]string{
		"":                            "configuration (HTTP 403 PERMISSION_DENIED)",
		"SERVICE_DISABLED":            "configuration (HTTP 403 PERMISSION_DENIED SERVICE_DISABLED)",
		"for project secret":          "configuration (HTTP 403 PERMISSION_DENIED)",
		strings.Repeat("LONGER_", 10): "configuration (HTTP 403 PERMISSION_DENIED)",
	} {
		e := &fcm.SendError{Class: fcm.Configuration, Reply: &fcm.Error{HTTPStatus: 403, Status: "PERMISSION_DENIED", Info: &fcm.ErrorInfo{Reason: reason}}}
		if got := e.Error(); got != want {
			t.Errorf("Error() with the reason %q = %q, want %q", reason, got, want)
		}
	}
	if v := e.Violations(); len(v) != 1 || v[0].Field != "message.token" {
		t.Errorf("Violations() = %v", v)
	}
	for _, e := range []*fcm.SendError{{}, {Reply: &fcm.Error{}}} {
		if e.Violations() != nil {
			t.Error("violations out of nothing")
		}
	}
	if got := (&fcm.SendError{Class: fcm.Expired}).Error(); got != "expired" {
		t.Errorf("Error() = %q", got)
	}
}

func TestClassesHaveWords(t *testing.T) {
	t.Parallel()
	words := map[fcm.Class]string{
		0: "none", fcm.Unregistered: "unregistered", fcm.MalformedToken: "malformed_token", fcm.SenderIDMismatch: "sender_id_mismatch",
		fcm.InvalidMessage: "invalid_message", fcm.ThirdPartyAuth: "third_party_auth", fcm.ProjectQuota: "project_quota",
		fcm.DeviceQuota: "device_quota", fcm.TopicQuota: "topic_quota", fcm.Unavailable: "unavailable", fcm.Internal: "internal",
		fcm.Credential: "credential", fcm.Configuration: "configuration", fcm.Expired: "expired", fcm.Expired + 1: "none",
	}
	final := []fcm.Class{fcm.Unregistered, fcm.MalformedToken, fcm.SenderIDMismatch, fcm.InvalidMessage, fcm.ThirdPartyAuth, fcm.Expired}
	for c, want := range words {
		if c.String() != want {
			t.Errorf("class %d is %q, want %q", c, c, want)
		}
		if c.Final() != slices.Contains(final, c) {
			t.Errorf("%v is final: %v", c, c.Final())
		}
	}
}

// What a far end writes where Google has words reaches no log: it could echo what
// it was sent.
func TestR_A54_WordsOfAnotherShapeAreNotTold(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"canary:APA91b", "canary", "CANARY PAYLOAD", strings.Repeat("CANARY", 11)} {
		text := (&fcm.SendError{Class: fcm.Unavailable, Reply: &fcm.Error{
			HTTPStatus: 503, Status: word, Code: fcm.ErrorCode(word), Info: &fcm.ErrorInfo{Reason: word},
		}}).Error()
		if text != "unavailable (HTTP 503)" {
			t.Errorf("%q is told as %q", word, text)
		}
	}
}
