package ccsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// Dial opens a stream to endpoint, "host:port", and logs in. Whoever dials
// calls [Session.Run]; until then nothing is read. The error is a
// [*ConnectError]; it wraps a [*CredentialsError] if the server refused them.
func Dial(ctx context.Context, endpoint string, cred Credentials, opt *Options) (*Session, error) {
	o, err := opt.withDefaults(endpoint, cred)
	if err != nil {
		return nil, err
	}
	s, err := dial(ctx, endpoint, cred, &o, newInbox(&o, nil), 0)
	if err != nil {
		return nil, err
	}
	s.inbox.out = s
	return s, nil
}

func dial(ctx context.Context, endpoint string, cred Credentials, opt *Options, box *inbox, slot int) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, opt.LoginTimeout)
	defer cancel()
	opt.Events.connecting(endpoint)
	fail := func(stage Stage, err error) (*Session, error) {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = ctx.Err() // what the deadline's reader saw says less
		}
		return nil, &ConnectError{Endpoint: endpoint, Stage: stage, Err: err}
	}
	conn, err := opt.Dial(ctx, "tcp", endpoint)
	if err != nil {
		return fail(StageConnect, err)
	}
	if !opt.ClearText {
		// TLS starts with the first byte (docs/protocol.md, Endpoints).
		t := tls.Client(conn, opt.TLS)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return fail(StageTLS, err)
		}
		conn = t
	}
	if opt.Events.Connected != nil {
		opt.Events.Connected(conn.RemoteAddr().String())
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	l := &login{cred: cred, conn: xmpp.NewConn(conn,
		xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin},
		xmpp.WriterOptions{Timeout: opt.WriteTimeout})}
	jid, err := l.run()
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return fail(StageLogin, err)
	}
	s := newSession(l.conn, l.id, jid, opt, box, slot)
	if l.draining {
		s.drain()
	}
	return s, nil
}

// A login is a stream on its way to being bound. It belongs to one goroutine.
type login struct {
	cred     Credentials
	conn     *xmpp.Conn
	id       string // of the stream, from the server's last header
	draining bool   // the server announced the end already
}

// run logs in and returns the JID that the server gave (docs/protocol.md,
// Stream, SASL and Bind).
func (l *login) run() (jid string, err error) {
	features, err := l.open()
	if err != nil {
		return "", err
	}
	if !offersPlain(features) {
		return "", errors.New("the server does not offer PLAIN, the only mechanism of CCS")
	}
	user := string(l.cred.SenderID) + "@" + l.cred.domain()
	if err := l.conn.Send(xmpp.AppendAuth(nil, xmpp.EncodePlain("", user, l.cred.Key))); err != nil {
		return "", err
	}
	el, err := l.next()
	switch {
	case err != nil:
		return "", err
	case el.Is(xmpp.NSSASL, "failure"):
		condition := "not-authorized"
		for c := range el.Children() {
			if string(c.Local()) != "text" {
				condition = string(c.Local())
			}
		}
		if condition == "temporary-auth-failure" {
			return "", errors.New("the server could not check the credentials just now")
		}
		return "", &CredentialsError{SenderID: l.cred.SenderID, Condition: condition}
	case !el.Is(xmpp.NSSASL, "success"):
		return "", errors.New("the server's answer to the login is neither success nor failure")
	}
	l.conn.Reader().Restart()
	if features, err = l.open(); err != nil {
		return "", err
	}
	session, announced := features.Child(xmpp.NSSession, "session")
	if announced {
		_, optional := session.Child(xmpp.NSSession, "optional")
		announced = !optional
	}
	if err := l.conn.Send(xmpp.AppendBind(nil, bindID, "")); err != nil {
		return "", err
	}
	if jid, err = l.bound(); err != nil {
		return "", err
	}
	if announced {
		// Its result says nothing, so nobody waits for it.
		err = l.conn.Send(xmpp.AppendSession(nil, "session"))
	}
	return jid, err
}

const bindID = "bind"

// open sends a header, and reads the server's with the features behind it.
func (l *login) open() (xmpp.Element, error) {
	if err := l.conn.Send(xmpp.AppendHeader(nil, xmpp.Header{To: l.cred.domain()}, xmpp.FromApp)); err != nil {
		return xmpp.Element{}, err
	}
	h, err := l.conn.Reader().Header()
	if err != nil {
		return xmpp.Element{}, err
	}
	l.id = h.ID
	el, err := l.next()
	if err == nil && !el.Is(xmpp.NSStream, "features") {
		err = errors.New("the server's header is not followed by its features")
	}
	return el, err
}

// next reads an element. A stream error of the server's is an error.
func (l *login) next() (xmpp.Element, error) {
	el, err := l.conn.Reader().Next()
	if err != nil {
		return el, err
	}
	if e, ok := xmpp.PeerErrorOf(el); ok {
		return el, e
	}
	return el, nil
}

func offersPlain(features xmpp.Element) bool {
	mechanisms, _ := features.Child(xmpp.NSSASL, "mechanisms")
	for m := range mechanisms.Children() {
		if m.Is(xmpp.NSSASL, "mechanism") && string(m.Text()) == "PLAIN" {
			return true
		}
	}
	return false
}

// bound waits for the answer to our bind. Nothing else should come before it;
// if it does, only a control matters: an upstream message comes again.
func (l *login) bound() (string, error) {
	for {
		el, err := l.next()
		if err != nil {
			return "", err
		}
		if id, _ := el.Attr("id"); !el.Is(xmpp.NSClient, "iq") || string(id) != bindID {
			if payload, ok := el.Payload(); ok {
				if m, err := ccs.ParseFromServer(payload); err == nil && isDraining(m) {
					l.draining = true
				}
			}
			continue
		}
		if kind, _ := el.Attr("type"); string(kind) != "result" {
			return "", errors.New("the server refused to bind: too many streams of this sender id?")
		}
		bind, _ := el.Child(xmpp.NSBind, "bind")
		jid, ok := bind.Child(xmpp.NSBind, "jid")
		if !ok {
			return "", errors.New("the server's answer to bind has no JID")
		}
		return string(jid.Text()), nil
	}
}

func isDraining(m ccs.FromServer) bool {
	c, ok := m.(*ccs.Control)
	return ok && c.Type == ccs.ControlDraining
}
