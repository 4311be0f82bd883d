package ccsserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// afterFailure is how long the stream stays open behind a SASL failure: some
// clients that get both in one read report a broken stream and not the refusal.
const afterFailure = 500 * time.Millisecond

// errRefused ends the login of a peer whose credentials were wrong. It has
// been answered already.
var errRefused = errors.New("credentials refused")

// A login is a stream on its way to being bound. It belongs to one goroutine,
// and writes without batching, since each step waits for the peer.
type login struct {
	srv    *Server
	place  *place
	conn   *xmpp.Conn
	headed bool // our header is out
	inside bool // SASL succeeded
	id     string
	sender ccs.SenderID
	domain string
}

// handshake does TLS. Go writes no alert to a peer that speaks clear text;
// clients know what a TLS alert means, so we write it.
func (srv *Server) handshake(ctx context.Context, conn net.Conn, place *place) (net.Conn, error) {
	if srv.opt.ClearText {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, srv.opt.HandshakeTimeout)
	defer cancel()
	t := tls.Server(conn, srv.opt.TLS)
	err := t.HandshakeContext(ctx)
	if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok && bad.Conn != nil {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a}) // alert, fatal, unexpected_message
		if place.ends() {
			xmpp.CloseSoftly(conn)
		} else {
			conn.Close()
		}
		if looksLikeHTTP(bad.RecordHeader[:]) {
			return nil, errors.New("an HTTP request came to the CCS port")
		}
		return nil, errors.New("clear text came to the TLS port")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return t, nil
}

func looksLikeHTTP(start []byte) bool {
	for _, method := range []string{"GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "PATCH ", "PRI "} {
		n := min(len(start), len(method))
		if string(start[:n]) == method[:n] {
			return true
		}
	}
	return false
}

// login leads a connection from its first byte to the bound stream, as long as
// ctx lasts. On an error the connection is closed.
func (srv *Server) login(ctx context.Context, conn net.Conn, place *place) (*session, error) {
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := ctx.Err(); err != nil { // its end may have set a deadline before us
		conn.Close()
		return nil, fmt.Errorf("login: %w", err)
	}
	l := &login{srv: srv, place: place, conn: xmpp.NewConn(conn,
		xmpp.ReaderOptions{Limits: xmpp.LimitsBeforeLogin}, xmpp.WriterOptions{Timeout: srv.opt.WriteTimeout})}
	s, err := l.run(ctx)
	if err == nil {
		conn.SetDeadline(time.Time{})
		return s, nil
	}
	if errors.Is(err, errRefused) {
		return nil, fmt.Errorf("login: %w", err)
	}
	stay := place.ends()
	if e, ok := errors.AsType[*ccs.StreamError](err); ok && stay {
		l.fail(e)
	} else if errors.Is(err, xmpp.ErrClosed) && stay {
		_ = l.conn.Send([]byte(xmpp.StreamEnd)) // last words: nobody waits for them
		xmpp.CloseSoftly(l.conn.Conn)
	} else {
		l.conn.Close() // what Wrap returned, if it was asked
	}
	return nil, fmt.Errorf("login: %w", err)
}

// run does so. A panic, such as one of the accounts, costs the login alone.
func (l *login) run(ctx context.Context) (s *session, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errors.Join(&xmpp.PanicError{Value: v, Stack: debug.Stack()},
				&ccs.StreamError{Condition: ccs.ConditionInternalServerError})
		}
	}()
	if err := l.open(xmpp.FeaturesLogin); err != nil {
		return nil, err
	}
	for !l.inside {
		el, err := l.conn.Reader().Next()
		if err != nil {
			return nil, err
		}
		if err := l.beforeLogin(ctx, el); err != nil {
			return nil, err
		}
	}
	l.conn.Reader().Configure(xmpp.ReaderOptions{
		Limits: xmpp.LimitsAfterLogin, Malformed: ccs.ConditionInvalidXML, StrictPayload: l.srv.opt.StrictPayload,
	})
	l.conn.Reader().Restart()
	if err := l.open(xmpp.FeaturesBind); err != nil {
		return nil, err
	}
	for {
		el, err := l.conn.Reader().Next()
		if err != nil {
			return nil, err
		}
		if el.Is(xmpp.NSClient, "iq") {
			if s, err := l.bind(el); s != nil || err != nil {
				return s, err
			}
			continue
		}
		if err := notYet(el); err != nil {
			return nil, err
		}
	}
}

// open reads the peer's header and answers with ours and the features. Whatever
// the peer calls us is our name: every known client is content with that
// (docs/protocol.md, Stream).
func (l *login) open(features string) error {
	h, err := l.conn.Reader().Header()
	if err != nil {
		l.headed = false // a stream of its own deserves a header before its error
		return err
	}
	return l.conn.Send(append(l.header(nil, h.To), features...))
}

func (l *login) header(dst []byte, from string) []byte {
	if from == "" {
		from = ccs.DefaultHost
	}
	l.id = randomHex()
	l.headed = true
	return xmpp.AppendHeader(dst, xmpp.Header{From: from, ID: l.id}, xmpp.FromServer)
}

// fail writes a stream error and closes. A peer that has not seen our header
// gets it first: an error belongs into a stream.
func (l *login) fail(e *ccs.StreamError) {
	var b []byte
	if !l.headed {
		b = l.header(b, "")
	}
	l.conn.SetWriteDeadline(time.Now().Add(xmpp.GoodbyeTime))
	_ = l.conn.Send(append(xmpp.AppendStreamError(b, e), xmpp.StreamEnd...))
	xmpp.CloseSoftly(l.conn.Conn)
}

