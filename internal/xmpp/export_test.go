package xmpp

// Held returns how many bytes of buffer a reader holds.
func (r *Reader) Held() int { return cap(r.mem) + cap(r.scratch) }

// HeldItems returns the room for the parts of an element.
func (r *Reader) HeldItems() int {
	return cap(r.nodes) + cap(r.attrs) + cap(r.binds) + cap(r.runs)
}

// Held returns how many bytes of buffer a writer holds.
func (w *Writer) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cap(w.pending) + cap(w.spare)
}

// Legal reports whether XML allows a character.
var Legal = legal

// Attrs calls f for each attribute of an element.
func (e Element) Attrs(f func(space, local, value string)) {
	n := &e.r.nodes[e.i]
	for i := n.attrs.off; i < n.attrs.end; i++ {
		a := e.r.attrs[i]
		space, local := string(e.r.space(a.ns)), string(e.r.bytes(a.name.local()))
		value, _ := e.attr(space, local)
		f(space, local, string(value))
	}
}
