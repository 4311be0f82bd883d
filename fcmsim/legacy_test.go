package fcmsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

func TestM_50_WhatGoogleHasNotIsAPageThatSaysSo(t *testing.T) {
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019})
	for _, path := range []string{
		"/batch", "/nothing/here", "/v1/projects/penstock-sim/messages", "/v1/projects/penstock-sim/messages:sendAll",
		"/computeMetadata", "/iid/v1:batchCopy", "/v1//projects", "/fcm/send/", "/token/",
	} {
		for _, method := range []string{"POST", "GET"} {
			r := f.do(method, path, "{}", f.bearer()...)
			if r.status != 404 || r.header.Get("Content-Type") != "text/html; charset=UTF-8" ||
				!strings.Contains(r.body, "<title>Error 404 (Not Found)!!1</title>") || !strings.Contains(r.body, "<code>"+path+"</code>") {
				t.Errorf("%s %s: %d %v %s", method, path, r.status, r.header, r.body)
			}
		}
	}
	if r := f.do("GET", "/%3Cscript%3E", ""); strings.Contains(r.body, "<script>") {
		t.Errorf("the path stands in the page as it came: %s", r.body)
	}
}

func (f *face) legacy(contentType, body string) reply {
	f.t.Helper()
	header := []string{"Authorization", "key=" + f.ServerKey()}
	if contentType != "" {
		header = append(header, "Content-Type", contentType)
	}
	return f.do("POST", "/fcm/send", body, header...)
}

func (f *face) legacyJSON(v any) reply {
	f.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.legacy("application/json; charset=utf-8", string(body))
}

type legacyAnswer struct {
	MulticastID uint64 `json:"multicast_id"`
	Success     int    `json:"success"`
	Failure     int    `json:"failure"`
	Canonical   *int   `json:"canonical_ids"`
	Results     []struct {
		MessageID string `json:"message_id"`
		Error     string `json:"error"`
	} `json:"results"`
}

func (r reply) legacyAnswer() (a legacyAnswer) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || r.status != 200 || a.MulticastID == 0 || a.Canonical == nil || *a.Canonical != 0 {
		r.t.Fatalf("got %d %s (%v)", r.status, r.body, err)
	}
	return a
}

var legacyID = regexp.MustCompile(`^0:[0-9]{16}%[0-9a-f]{16}$`)

func (r reply) wantText(status int, text string) {
	r.t.Helper()
	if r.status != status || r.body != text+"\n" || r.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
		r.t.Errorf("got %d %v %q, want %d %q", r.status, r.header, r.body, status, text)
	}
}

func TestM_51_TheLegacyProtocolIsGoneUnlessAskedFor(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	for _, r := range []reply{
		f.legacyJSON(map[string]any{"to": f.Tokens()[0]}),
		f.do("GET", "/fcm/send", ""),
	} {
		if r.status != 404 || !strings.Contains(r.body, "<TITLE>Not Found</TITLE>") || !strings.Contains(r.body, "Error 404") || r.header.Get("Server") != "GSE" {
			t.Errorf("got %d %v %s", r.status, r.header, r.body)
		}
	}
	if r := f.do("POST", "/gcm/send", ""); r.status != 404 || !strings.Contains(r.body, "<code>/gcm/send</code>") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if len(f.Record()) != 0 {
		t.Error("a message came through")
	}
}

