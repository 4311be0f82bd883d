package ccsclient_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/internal/ccstest"
)

const (
	endpoint  = "ccs.example:5235"
	serverKey = "AAAAserver:KEY"
	token     = "tokenOfADevice-0123456789"
	jid       = "1234@gcm.googleapis.com/given"
)

var credentials = ccsclient.Credentials{SenderID: "1234", Key: serverKey}

// A server is the scripted far end of a client, in a bubble: what it says is
// written byte by byte, what it reads is parsed by encoding/xml and
// encoding/json, so that no code of ours judges itself.
type server struct {
	t        *testing.T
	listener *ccstest.Listener
	mute     atomic.Bool // pings are handed to the test, else they are answered

	mu     sync.Mutex // guards what follows
	dials  []time.Time
	names  []string
	events []string
	refuse error // what Dial fails with, if not nil
}

func newServer(t *testing.T) *server {
	t.Helper()
	srv := &server{t: t, listener: ccstest.Listen()}
	t.Cleanup(func() { srv.listener.Close() })
	return srv
}

// play runs f in a bubble, with a server.
func play(t *testing.T, f func(t *testing.T, srv *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(t)) })
}

// options are those of a client that talks to srv; change may be nil. It dials
// at once wherever no test is about how dials are spread.
func (srv *server) options(change func(*ccsclient.Options)) *ccsclient.Options {
	opt := &ccsclient.Options{ClearText: true, Dial: srv.dial, ReconnectSpread: -1, Events: &ccsclient.Events{
		ReconnectFailed: func(err error) { srv.note("failed") },
		Odd:             func(_ ccsclient.Stream, what string) { srv.note("odd: " + what) },
	}}
	if change != nil {
		change(opt)
	}
	return opt
}

func (srv *server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	srv.mu.Lock()
	srv.dials = append(srv.dials, time.Now())
	srv.names = append(srv.names, network+" "+address)
	err := srv.refuse
	srv.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return srv.listener.Dial(ctx)
}

func (srv *server) setRefuse(err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.refuse = err
}

// dialled lists when the client dialled.
func (srv *server) dialled() []time.Time {
	synctest.Wait()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return slices.Clone(srv.dials)
}

func (srv *server) note(what string) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.events = append(srv.events, what)
}

// noted returns what was noted since it was asked last.
func (srv *server) noted() []string {
	synctest.Wait()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	events := srv.events
	srv.events = nil
	return events
}

// wantOdd wants exactly one report, with these words.
func (srv *server) wantOdd(words string) {
	srv.t.Helper()
	got := srv.noted()
	if len(got) != 1 || !strings.HasPrefix(got[0], "odd: ") || !strings.Contains(got[0], words) {
		srv.t.Fatalf("reported %q, want one report of %q", got, words)
	}
}

// pool makes a pool that runs until the test ends. Its goroutines must be gone
// by then: otherwise the bubble fails.
func (srv *server) pool(change func(*ccsclient.Options)) *client {
	srv.t.Helper()
	p, err := ccsclient.NewPool(endpoint, credentials, srv.options(change))
	if err != nil {
		srv.t.Fatal(err)
	}
	c := &client{Pool: p, t: srv.t, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(srv.t.Context())
	c.cancel = cancel
	go func() { c.ended <- p.Run(ctx) }()
	srv.t.Cleanup(func() { p.Close() })
	return c
}

// bound is a pool with its first stream logged in.
func (srv *server) bound(change func(*ccsclient.Options)) (*client, *stream) {
	srv.t.Helper()
	p := srv.pool(change)
	return p, srv.bind()
}

// session dials a session that runs until the test ends.
func (srv *server) session(change func(*ccsclient.Options)) (*ccsclient.Session, *stream, <-chan error) {
	srv.t.Helper()
	dialled := make(chan *ccsclient.Session, 1)
	go func() {
		s, err := ccsclient.Dial(srv.t.Context(), endpoint, credentials, srv.options(change))
		if err != nil {
			srv.t.Error(err)
		}
		dialled <- s
	}()
	st := srv.bind()
	s := <-dialled
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- s.Run(ctx) }()
	srv.t.Cleanup(cancel)
	return s, st, ended
}

// A list is what callbacks collect for the test.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(x T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, x)
}

// take returns what has come since it was called last.
func (l *list[T]) take() []T {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.items
	l.items = nil
	return items
}

// A client is a pool under test.
type client struct {
	*ccsclient.Pool
	t      *testing.T
	cancel context.CancelFunc // of Run's context
	ended  chan error         // what Run returned
}

