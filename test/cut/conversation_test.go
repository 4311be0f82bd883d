package cut_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
	"penstock/internal/faultproxy"
)

const (
	sender  = ccs.SenderID("1234")
	key     = "AAAA:k"
	device  = ccs.RegistrationToken("device")
	window  = 2
	patient = 10 * time.Minute // of the bubble's time, far beyond what any recovery takes
)

// The messages. No id becomes another one by a flipped bit.
const (
	plain   = ccs.MessageID("alpha")   // acked
	dead    = ccs.MessageID("bravo")   // nacked for good
	retried = ccs.MessageID("charlie") // nacked the first time, then acked
	slow    = ccs.MessageID("delta")   // acked late, on the draining stream
	fifth   = ccs.MessageID("echo")    // handed over while the stream drains
	sixth   = ccs.MessageID("foxtrot") // likewise
	up      = ccs.MessageID("golf")    // upstream
	upLater = ccs.MessageID("hotel")   // upstream, behind the drain
	receipt = ccs.MessageID("dr2:alpha")
)

var downstream = []ccs.MessageID{plain, dead, retried, slow, fifth, sixth}

// A fault befalls the link-th connection, when at bytes have passed.
type fault struct {
	link      int
	direction faultproxy.Direction
	deed      faultproxy.Deed
	at        int64
	of        int64 // bytes that pass there when nothing is wrong
}

func (f fault) String() string {
	if f.deed == 0 {
		return "no fault"
	}
	return fmt.Sprintf("%v on link %d %v after %d bytes", f.deed, f.link, f.direction, f.at)
}

// A copy is one downstream message as it came to the server.
type copied struct {
	stream string
	right  bool   // it is what was sent
	answer string // "ack", "nack", or none was written yet
}

// A conversation is one run, with all that both ends said of it.
type conversation struct {
	fault  fault
	passed [][2]int64 // of each link, when all is over

	mu       sync.Mutex // guards what follows
	links    []*faultproxy.Link
	outcomes map[ccs.MessageID][]error
	copies   map[ccs.MessageID][]*copied
	verdicts map[ccs.MessageID]int // acks by the handler
	asked    map[ccs.MessageID]int
	handled  map[ccs.MessageID]int // by the program, upstream and receipts
	settled  map[ccs.MessageID][]ccsserver.Outcome
	wrong    []string // what must not be
	corrupt  int      // what came and was not sent, either way
	broken   int      // streams and logins that ended by an error, by either end's word
}

