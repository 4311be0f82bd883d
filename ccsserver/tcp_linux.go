package ccsserver

import (
	"net"
	"syscall"
	"time"
)

// userTimeout tells that [watchByKernel] makes the kernel end connections
// whose peer acknowledges nothing.
const userTimeout = true

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 0x12

// watchByKernel has the kernel notice a dead peer: one that is idle by
// keepalive probes, one that owes acknowledgements by a limit of its own.
// Failure to set it only means that the stream's own pings must do.
func watchByKernel(conn net.Conn, limit time.Duration) {
	t, ok := tcpOf(conn)
	if !ok {
		return
	}
	_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 3})
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
		})
	}
}
