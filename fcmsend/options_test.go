package fcmsend_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	cases := []struct {
		name    string
		project fcm.ProjectID
		opt     fcmsend.Options
		want    string
	}{
		{"no project", "", fcmsend.Options{}, "no project"},
		{"a project that changes the path", "shop/../x", fcmsend.Options{}, "no project id"},
		{"a project with a question mark", "shop?x=1", fcmsend.Options{}, "no project id"},
		{"a project of dots", "..", fcmsend.Options{}, "no project id"},
		{"a project of 101 characters", fcm.ProjectID(strings.Repeat("p", 101)), fcmsend.Options{}, "no project id"},
		{"another scheme", "p", fcmsend.Options{Endpoint: "ftp://x"}, "Endpoint"},
		{"no host", "p", fcmsend.Options{Endpoint: "https:///x"}, "Endpoint"},
		{"user and password", "p", fcmsend.Options{Endpoint: "https://u:canary@x"}, "Endpoint"},
		{"a query", "p", fcmsend.Options{Endpoint: "https://x/?key=canary"}, "Endpoint"},
		{"no URL", "p", fcmsend.Options{Endpoint: "https://canary\x7f"}, "Endpoint"},
		{"a proxy of another kind", "p", fcmsend.Options{Proxy: &url.URL{Scheme: "socks5", Host: "x"}}, "Proxy"},
		{"a proxy without host", "p", fcmsend.Options{Proxy: &url.URL{Scheme: "http"}}, "Proxy"},
		{"S-42 more than 100 streams", "p", fcmsend.Options{StreamsPerConnection: 101}, "StreamsPerConnection"},
		{"fewer than no streams", "p", fcmsend.Options{StreamsPerConnection: -1}, "StreamsPerConnection"},
		{"too many connections", "p", fcmsend.Options{MaxConnections: 1001}, "MaxConnections"},
		{"S-51 less than ten seconds", "p", fcmsend.Options{RequestTimeout: 10*time.Second - 1}, "RequestTimeout"},
		{"S-47 frequent pings", "p", fcmsend.Options{QuietAfter: 10*time.Second - 1}, "QuietAfter"},
		{"no time for pings", "p", fcmsend.Options{PingTimeout: -1}, "PingTimeout"},
		{"no time to dial", "p", fcmsend.Options{DialTimeout: -1}, "DialTimeout"},
		{"no time idle", "p", fcmsend.Options{IdleTimeout: time.Millisecond}, "IdleTimeout"},
		{"a line break in the name", "p", fcmsend.Options{UserAgent: "a\r\nx: y"}, "UserAgent"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := fcmsend.New(c.project, fcmsend.Static("x"), &c.opt)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") || len(err.Error()) > 250 {
				t.Errorf("error %v; want it to name %s", err, c.want)
			}
		})
	}
	if _, err := fcmsend.New("p", nil, nil); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("error %v; want it to name the credentials", err)
	}
}

func TestProjectsMayBeIdsAndNumbers(t *testing.T) {
	for _, p := range []fcm.ProjectID{"shop-1", "1234567890", "example.com:old-shop"} {
		s, err := fcmsend.New(p, fcmsend.Static("x"), nil)
		if err != nil || s.Project() != p {
			t.Errorf("%s: %v", p, err)
			continue
		}
		s.Close()
	}
}

func TestNewDoesNotKeepTheOptions(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(&fcmsend.Options{})
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		opt.Dial, opt.TLS.RootCAs = nil, nil
		p := send(t, s, toToken())
		w.conn().request().accept()
		p.wantAccepted()
	})
}
