package translate_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

func TestToCCS(t *testing.T) {
	note := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		name, message string
		want          ccs.Downstream
	}{
		{"a token", `"token":"T"`, ccs.Downstream{To: "T"}},
		{"a FID stands where a token stands", `"fid":"F"`, ccs.Downstream{To: "F"}},
		{"a topic", `"topic":"news"`, ccs.Downstream{To: "/topics/news"}},
		{"a condition", `"condition":"'a' in topics"`, ccs.Downstream{Condition: "'a' in topics"}},
		{"data", `"token":"T","data":{"k":"v"}`, ccs.Downstream{To: "T", Data: note("k", "v")}},
		{"data that is said again", `"token":"T","data":{"k":"v"},"android":{"data":{"k":"v"}},"webpush":{"data":{"k":"v"}}`, ccs.Downstream{To: "T", Data: note("k", "v")}},
		{"a label", `"token":"T","fcm_options":{"analytics_label":"a"}`, ccs.Downstream{To: "T", AnalyticsLabel: "a"}},
		{
			"a label that is said again", `"token":"T","fcm_options":{"analytics_label":"a"},"android":{"fcm_options":{"analytics_label":"a"}},"apns":{"fcm_options":{"analytics_label":"a"}},"webpush":{"fcm_options":{"analytics_label":"a"}}`,
			ccs.Downstream{To: "T", AnalyticsLabel: "a"},
		},
		{
			"options of Android", `"token":"T","android":{"collapse_key":"c","priority":"HIGH","ttl":"3.5s","restricted_package_name":"p","direct_boot_ok":true}`,
			ccs.Downstream{To: "T", CollapseKey: "c", Priority: ccs.PriorityHigh, TTL: new(3 * time.Second), RestrictedPackageName: "p", DirectBootOK: true},
		},
		{"now or never", `"token":"T","android":{"ttl":"0s"},"apns":{"headers":{"apns-expiration":"0"}},"webpush":{"headers":{"ttl":"0"}}`, ccs.Downstream{To: "T", TTL: new(time.Duration(0))}},
		{"a date is the time to live in other words", `"token":"T","android":{"ttl":"600s"},"apns":{"headers":{"Apns-Expiration":"1600"}}`, ccs.Downstream{To: "T", TTL: new(10 * time.Minute)}},
		{"a notification", `"token":"T","notification":{"title":"N","body":"B","image":"I"}`, ccs.Downstream{To: "T", Notification: note("title", "N", "body", "B", "image", "I")}},
		{
			"a notification that is said again",
			`"token":"T","notification":{"title":"N","body":"B","image":"I"},"android":{"notification":{"title":"N","body":"B","image":"I"}},` +
				`"apns":{"payload":{"aps":{"alert":{"title":"N","body":"B"}}},"fcm_options":{"image":"I"}},"webpush":{"notification":{"title":"N","body":"B","image":"I"}}`,
			ccs.Downstream{To: "T", Notification: note("title", "N", "body", "B", "image", "I")},
		},
		{"an alert that is a text", `"token":"T","notification":{"body":"B"},"apns":{"payload":{"aps":{"alert":"B"}}}`, ccs.Downstream{To: "T", Notification: note("body", "B")}},
		{"a title for Android alone is one for all", `"token":"T","android":{"notification":{"title":"N","body":"B","image":"I"}}`, ccs.Downstream{To: "T", Notification: note("title", "N", "body", "B", "image", "I")}},
		{
			"all of Android's notification that legacy knew",
			`"token":"T","android":{"notification":{"icon":"ic","color":"#aabbcc","sound":"s","tag":"t","click_action":"OPEN","channel_id":"ch","body_loc_key":"bk","body_loc_args":["a","<b>"],"title_loc_key":"tk","title_loc_args":["c"]}}`,
			ccs.Downstream{To: "T", Notification: note("icon", "ic", "color", "#aabbcc", "sound", "s", "tag", "t", "click_action", "OPEN", "android_channel_id", "ch",
				"body_loc_key", "bk", "body_loc_args", `["a","<b>"]`, "title_loc_key", "tk", "title_loc_args", `["c"]`)},
		},
		{
			"what Apple devices alone can be told", `"token":"T","notification":{"title":"N"},"apns":{"payload":{"aps":{"content-available":true,"mutable-content":1,"badge":3,"alert":{"title":"N","subtitle":"S"},"sound":{"name":"a","critical":1}}}}`,
			ccs.Downstream{To: "T", ContentAvailable: true, MutableContent: true, Notification: note("title", "N", "badge", "3", "subtitle", "S", "sound", `{"critical":1,"name":"a"}`)},
		},
		{"what is off is off", `"token":"T","apns":{"payload":{"aps":{"content-available":0,"mutable-content":false}}}`, ccs.Downstream{To: "T"}},
		{"the address of an icon", `"token":"T","webpush":{"notification":{"icon":"https://example.com/i.png"}}`, ccs.Downstream{To: "T", Notification: note("icon", "https://example.com/i.png")}},
		{
			"a link that is the action", `"token":"T","android":{"notification":{"click_action":"https://example.com/"}},"apns":{"payload":{"aps":{"category":"https://example.com/"}}},"webpush":{"fcm_options":{"link":"https://example.com/"}}`,
			ccs.Downstream{To: "T", Notification: note("click_action", "https://example.com/")},
		},
		{"FCM's defaults for Apple devices", `"token":"T","notification":{"title":"N"},"apns":{"headers":{"APNS-Priority":"10","apns-push-type":"alert"}}`, ccs.Downstream{To: "T", Notification: note("title", "N")}},
		{"data alone is not urgent on Apple devices", `"token":"T","data":{"k":"v"},"apns":{"headers":{"apns-priority":"5"}}`, ccs.Downstream{To: "T", Data: note("k", "v")}},
		{
			"a push in the background", `"token":"T","apns":{"headers":{"apns-priority":"5","apns-push-type":"background"},"payload":{"aps":{"content-available":1}}}`,
			ccs.Downstream{To: "T", ContentAvailable: true},
		},
		{
			"collapse keys and urgency, said again", `"token":"T","android":{"collapse_key":"c","priority":"normal"},"apns":{"headers":{"apns-collapse-id":"c","apns-priority":"5"}},"webpush":{"headers":{"topic":"c","urgency":"normal"}}`,
			ccs.Downstream{To: "T", CollapseKey: "c", Priority: ccs.PriorityNormal},
		},
		{"empty parts hide nothing", `"token":"T","notification":{"title":"N"},"webpush":{"notification":{}},"apns":{"payload":{"aps":{"alert":{}}}}`, ccs.Downstream{To: "T", Notification: note("title", "N")}},
		{"empty parts say nothing", `"token":"T","android":{"notification":{}},"apns":{"headers":{},"payload":{"aps":{}}},"webpush":{"notification":{}},"android_v2":null`, ccs.Downstream{To: "T"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, `{"message":{`+tt.message+`}}`)
			before := string(r.Append(nil))
			got, err := translate.ToCCS(r, "m-1")
			if err != nil {
				t.Fatal(err)
			}
			tt.want.MessageID = "m-1"
			if !reflect.DeepEqual(got, &tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, &tt.want)
			}
			if string(r.Append(nil)) != before {
				t.Error("the request was changed")
			}
		})
	}
	t.Run("a dry run", func(t *testing.T) {
		got, err := translate.ToCCS(request(t, `{"message":{"token":"T"},"validateOnly":true}`), "m-1")
		if err != nil || !got.DryRun {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestToCCSDropsNothingInSilence(t *testing.T) {
	for _, tt := range []struct{ name, body, field string }{
		{"no message", `{}`, "message"},
		{"no target", `{"message":{}}`, "message"},
		{"an unknown field at the root", `{"message":{"token":"T"},"x":{"y":1}}`, "x.y"},
		{"an unknown field", `{"message":{"token":"T","x":1}}`, "message.x"},
		{"an unknown flag that is off", `{"message":{"token":"T","android":{"x":false}}}`, "message.android.x"},
		{"a name", `{"message":{"token":"T","name":"n"}}`, "message.name"},
		{"the newer part for Android", `{"message":{"token":"T","android_v2":{"ttl":"1s"}}}`, "message.android_v2.ttl"},
		{"the newer part for Android, empty", `{"message":{"token":"T","android_v2":{}}}`, "message.android_v2"},
		{"no haste, in the newer part", `{"message":{"token":"T","android_v2":{"background_sync":{}}}}`, "message.android_v2.background_sync"},
		{"bandwidth", `{"message":{"token":"T","android":{"bandwidth_constrained_ok":true}}}`, "message.android.bandwidth_constrained_ok"},
		{"satellites", `{"message":{"token":"T","android":{"restricted_satellite_ok":true}}}`, "message.android.restricted_satellite_ok"},
		{"other data for Android", `{"message":{"token":"T","data":{"k":"v"},"android":{"data":{"k":"w"}}}}`, "message.android.data.k"},
		{"less data for Android", `{"message":{"token":"T","data":{"k":"v","l":"w"},"android":{"data":{"k":"v"}}}}`, "message.android.data.l"},
		{"less data for the web", `{"message":{"token":"T","data":{"k":"v","l":"w"},"webpush":{"data":{"l":"w"}}}}`, "message.webpush.data.k"},
		{"data for Android alone", `{"message":{"token":"T","android":{"data":{"k":"v"}}}}`, "message.android.data.k"},
		{"another title for Android", `{"message":{"token":"T","notification":{"title":"N"},"android":{"notification":{"title":"M"}}}}`, "message.android.notification.title"},
		{"a title for Apple alone", `{"message":{"token":"T","apns":{"payload":{"aps":{"alert":{"title":"N"}}}}}}`, "message.apns.payload.aps.alert.title"},
		{"a title that Apple devices shall not show", `{"message":{"token":"T","notification":{"title":"N"},"apns":{"payload":{"aps":{"alert":{"subtitle":"S"}}}}}}`, "message.apns.payload.aps.alert.title"},
		{"a body that browsers shall not show", `{"message":{"token":"T","notification":{"title":"N","body":"B"},"webpush":{"notification":{"title":"N","icon":"https://example.com/i"}}}}`, "message.webpush.notification.body"},
		{"a ticker", `{"message":{"token":"T","android":{"notification":{"ticker":"t"}}}}`, "message.android.notification.ticker"},
		{"a count", `{"message":{"token":"T","android":{"notification":{"notification_count":0}}}}`, "message.android.notification.notification_count"},
		{"a color that is none", `{"message":{"token":"T","android":{"notification":{"color":"red"}}}}`, "message.android.notification.color"},
		{"a label for Android alone", `{"message":{"token":"T","android":{"fcm_options":{"analytics_label":"a"}}}}`, "message.android.fcm_options.analytics_label"},
		{"a collapse key for Apple alone", `{"message":{"token":"T","apns":{"headers":{"apns-collapse-id":"c"}}}}`, "message.apns.headers.apns-collapse-id"},
		{"a date without a time to live", `{"message":{"token":"T","apns":{"headers":{"apns-expiration":"1600"}}}}`, "message.apns.headers.apns-expiration"},
		{"never again beside a time to live", `{"message":{"token":"T","android":{"ttl":"600s"},"apns":{"headers":{"apns-expiration":"0"}}}}`, "message.apns.headers.apns-expiration"},
		{"a date beside now or never", `{"message":{"token":"T","android":{"ttl":"0s"},"apns":{"headers":{"apns-expiration":"1600"}}}}`, "message.apns.headers.apns-expiration"},
		{"another time to live in browsers", `{"message":{"token":"T","android":{"ttl":"600s"},"webpush":{"headers":{"TTL":"601"}}}}`, "message.webpush.headers.ttl"},
		{"patience on Apple devices alone", `{"message":{"token":"T","notification":{"title":"N"},"apns":{"headers":{"apns-priority":"5"}}}}`, "message.apns.headers.apns-priority"},
		{"haste on Apple devices against the common word", `{"message":{"token":"T","notification":{"title":"N"},"android":{"priority":"normal"},"apns":{"headers":{"apns-priority":"10"}}}}`, "message.apns.headers.apns-priority"},
		{"an alert that shows nothing", `{"message":{"token":"T","apns":{"headers":{"apns-push-type":"alert"}}}}`, "message.apns.headers.apns-push-type"},
		{"urgency in browsers alone", `{"message":{"token":"T","webpush":{"headers":{"Urgency":"high"}}}}`, "message.webpush.headers.urgency"},
		{"keys of the app's own for Apple", `{"message":{"token":"T","apns":{"payload":{"k":{"l":1}}}}}`, "message.apns.payload.k.l"},
		{"an empty list of the app's own", `{"message":{"token":"T","apns":{"payload":{"k":[]}}}}`, "message.apns.payload.k"},
		{"an empty object of the app's own", `{"message":{"token":"T","apns":{"payload":{"k":{}}}}}`, "message.apns.payload.k"},
		{"a thread", `{"message":{"token":"T","apns":{"payload":{"aps":{"thread-id":"t"}}}}}`, "message.apns.payload.aps.thread-id"},
		{"a badge with a fraction", `{"message":{"token":"T","apns":{"payload":{"aps":{"badge":1.5}}}}}`, "message.apns.payload.aps.badge"},
		{"a sound for Apple alone", `{"message":{"token":"T","apns":{"payload":{"aps":{"sound":"s"}}}}}`, "message.apns.payload.aps.sound"},
		{"another sound for Apple", `{"message":{"token":"T","android":{"notification":{"sound":"r"}},"apns":{"payload":{"aps":{"sound":{"name":"s"}}}}}}`, "message.android.notification.sound"},
		{"a live activity", `{"message":{"token":"T","apns":{"live_activity_token":"t"}}}`, "message.apns.live_activity_token"},
		{"a null of the app's own", `{"message":{"token":"T","apns":{"payload":{"k":null}}}}`, "message.apns.payload.k"},
		{"an icon by another name in browsers", `{"message":{"token":"T","webpush":{"notification":{"icon":"ic"}}}}`, "message.webpush.notification.icon"},
		{"two icons", `{"message":{"token":"T","android":{"notification":{"icon":"ic"}},"webpush":{"notification":{"icon":"https://example.com/i"}}}}`, "message.android.notification.icon"},
		{"a link of its own", `{"message":{"token":"T","webpush":{"fcm_options":{"link":"https://example.com/"}}}}`, "message.webpush.fcm_options.link"},
		{"a key that CCS keeps", `{"message":{"token":"T","data":{"priority":"x"}}}`, "message.data"},
		{"more than CCS takes", `{"message":{"token":"T","data":{"k":"` + strings.Repeat("x", 4096) + `"}}}`, "message.data"},
		{"a longer text than CCS takes", `{"message":{"token":"T","notification":{"body":"` + strings.Repeat("x", 4096) + `"}}}`, "message.notification"},
		{"a longer token than CCS takes", `{"message":{"token":"` + strings.Repeat("T", 1<<17) + `"}}`, "message.token"},
		{"a longer condition than CCS takes", `{"message":{"condition":"'` + strings.Repeat("t", 1<<17) + `' in topics"}}`, "message.condition"},
		{"a longer collapse key than CCS takes", `{"message":{"token":"T","android":{"collapse_key":"` + strings.Repeat("k", 1<<17) + `"}}}`, "message.android.collapse_key"},
		{"a longer name of a package than CCS takes", `{"message":{"token":"T","android":{"restricted_package_name":"` + strings.Repeat("k", 1<<17) + `"}}}`, "message.android.restricted_package_name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := fcm.ParseSendRequest([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			m, err := translate.ToCCS(r, "m-1")
			if m != nil {
				t.Errorf("there is a message all the same: %+v", m)
			}
			wantClass(t, err, fcm.InvalidMessage, tt.field)
		})
	}
	t.Run("two targets", func(t *testing.T) {
		_, err := translate.ToCCS(&fcm.SendRequest{Message: &fcm.Message{Token: "T", Topic: "x"}}, "m-1")
		wantClass(t, err, fcm.InvalidMessage, "message")
	})
	t.Run("a payload that is no JSON", func(t *testing.T) {
		_, err := translate.ToCCS(&fcm.SendRequest{Message: &fcm.Message{Token: "T", APNS: &fcm.APNSConfig{Payload: []byte("{")}}}, "m-1")
		wantClass(t, err, fcm.InvalidMessage, "message.apns.payload")
	})
	t.Run("a token that would become a topic", func(t *testing.T) {
		for _, field := range []string{"token", "fid"} {
			_, err := translate.ToCCS(request(t, `{"message":{"`+field+`":"/topics/x"}}`), "m-1")
			wantClass(t, err, fcm.MalformedToken, "message.token")
		}
	})
}

// TestThereAndBack translates messages of which both dialects know every word
// to v1 and back: they must come out as they went in.
func TestThereAndBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(20261122, 1))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	seen := make(map[string]bool)
	for range 5000 {
		m := &ccs.Downstream{
			MessageID:             "m-1",
			CollapseKey:           ccs.CollapseKey(pick("", "c", strings.Repeat("k", 40), strings.Repeat("k", 80), "ü x")),
			Priority:              ccs.Priority(pick("", "normal", "high")),
			ContentAvailable:      rnd.IntN(3) == 0,
			MutableContent:        rnd.IntN(3) == 0,
			DryRun:                rnd.IntN(3) == 0,
			DirectBootOK:          rnd.IntN(3) == 0,
			RestrictedPackageName: pick("", "p"),
			AnalyticsLabel:        pick("", "a-b"),
		}
		switch rnd.IntN(4) {
		case 0:
			m.To = "/topics/x"
		case 1:
			m.Condition = "'a' in topics"
		default:
			m.To = "T"
		}
		switch rnd.IntN(3) {
		case 0:
			m.TTL = new(time.Duration(0))
		case 1:
			m.TTL = new(time.Duration(rnd.IntN(2419201)) * time.Second)
		}
		for i := range rnd.IntN(3) {
			if m.Data == nil {
				m.Data = make(map[string]string)
			}
			m.Data["k"+strconv.Itoa(i)] = pick("", "v", `{"a":1}`, "é<&>\u2028\x00")
		}
		n := make(map[string]string)
		for key, vals := range map[string][]string{
			"title": {"N", "é<&>"}, "body": {"B"}, "image": {"I"}, "subtitle": {"S"}, "badge": {"0", "3", "-1"},
			"sound": {"s", `{"critical":1,"name":"a","volume":0.5}`}, "icon": {"ic", "https://example.com/i.png"},
			"color": {"#aabbcc"}, "tag": {"t"}, "click_action": {"OPEN", "https://example.com/?a=<b>", "http://example.com/"},
			"android_channel_id": {"ch"}, "body_loc_key": {"k"}, "title_loc_key": {"k"},
			"body_loc_args": {`["a","<b>"]`}, "title_loc_args": {`["1"]`},
		} {
			if rnd.IntN(4) == 0 {
				n[key] = vals[rnd.IntN(len(vals))]
			}
		}
		if len(n) > 0 {
			m.Notification = n
		}
		r, err := translate.ToV1(m, at(0), nil)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		back, err := translate.ToCCS(r, "m-1")
		if err != nil {
			t.Fatalf("%+v\nas %s\n%v", m, r.Append(nil), err)
		}
		if !reflect.DeepEqual(back, m) {
			t.Fatalf("out  %+v\nback %+v", m, back)
		}
		for key := range n {
			seen[key] = true
		}
	}
	if len(seen) != 15 {
		t.Errorf("only %v were tried", seen)
	}
}

// TestToCCSErrorsAreOutcomes makes sure that also a message without an id, which
// is its caller's fault, is one type of error.
func TestToCCSErrorsAreOutcomes(t *testing.T) {
	_, err := translate.ToCCS(&fcm.SendRequest{Message: &fcm.Message{Token: "T"}}, "")
	e, ok := errors.AsType[*fcm.SendError](err)
	if !ok || e.Violations()[0].Field != "message_id" {
		t.Errorf("%v", err)
	}
}
