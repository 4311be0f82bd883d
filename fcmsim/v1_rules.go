package fcmsim

import (
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
)

// A v1Target is which of the target's fields a message has.
type v1Target uint8

const (
	toToken v1Target = iota
	toFID
	toTopic
	toCondition
)

// A v1Send is one request to send, while it is worked on.
type v1Send struct {
	protoParser
	project      string // as the URL names it
	validateOnly bool
	message      int32 // its node, and those of its parts; 0: absent
	notification int32
	android      int32 // or android_v2
	apns         int32
	webpush      int32

	kind      v1Target
	target    string
	condition condition // of toCondition

	id      ccs.MessageID
	parcels map[Platform]*parcel
}

// read checks a request body by the schema and by FCM's own rules, as far as no
// device is concerned.
func (v *v1Send) read(body string, limit int) *apiError {
	if err := v.parse(body); err != nil {
		return err
	}
	if only := v.get(0, "validate_only"); only != 0 {
		v.validateOnly = v.nodes[only].text == "true"
	}
	v.message = v.get(0, "message")
	v.notification = v.in(v.message, "notification")
	v.android = v.in(v.message, "android")
	v.apns = v.in(v.message, "apns")
	v.webpush = v.in(v.message, "webpush")
	v2 := v.in(v.message, "android_v2")
	if v2 != 0 && v.android != 0 {
		return badField("message", "Only one of android and android_v2 may be set.")
	}
	if v2 != 0 {
		v.android = v2
	}
	for _, check := range []func() *apiError{v.checkTarget, v.checkData, v.checkAndroid, v.checkWebpush, v.checkLabels} {
		if err := check(); err != nil {
			return err
		}
	}
	if v.size() > limit {
		return errTooLarge(limit)
	}
	return nil
}

func (v *v1Send) checkTarget() *apiError {
	for c := v.nodes[v.message].first; c != 0 && v.message != 0; c = v.nodes[c].next {
		if v.nodes[c].field.oneof == "" || v.nodes[c].text == "" {
			continue
		}
		v.target = v.nodes[c].text
		switch v.nodes[c].field.name {
		case "token":
			v.kind = toToken
		case "fid":
			v.kind = toFID
		case "topic":
			v.kind = toTopic
			if !isTopicName(v.target) {
				return errBadTopic()
			}
		case "condition":
			v.kind = toCondition
			var err error
			if v.condition, err = parseV1Condition(v.target); err != nil {
				return errBadCondition()
			}
		}
		return nil
	}
	return errNoRecipient()
}

// checkData refuses the keys that FCM keeps for itself.
func (v *v1Send) checkData() *apiError {
	for _, part := range [...]struct {
		node  int32
		field string
	}{{v.message, "message.data"}, {v.android, "message.android.data"}, {v.webpush, "message.webpush.data"}} {
		data := v.in(part.node, "data")
		if data == 0 {
			continue
		}
		for c := v.nodes[data].first; c != 0; c = v.nodes[c].next {
			if isReserved(v.nodes[c].key) {
				return errReservedKey(part.field+"["+strconv.Itoa(v.nodes[c].index)+"].key", v.nodes[c].key)
			}
		}
	}
	return nil
}

func isReserved(key string) bool {
	return key == "from" || key == "message_type" ||
		strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.notification.")
}

// maxV1TTL is four weeks.
const maxV1TTL = 28 * 24 * time.Hour

func (v *v1Send) checkAndroid() *apiError {
	if v.android == 0 {
		return nil
	}
	part := "message." + v.nodes[v.android].field.name
	if text := v.str(v.android, "ttl"); text != "" {
		ttl, _ := parseDuration(text) // the parser has seen to it
		if ttl < 0 || ttl.Truncate(time.Second) > maxV1TTL {
			return badField(part+".ttl", "TTL must be between 0 and 2419200 seconds.")
		}
	}
	note, part := v.androidNote(part)
	if note == 0 {
		return nil
	}
	if color := v.get(note, "color"); color != 0 && !isColor(v.nodes[color].text) {
		return badField(part+".color", "Color must be in the form #RRGGBB.")
	}
	if image := v.str(note, "image"); image != "" && v.nodes[note].field.sub == androidNotificationV2Type && !strings.HasPrefix(image, "https://") {
		return badField(part+".image", "Image must be an HTTPS URL.")
	}
	if times := v.get(note, "vibrate_timings"); times != 0 {
		for c := v.nodes[times].first; c != 0; c = v.nodes[c].next {
			if strings.HasPrefix(v.nodes[c].text, "-") {
				return badField(part+".vibrate_timings", "Vibrate timings must not be negative.")
			}
		}
	}
	return v.checkLights(v.get(note, "light_settings"), part+".light_settings")
}

