package app

import (
	"net"
	"testing"
)

func TestR_F39_SomeDescriptorsAreKept(t *testing.T) {
	for _, tt := range []struct{ descriptors, admin, want int }{
		{20000, 100, 19836}, {1024, 100, 860}, {256, 100, 128}, {256, 10, 182}, {64, 100, 32}, {1, 100, 1},
	} {
		if got := frontConnections(tt.descriptors, tt.admin); got != tt.want {
			t.Errorf("of %d, %d for the admin listener: %d for the fronts, want %d", tt.descriptors, tt.admin, got, tt.want)
		}
	}
}

// What accepts over TCP may go on to ask for all that a TCP connection can do.
func TestALimitedConnectionIsStillOneOfTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limit := newConnectionLimit(1, func() {})
	limited := limit.listener(l)
	defer limited.Close()
	for range 3 { // each leaves its place to the next
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		conn, err := limited.Accept()
		if err != nil {
			t.Fatal(err)
		}
		tcp, ok := conn.(interface {
			SetLinger(int) error
			CloseWrite() error
			SetKeepAliveConfig(net.KeepAliveConfig) error
		})
		if !ok || tcp.SetLinger(0) != nil || tcp.CloseWrite() != nil {
			t.Fatalf("it is a %T", conn)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err == nil {
			t.Error("it was closed twice without a word")
		}
	}
}
