package ccs_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
)

func TestParseFromServer(t *testing.T) {
	sent := time.UnixMilli(1498801519251).UTC()
	for _, tt := range []struct {
		name, payload string
		want          ccs.FromServer
	}{
		{"an ack", `{"message_type":"ack","from":"TOKEN","message_id":"m-1"}`, &ccs.Ack{From: "TOKEN", MessageID: "m-1"}},
		{"an ack whose id is a number", `{"message_type":"ack","from":"T","message_id":12}`, &ccs.Ack{From: "T", MessageID: "12"}},
		{"an ack without from", `{"message_type":"ack","message_id":"m"}`, &ccs.Ack{MessageID: "m"}},
		{"C25 an ack with a canonical token", `{"message_type":"ack","from":"T","message_id":"m","registration_id":"NEW"}`, &ccs.Ack{From: "T", MessageID: "m", RegistrationID: "NEW"}},
		{
			"the ack of a device group",
			`{"message_type":"ack","from":"T","message_id":"m","success":1,"failure":2,"failed_registration_ids":[ "A" , null,"B\u0021"]}`,
			&ccs.Ack{From: "T", MessageID: "m", Success: 1, Failure: 2, FailedRegistrationIDs: []ccs.RegistrationToken{"A", "B!"}},
		},
		{"a device group of which none failed", `{"message_type":"ack","from":"T","message_id":"m","success":1,"failed_registration_ids":[]}`, &ccs.Ack{From: "T", MessageID: "m", Success: 1}},
		{"counts that make no sense", `{"message_type":"ack","from":"T","message_id":"m","success":-1,"failure":"2"}`, &ccs.Ack{From: "T", MessageID: "m"}},
		{
			"C29 a nack", `{"message_type":"nack","from":"T","message_id":"m","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: X"}`,
			&ccs.Nack{From: "T", MessageID: "m", Code: ccs.CodeBadRegistration, Description: "Invalid token on 'to' field: X"},
		},
		{
			"C29 a nack whose code is unknown", `{"message_type":"nack","from":"T","message_id":"m","error":"MOON PHASE","error_description":"full"}`,
			&ccs.Nack{From: "T", MessageID: "m", Code: "MOON PHASE", Description: "full"},
		},
		{
			"C29 a nack of 2013 has the text in its code", `{"message_type":"nack","from":"T","message_id":"m","error":"QUOTA_EXCEEDED: Short-term quota exceeded\n"}`,
			&ccs.Nack{From: "T", MessageID: "m", Code: ccs.CodeQuotaExceeded, Description: "Short-term quota exceeded"},
		},
		{
			"C29 a nack of 2013 with a blank and an empty description", `{"message_type":"nack","from":"T","message_id":"m","error":"INVALID_JSON : JSON_TYPE_ERROR : x","error_description":""}`,
			&ccs.Nack{From: "T", MessageID: "m", Code: ccs.CodeInvalidJSON, Description: "JSON_TYPE_ERROR : x"},
		},
		{"C29 a nack with nothing but its id", `{"message_type":"nack","message_id":"m"}`, &ccs.Nack{MessageID: "m"}},
		{
			"an upstream message", `{"data":{"k":"v"},"time_to_live":86400,"from":"TOKEN","message_id":"m","category":"com.example.app"}`,
			&ccs.Upstream{From: "TOKEN", MessageID: "m", Category: "com.example.app", Data: map[string]string{"k": "v"}, TTL: seconds(86400)},
		},
		{
			"an upstream message whose values are no strings", `{"data":{"n":1,"t":true,"o":{"a":[1, 2]},"z":null,"\u0065":"\ud83d\ude00"},"from":"T","message_id":7,"message_type":null}`,
			&ccs.Upstream{From: "T", MessageID: "7", Data: map[string]string{"n": "1", "t": "true", "o": `{"a":[1,2]}`, "e": "😀"}},
		},
		{"an upstream message with an odd time to live", `{"data":{},"time_to_live":"soon","from":"T","message_id":"m"}`, &ccs.Upstream{From: "T", MessageID: "m"}},
		{
			"C38 a receipt",
			`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"TOKEN","message_sent_timestamp":"1498801519251"},"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`,
			&ccs.Receipt{MessageID: "dr2:39", Category: "com.example.app", Status: ccs.StatusSentToDevice, OriginalMessageID: "39", Device: "TOKEN", SentAt: sent},
		},
		{"C39 a receipt without timestamp", `{"message_type":"receipt","message_id":"dr2:1","data":{"original_message_id":"1"}}`, &ccs.Receipt{MessageID: "dr2:1", OriginalMessageID: "1"}},
		{"C39 a receipt with a numeric timestamp", `{"message_type":"receipt","message_id":"dr2:1","data":{"message_sent_timestamp":1498801519251}}`, &ccs.Receipt{MessageID: "dr2:1", SentAt: sent}},
		{"C39 a receipt with an unknown status", `{"message_type":"receipt","message_id":"dr2:1","data":{"message_status":"LOST"}}`, &ccs.Receipt{MessageID: "dr2:1", Status: "LOST"}},
		{"C39 a receipt with a timestamp of words", `{"message_type":"receipt","message_id":"dr2:1","data":{"message_sent_timestamp":"yesterday"}}`, &ccs.Receipt{MessageID: "dr2:1"}},
		{"C39 a receipt with a timestamp beyond all calendars", `{"message_type":"receipt","message_id":"dr2:1","data":{"message_sent_timestamp":"99999999999999999999999999"}}`, &ccs.Receipt{MessageID: "dr2:1"}},
		{"C39 a receipt without data", `{"message_type":"receipt","message_id":"dr2:1"}`, &ccs.Receipt{MessageID: "dr2:1"}},
		{"C40 an unknown message type", `{"message_type":"weather","message_id":{},"from":1}`, &ccs.Unknown{MessageType: "weather"}},
		{"C40 unknown keys", `{"x":[{"y":1}],"message_type":"ack","message_id":"m","z":null}`, &ccs.Ack{MessageID: "m"}},
		{"C52 a control message", `{"message_type":"control","control_type":"CONNECTION_DRAINING"}`, &ccs.Control{Type: ccs.ControlDraining}},
		{"C52 a control message with message_id", `{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":"m"}`, &ccs.Control{Type: ccs.ControlDraining}},
		{"C52 a control message with an odd message_id", `{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":[]}`, &ccs.Control{Type: ccs.ControlDraining}},
		{"C52 a control message of an unknown type", `{"message_type":"control","control_type":"TEA_TIME"}`, &ccs.Control{Type: "TEA_TIME"}},
		{"C52 a control message without a type", `{"message_type":"control"}`, &ccs.Control{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ccs.ParseFromServer([]byte(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseFromServerReports(t *testing.T) {
	for _, tt := range []struct{ name, payload, want string }{
		{"C41 what is not JSON", `oops`, "not a JSON object"},
		{"C41 what breaks off", `{"message_type":"ack","message_id":"m`, "not a JSON object"},
		{"C41 what is no object", `["ack"]`, "not a JSON object"},
		{"C41 what goes on behind the object", `{"message_type":"control"} x`, "not a JSON object"},
		{"C41 nothing", ``, "not a JSON object"},
		{"C41 what nests too deep", `{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, "nest 17 deep"},
		{"a message_type that is no string", `{"message_type":1,"message_id":"m"}`, "message_type"},
		{"an ack without message_id", `{"message_type":"ack","from":"T"}`, "message_id"},
		{"an ack with an empty message_id", `{"message_type":"ack","from":"T","message_id":""}`, "message_id"},
		{"an ack whose message_id is an object", `{"message_type":"ack","from":"T","message_id":{}}`, "message_id"},
		{"a nack without message_id", `{"message_type":"nack","from":"T","error":"X"}`, "message_id"},
		{"a nack whose code is no string", `{"message_type":"nack","message_id":"m","error":5}`, "error"},
		{"an upstream message without from", `{"data":{},"message_id":"m"}`, "from"},
		{"an upstream message whose from is no string", `{"data":{},"from":5,"message_id":"m"}`, "from"},
		{"an upstream message without message_id", `{"data":{},"from":"T"}`, "message_id"},
		{"an upstream message whose data is a list", `{"data":[],"from":"T","message_id":"m"}`, "data"},
		{"a receipt whose data is a string", `{"message_type":"receipt","data":"x","message_id":"m"}`, "data"},
		{"a control type that is no string", `{"message_type":"control","control_type":5}`, "control_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ccs.ParseFromServer([]byte(tt.payload))
			if err == nil || m != nil {
				t.Fatalf("got %+v, %v", m, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not tell of %q", err, tt.want)
			}
			if wrong, ok := errors.AsType[*ccs.FieldError](err); ok && wrong.Field != tt.want {
				t.Errorf("field %q, want %q", wrong.Field, tt.want)
			}
		})
	}
}

// C41 as the client sees it: the same view goes on behind a bad payload.
func TestC41_AViewGoesOnBehindABadPayload(t *testing.T) {
	var v ccs.View
	good := []byte(`{"message_type":"ack","from":"T","message_id":"m\u002d1"}`)
	for _, bad := range []string{`{"message_type":"nack","error":"X","message_id":`, `x`, `{"from":"T","message_id":"m","data":5}`} {
		if err := v.Scan([]byte(bad)); err == nil {
			t.Fatalf("Scan(%s) finds nothing wrong", bad)
		}
		if err := v.Scan(good); err != nil {
			t.Fatal(err)
		}
		if v.Kind != ccs.KindAck || string(v.MessageID) != "m-1" || string(v.From) != "T" || v.Code != nil {
			t.Errorf("behind %s: %s %q from %q, code %q", bad, v.Kind, v.MessageID, v.From, v.Code)
		}
	}
}

func TestViewKeepsEscapedFieldsApart(t *testing.T) {
	var v ccs.View
	long := strings.Repeat(`\u0041`, 100)
	err := v.Scan([]byte(`{"message_type":"nack","from":"\u0031","message_id":"\u0032","error":"` + long + `","error_description":"\u0033 ` + long + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	as := strings.Repeat("A", 100)
	if string(v.From) != "1" || string(v.MessageID) != "2" || string(v.Code) != as || string(v.Description) != "3 "+as {
		t.Errorf("from %q, id %q, code %q, description %q", v.From, v.MessageID, v.Code, v.Description)
	}
}

func TestMessageIsACopy(t *testing.T) {
	payload := []byte(`{"data":{"k":"v"},"from":"TOKEN","message_id":"m","category":"c"}`)
	var v ccs.View
	if err := v.Scan(payload); err != nil {
		t.Fatal(err)
	}
	m := v.Message()
	clear(payload)
	want := &ccs.Upstream{From: "TOKEN", MessageID: "m", Category: "c", Data: map[string]string{"k": "v"}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("after the payload was overwritten: %+v", m)
	}
}

var benchAck = []byte(`{"message_type":"ack","from":"` + benchToken + `","message_id":"m-20261122061642-0b9c2f4e-8d8e-4c57-9a35-0f2d4f1f7a11"}`)

func TestScanCostsNoMemory(t *testing.T) {
	var v ccs.View
	escaped := []byte(`{"message_type":"nack","from":"T\u0021","message_id":"m\u0021","error":"X","error_description":"\u003c"}`)
	if err := v.Scan(escaped); err != nil { // the scratch grows here
		t.Fatal(err)
	}
	for name, payload := range map[string][]byte{"an ack": benchAck, "a nack with escapes": escaped} {
		n := testing.AllocsPerRun(100, func() {
			if err := v.Scan(payload); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkViewScanAck(b *testing.B) {
	var v ccs.View
	b.SetBytes(int64(len(benchAck)))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Scan(benchAck); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUpstream(b *testing.B) {
	payload := []byte(`{"data":{"action":"com.example.ECHO","k":"v","n":"1"},"time_to_live":86400,"from":"` + benchToken + `","message_id":"m-17","category":"com.example.app"}`)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ccs.ParseFromServer(payload); err != nil {
			b.Fatal(err)
		}
	}
}

var serverSeeds = []string{
	`{"message_type":"ack","from":"TOKEN","message_id":"m-1"}`,
	`{"message_type":"ack","from":"T","message_id":"m","registration_id":"NEW","success":1,"failure":1,"failed_registration_ids":["A","B"]}`,
	`{"message_type":"nack","from":"T","message_id":"m","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: X"}`,
	`{"message_type":"nack","from":"T","message_id":"m","error":"QUOTA_EXCEEDED: Short-term downstream quota exceeded"}`,
	`{"data":{"k":"v"},"time_to_live":86400,"from":"TOKEN","message_id":"m","category":"com.example.app"}`,
	`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"TOKEN","message_sent_timestamp":"1498801519251"},"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`,
	`{"message_type":"control","control_type":"CONNECTION_DRAINING"}`,
	`{"message_type":"weather"}`,
	`{"message_type":"ack","message_id":12}`,
}

// FuzzParseFromServer parses, prints, and parses again. A nack may gain what it
// lacked when it is first printed; from then on nothing changes any more.
func FuzzParseFromServer(f *testing.F) {
	for _, seed := range serverSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := ccs.ParseFromServer(payload)
		if err != nil {
			if first != nil || err.Error() == "" {
				t.Fatalf("ParseFromServer(%q) = %v, %v", payload, first, err)
			}
			return
		}
		printed := ccs.AppendFromServer(nil, first)
		if text := xmlText(t, printed); !bytes.Equal(text, printed) {
			t.Fatalf("%q reads as %q in XML", printed, text)
		}
		second, err := ccs.ParseFromServer(printed)
		if err != nil {
			t.Fatalf("ParseFromServer(%q), printed from %q: %v", printed, payload, err)
		}
		if _, nack := first.(*ccs.Nack); !nack && !reflect.DeepEqual(first, second) {
			t.Fatalf("%q\nfirst  %+v\nsecond %+v", payload, first, second)
		}
		if again := ccs.AppendFromServer(nil, second); !bytes.Equal(printed, again) {
			t.Fatalf("%q\nprinted %s\nagain   %s", payload, printed, again)
		}
	})
}
