package fcm_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/fcm"
)

func duration(d time.Duration) *fcm.Duration {
	v := fcm.Duration(d)
	return &v
}

// lit are light settings that keep the rules.
func lit() *fcm.LightSettings {
	return &fcm.LightSettings{Color: &fcm.Color{Red: 1, Green: 0.5}, LightOnDuration: duration(0), LightOffDuration: duration(time.Second)}
}

func TestMessagesThatBreakARuleAreRefusedBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	const (
		noTarget = "Recipient of the message is not set."
		badTopic = "Topic name contains invalid characters."
		life     = "TTL must be from 0 seconds to 4 weeks."
		label    = "An analytics label has 1 to 50 characters of a-z, A-Z, 0-9 and -_.~%."
		color    = "A color has the form #rrggbb."
		parts    = "The parts of a color are from 0 to 1."
		noObject = "The value is no JSON object."
		noJSON   = "The value is no JSON."
		reserved = "Invalid data payload key: "
		remote   = "message.android_v2.remote_notification"
	)
	light := func(change func(*fcm.LightSettings)) *fcm.LightSettings {
		l := lit()
		change(l)
		return l
	}
	alpha := -0.1
	broken := fcm.Unknown{"z": json.RawMessage(`1`), "b": json.RawMessage(`{`)}
	for _, c := range []struct {
		name         string
		m            fcm.Message // to a token, unless it has a target
		field, wants string
	}{
		{"S-06 two targets", fcm.Message{Token: "a", Topic: "b"}, "message", "Invalid value (oneof), oneof field 'target' is already set. Cannot set 'topic'"},
		{"S-06 a FID and a token", fcm.Message{Token: "a", FID: "b"}, "message", "Invalid value (oneof), oneof field 'target' is already set. Cannot set 'token'"},
		{"S-06 a condition too", fcm.Message{Topic: "a", Condition: "b"}, "message", "Invalid value (oneof), oneof field 'target' is already set. Cannot set 'condition'"},
		{"S-07 both versions of Android's part", fcm.Message{Android: &fcm.AndroidConfig{}, AndroidV2: &fcm.AndroidConfigV2{}}, "message", "android and android_v2 exclude each other."},
		{"a topic with its prefix", fcm.Message{Topic: "/topics/a"}, "message", badTopic},
		{"a topic with a letter that is not ASCII", fcm.Message{Topic: "é"}, "message", badTopic},
		{"a topic of 901 characters", fcm.Message{Topic: strings.Repeat("a", 901)}, "message", badTopic},
		{"a time to live below zero", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(-1)}}, "message.android.ttl", life},
		{"a time to live above four weeks", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(fcm.MaxTTL + time.Second)}}, "message.android.ttl", life},
		{"also in the newer part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{TTL: duration(-time.Second)}}, "message.android_v2.ttl", life},
		{"the key from", fcm.Message{Data: map[string]string{"a": "", "from": ""}}, "message.data", reserved + "from"},
		{"the key message_type", fcm.Message{Data: map[string]string{"message_type": "x"}}, "message.data", reserved + "message_type"},
		{"a key of google's", fcm.Message{Android: &fcm.AndroidConfig{Data: map[string]string{"google.": ""}}}, "message.android.data", reserved + "google."},
		{"a key of notifications'", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{Data: map[string]string{"gcm.notification.x": ""}}}, "message.android_v2.data", reserved + "gcm.notification.x"},
		{"the first of several keys", fcm.Message{Webpush: &fcm.WebpushConfig{Data: map[string]string{"google.b": "", "google.a": "", "message_type": "", "from": ""}}}, "message.webpush.data", reserved + "from"},
		{"a label with a blank", fcm.Message{Options: &fcm.Options{AnalyticsLabel: "a b"}}, "message.fcm_options.analytics_label", label},
		{"a label of 51 characters", fcm.Message{Android: &fcm.AndroidConfig{Options: &fcm.Options{AnalyticsLabel: strings.Repeat("a", 51)}}}, "message.android.fcm_options.analytics_label", label},
		{"a label in the newer part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{Options: &fcm.Options{AnalyticsLabel: "/"}}}, "message.android_v2.fcm_options.analytics_label", label},
		{"a label for Apple devices", fcm.Message{APNS: &fcm.APNSConfig{Options: &fcm.APNSOptions{AnalyticsLabel: "ä"}}}, "message.apns.fcm_options.analytics_label", label},
		{"a label for browsers", fcm.Message{Webpush: &fcm.WebpushConfig{Options: &fcm.WebpushOptions{AnalyticsLabel: "a+b"}}}, "message.webpush.fcm_options.analytics_label", label},
		{"a color by name", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Color: "red"}}}, "message.android.notification.color", color},
		{"a color without its sign", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Color: "0aabbcc"}}}, "message.android.notification.color", color},
		{"a color with a letter beyond f", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Color: "#aabbcg"}}}, "message.android.notification.color", color},
		{"a color with a control character that looks like a digit", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Color: "#aabbc\x10"}}}, "message.android.notification.color", color},
		{"a color in the newer part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{RemoteNotification: &fcm.AndroidRemoteNotification{Notification: &fcm.AndroidNotificationV2{Color: "#abc"}}}}, remote + ".notification.color", color},
		{"lights without color", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color = nil })}}}, "message.android.notification.light_settings.color", "Light settings need a color."},
		{"lights that never go on", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.LightOnDuration = nil })}}}, "message.android.notification.light_settings.light_on_duration", "Light settings need a duration of light."},
		{"lights that never go off", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{RemoteNotification: &fcm.AndroidRemoteNotification{Notification: &fcm.AndroidNotificationV2{LightSettings: light(func(l *fcm.LightSettings) { l.LightOffDuration = nil })}}}}, remote + ".notification.light_settings.light_off_duration", "Light settings need a duration of darkness."},
		{"too much red", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color.Red = 1.1 })}}}, "message.android.notification.light_settings.color", parts},
		{"less than no green", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color.Green = -0.1 })}}}, "message.android.notification.light_settings.color", parts},
		{"blue that is no number", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color.Blue = math.NaN() })}}}, "message.android.notification.light_settings.color", parts},
		{"less than transparent", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color.Alpha = &alpha })}}}, "message.android.notification.light_settings.color", parts},
		{"a payload that is no object", fcm.Message{APNS: &fcm.APNSConfig{Payload: json.RawMessage(`[]`)}}, "message.apns.payload", noObject},
		{"a payload that is no JSON", fcm.Message{APNS: &fcm.APNSConfig{Payload: json.RawMessage(`{"aps":}`)}}, "message.apns.payload", noObject},
		{"a payload with more behind it", fcm.Message{APNS: &fcm.APNSConfig{Payload: json.RawMessage(`{},"token":"x"`)}}, "message.apns.payload", noObject},
		{"a payload that is not UTF-8", fcm.Message{APNS: &fcm.APNSConfig{Payload: json.RawMessage("{\"\xff\":1}")}}, "message.apns.payload", noObject},
		{"a web notification that is no object", fcm.Message{Webpush: &fcm.WebpushConfig{Notification: json.RawMessage(`"x"`)}}, "message.webpush.notification", noObject},
		{"an unknown member that is no JSON", fcm.Message{Unknown: broken}, "message.b", noJSON},
		{"in the notification", fcm.Message{Notification: &fcm.Notification{Unknown: broken}}, "message.notification.b", noJSON},
		{"in the options", fcm.Message{Options: &fcm.Options{Unknown: broken}}, "message.fcm_options.b", noJSON},
		{"in Android's part", fcm.Message{Android: &fcm.AndroidConfig{Unknown: broken}}, "message.android.b", noJSON},
		{"in Android's notification", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Unknown: broken}}}, "message.android.notification.b", noJSON},
		{"in lights", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Unknown = broken })}}}, "message.android.notification.light_settings.b", noJSON},
		{"in a color", fcm.Message{Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{LightSettings: light(func(l *fcm.LightSettings) { l.Color.Unknown = broken })}}}, "message.android.notification.light_settings.color.b", noJSON},
		{"in the newer part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{Unknown: broken}}, "message.android_v2.b", noJSON},
		{"in its background part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{BackgroundSync: &fcm.BackgroundSync{Unknown: broken}}}, "message.android_v2.background_sync.b", noJSON},
		{"in its remote part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{RemoteNotification: &fcm.AndroidRemoteNotification{Unknown: broken}}}, remote + ".b", noJSON},
		{"in its notification", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{RemoteNotification: &fcm.AndroidRemoteNotification{Notification: &fcm.AndroidNotificationV2{Unknown: broken}}}}, remote + ".notification.b", noJSON},
		{"in the part for Apple devices", fcm.Message{APNS: &fcm.APNSConfig{Unknown: broken}}, "message.apns.b", noJSON},
		{"in its options", fcm.Message{APNS: &fcm.APNSConfig{Options: &fcm.APNSOptions{Unknown: broken}}}, "message.apns.fcm_options.b", noJSON},
		{"in the part for browsers", fcm.Message{Webpush: &fcm.WebpushConfig{Unknown: broken}}, "message.webpush.b", noJSON},
		{"in the options of that", fcm.Message{Webpush: &fcm.WebpushConfig{Options: &fcm.WebpushOptions{Unknown: broken}}}, "message.webpush.fcm_options.b", noJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if kind, _ := c.m.Target(); kind == 0 {
				c.m.Token = "t"
			}
			wantRefused(t, c.m.Validate(), c.field, c.wants)
			wantRefused(t, (&fcm.SendRequest{Message: &c.m}).Validate(), c.field, c.wants)
		})
	}
	wantRefused(t, (&fcm.Message{Data: map[string]string{"k": "v"}}).Validate(), "message", noTarget)
	wantRefused(t, (&fcm.SendRequest{}).Validate(), "message", noTarget)
	wantRefused(t, (&fcm.SendRequest{Message: &fcm.Message{Token: "t"}, Unknown: broken}).Validate(), "b", noJSON)
}

