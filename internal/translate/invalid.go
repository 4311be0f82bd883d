package translate

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/fcm"
)

// FCM's own words, by which its answers and our refusals are told apart alike.
// Where FCM gives no better sign than its text, the text stands here.
const (
	textNoRecipient = "Recipient of the message is not set."
	textBadDataKey  = "Invalid data payload key: "
	textBadToken    = "The registration token is not a valid FCM registration token"
	textBadTopic    = "Topic name contains invalid characters."
	textInvalid     = "Request contains an invalid argument."
)

// textTooBig is the text about a message of more than limit bytes.
func textTooBig(limit int) string {
	return fmt.Sprintf("Message is too large. The maximum is %d bytes.", limit)
}

// invalid is a refusal of our own, before anything is sent. It has the shape of
// FCM's, so that it goes the same ways back to a sender.
func invalid(class fcm.Class, field, description string) *fcm.SendError {
	wrong := &fcm.FieldError{Field: field, Description: description}
	return &fcm.SendError{Class: class, Reply: wrong.Reply(), Err: wrong}
}

// refused is the outcome of a message that breaks a rule of v1.
func refused(wrong *fcm.FieldError) *fcm.SendError {
	return invalid(fcm.InvalidMessage, wrong.Field, wrong.Description)
}

// Refuse is the outcome of a message that breaks a rule of CCS: what
// [ccs.Downstream.Validate] says of it.
func Refuse(e *ccs.FieldError) *fcm.SendError {
	description := e.Reason
	switch e.Label() {
	case ccs.LabelTooBig:
		description = textTooBig(ccs.MaxPayload)
	case ccs.LabelDataKey:
		description = textBadDataKey + strings.Trim(strings.TrimPrefix(description, "holds the reserved key "), `"`)
	}
	return invalid(fcm.InvalidMessage, e.Field, description)
}

// expired is the outcome of a message whose time to live is over.
func expired() *fcm.SendError {
	return &fcm.SendError{Class: fcm.Expired, Err: errors.New("translate: the time to live is over")}
}

// The bounds of what a sender reads of its own values again.
const (
	maxEcho        = 64  // characters of one value
	maxDescription = 200 // characters of all that is said about a message
)

// printable is text fit to be told: at most limit characters, none of them
// invisible.
func printable(text string, limit int) string {
	if utf8.RuneCountInString(text) > limit {
		runes := []rune(text)
		text = string(runes[:limit-1]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
