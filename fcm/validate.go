package fcm

import (
	"encoding/json"
	"strings"
	"time"
)

// A FieldError says which field of a message breaks a rule. Description is for
// whoever sent the message; it quotes nothing but names of fields and keys.
type FieldError struct {
	Field       string // such as message.token
	Description string
}

func (e *FieldError) Error() string { return "fcm: " + e.Field + ": " + e.Description }

// Reply is the error reply that FCM would give: 400 with FcmError and BadRequest.
func (e *FieldError) Reply() *Error {
	return &Error{
		HTTPStatus: 400, Status: "INVALID_ARGUMENT", Message: e.Description, Code: CodeInvalidArgument,
		BadRequest: &BadRequest{Violations: []FieldViolation{{Field: e.Field, Description: e.Description}}},
	}
}

// Validate checks what can be known before anything is sent; see
// [Message.Validate].
func (r *SendRequest) Validate() error {
	if r.Message == nil {
		return errNoTarget
	}
	if err := checkUnknown("", r.Unknown); err != nil {
		return err
	}
	return r.Message.Validate()
}

var errNoTarget = &FieldError{"message", "Recipient of the message is not set."}

// Validate checks the rules that FCM publishes and that need no knowledge of
// its own: exactly one target, android or android_v2, times to live, reserved
// keys of data, the name of a topic, colors and lights, analytics labels, and
// that raw values are JSON. The first that is broken is returned as a
// *[FieldError]. What a condition says, sizes, and texts are left to FCM.
func (m *Message) Validate() error {
	for _, check := range []func() error{m.checkTarget, m.checkData, m.checkAndroid, m.checkAndroidV2, m.checkOthers} {
		if err := check(); err != nil {
			return err
		}
	}
	return checkUnknown("message", m.Unknown)
}

func (m *Message) checkTarget() error {
	first := ""
	for _, target := range [...]struct{ name, value string }{
		{"fid", m.FID}, {"token", m.Token}, {"topic", m.Topic}, {"condition", m.Condition},
	} {
		switch {
		case target.value == "":
		case first != "":
			return &FieldError{"message", oneofTwice("target", target.name)}
		default:
			first = target.name
		}
	}
	switch {
	case first == "":
		return errNoTarget
	case m.Topic != "" && !IsTopicName(m.Topic):
		return &FieldError{"message", "Topic name contains invalid characters."}
	case m.Android != nil && m.AndroidV2 != nil:
		return &FieldError{"message", "android and android_v2 exclude each other."}
	}
	return nil
}

// oneofTwice is what Google's front says of a second field of a group.
func oneofTwice(group, name string) string {
	return "Invalid value (oneof), oneof field '" + group + "' is already set. Cannot set '" + name + "'"
}

// IsTopicName reports whether name, without /topics/, may be a topic's:
// [a-zA-Z0-9-_.~%]{1,900}.
func IsTopicName(name string) bool { return isPlain(name, 900) }

// isPlain reports whether text has 1 to most of the characters [a-zA-Z0-9-_.~%].
func isPlain(text string, most int) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case !strings.ContainsRune("-_.~%", rune(c)):
			return false
		}
	}
	return text != "" && len(text) <= most
}

// IsReservedKey reports whether data must not have that key: from,
// message_type, and all that begin with google. or gcm.notification.
func IsReservedKey(key string) bool {
	return key == "from" || key == "message_type" || strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.notification.")
}

// checkData names the reserved key that comes first by the alphabet, so that
// equal messages give equal errors.
func checkData(field string, data map[string]string) error {
	first, found := "", false
	for key := range data {
		if IsReservedKey(key) && (!found || key < first) {
			first, found = key, true
		}
	}
	if found {
		return &FieldError{field, "Invalid data payload key: " + first}
	}
	return nil
}

func (m *Message) checkData() error {
	if err := checkData("message.data", m.Data); err != nil {
		return err
	}
	return checkOptions("message.fcm_options", m.Options)
}

func (m *Message) checkAndroid() error {
	a := m.Android
	if a == nil {
		return nil
	}
	return firstOf(
		checkTTL("message.android.ttl", a.TTL),
		checkData("message.android.data", a.Data),
		checkOptions("message.android.fcm_options", a.Options),
		checkUnknown("message.android", a.Unknown),
		a.Notification.check("message.android.notification"),
	)
}

func (n *AndroidNotification) check(field string) error {
	if n == nil {
		return nil
	}
	return firstOf(checkColor(field, n.Color), n.LightSettings.check(field+".light_settings"), checkUnknown(field, n.Unknown))
}

