package ccs

import (
	"fmt"
	"strings"
	"time"
)

// An appField numbers the fields of an app server's message that mean something.
type appField uint8

const (
	appMessageType appField = iota
	appMessageID
	appTo
	appCondition
	appRegistrationIDs // of the legacy HTTP protocol; here it is refused
	appCollapseKey
	appPriority
	appTTL
	appContentAvailable
	appMutableContent
	appDelayWhileIdle
	appReceiptRequested
	appDryRun
	appDirectBootOK
	appRestrictedPackageName
	appFCMOptions
	appData
	appNotification
	appFieldCount
)

var appKeys = [appFieldCount]string{
	keyMessageType, keyMessageID, keyTo, keyCondition, keyRegistrationIDs, keyCollapseKey, keyPriority, keyTTL,
	keyContentAvailable, keyMutableContent, keyDelayWhileIdle, keyReceiptRequested, keyDryRun,
	keyDirectBootOK, keyRestrictedPackageName, keyFCMOptions, keyData, keyNotification,
}

func appFieldOf(key []byte) (appField, bool) {
	switch string(key) {
	case keyMessageType:
		return appMessageType, true
	case keyMessageID:
		return appMessageID, true
	case keyTo:
		return appTo, true
	case keyCondition:
		return appCondition, true
	case keyRegistrationIDs:
		return appRegistrationIDs, true
	case keyCollapseKey:
		return appCollapseKey, true
	case keyPriority:
		return appPriority, true
	case keyTTL:
		return appTTL, true
	case keyContentAvailable:
		return appContentAvailable, true
	case keyMutableContent:
		return appMutableContent, true
	case keyDelayWhileIdle:
		return appDelayWhileIdle, true
	case keyReceiptRequested:
		return appReceiptRequested, true
	case keyDryRun:
		return appDryRun, true
	case keyDirectBootOK:
		return appDirectBootOK, true
	case keyRestrictedPackageName:
		return appRestrictedPackageName, true
	case keyFCMOptions:
		return appFCMOptions, true
	case keyData:
		return appData, true
	case keyNotification:
		return appNotification, true
	}
	return 0, false
}

// The classes with which CCS names what it had wanted.
const (
	javaString  = "java.lang.String"
	javaNumber  = "java.lang.Number"
	javaBoolean = "java.lang.Boolean"
	javaMap     = "java.util.Map"
)

// ParseFromApp decodes one message from an app server: a *[Downstream] that
// keeps the rules of [Downstream.Validate], or an *[Ack]. The error is always a
// *[PayloadError], and tells how to answer (docs/protocol.md, Errors).
//
// Of equal keys the last one counts; null is like absence; keys that nobody
// documented are ignored. The message keeps nothing of payload.
func ParseFromApp(payload []byte) (FromApp, error) {
	d := appDecoder{source: source{src: payload}}
	m := d.decode()
	if d.failed != nil {
		return nil, d.failed
	}
	return m, nil
}

// An appDecoder first notes where the values of the known fields are and then
// looks at them in an order of its own. So the last of two equal keys counts,
// and the answer to a wrong field has the message id that comes behind it.
type appDecoder struct {
	source
	fields [appFieldCount]value
	maps   [2]stringMap  // data, notification
	code   Code          // of a refusal
	failed *PayloadError // the first refusal
}

// A stringMap is a decoded object, with what the rules want to know of it.
type stringMap struct {
	m    map[string]string
	seen survey
}

func (d *appDecoder) decode() FromApp {
	d.code = CodeInvalidJSON
	d.text = string(d.src)
	scan := scanner{src: d.src}
	if err := d.locate(&scan); err != nil {
		// What breaks off may lack the id's second half: no id is safe to
		// be answered, even if one was seen.
		d.failed = &PayloadError{From: unknown, Code: d.code, Text: wireText(labelParsing, err.Error())}
		return nil
	}
	kind := ""
	if v := d.fields[appMessageType]; v.kind == jsonString {
		kind = d.str(v)
	}
	if kind == typeAck || kind == typeNack {
		d.code = CodeBadAck
	}
	switch {
	case scan.deepest > MaxDepth:
		d.refuse(wireText(labelParsing, fmt.Sprintf("values nest %d deep: at most %d are allowed", scan.deepest, MaxDepth)))
	case kind == typeAck:
		return d.ack()
	case kind == typeNack:
		d.refuse(wireText(labelField, `Field "message_type" must not be "nack": upstream messages are acked or left alone`))
	default:
		// Any other message_type is a downstream message: old samples of
		// Google's wrote one.
		return d.downstream()
	}
	return nil
}

