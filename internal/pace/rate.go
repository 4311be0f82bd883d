package pace

import (
	"math"
	"time"
)

// Numbers of the rate.
const (
	burstPart = 1.0 / 20 // seconds of the rate that may leave at once
	// leastRamp is below what no ramp slows down, in messages a second.
	leastRamp = 10
	// leastQuota is below what halving stops, in messages a second.
	leastQuota = 1
	// quotaGrowth is by how much a halved rate grows in a minute.
	quotaGrowth = 1.1
	// repeatPart of the messages of a minute, or repeatsPerSecond, may be repeats.
	repeatPart       = 0.1
	repeatsPerSecond = 10
	// risenTo is to how many times of what was normal the line after an outage
	// goes: with a burst on top that stays below twice.
	risenTo = 1.8
	// memory is for how many seconds the rate remembers what was sent.
	memory = 60
)

// A rate spreads the messages of a project over time: a token bucket whose rate
// is the least of
//   - top, so that no minute, however it is cut, has more than the quota;
//   - the ramp: what was sent in the busiest second of the last minute, and a
//     step more, so that nobody comes from nothing to the top in less than the
//     ramp's time;
//   - after an outage, a line from nothing to what was normal before, which
//     takes the ramp's time, and on to nearly twice of that;
//   - after FCM's word that it was too much, half of what it was, growing by a
//     tenth each minute.
//
// Times are nanoseconds since the governor's epoch. A top of 0: no rate, and
// only the counting is left.
type rate struct {
	top   float64 // messages a second
	ramp  float64 // seconds; 0: none
	level float64 // the present rate

	tokens float64
	filled int64 // when tokens was right

	sec   int64 // the second that counts as the present one
	first int64 // the second of the first message, or -1
	sent  [memory]uint32
	again [memory]uint32  // repeats among them
	used  [memory]float64 // the rate of that second as far as it was used

	limit   float64 // after halving; 0: none
	limitAt int64   // when it begins to grow

	normal  float64 // before the outage; 0: none, and none since
	risenAt int64   // when the outage was over; -1: it is not
}

func newRate(perMinute int, ramp time.Duration) rate {
	r := rate{first: -1}
	if perMinute < 0 {
		return r
	}
	// A bucket of b that fills at r lets b-1+60r pass in one minute at most.
	burst := max(1, float64(perMinute)*burstPart/60)
	r.top = (float64(perMinute) - burst + 1) / 60
	r.ramp = max(0, ramp.Seconds())
	r.level = r.allowed(0)
	r.tokens = r.burst()
	return r
}

func (r *rate) burst() float64 { return max(1, r.level*burstPart) }

// advance makes second n/1e9 the present one, and fills the bucket.
func (r *rate) advance(n int64) {
	if n > r.filled {
		r.tokens = min(r.burst(), r.tokens+r.level*float64(n-r.filled)/1e9)
		r.filled = n
	}
	sec := n / 1e9
	if sec <= r.sec {
		return
	}
	if sent := float64(r.sent[r.sec%memory]); sent > r.level-1 {
		r.used[r.sec%memory] = r.level // all of it: what is left is less than a message
	} else {
		r.used[r.sec%memory] = sent
	}
	for s := max(r.sec+1, sec-memory+1); s <= sec; s++ {
		r.sent[s%memory], r.again[s%memory], r.used[s%memory] = 0, 0, 0
	}
	r.sec = sec
	r.level = r.allowed(n)
	r.tokens = min(r.tokens, r.burst())
}

// allowed is the rate at n.
func (r *rate) allowed(n int64) float64 {
	level := r.top
	if r.ramp > 0 {
		// Two seconds more than the ramp, since its first step is there at
		// once, and seconds begin and end in their midst.
		step := max(0, r.top-leastRamp) / (r.ramp + 2)
		level = min(level, max(leastRamp, r.busiest()+step))
	}
	if r.normal > 0 && r.risenAt >= 0 {
		since := float64(n-r.risenAt) / 1e9
		if since >= risenTo*r.ramp {
			r.normal = 0
		} else {
			level = min(level, max(leastRamp, r.normal*math.Floor(since)/r.ramp))
		}
	}
	if r.limit > 0 {
		limit := r.limit
		if n > r.limitAt {
			limit *= math.Pow(quotaGrowth, float64(n-r.limitAt)/float64(time.Minute))
		}
		level = min(level, limit)
	}
	return level
}

// busiest is what was sent in the busiest second of the last minute.
func (r *rate) busiest() float64 {
	most := 0.0
	for _, used := range r.used {
		most = max(most, used)
	}
	return most
}

// take takes one message out of the bucket, or says when there will be one.
func (r *rate) take(n int64) time.Duration {
	r.advance(n)
	if r.top == 0 {
		return 0
	}
	if r.tokens >= 1 {
		r.tokens--
		return 0
	}
	return time.Duration((1-r.tokens)/r.level*1e9) + 1
}

// count counts one try.
func (r *rate) count(n int64) {
	r.advance(n)
	if r.first < 0 {
		r.first = r.sec
	}
	r.sent[r.sec%memory]++
}

// repeat counts one repeat, if there may be one.
func (r *rate) repeat(n int64) bool {
	r.advance(n)
	var sent, again uint32
	for i := range r.sent {
		sent += r.sent[i]
		again += r.again[i]
	}
	present := &r.again[r.sec%memory]
	if *present >= repeatsPerSecond && float64(again) >= repeatPart*float64(sent) {
		return false
	}
	*present++
	return true
}

// mean is how many messages a second were tried in the last minute.
func (r *rate) mean() float64 {
	var sum float64
	for _, c := range r.sent {
		sum += float64(c)
	}
	return sum / float64(min(memory, max(1, r.sec-r.first)))
}

// halve cuts the rate to half of what was used of it; or, if it had no time to
// be used since it was cut last, or nothing was sent, to half of what it was. It
// grows from held on.
func (r *rate) halve(n, held int64) {
	r.advance(n)
	was := r.level
	if used := r.busiest(); used > 0 && (r.limit == 0 || n-r.limitAt > int64(memory*time.Second)) {
		was = min(was, max(leastRamp, used))
	}
	r.limit, r.limitAt = max(leastQuota, was/2), held
}

// fell notes that an outage has begun. One that begins before the ramp of the
// last one is over has the same normal rate.
func (r *rate) fell(n int64) {
	r.advance(n)
	if r.normal == 0 {
		r.normal = max(r.mean(), leastRamp)
	}
	r.risenAt = -1
}

// rose notes that the outage is over.
func (r *rate) rose(n int64) {
	r.advance(n)
	r.risenAt = n
	r.level = r.allowed(n)
	r.tokens = 0
}

// now is the present rate.
func (r *rate) now(n int64) float64 {
	r.advance(n)
	return r.level
}
