package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"penstock/ccs"
)

// ParseLegacyJSON reads a JSON request of the legacy HTTP protocol. Of equal
// members the last counts; null is as absent. What is no string in data and
// notification becomes its JSON text, digit by digit.
//
// The error is a *[LegacyError]. With status 200 the request is there beside it:
// its targets say how many results the answer has (docs/fcm-http.md, Legacy
// HTTP).
func ParseLegacyJSON(body []byte, opt *LegacyOptions) (*Legacy, error) {
	if opt == nil {
		opt = &LegacyOptions{}
	}
	if !utf8.Valid(body) {
		return nil, badRequest("JSON_PARSING_ERROR: Invalid UTF-8.")
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(body, &fields)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, syntaxError(body, int(syntax.Offset)-1)
	}
	if err != nil || fields == nil { // JSON, and no object
		return nil, unexpected(body, len(body)-len(bytes.TrimLeft(body, " \t\r\n")))
	}
	if deeper(body, ccs.MaxDepth) {
		return nil, badRequest("JSON_PARSING_ERROR: Values nest deeper than %d.", ccs.MaxDepth)
	}
	p := legacyParser{opt: opt, fields: fields, out: &Legacy{}}
	if refused := p.parse(); refused != nil {
		if refused.Status == http.StatusOK {
			return p.out, refused
		}
		return nil, refused
	}
	return p.out, nil
}

// syntaxError says where body stops being JSON, in the words of the library that
// Google's server used.
func syntaxError(body []byte, at int) *LegacyError {
	// A decoder of a stream tells what is cut short from what is wrong.
	var all json.RawMessage
	err := json.NewDecoder(bytes.NewReader(body)).Decode(&all)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("JSON_PARSING_ERROR: Unexpected token END OF FILE at position %d.", utf8.RuneCount(body))
	}
	// That library reads null, true and false as one: what only begins like one is
	// wrong from its first letter on.
	for n := 1; n <= min(at, 4); n++ {
		switch string(body[at-n : at]) {
		case "n", "nu", "nul", "t", "tr", "tru", "f", "fa", "fal", "fals":
			return unexpected(body, at-n)
		}
	}
	return unexpected(body, at)
}

func unexpected(body []byte, at int) *LegacyError {
	r, _ := utf8.DecodeRune(body[at:])
	return badRequest("JSON_PARSING_ERROR: Unexpected character (%s) at position %d.", printable(string(r), 1), utf8.RuneCount(body[:at]))
}