// locate scans the whole payload and notes the values of the known fields.
func (d *appDecoder) locate(scan *scanner) error {
	if err := scan.enter(); err != nil {
		return err
	}
	var scratch [64]byte
	for {
		key, ok, err := scan.memberKey()
		if err != nil {
			return err
		}
		if !ok {
			return scan.end()
		}
		name := d.src[key.start+1 : key.end-1]
		if key.escaped {
			name = appendUnescaped(scratch[:0], name)
		}
		f, known := appFieldOf(name)
		val, err := d.value(scan, f)
		if err != nil {
			return err
		}
		if known {
			if val.kind == jsonNull {
				val = value{}
			}
			d.fields[f] = val
		}
	}
}

// value reads the value of a field. The objects that apps get are decoded on
// the way.
func (d *appDecoder) value(scan *scanner, f appField) (value, error) {
	if f != appData && f != appNotification || scan.peek() != '{' {
		return scan.value()
	}
	val := value{kind: jsonObject, start: scan.pos}
	into := d.mapOf(f)
	var err error
	into.m, into.seen, err = d.stringMap(scan)
	val.end = scan.pos
	return val, err
}

func (d *appDecoder) mapOf(f appField) *stringMap {
	if f == appData {
		return &d.maps[0]
	}
	return &d.maps[1]
}

func (d *appDecoder) ack() FromApp {
	m := &Ack{
		MessageID: MessageID(d.string(appMessageID)),
		To:        RegistrationToken(d.string(appTo)),
	}
	if d.failed != nil {
		return nil
	}
	// The ack of a receipt repeats a prefix of ours before the app server's id.
	if e := checkIDLength(m.MessageID, len(ReceiptIDs)+MaxMessageID); e != nil {
		d.refuse(e.wire())
		return nil
	}
	switch {
	case m.MessageID == "":
		d.refuse(wireText(labelParsing, "Missing Required Field: "+keyMessageID))
	case m.To == "":
		d.refuse(wireText(labelParsing, "Missing Required Field: "+keyTo))
	}
	return m
}

func (d *appDecoder) downstream() FromApp {
	// One piece of memory for both: nearly every message has a TTL.
	room := &struct {
		Downstream
		ttl time.Duration
	}{}
	m := &room.Downstream
	m.MessageID = MessageID(d.string(appMessageID))
	if d.failed != nil {
		return nil
	}
	// Without an id nothing else can be answered to by a nack.
	if e := m.checkID(); e != nil {
		d.refuse(e.wire())
		return nil
	}
	d.string(appMessageType) // its type is checked, its text means nothing
	m.To = RegistrationToken(d.string(appTo))
	m.Condition = d.string(appCondition)
	m.CollapseKey = CollapseKey(d.string(appCollapseKey))
	m.Priority = Priority(d.string(appPriority))
	for _, p := range [...]Priority{PriorityNormal, PriorityHigh} {
		if strings.EqualFold(string(m.Priority), string(p)) {
			m.Priority = p
		}
	}
	if ttl, ok := d.ttl(); ok {
		room.ttl = ttl
		m.TTL = &room.ttl
	}
	m.ContentAvailable = d.bool(appContentAvailable)
	m.MutableContent = d.bool(appMutableContent)
	m.DelayWhileIdle = d.bool(appDelayWhileIdle)
	m.DeliveryReceiptRequested = d.bool(appReceiptRequested)
	m.DryRun = d.bool(appDryRun)
	m.DirectBootOK = d.bool(appDirectBootOK)
	m.RestrictedPackageName = d.string(appRestrictedPackageName)
	m.AnalyticsLabel = d.analyticsLabel()
	data, notification := d.object(appData), d.object(appNotification)
	m.Data, m.Notification = data.m, notification.m
	if d.failed != nil {
		return nil
	}
	// Passed over in silence it would lose whom it names.
	if d.fields[appRegistrationIDs].kind != jsonAbsent {
		d.refuseField(&FieldError{
			Field:  keyRegistrationIDs,
			Reason: `must not be there: over CCS each token takes a message of its own, in "to"`,
			label:  labelTarget,
		})
		return nil
	}
	if e := m.checkWith(data.seen, notification.seen); e != nil {
		d.refuseField(e)
	}
	return m
}

