package app_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw writes text to the HTTP fronts, and returns the status of the answer, or 0
// if there is none, and whether the connection was closed then.
func (r *running) raw(text string) (status int, closed bool) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr.HTTP[0])
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, text) }()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, true
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.Close {
		_, err = in.ReadByte()
		return resp.StatusCode, err != nil
	}
	return resp.StatusCode, false
}

// A server with the real limits in front of real handlers: what the fronts'
// own tests cannot show.
func TestBadHTTP(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, map[string]string{"limits.http_header_timeout": "300ms", "limits.http_read_timeout": "600ms"}), overFCM(sim))
	auth := "Host: x\r\nAuthorization: key=" + serverKey + "\r\nContent-Type: application/json\r\n"
	body := `{"to":"` + string(sim.Tokens()[0]) + `"}`
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	for _, tt := range []struct {
		name, text string
		want       []int
	}{
		{"the very thing", "POST /fcm/send HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{200}},
		{"R-A31 no credential", "POST /fcm/send HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", []int{401}},
		{"R-A31 no credential, no such path", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", []int{401}},
		{"R-A31 no credential, no path at all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", []int{401}},
		{"R-A31 no credential, no such path below v1", "GET /v1/admin HTTP/1.1\r\nHost: x\r\n\r\n", []int{401}},
		{"R-A32 two slashes", "POST //fcm/send HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 dots", "POST /fcm/../fcm/send HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 encoded dots", "POST /fcm/%2e%2e/fcm/send HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 an encoded slash", "POST /fcm%2fsend HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 an encoded letter", "POST /fcm/s%65nd HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 a trailing dot", "POST /fcm/send. HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 a parameter", "POST /fcm/send;x HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 other case", "POST /FCM/Send HTTP/1.1\r\n" + auth + length + "\r\n" + body, []int{400, 404}},
		{"R-A32 metrics at the front door", "GET /metrics HTTP/1.1\r\n" + auth + "\r\n", []int{404}},
		{"R-A33 length and chunks", "POST /fcm/send HTTP/1.1\r\n" + auth + length + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"R-A33 two lengths", "POST /fcm/send HTTP/1.1\r\n" + auth + length + "Content-Length: 3\r\n\r\n" + body, []int{400}},
		{"R-A33 identity", "POST /fcm/send HTTP/1.1\r\n" + auth + "Transfer-Encoding: identity\r\n\r\n", []int{400, 501}},
		{"R-A33 bad chunks", "POST /fcm/send HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", []int{400}},
		{"R-A33 a folded header", "POST /fcm/send HTTP/1.1\r\n" + auth + "X-A: b\r\n c\r\n" + length + "\r\n" + body, []int{200, 400}},
		{"R-A33 HTTP/0.9", "GET /fcm/send\r\n\r\n", []int{400}},
		{"R-A34 headers that take too long", "POST /fcm/send HTTP/1.1\r\nHost: x\r\n", []int{0, 408}},
		{"R-A34 a body that takes too long", "POST /fcm/send HTTP/1.1\r\n" + auth + "Content-Length: 100\r\n\r\n{", []int{408}},
		{"R-A35 10,000 headers", "POST /fcm/send HTTP/1.1\r\n" + auth + strings.Repeat("X-A: b\r\n", 10_000) + length + "\r\n" + body, []int{431}},
		{"R-A35 10,000 cookies", "POST /fcm/send HTTP/1.1\r\n" + auth + "Cookie: " + strings.Repeat("a=b; ", 10_000) + "\r\n" + length + "\r\n" + body, []int{431}},
		{"R-A37 another method", "GET /fcm/send HTTP/1.1\r\n" + auth + "\r\n", []int{405}},
		{"R-A37 another type", "POST /fcm/send HTTP/1.1\r\nHost: x\r\nAuthorization: key=" + serverKey + "\r\nContent-Type: text/xml\r\n" + length + "\r\n" + body, []int{415}},
		{"R-A37 a gzip body", "POST /fcm/send HTTP/1.1\r\n" + auth + "Content-Encoding: gzip\r\n" + length + "\r\n" + body, []int{415}},
		{"R-A37 a body of 2 MiB", "POST /fcm/send HTTP/1.1\r\n" + auth + "Content-Length: 2097152\r\n\r\n" + strings.Repeat(" ", 64<<10), []int{413}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(sim.Record())
			status, closed := r.raw(tt.text)
			ok := false
			for _, want := range tt.want {
				ok = ok || status == want
			}
			if !ok {
				t.Errorf("got %d, want %v", status, tt.want)
			}
			if (status == 0 || status == 408 || status == 413 || status == 431) && !closed {
				t.Errorf("after %d the connection stays", status)
			}
			if sent := len(sim.Record()) - before; sent != 0 && status != 200 {
				t.Errorf("%d, and %d messages were sent", status, sent)
			}
		})
	}
	if got := r.metric(`penstock_limit_hits_total{limit="http_body_bytes"}`); got != "1" {
		t.Errorf("%s bodies were too large", got)
	}
}

