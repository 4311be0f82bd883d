package ccsserver_test

import (
	"cmp"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

// The known attacks, each in a test that begins with its number.
// This file is the frame that they are played in: an attacker whose bytes cost
// the test no memory, and an app server of another sender id beside it that
// must not notice.

// A stage is how far the attacker has come with its login.
type stage int

const (
	fresh   stage = iota // nothing has been said
	opened               // the first stream is open
	inside               // logged in, and the second header is not written yet
	unbound              // the second stream is open
	live                 // bound
)

func (s stage) String() string {
	return [...]string{"before the header", "before the login", "before the second header", "before bind", "behind bind"}[s]
}

// Where attacks make sense.
var (
	anywhere    = []stage{fresh, opened, inside, unbound, live}
	inHeaders   = []stage{fresh, inside}
	inStanzas   = []stage{opened, unbound, live}
	beforeLogin = []stage{opened}
	beforeBind  = []stage{opened, unbound}
	behindLogin = []stage{unbound, live}
	behindBind  = []stage{live}
)

// An attack is what a peer writes at one of some stages, and what comes of it.
type attack struct {
	name  string
	at    []stage
	bytes string // and behind them, so many times:
	again string
	times int

	answer outcome
	// taken is how many of the bytes the server may have read when it gives
	// its answer; 0 sets no bound. Nothing beyond them is ever looked at.
	taken int
	// cost is how much may be allocated, mayAllocate if it is 0.
	cost uint64
}

// An outcome is what the server writes at once, to the byte, and what follows.
type outcome func(p *peer, at stage) (bytes string, ending ending)

type ending int

const (
	closes ending = iota // the connection ends in order, right behind the bytes
	fails                // half a second later the closing tag, then as closes
	lives                // the stream is as good as before
)

// streamError ends a stream: condition, text for people and, for too many bytes,
// the condition of XEP-0205.
func streamError(condition, text, app string) string {
	const ns = ` xmlns="urn:ietf:params:xml:ns:xmpp-streams"`
	s := `<stream:error><` + condition + ns + `/>`
	if text != "" {
		s += `<text` + ns + `>` + text + `</text>`
	}
	if app != "" {
		s += `<` + app + ` xmlns="urn:xmpp:errors"/>`
	}
	return s + `</stream:error>` + end
}

// ends is the answer of a stream error, the same at every stage.
func ends(condition, text string) outcome {
	return func(*peer, stage) (string, ending) { return streamError(condition, text, ""), closes }
}

// tooBig is the answer to what passes the limit of bytes.
func tooBig(*peer, stage) (string, ending) {
	return streamError("policy-violation", "an element is too long", "stanza-too-big"), closes
}

// malformed is the answer to what is not well-formed: RFC 6120 has one name for
// it, Google had another, and no text.
func malformed(text string) outcome {
	return func(_ *peer, at stage) (string, ending) {
		if at < inside {
			return streamError("not-well-formed", text, ""), closes
		}
		return streamError("invalid-xml", "", ""), closes
	}
}

// refuses is the answer of a refused login.
func refuses(condition string) outcome {
	return func(*peer, stage) (string, ending) { return failure(condition), fails }
}

// goesOn is the answer of a stream that lives.
func goesOn(bytes string) outcome {
	return func(*peer, stage) (string, ending) { return bytes, lives }
}

// Bounds on what an attack may cost (the numbers are generous: they are to
// catch what grows with the attack).
const (
	mayAllocate = 256 << 10 // in all, until the answer is out
	mayTake     = 8 << 10   // bytes before the login
)

// run plays attacks, each at each of its stages, in a bubble of its own.
func run(t *testing.T, attacks []attack) {
	t.Helper()
	for _, a := range attacks {
		for _, at := range a.at {
			name := a.name
			if len(a.at) > 1 {
				name += ", " + at.String()
			}
			t.Run(name, func(t *testing.T) { play(t, nil, func(t *testing.T, srv *server) { a.play(t, srv, at) }) })
		}
	}
}

func (a attack) play(t *testing.T, srv *server, at stage) {
	n := srv.neighbour(t)
	p, tap := srv.attacker(t, at)
	n.beside()

	before := allocated()
	tap.pour(p, a.bytes, a.again, a.times)
	p.wait()
	cost := allocated() - before
	if at == fresh || at == inside {
		p.wantHeader("gcm.googleapis.com") // an error belongs into a stream
	}
	bytes, ending := a.answer(p, at)
	switch ending {
	case closes:
		p.wantClosed(bytes)
	case fails:
		p.want(bytes)
		pass(500*time.Millisecond - 1)
		p.wantQuiet()
		pass(1)
		p.wantClosed(end)
	case lives:
		p.want(bytes)
		p.wantQuiet()
		p.write(pingIQ)
		p.want(p.pong())
	}
	if cost > cmp.Or(a.cost, mayAllocate) {
		t.Errorf("the attack made the server allocate %d bytes", cost)
	}
	if taken := tap.beforeEnd(); a.taken > 0 && taken > a.taken {
		t.Errorf("the server took %d bytes before it answered, want %d at most", taken, a.taken)
	}
	if ending != lives {
		pass(4 * time.Second) // more than the last words take
		p.wantGone()
	}
	if got := srv.handedOnFrom(sender); got != 0 {
		t.Errorf("%d messages of the attacker were handed on", got)
	}
	n.wantUnharmed()
}

// allocated is how much memory was ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// handedOnFrom is how many messages of one sender the handler has seen.
func (o *onward) handedOnFrom(who ccs.SenderID) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.taken {
		if r.Sender == who {
			n++
		}
	}
	return n
}

