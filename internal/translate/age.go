package translate

import (
	"time"

	"penstock/fcm"
)

// Age is r after it has waited with us: its times to live are shorter by as much,
// in whole seconds, and apns-expiration stays, since it is a date. What is less
// than a second takes nothing away, also of a time to live of zero, now or never.
// r itself is not changed; if nothing changes, it is what Age returns.
//
// The error is a *[fcm.SendError] of class Expired if every time to live that
// stands in r is over. One that is over beside another that is not becomes 0,
// now or never. What is no time to live at all is left for FCM to judge.
func Age(r *fcm.SendRequest, waited time.Duration) (*fcm.SendRequest, error) {
	if waited < time.Second || r.Message == nil {
		return r, nil
	}
	seen, alive := false, false
	m := r.Message.WithTTLs(func(ttl time.Duration, _ bool) time.Duration {
		seen, alive = true, alive || waited <= ttl
		return max(0, ttl-waited.Truncate(time.Second))
	})
	switch {
	case !seen:
		return r, nil
	case !alive:
		return nil, expired()
	}
	out := *r
	out.Message = m
	return &out, nil
}
