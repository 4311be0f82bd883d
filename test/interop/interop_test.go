package interop

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSlixmpp(t *testing.T) {
	s := &subject{sim: startSim(t), facts: factsOf("slixmpp")}

	t.Run("S77 slixmpp: trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := slixmpp(t, s.sim, other.CAFile, "")
		s.facts.note("unknown certificate authority", p.untrusted(t, "connect_failed", "VERIFY"))
		s.noStream(t)
	})
	t.Run("S77 S11 slixmpp: a wrong key is refused, and the program ends", func(t *testing.T) {
		p := slixmpp(t, s.sim, "", "wrong")
		p.next(t, 0, "auth_failed")
		p.awaitOrEnd(t, "the end of the program", func() bool { return false })
		s.facts.note("wrong key", "told; this program then ends")
		s.noStream(t)
	})
	s.program = slixmpp(t, s.sim, "", "")
	if !t.Run("S77 S20 slixmpp: logs in with presence and roster query, the latter refused", func(t *testing.T) {
		s.next(t, 0, "online")
		if e := s.next(t, 0, "roster"); e.Error != "feature-not-implemented" {
			t.Errorf("the roster query was answered %q", e.Error)
		}
		s.facts.short("login", "yes")
		s.facts.note("login", "PLAIN, bind, session, presence; its roster query is refused, which it survives")
		s.jid(t)
	}) {
		return
	}
	t.Run("S77 S30 slixmpp: 1,000 messages without stanza ids, 1,000 acks", s.sendThousand)
	t.Run("S77 S33 slixmpp: live, dead, foreign and senseless tokens, each with its answer", s.sendMixed)
	t.Run("S77 S53 slixmpp: upstream messages, each offered and acked once", s.getUpstream)
	t.Run("S77 S59 slixmpp: a delivery receipt, acked once", s.getReceipt)
	t.Run("S77 S66 slixmpp: draining announced by control, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "control", false, true, s.drain(t, "control"))
		short, long := b.draining()
		s.facts.short("drain", short)
		s.facts.note("draining announced by control", long)
		if !b.told || b.drained > 0 {
			t.Errorf("told: %v, %d messages nacked; want it told in time", b.told, b.drained)
		}
		if len(b.unsent) == 0 {
			s.facts.note("sent while it is away", "kept by this program until the next login")
		}
	})
	t.Run("S77 S66 slixmpp: draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", false, true, s.drain(t, "nack"))
		_, long := b.draining()
		s.facts.note("draining announced by nacks", long)
	})
	t.Run("S77 S24 slixmpp: a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", false, false, s.cut(t))
		short, long := b.cutting()
		s.facts.short("cut", short)
		s.facts.note("connection cut", long)
	})
	t.Run("S77 S24 slixmpp: logs out", s.logout)
}

