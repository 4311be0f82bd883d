package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A v1Face is a face that may send.
type v1Face struct {
	face
	auth string
}

func newV1(t testing.TB, opt fcmsim.Options) *v1Face {
	t.Helper()
	opt.ClearText = true
	sim, err := fcmsim.New(&opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return v1Of(t, sim)
}

func v1Of(t testing.TB, sim *fcmsim.Sim) *v1Face {
	return &v1Face{face{Sim: sim, t: t, h: sim.HTTPHandler()}, "Bearer " + sim.AccessToken()}
}

// on is the face in a subtest.
func (f *v1Face) on(t *testing.T) *v1Face {
	g := *f
	g.t = t
	return &g
}

func (f *v1Face) path() string { return "/v1/projects/" + f.ProjectID() + "/messages:send" }

// post sends a body as it is.
func (f *v1Face) post(body string) reply {
	f.t.Helper()
	return f.do("POST", f.path(), body, "Authorization", f.auth)
}

// message sends a message, of which the text has %s where the first live token
// is to stand.
func (f *v1Face) message(text string) reply {
	f.t.Helper()
	return f.post(`{"message":` + strings.ReplaceAll(text, "%s", string(f.Tokens()[0])) + `}`)
}

// add makes a device.
func (f *v1Face) add(opt fcmsim.DeviceOptions) fcmsim.Device {
	f.t.Helper()
	d, err := f.AddDevice(&opt)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// received is what a device got, and how many messages wait for it.
func (f *v1Face) received(token ccs.RegistrationToken) (list []fcmsim.Delivery, stored int) {
	f.t.Helper()
	d, ok := f.Device(token)
	if !ok {
		f.t.Fatal("there is no such device")
	}
	return d.Received, d.Stored
}

// name is the id that a message got.
func (r reply) name() string {
	r.t.Helper()
	var v struct{ Name string }
	if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != 200 {
		r.t.Fatalf("%d %s (%v)", r.status, r.body, err)
	}
	return v.Name
}

// The details of errors.
func fcmError(code string) string {
	return `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"` + code + `"}`
}

func apnsError(status int, reason string) string {
	return fmt.Sprintf(`{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":%d,"reason":%q}`, status, reason)
}

// badRequest has violations of fields and texts in turn; without a field: the
// field is empty.
func badRequest(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		text := fmt.Sprintf(`"description":%q`, pairs[i+1])
		if pairs[i] != "" {
			text = fmt.Sprintf(`"field":%q,`, pairs[i]) + text
		}
		list = append(list, "{"+text+"}")
	}
	if list == nil {
		return `{"@type":"type.googleapis.com/google.rpc.BadRequest"}`
	}
	return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[` + strings.Join(list, ",") + `]}`
}

func list(details ...string) string { return "[" + strings.Join(details, ",") + "]" }

// wantInvalid wants a fault that FCM itself finds in a field.
func (r reply) wantInvalid(field, text string) {
	r.t.Helper()
	r.wantError(400, "INVALID_ARGUMENT", text, list(badRequest(field, text), fcmError("INVALID_ARGUMENT")))
}

// wantJSONFault wants what the API's front says of JSON.
func (r reply) wantJSONFault(pairs ...string) {
	r.t.Helper()
	var texts []string
	for i := 1; i < len(pairs); i += 2 {
		texts = append(texts, pairs[i])
	}
	r.wantError(400, "INVALID_ARGUMENT", strings.Join(texts, "\n"), list(badRequest(pairs...)))
}

func TestM_01_TheProjectGoesByIDAndByNumber(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	body := `{"message":{"token":"` + string(f.Tokens()[0]) + `"}}`
	for _, project := range []string{f.ProjectID(), string(f.SenderID())} {
		for _, method := range []string{"messages:send", "messages%3Asend", "messages%3asend"} {
			t.Run("M-01 "+method, func(t *testing.T) {
				r := f.on(t).do("POST", "/v1/projects/"+project+"/"+method, body, "Authorization", f.auth)
				if !strings.HasPrefix(r.name(), "projects/"+project+"/messages/") {
					t.Errorf("the name is %s", r.name())
				}
			})
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if r := f.do(method, f.path(), body, "Authorization", f.auth); r.status != 404 || !strings.Contains(r.body, "<html") {
			t.Errorf("%s: %d %s", method, r.status, r.body)
		}
	}
	t.Run("M-01 query parameters that every API of Google's has are taken", func(t *testing.T) {
		f := f.on(t)
		const all = "?alt=json&prettyPrint=false&$.xgafv=2&key=k&quotaUser=u&fields=name&callback=c&uploadType=t&upload_protocol=p&access_token=a&oauth_token=o"
		f.do("POST", f.path()+all, body, "Authorization", f.auth).name()
	})
	t.Run("M-01 and no others", func(t *testing.T) {
		f := f.on(t)
		f.do("POST", f.path()+"?dryRun=true", body, "Authorization", f.auth).wantJSONFault("",
			`Invalid JSON payload received. Unknown name "dryRun": Cannot bind query parameter. Field 'dryRun' could not be found in request message.`)
		if r := f.do("POST", f.path()+"?%zz", body, "Authorization", f.auth); r.status != 400 {
			t.Errorf("a query that is none: %d %s", r.status, r.body)
		}
	})
}

// everything is a message with every field of the schema, in the spelling of
// the proto; %s is its target.
const everything = `{"name":"x",%s,"data":{"k":"v"},"notification":{"title":"t","body":"b","image":"https://i"},
"android":{"collapse_key":"c","priority":"HIGH","ttl":"3.5s","restricted_package_name":"com.example.app","data":{"a":"b"},
 "notification":{"title":"t","body":"b","image":"i","icon":"i","color":"#aAbB09","sound":"s","tag":"t","click_action":"c",
  "body_loc_key":"k","title_loc_key":"k","body_loc_args":["a","b"],"title_loc_args":[],"channel_id":"c","ticker":"t","sticky":true,
  "event_time":"2026-01-02T03:04:05.678Z","local_only":false,"notification_priority":"PRIORITY_MAX","default_sound":true,
  "default_vibrate_timings":true,"default_light_settings":true,"vibrate_timings":["1s","0.5s","0s"],"visibility":"SECRET",
  "notification_count":3,"light_settings":{"color":{"red":0,"green":0.5,"blue":1,"alpha":"0.25"},"light_on_duration":"1s","light_off_duration":"2.000000001s"},
  "bypass_proxy_notification":true,"proxy":"IF_PRIORITY_LOWERED"},
 "fcm_options":{"analytics_label":"l-_.~%9"},"direct_boot_ok":true,"bandwidth_constrained_ok":false,"restricted_satellite_ok":true},
"webpush":{"headers":{"TTL":"600","Urgency":"high","Topic":"t"},"data":{"w":"x"},"notification":{"title":"t","actions":[{"a":1}],"x":null},
 "fcm_options":{"link":"https://l","analytics_label":"l"}},
"apns":{"headers":{"apns-priority":"5","apns-expiration":"1900000000"},"payload":{"aps":{"alert":"a","badge":3},"custom":[1,2,{"deep":null}]},
 "fcm_options":{"analytics_label":"l","image":"https://i"},"live_activity_token":"l"},
"fcm_options":{"analytics_label":"l"}}`

const everythingV2 = `{%s,"android_v2":{"collapse_key":"c","ttl":"0s","restricted_package_name":"com.example.app","data":{"a":"b"},
 "fcm_options":{"analytics_label":"l"},"direct_boot_ok":true,"bandwidth_constrained_ok":true,"restricted_satellite_ok":true,
 "background_sync":{},"remote_notification":{"mutable_content":true,"use_as_v1_data_message":false,"notification":{"id":7,"title":"t",
  "image":"https://i","body_loc_args":["a"],"visibility":"PUBLIC","light_settings":{"color":{"red":1},"light_on_duration":"1s","light_off_duration":"1s"}}}}}`

// camel turns the names of a JSON text into the other spelling, every so-many-th
// of them.
func camel(text string, every int) string {
	n := 0
	return regexp.MustCompile(`"[a-z0-9]+(_[a-z0-9]+)+":`).ReplaceAllStringFunc(text, func(name string) string {
		if n++; n%every != 0 {
			return name
		}
		return regexp.MustCompile(`_[a-z0-9]`).ReplaceAllStringFunc(name, func(s string) string { return strings.ToUpper(s[1:]) })
	})
}

func TestM_02_BothSpellingsAreTakenAtEachLevel(t *testing.T) {
	f := newV1(t, fcmsim.Options{MaxPayload: 1 << 14})
	for _, text := range []string{everything, everythingV2} {
		text = strings.Replace(text, "%s", `"token":"%s"`, 1)
		for name, m := range map[string]string{"as in the proto": text, "in camel case": camel(text, 1), "mixed": camel(text, 2), "mixed otherwise": camel(text, 3)} {
			t.Run("M-02 "+name, func(t *testing.T) { f.on(t).message(m).name() })
		}
	}
	t.Run("M-02 validate_only too", func(t *testing.T) {
		for _, name := range []string{"validate_only", "validateOnly"} {
			r := f.on(t).post(`{"` + name + `":true,"message":{"token":"` + string(f.Tokens()[0]) + `"}}`)
			if got := r.name(); !strings.HasSuffix(got, "/fake_message_id") {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
	t.Run("M-02 and of one field in both the last counts", func(t *testing.T) {
		f := f.on(t)
		d := f.add(fcmsim.DeviceOptions{})
		f.post(`{"message":{"token":"` + string(d.Token) + `","android":{"collapse_key":"a","collapseKey":"b"},"data":{"k":"1","k":"2"},"data":{"l":"3","l":"4"}}}`).name()
		got, _ := f.received(d.Token)
		if len(got) != 1 || got[0].CollapseKey != "b" || fmt.Sprint(got[0].Data) != "map[l:4]" {
			t.Errorf("received %+v", got)
		}
	})
	t.Run("M-02 and of a target that comes twice", func(t *testing.T) {
		f.on(t).message(`{"token":"x","token":"%s"}`).name()
	})
	t.Run("M-02 and of equal keys of large data", func(t *testing.T) {
		f := newV1(t, fcmsim.Options{})
		var pairs []string
		for i := range 50 {
			pairs = append(pairs, fmt.Sprintf(`"%d":"v"`, i))
		}
		for i := range 100 {
			pairs = append(pairs, fmt.Sprintf(`"%d":"%s"`, i%2*40, strings.Repeat("v", 1000+i)))
		}
		f.message(`{"token":"%s","data":{` + strings.Join(pairs, ",") + `}}`).name()
		got, _ := f.received(f.Tokens()[0])
		if d := got[0].Data; len(d) != 50 || len(d["0"]) != 1098 || len(d["40"]) != 1099 || d["1"] != "v" {
			t.Errorf("%d entries: %v", len(d), d)
		}
	})
	t.Run("M-02 and null is as absent", func(t *testing.T) {
		f := f.on(t)
		d := f.add(fcmsim.DeviceOptions{})
		f.post(`{"message":{"token":"` + string(d.Token) + `","topic":null,"condition":null,"data":{"a":"b"},"data":null,"android":null,
			"apns":{"payload":null,"headers":null},"notification":{"title":null,"body":"b"},"fcm_options":null},"validate_only":null}`).name()
		got, _ := f.received(d.Token)
		if len(got) != 1 || len(got[0].Data) != 0 || fmt.Sprint(got[0].Notification) != "map[body:b]" {
			t.Errorf("received %+v", got)
		}
	})
	t.Run("M-02 and a target that null takes back may be followed by another one", func(t *testing.T) {
		f.on(t).message(`{"topic":"news","topic":null,"token":"%s"}`).name()
	})
}

func TestM_03_SuccessIsTheNameAlone(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now})
	seen := map[string]bool{}
	for name, want := range map[string][2]string{
		"a token":     {`{"token":"%s"}`, `0:1800000000[0-9]{6}%31[0-9a-f]{14}`},
		"a topic":     {`{"topic":"news"}`, `[0-9]{19}`},
		"a condition": {`{"condition":"'a' in topics"}`, `[0-9]{19}`},
	} {
		t.Run("M-03 "+name, func(t *testing.T) {
			for range 5 {
				r := f.on(t).message(want[0])
				prefix := "projects/" + f.ProjectID() + "/messages/"
				if !regexp.MustCompile(`^` + prefix + want[1] + `$`).MatchString(r.name()) {
					t.Errorf("the name is %s", r.name())
				}
				r.want(200, fmt.Sprintf(`{"name":%q}`, r.name()))
				if seen[r.name()] {
					t.Errorf("%s came twice", r.name())
				}
				seen[r.name()] = true
			}
		})
	}
}

func TestM_04_AnswersArePrettyUnlessAskedNotToBe(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	good, bad := `{"message":{"topic":"news"}}`, `{"message":{}}`
	for query, pretty := range map[string]bool{
		"": true, "?prettyPrint=true": true, "?prettyPrint=false": false, "?alt=json": true,
		"?prettyPrint=true&prettyPrint=false": false, "?prettyPrint=false&prettyPrint=true": true,
	} {
		t.Run("M-04 "+query, func(t *testing.T) {
			f := f.on(t)
			r := f.do("POST", f.path()+query, good, "Authorization", f.auth)
			want := fmt.Sprintf(`{"name":%q}`+"\n", r.name())
			if pretty {
				want = fmt.Sprintf("{\n  \"name\": %q\n}\n", r.name())
			}
			if r.body != want {
				t.Errorf("%q, not %q", r.body, want)
			}
			e := f.do("POST", f.path()+query, bad, "Authorization", f.auth)
			if got := strings.HasPrefix(e.body, "{\n  \"error\": {\n    \"code\": 400,\n"); got != pretty {
				t.Errorf("%q", e.body)
			}
			u := f.do("POST", f.path()+query, good)
			if got := strings.HasPrefix(u.body, "{\n  \"error\": {\n    \"code\": 401,\n"); got != pretty {
				t.Errorf("%q", u.body)
			}
			for _, r := range []reply{r, e, u} {
				if got := r.header.Get("Content-Type"); got != "application/json; charset=UTF-8" {
					t.Errorf("Content-Type is %s", got)
				}
			}
		})
	}
}

func TestM_08_TargetsThatAreNone(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	for name, body := range map[string]string{
		"no target": `{"message":{"data":{"a":"b"}}}`, "an empty one": `{"message":{"token":""}}`,
		"no message": `{}`, "a message of null": `{"message":null}`, "an empty body": ``, "a body of blanks": " \n",
	} {
		t.Run("M-08 "+name, func(t *testing.T) {
			f.on(t).post(body).wantInvalid("message", "Recipient of the message is not set.")
		})
	}
	bad := func(t *testing.T, r reply, field string) {
		t.Helper()
		r.t = t
		const text = "The registration token is not a valid FCM registration token"
		r.wantError(400, "INVALID_ARGUMENT", text, list(fcmError("INVALID_ARGUMENT"), badRequest(field, text)))
	}
	t.Run("M-08 a token that is none", func(t *testing.T) { bad(t, f.message(`{"token":"x"}`), "message.token") })
	t.Run("M-08 a token that looks like one", func(t *testing.T) {
		bad(t, f.message(`{"token":"`+strings.Repeat("c", 22)+`:APA91b`+strings.Repeat("x", 134)+`"}`), "message.token")
	})
	t.Run("M-08 a fid that is none", func(t *testing.T) { bad(t, f.message(`{"fid":"x"}`), "message.fid") })
	t.Run("M-08 a fid that nobody has", func(t *testing.T) {
		f.on(t).message(`{"fid":"cxxxxxxxxxxxxxxxxxxxxx"}`).wantError(404, "NOT_FOUND", "Requested entity was not found.", list(fcmError("UNREGISTERED")))
	})
	for _, topic := range []string{"bad#topic", "/topics/news", "a b", "ä", strings.Repeat("x", 901)} {
		t.Run("M-08 the topic "+topic[:min(20, len(topic))], func(t *testing.T) {
			f.on(t).message(`{"topic":"`+topic+`"}`).wantInvalid("message", "Topic name contains invalid characters.")
		})
	}
	for _, condition := range []string{"'a' in topics &&", "x", "'a' in topics 'b' in topics", "'a' in topic", "!", "('a' in topics", "'a#' in topics"} {
		t.Run("M-08 the condition "+condition, func(t *testing.T) {
			f.on(t).message(`{"condition":"`+condition+`"}`).wantError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "")
		})
	}
}

func TestM_09_SizeHasALimitThatCanBeSet(t *testing.T) {
	const text = "Message is too large. The maximum is 4K (4096 bytes)."
	f := newV1(t, fcmsim.Options{})
	value := func(n int) string { return strings.Repeat("v", n) }
	tooLarge := list(badRequest(), fcmError("INVALID_ARGUMENT"))
	for name, m := range map[string]string{
		"data":                   `{"token":"%s","data":{"key":"` + value(4093) + `"}}`,
		"data for Android":       `{"token":"%s","data":{"x":"y"},"android":{"data":{"key":"` + value(4093) + `"}}}`,
		"data for the web":       `{"topic":"news","webpush":{"data":{"key":"` + value(4093) + `"}}}`,
		"data in two-byte runes": `{"token":"%s","data":{"keyx":"` + strings.Repeat("ä", 2046) + `"}}`,
		"data and notification":  `{"token":"%s","data":{"key":"` + value(4093-len(`{"title":"tt"}`)-1) + `"},"notification":{"title":"tt"}}`,
	} {
		t.Run("M-09 "+name, func(t *testing.T) {
			f := f.on(t)
			f.message(m).name() // just so much is allowed
			m := strings.NewReplacer(`"key":`, `"keys":`, `"keyx":`, `"keyxx":`).Replace(m)
			if name == "data and notification" {
				m = strings.Replace(m, `"tt"`, `"ttt"`, 1)
			}
			f.message(m).wantError(400, "INVALID_ARGUMENT", text, tooLarge)
		})
	}
	t.Run("M-09 two parts do not add up", func(t *testing.T) {
		f.on(t).message(`{"token":"%s","data":{"k":"` + value(4000) + `"},"android":{"data":{"k":"` + value(4000) + `"}}}`).name()
	})
	t.Run("M-09 another limit", func(t *testing.T) {
		f := newV1(t, fcmsim.Options{MaxPayload: 2048})
		f.message(`{"token":"%s","data":{"key":"` + value(2045) + `"}}`).name()
		f.message(`{"token":"%s","data":{"key":"`+value(2046)+`"}}`).wantError(400, "INVALID_ARGUMENT",
			"Message is too large. The maximum is 2K (2048 bytes).", tooLarge)
	})
	t.Run("M-09 a body has a bound", func(t *testing.T) {
		r := f.on(t).post(`{"message":{"token":"x","data":{"k":"` + value(1<<20) + `"}}}`)
		r.wantError(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 1048576 bytes.", "")
	})
}

func TestM_10_11_12_47_48_49_RulesOfFCMItself(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	apple := f.add(fcmsim.DeviceOptions{Platform: fcmsim.PlatformIOS})
	const (
		ttl      = "TTL must be a non-negative integer."
		color    = "Color must be in the form #RRGGBB."
		label    = "Analytics label must match ^[a-zA-Z0-9-_.~%]{1,50}$."
		light    = "Light settings need color, light_on_duration and light_off_duration."
		ttlRange = "TTL must be between 0 and 2419200 seconds."
	)
	lights := func(without string) string {
		parts := map[string]string{"color": `{"red":1}`, "light_on_duration": `"1s"`, "light_off_duration": `"1s"`}
		delete(parts, without)
		var l []string
		for k, v := range parts {
			l = append(l, `"`+k+`":`+v)
		}
		return `{"token":"%s","android":{"notification":{"light_settings":{` + strings.Join(l, ",") + `}}}}`
	}
	for name, c := range map[string]struct{ message, field, text string }{
		"M-10 a web push TTL of letters":  {`{"token":"%s","webpush":{"headers":{"TTL":"abc"}}}`, "message.webpush.headers.TTL", ttl},
		"M-10 a negative one":             {`{"token":"%s","webpush":{"headers":{"ttl":"-1"}}}`, "message.webpush.headers.TTL", ttl},
		"M-10 one of five weeks":          {`{"token":"%s","webpush":{"headers":{"TTL":"2419201"}}}`, "message.webpush.headers.TTL", ttl},
		"M-10 an Apple one of letters":    {`{"token":"%s","apns":{"headers":{"apns-expiration":"x"}}}`, "message.apns.headers.apns-expiration", "Expiration must be a UNIX epoch in seconds."},
		"M-10 a negative ttl for Android": {`{"token":"%s","android":{"ttl":"-1s"}}`, "message.android.ttl", ttlRange},
		"M-10 one just negative":          {`{"token":"%s","android":{"ttl":"-0.5s"}}`, "message.android.ttl", ttlRange},
		"M-10 four weeks and a second":    {`{"token":"%s","android":{"ttl":"2419201s"}}`, "message.android.ttl", ttlRange},
		"M-10 ten thousand years":         {`{"token":"%s","androidV2":{"ttl":"315576000000s"}}`, "message.android_v2.ttl", ttlRange},
		"M-12 android with android_v2":    {`{"token":"%s","android":{},"android_v2":{}}`, "message", "Only one of android and android_v2 may be set."},
		"M-47 data for Apple at once":     {`{"token":"` + string(apple.Token) + `","data":{"a":"b"},"apns":{"headers":{"Apns-Priority":"10"}}}`, "message.apns.headers.apns-priority", "Data messages to Apple devices need apns-priority 5."},
		"M-48 lights without color":       {lights("color"), "message.android.notification.light_settings.color", light},
		"M-48 lights that never go on":    {lights("light_on_duration"), "message.android.notification.light_settings.light_on_duration", light},
		"M-48 lights that never go off":   {lights("light_off_duration"), "message.android.notification.light_settings.light_off_duration", light},
		"M-48 a red of two":               {`{"token":"%s","android":{"notification":{"light_settings":{"color":{"red":2},"light_on_duration":"1s","light_off_duration":"1s"}}}}`, "message.android.notification.light_settings.color.red", "Color components must be between 0 and 1."},
		"M-48 an alpha of NaN":            {`{"token":"%s","android":{"notification":{"light_settings":{"color":{"alpha":"NaN"},"light_on_duration":"1s","light_off_duration":"1s"}}}}`, "message.android.notification.light_settings.color.alpha", "Color components must be between 0 and 1."},
		"M-49 the color red":              {`{"token":"%s","android":{"notification":{"color":"red"}}}`, "message.android.notification.color", color},
		"M-49 a color of five digits":     {`{"token":"%s","android":{"notification":{"color":"#12345"}}}`, "message.android.notification.color", color},
		"M-49 a color with a g":           {`{"token":"%s","android_v2":{"remote_notification":{"notification":{"color":"#12345g"}}}}`, "message.android_v2.remote_notification.notification.color", color},
		"M-49 a label with a blank":       {`{"token":"%s","fcm_options":{"analytics_label":"a b"}}`, "message.fcm_options.analytics_label", label},
		"M-49 an empty label":             {`{"token":"%s","fcm_options":{"analytics_label":""}}`, "message.fcm_options.analytics_label", label},
		"M-49 a label of 51":              {`{"token":"%s","android":{"fcm_options":{"analytics_label":"` + strings.Repeat("l", 51) + `"}}}`, "message.android.fcm_options.analytics_label", label},
		"M-49 labels elsewhere":           {`{"token":"%s","webpush":{"fcm_options":{"analytics_label":"#"}}}`, "message.webpush.fcm_options.analytics_label", label},
		"M-49 and for Apple":              {`{"token":"%s","apns":{"fcm_options":{"analytics_label":"#"}}}`, "message.apns.fcm_options.analytics_label", label},
		"M-49 a link without TLS":         {`{"token":"%s","webpush":{"fcm_options":{"link":"http://x"}}}`, "message.webpush.fcm_options.link", "Link must be an HTTPS URL."},
		"M-49 an image without TLS":       {`{"token":"%s","android_v2":{"remote_notification":{"notification":{"image":"http://x"}}}}`, "message.android_v2.remote_notification.notification.image", "Image must be an HTTPS URL."},
		"M-49 vibration backwards":        {`{"token":"%s","android":{"notification":{"vibrate_timings":["1s","-1s"]}}}`, "message.android.notification.vibrate_timings", "Vibrate timings must not be negative."},
		"M-49 another app's name":         {`{"token":"%s","android":{"restricted_package_name":"com.other"}}`, "message.android.restricted_package_name", "The restricted package name is not that of the app with this token."},
	} {
		t.Run(name, func(t *testing.T) { f.on(t).message(c.message).wantInvalid(c.field, c.text) })
	}
	for field, data := range map[string]string{
		"message.data[0].key":         `"data":{"%k":"x"}`,
		"message.data[2].key":         `"data":{"a":"","b":"","%k":"x"}`,
		"message.android.data[0].key": `"android":{"data":{"%k":"x"}}`,
		"message.webpush.data[0].key": `"webpush":{"data":{"%k":"x"}}`,
	} {
		for _, key := range []string{"from", "message_type", "google.x", "gcm.notification.title"} {
			t.Run("M-11 the key "+key+" at "+field, func(t *testing.T) {
				text := "Invalid data payload key: " + key
				f.on(t).message(`{"token":"%s",`+strings.Replace(data, "%k", key, 1)+`}`).wantError(400, "INVALID_ARGUMENT", text,
					list(fcmError("INVALID_ARGUMENT"), badRequest(field, text)))
			})
		}
	}
	for name, m := range map[string]string{
		"M-11 keys that only resemble them":    `{"token":"%s","data":{"From":"","google":"","gcm.x":"","gcm.notification":"","fromage":"","message_types":"","collapse_key":""}}`,
		"M-10 four weeks and half a second":    `{"token":"%s","android":{"ttl":"2419200.5s"},"webpush":{"headers":{"TTL":"2419200"}}}`,
		"M-47 data for Apple by and by":        `{"token":"` + string(apple.Token) + `","data":{"a":"b"},"apns":{"headers":{"apns-priority":"5"}}}`,
		"M-47 data for Apple without priority": `{"token":"` + string(apple.Token) + `","data":{"a":"b"}}`,
		"M-47 an alert for Apple at once":      `{"token":"` + string(apple.Token) + `","apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"alert":"a"}}}}`,
		"M-47 a notification at once":          `{"token":"` + string(apple.Token) + `","notification":{"body":"b"},"apns":{"headers":{"apns-priority":"10"}}}`,
		"M-47 a badge at once":                 `{"token":"` + string(apple.Token) + `","apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"badge":0}}}}`,
		"M-47 a sound at once":                 `{"token":"` + string(apple.Token) + `","apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"sound":"s"}}}}`,
		"M-47 data for Android at once":        `{"token":"%s","data":{"a":"b"},"apns":{"headers":{"apns-priority":"10"}}}`,
		"M-48 all three of lights":             lights(""),
		"M-49 its own app's name":              `{"token":"%s","android":{"restricted_package_name":"com.example.app"}}`,
		"M-49 priorities in any case":          `{"token":"%s","android":{"priority":"high"}}`,
		"M-49 an enum's number":                `{"token":"%s","android":{"priority":1,"notification":{"visibility":3}}}`,
		"M-49 a number as text":                `{"token":"%s","android":{"notification":{"notification_count":"3"}}}`,
		"M-49 a number with a point":           `{"token":"%s","android":{"notification":{"notification_count":3.0}}}`,
	} {
		t.Run(name+" is fine", func(t *testing.T) { f.on(t).message(m).name() })
	}
}