func TestM_51_In2019EachTokenHasAResultInItsPlace(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019, Now: c.now})
	a, b := f.Tokens()[0], f.Tokens()[1]
	r := f.legacyJSON(map[string]any{
		"registration_ids": []ccs.RegistrationToken{a, f.DeadTokens()[0], "unknown", b, f.ForeignTokens()[0], "/topics/x", a},
		"data":             map[string]any{"s": "x", "n": 1.50, "o": map[string]any{"a": []int{1, 2}}, "t": true},
		"notification":     map[string]any{"title": "T", "badge": 3},
		"priority":         "HIGH", "collapse_key": "k", "time_to_live": 60, "no_such_field": 1, "condition": nil,
	})
	got := r.legacyAnswer()
	if got.Success != 3 || got.Failure != 4 || len(got.Results) != 7 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []string{"", "NotRegistered", "InvalidRegistration", "", "MismatchSenderId", "InvalidRegistration", ""} {
		if res := got.Results[i]; res.Error != want || legacyID.MatchString(res.MessageID) != (want == "") {
			t.Errorf("result %d is %+v, want %q", i, res, want)
		}
	}
	d, _ := f.Device(a)
	if len(d.Received) != 2 {
		t.Fatalf("the device received %+v", d.Received)
	}
	if g := d.Received[0]; string(g.MessageID) != got.Results[0].MessageID || fmt.Sprint(g.Data) != `map[n:1.5 o:{"a":[1,2]} s:x t:true]` ||
		fmt.Sprint(g.Notification) != "map[badge:3 title:T]" || g.Priority != "high" || g.CollapseKey != "k" || g.Topic != "" {
		t.Errorf("the device received %+v", g)
	}
	rec := f.Record()
	if len(rec) != 6 || rec[0].Face != "legacy" || rec[0].To != a || rec[0].Answer != "ack" || rec[0].Status != 200 || len(rec[0].DeliveredTo) != 1 ||
		rec[1].Answer != "nack" || rec[1].Error != "NotRegistered" || !rec[0].AnsweredAt.Equal(c.t) {
		t.Errorf("the record says %+v", rec)
	}

	t.Run("M-51 digits stay as they are", func(t *testing.T) {
		f.legacy("application/json", `{"to":"`+string(b)+`","data":{"n":12345678901234567890,"z":0.10,"null":null,"o":{ "a" : [1, 2] }}}`).legacyAnswer()
		d, _ := f.Device(b)
		if g := d.Received[len(d.Received)-1]; fmt.Sprint(g.Data) != `map[n:12345678901234567890 null: o:{"a":[1,2]} z:0.10]` {
			t.Errorf("got %v", g.Data)
		}
	})
	t.Run("M-51 time to live", func(t *testing.T) {
		offline, err := f.AddDevice(&fcmsim.DeviceOptions{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, ttl := range []any{60, "60", 0, nil} {
			f.legacyJSON(map[string]any{"to": offline.Token, "time_to_live": ttl}).legacyAnswer()
		}
		if d, _ := f.Device(offline.Token); d.Stored != 3 {
			t.Errorf("%d are stored", d.Stored)
		}
		c.pass(time.Minute)
		if d, _ := f.Device(offline.Token); d.Stored != 1 {
			t.Errorf("%d are stored after a minute", d.Stored)
		}
	})
	t.Run("M-51 a dry run reaches nobody", func(t *testing.T) {
		before, _ := f.Device(a)
		got := f.legacyJSON(map[string]any{"to": a, "dry_run": true}).legacyAnswer()
		if after, _ := f.Device(a); got.Results[0].MessageID != "fake_message_id" || after.ReceivedCount != before.ReceivedCount {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("M-51 size and package", func(t *testing.T) {
		send := func(to string, size int) string {
			return f.legacyJSON(map[string]any{"to": to, "data": map[string]string{"k": strings.Repeat("x", size-1)}}).body
		}
		if body := send(string(a), 4096); strings.Contains(body, "error") {
			t.Error(body)
		}
		if body := send(string(a), 4097); !strings.Contains(body, `"error":"MessageTooBig"`) {
			t.Error(body)
		}
		if body := send("/topics/x", 2048); strings.Contains(body, "error") {
			t.Error(body)
		}
		if body := send("/topics/x", 2049); body != `{"error":"MessageTooBig"}`+"\n" {
			t.Error(body)
		}
		got := f.legacyJSON(map[string]any{"to": a, "restricted_package_name": "com.example.other"}).legacyAnswer()
		if got.Results[0].Error != "InvalidPackageName" {
			t.Errorf("got %+v", got)
		}
		f.legacyJSON(map[string]any{"to": a, "restricted_package_name": "com.example.app"}).legacyAnswer()
	})
}

func TestM_51_In2019TopicsAndGroupsHaveTheirOwnAnswers(t *testing.T) {
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019})
	sub, err := f.AddDevice(&fcmsim.DeviceOptions{Topics: []string{"news"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []map[string]any{{"to": "/topics/news"}, {"condition": "'news' in topics"}} {
		r := f.legacyJSON(v)
		if !regexp.MustCompile(`^{"message_id":[0-9]{16,19}}\n$`).MatchString(r.body) || r.status != 200 {
			t.Errorf("got %d %s", r.status, r.body)
		}
		if d, _ := f.Device(sub.Token); d.ReceivedCount != i+1 || !strings.Contains(r.body, string(d.Received[i].MessageID)) {
			t.Errorf("the device has %+v", d)
		}
	}
	for _, v := range []map[string]any{{"to": "/topics/a b"}, {"to": "/topics/"}, {"condition": "'news' in"}} {
		f.legacyJSON(v).wantText(400, "InvalidParameters: the topic or the condition is not legal")
	}
	if rec := f.Record(); rec[2].Status != 400 || rec[2].Error != "InvalidParameters" || rec[4].Condition != "'news' in" {
		t.Errorf("the record says %+v", rec)
	}

	t.Run("M-51 a device group", func(t *testing.T) {
		tokens := f.Tokens()
		key := f.group(groupBody("create", "g", "", tokens[0], tokens[1], sub.Token)).notificationKey()
		f.legacyJSON(map[string]any{"to": key, "data": map[string]string{"k": "v"}}).want(200, `{"success":3,"failure":0}`)
		no := false
		if err := f.SetDevice(tokens[1], nil, &no); err != nil {
			t.Fatal(err)
		}
		f.legacyJSON(map[string]any{"notification_key": key}).want(200,
			fmt.Sprintf(`{"success":2,"failure":1,"failed_registration_ids":[%q]}`, tokens[1]))
		f.legacyJSON(map[string]any{"to": key, "dry_run": true}).want(200,
			fmt.Sprintf(`{"success":2,"failure":1,"failed_registration_ids":[%q]}`, tokens[1]))
		if d, _ := f.Device(tokens[0]); d.ReceivedCount != 2 || d.Received[0].Data["k"] != "v" || d.Received[0].Topic != "" {
			t.Errorf("a member has %+v", d)
		}
		f.legacyJSON(map[string]any{"registration_ids": []string{key}}).wantResult("InvalidRegistration")
	})
	t.Run("M-51 what is true of a message to a device is true of one to a group", func(t *testing.T) {
		tokens := f.Tokens()
		key := f.group(groupBody("create", "h", "", tokens[2], tokens[3])).notificationKey()
		r := f.legacy("", url.Values{"registration_id": {key}, "data.k": {"v"}}.Encode())
		id, ok := strings.CutPrefix(strings.TrimSuffix(r.body, "\n"), "id=")
		if r.status != 200 || !ok || !legacyID.MatchString(id) || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
			t.Errorf("a form: %d %v %s", r.status, r.header, r.body)
		}
		if d, _ := f.Device(tokens[3]); d.ReceivedCount != 1 || string(d.Received[0].MessageID) != id {
			t.Errorf("a member has %+v", d)
		}
		f.legacyJSON(map[string]any{"to": key, "data": map[string]string{"k": strings.Repeat("x", 4096)}}).wantResult("MessageTooBig")
		f.legacyJSON(map[string]any{"to": key, "restricted_package_name": "com.example.other"}).want(200,
			fmt.Sprintf(`{"success":0,"failure":2,"failed_registration_ids":[%q,%q]}`, tokens[2], tokens[3]))
		if err := f.SetFault(fcmsim.Fault{Nack: ccs.CodeServiceUnavailable, Next: 2}); err != nil {
			t.Fatal(err)
		}
		f.legacyJSON(map[string]any{"to": key}).wantResult("Unavailable")
		f.legacy("", "registration_id="+key).wantText(200, "Error=Unavailable")
		if d, _ := f.Device(tokens[3]); d.ReceivedCount != 1 {
			t.Errorf("a member has %+v", d)
		}
		f.legacyJSON(map[string]any{"to": key}).want(200, `{"success":2,"failure":0}`)
	})
}

// wantResult wants one result, which is an error.
func (r reply) wantResult(want string) {
	r.t.Helper()
	if got := r.legacyAnswer(); got.Success != 0 || got.Failure != 1 || len(got.Results) != 1 || got.Results[0].Error != want {
		r.t.Errorf("got %+v, want %s", got, want)
	}
}

func TestM_51_In2019BadRequestsGetTheServersOwnSentences(t *testing.T) {
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019})
	token := string(f.Tokens()[0])
	many, err := json.Marshal(make([]string, 1001))
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`not json`:                               "JSON_PARSING_ERROR: Unexpected character (n) at position 0.",
		`{"to":"x","data":{"k":"v"}`:             "JSON_PARSING_ERROR: Unexpected token END OF FILE at position 26.",
		``:                                       "JSON_PARSING_ERROR: Unexpected token END OF FILE at position 0.",
		`{"a":tru}`:                              "JSON_PARSING_ERROR: Unexpected character (t) at position 5.",
		`{"a":fals`:                              "JSON_PARSING_ERROR: Unexpected character (f) at position 5.",
		`{"a" 1}`:                                "JSON_PARSING_ERROR: Unexpected character (1) at position 5.",
		`{é}`:                                    "JSON_PARSING_ERROR: Unexpected character (é) at position 1.",
		`{} x`:                                   "JSON_PARSING_ERROR: Unexpected character (x) at position 3.",
		`[1]`:                                    "JSON_PARSING_ERROR: Unexpected token [1] at position 0.",
		`{"to":"x","data":"smth"}`:               `Field "data" must be a JSON array: smth`,
		`{"to":"x","data":[1]}`:                  `Field "data" must be a JSON array: [1]`,
		`{"to":"x","notification":1}`:            `Field "notification" must be a JSON array: 1`,
		`{"to":1}`:                               `Field "to" must be a JSON string: 1`,
		`{"to":["x"]}`:                           `Field "to" must be a JSON string: ["x"]`,
		`{"registration_ids":"x"}`:               `Field "registration_ids" must be a JSON array: x`,
		`{"to":"x","dry_run":"yes"}`:             `Field "dry_run" must be a JSON boolean: yes`,
		`{"to":"x","content_available":"yes"}`:   `Field "content_available" must be a JSON boolean: yes`,
		`{"to":"x","mutable_content":1}`:         `Field "mutable_content" must be a JSON boolean: 1`,
		`{"to":"x","delay_while_idle":[]}`:       `Field "delay_while_idle" must be a JSON boolean: []`,
		`{"to":"x","collapse_key":1}`:            `Field "collapse_key" must be a JSON string: 1`,
		`{"registration_ids":[]}`:                `"registration_ids" field cannot be empty`,
		`{}`:                                     `Missing "registration_ids" field`,
		`{"to":""}`:                              `Missing "registration_ids" field`,
		`{"to":"x","registration_ids":["y"]}`:    `Must use either "registration_ids" field or "to", not both`,
		`{"to":"x","condition":"'a' in topics"}`: `Must use either "condition" field or "to", not both`,
		`{"registration_ids":["x"],"condition":"'a' in topics"}`: `Must use either "condition" field or "to", not both`,
		`{"registration_ids":` + string(many) + `}`:              "Number of messages on bulk (1001) exceeds maximum allowed (1000)",
		`{"to":"` + token + `","data":{"from":"x"}}`:             `"data" key "from" is a reserved keyword`,
		`{"to":"` + token + `","data":{"googlex":"x"}}`:          `"data" key "googlex" is a reserved keyword`,
		`{"to":"` + token + `","data":{"gcm.x":"x"}}`:            `"data" key "gcm.x" is a reserved keyword`,
		`{"to":"` + token + `","time_to_live":2419201}`:          `Invalid value (2419201) for "time_to_live": must be between 0 and 2419200`,
		`{"to":"` + token + `","time_to_live":-1}`:               `Invalid value (-1) for "time_to_live": must be between 0 and 2419200`,
		`{"to":"` + token + `","time_to_live":1.5}`:              `Invalid value (1.5) for "time_to_live": must be between 0 and 2419200`,
		`{"to":"` + token + `","time_to_live":"soon"}`:           `Field "time_to_live" must be a JSON number: soon`,
	} {
		t.Run("M-51 "+want, func(t *testing.T) {
			r := f.legacy("application/json", body)
			r.t = t
			r.wantText(400, want)
		})
	}
	// The last of two keys counts, and the type may be written in any way.
	f.legacy("Application/JSON ; charset=utf-8", `{"to":1,"to":"`+token+`"}`).legacyAnswer()
	if n := len(f.Record()); n != 1 {
		t.Errorf("%d messages are in the record", n)
	}
}

func TestM_51_In2019FormsAreAnsweredInPlainText(t *testing.T) {
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019})
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	token := string(f.Tokens()[0])
	for _, contentType := range []string{"", "application/x-www-form-urlencoded;charset=UTF-8", "text/plain"} {
		r := f.legacy(contentType, form("registration_id", token, "data.k", "v", "collapse_key", "c", "time_to_live", "60")+"&data.l=w;x=y")
		id, ok := strings.CutPrefix(strings.TrimSuffix(r.body, "\n"), "id=")
		if r.status != 200 || !ok || !legacyID.MatchString(id) {
			t.Fatalf("%q: %d %s", contentType, r.status, r.body)
		}
		d, _ := f.Device(f.Tokens()[0])
		if g := d.Received[len(d.Received)-1]; string(g.MessageID) != id || fmt.Sprint(g.Data) != "map[k:v l:w;x=y]" || g.CollapseKey != "c" {
			t.Errorf("the device received %+v", g)
		}
	}
	for body, want := range map[string]string{
		"":                           "Error=MissingRegistration",
		form("data.k", "v"):          "Error=MissingRegistration",
		form("registration_id", "x"): "Error=InvalidRegistration",
		form("registration_id", string(f.DeadTokens()[0])):             "Error=NotRegistered",
		form("registration_id", token, "time_to_live", "-1"):           "Error=InvalidTtl",
		form("registration_id", token, "time_to_live", "x"):            "Error=InvalidTtl",
		form("registration_id", token, "data.from", "v"):               "Error=InvalidDataKey",
		form("registration_id", token, "dry_run", "1"):                 "id=fake_message_id",
		form("to", token, "dry_run", "true"):                           "id=fake_message_id",
		form("registration_id", token, "restricted_package_name", "x"): "Error=InvalidPackageName",
	} {
		f.legacy("", body).wantText(200, want)
	}
	for _, body := range []string{"registration_id=%zz", form("registration_id", "/topics/a b")} {
		f.legacy("", body).wantText(400, "Error=InvalidParameters")
	}
	if r := f.legacy("", form("to", "/topics/news")); !regexp.MustCompile(`^id=[0-9]+\n$`).MatchString(r.body) {
		t.Errorf("a topic: %s", r.body)
	}
}

