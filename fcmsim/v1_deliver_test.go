package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// reached are the places in devices of those that have what a message told.
func (f *v1Face) reached(devices []fcmsim.Device, what string) (list []int) {
	f.t.Helper()
	for i, d := range devices {
		got, _ := f.received(d.Token)
		for _, m := range got {
			if m.Data["what"] == what {
				list = append(list, i)
			}
		}
	}
	return list
}

func TestM_39_40_TopicsAndConditionsReachWhoIsSubscribed(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	no := false
	devices := []fcmsim.Device{
		f.add(fcmsim.DeviceOptions{Topics: []string{"a"}}),
		f.add(fcmsim.DeviceOptions{Topics: []string{"a", "b"}, Platform: fcmsim.PlatformIOS}),
		f.add(fcmsim.DeviceOptions{Topics: []string{"b", "c"}, Platform: fcmsim.PlatformWeb}),
		f.add(fcmsim.DeviceOptions{}),
		f.add(fcmsim.DeviceOptions{Topics: []string{"a", "b", "c"}, SenderID: "999"}),
		f.add(fcmsim.DeviceOptions{Topics: []string{"a", "b", "c"}}),
	}
	f.SetDevice(devices[5].Token, nil, &no)
	for _, d := range f.Tokens() { // the simulator's own are in no topic, and would count for !
		f.SetDevice(d, nil, &no)
	}
	cases := map[string][]int{
		`"topic":"a"`:                                                       {0, 1},
		`"topic":"nobody"`:                                                  nil,
		`"condition":"'a' in topics"`:                                       {0, 1},
		`"condition":"'a' in topics && 'b' in topics"`:                      {1},
		`"condition":"'a' in topics || 'c' in topics"`:                      {0, 1, 2},
		`"condition":"'c' in topics || 'a' in topics && 'b' in topics"`:     {1, 2},
		`"condition":"'a' in topics && ('b' in topics || 'c' in topics)"`:   {1},
		`"condition":"!('a' in topics)"`:                                    {2, 3},
		`"condition":"!'a' in topics && !('b' in topics || 'c' in topics)"`: {3},
		`"condition":"!!'a' in topics"`:                                     {0, 1},
		`"condition":"'a' in topics && !('b' in topics)"`:                   {0},
		`"condition":"'A' in topics"`:                                       {0, 1}, // conditions have no case
		`"topic":"A"`:                                                       nil,
		`"condition":"'1' in topics||'2' in topics||'3' in topics||'4' in topics||'c' in topics"`: {2},
	}
	i := 0
	for target, want := range cases {
		i++
		t.Run("M-39 M-40 "+target, func(t *testing.T) {
			f := f.on(t)
			what := fmt.Sprint("message ", i)
			name := f.message(`{` + target + `,"data":{"what":"` + what + `"}}`).name()
			if got := f.reached(devices, what); !slices.Equal(got, want) {
				t.Errorf("reached %v; want %v", got, want)
			}
			id := name[strings.LastIndex(name, "/")+1:]
			if strings.Trim(id, "0123456789") != "" {
				t.Errorf("the id is %s", id)
			}
			for _, i := range want {
				got, _ := f.received(devices[i].Token)
				by := strings.TrimSuffix(strings.TrimPrefix(target, `"condition":"`), `"`)
				if topic, ok := strings.CutPrefix(by, `"topic":"`); ok {
					by = "/topics/" + topic
				}
				if last := got[len(got)-1]; string(last.MessageID) != id || last.Topic != by {
					t.Errorf("delivered as %s by %q; want %s by %q", last.MessageID, last.Topic, id, by)
				}
			}
		})
	}
	t.Run("M-40 six topics are too many", func(t *testing.T) {
		f.on(t).message(`{"condition":"'1' in topics||'2' in topics||'3' in topics||'4' in topics||'5' in topics||'6' in topics"}`).
			wantError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "")
	})
	t.Run("M-40 nesting has a bound", func(t *testing.T) {
		for _, c := range []string{strings.Repeat("!", 1000) + "'a' in topics", strings.Repeat("(", 1000) + "'a' in topics" + strings.Repeat(")", 1000)} {
			if r := f.on(t).message(`{"condition":"` + c + `"}`); r.status != 400 {
				t.Errorf("%d", r.status)
			}
		}
	})
	t.Run("CCS goes on without !", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a := b.login()
			a.send(&ccs.Downstream{MessageID: "m", Condition: "!'a' in topics"})
			a.wantNack("m", ccs.CodeInvalidJSON)
		})
	})
	t.Run("M-39 an app that a message is not for is passed over", func(t *testing.T) {
		f := f.on(t)
		d := []fcmsim.Device{f.add(fcmsim.DeviceOptions{Topics: []string{"p"}, Category: "com.one"}), f.add(fcmsim.DeviceOptions{Topics: []string{"p"}, Category: "com.two"})}
		f.message(`{"topic":"p","data":{"what":"p"},"android":{"restricted_package_name":"com.two"}}`).name()
		if got := f.reached(d, "p"); fmt.Sprint(got) != "[1]" {
			t.Errorf("reached %v", got)
		}
	})
}

