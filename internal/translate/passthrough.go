package translate

import (
	"encoding/json"

	"penstock/fcm"
)

// passed are the words of v1's Android notification that no legacy protocol
// documented, and whether they are texts. Legacy senders may have used them
// since Google's server let them through.
var passed = []struct {
	key  string
	text bool
}{
	{"ticker", true},
	{"sticky", false},
	{"event_time", true},
	{"local_only", false},
	{"notification_priority", true},
	{"default_sound", false},
	{"default_vibrate_timings", false},
	{"default_light_settings", false},
	{"vibrate_timings", false},
	{"visibility", true},
	{"notification_count", false},
	{"light_settings", false},
	{"bypass_proxy_notification", false},
	{"proxy", true},
}

// passThrough is an Android notification of what may pass through. What v1
// would refuse is left out.
func (n *notice) passThrough() fcm.AndroidNotification {
	members := make(map[string]json.RawMessage)
	for _, p := range passed {
		val := n.get(p.key)
		if val == "" {
			continue
		}
		raw := json.RawMessage(val)
		if p.text {
			raw = mustJSON(val)
		}
		if json.Valid(raw) && parseAndroid(map[string]json.RawMessage{p.key: raw}) != nil {
			members[p.key] = raw
		} else {
			n.ignored++
		}
	}
	return *parseAndroid(members)
}

// parseAndroid reads a notification by v1's own rules; nil: it breaks one.
func parseAndroid(members map[string]json.RawMessage) *fcm.AndroidNotification {
	type object map[string]any
	r, err := fcm.ParseStrict(mustJSON(object{"message": object{
		"token": "T", "android": object{"notification": members},
	}}))
	if err != nil || r.Validate() != nil {
		return nil
	}
	n := r.Message.Android.Notification
	for _, d := range n.VibrateTimings {
		if d < 0 {
			return nil
		}
	}
	return n
}
