package translate

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// outcomeOf is err in the words of sending: a *[fcm.SendError], also for the nack
// of a far end that speaks CCS. Anything else is a fault of ours.
func outcomeOf(err error) *fcm.SendError {
	if e, ok := errors.AsType[*fcm.SendError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*ccs.NackError](err); ok {
		return &fcm.SendError{Class: ClassOf(e.Code), Err: err}
	}
	return &fcm.SendError{Class: fcm.Internal, Err: err}
}

// ClassOf is what a nack of a far end means for a sender of ours. What concerns
// our own connection to that end is for later, and unknown codes count like
// INTERNAL_SERVER_ERROR.
func ClassOf(code ccs.Code) fcm.Class {
	switch code {
	case ccs.CodeInvalidJSON:
		return fcm.InvalidMessage
	case ccs.CodeBadRegistration:
		return fcm.MalformedToken
	case ccs.CodeDeviceUnregistered:
		return fcm.Unregistered
	case ccs.CodeSenderIDMismatch:
		return fcm.SenderIDMismatch
	case ccs.CodeInvalidAPNSCredential:
		return fcm.ThirdPartyAuth
	case ccs.CodeDeviceMessageRateExceeded, ccs.CodeQuotaExceeded:
		return fcm.DeviceQuota
	case ccs.CodeTopicsMessageRateExceeded:
		return fcm.TopicQuota
	case ccs.CodeServiceUnavailable, ccs.CodeConnectionDraining:
		return fcm.Unavailable
	case ccs.CodeAuthenticationFailed:
		return fcm.Credential
	}
	return fcm.Internal
}

// What senders read where the code's own sentence says too little.
const (
	textUnknown  = "outcome unknown: the message may have been sent; the answer of the far end is missing"
	textExpired  = "The time to live was over before the message could be sent"
	textTooLarge = "InvalidJson: " + ccs.LabelTooBig + " : The message is larger than the far end takes"
)

// isUnknown reports whether nobody knows what became of the message.
func isUnknown(e *fcm.SendError) bool { return e.OutcomeUnknown && !e.Class.Final() }

// Nack is what a CCS sender reads about err, which is a *[fcm.SendError] or a
// *[ccs.NackError]; anything else is INTERNAL_SERVER_ERROR. Nil is nil, an ack.
// Descriptions are ours and generic; only about an invalid message do they name
// its fields, in 200 characters. Err stays with the nack, for us
// (docs/fcm-http.md, Answers).
func Nack(err error, opt *Options) *ccs.NackError {
	if err == nil {
		return nil
	}
	e := outcomeOf(err)
	nack := &ccs.NackError{Code: codeOf(e, opt != nil && opt.AuthenticationFailed), Err: err}
	switch {
	case isUnknown(e):
		nack.Description = textUnknown
	case e.Class == fcm.Expired:
		nack.Description = textExpired
	case e.Class == fcm.InvalidMessage:
		nack.Description = describe(err, e)
	}
	return nack
}

func codeOf(e *fcm.SendError, authenticationFailed bool) ccs.Code {
	if isUnknown(e) {
		return ccs.CodeServiceUnavailable
	}
	switch e.Class {
	case fcm.Unregistered:
		return ccs.CodeDeviceUnregistered
	case fcm.MalformedToken:
		return ccs.CodeBadRegistration
	case fcm.SenderIDMismatch:
		return ccs.CodeSenderIDMismatch
	case fcm.InvalidMessage:
		return ccs.CodeInvalidJSON
	case fcm.ThirdPartyAuth:
		return ccs.CodeInvalidAPNSCredential
	case fcm.DeviceQuota:
		return ccs.CodeDeviceMessageRateExceeded
	case fcm.TopicQuota:
		return ccs.CodeTopicsMessageRateExceeded
	case fcm.Credential:
		if authenticationFailed {
			return ccs.CodeAuthenticationFailed
		}
		return ccs.CodeServiceUnavailable
	case fcm.Configuration:
		// A permission that is missing belongs to the credential; a wrong address
		// does not.
		if authenticationFailed && e.Reply != nil && e.Reply.HTTPStatus == http.StatusForbidden {
			return ccs.CodeAuthenticationFailed
		}
		return ccs.CodeServiceUnavailable
	case fcm.ProjectQuota, fcm.Unavailable, fcm.Expired:
		return ccs.CodeServiceUnavailable
	}
	return ccs.CodeInternalServerError
}