func (c *conversation) blame(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func message(id ccs.MessageID) *ccs.Downstream {
	return &ccs.Downstream{To: device, MessageID: id, Data: map[string]string{"k": "v-" + string(id)}}
}

// secrets are what TLS needs, if it is used.
type secrets struct {
	client, server *tls.Config
}

// converse plays the whole conversation in a bubble, with one fault.
func converse(t *testing.T, f fault, tlsOf *secrets) *conversation {
	t.Helper()
	c := &conversation{
		fault:    f,
		outcomes: make(map[ccs.MessageID][]error), copies: make(map[ccs.MessageID][]*copied),
		verdicts: make(map[ccs.MessageID]int), asked: make(map[ccs.MessageID]int),
		handled: make(map[ccs.MessageID]int), settled: make(map[ccs.MessageID][]ccsserver.Outcome),
	}
	synctest.Test(t, func(t *testing.T) { c.play(t, tlsOf) })
	return c
}

func (c *conversation) play(t *testing.T, tlsOf *secrets) {
	serverOpt := &ccsserver.Options{ClearText: tlsOf == nil}
	clientOpt := &ccsclient.Options{ClearText: tlsOf == nil, Window: window}
	if tlsOf != nil {
		serverOpt.TLS, clientOpt.TLS = tlsOf.server.Clone(), tlsOf.client.Clone()
	}
	var srv *ccsserver.Server
	serverOpt.Events = &ccsserver.Events{
		Received: func(stream string, _ ccs.SenderID, m *ccs.Downstream) { c.received(srv, stream, m) },
		Answered: c.answered,
		Refused:  func(_ net.Addr, err error) { c.end(err) },
		Closed:   func(_ ccsserver.Stream, err error) { c.end(err) },
	}
	clientOpt.Events = &ccsclient.Events{
		ReconnectFailed: c.end,
		Closed:          func(_ ccsclient.Stream, err error) { c.end(err) },
	}
	srv, err := ccsserver.New(ccsserver.HandlerFunc(c.downstream),
		ccsserver.NewKeys(map[ccs.SenderID][]string{sender: {key}}), serverOpt)
	if err != nil {
		t.Fatal(err)
	}
	back, front := ccstest.Listen(), ccstest.Listen()
	proxy := faultproxy.New(front, back.Dial, &faultproxy.Options{Opened: func(l *faultproxy.Link) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.links) == c.fault.link && c.fault.deed != 0 {
			l.After(c.fault.direction, c.fault.at, c.fault.deed)
		}
		c.links = append(c.links, l)
	}})
	clientOpt.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return front.Dial(ctx) }
	clientOpt.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
		c.handle(m.MessageID, m.From == device && maps.Equal(m.Data, map[string]string{"k": "v-" + string(m.MessageID)}))
		return nil
	}
	clientOpt.Receipts = func(_ context.Context, r *ccs.Receipt) error {
		c.handle(r.MessageID, r.OriginalMessageID == plain && r.Device == device)
		return nil
	}
	pool, err := ccsclient.NewPool("ccs.example:5235", ccsclient.Credentials{SenderID: sender, Key: key}, clientOpt)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(back) })
	running.Go(func() { _ = proxy.Serve() })
	running.Go(func() { _ = pool.Run(context.Background()) })

	c.send(t, pool, plain, dead, retried)
	c.await(plain, dead, retried)
	c.offer(t, srv, up, receipt)
	c.send(t, pool, slow)
	synctest.Wait()
	first := liveStreams(srv)
	srv.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: 3 * time.Second}})
	time.Sleep(time.Second)
	c.send(t, pool, fifth, sixth)
	c.await(slow, fifth, sixth)
	c.offer(t, srv, upLater)
	wait(func() bool { // for the drained stream's end
		return !slices.ContainsFunc(liveStreams(srv), func(id string) bool { return slices.Contains(first, id) })
	})
	ready := wait(func() bool { // a fault may hit when all is said
		st := pool.State()
		return st.InFlight+st.Waiting+st.Resting == 0 && slices.ContainsFunc(st.Streams,
			func(s ccsclient.Stream) bool { return s.State == ccsclient.StateOpen })
	})
	if !ready && !(c.fault.deed == faultproxy.Flip && tlsOf == nil) {
		c.mu.Lock()
		c.blame("the pool ends as: %v", pool.State())
		c.mu.Unlock()
	}
	bye, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := pool.Shutdown(bye); (err == nil) != ready {
		c.mu.Lock()
		c.blame("Shutdown: %v", err)
		c.mu.Unlock()
	}
	_ = srv.Close()
	proxy.Close()
	running.Wait()
	for _, l := range c.links {
		c.passed = append(c.passed, [2]int64{l.Passed(faultproxy.ToServer), l.Passed(faultproxy.ToClient)})
	}
}

// wait looks each second whether something has come true, within a bound.
func wait(done func() bool) bool {
	for range patient / time.Second {
		synctest.Wait()
		if done() {
			return true
		}
		time.Sleep(time.Second)
	}
	return false
}

func liveStreams(srv *ccsserver.Server) (ids []string) {
	for _, s := range srv.Streams() {
		ids = append(ids, s.ID)
	}
	return ids
}

// send hands messages over.
func (c *conversation) send(t *testing.T, pool *ccsclient.Pool, ids ...ccs.MessageID) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	for _, id := range ids {
		if err := pool.SendFunc(ctx, message(id), func(_ ccsclient.Answer, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.outcomes[id] = append(c.outcomes[id], err)
		}); err != nil {
			t.Errorf("%v: hand over: %v", c.fault, err)
		}
	}
}

