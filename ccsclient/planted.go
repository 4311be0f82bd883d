//go:build planted_drop || planted_twice

package ccsclient

import "sync/atomic"

var plantedCount atomic.Int32

// plantedNow picks the message that the planted fault hits: the twentieth.
func plantedNow() bool { return plantedCount.Add(1) == 20 }
