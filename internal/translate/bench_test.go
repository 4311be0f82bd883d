package translate_test

import (
	"testing"
	"time"

	"penstock/ccs"
	"penstock/internal/translate"
)

// BenchmarkToV1 translates the two messages that most senders write.
func BenchmarkToV1(b *testing.B) {
	for name, m := range map[string]*ccs.Downstream{
		"data": {
			To: "T", MessageID: "m-1", Priority: ccs.PriorityHigh, TTL: new(10 * time.Minute),
			Data: map[string]string{"title": "Goal!", "match": "4711", "minute": "89"},
		},
		"notification": {
			To: "T", MessageID: "m-1", Priority: ccs.PriorityHigh, CollapseKey: "score",
			Notification: map[string]string{"title": "Goal", "body": "The second one", "badge": "3", "sound": "default", "click_action": "OPEN"},
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := translate.ToV1(m, at(0), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseLegacyJSON(b *testing.B) {
	body := []byte(`{"to":"T","priority":"high","time_to_live":600,"data":{"title":"Goal!","match":"4711","minute":89}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := translate.ParseLegacyJSON(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}
