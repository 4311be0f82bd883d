package fcmsim_test

import (
	"errors"
	"strings"
	"testing"

	"penstock/fcm"
	"penstock/fcmsim"
)

// faultCases are bodies, and what is wrong in them.
var faultCases = map[string]struct {
	body string
	want []string // fields and texts
}{
	"M-05 an unknown field in message": {
		`{"message":{"toen":"x"}}`,
		[]string{"message", `Invalid JSON payload received. Unknown name "toen" at 'message': Cannot find field.`},
	},
	"M-05 one at the root": {
		`{"to":"x"}`,
		[]string{"", `Invalid JSON payload received. Unknown name "to": Cannot find field.`},
	},
	"M-05 two at once": {
		`{"to":{"deep":[1,{}]},"message":{"android":{"ttl":"3s","toen":true},"token":"x"}}`,
		[]string{
			"", `Invalid JSON payload received. Unknown name "to": Cannot find field.`,
			"message.android", `Invalid JSON payload received. Unknown name "toen" at 'message.android': Cannot find field.`,
		},
	},
	"M-05 names of the other message": {
		`{"message":{"androidV2":{"priority":"HIGH"},"android":{"backgroundSync":{}},"data":{"androidV2":"fine"}}}`,
		[]string{
			"message.android_v2", `Invalid JSON payload received. Unknown name "priority" at 'message.android_v2': Cannot find field.`,
			"message.android", `Invalid JSON payload received. Unknown name "backgroundSync" at 'message.android': Cannot find field.`,
		},
	},
	"M-06 a number in data": {
		`{"message":{"token":"x","data":{"a":12}}}`,
		[]string{"message.data[0].value", `Invalid value at 'message.data[0].value' (TYPE_STRING), 12`},
	},
	"M-06 the third of data, and more": {
		`{"message":{"data":{"a":"","b":"","c":true,"d":null,"e":1.50},"android":{"data":{"a":false}}}}`,
		[]string{
			"message.data[2].value", `Invalid value at 'message.data[2].value' (TYPE_STRING), true`,
			"message.data[3].value", `Invalid value at 'message.data[3].value' (TYPE_STRING), null`,
			"message.data[4].value", `Invalid value at 'message.data[4].value' (TYPE_STRING), 1.50`,
			"message.android.data[0].value", `Invalid value at 'message.android.data[0].value' (TYPE_STRING), false`,
		},
	},
	"M-06 an object and a list in data": {
		`{"message":{"data":{"a":{},"b":[]}}}`,
		[]string{
			"message.data[0].value", `Invalid value at 'message.data[0].value' (TYPE_STRING), Starting an object on a scalar field`,
			"message", `Invalid JSON payload received. Unknown name "data" at 'message': Proto field is not repeating, cannot start list.`,
		},
	},
	"M-06 data that is no object": {
		`{"message":{"data":"x","android":{"data":["a"]}}}`,
		[]string{
			"message.data", `Invalid value at 'message.data' (Map), "x"`,
			"message.android.data", `Invalid value at 'message.android.data' (Map), Cannot bind a list to map for field 'data'.`,
		},
	},
	"M-06 wrong types elsewhere": {
		`{"validate_only":"true","message":{"token":7,"android":[],"notification":"n","apns":{"payload":"p","headers":7},
		  "android_v2":{"direct_boot_ok":1,"remote_notification":{"notification":{"notification_count":"x","body_loc_args":["a",7],"title_loc_args":"t","event_time":"yesterday","sticky":{}}}}}}`,
		[]string{
			"validate_only", `Invalid value at 'validate_only' (TYPE_BOOL), "true"`,
			"message.token", `Invalid value at 'message.token' (TYPE_STRING), 7`,
			"message", `Invalid JSON payload received. Unknown name "android" at 'message': Proto field is not repeating, cannot start list.`,
			"message.notification", `Invalid value at 'message.notification' (type.googleapis.com/google.firebase.fcm.v1.Notification), "n"`,
			"message.apns.payload", `Invalid value at 'message.apns.payload' (type.googleapis.com/google.protobuf.Struct), "p"`,
			"message.apns.headers", `Invalid value at 'message.apns.headers' (Map), 7`,
			"message.android_v2.direct_boot_ok", `Invalid value at 'message.android_v2.direct_boot_ok' (TYPE_BOOL), 1`,
			"message.android_v2.remote_notification.notification.notification_count", `Invalid value at 'message.android_v2.remote_notification.notification.notification_count' (TYPE_INT32), "x"`,
			"message.android_v2.remote_notification.notification.body_loc_args[1]", `Invalid value at 'message.android_v2.remote_notification.notification.body_loc_args[1]' (TYPE_STRING), 7`,
			"message.android_v2.remote_notification.notification.title_loc_args", `Invalid value at 'message.android_v2.remote_notification.notification.title_loc_args' (TYPE_STRING), "t"`,
			"message.android_v2.remote_notification.notification.event_time", `Invalid value at 'message.android_v2.remote_notification.notification.event_time' (type.googleapis.com/google.protobuf.Timestamp), Field 'event_time', Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset.`,
			"message.android_v2.remote_notification.notification.sticky", `Invalid value at 'message.android_v2.remote_notification.notification.sticky' (TYPE_BOOL), Starting an object on a scalar field`,
		},
	},
	"M-06 an enum that has no such value": {
		`{"message":{"token":"x","android":{"priority":"urgent","notification":{"visibility":true}}}}`,
		[]string{
			"message.android.priority", `Invalid value at 'message.android.priority' (type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), "urgent"`,
			"message.android.notification.visibility", `Invalid value at 'message.android.notification.visibility' (type.googleapis.com/google.firebase.fcm.v1.AndroidNotification.Visibility), true`,
		},
	},
	"M-07 a duration without s": {
		`{"message":{"token":"x","android":{"ttl":"10"}}}`,
		[]string{"message.android.ttl", durationFault + `duration must end with 's'`},
	},
	"M-07 a duration that is a number": {
		`{"message":{"token":"x","android":{"ttl":10}}}`,
		[]string{"message.android.ttl", durationFault + `duration must end with 's'`},
	},
	"M-07 a duration of letters": {
		`{"message":{"android":{"ttl":"xs"}}}`,
		[]string{"message.android.ttl", durationFault + `failed to parse seconds`},
	},
	"M-07 a duration with ten places": {
		`{"message":{"android":{"ttl":"1.0000000001s"}}}`,
		[]string{"message.android.ttl", durationFault + `failed to parse nanos`},
	},
	"M-07 a duration of eternities": {
		`{"message":{"android":{"ttl":"315576000001s"}}}`,
		[]string{"message.android.ttl", durationFault + `duration value exceeds limits`},
	},
	"M-13 two targets": {
		`{"message":{"token":"x","topic":"news"}}`,
		[]string{"message", `Invalid value (oneof), oneof field 'target' is already set. Cannot set 'topic'`},
	},
	"M-13 four targets": {
		`{"message":{"condition":"'a' in topics","token":"x","topic":"news","fid":"f"}}`,
		[]string{
			"message", `Invalid value (oneof), oneof field 'target' is already set. Cannot set 'token'`,
			"message", `Invalid value (oneof), oneof field 'target' is already set. Cannot set 'topic'`,
			"message", `Invalid value (oneof), oneof field 'target' is already set. Cannot set 'fid'`,
		},
	},
	"M-05 broken JSON":                     {`{"message":{toen:1}}`, []string{"", "Invalid JSON payload received. Unexpected token.\n{\"message\":{toen:1}}\n            ^"}},
	"M-05 broken in the middle":            {`{"message":{"data":{"aaaaaaaaaaaaaaaaaaaaaaa":"b" "ccccccccccccccccccccccccc":"d"}}}`, []string{"", "Invalid JSON payload received. Unexpected token.\naaaaaaaaaaaaaa\":\"b\" \"ccccccccccccccccccc\n                    ^"}},
	"M-05 JSON that is cut short":          {`{"message":`, []string{"", "Invalid JSON payload received. Unexpected token.\n{\"message\":\n           ^"}},
	"M-05 something behind it":             {`{} x`, []string{"", "Invalid JSON payload received. Unexpected token.\n{} x\n   ^"}},
	"M-05 a root that is half a word":      {`tru`, []string{"", "Invalid JSON payload received. Unexpected token.\ntru\n^"}},
	"M-05 R-A28 what is no UTF-8":          {"{\"message\":{\"token\":\"\xff\"}}", []string{"", "Invalid JSON payload received. Encountered non UTF-8 code points."}},
	"M-05 R-A28 a hundred and one objects": {`{"message":{"apns":{"payload":` + strings.Repeat(`{"a":`, 98) + `1` + strings.Repeat(`}`, 101), []string{"", "Invalid JSON payload received. Message too deep."}},
	"M-05 R-A28 lists without end":         {`{"x":` + strings.Repeat(`[`, 100_000), []string{"", "Invalid JSON payload received. Message too deep."}},
	"M-05 a root that is a list":           {`[]`, []string{"", `Invalid JSON payload received. Unknown name "": Root element must be a message.`}},
	"M-05 a root that is a number":         {` 12`, []string{"", `Invalid JSON payload received. Unknown name "": Root element must be a message.`}},
}

