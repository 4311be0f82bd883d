package bench

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"
)

// residentBytes is the memory that this process holds: as the system counts
// it, or, where it doesn't say, as the runtime does.
func residentBytes() int {
	text, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		if pages, err := strconv.Atoi(string(fields[1])); err == nil {
			return pages * os.Getpagesize()
		}
	}
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64() - s[1].Value.Uint64())
}
