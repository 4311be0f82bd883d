package xmpp

import "unicode/utf8"

// AppendEscaped appends s as it may stand in text and in an attribute value of
// either quotation. What XML cannot say at all (control characters, bytes that
// are no UTF-8) becomes U+FFFD: nothing that is written here may break the
// stream for its peer.
func AppendEscaped[T ~string | ~[]byte](dst []byte, s T) []byte {
	return appendEscaped(dst, s, true)
}

// AppendText appends s as it may stand in text, where quotes need no escape.
func AppendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	return appendEscaped(dst, s, false)
}

func appendEscaped[T ~string | ~[]byte](dst []byte, s T, attr bool) []byte {
	from := 0
	for i := 0; i < len(s); {
		c, n := s[i], 1
		var esc string
		switch {
		case c >= utf8.RuneSelf:
			var ch rune
			if ch, n = utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)])); ch == utf8.RuneError && n == 1 || !legal(ch) {
				esc = "\ufffd"
			}
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '\r':
			esc = "&#13;" // a reader would make it LF
		case c < 0x20 && class[c]&isSpace == 0:
			esc = "\ufffd"
		case !attr:
		case c == '"':
			esc = "&quot;"
		case c == '\'':
			esc = "&#39;"
		case c == '\n':
			esc = "&#10;" // a reader would make it a space
		case c == '\t':
			esc = "&#9;"
		}
		if esc != "" {
			dst = append(append(dst, s[from:i]...), esc...)
			from = i + n
		}
		i += n
	}
	return append(dst, s[from:]...)
}
