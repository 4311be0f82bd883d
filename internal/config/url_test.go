package config_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"penstock/internal/config"
)

func TestURLsHideWhatStandsBeforeTheHost(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"none":                      "none",
		"https://proxy:3128/p":      "https://proxy:3128/p",
		"http://user:pw@proxy:3128": "http://[redacted]@proxy:3128",
		"http://token@proxy":        "http://[redacted]@proxy",
		"http://user:p@w@proxy":     "http://[redacted]@proxy",
		"http://user:p/w@proxy":     "http://[redacted]@proxy", // no URL, and a password all the same
		"http:/user:pw@proxy":       "[redacted]@proxy",
		"user:p://w@proxy":          "[redacted]@proxy",
	} {
		u := config.NewURL(text)
		if u.String() != want || u.Reveal() != text || fmt.Sprintf("%q", u) != fmt.Sprintf("%q", want) || fmt.Sprintf("%x", u) != want {
			t.Errorf("%s: got %s, and %q", text, u, u)
		}
		if got, err := json.Marshal(u); err != nil || string(got) != fmt.Sprintf("%q", want) {
			t.Errorf("%s: as JSON %s, %v", text, got, err)
		}
	}
}
