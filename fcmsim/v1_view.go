package fcmsim

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
)

// parcel is the message as devices of one platform get it: their own part over
// the common one. It is made once for each platform.
func (v *v1Send) parcel(platform Platform, now time.Time) *parcel {
	if p := v.parcels[platform]; p != nil {
		return p
	}
	p := &parcel{
		id: v.id, target: v.to(), direct: v.kind == toToken || v.kind == toFID,
		raw: json.RawMessage(v.nodes[v.message].text),
	}
	switch platform {
	case PlatformIOS:
		v.forApple(p, now)
	case PlatformWeb:
		v.forWeb(p)
	default:
		v.forAndroid(p)
	}
	if v.parcels == nil {
		v.parcels = make(map[Platform]*parcel, 1)
	}
	v.parcels[platform] = p
	return p
}

// to is the target as the record and CCS write it.
func (v *v1Send) to() ccs.RegistrationToken {
	if v.kind == toTopic {
		return ccs.RegistrationToken(topicPrefix + v.target)
	}
	return ccs.RegistrationToken(v.target)
}

// forAndroid: android.data takes the place of data, and each field of the
// notification that of the common one.
func (v *v1Send) forAndroid(p *parcel) {
	if p.data = v.pairs(v.android, "data"); p.data == nil {
		p.data = v.pairs(v.message, "data")
	}
	note, _ := v.androidNote("")
	p.notification = v.fields(v.fields(nil, v.notification), note)
	p.shown = p.notification != nil
	p.pkg = v.str(v.android, "restricted_package_name")
	p.collapse = ccs.CollapseKey(v.str(v.android, "collapse_key"))
	if text := v.str(v.android, "ttl"); text != "" {
		ttl, _ := parseDuration(text) // the parser has seen to it
		p.setTTL(ttl)
	}
	p.priority = ccs.Priority(strings.ToLower(v.str(v.android, "priority")))
	switch {
	case p.priority != "":
	case p.shown:
		p.priority = ccs.PriorityHigh
	default:
		p.priority = ccs.PriorityNormal
	}
}

func (p *parcel) setTTL(ttl time.Duration) {
	ttl = max(ttl, 0).Truncate(time.Second)
	p.ttl = &ttl
}

// maxAppleTTL is FCM's default for apns-expiration.
const maxAppleTTL = 30 * 24 * time.Hour

// forApple: what the payload says of the alert takes the place of the common
// notification, and data stands beside aps.
func (v *v1Send) forApple(p *parcel, now time.Time) {
	p.data = v.pairs(v.message, "data")
	p.headers = v.pairs(v.apns, "headers")
	payload := v.object(v.apns, "payload")
	aps := map[string]any{}
	if own, ok := payload["aps"].(map[string]any); ok {
		aps = own
	}
	if common := v.fields(nil, v.notification); aps["alert"] == nil && common != nil {
		alert := map[string]any{}
		for _, name := range [...]string{"title", "body"} {
			if text, ok := common[name]; ok {
				alert[name] = text
			}
		}
		aps["alert"] = alert
	}
	switch alert := aps["alert"].(type) {
	case string:
		p.notification = map[string]string{"body": alert}
	case map[string]any:
		p.notification = texts(alert)
	}
	// Apple counts a badge and a sound as things for the user too.
	p.shown = p.notification != nil || aps["badge"] != nil || aps["sound"] != nil
	if payload == nil {
		payload = make(map[string]any, len(p.data)+1)
	}
	for k, text := range p.data {
		if payload[k] == nil {
			payload[k] = text
		}
	}
	payload["aps"] = aps
	p.payload = mustJSON(payload)
	p.setTTL(maxAppleTTL)
	if text, ok := v.header(v.apns, "apns-expiration"); ok {
		at, _ := strconv.ParseInt(text, 10, 64) // was checked
		p.setTTL(time.Unix(at, 0).Sub(now))
	}
	key, _ := v.header(v.apns, "apns-collapse-id")
	p.collapse = ccs.CollapseKey(key)
}

// forWeb: webpush.data takes the place of data, and each field of the
// notification that of the common one.
func (v *v1Send) forWeb(p *parcel) {
	if p.data = v.pairs(v.webpush, "data"); p.data == nil {
		p.data = v.pairs(v.message, "data")
	}
	p.headers = v.pairs(v.webpush, "headers")
	note := v.object(v.webpush, "notification")
	for name, text := range v.fields(nil, v.notification) {
		if note == nil {
			note = make(map[string]any)
		}
		if note[name] == nil {
			note[name] = text
		}
	}
	var view struct {
		Data         map[string]string `json:"data,omitempty"`
		Notification map[string]any    `json:"notification,omitempty"`
		Options      map[string]string `json:"fcmOptions,omitempty"`
	}
	view.Data, view.Notification = p.data, note
	if link := v.str(v.in(v.webpush, "fcm_options"), "link"); link != "" {
		view.Options = map[string]string{"link": link}
	}
	p.payload = mustJSON(view)
	if note != nil {
		p.notification, p.shown = texts(note), true
	}
	if text, ok := v.header(v.webpush, "TTL"); ok {
		seconds, _ := strconv.ParseInt(text, 10, 64) // was checked
		p.setTTL(time.Duration(seconds) * time.Second)
	}
	key, _ := v.header(v.webpush, "Topic")
	p.collapse = ccs.CollapseKey(key)
}

// pairs is a map of strings below n; nil: it is absent.
func (v *v1Send) pairs(n int32, name string) map[string]string {
	c := v.in(n, name)
	if c == 0 {
		return nil
	}
	m := make(map[string]string)
	for e := v.nodes[c].first; e != 0; e = v.nodes[e].next {
		m[v.nodes[e].key] = v.nodes[e].text
	}
	return m
}

// fields adds the fields of n to m by their names in the proto, values that are
// no strings as JSON.
func (v *v1Send) fields(m map[string]string, n int32) map[string]string {
	if n == 0 {
		return m
	}
	if m == nil {
		m = make(map[string]string)
	}
	for c := v.nodes[n].first; c != 0; c = v.nodes[c].next {
		f := v.nodes[c].field
		text := v.nodes[c].text
		if f.list {
			list := []string{}
			for e := v.nodes[c].first; e != 0; e = v.nodes[e].next {
				list = append(list, v.nodes[e].text)
			}
			text = string(mustJSON(list))
		}
		m[f.name] = text
	}
	return m
}

// object is a free object below n; nil: it is absent.
func (v *v1Send) object(n int32, name string) map[string]any {
	c := v.in(n, name)
	if c == 0 {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(v.nodes[c].text))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil // what the parser has passed can be read
	}
	return m
}

// texts are the values of an object, those that are no strings as JSON.
func texts(m map[string]any) map[string]string {
	list := make(map[string]string, len(m))
	for k, value := range m {
		text, ok := value.(string)
		if !ok {
			text = string(mustJSON(value))
		}
		list[k] = text
	}
	return list
}

func mustJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what was read as JSON can be written
	}
	return text
}
