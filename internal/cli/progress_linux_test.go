package cli

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

func TestNoProgressBarThatWouldBeWrapped(t *testing.T) {
	for columns, want := range map[uint16]bool{0: true, 40: false, 79: false, 80: true, 200: true} {
		f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size := [4]uint16{24, columns}
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
			t.Fatal(errno)
		}
		if got := newProgress(f, 10, "sending").bar != nil; got != want {
			t.Errorf("%d columns: a bar %v, want %v", columns, got, want)
		}
	}
}