// notYet is the answer to what may only come later, or never.
func notYet(el xmpp.Element) error {
	switch {
	case el.Is(xmpp.NSClient, "message"), el.Is(xmpp.NSClient, "presence"), el.Is(xmpp.NSClient, "iq"):
		return &ccs.StreamError{Condition: ccs.ConditionNotAuthorized}
	case el.Is(xmpp.NSSASL, "auth"):
		return &ccs.StreamError{Condition: ccs.ConditionPolicyViolation, Text: "already authenticated"}
	}
	return &ccs.StreamError{Condition: ccs.ConditionUnsupportedStanzaType}
}

func (l *login) beforeLogin(ctx context.Context, el xmpp.Element) error {
	switch {
	case el.Is(xmpp.NSSASL, "auth"):
		return l.auth(ctx, el)
	case el.Is(xmpp.NSSASL, "abort"):
		return l.refuse(ctx, "aborted", "")
	}
	return notYet(el)
}

func (l *login) auth(ctx context.Context, el xmpp.Element) error {
	if mechanism, _ := el.Attr("mechanism"); string(mechanism) != "PLAIN" {
		return l.refuse(ctx, "invalid-mechanism", "")
	}
	plain, err := xmpp.DecodePlain(el.Text())
	if err != nil {
		condition := "malformed-request"
		if e, ok := errors.AsType[*xmpp.SASLError](err); ok {
			condition = e.Condition
		}
		return l.refuse(ctx, condition, "")
	}
	local, domain, _ := strings.Cut(plain.User, "@")
	sender := ccs.SenderID(local)
	switch err := l.srv.accounts.Authenticate(ctx, sender, plain.Password); {
	case errors.Is(err, ErrBadCredentials):
		return l.refuse(ctx, "not-authorized", sender)
	case err != nil:
		return l.refuse(ctx, notNow, sender)
	}
	// The session's identity comes from the authentication id alone; another
	// authorization id is an attempt at something else.
	if as, _, _ := strings.Cut(plain.Authzid, "@"); plain.Authzid != "" && as != local {
		return l.refuse(ctx, "invalid-authzid", sender)
	}
	if domain == "" {
		domain = ccs.DefaultHost
	}
	l.sender, l.domain, l.inside = sender, domain, true
	return l.conn.Send([]byte(xmpp.Success))
}

// notNow is the SASL condition for credentials that nobody could check.
const notNow = "temporary-auth-failure"

// refuse answers a login that failed and ends the stream. Nothing more is read
// with a meaning (docs/protocol.md, SASL).
func (l *login) refuse(ctx context.Context, condition string, sender ccs.SenderID) error {
	var wait time.Duration
	if condition != notNow { // which is no fault of the peer's
		if f := l.srv.opt.Events.AuthFailed; f != nil {
			f(l.conn.RemoteAddr(), sender)
		}
		wait = l.place.failed()
	}
	if !l.place.ends() {
		l.conn.Close()
		return errRefused
	}
	pause(ctx, wait)
	l.conn.SetDeadline(time.Now().Add(xmpp.GoodbyeTime + afterFailure))
	if l.conn.Send(xmpp.AppendFailure(nil, condition)) == nil {
		pause(ctx, afterFailure)
		_ = l.conn.Send([]byte(xmpp.StreamEnd)) // last words: nobody waits for them
	}
	xmpp.CloseSoftly(l.conn.Conn)
	return errRefused
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// bind answers a bind request with a session. A nil session without an error
// means that the iq asked for something else, and was told that it is too early.
func (l *login) bind(el xmpp.Element) (*session, error) {
	b, ok := el.Child(xmpp.NSBind, "bind")
	if kind, _ := el.Attr("type"); !ok || string(kind) != "set" {
		return nil, &ccs.StreamError{Condition: ccs.ConditionNotAuthorized}
	}
	idBytes, _ := el.Attr("id")
	id := string(idBytes)
	var wish string
	if r, ok := b.Child(xmpp.NSBind, "resource"); ok && len(r.Text()) <= 256 {
		wish = string(r.Text())
	}
	s := &session{
		Conn: l.conn, srv: l.srv, id: l.id, sender: l.sender, domain: l.domain, resource: wish,
		bound: time.Now(), box: l.srv.mailbox(l.sender), room: make(chan struct{}, 1),
		unacked: make(map[upKey]*item), late: make(map[*pending]struct{}),
	}
	if wrap := l.srv.opt.Wrap; wrap != nil {
		l.conn.Conn = wrap(l.id, l.conn.Conn) // nobody else has it yet
	}
	if !s.box.join(s) {
		_ = l.conn.Send(append(xmpp.AppendIQError(nil, "", "", id, "resource-constraint"), xmpp.StreamEnd...))
		if l.place.ends() {
			xmpp.CloseSoftly(l.conn.Conn)
		}
		return nil, errTooManyStreams
	}
	err := ErrClosed
	if l.srv.register(s) {
		if err = l.conn.Send(xmpp.AppendBound(nil, id, s.jid())); err == nil {
			return s, nil
		}
		l.srv.forget(s)
	}
	s.box.leave(s)
	return nil, err
}

func randomHex() string {
	var b [8]byte
	rand.Read(b[:])
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
