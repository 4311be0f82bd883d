package translate_test

import (
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

// silent is what every message carries that shows nothing on Apple devices.
const silent = `"apns":{"headers":{"apns-priority":"5"}}`

// Names and keys at their bounds.
var (
	longTopic    = strings.Repeat("a", 900)
	key32, key33 = strings.Repeat("k", 32), strings.Repeat("k", 33)
	key64, key65 = strings.Repeat("k", 64), strings.Repeat("k", 65)
)

// rows has one row for each row of docs/fcm-http.md, Mapping: what comes over
// either protocol, and what goes out at Unix time 1000.
var rows = []struct{ name, legacy, want string }{
	// Targets.
	{"T-01 a token", `{"to":"T"}`, `{"token":"T",` + silent + `}`},
	{"T-01 a FID or a notification key stands where a token stands", `{"to":"cAbc_def-ghijklmnopqrs"}`, `{"token":"cAbc_def-ghijklmnopqrs",` + silent + `}`},
	{"T-02 a topic", `{"to":"/topics/news"}`, `{"topic":"news",` + silent + `}`},
	{"T-02 a topic with all that a name may have", `{"to":"/topics/aZ09-_.~%"}`, `{"topic":"aZ09-_.~%",` + silent + `}`},
	{"T-02 a topic as long as may be", `{"to":"/topics/` + longTopic + `"}`, `{"topic":"` + longTopic + `",` + silent + `}`},
	{"T-04 a condition goes as it is", `{"condition":"'a' in topics && ('b' in topics || !('c' in topics))"}`, `{"condition":"'a' in topics && ('b' in topics || !('c' in topics))",` + silent + `}`},

	// Data.
	{"T-09 strings stay", `{"to":"T","data":{"k":" v<>&\u2028é","e":""}}`, `{"token":"T","data":{"k":" v<>&\u2028é","e":""},` + silent + `}`},
	{
		"T-09 numbers keep their digits", `{"to":"T","data":{"a":12,"b":1e2,"c":12345678901234567890,"d":0.10,"e":-0}}`,
		`{"token":"T","data":{"a":"12","b":"1e2","c":"12345678901234567890","d":"0.10","e":"-0"},` + silent + `}`,
	},
	{
		"T-10 booleans, objects and arrays become their text", `{"to":"T","data":{"t":true,"f":false,"o":{ "a" : 1, "b":[ ] },"l":[1, "x y" , null]}}`,
		`{"token":"T","data":{"t":"true","f":"false","o":"{\"a\":1,\"b\":[]}","l":"[1,\"x y\",null]"},` + silent + `}`,
	},
	{"T-11 null drops its key", `{"to":"T","data":{"n":null,"k":"v"}}`, `{"token":"T","data":{"k":"v"},` + silent + `}`},
	{"T-11 data that is null throughout is none", `{"to":"T","data":{"n":null}}`, `{"token":"T",` + silent + `}`},
	{"no data and no notification is a message too", `{"to":"T","data":{},"notification":{}}`, `{"token":"T",` + silent + `}`},

	// Options.
	{
		"T-14 high, with a notification", `{"to":"T","priority":"high","notification":{"title":"N"}}`,
		`{"token":"T","notification":{"title":"N"},"android":{"priority":"high"},"apns":{"headers":{"apns-priority":"10"}},"webpush":{"headers":{"Urgency":"high"}}}`,
	},
	{
		"T-15 normal, with a notification", `{"to":"T","priority":"normal","notification":{"title":"N"}}`,
		`{"token":"T","notification":{"title":"N"},"android":{"priority":"normal"},"apns":{"headers":{"apns-priority":"5"}},"webpush":{"headers":{"Urgency":"normal"}}}`,
	},
	{
		"T-15 normal, in another case, data only", `{"to":"T","priority":"NORMAL","data":{"k":"v"}}`,
		`{"token":"T","data":{"k":"v"},"android":{"priority":"normal"},` + silent + `,"webpush":{"headers":{"Urgency":"normal"}}}`,
	},
	{"T-16 no priority, data only", `{"to":"T","data":{"k":"v"}}`, `{"token":"T","data":{"k":"v"},` + silent + `}`},
	{
		"T-17 high, data only", `{"to":"T","priority":"high","data":{"k":"v"}}`,
		`{"token":"T","data":{"k":"v"},"android":{"priority":"high"},` + silent + `,"webpush":{"headers":{"Urgency":"high"}}}`,
	},
	{
		"T-17 a notification that Apple devices show nothing of is no reason for haste", `{"to":"T","priority":"high","notification":{"tag":"t"}}`,
		`{"token":"T","android":{"priority":"high","notification":{"tag":"t"}},` + silent + `,"webpush":{"headers":{"Urgency":"high"}}}`,
	},
	{"T-18 no priority, with a notification", `{"to":"T","notification":{"title":"N"}}`, `{"token":"T","notification":{"title":"N"}}`},
	{
		"T-19 T-21 content_available, data only", `{"to":"T","content_available":true,"data":{"k":"v"}}`,
		`{"token":"T","data":{"k":"v"},"apns":{"headers":{"apns-priority":"5","apns-push-type":"background"},"payload":{"aps":{"content-available":1}}}}`,
	},
	{
		"T-19 content_available, with a notification", `{"to":"T","content_available":true,"priority":"high","notification":{"title":"N"}}`,
		`{"token":"T","notification":{"title":"N"},"android":{"priority":"high"},"apns":{"headers":{"apns-priority":"10","apns-push-type":"alert"},"payload":{"aps":{"content-available":1}}},"webpush":{"headers":{"Urgency":"high"}}}`,
	},
	{"T-19 flags that are off", `{"to":"T","content_available":false,"mutable_content":false,"dry_run":false,"direct_boot_ok":false}`, `{"token":"T",` + silent + `}`},
	{
		"T-20 mutable_content", `{"to":"T","mutable_content":true,"notification":{"title":"N","image":"https://example.com/i.png"}}`,
		`{"token":"T","notification":{"title":"N","image":"https://example.com/i.png"},"apns":{"payload":{"aps":{"mutable-content":1}}}}`,
	},
	{
		"T-22 a time to live", `{"to":"T","time_to_live":600}`,
		`{"token":"T","android":{"ttl":"600s"},"apns":{"headers":{"apns-expiration":"1600","apns-priority":"5"}},"webpush":{"headers":{"TTL":"600"}}}`,
	},
	{
		"T-23 now or never", `{"to":"T","time_to_live":0}`,
		`{"token":"T","android":{"ttl":"0s"},"apns":{"headers":{"apns-expiration":"0","apns-priority":"5"}},"webpush":{"headers":{"TTL":"0"}}}`,
	},
	{
		"T-24 a time to live of digits in a string", `{"to":"T","time_to_live":"600"}`,
		`{"token":"T","android":{"ttl":"600s"},"apns":{"headers":{"apns-expiration":"1600","apns-priority":"5"}},"webpush":{"headers":{"TTL":"600"}}}`,
	},
	{
		"T-24 the longest time to live", `{"to":"T","time_to_live":2419200}`,
		`{"token":"T","android":{"ttl":"2419200s"},"apns":{"headers":{"apns-expiration":"2420200","apns-priority":"5"}},"webpush":{"headers":{"TTL":"2419200"}}}`,
	},
	{
		"T-26 a collapse key", `{"to":"T","collapse_key":"score"}`,
		`{"token":"T","android":{"collapse_key":"score"},"apns":{"headers":{"apns-collapse-id":"score","apns-priority":"5"}},"webpush":{"headers":{"Topic":"score"}}}`,
	},
	{
		"T-27 a collapse key of 32 characters", `{"to":"T","collapse_key":"` + key32 + `"}`,
		`{"token":"T","android":{"collapse_key":"` + key32 + `"},"apns":{"headers":{"apns-collapse-id":"` + key32 + `","apns-priority":"5"}},"webpush":{"headers":{"Topic":"` + key32 + `"}}}`,
	},
	{
		"T-27 a collapse key of 33 characters", `{"to":"T","collapse_key":"` + key33 + `"}`,
		`{"token":"T","android":{"collapse_key":"` + key33 + `"},"apns":{"headers":{"apns-collapse-id":"` + key33 + `","apns-priority":"5"}}}`,
	},
	{
		"T-27 a collapse key of 64 bytes", `{"to":"T","collapse_key":"` + key64 + `"}`,
		`{"token":"T","android":{"collapse_key":"` + key64 + `"},"apns":{"headers":{"apns-collapse-id":"` + key64 + `","apns-priority":"5"}}}`,
	},
	{"T-27 a collapse key of 65 bytes", `{"to":"T","collapse_key":"` + key65 + `"}`, `{"token":"T","android":{"collapse_key":"` + key65 + `"},` + silent + `}`},
	{
		"T-27 a collapse key that is no base64url", `{"to":"T","collapse_key":"a b"}`,
		`{"token":"T","android":{"collapse_key":"a b"},"apns":{"headers":{"apns-collapse-id":"a b","apns-priority":"5"}}}`,
	},
	{
		"T-27 a collapse key in which a character of base64url is a byte of another", `{"to":"T","collapse_key":"\u0161"}`,
		`{"token":"T","android":{"collapse_key":"š"},"apns":{"headers":{"apns-collapse-id":"š","apns-priority":"5"}}}`,
	},
	{
		"T-27 a collapse key of the first and last characters of base64url", `{"to":"T","collapse_key":"azAZ09-_"}`,
		`{"token":"T","android":{"collapse_key":"azAZ09-_"},"apns":{"headers":{"apns-collapse-id":"azAZ09-_","apns-priority":"5"}},"webpush":{"headers":{"Topic":"azAZ09-_"}}}`,
	},
	{"T-27 a collapse key that no header can hold", `{"to":"T","collapse_key":"a\nb"}`, `{"token":"T","android":{"collapse_key":"a\nb"},` + silent + `}`},
	{"T-27 a collapse key that begins with what no header can hold", `{"to":"T","collapse_key":"\u0000ab"}`, `{"token":"T","android":{"collapse_key":"\u0000ab"},` + silent + `}`},
	{"T-27 a collapse key with the last control character", `{"to":"T","collapse_key":"a\u007fb"}`, `{"token":"T","android":{"collapse_key":"a\u007fb"},` + silent + `}`},
	{"T-28 a package name", `{"to":"T","restricted_package_name":"org.example"}`, `{"token":"T","android":{"restricted_package_name":"org.example"},` + silent + `}`},
	{"direct boot", `{"to":"T","direct_boot_ok":true}`, `{"token":"T","android":{"direct_boot_ok":true},` + silent + `}`},
	{"an analytics label", `{"to":"T","fcm_options":{"analytics_label":"spring-1"}}`, `{"token":"T","fcm_options":{"analytics_label":"spring-1"},` + silent + `}`},
	{"T-30 what means nothing is left out", `{"to":"T","delay_while_idle":true,"foo":{"bar":1}}`, `{"token":"T",` + silent + `}`},
}

func TestRows(t *testing.T) {
	for _, tt := range rows {
		for _, way := range ways {
			t.Run(tt.name+", "+way.name, func(t *testing.T) {
				wantV1(t, way.read(t, tt.legacy), at(0), nil, `{"message":`+tt.want+`}`)
			})
		}
	}
}

func TestT_27_NothingBesideBase64URLIsATopicOfTheWeb(t *testing.T) {
	for _, c := range "`{@[/:+=.~,^ " {
		wantV1(t, &ccs.Downstream{To: "T", CollapseKey: ccs.CollapseKey("k" + string(c))}, at(0), nil,
			`{"message":{"token":"T","android":{"collapse_key":"k`+string(c)+`"},"apns":{"headers":{"apns-collapse-id":"k`+string(c)+`","apns-priority":"5"}}}}`)
	}
}

func TestT_29_ADryRunIsValidatedOnly(t *testing.T) {
	for _, way := range ways {
		wantV1(t, way.read(t, `{"to":"T","dry_run":true}`), at(0), nil, `{"validate_only":true,"message":{"token":"T",`+silent+`}}`)
	}
}

// TestT_42_TheExample is the example of docs/fcm-http.md, to the byte.
func TestT_42_TheExample(t *testing.T) {
	const legacy = `{"to":"T","collapse_key":"score","time_to_live":600,"priority":"high",
 "notification":{"title":"Goal","body_loc_key":"GOAL","body_loc_args":"[\"FC\",\"2\"]","badge":"3","click_action":"OPEN"},
 "data":{"n":12,"o":{"a":1}}}`
	const want = `{"message":{"token":"T","data":{"n":"12","o":"{\"a\":1}"},"notification":{"title":"Goal"},
 "android":{"collapse_key":"score","ttl":"600s","priority":"high",
  "notification":{"body_loc_key":"GOAL","body_loc_args":["FC","2"],"click_action":"OPEN"}},
 "apns":{"headers":{"apns-collapse-id":"score","apns-expiration":"1600","apns-priority":"10"},
  "payload":{"aps":{"alert":{"title":"Goal","loc-key":"GOAL","loc-args":["FC","2"]},"badge":3,"category":"OPEN"}}},
 "webpush":{"headers":{"TTL":"600","Urgency":"high","Topic":"score"}}}}`
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) { wantV1(t, way.read(t, legacy), at(0), nil, want) })
	}
}

