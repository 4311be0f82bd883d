package ccs

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The words with which CCS begins its texts, after "InvalidJson".
const (
	labelParsing  = "JSON_PARSING_ERROR"
	labelType     = "JSON_TYPE_ERROR"
	labelTarget   = "INVALID_TARGET"
	labelTTL      = "INVALID_TTL"
	labelPriority = "INVALID_PRIORITY"
	labelField    = "INVALID_FIELD"
)

// The labels by which others tell faults apart (see [FieldError.Label]).
const (
	LabelDataKey = "INVALID_DATA_KEY"
	LabelTooBig  = "MESSAGE_TOO_BIG"
)

// Validate reports the first rule that m breaks, as a *[FieldError] that names
// the field as the wire spells it; nil if there is none. A client calls it
// before anything is written; [ParseFromApp] has called it for what it returns
// (docs/protocol.md, Limits).
func (m *Downstream) Validate() error {
	// A nil *FieldError in an error would not be nil.
	if e := m.check(); e != nil {
		return e
	}
	return nil
}

func (m *Downstream) check() *FieldError {
	return m.checkWith(surveyOf(m.Data), surveyOf(m.Notification))
}

// checkWith is check for maps that were looked at before.
func (m *Downstream) checkWith(data, notification survey) *FieldError {
	if e := m.checkID(); e != nil {
		return e
	}
	if e := m.checkTarget(); e != nil {
		return e
	}
	if e := m.checkTTL(); e != nil {
		return e
	}
	if e := m.checkPriority(); e != nil {
		return e
	}
	if data.reserved {
		return &FieldError{
			Field:  keyData,
			Reason: fmt.Sprintf(`holds the reserved key "%s"`, echo(firstReserved(m.Data))),
			label:  LabelDataKey,
		}
	}
	if e := checkSize(data.size, notification.size); e != nil {
		return e
	}
	if e := m.checkUTF8(); e != nil {
		return e
	}
	switch {
	case data.notUTF8:
		return notUTF8(keyData)
	case notification.notUTF8:
		return notUTF8(keyNotification)
	}
	return m.checkWhole()
}

// A survey is what the rules want to know of a map, seen in one pass.
type survey struct {
	size     int // bytes of keys and values
	reserved bool
	notUTF8  bool
}

func surveyOf(m map[string]string) survey {
	var s survey
	for key, val := range m {
		s.see(key, val)
		if !utf8.ValidString(key) || !utf8.ValidString(val) {
			s.notUTF8 = true
		}
	}
	return s
}

// see takes a member into account that is known to be UTF-8.
func (s *survey) see(key, val string) {
	s.size += len(key) + len(val)
	s.reserved = s.reserved || reserved(key)
}

func (m *Downstream) checkID() *FieldError {
	if m.MessageID == "" {
		return &FieldError{Field: keyMessageID, Reason: "is missing", label: labelParsing}
	}
	return checkIDLength(m.MessageID, MaxMessageID)
}

func checkIDLength(id MessageID, most int) *FieldError {
	if len(id) > most {
		return &FieldError{
			Field:  keyMessageID,
			Reason: fmt.Sprintf("has %d bytes: at most %d are allowed", len(id), most),
		}
	}
	return nil
}

func (m *Downstream) checkTarget() *FieldError {
	switch {
	case m.To == "" && m.Condition == "":
		return &FieldError{Field: keyTo, Reason: `is missing, and so is "condition"`, label: labelTarget}
	case m.To != "" && m.Condition != "":
		return &FieldError{Field: keyTo, Reason: `must not stand beside "condition"`, label: labelTarget}
	}
	return nil
}

// checkWhole bounds what no other rule does, so that every valid message fits
// into a stanza: one that does not would end every stream that it is sent on.
func (m *Downstream) checkWhole() *FieldError {
	field, longest := keyTo, len(m.To)
	sum := len(m.MessageID)
	for _, f := range [...]struct {
		name string
		n    int
	}{
		{keyTo, len(m.To)}, {keyCondition, len(m.Condition)},
		{keyCollapseKey, len(m.CollapseKey)}, {keyRestrictedPackageName, len(m.RestrictedPackageName)},
		{keyFCMOptions, len(m.AnalyticsLabel)},
	} {
		sum += f.n
		if f.n > longest {
			field, longest = f.name, f.n
		}
	}
	// A byte takes six at most; MaxPayload bounds the payload's share.
	if 6*(sum+MaxPayload)+8*(len(m.Data)+len(m.Notification))+512 <= MaxEncoded {
		return nil
	}
	n := len(AppendFromApp(nil, m))
	if n <= MaxEncoded {
		return nil
	}
	return &FieldError{
		Field:  field,
		Reason: fmt.Sprintf("is so long that the message has %d bytes as JSON: at most %d are allowed", n, MaxEncoded),
		label:  LabelTooBig,
	}
}