// Addresses from blocks that are kept for documentation, since loopback is
// exempt from limits.
const (
	attackersAddress  = "192.0.2.66:1000"
	neighboursAddress = "198.51.100.7:1000"
)

// attacker returns a peer at a stage, and the tap on its connection.
func (srv *server) attacker(t *testing.T, at stage) (*peer, *tap) {
	t.Helper()
	tp := &tap{addr: address{addr: attackersAddress}}
	p := srv.dialOver(t, tp)
	if at >= opened {
		p.open(featuresLogin)
	}
	if at >= inside {
		p.write(auth("", sender, key))
		p.want(success)
	}
	if at >= unbound {
		p.open(featuresBind)
	}
	if at >= live {
		p.bind()
		p.startSession()
	}
	return p, tp
}

// A tap is the server's end of an attacker's connection. It makes up what the
// attacker writes while the server reads it, so that a flood needs no memory
// but the server's, and counts what was taken.
type tap struct {
	net.Conn // none: a listener keeps it among connections
	addr     address

	mu    sync.Mutex // guards what follows
	state pouring
	first string
	again string
	left  int // bytes to come: of first, then of again in turn
	at    int // where in again
	late  bool
	taken int // of the flood, until the server's last words
	ended bool
}

// pouring tells whether the flood's first byte, which goes the usual way, was read.
type pouring uint8

const (
	dry pouring = iota
	waiting
	flowing
)

// pour lets the server read bytes, then again so many times. The first byte goes
// the usual way, to wake the server.
func (tp *tap) pour(p *peer, bytes, again string, times int) {
	p.t.Helper()
	tp.mu.Lock()
	tp.state, tp.first, tp.again, tp.at, tp.taken = waiting, bytes[1:], again, 0, 1
	tp.left = len(bytes) - 1 + len(again)*times
	tp.mu.Unlock()
	p.write(bytes[:1])
}

// beforeEnd is how many bytes of the flood the server has taken before it ended
// its side.
func (tp *tap) beforeEnd() int {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return tp.taken
}

func (tp *tap) read(b []byte) int {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.late || tp.state != flowing {
		return 0 // a deadline that is over counts more
	}
	n := 0
	for n < len(b) && tp.left > 0 {
		var k int
		if tp.first != "" {
			k = copy(b[n:], tp.first)
			tp.first = tp.first[k:]
		} else {
			k = copy(b[n:min(len(b), n+tp.left)], tp.again[tp.at:])
			tp.at = (tp.at + k) % len(tp.again)
		}
		n += k
		tp.left -= k
	}
	if !tp.ended {
		tp.taken += n
	}
	return n
}

