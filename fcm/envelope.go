package fcm

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxReplySize is how much of an answer is worth reading: no answer that FCM is
// known to give comes near it.
const MaxReplySize = 64 << 10

const (
	maxMessage    = 4096 // bytes of Google's sentence that are kept
	maxDetails    = 64   // details that are looked at
	maxViolations = 64   // violations, and entries of metadata, that are kept
)

// The types of details, behind type.googleapis.com/.
const (
	typeFCMError   = "google.firebase.fcm.v1.FcmError"
	typeAPNSError  = "google.firebase.fcm.v1.ApnsError"
	typeBadRequest = "google.rpc.BadRequest"
	typeErrorInfo  = "google.rpc.ErrorInfo"
)

// ParseErrorReply reads an answer that was no success. It never fails: what is
// not understood is as if it were absent. Details may come in any order, and
// types, codes and statuses that nobody knows do no harm. The body is dropped
// whole where it is no JSON object or longer than [MaxReplySize], for it may be
// a page of some proxy.
//
// docs/fcm-http.md, Errors.
func ParseErrorReply(httpStatus int, body []byte) *Error {
	e := &Error{HTTPStatus: httpStatus}
	if len(body) > MaxReplySize || !isObject(body) {
		e.NotJSON = true
		return e
	}
	envelope := members(members(body)["error"])
	e.Status = text(envelope["status"])
	e.Message = cut(text(envelope["message"]))
	for i, raw := range elements(envelope["details"]) {
		if i == maxDetails {
			break
		}
		e.addDetail(members(raw))
	}
	return e
}

// addDetail takes what it knows of one detail; the first of a type counts.
func (e *Error) addDetail(detail map[string]json.RawMessage) {
	_, kind, _ := strings.Cut(text(detail["@type"]), "/")
	switch kind {
	case typeFCMError, typeFCMError + "Code": // the older name
		if e.Code == "" {
			e.Code = ErrorCode(text(detail["errorCode"]))
		}
	case typeAPNSError:
		if e.APNS == nil {
			status, _ := strconv.Atoi(strings.Trim(string(detail["statusCode"]), `"`))
			e.APNS = &APNSError{StatusCode: status, Reason: text(detail["reason"])}
		}
	case typeErrorInfo:
		if e.Info == nil {
			e.Info = &ErrorInfo{Reason: text(detail["reason"]), Domain: text(detail["domain"]), Metadata: texts(detail["metadata"])}
		}
	case typeBadRequest:
		if e.BadRequest == nil {
			e.BadRequest = new(BadRequest)
		}
		for _, raw := range elements(detail["fieldViolations"]) {
			if len(e.BadRequest.Violations) == maxViolations {
				break
			}
			v := members(raw)
			e.BadRequest.Violations = append(e.BadRequest.Violations, FieldViolation{
				Field: text(v["field"]), Description: cut(text(v["description"])),
			})
		}
	}
}

