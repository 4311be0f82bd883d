package ccsclient_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// three is a pool of three streams, all bound.
func three(srv *server) (*client, []*stream) {
	p := srv.pool(func(o *ccsclient.Options) { acceptsUpstream(o); o.Streams, o.Window = 3, 10 })
	return p, []*stream{srv.bind(), srv.bind(), srv.bind()}
}

// answerAll acks whatever came on the streams, and returns how much that was
// on each.
func answerAll(streams ...*stream) []int {
	n := make([]int, len(streams))
	for busy := true; busy; {
		busy = false
		for i, st := range streams {
			synctest.Wait()
			for len(st.got) > 0 {
				st.ack(st.payload()["message_id"].(string))
				n[i]++
				busy = true
			}
		}
	}
	return n
}

func TestThreeStreamsShareTheWork(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, streams := three(srv)
		var slots []int
		for _, s := range p.State().Streams {
			slots = append(slots, s.Slot)
		}
		if len(slots) != 3 || slots[0]+slots[1]+slots[2] != 3 {
			t.Errorf("the slots are %v", slots)
		}
		all := p.sendMany(1, 60)
		for i, n := range answerAll(streams...) {
			if n < 10 {
				t.Errorf("stream %d carried %d of 60", i, n)
			}
		}
		for _, r := range all {
			r.wantAcked()
		}
	})
}

func TestOneOfThreeStreamsDrains(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, streams := three(srv)
		all := p.sendMany(1, 15)
		streams[1].control()
		late := p.sendMany(16, 30) // no need to wait for the new stream
		held := answerAll(streams[0], streams[2])
		if held[0]+held[1] < 20 {
			t.Errorf("the other streams carried %v", held)
		}
		for _, r := range late {
			if a := r.wantAcked(); a.Attempts != 1 {
				t.Errorf("%s took %d attempts", r.id, a.Attempts)
			}
		}
		fourth := srv.bind()
		answerAll(streams[1])
		streams[1].hangUp()
		for _, r := range all {
			r.wantAcked()
		}
		p.sendMany(31, 60)
		for i, n := range answerAll(streams[0], streams[2], fourth) {
			if n < 5 {
				t.Errorf("stream %d carried %d of 30", i, n)
			}
		}
		if n := len(srv.dialled()); n != 4 {
			t.Errorf("%d dials, want one more than at first", n)
		}
	})
}

func TestAllOfThreeStreamsDrain(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, streams := three(srv)
		all := p.sendMany(1, 30)
		for _, st := range streams {
			st.control()
		}
		late := p.sendMany(31, 60)
		fresh := []*stream{srv.bind(), srv.bind(), srv.bind()}
		for i, n := range answerAll(fresh...) {
			if n < 5 {
				t.Errorf("new stream %d carried %d of 30", i, n)
			}
		}
		for _, r := range late {
			r.wantAcked()
		}
		for i, st := range streams {
			st.upstream("device", string(nth(i)))
		}
		for i, st := range streams {
			n := 0
			for len(st.got) > 0 {
				m := st.payload()
				if m["message_type"] == "ack" && m["message_id"] != string(nth(i)) {
					t.Errorf("%v on stream %d", m, i)
				}
				n++
			}
			if n != 11 {
				t.Errorf("the draining stream %d got %d stanzas, want ten messages and an ack", i, n)
			}
			st.hangUp() // unanswered
		}
		answerAll(fresh...)
		for _, r := range all {
			if a := r.wantAcked(); a.Attempts != 2 {
				t.Errorf("%s took %d attempts", r.id, a.Attempts)
			}
		}
		if s := p.State(); len(s.Streams) != 3 {
			t.Errorf("%d streams are left, want the three new ones", len(s.Streams))
		}
	})
}

func TestACutStreamsMessagesLeaveOnTheOthers(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, streams := three(srv)
		all := p.sendMany(1, 9)
		streams[0].cut()
		answerAll(streams[1], streams[2]) // before the next stream is bound
		for _, r := range all {
			r.wantAcked()
		}
	})
}

func TestThePoolsStateCanBePrintedAtAnyTime(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 2 })
		p.sendMany(1, 5)
		st.want("m-1", "m-2")
		time.Sleep(1500 * time.Millisecond)
		st.nack("m-1", ccs.CodeServiceUnavailable, "x")
		want := "2 waiting, 2 in flight, 1 resting, 0 connecting\n" +
			"  stream 0 " + jid + " at pipe: open for 1.5s, 2 in flight, oldest unanswered for 1.5s"
		if got := p.State().String(); got != want {
			t.Errorf("the state is\n%s\nwant\n%s", got, want)
		}
		st.control()
		srv.accept()
		synctest.Wait()
		got := p.State()
		if !strings.Contains(got.String(), "draining for 0s") || got.Connecting != 1 {
			t.Errorf("the state is\n%v", got)
		}
		if s := got.Streams[0]; s.Address != "pipe" || s.Since.IsZero() || !s.Oldest.Equal(time.Now().Add(-1500*time.Millisecond)) {
			t.Errorf("the stream is %+v", s)
		}
		p.Close()
		if got := fmt.Sprint(p.State()); got != "0 waiting, 0 in flight, 0 resting, 0 connecting" && !strings.Contains(got, "last error") {
			t.Errorf("the state is\n%s", got)
		}
	})
}