func TestT_25_TimeInOurQueueIsTakenOffTheTTL(t *testing.T) {
	seconds := func(n int) *time.Duration { ttl := time.Duration(n) * time.Second; return &ttl }
	ttl := func(android, apple, web string) string {
		return `{"message":{"token":"T","android":{"ttl":"` + android + `"},"apns":{"headers":{"apns-expiration":"` + apple + `","apns-priority":"5"}},"webpush":{"headers":{"TTL":"` + web + `"}}}}`
	}
	for _, tt := range []struct {
		name   string
		ttl    int
		waited time.Duration
		want   string // empty: expired
	}{
		{"less than a second is nothing", 600, 999 * time.Millisecond, ttl("600s", "1600", "600")},
		{"whole seconds count", 600, 1500 * time.Millisecond, ttl("599s", "1600", "599")},
		{"the last second", 600, 599*time.Second + 1, ttl("1s", "1600", "1")},
		{"the very end", 600, 600 * time.Second, ttl("0s", "1600", "0")},
		{"just over", 600, 600*time.Second + 1, ""},
		{"long over", 1, time.Hour, ""},
		{"now or never, at once", 0, 900 * time.Millisecond, ttl("0s", "0", "0")},
		{"now or never, late", 0, time.Second, ""},
		{"a clock that was put back", 600, -time.Hour, ttl("600s", "1600", "600")},
	} {
		t.Run("T-25 "+tt.name, func(t *testing.T) {
			m := &ccs.Downstream{To: "T", TTL: seconds(tt.ttl)}
			if tt.want != "" {
				wantV1(t, m, at(tt.waited), nil, tt.want)
				return
			}
			r, err := translate.ToV1(m, at(tt.waited), nil)
			if r != nil {
				t.Error("there is a request all the same")
			}
			wantClass(t, err, fcm.Expired, "")
		})
	}
	t.Run("T-25 without a time to live nothing expires", func(t *testing.T) {
		wantV1(t, &ccs.Downstream{To: "T"}, at(1000*time.Hour), nil, `{"message":{"token":"T",`+silent+`}}`)
	})
	t.Run("T-25 nobody said when it was accepted", func(t *testing.T) {
		now := translate.Times{Now: time.Unix(1000, 0)}
		wantV1(t, &ccs.Downstream{To: "T", TTL: seconds(600)}, now, nil, ttl("600s", "1600", "600"))
	})
}

