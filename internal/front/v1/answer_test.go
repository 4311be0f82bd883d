package v1_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/front/v1"
)

func TestF_04_SuccessHasTheCallersProjectInItsName(t *testing.T) {
	for _, tt := range []struct{ name, segment, far, want string }{
		{"F-04 by id", "shop-1a2b3", "projects/1234567890/messages/0:15%31a", "projects/shop-1a2b3/messages/0:15%31a"},
		{"F-04 by number", "1234567890", "projects/shop-1a2b3/messages/0:15%31a", "projects/1234567890/messages/0:15%31a"},
		{"F-04 by our own name", "shop", "projects/shop-1a2b3/messages/5735816749", "projects/shop/messages/5735816749"},
		{"F-04 a name that is said twice", "shop", "projects/p/messages/a/messages/b", "projects/shop/messages/a/messages/b"},
		{"F-04 signs of HTML", "shop", "projects/p/messages/a&b", `projects/shop/messages/a\u0026b`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named(tt.far), nil)
			got := f.ask(t, "POST", "/v1/projects/"+tt.segment+"/messages:send", simple, "Authorization", "Bearer "+key, "Content-Type", "application/json")
			want := "{\n  \"name\": \"" + tt.want + "\"\n}\n"
			if got.status != 200 || got.body != want || got.header.Get("Content-Type") != "application/json; charset=UTF-8" {
				t.Errorf("got %d %s (%s), want 200 %s", got.status, got.body, got.header.Get("Content-Type"), want)
			}
			if fmt.Sprint(f.events.answered) != "[shop ok]" || len(f.events.refused) > 0 {
				t.Errorf("told %v, %v", f.events.answered, f.events.refused)
			}
		})
	}
}

// SDKs want a name, also where the far end gives none.
func TestF_02_AnAnswerWithoutANameGetsOne(t *testing.T) {
	seen := make(map[string]bool)
	for _, far := range []string{"", "", "projects/p/messages/", "strange"} {
		got := newFront(t, named(far), nil).post(t, simple)
		var body struct{ Name string }
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Fatal(err)
		}
		id, ok := strings.CutPrefix(body.Name, "projects/shop-1a2b3/messages/")
		if got.status != 200 || !ok || len(id) < 10 || seen[id] {
			t.Errorf("got %d %s", got.status, got.body)
		}
		seen[id] = true
	}
}