// describe says which fields of a message are wrong; empty: nothing is known.
func describe(err error, e *fcm.SendError) string {
	if nack, ok := errors.AsType[*ccs.NackError](err); ok {
		return tellable(nack.Description)
	}
	var parts []string
	for _, v := range e.Violations() {
		part := v.Description
		if v.Field != "" {
			part = strings.TrimSuffix(v.Field+": "+part, ": ")
		}
		if part = tellable(part); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 && invalidResult(err, e) == MessageTooBig {
		return textTooLarge // FCM names no field for that
	}
	return printable(strings.Join(parts, "; "), maxDescription)
}

// tellable is a far end's text if a sender may read it: pages of HTML never.
func tellable(text string) string {
	if strings.ContainsRune(text, '<') {
		return ""
	}
	return printable(text, maxDescription)
}

// The words of the legacy HTTP protocol for what may become of a message.
const (
	MissingRegistration       = "MissingRegistration"
	InvalidRegistration       = "InvalidRegistration"
	NotRegistered             = "NotRegistered"
	InvalidPackageName        = "InvalidPackageName"
	MismatchSenderID          = "MismatchSenderId"
	InvalidParameters         = "InvalidParameters"
	MessageTooBig             = "MessageTooBig"
	InvalidDataKey            = "InvalidDataKey"
	InvalidTTL                = "InvalidTtl"
	Unavailable               = "Unavailable"
	InternalServerError       = "InternalServerError"
	DeviceMessageRateExceeded = "DeviceMessageRateExceeded"
	TopicsMessageRateExceeded = "TopicsMessageRateExceeded"
	InvalidAPNSCredential     = "InvalidApnsCredential"
)

// LegacyResult is the word of the legacy HTTP protocol for err, as it stands in
// results, behind Error=, and in a topic's answer. Nil is empty. To one target or
// topic InvalidParameters is answered with 400, and Unavailable with 503.
func LegacyResult(err error) string {
	if err == nil {
		return ""
	}
	e := outcomeOf(err)
	if isUnknown(e) {
		return Unavailable
	}
	switch e.Class {
	case fcm.Unregistered:
		return NotRegistered
	case fcm.MalformedToken:
		return InvalidRegistration
	case fcm.SenderIDMismatch:
		return MismatchSenderID
	case fcm.InvalidMessage:
		return invalidResult(err, e)
	case fcm.ThirdPartyAuth:
		return InvalidAPNSCredential
	case fcm.DeviceQuota:
		return DeviceMessageRateExceeded
	case fcm.TopicQuota:
		return TopicsMessageRateExceeded
	case fcm.ProjectQuota, fcm.Unavailable, fcm.Credential, fcm.Configuration, fcm.Expired:
		return Unavailable
	}
	return InternalServerError
}

// invalidResult finds the word for a message that breaks a rule. Fields decide
// where FCM names some; it says only in words that a message is too large or has
// no recipient.
func invalidResult(err error, e *fcm.SendError) string {
	texts := []string{}
	if nack, ok := errors.AsType[*ccs.NackError](err); ok {
		texts = append(texts, nack.Description)
	}
	if e.Reply != nil {
		if r := e.Reply; r.HTTPStatus == http.StatusRequestEntityTooLarge || r.APNS != nil && r.APNS.StatusCode == http.StatusRequestEntityTooLarge {
			return MessageTooBig
		}
		texts = append(texts, e.Reply.Message)
	}
	for _, v := range e.Violations() {
		field := strings.ToLower(v.Field)
		switch {
		case strings.HasSuffix(field, "ttl"), strings.HasSuffix(field, apnsExpiration), field == "time_to_live":
			return InvalidTTL
		case strings.HasSuffix(field, "restricted_package_name"), strings.HasSuffix(field, "restrictedpackagename"):
			return InvalidPackageName
		}
		texts = append(texts, v.Description)
	}
	for _, text := range texts {
		lower := strings.ToLower(text)
		switch {
		case strings.HasPrefix(text, textBadDataKey), strings.Contains(text, ccs.LabelDataKey):
			return InvalidDataKey
		case strings.Contains(lower, "message is too large"), strings.Contains(lower, "message is too big"), strings.Contains(text, ccs.LabelTooBig):
			return MessageTooBig
		case text == textNoRecipient:
			return MissingRegistration
		}
	}
	return InvalidParameters
}

// RetryAfter is how long a sender should wait before it sends the same message
// again: what FCM asked for, or the least wait of docs/fcm-http.md, Retrying.
// 0: it should not send it again, or the fault is none.
func RetryAfter(err error) time.Duration {
	if err == nil {
		return 0
	}
	switch e := outcomeOf(err); {
	case e.Class.Final() && e.Class != fcm.Expired:
		return 0
	case e.RetryAfter > 0:
		return e.RetryAfter
	case e.Class == fcm.ProjectQuota, e.Class == fcm.DeviceQuota, e.Class == fcm.TopicQuota:
		return fcm.QuotaFloor
	}
	return fcm.RetryFloor
}