// await waits for the outcomes of messages.
func (c *conversation) await(ids ...ccs.MessageID) {
	wait(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(ids, func(id ccs.MessageID) bool { return len(c.outcomes[id]) == 0 })
	})
}

// offer has a device write, and waits until the message is settled. A lost ack
// is mended by the end of its stream; a flipped one may go unnoticed before.
func (c *conversation) offer(t *testing.T, srv *ccsserver.Server, ids ...ccs.MessageID) {
	for _, id := range ids {
		var m ccs.FromServer = &ccs.Upstream{From: device, MessageID: id, Category: "app", Data: map[string]string{"k": "v-" + string(id)}}
		if id == receipt {
			m = &ccs.Receipt{MessageID: id, Category: "app", Status: ccs.StatusSentToDevice, OriginalMessageID: plain, Device: device}
		}
		if err := srv.Offer(sender, m, ccsserver.OfferOptions{Done: func(o ccsserver.Outcome) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.settled[id] = append(c.settled[id], o)
			if o == ccsserver.Acked && c.handled[id] == 0 && c.fault.deed != faultproxy.Flip {
				c.blame("%s was acked before its handler was done", id)
			}
		}}); err != nil {
			t.Errorf("%v: offer: %v", c.fault, err)
		}
	}
	wait(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(ids, func(id ccs.MessageID) bool { return len(c.settled[id]) == 0 })
	})
}

// received is told of each copy at the server, before it takes a slot.
func (c *conversation) received(srv *ccsserver.Server, stream string, m *ccs.Downstream) {
	for _, s := range srv.Streams() {
		if s.ID == stream && s.InFlight >= window {
			c.mu.Lock()
			c.blame("%d messages are unanswered on a stream", s.InFlight+1)
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	want := message(m.MessageID)
	now := &copied{stream: stream, right: m.ContentHash() == want.ContentHash()}
	if !now.right || !known(m.MessageID) {
		c.corrupt++
	}
	for _, before := range c.copies[m.MessageID] {
		switch {
		case before.answer == "nack":
		case before.stream == stream && c.fault.deed != faultproxy.Flip:
			c.blame("%s came twice on one stream", m.MessageID)
		case !c.struck():
			c.blame("%s came again, and its first stream had not broken", m.MessageID)
		}
	}
	if len(c.outcomes[m.MessageID]) > 0 {
		c.blame("%s was sent although its caller had been told %v", m.MessageID, c.outcomes[m.MessageID])
	}
	c.copies[m.MessageID] = append(c.copies[m.MessageID], now)
}

func known(id ccs.MessageID) bool {
	return slices.Contains(downstream, id)
}

func (c *conversation) answered(stream string, _ ccs.SenderID, m *ccs.Downstream, a ccs.FromServer) {
	if m == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.copies[m.MessageID] {
		if o.stream == stream {
			o.answer = "ack"
			if _, ok := a.(*ccs.Nack); ok {
				o.answer = "nack"
			}
		}
	}
}

func (c *conversation) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.broken++
	}
}

// struck reports whether the fault has happened. Called with mu held.
func (c *conversation) struck() bool {
	return c.fault.deed != 0 && len(c.links) > c.fault.link && c.links[c.fault.link].Passed(c.fault.direction) >= c.fault.at
}

// downstream is the server's handler.
func (c *conversation) downstream(r *ccsserver.Request) {
	c.mu.Lock()
	c.asked[r.Message.MessageID]++
	n := c.asked[r.Message.MessageID]
	c.mu.Unlock()
	var err error
	delay := 10 * time.Millisecond
	switch r.Message.MessageID {
	case dead:
		err = &ccs.NackError{Code: ccs.CodeDeviceUnregistered}
	case retried:
		if n == 1 {
			err = &ccs.NackError{Code: ccs.CodeServiceUnavailable}
		}
	case slow:
		delay = 2 * time.Second
	}
	time.AfterFunc(delay, func() {
		c.mu.Lock()
		if err == nil {
			c.verdicts[r.Message.MessageID]++
		}
		c.mu.Unlock()
		r.Answer(nil, err)
	})
}

