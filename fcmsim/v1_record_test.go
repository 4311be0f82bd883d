package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

func TestM_53_TheRecordHasWhatWasSentAndWhatCameOfIt(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now})
	body := `{"validateOnly":false, "message":{"token":"` + string(f.Tokens()[0]) + `","data":{"a":"b"},"notification":{"title":"t"}}}`
	ok := f.post(body)
	f.post(`{"message":{"token":"` + string(f.DeadTokens()[0]) + `"},"validate_only":true}`)
	f.post(`{"message":{"condition":"'a' in topics"}}`)
	f.post(`{"message":{"topic":"news","data":{"from":"x"}}}`)
	f.post(`{broken`)
	f.do("POST", f.path(), body)
	c.pass(time.Second)
	list := f.Record()
	if len(list) != 6 {
		t.Fatalf("%d in the record", len(list))
	}
	want := []struct {
		to          ccs.RegistrationToken
		condition   string
		status      int
		answer      string
		code        ccs.Code
		validate    bool
		hasRequest  bool
		deliveredTo int
	}{
		{f.Tokens()[0], "", 200, "ack", "", false, true, 1},
		{f.DeadTokens()[0], "", 404, "nack", "UNREGISTERED", true, true, 0},
		{"", "'a' in topics", 200, "ack", "", false, true, 0},
		{"/topics/news", "", 400, "nack", "INVALID_ARGUMENT", false, true, 0},
		{"", "", 400, "nack", "INVALID_ARGUMENT", false, false, 0},
		{"", "", 401, "nack", "UNAUTHENTICATED", false, false, 0},
	}
	for i, w := range want {
		r := list[i]
		if r.Face != "v1" || r.To != w.to || r.Condition != w.condition || r.Status != w.status || r.Answer != w.answer || r.Error != w.code ||
			r.ValidateOnly != w.validate || (r.Request != nil) != w.hasRequest || len(r.DeliveredTo) != w.deliveredTo || r.Repeated ||
			!r.Time.Equal(c.t.Add(-time.Second)) || !r.AnsweredAt.Equal(r.Time) || r.DryRun || r.Stream != "" {
			t.Errorf("entry %d: %+v; want %+v", i, r, w)
		}
	}
	if got := fmt.Sprint(list[0].Data, list[0].Notification, string(list[0].MessageID)); got != "map[a:b] map[title:t]"+ok.name()[strings.LastIndex(ok.name(), "/")+1:] {
		t.Errorf("entry 0: %s", got)
	}
	if string(list[0].Request) != body {
		t.Errorf("the request is %s", list[0].Request)
	}
	if list[1].ErrorDescription != "Requested entity was not found." {
		t.Errorf("entry 1: %s", list[1].ErrorDescription)
	}

	t.Run("M-53 over the control API", func(t *testing.T) {
		control := func(method string) string {
			w := httptest.NewRecorder()
			f.ControlHandler().ServeHTTP(w, httptest.NewRequest(method, "http://localhost/record", nil))
			return w.Body.String()
		}
		text := control("GET")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if len(lines) != 6 {
			t.Fatalf("%d lines: %s", len(lines), text)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &v); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"t", "stream", "message_id", "to", "data", "notification", "answer", "error", "delivered_to", "face", "status", "request"} {
			if _, ok := v[k]; !ok {
				t.Errorf("%s is missing in %s", k, lines[0])
			}
		}
		if !strings.Contains(lines[1], `"face":"v1","status":404,"validate_only":true`) {
			t.Errorf("%s", lines[1])
		}
		control("DELETE")
		if got := control("GET"); got != "" {
			t.Errorf("left: %s", got)
		}
	})
}

func TestM_54_TimeComesFromOutside(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now})
	f.message(`{"token":"%s"}`)
	got, _ := f.received(f.Tokens()[0])
	if len(got) != 1 || !got[0].Time.Equal(c.t) || !f.Record()[0].Time.Equal(c.t) {
		t.Errorf("received at %v, recorded at %v; the clock stands at %v", got[0].Time, f.Record()[0].Time, c.t)
	}
}
