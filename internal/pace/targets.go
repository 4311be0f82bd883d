package pace

import (
	"hash/maphash"
	"time"

	"penstock/fcm"
)

// Numbers of devices and topics.
const (
	// targetWait is the first wait of a device or topic that FCM said has had
	// too many; it doubles each time, up to targetWaitMax.
	targetWait    = time.Minute
	targetWaitMax = time.Hour
	// targetMemory is how long a quiet device or topic is remembered at least:
	// after an hour its hourly limit is all there again.
	targetMemory = time.Hour
)

// targets are what one device or topic may get. Their names are kept as hashes
// only. Times are nanoseconds since the governor's epoch.
type targets struct {
	seed           maphash.Seed
	minute, hour   limit // of a device
	topic          limit // of a topic, in a minute
	devices        aging[spent]
	topics         aging[spent]
	holds          aging[hold]
	anyDeviceLimit bool
}

// A limit lets most messages pass at once and one more each time every has
// passed. Whatever keeps within most in any window of most times every is never
// refused. The zero limit is none.
type limit struct {
	every int64
	most  int64
}

// spent says until when the allowance of a target is spent, if one more is to
// come at each step: the theoretical arrival times of the next message.
type spent struct{ minute, hour int64 }

// A hold is FCM's word that a target has had too many.
type hold struct {
	until int64
	times uint8 // in a row
}

func newTargets(o Options) targets {
	make1 := func(n int, d time.Duration) limit {
		if n <= 0 {
			return limit{}
		}
		return limit{every: int64(d) / int64(n), most: int64(n)}
	}
	t := targets{
		seed:   maphash.MakeSeed(),
		minute: make1(o.DevicePerMinute, time.Minute),
		hour:   make1(o.DevicePerHour, time.Hour),
		topic:  make1(o.TopicPerMinute, time.Minute),
	}
	t.anyDeviceLimit = t.minute.most > 0 || t.hour.most > 0
	t.devices.most, t.topics.most, t.holds.most = o.MaxTargets, o.MaxTargets, o.MaxTargets
	t.devices.memory, t.topics.memory = targetMemory, targetMemory
	t.holds.memory = targetMemory + targetWaitMax // it is written when it begins, and counts when it has ended
	return t
}

// key is the hash under which a target is remembered; 0: it is none.
func (t *targets) key(to Target) uint64 {
	if to.Name == "" {
		return 0
	}
	h := maphash.String(t.seed, to.Name)
	if to.Topic {
		h = ^h
	}
	return max(h, 1)
}

// wait is how long a message must wait whose target has spent all until then.
func (l limit) wait(n, spent int64) int64 {
	if l.most == 0 {
		return 0
	}
	return spent - n - (l.most-1)*l.every
}

// refusal says whether a message must not be tried now, and for how long.
func (t *targets) refusal(n int64, key uint64, topic bool) (fcm.Class, time.Duration) {
	class := fcm.DeviceQuota
	if topic {
		class = fcm.TopicQuota
	}
	var wait int64
	if t.holds.len() > 0 {
		if h, ok := t.holds.get(key); ok {
			wait = h.until - n
		}
	}
	switch {
	case topic && t.topic.most > 0:
		s, _ := t.topics.get(key)
		wait = max(wait, t.topic.wait(n, s.minute))
	case !topic && t.anyDeviceLimit:
		s, _ := t.devices.get(key)
		wait = max(wait, t.minute.wait(n, s.minute), t.hour.wait(n, s.hour))
	}
	if wait <= 0 {
		return 0, 0
	}
	return class, time.Duration(wait)
}

// count counts a message that is tried.
func (t *targets) count(n int64, key uint64, topic bool) {
	switch {
	case key == 0:
	case topic && t.topic.most > 0:
		s, _ := t.topics.get(key)
		s.minute = max(s.minute, n) + t.topic.every
		t.topics.put(n, key, s)
	case !topic && t.anyDeviceLimit:
		s, _ := t.devices.get(key)
		s.minute = max(s.minute, n) + t.minute.every
		s.hour = max(s.hour, n) + t.hour.every
		t.devices.put(n, key, s)
	}
}

// hold makes a target wait, each time for twice as long. Messages that were on
// their way already when it began do not make it longer by themselves.
func (t *targets) hold(n int64, key uint64, retryAfter time.Duration) {
	if key == 0 {
		return
	}
	h, _ := t.holds.get(key)
	if h.until > n {
		h.until = max(h.until, n+int64(retryAfter))
	} else {
		wait := min(targetWait<<h.times, targetWaitMax)
		h.times = min(h.times+1, 10) // from the seventh on it is an hour
		h.until = n + int64(max(wait, retryAfter))
	}
	t.holds.put(n, key, h)
}

// release forgets that a target has had too many: it took one again.
func (t *targets) release(n int64, key uint64) {
	if t.holds.len() == 0 {
		return
	}
	if h, ok := t.holds.get(key); ok && h.until <= n {
		t.holds.drop(key)
	}
}

func (t *targets) len() int { return t.devices.len() + t.topics.len() + t.holds.len() }

func (t *targets) forgotten() uint64 {
	return t.devices.forgotten + t.topics.forgotten + t.holds.forgotten
}

// An aging table forgets what was not touched for between one and two times its
// memory: it is two maps, of which the older one is thrown away when the
// younger one is full or old enough.
type aging[V any] struct {
	young, old map[uint64]V
	since      int64 // when young was begun
	most       int
	memory     time.Duration
	forgotten  uint64 // how many were thrown away before their time
}

func (a *aging[V]) len() int { return len(a.young) + len(a.old) }

func (a *aging[V]) get(key uint64) (V, bool) {
	v, ok := a.young[key]
	if !ok {
		v, ok = a.old[key]
	}
	return v, ok
}

func (a *aging[V]) put(n int64, key uint64, v V) {
	late := n-a.since >= int64(a.memory)
	if _, there := a.young[key]; a.young == nil || late || !there && len(a.young) >= a.most/2 {
		if !late {
			a.forgotten += uint64(len(a.old))
		}
		a.old, a.young, a.since = a.young, make(map[uint64]V), n
	}
	delete(a.old, key)
	a.young[key] = v
}

func (a *aging[V]) drop(key uint64) {
	delete(a.young, key)
	delete(a.old, key)
}
