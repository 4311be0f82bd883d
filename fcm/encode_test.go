package fcm_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"penstock/fcm"
)

// everything is a request with each field that the API had in revision
// 20261023, two of one oneof apart, in the order in which we write.
const everything = `{"message":{"name":"projects/p/messages/1","data":{"k":"v"},` +
	`"notification":{"title":"t","body":"b","image":"i"},` +
	`"android":{"collapse_key":"c","priority":"high","ttl":"600s","restricted_package_name":"r","data":{"k":"w"},` +
	`"notification":{"title":"t","body":"b","icon":"i","color":"#aabbcc","sound":"s","tag":"g","click_action":"a",` +
	`"body_loc_key":"bk","body_loc_args":["1","2"],"title_loc_key":"tk","title_loc_args":["3"],"channel_id":"ch","ticker":"tt",` +
	`"sticky":true,"event_time":"2026-11-01T12:00:00.5Z","local_only":true,"notification_priority":"PRIORITY_MAX","default_sound":true,` +
	`"default_vibrate_timings":true,"default_light_settings":true,"vibrate_timings":["1s","0.500000000s"],"visibility":"SECRET",` +
	`"notification_count":7,"light_settings":{"color":{"red":0.1,"green":0.2,"blue":0.3,"alpha":0},"light_on_duration":"1s","light_off_duration":"2s"},` +
	`"image":"im","bypass_proxy_notification":true,"proxy":"DENY"},` +
	`"fcm_options":{"analytics_label":"l"},"direct_boot_ok":true,"bandwidth_constrained_ok":true,"restricted_satellite_ok":true},` +
	`"android_v2":{"collapse_key":"c","ttl":"0s","restricted_package_name":"r","data":{"k":"w"},"fcm_options":{"analytics_label":"l"},` +
	`"direct_boot_ok":true,"bandwidth_constrained_ok":true,"restricted_satellite_ok":true,"background_sync":{},` +
	`"remote_notification":{"mutable_content":true,"notification":{"id":-3,"title":"t","body":"b","icon":"i","color":"#aabbcc","sound":"s",` +
	`"tag":"g","click_action":"a","body_loc_key":"bk","body_loc_args":["1"],"title_loc_key":"tk","title_loc_args":["3"],"channel_id":"ch",` +
	`"ticker":"tt","sticky":true,"event_time":"2026-11-01T12:00:00Z","local_only":true,"notification_priority":"PRIORITY_MIN",` +
	`"default_sound":true,"default_vibrate_timings":true,"default_light_settings":true,"vibrate_timings":["0s"],"visibility":"PUBLIC",` +
	`"notification_count":0,"light_settings":{"color":{},"light_on_duration":"1s","light_off_duration":"2s"},"image":"im"},` +
	`"use_as_v1_data_message":true}},` +
	`"webpush":{"headers":{"TTL":"1"},"data":{"k":"w"},"notification":{"a":[1,null]},"fcm_options":{"link":"https://x","analytics_label":"l"}},` +
	`"apns":{"headers":{"apns-priority":"5"},"payload":{"aps":{}},"fcm_options":{"analytics_label":"l","image":"i"},"live_activity_token":"la"},` +
	`"fcm_options":{"analytics_label":"l"},"TARGET":"x"},"validate_only":true}`

func everythingFor(target string) string { return strings.Replace(everything, "TARGET", target, 1) }

var targets = []string{"fid", "token", "topic", "condition"}

// TestS_03_AllFieldsHaveTheirNames reads and writes the whole schema: strictly,
// so that a name that is misspelled is one too many, and looks for fields of
// our structs that the text lacks.
func TestS_03_AllFieldsHaveTheirNames(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		text := everythingFor(target)
		r, err := fcm.ParseStrict([]byte(text))
		if err != nil {
			t.Fatalf("%v: %s", err, message(err))
		}
		if got := string(r.Append(nil)); got != text {
			t.Errorf("written\n%s\nwant\n%s", got, text)
		}
	}
	r, err := fcm.ParseStrict([]byte(everythingFor("token")))
	if err != nil {
		t.Fatal(err)
	}
	r.Message.FID, r.Message.Topic, r.Message.Condition = "x", "x", "x"
	r.Message.AndroidV2.RemoteNotification.Notification.LightSettings = nil // seen in android
	wantNoZeroField(t, "request", reflect.ValueOf(r).Elem())
}

