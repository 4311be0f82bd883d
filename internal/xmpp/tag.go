package xmpp

import "unicode/utf8"

// startTag scans a tag, behind its "<", and makes it a node under parent. It
// reports whether the tag is that of an empty element.
func (r *Reader) startTag(parent int32) (cur int32, empty bool, err error) {
	name, err := r.qname()
	if err != nil {
		return 0, false, err
	}
	n := node{name: name, parent: parent, depth: 1, first: none, last: none, next: none,
		firstRun: none, lastRun: none, fed: none,
		attrs: span{off: int32(len(r.attrs))}, binds: span{off: int32(len(r.binds))}}
	if parent != none {
		n.depth = r.nodes[parent].depth + 1
	}
	if len(r.nodes) >= r.opt.Limits.Elements {
		return 0, false, policy("too many elements in one stanza", "")
	}
	if int(n.depth) > r.opt.Limits.Depth {
		return 0, false, policy("elements are nested too deep", "")
	}
	cur = int32(len(r.nodes))
	if empty, err = r.attributes(); err != nil {
		return 0, false, err
	}
	n.attrs.end, n.binds.end = int32(len(r.attrs)), int32(len(r.binds))
	r.nodes = append(r.nodes, n)
	if parent != none {
		if p := &r.nodes[parent]; p.last == none {
			p.first, p.last = cur, cur
		} else {
			r.nodes[p.last].next = cur
			p.last = cur
		}
	}
	return cur, empty, r.resolve(cur)
}

// attributes scans the rest of a start tag, to its ">" or "/>".
func (r *Reader) attributes() (empty bool, err error) {
	for count := 0; ; count++ {
		before := r.pos
		c, err := r.skipSpace()
		if err != nil {
			return false, err
		}
		switch c {
		case '>':
			r.pos++
			return false, nil
		case '/':
			if c, err = r.at(r.pos + 1); err != nil {
				return false, err
			}
			if c != '>' {
				return false, r.malformed("a \"/\" inside a tag")
			}
			r.pos += 2
			return true, nil
		}
		if r.pos == before {
			return false, r.malformed("no white space in front of an attribute")
		}
		if count >= r.opt.Limits.Attrs {
			return false, policy("too many attributes", "")
		}
		if err := r.attribute(); err != nil {
			return false, err
		}
	}
}

// attribute scans one attribute or namespace declaration.
func (r *Reader) attribute() error {
	name, err := r.qname()
	if err != nil {
		return err
	}
	c, err := r.skipSpace()
	if err != nil {
		return err
	}
	if c != '=' {
		return r.malformed("an attribute without a value")
	}
	r.pos++
	if c, err = r.skipSpace(); err != nil {
		return err
	}
	if c != '"' && c != '\'' {
		return r.malformed("an attribute value without quotes")
	}
	r.pos++
	value, coded, err := r.value(c)
	if err != nil {
		return err
	}
	var prefix span // of a declaration; empty for the default namespace
	switch {
	case name.colon == 0 && string(r.bytes(name.span)) == "xmlns":
	case name.colon != 0 && string(r.bytes(name.prefix())) == "xmlns":
		prefix = name.local()
	default:
		r.attrs = append(r.attrs, attr{name: name, value: value, coded: coded, ns: none})
		return nil
	}
	if coded {
		uri := r.decode(value, runValue)
		r.binds = append(r.binds, binding{prefix: prefix, uri: uri, inScratch: true})
		return nil
	}
	r.binds = append(r.binds, binding{prefix: prefix, uri: value})
	return nil
}

// value scans an attribute value up to its closing quote.
func (r *Reader) value(quote byte) (value span, coded bool, err error) {
	i := r.pos
	value.off = int32(i)
	for {
		w := r.w
		for i < len(w) && class[w[i]]&isValue != 0 {
			i++
		}
		if i == len(w) {
			if err := r.more(); err != nil {
				return value, false, err
			}
			continue
		}
		switch c := w[i]; {
		case c == quote:
			value.end = int32(i)
			r.pos = i + 1
			return value, coded, nil
		case c == '"', c == '\'':
			i++
		case c == '<':
			return value, false, r.malformed("a \"<\" in an attribute value")
		case c == '&':
			n, err := r.reference(i, false)
			if err != nil {
				return value, false, err
			}
			coded = true
			i += n
		case class[c]&isSpace != 0:
			coded = true // to be turned into spaces
			i++
		case c < 0x80:
			return value, false, r.malformed("a control character")
		default:
			_, n, err := r.runeAt(i)
			if err != nil {
				return value, false, err
			}
			i += n
		}
	}
}

// skipSpace goes over white space inside a tag and returns the byte behind it.
func (r *Reader) skipSpace() (byte, error) {
	for {
		c, err := r.at(r.pos)
		if err != nil || class[c]&isSpace == 0 {
			return c, err
		}
		r.pos++
	}
}

// qname scans a qualified name: a local part, or a prefix, a colon and a local
// part.
func (r *Reader) qname() (qname, error) {
	q := qname{span: span{off: int32(r.pos)}}
	part, i := r.pos, r.pos
	for {
		w := r.w
		for i < len(w) && class[w[i]]&isName != 0 {
			i++
		}
		if i == len(w) {
			if err := r.more(); err != nil {
				return q, err
			}
			continue
		}
		if w[i] >= utf8.RuneSelf {
			c, n, err := r.runeAt(i)
			if err != nil {
				return q, err
			}
			if !nameChar(c) {
				return q, r.malformed("a name was expected")
			}
			i += n
			continue
		}
		if i == part || !r.startsName(part) {
			return q, r.malformed("a name was expected")
		}
		if w[i] != ':' || q.colon != 0 {
			break
		}
		q.colon = int32(i)
		i++
		part = i
	}
	q.end = int32(i)
	r.pos = i
	return q, nil
}

// startsName reports whether a name may start with the character at offset i.
func (r *Reader) startsName(i int) bool {
	if c := r.w[i]; c < utf8.RuneSelf {
		return class[c]&isStart != 0
	}
	c, _ := utf8.DecodeRune(r.w[i:])
	return nameStart(c)
}
