package fcmsim

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxTunnels bounds the connections that the proxy has handed over and that
// still live; what is beyond is refused with 503.
const maxTunnels = 1000

// connectWriteTime is how long the one who asked for a tunnel may take to read
// that it is there.
const connectWriteTime = 10 * time.Second

// serveConnect makes of the simulator a proxy for programs that cannot be told
// another endpoint (HTTPS_PROXY). Whatever host they ask for, what they reach
// is the simulator's own TLS face, under the name that they look for; nothing is
// ever dialled. A simulator without listeners for HTTP has no such face.
func (s *Sim) serveConnect(w http.ResponseWriter, r *http.Request) {
	if s.web.tls == nil {
		servePathless(w, r)
		return
	}
	s.mu.Lock()
	full := s.tunnels >= maxTunnels
	if !full {
		s.tunnels++
	}
	s.mu.Unlock()
	if full {
		http.Error(w, "There are too many tunnels: close some", http.StatusServiceUnavailable)
		return
	}
	leave := sync.OnceFunc(func() {
		s.mu.Lock()
		s.tunnels--
		s.mu.Unlock()
	})
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		leave()
		http.Error(w, "CONNECT is for HTTP/1.1: ask the plain listener", http.StatusHTTPVersionNotSupported)
		return
	}
	t := &tunnel{conn, buffered.Reader, leave}
	_ = conn.SetDeadline(time.Now().Add(connectWriteTime)) // of a dead connection, the write tells
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = t.Close() // it is broken anyhow
		return
	}
	_ = conn.SetDeadline(time.Time{})
	s.serveTLSConn(t)
}

// A tunnel is a connection whose first bytes the proxy may have read already.
type tunnel struct {
	net.Conn
	rd    *bufio.Reader
	leave func()
}

func (t *tunnel) Read(p []byte) (int, error) { return t.rd.Read(p) }

func (t *tunnel) Close() error {
	t.leave()
	return t.Conn.Close()
}
