package ccs

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// AppendFromApp appends m as JSON to dst. It does not check m: see
// [Downstream.Validate]. What it writes is also well-formed XML text, and costs
// no memory if dst has room and no map has more than 16 keys.
func AppendFromApp(dst []byte, m FromApp) []byte {
	switch m := m.(type) {
	case *Downstream:
		return appendDownstream(dst, m)
	case *Ack:
		dst = append(dst, '{')
		dst = appendField(dst, keyTo, string(m.To))
		dst = appendField(dst, keyMessageID, string(m.MessageID))
		dst = appendField(dst, keyMessageType, typeAck)
		return append(dst, '}')
	}
	return dst
}

// AppendFromServer appends m as JSON to dst, its keys in the order in which
// Google's server was recorded. What it writes is also well-formed XML text,
// and costs no memory if dst has room and no map has more than 16 keys.
func AppendFromServer(dst []byte, m FromServer) []byte {
	dst = append(dst, '{')
	switch m := m.(type) {
	case *Ack:
		dst = appendServerAck(dst, m)
	case *Nack:
		dst = appendNack(dst, m)
	case *Upstream:
		dst = appendUpstream(dst, m)
	case *Receipt:
		dst = appendReceipt(dst, m)
	case *Control:
		// Nothing else: a message_id here makes one client reject it
		// (docs/protocol.md, Draining).
		dst = appendField(dst, keyMessageType, typeControl)
		dst = appendField(dst, keyControlType, string(m.Type))
	case *Unknown:
		dst = appendField(dst, keyMessageType, m.MessageType)
	}
	return append(dst, '}')
}

func appendDownstream(dst []byte, m *Downstream) []byte {
	dst = append(dst, '{')
	dst = appendIfSet(dst, keyTo, string(m.To))
	dst = appendIfSet(dst, keyCondition, m.Condition)
	dst = appendField(dst, keyMessageID, string(m.MessageID))
	dst = appendIfSet(dst, keyCollapseKey, string(m.CollapseKey))
	dst = appendIfSet(dst, keyPriority, string(m.Priority))
	dst = appendTTL(dst, m.TTL)
	dst = appendFlag(dst, keyContentAvailable, m.ContentAvailable)
	dst = appendFlag(dst, keyMutableContent, m.MutableContent)
	dst = appendFlag(dst, keyDelayWhileIdle, m.DelayWhileIdle)
	dst = appendFlag(dst, keyReceiptRequested, m.DeliveryReceiptRequested)
	dst = appendFlag(dst, keyDryRun, m.DryRun)
	dst = appendFlag(dst, keyDirectBootOK, m.DirectBootOK)
	dst = appendIfSet(dst, keyRestrictedPackageName, m.RestrictedPackageName)
	if m.AnalyticsLabel != "" {
		dst = append(appendKey(dst, keyFCMOptions), '{')
		dst = append(appendField(dst, keyAnalyticsLabel, m.AnalyticsLabel), '}')
	}
	if len(m.Data) > 0 {
		dst = appendMap(appendKey(dst, keyData), m.Data)
	}
	if len(m.Notification) > 0 {
		dst = appendMap(appendKey(dst, keyNotification), m.Notification)
	}
	return append(dst, '}')
}

func appendServerAck(dst []byte, m *Ack) []byte {
	dst = appendField(dst, keyMessageType, typeAck)
	dst = appendField(dst, keyFrom, string(m.From))
	dst = appendField(dst, keyMessageID, string(m.MessageID))
	dst = appendIfSet(dst, keyRegistrationID, string(m.RegistrationID))
	if m.Success != 0 || m.Failure != 0 {
		dst = strconv.AppendInt(appendKey(dst, keySuccess), int64(m.Success), 10)
		dst = strconv.AppendInt(appendKey(dst, keyFailure), int64(m.Failure), 10)
	}
	if len(m.FailedRegistrationIDs) > 0 {
		dst = append(appendKey(dst, keyFailedRegistrationIDs), '[')
		for i, id := range m.FailedRegistrationIDs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, string(id))
		}
		dst = append(dst, ']')
	}
	return dst
}

