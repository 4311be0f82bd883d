package bench

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A v1far is the least that can answer HTTP v1: it reads HTTP/2 frames, looks
// whether a request is one that FCM would take by its header, and accepts
// whatever its body says. All answers to what one read brought are one write.
// What a client reaches against it is the client's limit.
type v1far struct {
	delay    time.Duration
	sleep    func(time.Duration)
	answered atomic.Int64
	refused  atomic.Int64 // requests that were none for messages:send
	pending  atomic.Int64 // the most that any connection had unanswered
	open     atomic.Int64 // connections that have asked something
	conns    atomic.Int64 // the most of them at a time
}

func playV1Far(t task) error {
	config, err := serverConfig(t.Dir)
	if err != nil {
		return err
	}
	config.NextProtos = []string{http2.NextProtoTLS}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	tokens, err := serveTokens(t.Dir)
	if err != nil {
		return err
	}
	far := &v1far{delay: t.Delay, sleep: sleep}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go far.serve(conn)
		}
	}()
	say(result{Addr: l.Addr().String(), TokenAddr: tokens})
	var meter meter
	var before int64
	return obey(func(command string) result {
		if command == commandMark {
			meter, before = startMeter(), far.answered.Load()
			return result{}
		}
		r := meter.read(int(far.answered.Load() - before))
		r.Pending, r.Conns = int(far.pending.Load()), int(far.conns.Load())
		if n := far.refused.Load(); n > 0 {
			r.Error = fmt.Sprintf("%d requests were none for %s with the right access token", n, v1Path)
		}
		return r
	})
}

