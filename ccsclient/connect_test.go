package ccsclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/localca"
)

// serveTLS serves CCS on a port of loopback under a certificate for names.
func serveTLS(t *testing.T, ca *localca.CA, names ...string) (port string) {
	t.Helper()
	cert, err := ca.Server(names)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, &ccsserver.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
}

func serve(t *testing.T, opt *ccsserver.Options) (port string) {
	t.Helper()
	ack := ccsserver.HandlerFunc(func(r *ccsserver.Request) { r.Answer(nil, nil) })
	srv, err := ccsserver.New(ack, ccsserver.NewKeys(map[ccs.SenderID][]string{"1234": {serverKey}}), opt)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return portOf(l)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// newCA is an authority that lives as long as the test.
func newCA(t *testing.T) *localca.CA {
	t.Helper()
	ca, err := localca.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// trusting are options that trust ca.
func trusting(ca *localca.CA) *ccsclient.Options {
	return &ccsclient.Options{TLS: &tls.Config{RootCAs: ca.Pool()}}
}

// in logs in, sends a message and leaves.
func in(t *testing.T, endpoint string, opt *ccsclient.Options) error {
	t.Helper()
	s, err := ccsclient.Dial(t.Context(), endpoint, credentials, opt)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	if _, err := s.Send(t.Context(), msg(ccs.NewMessageID())); err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return <-ended
}

// A recording is a connection that keeps its first bytes, as they left.
type recording struct {
	net.Conn
	first []byte
}

func (r *recording) Write(p []byte) (int, error) {
	if len(r.first) < 1<<10 {
		r.first = append(r.first, p...)
	}
	return r.Conn.Write(p)
}

func TestC1_TLSStartsWithTheFirstByteAtTheConfiguredAddress(t *testing.T) {
	ca := newCA(t)
	port := serveTLS(t, ca, "localhost", "127.0.0.1")
	for _, host := range []string{"localhost", "127.0.0.1"} {
		var dialled string
		var conn *recording
		opt := trusting(ca)
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = network + " " + address
			c, err := (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
			conn = &recording{Conn: c}
			return conn, err
		}
		if err := in(t, net.JoinHostPort(host, port), opt); err != nil {
			t.Fatal(err)
		}
		if want := "tcp " + net.JoinHostPort(host, port); dialled != want {
			t.Errorf("dialled %s, want %s", dialled, want)
		}
		// 0x16 is a TLS handshake record, and 1 in it a ClientHello.
		if len(conn.first) < 6 || conn.first[0] != 0x16 || conn.first[1] != 3 || conn.first[5] != 1 {
			t.Errorf("the first bytes are % x, want a ClientHello", conn.first[:min(len(conn.first), 16)])
		}
		if s := string(conn.first); strings.Contains(s, "<") && (strings.Contains(s, "<stream") || strings.Contains(s, "starttls")) {
			t.Errorf("XML in clear: %q", s)
		}
		if conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: ca.Pool(), ServerName: host}); err != nil {
			t.Error(err) // the server did serve TLS alone
		} else {
			conn.Close()
		}
	}
}

func TestC2_TheCertificateIsCheckedAgainstTheHostName(t *testing.T) {
	ca := newCA(t)
	port := serveTLS(t, ca, "ccs.example")
	here := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
	}
	for name, c := range map[string]struct {
		endpoint string
		config   *tls.Config
		refused  bool
	}{
		"the right name":                          {"ccs.example:5235", &tls.Config{RootCAs: ca.Pool()}, false},
		"another name":                            {"other.example:5235", &tls.Config{RootCAs: ca.Pool()}, true},
		"an address":                              {"127.0.0.1:5235", &tls.Config{RootCAs: ca.Pool()}, true},
		"a CA that is not trusted":                {"ccs.example:5235", &tls.Config{RootCAs: newCA(t).Pool()}, true},
		"the system's roots alone":                {"ccs.example:5235", nil, true},
		"told otherwise: the name":                {"127.0.0.1:5235", &tls.Config{RootCAs: ca.Pool(), ServerName: "ccs.example"}, false},
		"told otherwise: everything":              {"other.example:5235", &tls.Config{InsecureSkipVerify: true}, false},
		"told otherwise, and the name is wrong":   {"ccs.example:5235", &tls.Config{RootCAs: ca.Pool(), ServerName: "other.example"}, true},
		"an old version that is wished is raised": {"ccs.example:5235", &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := in(t, c.endpoint, &ccsclient.Options{Dial: here, TLS: c.config})
			e, failed := errors.AsType[*ccsclient.ConnectError](err)
			if failed != c.refused || failed && e.Stage != ccsclient.StageTLS {
				t.Errorf("%v, want refused = %v at TLS", err, c.refused)
			}
			if c.config != nil && c.config.ServerName == "" && c.config.MinVersion == tls.VersionTLS12 {
				t.Error("the caller's configuration was changed")
			}
		})
	}
}

