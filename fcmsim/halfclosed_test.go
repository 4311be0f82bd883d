package fcmsim_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"penstock/fcmsim"
)

// Whoever closes one half of a connection may still read: an answer that is held
// back must not become an empty 200 then.
func TestM_21_ADelayedAnswerIsNotReplacedByAnEmptyOne(t *testing.T) {
	s, err := fcmsim.Start(&fcmsim.Options{PlainHTTPListen: []string{"127.0.0.1:0"}, Legacy: fcmsim.Legacy2019})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetFault(fcmsim.Fault{Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, auth, body string }{
		{"M-21 v1", "/v1/projects/" + s.ProjectID() + "/messages:send", "Bearer " + s.AccessToken(), fmt.Sprintf(`{"message":{"token":%q}}`, s.Tokens()[0])},
		{"M-21 legacy, to a token", "/fcm/send", "key=" + s.ServerKey(), fmt.Sprintf(`{"to":%q}`, s.Tokens()[0])},
		{"M-21 legacy, to a topic", "/fcm/send", "key=" + s.ServerKey(), `{"to":"/topics/news"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.PlainURL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				tt.path, tt.auth, len(tt.body), tt.body)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
