package fcmsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ccs"
)

// maxLegacyTokens is how many registration_ids one request may have.
const maxLegacyTokens = 1000

// A legacyRequest is what was posted to /fcm/send.
type legacyRequest struct {
	message ccs.Downstream          // without target and id
	to      ccs.RegistrationToken   // a token, a notification key, or /topics/NAME
	many    []ccs.RegistrationToken // registration_ids; nil: to or condition
	plain   bool                    // a form, answered as plain text
}

// parseLegacyJSON reads a body as the server did in 2019. Its errors are what
// the server wrote then, behind status 400.
func parseLegacyJSON(body []byte) (*legacyRequest, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, jsonFault(body, err)
	}
	p := &legacyFields{fields: fields}
	req := &legacyRequest{to: ccs.RegistrationToken(p.text("to"))}
	if req.to == "" {
		req.to = ccs.RegistrationToken(p.text("notification_key"))
	}
	m := &req.message
	m.Condition = p.text("condition")
	req.many = p.tokens("registration_ids")
	m.CollapseKey = ccs.CollapseKey(p.text("collapse_key"))
	m.RestrictedPackageName = p.text("restricted_package_name")
	m.Priority = ccs.Priority(strings.ToLower(p.text("priority")))
	m.DryRun = p.flag("dry_run")
	m.ContentAvailable = p.flag("content_available")
	m.MutableContent = p.flag("mutable_content")
	m.DelayWhileIdle = p.flag("delay_while_idle")
	m.TTL = p.ttl("time_to_live")
	m.Data = p.object("data")
	m.Notification = p.object("notification")
	if p.err != nil {
		return nil, p.err
	}
	if key := reservedKey(m.Data); key != "" {
		return nil, badRequestf("\"data\" key %q is a reserved keyword", key)
	}
	targets := 0
	for _, given := range []bool{req.to != "", m.Condition != "", req.many != nil} {
		if given {
			targets++
		}
	}
	switch {
	case req.to != "" && req.many != nil:
		return nil, legacyFault(`Must use either "registration_ids" field or "to", not both`)
	case targets > 1:
		return nil, legacyFault(`Must use either "condition" field or "to", not both`)
	case targets == 0:
		return nil, legacyFault(`Missing "registration_ids" field`)
	case req.many != nil && len(req.many) == 0:
		return nil, legacyFault(`"registration_ids" field cannot be empty`)
	case len(req.many) > maxLegacyTokens:
		return nil, badRequestf("Number of messages on bulk (%d) exceeds maximum allowed (%d)", len(req.many), maxLegacyTokens)
	}
	return req, nil
}

// A legacyFault is what was wrong with a request, in the server's own words.
type legacyFault string

func (f legacyFault) Error() string { return string(f) }

func badRequestf(format string, args ...any) legacyFault {
	return legacyFault(fmt.Sprintf(format, args...))
}

// jsonFault says what is wrong with JSON in the words of the server's parser.
func jsonFault(body []byte, err error) legacyFault {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok { // a value, but no object
		return badRequestf("JSON_PARSING_ERROR: Unexpected token %.40s at position 0.", bytes.TrimSpace(body))
	}
	at := int(syntax.Offset) - 1
	if strings.HasPrefix(syntax.Error(), "unexpected end") {
		return badRequestf("JSON_PARSING_ERROR: Unexpected token END OF FILE at position %d.", len(body))
	}
	// The server's parser looked at a whole word and complained of its
	// beginning.
	for inWord := strings.Contains(syntax.Error(), "in literal"); inWord && at > 0 && isLetter(body[at-1]); {
		at--
	}
	char, _ := utf8.DecodeRune(body[at:])
	return badRequestf("JSON_PARSING_ERROR: Unexpected character (%c) at position %d.", char, at)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// legacyFields are a body's fields. The first that has a wrong type is the
// error; null is as absent, as package json has it too.
type legacyFields struct {
	fields map[string]json.RawMessage
	err    error
}

func (p *legacyFields) decode(name, kind string, into any) {
	raw, ok := p.fields[name]
	if !ok || p.err != nil {
		return
	}
	if json.Unmarshal(raw, into) != nil {
		p.err = badRequestf("Field %q must be a JSON %s: %s", name, kind, shown(raw))
	}
}

// shown is a value as the server wrote it into its errors: strings bare.
func shown(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return fmt.Sprintf("%.80s", text)
}

func (p *legacyFields) text(name string) (s string) {
	p.decode(name, "string", &s)
	return s
}

func (p *legacyFields) flag(name string) (b bool) {
	p.decode(name, "boolean", &b)
	return b
}

func (p *legacyFields) tokens(name string) (list []ccs.RegistrationToken) {
	p.decode(name, "array", &list)
	return list
}

// object reads an object of anything into strings: what is no string becomes
// its JSON. The server called an object an array.
func (p *legacyFields) object(name string) map[string]string {
	var values map[string]json.RawMessage
	p.decode(name, "array", &values)
	if len(values) == 0 {
		return nil
	}
	object := make(map[string]string, len(values))
	for k, raw := range values {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			var compact bytes.Buffer
			_ = json.Compact(&compact, raw) // it was decoded once, so it is JSON
			text = compact.String()
		}
		object[k] = text
	}
	return object
}

func (p *legacyFields) ttl(name string) *time.Duration {
	if p.fields[name] == nil {
		return nil
	}
	var number json.Number // takes a string of digits, as the server did
	p.decode(name, "number", &number)
	if p.err != nil || number == "" {
		return nil
	}
	ttl, err := legacyTTL(string(number))
	p.err = cmp.Or(p.err, err)
	return ttl
}

func legacyTTL(text string) (*time.Duration, error) {
	const most = int64(ccs.MaxTTL / time.Second)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return nil, badRequestf("Invalid value (%.40s) for \"time_to_live\": must be between 0 and %d", text, most)
	}
	ttl := time.Duration(n) * time.Second
	return &ttl, nil
}

// reservedKey is a key of data that the legacy protocol kept for itself; empty:
// there is none.
func reservedKey(data map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key == "from" || strings.HasPrefix(key, "google") || strings.HasPrefix(key, "gcm") {
			return key
		}
	}
	return ""
}

// parseLegacyForm reads a plain text request. What is wrong with it is told as
// the code behind Error=.
func parseLegacyForm(body []byte) (req *legacyRequest, code string) {
	// Semicolons separate nothing in a form.
	form, err := url.ParseQuery(strings.ReplaceAll(string(body), ";", "%3B"))
	if err != nil {
		return nil, "InvalidParameters"
	}
	req = &legacyRequest{plain: true, to: ccs.RegistrationToken(cmp.Or(form.Get("registration_id"), form.Get("to")))}
	m := &req.message
	m.CollapseKey = ccs.CollapseKey(form.Get("collapse_key"))
	m.RestrictedPackageName = form.Get("restricted_package_name")
	m.DryRun = truth(form.Get("dry_run"))
	m.DelayWhileIdle = truth(form.Get("delay_while_idle"))
	for key, values := range form {
		if name, ok := strings.CutPrefix(key, "data."); ok {
			if m.Data == nil {
				m.Data = make(map[string]string)
			}
			m.Data[name] = values[len(values)-1]
		}
	}
	if text := form.Get("time_to_live"); text != "" {
		if m.TTL, err = legacyTTL(text); err != nil {
			return nil, "InvalidTtl"
		}
	}
	switch {
	case req.to == "":
		return nil, "MissingRegistration"
	case reservedKey(m.Data) != "":
		return nil, "InvalidDataKey"
	}
	return req, ""
}

func truth(text string) bool { return text == "true" || text == "1" }