func (c *conversation) handle(id ccs.MessageID, right bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !right || id != up && id != upLater && id != receipt {
		c.corrupt++
		return
	}
	c.handled[id]++
}

// check says what is wrong with how the conversation went. A network that
// loses bytes must not be seen from above, but for the time that it costs.
func (c *conversation) check() []string {
	for _, id := range downstream {
		if len(c.outcomes[id]) != 1 {
			c.blame("%s has %d outcomes", id, len(c.outcomes[id]))
			continue
		}
		err := c.outcomes[id][0]
		nack, nacked := errors.AsType[*ccs.NackError](err)
		switch {
		case id == dead && (!nacked || nack.Code != ccs.CodeDeviceUnregistered):
			c.blame("%s: its caller was told %v", id, err)
		case id != dead && err != nil:
			c.blame("%s: its caller was told %v", id, err)
		case id != dead && c.verdicts[id] != 1:
			c.blame("%s is acked, and had %d acks by the handler", id, c.verdicts[id])
		}
	}
	for _, id := range []ccs.MessageID{up, upLater, receipt} {
		if !slices.Equal(c.settled[id], []ccsserver.Outcome{ccsserver.Acked}) || c.handled[id] != 1 {
			c.blame("%s was settled as %v and handled %d times", id, c.settled[id], c.handled[id])
		}
	}
	if c.corrupt > 0 {
		c.blame("%d messages came that were not sent", c.corrupt)
	}
	return c.wrong
}

// checkFlipped is for clear text, where nobody can notice that a letter of a
// message has changed. One bit may spoil one message: it comes with other words
// or under another id, or its answer means something else or nothing. A bit that
// spoils markup may also swallow what comes behind it on that stream. The
// callers' patience then ends it, and some may stay in flight as long as the
// stream lives. But nobody is told what is not so.
func (c *conversation) checkFlipped() []string {
	if c.corrupt > 1 {
		c.blame("one bit spoilt %d messages", c.corrupt)
	}
	for _, id := range downstream {
		if len(c.outcomes[id]) != 1 {
			c.blame("%s has %d outcomes", id, len(c.outcomes[id]))
			continue
		}
		err := c.outcomes[id][0]
		_, nacked := errors.AsType[*ccs.NackError](err)
		switch {
		case err == nil && c.verdicts[id] != 1:
			c.blame("%s is acked, and had %d acks by the handler", id, c.verdicts[id])
		case errors.Is(err, context.DeadlineExceeded) && len(c.copies[id]) > c.corrupt:
			c.blame("%s was sent, and its caller was told: %v", id, err)
		case err == nil, nacked, errors.Is(err, ccsclient.ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded):
		default:
			c.blame("%s: its caller was told %v", id, err)
		}
	}
	for _, id := range []ccs.MessageID{up, upLater, receipt} {
		if len(c.settled[id]) != 1 || c.handled[id] > 1 {
			c.blame("%s was settled as %v and handled %d times", id, c.settled[id], c.handled[id])
		}
	}
	return c.wrong
}

func TestNoIDBecomesAnotherByABit(t *testing.T) {
	ids := []ccs.MessageID{plain, dead, retried, slow, fifth, sixth, up, upLater}
	for i, a := range ids {
		for _, b := range ids[:i] {
			n := 0
			for k := range min(len(a), len(b)) {
				n += bits.OnesCount8(a[k] ^ b[k])
			}
			if len(a) == len(b) && n < 2 || strings.HasPrefix(string(a), string(b)) {
				t.Errorf("%s and %s are too much alike", a, b)
			}
		}
	}
}
