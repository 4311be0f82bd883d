package ccs

import (
	"bytes"
	"fmt"
	"time"
)

// A Kind is the sort of a message from the connection server.
type Kind uint8

// The kinds. KindUnknown is a message_type that nobody documented, and the zero
// value.
const (
	KindUnknown Kind = iota
	KindAck
	KindNack
	KindUpstream
	KindReceipt
	KindControl
)

func (k Kind) String() string {
	switch k {
	case KindAck:
		return typeAck
	case KindNack:
		return typeNack
	case KindUpstream:
		return "upstream"
	case KindReceipt:
		return typeReceipt
	case KindControl:
		return typeControl
	}
	return unknown
}

// A View is one message from the connection server, its fields slices of the
// payload or of the view's own scratch: they are valid until the next Scan, and
// as long as nobody changes the payload. Absent fields are empty. One goroutine
// at a time may use a View; the zero value is ready.
type View struct {
	Kind        Kind
	MessageType []byte

	MessageID      []byte // of any kind that has one; of a control it is ignored
	From           []byte
	Code           []byte // of a nack, as it was written: see [View.Scan] for an old form
	Description    []byte // of a nack
	RegistrationID []byte // of an ack: the canonical token
	Category       []byte // of an upstream message or a receipt
	ControlType    []byte // of a control

	// Of a receipt.
	Status            []byte
	OriginalMessageID []byte
	Device            []byte
	SentAt            time.Time // zero: unknown

	payload []byte
	scratch []byte
	fields  [serverFieldCount]value
}

// A serverField numbers the fields of a connection server's message that mean
// something.
type serverField uint8

const (
	serverMessageType serverField = iota
	serverMessageID
	serverFrom
	serverError
	serverErrorDescription
	serverRegistrationID
	serverSuccess
	serverFailure
	serverFailedIDs
	serverCategory
	serverControlType
	serverData
	serverTTL
	serverFieldCount
)

func serverFieldOf(key []byte) (serverField, bool) {
	switch string(key) {
	case keyMessageType:
		return serverMessageType, true
	case keyMessageID:
		return serverMessageID, true
	case keyFrom:
		return serverFrom, true
	case keyError:
		return serverError, true
	case keyErrorDescription:
		return serverErrorDescription, true
	case keyRegistrationID:
		return serverRegistrationID, true
	case keySuccess:
		return serverSuccess, true
	case keyFailure:
		return serverFailure, true
	case keyFailedRegistrationIDs:
		return serverFailedIDs, true
	case keyCategory:
		return serverCategory, true
	case keyControlType:
		return serverControlType, true
	case keyData:
		return serverData, true
	case keyTTL:
		return serverTTL, true
	}
	return 0, false
}

// Scan reads one payload. It is lenient where real servers differ: message ids
// may be numbers, a control may have an id, a receipt may lack its timestamp.
// The error names what makes the message unusable: it is no JSON object, or a
// field without which nobody can act on it is missing or has the wrong type (a
// *[FieldError]). The stream goes on in either case (docs/protocol.md, Errors).
// Without a description, a nack's code ends before its first blank or colon:
// nacks of 2013 had the text in the same field.
func (v *View) Scan(payload []byte) error {
	*v = View{payload: payload, scratch: v.scratch[:0]}
	scan := scanner{src: payload}
	if err := v.locate(&scan); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	if scan.deepest > MaxDepth {
		return fmt.Errorf("values nest %d deep: at most %d are allowed", scan.deepest, MaxDepth)
	}
	switch f := v.fields[serverMessageType]; f.kind {
	case jsonAbsent:
		v.Kind = KindUpstream
	case jsonString:
		v.MessageType = v.text(f)
		v.Kind = kindOf(v.MessageType)
	default:
		return notA(keyMessageType, "string")
	}
	switch v.Kind {
	case KindAck:
		return v.ack()
	case KindNack:
		return v.nack()
	case KindUpstream:
		return v.upstream()
	case KindReceipt:
		return v.receipt()
	case KindControl:
		return v.control()
	}
	return nil // the message is to be ignored, whatever its fields are
}

func kindOf(messageType []byte) Kind {
	switch string(messageType) {
	case typeAck:
		return KindAck
	case typeNack:
		return KindNack
	case typeReceipt:
		return KindReceipt
	case typeControl:
		return KindControl
	}
	return KindUnknown
}

// locate scans the whole payload and notes the values of the known fields. The
// last of two equal keys counts.
func (v *View) locate(scan *scanner) error {
	if err := scan.enter(); err != nil {
		return err
	}
	for {
		key, val, ok, err := scan.member()
		if err != nil {
			return err
		}
		if !ok {
			return scan.end()
		}
		if f, known := serverFieldOf(v.text(key)); known {
			if val.kind == jsonNull {
				val = value{}
			}
			v.fields[f] = val
		}
	}
}

