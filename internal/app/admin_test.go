package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ask sends one request to an address, with a Host of its own; "" is HTTP/1.0
// without one.
func ask(t *testing.T, address, path, host string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	if host == "" {
		request = fmt.Sprintf("GET %s HTTP/1.0\r\n\r\n", path)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAdminOnLoopbackIsForProgramsThatMeanThisMachine(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"admin.pprof": "true", "ca_names": "Metrics.example,*.inside.example,10.1.2.3,fd00::1"}))
	_, port, err := net.SplitHostPort(r.addr.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200,
		"127.0.0.1":         200,
		"127.8.8.8:1":       200,
		"localhost:" + port: 200,
		"LocalHost.":        200,
		"[::1]:" + port:     200,
		"[::1]":             200,
		"":                  200,

		"metrics.example:" + port: 200, // of ca_names
		"a.INSIDE.example":        200,
		"10.1.2.3:80":             200,
		"[fd00:0::1]:80":          200,

		"rebound.example:" + port:   403,
		"rebound.example":           403,
		"localhost.rebound.com":     403,
		"127.0.0.1.rebound.com":     403,
		"inside.example":            403,
		"a.b.inside.example":        403,
		"10.1.2.4":                  403,
		"0.0.0.0:" + port:           403,
		"[::2]:" + port:             403,
		"fcm.googleapis.com":        403, // a name of the certificate alone
		"127.0.0.1@rebound.com":     400, // net/http's: no host is like that
		"notlocalhost:" + port:      403,
		"x.metrics.example:" + port: 403,
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/nothing"} {
			want := want
			if path == "/nothing" && want == 200 {
				want = 404
			}
			status, body := ask(t, r.addr.Admin, path, host)
			if status != want {
				t.Errorf("%s of %q: %d, want %d", path, host, status, want)
			}
			if want == 403 && (!strings.Contains(body, "localhost") || !strings.Contains(body, "ca_names")) {
				t.Errorf("%s of %q: the refusal does not help: %s", path, host, body)
			}
		}
	}
	// The URL wins over the header, as net/http has it.
	if status, _ := ask(t, r.addr.Admin, "http://rebound.example/metrics", "127.0.0.1"); status != 403 {
		t.Errorf("a request for another URL: %d", status)
	}
}

func TestAdminThatOthersReachIsCalledByAnyName(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"admin.listen": "0.0.0.0:0"}))
	_, port, err := net.SplitHostPort(r.addr.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"10.244.1.17:" + port, "penstock.default.svc:" + port, "localhost"} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if status, body := ask(t, "127.0.0.1:"+port, path, host); status != 200 {
				t.Errorf("%s of %s: %d %s", path, host, status, body)
			}
		}
	}
}

func TestAdminConnectionsBeyondTheLimitWait(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"limits.admin_connections": "2", "limits.http_header_timeout": "1h", "limits.http_read_timeout": "1h"}))
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", r.addr.Admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	get := func(conn net.Conn, path string) (string, error) {
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return "", err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	first, second, third := dial(), dial(), dial()
	for _, conn := range []net.Conn{first, second} {
		if _, err := get(conn, "/healthz"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the limit is hit", func() bool {
		body, err := get(second, "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(body, `penstock_limit_hits_total{limit="admin_connections"} 1`)
	})
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := get(third, "/healthz"); err == nil {
		t.Fatal("a third connection was served beside two")
	}
	third.SetDeadline(time.Now().Add(20 * time.Second))
	first.Close()
	if _, err := http.ReadResponse(bufio.NewReader(third), nil); err != nil {
		t.Errorf("a place is free, and: %v", err)
	}
}
