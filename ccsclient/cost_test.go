package ccsclient_test

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// A lane is a connection that costs nothing: what is written is dropped, and
// read is what the test puts in. Only its far end is missing.
type lane struct {
	in    chan string
	left  string
	woken chan struct{} // closed by a read deadline
	once  sync.Once
}

func newLane() *lane {
	return &lane{in: make(chan string, 16), woken: make(chan struct{})}
}

func (l *lane) Read(p []byte) (int, error) {
	if l.left == "" {
		select {
		case l.left = <-l.in:
		case <-l.woken:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, l.left)
	l.left = l.left[n:]
	return n, nil
}

func (l *lane) Write(p []byte) (int, error)      { return len(p), nil }
func (l *lane) Close() error                     { return nil }
func (l *lane) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (l *lane) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (l *lane) SetWriteDeadline(time.Time) error { return nil }
func (l *lane) SetDeadline(t time.Time) error    { return l.SetReadDeadline(t) }

func (l *lane) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		l.once.Do(func() { close(l.woken) })
	}
	return nil
}

const laneAck = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"t","message_id":"m-1"}</data:gcm></message>`

// onLane is a running pool whose one stream is a lane.
func onLane(tb testing.TB) (*ccsclient.Pool, *lane) {
	tb.Helper()
	l := newLane()
	for _, s := range []string{serverHeader + loginFeatures, success, serverHeader + bindFeatures,
		`<iq type="result" id="bind"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>` + jid + `</jid></bind></iq>`} {
		l.in <- s
	}
	up := make(chan struct{})
	p, err := ccsclient.NewPool(endpoint, credentials, &ccsclient.Options{
		ClearText: true,
		Dial:      func(context.Context, string, string) (net.Conn, error) { return l, nil },
		Events:    &ccsclient.Events{Authenticated: func(ccsclient.Stream) { close(up) }},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	tb.Cleanup(func() { p.Close(); <-ended })
	<-up
	return p, l
}

// An ack costs no memory, and a message with its way out at most two pieces of
// it. Both are measured together, from SendFunc to its callback through the
// writer and the reader, and then the first part alone.
func TestAMessageCostsLittleMemory(t *testing.T) {
	p, l := onLane(t)
	m := &ccs.Downstream{To: "t", MessageID: "m-1", TTL: seconds(60), Data: map[string]string{"k": "v", "l": "w"}}
	told := make(chan error, 1)
	done := func(_ ccsclient.Answer, err error) { told <- err }
	ctx := context.Background()
	send := func() {
		if err := p.SendFunc(ctx, m, done); err != nil {
			t.Error(err)
		}
	}
	answer := func() {
		l.in <- laneAck
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
	for range 1_000 { // buffers and maps grow to their size
		send()
		answer()
	}
	const most = 2
	if got := testing.AllocsPerRun(2_000, func() { send(); answer() }); got > most {
		t.Errorf("a message and its ack cost %v allocations, want at most %d", got, most)
	}

	// Acks alone: the messages are written before the counting begins.
	ids := make([]*ccs.Downstream, 90)
	acks := make([]string, len(ids))
	var n atomic.Int32
	counted := func(ccsclient.Answer, error) {
		if n.Add(1)%int32(len(ids)) == 0 {
			told <- nil
		}
	}
	for i := range ids {
		ids[i] = &ccs.Downstream{To: "t", MessageID: nth(i)}
		acks[i] = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"t","message_id":"` + string(nth(i)) + `"}</data:gcm></message>`
	}
	if got := allocsOfAcks(t, p, l, ids, acks, counted, told); got > 0 {
		t.Errorf("%d acks cost %d allocations, want none", len(ids), got)
	}
}

// allocsOfAcks is the least of several runs: the runtime allocates now and then.
func allocsOfAcks(t *testing.T, p *ccsclient.Pool, l *lane, ids []*ccs.Downstream, acks []string, done func(ccsclient.Answer, error), told chan error) int {
	t.Helper()
	least := 1 << 30
	for range 20 {
		for _, m := range ids {
			if err := p.SendFunc(context.Background(), m, done); err != nil {
				t.Fatal(err)
			}
		}
		first := true
		got := testing.AllocsPerRun(1, func() {
			if first { // AllocsPerRun calls once before it counts
				first = false
				return
			}
			for _, a := range acks {
				l.in <- a
			}
			<-told
		})
		least = min(least, int(got))
	}
	return least
}

func BenchmarkSendFunc(b *testing.B) {
	p, l := onLane(b)
	m := &ccs.Downstream{To: "t", MessageID: "m-1", Data: map[string]string{"k": "v"}}
	told := make(chan error, 1)
	done := func(_ ccsclient.Answer, err error) { told <- err }
	b.ReportAllocs()
	for b.Loop() {
		if err := p.SendFunc(context.Background(), m, done); err != nil {
			b.Fatal(err)
		}
		l.in <- laneAck
		if err := <-told; err != nil {
			b.Fatal(err)
		}
	}
}
