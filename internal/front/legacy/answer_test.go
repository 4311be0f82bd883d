package legacy_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/front/legacy"
)

const (
	jsonType = "application/json; charset=UTF-8"
	textType = "text/plain; charset=UTF-8"
)

// reasonFor is FCM's reply about one field.
func reasonFor(field, text string) error {
	return &fcm.SendError{Class: fcm.InvalidMessage, Reply: &fcm.Error{
		HTTPStatus: 400, Status: "INVALID_ARGUMENT", Code: fcm.CodeInvalidArgument, Message: text,
		BadRequest: &fcm.BadRequest{Violations: []fcm.FieldViolation{{Field: field, Description: text}}},
	}}
}

func TestF_06_AnswersHaveTheFormOfTheirRequest(t *testing.T) {
	canonical := func(*downstream.Message) (downstream.Answer, error) {
		return downstream.Answer{Name: "projects/p/messages/0:15%31a", RegistrationID: "NEW"}, nil
	}
	members := func(failed ...ccs.RegistrationToken) func(*downstream.Message) (downstream.Answer, error) {
		return func(*downstream.Message) (downstream.Answer, error) {
			return downstream.Answer{Success: 2, Failure: len(failed), FailedRegistrationIDs: failed}, nil
		}
	}
	for _, tt := range []struct {
		name   string
		script func(*downstream.Message) (downstream.Answer, error)
		body   string
		status int
		want   string
	}{
		{
			"F-06 one token", named("0:15%31a"), `{"to":"T"}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"0:15%31a"}]}`,
		},
		{
			"F-06 one token in registration_ids", named("0:15%31a"), `{"registration_ids":["T"]}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"0:15%31a"}]}`,
		},
		{
			"F-06 a canonical token", canonical, `{"to":"T"}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":1,"results":[{"message_id":"0:15%31a","registration_id":"NEW"}]}`,
		},
		{
			"F-06 one dead token", failing(class(fcm.Unregistered)), `{"to":"T"}`, 200,
			`{"multicast_id":M,"success":0,"failure":1,"canonical_ids":0,"results":[{"error":"NotRegistered"}]}`,
		},
		{
			"F-06 T-49 a mixture", byToken(map[string]error{"b": class(fcm.Unregistered), "d": class(fcm.SenderIDMismatch), "e": class(fcm.Unavailable)}),
			`{"registration_ids":["a","b","c","d","e"]}`, 200,
			`{"multicast_id":M,"success":2,"failure":3,"canonical_ids":0,"results":[{"message_id":"0:1"},{"error":"NotRegistered"},{"message_id":"0:1"},{"error":"MismatchSenderId"},{"error":"Unavailable"}]}`,
		},
		{"F-06 T-50 a topic", named("5735816749"), `{"to":"/topics/news"}`, 200, `{"message_id":5735816749}`},
		{"F-06 T-50 a condition", named("5735816749"), `{"condition":"'a' in topics"}`, 200, `{"message_id":5735816749}`},
		{"T-50 beyond 2^53", named("9007199254740993"), `{"to":"/topics/news"}`, 200, `{"message_id":9007199254740993}`},
		{"T-50 beyond 2^63", named("123456789012345678901234567890"), `{"to":"/topics/news"}`, 200, `{"message_id":123456789012345678901234567890}`},
		{"F-06 a topic in trouble", failing(class(fcm.TopicQuota)), `{"to":"/topics/news"}`, 200, `{"error":"TopicsMessageRateExceeded"}`},
		{"F-06 a bad topic", failing(reasonFor("message", "Topic name contains invalid characters.")), `{"to":"/topics/#"}`, 400, `{"error":"InvalidParameters"}`},
		{"F-06 a topic while all is down", failing(class(fcm.Unavailable)), `{"condition":"'a' in topics"}`, 503, `{"error":"Unavailable"}`},
		{"F-06 a group", members(), `{"to":"GROUPKEY"}`, 200, `{"success":2,"failure":0}`},
		{
			"F-06 a group with members that failed", members("T1", "T2"), `{"notification_key":"GROUPKEY"}`, 200,
			`{"success":2,"failure":2,"failed_registration_ids":["T1","T2"]}`,
		},
		{
			"F-06 a group of which no member has it", func(*downstream.Message) (downstream.Answer, error) {
				return downstream.Answer{Failure: 1, FailedRegistrationIDs: []ccs.RegistrationToken{"T1"}}, nil
			}, `{"to":"GROUPKEY"}`, 200,
			`{"success":0,"failure":1,"failed_registration_ids":["T1"]}`,
		},
		{
			"F-06 a group among registration_ids", members("T1"), `{"registration_ids":["GROUPKEY"]}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"OURS"}]}`,
		},
		{
			"F-06 a group of which only a name is known", named("0:1"), `{"notification_key":"GROUPKEY"}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"0:1"}]}`,
		},
		{
			"F-06 signs of HTML stay as they are", named("a<&>b"), `{"to":"T"}`, 200,
			`{"multicast_id":M,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"a<&>b"}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, tt.script, nil)
			got := f.post(t, tt.body)
			ours := string(f.lane.submitted()[0].CCS.MessageID)
			if got.status != tt.status || strings.ReplaceAll(golden(got.body), ours, "OURS") != tt.want || got.header.Get("Content-Type") != jsonType {
				t.Errorf("got  %d %s (%s)\nwant %d %s", got.status, got.body, got.header.Get("Content-Type"), tt.status, tt.want)
			}
		})
	}
}

func TestT_51_PlainTextIsAnsweredInPlainText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(*downstream.Message) (downstream.Answer, error)
		body   string
		status int
		want   string
	}{
		{"T-51 F-06 success", named("1:08"), "registration_id=T", 200, "id=1:08"},
		{"T-51 a canonical token", func(*downstream.Message) (downstream.Answer, error) {
			return downstream.Answer{Name: "projects/p/messages/1:08", RegistrationID: "NEW"}, nil
		}, "registration_id=T", 200, "id=1:08\nregistration_id=NEW"},
		{"T-51 F-06 an error", failing(class(fcm.Unregistered)), "registration_id=T", 200, "Error=NotRegistered"},
		{"T-51 T-08 nothing at all", named("x"), "", 200, "Error=MissingRegistration"},
		{"T-51 a wrong parameter at the far end", failing(class(fcm.InvalidMessage)), "registration_id=T", 400, "Error=InvalidParameters"},
		{"T-51 F-08 all is down", failing(class(fcm.Unavailable)), "registration_id=T", 503, "Error=Unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, tt.script, nil)
			for _, head := range [][]string{nil, {"Content-Type", "application/x-www-form-urlencoded;charset=UTF-8"}} {
				got := f.ask(t, "POST", "/fcm/send", tt.body, append(head, "Authorization", "key="+key)...)
				if got.status != tt.status || got.body != tt.want || got.header.Get("Content-Type") != textType {
					t.Errorf("got %d %q (%s), want %d %q", got.status, got.body, got.header.Get("Content-Type"), tt.status, tt.want)
				}
				if (got.header.Get("Retry-After") != "") != (tt.status == 503) {
					t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
				}
			}
		})
	}
}

// Each row of the table of outcomes, for one recipient (docs/fcm-http.md,
// Outcomes).
func TestT_46_EveryOutcomeHasItsWordAndStatus(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		word   string
	}{
		{"T-46 no target", reasonFor("message", "Recipient of the message is not set."), 200, "MissingRegistration"},
		{"T-46 a malformed token", class(fcm.MalformedToken), 200, "InvalidRegistration"},
		{"T-46 too large", reasonFor("", "Message is too large. The maximum is 4K (4096 bytes)."), 200, "MessageTooBig"},
		{"T-46 a reserved key", reasonFor("message.data.from", "Invalid data payload key: from"), 200, "InvalidDataKey"},
		{"T-46 a time to live", reasonFor("message.android.ttl", "x"), 200, "InvalidTtl"},
		{"T-46 a package name", reasonFor("message.android.restricted_package_name", "x"), 200, "InvalidPackageName"},
		{"T-46 any other field", reasonFor("message.android.priority", "x"), 400, "InvalidParameters"},
		{"T-46 a dead token", class(fcm.Unregistered), 200, "NotRegistered"},
		{"T-46 R-A29 a foreign token", class(fcm.SenderIDMismatch), 200, "MismatchSenderId"},
		{"T-46 Apple's key", class(fcm.ThirdPartyAuth), 200, "InvalidApnsCredential"},
		{"T-46 the project's quota", class(fcm.ProjectQuota), 503, "Unavailable"},
		{"T-46 T-53 the device's quota", class(fcm.DeviceQuota), 200, "DeviceMessageRateExceeded"},
		{"T-46 T-47 our credential", class(fcm.Credential), 503, "Unavailable"},
		{"T-46 T-47 our configuration", class(fcm.Configuration), 503, "Unavailable"},
		{"T-46 an internal fault", class(fcm.Internal), 200, "InternalServerError"},
		{"T-46 overload", class(fcm.Unavailable), 503, "Unavailable"},
		{"T-46 too late", class(fcm.Expired), 503, "Unavailable"},
		{"T-46 nobody knows", &fcm.SendError{Class: fcm.Internal, OutcomeUnknown: true}, 503, "Unavailable"},
		{"T-46 a nack of a far end", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}, 200, "NotRegistered"},
		{"T-46 what nobody thought of", errors.New("secret"), 200, "InternalServerError"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, failing(tt.err), nil)
			got := f.post(t, `{"to":"T"}`)
			want := `{"multicast_id":M,"success":0,"failure":1,"canonical_ids":0,"results":[{"error":"` + tt.word + `"}]}`
			if got.status != tt.status || golden(got.body) != want {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, want)
			}
			if (got.header.Get("Retry-After") != "") != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After %q beside %d", got.header.Get("Retry-After"), got.status)
			}
			if told := fmt.Sprint(f.events.answered); told != "[shop "+tt.word+"]" {
				t.Errorf("told %s", told)
			}
			// Among others it never decides the status.
			f = newFront(t, byToken(map[string]error{"T": tt.err}), nil)
			got = f.post(t, `{"registration_ids":["T","good"]}`)
			want = `{"multicast_id":M,"success":1,"failure":1,"canonical_ids":0,"results":[{"error":"` + tt.word + `"},{"message_id":"0:1"}]}`
			if got.status != 200 || golden(got.body) != want {
				t.Errorf("got %d %s, want 200 %s", got.status, got.body, want)
			}
		})
	}
}

func TestF_08_OnlyIfAllAreUnavailableIsTheAnswer503(t *testing.T) {
	wait := func(d time.Duration) error { return &fcm.SendError{Class: fcm.Unavailable, RetryAfter: d} }
	for _, tt := range []struct {
		name   string
		table  map[string]error
		status int
		after  string
	}{
		{"F-08 all", map[string]error{"a": wait(0), "b": wait(0), "c": wait(0)}, 503, "10"},
		{"F-08 all, and the longest wait counts", map[string]error{"a": wait(3 * time.Second), "b": wait(31500 * time.Millisecond), "c": wait(0)}, 503, "32"},
		{"F-08 all, for the project's quota", map[string]error{"a": class(fcm.ProjectQuota), "b": class(fcm.ProjectQuota), "c": wait(0)}, 503, "60"},
		{"F-08 T-47 all, for a credential of ours", map[string]error{"a": class(fcm.Credential), "b": class(fcm.Configuration), "c": wait(0)}, 503, "10"},
		{"F-08 all but one", map[string]error{"a": wait(0), "c": wait(0)}, 200, ""},
		{"F-08 one of them is dead", map[string]error{"a": wait(0), "b": class(fcm.Unregistered), "c": wait(0)}, 200, ""},
		{"F-08 one of them is an internal fault", map[string]error{"a": wait(0), "b": class(fcm.Internal), "c": wait(0)}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newFront(t, byToken(tt.table), nil).post(t, `{"registration_ids":["a","b","c"]}`)
			if got.status != tt.status || got.header.Get("Retry-After") != tt.after {
				t.Errorf("got %d, Retry-After %q; want %d, %q", got.status, got.header.Get("Retry-After"), tt.status, tt.after)
			}
			if n := strings.Count(got.body, `"error"`); n != len(tt.table) {
				t.Errorf("%d errors in %s", n, got.body)
			}
		})
	}
}

func TestF_08_AProjectWithoutALaneIsUnavailable(t *testing.T) {
	f := newFront(t, named("x"), nil)
	f.lane = nil
	h := legacy.New(ringOf(t), func(string) legacy.Lane { return nil }, nil)
	f.Handler = h
	f.lane = &lane{}
	got := f.post(t, `{"registration_ids":["a","b"]}`)
	want := `{"multicast_id":M,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"Unavailable"},{"error":"Unavailable"}]}`
	if got.status != 503 || got.header.Get("Retry-After") != "10" || golden(got.body) != want {
		t.Errorf("got %d, Retry-After %q, %s", got.status, got.header.Get("Retry-After"), got.body)
	}
}

func TestT_49_TheNumbersOfAMulticastAddUp(t *testing.T) {
	seen := make(map[int64]bool)
	f := newFront(t, byToken(map[string]error{"t7": class(fcm.Unregistered), "t9": class(fcm.MalformedToken)}), nil)
	for n := 1; n <= 20; n++ {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%q", "t"+strconv.Itoa(i)))
		}
		got := f.post(t, `{"registration_ids":[`+strings.Join(list, ",")+`]}`)
		failed := min(max(n-7, 0), 1) + min(max(n-9, 0), 1)
		head := fmt.Sprintf(`{"multicast_id":M,"success":%d,"failure":%d,"canonical_ids":0,"results":[{`, n-failed, failed)
		if !strings.HasPrefix(golden(got.body), head) || strings.Count(got.body, "message_id") != n-failed {
			t.Errorf("%d ids: %s", n, got.body)
		}
		id, err := strconv.ParseInt(multicastID.FindStringSubmatch(got.body)[1], 10, 64)
		if err != nil || id <= 0 || seen[id] {
			t.Errorf("multicast_id %d: %v; seen before: %v", id, err, seen[id])
		}
		seen[id] = true
	}
}

// What is no number at the far end is a number here all the same.
func TestT_50_AMessageIDThatIsNoNumberBecomesOne(t *testing.T) {
	for _, id := range []string{"0:15%31a", "", "007", "fake_message_id", "-5", "1.5"} {
		t.Run("T-50 "+id, func(t *testing.T) {
			got := newFront(t, named(id), nil).post(t, `{"to":"/topics/news"}`)
			digits := strings.TrimSuffix(strings.TrimPrefix(got.body, `{"message_id":`), "}")
			if n, err := strconv.ParseInt(digits, 10, 64); err != nil || n <= 0 || digits[0] == '0' {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// A far end that gives no name leaves the message with the id that it had here.
func TestF_06_AnAnswerWithoutANameHasOurID(t *testing.T) {
	f := newFront(t, func(*downstream.Message) (downstream.Answer, error) { return downstream.Answer{}, nil }, nil)
	got := f.post(t, `{"to":"T"}`)
	id := f.lane.submitted()[0].CCS.MessageID
	if id == "" || !strings.Contains(got.body, `"message_id":"`+string(id)+`"`) {
		t.Errorf("sent as %q, answered %s", id, got.body)
	}
}