// androidNote is the notification for Android, of either shape; path is the way
// to it.
func (v *v1Send) androidNote(part string) (note int32, path string) {
	if remote := v.in(v.android, "remote_notification"); remote != 0 {
		return v.get(remote, "notification"), part + ".remote_notification.notification"
	}
	return v.in(v.android, "notification"), part + ".notification"
}

func (v *v1Send) checkLights(lights int32, part string) *apiError {
	if lights == 0 {
		return nil
	}
	for _, name := range [...]string{"color", "light_on_duration", "light_off_duration"} {
		if v.get(lights, name) == 0 {
			return badField(part+"."+name, "Light settings need color, light_on_duration and light_off_duration.")
		}
	}
	color := v.get(lights, "color")
	for c := v.nodes[color].first; c != 0; c = v.nodes[c].next {
		share, err := strconv.ParseFloat(v.nodes[c].text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return badField(part+".color."+v.nodes[c].field.name, "Color components must be between 0 and 1.")
		}
	}
	return nil
}

func isColor(text string) bool {
	return len(text) == 7 && text[0] == '#' && strings.Trim(text[1:], "0123456789abcdefABCDEF") == ""
}

func (v *v1Send) checkWebpush() *apiError {
	if text, ok := v.header(v.webpush, "TTL"); ok {
		if n, err := strconv.ParseUint(text, 10, 31); err != nil || n > uint64(maxV1TTL/time.Second) {
			return errWebpushTTL()
		}
	}
	if link := v.str(v.in(v.webpush, "fcm_options"), "link"); link != "" && !strings.HasPrefix(link, "https://") {
		return badField("message.webpush.fcm_options.link", "Link must be an HTTPS URL.")
	}
	if text, ok := v.header(v.apns, "apns-expiration"); ok {
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return badField("message.apns.headers.apns-expiration", "Expiration must be a UNIX epoch in seconds.")
		}
	}
	return nil
}

// header is one of the headers of a part; their names have no case.
func (v *v1Send) header(part int32, name string) (string, bool) {
	headers := v.in(part, "headers")
	if headers == 0 {
		return "", false
	}
	for c := v.nodes[headers].first; c != 0; c = v.nodes[c].next {
		if strings.EqualFold(v.nodes[c].key, name) {
			return v.nodes[c].text, true
		}
	}
	return "", false
}

// checkLabels looks at the analytics label of each part.
func (v *v1Send) checkLabels() *apiError {
	for _, part := range [...]int32{v.message, v.android, v.apns, v.webpush} {
		label := v.in(v.in(part, "fcm_options"), "analytics_label")
		if label == 0 || isLabel(v.nodes[label].text) {
			continue
		}
		path := "message.fcm_options"
		if part != v.message {
			path = "message." + v.nodes[part].field.name + ".fcm_options"
		}
		return badField(path+".analytics_label", "Analytics label must match ^[a-zA-Z0-9-_.~%]{1,50}$.")
	}
	return nil
}

// isLabel: labels are made of the characters of topics, and are shorter.
func isLabel(text string) bool { return len(text) <= 50 && isTopicName(text) }

// size is what the limit is about: keys and values of the largest data, and the
// common notification as JSON. Google has never said how it counts.
func (v *v1Send) size() int {
	most := 0
	for _, part := range [...]int32{v.message, v.android, v.webpush} {
		data := v.in(part, "data")
		if data == 0 {
			continue
		}
		n := 0
		for c := v.nodes[data].first; c != 0; c = v.nodes[c].next {
			n += len(v.nodes[c].key) + len(v.nodes[c].text)
		}
		most = max(most, n)
	}
	if v.notification != 0 {
		n := len("{}")
		for c := v.nodes[v.notification].first; c != 0; c = v.nodes[c].next {
			n += len(`"":"",`) + len(v.nodes[c].field.name) + len(v.nodes[c].text)
		}
		most += n
	}
	return most
}
