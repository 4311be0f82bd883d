package fcm

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// Aged is r as it is to be sent when it has waited that long: the times to live
// that count from the sending, Android's and the browsers', are shorter by whole
// seconds; what counts from a date, such as apns-expiration, stays. Less than a
// second takes nothing away, also of a time to live of 0, now or never.
//
// It is false when every time to live that stands in r is over. One that is over
// beside another that is not becomes 0: nobody knows which of them the target
// goes by.
//
// r is not changed. Where nothing has to change it is r itself that is returned.
func (r *SendRequest) Aged(waited time.Duration) (*SendRequest, bool) {
	if r.Message == nil || waited < time.Second {
		return r, true
	}
	seen, alive := false, false
	m := r.Message.WithTTLs(func(ttl time.Duration, _ bool) time.Duration {
		seen, alive = true, alive || waited <= ttl
		return max(0, ttl-waited.Truncate(time.Second))
	})
	switch {
	case !seen:
		return r, true
	case !alive:
		return nil, false
	}
	aged := *r
	aged.Message = m
	return &aged, true
}

// WithTTLs is m with what change makes of each time to live that counts from the
// sending: Android's, and in whole seconds the browsers', of which web is true.
// What is no time to live at all is left for FCM to judge. m is not changed; where
// nothing has to be, it is m itself that is returned.
func (m *Message) WithTTLs(change func(ttl time.Duration, web bool) time.Duration) *Message {
	out := *m
	changed := false
	of := func(ttl *Duration) *Duration {
		if ttl == nil {
			return nil
		}
		next := Duration(change(time.Duration(*ttl), false))
		if next == *ttl {
			return nil
		}
		changed = true
		return &next
	}
	if m.Android != nil {
		if ttl := of(m.Android.TTL); ttl != nil {
			android := *m.Android
			android.TTL, out.Android = ttl, &android
		}
	}
	if m.AndroidV2 != nil {
		if ttl := of(m.AndroidV2.TTL); ttl != nil {
			android := *m.AndroidV2
			android.TTL, out.AndroidV2 = ttl, &android
		}
	}
	if m.Webpush != nil {
		for name, value := range m.Webpush.Headers {
			seconds, err := strconv.ParseUint(value, 10, 32)
			if !strings.EqualFold(name, "TTL") || err != nil {
				continue
			}
			ttl := time.Duration(seconds) * time.Second
			next := change(ttl, true)
			if next == ttl {
				continue
			}
			web := *out.Webpush
			web.Headers = maps.Clone(web.Headers)
			web.Headers[name] = strconv.FormatInt(int64(next/time.Second), 10)
			out.Webpush, changed = &web, true
		}
	}
	if !changed {
		return m
	}
	return &out
}
