package interop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A subject is a program with the simulator that it is logged in to.
type subject struct {
	*program
	sim   *simulator
	facts *facts // of the page
	pause string // how long it takes to come back, in words, if not "after 1 s"

	acksReceipts bool // found by getReceipt, shown by the next login
}

// batch makes n messages whose ids begin with a prefix.
func batch(prefix string, n int, to ...string) (messages []message, ids []string) {
	for i := range n {
		m := message{ID: fmt.Sprintf("%s-%d", prefix, i), To: to[i%len(to)], Data: map[string]string{
			"n": fmt.Sprint(i), "text": `Grüße & "quotes" <b>bold</b>`,
		}}
		messages = append(messages, m)
		ids = append(ids, m.ID)
	}
	return messages, ids
}

// sendThousand sends 1,000 messages at once and wants 1,000 acks.
func (s *subject) sendThousand(t *testing.T) {
	const n = 1000
	messages, ids := batch("thousand", n, s.sim.Tokens...)
	s.send(t, messages...)
	s.answered(t, "1,000 answers", ids, n)
	record := s.sim.record(t)
	for _, m := range messages {
		a, _ := s.answer(m.ID)
		r, ok := record[m.ID]
		if a.Answer != "ack" || !ok || r.To != m.To || r.Answer != "ack" || !slices.Equal(r.DeliveredTo, []string{m.To}) {
			t.Fatalf("%s: answer %q %q, record %+v; want an ack and one delivery", m.ID, a.Answer, a.Error, r)
		}
	}
	var device struct {
		Received []struct {
			MessageID string            `json:"message_id"`
			Data      map[string]string `json:"data"`
		} `json:"received"`
	}
	s.sim.call(t, "GET", "/devices/"+messages[0].To, nil, &device)
	for _, got := range device.Received {
		if got.MessageID == messages[0].ID && !maps.Equal(got.Data, messages[0].Data) {
			t.Errorf("the device got %v; want %v", got.Data, messages[0].Data)
		}
	}
	if twice := s.since(0, "answered_twice"); len(twice) > 0 {
		t.Errorf("%d messages were answered twice, %s first", len(twice), twice[0].MessageID)
	}
	s.facts.short("1,000 sends", "each received once")
	s.facts.short("acks", "1,000")
	s.facts.note("1,000 messages", "1,000 acks, each message received once")
}

// sendMixed sends to live, dead, foreign and senseless tokens in turn.
func (s *subject) sendMixed(t *testing.T) {
	want := map[string]string{ // token → code
		s.sim.Tokens[0]:    "",
		s.sim.Dead[0]:      "DEVICE_UNREGISTERED",
		s.sim.Foreign[0]:   "SENDER_ID_MISMATCH",
		"no token of ours": "BAD_REGISTRATION",
	}
	messages, ids := batch("mixed", 100, slices.Sorted(maps.Keys(want))...)
	s.send(t, messages...)
	s.answered(t, "100 answers", ids, len(ids))
	record := s.sim.record(t)
	for _, m := range messages {
		a, _ := s.answer(m.ID)
		kind := "nack"
		if want[m.To] == "" {
			kind = "ack"
		}
		if a.Answer != kind || a.Error != want[m.To] || (kind == "nack") != (a.Description != "") {
			t.Errorf("%s to %s: %+v; want %s %q", m.ID, short(m.To), a, kind, want[m.To])
		}
		if r := record[m.ID]; r.Answer != kind || r.Error != want[m.To] {
			t.Errorf("%s to %s: record %+v; want %s %q", m.ID, short(m.To), r, kind, want[m.To])
		}
	}
	s.facts.note("nack", "code and text reach the program")
}

// getUpstream sends upstream messages from devices and wants each acked once.
func (s *subject) getUpstream(t *testing.T) {
	mark := s.mark()
	want := map[string]string{} // id → device
	for i, token := range s.sim.Tokens {
		id := fmt.Sprintf("up-%d", i)
		want[id] = token
		s.sim.call(t, "POST", "/devices/"+token+"/upstream",
			map[string]any{"message_id": id, "category": "com.example.interop", "data": map[string]string{"action": "NOTE", "k": `a & b <c> "d"`}}, nil)
	}
	for id, token := range want {
		poll(t, "upstream message "+id+" is acked", func() bool {
			u := s.sim.upstream(t, id)
			if u.Offers > 1 {
				t.Fatalf("%s to %s was offered %d times on a live stream", id, short(token), u.Offers)
			}
			return u.State == "acked" && u.Offers == 1
		})
	}
	s.await(t, "upstream messages in the program", func() bool {
		return count(s.events[mark:], "upstream") >= len(want)
	})
	for _, e := range s.since(mark, "upstream") {
		if want[e.MessageID] != e.From || e.Category != "com.example.interop" || e.Data["k"] != `a & b <c> "d"` {
			t.Errorf("upstream %+v; want it from %s", e, short(want[e.MessageID]))
		}
		delete(want, e.MessageID)
	}
	if len(want) > 0 {
		t.Errorf("the program did not get %v, or others twice", slices.Sorted(maps.Keys(want)))
	}
	s.facts.short("upstream", "acked")
	s.facts.note("upstream", "handed over once, acked once")
}

