//go:build !linux

package ccsserver

import (
	"net"
	"time"
)

// userTimeout tells that nobody but our own pings notices a dead peer here.
const userTimeout = false

func watchByKernel(conn net.Conn, _ time.Duration) {
	if t, ok := tcpOf(conn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 3})
	}
}
