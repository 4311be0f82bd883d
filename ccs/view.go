package ccs

import "time"

// ParseFromServer decodes one message from the connection server. It is as
// lenient as [View.Scan], whose errors it returns, and keeps nothing of
// payload.
func ParseFromServer(payload []byte) (FromServer, error) {
	var v View
	if err := v.Scan(payload); err != nil {
		return nil, err
	}
	return v.Message(), nil
}

// Message is a copy of what the last successful Scan read; it may be kept.
func (v *View) Message() FromServer {
	switch v.Kind {
	case KindAck:
		return &Ack{
			From:                  RegistrationToken(v.From),
			MessageID:             MessageID(v.MessageID),
			RegistrationID:        RegistrationToken(v.RegistrationID),
			Success:               v.count(serverSuccess),
			Failure:               v.count(serverFailure),
			FailedRegistrationIDs: v.failedIDs(),
		}
	case KindNack:
		return &Nack{
			From:        RegistrationToken(v.From),
			MessageID:   MessageID(v.MessageID),
			Code:        Code(v.Code),
			Description: string(v.Description),
		}
	case KindUpstream:
		return &Upstream{
			From:      RegistrationToken(v.From),
			Category:  Category(v.Category),
			MessageID: MessageID(v.MessageID),
			Data:      v.data(),
			TTL:       v.ttl(),
		}
	case KindReceipt:
		return &Receipt{
			MessageID:         MessageID(v.MessageID),
			Category:          Category(v.Category),
			Status:            string(v.Status),
			OriginalMessageID: MessageID(v.OriginalMessageID),
			Device:            RegistrationToken(v.Device),
			SentAt:            v.SentAt,
		}
	case KindControl:
		return &Control{Type: ControlType(v.ControlType)}
	}
	return &Unknown{MessageType: string(v.MessageType)}
}

func (v *View) data() map[string]string {
	f := v.fields[serverData]
	if f.kind != jsonObject {
		return nil
	}
	object := v.payload[f.start:f.end]
	src := source{src: object, text: string(object)}
	m, _, _ := src.stringMap(&scanner{src: object}) // Scan has read it already
	return m
}

// PlainAck reports whether an ack says nothing beyond "taken charge of": no
// canonical token and no counts. Such an ack needs no Message to be understood.
func (v *View) PlainAck() bool {
	absent := func(f serverField) bool { return v.fields[f].kind == jsonAbsent }
	return v.Kind == KindAck && len(v.RegistrationID) == 0 &&
		absent(serverSuccess) && absent(serverFailure) && absent(serverFailedIDs)
}

// maxCount bounds the members of a device group that an ack may count; Google's
// groups had 20. What is beyond it is no count.
const maxCount = 1 << 20

func (v *View) count(f serverField) int {
	val := v.fields[f]
	if val.kind != jsonNumber {
		return 0
	}
	n, whole := decimal(string(v.text(val)))
	if !whole || n < 0 || n > maxCount {
		return 0
	}
	return int(n)
}

func (v *View) failedIDs() []RegistrationToken {
	f := v.fields[serverFailedIDs]
	if f.kind != jsonArray {
		return nil
	}
	var ids []RegistrationToken
	scan := scanner{src: v.payload[:f.end], pos: f.start + 1}
	for {
		val, err := scan.value()
		if err != nil {
			return ids // the closing bracket
		}
		if val.kind == jsonString {
			ids = append(ids, RegistrationToken(v.text(val)))
		}
		scan.space()
		scan.pos++ // a comma, or the closing bracket
	}
}

// ttl is what the device chose. It is undocumented in this direction, so what
// makes no sense counts as absent.
func (v *View) ttl() *time.Duration {
	val := v.fields[serverTTL]
	switch {
	case val.kind == jsonNumber:
	case val.kind == jsonString && isDigits(string(v.text(val))):
	default:
		return nil
	}
	n, whole := decimal(string(v.text(val)))
	if !whole || n < 0 || n > int64(MaxTTL/time.Second) {
		return nil
	}
	ttl := time.Duration(n) * time.Second
	return &ttl
}