func count(events []event, kind string) (n int) {
	for _, e := range events {
		if e.Event == kind {
			n++
		}
	}
	return n
}

// getReceipt sends a message that asks for a receipt. Whether it was acked is
// seen after the next login: an unacked one comes again, ahead of all answers.
func (s *subject) getReceipt(t *testing.T) {
	s.receipt(t)
	s.acksReceipts = true
	s.facts.short("receipt", "acked")
	s.facts.note("receipt", "handed over once, acked once")
}

// receipt wants one receipt of a message, acked or not.
func (s *subject) receipt(t *testing.T) {
	t.Helper()
	mark := s.mark()
	m := message{ID: "with-receipt", To: s.sim.Tokens[0], Data: map[string]string{"k": "v"}, Receipt: true}
	s.send(t, m)
	e := s.next(t, mark, "receipt")
	if !strings.HasSuffix(e.MessageID, m.ID) || e.Data["original_message_id"] != m.ID || e.Data["message_status"] != "MESSAGE_SENT_TO_DEVICE" {
		t.Errorf("receipt %+v; want one for %s", e, m.ID)
	}
	if n := len(s.since(mark, "receipt")); n != 1 {
		t.Errorf("%d receipts; want one", n)
	}
}

// A load sends a message every five milliseconds until it is stopped.
type load struct {
	stop func() []string // returns the ids of what was sent

	mu  sync.Mutex
	ids []string
}

// sent returns the ids so far.
func (l *load) sent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

func (s *subject) load(t *testing.T, prefix string) *load {
	t.Helper()
	l := &load{}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			m := message{ID: fmt.Sprintf("%s-%d", prefix, n), To: s.sim.Tokens[n%len(s.sim.Tokens)], Data: map[string]string{"n": fmt.Sprint(n)}}
			l.mu.Lock()
			l.ids = append(l.ids, m.ID)
			l.mu.Unlock()
			if s.order(map[string]any{"send": []message{m}}) != nil {
				return // the program has ended: others notice
			}
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	var once sync.Once
	l.stop = func() []string {
		once.Do(func() { close(quit); <-done })
		return l.sent()
	}
	t.Cleanup(func() { l.stop() })
	return l
}

// A breakage is a stream's end while messages flow, as the program took it.
type breakage struct {
	acked, drained int           // answers that the program told of
	lost           int           // received here, and the answer never came to the program
	unsent         []string      // never received here
	resent         int           // received more than once
	lostAway       int           // of the five sent while it was away: never received
	rejected       int           // sends that the library refused
	errors         int           // error events
	offline        int           // events that the connection has gone
	told           bool          // the program was told of draining
	away           time.Duration // from the end of the old stream to the next login
	pause          string        // what that is called, if it is long
}

