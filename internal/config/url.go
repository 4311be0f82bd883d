package config

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// A URL is the text of a URL, or of what somebody took for one, that may name a
// user and a password. To all but callers of [URL.Reveal] these are "[redacted]",
// printed, logged or encoded. The zero value is empty.
type URL struct {
	text *string // a pointer, as in a Secret
}

// NewURL hides what text has of users and passwords.
func NewURL(text string) URL {
	if text == "" {
		return URL{}
	}
	return URL{&text}
}

// Reveal returns the whole text.
func (u URL) Reveal() string {
	if u.text == nil {
		return ""
	}
	return *u.text
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// parts are the scheme, what stands before the host, and the rest. What is no
// URL at all may hold a password too, so that every @ counts, and the last one
// divides.
func (u URL) parts() (prefix, userinfo, rest string) {
	text := u.Reveal()
	begin := len(scheme.FindString(text))
	at := strings.LastIndexByte(text, '@')
	if at < begin {
		return text[:begin], "", text[begin:]
	}
	return text[:begin], text[begin : at+1], text[at+1:]
}

// String hides user and password.
func (u URL) String() string {
	prefix, userinfo, rest := u.parts()
	if userinfo != "" {
		userinfo = redacted + "@"
	}
	return prefix + userinfo + rest
}

// hasPassword reports whether there is one to be hidden from others.
func (u URL) hasPassword() bool {
	_, userinfo, _ := u.parts()
	return strings.Contains(userinfo, ":")
}

// Format hides user and password from every verb.
func (u URL) Format(f fmt.State, verb rune) {
	format := "%s"
	if verb == 'q' {
		format = "%q"
	}
	fmt.Fprintf(f, format, u.String())
}

// MarshalText hides user and password from encoders.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue hides user and password from logs.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }
