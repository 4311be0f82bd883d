package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// ToCCS is r in the words of CCS, under that id, for a project whose far end is
// another CCS endpoint. An error is a *[fcm.SendError]. Nothing is dropped in
// silence: what CCS has no words for is refused by its name
// (docs/fcm-http.md, Back to CCS).
//
// A legacy message says each thing once, for all platforms. So the common part
// and the one for Android give the words, and those for Apple and the web only
// what stands nowhere else: content-available, mutable-content, badge, subtitle,
// a critical sound, and the address of an icon. Whatever else they say must be
// what [ToV1] would write there, or a repetition of the common part, or
// FCM's default. apns-expiration counts as the time to live in other words where
// there is one. A FID stands where a token stands.
func ToCCS(r *fcm.SendRequest, id ccs.MessageID) (*ccs.Downstream, error) {
	if wrong, ok := errors.AsType[*fcm.FieldError](r.Validate()); ok {
		return nil, refused(wrong)
	}
	v := r.Message
	if strings.HasPrefix(v.Token+v.FID, ccs.TopicPrefix) {
		return nil, invalid(fcm.MalformedToken, "message.token", textBadToken)
	}
	m := &ccs.Downstream{
		To: ccs.RegistrationToken(v.Token + v.FID), Condition: v.Condition, MessageID: id,
		DryRun: r.ValidateOnly, Data: v.Data,
	}
	if v.Topic != "" {
		m.To = ccs.TopicPrefix + ccs.RegistrationToken(v.Topic)
	}
	if v.Options != nil {
		m.AnalyticsLabel = v.Options.AnalyticsLabel
	}
	if a := v.Android; a != nil {
		m.CollapseKey = ccs.CollapseKey(a.CollapseKey)
		m.Priority = ccs.Priority(strings.ToLower(string(a.Priority)))
		if a.TTL != nil {
			ttl := time.Duration(*a.TTL).Truncate(time.Second)
			m.TTL = &ttl
		}
		m.RestrictedPackageName = a.RestrictedPackageName
		m.DirectBootOK = a.DirectBootOK
	}
	given := tree(r)
	given.at("message").normalize()
	given.at("message").gather(m, v)

	back, err := ToV1(m, Times{}, nil)
	if err != nil {
		return nil, err
	}
	said := tree(back)
	said.at("message").repeat(m, v, given.at("message"))
	path := given.unsaid(said)
	if path == "" {
		path = given.at("message").hidden(said.at("message"))
	}
	if path != "" {
		return nil, invalid(fcm.InvalidMessage, printable(path, maxDescription), "CCS has no words for it")
	}
	if wrong, ok := errors.AsType[*ccs.FieldError](m.Validate()); ok {
		named := *wrong
		named.Field = pathOf(wrong.Field)
		return nil, Refuse(&named)
	}
	return m, nil
}

// pathOf is where v1 says what a field of CCS says; its own name for what v1 does
// not know.
func pathOf(field string) string {
	switch field {
	case "to":
		return "message.token"
	case "collapse_key", "restricted_package_name":
		return "message.android." + field
	case "condition", "data", "notification":
		return "message." + field
	}
	return field
}

// An object is JSON as encoding/json reads it, numbers as json.Number. So
// whatever a message says is seen, also what this program knows nothing of.
type object map[string]any

// tree takes a request that is valid, so that what it writes is JSON.
func tree(r *fcm.SendRequest) object {
	dec := json.NewDecoder(bytes.NewReader(r.Append(nil)))
	dec.UseNumber()
	var o map[string]any
	if err := dec.Decode(&o); err != nil {
		panic("translate: " + err.Error())
	}
	return o
}

// at is the object at a path; one that is not there is empty, and nil.
func (o object) at(path ...string) object {
	for _, name := range path {
		next, _ := o[name].(map[string]any)
		o = next
	}
	return o
}

// put sets a member and makes the objects on the way to it.
func (o object) put(val any, path ...string) {
	last := len(path) - 1
	for _, name := range path[:last] {
		next, ok := o[name].(map[string]any)
		if !ok {
			next = make(map[string]any)
			o[name] = next
		}
		o = next
	}
	o[path[last]] = val
}

// unsaid is the path of the first thing that o says and other does not; empty if
// there is none.
func (o object) unsaid(other object) string {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		val := o[name]
		if inner, ok := val.(map[string]any); ok {
			if _, known := other[name].(map[string]any); !known && len(inner) == 0 {
				return name
			}
			if path := object(inner).unsaid(other.at(name)); path != "" {
				return name + "." + path
			}
			continue
		}
		if want, ok := other[name]; !ok || !bytes.Equal(mustJSON(val), mustJSON(want)) {
			return name
		}
	}
	return ""
}

// hidden is the path of the first part of o, a message, that stands in place of a
// common one and says less than said does; empty if there is none. CCS cannot
// leave a thing out for one platform.
func (o object) hidden(said object) string {
	for _, part := range [...]struct {
		path []string
		keys []string // nil: all
	}{
		{[]string{"android", "data"}, nil},
		{[]string{"webpush", "data"}, nil},
		{[]string{"webpush", "notification"}, []string{"title", "body"}},
		{[]string{"apns", "payload", "aps", "alert"}, []string{"title", "body"}},
	} {
		given, whole := o.at(part.path...), said.at(part.path...)
		if len(given) == 0 {
			continue
		}
		keys := part.keys
		if keys == nil {
			keys = slices.Sorted(maps.Keys(whole))
		}
		for _, key := range keys {
			if given[key] == nil && whole[key] != nil {
				return "message." + strings.Join(part.path, ".") + "." + key
			}
		}
	}
	return ""
}

// normalize brings a message to one of the ways to say the same.
func (o object) normalize() {
	if a := o.at("android"); a != nil {
		if p, ok := a["priority"].(string); ok {
			a["priority"] = strings.ToLower(p)
		}
		if ttl, ok := a["ttl"].(string); ok {
			seconds, _, _ := strings.Cut(strings.TrimSuffix(ttl, "s"), ".")
			a["ttl"] = seconds + "s"
		}
	}
	for _, part := range []string{"apns", "webpush"} {
		headers := o.at(part, "headers")
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			val := headers[name]
			delete(headers, name)
			headers[strings.ToLower(name)] = val
		}
	}
	a := o.at("apns", "payload", "aps")
	if text, ok := a["alert"].(string); ok {
		a["alert"] = map[string]any{"body": text}
	}
	for _, flag := range []string{"content-available", "mutable-content"} {
		switch a[flag] {
		case true:
			a[flag] = json.Number("1")
		case false, json.Number("0"):
			delete(a, flag)
		}
	}
}

// gather takes what a normalized message says of its notification, and what only
// the part for Apple devices can say.
func (o object) gather(m *ccs.Downstream, v *fcm.Message) {
	n := make(map[string]string)
	set := func(key, val string) {
		if n[key] == "" && val != "" {
			n[key] = val
		}
	}
	if c := v.Notification; c != nil {
		set(keyTitle, c.Title)
		set(keyBody, c.Body)
		set(keyImage, c.Image)
	}
	a := o.at("apns", "payload", "aps")
	m.ContentAvailable = a["content-available"] == json.Number("1")
	m.MutableContent = a["mutable-content"] == json.Number("1")
	if badge, ok := a["badge"].(json.Number); ok {
		set(keyBadge, badge.String())
	}
	if subtitle, ok := a.at("alert")["subtitle"].(string); ok {
		set(keySubtitle, subtitle)
	}
	if sound := a.at("sound"); sound != nil {
		set(keySound, string(mustJSON(sound)))
	}
	if icon, ok := o.at("webpush", "notification")["icon"].(string); ok {
		set(keyIcon, icon)
	}
	if v.Android != nil && v.Android.Notification != nil {
		p := v.Android.Notification
		set(keyTitle, p.Title)
		set(keyBody, p.Body)
		set(keyImage, p.Image)
		set(keyChannel, p.ChannelID)
		set(keyIcon, p.Icon)
		set(keySound, p.Sound)
		set(keyTag, p.Tag)
		set(keyColor, p.Color)
		set(keyClickAction, p.ClickAction)
		set(keyBodyLocKey, p.BodyLocKey)
		set(keyTitleLocKey, p.TitleLocKey)
		for key, args := range map[string][]string{keyBodyLocArgs: p.BodyLocArgs, keyTitleLocArgs: p.TitleLocArgs} {
			if len(args) > 0 {
				set(key, string(mustJSON(args)))
			}
		}
	}
	if len(n) > 0 {
		m.Notification = n
	}
}

// repeat adds to o, which is m in v1's words, what v may say besides without
// saying anything new.
func (o object) repeat(m *ccs.Downstream, v *fcm.Message, given object) {
	o.normalize()
	for _, part := range [...][]string{
		{"notification"}, {"fcm_options"},
		{"android", "notification"}, {"android", "fcm_options"},
		{"apns", "payload", "aps", "alert"}, {"apns", "fcm_options"},
		{"webpush", "notification"}, {"webpush", "fcm_options"},
	} {
		if o.at(part...) == nil {
			o.put(map[string]any{}, part...) // an empty part says nothing
		}
	}
	if v.FID != "" {
		o["fid"] = v.FID
	}
	for _, f := range []struct{ key, common, apple, web string }{
		{keyTitle, "title", "title", "title"},
		{keyBody, "body", "body", "body"},
		{keyImage, "image", "", "image"},
	} {
		val := m.Notification[f.key]
		if val == "" {
			continue
		}
		o.put(val, "android", "notification", f.common)
		o.put(val, "webpush", "notification", f.web)
		if f.apple != "" {
			o.put(val, "apns", "payload", "aps", "alert", f.apple)
		} else {
			o.put(val, "apns", "fcm_options", f.common)
		}
	}
	if m.AnalyticsLabel != "" {
		for _, part := range []string{"android", "apns", "webpush"} {
			o.put(m.AnalyticsLabel, part, "fcm_options", "analytics_label")
		}
	}
	for key, val := range m.Data {
		o.put(val, "android", "data", key)
		o.put(val, "webpush", "data", key)
	}
	n := notice{in: m.Notification, opt: &Options{}}
	if n.read() == nil && n.onApple() {
		o.put("alert", "apns", "headers", apnsPushType)
		if m.Priority == "" {
			o.put("10", "apns", "headers", apnsPriority)
		}
	}
	if date, ok := given.at("apns", "headers")[apnsExpiration].(string); ok && m.TTL != nil && *m.TTL > 0 {
		if seconds, err := strconv.ParseUint(date, 10, 63); err == nil && seconds > 0 {
			o.put(date, "apns", "headers", apnsExpiration)
		}
	}
}
