package ccs_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"testing"
	"time"

	"penstock/ccs"
)

// xmlText is what an XML parser makes of payload inside an element.
func xmlText(t *testing.T, payload []byte) []byte {
	t.Helper()
	var element struct {
		Text []byte `xml:",chardata"`
	}
	doc := "<gcm>" + string(payload) + "</gcm>"
	if err := xml.Unmarshal([]byte(doc), &element); err != nil {
		t.Fatalf("not well-formed: %v\n%q", err, payload)
	}
	return element.Text
}

var nasty = map[string]string{
	"ampersand":          "a & b &amp; c &#38; &nosuch;",
	"less than":          "<b>bold</b> </gcm> <!-- -->",
	"end of CDATA":       "]]>",
	"quotes":             `"double" 'single'`,
	"backslash":          `\ \\ \u0041 \"`,
	"control characters": "\x00\x01\b\t\n\v\f\r\x1b\x1f",
	"delete and C1":      "\x7f\u0080\u0085\u009f",
	"line separators":    "\u2028\u2029",
	"no characters":      "\ufffe\uffff",
	"replacement":        "\ufffd",
	"beyond U+FFFF":      "😀𝒳\U0001ffff\U0010ffff",
	"other UTF-8":        "é€ ﷺ 漢字",
	"key < & > \x00 ]]>": "v",
}

func TestEncodedPayloadSurvivesXMLAndJSON(t *testing.T) {
	for name, text := range nasty {
		t.Run("C17 "+name, func(t *testing.T) {
			m := &ccs.Downstream{
				To: ccs.RegistrationToken(text), MessageID: ccs.MessageID(text), CollapseKey: ccs.CollapseKey(text),
				Data: map[string]string{name: text, text: name}, Notification: map[string]string{"body": text},
			}
			payload := ccs.AppendFromApp(nil, m)
			read := xmlText(t, payload)
			if !bytes.Equal(read, payload) {
				t.Errorf("XML changes it:\n%q\n%q", payload, read)
			}
			var got struct {
				To           string
				MessageID    string `json:"message_id"`
				CollapseKey  string `json:"collapse_key"`
				Data         map[string]string
				Notification map[string]string
			}
			if err := json.Unmarshal(read, &got); err != nil {
				t.Fatal(err)
			}
			if got.To != text || got.MessageID != text || got.CollapseKey != text ||
				!reflect.DeepEqual(got.Data, m.Data) || !reflect.DeepEqual(got.Notification, m.Notification) {
				t.Errorf("JSON changes it: %+v", got)
			}
		})
	}
}

func TestEncoderReplacesInvalidUTF8(t *testing.T) {
	got := ccs.AppendFromApp(nil, &ccs.Ack{To: "a\xffb\xed\xa0\x80", MessageID: "\xc3"})
	const want = `{"to":"a\ufffdb\ufffd\ufffd\ufffd","message_id":"\ufffd","message_type":"ack"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAppendFromApp(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    ccs.FromApp
		want string
	}{
		{"an ack", &ccs.Ack{To: "TOKEN", MessageID: "ID"}, `{"to":"TOKEN","message_id":"ID","message_type":"ack"}`},
		{"the smallest message", &ccs.Downstream{To: "T", MessageID: "m"}, `{"to":"T","message_id":"m"}`},
		{"a condition", &ccs.Downstream{Condition: "'A' in topics && 'B' in topics", MessageID: "m"}, `{"condition":"'A' in topics \u0026\u0026 'B' in topics","message_id":"m"}`},
		{
			"C20 time to live is a number and flags are booleans",
			&ccs.Downstream{
				To: "T", MessageID: "m", CollapseKey: "c", Priority: ccs.PriorityHigh, TTL: seconds(600),
				ContentAvailable: true, MutableContent: true, DelayWhileIdle: true, DeliveryReceiptRequested: true, DryRun: true,
				DirectBootOK: true, RestrictedPackageName: "p", AnalyticsLabel: "l", Data: map[string]string{"b": "2", "a": "1"}, Notification: map[string]string{"title": "t"},
			},
			`{"to":"T","message_id":"m","collapse_key":"c","priority":"high","time_to_live":600,"content_available":true,` +
				`"mutable_content":true,"delay_while_idle":true,"delivery_receipt_requested":true,"dry_run":true,` +
				`"direct_boot_ok":true,"restricted_package_name":"p","fcm_options":{"analytics_label":"l"},"data":{"a":"1","b":"2"},"notification":{"title":"t"}}`,
		},
		{"C20 time to live zero is written", &ccs.Downstream{To: "T", MessageID: "m", TTL: seconds(0)}, `{"to":"T","message_id":"m","time_to_live":0}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(ccs.AppendFromApp([]byte("before "), tt.m)); got != "before "+tt.want {
				t.Errorf("got  %s\nwant before %s", got, tt.want)
			}
		})
	}
}

