package bench

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/internal/localca"
	"penstock/internal/xmpp"
)

// The traffic: a token of 152 characters, an id, priority, TTL and four short
// data entries, some 310 bytes of JSON; the same for all.
const (
	sender = "1234567890"
	key    = "bench-key-0123456789"
	idLen  = 20
)

var token = ccs.RegistrationToken(strings.Repeat("a", 152))

var (
	ttl  = time.Hour
	data = map[string]string{
		"k1": "v1", "message": "Your parcel 0001 leaves the depot today", "n": "42", "title": "Order update",
	}
)

// message is a downstream message; its id has always the same length, so that
// a pre-encoded one can be given another.
func message(n int) *ccs.Downstream {
	return &ccs.Downstream{
		MessageID: ccs.MessageID(fmt.Sprintf("m-%0*d", idLen-2, n)),
		To:        token, Priority: ccs.PriorityHigh, TTL: &ttl, Data: data,
	}
}

func appendStanza(dst []byte, m ccs.FromApp) []byte {
	dst = append(dst, xmpp.MessageOpen...)
	dst = ccs.AppendFromApp(dst, m)
	return append(dst, xmpp.MessageClose...)
}

// What a minimal reader looks for.
var (
	stanzaEnd = []byte("</message>")
	idMark    = []byte(`"message_id":"`)
	toMark    = []byte(`"to":"`)
)

func serverConfig(dir string) (*tls.Config, error) {
	ca, err := localca.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Server([]string{"127.0.0.1"})
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func clientConfig(dir string) (*tls.Config, error) {
	ca, err := localca.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, nil
}

// login logs in as a client does, by hand.
func login(addr string, config *tls.Config) (net.Conn, error) {
	plain, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	var conn net.Conn = tls.Client(plain, config)
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	header := string(xmpp.AppendHeader(nil, xmpp.Header{To: ccs.DefaultHost}, xmpp.FromApp))
	for _, step := range [...]struct{ say, until string }{
		{header, "</stream:features>"},
		{string(xmpp.AppendAuth(nil, xmpp.EncodePlain("", sender+"@"+ccs.DefaultHost, key))), "<success"},
		{header, "</stream:features>"},
		{string(xmpp.AppendBind(nil, "b", "")), "</iq>"},
	} {
		if _, err := io.WriteString(conn, step.say); err != nil {
			conn.Close()
			return nil, err
		}
		if _, err := readUntil(conn, step.until); err != nil {
			conn.Close()
			return nil, fmt.Errorf("login: %w", err)
		}
	}
	return conn, conn.SetDeadline(time.Time{})
}

// readUntil reads up to text, which the peer writes last before it waits.
func readUntil(conn net.Conn, text string) (string, error) {
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte(text)) {
		n, err := conn.Read(buf)
		if err != nil {
			return "", fmt.Errorf("before %q: %w", text, err)
		}
		if got = append(got, buf[:n]...); len(got) > 64<<10 {
			return "", fmt.Errorf("no %q", text)
		}
	}
	return string(got), nil
}

// readStanzas hands over whole stanzas, all that one read brought.
func readStanzas(conn net.Conn, take func(stanzas []byte) error) error {
	buf := make([]byte, 64<<10)
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		end := bytes.LastIndex(buf[:have], stanzaEnd)
		if end < 0 {
			if have == len(buf) {
				return io.ErrShortBuffer
			}
			continue
		}
		end += len(stanzaEnd)
		if err := take(buf[:end]); err != nil {
			return err
		}
		have = copy(buf, buf[end:have])
	}
}
