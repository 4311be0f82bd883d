package ccsserver_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

// Who logs in, and whom the messages are for.
const (
	sender = "1234567890"
	rival  = "9876543210"
	key    = "server-key"
	token  = "aaaaaaaatoken"
)

// What the server writes, as docs/protocol.md has it under "Everything that our
// server writes".
const (
	featuresLogin = `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms></stream:features>`
	featuresBind  = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`
	success       = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	control       = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"control","control_type":"CONNECTION_DRAINING"}</data:gcm></message>`
	end           = `</stream:stream>`
)

// What the scripted client writes.
const (
	header     = `<stream:stream to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`
	bindIQ     = `<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`
	sessionIQ  = `<iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`
	sessionEnd = `<iq type="result" id="s1"/>`
	pingIQ     = `<iq type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>`
)

// pong answers pingIQ.
func (p *peer) pong() string { return `<iq to="` + p.jid + `" type="result" id="p1"/>` }

// failure is a refused login.
func failure(condition string) string {
	return `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><` + condition + `/></failure>`
}

// stanza is a message of the app server.
func stanza(json string) string {
	return `<message><gcm xmlns="google:mobile:data">` + json + `</gcm></message>`
}

// downstream is a message to the device that every test uses.
func downstream(id string) string {
	return stanza(`{"to":"` + token + `","message_id":"` + id + `","data":{"k":"v"}}`)
}

// answer is an ack or a nack of the server.
func answer(json string) string {
	return `<message><data:gcm xmlns:data="google:mobile:data">` + json + `</data:gcm></message>`
}

func acked(id string) string {
	return answer(`{"message_type":"ack","from":"` + token + `","message_id":"` + id + `"}`)
}

func nacked(id string, code ccs.Code, text string) string {
	return answer(`{"message_type":"nack","from":"` + token + `","message_id":"` + id + `","error":"` + string(code) + `","error_description":"` + text + `"}`)
}

// Nacks that the server makes by itself.
const (
	textTimeout  = "outcome unknown; the same message_id sent again gets the late outcome"
	textReused   = "message_id reused with another content"
	textDraining = "The connection is draining; send on another one"
	textInternal = "Internal error; try again later"
	textBusy     = "The message could not be handled in time; try again later"
)

// ack is the app server's ack of an upstream message or a receipt.
func ack(to, id string) string {
	return stanza(`{"to":"` + to + `","message_id":"` + id + `","message_type":"ack"}`)
}

// fromDevice is an upstream message, upstream how the server writes it.
func fromDevice(id string) *ccs.Upstream {
	return &ccs.Upstream{From: token, MessageID: ccs.MessageID(id), Category: "com.example.app", Data: map[string]string{"k": "v"}}
}

func upstream(id string) string {
	return toApp(`{"data":{"k":"v"},"from":"` + token + `","message_id":"` + id + `","category":"com.example.app"}`)
}

// receiptOf is the receipt of a downstream message, receipt how the server
// writes it.
func receiptOf(id string) *ccs.Receipt {
	return &ccs.Receipt{
		MessageID: ccs.MessageID("dr2:" + id), OriginalMessageID: ccs.MessageID(id), Category: "com.example.app",
		Status: ccs.StatusSentToDevice, Device: token, SentAt: time.UnixMilli(1498801519251),
	}
}

func receipt(id string) string {
	return toApp(`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"` + id +
		`","device_registration_id":"` + token + `","message_sent_timestamp":"1498801519251"},"message_id":"dr2:` + id +
		`","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`)
}

func toApp(json string) string {
	return `<message to="` + sender + `@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">` + json + `</gcm></message>`
}

// play runs a test in a bubble, where waiting costs nothing, against a server
// that is closed behind it.
func play(t *testing.T, opt *ccsserver.Options, f func(t *testing.T, srv *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(t, opt)) })
}

// A server is the one under test, with all that stands around it: the network,
// the handler behind it, and a record of its events.
type server struct {
	*ccsserver.Server
	*onward
	*record
	ln *listener
}

// newServer serves in memory, in clear text unless opt brings TLS.
func newServer(t *testing.T, opt *ccsserver.Options) *server {
	t.Helper()
	return newServerWith(t, opt, everybody)
}

// everybody are the accounts of all tests.
var everybody = ccsserver.NewKeys(map[ccs.SenderID][]string{sender: {key, "key"}, rival: {key}})