func TestRefused(t *testing.T) {
	ttl := func(d time.Duration) *time.Duration { return &d }
	data := func(key string) map[string]string { return map[string]string{"a": "1", key: "v", "z": "2"} }
	note := func(key, val string) map[string]string { return map[string]string{key: val} }
	for _, tt := range []struct {
		name  string
		m     ccs.Downstream
		field string
		word  string // of legacy HTTP
	}{
		{"T-08 no target", ccs.Downstream{}, "message", translate.MissingRegistration},
		{"two targets", ccs.Downstream{To: "T", Condition: "'a' in topics"}, "message", translate.InvalidParameters},
		{"T-03 a topic without a name", ccs.Downstream{To: "/topics/"}, "message", translate.InvalidParameters},
		{"T-03 a topic without a name, beside a condition", ccs.Downstream{To: "/topics/", Condition: "'a' in topics"}, "message", translate.InvalidParameters},
		{"T-03 a topic with a forbidden character", ccs.Downstream{To: "/topics/bad#topic"}, "message", translate.InvalidParameters},
		{"T-03 a topic with a slash", ccs.Downstream{To: "/topics/a/b"}, "message", translate.InvalidParameters},
		{"T-03 a topic that is too long", ccs.Downstream{To: ccs.RegistrationToken("/topics/" + strings.Repeat("a", 901))}, "message", translate.InvalidParameters},
		{"T-12 data from", ccs.Downstream{To: "T", Data: data("from")}, "message.data", translate.InvalidDataKey},
		{"T-12 data message_type", ccs.Downstream{To: "T", Data: data("message_type")}, "message.data", translate.InvalidDataKey},
		{"T-12 data google.x", ccs.Downstream{To: "T", Data: data("google.x")}, "message.data", translate.InvalidDataKey},
		{"T-12 data gcm.notification.x", ccs.Downstream{To: "T", Data: data("gcm.notification.x")}, "message.data", translate.InvalidDataKey},
		{"T-24 a negative time to live", ccs.Downstream{To: "T", TTL: ttl(-time.Second)}, "message.android.ttl", translate.InvalidTTL},
		{"T-24 a time to live beyond four weeks", ccs.Downstream{To: "T", TTL: ttl(2419201 * time.Second)}, "message.android.ttl", translate.InvalidTTL},
		{"T-24 a broken time to live", ccs.Downstream{To: "T", TTL: ttl(1500 * time.Millisecond)}, "message.android.ttl", translate.InvalidTTL},
		{"an odd priority", ccs.Downstream{To: "T", Priority: "urgent"}, "message.android.priority", translate.InvalidParameters},
		{"an analytics label with a blank", ccs.Downstream{To: "T", AnalyticsLabel: "a b"}, "message.fcm_options.analytics_label", translate.InvalidParameters},
		{"T-39 arguments that are no array", ccs.Downstream{To: "T", Notification: note("body_loc_args", "FC")}, "message.android.notification.body_loc_args", translate.InvalidParameters},
		{"T-39 arguments that are an object", ccs.Downstream{To: "T", Notification: note("title_loc_args", `{"a":1}`)}, "message.android.notification.title_loc_args", translate.InvalidParameters},
		{"T-39 arguments that are null", ccs.Downstream{To: "T", Notification: note("title_loc_args", `null`)}, "message.android.notification.title_loc_args", translate.InvalidParameters},
		{"T-39 arguments that break off", ccs.Downstream{To: "T", Notification: note("title_loc_args", `["a"`)}, "message.android.notification.title_loc_args", translate.InvalidParameters},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := translate.ToV1(&tt.m, at(0), nil)
			if r != nil {
				t.Error("there is a request all the same")
			}
			e := wantClass(t, err, fcm.InvalidMessage, tt.field)
			if got := translate.LegacyResult(err); got != tt.word {
				t.Errorf("over legacy HTTP it is %q, want %q", got, tt.word)
			}
			if nack := translate.Nack(err, nil); nack.Code != ccs.CodeInvalidJSON || !strings.Contains(nack.Text(), tt.field) {
				t.Errorf("over XMPP it is %v", nack)
			}
			if r := translate.Envelope(err); r.HTTPStatus != 400 || r.Code != fcm.CodeInvalidArgument || r != e.Reply {
				t.Errorf("over v1 it is %+v", r)
			}
		})
	}
}

