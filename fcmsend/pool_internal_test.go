package fcmsend

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestTheLastWordAboutAConnectionCounts(t *testing.T) {
	opt, to, err := (*Options)(nil).withDefaults("shop-1")
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(&opt, &to)
	defer p.close()
	l := &link{pool: p}
	var silent atomic.Bool
	for _, is := range []bool{true, false, true} {
		silent.Store(!is)
		silent.Store(is)
		l.doubt(&silent) // the call of the first one, which comes late
		if l.silent != is {
			t.Errorf("the pool takes it for silent: %v", l.silent)
		}
	}
}

// A nobody owns a connection and hears nothing.
type nobody struct{}

func (nobody) limited(uint32)                  {}
func (nobody) doubt(*atomic.Bool)              {}
func (nobody) goingAway(http2.ErrCode, string) {}
func (nobody) over(error)                      {}

// Between the pool's choice and the request a connection may end.
func TestAConnectionThatIsOverTakesNothing(t *testing.T) {
	opt, to, err := (*Options)(nil).withDefaults("shop-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, begin := range map[string]func(nc net.Conn, running *sync.WaitGroup) conn{
		protoH2: func(nc net.Conn, running *sync.WaitGroup) conn { return newH2(nc, &to, &opt, nobody{}, running) },
		protoH1: func(nc net.Conn, running *sync.WaitGroup) conn { return newH1(nc, &to, &opt, nobody{}, running) },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			go io.Copy(io.Discard, far)
			var running sync.WaitGroup
			c := begin(near, &running)
			c.shut(errors.New("the end"))
			k := newCall().(*call)
			k.reset()
			k.body = []byte("{}")
			c.roundTrip(t.Context(), k, time.Minute)
			if k.end != elsewhere || !errors.Is(k.err, errGone) {
				t.Errorf("ending %d, %v; want it to go elsewhere", k.end, k.err)
			}
			running.Wait()
		})
	}
}

// A closer owns a connection that it ends when it hears of a GOAWAY.
type closer struct {
	nobody
	conn chan conn // of room for one
}

func (c closer) goingAway(http2.ErrCode, string) { (<-c.conn).shut(errPing) }

// What a GOAWAY hands back was not processed, however soon the connection ends.
func TestS_45_NoEndCastsADoubtOnWhatAGoAwayHandsBack(t *testing.T) {
	opt, to, err := (*Options)(nil).withDefaults("shop-1")
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer far.Close()
	var running sync.WaitGroup
	owner := closer{conn: make(chan conn, 1)}
	c := newH2(near, &to, &opt, owner, &running)
	owner.conn <- c
	go func() {
		framer := http2.NewFramer(far, far)
		if _, err := io.ReadFull(far, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		_ = framer.WriteSettings()
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if d, is := f.(*http2.DataFrame); is && d.StreamEnded() {
				break
			}
		}
		_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		_, _ = io.Copy(io.Discard, far)
	}()
	k := newCall().(*call)
	k.reset()
	k.body = []byte("{}")
	c.roundTrip(t.Context(), k, time.Minute)
	if k.end != elsewhere || !errors.Is(k.err, errGoAway) {
		t.Errorf("ending %d, %v; want it to go elsewhere", k.end, k.err)
	}
	running.Wait()
}
