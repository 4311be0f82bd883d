package bench

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// A minimal is the least that a connection server can do: it looks for the end
// of each stanza, an id and a token, and writes all acks of one read at once.
// It checks nothing. What a client reaches against it is the client's limit,
// and its own rate is the limit of servers.
type minimal struct {
	delay   time.Duration
	acked   atomic.Int64
	pending atomic.Int64 // the most that any connection had unanswered
}

func playMinimal(t task) error {
	config, err := serverConfig(t.Dir)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	m := &minimal{delay: t.Delay}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(conn)
		}
	}()
	say(result{Addr: l.Addr().String()})
	var meter meter
	var before int64
	return obey(func(command string) result {
		if command == commandMark {
			meter, before = startMeter(), m.acked.Load()
			return result{}
		}
		r := meter.read(int(m.acked.Load() - before))
		r.Pending = int(m.pending.Load())
		return r
	})
}

// serve answers one connection until it ends, by whatever cause: the client
// sees that it does.
func (m *minimal) serve(conn net.Conn) {
	defer conn.Close()
	id, err := welcome(conn)
	if err != nil {
		return
	}
	if _, err := conn.Write(xmpp.AppendBound(nil, id, sender+"@"+ccs.DefaultHost+"/bench")); err != nil {
		return
	}
	if m.delay > 0 {
		m.serveLater(conn)
	} else {
		m.serveNow(conn)
	}
}

func (m *minimal) serveNow(conn net.Conn) {
	var out []byte
	_ = readStanzas(conn, func(stanzas []byte) error {
		var n int
		out, n = appendAcks(out[:0], stanzas)
		noteMost(&m.pending, int64(n))
		m.acked.Add(int64(n))
		_, err := conn.Write(out)
		return err
	})
}

// A batch is the acks of one read, and when they are due.
type batch struct {
	acks []byte
	n    int
	due  time.Time
}

func (m *minimal) serveLater(conn net.Conn) {
	// A window of 100 in single reads would need 100 places.
	due := make(chan batch, 1024)
	var unanswered atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range due {
			time.Sleep(time.Until(b.due))
			unanswered.Add(-int64(b.n))
			m.acked.Add(int64(b.n))
			if _, err := conn.Write(b.acks); err != nil {
				conn.Close() // which ends the reading, too
			}
		}
	}()
	_ = readStanzas(conn, func(stanzas []byte) error {
		acks, n := appendAcks(nil, stanzas)
		noteMost(&m.pending, unanswered.Add(int64(n)))
		due <- batch{acks, n, time.Now().Add(m.delay)}
		return nil
	})
	close(due)
	<-done
}

// noteMost keeps the most that was seen.
func noteMost(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

const (
	ackOpen  = xmpp.AnswerOpen + `{"message_type":"ack","from":"`
	ackID    = `","message_id":"`
	ackClose = `"}` + xmpp.AnswerClose
)

func appendAcks(dst, stanzas []byte) ([]byte, int) {
	n := 0
	for len(stanzas) > 0 {
		end := bytes.Index(stanzas, stanzaEnd)
		if end < 0 {
			break
		}
		stanza := stanzas[:end]
		stanzas = stanzas[end+len(stanzaEnd):]
		dst = append(dst, ackOpen...)
		dst = append(dst, quoted(stanza, toMark)...)
		dst = append(dst, ackID...)
		dst = append(dst, quoted(stanza, idMark)...)
		dst = append(dst, ackClose...)
		n++
	}
	return dst, n
}

// quoted is what stands between mark and the next quote.
func quoted(stanza, mark []byte) []byte {
	i := bytes.Index(stanza, mark)
	if i < 0 {
		return nil
	}
	rest := stanza[i+len(mark):]
	if end := bytes.IndexByte(rest, '"'); end >= 0 {
		return rest[:end]
	}
	return nil
}

// welcome plays the server's part of a login up to the bind, and returns the
// bind's id.
func welcome(conn net.Conn) (string, error) {
	header := func(id string) string {
		return string(xmpp.AppendHeader(nil, xmpp.Header{From: ccs.DefaultHost, ID: id}, xmpp.FromServer))
	}
	for _, step := range [...]struct{ until, say string }{
		{">", header("1") + xmpp.FeaturesLogin},
		{"</auth>", xmpp.Success},
		{">", header("2") + `<stream:features><bind xmlns="` + xmpp.NSBind + `"/></stream:features>`},
	} {
		if _, err := readUntil(conn, step.until); err != nil {
			return "", err
		}
		if _, err := io.WriteString(conn, step.say); err != nil {
			return "", err
		}
	}
	bind, err := readUntil(conn, "</iq>")
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(bind, ` id="`)
	id, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return "", fmt.Errorf("a bind without id: %q", bind)
	}
	return id, nil
}
