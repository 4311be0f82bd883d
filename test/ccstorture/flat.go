package main

import "time"

// What holds more and more while it runs, and lets go of it at its end, shows
// only while it runs.
const (
	// flatFrom is how long a run must be for its second half to be judged. In a
	// shorter one pools still fill up their memory of what they have handled:
	// 10,000 messages, of ten a second.
	flatFrom = 30 * time.Minute
	// flatHeap is how many bytes a minute more may be alive: some ninety for
	// each message of 400 a second. What is alive goes up and down with the
	// faults, so that less would be chance.
	flatHeap = 2 << 20
	// flatGoroutines is how many more there may be each minute, which has some
	// 150 streams.
	flatGoroutines = 30
)

// slope is that of the line nearest to the samples, per minute.
func slope(list []sample, of func(sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range list {
		at, v := s.at.Minutes(), of(s)
		n, x, y, xx, xy = n+1, x+at, y+v, xx+at*at, xy+at*v
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