func newServerWith(t *testing.T, opt *ccsserver.Options, accounts ccsserver.Accounts) *server {
	t.Helper()
	var o ccsserver.Options
	if opt != nil {
		o = *opt
	}
	o.ClearText = o.TLS == nil
	srv := &server{onward: &onward{}, record: &record{}, ln: newListener()}
	o.Events = srv.events()
	var err error
	if srv.Server, err = ccsserver.New(srv.onward, accounts, &o); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(srv.ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, ccsserver.ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return srv
}

// An onward is the handler, the road behind the server. It acks at once unless
// told otherwise.
type onward struct {
	mu    sync.Mutex // guards what follows
	do    func(r *ccsserver.Request)
	taken []*ccsserver.Request // all that came, for inspection
	next  int                  // how many of them take has given out
}

func (o *onward) Downstream(r *ccsserver.Request) {
	o.mu.Lock()
	o.taken = append(o.taken, r)
	do := o.do
	o.mu.Unlock()
	if do == nil {
		do = func(r *ccsserver.Request) { r.Answer(nil, nil) }
	}
	do(r)
}

// handle sets what becomes of messages.
func (o *onward) handle(do func(r *ccsserver.Request)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.do = do
}

// hold leaves messages unanswered; take hands them out.
func (o *onward) hold() { o.handle(func(*ccsserver.Request) {}) }

// refuse answers all messages with err.
func (o *onward) refuse(err error) {
	o.handle(func(r *ccsserver.Request) { r.Answer(nil, err) })
}

// take returns the next message that came.
func (o *onward) take(t *testing.T) *ccsserver.Request {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next == len(o.taken) {
		t.Fatal("no message was handed on")
	}
	o.next++
	return o.taken[o.next-1]
}

// handedOn is how many messages have come so far.
func (o *onward) handedOn() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.taken)
}

// wantHandedOn checks how many messages came since the server started.
func (o *onward) wantHandedOn(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	if got := o.handedOn(); got != want {
		t.Fatalf("%d messages were handed on, want %d", got, want)
	}
}

// A record keeps what the server's events told.
type record struct {
	mu         sync.Mutex // guards what follows
	refusals   []error
	authFailed []ccs.SenderID
	closings   []closing
	unknown    []*ccs.Ack
	odd        []string
	failed     []error
	lines      []string // answers and life events, in order

	dawdle atomic.Int64 // nanoseconds that Answered takes
}

type closing struct {
	stream ccsserver.Stream
	err    error
}

func (r *record) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *record) events() *ccsserver.Events {
	line := func(format string, args ...any) {
		r.note(func() { r.lines = append(r.lines, fmt.Sprintf(format, args...)) })
	}
	return &ccsserver.Events{
		Refused:    func(_ net.Addr, why error) { r.note(func() { r.refusals = append(r.refusals, why) }) },
		AuthFailed: func(_ net.Addr, s ccs.SenderID) { r.note(func() { r.authFailed = append(r.authFailed, s) }) },
		Bound:      func(s ccsserver.Stream) { line("bound %s", s.Sender) },
		Closed: func(s ccsserver.Stream, err error) {
			r.note(func() { r.closings = append(r.closings, closing{s, err}) })
			line("closed %v", err)
		},
		Draining: func(s ccsserver.Stream) { line("draining %s", s.State) },
		Received: func(_ string, _ ccs.SenderID, m *ccs.Downstream) { line("received %s", m.MessageID) },
		Answered: func(_ string, _ ccs.SenderID, m *ccs.Downstream, a ccs.FromServer) {
			line("answered %s", ccs.AppendFromServer(nil, a))
			time.Sleep(time.Duration(r.dawdle.Load()))
		},
		Offered:    func(_ string, m ccs.FromServer, n int) { line("offered %d", n) },
		Settled:    func(_ string, m ccs.FromServer) { line("settled") },
		UnknownAck: func(_ string, a *ccs.Ack) { r.note(func() { r.unknown = append(r.unknown, a) }) },
		Odd:        func(_ string, what string) { r.note(func() { r.odd = append(r.odd, what) }) },
		Failed: func(_ ccs.SenderID, m *ccs.Downstream, err error) {
			r.note(func() { r.failed = append(r.failed, err) })
		},
	}
}

// refused are the reasons for which connections were refused.
func (r *record) refused() []error {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusals
}

// closed are the bound streams that have ended.
func (r *record) closed() []closing {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closings
}

// unknownAcks is how many acks were for nothing.
func (r *record) unknownAcks() int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unknown)
}

// A listener gives in-memory streams to Accept, each with the address that the
// test wants its peer to have.
type listener struct {
	*ccstest.Listener

	mu   sync.Mutex // guards what follows
	from []net.Conn // what stands for the network under the streams to come
}