func TestF_01_BlanksAreLeftOutWhereAsked(t *testing.T) {
	compact := "{\"name\":\"projects/shop-1a2b3/messages/0:15%31a\"}\n"
	for query, want := range map[string]string{
		"":                                accepted,
		"?prettyPrint=true":               accepted,
		"?prettyPrint=false":              compact,
		"?alt=json&prettyPrint=false":     compact,
		"?%24prettyPrint=false":           compact,
		"?prettyPrint=0":                  compact,
		"?prettyPrint=true&prettyPrint=0": compact,
		"?prettyPrint=false&prettyPrint=": accepted,
		"?alt=json&$.xgafv=2&quotaUser=x&uploadType=media&upload_protocol=raw&fields=name&unknown=1": accepted,
	} {
		t.Run("F-01 "+query, func(t *testing.T) {
			f := newFront(t, good, nil)
			got := f.ask(t, "POST", path+query, simple, "Authorization", "Bearer "+key, "Content-Type", "application/json")
			if got.status != 200 || got.body != want {
				t.Errorf("got %d %q, want %q", got.status, got.body, want)
			}
		})
	}
	t.Run("F-02 errors too", func(t *testing.T) {
		f := newFront(t, failing(class(fcm.Unregistered)), nil)
		got := f.ask(t, "POST", path+"?prettyPrint=false", simple, "Authorization", "Bearer "+key, "Content-Type", "application/json")
		const want = `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}` + "\n"
		if got.status != 404 || got.body != want {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	for _, query := range []string{"?alt=media", "?alt=proto", "?%24alt=proto", "?callback=f", "?a=%zz"} {
		t.Run("F-01 refused "+query, func(t *testing.T) {
			f := newFront(t, good, nil)
			got := f.ask(t, "POST", path+query, simple, "Authorization", "Bearer "+key, "Content-Type", "application/json")
			if got.status != 400 || !strings.Contains(got.body, `"status": "INVALID_ARGUMENT"`) {
				t.Errorf("got %d %s", got.status, got.body)
			}
			f.quiet(t)
		})
	}
}

// Each outcome in the envelope by which SDKs tell it (docs/fcm-http.md,
// Outcomes).
func TestF_02_EveryOutcomeHasItsEnvelope(t *testing.T) {
	fromFCM := func(c fcm.Class, status int, body string) error {
		return &fcm.SendError{Class: c, Reply: fcm.ParseErrorReply(status, []byte(body))}
	}
	const apple = `{"error":{"code":401,"message":"Auth error from APNS or Web Push Service","status":"UNAUTHENTICATED","details":[` +
		`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"THIRD_PARTY_AUTH_ERROR"},` +
		`{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":403,"reason":"InvalidProviderToken"}]}}`
	for _, tt := range []struct {
		name   string
		err    error
		status int
		after  string
		body   string // without blanks between its parts
	}{
		{
			"F-02 a dead token", class(fcm.Unregistered), 404, "",
			`{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`,
		},
		{
			"F-02 a malformed token", class(fcm.MalformedToken), 400, "",
			`{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"The registration token is not a valid FCM registration token"}]}]}}`,
		},
		{
			"F-02 R-A29 a foreign token", class(fcm.SenderIDMismatch), 403, "",
			`{"error":{"code":403,"message":"SenderId mismatch","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"SENDER_ID_MISMATCH"}]}}`,
		},
		{"F-02 Apple's key, as FCM said it", fromFCM(fcm.ThirdPartyAuth, 401, apple), 401, "", apple},
		{
			"F-02 the device's quota", &fcm.SendError{Class: fcm.DeviceQuota, RetryAfter: 90 * time.Second}, 429, "90",
			`{"error":{"code":429,"message":"Message rate exceeded for this device.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"}]}}`,
		},
		{"F-02 the topic's quota", class(fcm.TopicQuota), 429, "60", ""},
		{"F-02 the project's quota is ours to keep", class(fcm.ProjectQuota), 503, "60", ""},
		{
			"F-02 F-03 overload", &fcm.SendError{Class: fcm.Unavailable, RetryAfter: 2500 * time.Millisecond}, 503, "3",
			`{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNAVAILABLE"}]}}`,
		},
		{"F-03 busy", &fcm.SendError{Class: fcm.Unavailable, Err: errors.New("secret: as many messages are in work as may be")}, 503, "10", ""},
		{"F-03 F-04 our credential", fromFCM(fcm.Credential, 401, `{"error":{"code":401,"message":"secret","status":"UNAUTHENTICATED"}}`), 503, "10", ""},
		{"F-03 F-04 our configuration", fromFCM(fcm.Configuration, 403, `{"error":{"code":403,"message":"secret project","status":"PERMISSION_DENIED"}}`), 503, "10", ""},
		{"F-02 an internal fault", class(fcm.Internal), 500, "10", ""},
		{"F-02 nobody knows", &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true}, 503, "10", ""},
		{"F-02 too late", class(fcm.Expired), 503, "10", ""},
		{"F-02 a nack of a far end", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}, 404, "", ""},
		{"F-02 what nobody thought of", io.ErrUnexpectedEOF, 500, "10", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newFront(t, failing(tt.err), nil).post(t, simple)
			if got.status != tt.status || got.header.Get("Retry-After") != tt.after {
				t.Errorf("got %d, Retry-After %q; want %d, %q", got.status, got.header.Get("Retry-After"), tt.status, tt.after)
			}
			var body struct {
				Error struct {
					Code   int
					Status string
				}
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Error.Code != tt.status || body.Error.Status == "" {
				t.Errorf("got %s: %v", got.body, err)
			}
			if want := indent(t, tt.body); tt.body != "" && got.body != want {
				t.Errorf("got  %s\nwant %s", got.body, want)
			}
			if strings.Contains(got.body, "secret") {
				t.Errorf("what is for the operator shows: %s", got.body)
			}
		})
	}
}

// indent lays JSON out as Google does.
func indent(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	var v json.RawMessage = []byte(text)
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func TestF_02_OutcomesAreToldInAWord(t *testing.T) {
	for want, err := range map[string]error{
		"unregistered":       class(fcm.Unregistered),
		"project_quota":      class(fcm.ProjectQuota),
		"SENDER_ID_MISMATCH": &ccs.NackError{Code: ccs.CodeSenderIDMismatch},
		"internal":           errors.New("x"),
		"ok":                 nil,
	} {
		f := newFront(t, failing(err), nil)
		f.post(t, simple)
		if got := fmt.Sprint(f.events.accepted, f.events.answered); got != "1 [shop "+want+"]" {
			t.Errorf("%v: told %s, want %s", err, got, want)
		}
	}
}

func TestF_03_AProjectWithoutALaneIsUnavailable(t *testing.T) {
	f := newFront(t, good, nil)
	got := f.ask(t, "POST", "/v1/projects/news/messages:send", simple, "Authorization", "Bearer "+newsKey, "Content-Type", "application/json")
	if got.status != 503 || got.header.Get("Retry-After") != "10" || !strings.Contains(got.body, `"errorCode": "UNAVAILABLE"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	f.quiet(t)
}

// What a real lane says when it is full, and when it has ended.
func TestF_03_ALaneThatTakesNothingMoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l, err := downstream.New(sendFunc(func(context.Context, *downstream.Message) (downstream.Answer, error) {
			<-release
			return downstream.Answer{Name: "projects/p/messages/1"}, nil
		}), &downstream.Options{MaxInWork: 1})
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- l.Run(context.Background()) }()
		f := newFront(t, good, nil)
		f.Handler = v1.New(ringOf(t), func(string) v1.Lane { return l }, nil)
		refused := func(when string) {
			t.Helper()
			got := f.post(t, simple)
			after, err := strconv.Atoi(got.header.Get("Retry-After"))
			want := indent(t, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE",`+
				`"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNAVAILABLE"}]}}`)
			if got.status != 503 || got.body != want || err != nil || after < 1 {
				t.Errorf("%s: %d, Retry-After %q, %s", when, got.status, got.header.Get("Retry-After"), got.body)
			}
		}
		first := make(chan reply)
		go func() { first <- f.post(t, simple) }()
		synctest.Wait()
		refused("full")
		close(release)
		if got := <-first; got.status != 200 {
			t.Errorf("the first: %d %s", got.status, got.body)
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		refused("shut down")
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// A sendFunc is a far end.
type sendFunc func(context.Context, *downstream.Message) (downstream.Answer, error)

func (f sendFunc) Send(ctx context.Context, m *downstream.Message) (downstream.Answer, error) {
	return f(ctx, m)
}
