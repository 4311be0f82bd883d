package fcmsim_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"penstock/fcmsim"
)

// throughProxy is a client as an SDK is one that was given HTTPS_PROXY and a CA.
func throughProxy(t *testing.T, sim *fcmsim.Sim) *http.Client {
	t.Helper()
	proxy, err := url.Parse(sim.PlainURL())
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: tlsConfig(sim), ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestM_28_WhoAsksForGoogleThroughTheProxyReachesTheSimulator(t *testing.T) {
	sim := startFace(t, fcmsim.Options{})
	client := throughProxy(t, sim)
	token := string(sim.Tokens()[0])
	for _, v := range []struct{ method, url, body, want string }{
		{"POST", "https://fcm.googleapis.com/v1/projects/penstock-sim/messages:send", `{"message":{"token":"` + token + `"}}`, `"name"`},
		{"POST", "https://iid.googleapis.com/iid/v1:batchAdd", `{"to":"/topics/news","registration_tokens":["` + token + `"]}`, `"results":[{}]`},
		{"POST", "https://oauth2.googleapis.com/token", "grant_type=x", "unsupported_grant_type"},
		{"POST", "https://accounts.google.com/o/oauth2/token", "grant_type=x", "unsupported_grant_type"},
		{"POST", "https://www.googleapis.com/oauth2/v4/token", "grant_type=x", "unsupported_grant_type"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), v.method, v.url, strings.NewReader(v.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+sim.AccessToken())
		req.Header.Set("access_token_auth", "true")
		req.Header.Set("Content-Type", map[bool]string{true: "application/json", false: "application/x-www-form-urlencoded"}[v.body[0] == '{'])
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), v.want) || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s %s %s (%v), want %s over HTTP/2", v.url, resp.Proto, resp.Status, body, err, v.want)
		}
	}
	if d, _ := sim.Device(sim.Tokens()[0]); len(d.Topics) != 1 {
		t.Errorf("the device has the topics %v", d.Topics)
	}
}

// connect asks for a tunnel and returns the connection, what comes through it,
// and the answer's status.
func connect(t *testing.T, sim *fcmsim.Sim, more string) (net.Conn, io.Reader, int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(sim.PlainURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "CONNECT fcm.googleapis.com:443 HTTP/1.1\r\nHost: fcm.googleapis.com:443\r\n\r\n%s", more)
	rd := bufio.NewReader(conn)
	resp, err := http.ReadResponse(rd, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, rd, resp.StatusCode
}

func TestTunnelsAreBounded(t *testing.T) {
	sim := startFace(t, fcmsim.Options{})
	var conns []net.Conn
	for range 1000 {
		conn, _, status := connect(t, sim, "")
		if status != 200 {
			t.Fatalf("tunnel %d: %d", len(conns), status)
		}
		conns = append(conns, conn)
	}
	if _, _, status := connect(t, sim, ""); status != 503 {
		t.Fatalf("the tunnel beyond the bound: %d", status)
	}
	// A tunnel that has ended makes room. The server ends this one since what
	// comes through is no TLS.
	if _, err := conns[0].Write([]byte("no TLS at all\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conns[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, status := connect(t, sim, ""); status != 200 {
		t.Errorf("after one has ended: %d", status)
	}
}

func TestATunnelLosesNoByteThatCameWithTheRequest(t *testing.T) {
	sim := startFace(t, fcmsim.Options{})
	hello := make(chan []byte, 1)
	near, far := net.Pipe()
	go func() {
		b := make([]byte, 64<<10)
		n, _ := far.Read(b)
		hello <- b[:n]
	}()
	client := tls.Client(near, &tls.Config{ServerName: "fcm.googleapis.com", RootCAs: sim.CertPool()})
	go client.Handshake()
	_, rd, status := connect(t, sim, string(<-hello))
	near.Close()
	if status != 200 {
		t.Fatalf("got %d", status)
	}
	var record [5]byte
	if _, err := io.ReadFull(rd, record[:]); err != nil || record[0] != 22 || record[1] != 3 {
		t.Errorf("the answer to the hello begins with %x (%v), which is no handshake", record, err)
	}
}

func TestATunnelThatCannotBeIsNotCounted(t *testing.T) {
	sim := startFace(t, fcmsim.Options{})
	for range 1001 {
		r := httptest.NewRequest("CONNECT", "fcm.googleapis.com:443", http.NoBody)
		w := httptest.NewRecorder() // as HTTP/2: no connection can be taken over
		sim.HTTPHandler().ServeHTTP(w, r)
		if w.Code != http.StatusHTTPVersionNotSupported {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}

func TestWithoutATLSFaceNobodyIsAProxy(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	srv := httptest.NewServer(f.h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "CONNECT fcm.googleapis.com:443 HTTP/1.1\r\nHost: fcm.googleapis.com:443\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 404 {
		t.Errorf("got %s", resp.Status)
	}
}
