package fcmsim_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/ccstest"
	"penstock/internal/xmpp"
)

// A bench is a simulator in a bubble, and the way to it.
type bench struct {
	*fcmsim.Sim
	t testing.TB
	l *ccstest.Listener
}

// inBubble runs f with a simulator whose streams are in memory and whose time
// costs nothing.
func inBubble(t *testing.T, opt fcmsim.Options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := ccstest.Listen()
		opt.ClearText, opt.Listeners = true, []net.Listener{l}
		sim, err := fcmsim.Start(&opt)
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		f(&bench{sim, t, l})
	})
}

// An app is an app server with one bound stream.
type app struct {
	t    testing.TB
	conn net.Conn
	rd   *xmpp.Reader
}

func (b *bench) login() *app {
	b.t.Helper()
	conn, err := b.l.Dial(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := login(b.t, conn, b.Sim)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// login does what every app server does on a fresh connection.
func login(t testing.TB, conn net.Conn, sim *fcmsim.Sim) (*app, error) {
	a := &app{t: t, conn: conn, rd: xmpp.NewReader(conn, xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})}
	if t != nil {
		t.Cleanup(func() { conn.Close() })
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	const header = `<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`
	plain := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00%s@gcm.googleapis.com\x00%s", sim.SenderID(), sim.ServerKey()))
	for _, step := range []struct {
		write string
		fresh bool // a header comes back first
		want  string
	}{
		{header, true, "features"},
		{`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">` + plain + `</auth>`, false, "success"},
		{header, true, "features"},
		{`<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`, false, "iq"},
	} {
		if _, err := conn.Write([]byte(step.write)); err != nil {
			return nil, err
		}
		if step.fresh {
			if _, err := a.rd.Header(); err != nil {
				return nil, err
			}
		}
		el, err := a.rd.Next()
		if err != nil {
			return nil, err
		}
		if string(el.Local()) != step.want {
			return nil, fmt.Errorf("login: got <%s>, want <%s>", el.Local(), step.want)
		}
		if step.want == "success" {
			a.rd.Restart()
		}
	}
	conn.SetDeadline(time.Time{})
	return a, nil
}

// send sends messages, all of them in one write: they arrive together.
func (a *app) send(all ...ccs.FromApp) {
	a.t.Helper()
	if err := a.write(all...); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) write(all ...ccs.FromApp) error {
	var b []byte
	for _, m := range all {
		b = append(b, `<message><gcm xmlns="google:mobile:data">`...)
		b = append(ccs.AppendFromApp(b, m), `</gcm></message>`...)
	}
	_, err := a.conn.Write(b)
	return err
}

// sendOverCCS is a whole app server: it logs in, sends, and waits until each
// message is answered.
func sendOverCCS(sim *fcmsim.Sim, messages ...*ccs.Downstream) error {
	conn, err := tls.Dial("tcp", sim.Addr(), &tls.Config{RootCAs: sim.CertPool()})
	if err != nil {
		return err
	}
	defer conn.Close()
	a, err := login(nil, conn, sim)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := a.write(m); err != nil {
			return err
		}
	}
	for range messages {
		if _, err := a.next(10 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

// next reads one message, or returns the error that the stream ended with.
func (a *app) next(within time.Duration) (ccs.FromServer, error) {
	a.conn.SetReadDeadline(time.Now().Add(within))
	for {
		el, err := a.rd.Next()
		if err != nil {
			return nil, err
		}
		if p, ok := el.Payload(); ok {
			return ccs.ParseFromServer(p)
		}
	}
}

func (a *app) read() ccs.FromServer {
	a.t.Helper()
	m, err := a.next(time.Minute)
	if err != nil {
		a.t.Fatalf("wanted a message: %v", err)
	}
	return m
}

func (a *app) want(want ccs.FromServer) {
	a.t.Helper()
	if got := a.read(); !reflect.DeepEqual(got, want) {
		a.t.Fatalf("got  %#v\nwant %#v", got, want)
	}
}

func (a *app) wantNack(id ccs.MessageID, code ccs.Code) *ccs.Nack {
	a.t.Helper()
	m := a.read()
	n, ok := m.(*ccs.Nack)
	if !ok || n.MessageID != id || n.Code != code {
		a.t.Fatalf("got %#v, want a nack %s of %s", m, code, id)
	}
	return n
}

// wantQuiet checks that nothing comes for so long.
func (a *app) wantQuiet(d time.Duration) {
	a.t.Helper()
	m, err := a.next(d)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		a.t.Fatalf("wanted silence, got %#v, %v", m, err)
	}
}

// wantEnd checks that the stream ends without another message.
func (a *app) wantEnd() {
	a.t.Helper()
	m, err := a.next(time.Minute)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		a.t.Fatalf("wanted the end of the stream, got %#v, %v", m, err)
	}
	a.conn.Close()
	synctest.Wait()
}

func down(to ccs.RegistrationToken, id ccs.MessageID) *ccs.Downstream {
	return &ccs.Downstream{To: to, MessageID: id, Data: map[string]string{"id": string(id)}}
}

func ack(m *ccs.Downstream) *ccs.Ack { return &ccs.Ack{From: m.Target(), MessageID: m.MessageID} }

// sendAcked sends a message and wants its ack.
func (a *app) sendAcked(m *ccs.Downstream) {
	a.t.Helper()
	a.send(m)
	a.want(ack(m))
}

func (b *bench) device(token ccs.RegistrationToken) fcmsim.Device {
	b.t.Helper()
	d, ok := b.Device(token)
	if !ok {
		b.t.Fatalf("there is no device %s", token.Redacted())
	}
	return d
}

func (b *bench) online(token ccs.RegistrationToken, yes bool) {
	b.t.Helper()
	if err := b.SetDevice(token, &yes, nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) fault(f fcmsim.Fault) {
	b.t.Helper()
	if err := b.SetFault(f); err != nil {
		b.t.Fatal(err)
	}
}

// wantIDs checks what a device received, in order.
func (b *bench) wantIDs(token ccs.RegistrationToken, want ...ccs.MessageID) {
	b.t.Helper()
	var got []ccs.MessageID
	for _, d := range b.device(token).Received {
		if d.DeletedMessages {
			got = append(got, "(deleted messages)")
			continue
		}
		got = append(got, d.MessageID)
	}
	if !reflect.DeepEqual(got, want) {
		b.t.Fatalf("the device received %q, want %q", got, want)
	}
}