// deeper reports whether the values of body, which is JSON, nest deeper than
// limit.
func deeper(body []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// A legacyParser takes the fields of one request in an order of its own, so that
// equal requests get equal answers however they were written.
type legacyParser struct {
	opt    *LegacyOptions
	fields map[string]json.RawMessage
	out    *Legacy
	failed *LegacyError // the first refusal
}

func (p *legacyParser) parse() *LegacyError {
	m := &p.out.Message
	p.targets()
	m.CollapseKey = ccs.CollapseKey(p.text("collapse_key"))
	priority := p.priority()
	m.ContentAvailable = p.flag("content_available")
	m.MutableContent = p.flag("mutable_content")
	m.DelayWhileIdle = p.flag("delay_while_idle")
	m.DryRun = p.flag("dry_run")
	m.DirectBootOK = p.flag("direct_boot_ok")
	m.RestrictedPackageName = p.text("restricted_package_name")
	ttl := p.take("time_to_live")
	options := p.object("fcm_options")
	m.Data = p.strings("data", p.opt.Null)
	m.Notification = p.strings("notification", DropNull)
	rest := p.fields
	p.fields = options
	m.AnalyticsLabel = p.text("analytics_label")
	p.out.Ignored = len(rest) + len(p.fields)
	if p.failed != nil {
		return p.failed
	}
	if p.opt.RefuseUnknown && p.out.Ignored > 0 {
		return badRequest("Unknown fields: %d", p.out.Ignored)
	}
	var refused *LegacyError
	if m.Priority, refused = p.opt.priority(priority); refused != nil {
		return refused
	}
	if len(p.out.Targets) == 0 && m.Condition == "" {
		return p.opt.word(MissingRegistration, `Missing "registration_ids" field`)
	}
	if refused := p.opt.checkKeys(m.Data); refused != nil {
		return refused
	}
	if ttl != nil {
		m.TTL, refused = p.opt.ttl(jsonText(ttl))
	}
	return refused
}

// targets reads the four fields of which one names where the message goes.
func (p *legacyParser) targets() {
	to, group, condition := p.text("to"), p.text("notification_key"), p.text("condition")
	ids := p.take("registration_ids")
	set := make([]string, 0, 4)
	for _, f := range [...]struct {
		name string
		set  bool
	}{{"registration_ids", ids != nil}, {"to", to != ""}, {"condition", condition != ""}, {"notification_key", group != ""}} {
		if f.set {
			set = append(set, f.name)
		}
	}
	switch {
	case len(set) > 1:
		p.refuse(badRequest(`Must use either "%s" field or "%s", not both`, set[0], set[1]))
	case ids != nil:
		p.out.Many = true
		p.ids(ids)
	case condition != "":
		p.out.Message.Condition = condition
	case to+group != "":
		p.out.Targets = []ccs.RegistrationToken{ccs.RegistrationToken(to + group)}
	}
}

func (p *legacyParser) ids(raw json.RawMessage) {
	err := json.Unmarshal(raw, &p.out.Targets)
	switch n := len(p.out.Targets); {
	case err != nil:
		p.refuse(badRequest(`Field "registration_ids" must be a JSON array of strings`))
	case n == 0:
		p.refuse(badRequest(`"registration_ids" field cannot be empty`))
	case n > MaxTargets:
		p.refuse(badRequest("Number of messages on bulk (%d) exceeds maximum allowed (%d)", n, MaxTargets))
	}
}

func (p *legacyParser) refuse(e *LegacyError) {
	if p.failed == nil {
		p.failed = e
	}
}

// take is the value of a field that means something; nil if it is absent or null.
func (p *legacyParser) take(name string) json.RawMessage {
	raw := p.fields[name]
	delete(p.fields, name)
	if raw == nil || string(raw) == "null" {
		return nil
	}
	return raw
}

func (p *legacyParser) text(name string) string {
	raw := p.take(name)
	if raw != nil && raw[0] != '"' {
		p.wrongType(name, "string", raw)
	}
	if raw == nil || raw[0] != '"' {
		return ""
	}
	return jsonText(raw)
}

// priority is text, and whatever else where an odd one counts as normal: what
// stands for it most often is one of Apple's numbers.
func (p *legacyParser) priority() string {
	if p.opt.OddPriority != OddPriorityIsNormal {
		return p.text("priority")
	}
	raw := p.take("priority")
	if raw == nil {
		return ""
	}
	return jsonText(raw)
}

func (p *legacyParser) flag(name string) bool {
	switch raw := p.take(name); string(raw) {
	case "true":
		return true
	case "", "false":
	default:
		p.wrongType(name, "boolean", raw)
	}
	return false
}

func (p *legacyParser) object(name string) map[string]json.RawMessage {
	raw := p.take(name)
	if raw == nil {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		// It is an object what they wanted; but so they said.
		p.wrongType(name, "array", raw)
	}
	return members
}

func (p *legacyParser) strings(name string, null NullData) map[string]string {
	members := p.object(name)
	if len(members) == 0 {
		return nil
	}
	out := make(map[string]string, len(members))
	for key, raw := range members {
		text := jsonText(raw)
		if raw[0] == 'n' {
			switch null {
			case DropNull:
				continue
			case NullIsEmpty:
				text = ""
			}
		}
		out[key] = text
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// wrongType repeats the value as Google did, but for at most a few characters.
func (p *legacyParser) wrongType(name, want string, raw json.RawMessage) {
	p.refuse(badRequest(`Field "%s" must be a JSON %s: %s`, name, want, printable(jsonText(raw), maxEcho)))
}