// appendNack leaves no field out and none empty: a client is known whose caller
// waits forever otherwise (docs/protocol.md, Nack codes).
func appendNack(dst []byte, m *Nack) []byte {
	code, text := m.Code, m.Description
	if code == "" {
		code = CodeInternalServerError
	}
	if text == "" {
		text = code.Sentence()
	}
	dst = appendField(dst, keyMessageType, typeNack)
	dst = appendField(dst, keyFrom, orUnknown(string(m.From)))
	dst = appendField(dst, keyMessageID, orUnknown(string(m.MessageID)))
	dst = appendField(dst, keyError, string(code))
	return appendField(dst, keyErrorDescription, text)
}

func appendUpstream(dst []byte, m *Upstream) []byte {
	dst = appendMap(appendKey(dst, keyData), m.Data)
	dst = appendTTL(dst, m.TTL)
	dst = appendField(dst, keyFrom, string(m.From))
	dst = appendField(dst, keyMessageID, string(m.MessageID))
	return appendIfSet(dst, keyCategory, string(m.Category))
}

// appendReceipt leaves no field out, since a client is known that fails to
// decode a receipt without a timestamp. One that is unknown is written as "0".
func appendReceipt(dst []byte, m *Receipt) []byte {
	dst = appendField(dst, keyCategory, string(m.Category))
	dst = append(appendKey(dst, keyData), '{')
	dst = appendField(dst, keyMessageStatus, m.Status)
	dst = appendField(dst, keyOriginalMessageID, string(m.OriginalMessageID))
	dst = appendField(dst, keyDeviceRegistrationID, string(m.Device))
	dst = append(appendKey(dst, keyMessageSentTimestamp), '"')
	var millis int64
	if !m.SentAt.IsZero() {
		millis = m.SentAt.UnixMilli()
	}
	dst = strconv.AppendInt(dst, millis, 10)
	dst = append(dst, `"}`...)
	dst = appendField(dst, keyMessageID, string(m.MessageID))
	dst = appendField(dst, keyMessageType, typeReceipt)
	dst = append(appendKey(dst, keyTTL), '0')
	return appendField(dst, keyFrom, ReceiptFrom)
}

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

// appendKey appends a member's name and what stands around it. Only a member
// that is its object's first follows a bare bracket.
func appendKey(dst []byte, key string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, key...)
	return append(dst, `":`...)
}

func appendField(dst []byte, key, val string) []byte {
	return appendString(appendKey(dst, key), val)
}

func appendIfSet(dst []byte, key, val string) []byte {
	if val == "" {
		return dst
	}
	return appendField(dst, key, val)
}

func appendFlag(dst []byte, key string, set bool) []byte {
	if !set {
		return dst
	}
	return append(appendKey(dst, key), "true"...)
}

func appendTTL(dst []byte, ttl *time.Duration) []byte {
	if ttl == nil {
		return dst
	}
	return strconv.AppendInt(appendKey(dst, keyTTL), int64(*ttl/time.Second), 10)
}

// appendMap appends an object of strings, sorted, so that equal messages are
// equal bytes.
func appendMap(dst []byte, m map[string]string) []byte {
	var room [16]member
	dst = append(dst, '{')
	for i, e := range sorted(room[:0], m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, e.key), ':')
		dst = appendString(dst, e.val)
	}
	return append(dst, '}')
}

// A member is a key of a map with its value.
type member struct{ key, val string }

// sorted appends the members of m to list, which is empty, in the order of
// their keys.
func sorted(list []member, m map[string]string) []member {
	for key, val := range m {
		list = append(list, member{key, val})
	}
	if len(list) > 16 {
		slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.key, b.key) })
		return list
	}
	// A handful, as nearly always: inserting beats a general sort.
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].key < list[j-1].key; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}
