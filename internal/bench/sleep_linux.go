package bench

import (
	"errors"
	"syscall"
	"time"
)

// sleep lets d pass, to a tenth of a millisecond. Go's own timers wake up to a
// millisecond late, which is a twentieth of the answer time that is measured.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	left := syscall.NsecToTimespec(int64(d))
	for errors.Is(syscall.Nanosleep(&left, &left), syscall.EINTR) {
	}
}
