package fcm

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// Aged returns r as it is to be sent when it has waited that long: the times to
// live that count from the sending, Android's and the browsers', are shorter by
// whole seconds. What counts from a date, such as apns-expiration, stays. It is
// false when Android's time to live is over; one of 0 means now or never, does
// not shrink, and is never over.
//
// r is not changed. Where nothing has to change it is r itself that is returned.
func (r *SendRequest) Aged(waited time.Duration) (*SendRequest, bool) {
	waited = waited.Truncate(time.Second)
	if r.Message == nil || waited <= 0 {
		return r, true
	}
	m := *r.Message
	changed := false
	if m.Android != nil && m.Android.TTL != nil && *m.Android.TTL > 0 {
		left := *m.Android.TTL - Duration(waited)
		if left <= 0 {
			return nil, false
		}
		a := *m.Android
		a.TTL, m.Android, changed = &left, &a, true
	}
	if m.AndroidV2 != nil && m.AndroidV2.TTL != nil && *m.AndroidV2.TTL > 0 {
		left := *m.AndroidV2.TTL - Duration(waited)
		if left <= 0 {
			return nil, false
		}
		a := *m.AndroidV2
		a.TTL, m.AndroidV2, changed = &left, &a, true
	}
	if m.Webpush != nil {
		for name, value := range m.Webpush.Headers {
			seconds, err := strconv.ParseInt(value, 10, 32)
			if !strings.EqualFold(name, "TTL") || err != nil || seconds <= 0 {
				continue // what is no number FCM refuses
			}
			w := *m.Webpush
			w.Headers = maps.Clone(w.Headers)
			w.Headers[name] = strconv.FormatInt(max(seconds-int64(waited/time.Second), 0), 10)
			m.Webpush, changed = &w, true
		}
	}
	if !changed {
		return r, true
	}
	aged := *r
	aged.Message = &m
	return &aged, true
}
