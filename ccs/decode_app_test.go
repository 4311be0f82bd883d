package ccs_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
)

func seconds(n int) *time.Duration {
	d := time.Duration(n) * time.Second
	return &d
}

// parseDownstream fails the test unless payload is a downstream message.
func parseDownstream(t *testing.T, payload string) *ccs.Downstream {
	t.Helper()
	m, err := ccs.ParseFromApp([]byte(payload))
	if err != nil {
		t.Fatalf("ParseFromApp(%s): %v", payload, err)
	}
	down, ok := m.(*ccs.Downstream)
	if !ok {
		t.Fatalf("ParseFromApp(%s) = %T, want a downstream message", payload, m)
	}
	return down
}

// refusal fails the test unless payload is refused as the interface promises.
func refusal(t *testing.T, payload string) *ccs.PayloadError {
	t.Helper()
	m, err := ccs.ParseFromApp([]byte(payload))
	if err == nil {
		t.Fatalf("ParseFromApp(%s) = %+v, want an error", payload, m)
	}
	if m != nil {
		t.Errorf("ParseFromApp(%s) returns a message beside its error", payload)
	}
	refused, ok := errors.AsType[*ccs.PayloadError](err)
	if !ok {
		t.Fatalf("ParseFromApp(%s): %T, want a *PayloadError", payload, err)
	}
	if refused.From == "" || refused.Text == "" {
		t.Errorf("ParseFromApp(%s): empty field in %+v", payload, refused)
	}
	return refused
}

