package fcm

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseSendRequest reads the body of a send. Names may be in camelCase and in
// snake_case, mixed too; of equal members the last counts, and both spellings
// of a name are equal. Null is as absent. Members that the schema does not know
// are kept in Unknown, and names of enumerations are taken as they came: it is
// for FCM to refuse what it does not know. An empty body is an empty object.
//
// The error is a *[ParseError]. Nothing that was read refers to body.
func ParseSendRequest(body []byte) (*SendRequest, error) { return parseRequest(body, false) }

// ParseStrict reads as [ParseSendRequest] does, but refuses members and names of
// enumerations that this revision of the schema does not know, as FCM does.
func ParseStrict(body []byte) (*SendRequest, error) { return parseRequest(body, true) }

func parseRequest(body []byte, strict bool) (*SendRequest, error) {
	if !utf8.Valid(body) {
		return nil, &ParseError{Message: notUTF8, Violations: []FieldViolation{{Description: notUTF8}}}
	}
	p := parser{scanner: scanner{src: body}, body: string(body), strict: strict}
	r := new(SendRequest)
	switch p.kind() {
	case kindNone:
		if p.pos == len(body) {
			return r, nil
		}
		return nil, p.syntaxError()
	case kindObject:
		if !p.object(requestSchema, reflect.ValueOf(r).Elem()) {
			return nil, p.syntaxError()
		}
	default:
		if p.skip() {
			p.unknownName("", "Root element must be a message.")
		} else {
			return nil, p.syntaxError()
		}
	}
	if p.space(); p.pos < len(body) {
		return nil, p.syntaxError()
	}
	if len(p.faults) > 0 {
		return nil, newParseError(p.faults)
	}
	return r, nil
}

// A parser fills Go values by a schema. Wrong values are noted and read over,
// so that all of them can be told; methods return false only where the text
// stops being JSON.
type parser struct {
	scanner
	body   string // the source too: what is kept is cut from it, which costs one copy
	strict bool
	path   []byte // of the object that is being read: message.android
	faults []FieldViolation
}

// object reads the object at pos into the struct v.
func (p *parser) object(s *schema, v reflect.Value) bool {
	oneof := "" // the field of a group that is set
	more, ok := p.enter('}')
	for more && ok {
		name, isName := p.key()
		if !isName {
			return false
		}
		if f := s.byName[string(name)]; f == nil {
			ok = p.unknown(string(name), v.Field(s.unknown))
		} else {
			null := p.kind() == kindNull
			switch {
			case f.oneof == "":
			case null && oneof == f.name:
				oneof = ""
			case null || oneof == f.name:
			case oneof != "":
				p.fault(string(p.path), oneofTwice(f.oneof, f.name))
			default:
				oneof = f.name
			}
			if fv := v.Field(f.index); null {
				ok = p.skip()
				fv.SetZero()
			} else {
				depth := len(p.path)
				p.descend(f.name)
				ok = p.field(f, fv)
				p.path = p.path[:depth]
			}
		}
		if ok {
			more, ok = p.next('}')
		}
	}
	return ok
}

// string reads the string at pos.
func (p *parser) string() (string, bool) {
	start := p.pos + 1
	text, ok := p.text()
	if ok && len(text) == p.pos-1-start { // escapes are longer than what they stand for
		return p.body[start : p.pos-1], true
	}
	return string(text), ok
}

// descend adds a name to the path.
func (p *parser) descend(name string) {
	if len(p.path) > 0 {
		p.path = append(p.path, '.')
	}
	p.path = append(p.path, name...)
}

// unknown keeps a member that the schema does not know, or notes it.
func (p *parser) unknown(name string, v reflect.Value) bool {
	raw, ok := p.value()
	if !ok {
		return false
	}
	if p.strict {
		p.unknownName(name, "Cannot find field.")
		return true
	}
	u := v.Addr().Interface().(*Unknown)
	if *u == nil {
		*u = make(Unknown)
	}
	(*u)[name] = bytes.Clone(raw)
	return true
}