func TestM_51_In2019TheServerKeyIsAskedFor(t *testing.T) {
	f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019})
	page := func(r reply, status int, title string) {
		t.Helper()
		if r.status != status || !strings.Contains(r.body, "<TITLE>"+title+"</TITLE>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("got %d %s, want %d %s", r.status, r.body, status, title)
		}
	}
	body := `{"to":"` + string(f.Tokens()[0]) + `"}`
	page(f.do("POST", "/fcm/send", body), 401, "Unauthorized")
	page(f.do("POST", "/fcm/send", body, f.bearer()...), 401, "Unauthorized")
	page(f.do("POST", "/fcm/send", body, "Authorization", "key=x"), 401, "INVALID_KEY")
	page(f.do("POST", "/fcm/send", body, "Authorization", "key="), 401, "INVALID_KEY")
	r := f.do("GET", "/fcm/send", "")
	page(r, 405, "HTTP method GET is not supported by this URL")
	if r.header.Get("Allow") != "POST" {
		t.Errorf("Allow is %q", r.header.Get("Allow"))
	}
	page(f.legacy("application/json", strings.Repeat(" ", 1<<20+1)), 413, "Request Entity Too Large")
	f.do("POST", "/gcm/send", body).wantText(400, "Error=DeprecatedEndpoint")
	if len(f.Record()) != 0 {
		t.Error("a message came through")
	}
}

