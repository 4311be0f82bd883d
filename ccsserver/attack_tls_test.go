package ccsserver_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccsserver"
)

// overTLS serves over TLS, on loopback and in real time, until the test ends.
func overTLS(t *testing.T, opt ccsserver.Options) (srv *server, addr string, forApp *tls.Config) {
	t.Helper()
	opt.TLS, forApp = certified(t)
	srv = &server{onward: &onward{}, record: &record{}}
	opt.Events = srv.events()
	var err error
	if srv.Server, err = ccsserver.New(srv.onward, everybody, &opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	return srv, l.Addr().String(), forApp
}

// dialTCP opens a connection in clear text.
func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs must end
	return conn
}

// guest logs an app server in over TLS, and works with it: send makes it send a
// message and take the ack, which is done beside each attack.
func guest(t *testing.T, addr string, forApp *tls.Config) (send func(id string), p *peer) {
	t.Helper()
	p = newPeer(t, tls.Client(dialTCP(t, addr), forApp))
	p.real = true
	p.login(rival)
	p.bind()
	return func(id string) {
		t.Helper()
		p.write(downstream(id))
		p.want(acked(id))
	}, p
}

// Alerts that Go or we write in clear.
const (
	unexpectedMessage = "\x15\x03\x01\x00\x02\x02\x0a" // as TLS 1.0, before a version is agreed on
	protocolVersion   = "\x15\x03\x01\x00\x02\x02\x46"
	handshakeFailure  = "\x15\x03\x03\x00\x02\x02\x28"
)

