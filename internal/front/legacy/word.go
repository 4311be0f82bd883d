package legacy

import (
	"errors"

	"penstock/ccs"
	"penstock/fcm"
)

// A word says what went wrong with one message, in the language of legacy HTTP.
type word string

// The words (docs/fcm-http.md, Legacy HTTP).
const (
	missingRegistration = word("MissingRegistration")
	invalidRegistration = word("InvalidRegistration")
	invalidDataKey      = word("InvalidDataKey")
	invalidTTL          = word("InvalidTtl")
	invalidParameters   = word("InvalidParameters")
	unavailableNow      = word("Unavailable")
)

// outcome is w as metrics have it.
func (w word) outcome() string {
	if w == "" {
		return "ok"
	}
	return string(w)
}

// judge turns the lane's error into an outcome.
func judge(err error) outcome {
	if e, ok := errors.AsType[*fcm.SendError](err); ok {
		switch e.Class {
		case fcm.Unregistered:
			return outcome{err: "NotRegistered"}
		case fcm.MalformedToken:
			return outcome{err: invalidRegistration}
		case fcm.InvalidMessage:
			return outcome{err: invalidParameters}
		}
		return outcome{err: unavailableNow, retryAfter: e.RetryAfter}
	}
	if e, ok := errors.AsType[*ccs.NackError](err); ok && e.Code == ccs.CodeDeviceUnregistered {
		return outcome{err: "NotRegistered"}
	}
	return outcome{err: "InternalServerError"}
}
