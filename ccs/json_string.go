package ccs

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// str reads the string at pos and reports whether it holds escapes. Tokens make
// up most of a payload, so it looks at eight bytes at a time for the four sorts
// that need a thought: quotes, backslashes, control characters and non-ASCII.
func (s *scanner) str() (escaped bool, err error) {
	src, start := s.src, s.pos+1
	wide := false
	i := start
	for {
		for i+8 <= len(src) {
			x := binary.LittleEndian.Uint64(src[i:])
			quote, slash := x^('"'*eachByte), x^('\\'*eachByte)
			// In a byte below 0x80 a subtraction sets the high bit exactly if
			// it underflows; bytes from 0x80 are marked by x itself. A borrow
			// may mark bytes above a marked one too, but only the lowest mark
			// is looked at.
			special := (x | (x - ' '*eachByte) | (quote - eachByte) | (slash - eachByte)) & highBits
			if special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(src) {
			s.pos = len(src)
			return false, s.unexpected("the end of the string")
		}
		switch c := src[i]; {
		case c == '"':
			s.pos = i + 1
			if wide && !utf8.Valid(src[start:i]) {
				return false, &syntaxError{start - 1, "invalid UTF-8 in the string"}
			}
			return escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLen(src[i:])
			if n == 0 {
				return false, &syntaxError{i, "invalid escape"}
			}
			i += n
		case c < ' ':
			return false, &syntaxError{i, "control character"}
		case c >= utf8.RuneSelf:
			wide = true
			for i < len(src) && src[i] >= utf8.RuneSelf {
				i++
			}
		default: // one of the last seven bytes
			i++
		}
	}
}

// escapeLen is the length of the escape that b begins with, or 0.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 is the code unit of the \uXXXX that b begins with.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
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

// appendUnescaped appends what raw, the inside of a scanned string, stands for.
// A surrogate without its other half becomes U+FFFD, as in encoding/json.
func appendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		switch c = raw[i+1]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(raw[i:])
			i += 6
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i:])
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
		i += 2
	}
	return dst
}