// send hands a message over and lets it leave.
func (c *client) send(id ccs.MessageID) *sent { return c.sendCtx(context.Background(), msg(id)) }

func (c *client) sendCtx(ctx context.Context, m *ccs.Downstream) *sent {
	c.t.Helper()
	r := sendBy(ctx, c.t, c.Pool, m)
	synctest.Wait()
	return r
}

func sendBy(ctx context.Context, t *testing.T, by ccsclient.Sender, m *ccs.Downstream) *sent {
	r := &sent{t: t, id: m.MessageID, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.answer, r.err = by.Send(ctx, m)
	}()
	return r
}

// sendMany hands over numbered messages, from and to included.
func (c *client) sendMany(from, to int) []*sent {
	c.t.Helper()
	var all []*sent
	for i := from; i <= to; i++ {
		all = append(all, c.send(nth(i)))
	}
	return all
}

func nth(i int) ccs.MessageID { return ccs.MessageID(fmt.Sprintf("m-%d", i)) }

func ids(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, string(nth(i)))
	}
	return list
}

func msg(id ccs.MessageID) *ccs.Downstream { return &ccs.Downstream{To: token, MessageID: id} }

// A sent is a message that was handed over.
type sent struct {
	t      *testing.T
	id     ccs.MessageID
	done   chan struct{}
	answer ccsclient.Answer
	err    error
}

// wantAcked wants an ack, now.
func (r *sent) wantAcked() ccsclient.Answer {
	r.t.Helper()
	if err := r.result(); err != nil {
		r.t.Fatalf("%s: %v, want an ack", r.id, err)
	}
	if r.answer.Message == nil || r.answer.Message.MessageID != r.id {
		r.t.Fatalf("%s: the answer's message is %v", r.id, r.answer.Message)
	}
	return r.answer
}

// wantNack wants a nack with that code, now.
func (r *sent) wantNack(code ccs.Code) *ccs.NackError {
	r.t.Helper()
	nack, ok := errors.AsType[*ccs.NackError](r.result())
	if !ok || nack.Code != code {
		r.t.Fatalf("%s: %v, want a nack %s", r.id, r.err, code)
	}
	return nack
}

// wantErr wants that error, now.
func (r *sent) wantErr(want error) {
	r.t.Helper()
	if err := r.result(); !errors.Is(err, want) {
		r.t.Fatalf("%s: %v, want %v", r.id, err, want)
	}
}

// wantOpen wants no answer yet.
func (r *sent) wantOpen() {
	r.t.Helper()
	synctest.Wait()
	select {
	case <-r.done:
		r.t.Fatalf("%s has its answer already: %v", r.id, r.err)
	default:
	}
}

func (r *sent) result() error {
	r.t.Helper()
	synctest.Wait()
	select {
	case <-r.done:
	default:
		r.t.Fatalf("%s has no answer", r.id)
	}
	return r.err
}

// An element is a first-level element that the client wrote.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e *element) String() string {
	b, _ := xml.Marshal(e)
	return string(b)
}

// A stream is the server's end of one stream.
type stream struct {
	t    *testing.T
	srv  *server
	conn net.Conn
	in   *bufio.Reader
	dec  *xml.Decoder
	got  chan any // elements, then an error; written by the reading goroutine

	mu  sync.Mutex // guards raw
	raw []byte     // every byte that came
}

// Read notes what the client writes.
func (st *stream) Read(p []byte) (int, error) {
	n, err := st.conn.Read(p)
	st.mu.Lock()
	st.raw = append(st.raw, p[:n]...)
	st.mu.Unlock()
	return n, err
}

// bytes is every byte that came so far.
func (st *stream) bytes() string {
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	return string(st.raw)
}

// accept waits for the client's next connection.
func (srv *server) accept() *stream {
	srv.t.Helper()
	type accepted struct {
		conn net.Conn
		err  error
	}
	got := make(chan accepted, 1)
	go func() {
		conn, err := srv.listener.Accept()
		got <- accepted{conn, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			srv.t.Fatalf("accept: %v", a.err)
		}
		st := &stream{t: srv.t, srv: srv, conn: a.conn}
		st.in = bufio.NewReader(st)
		srv.t.Cleanup(func() { a.conn.Close() })
		return st
	case <-time.After(10 * time.Minute):
		srv.listener.Close()
		<-got
		srv.t.Fatal("the client does not connect")
		return nil
	}
}

// wantNoDial wants that the client does not connect for that long.
func (srv *server) wantNoDial(d time.Duration) {
	srv.t.Helper()
	before := len(srv.dialled())
	time.Sleep(d)
	if after := len(srv.dialled()); after != before {
		srv.t.Fatalf("%d connections within %v, want none", after-before, d)
	}
}

