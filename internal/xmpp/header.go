package xmpp

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"penstock/ccs"
)

// A Header is the opening tag of a stream. What an attribute says is up to the
// reader of it: app servers write odd things into To (docs/protocol.md,
// Stream).
type Header struct{ To, From, ID, Version, Lang string }

// Header reads white space, an XML declaration if there is one, and the
// header of a stream, which it refuses if it is not one of XMPP 1.x over
// jabber:client. Its errors are those of [Reader.Next].
func (r *Reader) Header() (Header, error) {
	if r.err != nil {
		return Header{}, r.err
	}
	if r.opened {
		return Header{}, errors.New("xmpp: Header without Restart")
	}
	h, err := r.header()
	if err != nil {
		return Header{}, r.fail(err)
	}
	return h, nil
}

func (r *Reader) header() (Header, error) {
	r.advance(r.done)
	if !r.begun {
		if err := r.begin(); err != nil {
			return Header{}, err
		}
	}
	for {
		if err := r.gap(); err != nil {
			return Header{}, err
		}
		c, err := r.at(1)
		if err != nil {
			return Header{}, err
		}
		r.pos = 1
		if c == '?' && !r.declared {
			if err := r.declaration(); err != nil {
				return Header{}, err
			}
			r.declared, r.done = true, r.pos
			continue
		}
		if c == 0 {
			return Header{}, encoding("the stream is not UTF-8")
		}
		if err := r.special(c); err != nil {
			return Header{}, err
		}
		break
	}
	r.reset()
	_, empty, err := r.startTag(none)
	if err != nil {
		return Header{}, err
	}
	h, err := r.checkHeader(Element{r, 0}, empty)
	if err != nil {
		return Header{}, err
	}
	r.streamName = string(r.bytes(r.nodes[0].name.span))
	for i := range r.binds {
		b := &r.binds[i]
		r.document = append(r.document, docBinding{string(r.bytes(b.prefix)), bytes.Clone(r.bindingURI(b))})
	}
	r.opened, r.done = true, r.pos
	return h, nil
}

// begin looks at the first bytes of a document: a byte order mark of UTF-8 is
// passed over, the signs of UTF-16 and UTF-32 are refused by name.
func (r *Reader) begin() error {
	const bom = "\ufeff"
	r.window()
	if len(r.w) == 0 {
		if err := r.fill(); err != nil {
			return err
		}
		r.window()
	}
	switch r.w[0] {
	case 0, 0xfe, 0xff:
		return encoding("the stream is not UTF-8")
	case bom[0]:
		c, _, err := r.runeAt(0)
		if err != nil {
			return err
		}
		if c == '\ufeff' {
			r.advance(len(bom))
		}
	}
	r.begun = true
	return nil
}

// checkHeader checks the opening tag of a stream (RFC 6120, sections 4.7 and
// 4.8).
func (r *Reader) checkHeader(e Element, empty bool) (Header, error) {
	refuse := func(c ccs.Condition, text string) (Header, error) {
		return Header{}, &ccs.StreamError{Condition: c, Text: text}
	}
	if string(e.Local()) != "stream" {
		return refuse(ccs.ConditionBadFormat, "the first element is not the header of a stream")
	}
	if string(e.Space()) != NSStream {
		return refuse(ccs.ConditionInvalidNamespace, "the namespace of the stream is not "+NSStream)
	}
	if place, _ := r.lookup(0, nil); string(r.space(place)) != NSClient {
		return refuse(ccs.ConditionInvalidNamespace, "the default namespace is not "+NSClient)
	}
	if empty {
		// Google's documentation once showed it so.
		return refuse(ccs.ConditionBadFormat, "the header of a stream is an opening tag, not an empty element")
	}
	version, _ := e.Attr("version")
	major, _, _ := strings.Cut(string(version), ".")
	if n, err := strconv.ParseUint(major, 10, 32); err != nil || n < 1 {
		return refuse(ccs.ConditionUnsupportedVersion, "the version of the stream is not 1.0")
	}
	value := func(space, local string) string {
		v, _ := e.attr(space, local)
		return string(v)
	}
	return Header{To: value("", "to"), From: value("", "from"), ID: value("", "id"),
		Version: string(version), Lang: value(nsXML, "lang")}, nil
}

// declaration scans an XML declaration, which is legal once at the start of a
// document, before which white space is tolerated: some app servers write a
// newline in between (docs/protocol.md, Stream).
func (r *Reader) declaration() error {
	for i, want := range []byte("<?xml") {
		c, err := r.at(i)
		if err != nil {
			return err
		}
		if c != want {
			return restricted("processing instructions are not allowed")
		}
	}
	r.pos = len("<?xml")
	if c, err := r.at(r.pos); err != nil {
		return err
	} else if class[c]&isSpace == 0 {
		return restricted("processing instructions are not allowed")
	}
	order := []string{"version", "encoding", "standalone"}
	for first := true; ; first = false {
		before := r.pos
		c, err := r.skipSpace()
		if err != nil {
			return err
		}
		if c == '?' && !first {
			if c, err = r.at(r.pos + 1); err != nil {
				return err
			}
			if c == '>' {
				r.pos += 2
				return nil
			}
		}
		if r.pos == before {
			return r.malformed("the XML declaration is malformed")
		}
		name, value, err := r.pseudoAttribute()
		if err != nil {
			return err
		}
		for len(order) > 0 && order[0] != name && !first {
			order = order[1:]
		}
		if len(order) == 0 || order[0] != name {
			return r.malformed("the XML declaration is malformed")
		}
		order = order[1:]
		switch {
		case name == "version" && value != "1.0",
			name == "standalone" && value != "yes" && value != "no":
			return r.malformed("the XML declaration is malformed")
		case name == "encoding" && !strings.EqualFold(value, "UTF-8"):
			return encoding("the declared encoding is not UTF-8")
		}
	}
}

// pseudoAttribute scans one name="value" of an XML declaration.
func (r *Reader) pseudoAttribute() (name, value string, err error) {
	q, err := r.qname()
	if err != nil {
		return "", "", err
	}
	c, err := r.skipSpace()
	if err != nil {
		return "", "", err
	}
	if c != '=' {
		return "", "", r.malformed("the XML declaration is malformed")
	}
	r.pos++
	if c, err = r.skipSpace(); err != nil {
		return "", "", err
	}
	if c != '"' && c != '\'' {
		return "", "", r.malformed("the XML declaration is malformed")
	}
	r.pos++
	v, coded, err := r.value(c)
	if err != nil {
		return "", "", err
	}
	if coded {
		return "", "", r.malformed("the XML declaration is malformed")
	}
	return string(r.bytes(q.span)), string(r.bytes(v)), nil
}