func wantRefused(t *testing.T, err error, field, text string) {
	t.Helper()
	e, ok := errors.AsType[*fcm.FieldError](err)
	if !ok || e.Field != field || e.Description != text {
		t.Errorf("refused with %v, want %s: %s", err, field, text)
	}
}

func TestMessagesThatKeepTheRulesPass(t *testing.T) {
	t.Parallel()
	one := 1.0
	withAlpha := lit()
	withAlpha.Color.Alpha = &one
	const plain = "azAZ09-_.~%"
	for name, m := range map[string]fcm.Message{
		"S-06 a token":      {Token: "t"},
		"S-06 a FID":        {FID: "f"},
		"S-06 a condition":  {Condition: "'a' in topics &&"}, // FCM is the judge of it
		"S-06 a topic":      {Topic: plain},
		"a long topic":      {Topic: strings.Repeat("a", 900)},
		"S-07 the old part": {Token: "t", Android: &fcm.AndroidConfig{TTL: duration(fcm.MaxTTL + time.Second - 1), Data: map[string]string{"fromage": "", "google": "", "gcm.x": ""}}},
		"S-07 the new part": {Token: "t", AndroidV2: &fcm.AndroidConfigV2{TTL: duration(0), BackgroundSync: &fcm.BackgroundSync{}}},
		"labels":            {Token: "t", Options: &fcm.Options{AnalyticsLabel: plain}, APNS: &fcm.APNSConfig{Options: &fcm.APNSOptions{AnalyticsLabel: strings.Repeat("b", 50)}}},
		"empty labels":      {Token: "t", Options: &fcm.Options{}, Webpush: &fcm.WebpushConfig{Options: &fcm.WebpushOptions{}}},
		"lights and colors": {Token: "t", Android: &fcm.AndroidConfig{Notification: &fcm.AndroidNotification{Color: "#09AFaf", LightSettings: withAlpha}}},
		"raw values":        {Token: "t", APNS: &fcm.APNSConfig{Payload: json.RawMessage(" {\"a\":[]} ")}, Unknown: fcm.Unknown{"a": json.RawMessage(`null`), "b": nil}},
	} {
		if err := m.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, target := range targets {
		r, err := fcm.ParseSendRequest([]byte(everythingFor(target)))
		if err != nil {
			t.Fatal(err)
		}
		r.Message.AndroidV2 = nil
		if err := r.Validate(); err != nil {
			t.Errorf("everything to a %s: %v", target, err)
		}
	}
	if err := typical().Validate(); err != nil {
		t.Error(err)
	}
}

// TestF_02_RefusedFieldsAnswerLikeFCM compares with what FCM says to a message
// without target.
func TestF_02_RefusedFieldsAnswerLikeFCM(t *testing.T) {
	t.Parallel()
	err := (&fcm.Message{}).Validate()
	e, ok := errors.AsType[*fcm.FieldError](err)
	if !ok || e.Error() != "fcm: message: Recipient of the message is not set." {
		t.Fatal(err)
	}
	want := fcm.ParseErrorReply(400, []byte(answers[0].body))
	if got := e.Reply(); !reflect.DeepEqual(got, want) {
		t.Errorf("answered %#v, want %#v", got, want)
	}
}

func TestTargetsAndTheirRedaction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m     fcm.Message
		kind  fcm.TargetKind
		word  string
		value string
		shown string
	}{
		{fcm.Message{}, 0, "none", "", "…(0)"},
		{fcm.Message{Token: "dTf7Qp0zRkS5"}, fcm.TargetDevice, "device", "dTf7Qp0zRkS5", "dTf7…(12)"},
		{fcm.Message{Token: "dTf7Qp0zRkS"}, fcm.TargetDevice, "device", "dTf7Qp0zRkS", "…(11)"},
		{fcm.Message{FID: "cTf7Qp0zRkS5n1yWv3uXab"}, fcm.TargetDevice, "device", "cTf7Qp0zRkS5n1yWv3uXab", "cTf7…(22)"},
		{fcm.Message{Token: "ééééééé"}, fcm.TargetDevice, "device", "ééééééé", "éé…(14)"},
		{fcm.Message{Token: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}, fcm.TargetDevice, "device", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\ufffd…(12)"},
		{fcm.Message{Topic: "news"}, fcm.TargetTopic, "topic", "news", "/topics/news"},
		{fcm.Message{Condition: "'a' in topics"}, fcm.TargetCondition, "condition", "'a' in topics", "'a' in topics"},
		{fcm.Message{Token: "t", FID: "f", Topic: "o", Condition: "c"}, fcm.TargetDevice, "device", "t", "…(1)"},
		{fcm.Message{FID: "f", Topic: "o", Condition: "c"}, fcm.TargetDevice, "device", "f", "…(1)"},
		{fcm.Message{Topic: "o", Condition: "c"}, fcm.TargetTopic, "topic", "o", "/topics/o"},
	} {
		kind, value := c.m.Target()
		if kind != c.kind || value != c.value || kind.String() != c.word {
			t.Errorf("Target() = %v %q, want %v %q", kind, value, c.kind, c.value)
		}
		if got := c.m.Redacted(); got != c.shown {
			t.Errorf("%q is shown as %q, want %q", value, got, c.shown)
		}
	}
}

