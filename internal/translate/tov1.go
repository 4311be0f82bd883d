package translate

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// Times are the clock of one translation.
type Times struct {
	// Accepted is when the message was taken from its sender: its time to live
	// counts from then. Zero: from Now.
	Accepted time.Time
	// Now is when it is to be sent.
	Now time.Time
}

func (at Times) waited() time.Duration {
	if at.Accepted.IsZero() {
		return 0
	}
	return at.Now.Sub(at.Accepted)
}

// expires is when a message that has ttl to live is dead. Waiting does not move it.
func (at Times) expires(ttl time.Duration) time.Time {
	if at.Accepted.IsZero() {
		return at.Now.Add(ttl)
	}
	return at.Accepted.Add(ttl)
}

// ToV1 is m in the words of HTTP v1. What has no words there is left out; the
// message's id stays with us. An error is a *[fcm.SendError]: the message
// breaks a rule, or its time to live is over. The strings of m are UTF-8
// (docs/fcm-http.md, Mapping).
func ToV1(m *ccs.Downstream, at Times, opt *Options) (*fcm.SendRequest, error) {
	if opt == nil {
		opt = &Options{}
	}
	if opt.SizeLimit > 0 && size(m) > opt.SizeLimit {
		return nil, invalid(fcm.InvalidMessage, "message", textTooBig(opt.SizeLimit))
	}
	if m.TTL != nil && *m.TTL%time.Second != 0 {
		return nil, invalid(fcm.InvalidMessage, "message.android.ttl", "must be whole seconds")
	}
	out := &fcm.Message{Condition: m.Condition}
	if topic, ok := strings.CutPrefix(string(m.To), ccs.TopicPrefix); ok {
		// Even an empty one must not become no target.
		if out.Topic = topic; topic == "" {
			return nil, invalid(fcm.InvalidMessage, "message", textBadTopic)
		}
	} else {
		out.Token = string(m.To)
	}
	var err error
	if out.Data, err = dataOf(m, opt); err != nil {
		return nil, err
	}
	if m.AnalyticsLabel != "" {
		out.Options = &fcm.Options{AnalyticsLabel: m.AnalyticsLabel}
	}
	n := notice{in: m.Notification, opt: opt, contentAvailable: m.ContentAvailable, mutableContent: m.MutableContent}
	if err := n.read(); err != nil {
		return nil, err
	}
	out.Notification = n.common
	p := platforms{m: m, n: &n, ttl: (*fcm.Duration)(m.TTL)}
	if p.priority, err = priorityOf(m.Priority, opt.OddPriority); err != nil {
		return nil, err
	}
	out.Android, out.APNS, out.Webpush = p.android(), p.apple(at), p.web()
	if m.DelayWhileIdle {
		n.ignored++
	}
	r := &fcm.SendRequest{Message: out, ValidateOnly: m.DryRun}
	if wrong, ok := errors.AsType[*fcm.FieldError](r.Validate()); ok {
		return nil, refused(wrong)
	}
	if r, err = Age(r, at.waited()); err != nil {
		return nil, err
	}
	if n.ignored > 0 && opt.Ignored != nil {
		opt.Ignored(n.ignored)
	}
	return r, nil
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// size is how many bytes the keys and values have that an app gets to see.
func size(m *ccs.Downstream) (n int) {
	for _, members := range [...]map[string]string{m.Data, m.Notification} {
		for key, val := range members {
			n += len(key) + len(val)
		}
	}
	return n
}

// dataOf is what the app gets: its own data, and the message's id if it is to be
// named in a receipt.
func dataOf(m *ccs.Downstream, opt *Options) (map[string]string, error) {
	key := opt.MessageIDKey
	if key == "" || !m.DeliveryReceiptRequested || m.MessageID == "" {
		if len(m.Data) == 0 {
			return nil, nil
		}
		return m.Data, nil
	}
	if _, taken := m.Data[key]; taken {
		// Neither may stand for the other: the app would get a value that its
		// server did not write, or we a receipt for a message that is none.
		return nil, invalid(fcm.InvalidMessage, "message.data", fmt.Sprintf("the key %q is kept for the message's id when a receipt is requested", key))
	}
	data := make(map[string]string, len(m.Data)+1)
	maps.Copy(data, m.Data)
	data[key] = string(m.MessageID)
	return data, nil
}

func priorityOf(p ccs.Priority, odd OddPriority) (ccs.Priority, error) {
	switch {
	case p == "" || p == ccs.PriorityNormal || p == ccs.PriorityHigh:
		return p, nil
	case odd == OddPriorityIsNormal:
		return ccs.PriorityNormal, nil
	}
	return "", invalid(fcm.InvalidMessage, "message.android.priority", "must be normal or high")
}

// platforms makes the parts of one message that hold for one platform each.
type platforms struct {
	m        *ccs.Downstream
	n        *notice
	priority ccs.Priority
	ttl      *fcm.Duration
}

func (p *platforms) android() *fcm.AndroidConfig {
	if p.m.CollapseKey == "" && p.priority == "" && p.ttl == nil && p.m.RestrictedPackageName == "" &&
		!p.m.DirectBootOK && p.n.android == nil {
		return nil
	}
	return &fcm.AndroidConfig{
		CollapseKey:           string(p.m.CollapseKey),
		Priority:              fcm.AndroidPriority(p.priority),
		TTL:                   p.ttl,
		RestrictedPackageName: p.m.RestrictedPackageName,
		Notification:          p.n.android,
		DirectBootOK:          p.m.DirectBootOK,
	}
}

// The headers of APNs that we write.
const (
	apnsCollapseID = "apns-collapse-id"
	apnsExpiration = "apns-expiration"
	apnsPriority   = "apns-priority"
	apnsPushType   = "apns-push-type"
)

func (p *platforms) apple(at Times) *fcm.APNSConfig {
	headers := make(map[string]string, 4)
	if key := string(p.m.CollapseKey); key != "" && len(key) <= 64 && isHeaderText(key) {
		headers[apnsCollapseID] = key
	}
	switch ttl := p.m.TTL; {
	case ttl == nil:
	case *ttl == 0:
		headers[apnsExpiration] = "0"
	default:
		headers[apnsExpiration] = strconv.FormatInt(at.expires(*ttl).Unix(), 10)
	}
	// APNs refuses urgent messages that show nothing.
	switch silent := !p.n.onApple(); {
	case silent:
		headers[apnsPriority] = "5"
		if p.m.ContentAvailable {
			headers[apnsPushType] = "background"
		}
	case p.m.ContentAvailable:
		headers[apnsPushType] = "alert"
		fallthrough
	default:
		switch p.priority {
		case ccs.PriorityHigh:
			headers[apnsPriority] = "10"
		case ccs.PriorityNormal:
			headers[apnsPriority] = "5"
		}
	}
	payload := p.n.payload()
	if len(headers) == 0 && payload == nil {
		return nil
	}
	if len(headers) == 0 {
		headers = nil
	}
	return &fcm.APNSConfig{Headers: headers, Payload: payload}
}

// isHeaderText reports whether text can be the value of a header.
func isHeaderText(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// The headers of RFC 8030 that we write.
const (
	webTTL     = "TTL"
	webUrgency = "Urgency"
	webTopic   = "Topic"
)

func (p *platforms) web() *fcm.WebpushConfig {
	headers := make(map[string]string, 3)
	if key := string(p.m.CollapseKey); key != "" && len(key) <= 32 &&
		strings.IndexFunc(key, func(r rune) bool { return r > 0x7f || !isBase64URL(byte(r)) }) < 0 {
		headers[webTopic] = key
	}
	if p.ttl != nil {
		headers[webTTL] = strconv.FormatInt(int64(time.Duration(*p.ttl)/time.Second), 10)
	}
	if p.priority != "" {
		headers[webUrgency] = string(p.priority)
	}
	if len(headers) == 0 {
		if p.n.web == nil && p.n.link == "" {
			return nil
		}
		headers = nil
	}
	out := &fcm.WebpushConfig{Headers: headers, Notification: p.n.web}
	if p.n.link != "" {
		out.Options = &fcm.WebpushOptions{Link: p.n.link}
	}
	return out
}