func TestDataMayUseTheWordsOfTheProtocol(t *testing.T) {
	m := &ccs.Downstream{To: "T", Data: map[string]string{"collapse_key": "a", "googol": "b", "gcm": "c", "gcm.x": "d", "From": "e"}}
	wantV1(t, m, at(0), nil, `{"message":{"token":"T","data":{"collapse_key":"a","googol":"b","gcm":"c","gcm.x":"d","From":"e"},`+silent+`}}`)
}

func TestAnOddPriorityMayBeNormal(t *testing.T) {
	wantV1(t, &ccs.Downstream{To: "T", Priority: "urgent"}, at(0), &translate.Options{OddPriority: translate.OddPriorityIsNormal},
		`{"message":{"token":"T","android":{"priority":"normal"},`+silent+`,"webpush":{"headers":{"Urgency":"normal"}}}}`)
}

func TestT_54_OurOwnSizeLimit(t *testing.T) {
	m := &ccs.Downstream{
		To: "T", Data: map[string]string{"k": strings.Repeat("é", 2000), "kk": ""},
		Notification: map[string]string{"title": strings.Repeat("x", 88)},
	}
	const size = 1 + 4000 + 2 + 5 + 88
	if _, err := translate.ToV1(m, at(0), &translate.Options{SizeLimit: size}); err != nil {
		t.Errorf("%d bytes of %d: %v", size, size, err)
	}
	_, err := translate.ToV1(m, at(0), &translate.Options{SizeLimit: size - 1})
	wantClass(t, err, fcm.InvalidMessage, "message")
	if got := translate.LegacyResult(err); got != translate.MessageTooBig {
		t.Errorf("over legacy HTTP it is %s", got)
	}
	m.Data["k"] = strings.Repeat("x", 1<<20)
	if _, err := translate.ToV1(m, at(0), nil); err != nil {
		t.Errorf("refused by size without a limit: %v", err)
	}
}