// What went wrong must be plain from one sentence, which says where and what to
// look at.
func TestAConnectErrorSaysWhatToDo(t *testing.T) {
	ca := newCA(t)
	silent := listen(t)
	closed := listen(t)
	closed.Close()
	hasty := listen(t)
	go func() {
		for {
			c, err := hasty.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	cert, err := ca.Server([]string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	web.Config.ErrorLog = nil
	web.StartTLS()
	t.Cleanup(web.Close)
	mail := tls.NewListener(listen(t), web.TLS)
	go func() {
		for {
			c, err := mail.Accept()
			if err != nil {
				return
			}
			go func() {
				io.WriteString(c, "220 mail.example ESMTP\r\n")
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
	ccsPort := serveTLS(t, ca, "localhost", "127.0.0.1")
	short := time.Second / 4

	for name, c := range map[string]struct {
		endpoint string
		change   func(*ccsclient.Options)
		key      string
		stage    ccsclient.Stage
		words    []string
	}{
		"a clear text port": {endpoint: "127.0.0.1:" + serve(t, &ccsserver.Options{ClearText: true}),
			stage: ccsclient.StageTLS, words: []string{"not with TLS", "wrong port, or a server without TLS"}},
		"an HTTP server's port": {endpoint: strings.TrimPrefix(plain.URL, "http://"),
			stage: ccsclient.StageTLS, words: []string{"not with TLS", "wrong port, or a server without TLS"}},
		"an HTTPS server's port": {endpoint: strings.TrimPrefix(web.URL, "https://"), change: func(o *ccsclient.Options) { o.LoginTimeout = short },
			stage: ccsclient.StageLogin, words: []string{"nothing there speaks CCS", "wrong port"}}, // it waits for the end of a line
		"a mail server's port": {endpoint: mail.Addr().String(),
			stage: ccsclient.StageLogin, words: []string{"does not speak CCS", "wrong port"}},
		"a wrong CA": {endpoint: "localhost:" + ccsPort, change: func(o *ccsclient.Options) { o.TLS.RootCAs = newCA(t).Pool() },
			stage: ccsclient.StageTLS, words: []string{"certificate", "CA that is not trusted here", "ca.pem"}},
		"a wrong host name": {endpoint: "localhost:" + ccsPort, change: func(o *ccsclient.Options) { o.TLS.ServerName = "ccs.example" },
			stage: ccsclient.StageTLS, words: []string{"ccs.example", "localhost", "use a name that it covers"}},
		"nothing listens": {endpoint: closed.Addr().String(),
			stage: ccsclient.StageConnect, words: []string{"nothing listens there", "check host and port"}},
		"a host that does not resolve": {endpoint: "nowhere.invalid:5235", change: func(o *ccsclient.Options) {
			o.Dial = func(_ context.Context, network, _ string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}}
			}
		}, stage: ccsclient.StageConnect, words: []string{"nowhere.invalid", "does not resolve", "spelling"}},
		"a silent port": {endpoint: silent.Addr().String(), change: func(o *ccsclient.Options) { o.LoginTimeout = short },
			stage: ccsclient.StageTLS, words: []string{"does not answer TLS", "wrong port"}},
		"a silent port, in clear": {endpoint: silent.Addr().String(), change: func(o *ccsclient.Options) { o.LoginTimeout, o.ClearText = short, true },
			stage: ccsclient.StageLogin, words: []string{"nothing there speaks CCS", "wrong port"}},
		"a port that hangs up": {endpoint: hasty.Addr().String(),
			stage: ccsclient.StageTLS, words: []string{"ended the connection", "wrong port"}},
		"a TLS port, in clear": {endpoint: "localhost:" + ccsPort, change: func(o *ccsclient.Options) { o.ClearText = true },
			stage: ccsclient.StageLogin, words: []string{"does not speak CCS", "wrong port"}},
		"a wrong key": {endpoint: "localhost:" + ccsPort, key: "AAAAnot:KEY",
			stage: ccsclient.StageLogin, words: []string{"refused the credentials", "sender id 1234", "check the sender id and the server key"}},
		"no route": {endpoint: "ccs.example:5235", change: func(o *ccsclient.Options) {
			o.LoginTimeout = short
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, stage: ccsclient.StageConnect, words: []string{"no answer at all", "firewalls"}},
	} {
		t.Run(name, func(t *testing.T) {
			opt := trusting(ca)
			if c.change != nil {
				c.change(opt)
			}
			cred := credentials
			if c.key != "" {
				cred.Key = c.key
			}
			_, err := ccsclient.Dial(t.Context(), c.endpoint, cred, opt)
			e, ok := errors.AsType[*ccsclient.ConnectError](err)
			if !ok {
				t.Fatalf("%v, want a ConnectError", err)
			}
			if e.Stage != c.stage || e.Endpoint != c.endpoint {
				t.Errorf("failed at %s of %s, want %s of %s: %v", e.Stage, e.Endpoint, c.stage, c.endpoint, err)
			}
			s := err.Error()
			for _, words := range append(c.words, c.endpoint) {
				if !strings.Contains(s, words) {
					t.Errorf("%q does not say %q", s, words)
				}
			}
			if strings.Contains(s, "\n") || strings.Contains(s, cred.Key) || strings.Count(s, "(") > 2 || len(s) > 400 {
				t.Errorf("not one clear sentence: %q", s)
			}
			if _, refused := errors.AsType[*ccsclient.CredentialsError](err); refused != (c.key != "") {
				t.Errorf("%v: a CredentialsError? %v", err, refused)
			}
		})
	}
}

func TestC46_ATLSEndWithoutCloseNotifyIsAnEnd(t *testing.T) {
	ca := newCA(t)
	cert, err := ca.Server([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			conn := tls.Server(raw, config)
			io.WriteString(conn, serverHeader+loginFeatures+success+serverHeader+bindFeatures+strings.Replace(boundResult, "%s", "bind", 1))
			raw.Close() // as Google did: no close-notify
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	opt := trusting(ca)
	opt.BackoffFirst = time.Millisecond
	closed := make(chan error, 10)
	opt.Events = &ccsclient.Events{
		Closed:          func(_ ccsclient.Stream, err error) { closed <- err },
		ReconnectFailed: func(err error) { closed <- err },
	}
	p, err := ccsclient.NewPool(l.Addr().String(), credentials, opt)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for range 2 { // the first connection and the next
		if err := <-closed; err == nil {
			t.Error("the end was taken for an orderly one")
		}
	}
	cancel()
	<-ended
}
