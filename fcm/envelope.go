package fcm

import "strconv"

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
