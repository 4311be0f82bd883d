package translate_test

import (
	"encoding/json"
	"testing"

	"penstock/internal/translate"
)

func TestT_50_ATopicsMessageIDIsAJSONNumber(t *testing.T) {
	for name, want := range map[string]string{
		"projects/p/messages/1717673451795380":                 "1717673451795380",
		"projects/p/messages/9007199254740993":                 "9007199254740993",
		"projects/p/messages/12345678901234567890123":          "12345678901234567890123",
		"projects/p/messages/0":                                "0",
		"projects/p/messages/000":                              "0",
		"projects/p/messages/007":                              "7",
		"projects/p/messages/fake_message_id":                  "42",
		"projects/p/messages/0:1500415314455276%31bd1c9631bd1": "42",
		"projects/p/messages/":                                 "42",
		"projects/p/messages/-5":                               "42",
		"projects/p/messages/1%2":                              "42",
		"projects/p/messages/1/x2":                             "42",
		"":                                                     "42",
	} {
		got := translate.MessageNumber(name, 42)
		if got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
		var n json.Number
		if err := json.Unmarshal([]byte(got), &n); err != nil || n.String() != want {
			t.Errorf("%s is no JSON number: %v", got, err)
		}
	}
}

func TestTheLastPartOfANameStaysAsItIs(t *testing.T) {
	for name, want := range map[string]string{
		"projects/p/messages/0:1500415314455276%31bd1c9631bd1c96": "0:1500415314455276%31bd1c9631bd1c96",
		"projects/p/messages/": "",
		"plain":                "plain",
		"":                     "",
	} {
		if got := translate.LastPart(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
