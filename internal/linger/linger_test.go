package linger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/linger"
)

// dial serves a handler that refuses each body, having read as much of it as it
// is told to, and that takes those of at most limit bytes.
func dial(t *testing.T, limit int64) net.Conn {
	t.Helper()
	l := ccstest.Listen()
	server := &http.Server{
		Handler: linger.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status := http.StatusOK
			if r.ContentLength > limit {
				status = http.StatusRequestEntityTooLarge
			} else if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, limit)); err != nil {
				status = http.StatusRequestEntityTooLarge
			}
			w.Header().Set("Content-Length", "4")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "text")
		})),
		ReadTimeout: 15 * time.Second, IdleTimeout: time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = server.Shutdown(context.Background()) // waits for net/http's last half second, too
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return c
}

const head = "POST / HTTP/1.1\r\nHost: x\r\n"

func announced(n int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, n) }

func chunked(n int) string {
	return head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", n/0x1000) + "0\r\n\r\n"
}

// status reads one answer whole.
func status(r *bufio.Reader) (int, error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "text" {
		return 0, fmt.Errorf("the answer reads %q: %w", text, err)
	}
	return res.StatusCode, nil
}

func TestR_A37_WhoWritesAllBeforeReadingGetsTheAnswer(t *testing.T) {
	const limit = 1 << 20
	for _, tt := range []struct {
		name, request string
		want          int
		closed        bool
	}{
		{"R-A37 a small body that is wanted", announced(100) + strings.Repeat(" ", 100), 200, false},
		{"R-A37 a large body that is wanted", announced(limit) + strings.Repeat(" ", limit), 200, false},
		{"R-A37 a large body in chunks that is wanted", chunked(limit), 200, false},
		{"R-A37 2 MiB", announced(2<<20) + strings.Repeat(" ", 2<<20), 413, true},
		{"R-A37 8 MiB", announced(8<<20) + strings.Repeat(" ", 8<<20), 413, true},
		{"R-A37 2 MiB in chunks", chunked(2 << 20), 413, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, limit)
				if _, err := io.WriteString(c, tt.request); err != nil {
					t.Fatalf("the request cannot be written: %v", err)
				}
				r := bufio.NewReader(c)
				if got, err := status(r); got != tt.want || err != nil {
					t.Fatalf("got %d, %v, want %d", got, err, tt.want)
				}
				_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
				if _, err := r.ReadByte(); errors.Is(err, io.EOF) != tt.closed {
					t.Errorf("behind the answer: %v", err)
				}
			})
		})
	}
}

// What comes behind an answer is read within bounds, and never as a request.
func TestR_A37_WhatComesBehindAnAnswerIsBounded(t *testing.T) {
	t.Run("R-A37 nothing comes: the answer is there at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, 1)
			start := time.Now()
			_, _ = io.WriteString(c, announced(2<<20))
			r := bufio.NewReader(c)
			if got, err := status(r); got != 413 || err != nil || time.Since(start) > 0 {
				t.Fatalf("got %d after %v, %v", got, time.Since(start), err)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) || time.Since(start) > 2*time.Second {
				t.Errorf("the connection ended after %v: %v", time.Since(start), err)
			}
		})
	})
	t.Run("R-A37 who waits to be asked for the body is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, 1)
			start := time.Now()
			_, _ = io.WriteString(c, head+"Expect: 100-continue\r\nContent-Length: 2097152\r\n\r\n")
			r := bufio.NewReader(c)
			if got, err := status(r); got != 413 || err != nil {
				t.Fatalf("got %d, %v", got, err)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) || time.Since(start) > 0 {
				t.Errorf("the connection ended after %v: %v", time.Since(start), err)
			}
		})
	})
	t.Run("R-A37 who was asked for the body may write all of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const limit = 1 << 20
			c := dial(t, limit)
			_, _ = io.WriteString(c, head+"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
			r := bufio.NewReader(c)
			const asked = "HTTP/1.1 100 Continue\r\n\r\n"
			if got, err := io.ReadAll(io.LimitReader(r, int64(len(asked)))); string(got) != asked || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			_, body, _ := strings.Cut(chunked(4*limit), "\r\n\r\n")
			if _, err := io.WriteString(c, body); err != nil {
				t.Errorf("the body cannot be written: %v", err)
			}
			if got, err := status(r); got != 413 || err != nil {
				t.Errorf("got %d, %v", got, err)
			}
		})
	})
	for _, tt := range []struct {
		name, head string
		part       string
		every      time.Duration
		bytes      int           // at most so many are taken
		within     time.Duration // the connection ends
	}{
		{"R-A37 a trickle", announced(2 << 20), " ", 500 * time.Millisecond, 20, 7 * time.Second},
		{"R-A37 a trickle of requests", announced(2 << 20), announced(0), 500 * time.Millisecond, 2000, 7 * time.Second},
		{"R-A37 without an end", announced(1 << 40), strings.Repeat(" ", 0x10000), 0, 18 << 20, 6 * time.Second},
		{
			"R-A37 chunks without an end", head + "Transfer-Encoding: chunked\r\n\r\n", "1000\r\n" + strings.Repeat(" ", 0x1000) + "\r\n", 0,
			18 << 20, 6 * time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, 1)
				start := time.Now()
				_, err := io.WriteString(c, tt.head)
				taken := 0
				for err == nil && taken < 2*tt.bytes {
					_, err = io.WriteString(c, tt.part)
					taken += len(tt.part)
					time.Sleep(tt.every)
				}
				if taken > tt.bytes || time.Since(start) > tt.within {
					t.Errorf("%d bytes were taken in %v", taken, time.Since(start))
				}
				r := bufio.NewReader(c)
				if got, err := status(r); got != 413 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
				if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
					t.Errorf("a second answer: %q, %v", rest, err)
				}
			})
		})
	}
}

// HTTP/2 ends a stream whose body nobody wants by itself, and what net/http
// reads by itself leaves the connection as it is for the next request.
func TestWhatNeedsNoHelpIsLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		proto  int
		length int64
		alone  bool
	}{
		{"no body", 1, 0, true},
		{"as much as net/http reads", 1, 256 << 10, true},
		{"one byte more", 1, 256<<10 + 1, false},
		{"of unknown length", 1, -1, false},
		{"large, over HTTP/2", 2, 2 << 20, true},
		{"of unknown length, over HTTP/2", 2, -1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			r.ProtoMajor, r.ContentLength = tt.proto, tt.length
			linger.Handler(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
				if alone := got.Body == r.Body; alone != tt.alone {
					t.Errorf("left alone: %v, want %v", alone, tt.alone)
				}
				_, _ = io.Copy(io.Discard, got.Body)
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
}
