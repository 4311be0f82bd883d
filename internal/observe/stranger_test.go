package observe_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/ccs"
	"penstock/internal/observe"
)

func TestAddressesAreTextWithEveryHandler(t *testing.T) {
	withAddress := []string{ // the lines of all events that have one
		"a CCS connection came to nothing", "a CCS connection was refused by a limit",
		"a login was refused: sender id and server key do not fit",
		"a request showed no key that counts here", "a request was refused", "an app server logged in",
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			text := new(lockedText)
			tell(observe.New(prometheus.NewPedanticRegistry(), observe.NewLog(text, format, "debug")))
			got := make(map[string]bool)
			for line := range strings.Lines(text.String()) {
				if format == "text" {
					_, rest, ok := strings.Cut(line, " address=")
					if !ok {
						continue
					}
					if value, _, _ := strings.Cut(strings.TrimSpace(rest), " "); value != "192.0.2.1:5" {
						t.Error(line)
					}
					i := slices.IndexFunc(withAddress, func(msg string) bool { return strings.Contains(line, msg) })
					if i < 0 {
						t.Fatalf("one more line with an address: %s", line)
					}
					got[withAddress[i]] = true
					continue
				}
				var fields map[string]any
				if err := json.Unmarshal([]byte(line), &fields); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if address, ok := fields["address"]; ok {
					got[fields["msg"].(string)] = true
					if address != "192.0.2.1:5" {
						t.Error(line)
					}
				}
			}
			if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, withAddress) {
				t.Errorf("lines with an address: %q, want %q", list, withAddress)
			}
		})
	}
}

// A key in the place of the user name is a common slip, and the log is read by
// more people than may know it.
func TestR_A54_NamesThatNobodyVouchedForAreNotLogged(t *testing.T) {
	const canary = "CANARYofAServerKey0123456789abcdefghijklmnopqrst"
	digits := strings.Repeat("1234567890", 10)
	for _, tt := range []struct {
		name string
		user ccs.SenderID
		want string
	}{
		{"R-A54 a sender id", "123456789", "123456789"},
		{"R-A54 as many digits as any id has", ccs.SenderID(digits[:20]), digits[:20]},
		{"R-A54 more digits", ccs.SenderID(digits[:21]), "1234…(21)"},
		{"R-A54 far more digits", ccs.SenderID(digits), "1234…(100)"},
		{"R-A54 a key", canary, "CANA…(48)"},
		{"R-A54 a key that begins with digits", "123456789" + canary, "1234…(57)"},
		{"R-A54 a short key", "C12345678901", "C123…(12)"},
		{"R-A54 a short key that ends in a letter", "12345678901C", "1234…(12)"},
		{"R-A54 a short password", "Sesame", "…(6)"},
		{"R-A54 what looks like a topic", "/topics/" + canary, "…(56)"},
		{"R-A54 digits of another script", "١٢٣٤٥٦٧٨٩", "١٢٣…(18)"},
		{"R-A54 line breaks", "\n\n\n\n" + canary, `\n\n\n\n…(52)`},
		{"R-A54 none", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []string{"text", "json"} {
				text := new(lockedText)
				observe.New(prometheus.NewPedanticRegistry(), observe.NewLog(text, format, "debug")).CCS().AuthFailed(addr, tt.user)
				line := text.String()
				if strings.Count(line, "\n") != 1 || strings.Contains(line, canary[:10]) || strings.Contains(line, "sam") {
					t.Errorf("logged: %s", line)
				}
				want := []string{` sender_id="` + tt.want + `"`, ` sender_id=` + tt.want + "\n", ` sender_id=` + tt.want + " "}
				if format == "json" {
					want = []string{`"sender_id":"` + tt.want + `"`}
				}
				if !slices.ContainsFunc(want, func(w string) bool { return strings.Contains(line, w) }) {
					t.Errorf("got %s, want %q", line, want)
				}
			}
		})
	}
}
