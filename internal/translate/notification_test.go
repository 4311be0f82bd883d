package translate_test

import (
	"testing"

	"penstock/ccs"
	"penstock/internal/translate"
)

// notificationRows has one row for each row of docs/fcm-http.md, Notifications.
var notificationRows = []struct{ name, notification, want string }{
	{"T-31 T-32 title and body are common, and no alert is written", `"title":"N","body":"B"`, `"notification":{"title":"N","body":"B"}`},
	{
		"T-31 T-41 a subtitle makes an alert, in which title and body stand too", `"title":"N","body":"B","subtitle":"S"`,
		`"notification":{"title":"N","body":"B"},"apns":{"payload":{"aps":{"alert":{"title":"N","subtitle":"S","body":"B"}}}}`,
	},
	{"an image is common", `"title":"N","image":"https://example.com/i.png"`, `"notification":{"title":"N","image":"https://example.com/i.png"}`},
	{"an image alone", `"image":"i"`, `"notification":{"image":"i"}`},
	{"T-33 a channel", `"title":"N","android_channel_id":"c"`, `"notification":{"title":"N"},"android":{"notification":{"channel_id":"c"}}`},
	{"T-34 the name of an icon", `"title":"N","icon":"ic"`, `"notification":{"title":"N"},"android":{"notification":{"icon":"ic"}}`},
	{
		"T-31 T-34 the address of an icon, with title and body beside it", `"title":"N","body":"B","icon":"https://example.com/i.png"`,
		`"notification":{"title":"N","body":"B"},"webpush":{"notification":{"title":"N","body":"B","icon":"https://example.com/i.png"}}`,
	},
	{"T-34 an address that v1 does not take", `"title":"N","icon":"http://example.com/i.png"`, `"notification":{"title":"N"}`},
	{"T-34 an address without a host", `"title":"N","icon":"https://"`, `"notification":{"title":"N"}`},
	{"T-34 an address that is none", `"title":"N","icon":"https://a b/"`, `"notification":{"title":"N"}`},
	{"T-35 a sound", `"sound":"bell"`, `"android":{"notification":{"sound":"bell"}},"apns":{"payload":{"aps":{"sound":"bell"}}}`},
	{
		"T-35 a critical sound", `"sound":{"critical":1, "name":"alarm","volume":0.50}`,
		`"android":{"notification":{"sound":"alarm"}},"apns":{"payload":{"aps":{"sound":{"critical":1,"name":"alarm","volume":0.50}}}}`,
	},
	{"T-35 a critical sound as text", `"sound":" {\"name\":\"a\",\"name\":\"alarm\"}"`, `"android":{"notification":{"sound":"alarm"}},"apns":{"payload":{"aps":{"sound":{"name":"alarm"}}}}`},
	{"T-35 a critical sound without a name", `"sound":{"critical":true,"name":5}`, `"apns":{"payload":{"aps":{"sound":{"critical":true,"name":5}}}}`},
	{"T-35 a file that begins like an object", `"sound":"{a}"`, `"android":{"notification":{"sound":"{a}"}},"apns":{"payload":{"aps":{"sound":"{a}"}}}`},
	{"T-35 an object and more is a file's name", `"sound":"{}}"`, `"android":{"notification":{"sound":"{}}"}},"apns":{"payload":{"aps":{"sound":"{}}"}}}`},
	{"T-35 an object and something else is a file's name", `"sound":"{\"name\":\"a\"}]"`, `"android":{"notification":{"sound":"{\"name\":\"a\"}]"}},"apns":{"payload":{"aps":{"sound":"{\"name\":\"a\"}]"}}}`},
	{"T-35 a file that is called null", `"sound":"null"`, `"android":{"notification":{"sound":"null"}},"apns":{"payload":{"aps":{"sound":"null"}}}`},
	{"T-36 a badge as text", `"badge":"3"`, `"apns":{"payload":{"aps":{"badge":3}}}`},
	{"T-36 a badge as number", `"badge":3`, `"apns":{"payload":{"aps":{"badge":3}}}`},
	{"T-36 a badge of zero clears it", `"badge":0`, `"apns":{"payload":{"aps":{"badge":0}}}`},
	{"T-36 a badge that is no integer", `"title":"N","badge":"x"`, `"notification":{"title":"N"}`},
	{"T-36 a badge with a fraction", `"title":"N","badge":1.5`, `"notification":{"title":"N"}`},
	{"T-36 the largest badge as text", `"badge":"2147483647"`, `"apns":{"payload":{"aps":{"badge":2147483647}}}`},
	{"T-36 the least badge", `"badge":-2147483648`, `"apns":{"payload":{"aps":{"badge":-2147483648}}}`},
	{"T-36 a badge of one too many", `"title":"N","badge":2147483648`, `"notification":{"title":"N"}`},
	{"T-36 a badge with a letter", `"title":"N","badge":"1a"`, `"notification":{"title":"N"}`},
	{"T-36 a badge of nines", `"badge":"99"`, `"apns":{"payload":{"aps":{"badge":99}}}`},
	{"T-36 a badge that nothing can show", `"title":"N","badge":12345678901`, `"notification":{"title":"N"}`},
	{"T-37 tag and color", `"title":"N","tag":"t","color":"#aAbB09"`, `"notification":{"title":"N"},"android":{"notification":{"tag":"t","color":"#aAbB09"}}`},
	{"T-37 the largest color", `"title":"N","color":"#FFffFF"`, `"notification":{"title":"N"},"android":{"notification":{"color":"#FFffFF"}}`},
	{"T-37 a color with a letter too far", `"title":"N","color":"#00000g"`, `"notification":{"title":"N"}`},
	{"T-37 a color with a sign", `"title":"N","color":"#+abcde"`, `"notification":{"title":"N"}`},
	{"T-37 a color by name", `"title":"N","color":"red"`, `"notification":{"title":"N"}`},
	{"T-37 a color of three digits", `"title":"N","color":"#abc"`, `"notification":{"title":"N"}`},
	{"T-37 a color of no digits", `"title":"N","color":"#ggghhh"`, `"notification":{"title":"N"}`},
	{"T-37 a color without its sign", `"title":"N","color":"aabbcc0"`, `"notification":{"title":"N"}`},
	{
		"T-38 an action", `"title":"N","click_action":"OPEN"`,
		`"notification":{"title":"N"},"android":{"notification":{"click_action":"OPEN"}},"apns":{"payload":{"aps":{"category":"OPEN"}}}`,
	},
	{
		"T-38 an action that is an address", `"title":"N","click_action":"https://example.com/a?b=<&>"`,
		`"notification":{"title":"N"},"android":{"notification":{"click_action":"https://example.com/a?b=<&>"}},"apns":{"payload":{"aps":{"category":"https://example.com/a?b=<&>"}}},"webpush":{"fcm_options":{"link":"https://example.com/a?b=<&>"}}`,
	},
	{
		"T-38 an action that is an address which v1 does not take", `"title":"N","click_action":"http://example.com/"`,
		`"notification":{"title":"N"},"android":{"notification":{"click_action":"http://example.com/"}},"apns":{"payload":{"aps":{"category":"http://example.com/"}}}`,
	},
	{
		"T-31 T-39 arguments in a string", `"title":"N","body":"B","body_loc_key":"K","body_loc_args":"[\"a\",\"b\"]"`,
		`"notification":{"title":"N","body":"B"},"android":{"notification":{"body_loc_key":"K","body_loc_args":["a","b"]}},"apns":{"payload":{"aps":{"alert":{"title":"N","body":"B","loc-key":"K","loc-args":["a","b"]}}}}`,
	},
	{
		"T-39 arguments in an array", `"title_loc_key":"K","title_loc_args":["a", "b"]`,
		`"android":{"notification":{"title_loc_key":"K","title_loc_args":["a","b"]}},"apns":{"payload":{"aps":{"alert":{"title-loc-key":"K","title-loc-args":["a","b"]}}}}`,
	},
	{
		"T-40 arguments that are no strings", `"body_loc_args":"[1, 0.10, 1e2, true, null, [1, 2], { \"a\" : \"b c\" }, \"\\u00e9<\"]"`,
		`"android":{"notification":{"body_loc_args":["1","0.10","1e2","true","null","[1,2]","{\"a\":\"b c\"}","é<"]}},` +
			`"apns":{"payload":{"aps":{"alert":{"loc-args":["1","0.10","1e2","true","null","[1,2]","{\"a\":\"b c\"}","é<"]}}}}`,
	},
	{"T-39 no arguments at all", `"title":"N","body_loc_args":"[]","title_loc_args":""`, `"notification":{"title":"N"}`},
	{"a body key alone makes an alert", `"body_loc_key":"K"`, `"android":{"notification":{"body_loc_key":"K"}},"apns":{"payload":{"aps":{"alert":{"loc-key":"K"}}}}`},
	{"a title key alone makes an alert", `"title_loc_key":"K"`, `"android":{"notification":{"title_loc_key":"K"}},"apns":{"payload":{"aps":{"alert":{"title-loc-key":"K"}}}}`},
	{"title arguments alone make an alert", `"title_loc_args":"[\"a\"]"`, `"android":{"notification":{"title_loc_args":["a"]}},"apns":{"payload":{"aps":{"alert":{"title-loc-args":["a"]}}}}`},
	{
		"what nobody documented is ignored", `"title":"N","foo":"bar","ticker":"t","notification_count":3,"visibility":"PUBLIC"`,
		`"notification":{"title":"N"}`,
	},
}

