// Package front_test plays what hostile peers do over HTTP against the legacy
// front and that of HTTP v1, each behind a real server of net/http with the
// limits of a listener that faces the world (docs/attacks.md).
package front_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/downstream"
	"penstock/internal/front/legacy"
	"penstock/internal/front/v1"
	"penstock/internal/h2wire"
	"penstock/internal/keys"
	"penstock/internal/linger"
)

const goodKey = "psk_SHOPSHOPSHOPSHOP"

// A lane accepts everything, after a while if it is told to.
type lane struct {
	delay time.Duration

	mu  sync.Mutex // guards what follows
	got []string   // whom messages were for
	wg  sync.WaitGroup
}

func (l *lane) Submit(m *downstream.Message, answer func(downstream.Answer, error)) {
	var to string
	if m.CCS != nil {
		to = string(m.CCS.To)
	} else {
		to = m.V1.Message.Token
	}
	l.mu.Lock()
	l.got = append(l.got, to)
	l.mu.Unlock()
	l.wg.Go(func() {
		time.Sleep(l.delay)
		answer(downstream.Answer{Name: "projects/p/messages/0:1"}, nil)
	})
}

func (l *lane) recipients() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// A door is one of the two fronts, with what a good request to it looks like.
type door struct {
	name    string
	path    string
	body    func(to string) string
	handler func(*keys.Ring, *lane) http.Handler
}

var doors = []door{
	{
		"legacy", "/fcm/send",
		func(to string) string { return `{"to":"` + to + `"}` },
		func(ring *keys.Ring, l *lane) http.Handler {
			return legacy.New(ring, func(string) legacy.Lane { return l }, nil)
		},
	},
	{
		"v1", "/v1/projects/shop/messages:send",
		func(to string) string { return `{"message":{"token":"` + to + `"}}` },
		func(ring *keys.Ring, l *lane) http.Handler {
			return v1.New(ring, func(string) v1.Lane { return l }, nil)
		},
	},
}

// atEachDoor runs a test for each of the fronts.
func atEachDoor(t *testing.T, f func(t *testing.T, d door)) {
	t.Helper()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) { f(t, d) })
	}
}

// A site is a server of a front, in memory.
type site struct {
	door
	lane     *lane
	listener *ccstest.Listener
	server   *http.Server
}

// open serves a door with the limits that the world gets to see. It works in
// bubbles of synctest.
func open(t *testing.T, d door, delay time.Duration) *site {
	t.Helper()
	return openAs(t, d, delay, nil, func(l net.Listener) net.Listener { return l })
}

// openHTTP2 serves HTTP/2 too, as behind TLS.
func openHTTP2(t *testing.T, d door, delay time.Duration) *site {
	t.Helper()
	return openAs(t, d, delay, h2wire.Protocols(), func(l net.Listener) net.Listener { return h2wire.NewListener(l, nil, nil) })
}

func openAs(t *testing.T, d door, delay time.Duration, protocols *http.Protocols, wrap func(net.Listener) net.Listener) *site {
	t.Helper()
	secret := keys.NewSecret()
	ring, err := keys.NewRing(secret, []keys.Project{{Name: "shop", Keys: []keys.Record{{Name: "k", Hash: secret.Hash(goodKey)}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{door: d, lane: &lane{delay: delay}, listener: ccstest.Listen()}
	s.server = &http.Server{
		Handler:                      linger.Handler(d.handler(ring, s.lane)),
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // or "OPTIONS *" would be answered to anybody
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  15 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  60 * time.Second,
		MaxHeaderBytes:               16 << 10,
		ErrorLog:                     log.New(io.Discard, "", 0), // of floods it has much to say
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: 100, WriteByteTimeout: 30 * time.Second},
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(wrap(s.listener)) }()
	t.Cleanup(func() {
		_ = s.server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		s.lane.wg.Wait()
	})
	return s
}

// dial opens a connection; it is closed with the test.
func (s *site) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := s.listener.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// good is a request to r, as bytes; lines are more of its header.
func (s *site) good(to string, lines ...string) string {
	return s.request("POST "+s.path+" HTTP/1.1", s.body(to), append(lines, fmt.Sprintf("Content-Length: %d", len(s.body(to))))...)
}

// request is one with the right key, as bytes, without a length.
func (s *site) request(line, body string, lines ...string) string {
	lines = append([]string{line, "Host: penstock.test", "Authorization: Bearer " + goodKey, "Content-Type: application/json"}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// say writes raw bytes on a connection of their own and returns the statuses of
// all answers up to the end of the connection, and how it ended. closed tells
// that the server ended it by itself, and did not wait for more.
func (s *site) say(t *testing.T, raw string) (statuses []int, closed bool) {
	t.Helper()
	c := s.dial(t)
	go func() { _, _ = io.WriteString(c, raw) }() // the server may stop reading
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	r := bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: "POST"})
		if err != nil {
			var timeout net.Error
			return statuses, !errors.As(err, &timeout) || !timeout.Timeout()
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if res.StatusCode == http.StatusContinue {
			continue
		}
		statuses = append(statuses, res.StatusCode)
	}
}

// serves fails the test unless a good caller is served now, on a connection of
// its own.
func (s *site) serves(t *testing.T) {
	t.Helper()
	before := len(s.lane.recipients())
	if got, _ := s.say(t, s.good("GOOD")); len(got) != 1 || got[0] != 200 {
		t.Errorf("a good caller gets %v", got)
	}
	if got := s.lane.recipients()[before:]; !slices.Contains(got, "GOOD") {
		t.Errorf("sent to %v", got)
	}
}
