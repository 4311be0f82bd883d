package xmpp

import "bytes"

// resolve finds the namespaces of a node and of its attributes, once its tag
// is complete, and checks what depends on them. Names that are compared by
// their prefixes would not meet: CCS writes data:gcm and gcm for the same
// element (docs/protocol.md, The JSON as XML text).
func (r *Reader) resolve(cur int32) error {
	n := &r.nodes[cur]
	own := r.binds[n.binds.off:n.binds.end]
	for i := range own {
		if err := r.checkBinding(&own[i]); err != nil {
			return err
		}
		for j := range i {
			if r.equal(own[i].prefix, own[j].prefix) {
				return r.malformed("a namespace prefix is declared twice")
			}
		}
	}
	ns, ok := r.lookup(cur, r.bytes(n.name.prefix()))
	if !ok {
		return r.malformed("an element has an undeclared prefix")
	}
	n.ns = ns
	n.payload = string(r.bytes(n.name.local())) == "gcm" && string(r.space(ns)) == NSGCM

	attrs := r.attrs[n.attrs.off:n.attrs.end]
	for i := range attrs {
		a := &attrs[i]
		if a.name.colon != 0 {
			if a.ns, ok = r.lookup(cur, r.bytes(a.name.prefix())); !ok {
				return r.malformed("an attribute has an undeclared prefix")
			}
		}
		for j := range i {
			b := &attrs[j]
			if r.equal(a.name.local(), b.name.local()) && bytes.Equal(r.space(a.ns), r.space(b.ns)) {
				return r.malformed("an attribute occurs twice")
			}
		}
	}
	return nil
}

// checkBinding refuses declarations that touch what XML reserves (Namespaces
// in XML 1.0, section 3).
func (r *Reader) checkBinding(b *binding) error {
	prefix, uri := r.bytes(b.prefix), r.bindingURI(b)
	switch {
	case string(prefix) == "xmlns":
		return r.malformed("the prefix xmlns is declared")
	case (string(prefix) == "xml") != (string(uri) == nsXML), string(uri) == nsXMLNS:
		return r.malformed("a reserved prefix or namespace is declared")
	case len(prefix) > 0 && len(uri) == 0:
		return r.malformed("a prefix is declared as nothing")
	}
	return nil
}

// Places where a namespace may be known from, besides an index of r.binds.
const (
	none     = -1 // no namespace
	fromXML  = -2 // the prefix xml
	fromHead = -3 // and below: a declaration of the stream's header
)

// lookup returns the place of the namespace that a prefix means at a node, and
// whether it is declared. The empty prefix always is.
func (r *Reader) lookup(cur int32, prefix []byte) (int32, bool) {
	for ; cur != none; cur = r.nodes[cur].parent {
		n := &r.nodes[cur]
		for i := n.binds.off; i < n.binds.end; i++ {
			if string(r.bytes(r.binds[i].prefix)) == string(prefix) {
				return i, true
			}
		}
	}
	for i := range r.document {
		if r.document[i].prefix == string(prefix) {
			return int32(fromHead - i), true
		}
	}
	switch string(prefix) {
	case "":
		return none, true
	case "xml":
		return fromXML, true
	}
	return none, false
}

var xmlURI = []byte(nsXML)

// space returns the namespace at a place.
func (r *Reader) space(place int32) []byte {
	switch {
	case place >= 0:
		return r.bindingURI(&r.binds[place])
	case place == none:
		return nil
	case place == fromXML:
		return xmlURI
	}
	return r.document[fromHead-place].uri
}

func (r *Reader) bindingURI(b *binding) []byte {
	if b.inScratch {
		return r.scratch[b.uri.off:b.uri.end:b.uri.end]
	}
	return r.bytes(b.uri)
}
