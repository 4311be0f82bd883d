package fcmsim

import "time"

// Google's limits for one device (docs/protocol.md, Limits).
const (
	perMinute = 240
	perHour   = 5000
	// maxBurst collapsible messages may follow each other; then one may come
	// in each burstRefill. They do not count where their time to live is 0.
	maxBurst    = 20
	burstRefill = 3 * time.Minute
)

// admit takes one message out of all of the device's buckets that it falls
// under, or none out of any. Apple and browsers have limits of their own, which
// are not known.
func (d *device) admit(m *parcel, now time.Time) bool {
	if d.platform != PlatformAndroid {
		return true
	}
	d.minute.fill(now, perMinute, time.Minute)
	d.hour.fill(now, perHour, time.Hour)
	d.burst.fill(now, maxBurst, maxBurst*burstRefill)
	bursts := d.key(m) != "" && (m.ttl == nil || *m.ttl > 0)
	if d.minute.tokens < 1 || d.hour.tokens < 1 || bursts && d.burst.tokens < 1 {
		return false
	}
	d.minute.tokens--
	d.hour.tokens--
	if bursts {
		d.burst.tokens--
	}
	return true
}

// A bucket starts full.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) fill(now time.Time, size float64, period time.Duration) {
	if b.at.IsZero() {
		b.tokens = size
	} else if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(size, b.tokens+size*passed.Seconds()/period.Seconds())
	}
	b.at = now
}

// takeQuota takes one message out of the project's minute, which begins with
// the first message and is refilled wholly. It counts messages that are refused
// later, but not the ones that it refuses itself.
func (s *Sim) takeQuota(now time.Time) *apiError {
	if s.opt.Quotas != QuotasGoogle {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.quota
	if q.began.IsZero() || now.Sub(q.began) >= time.Minute {
		q.began, q.used = now, 0
	}
	if q.used >= s.opt.ProjectQuota {
		err := errProjectQuota(string(s.state.SenderID), s.opt.ProjectQuota)
		err.setHeader("Retry-After", s.opt.RetryAfter)
		return err
	}
	q.used++
	return nil
}

// A minuteQuota is guarded by the simulator's mutex.
type minuteQuota struct {
	began time.Time
	used  int
}

// giveBack takes back one message, which was refused with 429 for another
// reason. In a minute that has begun since there is nothing to take back.
func (q *minuteQuota) giveBack() { q.used = max(0, q.used-1) }