func TestNotificationRows(t *testing.T) {
	for _, tt := range notificationRows {
		for _, way := range ways {
			t.Run(tt.name+", "+way.name, func(t *testing.T) {
				m := way.read(t, `{"to":"T","notification":{`+tt.notification+`}}`)
				wantV1(t, m, at(0), nil, `{"message":{"token":"T",`+tt.want+`}}`)
			})
		}
	}
}

func TestWhatShowsNothingOnAppleDevices(t *testing.T) {
	for name, tt := range map[string]struct{ notification, want string }{
		"only what nobody knows": {`"foo":"bar"`, ``},
		"an empty title":         {`"title":""`, ``},
		"only for Android":       {`"icon":"ic"`, `"android":{"notification":{"icon":"ic"}},`},
	} {
		t.Run(name, func(t *testing.T) {
			wantV1(t, overHTTP(t, `{"to":"T","notification":{`+tt.notification+`}}`), at(0), nil, `{"message":{"token":"T",`+tt.want+silent+`}}`)
		})
	}
}

func TestT_37_ATagForOtherPlatformsIsASetting(t *testing.T) {
	m := &ccs.Downstream{To: "T", Notification: map[string]string{"title": "N", "body": "B", "tag": "t"}}
	const common = `{"message":{"token":"T","notification":{"title":"N","body":"B"},"android":{"notification":{"tag":"t"}}`
	wantV1(t, m, at(0), nil, common+`}}`)
	wantV1(t, m, at(0), &translate.Options{ThreadFromTag: true}, common+`,"apns":{"payload":{"aps":{"thread-id":"t"}}}}}`)
	wantV1(t, m, at(0), &translate.Options{WebTag: true}, common+`,"webpush":{"notification":{"title":"N","body":"B","tag":"t"}}}}`)
}

