package ccs

import (
	"time"
)

// A MessageID names one message. Downstream it is chosen by the app server and
// unique for its sender id; upstream it is chosen by the app on the device and
// unique only together with the device's token. At most [MaxMessageID] bytes,
// never empty (docs/protocol.md, Message ids).
type MessageID string

// A RegistrationToken addresses one app on one device. Where a target is meant
// it may also be a device group's notification key or "/topics/NAME".
// It is bearer-like: it redacts itself in logs (see [RegistrationToken.LogValue]).
type RegistrationToken string

// TopicPrefix begins a target that is a topic, "/topics/NAME".
const TopicPrefix = "/topics/"

// A SenderID is the numeric project number with which an app server logs in.
type SenderID string

// A Category is the package name of the app that an upstream message or a
// receipt comes from.
type Category string

// A CollapseKey groups messages of which an offline device gets only the newest.
type CollapseKey string

// A Priority is "normal", "high", or empty: the default of the message's kind.
type Priority string

// The two priorities of the wire.
const (
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
)

// Limits of the words (docs/protocol.md, Limits).
const (
	MaxMessageID = 1 << 10              // bytes
	MaxPayload   = 4096                 // UTF-8 bytes of keys and values of data plus notification
	MaxEncoded   = 60 << 10             // bytes of a downstream message as JSON: with its stanza it fits into 64 KiB
	MaxTTL       = 28 * 24 * time.Hour  // 2,419,200 s, four weeks: the default too
	MaxDepth     = 16                   // nesting of JSON values in one message
	Window       = 100                  // unanswered messages on one stream, each way
	ReceiptIDs   = "dr2:"               // what a receipt's message id begins with
	ReceiptFrom  = "gcm.googleapis.com" // whom a receipt comes from, and its ack goes to
	DefaultHost  = "gcm.googleapis.com" // the domain of JIDs where nobody named one
)

// A FromApp is a message that an app server may write: *[Downstream] or *[Ack].
type FromApp interface{ fromApp() }

// A FromServer is a message that the connection server may write: *[Ack],
// *[Nack], *[Upstream], *[Receipt], *[Control] or *[Unknown].
type FromServer interface{ fromServer() }

// A Downstream is a message from the app server towards a device.
type Downstream struct {
	To        RegistrationToken // target; exactly one of To and Condition
	Condition string            // topics: 'A' in topics && 'B' in topics
	MessageID MessageID         // required

	CollapseKey CollapseKey
	Priority    Priority
	TTL         *time.Duration // whole seconds, 0 to MaxTTL; nil: absent, which means MaxTTL; 0: now or never

	ContentAvailable         bool
	MutableContent           bool
	DelayWhileIdle           bool // accepted and without effect, as with Google since 2016
	DeliveryReceiptRequested bool
	DryRun                   bool
	DirectBootOK             bool // may be delivered before the device is unlocked

	RestrictedPackageName string
	AnalyticsLabel        string // of fcm_options; for the console's statistics

	Data         map[string]string
	Notification map[string]string
}

// Target is what answers to m carry in "from": To, or the condition.
func (m *Downstream) Target() RegistrationToken {
	if m.To == "" {
		return RegistrationToken(m.Condition)
	}
	return m.To
}

// An Ack travels both ways. From the connection server (From is set) it says
// that a downstream message was taken charge of; from the app server (To is
// set) that an upstream message or a receipt was handled.
type Ack struct {
	To        RegistrationToken // app server → connection server: the upstream's From
	From      RegistrationToken // connection server → app server: the downstream's target
	MessageID MessageID

	// From the connection server only.
	RegistrationID        RegistrationToken // canonical token to use from now on, or empty
	Success, Failure      int               // device groups: members reached and not
	FailedRegistrationIDs []RegistrationToken
}

// A Nack says that one downstream message was refused. No field is empty on the wire.
type Nack struct {
	From        RegistrationToken
	MessageID   MessageID
	Code        Code
	Description string
}

// An Upstream is a message from a device to the app server. It is to be
// answered by an Ack on the stream that brought it.
type Upstream struct {
	From      RegistrationToken
	Category  Category
	MessageID MessageID
	Data      map[string]string
	TTL       *time.Duration // nil: absent
}

// A Receipt says that a device confirmed a downstream message.
type Receipt struct {
	MessageID         MessageID // "dr2:" and the original id
	Category          Category
	Status            string // "MESSAGE_SENT_TO_DEVICE" is the only known one
	OriginalMessageID MessageID
	Device            RegistrationToken
	SentAt            time.Time // zero: unknown; milliseconds on the wire
}

// StatusSentToDevice is the only status of a receipt that was ever documented.
const StatusSentToDevice = "MESSAGE_SENT_TO_DEVICE"

// A ControlType is what a control message announces.
type ControlType string

// ControlDraining announces that the stream is about to close: new messages go
// to another stream, answers still flow on this one.
const ControlDraining ControlType = "CONNECTION_DRAINING"

// A Control is a word about the stream itself. It is never acked.
type Control struct{ Type ControlType }

// An Unknown is a message from the connection server whose message_type nobody
// documented. It is to be ignored.
type Unknown struct{ MessageType string }

func (*Downstream) fromApp() {}
func (*Ack) fromApp()        {}

func (*Ack) fromServer()      {}
func (*Nack) fromServer()     {}
func (*Upstream) fromServer() {}
func (*Receipt) fromServer()  {}
func (*Control) fromServer()  {}
func (*Unknown) fromServer()  {}
