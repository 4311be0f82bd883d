package fcmsim_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A remote talks to the control API of a simulator over TCP.
type remote struct {
	*fcmsim.Sim
	t   *testing.T
	url string
}

func newRemote(t *testing.T, opt fcmsim.Options) *remote {
	t.Helper()
	sim, err := fcmsim.Start(&opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	srv := httptest.NewServer(sim.ControlHandler())
	t.Cleanup(srv.Close)
	return &remote{sim, t, srv.URL}
}

func (r *remote) login() *app {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.Addr(), &tls.Config{RootCAs: r.CertPool()})
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := login(r.t, conn, r.Sim)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// call wants a status and returns the body, decoded if it is JSON.
func (r *remote) call(method, path, body string, status int) any {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != status {
		r.t.Fatalf("%s %s %s: %s %s, want %d", method, path, body, resp.Status, text, status)
	}
	var v any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return v
}

// refused wants an error whose sentence has the words.
func (r *remote) refused(method, path, body string, status int, words string) {
	r.t.Helper()
	v, _ := r.call(method, path, body, status).(map[string]any)
	if text, _ := v["error"].(string); !strings.Contains(text, words) {
		r.t.Errorf("%s %s %.80s: the error is %q, want %q in it", method, path, body, text, words)
	}
}

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func TestControlRecord(t *testing.T) {
	r := newRemote(t, fcmsim.Options{RecordMax: 600})
	a, token := r.login(), r.Tokens()[0]
	lines := func() (list []string, dropped string) {
		t.Helper()
		resp, err := http.Get(r.url + "/record")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" {
			t.Errorf("Content-Type %s", ct)
		}
		sc := bufio.NewScanner(resp.Body)
		for sc.Scan() {
			list = append(list, sc.Text())
		}
		return list, resp.Header.Get("X-Penstock-Dropped")
	}
	if list, dropped := lines(); len(list) != 0 || dropped != "0" {
		t.Fatalf("got %v, %s dropped", list, dropped)
	}
	a.sendAcked(&ccs.Downstream{To: token, MessageID: "m-1", Notification: map[string]string{"title": "T"}})
	a.send(down("bad", "m-2"))
	a.wantNack("m-2", ccs.CodeBadRegistration)
	list, _ := lines()
	if len(list) != 2 {
		t.Fatalf("got %v", list)
	}
	var first map[string]any
	if err := json.Unmarshal([]byte(list[0]), &first); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, first["t"].(string)); err != nil {
		t.Error(err)
	}
	if first["stream"] != r.Streams()[0].ID {
		t.Errorf("stream %v", first["stream"])
	}
	// The rest of it, byte for byte.
	_, rest, _ := strings.Cut(list[0], `"message_id":`)
	rest, _, _ = strings.Cut(rest, `"answered_at":`)
	want := fmt.Sprintf(`"m-1","to":"%s","data":{},"notification":{"title":"T"},"answer":"ack","error":"",`, token)
	if rest != want {
		t.Errorf("got  %s\nwant %s", rest, want)
	}
	if !strings.HasSuffix(list[0], fmt.Sprintf(`,"delivered_to":["%s"]}`, token)) {
		t.Errorf("got %s", list[0])
	}
	if !strings.Contains(list[1], `"answer":"nack","error":"BAD_REGISTRATION"`) || !strings.HasSuffix(list[1], `"delivered_to":[]}`) {
		t.Errorf("got %s", list[1])
	}
	r.call("DELETE", "/record", "", http.StatusNoContent)
	for i := range 700 {
		a.sendAcked(down(token, ccs.MessageID(fmt.Sprint("n-", i))))
	}
	list, dropped := lines()
	if len(list) != 600 || dropped != "100" || !strings.Contains(list[0], `"n-100"`) || !strings.Contains(list[599], `"n-699"`) {
		t.Fatalf("%d lines, %s dropped", len(list), dropped)
	}
}

func TestControlStreams(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	if v := r.call("GET", "/streams", "", 200).([]any); len(v) != 0 {
		t.Fatalf("got %v", v)
	}
	if v := at(r.call("POST", "/drain", `{"streams":"all","announce":"control","close_after_ms":2000}`, 200), "streams").([]any); len(v) != 0 {
		t.Fatalf("got %v", v)
	}
	a, other := r.login(), r.login()
	streams := r.call("GET", "/streams", "", 200)
	id := at(streams, 0, "id").(string)
	if at(streams, 0, "state") != "open" || at(streams, 1, "sender_id") != string(r.SenderID()) {
		t.Fatalf("got %v", streams)
	}
	if got := at(r.call("POST", "/cut", `{"streams":["`+id+`","nobody"]}`, 200), "streams").([]any); len(got) != 1 || got[0] != id {
		t.Fatalf("cut %v", got)
	}
	if _, err := a.next(10 * time.Second); err == nil {
		t.Error("the stream still lives")
	}
	other.sendAcked(down(r.Tokens()[0], "m-1"))
	if got := at(r.call("POST", "/cut", `{"streams":[]}`, 200), "streams").([]any); len(got) != 0 {
		t.Fatalf("an empty list cut %v", got)
	}
	// Announced by nack alone, with the last call at close_after_ms.
	r.call("POST", "/drain", `{"announce":"nack","close_after_ms":0}`, 200)
	for {
		other.send(down(r.Tokens()[0], ccs.NewMessageID()))
		m, err := other.next(10 * time.Second)
		if err != nil {
			break // closed before the nack
		}
		if n, ok := m.(*ccs.Nack); ok {
			if n.Code != ccs.CodeConnectionDraining {
				t.Errorf("got %+v", n)
			}
			break
		}
	}
}