func TestM_14_DeadAndForeignDevices(t *testing.T) {
	gone := list(fcmError("UNREGISTERED"))
	f := newV1(t, fcmsim.Options{})
	t.Run("M-14 a dead token", func(t *testing.T) {
		f.on(t).message(`{"token":"`+string(f.DeadTokens()[0])+`"}`).wantError(404, "NOT_FOUND", "Requested entity was not found.", gone)
	})
	t.Run("M-14 a token that has just died", func(t *testing.T) {
		f := f.on(t)
		d := f.add(fcmsim.DeviceOptions{})
		f.post(`{"message":{"token":"` + string(d.Token) + `"}}`).name()
		dead := false
		if err := f.SetDevice(d.Token, nil, &dead); err != nil {
			t.Fatal(err)
		}
		f.post(`{"message":{"fid":"`+d.FID+`"}}`).wantError(404, "NOT_FOUND", "Requested entity was not found.", gone)
	})
	t.Run("M-14 another sender's token", func(t *testing.T) {
		f.on(t).message(`{"token":"`+string(f.ForeignTokens()[0])+`"}`).wantError(403, "PERMISSION_DENIED", "SenderId mismatch", list(fcmError("SENDER_ID_MISMATCH")))
	})
	for setting, want := range map[string]func(reply){
		"": func(r reply) {
			r.wantError(404, "NOT_FOUND", "Requested entity was not found.", list(fcmError("UNREGISTERED"), apnsError(410, "Unregistered")))
		},
		"E10a": func(r reply) {
			r.wantError(404, "NOT_FOUND", "Requested entity was not found.", list(fcmError("UNREGISTERED"), apnsError(410, "Unregistered")))
		},
		"E10": func(r reply) {
			r.wantError(400, "INVALID_ARGUMENT", "APNs device token is disabled.", list(apnsError(410, "Unregistered")))
		},
	} {
		t.Run("M-14 an Apple device that has gone, "+setting, func(t *testing.T) {
			f := newV1(t, fcmsim.Options{AppleGone: setting})
			d := f.add(fcmsim.DeviceOptions{Platform: fcmsim.PlatformIOS, Dead: true})
			want(f.post(`{"message":{"token":"` + string(d.Token) + `"}}`))
		})
	}
	if _, err := fcmsim.New(&fcmsim.Options{AppleGone: "E11"}); err == nil {
		t.Error("AppleGone may be anything")
	}
}