func TestM_51_In2019TheFaultsOfCCSAreThoseOfTheLegacyProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFace(t, fcmsim.Options{Legacy: fcmsim.Legacy2019, AnswerDelay: time.Second})
		token := f.Tokens()[0]
		fault := func(v fcmsim.Fault) {
			t.Helper()
			f.ClearFaults()
			if err := f.SetFault(v); err != nil {
				t.Fatal(err)
			}
		}
		for code, want := range map[ccs.Code]string{
			ccs.CodeServiceUnavailable: "Unavailable", ccs.CodeConnectionDraining: "Unavailable",
			ccs.CodeInternalServerError: "InternalServerError", ccs.CodeDeviceMessageRateExceeded: "DeviceMessageRateExceeded",
			ccs.CodeInvalidAPNSCredential: "InvalidApnsCredential", "MADE_UP": "InvalidParameters",
		} {
			fault(fcmsim.Fault{Nack: code, Next: 1})
			got := f.legacyJSON(map[string]any{"registration_ids": []ccs.RegistrationToken{token, f.Tokens()[1]}}).legacyAnswer()
			if got.Results[0].Error != want || got.Results[1].Error != "" {
				t.Errorf("%s: got %+v", code, got)
			}
		}
		fault(fcmsim.Fault{Nack: ccs.CodeTopicsMessageRateExceeded})
		f.legacyJSON(map[string]any{"to": "/topics/x"}).want(200, `{"error":"TopicsMessageRateExceeded"}`)
		f.legacy("", "to=/topics/x").wantText(200, "Error=TopicsMessageRateExceeded")
		if d, _ := f.Device(token); d.ReceivedCount != 0 {
			t.Errorf("%d were delivered", d.ReceivedCount)
		}
		f.ClearFaults()
		start := time.Now()
		f.legacyJSON(map[string]any{"to": token}).legacyAnswer()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the answer took %v", took)
		}
		fault(fcmsim.Fault{Delay: time.Minute, Token: token})
		f.legacyJSON(map[string]any{"registration_ids": []ccs.RegistrationToken{token, f.Tokens()[1]}}).legacyAnswer()
		if took := time.Since(start); took != time.Second+time.Minute {
			t.Errorf("the answers took %v", took)
		}

		// broken wants no answer at all, after so long.
		broken := func(v fcmsim.Fault, body string, want time.Duration) {
			t.Helper()
			fault(v)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, "POST", "http://sim.test/fcm/send", strings.NewReader(body))
			r.Header.Set("Authorization", "key="+f.ServerKey())
			start := time.Now()
			defer func() {
				t.Helper()
				err, _ := recover().(error)
				if !errors.Is(err, http.ErrAbortHandler) || time.Since(start) != want {
					t.Errorf("%+v: %v after %v", v, err, time.Since(start))
				}
			}()
			w := httptest.NewRecorder()
			f.h.ServeHTTP(w, r)
			t.Errorf("%+v: answered %s", v, w.Body)
		}
		before, _ := f.Device(token)
		body := "registration_id=" + string(token)
		broken(fcmsim.Fault{Cut: true}, body, 0)
		broken(fcmsim.Fault{Cut: true, Delay: time.Second}, body, time.Second)
		broken(fcmsim.Fault{Silence: true}, body, time.Hour)
		broken(fcmsim.Fault{WrongBytes: true}, body, 0)
		if after, _ := f.Device(token); after.ReceivedCount != before.ReceivedCount {
			t.Errorf("%d were delivered", after.ReceivedCount-before.ReceivedCount)
		}
		broken(fcmsim.Fault{Silence: true, Deliver: true}, body, time.Hour)
		if after, _ := f.Device(token); after.ReceivedCount != before.ReceivedCount+1 {
			t.Error("it was not delivered")
		}
		if rec := f.Record(); rec[len(rec)-1].Answer != "" || rec[len(rec)-1].Status != 0 {
			t.Errorf("the record says %+v", rec[len(rec)-1])
		}
	})
}