func TestNodeXCS(t *testing.T) {
	s := &subject{sim: startSim(t), facts: factsOf("node-xcs")}

	t.Run("S75 node-xcs: trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := nodeXCS(t, s.sim, other.CAFile, "")
		s.facts.note("unknown certificate authority", p.untrusted(t, "error", "VERIFY"))
		s.noStream(t)
	})
	t.Run("S75 S11 node-xcs: a wrong key is refused, again and again", func(t *testing.T) {
		p := nodeXCS(t, s.sim, "", "wrong")
		p.await(t, "three refusals", func() bool { return count(p.events, "error") >= 3 })
		for _, e := range p.since(0, "error") {
			if !strings.Contains(e.Error, "not-authorized") {
				t.Errorf("error event %q; want not-authorized", e.Error)
			}
		}
		s.facts.note("wrong key", "told by an event; the library goes on trying")
		s.noStream(t)
	})
	s.program = nodeXCS(t, s.sim, "", "")
	if !t.Run("S75 node-xcs: logs in at Google's host and port", func(t *testing.T) {
		s.next(t, 0, "online")
		s.facts.short("login", "yes")
		s.facts.note("login", "PLAIN, bind, session")
		s.jid(t)
	}) {
		return
	}
	t.Run("S75 S48 node-xcs: 1,000 messages at once, 1,000 acks", s.sendThousand)
	t.Run("S75 S33 node-xcs: live, dead, foreign and senseless tokens, each with its answer", s.sendMixed)
	t.Run("S75 S53 node-xcs: upstream messages, each offered and acked once", s.getUpstream)
	t.Run("S75 S59 node-xcs: a delivery receipt, acked once", s.getReceipt)
	t.Run("S75 S66 node-xcs: draining announced by control, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "control", true, true, s.drain(t, "control"))
		short, long := b.draining()
		s.facts.short("drain", short)
		s.facts.note("draining announced by control", long)
	})
	t.Run("S75 S66 node-xcs: draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", true, true, s.drain(t, "nack"))
		_, long := b.draining()
		s.facts.note("draining announced by nacks", long)
	})
	t.Run("S75 S24 node-xcs: a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", true, false, s.cut(t))
		short, long := b.cutting()
		s.facts.short("cut", short)
		s.facts.note("connection cut", long)
		if b.offline > 0 {
			t.Error("the library says that it is disconnected; docs/interop.md says that a cut does not make it")
		}
		if b.lostAway == 5 {
			s.facts.note("sent while it is away", "lost, and the sender is not told")
		}
	})
	t.Run("S75 S24 node-xcs: logs out", s.logout)

	// The library writes messages into a connection that has not logged in yet,
	// even before its header. Whether it ever comes back is its own affair.
	t.Run("S75 S14 node-xcs: what it writes before a login is obeyed by nobody", func(t *testing.T) {
		s := &subject{program: nodeXCS(t, s.sim, "", ""), sim: s.sim}
		s.next(t, 0, "online")
		mark, before := s.mark(), len(s.sim.record(t))
		first := s.sim.stream(t).ID
		s.cut(t)()
		flow := s.load(t, "early")
		s.awaitOrEnd(t, "three errors, a login, or the end", func() bool {
			return count(s.events[mark:], "error") >= 3 || count(s.events[mark:], "online") > 0
		})
		ids := flow.stop()
		logins := map[string]bool{first: true}
		for _, st := range s.sim.streams(t) {
			logins[st.ID] = true
		}
		record := s.sim.record(t)
		for _, id := range ids {
			r, received := record[id]
			if received && !logins[r.Stream] {
				t.Errorf("%s was received on %s, which never was a session", id, r.Stream)
			}
			if a, ok := s.answer(id); ok && (!received || a.Answer != r.Answer) {
				t.Errorf("%s: the program was told %s, the record has %+v", id, a.Answer, r)
			}
		}
		t.Logf("%d messages, %d of them received; the program told %v", len(ids), len(record)-before, s.tally())
		for _, e := range s.since(mark, "error") {
			t.Logf("error event: %s", e.Error)
		}
	})
}

