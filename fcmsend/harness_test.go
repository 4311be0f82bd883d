package fcmsend_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/ccstest"
	"penstock/internal/localca"
)

const (
	project     = fcm.ProjectID("shop-1")
	accessToken = "ya29.canary-access-token"
	device      = "canaryDeviceToken:APA91b-0123456789"
	success     = `{"name": "projects/shop-1/messages/0:15%31ab"}`
	sendPath    = "/v1/projects/shop-1/messages:send"
)

// A far is the scripted far end: FCM, and any other host that a test needs. It
// is written on frames, so that each of them is what the test wants, and knows
// nothing of the code it judges.
type far struct {
	t    *testing.T
	ca   *localca.CA
	cert tls.Certificate

	conns chan *farConn // accepted and greeted; as many as a test can want

	// Set before the first connection.
	alpn     []string         // nil: h2
	settings []http2.Setting  // of each connection
	silent   bool             // no SETTINGS are sent
	stingy   bool             // no window is given back
	handle   func(r *request) // answers; nil: the test asks for requests

	hosts map[string]*ccstest.Listener

	mu    sync.Mutex // guards what follows
	dials []time.Time
	fail  error // what each dial ends with, if not nil
	open  []net.Conn
}

// play runs f in a bubble, with a far end.
func play(t *testing.T, f func(t *testing.T, w *far)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newFar(t)) })
}

func newFar(t *testing.T) *far {
	t.Helper()
	ca, err := localca.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &far{t: t, ca: ca, cert: cert, conns: make(chan *farConn, 1000), hosts: map[string]*ccstest.Listener{}}
	l := w.host("fcm.googleapis.com:443")
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(nc)
		}
	}()
	t.Cleanup(func() {
		for _, l := range w.hosts {
			l.Close()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, nc := range w.open {
			nc.Close()
		}
	})
	return w
}

// host makes dials to the address succeed.
func (w *far) host(address string) *ccstest.Listener {
	l := ccstest.Listen()
	w.hosts[address] = l
	return l
}

// sender makes a sender that talks to w.
func (w *far) sender(opt *fcmsend.Options) *fcmsend.Sender {
	w.t.Helper()
	return w.senderWith(fcmsend.Static(accessToken), opt)
}

func (w *far) senderWith(cred fcmsend.Credentials, opt *fcmsend.Options) *fcmsend.Sender {
	w.t.Helper()
	s, err := fcmsend.New(project, cred, w.options(opt))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

func (w *far) options(opt *fcmsend.Options) *fcmsend.Options {
	if opt == nil {
		opt = &fcmsend.Options{}
	}
	opt.Dial = w.dial
	opt.TLS = &tls.Config{RootCAs: w.ca.Pool()}
	return opt
}

func (w *far) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, time.Now())
	fail, l := w.fail, w.hosts[address]
	w.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	if l == nil {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	nc, err := l.Dial(ctx)
	if err == nil {
		w.mu.Lock()
		w.open = append(w.open, nc)
		w.mu.Unlock()
	}
	return nc, err
}

func (w *far) setFail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// dialled tells when connections were asked for.
func (w *far) dialled() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.dials...)
}

// A farConn is the far end of one connection.
type farConn struct {
	w       *far
	raw     *ccstest.Conn
	nc      net.Conn
	framer  *http2.Framer
	began   time.Time
	arrived chan *request // those that w.handle does not take

	wmu sync.Mutex // guards writing, and enc
	enc *hpack.Encoder
	buf bytes.Buffer

	mu     sync.Mutex                 // guards what follows
	bounds map[http2.SettingID]uint32 // the sender's SETTINGS
	resets map[uint32]http2.ErrCode
	pings  []time.Time
	pongs  [][8]byte // answers to pings
	acks   int       // of our SETTINGS
	window int64     // what we may send on all streams, by the sender's frames
	mute   bool
	halted chan struct{} // reading stops while it is there
	open   int           // requests that are not answered
	most   int
	ended  error // why reading ended
	over   chan struct{}
}

// A request is what has arrived on one stream.
type request struct {
	*farConn
	id     uint32
	header map[string]string
	body   []byte
	whole  bool
	at     time.Time
}

func (w *far) serve(raw net.Conn) {
	w.mu.Lock()
	w.open = append(w.open, raw)
	w.mu.Unlock()
	alpn := w.alpn
	if alpn == nil {
		alpn = []string{"h2"}
	}
	nc := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{w.cert}, NextProtos: alpn})
	if nc.Handshake() != nil {
		raw.Close()
		return
	}
	c := &farConn{
		w: w, raw: raw.(*ccstest.Conn), nc: nc, began: time.Now(), arrived: make(chan *request, 10_000),
		resets: map[uint32]http2.ErrCode{}, over: make(chan struct{}), window: 65535,
	}
	c.enc = hpack.NewEncoder(&c.buf)
	if nc.ConnectionState().NegotiatedProtocol != "h2" {
		w.conns <- c
		return
	}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != http2.ClientPreface {
		w.t.Errorf("preface %q, %v", preface, err)
		return
	}
	c.framer = http2.NewFramer(nc, nc)
	c.framer.SetMaxReadFrameSize(16 << 10) // as long as SETTINGS say nothing else
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if !w.silent {
		c.write(func(f *http2.Framer) error { return f.WriteSettings(w.settings...) })
	}
	w.conns <- c
	c.read()
}

