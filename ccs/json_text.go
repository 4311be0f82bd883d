package ccs

import (
	"strconv"
	"strings"
)

// A source is one payload, as bytes to look at and as a string to cut
// substrings from, so that a message costs one copy and not one for each
// string in it.
type source struct {
	src  []byte
	text string
}

// raw is a value as it was written; for a string, without its quotes.
func (s *source) raw(v value) string {
	if v.kind == jsonString {
		return s.text[v.start+1 : v.end-1]
	}
	return s.text[v.start:v.end]
}

// str is what a scanned string stands for.
func (s *source) str(v value) string {
	if !v.escaped {
		return s.raw(v)
	}
	var scratch [256]byte
	return string(appendUnescaped(scratch[:0], s.src[v.start+1:v.end-1]))
}

// plain is any value as text: strings as they are, everything else as compact
// JSON. Null has none.
func (s *source) plain(v value) (text string, ok bool) {
	switch v.kind {
	case jsonString:
		return s.str(v), true
	case jsonObject, jsonArray:
		return compact(s.raw(v)), true
	case jsonAbsent, jsonNull:
		return "", false
	}
	return s.raw(v), true
}

// stringMap reads the object at the scanner's place, which is in the source.
// Apps get strings and nothing else, so numbers, booleans and nested values
// become their JSON text; a null drops its key. An empty object is nil, like an
// absent one.
func (s *source) stringMap(scan *scanner) (map[string]string, survey, error) {
	var m map[string]string
	var seen survey
	if err := scan.enter(); err != nil {
		return nil, seen, err
	}
	members := 0
	for {
		key, val, ok, err := scan.member()
		if err != nil {
			return nil, seen, err
		}
		if !ok {
			break
		}
		members++
		name := s.str(key)
		text, ok := s.plain(val)
		if !ok {
			delete(m, name) // the last of two equal keys counts, also if it is null
			continue
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[name] = text
		seen.see(name, text)
	}
	scan.leave()
	switch len(m) {
	case 0:
		return nil, survey{}, nil
	case members:
		return m, seen, nil
	}
	return m, surveyOf(m), nil // some members did not stay
}

// compact drops the white space between the tokens of a scanned value.
func compact(text string) string {
	if !strings.ContainsAny(text, " \t\r\n") {
		return text
	}
	b := make([]byte, 0, len(text))
	inside := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			b = append(b, c)
			i++
		case c == '"':
			inside = !inside
		case !inside && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			continue
		}
		b = append(b, text[i])
	}
	return string(b)
}

// decimal is what a JSON number or a string of digits is worth. What is no
// integer has whole false. What no int64 can hold becomes the nearest one that
// can: the ranges of our fields refuse it either way.
func decimal(text string) (n int64, whole bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case f >= 1<<63: // also +Inf, which comes with ErrRange
		return 1<<63 - 1, true
	case f < -1<<63:
		return -1 << 63, true
	case err != nil:
		return 0, false
	}
	n = int64(f)
	if n == 0 {
		// 1e-400 underflows to 0, yet is none.
		mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
		return 0, f == 0 && !strings.ContainsAny(mantissa, "123456789")
	}
	return n, float64(n) == f
}

// isDigits reports whether text is a not empty string of decimal digits.
func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}