func TestAiofcm(t *testing.T) {
	s := &subject{sim: startSim(t), facts: factsOf("aiofcm")}
	s.sim.again = true

	t.Run("S76 aiofcm: trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := aiofcm(t, s.sim, other.CAFile, "")
		s.facts.note("unknown certificate authority", p.untrusted(t, "error", "certificate verify failed"))
		s.noStream(t)
	})
	t.Run("S76 S11 aiofcm: a wrong key is refused, again and again", func(t *testing.T) {
		p := aiofcm(t, s.sim, "", "wrong")
		const refused = "authentication aborted by user" // it has no other key to try
		if e := p.next(t, 0, "connect_failed"); !strings.Contains(e.Error, refused) {
			t.Errorf("connect_failed %q; want %s", e.Error, refused)
		}
		messages, _ := batch("wrong", 1, s.sim.Tokens...)
		p.send(t, messages...)
		p.await(t, "two more tries", func() bool { return count(p.events, "error") >= 4 })
		for _, e := range p.since(0, "error") {
			if !strings.Contains(e.Error, refused) && !strings.Contains(e.Error, "connection problem") {
				t.Errorf("error %q; want %s", e.Error, refused)
			}
		}
		s.facts.note("wrong key", "told by the log alone; the library tries again each second, and a send waits for ever")
		s.noStream(t)
	})
	s.program = aiofcm(t, s.sim, "", "")
	if !t.Run("S76 aiofcm: logs in at Google's host and port", func(t *testing.T) {
		s.next(t, 0, "online")
		s.facts.short("login", "yes")
		s.facts.note("login", "PLAIN, bind, session; when there is something to send")
		s.jid(t)
	}) {
		return
	}
	t.Run("S76 aiofcm: ten messages, ten results, and a nack is a status", func(t *testing.T) {
		messages, ids := batch("ten", 10, s.sim.Tokens[0], s.sim.Dead[0])
		s.send(t, messages...)
		s.answered(t, "ten results", ids, len(ids))
		for i, m := range messages {
			want := event{Answer: "ack"}
			if i%2 == 1 {
				want = event{Answer: "nack", Error: "DEVICE_UNREGISTERED"}
			}
			if a, _ := s.answer(m.ID); a.Answer != want.Answer || a.Error != want.Error || (a.Description != "") != (want.Error != "") {
				t.Errorf("%s: %+v; want %s %s", m.ID, a, want.Answer, want.Error)
			}
		}
		if failed := s.since(0, "send_failed"); len(failed) > 0 {
			t.Errorf("%d sends threw, first: %s", len(failed), failed[0].Error)
		}
	})
	t.Run("S76 S48 aiofcm: 1,000 messages at once, 1,000 acks", s.sendThousand)
	t.Run("S76 S33 aiofcm: live, dead, foreign and senseless tokens, each with its answer", s.sendMixed)
	t.Run("S76 S66 aiofcm: draining announced by control, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "control", false, true, s.drain(t, "control"))
		short, long := b.draining()
		s.facts.short("drain", short)
		s.facts.note("draining announced by control", long)
		if len(b.unsent) == 0 {
			s.facts.note("sent while it is away", "kept by the library, which logs in for it")
		}
	})
	t.Run("S76 S66 aiofcm: draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", false, true, s.drain(t, "nack"))
		_, long := b.draining()
		s.facts.note("draining announced by nacks", long)
	})
	t.Run("S76 S58 aiofcm: acks no upstream message, and goes on sending", func(t *testing.T) {
		mark := s.mark()
		s.sim.call(t, "POST", "/devices/"+s.sim.Tokens[0]+"/upstream", map[string]any{"message_id": "up", "data": map[string]string{"k": "v"}}, nil)
		s.next(t, mark, "error") // the library's log has it as a strange response
		messages, ids := batch("beside", 100, s.sim.Tokens...)
		s.send(t, messages...)
		s.answered(t, "100 answers", ids, len(ids))
		if u := s.sim.upstream(t, "up"); u.State != "offered" || u.Offers != 1 {
			t.Errorf("the upstream message is %+v; want it offered once and not acked", u)
		}
		s.facts.short("upstream", "not acked")
		s.facts.note("upstream", "not handed over, not acked; it comes again after the next login")
	})
	t.Run("S76 aiofcm: cannot ask for a receipt", func(t *testing.T) {
		mark := s.mark()
		s.send(t, message{ID: "with-receipt", To: s.sim.Tokens[0], Data: map[string]string{"k": "v"}, Receipt: true})
		if e := s.next(t, mark, "send_failed"); !strings.Contains(e.Error, "TypeError") {
			t.Errorf("send_failed %q; want that the library's message has no such field", e.Error)
		}
		s.facts.short("receipt", "none")
		s.facts.note("receipt", "its messages cannot ask for one")
	})
	t.Run("S76 S24 aiofcm: a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", false, false, s.cut(t))
		short, long := b.cutting()
		s.facts.short("cut", short)
		s.facts.note("connection cut", long)
	})
	t.Run("S76 S56 aiofcm: closes an idle connection, and makes another for the next message", func(t *testing.T) {
		offers := s.sim.upstream(t, "up").Offers
		mark := s.mark()
		s.next(t, mark, "offline")
		poll(t, "the stream ends", func() bool { return len(s.sim.streams(t)) == 0 })
		messages, ids := batch("idle", 1, s.sim.Tokens...)
		s.send(t, messages...)
		s.answered(t, "an answer", ids, 1)
		s.facts.note("silence", "the library closes the connection after 10 s, and makes another for the next message")
		poll(t, "the upstream message is offered again", func() bool { return s.sim.upstream(t, "up").Offers == offers+1 })
	})
	t.Run("S76 S24 aiofcm: logs out", s.logout)
}

func TestSmack43(t *testing.T) {
	//conformance:S72 S11 S21 S27 S30 S48 S33 S53 S54 S58 S60 S66 S24 S56
	testSmack(t, smack{dir: os.Getenv(smack43Env), ping: 100}, "S72 ", "Smack 4.3", "Smack 4.3.4 (4.3.4-4.3 2019-05-27)")
}