func TestAppendFromServer(t *testing.T) {
	sent := time.UnixMilli(1498801519251)
	for _, tt := range []struct {
		name string
		m    ccs.FromServer
		want string
	}{
		{"an ack", &ccs.Ack{From: "TOKEN", MessageID: "m-1"}, `{"message_type":"ack","from":"TOKEN","message_id":"m-1"}`},
		{"an ack with a canonical token", &ccs.Ack{From: "T", MessageID: "m", RegistrationID: "NEW"}, `{"message_type":"ack","from":"T","message_id":"m","registration_id":"NEW"}`},
		{
			"the ack of a device group", &ccs.Ack{From: "T", MessageID: "m", Failure: 2, FailedRegistrationIDs: []ccs.RegistrationToken{"A", "B"}},
			`{"message_type":"ack","from":"T","message_id":"m","success":0,"failure":2,"failed_registration_ids":["A","B"]}`,
		},
		{
			"S33 a nack", &ccs.Nack{From: "T", MessageID: "m", Code: ccs.CodeBadRegistration, Description: "Invalid token on 'to' field: X"},
			`{"message_type":"nack","from":"T","message_id":"m","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: X"}`,
		},
		{
			"S33 a nack without a description gets the code's sentence", &ccs.Nack{From: "T", MessageID: "m", Code: ccs.CodeConnectionDraining},
			`{"message_type":"nack","from":"T","message_id":"m","error":"CONNECTION_DRAINING","error_description":"The connection is draining; send on another one"}`,
		},
		{
			"S33 a nack of nothing has no empty field", &ccs.Nack{},
			`{"message_type":"nack","from":"unknown","message_id":"unknown","error":"INTERNAL_SERVER_ERROR","error_description":"Internal error; try again later"}`,
		},
		{"S34 an id of digits is echoed as a string", &ccs.Nack{From: "T", MessageID: "12", Code: ccs.CodeInvalidJSON, Description: "x"}, `{"message_type":"nack","from":"T","message_id":"12","error":"INVALID_JSON","error_description":"x"}`},
		{
			"S51 an upstream message", &ccs.Upstream{From: "T", MessageID: "m", Category: "com.example.app", TTL: seconds(86400), Data: map[string]string{"n": "1", "b": "true", "a": ""}},
			`{"data":{"a":"","b":"true","n":"1"},"time_to_live":86400,"from":"T","message_id":"m","category":"com.example.app"}`,
		},
		{"an upstream message without data", &ccs.Upstream{From: "T", MessageID: "m"}, `{"data":{},"from":"T","message_id":"m"}`},
		{
			"S59 a receipt",
			&ccs.Receipt{MessageID: "dr2:39", Category: "com.example.app", Status: ccs.StatusSentToDevice, OriginalMessageID: "39", Device: "TOKEN", SentAt: sent},
			`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39",` +
				`"device_registration_id":"TOKEN","message_sent_timestamp":"1498801519251"},` +
				`"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`,
		},
		{
			"S59 a receipt without a time still has the field",
			&ccs.Receipt{MessageID: "dr2:1", OriginalMessageID: "1", Device: "T", Status: "S", Category: "c"},
			`{"category":"c","data":{"message_status":"S","original_message_id":"1","device_registration_id":"T","message_sent_timestamp":"0"},` +
				`"message_id":"dr2:1","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`,
		},
		{"a control message", &ccs.Control{Type: ccs.ControlDraining}, `{"message_type":"control","control_type":"CONNECTION_DRAINING"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(ccs.AppendFromServer([]byte("before "), tt.m)); got != "before "+tt.want {
				t.Errorf("got  %s\nwant before %s", got, tt.want)
			}
		})
	}
}

// S51 from end to end: values that were no strings are, and null is gone.
func TestS51_UpstreamDataIsStrings(t *testing.T) {
	m, err := ccs.ParseFromServer([]byte(`{"data":{"n":1,"z":null,"o":{"x":[ ]},"t":true},"from":"T","message_id":"m","category":"c"}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"data":{"n":"1","o":"{\"x\":[]}","t":"true"},"from":"T","message_id":"m","category":"c"}`
	if got := string(ccs.AppendFromServer(nil, m)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func sixteenKeys() map[string]string {
	m := map[string]string{}
	for i := range 16 {
		m[fmt.Sprintf("key%d", i)] = "value & more"
	}
	return m
}

func TestEncodingCostsNoMemory(t *testing.T) {
	room := make([]byte, 0, 4096)
	down := &ccs.Downstream{To: benchToken, MessageID: "m", TTL: seconds(600), Data: sixteenKeys(), Notification: map[string]string{"title": "t"}}
	up := &ccs.Upstream{From: benchToken, MessageID: "m", Data: sixteenKeys()}
	for name, encode := range map[string]func(){
		"downstream": func() { ccs.AppendFromApp(room, down) },
		"upstream":   func() { ccs.AppendFromServer(room, up) },
		"nack": func() {
			ccs.AppendFromServer(room, &ccs.Nack{From: benchToken, MessageID: "m", Code: ccs.CodeInvalidJSON})
		},
	} {
		if n := testing.AllocsPerRun(100, encode); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppendFromApp(b *testing.B) {
	m, err := ccs.ParseFromApp(benchDownstream)
	if err != nil {
		b.Fatal(err)
	}
	dst := ccs.AppendFromApp(nil, m)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = ccs.AppendFromApp(dst[:0], m)
	}
}

func BenchmarkAppendAck(b *testing.B) {
	ack := &ccs.Ack{From: benchToken, MessageID: "m-20261122061642-0001"}
	dst := ccs.AppendFromServer(nil, ack)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = ccs.AppendFromServer(dst[:0], ack)
	}
}

func ExampleAppendFromApp() {
	ttl := 10 * time.Minute
	m := &ccs.Downstream{
		To: "TOKEN", MessageID: "m-1", TTL: &ttl,
		Data: map[string]string{"html": "<b>goal</b>", "minute": "89"},
	}
	fmt.Printf("%s\n", ccs.AppendFromApp(nil, m))
	// Output:
	// {"to":"TOKEN","message_id":"m-1","time_to_live":600,"data":{"html":"\u003cb\u003egoal\u003c/b\u003e","minute":"89"}}
}