// members are those of an object; nil: raw is none.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// elements are those of a list; nil: raw is none.
func elements(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// text is what a string stands for; empty: raw is none.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// texts are the members that are strings; nil: there is none.
func texts(raw json.RawMessage) map[string]string {
	var m map[string]string
	for name, raw := range members(raw) {
		if len(m) == maxViolations {
			break
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[name] = text(raw)
	}
	return m
}

// cut is the beginning of a text that is too long to keep.
func cut(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	n := maxMessage
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// statuses are the canonical names, by the HTTP status that each comes with.
// Of several with one HTTP status the first is the one for it.
var statuses = []struct {
	name string
	http int
}{
	{"INVALID_ARGUMENT", 400},
	{"FAILED_PRECONDITION", 400},
	{"OUT_OF_RANGE", 400},
	{"UNAUTHENTICATED", 401},
	{"PERMISSION_DENIED", 403},
	{"NOT_FOUND", 404},
	{"ABORTED", 409},
	{"ALREADY_EXISTS", 409},
	{"RESOURCE_EXHAUSTED", 429},
	{"CANCELLED", 499},
	{"INTERNAL", 500},
	{"UNKNOWN", 500},
	{"DATA_LOSS", 500},
	{"UNIMPLEMENTED", 501},
	{"UNAVAILABLE", 503},
	{"DEADLINE_EXCEEDED", 504},
}

// canonicalStatus is e's status if it is a canonical name, else that of its HTTP
// status: one SDK looks the name up and throws when it is a strange one.
func (e *Error) canonicalStatus() string {
	for _, s := range statuses {
		if s.name == e.Status {
			return s.name
		}
	}
	for _, s := range statuses {
		if s.http == e.HTTPStatus {
			return s.name
		}
	}
	if e.HTTPStatus >= 400 && e.HTTPStatus < 500 {
		return "INVALID_ARGUMENT"
	}
	return "UNAVAILABLE"
}

// Append appends the envelope as Google writes it: two spaces a level, a line
// feed at the end, names in camelCase, first FcmError. The status is always a
// canonical name. What is not UTF-8 becomes U+FFFD.
func (e *Error) Append(dst []byte) []byte {
	w := indented{dst: dst}
	w.open("", '{')
	w.open("error", '{')
	w.member("code", strconv.AppendInt(nil, int64(e.HTTPStatus), 10))
	w.text("message", e.Message)
	w.text("status", e.canonicalStatus())
	if e.Code != "" || e.APNS != nil || e.BadRequest != nil || e.Info != nil {
		w.open("details", '[')
		if e.Code != "" {
			w.detail(typeFCMError)
			w.text("errorCode", string(e.Code))
			w.close('}')
		}
		if e.APNS != nil {
			w.detail(typeAPNSError)
			w.member("statusCode", strconv.AppendInt(nil, int64(e.APNS.StatusCode), 10))
			w.text("reason", e.APNS.Reason)
			w.close('}')
		}
		if e.BadRequest != nil {
			w.badRequest(e.BadRequest)
		}
		if e.Info != nil {
			w.errorInfo(e.Info)
		}
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return append(w.dst, '\n')
}

// MarshalJSON is Append, for encoding/json.
func (e Error) MarshalJSON() ([]byte, error) { return e.Append(nil), nil }

// An indented writer appends JSON that is laid out for people.
type indented struct {
	dst   []byte
	depth int
}

// line begins a line for the next member or element.
func (w *indented) line() {
	if w.depth == 0 {
		return
	}
	w.dst = append(separate(w.dst), '\n')
	for range w.depth {
		w.dst = append(w.dst, "  "...)
	}
}

func (w *indented) member(name string, value []byte) {
	w.line()
	w.dst = append(appendString(w.dst, name), ": "...)
	w.dst = append(w.dst, value...)
}

func (w *indented) text(name, text string) { w.member(name, appendString(nil, text)) }

// open begins an object or a list; without a name it is an element.
func (w *indented) open(name string, bracket byte) {
	w.line()
	if name != "" {
		w.dst = append(appendString(w.dst, name), ": "...)
	}
	w.dst = append(w.dst, bracket)
	w.depth++
}

func (w *indented) close(bracket byte) {
	w.depth--
	w.dst = append(w.dst, '\n')
	for range w.depth {
		w.dst = append(w.dst, "  "...)
	}
	w.dst = append(w.dst, bracket)
}

func (w *indented) detail(name string) {
	w.open("", '{')
	w.text("@type", typePrefix+name)
}

// badRequest leaves out what is empty, as Google does.
func (w *indented) badRequest(b *BadRequest) {
	w.detail(typeBadRequest)
	if len(b.Violations) > 0 {
		w.open("fieldViolations", '[')
		for _, v := range b.Violations {
			w.open("", '{')
			if v.Field != "" {
				w.text("field", v.Field)
			}
			w.text("description", v.Description)
			w.close('}')
		}
		w.close(']')
	}
	w.close('}')
}

func (w *indented) errorInfo(info *ErrorInfo) {
	w.detail(typeErrorInfo)
	w.text("reason", info.Reason)
	w.text("domain", info.Domain)
	if len(info.Metadata) > 0 {
		w.open("metadata", '{')
		for _, key := range sortedKeys(nil, info.Metadata) {
			w.text(key, info.Metadata[key])
		}
		w.close('}')
	}
	w.close('}')
}
