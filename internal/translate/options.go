package translate

import (
	"fmt"

	"penstock/fcm"
)

// Options are what an operator may choose. The zero value is the default of
// each, and so is a nil pointer.
type Options struct {
	// OddPriority is what becomes of a priority that is neither normal nor high.
	OddPriority OddPriority
	// PassThrough lets words of v1's Android notification through that no legacy
	// protocol documented, such as ticker and notification_count.
	PassThrough bool
	// ThreadFromTag makes a notification's tag the thread on Apple devices too.
	ThreadFromTag bool
	// WebTag makes a notification's tag the tag in browsers too.
	WebTag bool
	// MessageIDKey is the key in data under which the message's id travels to the
	// device if the sender asked for a delivery receipt, so that the app can name
	// it to us. Empty: it does not travel. See [Options.Validate].
	MessageIDKey string
	// SizeLimit is how many bytes of keys and values of data and notification are
	// allowed; 0: as many as FCM takes.
	SizeLimit int
	// AuthenticationFailed lets CCS senders see AUTHENTICATION_FAILED when our own
	// credential or its permission is the trouble, in place of SERVICE_UNAVAILABLE.
	AuthenticationFailed bool
	// Ignored is told of a message that was turned into v1 without all that stood
	// in it: how many things were left out because they mean nothing any more, or
	// because FCM would refuse the whole message for their sake. It is called on
	// the goroutine of whoever translates, and is quick.
	Ignored func(n int)
}

// An OddPriority says what becomes of a priority that nobody documented.
type OddPriority uint8

const (
	// RefuseOddPriority refuses the message.
	RefuseOddPriority OddPriority = iota
	// OddPriorityIsNormal takes it for normal.
	OddPriorityIsNormal
)

// Validate names the field that cannot be obeyed; nil if there is none. The
// other functions take it for granted.
func (o *Options) Validate() error {
	switch {
	case o == nil:
	case o.OddPriority > OddPriorityIsNormal:
		return fmt.Errorf("translate: OddPriority %d is none", o.OddPriority)
	case o.SizeLimit < 0:
		return fmt.Errorf("translate: SizeLimit %d is negative", o.SizeLimit)
	case fcm.IsReservedKey(o.MessageIDKey):
		return fmt.Errorf("translate: MessageIDKey %q is reserved", o.MessageIDKey)
	}
	return nil
}
