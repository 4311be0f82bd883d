package fcmsim

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// stringScalar makes of a JSON string the value of a field. If it cannot, fault
// says why; empty: the value is of the wrong type.
func stringScalar(f *fieldType, text string) (value string, ok bool, fault string) {
	ok = true
	switch f.kind {
	case kindBool:
		ok = false
	case kindInt32:
		_, ok = int32Of(text)
	case kindFloat:
		ok = isFloat(text)
	case kindEnum:
		text, ok = f.enum.value(text)
	case kindDuration:
		if _, why := parseDuration(text); why != "" {
			return "", false, durationFault(f, why)
		}
	case kindTimestamp:
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return "", false, timestampFault(f)
		}
	}
	return text, ok, ""
}

// bareScalar is stringScalar for a JSON value that is no string.
func bareScalar(f *fieldType, text string) (value string, ok bool, fault string) {
	switch f.kind {
	case kindBool:
		ok = text == "true" || text == "false"
	case kindInt32:
		_, ok = int32Of(text)
	case kindFloat:
		ok = isFloat(text)
	case kindEnum:
		var n int32
		if n, ok = int32Of(text); !ok || n < 0 || int(n) >= len(f.enum.values) {
			return text, false, ""
		}
		text = f.enum.values[n]
	case kindDuration:
		if text[0] != '{' && text[0] != '[' {
			return "", false, durationFault(f, "duration must end with 's'")
		}
	case kindTimestamp:
		if text[0] != '{' && text[0] != '[' {
			return "", false, timestampFault(f)
		}
	}
	return text, ok, ""
}

// int32Of reads a number without a fraction, however it is written.
func int32Of(text string) (int32, bool) {
	if strings.Trim(text, "0123456789.eE+-") != "" || strings.HasPrefix(text, "+") {
		return 0, false // other notations of Go's
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || v < math.MinInt32 || v > math.MaxInt32 {
		return 0, false
	}
	return int32(v), true
}

func isFloat(text string) bool {
	switch text {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && math.Abs(v) <= math.MaxFloat32 && !strings.ContainsAny(text, "xXpP_iInN")
}

func timestampFault(f *fieldType) string {
	return "Field '" + f.name + "', Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset."
}

func durationFault(f *fieldType, why string) string {
	return "Field '" + f.name + "', Illegal duration format; " + why
}

// maxDurationSeconds is the longest duration of protobuf, about 10,000 years.
const maxDurationSeconds = 315_576_000_000

// parseDuration reads seconds with up to nine places behind the point, and an
// s. What no [time.Duration] can hold is cut to the longest there is. why says
// what is wrong.
func parseDuration(text string) (d time.Duration, why string) {
	number, ok := strings.CutSuffix(text, "s")
	if !ok {
		return 0, "duration must end with 's'"
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, point := strings.Cut(number, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || whole[0] == '+' || whole[0] == '-':
		return 0, "failed to parse seconds"
	case point && (fraction == "" || len(fraction) > 9 || strings.Trim(fraction, "0123456789") != ""):
		return 0, "failed to parse nanos"
	case seconds > maxDurationSeconds:
		return 0, "duration value exceeds limits"
	}
	nanos := int64(0)
	if point {
		nanos, _ = strconv.ParseInt(fraction+strings.Repeat("0", 9-len(fraction)), 10, 64) // nine digits
	}
	d = time.Duration(math.MaxInt64)
	if seconds < math.MaxInt64/int64(time.Second) {
		d = time.Duration(seconds)*time.Second + time.Duration(nanos)
	}
	if negative {
		d = -d
	}
	return d, ""
}

func (p *protoParser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

func (p *protoParser) at(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

func (p *protoParser) take(c byte) bool {
	if p.at(c) {
		p.i++
		return true
	}
	return false
}

// literal passes over a word if it comes next.
func (p *protoParser) literal(word string) bool {
	if strings.HasPrefix(p.s[p.i:], word) {
		p.i += len(word)
		return true
	}
	return false
}

// string reads a string; its quote comes next.
func (p *protoParser) string() string {
	p.i++
	from := p.i
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[from : p.i-1]
		case c == '\\':
			return p.escaped(from)
		case c < ' ':
			p.fail()
			return ""
		}
		p.i++
	}
	p.fail()
	return ""
}

// escaped reads the rest of a string from its first backslash on.
func (p *protoParser) escaped(from int) string {
	var b strings.Builder
	b.WriteString(p.s[from:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return b.String()
		case c < ' ':
			p.fail()
			return ""
		case c != '\\':
			b.WriteByte(c)
			p.i++
			continue
		}
		if p.i++; p.i == len(p.s) {
			break
		}
		c = p.s[p.i]
		if c == 'u' {
			r, ok := p.unicode()
			if !ok {
				p.fail()
				return ""
			}
			b.WriteRune(r)
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, c)
		if at < 0 {
			p.fail()
			return ""
		}
		b.WriteByte("\"\\/\b\f\n\r\t"[at])
		p.i++
	}
	p.fail()
	return ""
}

// unicode reads what follows a backslash that a u follows: one code unit, or
// two that are a pair. A half of a pair alone is no character.
func (p *protoParser) unicode() (rune, bool) {
	unit := func() (rune, bool) {
		if p.i+5 > len(p.s) {
			return 0, false
		}
		n, err := strconv.ParseUint(p.s[p.i+1:p.i+5], 16, 16)
		if err != nil {
			return 0, false
		}
		p.i += 5
		return rune(n), true
	}
	r, ok := unit()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !strings.HasPrefix(p.s[p.i:], `\u`) {
		return 0, false
	}
	p.i++
	second, ok := unit()
	r = utf16.DecodeRune(r, second)
	return r, ok && r != utf8.RuneError
}

// skip passes over any value.
func (p *protoParser) skip() {
	if p.i >= len(p.s) {
		p.fail()
		return
	}
	switch c := p.s[p.i]; {
	case c == '{':
		p.entries(func(string) { p.skip() })
	case c == '[':
		p.elements(func(int) { p.skip() })
	case c == '"':
		p.string()
	case c == '-' || c >= '0' && c <= '9':
		p.number()
	default:
		if !p.literal("true") && !p.literal("false") && !p.literal("null") {
			p.fail()
		}
	}
}

// number passes over a number (RFC 8259, section 6).
func (p *protoParser) number() {
	digits := func() bool {
		from := p.i
		for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
			p.i++
		}
		return p.i > from
	}
	p.take('-')
	ok := p.take('0') || digits()
	if ok && p.take('.') {
		ok = digits()
	}
	if ok && (p.take('e') || p.take('E')) {
		if !p.take('+') {
			p.take('-')
		}
		ok = digits()
	}
	if !ok {
		p.fail()
	}
}
