package ccsserver_test

import (
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"penstock/ccsserver"
)

// kept is a connection that a test can see go.
type kept struct{ net.Conn }

// A message that takes long must not hold the stream that brought it, with its
// buffers, once that is gone.
func TestAMessageInWorkDoesNotHoldAStreamThatIsGone(t *testing.T) {
	for _, inWork := range []bool{false, true} {
		t.Run(map[bool]string{false: "answered before", true: "still in work"}[inWork], func(t *testing.T) {
			var conn weak.Pointer[kept]
			opt := &ccsserver.Options{Wrap: func(_ string, c net.Conn) net.Conn {
				k := &kept{c}
				conn = weak.Make(k)
				return k
			}}
			play(t, opt, func(t *testing.T, srv *server) {
				srv.hold()
				p := srv.bind(t)
				p.write(downstream("m-1"))
				r := srv.take(t)
				if !inWork {
					r.Answer(nil, nil)
					p.want(acked("m-1"))
				}
				p.cut()
				p.wantGone()
				synctest.Wait()
				if !inWork { // what is answered is the test's own
					srv.onward.mu.Lock()
					srv.taken = nil
					srv.onward.mu.Unlock()
					r = nil
				}
				time.Sleep(time.Hour) // no timer is left
				for range 3 {
					runtime.GC()
					synctest.Wait()
				}
				if conn.Value() != nil {
					t.Error("the stream's connection is still held")
				}
				runtime.KeepAlive(r)
			})
		})
	}
}
