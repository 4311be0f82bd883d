package fcm

import (
	"strings"
	"unicode/utf8"
)

// A ParseError says what is wrong with the JSON of a request, in the words in
// which Google's front says it. They quote from the request, so that they are
// for whoever sent it and for no log.
type ParseError struct {
	Message    string
	Violations []FieldViolation // at least one; the first maxFaults
}

const (
	// maxFaults is how many faults of one request are told.
	maxFaults = 32
	// maxQuoted is how many bytes of a wrong value or name are quoted.
	maxQuoted = 256
	// context is how many bytes on each side of a fault of syntax are quoted.
	context = 20

	badPayload = "Invalid JSON payload received. "
	notUTF8    = badPayload + "Encountered non UTF-8 code points."
)

// Error tells where the first fault is, without quoting the request.
func (e *ParseError) Error() string {
	for _, v := range e.Violations {
		if v.Field != "" {
			return "fcm: the request has a fault in " + v.Field
		}
	}
	return "fcm: the request is not the JSON of a send"
}

// Reply is the error reply that Google's front would give: 400, without FcmError.
func (e *ParseError) Reply() *Error {
	return &Error{HTTPStatus: 400, Status: "INVALID_ARGUMENT", Message: e.Message, BadRequest: &BadRequest{Violations: e.Violations}}
}

func newParseError(faults []FieldViolation) *ParseError {
	texts := make([]string, len(faults))
	for i, v := range faults {
		texts[i] = v.Description
	}
	return &ParseError{Message: strings.Join(texts, "\n"), Violations: faults}
}

// fault notes that a field is wrong.
func (p *parser) fault(where, text string) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, FieldViolation{Field: where, Description: text})
	}
}

// invalid notes that the value at the parser's path is wrong: for the reason
// why, or because it is raw.
func (p *parser) invalid(proto string, raw []byte, why string) {
	if why == "" {
		why = quoted(string(raw))
	}
	where := string(p.path)
	p.fault(where, "Invalid value at '"+where+"' ("+proto+"), "+why)
}

// unknownName notes a name in the object at the parser's path.
func (p *parser) unknownName(name, why string) {
	text := badPayload + `Unknown name "` + quoted(name) + `"`
	if len(p.path) > 0 {
		text += " at '" + string(p.path) + "'"
	}
	p.fault(string(p.path), text+": "+why)
}

// syntaxError is the one fault that hides all others. It quotes what stands
// around it, with a caret below.
func (p *parser) syntaxError() *ParseError {
	text := badPayload + "Unexpected token."
	if p.tooDeep {
		text = badPayload + "Message too deep."
	} else {
		begin, end := max(0, p.pos-context), min(len(p.src), p.pos+context)
		before := strings.ToValidUTF8(string(p.src[begin:p.pos]), "")
		text += "\n" + before + strings.ToValidUTF8(string(p.src[p.pos:end]), "") +
			"\n" + strings.Repeat(" ", utf8.RuneCountInString(before)) + "^"
	}
	return &ParseError{Message: text, Violations: []FieldViolation{{Description: text}}}
}

// quoted is text, or the beginning of a long one.
func quoted(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}
