package ccs_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
)

func TestNewMessageIDsDiffer(t *testing.T) {
	seen := map[ccs.MessageID]bool{}
	for range 1000 {
		id := ccs.NewMessageID()
		if seen[id] || !strings.HasPrefix(string(id), "m-") || len(id) < 20 || len(id) > ccs.MaxMessageID {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func TestTokensRedactThemselves(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token ccs.RegistrationToken
		want  string
	}{
		{"a token shows its beginning", "abcdefghijklmnop", "abcd…(16)"},
		{"a short token shows nothing", "abcdefghijk", "…(11)"},
		{"an empty token", "", "…(0)"},
		{"a topic is no secret", "/topics/news", "/topics/news"},
		{"characters stay whole", "éabcdefghijklmnopqr", "éabc…(20)"},
		{"wide characters show less", "😀😀😀", "😀…(12)"},
		{"bytes that are no characters", "\xff\xffabcdefghijklmnop", "\ufffdab…(18)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.token.Redacted(); got != tt.want {
				t.Errorf("Redacted = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLogsNeverHoldAToken(t *testing.T) {
	token := ccs.RegistrationToken(benchToken)
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("sent", "token", token, slog.Any("other", token))
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("sent", "token", token, slog.Group("to", "token", token))
	fmt.Fprint(&logged, token.LogValue())
	fmt.Fprintf(&logged, "%v %+v %s", token.LogValue(), token.LogValue(), token.LogValue())
	if strings.Contains(logged.String(), benchToken[4:12]) {
		t.Errorf("the log holds the token: %s", &logged)
	}
	if n := strings.Count(logged.String(), token.Redacted()); n != 8 {
		t.Errorf("the log names the token %d times: %s", n, &logged)
	}
}

func TestContentHashIsThatOfTheContent(t *testing.T) {
	const payload = `{"to":"T","message_id":"m-1","priority":"high","time_to_live":600,"dry_run":false,"data":{"a":"é","b":"1"}}`
	want := parseDownstream(t, payload).ContentHash()
	for _, same := range []string{
		`{"data":{"b":1,"a":"\u00e9"},"time_to_live":"600","priority":"HIGH","message_id":"m-2","to":"T"}`,
		`{"x":1,"to":"T","message_id":"m-1","priority":"high","time_to_live":6e2,"notification":{},"data":{"a":"x","a":"é","b":"1","c":null}}`,
	} {
		if parseDownstream(t, same).ContentHash() != want {
			t.Errorf("another hash for the same content: %s", same)
		}
	}
}

func TestContentHashTellsMessagesApart(t *testing.T) {
	zero := time.Duration(0)
	seen := map[[32]byte]int{}
	for i, m := range []ccs.Downstream{
		{},
		{To: "a"},
		{Condition: "a"},
		{CollapseKey: "a"},
		{Priority: "a"},
		{RestrictedPackageName: "a"},
		{AnalyticsLabel: "a"},
		{DirectBootOK: true},
		{TTL: &zero},
		{TTL: seconds(1)},
		{ContentAvailable: true},
		{MutableContent: true},
		{DelayWhileIdle: true},
		{DeliveryReceiptRequested: true},
		{DryRun: true},
		{Data: map[string]string{"a": "b"}},
		{Data: map[string]string{"ab": ""}},
		{Data: map[string]string{"": "ab"}},
		{Data: map[string]string{"a": "b", "c": "d"}},
		{Notification: map[string]string{"a": "b"}},
		{To: "ab"},
		{To: "a", Condition: "b"},
	} {
		hash := m.ContentHash()
		if other, ok := seen[hash]; ok {
			t.Errorf("messages %d and %d have the same hash", other, i)
		}
		seen[hash] = i
	}
}