// Many clients write all of a request before they read a byte of the answer.
func TestR_A37_WhoWritesAllBeforeReadingGetsTheAnswer(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, nil), overFCM(simulator(t)))
	conn, err := net.Dial("tcp", r.addr.HTTP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	const size = 15 << 20 // more than the buffers of both ends take
	head := fmt.Sprintf("POST /fcm/send HTTP/1.1\r\nHost: x\r\nAuthorization: key=%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", serverKey, size)
	if _, err := io.WriteString(conn, head+strings.Repeat(" ", size)); err != nil {
		t.Fatalf("the request cannot be written: %v", err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestR_A34_HandshakesThatTakeTooLong(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"http.own_tls": "true", "limits.http_header_timeout": "300ms"}))
	for _, begin := range []string{"", "\x16\x03\x01"} {
		conn, err := net.Dial("tcp", r.addr.HTTP[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the connection stays", begin)
		}
	}
}

// Whoever wonders why a sender never comes through finds a line at debug.
func TestConnectionsThatComeToNothingAreLogged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ tls, begin, want string }{
		{"true", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "first record does not look like a TLS handshake"},
		{"false", "\x16\x03\x01\n", "TLS on a port without it"},
	} {
		r := run(t, settings(t, map[string]string{"http.own_tls": tt.tls}))
		conn, err := net.Dial("tcp", r.addr.HTTP[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, tt.begin); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Error(err)
		}
		until(t, "there is a line", func() bool {
			return strings.Contains(r.log.String(), `msg="an HTTP connection came to nothing" address=`+conn.LocalAddr().String()+" err=") && strings.Contains(r.log.String(), tt.want)
		})
	}
}

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"limits.http_connections": "2"}), overFCM(simulator(t)))
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", r.addr.HTTP[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	ask := func(conn net.Conn) {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: key="+serverKey+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	read := func(conn net.Conn) error {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		return err
	}
	first, second, third := dial(), dial(), dial()
	for _, conn := range []net.Conn{first, second} {
		ask(conn)
		if err := read(conn); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the limit is hit", func() bool { return r.metric(`penstock_limit_hits_total{limit="http_connections"}`) == "1" })
	ask(third)
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if err := read(third); err == nil {
		t.Fatal("a third connection was served beside two")
	}
	third.SetDeadline(time.Now().Add(20 * time.Second))
	first.Close()
	if err := read(third); err != nil {
		t.Errorf("a place is free, and: %v", err)
	}
}

func TestFrontsOverTLSOfTheOwnCA(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, map[string]string{"http.own_tls": "true", "ca_names": "push.example.com"}), overFCM(sim))
	if !r.addr.HTTPS || r.addr.CAFile != filepath.Join(r.cfg.DataDir, "ca.pem") {
		t.Errorf("got %+v", r.addr)
	}
	for _, name := range []string{"127.0.0.1", "fcm.googleapis.com", "push.example.com"} {
		for _, http2 := range []bool{true, false} {
			config := r.trust()
			config.ServerName = name
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetHTTP2(http2)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, Protocols: protocols}}
			req, _ := http.NewRequest(http.MethodPost, "https://"+r.addr.HTTP[0]+"/v1/projects/shop/messages:send", strings.NewReader(`{"message":{"token":"`+string(sim.Tokens()[0])+`"}}`))
			req.Header.Set("Authorization", "Bearer "+serverKey)
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			resp.Body.Close()
			t.Cleanup(client.CloseIdleConnections)
			if want := map[bool]int{true: 2, false: 1}[http2]; resp.StatusCode != 200 || resp.ProtoMajor != want {
				t.Errorf("%s: %d over HTTP/%d", name, resp.StatusCode, resp.ProtoMajor)
			}
		}
	}
	old := &tls.Config{RootCAs: r.trust().RootCAs, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", r.addr.HTTP[0], old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is taken")
	}
	began := time.Now()
	if err := r.end(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("with idle connections the end took %v, %v", time.Since(began), err)
	}
}

// certify writes a certificate of its own, and returns the pool that trusts it.
func certify(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"push.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func TestCertificatesOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certify(t, dir, 1)
	flags := map[string]string{
		"http.tls.cert_file": filepath.Join(dir, "cert.pem"), "http.tls.key_file": filepath.Join(dir, "key.pem"),
		"ccs.tls.cert_file": filepath.Join(dir, "cert.pem"), "ccs.tls.key_file": filepath.Join(dir, "key.pem"),
	}
	r := run(t, settings(t, flags))
	for _, address := range []string{r.addr.HTTP[0], r.addr.CCS[0]} {
		dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "push.example.com"}}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		conn, err := dialer.DialContext(ctx, "tcp", address)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		conn.Close()
	}
	if r.addr.CAFile != "" {
		t.Errorf("a CA of its own was made: %s", r.addr.CAFile)
	}
}