const durationFault = `Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), Field 'ttl', Illegal duration format; `

func TestM_05_06_07_13_WhatIsWrongInJSONIsToldByItsPlace(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	for name, c := range faultCases {
		t.Run(name, func(t *testing.T) { f.on(t).post(c.body).wantJSONFault(c.want...) })
	}
	for name, body := range map[string]string{
		"a half of a pair":      `{"message":{"token":"\ud800"}}`,
		"a pair of low halves":  `{"message":{"token":"\udc00\udc00"}}`,
		"an escape of none":     `{"message":{"token":"\x"}}`,
		"an escape cut short":   `{"message":{"token":"\u12`,
		"a control character":   "{\"message\":{\"token\":\"a\nb\"}}",
		"one behind an escape":  "{\"message\":{\"token\":\"\\n\nb\"}}",
		"a number with a zero":  `{"message":{"data":{"a":012}}}`,
		"a number of a point":   `{"message":{"data":{"a":1.}}}`,
		"an exponent of none":   `{"message":{"data":{"a":1e}}}`,
		"a comma too many":      `{"message":{},}`,
		"a list that runs on":   `{"message":{"data":[1 2]}}`,
		"a word of another":     `{"message":{"data":undefined}}`,
		"a root with a zero":    `00`,
		"a root and another":    `[] []`,
		"a name without quotes": `{message:{}}`,
	} {
		t.Run("M-05 "+name+" is broken JSON", func(t *testing.T) {
			r := f.on(t).post(body)
			if r.status != 400 || !strings.Contains(r.body, `"message": "Invalid JSON payload received. Unexpected token.\n`) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	t.Run("M-05 a hundred levels are allowed, and no more", func(t *testing.T) {
		f := f.on(t)
		payload := func(levels int) string {
			return `{"token":"%s","apns":{"payload":` + strings.Repeat(`{"a":`, levels-3) + `1` + strings.Repeat(`}`, levels-3) + `}}`
		}
		f.message(payload(100)).name()
		if r := f.message(payload(101)); r.status != 400 {
			t.Errorf("%d", r.status)
		}
	})
	t.Run("M-05 a hundred faults are told, and no more", func(t *testing.T) {
		body := `{"message":{` + strings.Repeat(`"x":1,`, 5000) + `"y":2}}`
		if r := f.on(t).post(body); r.status != 400 || strings.Count(r.body, `"description"`) != 100 {
			t.Errorf("%d, %d faults", r.status, strings.Count(r.body, `"description"`))
		}
	})
	t.Run("M-05 long names and values are cut", func(t *testing.T) {
		long := strings.Repeat("ä", 10_000)
		if r := f.on(t).post(`{"` + long + `":"` + long + `","validate_only":"` + long + `"}`); r.status != 400 || len(r.body) > 4000 {
			t.Errorf("%d, %d bytes", r.status, len(r.body))
		}
	})
}

// TestM_05_07_NumbersAndDurationsAreThoseOfProtoJSON tries values in fields of
// each kind.
func TestM_05_07_NumbersAndDurationsAreThoseOfProtoJSON(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	const (
		count = `{"token":"%s","android":{"notification":{"notification_count":%v}}}`
		red   = `{"token":"%s","android":{"notification":{"light_settings":{"color":{"red":%v},"light_on_duration":"1s","light_off_duration":"1s"}}}}`
		ttl   = `{"token":"%s","android":{"ttl":%v}}`
		time  = `{"token":"%s","android":{"notification":{"event_time":%v}}}`
		enum  = `{"token":"%s","android":{"priority":%v}}`
	)
	for message, values := range map[string][2][]string{
		count: {
			{`3`, `"3"`, `-3`, `3.0`, `3e2`, `"3e2"`, `"-2147483648"`, `2147483647`},
			{`1.5`, `"1.5"`, `2147483648`, `-2147483649`, `"+3"`, `"0x10"`, `"0x1p4"`, `""`, `" 3"`, `"1_0"`, `true`, `1e400`, `"NaN"`, `[3]`},
		},
		red: {
			{`0.5`, `"0.5"`, `1`, `0e9`, `"1e-3"`},
			{`""`, `"0x1p-1"`, `"inf"`, `"nan"`, `true`, `1e400`, `{}`, `"0_1"`},
		},
		ttl: {
			{`"0s"`, `"3s"`, `"3.5s"`, `"3.000000001s"`, `"-0s"`, `"2419200s"`},
			{`"+1s"`, `"--1s"`, `"-+1s"`, `".5s"`, `"1.s"`, `"1.5xs"`, `"1.1234567890s"`, `"s"`, `"1S"`, `"1m"`, `""`, `" 1s"`, `"1.-5s"`, `true`, `{}`, `[]`, `"9223372036854775808s"`},
		},
		time: {
			{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.123456789+02:00"`},
			{`"2026-01-02"`, `"2026-01-02T03:04:05"`, `12`, `""`},
		},
		enum: {
			{`"HIGH"`, `"high"`, `"High"`, `0`, `1`},
			{`""`, `"HIGHEST"`, `2`, `7`, `-1`, `1.5`, `true`, `"1"`, `[]`, `{}`},
		},
	} {
		for i, want := range []int{200, 400} {
			for _, value := range values[i] {
				if r := f.message(strings.Replace(message, "%v", value, 1)); r.status != want {
					t.Errorf("%s: %d %s", strings.Replace(message, "%v", value, 1), r.status, r.body)
				}
			}
		}
	}
}

// Whoever tries against the simulator what it will send to a strict front, or the
// other way round, reads the same.
func TestM_06_TypesAreCalledAsAtTheFront(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	const lights, v2 = "message.android.notification.light_settings", "message.android_v2.remote_notification"
	for path, value := range map[string]string{
		"message": `"x"`, "message.notification": `"x"`, "message.fcm_options": `"x"`,
		"message.android": `"x"`, "message.android.notification": `"x"`, "message.android.fcm_options": `"x"`,
		"message.android.priority": `7`, "message.android.ttl": `7`,
		lights: `"x"`, lights + ".color": `"x"`, lights + ".color.red": `"x"`,
		"message.android.notification.notification_priority": `9`, "message.android.notification.visibility": `-1`,
		"message.android.notification.proxy": `9`, "message.android.notification.event_time": `7`,
		"message.android_v2": `"x"`, "message.android_v2.background_sync": `"x"`, v2: `"x"`, v2 + ".notification": `"x"`,
		v2 + ".notification.notification_priority": `9`, v2 + ".notification.visibility": `"HIDDEN"`,
		"message.apns": `"x"`, "message.apns.payload": `"x"`, "message.apns.fcm_options": `"x"`,
		"message.webpush": `"x"`, "message.webpush.notification": `"x"`, "message.webpush.fcm_options": `"x"`,
	} {
		names := strings.Split(path, ".")
		body := `{"` + strings.Join(names, `":{"`) + `":` + value + strings.Repeat("}", len(names))
		_, err := fcm.ParseStrict([]byte(body))
		at, ok := errors.AsType[*fcm.ParseError](err)
		if !ok {
			t.Errorf("%s is fine at the front", body)
			continue
		}
		t.Run("M-06 "+path, func(t *testing.T) { f.on(t).post(body).wantJSONFault(path, at.Message) })
	}
}