func TestT_52_TheIDTravelsWhereAReceiptIsRequested(t *testing.T) {
	on := &translate.Options{MessageIDKey: "penstock_id"}
	m := ccs.Downstream{To: "T", MessageID: "m-1", Data: map[string]string{"k": "v"}, DeliveryReceiptRequested: true}
	t.Run("T-52 switched on", func(t *testing.T) {
		wantV1(t, &m, at(0), on, `{"message":{"token":"T","data":{"k":"v","penstock_id":"m-1"},`+silent+`}}`)
		if len(m.Data) != 1 {
			t.Errorf("the message was changed: %v", m.Data)
		}
	})
	t.Run("T-52 switched on, without data", func(t *testing.T) {
		m := m
		m.Data = nil
		wantV1(t, &m, at(0), on, `{"message":{"token":"T","data":{"penstock_id":"m-1"},`+silent+`}}`)
	})
	t.Run("T-52 switched off it is accepted", func(t *testing.T) {
		wantV1(t, &m, at(0), nil, `{"message":{"token":"T","data":{"k":"v"},`+silent+`}}`)
	})
	t.Run("T-52 not requested", func(t *testing.T) {
		m := m
		m.DeliveryReceiptRequested = false
		wantV1(t, &m, at(0), on, `{"message":{"token":"T","data":{"k":"v"},`+silent+`}}`)
	})
	t.Run("T-52 a message without an id has none to send", func(t *testing.T) {
		m := m
		m.MessageID = ""
		wantV1(t, &m, at(0), on, `{"message":{"token":"T","data":{"k":"v"},`+silent+`}}`)
	})
	t.Run("T-52 the app's own value is not replaced", func(t *testing.T) {
		m := m
		m.Data = map[string]string{"penstock_id": "mine"}
		_, err := translate.ToV1(&m, at(0), on)
		wantClass(t, err, fcm.InvalidMessage, "message.data")
	})
}

