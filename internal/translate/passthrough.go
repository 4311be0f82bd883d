package translate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/fcm"
)

// passThrough lets words of v1 through that no legacy protocol documented. What
// FCM would refuse is left out.
func (n *notice) passThrough(a *fcm.AndroidNotification) {
	a.Ticker = n.get("ticker")
	for key, field := range map[string]*bool{
		"sticky": &a.Sticky, "local_only": &a.LocalOnly, "default_sound": &a.DefaultSound,
		"default_vibrate_timings": &a.DefaultVibrateTimings, "default_light_settings": &a.DefaultLightSettings,
	} {
		switch text := n.get(key); text {
		case "true":
			*field = true
		case "", "false":
		default:
			n.ignored++
		}
	}
	a.NotificationPriority = n.word("notification_priority", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX")
	a.Visibility = n.word("visibility", "PRIVATE", "PUBLIC", "SECRET")
	a.Proxy = n.word("proxy", "ALLOW", "DENY", "IF_PRIORITY_LOWERED")
	text := n.get("event_time")
	if _, err := time.Parse(time.RFC3339Nano, text); err == nil {
		a.EventTime = text
	} else {
		n.drop(text)
	}
	text = n.get("notification_count")
	if count, err := strconv.ParseInt(text, 10, 32); err == nil {
		small := int32(count)
		a.NotificationCount = &small
	} else {
		n.drop(text)
	}
}

// word is the value of an enumeration, in any case.
func (n *notice) word(key string, words ...string) string {
	text := n.get(key)
	word := strings.ToUpper(text)
	if !slices.Contains(words, word) {
		n.drop(text)
		return ""
	}
	return word
}
