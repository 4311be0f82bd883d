//go:build !unix

package bench

import "runtime/metrics"

// cpuSeconds is what the runtime estimates that this process has used so far.
func cpuSeconds() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64() - s[1].Value.Float64()
}

// fileLimit is how many descriptors this process may have: more than it needs.
func fileLimit() int { return 1 << 20 }