func newListener() *listener { return &listener{Listener: ccstest.Listen()} }

// Accept returns the next stream.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	under := l.from[0]
	l.from = l.from[1:]
	switch under := under.(type) {
	case address:
		return from{c.(*ccstest.Conn), under}, nil
	case *net.TCPConn:
		return overTCP{c.(*ccstest.Conn), under}, nil
	case gate:
		return gated{c.(*ccstest.Conn), under}, nil
	case *tap:
		return tapped{c.(*ccstest.Conn), under}, nil
	}
	return c, nil
}

// An address is a net.Conn only so that a listener can keep it beside real ones.
type address struct {
	net.Conn
	addr string
}

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return a.addr }

// from is a stream whose peer has an address.
type from struct {
	*ccstest.Conn
	addr address
}

func (c from) RemoteAddr() net.Addr { return c.addr }

// overTCP is a stream of which the server thinks that it lies on a TCP
// connection: one that stays alive, whatever the peer says or does not say.
type overTCP struct {
	*ccstest.Conn
	tcp *net.TCPConn
}

func (c overTCP) NetConn() net.Conn { return c.tcp }

// A gate holds up the server when it looks what lies under a connection, which
// it does between the start of a login and its first step, until it is closed.
type gate struct {
	net.Conn
	open chan struct{}
}

type gated struct {
	*ccstest.Conn
	gate gate
}

func (c gated) NetConn() net.Conn {
	<-c.gate.open
	return nil
}

// A peer is a scripted app server. It writes bytes as they are told, and
// compares what comes byte for byte. No time passes in its want… methods.
type peer struct {
	t    testing.TB
	conn net.Conn
	jid  string // full, once bound
	id   string // of the newest stream
	real bool   // outside of bubbles: wait for bytes, in real time

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	unread  []byte
	all     []byte // every byte that came
	err     error  // why no more will come
	deaf    bool   // the peer reads nothing
}

// dial opens a connection that nothing has been said on.
func (srv *server) dial(t *testing.T) *peer {
	t.Helper()
	return srv.dialOver(t, nil)
}

// dialFrom is dial for a peer with an IP address.
func (srv *server) dialFrom(t *testing.T, addr string) *peer {
	t.Helper()
	return srv.dialOver(t, address{addr: addr})
}

func (srv *server) dialOver(t *testing.T, under net.Conn) *peer {
	t.Helper()
	return newPeer(t, srv.dialNet(t, under))
}

// dialNet is the connection alone.
func (srv *server) dialNet(t *testing.T, under net.Conn) net.Conn {
	t.Helper()
	srv.ln.mu.Lock()
	srv.ln.from = append(srv.ln.from, under)
	srv.ln.mu.Unlock()
	conn, err := srv.ln.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	p := &peer{t: t, conn: conn}
	p.changed.L = &p.mu
	go p.read()
	t.Cleanup(func() {
		conn.Close()
		p.listen()
		p.wantSoundXML()
	})
	return p
}

