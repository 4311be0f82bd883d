package fcm

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how many objects and lists may lie in one another, the outermost
// counted. Google's parser has a limit too, and nobody knows it.
const maxDepth = 64

// A kind is what sort of JSON value stands somewhere.
type kind uint8

const (
	kindNone kind = iota // no value at all
	kindNull
	kindBool
	kindNumber
	kindString
	kindObject
	kindArray
)

// A scanner reads strict JSON: RFC 8259, in bytes that the caller knows to be
// UTF-8. Its methods return false where the text stops being JSON, with pos
// there, or nests too deep.
//
// It is not encoding/json because that one loses the order of members, which
// Google's error texts count by, lets no one see unknown members level by
// level, and costs several times as much on the way of each message.
type scanner struct {
	src     []byte
	pos     int
	depth   int
	tooDeep bool
}

// kind skips white space and looks at the value that begins there.
func (s *scanner) kind() kind {
	switch c := s.space(); {
	case c == '"':
		return kindString
	case c == '{':
		return kindObject
	case c == '[':
		return kindArray
	case c == '-' || '0' <= c && c <= '9':
		return kindNumber
	case c == 't' || c == 'f':
		return kindBool
	case c == 'n':
		return kindNull
	}
	return kindNone
}

// enter steps into an object or a list, and reports whether it has anything
// inside. If not, it steps out again.
func (s *scanner) enter(closing byte) (more, ok bool) {
	if s.depth == maxDepth {
		s.tooDeep = true
		return false, false
	}
	s.pos++
	if s.space() == closing {
		s.pos++
		return false, true
	}
	s.depth++
	return true, true
}

// next steps over the comma before the next member or element, or out of the
// object or list.
func (s *scanner) next(closing byte) (more, ok bool) {
	switch s.space() {
	case ',':
		s.pos++
		return true, true
	case closing:
		s.pos++
		s.depth--
		return false, true
	}
	return false, false
}

// key reads a member's name and the colon.
func (s *scanner) key() (name []byte, ok bool) {
	if s.space() != '"' {
		return nil, false
	}
	if name, ok = s.text(); !ok || s.space() != ':' {
		return nil, false
	}
	s.pos++
	return name, true
}

// text reads the string at pos and returns what it stands for: a part of the
// source, unless there are escapes in it.
func (s *scanner) text() ([]byte, bool) {
	start := s.pos + 1
	for i := start; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			s.pos = i + 1
			return s.src[start:i], true
		case c == '\\':
			return s.escapedText(start, i)
		case c < ' ':
			s.pos = i
			return nil, false
		}
	}
	s.pos = len(s.src)
	return nil, false
}

// escapedText goes on with the string whose inside begins at start and whose
// first escape stands at i. A surrogate without its other half becomes U+FFFD,
// as in encoding/json.
func (s *scanner) escapedText(start, i int) ([]byte, bool) {
	text := append([]byte(nil), s.src[start:i]...)
	for i < len(s.src) {
		c := s.src[i]
		switch {
		case c == '"':
			s.pos = i + 1
			return text, true
		case c == '\\':
			var n int
			if text, n = appendEscaped(text, s.src[i:]); n == 0 {
				s.pos = i
				return nil, false
			}
			i += n
			continue
		case c < ' ':
			s.pos = i
			return nil, false
		}
		text = append(text, c)
		i++
	}
	s.pos = len(s.src)
	return nil, false
}

// appendEscaped appends what the escape that b begins with stands for; n is its
// length, or 0 if it is none.
func appendEscaped(dst, b []byte) (text []byte, n int) {
	if len(b) < 2 {
		return dst, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	}
	r, ok := codeUnit(b)
	if !ok {
		return dst, 0
	}
	n = 6
	if utf16.IsSurrogate(r) {
		low, _ := codeUnit(b[n:])
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			n += 6
		}
	}
	return utf8.AppendRune(dst, r), n
}

// codeUnit is the value of the \uXXXX that b begins with.
func codeUnit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// value reads the value at pos, whatever it is, and returns it as it stands.
func (s *scanner) value() (json.RawMessage, bool) {
	s.space()
	start := s.pos
	if !s.skip() {
		return nil, false
	}
	return s.src[start:s.pos], true
}

// skip reads the value at pos to its end. maxDepth bounds the recursion.
func (s *scanner) skip() bool {
	switch s.kind() {
	case kindString:
		return s.skipText()
	case kindNumber:
		return s.number()
	case kindBool:
		if s.src[s.pos] == 't' {
			return s.word("true")
		}
		return s.word("false")
	case kindNull:
		return s.word("null")
	case kindObject:
		more, ok := s.enter('}')
		for more && ok {
			if ok = s.space() == '"' && s.skipText() && s.space() == ':'; !ok {
				break
			}
			s.pos++
			if ok = s.skip(); ok {
				more, ok = s.next('}')
			}
		}
		return ok
	case kindArray:
		more, ok := s.enter(']')
		for more && ok {
			if ok = s.skip(); ok {
				more, ok = s.next(']')
			}
		}
		return ok
	}
	return false
}

// skipText reads the string at pos without making anything of it.
func (s *scanner) skipText() bool {
	for i := s.pos + 1; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			s.pos = i + 1
			return true
		case c == '\\':
			var room [8]byte
			_, n := appendEscaped(room[:0], s.src[i:])
			if n == 0 {
				s.pos = i
				return false
			}
			i += n - 1
		case c < ' ':
			s.pos = i
			return false
		}
	}
	s.pos = len(s.src)
	return false
}

func (s *scanner) word(word string) bool {
	if len(s.src)-s.pos < len(word) || string(s.src[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

// digits reads as many digits as there are, and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// space skips white space and looks at what follows.
func (s *scanner) space() byte {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// peek is the byte at pos. At the end it is 0, which JSON has nowhere.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// isJSON reports whether raw is one JSON value in UTF-8, and nothing else.
func isJSON(raw []byte) bool {
	s := scanner{src: raw}
	if !utf8.Valid(raw) || !s.skip() {
		return false
	}
	s.space()
	return s.pos == len(raw)
}

// isObject reports whether raw is one JSON object in UTF-8, and nothing else.
func isObject(raw []byte) bool {
	s := scanner{src: raw}
	return s.kind() == kindObject && isJSON(raw)
}
