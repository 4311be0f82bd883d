package observe_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/internal/observe"
)

func TestAddressesAreTextWithEveryHandler(t *testing.T) {
	withAddress := []string{ // the lines of all events that have one
		"a CCS connection came to nothing", "a CCS connection was refused by a limit",
		"a login was refused: sender id and server key do not fit", "an app server logged in",
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
