package translate_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

var legacySeeds = []string{
	`{"to":"T"}`,
	`{"to":"T","collapse_key":"score","time_to_live":600,"priority":"high","notification":{"title":"Goal","body_loc_key":"GOAL","body_loc_args":"[\"FC\",\"2\"]","badge":"3","click_action":"OPEN"},"data":{"n":12,"o":{"a":1}}}`,
	`{"registration_ids":["A","B","/topics/x",""],"data":{"a":null,"b":1e400,"c":[{"d":[]}]}}`,
	`{"condition":"'a' in topics","content_available":true,"mutable_content":true,"dry_run":true,"direct_boot_ok":true,"fcm_options":{"analytics_label":"a"}}`,
	`{"to":"/topics/news","time_to_live":"0","notification":{"icon":"https://example.com/i","sound":{"critical":1,"name":"s"},"color":"#aabbcc","tag":"t","light_settings":{"color":{"red":1}},"vibrate_timings":["1s"]}}`,
	`{"to":"T","notification":{"body_loc_args":["a",1,null,{"b":2}],"title_loc_args":"[","event_time":"2026-11-22T13:00:00Z","notification_count":3,"visibility":"PUBLIC"}}`,
	`{"to":"T","data":{"from":"x"}}`,
	`{"to":"T","time_to_live":-1}`,
	`{"to":5,"data":"x"}`,
	`nul`,
	`{"to":"\ud800","data":{"\u0000":"\u2028"}}`,
}

// soundV1 checks what was translated: it is v1 by its own rules, and whatever an
// app gets is a string.
func soundV1(t *testing.T, m *ccs.Downstream, opt *translate.Options) {
	t.Helper()
	r, err := translate.ToV1(m, at(0), opt)
	if err != nil {
		if e, ok := errors.AsType[*fcm.SendError](err); !ok || e.Class != fcm.InvalidMessage || len(e.Violations()) != 1 {
			t.Fatalf("%+v: %v", m, err)
		}
		if text := translate.Nack(err, nil).Text(); text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 200 {
			t.Fatalf("%+v: %q", m, text)
		}
		return
	}
	written := r.Append(nil)
	if again, err := fcm.ParseStrict(written); err != nil || again.Validate() != nil {
		t.Fatalf("%+v\nbecomes %s\n%v", m, written, err)
	}
	var body struct {
		Message struct {
			Data    map[string]json.RawMessage
			Android struct{ Data map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal(written, &body); err != nil {
		t.Fatal(err)
	}
	for key, raw := range body.Message.Data {
		if raw[0] != '"' {
			t.Fatalf("data %q is %s", key, raw)
		}
	}
	if len(body.Message.Data) < len(m.Data) || body.Message.Android.Data != nil {
		t.Fatalf("%+v\nbecomes %s", m, written)
	}
	if aged, err := translate.Age(r, time.Minute); err == nil && aged.Validate() != nil {
		t.Fatalf("%s\nages to %s", written, aged.Append(nil))
	}
	if back, err := translate.ToCCS(r, "m-1"); err == nil && back.Validate() != nil {
		t.Fatalf("%s\ngoes back to %+v", written, back)
	}
}

// allOptions switches on whatever changes what is written.
var allOptions = &translate.Options{
	OddPriority: translate.OddPriorityIsNormal, PassThrough: true, ThreadFromTag: true, WebTag: true, MessageIDKey: "penstock_id",
}

func FuzzT_44_ParseLegacyJSON(f *testing.F) {
	for _, seed := range legacySeeds {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(15))
	}
	f.Fuzz(func(t *testing.T, body []byte, settings byte) {
		opt := &translate.LegacyOptions{
			Null: translate.NullData(settings % 3), Strict: settings&4 != 0, RefuseUnknown: settings&8 != 0,
			OddPriority: translate.OddPriority(settings >> 7),
		}
		l, err := translate.ParseLegacyJSON(body, opt)
		if err != nil {
			e, ok := errors.AsType[*translate.LegacyError](err)
			if !ok || e.Code == "" || (e.Status == 200) != (l != nil) || (e.Status == 400) != (e.Text != "") || !utf8.ValidString(e.Text) || len(e.Text) > 600 {
				t.Fatalf("ParseLegacyJSON(%q) = %+v, %#v", body, l, err)
			}
			return
		}
		for i := range min(l.Len(), 3) {
			m, err := l.At(i)
			if err != nil {
				continue
			}
			soundV1(t, m, nil)
			soundV1(t, m, allOptions)
		}
	})
}

func FuzzT_44_ToV1(f *testing.F) {
	for _, seed := range legacySeeds {
		f.Add([]byte(`{"message_id":"m-1","delivery_receipt_requested":true,` + seed[1:]))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := ccs.ParseFromApp(payload)
		if err != nil {
			return
		}
		m, ok := got.(*ccs.Downstream)
		if !ok {
			return
		}
		soundV1(t, m, nil)
		soundV1(t, m, allOptions)
	})
}