// read takes frames until the connection ends.
func (c *farConn) read() {
	defer close(c.over)
	streams := map[uint32]*request{}
	for {
		frame, err := c.framer.ReadFrame()
		c.mu.Lock()
		halted := c.halted
		c.mu.Unlock()
		if halted != nil {
			<-halted
			return
		}
		if err != nil {
			c.mu.Lock()
			c.ended = err
			c.mu.Unlock()
			return
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			r := &request{farConn: c, id: f.StreamID, header: map[string]string{}, at: time.Now()}
			for _, field := range f.Fields {
				if _, twice := r.header[field.Name]; twice {
					c.w.t.Errorf("header %s came twice", field.Name)
				}
				r.header[field.Name] = field.Value
			}
			streams[r.id] = r
			c.mu.Lock()
			c.open++
			c.most = max(c.most, c.open)
			c.mu.Unlock()
			if f.StreamEnded() {
				c.w.t.Errorf("stream %d has no body", r.id)
			}
		case *http2.DataFrame:
			r := streams[f.StreamID]
			if r == nil {
				c.w.t.Errorf("DATA on stream %d, which is not open", f.StreamID)
				continue
			}
			r.body = append(r.body, f.Data()...)
			if n := f.Length; n > 0 && !c.w.stingy && !c.w.silent {
				c.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, n) })
			}
			if f.StreamEnded() {
				delete(streams, f.StreamID)
				r.whole = true
				if c.w.handle != nil {
					c.w.handle(r)
				} else {
					c.arrived <- r
				}
			}
		case *http2.RSTStreamFrame:
			c.mu.Lock()
			c.resets[f.StreamID] = f.ErrCode
			c.open--
			c.mu.Unlock()
			delete(streams, f.StreamID)
		case *http2.SettingsFrame:
			if f.IsAck() {
				c.mu.Lock()
				c.acks++
				c.mu.Unlock()
				if w := c.w; len(w.settings) > 0 && w.settings[0].ID == http2.SettingHeaderTableSize {
					// From here on the sender must do with it.
					c.framer.ReadMetaHeaders.SetMaxDynamicTableSize(min(w.settings[0].Val, 4096))
				}
				continue
			}
			c.mu.Lock()
			c.bounds = map[http2.SettingID]uint32{}
			f.ForeachSetting(func(s http2.Setting) error {
				c.bounds[s.ID] = s.Val
				return nil
			})
			c.mu.Unlock()
			if !c.w.silent { // an ack must not come before SETTINGS
				c.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				c.mu.Lock()
				c.window += int64(f.Increment)
				c.mu.Unlock()
			}
		case *http2.PingFrame:
			if f.IsAck() {
				c.mu.Lock()
				c.pongs = append(c.pongs, f.Data)
				c.mu.Unlock()
				continue
			}
			c.mu.Lock()
			c.pings = append(c.pings, time.Now())
			mute := c.mute
			c.mu.Unlock()
			if !mute {
				data := f.Data
				c.write(func(f *http2.Framer) error { return f.WritePing(true, data) })
			}
		}
	}
}

// write sends frames. Towards a sender that has closed nothing is written.
func (c *farConn) write(f func(*http2.Framer) error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	f(c.framer)
}

func (c *farConn) setMute(mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = mute
}

// halt lets the far end read nothing more, after the frame that comes next.
func (c *farConn) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halted = make(chan struct{})
	c.w.t.Cleanup(func() { close(c.halted) })
}

func (c *farConn) pinged() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Time(nil), c.pings...)
}

func (c *farConn) resetOf(id uint32) (http2.ErrCode, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	code, ok := c.resets[id]
	return code, ok
}

// isOver reports whether the sender has closed the connection.
func (c *farConn) isOver() bool {
	synctest.Wait()
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// head sends the header of an answer: pairs of name and value.
func (r *request) head(status int, end bool, fields ...string) {
	c := r.farConn
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.buf.Reset()
	c.enc.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	for i := 0; i+1 < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: r.id, BlockFragment: c.buf.Bytes(), EndHeaders: true, EndStream: end})
}

// data sends a piece of an answer's body.
func (r *request) data(text string, end bool) {
	r.write(func(f *http2.Framer) error {
		for len(text) > 16<<10 {
			if err := f.WriteData(r.id, false, []byte(text[:16<<10])); err != nil {
				return err
			}
			text = text[16<<10:]
		}
		return f.WriteData(r.id, end, []byte(text))
	})
}

// answer sends a whole answer.
func (r *request) answer(status int, body string, fields ...string) {
	r.mu.Lock()
	r.open--
	r.mu.Unlock()
	r.head(status, false, append([]string{"content-type", "application/json; charset=UTF-8", "content-length", strconv.Itoa(len(body))}, fields...)...)
	r.data(body, true)
}

