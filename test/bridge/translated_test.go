package bridge_test

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A dry run is acked like any other message, and reaches nobody.
func TestT_29_ADryRunIsAnsweredAsUsual(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sim := w.simulator(fcmsim.Options{})
		c := w.penstock(nil, overFCM(sim)).callers(string(sim.SenderID()), serverKey, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for token, want := range map[ccs.RegistrationToken]words{sim.Tokens()[0]: accepted, sim.DeadTokens()[0]: dead} {
			_, err := c.pool.Send(ctx, &ccs.Downstream{To: token, MessageID: "dry-" + ccs.MessageID(want[byCCS]), DryRun: true})
			if got := saidByCCS(err); got.word != want[byCCS] {
				t.Errorf("over CCS: told %s, want %s", got.word, want[byCCS])
			}
			got := c.post(ctx, c.h1, "/fcm/send", "key="+serverKey, map[string]any{"to": token, "dry_run": true})
			if got.word != want[byLegacy] {
				t.Errorf("over legacy HTTP: told %s, want %s", got.text, want[byLegacy])
			}
		}
		for _, r := range sim.Record() {
			if len(r.DeliveredTo) > 0 || !r.ValidateOnly {
				t.Errorf("a dry run has reached %d devices; to be validated only: %v", len(r.DeliveredTo), r.ValidateOnly)
			}
		}
		if n := len(sim.Record()); n != 4 {
			t.Errorf("%d messages have come to the simulator, want 4", n)
		}
	})
}

// What apps get is what their app servers wrote, by either of the old ways.
func TestT_09_T_10_T_11_DataArriveAsTheyWereWritten(t *testing.T) {
	const data = `{"n":12,"e":1e2,"big":12345678901234567890,"d":0.10,"neg":-0,"t":true,"f":false,"o":{ "a" : [ 1.50 , "ü" ] },"l":[],` +
		`"null":null,"empty":"","":"no name","surrogates":"\ud83d\ude00","kanji":"\u6f22字","nul":"\u0000","line":"\u2028","html":"<a&b>","quote":"\"\\","x":"\u00e9"}`
	want := map[string]string{
		"n": "12", "e": "1e2", "big": "12345678901234567890", "d": "0.10", "neg": "-0", "t": "true", "f": "false", "o": `{"a":[1.50,"ü"]}`, "l": "[]",
		"empty": "", "": "no name", "surrogates": "😀", "kanji": "漢字", "nul": "\x00", "line": "\u2028", "html": "<a&b>", "quote": `"\`, "x": "é",
	}
	inBubble(t, func(t *testing.T, w *world) {
		sim := w.simulator(fcmsim.Options{})
		c := w.penstock(nil, overFCM(sim)).callers(string(sim.SenderID()), serverKey, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		device := string(sim.Tokens()[0])
		if got := c.post(ctx, c.h1, "/fcm/send", "key="+serverKey, json.RawMessage(`{"to":"`+device+`","data":`+data+`}`)); got.word != "ok" {
			t.Fatalf("over legacy HTTP: told %s", got.text)
		}
		m, err := ccs.ParseFromApp([]byte(`{"to":"` + device + `","message_id":"m-1","data":` + data + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.pool.Send(ctx, m.(*ccs.Downstream)); err != nil {
			t.Fatalf("over CCS: told %v", err)
		}
		all := sim.Record()
		if len(all) != 2 {
			t.Fatalf("%d messages have come, want 2", len(all))
		}
		for _, r := range all {
			if !reflect.DeepEqual(r.Data, want) {
				t.Errorf("got  %q\nwant %q", r.Data, want)
			}
		}
	})
}