// ttl is the time to live as the rules can judge it: what no Duration holds
// becomes one that is as wrong.
func (d *appDecoder) ttl() (ttl time.Duration, ok bool) {
	v := d.fields[appTTL]
	switch {
	case v.kind == jsonAbsent:
		return 0, false
	case v.kind == jsonNumber, v.kind == jsonString && isDigits(d.str(v)):
	default:
		d.wrongType(appTTL, javaNumber)
		return 0, false
	}
	n, whole := decimal(d.str(v)) // numbers have no escapes, so str takes them too
	n = min(max(n, -1), int64(MaxTTL/time.Second)+1)
	ttl = time.Duration(n) * time.Second
	if !whole {
		ttl++
	}
	return ttl, true
}

func (d *appDecoder) string(f appField) string {
	v := d.fields[f]
	switch v.kind {
	case jsonAbsent:
		return ""
	case jsonString:
		return d.str(v)
	}
	d.wrongType(f, javaString)
	return ""
}

func (d *appDecoder) bool(f appField) bool {
	switch d.fields[f].kind {
	case jsonAbsent, jsonFalse:
		return false
	case jsonTrue:
		return true
	}
	d.wrongType(f, javaBoolean)
	return false
}

// analyticsLabel is the only one of the options that means something.
func (d *appDecoder) analyticsLabel() string {
	options := d.fields[appFCMOptions]
	switch options.kind {
	case jsonAbsent:
		return ""
	case jsonObject:
	default:
		d.wrongType(appFCMOptions, javaMap)
		return ""
	}
	// locate has read it already, so that nothing can go wrong here.
	scan := scanner{src: d.src[:options.end], pos: options.start}
	_ = scan.enter()
	var label value
	for {
		key, val, ok, _ := scan.member()
		if !ok {
			break
		}
		if d.str(key) == keyAnalyticsLabel {
			label = val
		}
	}
	switch label.kind {
	case jsonAbsent, jsonNull:
		return ""
	case jsonString:
		return d.str(label)
	}
	d.refuse(wireText(labelType, fmt.Sprintf("Field %q must be a JSON %s", keyFCMOptions+"."+keyAnalyticsLabel, javaString)))
	return ""
}

func (d *appDecoder) object(f appField) stringMap {
	switch d.fields[f].kind {
	case jsonObject:
		return *d.mapOf(f)
	case jsonAbsent:
	default:
		d.wrongType(f, javaMap)
	}
	return stringMap{}
}

// wrongType refuses a field in CCS's own words. Values that may be secret or
// private, tokens and what apps send each other, are not repeated.
func (d *appDecoder) wrongType(f appField, want string) {
	text := fmt.Sprintf("Field %q must be a JSON %s", appKeys[f], want)
	switch f {
	case appTo, appData, appNotification:
	default:
		got, _ := d.plain(d.fields[f])
		text += ": " + echo(got)
	}
	d.refuse(wireText(labelType, text))
}

func (d *appDecoder) refuseField(e *FieldError) {
	if e.Field != keyTTL {
		d.refuse(e.wire())
		return
	}
	// CCS wrote this one with a blank before the first colon, and so do we.
	d.refuse(fmt.Sprintf(`InvalidJson : %s : Invalid value (%s) for "%s": must be between 0 and "%d"`,
		labelTTL, echo(d.str(d.fields[appTTL])), keyTTL, MaxTTL/time.Second))
}

// refuse makes the error, unless there is one already.
func (d *appDecoder) refuse(text string) {
	if d.failed != nil {
		return
	}
	e := &PayloadError{MessageID: d.answerID(), From: d.answerFrom(), Code: d.code, Text: text}
	if e.Code == CodeBadAck && e.MessageID == "" {
		e.MessageID = unknown
	}
	d.failed = e
}

// answerID is the id that an answer can carry. One that is wrong, as a number,
// is echoed as text (docs/protocol.md, Message ids).
func (d *appDecoder) answerID() MessageID {
	switch v := d.fields[appMessageID]; v.kind {
	case jsonString, jsonNumber, jsonTrue, jsonFalse:
		return MessageID(d.str(v))
	}
	return ""
}

func (d *appDecoder) answerFrom() RegistrationToken {
	for _, f := range [...]appField{appTo, appCondition} {
		v := d.fields[f]
		if v.kind != jsonString && v.kind != jsonNumber {
			continue
		}
		if text := d.str(v); text != "" {
			return RegistrationToken(text)
		}
	}
	return unknown
}
