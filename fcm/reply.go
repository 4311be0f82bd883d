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

// ParseReply reads the body that came with a success. It is a JSON object or ok
// is false, and then nobody knows what became of the message. The name is
// opaque, and empty where there is none: the message was accepted all the same
// (docs/fcm-http.md, Sending).
func ParseReply(body []byte) (name string, ok bool) {
	if !isObject(body) {
		return "", false
	}
	s := scanner{src: body}
	s.space()
	more, ok := s.enter('}')
	for more && ok {
		key, _ := s.key()
		k := s.kind()
		raw, _ := s.value()
		if string(key) == "name" {
			name = ""
			if k == kindString {
				name = unquote(raw)
			}
		}
		more, ok = s.next('}')
	}
	return name, ok
}

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
	e.Status = asText(envelope["status"])
	e.Message = cut(asText(envelope["message"]))
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
	_, kind, _ := strings.Cut(asText(detail["@type"]), "/")
	switch kind {
	case typeFCMError, typeFCMError + "Code": // the older name
		if e.Code == "" {
			e.Code = ErrorCode(asText(detail["errorCode"]))
		}
	case typeAPNSError:
		if e.APNS == nil {
			status, _ := strconv.Atoi(strings.Trim(string(detail["statusCode"]), `"`))
			e.APNS = &APNSError{StatusCode: status, Reason: asText(detail["reason"])}
		}
	case typeErrorInfo:
		if e.Info == nil {
			e.Info = &ErrorInfo{Reason: asText(detail["reason"]), Domain: asText(detail["domain"]), Metadata: asTexts(detail["metadata"])}
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
				Field: asText(v["field"]), Description: cut(asText(v["description"])),
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

// asText is what a string stands for; empty: raw is none.
func asText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// asTexts are the members that are strings; nil: there is none.
func asTexts(raw json.RawMessage) map[string]string {
	var m map[string]string
	for name, raw := range members(raw) {
		if len(m) == maxViolations {
			break
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[name] = asText(raw)
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
