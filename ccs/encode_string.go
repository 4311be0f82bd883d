package ccs

import "unicode/utf8"

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
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !plainASCII[c] {
				dst = appendEscape(append(dst, s[start:i]...), rune(c))
				start = i + 1
			}
			i++
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