// read collects what comes, until the connection ends.
func (p *peer) read() {
	buf := make([]byte, 4096)
	for {
		p.mu.Lock()
		for p.deaf {
			p.changed.Wait()
		}
		p.mu.Unlock()
		n, err := p.conn.Read(buf)
		p.mu.Lock()
		p.unread = append(p.unread, buf[:n]...)
		p.all = append(p.all, buf[:n]...)
		p.err = err
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// deafen makes the peer stop reading: at most one more batch of bytes is taken.
func (p *peer) deafen() { p.setDeaf(true) }

// listen makes it read on.
func (p *peer) listen() { p.setDeaf(false) }

func (p *peer) setDeaf(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
	p.changed.Broadcast()
}

// wait lets the server do all that it can do without time passing.
func (p *peer) wait() {
	if !p.real {
		synctest.Wait()
	}
}

// write writes bytes, in one piece. It does not wait for the server.
func (p *peer) write(what ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, strings.Join(what, "")); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// try writes bytes to a server that may have gone already.
func (p *peer) try(what string) { io.WriteString(p.conn, what) }

// want checks that exactly these bytes come next, now.
func (p *peer) want(what ...string) {
	p.t.Helper()
	want := strings.Join(what, "")
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.real && len(p.unread) < len(want) && p.err == nil {
		p.changed.Wait()
	}
	got := string(p.unread)
	if !strings.HasPrefix(got, want) {
		p.t.Fatalf("the server wrote\n\t%s\nwant\n\t%s", shown(got, p.err), shown(want, nil))
	}
	p.unread = p.unread[len(want):]
}

// wantInAnyOrder checks that these stanzas come next, in whatever order.
func (p *peer) wantInAnyOrder(what map[string]bool) {
	p.t.Helper()
	for len(what) > 0 {
		got := p.next()
		if !what[got] {
			p.t.Fatalf("the server wrote\n\t%s\nwant one of %d others", got, len(what))
		}
		delete(what, got)
	}
}

var nextMessage = regexp.MustCompile(`^<message.*?</message>`)

// next returns the next message stanza.
func (p *peer) next() string {
	p.t.Helper()
	return p.wantMatch(nextMessage)[0]
}

// wantMatch checks that what comes next looks like re, and returns its groups.
func (p *peer) wantMatch(re *regexp.Regexp) []string {
	p.t.Helper()
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.real && !re.Match(p.unread) && p.err == nil {
		p.changed.Wait()
	}
	m := re.FindSubmatch(p.unread)
	if m == nil || !strings.HasPrefix(string(p.unread), string(m[0])) {
		p.t.Fatalf("the server wrote\n\t%s\nwant something like\n\t%s", shown(string(p.unread), p.err), re)
	}
	groups := make([]string, len(m))
	for i := range m {
		groups[i] = string(m[i])
	}
	p.unread = p.unread[len(groups[0]):]
	return groups
}

// wantQuiet checks that nothing comes now, and that the stream lives.
func (p *peer) wantQuiet() {
	p.t.Helper()
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unread) > 0 || p.err != nil {
		p.t.Fatalf("the server wrote\n\t%s\nwant silence", shown(string(p.unread), p.err))
	}
}

// wantBeats takes the spaces that a stream writes while its reader waits for
// room in the window, and checks that nothing else came and that the stream lives.
func (p *peer) wantBeats() {
	p.t.Helper()
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.Trim(string(p.unread), " ") != "" || p.err != nil {
		p.t.Fatalf("the server wrote\n\t%s\nwant spaces at most", shown(string(p.unread), p.err))
	}
	p.unread = p.unread[:0]
}

// dropBeats takes the spaces between the stanzas that came.
func (p *peer) dropBeats() {
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread = regexp.MustCompile(`(^|>) +(<|$)`).ReplaceAll(p.unread, []byte("$1$2"))
}

// wantClosed checks that these are the last bytes before the server's side of
// the connection ends in order.
func (p *peer) wantClosed(what ...string) {
	p.t.Helper()
	p.want(what...)
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.real && p.err == nil {
		p.changed.Wait()
	}
	if len(p.unread) > 0 || !errors.Is(p.err, io.EOF) {
		p.t.Fatalf("the server wrote\n\t%s\nwant the end of the connection", shown(string(p.unread), p.err))
	}
}

// wantCut checks that the connection has ended, however, without another byte.
func (p *peer) wantCut() {
	p.t.Helper()
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unread) > 0 || p.err == nil {
		p.t.Fatalf("the server wrote\n\t%s\nwant a cut connection", shown(string(p.unread), p.err))
	}
}

// wantGone checks that the server has closed both directions: it takes
// nothing more.
func (p *peer) wantGone() {
	p.t.Helper()
	p.wait()
	if _, err := io.WriteString(p.conn, " "); err == nil {
		p.t.Fatal("the server still holds the connection, want it closed")
	}
}

// skip forgets what has come.
func (p *peer) skip() {
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread = nil
}

// came is all that has come and was not wanted yet.
func (p *peer) came() string {
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.unread)
}

// cut breaks the connection as a network does.
func (p *peer) cut() { p.conn.(*ccstest.Conn).Reset() }

// hangUp closes the connection without a word.
func (p *peer) hangUp() { p.conn.Close() }

var ourHeader = regexp.MustCompile(`^<stream:stream from="([^"]*)" id="([0-9A-F]{16})" version="1\.0" xmlns:stream="http://etherx\.jabber\.org/streams" xmlns="jabber:client">`)

// wantHeader checks the server's header, and notes the stream's id.
func (p *peer) wantHeader(from string) {
	p.t.Helper()
	m := p.wantMatch(ourHeader)
	if m[1] != from {
		p.t.Fatalf("the header is from %q, want %q", m[1], from)
	}
	p.id = m[2]
}

// open opens a stream.
func (p *peer) open(features string) {
	p.t.Helper()
	p.write(header)
	p.wantHeader("gcm.googleapis.com")
	p.want(features)
}

