package xmpp

import "penstock/ccs"

// A Side is one of the two ends of a stream.
type Side uint8

// The sides, as those that write.
const (
	FromApp Side = iota
	FromServer
)

// What either side writes without filling in anything. Each was chosen so that
// every published app server can work with it (docs/protocol.md, Stream).
const (
	// FeaturesLogin announces SASL PLAIN, and nothing that a client might
	// prefer to it (docs/protocol.md, SASL).
	FeaturesLogin = `<stream:features><mechanisms xmlns="` + NSSASL + `"><mechanism>PLAIN</mechanism></mechanisms></stream:features>`

	// FeaturesBind announces bind and session. Stream management and
	// compression must not be announced: clients would ask for them
	// (docs/protocol.md, Bind).
	FeaturesBind = `<stream:features><bind xmlns="` + NSBind + `"/><session xmlns="` + NSSession + `"/></stream:features>`

	Success   = `<success xmlns="` + NSSASL + `"/>`
	SMFailed  = `<failed xmlns="` + NSSM + `"><unexpected-request xmlns="` + NSStanzas + `"/></failed>`
	KeepAlive = " "
	StreamEnd = `</stream:stream>`

	// Answers and control messages have no attribute at all: go-gcm takes
	// those with a type for upstream messages (docs/protocol.md, The JSON
	// as XML text).
	AnswerOpen  = `<message><data:gcm xmlns:data="` + NSGCM + `">`
	AnswerClose = `</data:gcm></message>`

	UpstreamClose = `</gcm></message>`

	MessageOpen  = `<message><gcm xmlns="` + NSGCM + `">`
	MessageClose = `</gcm></message>`
)

// appendAttr appends an attribute, with a space in front; nothing if the value
// is empty. Smack drops the connection for an empty id.
func appendAttr(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	dst = AppendEscaped(dst, value)
	return append(dst, '"')
}

// AppendHeader appends the header of a stream as that side writes it: without
// XML declaration, which Google did not write either. An empty Version is 1.0.
// aioxmpp insists on From, ID and Version of the connection server
// (docs/protocol.md, Stream).
func AppendHeader(dst []byte, h Header, side Side) []byte {
	version := h.Version
	if version == "" {
		version = "1.0"
	}
	dst = append(dst, "<stream:stream"...)
	if side == FromServer {
		dst = appendAttr(dst, "from", h.From)
		dst = appendAttr(dst, "to", h.To)
		dst = appendAttr(dst, "id", h.ID)
		dst = appendAttr(dst, "version", version)
		dst = appendAttr(dst, "xml:lang", h.Lang)
		return append(dst, ` xmlns:stream="`+NSStream+`" xmlns="`+NSClient+`">`...)
	}
	dst = appendAttr(dst, "to", h.To)
	dst = appendAttr(dst, "from", h.From)
	dst = appendAttr(dst, "id", h.ID)
	dst = appendAttr(dst, "version", version)
	dst = appendAttr(dst, "xml:lang", h.Lang)
	return append(dst, ` xmlns="`+NSClient+`" xmlns:stream="`+NSStream+`">`...)
}

// AppendFailure appends the refusal of a login, by one of SASL's conditions.
func AppendFailure(dst []byte, condition string) []byte {
	dst = append(dst, `<failure xmlns="`+NSSASL+`"><`...)
	dst = append(dst, condition...)
	return append(dst, `/></failure>`...)
}

// AppendStreamError appends a stream error, which StreamEnd must follow.
// invalid-xml has no text, as Google was recorded.
func AppendStreamError(dst []byte, e *ccs.StreamError) []byte {
	dst = append(dst, `<stream:error><`...)
	dst = append(dst, e.Condition...)
	dst = append(dst, ` xmlns="`+NSStreamErrors+`"/>`...)
	if e.Text != "" && e.Condition != ccs.ConditionInvalidXML {
		dst = append(dst, `<text xmlns="`+NSStreamErrors+`">`...)
		dst = AppendText(dst, e.Text)
		dst = append(dst, `</text>`...)
	}
	if e.App != "" {
		dst = append(dst, '<')
		dst = append(dst, e.App...)
		dst = append(dst, ` xmlns="`+NSErrors+`"/>`...)
	}
	return append(dst, `</stream:error>`...)
}

// AppendUpstreamOpen appends what stands in front of an upstream message or a
// receipt; to is the bare JID of the app server. UpstreamClose ends it.
func AppendUpstreamOpen(dst []byte, to string) []byte {
	dst = append(dst, "<message"...)
	dst = appendAttr(dst, "to", to)
	return append(dst, ` from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="`+NSGCM+`">`...)
}

// AppendBadJSON appends the error stanza for a payload that has no message id
// to nack (docs/protocol.md, Errors). The payload stands in front of the error,
// as some libraries take the first child for the payload.
func AppendBadJSON(dst []byte, id, to string, payload []byte, text string) []byte {
	dst = append(dst, "<message"...)
	dst = appendAttr(dst, "id", id)
	dst = append(dst, ` type="error"`...)
	dst = appendAttr(dst, "to", to)
	dst = append(dst, `><gcm xmlns="`+NSGCM+`">`...)
	dst = AppendText(dst, payload)
	dst = append(dst, `</gcm><error code="400" type="modify"><bad-request xmlns="`+NSStanzas+`"/><text xmlns="`+NSStanzas+`">`...)
	dst = AppendText(dst, text)
	return append(dst, `</text></error></message>`...)
}

// AppendAuth appends a login by SASL PLAIN; text is from [EncodePlain].
func AppendAuth(dst []byte, text string) []byte {
	dst = append(dst, `<auth xmlns="`+NSSASL+`" mechanism="PLAIN">`...)
	dst = AppendText(dst, text)
	return append(dst, `</auth>`...)
}
