package app

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"penstock/internal/ccstest"
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

// refusing is a listener whose every other Accept fails, as for want of
// descriptors.
type refusing struct {
	net.Listener
	calls int
}

func (l *refusing) Accept() (net.Conn, error) {
	if l.calls++; l.calls%2 == 1 {
		return nil, errRefusing
	}
	return l.Listener.Accept()
}

var errRefusing = errors.New("too many open files")

// A place that nobody got is the next one's: what fails for a while would shut the
// fronts for good.
func TestAPlaceIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hits := 0
		limit := newConnectionLimit(1, func() { hits++ })
		inner := ccstest.Listen()
		l := limit.listener(&refusing{Listener: inner})
		for range 3 {
			if _, err := l.Accept(); !errors.Is(err, errRefusing) {
				t.Fatalf("got %v", err)
			}
			peer, err := inner.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			_ = peer.Close()
		}
		if hits != 0 {
			t.Errorf("the limit was hit %d times", hits)
		}
		limit.places <- struct{}{} // somebody else has the only place
		ended := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		if hits != 1 || len(ended) != 0 {
			t.Errorf("the limit was hit %d times, and %d did not wait", hits, len(ended))
		}
		_ = l.Close()
		_ = l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("who waits for a place gets %v when the listener closes", err)
		}
	})
}