func TestTimeToLiveIsAndroids(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		m    fcm.Message
		ttl  time.Duration
		ok   bool
	}{
		{"no part", fcm.Message{}, fcm.MaxTTL, false},
		{"parts without", fcm.Message{Android: &fcm.AndroidConfig{}, AndroidV2: &fcm.AndroidConfigV2{}, Webpush: &fcm.WebpushConfig{Headers: map[string]string{"TTL": "5"}}}, fcm.MaxTTL, false},
		{"the old part", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(10 * time.Minute)}}, 10 * time.Minute, true},
		{"the new part", fcm.Message{AndroidV2: &fcm.AndroidConfigV2{TTL: duration(time.Second)}}, time.Second, true},
		{"the old part before the new one", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(0)}, AndroidV2: &fcm.AndroidConfigV2{TTL: duration(time.Second)}}, 0, true},
		{"now or never", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(0)}}, 0, true},
		{"rounded down", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(1999 * time.Millisecond)}}, time.Second, true},
		{"rounded down to now or never", fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(999 * time.Millisecond)}}, 0, true},
	} {
		if ttl, ok := c.m.TTL(); ttl != c.ttl || ok != c.ok {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, ttl, ok, c.ttl, c.ok)
		}
	}
}

func TestS_32_RetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 6, 8, 49, 37, 0, time.FixedZone("", 3600))
	for value, want := range map[string]time.Duration{
		"0": 0, "3": 3 * time.Second, " 120\t": 2 * time.Minute, "3600": time.Hour, "007": 7 * time.Second,
		"3601": time.Hour, "99999999999999999999999": time.Hour, "9223372036854775807": time.Hour,
		"Fri, 06 Nov 2026 07:50:37 GMT": time.Minute, "Friday, 06-Nov-26 07:50:37 GMT": time.Minute, "Fri Nov  6 07:50:37 2026": time.Minute,
		"Fri, 06 Nov 2026 07:49:37 GMT": 0, "Sun, 06 Nov 1994 08:49:37 GMT": 0, "Fri, 06 Nov 2099 07:50:37 GMT": time.Hour,
	} {
		if got, ok := fcm.ParseRetryAfter(value, now); got != want || !ok {
			t.Errorf("%q is %v, %v, want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", " ", "-1", "+1", "1.5", "3s", "soon", "1e3", "0x10", "٣", "Fri, 06 Nov 2026", "2026-11-06T07:50:37Z", "3, 4"} {
		if got, ok := fcm.ParseRetryAfter(value, now); got != 0 || ok {
			t.Errorf("%q is %v", value, got)
		}
	}
}
