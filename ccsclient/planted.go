//go:build planted_drop || planted_twice || planted_lost_ack || planted_window || planted_close || planted_early_ack

package ccsclient

import "sync/atomic"

var plantedCount atomic.Int32

// plantedNow picks the message that a planted fault hits which hits but one:
// the twentieth.
func plantedNow() bool { return plantedCount.Add(1) == 20 }
