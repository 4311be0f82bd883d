package ccs

import (
	"math/bits"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// plainASCII marks the ASCII characters that need no escape, in JSON or in XML
// text.
var plainASCII = func() (plain [utf8.RuneSelf]bool) {
	for c := range plain {
		switch c {
		case '"', '\\', '<', '>', '&':
		default:
			plain[c] = c >= ' '
		}
	}
	return plain
}()

// appendString appends s in quotes. Characters that XML would escape, or that
// it has not at all, are written as JSON escapes, so that no other layer has to
// look at them (docs/protocol.md, The JSON as XML text). What is not UTF-8
// becomes U+FFFD: a stream must not die of it.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not yet appended
	for i := plainUntil(s, 0); i < len(s); i = plainUntil(s, i) {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = appendEscape(append(dst, s[start:i]...), rune(c))
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1,
			r == '\u2028', r == '\u2029', // line ends in JavaScript and in some line readers
			r == '\ufffe', r == '\uffff': // no characters in XML, not even as references
			dst = appendEscape(append(dst, s[start:i]...), r)
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// plainUntil is the index, from i on, of the first byte of s that is not plain
// ASCII; len(s) if there is none. It looks at eight bytes at a time, as tokens
// are long (see [scanner.str] for the arithmetic).
func plainUntil(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56 // one load
		quoteOrAmp := (x | 0x04*eachByte) ^ '&'*eachByte // they differ in one bit
		angle := (x | 0x02*eachByte) ^ '>'*eachByte      // and so do these
		slash := x ^ '\\'*eachByte
		special := (x | (x - ' '*eachByte) | (quoteOrAmp - eachByte) | (angle - eachByte) | (slash - eachByte)) & highBits
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(s) && s[i] < utf8.RuneSelf && plainASCII[s[i]] {
		i++
	}
	return i
}

func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u',
		hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}
