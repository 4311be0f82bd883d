//go:build planted_drop || planted_twice || planted_lost_ack || planted_window || planted_close || planted_early_ack

package ccsclient

import "sync/atomic"

var plantedCount atomic.Int32

// plantedNow picks what a planted fault hits that hits single messages: the
// twentieth. Of acks it is each twentieth of the first two hundred, since some
// are for messages that nobody waits for any more.
func plantedNow() bool {
	n := plantedCount.Add(1)
	return n == 20 || planted == "lost_ack" && n%20 == 0 && n <= 200
}
