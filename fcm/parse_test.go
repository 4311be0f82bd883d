package fcm_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/fcm"
)

// message is Google's text of a parse error.
func message(err error) string {
	if e, ok := errors.AsType[*fcm.ParseError](err); ok {
		return e.Message
	}
	return ""
}

func TestRequestsAreRead(t *testing.T) {
	t.Parallel()
	second, half, none := fcm.Duration(time.Second), fcm.Duration(500*time.Millisecond), fcm.Duration(0)
	three, minus := int32(3), int32(-2147483648)
	quarter := 0.25
	android := func(a fcm.AndroidConfig) fcm.SendRequest { return fcm.SendRequest{Message: &fcm.Message{Android: &a}} }
	shown := func(n fcm.AndroidNotification) fcm.SendRequest { return android(fcm.AndroidConfig{Notification: &n}) }
	to := func(token string) fcm.SendRequest { return fcm.SendRequest{Message: &fcm.Message{Token: token}} }
	for _, c := range []struct {
		name, body string
		want       fcm.SendRequest
	}{
		{"an empty body is an empty object", "", fcm.SendRequest{}},
		{"white space is an empty body", " \r\n\t", fcm.SendRequest{}},
		{"an empty object", ` { } `, fcm.SendRequest{}},
		{"an empty message", `{"message":{}}`, fcm.SendRequest{Message: &fcm.Message{}}},
		{"S-53 validate_only", `{"validate_only":true,"message":{"token":"t"}}`, fcm.SendRequest{ValidateOnly: true, Message: &fcm.Message{Token: "t"}}},
		{"S-53 validateOnly, false", `{"validateOnly":false,"message":{"token":"t"}}`, to("t")},
		{"F-01 both spellings, mixed", `{"message":{"fcmOptions":{"analytics_label":"a"},"android":{"collapse_key":"c","directBootOk":true}}}`, fcm.SendRequest{Message: &fcm.Message{
			Options: &fcm.Options{AnalyticsLabel: "a"}, Android: &fcm.AndroidConfig{CollapseKey: "c", DirectBootOK: true},
		}}},
		{"F-09 the last of equal members counts", `{"message":{"token":"a","token":"b"}}`, to("b")},
		{"F-09 the last object counts, whole", `{"message":{"token":"a","data":{"k":"v"}},"message":{"token":"b"}}`, to("b")},
		{"F-09 both spellings of a name are equal", `{"message":{"android":{"collapseKey":"a","collapse_key":"b"}}}`, android(fcm.AndroidConfig{CollapseKey: "b"})},
		{"F-09 also the other way round", `{"message":{"android":{"collapse_key":"a","collapseKey":"b"}}}`, android(fcm.AndroidConfig{CollapseKey: "b"})},
		{"F-09 the last map counts, whole", `{"message":{"token":"t","data":{"a":"1"},"data":{"b":"2"}}}`, fcm.SendRequest{Message: &fcm.Message{Token: "t", Data: map[string]string{"b": "2"}}}},
		{"F-09 the last key of a map counts", `{"message":{"token":"t","data":{"a":"1","a":"2"}}}`, fcm.SendRequest{Message: &fcm.Message{Token: "t", Data: map[string]string{"a": "2"}}}},
		{"F-09 the last list counts, whole", `{"message":{"android":{"notification":{"body_loc_args":["a","b"],"bodyLocArgs":["c"]}}}}`, shown(fcm.AndroidNotification{BodyLocArgs: []string{"c"}})},
		{"F-09 a null after it takes a value away", `{"message":{"token":"a","android":{"ttl":"1s"},"android":null,"token":null}}`, fcm.SendRequest{Message: &fcm.Message{}}},
		{"F-09 the last of unknown members counts", `{"message":{"token":"t","new":1,"new":2}}`, fcm.SendRequest{Message: &fcm.Message{Token: "t", Unknown: fcm.Unknown{"new": json.RawMessage(`2`)}}}},
		{"a target may move when the first is taken back", `{"message":{"token":"a","token":null,"topic":"b"}}`, fcm.SendRequest{Message: &fcm.Message{Topic: "b"}}},
		{"a null target is none", `{"message":{"token":"a","topic":null,"condition":null}}`, to("a")},
		{"null is absent", `{"message":{"token":"t","data":null,"notification":null,"android":null,"apns":{"payload":null},"fcm_options":null},"validate_only":null}`, fcm.SendRequest{Message: &fcm.Message{Token: "t", APNS: &fcm.APNSConfig{}}}},
		{"a null message", `{"message":null}`, fcm.SendRequest{}},
		{"empty maps and lists are absent", `{"message":{"token":"t","data":{},"android":{"notification":{"body_loc_args":[],"vibrate_timings":[]}}}}`, fcm.SendRequest{Message: &fcm.Message{Token: "t", Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{}}}}},
		{"F-01 unknown members at each level", `{"new":1,"message":{"token":"t","other":{"a": [1, 2]},"android":{"future":null,"notification":{"x":"y"}}}}`, fcm.SendRequest{
			Unknown: fcm.Unknown{"new": json.RawMessage(`1`)},
			Message: &fcm.Message{
				Token: "t", Unknown: fcm.Unknown{"other": json.RawMessage(`{"a": [1, 2]}`)},
				Android: &fcm.AndroidConfig{
					Unknown:      fcm.Unknown{"future": json.RawMessage(`null`)},
					Notification: &fcm.AndroidNotification{Unknown: fcm.Unknown{"x": json.RawMessage(`"y"`)}},
				},
			},
		}},
		{"names are told apart by case", `{"Message":{},"message":{"Token":"x","token":"t"}}`, fcm.SendRequest{
			Unknown: fcm.Unknown{"Message": json.RawMessage(`{}`)}, Message: &fcm.Message{Token: "t", Unknown: fcm.Unknown{"Token": json.RawMessage(`"x"`)}},
		}},
		{"escapes in names and values", `{"mess\u0061ge":{"token":"\"\\\/\b\f\n\r\t\u00E9\ud834\udd1e\ud834x\udd1e"}}`, to("\"\\/\b\f\n\r\té𝄞\ufffdx\ufffd")},
		{"an escape that stands for a quote ends nothing", `{"message":{"token":"a\\","data":{"k\"":"\\\""}}}`, fcm.SendRequest{Message: &fcm.Message{Token: `a\`, Data: map[string]string{`k"`: `\"`}}}},
		{"white space everywhere", "\n{ \"message\"\t:\r{ \"data\" : { \"a\" : \"b\" , \"c\" : \"d\" } , \"token\" : \"t\" } }\n", fcm.SendRequest{Message: &fcm.Message{Token: "t", Data: map[string]string{"a": "b", "c": "d"}}}},
		{"priorities as they came", `{"message":{"android":{"priority":"HIGH"}}}`, android(fcm.AndroidConfig{Priority: "HIGH"})},
		{"F-01 a priority of tomorrow", `{"message":{"android":{"priority":"urgent"}}}`, android(fcm.AndroidConfig{Priority: "urgent"})},
		{"F-01 numbers for names", `{"message":{"android":{"priority":1,"notification":{"visibility":3,"proxy":0,"notification_priority":5.0}}}}`, fcm.SendRequest{Message: &fcm.Message{Android: &fcm.AndroidConfig{
			Priority: "HIGH", Notification: &fcm.AndroidNotification{Visibility: "SECRET", Proxy: "PROXY_UNSPECIFIED", NotificationPriority: "PRIORITY_MAX"},
		}}}},
		{"a duration", `{"message":{"android":{"ttl":"1s"}}}`, android(fcm.AndroidConfig{TTL: &second})},
		{"a duration with a fraction", `{"message":{"android":{"ttl":"0.5s"}}}`, android(fcm.AndroidConfig{TTL: &half})},
		{"a duration with nine digits behind the point", `{"message":{"android":{"ttl":"0.500000000s"}}}`, android(fcm.AndroidConfig{TTL: &half})},
		{"no duration at all", `{"message":{"android":{"ttl":"0s"}}}`, android(fcm.AndroidConfig{TTL: &none})},
		{"a negative duration is left to the rules", `{"message":{"android":{"notification":{"vibrate_timings":["-0.5s","1s"]}}}}`, shown(fcm.AndroidNotification{VibrateTimings: []fcm.Duration{-half, second}})},
		{"an int32", `{"message":{"android":{"notification":{"notification_count":3}}}}`, shown(fcm.AndroidNotification{NotificationCount: &three})},
		{"an int32 as a string", `{"message":{"android":{"notification":{"notificationCount":"3"}}}}`, shown(fcm.AndroidNotification{NotificationCount: &three})},
		{"an int32 with an exponent", `{"message":{"android":{"notification":{"notificationCount":0.3e1}}}}`, shown(fcm.AndroidNotification{NotificationCount: &three})},
		{"the least int32", `{"message":{"android":{"notification":{"notificationCount":-2147483648}}}}`, shown(fcm.AndroidNotification{NotificationCount: &minus})},
		{"floats, also as strings", `{"message":{"android":{"notification":{"light_settings":{"color":{"red":"0.5","green":1,"alpha":2.5e-1}}}}}}`, shown(fcm.AndroidNotification{LightSettings: &fcm.LightSettings{Color: &fcm.Color{Red: 0.5, Green: 1, Alpha: &quarter}}})},
		{"a date", `{"message":{"android":{"notification":{"event_time":"2026-11-01T12:00:00+01:00"}}}}`, shown(fcm.AndroidNotification{EventTime: "2026-11-01T12:00:00+01:00"})},
		{"free objects lose their white space only", `{"message":{"apns":{"payload":{ "aps" : { "alert" : "a b" } , "n" : 1e2 }},"webpush":{"notification":{ }}}}`, fcm.SendRequest{Message: &fcm.Message{
			APNS: &fcm.APNSConfig{Payload: json.RawMessage(`{"aps":{"alert":"a b"},"n":1e2}`)}, Webpush: &fcm.WebpushConfig{Notification: json.RawMessage(`{}`)},
		}}},
		{"an object without fields", `{"message":{"android_v2":{"background_sync":{}}}}`, fcm.SendRequest{Message: &fcm.Message{AndroidV2: &fcm.AndroidConfigV2{BackgroundSync: &fcm.BackgroundSync{}}}}},
		{"the deepest nesting", `{"message":{"apns":{"payload":` + strings.Repeat(`{"a":`, 60) + `{}` + strings.Repeat(`}`, 60) + `}}}`, fcm.SendRequest{Message: &fcm.Message{
			APNS: &fcm.APNSConfig{Payload: json.RawMessage(strings.Repeat(`{"a":`, 60) + `{}` + strings.Repeat(`}`, 60))},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := []byte(c.body)
			got, err := fcm.ParseSendRequest(body)
			if err != nil {
				t.Fatalf("%v: %s", err, message(err))
			}
			clear(body) // nothing may refer to it
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("read\n%s, want\n%s", got.Append(nil), c.want.Append(nil))
			}
		})
	}
}

// A fault is what is told of one wrong place.
type fault = fcm.FieldViolation

func TestFaultsAreToldInGooglesWords(t *testing.T) {
	t.Parallel()
	const (
		bad      = "Invalid JSON payload received. "
		duration = "(type.googleapis.com/google.protobuf.Duration), Field 'ttl', Illegal duration format; duration must end with 's'"
		limits   = "(type.googleapis.com/google.protobuf.Duration), Field 'ttl', Duration value exceeds limits"
		date     = "(type.googleapis.com/google.protobuf.Timestamp), Field 'event_time', Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset."
		oneof    = "Invalid value (oneof), oneof field 'target' is already set. Cannot set "
	)
	invalid := func(field, rest string) fault { return fault{field, "Invalid value at '" + field + "' " + rest} }
	syntax := func(excerpt, caret string) []fault {
		return []fault{{"", bad + "Unexpected token.\n" + excerpt + "\n" + caret}}
	}
	deep := []fault{{"", bad + "Message too deep."}}
	long := strings.Repeat("é", 200)
	for _, c := range []struct {
		name, body string
		want       []fault
	}{
		{"a number in data", `{"message":{"data":{"k":12}}}`, []fault{invalid("message.data[0].value", "(TYPE_STRING), 12")}},
		{"entries of data are counted in the order of the request", `{"message":{"data":{"z":"1","a":"2","m":true,"z":null}}}`, []fault{invalid("message.data[2].value", "(TYPE_STRING), true"), invalid("message.data[3].value", "(TYPE_STRING), null")}},
		{"an object in data", `{"message":{"data":{"k":{"a":1}}}}`, []fault{invalid("message.data[0].value", `(TYPE_STRING), {"a":1}`)}},
		{"data is no object", `{"message":{"data":"x"}}`, []fault{invalid("message.data", `(TYPE_STRING), "x"`)}},
		{"data is a list", `{"message":{"data":["x"]}}`, []fault{{"message", bad + `Unknown name "data" at 'message': Proto field is not repeating, cannot start list.`}}},
		{"the message is a list", `{"message":[{}]}`, []fault{{"", bad + `Unknown name "message": Proto field is not repeating, cannot start list.`}}},
		{"the message is a string", `{"message":"x"}`, []fault{invalid("message", `(type.googleapis.com/google.firebase.fcm.v1.Message), "x"`)}},
		{"a part is a number", `{"message":{"apns":1}}`, []fault{invalid("message.apns", `(type.googleapis.com/google.firebase.fcm.v1.ApnsConfig), 1`)}},
		{"a color is a string", `{"message":{"android":{"notification":{"light_settings":{"color":"red"}}}}}`, []fault{invalid("message.android.notification.light_settings.color", `(type.googleapis.com/google.type.Color), "red"`)}},
		{"a string field is a number", `{"message":{"token":12}}`, []fault{invalid("message.token", "(TYPE_STRING), 12")}},
		{"a string field is an object", `{"message":{"notification":{"title":{"a":"b"}}}}`, []fault{invalid("message.notification.title", `(TYPE_STRING), {"a":"b"}`)}},
		{"a string field is a list", `{"message":{"token":["a"]}}`, []fault{{"message", bad + `Unknown name "token" at 'message': Proto field is not repeating, cannot start list.`}}},
		{"a bool is a string", `{"validate_only":"true"}`, []fault{invalid("validate_only", `(TYPE_BOOL), "true"`)}},
		{"a bool is a number, named in camelCase", `{"message":{"android":{"directBootOk":1}}}`, []fault{invalid("message.android.direct_boot_ok", `(TYPE_BOOL), 1`)}},
		{"a duration without unit", `{"message":{"android":{"ttl":"10"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration is a number", `{"message":{"android":{"ttl":10}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration of nothing", `{"message":{"android":{"ttl":"s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration that ends with a point", `{"message":{"android":{"ttl":"1.s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration that begins with a point", `{"message":{"android":{"ttl":".5s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration with ten digits behind the point", `{"message":{"android":{"ttl":"1.0000000001s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration with an exponent", `{"message":{"android":{"ttl":"1e3s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration with two signs", `{"message":{"android":{"ttl":"--1s"}}}`, []fault{invalid("message.android.ttl", duration)}},
		{"a duration of 300 years", `{"message":{"android_v2":{"ttl":"9460800000s"}}}`, []fault{invalid("message.android_v2.ttl", limits)}},
		{"a duration beyond all numbers", `{"message":{"android":{"ttl":"99999999999999999999s"}}}`, []fault{invalid("message.android.ttl", limits)}},
		{"a duration in a list", `{"message":{"android":{"notification":{"vibrate_timings":["1s",null,"2"]}}}}`, []fault{
			invalid("message.android.notification.vibrate_timings[1]", strings.Replace(duration, "ttl", "vibrate_timings", 1)), invalid("message.android.notification.vibrate_timings[2]", strings.Replace(duration, "ttl", "vibrate_timings", 1)),
		}},
		{"a number in a list of strings", `{"message":{"android":{"notification":{"body_loc_args":["a",1,null,["b"]]}}}}`, []fault{
			invalid("message.android.notification.body_loc_args[1]", "(TYPE_STRING), 1"), invalid("message.android.notification.body_loc_args[2]", "(TYPE_STRING), null"), invalid("message.android.notification.body_loc_args[3]", `(TYPE_STRING), ["b"]`),
		}},
		{"a list is a string", `{"message":{"android":{"notification":{"title_loc_args":"a"}}}}`, []fault{invalid("message.android.notification.title_loc_args", `(TYPE_STRING), "a"`)}},
		{"an enumeration has no such number", `{"message":{"android":{"priority":2,"notification":{"visibility":-1,"proxy":1.5}}}}`, []fault{
			invalid("message.android.priority", "(type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), 2"),
			invalid("message.android.notification.visibility", "(type.googleapis.com/google.firebase.fcm.v1.AndroidNotification.Visibility), -1"),
			invalid("message.android.notification.proxy", "(type.googleapis.com/google.firebase.fcm.v1.AndroidNotification.Proxy), 1.5"),
		}},
		{"an enumeration is true", `{"message":{"android":{"priority":true}}}`, []fault{invalid("message.android.priority", "(type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), true")}},
		{"a date without zone", `{"message":{"android":{"notification":{"event_time":"2026-11-01T12:00:00"}}}}`, []fault{invalid("message.android.notification.event_time", date)}},
		{"a date is a number", `{"message":{"android":{"notification":{"event_time":1}}}}`, []fault{invalid("message.android.notification.event_time", date)}},
		{"an int32 with a fraction", `{"message":{"android":{"notification":{"notification_count":1.5}}}}`, []fault{invalid("message.android.notification.notification_count", "(TYPE_INT32), 1.5")}},
		{"an int32 that is too large", `{"message":{"android":{"notification":{"notification_count":2147483648}}}}`, []fault{invalid("message.android.notification.notification_count", "(TYPE_INT32), 2147483648")}},
		{"an int32 is a word", `{"message":{"android":{"notification":{"notification_count":"3 "}}}}`, []fault{invalid("message.android.notification.notification_count", `(TYPE_INT32), "3 "`)}},
		{"an int32 is a word that Go takes for a number", `{"message":{"android":{"notification":{"notification_count":"0x3p0"}}}}`, []fault{invalid("message.android.notification.notification_count", `(TYPE_INT32), "0x3p0"`)}},
		{"R-A28 a float that is none", `{"message":{"android":{"notification":{"light_settings":{"color":{"red":1e400,"alpha":"NaN","blue":true}}}}}}`, []fault{
			invalid("message.android.notification.light_settings.color.red", "(TYPE_FLOAT), 1e400"), invalid("message.android.notification.light_settings.color.alpha", `(type.googleapis.com/google.protobuf.FloatValue), "NaN"`), invalid("message.android.notification.light_settings.color.blue", "(TYPE_FLOAT), true"),
		}},
		{"a free object is a list", `{"message":{"apns":{"payload":[1]}}}`, []fault{invalid("message.apns.payload", "(type.googleapis.com/google.protobuf.Struct), [1]")}},
		{"a free object is a string", `{"message":{"webpush":{"notification":"x"}}}`, []fault{invalid("message.webpush.notification", `(type.googleapis.com/google.protobuf.Struct), "x"`)}},
		{"two targets", `{"message":{"token":"a","topic":"b"}}`, []fault{{"message", oneof + "'topic'"}}},
		{"two targets, the other way round", `{"message":{"topic":"b","token":"a"}}`, []fault{{"message", oneof + "'token'"}}},
		{"all targets", `{"message":{"fid":"a","token":"b","topic":"c","condition":"d"}}`, []fault{{"message", oneof + "'token'"}, {"message", oneof + "'topic'"}, {"message", oneof + "'condition'"}}},
		{"a wrong value is told also if a right one follows", `{"message":{"token":1,"token":"a"}}`, []fault{invalid("message.token", "(TYPE_STRING), 1")}},
		{"several faults", `{"message":{"token":1,"android":{"ttl":"1"}},"validate_only":0}`, []fault{
			invalid("message.token", "(TYPE_STRING), 1"), invalid("message.android.ttl", duration), invalid("validate_only", "(TYPE_BOOL), 0"),
		}},
		{"a long value is cut at a character", `{"message":{"data":{"k":["` + long + `"]}}}`, []fault{invalid("message.data[0].value", `(TYPE_STRING), ["`+strings.Repeat("é", 127)+"…")}},
		{"the root is a list", ` [] `, []fault{{"", bad + `Unknown name "": Root element must be a message.`}}},
		{"the root is a string", `"message"`, []fault{{"", bad + `Unknown name "": Root element must be a message.`}}},
		{"R-A28 invalid UTF-8", "{\"message\":{\"token\":\"\xff\"}}", []fault{{"", bad + "Encountered non UTF-8 code points."}}},
		{"not JSON", `message`, syntax("message", "^")},
		{"cut short", `{"message":{"token":"a"`, syntax(`essage":{"token":"a"`, "                    ^")},
		{"more behind it", `{"message":{}} x`, syntax(`{"message":{}} x`, "               ^")},
		{"another object behind it", `{}{}`, syntax(`{}{}`, "  ^")},
		{"a comma before the end", `{"message":{"token":"a",}}`, syntax(`ssage":{"token":"a",}}`, "                    ^")},
		{"wide characters before the fault", `{"message":"éééééééééé"x}`, syntax(`ééééééééé"x}`, "          ^")},
		{"the fault in the root list", `[1,]`, syntax(`[1,]`, "   ^")},
		{"R-A28 too deep in a free object", `{"message":{"apns":{"payload":` + strings.Repeat(`{"a":`, 61) + `{}` + strings.Repeat(`}`, 61) + `}}}`, deep},
		{"R-A28 too deep in an unknown member", `{"x":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`, deep},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := fcm.ParseSendRequest([]byte(c.body))
			e, ok := errors.AsType[*fcm.ParseError](err)
			if !ok || r != nil {
				t.Fatalf("read %v, %v", r, err)
			}
			wantFaults(t, e, c.want)
		})
	}
}

func wantFaults(t *testing.T, e *fcm.ParseError, want []fault) {
	t.Helper()
	if !reflect.DeepEqual(e.Violations, want) {
		t.Errorf("violations\n%q, want\n%q", e.Violations, want)
	}
	texts := make([]string, len(want))
	for i, v := range want {
		texts[i] = v.Description
	}
	if got := strings.Join(texts, "\n"); e.Message != got {
		t.Errorf("message\n%s\nwant\n%s", e.Message, got)
	}
}

// TestF_01_StrictReadingRefusesWhatTheSchemaDoesNotKnow has the bodies with which
// FCM answers.
func TestF_01_StrictReadingRefusesWhatTheSchemaDoesNotKnow(t *testing.T) {
	t.Parallel()
	const bad, find = "Invalid JSON payload received. ", ": Cannot find field."
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name, body string
		want       []fault
	}{
		{"in the message", `{"message":{"toen":"x"}}`, []fault{{"message", bad + `Unknown name "toen" at 'message'` + find}}},
		{"at the root", `{"to":"x"}`, []fault{{"", bad + `Unknown name "to"` + find}}},
		{"several", `{"to":{},"message":{"android":{"notification":{"Title":1}},"a":null}}`, []fault{
			{"", bad + `Unknown name "to"` + find}, {"message.android.notification", bad + `Unknown name "Title" at 'message.android.notification'` + find}, {"message", bad + `Unknown name "a" at 'message'` + find},
		}},
		{"a long name", `{"` + long + `":1}`, []fault{{"", bad + `Unknown name "` + long[:256] + `…"` + find}}},
		{"a priority", `{"message":{"android":{"priority":"urgent"}}}`, []fault{{"message.android.priority", `Invalid value at 'message.android.priority' (type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), "urgent"`}}},
		{"a visibility", `{"message":{"android_v2":{"remote_notification":{"notification":{"visibility":"HIDDEN"}}}}}`, []fault{{
			"message.android_v2.remote_notification.notification.visibility", `Invalid value at 'message.android_v2.remote_notification.notification.visibility' (type.googleapis.com/google.firebase.fcm.v1.AndroidNotificationV2.Visibility), "HIDDEN"`,
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := fcm.ParseStrict([]byte(c.body))
			e, ok := errors.AsType[*fcm.ParseError](err)
			if !ok || r != nil {
				t.Fatalf("read %v, %v", r, err)
			}
			wantFaults(t, e, c.want)
			if _, err := fcm.ParseSendRequest([]byte(c.body)); err != nil {
				t.Errorf("not strictly: %v", err)
			}
		})
	}
	for _, name := range []string{"normal", "HIGH", "High"} {
		if _, err := fcm.ParseStrict([]byte(`{"message":{"android":{"priority":"` + name + `"}}}`)); err != nil {
			t.Errorf("priority %s: %v", name, err)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := fcm.ParseSendRequest([]byte(`{"message":{"data":{` + strings.Repeat(`"k":1,`, 999) + `"k":1}}}`))
	e, ok := errors.AsType[*fcm.ParseError](err)
	if !ok || len(e.Violations) != 32 || strings.Count(e.Message, "\n") != 31 {
		t.Errorf("%v: %d violations", err, len(e.Violations))
	}
}

func TestParseErrorsDoNotQuoteTheRequest(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":{"token":12345}}`: "fcm: the request has a fault in message.token",
		`{"secret"`:                   "fcm: the request is not the JSON of a send",
	} {
		if _, err := fcm.ParseSendRequest([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// TestF_02_ParseErrorsAnswerLikeGooglesFront compares with the whole reply of FCM
// to a misspelled name.
func TestF_02_ParseErrorsAnswerLikeGooglesFront(t *testing.T) {
	t.Parallel()
	_, err := fcm.ParseStrict([]byte(`{"message":{"toen":"x"}}`))
	e, ok := errors.AsType[*fcm.ParseError](err)
	if !ok {
		t.Fatal(err)
	}
	const text = `Invalid JSON payload received. Unknown name \"toen\" at 'message': Cannot find field.`
	want := `{
  "error": {
    "code": 400,
    "message": "` + text + `",
    "status": "INVALID_ARGUMENT",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
          {
            "field": "message",
            "description": "` + text + `"
          }
        ]
      }
    ]
  }
}
`
	if got := string(e.Reply().Append(nil)); got != want {
		t.Errorf("answered\n%s\nwant\n%s", got, want)
	}
}

func TestBrokenJSONIsRefused(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		``, `+1`, `01`, `1.`, `.5`, `-`, `1e`, `1e+`, `0x1`, `tru`, `truE`, `nul`, `falsy`, `NaN`, `'a'`, `"a`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, "\"a\nb\"", "\"\\n\x01\"", "\"\x1f\"",
		`{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{,}`, `{1:2}`, `[`, `[1`, `[1,]`, `[,]`, `[1 2]`, `]`, `}`, `{"a" 1}`, `{"a\q":1}`, `{"a`,
	} {
		for _, body := range []string{`{"new":` + value + `}`, `{"message":{"token":` + value + `}}`, `{"message":{"data":{"k":` + value + `}}}`, `{"message":{"android":{"ttl":` + value + `}}}`, `{"message":` + value + `}`, `{"message":{"data":` + value + `}}`, `{"message":{"android":{"notification":{"body_loc_args":[` + value + ` ,1]}}}}`, value + `,`} {
			_, err := fcm.ParseSendRequest([]byte(body))
			if !strings.HasPrefix(message(err), "Invalid JSON payload received. Unexpected token.\n") {
				t.Errorf("%s: %v: %s", body, err, message(err))
			}
			if json.Valid([]byte(body)) {
				t.Errorf("%s is JSON", body)
			}
		}
	}
}

func TestS_08_NamesAreOpaque(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"{\n  \"name\": \"projects/demo/messages/0:1500415314455276%31bd1c9631bd1c96\"\n}\n": "projects/demo/messages/0:1500415314455276%31bd1c9631bd1c96",
		`{"name":"projects/demo/messages/1717673451795380"}`:                                 "projects/demo/messages/1717673451795380",
		`{"name":"projects/demo/messages/fake_message_id"}`:                                  "projects/demo/messages/fake_message_id",
		`{"name":"what\u002fever","new":{"name":"inner"}}`:                                   "what/ever",
		`{"new":[1,{"name":"inner"}],"name":"n"}`:                                            "n",
		`{"name":"a","name":"b"}`:                                                            "b",
		`{"name":"a","name":7}`:                                                              "",
		`{"other":1}`:                                                                        "",
		`{}`:                                                                                 "",
	} {
		if got, ok := fcm.ParseReply([]byte(body)); got != want || !ok {
			t.Errorf("%s: %q, %v, want %q", body, got, ok, want)
		}
	}
}

// TestR_F19_ASuccessThatIsNoObjectTellsNothing: the message may have been
// accepted or not.
func TestR_F19_ASuccessThatIsNoObjectTellsNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", `"name"`, "<html>", `{"name":"projects/demo/mess`, `{"name":"a"} {}`, `{"name":"a",}`, "{\"name\":\"\xff\"}"} {
		if got, ok := fcm.ParseReply([]byte(body)); got != "" || ok {
			t.Errorf("%s is a reply: %q", body, got)
		}
	}
}

// seeds are short: a fuzzer that finds something in a long one spends its time
// on making it shorter.
var seeds = []string{
	"", "[]", `{"message":{"data":{"k":12}}}`, `{"message":{"token":"t","data":{"k":"v"},"fcmOptions":{"analytics_label":"l"}},"validate_only":true}`,
	`{"message":{"token":"a","token":null,"topic":"b","new":[1, {"a":"\ud834"}]},"x":{ }}`,
	`{"message":{"android":{"ttl":"-3.5s","notification":{"notification_count":"3","light_settings":{"color":{"red":"1e-7","alpha":-0}}}}}}`,
	`{"message":{"apns":{"payload":{ "a" : "\\\"" }}}}`, `{"mess\u0061ge":{"a":1,"a":2,"\ud800":3}}`,
	`{"message":{"android":{"priority":"high","notification":{"event_time":"2026-11-01T12:00:00Z","body_loc_args":["1"],"vibrate_timings":["1s"]}}}}`,
	`{"message":{"android_v2":{"background_sync":{},"remote_notification":{"notification":{"id":-3}}}}}`, `{"a":[[[[[[[[[[[[]]]]]]]]]]]]}`,
}

// FuzzParseSendRequest parses, writes and parses again: what comes out must be
// the same, and JSON; a fault must be one that can be told.
func FuzzParseSendRequest(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, strictErr := fcm.ParseStrict(body)
		first, err := fcm.ParseSendRequest(body)
		if err != nil {
			if strictErr == nil {
				t.Fatalf("%q is read strictly, but %v", body, err)
			}
			wantTellable(t, body, err)
			return
		}
		if strictErr != nil {
			wantTellable(t, body, strictErr)
		}
		if len(strings.Trim(string(body), " \t\r\n")) > 0 && !json.Valid(body) {
			t.Fatalf("%q is no JSON, but it was read", body)
		}
		written := first.Append(nil)
		if !json.Valid(written) || !utf8.Valid(written) {
			t.Fatalf("%q is written as %q", body, written)
		}
		second, err := fcm.ParseSendRequest(written)
		if err != nil {
			t.Fatalf("%q, written from %q: %v", written, body, err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q\nfirst  %s\nsecond %s", body, written, second.Append(nil))
		}
		if err := first.Validate(); err != nil {
			if e, ok := errors.AsType[*fcm.FieldError](err); !ok || e.Field == "" || e.Description == "" {
				t.Fatalf("Validate: %#v", err)
			}
			return
		}
		if kind, value := first.Message.Target(); kind == 0 || value == "" {
			t.Fatalf("%q keeps the rules without a target", body)
		}
	})
}

func wantTellable(t *testing.T, body []byte, err error) {
	t.Helper()
	e, ok := errors.AsType[*fcm.ParseError](err)
	if !ok || len(e.Violations) == 0 || len(e.Violations) > 32 || !utf8.ValidString(e.Message) {
		t.Fatalf("%q: %#v", body, err)
	}
	reply := e.Reply()
	if got := fcm.ParseErrorReply(400, reply.Append(nil)); len(reply.Message) <= 4096 && !reflect.DeepEqual(got, reply) {
		t.Fatalf("%q: answered %#v, read %#v", body, reply, got)
	}
}

// FuzzParseError reads whatever comes as an error reply, writes it, and reads it
// again.
func FuzzParseError(f *testing.F) {
	for _, a := range answers {
		f.Add(a.http, []byte(a.body))
	}
	f.Add(400, []byte(`{"error":{"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":1e3}]}}`))
	f.Fuzz(func(t *testing.T, http int, body []byte) {
		first := fcm.ParseErrorReply(http, body)
		if class := fcm.Classify(fcm.TargetDevice, first); class == 0 || class > fcm.Expired {
			t.Fatalf("%q is of class %d", body, class)
		}
		written := first.Append(nil)
		if !json.Valid(written) {
			t.Fatalf("%q is written as %q", body, written)
		}
		if len(written) > fcm.MaxReplySize {
			return
		}
		second := fcm.ParseErrorReply(http, written)
		if second.NotJSON || second.Code != first.Code || second.Message != first.Message || !reflect.DeepEqual(second.Info, first.Info) || !reflect.DeepEqual(second.BadRequest, first.BadRequest) {
			t.Fatalf("%q\nfirst  %#v\nsecond %#v", body, first, second)
		}
	})
}