func TestControlFaults(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	a, token := r.login(), r.Tokens()[0]
	r.call("POST", "/fault", `{"nack":"SERVICE_UNAVAILABLE","next":1}`, 200)
	r.call("POST", "/fault", `{"delay_ms":1,"token":"`+string(token)+`","share":0.5,"seed":3}`, 200)
	a.send(down(token, "m-1"))
	if n := a.wantNack("m-1", ccs.CodeServiceUnavailable); n.Description != ccs.CodeServiceUnavailable.Sentence() {
		t.Errorf("got %+v", n)
	}
	a.sendAcked(down(token, "m-1"))
	list := r.call("GET", "/fault", "", 200)
	if at(list, 0, "applied") != 1.0 || at(list, 0, "next") != 1.0 || at(list, 1, "delay_ms") != 1.0 || at(list, 1, "share") != 0.5 {
		t.Fatalf("got %v", list)
	}
	r.call("DELETE", "/fault", "", http.StatusNoContent)
	if list := r.call("GET", "/fault", "", 200).([]any); len(list) != 0 {
		t.Fatalf("got %v", list)
	}
	r.call("POST", "/fault", `{"slow":5000,"slow_ms":1,"next":1}`, 200)
	r.call("POST", "/fault", `{"wrong_bytes":true,"deliver":true,"next":1}`, 200)
	list = r.call("GET", "/fault", "", 200)
	if at(list, 0, "slow") != 5000.0 || at(list, 0, "slow_ms") != 1.0 || at(list, 1, "wrong_bytes") != true || at(list, 1, "deliver") != true {
		t.Fatalf("got %v", list)
	}
	a.sendAcked(down(token, "m-2"))
	a.send(down(token, "m-3"))
	if m, err := a.next(10 * time.Second); err == nil {
		t.Errorf("got %#v, want bytes that are no XML", m)
	}
	r.call("DELETE", "/fault", "", http.StatusNoContent)
	for body, words := range map[string]string{
		`{}`:                                 "something to do",
		``:                                   "something to do",
		`{"dealy_ms":3}`:                     `"delay_ms"`,
		`{"Nack":"A"}`:                       `"nack"`,
		`{"slow":true}`:                      "slow must be a whole number, and holds true or false",
		`{"slow":0}`:                         "slow must be between 10 and 1000000 bytes a second",
		`{"slow":9,"slow_ms":1}`:             "slow must be between 10 and 1000000 bytes a second",
		`{"slow":10,"slow_ms":0}`:            "slow_ms must be above 0",
		`{"slow_ms":10}`:                     "slow_ms needs slow",
		`{"wrong_bytes":"x"}`:                "wrong_bytes must be true or false, and holds a string",
		`{"cut":"yes"}`:                      "cut must be true or false, and holds a string",
		`{"cut":true,"next":0}`:              "next",
		`{"cut":true,"share":0}`:             "share",
		`{"nack":"A","nack_share":0}`:        "nack_share",
		`{"cut":true,"applied":1}`:           "applied",
		`{"delay_ms":1.5}`:                   "delay_ms must be a whole number",
		`{"delay_ms":9223372036854775807}`:   "between 0 and 3600000",
		`[1]`:                                "no JSON object",
		`{"cut":true} {"cut":true}`:          "no JSON object",
		`{"cut":true`:                        "no JSON object",
		`{"nack":"BAD","cut":true,"next":2}`: "exclude each other",
	} {
		r.refused("POST", "/fault", body, 400, words)
	}
	if len(r.Faults()) != 0 {
		t.Errorf("a refused fault is set: %+v", r.Faults())
	}
}