func (v *View) ack() error {
	v.From = v.optional(serverFrom)
	v.RegistrationID = v.optional(serverRegistrationID)
	return v.messageID()
}

func (v *View) nack() error {
	v.From = v.optional(serverFrom)
	v.Description = v.optional(serverErrorDescription)
	switch f := v.fields[serverError]; f.kind {
	case jsonAbsent:
	case jsonString:
		v.Code = v.text(f)
	default:
		return notA(keyError, "string")
	}
	if len(v.Description) == 0 {
		if end := bytes.IndexAny(v.Code, " :"); end >= 0 {
			v.Code, v.Description = v.Code[:end], bytes.Trim(v.Code[end:], " :\n")
		}
	}
	return v.messageID()
}

func (v *View) upstream() error {
	// It must be acked to somebody.
	switch f := v.fields[serverFrom]; f.kind {
	case jsonString:
		v.From = v.text(f)
	case jsonAbsent:
	default:
		return notA(keyFrom, "string")
	}
	if len(v.From) == 0 {
		return &FieldError{Field: keyFrom, Reason: "is missing"}
	}
	v.Category = v.optional(serverCategory)
	if err := v.dataObject(); err != nil {
		return err
	}
	return v.messageID()
}

func (v *View) receipt() error {
	v.From = v.optional(serverFrom)
	v.Category = v.optional(serverCategory)
	if err := v.dataObject(); err != nil {
		return err
	}
	v.receiptData()
	return v.messageID()
}

func (v *View) receiptData() {
	data := v.fields[serverData]
	if data.kind != jsonObject {
		return
	}
	scan := scanner{src: v.payload[:data.end], pos: data.start}
	if scan.enter() != nil {
		return
	}
	for {
		key, val, ok, err := scan.member()
		if err != nil || !ok {
			return
		}
		switch string(v.text(key)) {
		case keyMessageStatus:
			v.Status = v.scalar(val)
		case keyOriginalMessageID:
			v.OriginalMessageID = v.scalar(val)
		case keyDeviceRegistrationID:
			v.Device = v.scalar(val)
		case keyMessageSentTimestamp:
			v.SentAt = sentAt(v.scalar(val))
		}
	}
}

// lastMillis is the end of the year 9999, behind which times have no JSON.
const lastMillis = 253402300799999

func sentAt(text []byte) time.Time {
	var millis int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return time.Time{}
		}
		if millis = 10*millis + int64(c-'0'); millis > lastMillis {
			return time.Time{}
		}
	}
	if millis == 0 {
		return time.Time{} // what we write ourselves where the time is unknown
	}
	return time.UnixMilli(millis).UTC()
}

func (v *View) control() error {
	switch f := v.fields[serverControlType]; f.kind {
	case jsonAbsent:
	case jsonString:
		v.ControlType = v.text(f)
	default:
		return notA(keyControlType, "string")
	}
	v.MessageID = v.scalar(v.fields[serverMessageID])
	return nil
}

// messageID reads the id, without which there is nothing to match or to ack.
func (v *View) messageID() error {
	switch f := v.fields[serverMessageID]; f.kind {
	case jsonString, jsonNumber:
		v.MessageID = v.text(f)
	case jsonAbsent:
	default:
		return notA(keyMessageID, "string")
	}
	if len(v.MessageID) == 0 {
		return &FieldError{Field: keyMessageID, Reason: "is missing"}
	}
	return nil
}

func (v *View) dataObject() error {
	switch v.fields[serverData].kind {
	case jsonAbsent, jsonObject:
		return nil
	}
	return notA(keyData, "object")
}

// optional is a string field whose loss would not justify losing the message:
// what is no string counts as absent.
func (v *View) optional(f serverField) []byte {
	if val := v.fields[f]; val.kind == jsonString {
		return v.text(val)
	}
	return nil
}

// scalar is a string, number or boolean as text.
func (v *View) scalar(val value) []byte {
	switch val.kind {
	case jsonString, jsonNumber, jsonTrue, jsonFalse:
		return v.text(val)
	}
	return nil
}

// text is a scalar's text, without copying it where that is possible. Scratch
// that grows moves away from under older slices, which keep what they hold.
func (v *View) text(val value) []byte {
	if val.kind != jsonString {
		return v.payload[val.start:val.end]
	}
	raw := v.payload[val.start+1 : val.end-1]
	if !val.escaped {
		return raw
	}
	start := len(v.scratch)
	v.scratch = appendUnescaped(v.scratch, raw)
	return v.scratch[start:len(v.scratch):len(v.scratch)]
}

func notA(field, want string) error {
	return &FieldError{Field: field, Reason: "must be a JSON " + want}
}