func TestM_46_ValidateOnlyChecksAndDeliversNothing(t *testing.T) {
	f := newV1(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle})
	apple := f.add(fcmsim.DeviceOptions{Platform: fcmsim.PlatformIOS, Dead: true})
	d := f.add(fcmsim.DeviceOptions{Topics: []string{"news"}})
	dry := func(target string) reply {
		f.t.Helper()
		return f.post(`{"validate_only":true,"message":{` + target + `}}`)
	}
	digits := regexp.MustCompile(`/messages/[0-9]{19}$`)
	for target, want := range map[string]*regexp.Regexp{
		`"token":"` + string(d.Token) + `"`:     regexp.MustCompile(`/messages/fake_message_id$`),
		`"fid":"` + d.FID + `"`:                 regexp.MustCompile(`/messages/fake_message_id$`),
		`"token":"` + string(apple.Token) + `"`: regexp.MustCompile(`/messages/fake_message_id$`), // Apple is not asked
		`"topic":"news"`:                        digits,
		`"condition":"'news' in topics"`:        digits,
	} {
		if got := dry(target).name(); !want.MatchString(got) {
			t.Errorf("%s: %s", target[:8], got)
		}
	}
	if got, stored := f.received(d.Token); len(got) > 0 || stored > 0 {
		t.Errorf("%d delivered, %d stored", len(got), stored)
	}
	for _, target := range []string{
		`"token":"x"`, `"token":"` + string(f.DeadTokens()[0]) + `"`, `"token":"` + string(f.ForeignTokens()[0]) + `"`,
		`"topic":"a b"`, `"condition":"x"`, `"token":"` + string(d.Token) + `","data":{"from":"x"}`, `"token":"` + string(d.Token) + `","data":{"k":1}`,
		`"token":"` + string(apple.Token) + `","data":{"a":"b"},"apns":{"headers":{"apns-priority":"10"}}`,
	} {
		real := f.post(`{"message":{` + target + `}}`)
		if got := dry(target); got.status < 400 || got.status != real.status || got.body != real.body {
			t.Errorf("%d %s, really sent %d %s", got.status, got.body, real.status, real.body)
		}
	}
	for range 240 {
		dry(`"token":"` + string(f.Tokens()[1]) + `"`).name()
	}
	if r := dry(`"token":"` + string(f.Tokens()[1]) + `"`); r.status != 429 {
		t.Errorf("messages that are only validated use no quota: %d", r.status)
	}
}