// auth is a login with SASL PLAIN.
func auth(authzid, user, password string) string {
	text := base64.StdEncoding.EncodeToString([]byte(authzid + "\x00" + user + "\x00" + password))
	return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` + text + `</auth>`
}

// login opens a stream, logs in and opens the second stream.
func (p *peer) login(user string) {
	p.t.Helper()
	p.open(featuresLogin)
	p.write(auth("", user, key))
	p.want(success)
	p.open(featuresBind)
}

var bound = regexp.MustCompile(`^<iq type="result" id="b1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>([^<]*)</jid></bind></iq>`)

// bind asks for a JID.
func (p *peer) bind() {
	p.t.Helper()
	p.write(bindIQ)
	p.jid = p.wantMatch(bound)[1]
}

// bound logs a peer in as user, up to the bound stream, and no further.
func (srv *server) bound(t *testing.T, user string) *peer {
	t.Helper()
	p := srv.dial(t)
	p.login(user)
	p.bind()
	return p
}

// bind returns a bound stream that is ready for everything.
func (srv *server) bind(t *testing.T) *peer {
	t.Helper()
	return srv.bindAs(t, sender)
}

func (srv *server) bindAs(t *testing.T, user string) *peer {
	t.Helper()
	p := srv.bound(t, user)
	p.startSession()
	return p
}

func (p *peer) startSession() {
	p.t.Helper()
	p.write(sessionIQ)
	p.want(sessionEnd)
}

// wantSoundXML looks at everything that the server wrote to a peer.
func (p *peer) wantSoundXML() {
	p.mu.Lock()
	all := string(p.all)
	p.mu.Unlock()
	if strings.HasPrefix(all, "\x15") || strings.HasPrefix(all, "\x16") {
		return // a TLS alert, or half a handshake
	}
	first, second, _ := strings.Cut(all, success)
	for _, document := range []string{first, second} {
		if why := unsound(document); why != "" {
			p.t.Errorf("the server wrote %s:\n\t%s", why, document)
		}
	}
}

// unsound says what is wrong with a document that the server wrote: it is to
// be well-formed, as far as it goes, to have neither comments nor instructions
// nor a DTD, and never an empty id.
func unsound(document string) string {
	if strings.Contains(document, `id=""`) {
		return "an empty id"
	}
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		tok, err := d.Token()
		if err != nil {
			if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok && !strings.Contains(syntax.Msg, "EOF") {
				return err.Error()
			}
			return ""
		}
		switch tok.(type) {
		case xml.Comment, xml.ProcInst, xml.Directive:
			return fmt.Sprintf("%T", tok)
		}
	}
}

// shown cuts long bytes for a person, and tells how the connection ended.
func shown(s string, err error) string {
	if len(s) > 2000 {
		s = s[:2000] + fmt.Sprintf("… (%d bytes)", len(s))
	}
	if err == nil {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q and then the connection ended: %v", s, err)
}

// An offer is an upstream message or a receipt on its way.
type offer struct {
	mu      sync.Mutex // guards what follows
	ends    []ccsserver.Outcome
	streams []string // that it was written to
}

// offer hands an upstream message or a receipt to the server.
func (srv *server) offer(t *testing.T, m ccs.FromServer) *offer {
	t.Helper()
	o := &offer{}
	err := srv.Offer(sender, m, ccsserver.OfferOptions{
		Done: func(end ccsserver.Outcome) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.ends = append(o.ends, end)
		},
		Offered: func(stream string, n int) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.streams = append(o.streams, stream)
			if n != len(o.streams) {
				t.Errorf("told that it is offer %d, want %d", n, len(o.streams))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// want checks how an offer stands: 0 is undecided.
func (o *offer) want(t *testing.T, want ccsserver.Outcome, offers int) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	var got ccsserver.Outcome
	if len(o.ends) > 0 {
		got = o.ends[0]
	}
	if len(o.ends) > 1 {
		t.Errorf("the outcome was told %d times: %v", len(o.ends), o.ends)
	}
	if got != want {
		t.Fatalf("outcome %d, want %d", got, want)
	}
	if len(o.streams) != offers {
		t.Fatalf("offered to %v, want %d offers", o.streams, offers)
	}
}

func duration(d time.Duration) *time.Duration { return &d }

// dialTLS is dial through TLS.
func (srv *server) dialTLS(t *testing.T, config *tls.Config) *peer {
	t.Helper()
	return newPeer(t, tls.Client(srv.dialNet(t, nil), config))
}
