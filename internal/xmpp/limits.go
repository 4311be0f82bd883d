package xmpp

import "penstock/ccs"

// Limits bound one first-level element while it is being read. Bytes are
// counted raw, as they come, and nothing beyond the limit is ever buffered
// (docs/protocol.md, Limits).
type Limits struct {
	Bytes    int // from the first "<" to the last ">"
	Elements int // the first-level element included
	Depth    int // the first-level element is at depth 1
	Attrs    int // of one element, namespace declarations included
}

// The limits that our server sets (docs/protocol.md, Limits). The header of a
// stream is bounded by Bytes and Attrs too.
var (
	LimitsBeforeLogin = Limits{Bytes: 8 << 10, Elements: 32, Depth: 4, Attrs: 16}
	LimitsAfterLogin  = Limits{Bytes: 64 << 10, Elements: 64, Depth: 8, Attrs: 16}
)

// ReaderOptions say how strict a [Reader] is. The zero value is what a peer
// deserves that has not logged in.
type ReaderOptions struct {
	// Limits of one first-level element. The zero value is LimitsBeforeLogin.
	Limits Limits

	// Malformed is what XML that is not well-formed is called. Empty is
	// not-well-formed; after login Google said invalid-xml instead.
	Malformed ccs.Condition

	// StrictPayload turns off the kindness towards app servers that paste
	// JSON into <gcm> without escaping it (docs/protocol.md, The JSON as XML
	// text).
	StrictPayload bool
}

// withDefaults fills in what is left out.
func (o ReaderOptions) withDefaults() ReaderOptions {
	if o.Limits == (Limits{}) {
		o.Limits = LimitsBeforeLogin
	}
	if o.Malformed == "" {
		o.Malformed = ccs.ConditionNotWellFormed
	}
	return o
}

// stanzaTooBig is the application condition that tells which limit was passed.
const stanzaTooBig = "stanza-too-big"

func (r *Reader) malformed(text string) error {
	return &ccs.StreamError{Condition: r.opt.Malformed, Text: text}
}

func restricted(text string) error {
	return &ccs.StreamError{Condition: ccs.ConditionRestrictedXML, Text: text}
}

func encoding(text string) error {
	return &ccs.StreamError{Condition: ccs.ConditionUnsupportedEncoding, Text: text}
}

func policy(text, app string) error {
	return &ccs.StreamError{Condition: ccs.ConditionPolicyViolation, Text: text, App: app}
}
