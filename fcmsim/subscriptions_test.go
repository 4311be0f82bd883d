package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// subscriptions is the path of a device's subscriptions.
func (f *face) subscriptions(token ccs.RegistrationToken) string {
	return "/v1/projects/" + f.ProjectID() + "/registrations/" + string(token) + "/topicSubscriptions"
}

func (f *face) call(method, path, body string) reply {
	f.t.Helper()
	return f.do(method, path, body, f.bearer()...)
}

func TestM_37_SubscriptionsAreMadeReadAndEnded(t *testing.T) {
	c := &clock{time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC)}
	f := newFace(t, fcmsim.Options{Now: c.now})
	token := f.Tokens()[0]
	all := f.subscriptions(token)
	described := func(topic, since string) string {
		return fmt.Sprintf(`{"name":%q,"topicName":%q,"createTime":%q}`, strings.TrimPrefix(all, "/v1/")+"/"+topic, topic, since)
	}
	const then, later = "2026-05-06T07:08:09.00000001Z", "2026-05-06T07:09:09.00000001Z"
	const missing = "Requested entity was not found."

	r := f.call("POST", all+"?topicName=news", "{}")
	r.want(200, described("news", then))
	if r.header.Get("Content-Type") != "application/json; charset=UTF-8" || !strings.HasPrefix(r.body, "{\n  \"name\"") {
		t.Errorf("%v %s", r.header, r.body)
	}
	f.wantTopics(token, "news")
	c.pass(time.Minute)
	f.call("POST", all+"?topic_name=news", "{}").wantError(409, "ALREADY_EXISTS", "Requested entity already exists", "")
	f.call("POST", all+"?topic_name=sport", "").want(200, described("sport", later))
	f.call("GET", all+"/news", "").want(200, described("news", then))
	f.call("GET", all+"/none", "").wantError(404, "NOT_FOUND", missing, "")
	if r := f.call("GET", all+"/news?prettyPrint=false", ""); strings.Count(r.body, "\n") != 1 || strings.Contains(r.body, "  ") {
		t.Errorf("it is not compact: %s", r.body)
	}

	f.call("PATCH", all+"/news?allowMissing=true", "{}").want(200, described("news", then))
	f.call("PATCH", all+"/news", "{}").want(200, described("news", then))
	f.call("PATCH", all+"/patched", "{}").wantError(404, "NOT_FOUND", missing, "")
	f.call("PATCH", all+"/patched?allowMissing=false", "{}").wantError(404, "NOT_FOUND", missing, "")
	f.call("PATCH", all+"/patched?allow_missing=true", `{"topicName":"patched"}`).want(200, described("patched", later))
	f.wantTopics(token, "news", "patched", "sport")

	f.call("GET", all, "").want(200, `{"topicSubscriptions":[`+described("news", then)+`,`+described("patched", later)+`,`+described("sport", later)+`]}`)
	f.call("DELETE", all+"/news", "").want(200, `{}`)
	f.call("DELETE", all+"/news", "").wantError(404, "NOT_FOUND", missing, "")
	f.call("DELETE", all+"/news?allowMissing=true", "").want(200, `{}`)
	f.call("DELETE", all+"/news?allow_missing=true", "").want(200, `{}`)
	f.wantTopics(token, "patched", "sport")
	f.call("GET", f.subscriptions(f.Tokens()[1]), "").want(200, `{}`)

	t.Run("M-37 a FID and the project's number do as well", func(t *testing.T) {
		d, _ := f.Device(token)
		path := "/v1/projects/" + string(f.SenderID()) + "/registrations/" + d.FID + "/topicSubscriptions"
		f.call("POST", path+"?topicName=byfid", "{}").want(200,
			fmt.Sprintf(`{"name":%q,"topicName":"byfid","createTime":%q}`, strings.TrimPrefix(path, "/v1/")+"/byfid", later))
		f.call("GET", all+"/byfid", "").want(200, described("byfid", later))
	})
}

