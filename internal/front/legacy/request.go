package legacy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/internal/translate"
)

// MaxTargets is how many registration_ids one request may have.
const MaxTargets = 1000

const topics = "/topics/"

// A request is what one POST asks for. Each target gets a copy of message.
type request struct {
	// Exactly one of the following is set.
	tokens    []string // registration_ids, in their order, or the one of a form
	to        string   // a token, the notification key of a group, or /topics/NAME
	condition string

	message ccs.Downstream // without target and id
	// each is the word for a fault that all targets have, so that nothing is sent;
	// empty: none.
	each   string
	detail string // the fault in a sentence that Google was seen to write
	plain  bool   // the answer is text
}

// toTopic reports whether many devices are meant, so that the answer is a
// number alone.
func (q *request) toTopic() bool {
	return q.condition != "" || strings.HasPrefix(q.to, topics)
}

// A fault is why a request is refused as a whole: nothing of it was sent. Its
// text is for the caller and repeats neither tokens nor what apps send each
// other.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

func invalid(format string, args ...any) *fault {
	return &fault{status: 400, text: fmt.Sprintf(format, args...)}
}

// Keys of a request. Other keys are ignored, as Google's server did.
const (
	keyTo               = "to"
	keyRegistrationIDs  = "registration_ids"
	keyRegistrationID   = "registration_id"
	keyCondition        = "condition"
	keyNotificationKey  = "notification_key"
	keyCollapseKey      = "collapse_key"
	keyPriority         = "priority"
	keyTTL              = "time_to_live"
	keyContentAvailable = "content_available"
	keyMutableContent   = "mutable_content"
	keyDryRun           = "dry_run"
	keyDelayWhileIdle   = "delay_while_idle"
	keyDirectBootOK     = "direct_boot_ok"
	keyPackage          = "restricted_package_name"
	keyOptions          = "fcm_options"
	keyLabel            = "analytics_label" // inside fcm_options
	keyData             = "data"
	keyNotification     = "notification"
)

// parseJSON reads the body of a JSON request. The error is always a *fault.
// Of equal keys the last counts; null is like absence (docs/fcm-http.md, Legacy
// HTTP).
func parseJSON(body []byte) (*request, error) {
	fields, err := members(body)
	if err != nil {
		return nil, err
	}
	d := decoder{fields: fields}
	q := &request{to: d.text(keyTo), condition: d.text(keyCondition)}
	group := d.text(keyNotificationKey)
	q.tokens = d.list(keyRegistrationIDs)
	m := &q.message
	m.CollapseKey = ccs.CollapseKey(d.text(keyCollapseKey))
	m.Priority = priority(d.text(keyPriority))
	m.ContentAvailable = d.flag(keyContentAvailable)
	m.MutableContent = d.flag(keyMutableContent)
	m.DryRun = d.flag(keyDryRun)
	m.DelayWhileIdle = d.flag(keyDelayWhileIdle)
	m.DirectBootOK = d.flag(keyDirectBootOK)
	m.RestrictedPackageName = d.text(keyPackage)
	m.AnalyticsLabel = d.label()
	ttl := d.number(keyTTL)
	m.Data = d.texts(keyData)
	m.Notification = d.texts(keyNotification)
	if d.failed != nil {
		return nil, d.failed
	}

	targets := 0
	for _, set := range []bool{q.to != "", q.condition != "", group != "", q.tokens != nil} {
		if set {
			targets++
		}
	}
	switch {
	case q.tokens != nil && targets > 1:
		return nil, invalid(`Must use either "registration_ids" field or "to", not both`)
	case targets > 1:
		return nil, invalid(`Must use one of "to", "condition" and "notification_key"`)
	case q.tokens != nil && len(q.tokens) == 0:
		return nil, invalid(`"registration_ids" field cannot be empty`)
	case len(q.tokens) > MaxTargets:
		return nil, invalid("Number of messages on bulk (%d) exceeds maximum allowed (%d)", len(q.tokens), MaxTargets)
	}
	if group != "" {
		q.to = group // the gateway cannot tell one from a token, and need not
	}
	q.check(ttl, targets == 0)
	return q, nil
}

// priority knows its words in any letter case. What to do about others is for
// the translation to say.
func priority(text string) ccs.Priority {
	for _, p := range [...]ccs.Priority{ccs.PriorityNormal, ccs.PriorityHigh} {
		if strings.EqualFold(text, string(p)) {
			return p
		}
	}
	return ccs.Priority(text)
}

// check looks at what both forms have. ttl is as it was written, or empty.
func (q *request) check(ttl string, noTarget bool) {
	if !q.setTTL(ttl) {
		q.fail(translate.InvalidTTL, `Invalid value (%s) for "time_to_live": must be between 0 and %d`, shorten(ttl), ccs.MaxTTL/time.Second)
	}
	if key, bad := reservedKey(q.message.Data); bad {
		q.fail(translate.InvalidDataKey, `"data" key %q is a reserved keyword`, shorten(key))
	}
	if noTarget {
		q.fail(translate.MissingRegistration, `Missing "registration_ids" field`)
	}
}

// fail gives all targets a fault. A later one counts for more.
func (q *request) fail(word string, format string, args ...any) {
	q.each, q.detail = word, fmt.Sprintf(format, args...)
}