func TestSmack43WithAssertions(t *testing.T) {
	s := &subject{sim: startSim(t), facts: &facts{shorts: map[string]string{}}}
	s.sim.again = true
	s.program = smack{dir: os.Getenv(smack43Env), java: []string{"-ea"}, ping: 2}.start(t, s.sim, "", "")
	if !t.Run("S73 Smack 4.3 -ea: logs in", func(t *testing.T) {
		if e := s.next(t, 0, "hello"); !strings.HasSuffix(e.Error, " -ea") {
			t.Fatalf("this is %q; want assertions on", e.Error)
		}
		s.next(t, 0, "online")
		s.jid(t)
	}) {
		return
	}
	t.Run("S73 S21 Smack 4.3 -ea: pings a silent server and takes its pongs", s.ponged)
	t.Run("S73 S48 Smack 4.3 -ea: 1,000 messages at once, 1,000 acks", s.sendThousand)
	t.Run("S73 S53 Smack 4.3 -ea: upstream messages, each offered and acked once", s.getUpstream)
	t.Run("S73 S66 Smack 4.3 -ea: draining announced by control, no answer lost, and a new login", func(t *testing.T) {
		s.interrupt(t, "control", false, true, s.drain(t, "control"))
	})
	// Of this no server can keep it: Smack asserts that the header has the name
	// that the program gave, and has itself asked for another one.
	t.Run("S73 Smack 4.3 -ea: does not come back from a cut, by an assertion of its own", func(t *testing.T) {
		if n := len(s.since(0, "uncaught")); n > 0 {
			t.Errorf("%d threads died before the cut", n)
		}
		mark := s.mark()
		s.cut(t)()
		if e := s.next(t, mark, "uncaught"); !strings.Contains(e.Error, "AssertionError") {
			t.Errorf("a thread died of %q; want an AssertionError", e.Error)
		}
	})
}

func TestSmack44(t *testing.T) {
	//conformance:S11 S21 S27 S30 S48 S33 S53 S54 S58 S60 S66 S24 S56
	testSmack(t, smack{dir: os.Getenv(smack44Env), java: []string{"-ea"}, ping: 100}, "", "Smack 4.4", "Smack 4.4.8 (4.4.8-4.4 2024-04-02) -ea")
}

// ponged wants three pings answered.
func (s *subject) ponged(t *testing.T) {
	s.await(t, "three pongs", func() bool { return count(s.events, "pong") >= 3 })
	if n := len(s.since(0, "ping_failed")) + len(s.since(0, "offline")); n > 0 {
		t.Errorf("%d pings failed or streams ended", n)
	}
}