func (r *request) accept() { r.answer(200, success) }

// cancel resets the stream.
func (r *request) cancel(code http2.ErrCode) {
	r.mu.Lock()
	r.open--
	r.mu.Unlock()
	r.write(func(f *http2.Framer) error { return f.WriteRSTStream(r.id, code) })
}

func (c *farConn) goAway(last uint32, code http2.ErrCode, debug string) {
	c.write(func(f *http2.Framer) error { return f.WriteGoAway(last, code, []byte(debug)) })
}

// conn is the next connection.
func (w *far) conn() *farConn {
	w.t.Helper()
	select {
	case c := <-w.conns:
		return c
	case <-time.After(time.Hour):
		w.t.Fatal("no connection within an hour")
		return nil
	}
}

// noConn makes sure that no connection is waiting.
func (w *far) noConn() {
	w.t.Helper()
	synctest.Wait()
	select {
	case <-w.conns:
		w.t.Fatal("a connection that nobody needs")
	default:
	}
}

// request is the next one on c.
func (c *farConn) request() *request {
	c.w.t.Helper()
	select {
	case r := <-c.arrived:
		return r
	case <-time.After(time.Hour):
		c.w.t.Fatal("no request within an hour")
		return nil
	}
}

// noRequest makes sure that none is waiting on c.
func (c *farConn) noRequest() {
	c.w.t.Helper()
	synctest.Wait()
	select {
	case r := <-c.arrived:
		c.w.t.Fatalf("request on stream %d; want none", r.id)
	default:
	}
}

// A sending is one call of Send that is under way.
type sending struct {
	t      *testing.T
	done   chan struct{}
	result fcmsend.Result
	err    error
	took   time.Duration
}

// send calls Send on a goroutine of its own.
func send(t *testing.T, s *fcmsend.Sender, r *fcm.SendRequest) *sending {
	return sendWith(t.Context(), t, s, r)
}

func sendWith(ctx context.Context, t *testing.T, s *fcmsend.Sender, r *fcm.SendRequest) *sending {
	p := &sending{t: t, done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(p.done)
		p.result, p.err = s.Send(ctx, r)
		p.took = time.Since(began)
	}()
	return p
}

// wait returns how Send ended.
func (p *sending) wait() (fcmsend.Result, error) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(3 * time.Hour):
		p.t.Fatal("Send does not return")
	}
	return p.result, p.err
}

// wantAccepted makes sure that Send ended well.
func (p *sending) wantAccepted() {
	p.t.Helper()
	if r, err := p.wait(); err != nil || !strings.HasPrefix(r.Name, "projects/") {
		p.t.Fatalf("Send = %+v, %v; want it accepted", r, err)
	}
}

// wantError makes sure that Send failed in that class, and returns the error.
func (p *sending) wantError(class fcm.Class, unknown bool) *fcm.SendError {
	p.t.Helper()
	r, err := p.wait()
	return wantError(p.t, r, err, class, unknown)
}

func wantError(t *testing.T, r fcmsend.Result, err error, class fcm.Class, unknown bool) *fcm.SendError {
	t.Helper()
	if err == nil {
		t.Fatalf("Send = %+v; want %v", r, class)
	}
	e, ok := errors.AsType[*fcm.SendError](err)
	if !ok {
		t.Fatalf("error %T %v; want a *fcm.SendError", err, err)
	}
	if e.Class != class || e.OutcomeUnknown != unknown {
		t.Fatalf("error %v; want %v, outcome unknown %v", err, class, unknown)
	}
	if e.Reply != nil && e.Reply.HTTPStatus == 0 {
		t.Errorf("error %v with a reply that nobody gave", err)
	}
	if r != (fcmsend.Result{}) {
		t.Errorf("result %+v beside an error", r)
	}
	return e
}

func (p *sending) wantPending() {
	p.t.Helper()
	synctest.Wait()
	select {
	case <-p.done:
		p.t.Fatalf("Send = %+v, %v; want it to wait", p.result, p.err)
	default:
	}
}

func toToken(data ...string) *fcm.SendRequest {
	m := &fcm.Message{Token: device}
	if len(data) > 0 {
		m.Data = map[string]string{}
		for i := 0; i+1 < len(data); i += 2 {
			m.Data[data[i]] = data[i+1]
		}
	}
	return &fcm.SendRequest{Message: m}
}

// errorBody is FCM's error reply with these details.
func errorBody(code int, status, message string, details ...string) string {
	text := fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q`, code, message, status)
	if len(details) > 0 {
		text += `,"details":[` + strings.Join(details, ",") + `]`
	}
	return text + "}}"
}

func fcmError(code string) string {
	return `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"` + code + `"}`
}

func errorInfo(reason string) string {
	return `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + reason + `","domain":"googleapis.com"}`
}

// A credentialsFunc gives what the function gives.
type credentialsFunc func(context.Context) (fcmsend.Token, error)

func (f credentialsFunc) Token(ctx context.Context, _ *http.Client) (fcmsend.Token, error) {
	return f(ctx)
}

func itoa(n int) string { return strconv.Itoa(n) }
