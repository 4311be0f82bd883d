package v1_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"penstock/internal/front/v1"
)

// sent is what would be written to FCM for the only message of a request.
func sent(t *testing.T, f *front, got reply) string {
	t.Helper()
	list := f.lane.submitted()
	if got.status != 200 || len(list) != 1 || list[0].V1 == nil || list[0].CCS != nil {
		t.Fatalf("got %d %s, sent %v", got.status, got.body, list)
	}
	return string(list[0].V1.Append(nil))
}

func TestF_01_WhatFCMTakesIsTaken(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"F-01 snake_case", `{"message":{"token":"T","android":{"collapse_key":"c","ttl":"3.5s"}},"validate_only":true}`, `{"message":{"android":{"collapse_key":"c","ttl":"3.500000000s"},"token":"T"},"validate_only":true}`},
		{"F-01 camelCase", `{"message":{"token":"T","android":{"collapseKey":"c","ttl":"3s"}},"validateOnly":true}`, `{"message":{"android":{"collapse_key":"c","ttl":"3s"},"token":"T"},"validate_only":true}`},
		{"F-01 without a check of the whole", `{"message":{"fid":"F"},"validateOnly":false}`, `{"message":{"fid":"F"}}`},
		{"F-01 numbers of enumerations", `{"message":{"token":"T","android":{"priority":1,"notification":{"visibility":2}}}}`, `{"message":{"android":{"priority":"HIGH","notification":{"visibility":"PUBLIC"}},"token":"T"}}`},
		{"F-01 numbers in quotes, null and base64", `{"message":{"token":"T","topic":null,"data":{"k":"aGk="},"android":{"notification":{"notificationCount":"3"}}}}`, `{"message":{"data":{"k":"aGk="},"android":{"notification":{"notification_count":3}},"token":"T"}}`},
		{"F-01 four weeks and half a second", `{"message":{"token":"T","android":{"ttl":"2419200.5s"}}}`, `{"message":{"android":{"ttl":"2419200.500000000s"},"token":"T"}}`},
		{"F-01 a topic", `{"message":{"topic":"news","data":{"k":"v"}}}`, `{"message":{"data":{"k":"v"},"topic":"news"}}`},
		{"F-01 a condition", `{"message":{"condition":"'a' in topics"}}`, `{"message":{"condition":"'a' in topics"}}`},
		{"F-01 tomorrow's fields", `{"message":{"token":"T","android":{"future":{"x":[1]}},"newThing":1},"other":"y"}`, `{"message":{"android":{"future":{"x":[1]}},"token":"T","newThing":1},"other":"y"}`},
		{"F-09 the last of equal keys", `{"message":{"token":"A"},"message":{"token":"A","token":"B","data":{"k":"1","k":"2"}}}`, `{"message":{"data":{"k":"2"},"token":"B"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, good, nil)
			before := time.Now()
			if got := sent(t, f, f.post(t, tt.body)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if at := f.lane.submitted()[0].Accepted; at.Before(before) || at.After(time.Now()) {
				t.Errorf("accepted at %v", at)
			}
		})
	}
}

func TestF_01_F_02_WhatFCMWouldRefuseIsRefusedHere(t *testing.T) {
	const (
		fcmError   = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}`
		badRequest = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[`
	)
	envelope := func(text, details string) string {
		return `{"error":{"code":400,"message":"` + text + `","status":"INVALID_ARGUMENT","details":[` + details + `]}}`
	}
	both := func(field, text string) string {
		return envelope(text, fcmError+`,`+badRequest+`{"field":"`+field+`","description":"`+text+`"}]}`)
	}
	only := func(field, text string) string {
		return envelope(text, badRequest+`{"field":"`+field+`","description":"`+text+`"}]}`)
	}
	for _, tt := range []struct {
		name, body string
		strict     bool
		want       string
	}{
		{"F-02 no recipient", `{"message":{}}`, false, both("message", "Recipient of the message is not set.")},
		{"F-02 no message", `{}`, false, both("message", "Recipient of the message is not set.")},
		{"F-02 an empty body", ``, false, both("message", "Recipient of the message is not set.")},
		{"F-02 a bad topic", `{"message":{"topic":"bad#topic"}}`, false, both("message", "Topic name contains invalid characters.")},
		{"F-02 a reserved key", `{"message":{"token":"T","data":{"from":"x"}}}`, false, both("message.data", "Invalid data payload key: from")},
		{"F-02 a number in data", `{"message":{"token":"T","data":{"a":12}}}`, false, only("message.data[0].value", "Invalid value at 'message.data[0].value' (TYPE_STRING), 12")},
		{"F-01 an unknown field, strictly", `{"message":{"toen":"T"}}`, true, only("message", `Invalid JSON payload received. Unknown name \"toen\" at 'message': Cannot find field.`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, good, &v1.Options{Strict: tt.strict})
			if got := f.post(t, tt.body); got.status != 400 || got.body != indent(t, tt.want) {
				t.Errorf("got  %d %s\nwant %s", got.status, got.body, indent(t, tt.want))
			}
			if fmt.Sprint(f.events.refused) != "[400]" || len(f.events.answered) > 0 {
				t.Errorf("told %v, %v", f.events.refused, f.events.answered)
			}
			f.quiet(t)
		})
	}
	for _, tt := range []struct{ name, body string }{
		{"F-02 two targets", `{"message":{"token":"T","topic":"news"}}`},
		{"F-02 both of Android's parts", `{"message":{"token":"T","android":{},"androidV2":{}}}`},
		{"F-02 a time to live without a unit", `{"message":{"token":"T","android":{"ttl":"10"}}}`},
		{"R-A28 no JSON", `hello`},
		{"R-A28 cut short", `{"message":{"token":"T"`},
		{"R-A28 two objects", simple + simple},
		{"R-A28 an array", `[` + simple + `]`},
		{"R-A28 invalid UTF-8", "{\"message\":{\"token\":\"\xff\"}}"},
		{"R-A28 a hundred thousand levels", `{"message":{"token":"T","apns":{"payload":{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}}}}`},
		{"R-A28 a hundred thousand that are not closed", strings.Repeat(`{"message":`, 90_000)},
		{"R-A28 1e400", `{"message":{"token":"T","android":{"notification":{"light_settings":{"color":{"red":1e400},"light_on_duration":"1s","light_off_duration":"1s"}}}}}`},
		{"F-02 a list of messages", `{"message":[{"token":"T"}]}`},
		{"F-02 a legacy message", `{"to":"T","data":{"k":"v"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, good, nil)
			got := f.post(t, tt.body)
			if got.status != 400 || !strings.Contains(got.body, `"status": "INVALID_ARGUMENT"`) || got.header.Get("Content-Type") != "application/json; charset=UTF-8" {
				t.Errorf("got %d %.300s", got.status, got.body)
			}
			f.quiet(t)
		})
	}
}

// zip compresses text.
func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// padded is a request of n bytes.
func padded(n int) string {
	const begin, end = `{"message":{"token":"T"},"x":"`, `"}`
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}

// What is too large is not inflated any further.
func TestR_A37_ABombOfGzipTakesNoMemory(t *testing.T) {
	f := newFront(t, good, nil)
	bomb := zip(t, strings.Repeat(" ", 32<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := f.ask(t, "POST", path, bomb, "Authorization", "Bearer "+key, "Content-Encoding", "gzip")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; got.status != 413 || n > 16<<20 {
		t.Errorf("got %d, and it took %d bytes", got.status, n)
	}
}

func TestF_10_R_A37_BodiesAndTheirLabels(t *testing.T) {
	const tooLarge = "The body is too large: at most 1048576 bytes are allowed."
	bare := func(head ...string) []string { return head }
	asJSON := func(head ...string) []string { return append(head, "Content-Type", "application/json") }
	for _, tt := range []struct {
		name, body string
		head       []string
		status     int
		text       string
	}{
		{"F-10 just the bound", padded(v1.MaxBody), asJSON(), 200, ""},
		{"F-10 a byte too much", padded(v1.MaxBody + 1), asJSON(), 413, tooLarge},
		{"F-10 R-A37 2 MiB", padded(2 << 20), asJSON(), 413, tooLarge},
		{"F-10 gzip", zip(t, simple), asJSON("Content-Encoding", "gzip"), 200, ""},
		{"F-10 gzip in capitals", zip(t, simple), asJSON("Content-Encoding", "GZIP"), 200, ""},
		{"F-10 gzip of just the bound", zip(t, padded(v1.MaxBody)), asJSON("Content-Encoding", "gzip"), 200, ""},
		{"F-10 gzip of a byte too much", zip(t, padded(v1.MaxBody+1)), asJSON("Content-Encoding", "gzip"), 413, tooLarge},
		{"F-10 a bomb of gzip", zip(t, strings.Repeat(" ", 4<<20)), asJSON("Content-Encoding", "gzip"), 413, tooLarge},
		{"R-A37 gzip that is none", simple, asJSON("Content-Encoding", "gzip"), 400, "The body could not be read."},
		{"R-A37 gzip cut short", zip(t, simple)[:20], asJSON("Content-Encoding", "gzip"), 400, "The body could not be read."},
		{"R-A37 gzip with something behind it", zip(t, simple) + "x", asJSON("Content-Encoding", "gzip"), 400, "The body could not be read."},
		{"R-A37 no encoding, said aloud", simple, asJSON("Content-Encoding", "identity"), 200, ""},
		{"R-A37 brotli", simple, asJSON("Content-Encoding", "br"), 415, "Content-Encoding must be gzip, or absent."},
		{"R-A37 gzip twice", zip(t, zip(t, simple)), asJSON("Content-Encoding", "gzip, gzip"), 415, "Content-Encoding must be gzip, or absent."},
		{"R-A37 gzip in two headers", zip(t, simple), asJSON("Content-Encoding", "gzip", "Content-Encoding", "gzip"), 415, "Content-Encoding must be gzip, or absent."},
		{"R-A37 JSON with a charset", simple, bare("Content-Type", "Application/JSON; charset=utf-8"), 200, ""},
		{"R-A37 no type", simple, bare(), 200, ""},
		{"R-A37 an empty type", simple, bare("Content-Type", ""), 200, ""},
		{"R-A37 a form", simple, bare("Content-Type", "application/x-www-form-urlencoded"), 415, "Content-Type must be application/json."},
		{"R-A37 text", simple, bare("Content-Type", "text/plain"), 415, "Content-Type must be application/json."},
		{"R-A37 protocol buffers", simple, bare("Content-Type", "application/x-protobuf"), 415, "Content-Type must be application/json."},
		{"R-A37 two types", simple, bare("Content-Type", "application/json", "Content-Type", "text/plain"), 415, "Content-Type must be application/json."},
		{"R-A37 a list of types", simple, bare("Content-Type", "application/json, text/plain"), 415, "Content-Type must be application/json."},
		{"R-A37 what the caller accepts is not looked at", simple, asJSON("Accept-Encoding", "gzip", "Accept", "text/html"), 200, ""},
	} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, announced %v", tt.name, announced), func(t *testing.T) {
				f := newFront(t, good, nil)
				r := httptest.NewRequest("POST", path, strings.NewReader(tt.body))
				r.Header.Set("Authorization", "Bearer "+key)
				for i := 0; i < len(tt.head); i += 2 {
					r.Header.Add(tt.head[i], tt.head[i+1])
				}
				if !announced {
					r.ContentLength = -1
				}
				rec := httptest.NewRecorder()
				f.ServeHTTP(rec, r)
				if rec.Code != tt.status {
					t.Fatalf("got %d %s", rec.Code, rec.Body)
				}
				if rec.Header().Get("Content-Encoding") != "" {
					t.Error("the answer is compressed")
				}
				if tt.status == 200 {
					if len(f.lane.submitted()) != 1 {
						t.Error("nothing was sent")
					}
					return
				}
				// RFC 9110, section 12.5.3: what would be taken is told.
				if refused := strings.Contains(tt.text, "Encoding"); refused != (rec.Header().Get("Accept-Encoding") == "gzip") {
					t.Errorf("Accept-Encoding %q", rec.Header().Get("Accept-Encoding"))
				}
				want := fmt.Sprintf("{\n  \"error\": {\n    \"code\": %d,\n    \"message\": %q,\n    \"status\": \"INVALID_ARGUMENT\"\n  }\n}\n", tt.status, tt.text)
				if rec.Body.String() != want {
					t.Errorf("got %s, want %s", rec.Body, want)
				}
				f.quiet(t)
			})
		}
	}
}
