package translate

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// MaxTargets is how many tokens one legacy request may name.
const MaxTargets = 1000

// LegacyOptions are what an operator may choose about legacy HTTP requests. The
// zero value is the default of each, and so is a nil pointer.
type LegacyOptions struct {
	// Null is what becomes of a null in data.
	Null NullData
	// Strict answers reserved keys, times to live out of range and missing targets
	// with 400 and Google's text, as its server did at last, and not with 200 and
	// the word, as its documents say.
	Strict bool
	// RefuseUnknown refuses requests with fields that nobody documented.
	RefuseUnknown bool
	// OddPriority is what becomes of a priority that is neither normal nor high.
	OddPriority OddPriority
}

// A NullData says what becomes of a null in data, where v1 takes strings only.
type NullData uint8

const (
	// DropNull leaves the key out.
	DropNull NullData = iota
	// NullIsEmpty writes an empty string.
	NullIsEmpty
	// NullIsText writes the word null.
	NullIsText
)

// A Legacy is one request of the legacy HTTP protocol: one message, for as many
// targets as it names.
type Legacy struct {
	// Targets are in the order of the request, also if some are equal. A
	// condition has none and stands in Message.
	Targets []ccs.RegistrationToken
	Many    bool // registration_ids: the answer has a result for each
	Form    bool // plain text, and so is the answer
	Message ccs.Downstream
	Ignored int // fields of the request that mean nothing
}

// Topic reports whether the request is for a topic or a condition: its answer
// has one message id and no results.
func (l *Legacy) Topic() bool {
	return !l.Many && (l.Message.Condition != "" || len(l.Targets) == 1 && strings.HasPrefix(string(l.Targets[0]), ccs.TopicPrefix))
}

// Len is how many messages the request stands for, and results its answer has.
func (l *Legacy) Len() int { return max(1, len(l.Targets)) }

// At is the message for the i-th target. The error is a *[fcm.SendError]: what
// stands among registration_ids must be a token.
func (l *Legacy) At(i int) (*ccs.Downstream, error) {
	m := l.Message
	if len(l.Targets) > 0 {
		m.To = l.Targets[i]
		if l.Many && (m.To == "" || strings.HasPrefix(string(m.To), ccs.TopicPrefix)) {
			return nil, invalid(fcm.MalformedToken, "message.token", textBadToken)
		}
	}
	return &m, nil
}

// A LegacyError is the answer to a request that is refused as a whole. With
// status 200 it is a result of Code for each target, in the form that the
// request asks for; with another it is Text, plain.
type LegacyError struct {
	Status int
	Text   string
	Code   string // a word of the protocol, such as InvalidTtl; empty: it has none for this
}

func (e *LegacyError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("translate: HTTP %d: %s", e.Status, e.Code)
	}
	return fmt.Sprintf("translate: HTTP %d: %s", e.Status, e.Text)
}

// badRequest is an answer with Google's own text, or one in its manner.
func badRequest(format string, args ...any) *LegacyError {
	return &LegacyError{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...), Code: InvalidParameters}
}

// word is an answer that Google documented with 200 and a word, and gave with
// 400 and a text.
func (o *LegacyOptions) word(code, format string, args ...any) *LegacyError {
	if o.Strict {
		e := badRequest(format, args...)
		e.Code = code
		return e
	}
	return &LegacyError{Status: http.StatusOK, Code: code}
}

// checkKeys refuses the keys in data that the legacy protocol or v1 keeps.
func (o *LegacyOptions) checkKeys(data map[string]string) *LegacyError {
	first, found := "", false
	for key := range data {
		// The least of several, so that equal requests get equal answers.
		if reservedByLegacy(key) && (!found || key < first) {
			first, found = key, true
		}
	}
	if found {
		return o.word(InvalidDataKey, `"data" key "%s" is a reserved keyword`, printable(first, maxEcho))
	}
	return nil
}

// reservedByLegacy reports whether the legacy protocol or v1 refuses key in data.
func reservedByLegacy(key string) bool {
	return key == "from" || key == "message_type" ||
		strings.HasPrefix(key, "google") || strings.HasPrefix(key, "gcm")
}

// ttl reads a number of seconds, with zeros behind a point at most. JSON has a zero
// with a sign, too.
func (o *LegacyOptions) ttl(text string) (*time.Duration, *LegacyError) {
	whole, zeros, _ := strings.Cut(text, ".")
	whole, negative := strings.CutPrefix(whole, "-")
	seconds := 0
	for i := range len(whole) {
		if whole[i] < '0' || whole[i] > '9' || seconds > int(fcm.MaxTTL/time.Second) {
			seconds = -1
			break
		}
		seconds = 10*seconds + int(whole[i]-'0')
	}
	if whole == "" || seconds < 0 || negative && seconds > 0 || seconds > int(fcm.MaxTTL/time.Second) || strings.Trim(zeros, "0") != "" {
		return nil, o.word(InvalidTTL, `Invalid value (%s) for "time_to_live": must be between 0 and %d`, printable(text, maxEcho), fcm.MaxTTL/time.Second)
	}
	ttl := time.Duration(seconds) * time.Second
	return &ttl, nil
}

// priority reads normal or high, in any case.
func (o *LegacyOptions) priority(text string) (ccs.Priority, *LegacyError) {
	switch p := ccs.Priority(strings.ToLower(text)); {
	case p == "" || p == ccs.PriorityNormal || p == ccs.PriorityHigh:
		return p, nil
	case o.OddPriority == OddPriorityIsNormal:
		return ccs.PriorityNormal, nil
	}
	return "", badRequest(`Invalid value (%s) for "priority": must be "normal" or "high"`, printable(text, maxEcho))
}
