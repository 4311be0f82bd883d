// Package linger gets the answer of a server of HTTP/1.1 to clients that write
// all of a request before they read anything, as those of Python and Java do.
//
// Left to itself, net/http answers a request whose body nobody wants, closes its
// half of the connection and, half a second later, the other. What such a client
// then still writes resets the connection, and the answer is lost with it.
package linger

import (
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// small is how much of an unread body net/http reads by itself.
	small = 256 << 10
	// most, longest and pause bound what is read behind an answer: its bytes, its
	// time, and the time without a byte. Whoever writes more, or slower, is cut off.
	most    = 16 << 20
	longest = 5 * time.Second
	pause   = time.Second
)

// Handler has next answer, and reads what it left of a large body before the
// connection is closed. next need not know, but an answer whose length it does not
// announce has its end only behind that.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || 0 <= r.ContentLength && r.ContentLength <= small {
			next.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body}
		own := r.WithContext(r.Context()) // of r itself net/http knows the body
		own.Body = b
		next.ServeHTTP(w, own)
		asks := r.Header.Get("Expect") != "" && !b.begun // and was told not to send it
		if !b.over && !asks {
			b.readRest(w)
		}
	})
}

// A body remembers how far it was read.
type body struct {
	io.ReadCloser
	begun bool
	over  bool // nothing more can be read
}

func (b *body) Read(p []byte) (int, error) {
	b.begun = true
	n, err := b.ReadCloser.Read(p)
	b.over = b.over || err != nil
	return n, err
}

// readRest sends the answer, and takes what still comes.
func (b *body) readRest(w http.ResponseWriter) {
	// What is left at the end must not be taken for a request. A body beyond its
	// limit is what has net/http end the connection, and say so, though next has
	// set the header already.
	beyond := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = beyond.Read(make([]byte, 1))
	rc := http.NewResponseController(w)
	if rc.EnableFullDuplex() != nil || rc.Flush() != nil {
		return
	}
	end := time.Now().Add(longest)
	part := make([]byte, 8<<10) // strangers have as many of them as connections
	for left := most; left > 0 && !b.over; {
		now := time.Now()
		if !now.Before(end) || rc.SetReadDeadline(now.Add(min(pause, end.Sub(now)))) != nil {
			return
		}
		n, _ := b.Read(part) // b.over tells of the error
		left -= n
	}
}
