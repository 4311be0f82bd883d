package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// A Secret is what one installation hashes its keys with: whoever steals the
// hashes alone cannot even try guesses. The zero value is none: [NewRing]
// refuses it, and it cannot hash. However it is formatted, logged or encoded,
// alone or inside of something, it shows nothing.
type Secret struct {
	key func() []byte // a function: formatting a struct around it does not ask Format
}

// NewSecret makes a random secret. Several goroutines may call.
func NewSecret() Secret {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return secretOf(key)
}

// ParseSecret reads what [Secret.Reveal] wrote, with white space around it. The
// error does not repeat the text.
func ParseSecret(text string) (Secret, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != sha256.Size {
		return Secret{}, fmt.Errorf("keys: the secret is not %d hexadecimal digits", hex.EncodedLen(sha256.Size))
	}
	if bytes.Equal(key, make([]byte, sha256.Size)) {
		return Secret{}, errors.New("keys: the secret is all zeros")
	}
	return secretOf(key), nil
}

func secretOf(key []byte) Secret { return Secret{func() []byte { return key }} }

// Reveal is the secret in clear, for the file that keeps it.
func (s Secret) Reveal() string { return hex.EncodeToString(s.key()) }

// Hash is what is kept of a key. Several goroutines may call.
func (s Secret) Hash(key string) (h Hash) {
	mac := hmac.New(sha256.New, s.key())
	_, _ = io.WriteString(mac, key)
	mac.Sum(h[:0])
	return h
}

// idLabel is hashed for the id of a secret. No server key has a blank, so that no
// key's hash begins like that.
const idLabel = "id of the secret"

// ID tells secrets apart, 8 hexadecimal digits. It is no secret: nothing follows
// from it.
func (s Secret) ID() string {
	h := s.Hash(idLabel)
	return hex.EncodeToString(h[:4])
}

// Format implements [fmt.Formatter] for every verb.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes encoders write no secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Hash is the HMAC with SHA-256 of a key under the installation's secret.
type Hash [sha256.Size]byte

const hashPrefix = "hmac-sha256:"

// String tells hashes apart and does not hold a whole one.
func (h Hash) String() string { return hex.EncodeToString(h[:4]) + "…" }

// MarshalText writes the whole hash, and how it was made.
func (h Hash) MarshalText() ([]byte, error) {
	return hex.AppendEncode([]byte(hashPrefix), h[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), hashPrefix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(h) {
		return fmt.Errorf("keys: a hash is %s and %d hexadecimal digits", hashPrefix, hex.EncodedLen(len(h)))
	}
	copy(h[:], b)
	return nil
}
