package ccs_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"unicode/utf8"

	"penstock/ccs"
)

var appSeeds = []string{
	`{"to":"TOKEN","message_id":"m-1"}`,
	`{"to":"/topics/news","message_id":"m-2","collapse_key":"score","priority":"high","time_to_live":600,"delivery_receipt_requested":true,"dry_run":false,"data":{"k":"v"},"notification":{"title":"T","body":"B","android_channel_id":"c","title_loc_args":"[\"a\",\"b\"]"}}`,
	`{"data":{"hello":"a & b < c"},"to":"T","message_id":"m"}`,
	`{"condition":"'A' in topics","message_id":"m","time_to_live":"600","priority":"NORMAL"}`,
	`{"to":"T","message_id":"m","data":{"a":1,"b":[true,{"c":null}],"d":null,"\u2028":"\uffff]]>"}}`,
	`{"to":"TOKEN","message_id":"ID","message_type":"ack"}`,
	`{"to":"gcm.googleapis.com","message_id":"dr2:39","message_type":"ack"}`,
	`{"message_type":"nack","to":"T","message_id":"m"}`,
	`{"random": "text"}`,
	`{"message_id":12,"to":"T"}`,
	`{"to":"T","message_id":"m","time_to_live":1e400}`,
	`{"to":"T","message_id":"m","direct_boot_ok":true,"fcm_options":{"x":[],"analytics_label":"spring"}}`,
}

// FuzzParseFromApp parses, prints and parses again: what comes out must be the
// same, keep the rules, and be well-formed XML text.
func FuzzParseFromApp(f *testing.F) {
	for _, seed := range appSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := ccs.ParseFromApp(payload)
		if err != nil {
			refused, ok := errors.AsType[*ccs.PayloadError](err)
			if !ok || first != nil || refused.From == "" || refused.Text == "" || !utf8.ValidString(refused.Text) {
				t.Fatalf("ParseFromApp(%q) = %v, %#v", payload, first, err)
			}
			if refused.Code != ccs.CodeInvalidJSON && (refused.Code != ccs.CodeBadAck || refused.MessageID == "") {
				t.Fatalf("ParseFromApp(%q): %#v", payload, refused)
			}
			return
		}
		printed := ccs.AppendFromApp(nil, first)
		if text := xmlText(t, printed); !bytes.Equal(text, printed) {
			t.Fatalf("%q reads as %q in XML", printed, text)
		}
		second, err := ccs.ParseFromApp(printed)
		if err != nil {
			t.Fatalf("ParseFromApp(%q), printed from %q: %v", printed, payload, err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q\nfirst  %+v\nsecond %+v", payload, first, second)
		}
		if down, ok := first.(*ccs.Downstream); ok {
			if err := down.Validate(); err != nil {
				t.Fatalf("%q breaks a rule: %v", payload, err)
			}
			if down.ContentHash() != second.(*ccs.Downstream).ContentHash() {
				t.Fatalf("%q: two hashes", payload)
			}
		}
	})
}

var benchDownstream = []byte(`{"to":"` + benchToken + `","message_id":"m-20261122061642-0001","priority":"high","time_to_live":600,` +
	`"data":{"title":"Goal!","match":"4711","minute":"89","text":"The second one, and a beautiful one"}}`)

const benchToken = "fXq3lTqzQm2e8wV5c1Yd0a:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789abcdefghijklmnopqrstuvwx"

func BenchmarkParseFromApp(b *testing.B) {
	b.SetBytes(int64(len(benchDownstream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ccs.ParseFromApp(benchDownstream); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleParseFromApp() {
	m, err := ccs.ParseFromApp([]byte(`{"to":"TOKEN","message_id":"m-1","data":{"minute":89}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	down := m.(*ccs.Downstream)
	fmt.Println(down.MessageID, down.Data["minute"])

	_, err = ccs.ParseFromApp([]byte(`{"to":"TOKEN","message_id":"m-2","time_to_live":-1}`))
	refused, _ := errors.AsType[*ccs.PayloadError](err)
	fmt.Println(refused.MessageID, refused.Code)
	fmt.Println(refused.Text)
	// Output:
	// m-1 89
	// m-2 INVALID_JSON
	// InvalidJson : INVALID_TTL : Invalid value (-1) for "time_to_live": must be between 0 and "2419200"
}
