package interop

import (
	"strings"
	"testing"
)

func TestSlixmpp(t *testing.T) {
	s := &subject{sim: startSim(t), facts: column("slixmpp")}

	t.Run("S77 slixmpp: trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := slixmpp(t, s.sim, other.CAFile, "")
		s.facts["unknown certificate authority"] = p.untrusted(t, "connect_failed", "VERIFY")
		s.noStream(t)
	})
	t.Run("S77 S11 slixmpp: a wrong key is refused, and the program ends", func(t *testing.T) {
		p := slixmpp(t, s.sim, "", "wrong")
		p.next(t, 0, "auth_failed")
		p.awaitOrEnd(t, "the end of the program", func() bool { return false })
		s.facts["wrong key"] = "told; this program then ends"
		s.noStream(t)
	})
	s.program = slixmpp(t, s.sim, "", "")
	if !t.Run("S77 S20 slixmpp: logs in with presence and roster query, the latter refused", func(t *testing.T) {
		s.next(t, 0, "online")
		if e := s.next(t, 0, "roster"); e.Error != "feature-not-implemented" {
			t.Errorf("the roster query was answered %q", e.Error)
		}
		s.facts["login"] = "PLAIN, bind, session, presence; its roster query is refused, which it survives"
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
		s.facts["draining announced by control"] = b.draining()
		if !b.told || b.drained > 0 {
			t.Errorf("told: %v, %d messages nacked; want it told in time", b.told, b.drained)
		}
		if b.unsent == 0 {
			s.facts["sent while it is away"] = "kept by this program until the next login"
		}
	})
	t.Run("S77 S66 slixmpp: draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", false, true, s.drain(t, "nack"))
		s.facts["draining announced by nacks"] = b.draining()
	})
	t.Run("S77 S24 slixmpp: a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", false, false, s.cut(t))
		s.facts["connection cut"] = b.cutting()
	})
	t.Run("S77 S24 slixmpp: logs out", s.logout)
}

func TestNodeXCS(t *testing.T) {
	s := &subject{sim: startSim(t), facts: column("node-xcs")}

	t.Run("S75 node-xcs: trusts no other certificate authority", func(t *testing.T) {
		other := startSim(t, "--ccs-listen", "127.0.0.1:0")
		p := nodeXCS(t, s.sim, other.CAFile, "")
		s.facts["unknown certificate authority"] = p.untrusted(t, "error", "VERIFY")
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
		s.facts["wrong key"] = "told by an event; the library goes on trying"
		s.noStream(t)
	})
	s.program = nodeXCS(t, s.sim, "", "")
	if !t.Run("S75 node-xcs: logs in at Google's host and port", func(t *testing.T) {
		s.next(t, 0, "online")
		s.facts["login"] = "PLAIN, bind, session"
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
		s.facts["draining announced by control"] = b.draining()
	})
	t.Run("S75 S66 node-xcs: draining announced by nacks, no answer lost", func(t *testing.T) {
		b := s.interrupt(t, "nack", true, true, s.drain(t, "nack"))
		s.facts["draining announced by nacks"] = b.draining()
	})
	t.Run("S75 S24 node-xcs: a cut, nothing acked is lost, and it comes back", func(t *testing.T) {
		b := s.interrupt(t, "cut", true, false, s.cut(t))
		s.facts["connection cut"] = b.cutting()
		if b.offline > 0 {
			t.Error("the library says that it is disconnected; docs/interop.md says that a cut does not make it")
		}
		if b.lostAway == 5 {
			s.facts["sent while it is away"] = "lost, and the sender is not told"
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
