package translate

import (
	"net/http"

	"errors"
	"penstock/ccs"
	"penstock/fcm"
)

// Envelope is what a caller of our HTTP v1 front reads about err, so that the
// predicates of Google's Admin SDKs say what they say of FCM. Where the fault is
// the message's or its address's, and FCM answered, its reply goes on as it is.
// What only the operator can mend is 503 UNAVAILABLE. Nil is nil
// (docs/fcm-http.md, Answers).
func Envelope(err error) *fcm.Error {
	if err == nil {
		return nil
	}
	e := outcomeOf(err)
	if isUnknown(e) {
		return unavailable("The outcome of the request is unknown: the message may have been sent.")
	}
	switch e.Class {
	case fcm.Unregistered, fcm.MalformedToken, fcm.SenderIDMismatch, fcm.InvalidMessage, fcm.ThirdPartyAuth,
		fcm.DeviceQuota, fcm.TopicQuota:
		if r := e.Reply; r != nil && !r.NotJSON && r.Status != "" && r.HTTPStatus >= http.StatusBadRequest {
			return r
		}
	}
	switch e.Class {
	case fcm.Unregistered:
		return reply(http.StatusNotFound, "NOT_FOUND", fcm.CodeUnregistered, "Requested entity was not found.")
	case fcm.MalformedToken:
		return withViolation(reply(http.StatusBadRequest, "INVALID_ARGUMENT", fcm.CodeInvalidArgument, textBadToken), "message.token", textBadToken)
	case fcm.SenderIDMismatch:
		return reply(http.StatusForbidden, "PERMISSION_DENIED", fcm.CodeSenderIDMismatch, "SenderId mismatch")
	case fcm.InvalidMessage:
		out := reply(http.StatusBadRequest, "INVALID_ARGUMENT", fcm.CodeInvalidArgument, textInvalid)
		if nack, ok := errors.AsType[*ccs.NackError](err); ok && tellable(nack.Description) != "" {
			out = withViolation(out, "message", tellable(nack.Description))
		}
		return out
	case fcm.ThirdPartyAuth:
		return reply(http.StatusUnauthorized, "UNAUTHENTICATED", fcm.CodeThirdPartyAuth, "Auth error from APNS or Web Push Service")
	case fcm.DeviceQuota:
		return reply(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", fcm.CodeQuotaExceeded, "Message rate exceeded for this device.")
	case fcm.TopicQuota:
		return reply(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", fcm.CodeQuotaExceeded, "Message rate exceeded for this topic.")
	case fcm.ProjectQuota, fcm.Unavailable, fcm.Credential, fcm.Configuration:
		return unavailable("The service is currently unavailable.")
	case fcm.Expired:
		return unavailable(textExpired + ".")
	}
	return reply(http.StatusInternalServerError, "INTERNAL", fcm.CodeInternal, "Internal error encountered.")
}

func reply(status int, name string, code fcm.ErrorCode, text string) *fcm.Error {
	return &fcm.Error{HTTPStatus: status, Status: name, Code: code, Message: text}
}

func unavailable(text string) *fcm.Error {
	return reply(http.StatusServiceUnavailable, "UNAVAILABLE", fcm.CodeUnavailable, text)
}

func withViolation(e *fcm.Error, field, description string) *fcm.Error {
	e.BadRequest = &fcm.BadRequest{Violations: []fcm.FieldViolation{{Field: field, Description: description}}}
	return e
}