func wantNoZeroField(t *testing.T, where string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f, name := v.Field(i), where+"."+v.Type().Field(i).Name
		switch {
		case f.Type() == reflect.TypeFor[fcm.Unknown]() || strings.HasSuffix(name, "V2.RemoteNotification.Notification.LightSettings"):
		case f.IsZero():
			t.Errorf("%s is not in the text", name)
		case f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.Struct:
			wantNoZeroField(t, name, f.Elem())
		}
	}
}

var jsonName = regexp.MustCompile(`"([A-Za-z0-9_]+)":`)

// camel is the body with all names of the schema in camelCase.
func camel(body string) string {
	return jsonName.ReplaceAllStringFunc(body, func(name string) string {
		parts := strings.Split(name, "_")
		for i, part := range parts[1:] {
			parts[i+1] = strings.ToUpper(part[:1]) + part[1:]
		}
		return strings.Join(parts, "")
	})
}

func TestS_03_OneSpellingIsWrittenWhateverWasRead(t *testing.T) {
	t.Parallel()
	snake := everythingFor("topic")
	if camel(snake) == snake || strings.Contains(camel(snake), "_") != strings.Contains(snake, "PRIORITY_") {
		t.Fatalf("%s", camel(snake))
	}
	half := len(snake) / 2
	for name, body := range map[string]string{"camelCase": camel(snake), "first half camelCase": camel(snake[:half]) + snake[half:], "second half camelCase": snake[:half] + camel(snake[half:])} {
		r, err := fcm.ParseStrict([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(r.Append(nil)); got != snake {
			t.Errorf("%s: written\n%s\nwant\n%s", name, got, snake)
		}
	}
}

func TestS_04_DurationsAreSecondsWithTheirUnit(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 10 * time.Minute: "600s", fcm.MaxTTL: "2419200s",
		3500 * time.Millisecond: "3.500000000s", 1: "0.000000001s", 3*time.Second + 1: "3.000000001s", 999999999: "0.999999999s",
		-time.Second: "-1s", -1500 * time.Millisecond: "-1.500000000s", -1: "-0.000000001s",
		math.MaxInt64: "9223372036.854775807s", math.MinInt64: "-9223372036.854775808s",
	} {
		if got := fcm.Duration(d).String(); got != want {
			t.Errorf("%d ns is %q, want %q", int64(d), got, want)
		}
		ttl := fcm.Duration(d)
		r := &fcm.SendRequest{Message: &fcm.Message{Android: &fcm.AndroidConfig{TTL: &ttl}}}
		if got, want := string(r.Append(nil)), `{"message":{"android":{"ttl":"`+want+`"}}}`; got != want {
			t.Errorf("written %s, want %s", got, want)
		}
	}
}

func TestS_05_DataIsWrittenAsStrings(t *testing.T) {
	t.Parallel()
	all := make([]byte, 0, 256)
	for c := range 128 {
		all = append(all, byte(c))
	}
	values := map[string]string{
		"number": "12", "true": "true", "null": "null", "object": `{"a":"b\n"}`, "empty": "", "ascii": string(all), "wide": "é 𝄞 \u2028 \ufffe",
		"html": "<a&b>", "quote\"key\\\n": "v", "cut": "\xe2\x82", "mid": "a\xffb\xc3(", "surrogate": "\xed\xa0\x80",
	}
	r := &fcm.SendRequest{Message: &fcm.Message{Token: "t", Data: values}}
	body := r.Append(nil)
	var got struct {
		Message struct {
			Data map[string]string `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	std, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(std, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Message.Data, want) {
		t.Errorf("read %q, want %q", got.Message.Data, want)
	}
	if !bytes.Contains(body, []byte(`"a`+"\ufffd"+`b`+"\ufffd"+`("`)) || !bytes.Contains(body, []byte(`"<a&b>"`)) {
		t.Errorf("written %q", body)
	}
}

func TestWhatSaysNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	zero, half := 0.0, 0.5
	none, count := fcm.Duration(0), int32(0)
	for _, c := range []struct {
		name string
		r    fcm.SendRequest
		want string
	}{
		{"nothing", fcm.SendRequest{}, `{}`},
		{"an empty message", fcm.SendRequest{Message: &fcm.Message{}}, `{"message":{}}`},
		{"S-53 validate_only beside the message", fcm.SendRequest{ValidateOnly: true, Message: &fcm.Message{Token: "t"}}, `{"message":{"token":"t"},"validate_only":true}`},
		{"empty maps, lists and raw values", fcm.SendRequest{Message: &fcm.Message{
			Data: map[string]string{}, Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{BodyLocArgs: []string{}, VibrateTimings: []fcm.Duration{}}},
			APNS: &fcm.APNSConfig{Payload: json.RawMessage{}}, Unknown: fcm.Unknown{},
		}}, `{"message":{"android":{"notification":{}},"apns":{}}}`},
		{"a zero that is there", fcm.SendRequest{Message: &fcm.Message{Android: &fcm.AndroidConfig{
			TTL: &none, Notification: &fcm.AndroidNotification{NotificationCount: &count, LightSettings: &fcm.LightSettings{Color: &fcm.Color{Green: half, Alpha: &zero}}},
		}}}, `{"message":{"android":{"ttl":"0s","notification":{"notification_count":0,"light_settings":{"color":{"green":0.5,"alpha":0}}}}}}`},
		{"empty strings in lists and maps stay", fcm.SendRequest{Message: &fcm.Message{
			Data: map[string]string{"": ""}, Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{TitleLocArgs: []string{"", "a"}}},
		}}, `{"message":{"data":{"":""},"android":{"notification":{"title_loc_args":["","a"]}}}}`},
		{"keys in their order", fcm.SendRequest{Message: &fcm.Message{Data: map[string]string{"b": "2", "a": "1", "c": "3", "B": "0"}}}, `{"message":{"data":{"B":"0","a":"1","b":"2","c":"3"}}}`},
		{"F-01 unknown members in their order, as they are", fcm.SendRequest{
			Unknown: fcm.Unknown{"z": json.RawMessage(`[1, 2]`), "a\n": json.RawMessage(`"x"`), "m": nil},
			Message: &fcm.Message{Token: "t", Unknown: fcm.Unknown{"new": json.RawMessage(`{ }`)}},
		}, `{"message":{"token":"t","new":{ }},"a\n":"x","m":null,"z":[1, 2]}`},
		{"raw values without white space between tokens", fcm.SendRequest{Message: &fcm.Message{
			APNS:    &fcm.APNSConfig{Payload: json.RawMessage(" {\r\n\t\"aps\" : { \"alert\" : \"a \\\" b\\\\\" , \"n\" : [ 1 , 2 ] } } \n")},
			Webpush: &fcm.WebpushConfig{Notification: json.RawMessage(`{"a":1}`)},
		}}, `{"message":{"webpush":{"notification":{"a":1}},"apns":{"payload":{"aps":{"alert":"a \" b\\","n":[1,2]}}}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := string(c.r.Append([]byte("{"))); got != "{"+c.want {
				t.Errorf("written %s, want %s", got[1:], c.want)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(c.want)); err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(c.r); err != nil || string(got) != compact.String() {
				t.Errorf("json.Marshal: %s, %v", got, err)
			}
		})
	}
}

func TestMessageIsWrittenAsInARequest(t *testing.T) {
	t.Parallel()
	m := typical().Message
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(typical().Append(nil)); `{"message":`+string(got)+`}` != want {
		t.Errorf("written %s, want %s", got, want)
	}
}

// TestFloatsThatJSONHasNotAreStrings keeps the output JSON; the rules refuse
// such colors.
func TestFloatsThatJSONHasNotAreStrings(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`, 1e30: `1e+30`, 0.1: `0.1`} {
		m := fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: &fcm.LightSettings{Color: &fcm.Color{Alpha: &n}}}}}
		if got, err := json.Marshal(m); err != nil || !strings.Contains(string(got), `"alpha":`+want+`}`) {
			t.Errorf("%v is written %s, %v", n, got, err)
		}
	}
	nan := math.NaN()
	m := fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: &fcm.LightSettings{Color: &fcm.Color{Red: nan}}}}}
	if got, err := json.Marshal(m); err != nil || !strings.Contains(string(got), `"red":"NaN"`) {
		t.Errorf("NaN is written %s, %v", got, err)
	}
}

func TestWritingATypicalMessageCostsNoMemory(t *testing.T) {
	r := typical()
	buf := r.Append(nil)
	if n := testing.AllocsPerRun(100, func() { buf = r.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
