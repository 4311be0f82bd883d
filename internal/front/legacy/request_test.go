package legacy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/internal/downstream"
	"penstock/internal/front/legacy"
	"penstock/internal/keys"
	"penstock/internal/translate"
)

func ringOf(t *testing.T) *keys.Ring {
	t.Helper()
	s := keys.NewSecret()
	ring, err := keys.NewRing(s, []keys.Project{{Name: "shop", Keys: []keys.Record{{Name: "k", Hash: s.Hash(key)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// strictly are options for how requests are read.
func strictly(strict bool) *legacy.Options {
	return &legacy.Options{Parse: func(project string) *translate.LegacyOptions {
		return &translate.LegacyOptions{Strict: strict && project == "shop"}
	}}
}

func seconds(n int) *time.Duration {
	d := time.Duration(n) * time.Second
	return &d
}

// same compares a message with what is wanted, but for its id.
func same(t *testing.T, got *ccs.Downstream, want ccs.Downstream) {
	t.Helper()
	if got.MessageID == "" {
		t.Error("the message has no id")
	}
	want.MessageID = got.MessageID
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestF_05_EveryFieldOfJSONIsRead(t *testing.T) {
	all := `"collapse_key":"score","priority":"high","time_to_live":600,"content_available":true,"mutable_content":true,
		"dry_run":true,"delay_while_idle":true,"direct_boot_ok":true,"restricted_package_name":"com.x",
		"fcm_options":{"analytics_label":"autumn","other":1},"message_id":"ignored","delivery_receipt_requested":true,"strange":[1],
		"data":{"s":"x","n":12,"e":1e2,"big":12345678901234567890,"d":0.10,"t":true,"f":false,"o":{ "a" : [ 1 , "x y" ] },"l":[ ],"z":null},
		"notification":{"title":"Goal \u00e4","badge":3,"body_loc_args":["a", "b"],"sound":null}`
	want := ccs.Downstream{
		CollapseKey: "score", Priority: "high", TTL: seconds(600), ContentAvailable: true, MutableContent: true,
		DryRun: true, DelayWhileIdle: true, DirectBootOK: true, RestrictedPackageName: "com.x", AnalyticsLabel: "autumn",
		Data: map[string]string{
			"s": "x", "n": "12", "e": "1e2", "big": "12345678901234567890", "d": "0.10", "t": "true", "f": "false",
			"o": `{"a":[1,"x y"]}`, "l": "[]",
		},
		Notification: map[string]string{"title": "Goal ä", "badge": "3", "body_loc_args": `["a","b"]`},
	}
	for _, tt := range []struct {
		name, target string
		set          func(*ccs.Downstream)
	}{
		{"F-05 to a token", `"to":"` + token + `"`, func(m *ccs.Downstream) { m.To = token }},
		{"F-05 to a topic", `"to":"/topics/news"`, func(m *ccs.Downstream) { m.To = "/topics/news" }},
		{"F-05 to a condition", `"condition":"'a' in topics"`, func(m *ccs.Downstream) { m.Condition = "'a' in topics" }},
		{"F-05 to a group", `"notification_key":"GROUP"`, func(m *ccs.Downstream) { m.To = "GROUP" }},
		{"F-05 to one of a list", `"registration_ids":["` + token + `"]`, func(m *ccs.Downstream) { m.To = token }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			before := time.Now()
			if got := f.post(t, " \t\r\n{"+tt.target+","+all+"} \n"); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			sent := f.lane.submitted()
			if len(sent) != 1 || sent[0].V1 != nil || sent[0].Accepted.Before(before) || sent[0].Accepted.After(time.Now()) {
				t.Fatalf("sent %+v", sent)
			}
			want := want
			tt.set(&want)
			same(t, sent[0].CCS, want)
		})
	}
}

func TestF_05_OtherSpellingsOfFields(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		want         ccs.Downstream
	}{
		{"nothing else", `"x":1`, ccs.Downstream{}},
		{"null is as absent", `"priority":null,"time_to_live":null,"data":null,"notification":null,"dry_run":null,"collapse_key":null,"registration_ids":null,"condition":null,"fcm_options":null`, ccs.Downstream{}},
		{"empty objects", `"data":{},"notification":{},"fcm_options":{}`, ccs.Downstream{}},
		{"priority in capitals", `"priority":"HIGH"`, ccs.Downstream{Priority: "high"}},
		{"priority normal", `"priority":"Normal"`, ccs.Downstream{Priority: "normal"}},
		{"T-24 time to live as digits in a string", `"time_to_live":"600"`, ccs.Downstream{TTL: seconds(600)}},
		{"T-24 time to live 0", `"time_to_live":0`, ccs.Downstream{TTL: seconds(0)}},
		{"T-24 the longest", `"time_to_live":2419200`, ccs.Downstream{TTL: seconds(2419200)}},
		{"T-24 with a fraction of nothing", `"time_to_live":600.0`, ccs.Downstream{TTL: seconds(600)}},
		{"F-09 the last of equal keys", `"time_to_live":1,"time_to_live":2,"data":{"a":"1","b":"1"},"data":{"a":"1","a":"2"}`, ccs.Downstream{TTL: seconds(2), Data: map[string]string{"a": "2"}}},
		{"F-09 keys in other letters are other keys", `"TO":"X","Data":{"k":"v"},"dry_Run":true`, ccs.Downstream{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			if got := f.post(t, `{"to":"T",`+tt.fields+`}`); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			tt.want.To = "T"
			same(t, f.lane.submitted()[0].CCS, tt.want)
		})
	}
}

func TestF_05_EveryFieldOfAFormIsRead(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       ccs.Downstream
	}{
		{
			"F-05 T-51 all", "registration_id=T%3A1&collapse_key=score&time_to_live=600&restricted_package_name=com.x&delay_while_idle=1&dry_run=true" +
				"&data.key=a+b%26c&data.=empty&data.x.y=%C3%A4&unknown=1",
			ccs.Downstream{
				To: "T:1", CollapseKey: "score", TTL: seconds(600), RestrictedPackageName: "com.x", DelayWhileIdle: true, DryRun: true,
				Data: map[string]string{"key": "a b&c", "": "empty", "x.y": "ä"},
			},
		},
		{"F-05 a semicolon is text", "registration_id=T&data.a;b=c;data.d=e", ccs.Downstream{To: "T", Data: map[string]string{"a;b": "c;data.d=e"}}},
		{"F-05 the least", "registration_id=T", ccs.Downstream{To: "T"}},
		{"F-05 flags that are off", "registration_id=T&dry_run=0&delay_while_idle=false&time_to_live=", ccs.Downstream{To: "T"}},
		{"F-09 the last of equal keys", "registration_id=S&data.k=1&registration_id=T&data.k=2&dry_run=1&dry_run=0", ccs.Downstream{To: "T", Data: map[string]string{"k": "2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			if got := f.form(t, tt.body); got.status != 200 || got.body != "id=1" {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			same(t, f.lane.submitted()[0].CCS, tt.want)
		})
	}
}

func TestT_05_ResultsKeepTheOrderAlsoWithDuplicates(t *testing.T) {
	f := newFront(t, nil, nil)
	f.lane.script = byToken(map[string]error{"b": &ccs.NackError{Code: ccs.CodeDeviceUnregistered}})
	got := f.post(t, `{"registration_ids":["a","b","a","/topics/x","b","","c"],"data":{"k":"v"}}`)
	const want = `{"multicast_id":M,"success":3,"failure":4,"canonical_ids":0,"results":[{"message_id":"0:1"},{"error":"NotRegistered"},` +
		`{"message_id":"0:1"},{"error":"InvalidRegistration"},{"error":"NotRegistered"},{"error":"InvalidRegistration"},{"message_id":"0:1"}]}`
	if got.status != 200 || golden(got.body) != want {
		t.Errorf("got %d %s", got.status, got.body)
	}
	ids := make(map[ccs.MessageID]bool)
	var to []string
	for _, m := range f.lane.submitted() {
		ids[m.CCS.MessageID] = true
		to = append(to, string(m.CCS.To))
		if m.CCS.Data["k"] != "v" {
			t.Errorf("a copy lacks its data: %v", m.CCS)
		}
	}
	if f.events.accepted != 5 || len(f.events.answered) != 7 {
		t.Errorf("told of %d accepted, %v", f.events.accepted, f.events.answered)
	}
	if len(ids) != 5 || fmt.Sprint(to) != "[a b a b c]" {
		t.Errorf("%d ids, sent to %v", len(ids), to)
	}
}

func TestT_06_AThousandIDsAndNoMore(t *testing.T) {
	body := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("token-%04d", i)
		}
		text, _ := json.Marshal(map[string]any{"registration_ids": list, "data": map[string]string{"k": "v"}})
		return string(text)
	}
	f := newFront(t, named("0:1"), nil)
	got := f.post(t, body(translate.MaxTargets))
	if got.status != 200 || strings.Count(got.body, "message_id") != 1000 || len(f.lane.submitted()) != 1000 {
		t.Errorf("1000 ids: %d, %d sent", got.status, len(f.lane.submitted()))
	}
	f = newFront(t, named("0:1"), nil)
	for _, tt := range []struct{ body, want string }{
		{body(1001), "Number of messages on bulk (1001) exceeds maximum allowed (1000)"},
		{`{"registration_ids":[]}`, `"registration_ids" field cannot be empty`},
	} {
		if got := f.post(t, tt.body); got.status != 400 || got.body != tt.want || got.header.Get("Content-Type") != textType {
			t.Errorf("got %d %q, want 400 %q", got.status, got.body, tt.want)
		}
	}
	f.quiet(t)
}

// A thousand at once, through a lane that has just begun and paces as towards
// Google: all have their verdicts in time.
func TestT_06_AThousandIDsPassALaneThatBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := downstream.New(accepting{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- l.Run(context.Background()) }()
		f := newFront(t, nil, nil)
		f.Handler = legacy.New(ringOf(t), func(string) legacy.Lane { return l }, nil)
		list := make([]string, translate.MaxTargets)
		for i := range list {
			list[i] = fmt.Sprintf(`"token-%04d"`, i)
		}
		got := f.post(t, `{"registration_ids":[`+strings.Join(list, ",")+`]}`)
		if got.status != 200 || !strings.Contains(got.body, `"success":1000,"failure":0`) || !strings.Contains(got.body, `{"message_id":"token-0999"}]}`) {
			t.Errorf("got %d %.100s", got.status, got.body)
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// accepting is a far end that takes its time and everything else.
type accepting struct{}

func (accepting) Send(_ context.Context, m *downstream.Message) (downstream.Answer, error) {
	time.Sleep(50 * time.Millisecond)
	return downstream.Answer{Name: "projects/p/messages/" + string(m.CCS.To)}, nil
}

// What is refused as a whole sends nothing, and is told once.
func TestT_07_T_13_R_A28_RequestsThatAreRefusedAsAWhole(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct{ name, body, want string }{
		{"T-07 to and registration_ids", `{"to":"T","registration_ids":["T"]}`, `Must use either "registration_ids" field or "to", not both`},
		{"T-07 to and an empty list", `{"to":"T","registration_ids":[]}`, `Must use either "registration_ids" field or "to", not both`},
		{"T-07 condition and registration_ids", `{"condition":"C","registration_ids":["T"]}`, `Must use either "registration_ids" field or "condition", not both`},
		{"T-07 to and condition", `{"to":"T","condition":"C"}`, `Must use either "to" field or "condition", not both`},
		{"T-07 to and a group", `{"to":"T","notification_key":"G"}`, `Must use either "to" field or "notification_key", not both`},
		{"T-13 data is a string", `{"to":"T","data":"smth"}`, `Field "data" must be a JSON array: smth`},
		{"T-13 notification is a number", `{"to":"T","notification":5}`, `Field "notification" must be a JSON array: 5`},
		{"to is a number", `{"to":77}`, `Field "to" must be a JSON string: 77`},
		{"registration_ids is a string", `{"registration_ids":"T"}`, `Field "registration_ids" must be a JSON array of strings`},
		{"registration_ids holds a number", `{"registration_ids":["T",7]}`, `Field "registration_ids" must be a JSON array of strings`},
		{"a flag is a string", `{"to":"T","dry_run":"true"}`, `Field "dry_run" must be a JSON boolean: true`},
		{"an odd priority", `{"to":"T","priority":"urgent"}`, `Invalid value (urgent) for "priority": must be "normal" or "high"`},

		{"R-A28 no JSON", `nojson`, `JSON_PARSING_ERROR: Unexpected character (n) at position 0.`},
		{"R-A28 a form", `registration_id=T`, `JSON_PARSING_ERROR: Unexpected character (r) at position 0.`},
		{"R-A28 nothing", ``, `JSON_PARSING_ERROR: Unexpected token END OF FILE at position 0.`},
		{"R-A28 cut short", `{"to":"SECRET","data":{"a":`, `JSON_PARSING_ERROR: Unexpected token END OF FILE at position 27.`},
		{"R-A28 an array", `[{"to":"T"}]`, `JSON_PARSING_ERROR: Unexpected character ([) at position 0.`},
		{"R-A28 two objects", `{"to":"T"}{}`, `JSON_PARSING_ERROR: Unexpected character ({) at position 10.`},
		{"R-A28 invalid UTF-8", "{\"to\":\"\xff\"}", `JSON_PARSING_ERROR: Invalid UTF-8.`},
		{"R-A28 seventeen levels", `{"to":"T","x":` + deep(16) + `}`, `JSON_PARSING_ERROR: Values nest deeper than 16.`},
		{"R-A28 a hundred thousand levels", `{"to":"T","data":{"x":` + deep(100_000) + `}}`, `JSON_PARSING_ERROR: Unexpected character ([) at position 10020.`},
		{"R-A28 a hundred thousand that are not closed", strings.Repeat(`{"a":`, 100_000), `JSON_PARSING_ERROR: Unexpected character ({) at position 50000.`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			got := f.post(t, tt.body)
			if got.status != 400 || got.body != tt.want || got.header.Get("Content-Type") != textType {
				t.Errorf("got %d %q (%s)\nwant 400 %q", got.status, got.body, got.header.Get("Content-Type"), tt.want)
			}
			if fmt.Sprint(f.events.refused) != "[400]" || len(f.events.answered) > 0 {
				t.Errorf("told %v, %v", f.events.refused, f.events.answered)
			}
			f.quiet(t)
		})
	}
}

// How a project's requests are read is the project's own matter.
func TestF_05_TheProjectSaysHowItsRequestsAreRead(t *testing.T) {
	f := newFront(t, named("1"), &legacy.Options{Parse: func(project string) *translate.LegacyOptions {
		return &translate.LegacyOptions{OddPriority: translate.OddPriorityIsNormal, Null: translate.NullIsEmpty, RefuseUnknown: project != "shop"}
	}})
	if got := f.post(t, `{"to":"T","priority":"urgent","data":{"k":null},"strange":1}`); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	same(t, f.lane.submitted()[0].CCS, ccs.Downstream{To: "T", Priority: "normal", Data: map[string]string{"k": ""}})
}

func TestR_A28_WhatIsJustAllowed(t *testing.T) {
	deep := strings.Repeat("[", 14) + strings.Repeat("]", 14)
	brackets := strings.Repeat("[", 50)
	f := newFront(t, named("1"), nil)
	got := f.post(t, `{"to":"T","data":{"deep":`+deep+`,"text":"`+brackets+`\"`+brackets+`"},"x":`+deep+`}`)
	if got.status != 200 || f.lane.submitted()[0].CCS.Data["deep"] != deep || f.lane.submitted()[0].CCS.Data["text"] != brackets+`"`+brackets {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestF_05_FormsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"F-05 a bad escape", "registration_id=%zz"},
		{"F-05 invalid UTF-8", "registration_id=T&data.k=%ff"},
		{"F-05 a flag in words", "registration_id=T&dry_run=maybe"},
		{"R-A35 half a million parameters", "registration_id=T" + strings.Repeat("&a", 500_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			if got := f.form(t, tt.body); got.status != 400 || got.body != "Error=InvalidParameters" {
				t.Errorf("got %d %q", got.status, got.body)
			}
			f.quiet(t)
		})
	}
}

// Faults that every recipient has are told of each, in the words that Google
// documented, or in the sentences that it was seen to write. Nothing is sent.
func TestT_08_T_12_T_24_FaultsOfAllRecipients(t *testing.T) {
	for _, tt := range []struct{ name, fields, word, strict string }{
		{"T-08 no recipient", ``, "MissingRegistration", `Missing "registration_ids" field`},
		{"T-08 an empty recipient", `"to":""`, "MissingRegistration", `Missing "registration_ids" field`},
		{"T-08 a recipient that is null", `"to":null,"condition":null`, "MissingRegistration", `Missing "registration_ids" field`},
		{"T-08 no recipient, and more that is wrong", `"time_to_live":-1,"data":{"from":"x"}`, "MissingRegistration", `Missing "registration_ids" field`},
		{"T-12 from", `"to":"T","data":{"a":"b","from":"x"}`, "InvalidDataKey", `"data" key "from" is a reserved keyword`},
		{"T-12 message_type", `"to":"T","data":{"message_type":"x"}`, "InvalidDataKey", `"data" key "message_type" is a reserved keyword`},
		{"T-12 google.x", `"to":"T","data":{"google.x":"x"}`, "InvalidDataKey", `"data" key "google.x" is a reserved keyword`},
		{"T-12 googlex", `"to":"T","data":{"googlex":"x"}`, "InvalidDataKey", `"data" key "googlex" is a reserved keyword`},
		{"T-12 gcm.notification.x", `"to":"T","data":{"gcm.notification.x":"x"}`, "InvalidDataKey", `"data" key "gcm.notification.x" is a reserved keyword`},
		{"T-12 the first of several", `"to":"T","data":{"gcm":"x","from":"x","google":"x"}`, "InvalidDataKey", `"data" key "from" is a reserved keyword`},
		{"T-24 below the range", `"to":"T","time_to_live":-1`, "InvalidTtl", `Invalid value (-1) for "time_to_live": must be between 0 and 2419200`},
		{"T-24 above the range", `"to":"T","time_to_live":2419201`, "InvalidTtl", `Invalid value (2419201) for "time_to_live": must be between 0 and 2419200`},
		{"T-24 above the range in a string", `"to":"T","time_to_live":"99999999999999999999"`, "InvalidTtl", `Invalid value (99999999999999999999) for "time_to_live": must be between 0 and 2419200`},
		{"T-24 a fraction", `"to":"T","time_to_live":1.5`, "InvalidTtl", `Invalid value (1.5) for "time_to_live": must be between 0 and 2419200`},
		{"R-A28 1e400", `"to":"T","time_to_live":1e400`, "InvalidTtl", `Invalid value (1e400) for "time_to_live": must be between 0 and 2419200`},
		{"R-A28 1e-400", `"to":"T","time_to_live":1e-400`, "InvalidTtl", `Invalid value (1e-400) for "time_to_live": must be between 0 and 2419200`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			got := f.post(t, `{`+tt.fields+`}`)
			want := `{"multicast_id":M,"success":0,"failure":1,"canonical_ids":0,"results":[{"error":"` + tt.word + `"}]}`
			if got.status != 200 || golden(got.body) != want {
				t.Errorf("got %d %s, want 200 %s", got.status, got.body, want)
			}
			if told := fmt.Sprint(f.events.answered); told != "[shop "+tt.word+"]" {
				t.Errorf("told %s", told)
			}
			f.quiet(t)
			f = newFront(t, named("1"), strictly(true))
			if got := f.post(t, `{`+tt.fields+`}`); got.status != 400 || got.body != tt.strict {
				t.Errorf("strict: got %d %s, want 400 %s", got.status, got.body, tt.strict)
			}
			f.quiet(t)
		})
	}
	t.Run("T-12 every recipient is told", func(t *testing.T) {
		f := newFront(t, named("1"), nil)
		got := f.post(t, `{"registration_ids":["a","b"],"data":{"from":"x"}}`)
		want := `{"multicast_id":M,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"InvalidDataKey"},{"error":"InvalidDataKey"}]}`
		if got.status != 200 || golden(got.body) != want {
			t.Errorf("got %d %s", got.status, got.body)
		}
		f.quiet(t)
	})
	t.Run("T-12 a topic is told", func(t *testing.T) {
		f := newFront(t, named("1"), nil)
		if got := f.post(t, `{"to":"/topics/a","data":{"from":"x"}}`); got.status != 200 || got.body != `{"error":"InvalidDataKey"}` {
			t.Errorf("got %d %s", got.status, got.body)
		}
		f.quiet(t)
	})
	t.Run("T-12 T-51 a form is told", func(t *testing.T) {
		f := newFront(t, named("1"), nil)
		for body, want := range map[string]string{
			"registration_id=T&data.from=x":      "Error=InvalidDataKey",
			"registration_id=T&time_to_live=-1":  "Error=InvalidTtl",
			"registration_id=T&time_to_live=abc": "Error=InvalidTtl",
			"data.k=v":                           "Error=MissingRegistration",
			"to=T&data.k=v":                      "Error=MissingRegistration",
		} {
			if got := f.form(t, body); got.status != 200 || got.body != want {
				t.Errorf("%s: got %d %s, want %s", body, got.status, got.body, want)
			}
		}
		f.quiet(t)
	})
}