// setTTL takes whole seconds from 0 to four weeks, 6e2 and 600.0 among them.
func (q *request) setTTL(text string) bool {
	if text == "" {
		return true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f > float64(ccs.MaxTTL/time.Second) || f != float64(int64(f)) {
		return false
	}
	if digits, _, _ := strings.Cut(strings.ToLower(text), "e"); f == 0 && strings.ContainsAny(digits, "123456789") {
		return false // so small that it became 0, which would mean now or never
	}
	ttl := time.Duration(int64(f)) * time.Second
	q.message.TTL = &ttl
	return true
}

// reservedKey finds the first key, in the order of the alphabet, that no app
// may use in data: FCM keeps these names for itself.
func reservedKey(data map[string]string) (first string, found bool) {
	for key := range data {
		if key != "from" && key != "message_type" && !strings.HasPrefix(key, "google") && !strings.HasPrefix(key, "gcm") {
			continue
		}
		if !found || key < first {
			first, found = key, true
		}
	}
	return first, found
}

// members takes a JSON object apart. It refuses what is none, in the words of
// Google's parser, and what nests deeper than anybody means to.
func members(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, invalid("JSON_PARSING_ERROR: the body is not valid UTF-8.")
	}
	// Before the parser sees it: the parser recurses.
	if n := depth(body); n > ccs.MaxDepth {
		return nil, invalid("JSON_PARSING_ERROR: values nest %d deep: at most %d are allowed.", n, ccs.MaxDepth)
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(body, &fields)
	wrong, isSyntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case isSyntax && !strings.HasPrefix(wrong.Error(), "unexpected end"):
		at := int(wrong.Offset) - 1 // the parser counts the character that it has read
		r, _ := utf8.DecodeRune(body[at:])
		return nil, invalid("JSON_PARSING_ERROR: Unexpected character (%c) at position %d.", printable(r), at)
	case isSyntax:
		return nil, invalid("JSON_PARSING_ERROR: Unexpected token END OF FILE at position %d.", len(body))
	case err != nil || fields == nil:
		return nil, invalid("JSON_PARSING_ERROR: the body is no JSON object.")
	}
	return fields, nil
}

// depth is how deep brackets nest outside of strings.
func depth(body []byte) (deepest int) {
	now, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return utf8.RuneError
	}
	return r
}

// A decoder takes fields by their types. The first that is of a wrong one fails
// the whole.
type decoder struct {
	fields map[string]json.RawMessage
	failed error
}

// value is a field's text, or nil for one that is absent or null.
func (d *decoder) value(key string) json.RawMessage {
	v := d.fields[key]
	if string(v) == "null" {
		return nil
	}
	return v
}

// wrong refuses a field in Google's words. Values that may be secret or private,
// targets and what apps send each other, are not repeated.
func (d *decoder) wrong(key, want string) {
	if d.failed != nil {
		return
	}
	switch key {
	case keyCollapseKey, keyPriority, keyTTL, keyContentAvailable, keyMutableContent, keyDryRun, keyDelayWhileIdle, keyDirectBootOK, keyPackage:
		d.failed = invalid("Field %q must be a JSON %s: %s", key, want, shorten(strings.Trim(string(d.fields[key]), `"`)))
	default:
		d.failed = invalid("Field %q must be a JSON %s", key, want)
	}
}

func (d *decoder) text(key string) string {
	v := d.value(key)
	if v == nil {
		return ""
	}
	s, ok := unquote(v)
	if !ok {
		d.wrong(key, "string")
	}
	return s
}

func (d *decoder) flag(key string) bool {
	switch v := d.value(key); string(v) {
	case "", "false":
		return false
	case "true":
		return true
	}
	d.wrong(key, "boolean")
	return false
}

// label is the only one of the options that means something.
func (d *decoder) label() string {
	v := d.value(keyOptions)
	if v == nil {
		return ""
	}
	options := decoder{}
	if json.Unmarshal(v, &options.fields) != nil {
		d.wrong(keyOptions, "object")
		return ""
	}
	label := options.text(keyLabel)
	if options.failed != nil {
		d.failed = cmp.Or(d.failed, options.failed)
	}
	return label
}

// number is the text of a number, or of a string of digits.
func (d *decoder) number(key string) string {
	v := d.value(key)
	if s, ok := unquote(v); ok && s != "" && strings.Trim(s, "0123456789") == "" {
		return s
	}
	if len(v) > 0 && v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		d.wrong(key, "number")
		return ""
	}
	return string(v)
}

// list is an array of strings; nil is an absent one.
func (d *decoder) list(key string) []string {
	v := d.value(key)
	if v == nil {
		return nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(v, &elements) != nil {
		d.wrong(key, "array")
		return nil
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		s, ok := unquote(e)
		if !ok {
			d.wrong(key, "array of strings")
			return nil
		}
		list[i] = s
	}
	return list
}

// texts is an object whose values are made into strings: numbers keep their
// digits, objects and arrays become compact JSON, null drops its key.
func (d *decoder) texts(key string) map[string]string {
	v := d.value(key)
	if v == nil {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(v, &members) != nil {
		d.wrong(key, "object")
		return nil
	}
	m := make(map[string]string, len(members))
	for k, v := range members {
		switch v[0] {
		case 'n':
		case '"':
			m[k], _ = unquote(v)
		case '{', '[':
			var b bytes.Buffer
			if json.Compact(&b, v) == nil { // it was parsed before
				m[k] = b.String()
			}
		default:
			m[k] = string(v)
		}
	}
	return m
}

func unquote(v json.RawMessage) (s string, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(v, &s) == nil
}

// shorten is a caller's own value, fit to be repeated to it in a line of text.
func shorten(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Map(printable, s)
}
