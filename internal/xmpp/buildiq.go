package xmpp

// appendIQ appends the opening tag of an iq, without its ">". Attributes that
// are empty are left out.
func appendIQ(dst []byte, from, to, kind, id string) []byte {
	dst = append(dst, "<iq"...)
	dst = appendAttr(dst, "from", from)
	dst = appendAttr(dst, "to", to)
	dst = appendAttr(dst, "type", kind)
	return appendAttr(dst, "id", id)
}

// AppendBind appends the request to bind a resource; an empty one leaves the
// choice to the server.
func AppendBind(dst []byte, id, resource string) []byte {
	dst = appendIQ(dst, "", "", "set", id)
	if resource == "" {
		return append(dst, `><bind xmlns="`+NSBind+`"/></iq>`...)
	}
	dst = append(dst, `><bind xmlns="`+NSBind+`"><resource>`...)
	dst = AppendText(dst, resource)
	return append(dst, `</resource></bind></iq>`...)
}

// AppendBound appends the answer to a bind. It has no from: aioxmpp would wait
// for ever (docs/protocol.md, Bind).
func AppendBound(dst []byte, id, jid string) []byte {
	dst = appendIQ(dst, "", "", "result", id)
	dst = append(dst, `><bind xmlns="`+NSBind+`"><jid>`...)
	dst = AppendText(dst, jid)
	return append(dst, `</jid></bind></iq>`...)
}

// AppendSession appends the request for a session, the relic of an older RFC.
func AppendSession(dst []byte, id string) []byte {
	dst = appendIQ(dst, "", "", "set", id)
	return append(dst, `><session xmlns="`+NSSession+`"/></iq>`...)
}

// AppendPing appends a ping.
func AppendPing(dst []byte, from, to, id string) []byte {
	dst = appendIQ(dst, from, to, "get", id)
	return append(dst, `><ping xmlns="`+NSPing+`"/></iq>`...)
}

// AppendResult appends an empty result: the answer to a session request, or to
// a ping. Smack wants from to be what its request had in to, and nothing if it
// had none (docs/protocol.md, Keepalive).
func AppendResult(dst []byte, from, to, id string) []byte {
	return append(appendIQ(dst, from, to, "result", id), "/>"...)
}

// AppendIQError appends the refusal of an iq, by one of the conditions of
// stanza errors, such as feature-not-implemented.
func AppendIQError(dst []byte, from, to, id, condition string) []byte {
	code, kind := stanzaError(condition)
	dst = appendIQ(dst, from, to, "error", id)
	dst = append(dst, `><error code="`...)
	dst = append(dst, code...)
	dst = append(dst, `" type="`...)
	dst = append(dst, kind...)
	dst = append(dst, `"><`...)
	dst = append(dst, condition...)
	return append(dst, ` xmlns="`+NSStanzas+`"/></error></iq>`...)
}

// stanzaError returns the old number of a condition (XEP-0086) and the type
// that RFC 6120, section 8.3.3, gives to it.
func stanzaError(condition string) (code, kind string) {
	switch condition {
	case "bad-request":
		return "400", "modify"
	case "jid-malformed":
		return "400", "modify"
	case "not-acceptable":
		return "406", "modify"
	case "not-authorized":
		return "401", "auth"
	case "forbidden":
		return "403", "auth"
	case "not-allowed":
		return "405", "cancel"
	case "conflict":
		return "409", "cancel"
	case "item-not-found":
		return "404", "cancel"
	case "internal-server-error":
		return "500", "wait"
	case "resource-constraint":
		return "500", "wait"
	case "service-unavailable":
		return "503", "cancel"
	}
	return "501", "cancel" // feature-not-implemented
}