func TestM_37_ListsComeInPages(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	var topics []string
	for i := range 2001 { // one more than subscribing allows
		topics = append(topics, fmt.Sprintf("t-%04d", i))
	}
	d, err := f.AddDevice(&fcmsim.DeviceOptions{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	all := f.subscriptions(d.Token)
	page := func(query string) (names []string, next string) {
		t.Helper()
		r := f.call("GET", all+"?"+query, "")
		var v struct {
			List []struct {
				Topic string `json:"topicName"`
			} `json:"topicSubscriptions"`
			Next string `json:"nextPageToken"`
		}
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != 200 {
			t.Fatalf("%d %.200s (%v)", r.status, r.body, err)
		}
		for _, s := range v.List {
			names = append(names, s.Topic)
		}
		return names, v.Next
	}
	first, next := page("")
	if !slices.Equal(first, topics[:1000]) || next == "" {
		t.Fatalf("%d on the first page, next %q", len(first), next)
	}
	second, last := page("pageToken=" + url.QueryEscape(next))
	if !slices.Equal(second, topics[1000:2000]) || last == "" {
		t.Fatalf("%d on the second page, next %q", len(second), last)
	}
	if third, last := page("pageToken=" + url.QueryEscape(last)); !slices.Equal(third, topics[2000:]) || last != "" {
		t.Fatalf("%d on the third page, next %q", len(third), last)
	}
	if names, next := page("pageSize=3000"); len(names) != 2000 || next == "" {
		t.Errorf("%d on a page of 3000, next %q", len(names), next)
	}
	if names, next := page("pageSize=1&pageToken=" + url.QueryEscape(last)); len(names) != 1 || next != "" {
		t.Errorf("%d on a full last page, next %q", len(names), next)
	}
	if names, _ := page("pageSize=0"); len(names) != 1000 {
		t.Errorf("%d on a page of 0", len(names))
	}
	_, next = page("page_size=2")
	f.call("DELETE", all+"/t-0001", "").want(200, `{}`)
	if names, _ := page("page_size=2&page_token=" + url.QueryEscape(next)); !slices.Equal(names, topics[2:4]) {
		t.Errorf("after a deletion the page has %v", names)
	}
	if names, _ := page("pageSize=5&page_size=1&garbage=%zz"); len(names) != 1 {
		t.Errorf("the last parameter does not count: %d", len(names))
	}
	for _, query := range []string{"pageSize=x", "pageSize=-1"} {
		if r := f.call("GET", all+"?"+query, ""); r.status != 400 || !strings.Contains(r.body, "page_size") {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	f.call("GET", all+"?pageToken=!", "").wantError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "")
}

func TestM_37_WhatCannotBeSubscribedIsRefused(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	token := f.Tokens()[0]
	all := f.subscriptions(token)
	badTopic := func(r reply) {
		t.Helper()
		const text = "Topic name contains invalid characters."
		r.wantError(400, "INVALID_ARGUMENT", text, `[{"@type":"type.googleapis.com/google.rpc.BadRequest",`+
			`"fieldViolations":[{"field":"message","description":"`+text+`"}]},`+
			`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]`)
	}
	badTopic(f.call("POST", all, "{}"))
	badTopic(f.call("POST", all+"?topicName=a%23b", "{}"))
	badTopic(f.call("PATCH", all+"/a%23b?allowMissing=true", "{}"))
	for _, body := range []string{"[]", "{", `"x"`, "{} x", "{}{}", "null"} {
		if r := f.call("POST", all+"?topicName=x", body); r.status != 400 || !strings.Contains(r.body, "Invalid JSON payload received.") {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	const unknown = `Invalid JSON payload received. Unknown name \"topic\" at 'topic_subscription': Cannot find field.`
	f.call("POST", all+"?topicName=x", `{"topic":"x"}`).want(400, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"`+unknown+`",`+
		`"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"topic_subscription","description":"`+unknown+`"}]}]}}`)
	const wrong = `Invalid value at 'topic_subscription.topic_name' (TYPE_STRING), 5`
	f.call("POST", all+"?topicName=x", `{"topicName":5}`).want(400, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"`+wrong+`",`+
		`"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"topic_subscription.topic_name","description":"`+wrong+`"}]}]}}`)
	f.wantTopics(token)
	f.call("PATCH", all+"/x?allowMissing=false", `{"name":"n","topic_name":"t","create_time":null}`).wantError(404, "NOT_FOUND", "Requested entity was not found.", "")

	for _, method := range []string{"POST", "GET"} {
		const text = "The registration token is not a valid FCM registration token"
		f.call(method, f.subscriptions("unknown")+"?topicName=x", "").wantError(400, "INVALID_ARGUMENT", text,
			`[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},`+
				`{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"name","description":"`+text+`"}]}]`)
		f.call(method, f.subscriptions(f.DeadTokens()[0])+"?topicName=x", "").wantError(404, "NOT_FOUND", "Requested entity was not found.",
			`[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]`)
		f.call(method, f.subscriptions(f.ForeignTokens()[0])+"?topicName=x", "").wantError(403, "PERMISSION_DENIED", "SenderId mismatch",
			`[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"SENDER_ID_MISMATCH"}]`)
	}
	if r := f.do("GET", all, ""); r.status != 401 {
		t.Errorf("without a token: %d", r.status)
	}
	if r := f.do("GET", strings.Replace(all, f.ProjectID(), "another", 1), "", f.bearer()...); r.status != 403 {
		t.Errorf("another project: %d", r.status)
	}

	topics := make([]string, 2000)
	for i := range topics {
		topics[i] = fmt.Sprint("t-", i)
	}
	d, err := f.AddDevice(&fcmsim.DeviceOptions{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	full := f.subscriptions(d.Token)
	for _, r := range []reply{f.call("POST", full+"?topicName=x", "{}"), f.call("PATCH", full+"/x?allowMissing=true", "{}")} {
		r.wantError(400, "FAILED_PRECONDITION", "The registration is subscribed to 2000 topics, and no more are possible.", "")
	}
}