// header reads the header of a document.
func (st *stream) header() xml.StartElement {
	st.t.Helper()
	st.dec = xml.NewDecoder(st.in)
	for {
		tok, err := st.dec.Token()
		if err != nil {
			st.t.Fatalf("no header: %v", err)
		}
		if start, ok := tok.(xml.StartElement); ok {
			return start
		}
	}
}

// element reads one element while the client logs in.
func (st *stream) element() *element {
	st.t.Helper()
	el, err := st.read()
	if err != nil {
		st.t.Fatalf("no element: %v", err)
	}
	return el
}

func (st *stream) read() (*element, error) {
	for {
		tok, err := st.dec.Token()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			var el element
			return &el, st.dec.DecodeElement(&el, &tok)
		case xml.EndElement:
			return nil, errGoodbye
		case xml.CharData:
			if len(strings.TrimSpace(string(tok))) > 0 {
				return nil, fmt.Errorf("text between stanzas: %q", tok)
			}
		default:
			return nil, fmt.Errorf("a %T in the stream", tok)
		}
	}
}

// streamID is in both headers.
const streamID = "AF8BB607948BF55F"

var errGoodbye = errors.New("</stream:stream>")

const (
	serverHeader  = `<stream:stream from="gcm.googleapis.com" id="` + streamID + `" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`
	loginFeatures = `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>X-OAUTH2</mechanism><mechanism>X-GOOGLE-TOKEN</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>`
	success       = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	bindFeatures  = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`
	boundResult   = `<iq type="result" id="%s"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>` + jid + `</jid></bind></iq>`
)

// bind accepts a connection and logs it in as Google did.
func (srv *server) bind() *stream {
	srv.t.Helper()
	st := srv.accept()
	st.login(loginFeatures, bindFeatures, boundResult)
	if el := st.element(); len(el.Children) != 1 || el.Children[0].XMLName.Local != "session" {
		srv.t.Fatalf("%s, want the request for a session", el)
	} else {
		st.write(`<iq type="result" id="` + el.attr("id") + `"/>`)
	}
	return st.ready()
}

// login plays the login, up to the answer to bind.
func (st *stream) login(first, second, bound string) {
	st.t.Helper()
	st.secondHeader(first)
	st.write(second)
	st.write(fmt.Sprintf(bound, st.element().attr("id")))
}

// secondHeader plays the login up to the server's second header.
func (st *stream) secondHeader(features string) {
	st.t.Helper()
	st.auth(features)
	st.write(success)
	st.header()
	st.write(serverHeader)
}

// auth plays the login up to the client's credentials, which it returns.
func (st *stream) auth(features string) (plain string) {
	st.t.Helper()
	st.header()
	st.write(serverHeader + features)
	el := st.element()
	if el.XMLName != (xml.Name{Space: "urn:ietf:params:xml:ns:xmpp-sasl", Local: "auth"}) || el.attr("mechanism") != "PLAIN" {
		st.t.Fatalf("%s, want a login by PLAIN", el)
	}
	b, err := base64.StdEncoding.DecodeString(el.Text)
	if err != nil {
		st.t.Fatal(err)
	}
	return string(b)
}

// ready begins to read stanzas; afterwards the client is bound.
func (st *stream) ready() *stream {
	st.got = make(chan any, 10_000)
	go func() {
		for {
			el, err := st.read()
			if err != nil {
				st.got <- err
				if errors.Is(err, errGoodbye) {
					// What follows the closing tag is the connection's end.
					_, err = st.in.ReadByte()
					st.got <- err
				}
				return
			}
			if el.XMLName.Local == "iq" && el.attr("type") == "get" && !st.srv.mute.Load() {
				io.WriteString(st.conn, `<iq type="result" id="`+el.attr("id")+`"/>`)
				continue
			}
			st.got <- el
		}
	}()
	synctest.Wait()
	return st
}

// write writes bytes as they are.
func (st *stream) write(s string) {
	st.t.Helper()
	if _, err := io.WriteString(st.conn, s); err != nil {
		st.t.Fatalf("write: %v", err)
	}
}

// next is the client's next element, or the stream's end.
func (st *stream) next() any {
	st.t.Helper()
	select {
	case x := <-st.got:
		return x
	case <-time.After(10 * time.Minute):
		st.t.Fatal("the client writes nothing")
		return nil
	}
}

// stanza is the client's next element.
func (st *stream) stanza() *element {
	st.t.Helper()
	x := st.next()
	el, ok := x.(*element)
	if !ok {
		st.t.Fatalf("the stream ended: %v", x)
	}
	return el
}

// payload is the JSON of the client's next stanza, which must be a message.
func (st *stream) payload() map[string]any {
	st.t.Helper()
	return st.payloadOf(st.stanza())
}

func (st *stream) payloadOf(el *element) map[string]any {
	st.t.Helper()
	if el.XMLName != (xml.Name{Space: "jabber:client", Local: "message"}) || len(el.Children) != 1 ||
		el.Children[0].XMLName != (xml.Name{Space: "google:mobile:data", Local: "gcm"}) {
		st.t.Fatalf("%s, want a message with one payload", el)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(el.Children[0].Text), &m); err != nil {
		st.t.Fatalf("%s: %v", el, err)
	}
	return m
}

// want wants downstream messages with these ids, in this order.
func (st *stream) want(ids ...string) {
	st.t.Helper()
	for _, id := range ids {
		m := st.payload()
		if m["message_type"] != nil || m["message_id"] != id {
			st.t.Fatalf("%v, want the downstream message %s", m, id)
		}
	}
}

// wantAck wants the ack of an upstream message.
func (st *stream) wantAck(to, id string) {
	st.t.Helper()
	m := st.payload()
	if len(m) != 3 || m["message_type"] != "ack" || m["to"] != to || m["message_id"] != id {
		st.t.Fatalf("%v, want the ack of %s to %s", m, id, to)
	}
}

// wantQuiet wants that the client has written nothing more.
func (st *stream) wantQuiet() {
	st.t.Helper()
	synctest.Wait()
	select {
	case x := <-st.got:
		if el, ok := x.(*element); ok {
			x = el.String()
		}
		st.t.Fatalf("the client wrote %v, want nothing", x)
	default:
	}
}

// wantEnd wants that the client's end of the connection is closed, without a
// closing tag.
func (st *stream) wantEnd() {
	st.t.Helper()
	if err, ok := st.next().(error); !ok || errors.Is(err, errGoodbye) {
		st.t.Fatalf("%v, want the end of the connection", err)
	}
}

// wantGoodbye wants the closing tag and nothing behind it.
func (st *stream) wantGoodbye() {
	st.t.Helper()
	if x := st.next(); x != any(errGoodbye) {
		st.t.Fatalf("%v, want the closing tag", x)
	}
	if x := st.next(); x != any(io.EOF) {
		st.t.Fatalf("%v behind the closing tag, want the end of the connection", x)
	}
}

// say writes an answer or a control, as Google did, and lets it arrive.
func (st *stream) say(payload string) {
	st.t.Helper()
	st.write(`<message><data:gcm xmlns:data="google:mobile:data">` + payload + `</data:gcm></message>`)
	synctest.Wait()
}

func (st *stream) ack(ids ...string) {
	st.t.Helper()
	for _, id := range ids {
		st.say(`{"message_type":"ack","from":"` + token + `","message_id":"` + id + `"}`)
	}
}

func (st *stream) nack(id string, code ccs.Code, text string) {
	st.t.Helper()
	st.say(`{"message_type":"nack","from":"` + token + `","message_id":"` + id + `","error":"` + string(code) + `","error_description":"` + text + `"}`)
}

func (st *stream) control() {
	st.t.Helper()
	st.say(`{"message_type":"control","control_type":"CONNECTION_DRAINING"}`)
}

// device writes a message as it comes from a device.
func (st *stream) device(payload string) {
	st.t.Helper()
	st.write(`<message to="1234@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">` + payload + `</gcm></message>`)
	synctest.Wait()
}

func (st *stream) upstream(from, id string) {
	st.t.Helper()
	st.device(`{"data":{"action":"X","k":"v"},"time_to_live":10,"from":"` + from + `","message_id":"` + id + `","category":"com.example.app"}`)
}

func (st *stream) receipt(id string) {
	st.t.Helper()
	st.device(`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"` + id +
		`","device_registration_id":"` + token + `","message_sent_timestamp":"1498801519251"},"message_id":"dr2:` + id +
		`","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`)
}

// cut breaks the connection as a network does; hangUp closes it.
func (st *stream) cut()    { st.conn.(*ccstest.Conn).Reset(); synctest.Wait() }
func (st *stream) hangUp() { st.conn.Close(); synctest.Wait() }

// goodbye ends the stream in order.
func (st *stream) goodbye() {
	st.t.Helper()
	st.write(`</stream:stream>`)
	synctest.Wait()
}
