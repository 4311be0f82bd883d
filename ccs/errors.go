package ccs

import "fmt"

// A Code is the error code of a nack. The set is closed on our side; a foreign
// server may send others, which count like [CodeInternalServerError] for
// reporting but are never retried (docs/protocol.md, Nack codes).
type Code string

// The codes of nacks.
const (
	CodeInvalidJSON               Code = "INVALID_JSON"
	CodeBadRegistration           Code = "BAD_REGISTRATION"
	CodeDeviceUnregistered        Code = "DEVICE_UNREGISTERED"
	CodeSenderIDMismatch          Code = "SENDER_ID_MISMATCH"
	CodeBadAck                    Code = "BAD_ACK"
	CodeServiceUnavailable        Code = "SERVICE_UNAVAILABLE"
	CodeInternalServerError       Code = "INTERNAL_SERVER_ERROR"
	CodeDeviceMessageRateExceeded Code = "DEVICE_MESSAGE_RATE_EXCEEDED"
	CodeTopicsMessageRateExceeded Code = "TOPICS_MESSAGE_RATE_EXCEEDED"
	CodeConnectionDraining        Code = "CONNECTION_DRAINING"
	CodeInvalidAPNSCredential     Code = "INVALID_APNS_CREDENTIAL"
	CodeAuthenticationFailed      Code = "AUTHENTICATION_FAILED"
	CodeQuotaExceeded             Code = "QUOTA_EXCEEDED"
)

// TextSameID is the description with which Google's CCS refused an id that it
// had accepted before. For a message that was sent twice it means success.
const TextSameID = "Message with the same id has been received before"

// Sentence is what a code says to a person; never empty.
func (c Code) Sentence() string {
	switch c {
	case CodeInvalidJSON:
		return "The message is not valid"
	case CodeBadRegistration:
		return "The registration token is malformed"
	case CodeDeviceUnregistered:
		return "The registration token is no longer valid"
	case CodeSenderIDMismatch:
		return "The registration token belongs to another sender"
	case CodeBadAck:
		return "The ack is malformed"
	case CodeServiceUnavailable:
		return "The message could not be handled in time; try again later"
	case CodeInternalServerError:
		return "Internal error; try again later"
	case CodeDeviceMessageRateExceeded:
		return "Downstream message rate exceeded for this registration id"
	case CodeTopicsMessageRateExceeded:
		return "Downstream message rate exceeded for this topic"
	case CodeConnectionDraining:
		return "The connection is draining; send on another one"
	case CodeInvalidAPNSCredential:
		return "The APNs credential of the project is missing or expired"
	case CodeAuthenticationFailed:
		return "The credential of the sender is no longer valid"
	case CodeQuotaExceeded:
		return "Short-term downstream quota exceeded for this registration id"
	}
	return "Unknown error code"
}

// Retryable reports whether the same message may be sent again after a
// back-off. [CodeConnectionDraining] is not among them: that message goes out
// again at once, on another stream.
func (c Code) Retryable() bool {
	return c == CodeServiceUnavailable || c == CodeInternalServerError
}

// A NackError loses one message; the stream goes on. A handler returns one to
// order that nack; a client's Send returns the one that it got.
type NackError struct {
	Code        Code
	Description string // for the peer, generic; empty: the code's own sentence
	Err         error  // for us; never leaves
}

// Text is the description that goes on the wire; never empty.
func (e *NackError) Text() string {
	if e.Description != "" {
		return e.Description
	}
	return e.Code.Sentence()
}

func (e *NackError) Error() string {
	s := fmt.Sprintf("nack %s: %s", e.Code, e.Text())
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause that never leaves.
func (e *NackError) Unwrap() error { return e.Err }

// A Condition names a stream error (RFC 6120, section 4.9.3).
type Condition string

// The conditions that our server writes.
const (
	ConditionBadFormat             Condition = "bad-format"
	ConditionConnectionTimeout     Condition = "connection-timeout"
	ConditionInvalidNamespace      Condition = "invalid-namespace"
	ConditionInvalidXML            Condition = "invalid-xml"
	ConditionNotAuthorized         Condition = "not-authorized"
	ConditionNotWellFormed         Condition = "not-well-formed"
	ConditionPolicyViolation       Condition = "policy-violation"
	ConditionRestrictedXML         Condition = "restricted-xml"
	ConditionUnsupportedEncoding   Condition = "unsupported-encoding"
	ConditionUnsupportedStanzaType Condition = "unsupported-stanza-type"
	ConditionUnsupportedVersion    Condition = "unsupported-version"
	ConditionInternalServerError   Condition = "internal-server-error"
	ConditionUndefinedCondition    Condition = "undefined-condition"
	ConditionResourceConstraint    Condition = "resource-constraint"
)

// A StreamError loses one stream: it is written before the stream closes, or
// was read from the peer.
type StreamError struct {
	Condition Condition
	Text      string // for people; goes on the wire if not empty
	App       string // local name of an application condition in urn:xmpp:errors, such as stanza-too-big
}

func (e *StreamError) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("stream error %s: %s", e.Condition, e.Text)
	}
	return "stream error " + string(e.Condition)
}

// A FieldError says which field of a message is wrong, before any I/O.
type FieldError struct {
	Field  string // the wire's spelling: "time_to_live", "data", …
	Reason string

	label string // the word for it in CCS's own texts, such as INVALID_TTL
}

// Label is CCS's own word for the fault, such as MESSAGE_TOO_BIG; empty: it has
// none.
func (e *FieldError) Label() string { return e.label }

func (e *FieldError) Error() string { return fmt.Sprintf("field %q: %s", e.Field, e.Reason) }

// A PayloadError says why what an app server wrote is no message, or a wrong
// one. With a MessageID the answer is a nack [CodeInvalidJSON]; without, a
// stanza error 400 (docs/protocol.md, Errors).
type PayloadError struct {
	MessageID MessageID         // as text, even if it came as a number; empty: none was found
	From      RegistrationToken // what the answer's "from" is; "unknown" if no target was found
	Code      Code              // INVALID_JSON, or BAD_ACK
	Text      string            // "InvalidJson: JSON_TYPE_ERROR : Field …"
}

func (e *PayloadError) Error() string { return e.Text }