func TestR_A1_ClearTextAndHTTPOnTheTLSPort(t *testing.T) {
	const clear, http = "clear text came to the TLS port", "an HTTP request came to the CCS port"
	cases := []struct{ name, bytes, why string }{
		{"a stream in clear", header, clear},
		{"a stream with a declaration", "<?xml version='1.0'?>" + header, clear},
		{"a whole login in one write", header + auth("", sender, key) + header + bindIQ + downstream("m-1"), clear},
		{"starttls", header + `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, clear},
		{"GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", http},
		{"POST with a message in it", "POST /fcm/send HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + downstream("m-1"), http},
		{"HEAD", "HEAD / HTTP/1.0\r\n\r\n", http},
		{"OPTIONS", "OPTIONS * HTTP/1.1\r\n\r\n", http},
		{"PUT", "PUT / HTTP/1.1\r\n\r\n", http},
		{"HTTP/2 in clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http},
		{"a tunnel", "CONNECT fcm.googleapis.com:443 HTTP/1.1\r\n\r\n", clear},
		{"SSH", "SSH-2.0-OpenSSH_9.0\r\n", clear},
		{"SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", "TLS handshake: tls: unsupported SSLv2 handshake received"},
		{"SOCKS", "\x05\x01\x00\x00\x00\x00", clear},
		{"zeros", "\x00\x00\x00\x00\x00\x00\x00\x00", clear},
		{"bytes of all bits", "\xff\xff\xff\xff\xff\xff", clear},
		{"a letter", "hello\n", clear},
		{"a record of TLS data", "\x17\x03\x03\x00\x05hello", clear},
	}
	alerts := map[string]string{"SSL 2": protocolVersion} // the rest is unexpectedMessage
	srv, addr, forApp := overTLS(t, ccsserver.Options{})
	send, _ := guest(t, addr, forApp)
	for i, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			send("before " + tt.name)
			before := allocated()
			conn := dialTCP(t, addr)
			if _, err := io.WriteString(conn, tt.bytes); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if want := cmp.Or(alerts[tt.name], unexpectedMessage); string(got) != want || err != nil {
				t.Errorf("the server wrote %q, %v; want %q and the end", got, err, want)
			}
			if cost := allocated() - before; cost > mayAllocate {
				t.Errorf("%d bytes were allocated", cost)
			}
			send("behind " + tt.name)
			conn.Close()
			if why := srv.wantRefusals(t, i+1)[i].Error(); why != tt.why {
				t.Errorf("counted as %q, want %q", why, tt.why)
			}
		})
	}
	if got := srv.handedOnFrom(sender); got != 0 {
		t.Errorf("%d messages in clear were handed on", got)
	}
}

// wantRefusals waits until so many connections were refused, in real time, and
// returns why.
func (r *record) wantRefusals(t *testing.T, n int) []error {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		got := slices.Clone(r.refusals)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections were refused, want %d", len(got), n)
		}
	}
}

// hello is what a Go client begins with, as one record.
func hello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		defer near.Close()
		_ = tls.Client(near, config).Handshake() // which nobody answers
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(far, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(far, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// withCompression offers DEFLATE in a hello too.
func withCompression(t *testing.T, record []byte) []byte {
	t.Helper()
	at := 5 + 4 + 2 + 32                                // record, handshake, version, random
	at += 1 + int(record[at])                           // session id
	at += 2 + int(binary.BigEndian.Uint16(record[at:])) // cipher suites
	if record[at] != 1 || record[at+1] != 0 {
		t.Fatalf("a hello with the compression methods % x", record[at:at+2])
	}
	out := append(append(bytes.Clone(record[:at]), 2, 1, 0), record[at+2:]...)
	binary.BigEndian.PutUint16(out[3:], uint16(len(out)-5))
	out[6], out[7], out[8] = 0, byte((len(out)-9)>>8), byte(len(out)-9)
	return out
}

func TestR_A3_OldTLSIsRefused(t *testing.T) {
	srv, addr, forApp := overTLS(t, ccsserver.Options{})
	send, _ := guest(t, addr, forApp)
	try := func(t *testing.T, config *tls.Config) (*tls.Conn, error) {
		t.Helper()
		config.RootCAs, config.ServerName = forApp.RootCAs, forApp.ServerName
		conn := tls.Client(dialTCP(t, addr), config)
		err := conn.Handshake()
		send(t.Name())
		return conn, err
	}
	for name, tt := range map[string]struct {
		config *tls.Config
		alert  string
	}{
		"TLS 1.0":                     {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "protocol version not supported"},
		"TLS 1.1":                     {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version not supported"},
		"RC4":                         {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}}, "handshake failure"},
		"3DES":                        {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}}, "handshake failure"},
		"RSA without forward secrecy": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, "handshake failure"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try(t, tt.config)
			if alert, ok := errors.AsType[tls.AlertError](err); !ok && (err == nil || !strings.Contains(err.Error(), tt.alert)) || ok && alert.Error() != "tls: "+tt.alert {
				t.Errorf("the handshake says %v, want the alert: %s", err, tt.alert)
			}
		})
	}
	t.Run("the alerts, to the byte", func(t *testing.T) {
		for alert, config := range map[string]*tls.Config{
			protocolVersion:  {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, ServerName: "localhost"},
			handshakeFailure: {MaxVersion: tls.VersionTLS12, ServerName: "localhost", CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}},
		} {
			conn := dialTCP(t, addr)
			conn.Write(hello(t, config))
			got, err := io.ReadAll(conn)
			if len(got) != 7 || got[0] != 0x15 || string(got[3:]) != alert[3:] || err != nil {
				t.Errorf("the server wrote % x, %v; want % x", got, err, alert)
			}
		}
	})
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name+" is spoken", func(t *testing.T) {
			conn, err := try(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version})
			if err != nil || conn.ConnectionState().Version != version {
				t.Errorf("the handshake says %v", err)
			}
		})
	}
	t.Run("compression is not taken up", func(t *testing.T) {
		conn := dialTCP(t, addr)
		conn.Write(withCompression(t, hello(t, &tls.Config{MaxVersion: tls.VersionTLS12, ServerName: "localhost"})))
		answer := make([]byte, 5+4+2+32+1)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, int(answer[len(answer)-1])+3) // session id, suite, compression
		if _, err := io.ReadFull(conn, rest); err != nil {
			t.Fatal(err)
		}
		if answer[5] != 2 || rest[len(rest)-1] != 0 {
			t.Errorf("the server's hello is % x % x, want compression 0", answer, rest)
		}
		send(t.Name())
	})
	t.Run("nor does TLS 1.3 go on with it", func(t *testing.T) {
		conn := dialTCP(t, addr)
		conn.Write(withCompression(t, hello(t, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "localhost"})))
		if got, err := io.ReadAll(conn); len(got) != 7 || got[0] != 0x15 || err != nil {
			t.Errorf("the server wrote % x, %v; want an alert", got, err)
		}
		send(t.Name())
	})
	t.Run("whatever the options allow", func(t *testing.T) {
		forServer, forApp := certified(t)
		forServer.MinVersion = tls.VersionTLS10
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, &ccsserver.Options{TLS: forServer})
			forApp.MinVersion, forApp.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			conn := tls.Client(srv.dialNet(t, nil), forApp)
			defer conn.Close()
			if err := conn.Handshake(); err == nil {
				t.Error("TLS 1.1 is spoken")
			}
		})
	})
	srv.wantRefusals(t, 9)
}

func TestR_A4_R_L1_HandshakesThatHang(t *testing.T) {
	forServer, forApp := certified(t)
	start := string(hello(t, forApp))
	for name, bytes := range map[string]string{
		"that never begin": "", "that stop in a record's head": "\x16\x03", "that stop in the hello": "\x16\x03\x01\x02\x00\x01",
		"that stop behind half of the hello": start[:len(start)/2], "that stop behind the hello": start,
		"that promise much": "\x16\x03\x01\x40\x00\x01\x00\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, &ccsserver.Options{TLS: forServer})
				p := srv.dial(t)
				p.write(bytes)
				time.Sleep(10*time.Second - 1)
				p.skip()
				p.wantQuiet()
				pass(1)
				p.wantGone()
				if why := srv.refused(); len(why) != 1 {
					t.Errorf("refused: %v", why)
				}
			})
		})
	}
	t.Run("that come byte by byte, each second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, &ccsserver.Options{TLS: forServer})
			p := srv.dial(t)
			for i := range 10 {
				p.write(start[i : i+1])
				time.Sleep(time.Second)
			}
			p.wantGone()
		})
	})
	t.Run("by the hundred, on loopback, beside a stream", func(t *testing.T) {
		const many = 100
		srv, addr, forApp := overTLS(t, ccsserver.Options{HandshakeTimeout: 300 * time.Millisecond})
		send, _ := guest(t, addr, forApp)
		var all sync.WaitGroup
		before := heap()
		for range many {
			conn := dialTCP(t, addr)
			conn.Write([]byte(start[:40]))
			all.Go(func() { // the end is waited for, however long it takes
				if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
					t.Errorf("the server wrote % x, %v; want the end", got, err)
				}
			})
			send("m")
		}
		if each := (int64(heap()) - int64(before)) / many; each > 64<<10 {
			t.Errorf("each handshake that hangs takes %d bytes", each)
		}
		all.Wait()
		srv.wantRefusals(t, many)
		send("m")
	})
}

func TestR_A7_RecordsThatWereTamperedWith(t *testing.T) {
	srv, addr, forApp := overTLS(t, ccsserver.Options{})
	send, _ := guest(t, addr, forApp)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := forApp.Clone()
		config.MaxVersion = version
		for name, spoil := range map[string]func(record []byte) []byte{
			"a bit of the message":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"the last bit":          func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"the kind of record":    func(b []byte) []byte { b[0] = 0x16; return b },
			"a record cut short":    func(b []byte) []byte { b = b[:len(b)-1]; binary.BigEndian.PutUint16(b[3:], uint16(len(b)-5)); return b },
			"a record too long":     func(b []byte) []byte { b[3] = 0xff; return b },
			"a record of nothing":   func([]byte) []byte { return []byte{0x17, 3, 3, 0, 0} },
			"clear text in between": func([]byte) []byte { return []byte(downstream("m-0")) },
			"the record twice":      func(b []byte) []byte { return append(b, b...) },
		} {
			t.Run(tls.VersionName(version)+": "+name, func(t *testing.T) {
				before := srv.handedOnFrom(sender)
				wire := &spoiler{Conn: dialTCP(t, addr)}
				p := newPeer(t, tls.Client(wire, config))
				p.real = true
				p.login(sender)
				p.bind()
				wire.spoil(spoil)
				p.write(downstream(t.Name()))
				closed := make(chan struct{})
				go func() {
					defer close(closed)
					p.mu.Lock()
					defer p.mu.Unlock()
					for p.err == nil {
						p.changed.Wait()
					}
				}()
				<-closed
				handed := srv.handedOnFrom(sender) - before
				if want := strings.Count(name, "twice"); handed != want {
					t.Errorf("%d messages were handed on, want %d", handed, want)
				}
				send(t.Name())
			})
		}
	}
}

// A spoiler changes the next record that is written.
type spoiler struct {
	net.Conn
	mu sync.Mutex // guards what follows
	do func(record []byte) []byte
}

func (s *spoiler) spoil(do func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

func (s *spoiler) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.do == nil {
		return s.Conn.Write(b)
	}
	changed := s.do(bytes.Clone(b))
	s.do = nil
	if _, err := s.Conn.Write(changed); err != nil {
		return 0, err
	}
	return len(b), nil
}