// tapped is the connection with its tap.
type tapped struct {
	*ccstest.Conn
	tap *tap
}

func (c tapped) RemoteAddr() net.Addr { return c.tap.addr }

func (c tapped) Read(b []byte) (int, error) {
	if n := c.tap.read(b); n > 0 {
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.tap.open()
	}
	return n, err
}

func (tp *tap) open() {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.state == waiting {
		tp.state = flowing
	}
}

func (c tapped) SetDeadline(at time.Time) error {
	c.tap.deadline(at)
	return c.Conn.SetDeadline(at)
}

func (c tapped) SetReadDeadline(at time.Time) error {
	c.tap.deadline(at)
	return c.Conn.SetReadDeadline(at)
}

func (tp *tap) deadline(at time.Time) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.late = !at.IsZero() && time.Until(at) <= 0
}

func (c tapped) CloseWrite() error {
	c.tap.end()
	return c.Conn.CloseWrite()
}

func (c tapped) Close() error {
	c.tap.end()
	c.tap.deadline(time.Unix(1, 0))
	return c.Conn.Close()
}

func (tp *tap) end() {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.ended = true
}

// A neighbour is an app server of another sender id that goes about its
// business beside an attack: it sends, and takes what comes from devices, each
// tenth of a second, and notes for how long it had to wait.
type neighbour struct {
	srv  *server
	p    *peer
	stop func()
	over chan struct{} // closed by stop
	done chan struct{} // closed by its goroutine

	mu      sync.Mutex // guards what follows
	rounds  int
	longest time.Duration
}

const neighboursPace = 100 * time.Millisecond

// neighbour logs one in and lets it work alone for a while.
func (srv *server) neighbour(t *testing.T) *neighbour {
	t.Helper()
	p := srv.dialFrom(t, neighboursAddress)
	p.login(rival)
	p.bind()
	p.startSession()
	p.real = true // it has a goroutine of its own, and waits for bytes
	n := &neighbour{srv: srv, p: p, over: make(chan struct{}), done: make(chan struct{})}
	n.stop = sync.OnceFunc(func() { close(n.over) })
	t.Cleanup(n.stop)
	go n.work()
	pass(10*neighboursPace + 1)
	if rounds, longest := n.soFar(); rounds < 10 || longest != 0 {
		t.Fatalf("alone, the neighbour made %d rounds and waited for %v", rounds, longest)
	}
	return n
}

func (n *neighbour) work() {
	defer close(n.done)
	for i := 0; ; i++ {
		id := fmt.Sprint("n-", i)
		begun := time.Now()
		n.p.write(downstream(id))
		n.p.want(acked(id))
		if err := n.srv.Offer(rival, fromDevice(id), ccsserver.OfferOptions{}); err != nil {
			n.p.t.Errorf("an upstream message for the neighbour: %v", err)
			return
		}
		n.p.want(strings.Replace(upstream(id), sender, rival, 1))
		n.p.write(ack(token, id))
		n.mu.Lock()
		n.rounds++
		n.longest = max(n.longest, time.Since(begun))
		n.mu.Unlock()
		select {
		case <-n.over:
			return
		case <-time.After(neighboursPace):
		}
	}
}

func (n *neighbour) soFar() (rounds int, longest time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rounds, n.longest
}

// beside begins the count anew: what follows is beside the attack.
func (n *neighbour) beside() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rounds, n.longest = 0, 0
}

// wantUnharmed lets the neighbour go on a little, and checks that all it sent
// was acked in order, that all that came for it arrived in order, that it never
// waited for longer than alone, and that its stream is open.
func (n *neighbour) wantUnharmed() {
	n.p.t.Helper()
	pass(10*neighboursPace + 1)
	n.stop()
	<-n.done
	if rounds, longest := n.soFar(); rounds < 10 || longest != 0 {
		n.p.t.Errorf("beside the attack the neighbour made %d rounds and waited for %v", rounds, longest)
	}
	for _, c := range n.srv.closed() {
		if c.stream.Sender == rival {
			n.p.t.Errorf("the neighbour's stream was closed: %v", c.err)
		}
	}
	n.p.write(end)
	n.p.wantClosed(end)
}
