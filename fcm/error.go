package fcm

import (
	"strconv"
	"strings"
	"time"
)

// An ErrorCode is FCM's own word for what went wrong, out of FcmError.
type ErrorCode string

// The codes that Google documents. Others are kept as they came.
const (
	CodeUnspecified      ErrorCode = "UNSPECIFIED_ERROR"
	CodeInvalidArgument  ErrorCode = "INVALID_ARGUMENT"
	CodeUnregistered     ErrorCode = "UNREGISTERED"
	CodeSenderIDMismatch ErrorCode = "SENDER_ID_MISMATCH"
	CodeQuotaExceeded    ErrorCode = "QUOTA_EXCEEDED"
	CodeUnavailable      ErrorCode = "UNAVAILABLE"
	CodeInternal         ErrorCode = "INTERNAL"
	CodeThirdPartyAuth   ErrorCode = "THIRD_PARTY_AUTH_ERROR"
)

// An Error is v1's error reply as far as it could be read. Message is Google's
// sentence for people: nothing is decided by it, and it may hold names of the
// project, so that it is for the operator and not for a peer.
type Error struct {
	HTTPStatus int
	Status     string // a canonical code of gRPC, such as NOT_FOUND; empty: none could be read
	Message    string
	Code       ErrorCode   // of FcmError; empty: there was none
	APNS       *APNSError  // nil: there was none
	Info       *ErrorInfo  // nil: there was none
	BadRequest *BadRequest // nil: there was none
	NotJSON    bool        // the body was no JSON, HTML for instance; nothing of it is kept
}

// An APNSError is what Apple's service answered.
type APNSError struct {
	StatusCode int
	Reason     string
}

// An ErrorInfo is a reason of Google's front, with metadata.
type ErrorInfo struct {
	Reason, Domain string
	Metadata       map[string]string
}

// A BadRequest names fields; it may name none.
type BadRequest struct{ Violations []FieldViolation }

// A FieldViolation says what is wrong with one field, such as message.token.
type FieldViolation struct{ Field, Description string }

// A Class is what an outcome means for whoever sent the message.
type Class uint8

// The classes of failure. The zero Class is none of them.
const (
	// Unregistered: the address is dead. Only this class may cost a token its life.
	Unregistered Class = iota + 1
	// MalformedToken: what stands as address is none.
	MalformedToken
	// SenderIDMismatch: the address belongs to another project.
	SenderIDMismatch
	// InvalidMessage: the message breaks a rule; Violations may name fields.
	InvalidMessage
	// ThirdPartyAuth: the project's key for APNs or web push is missing or bad.
	ThirdPartyAuth
	// ProjectQuota, DeviceQuota, TopicQuota: too many messages of the project, to
	// this device, to this topic.
	ProjectQuota
	DeviceQuota
	TopicQuota
	// Unavailable: no reply, overload, time out, HTML from a proxy: try later.
	Unavailable
	// Internal: a fault inside FCM: try later.
	Internal
	// Credential: FCM does not accept our access token, or we could get none.
	Credential
	// Configuration: no permission, API not enabled, wrong project or URL.
	Configuration
	// Expired: the time to live was over before the message was sent.
	Expired
)

// A SendError says why one message was not accepted. Everything that sends
// towards FCM returns it, so that fronts need to know one type.
type SendError struct {
	Class Class
	// Reply is what FCM answered; nil: nothing, or nothing readable.
	Reply *Error
	// RetryAfter is how long FCM asked us to wait; 0: it did not say.
	RetryAfter time.Duration
	// OutcomeUnknown: the request may have reached FCM, and its answer is not
	// known. Sending it again may deliver it twice.
	OutcomeUnknown bool
	// Err is the cause, for us and the operator; it never reaches a peer.
	Err error
}

// Error tells class and cause without tokens, keys or payload.
func (e *SendError) Error() string {
	text := e.Class.String()
	if e.OutcomeUnknown {
		text += ", outcome unknown"
	}
	if e.Reply != nil {
		text += " (HTTP " + strconv.Itoa(e.Reply.HTTPStatus)
		for _, word := range []string{e.Reply.Status, string(e.Reply.Code), e.Reply.reason()} {
			if isWord(word) {
				text += " " + word
			}
		}
		text += ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// reason is why Google's front refused, such as SERVICE_DISABLED; empty: it did
// not say.
func (e *Error) reason() string {
	if e.Info == nil {
		return ""
	}
	return e.Info.Reason
}

// isWord reports whether text has the shape of a status, a code or a reason. What
// has another, from a far end that is not Google's, is logged nowhere.
func isWord(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Violations are the fields that FCM named; nil if it named none.
func (e *SendError) Violations() []FieldViolation {
	if e.Reply == nil || e.Reply.BadRequest == nil {
		return nil
	}
	return e.Reply.BadRequest.Violations
}

// String is a word for logs and metrics; the set is closed.
func (c Class) String() string {
	switch c {
	case Unregistered:
		return "unregistered"
	case MalformedToken:
		return "malformed_token"
	case SenderIDMismatch:
		return "sender_id_mismatch"
	case InvalidMessage:
		return "invalid_message"
	case ThirdPartyAuth:
		return "third_party_auth"
	case ProjectQuota:
		return "project_quota"
	case DeviceQuota:
		return "device_quota"
	case TopicQuota:
		return "topic_quota"
	case Unavailable:
		return "unavailable"
	case Internal:
		return "internal"
	case Credential:
		return "credential"
	case Configuration:
		return "configuration"
	case Expired:
		return "expired"
	}
	return "none"
}

// Final reports whether the same message, sent again, would fail again: the
// fault is the message's or its address's.
func (c Class) Final() bool {
	switch c {
	case Unregistered, MalformedToken, SenderIDMismatch, InvalidMessage, ThirdPartyAuth, Expired:
		return true
	}
	return false
}
