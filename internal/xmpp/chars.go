package xmpp

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// What a byte may be, outside of the slow paths.
const (
	isName  = 1 << iota // in a name; all bytes of other characters are looked at by rune
	isStart             // at the start of a name
	isSpace
	isPlain // in text: nothing to look at
	isValue // in an attribute value: likewise
)

var class = func() (t [256]uint8) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = isPlain | isValue
	}
	t['<'], t['&'] = 0, 0
	t['>'] = isValue
	t['"'], t['\''] = isPlain, isPlain
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= isName | isStart
		t[c-'a'+'A'] |= isName | isStart
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= isName
	}
	t['_'] |= isName | isStart
	t['-'] |= isName
	t['.'] |= isName
	for _, c := range " \t\r\n" {
		t[c] |= isSpace
	}
	return t
}()

// plain returns the offset, from i on, of the first byte that text may not
// just pass over: "<", ">", "&", a control character, or part of a character
// beyond ASCII. It looks at eight bytes at a time, as most bytes of a stream
// are the inside of long strings. The lowest mark is always right; higher ones
// may come from a borrow, and are not looked at.
func plain(w []byte, i int) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(w); i += 8 {
		x := binary.LittleEndian.Uint64(w[i:])
		angle := (x | 0x02*each) ^ 0x3e*each // "<" and ">" differ in one bit
		amp := x ^ 0x26*each
		// In a byte below 0x80 a subtraction sets the high bit exactly if it
		// underflows; bytes from 0x80 are marked by x itself.
		m := (x | (x - 0x20*each) | (angle - each) | (amp - each)) & top
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(w) && class[w[i]]&isPlain != 0 {
		i++
	}
	return i
}

// runeAt returns the character at offset i, for which the first byte must
// have come, and its length.
func (r *Reader) runeAt(i int) (rune, int, error) {
	for !utf8.FullRune(r.w[i:]) {
		if err := r.more(); err != nil {
			return 0, 0, err
		}
	}
	c, n := utf8.DecodeRune(r.w[i:])
	if c == utf8.RuneError && n <= 1 {
		return 0, 0, encoding("the stream is not UTF-8")
	}
	if !legal(c) {
		return 0, 0, r.malformed("a character that XML does not allow")
	}
	return c, n, nil
}

// legal reports whether XML 1.0 allows the character, literally or as a
// numeric reference.
func legal(c rune) bool {
	switch {
	case c < 0x20:
		return c == '\t' || c == '\n' || c == '\r'
	case c < 0xd800:
		return true
	}
	return c > 0xdfff && c < 0xfffe || c > 0xffff && c <= utf8.MaxRune
}

// nameStart reports whether a name may start with c, which is beyond ASCII
// (XML 1.0, fifth edition).
func nameStart(c rune) bool {
	switch {
	case c < 0xc0, c == 0xd7, c == 0xf7:
		return false
	case c <= 0x2ff, c >= 0x370 && c <= 0x37d, c >= 0x37f && c <= 0x1fff,
		c == 0x200c, c == 0x200d, c >= 0x2070 && c <= 0x218f,
		c >= 0x2c00 && c <= 0x2fef, c >= 0x3001 && c <= 0xd7ff,
		c >= 0xf900 && c <= 0xfdcf, c >= 0xfdf0 && c <= 0xfffd,
		c >= 0x10000 && c <= 0xeffff:
		return true
	}
	return false
}

// nameChar reports whether c, which is beyond ASCII, may be in a name.
func nameChar(c rune) bool {
	return nameStart(c) || c == 0xb7 || c >= 0x300 && c <= 0x36f || c == 0x203f || c == 0x2040
}