// passing has all that may pass through.
const passing = `{"to":"T","notification":{"title":"N","icon":"ic","ticker":"3","sticky":true,"event_time":"2026-11-22T13:00:00Z","local_only":true,
	"notification_priority":"PRIORITY_MAX","default_sound":true,"default_vibrate_timings":true,"default_light_settings":true,
	"vibrate_timings":["0.5s","1s"],"visibility":"SECRET","notification_count":3,"proxy":"DENY","bypass_proxy_notification":true,
	"light_settings":{"color":{"red":1,"green":0.5},"light_on_duration":"1s","light_off_duration":"2s"}}}`

func TestWordsOfV1MayPassThrough(t *testing.T) {
	on := &translate.Options{PassThrough: true}
	t.Run("what v1 takes", func(t *testing.T) {
		m := overHTTP(t, passing)
		wantV1(t, m, at(0), on, `{"message":{"token":"T","notification":{"title":"N"},"android":{"notification":{"icon":"ic","ticker":"3","sticky":true,
			"event_time":"2026-11-22T13:00:00Z","local_only":true,"notification_priority":"PRIORITY_MAX","default_sound":true,
			"default_vibrate_timings":true,"default_light_settings":true,"vibrate_timings":["0.500000000s","1s"],"visibility":"SECRET",
			"notification_count":3,"proxy":"DENY","bypass_proxy_notification":true,
			"light_settings":{"color":{"red":1,"green":0.5},"light_on_duration":"1s","light_off_duration":"2s"}}}}}`)
		if n := ignored(t, m, *on); n != 0 {
			t.Errorf("%d things were left out", n)
		}
	})
	t.Run("what v1 would refuse is left out", func(t *testing.T) {
		m := overHTTP(t, `{"to":"T","notification":{"title":"N","sticky":"maybe","event_time":"yesterday","notification_priority":"urgent",
			"vibrate_timings":["1s","-1s"],"visibility":"1","notification_count":"many","proxy":"x","local_only":"true,\"title\":\"other\"",
			"light_settings":{"color":{"red":2},"light_on_duration":"1s","light_off_duration":"2s"},"default_sound":""}}`)
		wantV1(t, m, at(0), on, `{"message":{"token":"T","notification":{"title":"N"}}}`)
		if n := ignored(t, m, *on); n != 9 {
			t.Errorf("%d things were left out, want 9", n)
		}
	})
}
