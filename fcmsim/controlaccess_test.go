package fcmsim_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"penstock/fcmsim"
)

func TestControlAccess(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	f := &face{Sim: r.Sim, t: t, h: r.HTTPHandler()}
	if err := json.Unmarshal(r.ServiceAccountJSON(), &f.key); err != nil {
		t.Fatal(err)
	}
	status := func(changes map[string]any) map[string]any {
		want := map[string]any{
			"key_revoked": false, "account_deleted": false, "scope_lacking": false, "permission_denied": false, "api_disabled": false,
			"token_status": 0.0, "token_delay_ms": 0.0, "token_next": 0.0, "token_requests": 0.0,
		}
		for k, v := range changes {
			want[k] = v
		}
		return want
	}
	want := func(got any, changes map[string]any) {
		t.Helper()
		if want := status(changes); !reflect.DeepEqual(got, any(want)) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	want(r.call("GET", "/access", "", 200), nil)
	for _, name := range []string{"key_revoked", "account_deleted", "scope_lacking", "permission_denied", "api_disabled"} {
		want(r.call("POST", "/access", `{"`+name+`":true}`, 200), map[string]any{name: true})
		want(r.call("POST", "/access", `{}`, 200), map[string]any{name: true})
		want(r.call("POST", "/access", `{"`+name+`":false}`, 200), nil)
	}
	fault := map[string]any{"token_status": 503.0, "token_delay_ms": 1.0, "token_next": 2.0}
	want(r.call("POST", "/access", `{"token_status":503,"token_delay_ms":1,"token_next":2}`, 200), fault)
	if r := f.form(nil); r.status != 503 {
		t.Errorf("the token endpoint answers %d", r.status)
	}
	fault["token_next"], fault["token_requests"], fault["api_disabled"] = 1.0, 1.0, true
	want(r.call("POST", "/access", `{"api_disabled":true}`, 200), fault)
	if v := r.call("DELETE", "/access", "", 204); v != nil {
		t.Errorf("got %v", v)
	}
	want(r.call("GET", "/access", "", 200), map[string]any{"token_requests": 1.0})

	got := r.call("POST", "/access/token", "", 200)
	header := []string{"Authorization", "Bearer " + at(got, "access_token").(string)}
	if at(got, "expires_in") != 3599.0 {
		t.Errorf("got %v", got)
	}
	if r := f.send("penstock-sim", header...); r.status != 200 {
		t.Errorf("the token does not serve: %d", r.status)
	}
	r.call("POST", "/access", `{"expire_tokens":true}`, 200)
	if r := f.send("penstock-sim", header...); r.status != 401 || !strings.Contains(r.body, "ACCESS_TOKEN_EXPIRED") {
		t.Errorf("got %d %s", r.status, r.body)
	}

	r.refused("POST", "/access", `{"key_revoke":true}`, 400, `"key_revoked" was meant`)
	r.refused("POST", "/access", `{"key_revoked":1}`, 400, "key_revoked must be true or false")
	r.refused("POST", "/access", `{"token_status":399}`, 400, "token_status must be between 400 and 599")
	r.refused("POST", "/access", `{"token_status":600}`, 400, "token_status must be between 400 and 599")
	r.refused("POST", "/access", `{"token_next":-1}`, 400, "token_next must not be negative")
	r.refused("POST", "/access", `{"token_delay_ms":3600001}`, 400, "token_delay_ms must be between 0 and 3600000")
	r.refused("POST", "/access", `{"token_delay_ms":-1}`, 400, "token_delay_ms must be between 0 and 3600000")
	want(r.call("GET", "/access", "", 200), map[string]any{"token_requests": 1.0})
}

func TestControlDevicesHaveAPlatformAndGroupsAreListed(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	f := &face{Sim: r.Sim, t: t, h: r.HTTPHandler()}
	const fid = "d234567890123456789012"
	d := r.call("POST", "/devices", `{"token":"t-1","platform":"ios","fid":"`+fid+`"}`, 200)
	if at(d, "platform") != "ios" || at(d, "fid") != fid {
		t.Errorf("got %v", d)
	}
	if d := at(r.call("GET", "/devices", "", 200), 0); at(d, "platform") != "android" || len(at(d, "fid").(string)) != 22 {
		t.Errorf("got %v", d)
	}
	r.refused("POST", "/devices", `{"fid":"`+fid+`"}`, 409, "has this fid already")
	r.refused("POST", "/devices", `{"fid":"x"}`, 400, "22 characters")
	r.refused("POST", "/devices", `{"platform":"symbian"}`, 400, "android, ios or web")

	if v := r.call("GET", "/groups", "", 200); !reflect.DeepEqual(v, []any{}) {
		t.Errorf("got %v", v)
	}
	key := f.group(groupBody("create", "alice", "", "t-1")).notificationKey()
	g := at(r.call("GET", "/groups", "", 200), 0)
	if at(g, "notification_key_name") != "alice" || at(g, "notification_key") != key || !reflect.DeepEqual(at(g, "registration_ids"), []any{"t-1"}) {
		t.Errorf("got %v", g)
	}
}
