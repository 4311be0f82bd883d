package translate_test

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

func TestT_05_RegistrationIDsKeepTheirOrder(t *testing.T) {
	l, err := translate.ParseLegacyJSON([]byte(`{"registration_ids":["B","A","B","","/topics/x",null],"data":{"k":"v"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Many || l.Form || l.Topic() || l.Len() != 6 {
		t.Fatalf("%+v", l)
	}
	for i, want := range []ccs.RegistrationToken{"B", "A", "B", "", "", ""} {
		m, err := l.At(i)
		if want == "" {
			wantClass(t, err, fcm.MalformedToken, "message.token")
			if m != nil || translate.LegacyResult(err) != translate.InvalidRegistration {
				t.Errorf("%d: %v, %v", i, m, err)
			}
			continue
		}
		if err != nil || m.To != want || m.Data["k"] != "v" {
			t.Errorf("%d: %+v, %v", i, m, err)
		}
	}
	if l.Message.To != "" {
		t.Error("the common part has a target")
	}
}

func TestTargetsOfLegacyRequests(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		topic      bool
		to         ccs.RegistrationToken
		condition  string
	}{
		{"T-01 a token", `{"to":"T"}`, false, "T", ""},
		{"a notification key by its old name", `{"notification_key":"K"}`, false, "K", ""},
		{"T-02 a topic", `{"to":"/topics/x"}`, true, "/topics/x", ""},
		{"T-04 a condition", `{"condition":"'a' in topics"}`, true, "", "'a' in topics"},
		{"R-A28 of equal members the last counts", `{"to":5,"to":"A","to":"T"}`, false, "T", ""},
		{"null is as absent", `{"to":"T","registration_ids":null,"condition":null,"data":null,"priority":null,"time_to_live":null,"dry_run":null,"fcm_options":null}`, false, "T", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := translate.ParseLegacyJSON([]byte(tt.body), nil)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.At(0)
			if err != nil || l.Len() != 1 || l.Many || l.Topic() != tt.topic || l.Ignored != 0 {
				t.Errorf("%+v, %v", l, err)
			}
			if want := (ccs.Downstream{To: tt.to, Condition: tt.condition}); !reflect.DeepEqual(*m, want) {
				t.Errorf("got %+v, want %+v", *m, want)
			}
		})
	}
	t.Run("one of many is still many", func(t *testing.T) {
		l, err := translate.ParseLegacyJSON([]byte(`{"registration_ids":["/topics/x"]}`), nil)
		if err != nil || !l.Many || l.Topic() || l.Len() != 1 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

func TestEveryFieldOfALegacyRequest(t *testing.T) {
	l, err := translate.ParseLegacyJSON([]byte(` {"to":"T","collapse_key":"c","priority":"High","content_available":true,"mutable_content":true,
		"time_to_live":"600","restricted_package_name":"p","dry_run":true,"delay_while_idle":true,"direct_boot_ok":true,
		"fcm_options":{"analytics_label":"spr\u0069ng","x":1},"data":{"k":1.50},"notification":{"title":"N","badge":3,"x":null},"y":{},"message_id":"m"} `), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &translate.Legacy{
		Targets: []ccs.RegistrationToken{"T"},
		Message: ccs.Downstream{
			CollapseKey: "c", Priority: ccs.PriorityHigh, ContentAvailable: true, MutableContent: true, TTL: new(10 * time.Minute),
			RestrictedPackageName: "p", DryRun: true, DelayWhileIdle: true, DirectBootOK: true, AnalyticsLabel: "spring",
			Data: map[string]string{"k": "1.50"}, Notification: map[string]string{"title": "N", "badge": "3"},
		},
		Ignored: 3,
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got  %+v\nwant %+v", l, want)
	}
}

func TestT_11_NullInDataFollowsTheSetting(t *testing.T) {
	for null, want := range map[translate.NullData]map[string]string{
		translate.DropNull:    {"k": "v"},
		translate.NullIsEmpty: {"k": "v", "n": ""},
		translate.NullIsText:  {"k": "v", "n": "null"},
	} {
		l, err := translate.ParseLegacyJSON([]byte(`{"to":"T","data":{"n": null ,"k":"v"},"notification":{"title":null}}`), &translate.LegacyOptions{Null: null})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(l.Message.Data, want) || l.Message.Notification != nil {
			t.Errorf("%d: %v, %v", null, l.Message.Data, l.Message.Notification)
		}
	}
}

// ids is a request for n tokens.
func ids(n int) string {
	return `{"registration_ids":["T"` + strings.Repeat(`,"T"`, n-1) + `]}`
}

// TestLegacyRefusals has the bodies that Google's server was recorded to answer,
// and those in its manner.
func TestLegacyRefusals(t *testing.T) {
	deep := func(n int) string {
		return `{"to":"T","data":{"k":` + strings.Repeat("[", n) + `"\"]{"` + strings.Repeat("]", n) + `}}`
	}
	strict := &translate.LegacyOptions{Strict: true}
	long := strings.Repeat("x", 65)
	for _, tt := range []struct {
		name, body string
		opt        *translate.LegacyOptions
		status     int
		text, code string
	}{
		// Recorded.
		{"not JSON", `not`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (n) at position 0.`, "InvalidParameters"},
		{"a word that only begins well", `{"to":fals0`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (f) at position 6.`, "InvalidParameters"},
		{"not JSON from the first character on", `xyz`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (x) at position 0.`, "InvalidParameters"},
		{"cut short", `{"to":"T","data":{"k":"v"},`, nil, 400, `JSON_PARSING_ERROR: Unexpected token END OF FILE at position 27.`, "InvalidParameters"},
		{"T-13 data that is no object", `{"to":"T","data":"smth"}`, nil, 400, `Field "data" must be a JSON array: smth`, "InvalidParameters"},
		{"a target that is no string", `{"to":["T", 1]}`, nil, 400, `Field "to" must be a JSON string: ["T",1]`, "InvalidParameters"},
		{"T-06 no ids", `{"registration_ids":[]}`, nil, 400, `"registration_ids" field cannot be empty`, "InvalidParameters"},
		{"T-08 no target, strict", `{"data":{}}`, strict, 400, `Missing "registration_ids" field`, "MissingRegistration"},
		{"T-07 both", `{"to":"T","registration_ids":["T"]}`, nil, 400, `Must use either "registration_ids" field or "to", not both`, "InvalidParameters"},
		{"T-06 1001 ids", ids(1001), nil, 400, `Number of messages on bulk (1001) exceeds maximum allowed (1000)`, "InvalidParameters"},
		{"T-12 a reserved key, strict", `{"to":"T","data":{"from":"x"}}`, strict, 400, `"data" key "from" is a reserved keyword`, "InvalidDataKey"},
		{"T-24 a ttl out of range, strict", `{"to":"T","time_to_live":2419201}`, strict, 400, `Invalid value (2419201) for "time_to_live": must be between 0 and 2419200`, "InvalidTtl"},

		// Documented.
		{"T-08 no target", `{"data":{}}`, nil, 200, ``, "MissingRegistration"},
		{"T-08 an empty target", `{"to":""}`, nil, 200, ``, "MissingRegistration"},
		{"T-12 R-A28 a reserved key", `{"to":"T","data":{"from":"x"}}`, nil, 200, ``, "InvalidDataKey"},
		{"T-12 another reserved key", `{"to":"T","data":{"message_type":"x"}}`, nil, 200, ``, "InvalidDataKey"},
		{"T-12 google at the front", `{"to":"T","data":{"googlex":"x"}}`, nil, 200, ``, "InvalidDataKey"},
		{"T-12 gcm at the front", `{"to":"T","data":{"gcm":"x"}}`, nil, 200, ``, "InvalidDataKey"},
		{"T-12 the first of several by the alphabet", `{"to":"T","data":{"gcm":"x","z":"","from":"","google":""}}`, strict, 400, `"data" key "from" is a reserved keyword`, "InvalidDataKey"},
		{"T-12 a long one is not repeated whole", `{"to":"T","data":{"gcm` + long + `":""}}`, strict, 400, `"data" key "gcm` + long[:60] + `…" is a reserved keyword`, "InvalidDataKey"},
		{"T-24 a ttl beyond four weeks", `{"to":"T","time_to_live":2419201}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl beyond all bounds", `{"to":"T","time_to_live":99999999999999999999999}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl that 64 bits take for 600", `{"to":"T","time_to_live":18446744073709552216}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a negative ttl", `{"to":"T","time_to_live":-1}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a negative ttl with zeros", `{"to":"T","time_to_live":-1.0}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a sign alone", `{"to":"T","time_to_live":"-"}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 two signs", `{"to":"T","time_to_live":"--0"}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl in words", `{"to":"T","time_to_live":"x"}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 an empty ttl", `{"to":"T","time_to_live":""}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl with a fraction", `{"to":"T","time_to_live":1.5}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl with two points", `{"to":"T","time_to_live":"1.0.0"}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl of nothing and a fraction", `{"to":"T","time_to_live":".0"}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 R-A28 a ttl that is no number at all", `{"to":"T","time_to_live":1e400}`, nil, 200, ``, "InvalidTtl"},
		{"T-24 a ttl that is true", `{"to":"T","time_to_live":true}`, strict, 400, `Invalid value (true) for "time_to_live": must be between 0 and 2419200`, "InvalidTtl"},

		// In the manner of these.
		{"nothing", ``, nil, 400, `JSON_PARSING_ERROR: Unexpected token END OF FILE at position 0.`, "InvalidParameters"},
		{"cut short behind a value", `{"é":1`, nil, 400, `JSON_PARSING_ERROR: Unexpected token END OF FILE at position 6.`, "InvalidParameters"},
		{"a wrong last character", `{"é":x`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (x) at position 5.`, "InvalidParameters"},
		{"something behind the end", `{"to":"T"}é`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (é) at position 10.`, "InvalidParameters"},
		{"a control character", "{\"to\":\"\x01\"}", nil, 400, `JSON_PARSING_ERROR: Unexpected character (?) at position 7.`, "InvalidParameters"},
		{"a list", ` ["T"]`, nil, 400, `JSON_PARSING_ERROR: Unexpected character ([) at position 1.`, "InvalidParameters"},
		{"null", `null`, nil, 400, `JSON_PARSING_ERROR: Unexpected character (n) at position 0.`, "InvalidParameters"},
		{"R-A28 what is not UTF-8", "{\"to\":\"\xff\"}", nil, 400, `JSON_PARSING_ERROR: Invalid UTF-8.`, "InvalidParameters"},
		{"R-A28 too deep", deep(15), nil, 400, `JSON_PARSING_ERROR: Values nest deeper than 16.`, "InvalidParameters"},
		{"R-A28 ten thousand deep", deep(9990), nil, 400, `JSON_PARSING_ERROR: Values nest deeper than 16.`, "InvalidParameters"},
		{"a token and a condition", `{"to":"T","condition":"C"}`, nil, 400, `Must use either "to" field or "condition", not both`, "InvalidParameters"},
		{"ids and a condition", `{"registration_ids":["T"],"condition":"C"}`, nil, 400, `Must use either "registration_ids" field or "condition", not both`, "InvalidParameters"},
		{"a token and a notification key", `{"to":"T","notification_key":"K"}`, nil, 400, `Must use either "to" field or "notification_key", not both`, "InvalidParameters"},
		{"ids that are a string", `{"registration_ids":"T"}`, nil, 400, `Field "registration_ids" must be a JSON array of strings`, "InvalidParameters"},
		{"an id that is a number", `{"registration_ids":["T",1]}`, nil, 400, `Field "registration_ids" must be a JSON array of strings`, "InvalidParameters"},
		{"data that is a list", `{"to":"T","data":["a"]}`, nil, 400, `Field "data" must be a JSON array: ["a"]`, "InvalidParameters"},
		{"a notification that is a string", `{"to":"T","notification":"` + long + `"}`, nil, 400, `Field "notification" must be a JSON array: ` + long[:63] + `…`, "InvalidParameters"},
		{"options that are true", `{"to":"T","fcm_options":true}`, nil, 400, `Field "fcm_options" must be a JSON array: true`, "InvalidParameters"},
		{"a label that is a number", `{"to":"T","fcm_options":{"analytics_label":1}}`, nil, 400, `Field "analytics_label" must be a JSON string: 1`, "InvalidParameters"},
		{"a collapse key that is a number", `{"to":"T","collapse_key":1}`, nil, 400, `Field "collapse_key" must be a JSON string: 1`, "InvalidParameters"},
		{"a package name that is an object", `{"to":"T","restricted_package_name":{ }}`, nil, 400, `Field "restricted_package_name" must be a JSON string: {}`, "InvalidParameters"},
		{"a flag that is a string", `{"to":"T","dry_run":"true"}`, nil, 400, `Field "dry_run" must be a JSON boolean: true`, "InvalidParameters"},
		{"another", `{"to":"T","content_available":1}`, nil, 400, `Field "content_available" must be a JSON boolean: 1`, "InvalidParameters"},
		{"the first wrong field counts", `{"to":"T","dry_run":1,"priority":1,"collapse_key":1}`, nil, 400, `Field "collapse_key" must be a JSON string: 1`, "InvalidParameters"},
		{"an odd priority", `{"to":"T","priority":"urgent"}`, nil, 400, `Invalid value (urgent) for "priority": must be "normal" or "high"`, "InvalidParameters"},
		{"an unknown field where none may be", `{"to":"T","x":1,"fcm_options":{"y":2}}`, &translate.LegacyOptions{RefuseUnknown: true}, 400, `Unknown fields: 2`, "InvalidParameters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := translate.ParseLegacyJSON([]byte(tt.body), tt.opt)
			e, ok := errors.AsType[*translate.LegacyError](err)
			if !ok || e.Status != tt.status || e.Text != tt.text || e.Code != tt.code {
				t.Fatalf("got  %+v\nwant %d %q %s", err, tt.status, tt.text, tt.code)
			}
			if (l != nil) != (tt.status == 200) {
				t.Errorf("status %d with %+v", tt.status, l)
			}
			if l != nil && (l.Len() != 1 || l.Topic()) {
				t.Errorf("%d results, or a topic's", l.Len())
			}
			if e.Error() == "" {
				t.Error("says nothing")
			}
		})
	}
	t.Run("what is just allowed", func(t *testing.T) {
		for _, body := range []string{ids(1000), deep(14), `{"to":"T","time_to_live":600.0}`, `{"to":"T","time_to_live":"0"}`, `{"to":"T","time_to_live":-0}`, `{"to":"T","time_to_live":-0.0}`, `{"to":"T","x":1}`} {
			if _, err := translate.ParseLegacyJSON([]byte(body), nil); err != nil {
				t.Errorf("%.60s: %v", body, err)
			}
		}
		for value, want := range map[string]ccs.Priority{
			`"urgent"`: ccs.PriorityNormal, `5`: ccs.PriorityNormal, `10`: ccs.PriorityNormal, `true`: ccs.PriorityNormal,
			`"high"`: ccs.PriorityHigh, `""`: "", `null`: "",
		} {
			l, err := translate.ParseLegacyJSON([]byte(`{"to":"T","priority":`+value+`}`), &translate.LegacyOptions{OddPriority: translate.OddPriorityIsNormal})
			if err != nil || l.Message.Priority != want {
				t.Errorf("priority %s: %+v, %v, want %q", value, l, err, want)
			}
		}
	})
	t.Run("a refusal with 200 says for how many", func(t *testing.T) {
		l, err := translate.ParseLegacyJSON([]byte(`{"registration_ids":["A","B"],"time_to_live":-1}`), nil)
		if err == nil || l == nil || !l.Many || l.Len() != 2 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

func TestT_51_PlainTextRequests(t *testing.T) {
	values := func(query string) url.Values {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Run("T-51 every field", func(t *testing.T) {
		l, err := translate.ParseLegacyForm(values("registration_id=A&registration_id=T&data.k=v+w&data.n=12&data.=e&collapse_key=c&time_to_live=600&dry_run=1&delay_while_idle=true&restricted_package_name=p&x=y"), nil)
		want := &translate.Legacy{
			Targets: []ccs.RegistrationToken{"T"}, Form: true, Ignored: 1,
			Message: ccs.Downstream{
				CollapseKey: "c", TTL: new(10 * time.Minute), DryRun: true, DelayWhileIdle: true, RestrictedPackageName: "p",
				Data: map[string]string{"k": "v w", "n": "12", "": "e"},
			},
		}
		if err != nil || !reflect.DeepEqual(l, want) {
			t.Errorf("got  %+v, %v\nwant %+v", l, err, want)
		}
	})
	t.Run("T-51 a topic", func(t *testing.T) {
		if l, err := translate.ParseLegacyForm(values("registration_id=/topics/x&dry_run=false&delay_while_idle=0"), nil); err != nil || !l.Topic() || l.Message.DryRun || l.Message.DelayWhileIdle {
			t.Errorf("%+v, %v", l, err)
		}
	})
	for _, tt := range []struct {
		name, query string
		opt         *translate.LegacyOptions
		status      int
		text, code  string
	}{
		{"T-08 nothing at all", "", nil, 200, "", "MissingRegistration"},
		{"T-08 no recipient, strict", "data.k=v", &translate.LegacyOptions{Strict: true}, 200, "", "MissingRegistration"},
		{"T-12 a reserved key", "registration_id=T&data.from=x", nil, 200, "", "InvalidDataKey"},
		{"T-12 a reserved key, strict", "registration_id=T&data.from=x", &translate.LegacyOptions{Strict: true}, 400, `"data" key "from" is a reserved keyword`, "InvalidDataKey"},
		{"T-24 a bad ttl", "registration_id=T&time_to_live=x", nil, 200, "", "InvalidTtl"},
		{"a flag that is none", "registration_id=T&dry_run=yes", nil, 400, "Error=InvalidParameters", "InvalidParameters"},
		{"a value that is not UTF-8", "registration_id=T&data.k=%ff", nil, 400, "Error=InvalidParameters", "InvalidParameters"},
		{"a name that is not UTF-8", "registration_id=T&data.%ff=v", nil, 400, "Error=InvalidParameters", "InvalidParameters"},
		{"an unknown field where none may be", "registration_id=T&x=1", &translate.LegacyOptions{RefuseUnknown: true}, 400, "Error=InvalidParameters", "InvalidParameters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := translate.ParseLegacyForm(values(tt.query), tt.opt)
			e, ok := errors.AsType[*translate.LegacyError](err)
			if !ok || e.Status != tt.status || e.Text != tt.text || e.Code != tt.code {
				t.Fatalf("got  %+v\nwant %d %q %s", err, tt.status, tt.text, tt.code)
			}
			if (l != nil) != (tt.status == 200) || l != nil && (!l.Form || l.Len() != 1) {
				t.Errorf("status %d with %+v", tt.status, l)
			}
		})
	}
}

func ExampleParseLegacyJSON() {
	l, err := translate.ParseLegacyJSON([]byte(`{"registration_ids":["A","B"],"data":{"minute":89}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range l.Len() {
		m, _ := l.At(i)
		fmt.Println(m.To, m.Data["minute"])
	}
	_, err = translate.ParseLegacyJSON([]byte(`{"to":"A","data":"89"}`), nil)
	fmt.Println(err)
	// Output:
	// A 89
	// B 89
	// translate: HTTP 400: Field "data" must be a JSON array: 89
}