// field reads the value at pos, which is not null, into v.
func (p *parser) field(f *field, v reflect.Value) bool {
	k := p.kind()
	switch f.form {
	case formObject:
		if k == kindObject {
			v.Set(reflect.New(v.Type().Elem()))
			return p.object(f.schema, v.Elem())
		}
	case formMap:
		if k == kindObject {
			return p.stringMap(v.Addr().Interface().(*map[string]string))
		}
	case formTexts, formDurations:
		if k == kindArray {
			return p.list(f, v)
		}
	default:
		if k != kindArray || f.form == formRaw {
			return p.scalar(f, v)
		}
	}
	raw, ok := p.value()
	if ok && k == kindArray {
		name := p.path[len(p.path)-len(f.name):]
		p.path = bytes.TrimSuffix(p.path[:len(p.path)-len(name)], []byte("."))
		p.unknownName(string(name), "Proto field is not repeating, cannot start list.")
	} else if ok {
		p.invalid(f.proto, raw, "")
	}
	return ok
}

// scalar reads a value that is neither a list nor an object of the schema.
func (p *parser) scalar(f *field, v reflect.Value) bool {
	k := p.kind()
	if k == kindString && f.form == formText { // most are
		text, ok := p.string()
		v.SetString(text)
		return ok
	}
	raw, ok := p.value()
	if !ok {
		return false
	}
	text := ""
	if k == kindString {
		text = unquote(raw)
	}
	why := ""
	switch f.form {
	case formDate:
		if ok = k == kindString && isDate(text); ok {
			v.SetString(text)
		} else {
			why = "Field '" + f.name + "', Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset."
		}
	case formEnum:
		// A number stands for a name; one that has none cannot be passed on.
		if n, isNumber := parseInt32(k, raw, ""); isNumber && n >= 0 && int(n) < len(f.enum) {
			v.SetString(f.enum[n])
		} else if ok = k == kindString && (!p.strict || slices.ContainsFunc(f.enum, func(name string) bool { return strings.EqualFold(name, text) })); ok {
			v.SetString(text)
		}
	case formBool:
		if ok = k == kindBool; ok {
			v.SetBool(raw[0] == 't')
		}
	case formDuration:
		var d Duration
		if d, why = parseDuration(f.name, k, text); why == "" {
			v.Set(reflect.ValueOf(&d))
			return true
		}
		ok = false
	case formInt32:
		var n int32
		if n, ok = parseInt32(k, raw, text); ok {
			v.Set(reflect.ValueOf(&n))
		}
	case formFloat, formFloatOrNil:
		var n float64
		if n, ok = parseFloat(k, raw, text); ok && f.form == formFloat {
			v.SetFloat(n)
		} else if ok {
			v.Set(reflect.ValueOf(&n))
		}
	case formRaw:
		if ok = k == kindObject; ok {
			v.SetBytes(appendCompact(nil, raw))
		}
	default:
		ok = false
	}
	if !ok {
		p.invalid(f.proto, raw, why)
	}
	return true
}

// stringMap reads the object at pos, whose values must be strings.
func (p *parser) stringMap(m *map[string]string) bool {
	*m = nil
	more, ok := p.enter('}')
	for i := 0; more && ok; i++ {
		if p.space() != '"' {
			return false
		}
		key, isKey := p.string()
		if !isKey || p.space() != ':' {
			return false
		}
		p.pos++
		if p.kind() == kindString {
			text, isText := p.string()
			if !isText {
				return false
			}
			if *m == nil {
				*m = make(map[string]string)
			}
			(*m)[key] = text
		} else {
			raw, isValue := p.value()
			if !isValue {
				return false
			}
			depth := len(p.path)
			p.path = append(appendIndex(p.path, i), ".value"...)
			p.invalid("TYPE_STRING", raw, "")
			p.path = p.path[:depth]
		}
		more, ok = p.next('}')
	}
	return ok
}

// list reads the list at pos.
func (p *parser) list(f *field, v reflect.Value) bool {
	v.SetZero()
	more, ok := p.enter(']')
	for i := 0; more && ok; i++ {
		k := p.kind()
		raw, isValue := p.value()
		if !isValue {
			return false
		}
		fits, why, text := k == kindString, "", ""
		if fits {
			text = unquote(raw)
		}
		switch list := v.Addr().Interface().(type) {
		case *[]string:
			*list = append(*list, text)
		case *[]Duration:
			var d Duration
			if d, why = parseDuration(f.name, k, text); why != "" {
				fits = false
			}
			*list = append(*list, d)
		}
		if !fits {
			depth := len(p.path)
			p.path = appendIndex(p.path, i)
			p.invalid(f.proto, raw, why)
			p.path = p.path[:depth]
		}
		more, ok = p.next(']')
	}
	return ok
}

func appendIndex(path []byte, i int) []byte {
	return append(strconv.AppendInt(append(path, '['), int64(i), 10), ']')
}
