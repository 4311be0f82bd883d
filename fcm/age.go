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
	over := false
	m := r.Message.WithTTLs(func(ttl time.Duration, web bool) time.Duration {
		if ttl <= 0 {
			return ttl
		}
		left := max(ttl-waited, 0)
		over = over || left == 0 && !web
		return left
	})
	switch {
	case over:
		return nil, false
	case m == r.Message:
		return r, true
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