func TestM_41_AFIDReachesTheDeviceInEitherField(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	for _, platform := range []fcmsim.Platform{fcmsim.PlatformAndroid, fcmsim.PlatformIOS, fcmsim.PlatformWeb} {
		d := f.add(fcmsim.DeviceOptions{Platform: platform})
		for _, target := range []string{`"token":"` + string(d.Token) + `"`, `"token":"` + d.FID + `"`, `"fid":"` + d.FID + `"`} {
			f.message(`{` + target + `}`).name()
		}
		got, _ := f.received(d.Token)
		if len(got) != 3 || got[2].Topic != "" {
			t.Errorf("%s: %d messages, %+v", platform, len(got), got)
		}
	}
	if got := f.Record()[2]; got.To == "" || len(got.DeliveredTo) != 1 || got.DeliveredTo[0] == got.To {
		t.Errorf("recorded to %s, delivered to %v", got.To, got.DeliveredTo)
	}
}

func TestM_42_EachPlatformGetsItsOwnViewOfAMessage(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now})
	m := `{"topic":"all","data":{"k":"common","l":"common"},"notification":{"title":"T","body":"B","image":"https://i"},
	 "android":{"collapse_key":"ca","priority":"high","data":{"k":"android"},"notification":{"title":"TA","color":"#112233","body_loc_args":["x","\"y"],"sticky":true,"light_settings":{"color":{"red":1},"light_on_duration":"1s","light_off_duration":"1s"}}},
	 "apns":{"headers":{"apns-collapse-id":"ci","apns-priority":"10"},"payload":{"aps":{"alert":{"title":"TI","loc-args":["a"]},"badge":3},"l":"payload","n":{"deep":1.50}}},
	 "webpush":{"headers":{"Topic":"cw","TTL":"60"},"data":{"k":"web"},"notification":{"title":"TW","actions":[{"action":"a"}]},"fcm_options":{"link":"https://l"}}}`
	for platform, want := range map[fcmsim.Platform]string{
		fcmsim.PlatformAndroid: `{"t":"T0","message_id":"ID","topic":"/topics/all","collapse_key":"ca","priority":"high","data":{"k":"android"},
			"notification":{"title":"TA","body":"B","image":"https://i","color":"#112233","body_loc_args":"[\"x\",\"\\\"y\"]","sticky":"true",
			"light_settings":"{\"color\":{\"red\":1},\"light_on_duration\":\"1s\",\"light_off_duration\":\"1s\"}"}}`,
		fcmsim.PlatformIOS: `{"t":"T0","message_id":"ID","topic":"/topics/all","collapse_key":"ci","data":{"k":"common","l":"common"},
			"notification":{"title":"TI","loc-args":"[\"a\"]"},"headers":{"apns-collapse-id":"ci","apns-priority":"10"},
			"payload":{"aps":{"alert":{"title":"TI","loc-args":["a"]},"badge":3},"k":"common","l":"payload","n":{"deep":1.50}}}`,
		fcmsim.PlatformWeb: `{"t":"T0","message_id":"ID","topic":"/topics/all","collapse_key":"cw","data":{"k":"web"},
			"notification":{"title":"TW","body":"B","image":"https://i","actions":"[{\"action\":\"a\"}]"},"headers":{"Topic":"cw","TTL":"60"},
			"payload":{"data":{"k":"web"},"notification":{"title":"TW","body":"B","image":"https://i","actions":[{"action":"a"}]},"fcmOptions":{"link":"https://l"}}}`,
	} {
		t.Run("M-42 "+string(platform), func(t *testing.T) {
			f := f.on(t)
			d := f.add(fcmsim.DeviceOptions{Platform: platform, Topics: []string{"all"}})
			id := f.message(m).name()
			id = id[strings.LastIndex(id, "/")+1:]
			got, _ := f.received(d.Token)
			if string(got[0].Raw) != m {
				t.Errorf("raw: %s", got[0].Raw)
			}
			if platform == fcmsim.PlatformIOS && !strings.Contains(string(got[0].Payload), `"deep":1.50`) {
				t.Errorf("numbers do not keep their digits: %s", got[0].Payload)
			}
			got[0].Raw = nil
			text, err := json.Marshal(got[0])
			if err != nil {
				t.Fatal(err)
			}
			t0, _ := json.Marshal(c.t)
			want := strings.NewReplacer(`"T0"`, string(t0), `"ID"`, `"`+id+`"`).Replace(want)
			reply{t: t, status: 200, body: string(text)}.want(200, want)
		})
	}
	// One message each, and what a platform makes of it.
	for name, c := range map[string]struct {
		platform     fcmsim.Platform
		message      string
		data         map[string]string
		notification map[string]string
		priority     ccs.Priority
		payload      string
	}{
		"M-42 data is normal":                {fcmsim.PlatformAndroid, `"data":{"a":"b"}`, map[string]string{"a": "b"}, nil, "normal", ""},
		"M-42 a notification is high":        {fcmsim.PlatformAndroid, `"notification":{"body":"b"}`, nil, map[string]string{"body": "b"}, "high", ""},
		"M-42 unless it says else":           {fcmsim.PlatformAndroid, `"notification":{"body":"b"},"android":{"priority":"normal"}`, nil, map[string]string{"body": "b"}, "normal", ""},
		"M-42 no data of Android's own":      {fcmsim.PlatformAndroid, `"data":{"a":"b"},"android":{"data":{}}`, map[string]string{}, nil, "normal", ""},
		"M-42 android_v2":                    {fcmsim.PlatformAndroid, `"android_v2":{"data":{"a":"2"},"remote_notification":{"notification":{"id":7,"title":"t"}}}`, map[string]string{"a": "2"}, map[string]string{"id": "7", "title": "t"}, "high", ""},
		"M-42 Apple's alert that is text":    {fcmsim.PlatformIOS, `"notification":{"title":"t"},"apns":{"payload":{"aps":{"alert":"a"}}}`, nil, map[string]string{"body": "a"}, "", `{"aps":{"alert":"a"}}`},
		"M-42 Apple's payload without alert": {fcmsim.PlatformIOS, `"notification":{"title":"t","body":"b","image":"https://i"},"apns":{"payload":{"aps":{"sound":"s"}}}`, nil, map[string]string{"title": "t", "body": "b"}, "", `{"aps":{"alert":{"title":"t","body":"b"},"sound":"s"}}`},
		"M-42 Apple's data":                  {fcmsim.PlatformIOS, `"data":{"a":"b"},"android":{"data":{"a":"c"}}`, map[string]string{"a": "b"}, nil, "", `{"a":"b","aps":{}}`},
		"M-42 the web's data":                {fcmsim.PlatformWeb, `"data":{"a":"b"},"apns":{"payload":{"a":"c"}}`, map[string]string{"a": "b"}, nil, "", `{"data":{"a":"b"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := f.on(t)
			d := f.add(fcmsim.DeviceOptions{Platform: c.platform})
			f.message(`{"fid":"` + d.FID + `",` + c.message + `}`).name()
			got, _ := f.received(d.Token)
			g := got[0]
			if !reflect.DeepEqual(g.Data, c.data) || !reflect.DeepEqual(g.Notification, c.notification) || g.Priority != c.priority {
				t.Errorf("got %+v", g)
			}
			if c.payload != "" {
				reply{t: t, status: 200, body: string(g.Payload)}.want(200, c.payload)
			} else if g.Payload != nil {
				t.Errorf("payload %s", g.Payload)
			}
		})
	}
}

func TestM_43_WhatIsStoredVanishesWhenItsTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		platform fcmsim.Platform
		message  string
		life     time.Duration
	}{
		"Android":                   {fcmsim.PlatformAndroid, `"android":{"ttl":"60s"}`, time.Minute},
		"Android, and a fraction":   {fcmsim.PlatformAndroid, `"android":{"ttl":"60.9s"}`, time.Minute},
		"Android without ttl":       {fcmsim.PlatformAndroid, `"data":{"a":"b"}`, 28 * 24 * time.Hour},
		"android_v2":                {fcmsim.PlatformAndroid, `"android_v2":{"ttl":"60s"}`, time.Minute},
		"Android, now or never":     {fcmsim.PlatformAndroid, `"android":{"ttl":"0s"}`, 0},
		"Android, less than one":    {fcmsim.PlatformAndroid, `"android":{"ttl":"0.9s"}`, 0},
		"Apple":                     {fcmsim.PlatformIOS, `"apns":{"headers":{"apns-expiration":"1800000060"}}`, time.Minute},
		"Apple without expiration":  {fcmsim.PlatformIOS, `"android":{"ttl":"60s"}`, 30 * 24 * time.Hour},
		"Apple, now or never":       {fcmsim.PlatformIOS, `"apns":{"headers":{"apns-expiration":"0"}}`, 0},
		"Apple, over before it was": {fcmsim.PlatformIOS, `"apns":{"headers":{"apns-expiration":"1799999999"}}`, 0},
		"the web":                   {fcmsim.PlatformWeb, `"webpush":{"headers":{"TTL":"60"}}`, time.Minute},
		"the web, now or never":     {fcmsim.PlatformWeb, `"webpush":{"headers":{"TTL":"0"}}`, 0},
		"the web without TTL":       {fcmsim.PlatformWeb, `"android":{"ttl":"60s"}`, 28 * 24 * time.Hour},
	} {
		t.Run("M-43 "+name, func(t *testing.T) {
			clock := newClock()
			f := newV1(t, fcmsim.Options{Now: clock.now})
			d := f.add(fcmsim.DeviceOptions{Platform: c.platform, Offline: true})
			f.message(`{"token":"` + string(d.Token) + `",` + c.message + `}`).name()
			want := 1
			if c.life == 0 {
				want = 0
			} else {
				clock.pass(c.life - time.Second)
			}
			if _, stored := f.received(d.Token); stored != want {
				t.Fatalf("%d stored; want %d", stored, want)
			}
			clock.pass(time.Second)
			if _, stored := f.received(d.Token); stored != 0 {
				t.Errorf("%d stored when the time was over", stored)
			}
			yes := true
			f.SetDevice(d.Token, &yes, nil)
			if got, _ := f.received(d.Token); len(got) != 0 {
				t.Errorf("delivered all the same: %+v", got)
			}
		})
	}
}

// waiting sends messages to a device that is offline, brings it online, and
// tells what it got of "n" in data, with * for the notice of deleted messages.
func waiting(t *testing.T, platform fcmsim.Platform, messages ...string) string {
	t.Helper()
	f := newV1(t, fcmsim.Options{})
	d := f.add(fcmsim.DeviceOptions{Platform: platform, Offline: true})
	for i, m := range messages {
		f.message(fmt.Sprintf(`{"token":%q,"data":{"n":"%d"}%s}`, d.Token, i, m)).name()
	}
	yes := true
	f.SetDevice(d.Token, &yes, nil)
	list, _ := f.received(d.Token)
	var got []string
	for _, g := range list {
		if g.DeletedMessages {
			got = append(got, "*")
		} else {
			got = append(got, g.Data["n"])
		}
	}
	if n := len(f.Record()[len(messages)-1].DeliveredTo); n != 1 && !strings.HasPrefix(strings.Join(got, ""), "*") {
		t.Errorf("the record says that the last one reached %d devices", n)
	}
	return strings.Join(got, " ")
}

func TestM_44_OfMessagesWithOneCollapseKeyTheNewestWaits(t *testing.T) {
	key := func(k string) string { return `,"android":{"collapse_key":"` + k + `"}` }
	const show = `,"notification":{"title":"t"}`
	for name, c := range map[string]struct {
		messages []string
		want     string
	}{
		"one key":                              {[]string{key("a"), key("a"), "", key("a")}, "2 3"},
		"four keys":                            {[]string{key("a"), key("b"), key("c"), key("d"), key("b")}, "0 2 3 4"},
		"the fifth drives out the oldest":      {[]string{key("a"), key("b"), "", key("c"), key("d"), key("e")}, "1 2 3 4 5"},
		"notifications are always collapsible": {[]string{show, "", show, show}, "1 3"},
		"and have a key of their own if named": {[]string{show, show + key("x"), show, show + key("x")}, "2 3"},
	} {
		t.Run("M-44 "+name, func(t *testing.T) {
			if got := waiting(t, fcmsim.PlatformAndroid, c.messages...); got != c.want {
				t.Errorf("delivered %s; want %s", got, c.want)
			}
		})
	}
	t.Run("M-44 Apple's key", func(t *testing.T) {
		const k = `,"apns":{"headers":{"apns-collapse-id":"k"}}`
		if got := waiting(t, fcmsim.PlatformIOS, k, k, key("a"), key("a"), show, show); got != "1 2 3 4 5" {
			t.Errorf("delivered %s", got)
		}
	})
	t.Run("M-44 the web's key", func(t *testing.T) {
		const k = `,"webpush":{"headers":{"topic":"k"}}`
		if got := waiting(t, fcmsim.PlatformWeb, k, k, key("a"), key("a"), show, show); got != "1 2 3 4 5" {
			t.Errorf("delivered %s", got)
		}
	})
	t.Run("M-44 both faces share the store", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			f := v1Of(t, b.Sim)
			d := f.add(fcmsim.DeviceOptions{Offline: true})
			b.login().sendAcked(&ccs.Downstream{To: d.Token, MessageID: "m", CollapseKey: "k"})
			f.message(`{"token":"` + string(d.Token) + `","android":{"collapse_key":"k"},"data":{"n":"v1"}}`).name()
			if _, stored := f.received(d.Token); stored != 1 {
				t.Errorf("%d stored; want 1", stored)
			}
		})
	})
}

func TestM_45_TheHundredAndFirstEmptiesTheStore(t *testing.T) {
	plain := func(n int) []string { return make([]string, n) }
	const key = `,"android":{"collapse_key":"k"}`
	if got := strings.Count(waiting(t, fcmsim.PlatformAndroid, plain(100)...), " ") + 1; got != 100 {
		t.Errorf("of 100 messages %d were delivered", got)
	}
	if got := waiting(t, fcmsim.PlatformAndroid, append(append([]string{key}, plain(101)...), "")...); got != "* 0 102" {
		t.Errorf("delivered %s; want the notice, the collapsible one, and the one behind", got)
	}
}