// interrupt lets messages flow, ends the stream, and waits until messages flow
// again. An orderly end must lose no answer. With pause, five messages are sent
// as soon as the stream has ended, and no others before the next login.
func (s *subject) interrupt(t *testing.T, prefix string, pause, orderly bool, end func()) breakage {
	t.Helper()
	s.sim.call(t, "POST", "/fault", map[string]any{"delay_ms": 100}, nil) // so that something is always unanswered
	defer s.sim.call(t, "DELETE", "/fault", nil, nil)
	old, mark := s.sim.stream(t).ID, s.mark()

	flow := s.load(t, prefix)
	poll(t, "messages flow", func() bool { return s.acks(flow.sent()) >= 50 })
	end()
	poll(t, "the old stream ends", func() bool { return !s.sim.lives(t, old) })
	ended := time.Now()
	var ids, awayIDs []string
	if pause {
		ids = flow.stop()
		var away []message
		away, awayIDs = batch(prefix+"-away", 5, s.sim.Tokens...)
		s.send(t, away...)
		ids = append(ids, awayIDs...)
	}
	back := s.next(t, mark, "online")
	if pause {
		flow = s.load(t, prefix+"-after")
	}
	before := len(flow.sent())
	poll(t, "messages flow again", func() bool {
		all := flow.sent()
		return s.acks(all[min(before, len(all)):]) >= 50
	})
	flow.stop()
	if pause {
		ids = append(ids, flow.sent()...)
	} else {
		ids = flow.sent()
	}

	// Everything that was sent on the new stream came before this message.
	last := message{ID: prefix + "-last", To: s.sim.Tokens[0], Data: map[string]string{"k": "v"}}
	s.send(t, last)
	s.answered(t, "the last message is answered", []string{last.ID}, 1)
	ids = append(ids, last.ID)
	if n := len(s.since(0, "receipt")); s.acksReceipts && n != 1 {
		t.Errorf("the receipt came %d times; want once, and acked", n)
	}

	var record map[string]reception
	poll(t, "the answers are read", func() bool {
		record = s.sim.record(t)
		for _, id := range ids {
			r, ok := record[id]
			if _, answered := s.answer(id); ok && r.StreamEnded.IsZero() && !answered {
				return false
			}
		}
		return true
	})

	b := breakage{pause: or(s.pause, "after 1 s")}
	for _, id := range ids {
		a, answered := s.answer(id)
		r, received := record[id]
		if r.Copies > 1 {
			b.resent++
		}
		if orderly && r.Missed > 0 {
			t.Errorf("%s: received %d times, and not answered %d times", id, r.Copies, r.Missed)
		}
		switch {
		case answered && !received:
			t.Errorf("%s: the program was told %s %s, and it is not in the record", id, a.Answer, a.Error)
		case answered && (a.Answer != r.Answer || a.Error != r.Error):
			t.Errorf("%s: the program was told %s %s, the record has %s %s", id, a.Answer, a.Error, r.Answer, r.Error)
		case answered && a.Answer == "ack" && !slices.Equal(r.DeliveredTo, []string{r.To}):
			t.Errorf("%s: acked, and delivered %d times; want once, to its token", id, len(r.DeliveredTo))
		case answered && a.Answer == "ack":
			b.acked++
		case answered && a.Error == "CONNECTION_DRAINING":
			b.drained++
		case answered:
			t.Errorf("%s: nack %s", id, a.Error)
		case received && orderly:
			t.Errorf("%s: received on %s (the old one is %s), answered %q, and the program heard nothing", id, r.Stream, old, r.Answer)
		case received:
			b.lost++
		default:
			b.unsent = append(b.unsent, id)
		}
	}
	for _, id := range awayIDs {
		if _, received := record[id]; !received {
			b.lostAway++
		}
	}
	b.rejected = len(s.since(mark, "rejection")) + len(s.since(mark, "send_failed"))
	b.errors = len(s.since(mark, "error"))
	b.offline = len(s.since(mark, "offline"))
	b.told = len(s.since(mark, "control")) > 0
	b.away = max(back.at.Sub(ended), 0)
	t.Logf("%d messages: %d acked, %d nacked as draining, %d received and unanswered, %d never received, %d received again; "+
		"%d of five sent while away never received; "+
		"%d sends refused by the library, %d errors; told of draining: %v; back after %v",
		len(ids), b.acked, b.drained, b.lost, len(b.unsent), b.resent, b.lostAway, b.rejected, b.errors, b.told, b.away.Round(10*time.Millisecond))
	for _, kind := range []string{"error", "offline"} {
		for _, e := range s.since(mark, kind)[:min(3, len(s.since(mark, kind)))] {
			t.Logf("%s: %.300s", kind, e.Error)
		}
	}
	if r := s.since(mark, "rejection"); len(r) > 0 {
		t.Logf("first refusal: %s", r[0].Error)
	}
	return b
}

// acks counts the acks for these messages.
func (s *subject) acks(ids []string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.answers[id].Answer == "ack" {
			n++
		}
	}
	return n
}

// draining says how the program took an announcement.
func (b breakage) draining() (short, long string) {
	short, long = "sends on", "not told of it and sends on"
	if b.told {
		short, long = "holds", "told of it; this program then holds new messages"
	}
	if b.drained > 0 {
		long += "; the last messages nacked `CONNECTION_DRAINING`"
	} else {
		long += "; no message nacked"
	}
	long += "; all that was received is answered; back " + b.back()
	return short + ", back " + b.back(), long
}

// cutting says how the program took a connection that broke.
func (b breakage) cutting() (short, long string) {
	switch {
	case b.lost+len(b.unsent) > 0:
		short, long = "forgets", "what was under way stays unanswered, and is not sent again"
	case b.resent > 0:
		short, long = "sends again", "what was under way is sent again with the same ids, and acked"
	default:
		short, long = "nothing was under way", "nothing was under way"
	}
	return short + ", back " + b.back(), long + "; back " + b.back()
}

func (b breakage) back() string {
	if b.away < 900*time.Millisecond {
		return "at once"
	}
	return b.pause
}

// drain announces the end of all streams.
func (s *subject) drain(t *testing.T, announce string) func() {
	return func() {
		s.sim.call(t, "POST", "/drain", map[string]any{"streams": "all", "announce": announce, "close_after_ms": 500}, nil)
	}
}

// cut resets all connections.
func (s *subject) cut(t *testing.T) func() {
	return func() { s.sim.call(t, "POST", "/cut", map[string]any{"streams": "all"}, nil) }
}

// logout ends the program in order.
func (s *subject) logout(t *testing.T) {
	s.stop(t)
	poll(t, "no stream is left", func() bool { return len(s.sim.streams(t)) == 0 })
}

// noStream wants that nobody is logged in.
func (s *subject) noStream(t *testing.T) {
	t.Helper()
	if all := s.sim.streams(t); len(all) > 0 {
		t.Errorf("somebody is logged in: %v", all)
	}
}

// jid wants the one stream to be the sender's.
func (s *subject) jid(t *testing.T) {
	t.Helper()
	if st := s.sim.stream(t); !strings.HasPrefix(st.JID, s.sim.SenderID+"@") {
		t.Errorf("the stream is %+v; want it to be %s's", st, s.sim.SenderID)
	}
}
