package fcm

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Append appends r as JSON, compact and with names in snake_case. Fields that
// say nothing are left out: empty strings, maps, lists and raw values, false,
// zero colors, nil pointers. Members of maps are in the order of their keys, so
// that equal requests are equal bytes. What is not UTF-8 becomes U+FFFD.
//
// Raw values must be JSON, which [SendRequest.Validate] checks.
func (r *SendRequest) Append(dst []byte) []byte {
	return requestSchema.appendObject(dst, reflect.ValueOf(r).Elem())
}

// MarshalJSON is Append, for encoding/json.
func (r SendRequest) MarshalJSON() ([]byte, error) { return r.Append(nil), nil }

// MarshalJSON writes m as it stands in a request; see [SendRequest.Append].
func (m Message) MarshalJSON() ([]byte, error) {
	return messageSchema.appendObject(nil, reflect.ValueOf(&m).Elem()), nil
}

// appendObject appends the struct v.
func (s *schema) appendObject(dst []byte, v reflect.Value) []byte {
	dst = append(dst, '{')
	for i := range s.fields {
		f := &s.fields[i]
		fv := v.Field(f.index)
		switch f.form {
		case formText, formDate, formEnum:
			if text := fv.String(); text != "" {
				dst = appendString(f.begin(dst), text)
			}
		case formBool:
			if fv.Bool() {
				dst = append(f.begin(dst), "true"...)
			}
		case formDuration:
			if !fv.IsNil() {
				dst = Duration(fv.Elem().Int()).append(f.begin(dst))
			}
		case formInt32:
			if !fv.IsNil() {
				dst = strconv.AppendInt(f.begin(dst), fv.Elem().Int(), 10)
			}
		case formFloat:
			if n := fv.Float(); n != 0 {
				dst = appendFloat(f.begin(dst), n)
			}
		case formFloatOrNil:
			if !fv.IsNil() {
				dst = appendFloat(f.begin(dst), fv.Elem().Float())
			}
		case formObject:
			if !fv.IsNil() {
				dst = f.schema.appendObject(f.begin(dst), fv.Elem())
			}
		case formRaw:
			if raw := fv.Bytes(); len(raw) > 0 {
				dst = appendCompact(f.begin(dst), raw)
			}
		default:
			if fv.Len() > 0 {
				dst = appendMany(f.begin(dst), fv)
			}
		}
	}
	if fv := v.Field(s.unknown); fv.Len() > 0 {
		dst = appendUnknown(dst, *fv.Addr().Interface().(*Unknown))
	}
	return append(dst, '}')
}

// begin appends what stands before the value of f.
func (f *field) begin(dst []byte) []byte { return append(separate(dst), f.prefix...) }

// separate appends a comma unless an object or a list has just begun.
func separate(dst []byte) []byte {
	if c := dst[len(dst)-1]; c == '{' || c == '[' {
		return dst
	}
	return append(dst, ',')
}

// appendMany appends a map or a list that is not empty.
func appendMany(dst []byte, v reflect.Value) []byte {
	switch p := v.Addr().Interface().(type) {
	case *map[string]string:
		var room [16]string // as many keys cost no memory
		dst = append(dst, '{')
		for _, key := range sortedKeys(room[:0], *p) {
			dst = appendString(separate(dst), key)
			dst = appendString(append(dst, ':'), (*p)[key])
		}
		return append(dst, '}')
	case *[]string:
		dst = append(dst, '[')
		for _, text := range *p {
			dst = appendString(separate(dst), text)
		}
		return append(dst, ']')
	case *[]Duration:
		dst = append(dst, '[')
		for _, d := range *p {
			dst = d.append(separate(dst))
		}
		return append(dst, ']')
	}
	panic("fcm: no form of " + v.Type().String())
}

func appendUnknown(dst []byte, u Unknown) []byte {
	for _, name := range sortedKeys(nil, u) {
		dst = append(appendString(separate(dst), name), ':')
		if len(u[name]) == 0 {
			dst = append(dst, "null"...)
			continue
		}
		dst = append(dst, u[name]...)
	}
	return dst
}

func sortedKeys[V any](dst []string, m map[string]V) []string {
	for key := range m {
		dst = append(dst, key)
	}
	slices.Sort(dst)
	return dst
}

// String is d as it stands in JSON, without the quotes.
func (d Duration) String() string {
	b := d.append(nil)
	return string(b[1 : len(b)-1])
}

// append appends d in quotes: whole seconds, or nine digits behind the point.
func (d Duration) append(dst []byte) []byte {
	dst = append(dst, '"')
	n := uint64(d)
	if d < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendUint(dst, n/uint64(time.Second), 10)
	if rest := n % uint64(time.Second); rest != 0 {
		dst = append(dst, '.')
		for digit := uint64(time.Second) / 10; digit > 0; digit /= 10 {
			dst = append(dst, '0'+byte(rest/digit%10))
		}
	}
	return append(dst, `s"`...)
}

// appendFloat writes what JSON has no number for as the strings of Google's
// JSON, so that the output stays JSON. The rules refuse them.
func appendFloat(dst []byte, n float64) []byte {
	switch {
	case math.IsNaN(n):
		return append(dst, `"NaN"`...)
	case math.IsInf(n, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(n, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, n, 'g', -1, 64)
}

// appendCompact appends the JSON in raw without the white space between its
// tokens.
func appendCompact(dst []byte, raw json.RawMessage) []byte {
	inside, start := false, 0 // start is that of what is not yet appended
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case !inside && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			dst = append(dst, raw[start:i]...)
			start = i + 1
		}
	}
	return append(dst, raw[min(start, len(raw)):]...)
}

const hexDigits = "0123456789abcdef"

// appendString appends text in quotes.
func appendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not yet appended
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, text[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		start = i
	}
	return append(append(dst, text[start:]...), '"')
}