func TestControlDevices(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	if n := len(r.call("GET", "/devices", "", 200).([]any)); n != 14 {
		t.Fatalf("%d devices", n)
	}
	d := r.call("POST", "/devices", `{"token":"a/b:c","category":"org.x","topics":["/topics/news"],"online":false}`, 200)
	if at(d, "token") != "a/b:c" || at(d, "online") != false || at(d, "live") != true || at(d, "topics", 0) != "news" {
		t.Fatalf("got %v", d)
	}
	path := "/devices/" + url.PathEscape("a/b:c")
	a := r.login()
	m := down("/topics/news", "m-1")
	a.sendAcked(m)
	if d := r.call("GET", path, "", 200); at(d, "stored") != 1.0 || at(d, "received_count") != 0.0 {
		t.Fatalf("got %v", d)
	}
	d = r.call("POST", path+"/state", `{"online":true}`, 200)
	if at(d, "received", 0, "message_id") != "m-1" || at(d, "received", 0, "topic") != "/topics/news" {
		t.Fatalf("got %v", d)
	}

	v := r.call("POST", path+"/upstream", `{"data":{"k":"v"},"message_id":"u/1","time_to_live":60}`, 200)
	if at(v, "message_id") != "u/1" {
		t.Fatalf("got %v", v)
	}
	ttl := time.Minute
	a.want(&ccs.Upstream{From: "a/b:c", Category: "org.x", MessageID: "u/1", Data: map[string]string{"k": "v"}, TTL: &ttl})
	state := "/upstream/" + url.PathEscape("u/1")
	if v := r.call("GET", state+"?token="+url.QueryEscape("a/b:c"), "", 200); at(v, "offers") != 1.0 {
		t.Fatalf("got %v", v)
	}
	a.send(&ccs.Ack{To: "a/b:c", MessageID: "u/1"})
	a.sendAcked(down(r.Tokens()[0], "m-2")) // behind the ack, on the same stream
	if v := r.call("GET", state, "", 200); at(v, "state") != "acked" || at(v, "from") != "a/b:c" {
		t.Fatalf("got %v", v)
	}
	if id := at(r.call("POST", path+"/upstream", "", 200), "message_id").(string); id == "" {
		t.Error("no id was made")
	}

	r.refused("POST", "/devices", `{"token":"a/b:c"}`, 409, "already")
	r.refused("POST", "/devices", `{"topics":["a b"]}`, 400, "not legal")
	r.refused("POST", "/devices", `{"topic":"x"}`, 400, `"topics"`)
	r.refused("GET", "/devices/nobody", "", 404, "no device")
	r.refused("POST", "/devices/nobody/upstream", "", 404, "no device")
	r.refused("POST", "/devices/nobody/state", `{"online":true}`, 404, "no device")
	r.refused("POST", path+"/state", `{}`, 400, "online, live")
	r.refused("POST", path+"/state", `{"online":"no"}`, 400, "true or false")
	r.refused("POST", path+"/upstream", `{"data":{"k":1}}`, 400, "data must be an object of strings, and holds a number")
	r.refused("POST", "/devices", `{"topics":[1]}`, 400, "topics must be a list of strings, and holds a number")
	r.refused("POST", path+"/upstream", `{"time_to_live":-1}`, 400, "time_to_live")
	r.refused("POST", path+"/upstream", `{"time_to_live":9223372036854775807}`, 400, "time_to_live")
	r.refused("GET", "/upstream/never", "", 404, "no upstream message")
	r.call("POST", path+"/state", `{"live":false}`, 200)
	r.refused("POST", path+"/upstream", ``, 409, "offline")
	r.refused("POST", "/drain", `{"streams":"some"}`, 400, `"all"`)
	r.refused("POST", "/drain", `{"streams":[1]}`, 400, `"all"`)
	r.refused("POST", "/drain", `{"announce":"shout"}`, 400, "control")
	r.refused("POST", "/drain", `{"close_after_ms":-1}`, 400, "close_after_ms")
	r.refused("POST", "/drain", `{"close_after_ms":30001}`, 400, "between 0 and 30000")
	r.refused("POST", "/cut", `{"stream":"all"}`, 400, `"streams"`)
}

func TestControlManners(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	r.refused("GET", "/", "", 404, "/record")
	r.refused("GET", "/nothing/here", "", 404, "/record")
	r.refused("POST", "/devices", `{"category":"`+strings.Repeat("x", 64<<10)+`"}`, 413, "65536")

	do := func(change func(*http.Request)) *http.Response {
		t.Helper()
		req, err := http.NewRequest("PUT", r.url+"/fault", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := do(func(*http.Request) {}); resp.StatusCode != 405 || resp.Header.Get("Allow") != "DELETE, GET, POST" {
		t.Errorf("got %s, Allow: %s", resp.Status, resp.Header.Get("Allow"))
	}
	for host, status := range map[string]int{
		"localhost": 405, "LOCALHOST:1": 405, "127.0.0.1": 405, "[::1]:80": 405, "[::1]": 405, "10.0.0.1:9": 405,
		"evil.example": 403, "evil.example:80": 403, "localhost.evil.example": 403, "127.0.0.1.nip.io:80": 403,
	} {
		if resp := do(func(r *http.Request) { r.Host = host }); resp.StatusCode != status {
			t.Errorf("Host %s: %s", host, resp.Status)
		}
	}
	for _, origin := range []string{"https://evil.example", "null", r.url} {
		if resp := do(func(r *http.Request) { r.Header.Set("Origin", origin) }); resp.StatusCode != 403 {
			t.Errorf("Origin %s: %s", origin, resp.Status)
		}
	}
}