func TestOptionsThatCannotBeObeyed(t *testing.T) {
	for name, o := range map[string]*translate.Options{
		"MessageIDKey \"from\"":     {MessageIDKey: "from"},
		"MessageIDKey \"google.x\"": {MessageIDKey: "google.x"},
		"SizeLimit":                 {SizeLimit: -1},
		"OddPriority":               {OddPriority: 2},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []*translate.Options{nil, {}, {MessageIDKey: "penstock_id", SizeLimit: 4096, OddPriority: translate.OddPriorityIsNormal}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestT_30_WhatIsLeftOutIsCounted(t *testing.T) {
	odd := &ccs.Downstream{To: "T", DelayWhileIdle: true, Notification: map[string]string{
		"title": "N", "foo": "1", "ticker": "2", "badge": "x", "color": "red", "icon": "http://example.com/i.png", "tag": "", "sound": "",
	}}
	for _, tt := range []struct {
		name string
		m    *ccs.Downstream
		opt  translate.Options
		want int
	}{
		{"T-30 what nobody knows, and what FCM would refuse", odd, translate.Options{}, 6},
		{"T-30 what passes through is not left out", odd, translate.Options{PassThrough: true}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := ignored(t, tt.m, tt.opt); n != tt.want {
				t.Errorf("%d things were left out, want %d", n, tt.want)
			}
		})
	}
	t.Run("T-30 nobody is told of nothing", func(t *testing.T) {
		opt := &translate.Options{Ignored: func(n int) { t.Errorf("told of %d", n) }}
		if _, err := translate.ToV1(&ccs.Downstream{To: "T", Notification: map[string]string{"title": "N"}}, at(0), opt); err != nil {
			t.Error(err)
		}
		if _, err := translate.ToV1(&ccs.Downstream{DelayWhileIdle: true}, at(0), opt); err == nil {
			t.Error("there is no target")
		}
	})
}

// ignored is how many things are left out of m.
func ignored(t *testing.T, m *ccs.Downstream, opt translate.Options) (told int) {
	t.Helper()
	opt.Ignored = func(n int) { told += n }
	if _, err := translate.ToV1(m, at(0), &opt); err != nil {
		t.Fatal(err)
	}
	return told
}
