package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/fcmsim"
)

func (f *face) group(body string) reply {
	f.t.Helper()
	return f.iid("POST", "/fcm/notification", body, "project_id", string(f.SenderID()))
}

func groupBody(operation, name, key string, tokens ...ccs.RegistrationToken) string {
	body, err := json.Marshal(map[string]any{
		"operation": operation, "notification_key_name": name, "notification_key": key, "registration_ids": tokens,
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func (r reply) notificationKey() string {
	r.t.Helper()
	var v map[string]string
	if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != 200 || len(v) != 1 || v["notification_key"] == "" {
		r.t.Fatalf("got %d %s (%v)", r.status, r.body, err)
	}
	return v["notification_key"]
}

func (r reply) wantGroupError(text string) {
	r.t.Helper()
	r.want(400, fmt.Sprintf(`{"error":%q}`, text))
}

func TestM_38_GroupsAreMadeChangedAndLookedUp(t *testing.T) {
	f := newFace(t, fcmsim.Options{LiveDevices: 22})
	tokens := f.Tokens()
	key := f.group(groupBody("create", "alice", "", tokens[0], tokens[1])).notificationKey()
	if !strings.HasPrefix(key, "APA91b") {
		t.Errorf("the key is %s", key)
	}
	members := func() int {
		t.Helper()
		for _, g := range f.Groups() {
			if g.Key == key && g.Name == "alice" {
				return len(g.Members)
			}
		}
		return 0
	}
	if n := members(); n != 2 {
		t.Fatalf("the group has %d members", n)
	}
	lookup := "/fcm/notification?notification_key_name=alice"
	if got := f.iid("GET", lookup, "", "project_id", string(f.SenderID())).notificationKey(); got != key {
		t.Errorf("the key by name is %s", got)
	}
	// A member that joins again is no second one.
	if got := f.group(groupBody("add", "", key, tokens[1:20]...)).notificationKey(); got != key || members() != 20 {
		t.Errorf("%s, %d members", got, members())
	}
	t.Run("M-38 the 21st member is refused, and with it all of the call", func(t *testing.T) {
		f.group(groupBody("add", "alice", key, tokens[20])).wantGroupError("a device group has at most 20 members")
		f.group(groupBody("create", "crowd", "", tokens[:21]...)).wantGroupError("a device group has at most 20 members")
		if n := members(); n != 20 || len(f.Groups()) != 1 {
			t.Errorf("%d members, %d groups", n, len(f.Groups()))
		}
	})
	f.group(groupBody("remove", "alice", key, tokens[1:20]...)).notificationKey()
	if n := members(); n != 1 {
		t.Errorf("%d members are left", n)
	}
	t.Run("M-38 bad calls", func(t *testing.T) {
		for body, want := range map[string]string{
			"x": "BadJsonFormat",
			groupBody("create", "bob", "", tokens[0]) + "{}":                  "BadJsonFormat",
			groupBody("create", "alice", "", tokens[0]):                       "notification_key already exists",
			groupBody("create", "", "", tokens[0]):                            "notification_key_name is missing",
			groupBody("create", strings.Repeat("x", 257), "", tokens[0]):      "notification_key_name has more than 256 bytes",
			groupBody("create", "bob", ""):                                    "no valid registration ids",
			groupBody("create", "bob", "", tokens[0], "unknown"):              "no valid registration ids",
			groupBody("create", "bob", "", f.DeadTokens()[0]):                 "no valid registration ids",
			groupBody("create", "bob", "", f.ForeignTokens()[0]):              "no valid registration ids",
			groupBody("add", "alice", "", tokens[0]):                          "notification_key not found",
			groupBody("add", "bob", key, tokens[1]):                           "notification_key_name does not belong to notification_key",
			groupBody("add", "alice", key):                                    "no valid registration ids",
			groupBody("remove", "alice", "x", tokens[0]):                      "notification_key not found",
			groupBody("remove", "alice", key):                                 "no valid registration ids",
			groupBody("delete", "alice", key, tokens[0]):                      "operation must be create, add or remove",
			groupBody("create", "bob", strings.Repeat("x", 70000), tokens[0]): "BadJsonFormat",
		} {
			f.group(body).wantGroupError(want)
		}
		f.iid("POST", "/fcm/notification", groupBody("add", "", key, tokens[1])).wantGroupError("project_id is not the sender id of this project")
		f.iid("GET", "/fcm/notification?notification_key_name=bob", "", "project_id", string(f.SenderID())).wantGroupError("notification_key not found")
		if n := members(); n != 1 || len(f.Groups()) != 1 {
			t.Errorf("%d members, %d groups", n, len(f.Groups()))
		}
		if r := f.do("GET", lookup, "", append(f.bearer(), "project_id", string(f.SenderID()))...); r.status != 401 {
			t.Errorf("without access_token_auth: %d", r.status)
		}
		if r := f.iid("PUT", lookup, ""); r.status != 405 || r.header.Get("Allow") != "GET, POST" {
			t.Errorf("PUT: %d %v", r.status, r.header)
		}
	})
	t.Run("M-38 a group without members is gone", func(t *testing.T) {
		f.group(groupBody("remove", "alice", key, tokens[0])).notificationKey()
		if len(f.Groups()) != 0 {
			t.Errorf("there are %v", f.Groups())
		}
		f.group(groupBody("add", "alice", key, tokens[0])).wantGroupError("notification_key not found")
		f.group(groupBody("create", "alice", "", tokens[0])).notificationKey()
	})
}

func TestM_38_M_46_WhatIsSentToTheKeyReachesTheMembers(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	tokens := f.Tokens()
	key := f.group(groupBody("create", "g", "", tokens[2], tokens[0])).notificationKey()
	r := f.do("POST", "/v1/projects/penstock-sim/messages:send", fmt.Sprintf(`{"message":{"token":%q,"data":{"k":"v"}}}`, key), f.bearer()...)
	if r.status != 200 || !strings.Contains(r.body, `"name": "projects/penstock-sim/messages/`) {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	for i, want := range []int{1, 0, 1} {
		if d, _ := f.Device(tokens[i]); d.ReceivedCount != want || want == 1 && d.Received[0].Data["k"] != "v" {
			t.Errorf("device %d has %+v", i, d)
		}
	}
	if rec := f.Record(); len(rec) != 1 || fmt.Sprint(rec[0].DeliveredTo) != fmt.Sprint([]ccs.RegistrationToken{tokens[2], tokens[0]}) {
		t.Errorf("the record says %+v", rec)
	}
	r = f.do("POST", "/v1/projects/penstock-sim/messages:send", fmt.Sprintf(`{"message":{"token":%q},"validate_only":true}`, key), f.bearer()...)
	if d, _ := f.Device(tokens[0]); r.status != 200 || !strings.Contains(r.body, "/messages/fake_message_id\"") || d.ReceivedCount != 1 {
		t.Errorf("M-46 validated only: %d %s, %d received", r.status, r.body, d.ReceivedCount)
	}
	f.group(groupBody("remove", "", key, tokens[0], tokens[2])).notificationKey()
	if r := f.do("POST", "/v1/projects/penstock-sim/messages:send", fmt.Sprintf(`{"message":{"token":%q}}`, key), f.bearer()...); r.status != 400 {
		t.Errorf("the key of a group that is gone: %d %s", r.status, r.body)
	}
}
