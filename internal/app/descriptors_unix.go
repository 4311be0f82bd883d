//go:build unix

package app

import "syscall"

// descriptors is how many files and connections the process may have open; 0: as
// many as anybody could count.
func descriptors() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<24 {
		return 0
	}
	return int(l.Cur)
}
