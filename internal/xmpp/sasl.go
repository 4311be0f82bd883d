package xmpp

import (
	"encoding/base64"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// Plain is the message of SASL PLAIN (RFC 4616). Printing or logging one shows
// no password.
type Plain struct {
	Authzid  string // whom to act as; empty: as User
	User     string
	Password string
}

// String shows all but the password.
func (p Plain) String() string { return "PLAIN " + p.User }

// GoString does as String does, for %#v.
func (p Plain) GoString() string { return p.String() }

// LogValue does as String does, for slog.
func (p Plain) LogValue() slog.Value { return slog.StringValue(p.String()) }

// A SASLError refuses a login; Condition is the element inside <failure>.
type SASLError struct{ Condition string }

func (e *SASLError) Error() string { return "SASL failure: " + e.Condition }

// maxPlain bounds the message of SASL PLAIN (docs/protocol.md, Limits).
const maxPlain = 1 << 10

// EncodePlain returns the text of <auth>. Most app servers leave authzid empty.
func EncodePlain(authzid, user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(authzid + "\x00" + user + "\x00" + password))
}

// DecodePlain reads the text of <auth>. Its error is a *SASLError:
// incorrect-encoding for what is no base64 on one line with padding,
// malformed-request for what is no message of SASL PLAIN (docs/protocol.md,
// SASL).
func DecodePlain(text []byte) (Plain, error) {
	s := strings.Trim(string(text), " \t\r\n")
	if len(s) > base64.StdEncoding.EncodedLen(maxPlain) {
		return Plain{}, &SASLError{"malformed-request"}
	}
	if s == "=" {
		s = "" // how XMPP writes an empty message (RFC 6120, section 6.4.2)
	}
	msg, err := base64.StdEncoding.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // Go skips line ends
		return Plain{}, &SASLError{"incorrect-encoding"}
	}
	parts := strings.Split(string(msg), "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" || len(msg) > maxPlain || !utf8.Valid(msg) {
		return Plain{}, &SASLError{"malformed-request"}
	}
	return Plain{parts[0], parts[1], parts[2]}, nil
}
