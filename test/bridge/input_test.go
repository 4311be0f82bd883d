package bridge_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"penstock/fcmsim"
	"penstock/internal/config"
)

// raw writes a request of HTTP/1.1, and returns the answer; of none, 0.
func (p *penstock) raw(t *testing.T, request string) (status int, body string) {
	t.Helper()
	below, err := net.Dial("tcp", p.addr.HTTP[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted := p.trusted.Clone()
	trusted.ServerName = "localhost"
	conn := tls.Client(below, trusted)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, request) // it may be refused before its end
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	text, _ := io.ReadAll(resp.Body)
	conn.Close()
	<-written
	return resp.StatusCode, string(text)
}

// What is refused at the door is refused whole, with a sentence that helps.
func TestNothingOfABadRequestIsSent(t *testing.T) {
	t.Parallel()
	w := onLoopback(t)
	sim, second := w.simulator(fcmsim.Options{}), w.simulator(fcmsim.Options{})
	other := overFCM(second)
	other.Name, other.Keys[0].Secret = "other", config.NewSecret(otherKey)
	p := w.penstock(map[string]string{"limits.http_read_timeout": "2s"}, overFCM(sim), other)

	token := string(sim.Tokens()[0])
	legacy, v1 := `{"to":"`+token+`"}`, `{"message":{"token":"`+token+`"}}`
	ids := func(n int) string {
		return `{"registration_ids":[` + strings.TrimSuffix(strings.Repeat(`"`+token+`",`, n), ",") + `]}`
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, legacy)
	z.Close()
	zipped := b.String()
	const (
		send  = "/fcm/send"
		v1Of  = "/v1/projects/shop/messages:send"
		json  = "Content-Type: application/json"
		right = "Authorization: key=" + serverKey
	)
	post := func(path, body string, headers ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n%s", path, len(body), strings.Join(headers, "\r\n"), body)
	}
	for _, tt := range []struct {
		name, request string
		status        int
		sentence      string
	}{
		{"R-A31 no credentials", post(send, legacy, json), 401, "send the header Authorization: key=SERVER_KEY"},
		{"R-A31 no credentials at v1", post(v1Of, v1, json), 401, "missing required authentication credential"},
		{"R-A31 an unknown key", post(send, legacy, json, "Authorization: key=psk_nobodysnobodys00"), 401, "the server key is unknown"},
		{"R-A31 a key in the URL", post(v1Of+"?key="+serverKey, v1, json), 401, "is not read, since URLs end up in logs"},
		{"another project's key", post(v1Of, v1, json, "Authorization: Bearer "+otherKey), 403, "denied on resource"},
		{"nobody's project", post("/v1/projects/nobodys/messages:send", v1, json, right), 403, "denied on resource"},
		{"R-A37 a body of 2 MiB", post(send, legacy+strings.Repeat(" ", 2<<20), json, right), 413, "at most 1048576 bytes"},
		{"R-A37 a body of 2 MiB at v1", post(v1Of, v1+strings.Repeat(" ", 2<<20), json, right), 413, "1048576 bytes"},
		{"1,001 ids", post(send, ids(1001), json, right), 400, "1000"},
		{"two targets", post(send, `{"to":"`+token+`","condition":"'a' in topics"}`, json, right), 400, "Must use"},
		{"to and ids", post(send, `{"to":"`+token+`","registration_ids":["`+token+`"]}`, json, right), 400, "registration_ids"},
		{"two targets at v1", post(v1Of, `{"message":{"token":"`+token+`","topic":"a"}}`, json, right), 400, "INVALID_ARGUMENT"},
		{"R-A37 gzip", post(send, zipped, json, right, "Content-Encoding: gzip"), 415, "must not be compressed"},
		{"R-A37 gzip that is none, at v1", post(v1Of, v1, json, right, "Content-Encoding: gzip"), 400, "INVALID_ARGUMENT"},
		{"broken JSON behind a good message", post(send, legacy+"{", json, right), 400, "JSON"},
		{"broken JSON behind a good message at v1", post(v1Of, v1+"{", json, right), 400, "INVALID_ARGUMENT"},
		{"R-A35 10,000 header lines", post(send, legacy, json, right, strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 10_000), "\r\n")), 431, ""},
		{"R-A32 two slashes", post("//fcm/send", legacy, json, right), 404, "There is nothing at this path"},
		{"R-A32 dots", post("/fcm/./send", legacy, json, right), 404, "There is nothing at this path"},
		{"R-A32 a way up", post("/v1/../fcm/send", legacy, json, right), 404, "There is nothing at this path"},
		{"R-A32 an escaped letter", post("/fcm/s%65nd", legacy, json, right), 404, "There is nothing at this path"},
		{"R-A32 a slash at the end", post("/fcm/send/", legacy, json, right), 404, "There is nothing at this path"},
		{"R-A32 an escaped slash at v1", post("/v1/projects%2fshop/messages:send", v1, json, right), 404, "There is nothing at this path"},
		{"half a body", strings.Replace(post(send, legacy, json, right), "Content-Length: ", "Content-Length: 1", 1), 408, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := p.raw(t, tt.request)
			if status != tt.status || !strings.Contains(body, tt.sentence) {
				t.Errorf("got %d %s; want %d and %q", status, body, tt.status, tt.sentence)
			}
			if strings.Contains(body, token) || strings.Contains(body, serverKey) {
				t.Errorf("the answer repeats a secret: %s", body)
			}
			if n := len(sim.Record()) + len(second.Record()); n != 0 {
				t.Errorf("%d messages of it were sent", n)
				sim.ResetRecord()
				second.ResetRecord()
			}
		})
	}
	// The same without what was wrong is sent: the tests above see something.
	for name, tt := range map[string]struct {
		request string
		sent    int
	}{
		"legacy":    {post(send, legacy, json, right), 1},
		"1,000 ids": {post(send, ids(1000), json, right), 1000},
		"v1":        {post(v1Of, v1, json, right), 1},
	} {
		sim.ResetRecord()
		if status, body := p.raw(t, tt.request); status != 200 || len(sim.Record()) != tt.sent {
			t.Errorf("%s: %d, %d were sent: %.200s", name, status, len(sim.Record()), body)
		}
	}
}
