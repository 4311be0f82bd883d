package fcm

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A TargetKind says what a message is for.
type TargetKind uint8

// The kinds of targets. The zero TargetKind is none.
const (
	TargetDevice    TargetKind = iota + 1 // a registration token, a FID, or a device group
	TargetTopic                           // a topic by its name
	TargetCondition                       // a condition over topics
)

// String is a word for logs and metrics; the set is closed.
func (k TargetKind) String() string {
	switch k {
	case TargetDevice:
		return "device"
	case TargetTopic:
		return "topic"
	case TargetCondition:
		return "condition"
	}
	return "none"
}

// Target is what m is for. Where several are set, which [Message.Validate]
// refuses, a device goes before a topic, and that before a condition.
func (m *Message) Target() (kind TargetKind, value string) {
	switch {
	case m.Token != "":
		return TargetDevice, m.Token
	case m.FID != "":
		return TargetDevice, m.FID
	case m.Topic != "":
		return TargetTopic, m.Topic
	case m.Condition != "":
		return TargetCondition, m.Condition
	}
	return 0, ""
}

// TTL is how long m may wait, in whole seconds: the fraction is dropped, as FCM
// does. It is the one of Android's part, either version; the lives of the parts
// for Apple devices and browsers are other matters and not looked at. Without
// one ok is false, and the time is FCM's default, [MaxTTL].
func (m *Message) TTL() (ttl time.Duration, ok bool) {
	var d *Duration
	if m.Android != nil {
		d = m.Android.TTL
	}
	if d == nil && m.AndroidV2 != nil {
		d = m.AndroidV2.TTL
	}
	if d == nil {
		return MaxTTL, false
	}
	return time.Duration(*d).Truncate(time.Second), true
}

// minShown is the length from which a token shows its beginning: four
// characters of a shorter one would be too much of it.
const minShown = 12

// Redacted is m's target as logs and people may see it: of a device how its
// address begins, and its length. Topics and conditions are no secret and stay
// whole; a topic has /topics/ before it.
func (m *Message) Redacted() string {
	kind, value := m.Target()
	switch kind {
	case TargetTopic:
		return "/topics/" + value
	case TargetCondition:
		return value
	}
	shown := 0
	if len(value) >= minShown {
		for range 4 {
			_, n := utf8.DecodeRuneInString(value[shown:])
			if shown+n > len(value)/3 {
				break // an address of wide characters, which no real one is
			}
			shown += n
		}
	}
	return strings.ToValidUTF8(value[:shown], "\ufffd") + "…(" + strconv.Itoa(len(value)) + ")"
}
