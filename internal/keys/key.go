package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret shows of itself.
const redacted = "[redacted]"

// Limits of a key that an operator brings along. Keys of legacy HTTP had 39 or
// 152 characters.
const (
	MinLength = 16   // bytes
	MaxLength = 1000 // bytes: with a sender id it fits into a login of CCS
)

// A Key is a server key that was just made, for the one place whose job is to
// hand it over. However it is formatted, logged or encoded, alone or inside of
// something, it shows nothing.
type Key struct {
	text func() string // a function: formatting a struct around it does not ask Format
}

// Generate makes a key of 256 random bits or more. Several goroutines may call.
func Generate() Key {
	text := "psk_" + rand.Text() + rand.Text()
	return Key{func() string { return text }}
}

// Reveal is the key in clear: ASCII letters, digits and an underscore.
func (k Key) Reveal() string { return k.text() }

// Format implements [fmt.Formatter] for every verb.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes encoders write no key.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Check reports what keeps a text from being a server key: it is too short to
// be safe, too long to be sent, or holds a character that a header or a login
// would not carry. The error does not repeat the text.
func Check(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) < MinLength:
		return fmt.Errorf("the key has %d characters: at least %d are needed", len(key), MinLength)
	case len(key) > MaxLength:
		return fmt.Errorf("the key has %d characters: at most %d are allowed", len(key), MaxLength)
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("character %d of the key is a blank, or no printable ASCII", i+1)
		}
	}
	return nil
}
