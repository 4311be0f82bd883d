package ccs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
)

func TestValidate(t *testing.T) {
	ttl := func(d time.Duration) *time.Duration { return &d }
	for _, tt := range []struct {
		name  string
		m     ccs.Downstream
		field string // empty: no rule is broken
	}{
		{"C18 no message_id", ccs.Downstream{To: "T"}, "message_id"},
		{"C18 no target", ccs.Downstream{MessageID: "m"}, "to"},
		{"C18 two targets", ccs.Downstream{To: "T", Condition: "C", MessageID: "m"}, "to"},
		{"C18 a token is enough", ccs.Downstream{To: "T", MessageID: "m"}, ""},
		{"C18 a condition is enough", ccs.Downstream{Condition: "C", MessageID: "m"}, ""},
		{"an id at its limit", ccs.Downstream{To: "T", MessageID: ccs.MessageID(strings.Repeat("m", 1024))}, ""},
		{"an id above its limit", ccs.Downstream{To: "T", MessageID: ccs.MessageID(strings.Repeat("m", 1025))}, "message_id"},
		{"C19 time to live zero", ccs.Downstream{To: "T", MessageID: "m", TTL: seconds(0)}, ""},
		{"C19 time to live at its limit", ccs.Downstream{To: "T", MessageID: "m", TTL: seconds(2419200)}, ""},
		{"C19 time to live above its limit", ccs.Downstream{To: "T", MessageID: "m", TTL: seconds(2419201)}, "time_to_live"},
		{"C19 time to live negative", ccs.Downstream{To: "T", MessageID: "m", TTL: seconds(-1)}, "time_to_live"},
		{"C19 time to live of less than a second", ccs.Downstream{To: "T", MessageID: "m", TTL: ttl(time.Millisecond)}, "time_to_live"},
		{"C19 a reserved data key", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"from": ""}}, "data"},
		{"C19 payload at its limit", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"k": strings.Repeat("v", 4095)}}, ""},
		{"C19 payload above its limit", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"k": strings.Repeat("v", 4095)}, Notification: map[string]string{"": "x"}}, "data"},
		{"C19 notification above its limit", ccs.Downstream{To: "T", MessageID: "m", Notification: map[string]string{"k": strings.Repeat("v", 4096)}}, "notification"},
		{"C19 bytes are counted and not characters", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"k": strings.Repeat("é", 2048)}}, "data"},
		{"C19 a collapse key that fits into no stanza", ccs.Downstream{To: "T", MessageID: "m", CollapseKey: ccs.CollapseKey(strings.Repeat("&", 12_000))}, "collapse_key"},
		{"C19 the same length where nothing needs escaping", ccs.Downstream{To: "T", MessageID: "m", CollapseKey: ccs.CollapseKey(strings.Repeat("a", 12_000))}, ""},
		{"C19 a token that fits into no stanza", ccs.Downstream{To: ccs.RegistrationToken(strings.Repeat("t", 62_000)), MessageID: "m"}, "to"},
		{"C19 a condition that fits into no stanza", ccs.Downstream{Condition: strings.Repeat("c", 62_000), MessageID: "m"}, "condition"},
		{"C19 an analytics label that fits into no stanza", ccs.Downstream{To: "T", MessageID: "m", AnalyticsLabel: strings.Repeat("&", 12_000)}, "fcm_options"},
		{"a priority of its own", ccs.Downstream{To: "T", MessageID: "m", Priority: "HIGH"}, "priority"},
		{"a token that is not UTF-8", ccs.Downstream{To: "\xff", MessageID: "m"}, "to"},
		{"an id that is not UTF-8", ccs.Downstream{To: "T", MessageID: "\xff"}, "message_id"},
		{"a collapse key that is not UTF-8", ccs.Downstream{To: "T", MessageID: "m", CollapseKey: "\xff"}, "collapse_key"},
		{"a condition that is not UTF-8", ccs.Downstream{Condition: "\xff", MessageID: "m"}, "condition"},
		{"a package name that is not UTF-8", ccs.Downstream{To: "T", MessageID: "m", RestrictedPackageName: "\xff"}, "restricted_package_name"},
		{"an analytics label that is not UTF-8", ccs.Downstream{To: "T", MessageID: "m", AnalyticsLabel: "\xff"}, "fcm_options"},
		{"a data key that is not UTF-8", ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{"\xff": ""}}, "data"},
		{"a notification value that is not UTF-8", ccs.Downstream{To: "T", MessageID: "m", Notification: map[string]string{"k": "\xff"}}, "notification"},
		{"a notification may use reserved names", ccs.Downstream{To: "T", MessageID: "m", Notification: map[string]string{"from": "x"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.Validate()
			if tt.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wrong, ok := errors.AsType[*ccs.FieldError](err)
			if !ok {
				t.Fatalf("Validate = %v, want a *FieldError", err)
			}
			if wrong.Field != tt.field || wrong.Reason == "" {
				t.Errorf("Validate = %v, want field %q", err, tt.field)
			}
		})
	}
}

func TestC19_ReservedDataKeys(t *testing.T) {
	for _, key := range []string{
		"from", "message_type", "google", "google.sent_time", "gcm", "gcm.notification.title", "gcmx",
		"to", "condition", "message_id", "collapse_key", "priority", "content_available", "mutable_content",
		"time_to_live", "delivery_receipt_requested", "dry_run", "delay_while_idle", "data", "notification",
		"restricted_package_name", "registration_ids",
	} {
		m := ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{key: "v", "fine": "v"}}
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), `"`+key+`"`) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, key := range []string{"", "From", "fromage", "goog", "Google", "my.gcm", "topic", "category", "error"} {
		m := ccs.Downstream{To: "T", MessageID: "m", Data: map[string]string{key: "v"}}
		if err := m.Validate(); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func ExampleDownstream_Validate() {
	ttl := 29 * 24 * time.Hour
	m := &ccs.Downstream{To: "TOKEN", MessageID: ccs.NewMessageID(), TTL: &ttl}
	fmt.Println(m.Validate())
	m.TTL = nil
	fmt.Println(m.Validate())
	// Output:
	// field "time_to_live": must be between 0 and 2419200 seconds, and is 696h0m0s
	// <nil>
}

// TestEveryValidMessageFitsIntoAStanza encodes the largest messages that are
// valid: one that took more than 64 KiB would end every stream it is sent on.
func TestEveryValidMessageFitsIntoAStanza(t *testing.T) {
	const stanza = 64<<10 - 200 // less what stands around the JSON
	many := make(map[string]string)
	for i := range 2_000 {
		many[string(rune(1+i%31))+string(rune(1+i/31))] = ""
	}
	for name, m := range map[string]ccs.Downstream{
		"escapes throughout": {
			MessageID: ccs.MessageID(strings.Repeat("<", ccs.MaxMessageID)), To: "T",
			Data: map[string]string{"\x01": strings.Repeat("\x01", ccs.MaxPayload-1)},
		},
		"many keys": {MessageID: "m", To: "T", Data: many},
	} {
		for n := 0; n < 100_000; n += 500 {
			m.CollapseKey = ccs.CollapseKey(strings.Repeat("&", n))
			if m.Validate() != nil {
				if n == 0 {
					t.Errorf("%s: not valid at all: %v", name, m.Validate())
				}
				break
			}
			if size := len(ccs.AppendFromApp(nil, &m)); size > stanza {
				t.Errorf("%s: valid, and has %d bytes", name, size)
			}
		}
	}
}