func (m *Message) checkAndroidV2() error {
	a := m.AndroidV2
	if a == nil {
		return nil
	}
	err := firstOf(
		checkTTL("message.android_v2.ttl", a.TTL),
		checkData("message.android_v2.data", a.Data),
		checkOptions("message.android_v2.fcm_options", a.Options),
		checkUnknown("message.android_v2", a.Unknown),
	)
	if err == nil && a.BackgroundSync != nil {
		err = checkUnknown("message.android_v2.background_sync", a.BackgroundSync.Unknown)
	}
	if r := a.RemoteNotification; err == nil && r != nil {
		const field = "message.android_v2.remote_notification"
		err = checkUnknown(field, r.Unknown)
		if n := r.Notification; err == nil && n != nil {
			const field = field + ".notification"
			err = firstOf(checkColor(field, n.Color), n.LightSettings.check(field+".light_settings"), checkUnknown(field, n.Unknown))
		}
	}
	return err
}

// checkOthers checks the parts that are not Android's.
func (m *Message) checkOthers() error {
	if n := m.Notification; n != nil {
		if err := checkUnknown("message.notification", n.Unknown); err != nil {
			return err
		}
	}
	if a := m.APNS; a != nil {
		if err := firstOf(checkRaw("message.apns.payload", a.Payload), checkUnknown("message.apns", a.Unknown)); err != nil {
			return err
		}
		if o := a.Options; o != nil {
			const field = "message.apns.fcm_options"
			if err := firstOf(checkLabel(field, o.AnalyticsLabel), checkUnknown(field, o.Unknown)); err != nil {
				return err
			}
		}
	}
	w := m.Webpush
	if w == nil {
		return nil
	}
	err := firstOf(
		checkData("message.webpush.data", w.Data),
		checkRaw("message.webpush.notification", w.Notification),
		checkUnknown("message.webpush", w.Unknown),
	)
	if o := w.Options; err == nil && o != nil {
		const field = "message.webpush.fcm_options"
		err = firstOf(checkLabel(field, o.AnalyticsLabel), checkUnknown(field, o.Unknown))
	}
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTTL leaves fractions of a second out, as FCM does.
func checkTTL(field string, ttl *Duration) error {
	if ttl != nil && (*ttl < 0 || time.Duration(*ttl).Truncate(time.Second) > MaxTTL) {
		return &FieldError{field, "TTL must be from 0 seconds to 4 weeks."}
	}
	return nil
}

func checkOptions(field string, o *Options) error {
	if o == nil {
		return nil
	}
	return firstOf(checkLabel(field, o.AnalyticsLabel), checkUnknown(field, o.Unknown))
}

func checkLabel(field, label string) error {
	if label != "" && !isPlain(label, 50) {
		return &FieldError{field + ".analytics_label", "An analytics label has 1 to 50 characters of a-z, A-Z, 0-9 and -_.~%."}
	}
	return nil
}

func checkColor(field, color string) error {
	if color == "" {
		return nil
	}
	ok := len(color) == 7 && color[0] == '#'
	for i := 1; ok && i < len(color); i++ {
		c := color[i] | 0x20
		ok = '0' <= color[i] && color[i] <= '9' || 'a' <= c && c <= 'f'
	}
	if !ok {
		return &FieldError{field + ".color", "A color has the form #rrggbb."}
	}
	return nil
}

func (l *LightSettings) check(field string) error {
	switch {
	case l == nil:
		return nil
	case l.Color == nil:
		return &FieldError{field + ".color", "Light settings need a color."}
	case l.LightOnDuration == nil:
		return &FieldError{field + ".light_on_duration", "Light settings need a duration of light."}
	case l.LightOffDuration == nil:
		return &FieldError{field + ".light_off_duration", "Light settings need a duration of darkness."}
	}
	parts := []float64{l.Color.Red, l.Color.Green, l.Color.Blue}
	if l.Color.Alpha != nil {
		parts = append(parts, *l.Color.Alpha)
	}
	for _, part := range parts {
		if !(part >= 0 && part <= 1) { // also if it is no number
			return &FieldError{field + ".color", "The parts of a color are from 0 to 1."}
		}
	}
	return firstOf(checkUnknown(field+".color", l.Color.Unknown), checkUnknown(field, l.Unknown))
}

// checkRaw makes sure that raw, if it is there, is an object.
func checkRaw(field string, raw json.RawMessage) error {
	if len(raw) > 0 && !isObject(raw) {
		return &FieldError{field, "The value is no JSON object."}
	}
	return nil
}

// checkUnknown makes sure that what the schema does not know is JSON at least.
func checkUnknown(field string, u Unknown) error {
	for _, name := range sortedKeys(nil, u) {
		if raw := u[name]; len(raw) > 0 && !isJSON(raw) {
			if field != "" {
				name = field + "." + name
			}
			return &FieldError{name, "The value is no JSON."}
		}
	}
	return nil
}