func (m *Downstream) checkTTL() *FieldError {
	if m.TTL == nil {
		return nil
	}
	if *m.TTL < 0 || *m.TTL > MaxTTL {
		return &FieldError{
			Field:  keyTTL,
			Reason: fmt.Sprintf("must be between 0 and %d seconds, and is %v", MaxTTL/time.Second, *m.TTL),
			label:  labelTTL,
		}
	}
	if *m.TTL%time.Second != 0 {
		// Rounding would be a silent change, and rounding to 0 a grave one.
		return &FieldError{
			Field:  keyTTL,
			Reason: fmt.Sprintf("must be whole seconds, and is %v", *m.TTL),
			label:  labelTTL,
		}
	}
	return nil
}

func (m *Downstream) checkPriority() *FieldError {
	switch m.Priority {
	case "", PriorityNormal, PriorityHigh:
		return nil
	}
	return &FieldError{
		Field:  keyPriority,
		Reason: `must be "normal" or "high": ` + echo(string(m.Priority)),
		label:  labelPriority,
	}
}

// firstReserved is the least of several, so that equal messages get equal
// errors.
func firstReserved(m map[string]string) string {
	least, found := "", false
	for key := range m {
		if reserved(key) && (!found || key < least) {
			least, found = key, true
		}
	}
	return least
}

// reserved reports whether no app may use key in data: CCS keeps these names
// for itself.
func reserved(key string) bool {
	switch key {
	case keyFrom, keyMessageType,
		keyTo, keyCondition, keyMessageID, keyCollapseKey, keyPriority,
		keyContentAvailable, keyMutableContent, keyTTL, keyReceiptRequested,
		keyDryRun, keyDelayWhileIdle, keyData, keyNotification,
		keyRestrictedPackageName, keyRegistrationIDs:
		return true
	}
	return strings.HasPrefix(key, "google") || strings.HasPrefix(key, "gcm")
}

func checkSize(inData, inNotification int) *FieldError {
	total := inData + inNotification
	if total <= MaxPayload {
		return nil
	}
	e := &FieldError{Field: keyData, label: LabelTooBig}
	switch {
	case inData == 0:
		e.Field = keyNotification
		e.Reason = fmt.Sprintf("has %d bytes of keys and values: at most %d are allowed", total, MaxPayload)
	case inNotification == 0:
		e.Reason = fmt.Sprintf("has %d bytes of keys and values: at most %d are allowed", total, MaxPayload)
	default:
		e.Reason = fmt.Sprintf(`has %d bytes of keys and values, together with "notification": at most %d are allowed`, total, MaxPayload)
	}
	return e
}

// checkUTF8 refuses what the encoder would have to change.
func (m *Downstream) checkUTF8() *FieldError {
	for _, f := range [...]struct{ key, val string }{
		{keyMessageID, string(m.MessageID)},
		{keyTo, string(m.To)},
		{keyCondition, m.Condition},
		{keyCollapseKey, string(m.CollapseKey)},
		{keyRestrictedPackageName, m.RestrictedPackageName},
		{keyFCMOptions, m.AnalyticsLabel},
	} {
		if !utf8.ValidString(f.val) {
			return notUTF8(f.key)
		}
	}
	return nil
}

func notUTF8(field string) *FieldError {
	return &FieldError{Field: field, Reason: "is not valid UTF-8"}
}

// wire is e in the style of CCS's own texts.
func (e *FieldError) wire() string {
	if e.label == labelParsing {
		return wireText(labelParsing, "Missing Required Field: "+e.Field)
	}
	label := e.label
	if label == "" {
		label = labelField
	}
	return wireText(label, fmt.Sprintf("Field %q %s", e.Field, e.Reason))
}

func wireText(label, text string) string { return "InvalidJson: " + label + " : " + text }

// maxEcho bounds how much of a wrong value is repeated in an error text.
const maxEcho = 64

// echo is a peer's own value, fit to be repeated to it: short, valid UTF-8, and
// without characters that are illegal in XML, since the text may have to travel
// in a stanza error, outside of JSON.
func echo(s string) string {
	if len(s) > maxEcho {
		cut := maxEcho
		for cut > maxEcho-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '\ufffe' || r == '\uffff' {
			return utf8.RuneError
		}
		return r
	}, s)
}