// canonical are the names of gRPC's codes.
var canonical = map[string]bool{
	"CANCELLED": true, "INVALID_ARGUMENT": true, "DEADLINE_EXCEEDED": true, "NOT_FOUND": true, "PERMISSION_DENIED": true,
	"UNAUTHENTICATED": true, "RESOURCE_EXHAUSTED": true, "INTERNAL": true, "UNAVAILABLE": true,
}

func TestM_52_EveryStatusIsACanonicalName(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	for _, name := range errorNames {
		t.Run("M-52 "+name, func(t *testing.T) {
			f := f.on(t)
			f.ClearFaults()
			if err := f.SetFault(fcmsim.Fault{Error: name}); err != nil {
				t.Fatal(err)
			}
			r := f.message(`{"token":"%s"}`)
			if strings.Contains(r.header.Get("Content-Type"), "html") {
				if name != "E23" && name != "E24" {
					t.Errorf("%s", r.body)
				}
				return
			}
			var v struct {
				Error struct {
					Code   int
					Status string
				}
			}
			if err := json.Unmarshal([]byte(r.body), &v); err != nil || !canonical[v.Error.Status] || v.Error.Code != r.status || r.status < 400 {
				t.Errorf("%d %s (%v)", r.status, r.body, err)
			}
		})
	}
}

// errorNames are the errors that a fault can ask for.
var errorNames = []string{
	"E1", "E2", "E2a", "E3", "E4", "E5", "E5a", "E6", "E7", "E8", "E9", "E10", "E10a", "E11", "E12", "E12a", "E13", "E14",
	"E15", "E16", "E17", "E18", "E19", "E20", "E21", "E22", "E23", "E24", "E25", "E26",
}
