package ccs

import (
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// minShown is the length from which a token shows its beginning: four
// characters of a shorter one would be too much of it.
const minShown = 12

// Redacted is the token as logs and people may see it: how it begins, and its
// length. Topics are no secret and stay whole.
func (t RegistrationToken) Redacted() string {
	if strings.HasPrefix(string(t), TopicPrefix) {
		return string(t)
	}
	shown := 0
	if len(t) >= minShown {
		for range 4 {
			_, n := utf8.DecodeRuneInString(string(t[shown:]))
			if shown+n > len(t)/3 {
				break // a token of wide characters, which no real one is
			}
			shown += n
		}
	}
	return strings.ToValidUTF8(string(t[:shown]), "\ufffd") + "…(" + strconv.Itoa(len(t)) + ")"
}

// LogValue is t redacted, so that no logger writes a whole token.
func (t RegistrationToken) LogValue() slog.Value { return slog.StringValue(t.Redacted()) }