// serveTokens gives access tokens to whoever asks, as Google's token endpoint
// does for a service account, and returns its address.
func serveTokens(dir string) (string, error) {
	config, err := serverConfig(dir)
	if err != nil {
		return "", err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return "", err
	}
	srv := &http.Server{ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3599}`, accessToken)
		})}
	go func() { _ = srv.Serve(l) }() // as long as the process lasts
	return l.Addr().String(), nil
}

// The answers, with the stream's id left out.
var (
	v1Accepted = newReply("200", `{"name":"projects/`+string(project)+`/messages/0:1700000000000000%0123456789abcdef"}`)
	v1Unknown  = newReply("404", `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}`)
)

// A reply is two frames, HEADERS and DATA, whose ids are filled in.
type reply struct {
	frames []byte
	ids    [2]int // where
	data   int64  // bytes of the window
}

func newReply(status, body string) *reply {
	var block blockBuffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [...]hpack.HeaderField{
		// No table holds them, so that the bytes are the same each time.
		{Name: ":status", Value: status, Sensitive: true},
		{Name: "content-type", Value: "application/json; charset=UTF-8", Sensitive: true},
	} {
		_ = enc.WriteField(f) // into memory
	}
	r := &reply{data: int64(len(body))}
	r.frames = appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, block...)
	r.ids = [2]int{5, len(r.frames) + 5}
	r.frames = appendFrame(r.frames, http2.FrameData, http2.FlagDataEndStream, 0, []byte(body)...)
	return r
}

func (r *reply) append(dst []byte, id uint32) []byte {
	at := len(dst)
	dst = append(dst, r.frames...)
	for _, i := range r.ids {
		binary.BigEndian.PutUint32(dst[at+i:], id)
	}
	return dst
}

// A v1conn is one connection of the far end's. The reader's goroutine takes
// frames; where answers are due later, another one writes them.
type v1conn struct {
	far *v1far
	nc  net.Conn

	// The reader's.
	dec      *hpack.Decoder
	block    []byte // of a header whose end has not come
	ended    bool   // that header is all of the request
	known    []byte // the block of a request to be accepted, as long as the table stays as it is
	request  struct{ method, path, auth string }
	received uint32          // bytes of bodies that the client does not know we have read
	unknown  map[uint32]bool // streams whose requests are none for messages:send
	asked    bool            // something
	due      []answer        // of this read

	pending atomic.Int64 // requests without an answer

	mu     sync.Mutex // guards what follows
	out    []byte
	window int64 // bytes of bodies that the client takes
	held   []answer
}

type answer struct {
	id    uint32
	reply *reply
}

// serve answers one connection until it ends, by whatever cause: the client sees
// that it does.
func (far *v1far) serve(nc net.Conn) {
	defer nc.Close()
	if err := readPreface(nc); err != nil {
		return
	}
	c := &v1conn{far: far, nc: nc, window: 65535, unknown: make(map[uint32]bool)}
	c.dec = hpack.NewDecoder(4096, c.field)
	settings := appendSetting(nil, http2.SettingMaxConcurrentStreams, maxStreams)
	settings = appendSetting(settings, http2.SettingInitialWindowSize, 1<<20)
	c.out = appendFrame(c.out, http2.FrameSettings, 0, 0, settings...)
	c.out = appendWindowUpdate(c.out, 1<<24)
	defer func() {
		if c.asked {
			far.open.Add(-1)
		}
	}()
	if far.delay == 0 {
		_ = readFrames(nc, c.take, func() error {
			err := c.answer(c.due)
			c.due = c.due[:0]
			return err
		})
		return
	}
	later := make(chan lateAnswers, maxStreams) // no connection has more unanswered
	done := make(chan struct{})
	go func() {
		defer close(done)
		for l := range later {
			far.sleep(time.Until(l.at))
			if c.answer(l.answers) != nil {
				nc.Close() // which ends the reading, too
			}
		}
	}()
	_ = readFrames(nc, c.take, func() error {
		if len(c.due) > 0 {
			later <- lateAnswers{time.Now().Add(far.delay), c.due}
			c.due = nil
		}
		return c.answer(nil)
	})
	close(later)
	<-done
}

type lateAnswers struct {
	at      time.Time
	answers []answer
}

// answer writes these answers, as many as the client's window takes, and what
// else is to be said.
func (c *v1conn) answer(answers []answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = append(c.held, answers...)
	n := 0
	for _, a := range c.held {
		if c.window < a.reply.data {
			break
		}
		c.window -= a.reply.data
		c.out = a.reply.append(c.out, a.id)
		if a.reply == v1Accepted {
			c.far.answered.Add(1)
		}
		n++
	}
	c.pending.Add(-int64(n))
	c.held = append(c.held[:0], c.held[n:]...)
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *v1conn) control(frames []byte) {
	c.mu.Lock()
	c.out = append(c.out, frames...)
	c.mu.Unlock()
}

// take takes one frame. What a client may say and nobody needs here is passed over.
func (c *v1conn) take(f frame) error {
	switch f.kind {
	case http2.FrameHeaders:
		block, err := f.plain()
		if err != nil {
			return err
		}
		c.block, c.ended = append(c.block[:0], block...), f.flags.Has(http2.FlagHeadersEndStream)
		return c.header(f)
	case http2.FrameContinuation:
		if c.block = append(c.block, f.payload...); len(c.block) > 64<<10 {
			return errFrame
		}
		return c.header(f)
	case http2.FrameData:
		if c.received += uint32(len(f.payload)); c.received >= 1<<20 {
			c.control(appendWindowUpdate(nil, c.received))
			c.received = 0
		}
		if f.flags.Has(http2.FlagDataEndStream) {
			c.asks(f.id)
		}
	case http2.FrameSettings:
		if !f.flags.Has(http2.FlagSettingsAck) {
			c.control(appendFrame(nil, http2.FrameSettings, http2.FlagSettingsAck, 0))
		}
	case http2.FramePing:
		if !f.flags.Has(http2.FlagPingAck) {
			c.control(appendFrame(nil, http2.FramePing, http2.FlagPingAck, 0, f.payload...))
		}
	case http2.FrameWindowUpdate:
		if len(f.payload) != 4 {
			return errFrame
		}
		if f.id == 0 {
			c.mu.Lock()
			c.window += int64(binary.BigEndian.Uint32(f.payload) & (1<<31 - 1))
			c.mu.Unlock()
		}
	}
	return nil
}

// header reads a header whose end has come with f, if it has.
func (c *v1conn) header(f frame) error {
	if !f.flags.Has(http2.FlagHeadersEndHeaders) {
		return nil
	}
	if len(c.known) == 0 || !bytes.Equal(c.block, c.known) {
		c.request.method, c.request.path, c.request.auth = "", "", ""
		if _, err := c.dec.Write(c.block); err != nil {
			return err
		}
		if err := c.dec.Close(); err != nil {
			return err
		}
		switch r := c.request; {
		case r.method == "POST" && r.path == v1Path && r.auth == "Bearer "+accessToken:
			if c.known = c.known[:0]; inert(c.block) {
				c.known = append(c.known, c.block...)
			}
		default:
			c.far.refused.Add(1)
			c.known = c.known[:0] // the block may have changed the table
			c.unknown[f.id] = true
		}
	}
	if c.ended {
		c.asks(f.id)
	}
	return nil
}

func (c *v1conn) field(f hpack.HeaderField) {
	switch f.Name {
	case ":method":
		c.request.method = f.Value
	case ":path":
		c.request.path = f.Value
	case "authorization":
		c.request.auth = f.Value
	}
}

// asks notes that a request has come to its end.
func (c *v1conn) asks(id uint32) {
	r := v1Accepted
	if len(c.unknown) > 0 && c.unknown[id] {
		r = v1Unknown
		delete(c.unknown, id)
	}
	c.due = append(c.due, answer{id, r})
	noteMost(&c.far.pending, c.pending.Add(1))
	if !c.asked {
		c.asked = true
		noteMost(&c.far.conns, c.far.open.Add(1))
	}
}

// inert reports whether a block that was decoded has left the table as it was: it
// consists of indexes, and of literals that no table takes (RFC 7541, 6).
func inert(block []byte) bool {
	for len(block) > 0 {
		b := block[0]
		switch {
		case b&0x80 != 0:
			_, block = number(block, 7)
			continue
		case b&0xe0 != 0:
			return false
		}
		name, rest := number(block, 4)
		if name == 0 {
			rest = skipText(rest)
		}
		block = skipText(rest)
	}
	return true
}

// number reads an integer with a prefix of so many bits (RFC 7541, 5.1).
func number(block []byte, bits int) (int, []byte) {
	most := 1<<bits - 1
	n, block := int(block[0])&most, block[1:]
	if n < most {
		return n, block
	}
	for shift := 0; len(block) > 0 && shift < 28; shift += 7 {
		b := block[0]
		n, block = n+int(b&0x7f)<<shift, block[1:]
		if b&0x80 == 0 {
			break
		}
	}
	return n, block
}

func skipText(block []byte) []byte {
	if len(block) == 0 {
		return nil
	}
	n, rest := number(block, 7)
	return rest[min(n, len(rest)):]
}
