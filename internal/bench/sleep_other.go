//go:build !linux

package bench

import "time"

// sleep lets d pass.
func sleep(d time.Duration) { time.Sleep(d) }