// testSmack runs the program on one version of Smack. The tests show items of
// their own beside those that are given.
func testSmack(t *testing.T, v smack, items, name, version string) {
	s := &subject{sim: startSim(t), facts: factsOf(name), pause: "after its ReconnectionManager's pause"}
	s.sim.again = true
	run := func(test string, f func(t *testing.T)) bool {
		i := strings.LastIndex(test, ": ") // the items of this test come before the program's name
		return t.Run(items+test[:i]+name+test[i:], f)
	}

	run(": trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := v.start(t, s.sim, other.CAFile, "")
		s.facts.note("unknown certificate authority", p.untrusted(t, "untrusted", "PKIX path building failed"))
		p.next(t, 0, "connect_failed")
		s.noStream(t)
	})
	run("S11 : a wrong key is refused, and what is sent all the same is obeyed by nobody", func(t *testing.T) {
		p := v.start(t, s.sim, "", "wrong")
		if e := p.next(t, 0, "auth_failed"); e.Error != "not-authorized" {
			t.Errorf("auth_failed %q; want not-authorized", e.Error)
		}
		messages, _ := batch("wrong", 1, s.sim.Tokens...)
		p.send(t, messages...)
		p.next(t, 0, "offline")
		s.noStream(t)
		if r := s.sim.record(t); len(r) > 0 {
			t.Errorf("%d messages are in the record; want none without a login", len(r))
		}
		s.facts.note("wrong key", "told; the connection stays with the program, which may write messages to it: the server reads none and closes")
	})
	s.program = v.start(t, s.sim, "", "")
	if !run(": logs in; wants compression and stream management, and does without", func(t *testing.T) {
		if e := s.next(t, 0, "hello"); e.Error != version {
			t.Fatalf("this is %q; want %q", e.Error, version)
		}
		if e := s.next(t, 0, "online"); e.Error != "compression off, stream management off" {
			t.Errorf("logged in with %s", e.Error)
		}
		s.facts.short("login", "yes")
		s.facts.note("login", "PLAIN, bind, session; neither compression nor stream management, which it would use")
		s.jid(t)
	}) {
		return
	}
	run("S21 : pings a silent server and takes its pongs", func(t *testing.T) {
		fast := v
		fast.ping = 2
		p := &subject{program: fast.start(t, s.sim, "", "")}
		p.ponged(t)
		p.stop(t)
		poll(t, "its stream ends", func() bool { return len(s.sim.streams(t)) == 1 })
		s.facts.note("silence", "a ping after 100 s, here after 2 s; the pong's sender is checked, and taken")
	})
	run("S30 S27 S48 : 1,000 messages at once, nothing escaped, 1,000 acks", s.sendThousand)
	run("S33 : live, dead, foreign and senseless tokens, each with its answer", s.sendMixed)
	run("S53 S54 : upstream messages, each offered and acked once", s.getUpstream)
	run("S54 : an upstream message is echoed to its device", func(t *testing.T) {
		data := map[string]string{"action": "ECHO", "k": "a & b < c"}
		s.sim.call(t, "POST", "/devices/"+s.sim.Tokens[1]+"/upstream", map[string]any{"message_id": "echo", "data": data}, nil)
		poll(t, "the echo", func() bool {
			for _, r := range s.sim.record(t) {
				if r.To == s.sim.Tokens[1] && maps.Equal(r.Data, data) && slices.Equal(r.DeliveredTo, []string{r.To}) {
					return true
				}
			}
			return false
		})
		if u := s.sim.upstream(t, "echo"); u.State != "acked" || u.Offers != 1 {
			t.Errorf("the upstream message is %+v; want it acked at the first offer", u)
		}
		s.facts.note("`action` ECHO", "acked, and sent back to its device")
	})
	run("S60 : a receipt, which is never acked", s.receipt)

	// orderly is how it took a drain. Smack may take the server's end for an
	// error, it depends on its threads, and then waits as after a cut.
	orderly := func(b breakage) (short, long string) {
		b.away = 0
		short, long = b.draining()
		return short, long + ", or, where Smack takes the end for an error, " + s.pause
	}
	var kept []string
	run("S66 : draining announced by control, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "control", false, true, s.drain(t, "control"))
		short, long := orderly(b)
		s.facts.short("drain", short)
		s.facts.note("draining announced by control", long)
		if !b.told || b.drained > 0 || len(b.unsent) == 0 {
			t.Errorf("told: %v, %d messages nacked, %d kept; want it told in time", b.told, b.drained, len(b.unsent))
		}
		kept = b.unsent
		if n := len(s.since(0, "receipt")); n != 2 {
			t.Errorf("the receipt came %d times; want it on either stream", n)
		}
		s.facts.short("receipt", "not acked")
		s.facts.note("receipt", "handed over, never acked by this program; it comes again after the next login, and on three streams at most")
	})
	run("S66 : draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", false, true, s.drain(t, "nack"))
		_, long := orderly(b)
		s.facts.note("draining announced by nacks", long)
		if b.drained == 0 {
			t.Error("no message was nacked")
		}
		kept = append(kept, b.unsent...)
	})
	run("S58 : an upstream message without an action is never acked, and holds back nothing", func(t *testing.T) {
		mark := s.mark()
		s.sim.call(t, "POST", "/devices/"+s.sim.Tokens[0]+"/upstream", map[string]any{"message_id": "no-action", "data": map[string]string{"k": "v"}}, nil)
		s.next(t, mark, "upstream")
		s.sim.call(t, "POST", "/devices/"+s.sim.Tokens[0]+"/upstream", map[string]any{"message_id": "behind", "data": map[string]string{"action": "NOTE"}}, nil)
		poll(t, "the message behind it is acked", func() bool { return s.sim.upstream(t, "behind").State == "acked" })
		if u := s.sim.upstream(t, "no-action"); u.State != "offered" || u.Offers != 1 {
			t.Errorf("the upstream message is %+v; want it offered once and not acked", u)
		}
		s.facts.note("upstream without `action`", "this program throws before its ack; it comes again after the next login")
	})
	run("S24 S56 : a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", true, false, s.cut(t))
		short, long := b.cutting()
		if v.java == nil {
			long += "; with Java's assertions on not at all, by an assertion of Smack's own"
		}
		s.facts.short("cut", short)
		s.facts.note("connection cut", long)
		s.answered(t, "what the drains left is answered after this login", kept, len(kept))
		if u := s.sim.upstream(t, "no-action"); u.State != "offered" || u.Offers < 2 {
			t.Errorf("the upstream message without an action is %+v; want it offered again", u)
		}
		away := "kept by this program until the next login"
		if b.lostAway > 0 {
			away = "lost"
		}
		s.facts.note("sent while it is away", away+"; after a drain, what is younger than 5 s until the one after that")
	})
	run("S24 : logs out with presence and closing tag", s.logout)
}