func TestParseFromAppReadsEveryField(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		want          ccs.FromApp
	}{
		{
			"the smallest message",
			`{"to":"TOKEN","message_id":"m-1"}`,
			&ccs.Downstream{To: "TOKEN", MessageID: "m-1"},
		},
		{
			"the largest message",
			`{"to":"/topics/news","message_id":"m-2","collapse_key":"score","priority":"high","time_to_live":600,
			 "content_available":true,"mutable_content":true,"delay_while_idle":true,"restricted_package_name":"com.example",
			 "delivery_receipt_requested":true,"dry_run":true,"direct_boot_ok":true,"fcm_options":{"analytics_label":"spring"},"data":{"k":"v"},
			 "notification":{"title":"T","body":"B","android_channel_id":"c","title_loc_args":"[\"a\",\"b\"]"}}`,
			&ccs.Downstream{
				To: "/topics/news", MessageID: "m-2", CollapseKey: "score", Priority: ccs.PriorityHigh, TTL: seconds(600),
				ContentAvailable: true, MutableContent: true, DelayWhileIdle: true, RestrictedPackageName: "com.example",
				DeliveryReceiptRequested: true, DryRun: true, DirectBootOK: true, AnalyticsLabel: "spring", Data: map[string]string{"k": "v"},
				Notification: map[string]string{"title": "T", "body": "B", "android_channel_id": "c", "title_loc_args": `["a","b"]`},
			},
		},
		{
			"a condition instead of a token",
			`{"condition":"'A' in topics && 'B' in topics","message_id":"m-3"}`,
			&ccs.Downstream{Condition: "'A' in topics && 'B' in topics", MessageID: "m-3"},
		},
		{
			"null is like absence",
			`{"to":"T","message_id":"m","condition":null,"collapse_key":null,"priority":null,"time_to_live":null,"dry_run":null,"data":null,"notification":null,"message_type":null}`,
			&ccs.Downstream{To: "T", MessageID: "m"},
		},
		{
			"an unknown message_type is a downstream message",
			`{"message_type":"data","to":"T","message_id":"m"}`,
			&ccs.Downstream{To: "T", MessageID: "m"},
		},
		{
			"R-A28 of equal keys the last one counts",
			`{"to":5,"to":"T","message_id":"a","data":{"k":"1","x":"y","k":"2"},"data":{"k":"3","k":null,"l":"4"},"message_id":"m"}`,
			&ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"l": "4"}},
		},
		{
			"of the options only the label means something, the last one",
			`{"to":"T","message_id":"m","fcm_options":{"analytics_label":1,"x":{"analytics_label":"x"},"\u0061nalytics_label":"spr\u0069ng","y":null}}`,
			&ccs.Downstream{To: "T", MessageID: "m", AnalyticsLabel: "spring"},
		},
		{
			"options without a label",
			`{"to":"T","message_id":"m","fcm_options":{"analytics_label":null}}`,
			&ccs.Downstream{To: "T", MessageID: "m"},
		},
		{
			"keys and values are unescaped",
			`{"\u0074o":"T\u00e9\ud83d\ude00\ud800","message_id":"\"m\\\n","data":{"\u006b":"\/"}}`,
			&ccs.Downstream{To: "Té😀\ufffd", MessageID: "\"m\\\n", Data: map[string]string{"k": "/"}},
		},
		{
			"priority in capitals",
			`{"to":"T","message_id":"m","priority":"HIGH"}`,
			&ccs.Downstream{To: "T", MessageID: "m", Priority: ccs.PriorityHigh},
		},
		{
			"an ack",
			`{"to":"TOKEN","message_id":"ID","message_type":"ack"}`,
			&ccs.Ack{To: "TOKEN", MessageID: "ID"},
		},
		{
			"the ack of a receipt for the longest id",
			`{"to":"gcm.googleapis.com","message_id":"dr2:` + strings.Repeat("x", ccs.MaxMessageID) + `","message_type":"ack"}`,
			&ccs.Ack{To: ccs.ReceiptFrom, MessageID: ccs.MessageID("dr2:" + strings.Repeat("x", ccs.MaxMessageID))},
		},
		{
			"S39 unknown top-level keys are ignored",
			`{"to":"T","random":{"deep":[1,{"to":"X"}]},"message_id":"m","registration_id":"a","registration_ids":null,"data":{}}`,
			&ccs.Downstream{To: "T", MessageID: "m"},
		},
		{
			"R-A28 sixteen levels are allowed",
			`{"to":"T","message_id":"m","x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`,
			&ccs.Downstream{To: "T", MessageID: "m"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ccs.ParseFromApp([]byte(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseFromAppKeepsNothingOfThePayload(t *testing.T) {
	payload := []byte(`{"to":"TOKEN","message_id":"m-1","data":{"k":"v"}}`)
	m, err := ccs.ParseFromApp(payload)
	if err != nil {
		t.Fatal(err)
	}
	clear(payload)
	want := &ccs.Downstream{To: "TOKEN", MessageID: "m-1", Data: map[string]string{"k": "v"}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("after the payload was overwritten: %+v", m)
	}
}

func TestParseFromAppTimeToLive(t *testing.T) {
	for _, tt := range []struct {
		name, ttl string
		want      *time.Duration
	}{
		{"S37 a number", `600`, seconds(600)},
		{"S37 a string of digits", `"600"`, seconds(600)},
		{"S37 zero", `0`, seconds(0)},
		{"S37 the most", `2419200`, seconds(2419200)},
		{"S37 a fraction of zero", `600.0`, seconds(600)},
		{"S37 an exponent", `6e2`, seconds(600)},
		{"S37 the last of two equal keys", `1,"time_to_live":2`, seconds(2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parseDownstream(t, `{"to":"T","message_id":"m","time_to_live":`+tt.ttl+`}`)
			if got.TTL == nil || *got.TTL != *tt.want {
				t.Errorf("TTL = %v, want %v", got.TTL, tt.want)
			}
		})
	}
}

func TestParseFromAppMakesValuesStrings(t *testing.T) {
	for _, field := range []string{"data", "notification"} {
		t.Run("S38 "+field, func(t *testing.T) {
			m := parseDownstream(t, `{"to":"T","message_id":"m","`+field+`":{"s":"x","n":100,"f":-1.50e3,"t":true,"b":false,
				"o":{ "a" : [ 1 , "x y" ] },"e":[ ],"z":null}}`)
			got := m.Data
			if field == "notification" {
				got = m.Notification
			}
			want := map[string]string{
				"s": "x", "n": "100", "f": "-1.50e3", "t": "true", "b": "false",
				"o": `{"a":[1,"x y"]}`, "e": "[]",
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestParseFromAppRefuses(t *testing.T) {
	const id = `"message_id":"m-1"`
	value := func(n int) string { return strings.Repeat("v", n) }
	const manyTargets = `InvalidJson: INVALID_TARGET : Field "registration_ids" must not be there: over CCS each token takes a message of its own, in "to"`
	for _, tt := range []struct {
		name, payload string
		id            ccs.MessageID
		from          ccs.RegistrationToken
		text          string // all of it, or its beginning and a "…"
	}{
		{"S44 plain text", `hello`, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 nothing", ``, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 an array", `[{"to":"T","message_id":"m"}]`, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 a string", `"x"`, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 JSON that breaks off behind its id", `{"to":"T",` + id + `,"data":{"k":`, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 two objects", `{"to":"T",` + id + `}{}`, "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 a raw control character", "{\"to\":\"T\x01\"," + id + "}", "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 invalid UTF-8", "{\"to\":\"\xff\"," + id + "}", "", "unknown", "InvalidJson: JSON_PARSING_ERROR : …"},
		{"S44 no message_id", `{"to":"T","random":"text"}`, "", "T", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		{"S44 an empty message_id", `{"to":"T","message_id":""}`, "", "T", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		{"S44 a null message_id", `{"to":"T","message_id":null}`, "", "T", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		{"S44 no message_id and a wrong field too", `{"to":"T","dry_run":1,"time_to_live":-1}`, "", "T", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		{"S44 a message_id that no answer can echo", `{"to":"T","message_id":["m"]}`, "", "T", `InvalidJson: JSON_TYPE_ERROR : Field "message_id" must be a JSON java.lang.String: ["m"]`},

		{"S34 message_id a number", `{"message_id":12,"to":"T"}`, "12", "T", `InvalidJson: JSON_TYPE_ERROR : Field "message_id" must be a JSON java.lang.String: 12`},
		{"S34 message_id a boolean", `{"message_id":true,"to":"T"}`, "true", "T", `InvalidJson: JSON_TYPE_ERROR : Field "message_id" must be a JSON java.lang.String: true`},

		{"R-A28 seventeen levels", `{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `,"to":"T",` + id + `}`, "m-1", "T", "InvalidJson: JSON_PARSING_ERROR : values nest 17 deep: at most 16 are allowed"},
		{"R-A28 ten thousand levels", `{"x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `,"to":"T",` + id + `}`, "m-1", "T", "InvalidJson: JSON_PARSING_ERROR : values nest 10000 deep: at most 16 are allowed"},
		{"R-A28 too deep and no id", `{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `,"to":"T"}`, "", "T", "InvalidJson: JSON_PARSING_ERROR : values nest 17 deep: at most 16 are allowed"},

		{"S36 no target", `{` + id + `}`, "m-1", "unknown", `InvalidJson: INVALID_TARGET : Field "to" is missing, and so is "condition"`},
		{"S36 an empty target", `{"to":"",` + id + `}`, "m-1", "unknown", `InvalidJson: INVALID_TARGET : Field "to" is missing, and so is "condition"`},
		{"S36 two targets", `{"to":"T","condition":"C",` + id + `}`, "m-1", "T", `InvalidJson: INVALID_TARGET : Field "to" must not stand beside "condition"`},
		{"S36 many targets beside one", `{"to":"T","registration_ids":["T1","T2"],` + id + `}`, "m-1", "T", manyTargets},
		{"S36 many targets", `{"registration_ids":["T1","T2"],` + id + `}`, "m-1", "unknown", manyTargets},
		{"S36 a target that is a number", `{"to":77,` + id + `}`, "m-1", "77", `InvalidJson: JSON_TYPE_ERROR : Field "to" must be a JSON java.lang.String`},
		{"S36 a target that is a list", `{"to":["T1","T2"],"condition":"C",` + id + `}`, "m-1", "C", `InvalidJson: JSON_TYPE_ERROR : Field "to" must be a JSON java.lang.String`},
		{"S36 a message_type that is no string", `{"message_type":1,"to":"T",` + id + `}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "message_type" must be a JSON java.lang.String: 1`},
		{"S36 a collapse_key that is no string", `{"to":"T",` + id + `,"collapse_key":true}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "collapse_key" must be a JSON java.lang.String: true`},
		{"S36 a package name that is no string", `{"to":"T",` + id + `,"restricted_package_name":{ }}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "restricted_package_name" must be a JSON java.lang.String: {}`},
		{"S36 a flag that is a string", `{"to":"T",` + id + `,"delay_while_idle":"true"}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "delay_while_idle" must be a JSON java.lang.Boolean: true`},
		{"S36 a flag that is a number", `{"to":"T",` + id + `,"dry_run":1}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "dry_run" must be a JSON java.lang.Boolean: 1`},
		{"S36 a direct_boot_ok that is a number", `{"to":"T",` + id + `,"direct_boot_ok":1}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "direct_boot_ok" must be a JSON java.lang.Boolean: 1`},
		{"S36 options that are a list", `{"to":"T",` + id + `,"fcm_options":[]}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "fcm_options" must be a JSON java.util.Map: []`},
		{"S36 an analytics label that is a number", `{"to":"T",` + id + `,"fcm_options":{"analytics_label":1}}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "fcm_options.analytics_label" must be a JSON java.lang.String`},
		{"S36 data that is a string is not repeated", `{"to":"T",` + id + `,"data":"secret"}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "data" must be a JSON java.util.Map`},
		{"S36 a notification that is a list", `{"to":"T",` + id + `,"notification":["secret"]}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "notification" must be a JSON java.util.Map`},
		{"S36 a priority of its own", `{"to":"T",` + id + `,"priority":"urgent"}`, "m-1", "T", `InvalidJson: INVALID_PRIORITY : Field "priority" must be "normal" or "high": urgent`},
		{"S36 a long value is cut at a character", `{"to":"T",` + id + `,"priority":"x` + strings.Repeat("é", 40) + `"}`, "m-1", "T", `InvalidJson: INVALID_PRIORITY : Field "priority" must be "normal" or "high": x` + strings.Repeat("é", 31) + "…"},
		{"S36 what XML cannot carry is not repeated", `{"to":"T",` + id + `,"priority":"a\u0000\uffff"}`, "m-1", "T", `InvalidJson: INVALID_PRIORITY : Field "priority" must be "normal" or "high": a` + "\ufffd\ufffd"},

		{"S36 time to live in words", `{"to":"T",` + id + `,"time_to_live":"abc"}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "time_to_live" must be a JSON java.lang.Number: abc`},
		{"S36 time to live an empty string", `{"to":"T",` + id + `,"time_to_live":""}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "time_to_live" must be a JSON java.lang.Number: `},
		{"S36 time to live a signed string", `{"to":"T",` + id + `,"time_to_live":"-1"}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "time_to_live" must be a JSON java.lang.Number: -1`},
		{"S36 time to live a boolean", `{"to":"T",` + id + `,"time_to_live":true}`, "m-1", "T", `InvalidJson: JSON_TYPE_ERROR : Field "time_to_live" must be a JSON java.lang.Number: true`},
		{"S36 time to live below the range", `{"to":"T",` + id + `,"time_to_live":-1}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (-1) for "time_to_live": must be between 0 and "2419200"`},
		{"S36 time to live above the range", `{"to":"T",` + id + `,"time_to_live":2419201}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (2419201) for "time_to_live": must be between 0 and "2419200"`},
		{"S36 time to live above the range as a string", `{"to":"T",` + id + `,"time_to_live":"9999999999999999999999"}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (9999999999999999999999) for "time_to_live": must be between 0 and "2419200"`},
		{"R-A28 time to live 1e400", `{"to":"T",` + id + `,"time_to_live":1e400}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (1e400) for "time_to_live": must be between 0 and "2419200"`},
		{"S36 time to live with a fraction", `{"to":"T",` + id + `,"time_to_live":1.5}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (1.5) for "time_to_live": must be between 0 and "2419200"`},
		{"S36 time to live nearly zero", `{"to":"T",` + id + `,"time_to_live":1e-400}`, "m-1", "T", `InvalidJson : INVALID_TTL : Invalid value (1e-400) for "time_to_live": must be between 0 and "2419200"`},

		{"S36 a reserved key", `{"to":"T",` + id + `,"data":{"from":"x"}}`, "m-1", "T", `InvalidJson: INVALID_DATA_KEY : Field "data" holds the reserved key "from"`},
		{"S36 a reserved prefix", `{"to":"T",` + id + `,"data":{"google.c.a":"x"}}`, "m-1", "T", `InvalidJson: INVALID_DATA_KEY : Field "data" holds the reserved key "google.c.a"`},

		{"R-A28 one byte too much", `{"to":"T",` + id + `,"data":{"k":"` + value(4096) + `"}}`, "m-1", "T", `InvalidJson: MESSAGE_TOO_BIG : Field "data" has 4097 bytes of keys and values: at most 4096 are allowed`},
		{"S36 too big a notification", `{"to":"T",` + id + `,"notification":{"body":"` + value(4093) + `"}}`, "m-1", "T", `InvalidJson: MESSAGE_TOO_BIG : Field "notification" has 4097 bytes of keys and values: at most 4096 are allowed`},
		{"S36 too big together", `{"to":"T",` + id + `,"data":{"k":"` + value(2047) + `"},"notification":{"body":"` + value(2045) + `"}}`, "m-1", "T", `InvalidJson: MESSAGE_TOO_BIG : Field "data" has 4097 bytes of keys and values, together with "notification": at most 4096 are allowed`},
		{"S36 too long an id", `{"to":"T","message_id":"` + value(1025) + `"}`, ccs.MessageID(value(1025)), "T", `InvalidJson: INVALID_FIELD : Field "message_id" has 1025 bytes: at most 1024 are allowed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := refusal(t, tt.payload)
			if got.Code != ccs.CodeInvalidJSON || got.MessageID != tt.id || got.From != tt.from {
				t.Errorf("code %s, id %.40q, from %q; want INVALID_JSON, %.40q, %q", got.Code, got.MessageID, got.From, tt.id, tt.from)
			}
			start, cut := strings.CutSuffix(tt.text, " …")
			if !cut && got.Text != tt.text || cut && !strings.HasPrefix(got.Text, start) {
				t.Errorf("text %s\nwant %s", got.Text, tt.text)
			}
		})
	}
}

func TestParseFromAppAcceptsExactlyTheLimit(t *testing.T) {
	m := parseDownstream(t, `{"to":"T","message_id":"`+strings.Repeat("i", 1024)+`","data":{"k":"`+strings.Repeat("é", 1024)+`"},"notification":{"k":"`+strings.Repeat("v", 2046)+`"}}`)
	if len(m.MessageID) != ccs.MaxMessageID || len(m.Data["k"]) != 2048 {
		t.Errorf("id of %d bytes, value of %d", len(m.MessageID), len(m.Data["k"]))
	}
}

// What the rules see of a map is what stays in it; and an object that was
// decoded on the way counts for the depth of nothing behind it.
func TestParseFromAppJudgesWhatStays(t *testing.T) {
	big := strings.Repeat("x", 3000)
	m := parseDownstream(t, `{"to":"T","message_id":"m-1","data":{"k":"`+big+`","k":"`+big+`","from":"x","from":null}}`)
	if len(m.Data) != 1 || m.Data["k"] != big {
		t.Errorf("data has %d keys", len(m.Data))
	}
	if _, err := ccs.ParseFromApp([]byte(`{"to":"T","message_id":"m-1","data":{"k":"` + big + `","l":"` + big + `","k":"y","m":"` + big + `"}}`)); err == nil {
		t.Error("6,000 bytes that stay were accepted")
	}
	deep := strings.Repeat("[", ccs.MaxDepth-1) + strings.Repeat("]", ccs.MaxDepth-1)
	parseDownstream(t, `{"data":{"k":"v"},"notification":{"title":"v"},"x":`+deep+`,"to":"T","message_id":"m-1"}`)
}

func TestParseFromAppRefusesBadAcks(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		id            ccs.MessageID
		from          ccs.RegistrationToken
	}{
		{"an ack without message_id", `{"message_type":"ack","to":"T"}`, "unknown", "T"},
		{"an ack with an empty message_id", `{"message_type":"ack","to":"T","message_id":""}`, "unknown", "T"},
		{"an ack without to", `{"message_type":"ack","message_id":"m"}`, "m", "unknown"},
		{"an ack with neither", `{"message_type":"ack"}`, "unknown", "unknown"},
		{"an ack whose id is a number", `{"message_type":"ack","to":"T","message_id":7}`, "7", "T"},
		{"an ack whose to is a number", `{"message_type":"ack","to":7,"message_id":"m"}`, "m", "7"},
		{"an ack whose id is a list", `{"message_type":"ack","to":"T","message_id":[]}`, "unknown", "T"},
		{"an ack with too long an id", `{"message_type":"ack","to":"T","message_id":"` + strings.Repeat("m", 1029) + `"}`, ccs.MessageID(strings.Repeat("m", 1029)), "T"},
		{"an ack that is too deep", `{"message_type":"ack","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, "unknown", "unknown"},
		{"S46 a nack from an app server", `{"message_type":"nack","to":"T","message_id":"m","error":"X"}`, "m", "T"},
		{"S46 an empty nack from an app server", `{"message_type":"nack"}`, "unknown", "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := refusal(t, tt.payload)
			if got.Code != ccs.CodeBadAck || got.MessageID != tt.id || got.From != tt.from {
				t.Errorf("got %s %q %q, want BAD_ACK %q %q", got.Code, got.MessageID, got.From, tt.id, tt.from)
			}
		})
	}
}

func TestErrorsRepeatNoSecrets(t *testing.T) {
	const secret = "XSECRETX"
	for _, payload := range []string{
		`{"to":["` + secret + `"],"message_id":"m"}`,
		`{"to":"T","message_id":"m","data":"` + secret + `"}`,
		`{"to":"T","message_id":"m","data":{"from":"` + secret + `"}}`,
		`{"to":"T","message_id":"m","notification":[{"body":"` + secret + `"}]}`,
		`{"to":"` + secret + `","condition":"C","message_id":"m"}`,
		`{"to":"` + secret + `","message_id":"m","data":{"k":"` + strings.Repeat(secret, 1000) + `"}}`,
		`{"to":"T","message_id":"m","data":{"k":"` + secret,
	} {
		if got := refusal(t, payload); strings.Contains(got.Text, secret) {
			t.Errorf("the text repeats a secret: %s", got.Text)
		}
	}
}
