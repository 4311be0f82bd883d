package fcmsim_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/fcmsim"
	"penstock/internal/xmpp"
)

func TestDownstream(t *testing.T) {
	t.Run("S35 an acked message is on the device or stored for it", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, online, offline := b.login(), b.Tokens()[0], b.Tokens()[1]
			b.online(offline, false)
			a.sendAcked(down(online, "m-1"))
			b.wantIDs(online, "m-1")
			a.sendAcked(down(offline, "m-2"))
			if n := b.device(offline).Stored; n != 1 {
				t.Fatalf("%d messages are stored, want 1", n)
			}
			got := b.device(online).Received[0]
			want := fcmsim.Delivery{Time: time.Now(), MessageID: "m-1", Data: map[string]string{"id": "m-1"}}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
		})
	})
	t.Run("S40 a dry run is answered alike and delivered nowhere", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a := b.login()
			if _, err := b.AddDevice(&fcmsim.DeviceOptions{Token: "sub", Topics: []string{"news"}}); err != nil {
				t.Fatal(err)
			}
			for _, to := range []ccs.RegistrationToken{b.Tokens()[0], "/topics/news"} {
				m := down(to, ccs.NewMessageID())
				m.DryRun, m.DeliveryReceiptRequested = true, true
				a.sendAcked(m)
			}
			m := down(b.DeadTokens()[0], "m-dead")
			m.DryRun = true
			a.send(m)
			a.wantNack("m-dead", ccs.CodeDeviceUnregistered)
			a.wantQuiet(time.Minute)
			b.wantIDs(b.Tokens()[0])
			b.wantIDs("sub")
			if r := b.Record(); !r[0].DryRun || r[0].DeliveredTo != nil {
				t.Fatalf("the record says %+v", r[0])
			}
		})
	})
	t.Run("S42 a repeated id is acked again and delivered once", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			a.sendAcked(down(token, "m-1"))
			a.sendAcked(down(token, "m-1"))
			other := b.login()
			other.sendAcked(down(token, "m-1"))
			b.wantIDs(token, "m-1")
			r := b.Record()
			if len(r) != 3 || r[0].Repeated || !r[1].Repeated || !r[2].Repeated {
				t.Fatalf("the record says %+v", r)
			}
			if len(r[0].DeliveredTo) != 1 || r[1].DeliveredTo != nil || r[2].Answer != "ack" || r[2].Stream == r[0].Stream {
				t.Fatalf("the record says %+v", r)
			}
		})
	})
	t.Run("S59 a receipt has all its fields", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			d, err := b.AddDevice(&fcmsim.DeviceOptions{Category: "org.example.other", Offline: true})
			if err != nil {
				t.Fatal(err)
			}
			a := b.login()
			m := down(d.Token, "m-1")
			m.DeliveryReceiptRequested = true
			a.sendAcked(m)
			a.wantQuiet(time.Minute) // not before the device has it
			b.online(d.Token, true)
			a.want(&ccs.Receipt{
				MessageID: "dr2:m-1", OriginalMessageID: "m-1", Category: "org.example.other",
				Status: "MESSAGE_SENT_TO_DEVICE", Device: d.Token, SentAt: time.Now().UTC(),
			})
			a.send(&ccs.Ack{To: ccs.ReceiptFrom, MessageID: "dr2:m-1"})
			a.wantQuiet(time.Minute)
		})
	})
	t.Run("the receipt comes after the ack, a late one too", func(t *testing.T) {
		inBubble(t, fcmsim.Options{AnswerDelay: time.Second}, func(b *bench) {
			a, m := b.login(), down(b.Tokens()[0], "m-1")
			m.DeliveryReceiptRequested = true
			a.send(m)
			a.wantQuiet(999 * time.Millisecond)
			a.want(ack(m))
			if _, ok := a.read().(*ccs.Receipt); !ok {
				t.Fatal("no receipt")
			}
		})
	})
}

// TestCodes shows every nack that the simulator gives by itself, and every
// other one on request.
func TestCodes(t *testing.T) {
	t.Run("S41 each trouble has its own code", func(t *testing.T) {
		inBubble(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle}, func(b *bench) {
			a, live := b.login(), b.Tokens()[0]
			unknown := live[:len(live)-1] + "~"
			for _, c := range []struct {
				name string
				m    ccs.Downstream
				code ccs.Code
				text string
			}{
				{"malformed", ccs.Downstream{To: "SomeInvalidRegistrationId"}, ccs.CodeBadRegistration, "Invalid token on 'to' field: Some…(25)"},
				{"never made", ccs.Downstream{To: unknown}, ccs.CodeBadRegistration, "Invalid token on 'to' field: " + unknown.Redacted()},
				{"dead", ccs.Downstream{To: b.DeadTokens()[0]}, ccs.CodeDeviceUnregistered, ccs.CodeDeviceUnregistered.Sentence()},
				{"another sender's", ccs.Downstream{To: b.ForeignTokens()[0]}, ccs.CodeSenderIDMismatch, ccs.CodeSenderIDMismatch.Sentence()},
				{"another app", ccs.Downstream{To: live, RestrictedPackageName: "org.other"}, ccs.CodeInvalidJSON, "restricted_package_name is not that of the app with this token"},
				{"bad topic", ccs.Downstream{To: "/topics/a b"}, ccs.CodeInvalidJSON, "Invalid topic name on 'to' field: letters, digits and -_.~% only"},
				{"bad condition", ccs.Downstream{Condition: "'a' in topics &&"}, ccs.CodeInvalidJSON, "Invalid condition: a topic in single quotes is missing"},
			} {
				c.m.MessageID = ccs.MessageID(c.name)
				a.send(&c.m)
				if n := a.wantNack(c.m.MessageID, c.code); n.Description != c.text || n.From != c.m.Target() {
					t.Errorf("%s: got %+v, want the text %q", c.name, n, c.text)
				}
			}
			for range 240 {
				a.sendAcked(down(live, ccs.NewMessageID()))
			}
			a.send(down(live, "too many"))
			if n := a.wantNack("too many", ccs.CodeDeviceMessageRateExceeded); n.Description != "Downstream message rate exceeded for this registration id" {
				t.Errorf("got %+v", n)
			}
		})
	})
	t.Run("S41 a fault gives each of the other codes, unknown ones too", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			codes := []ccs.Code{
				ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeTopicsMessageRateExceeded,
				ccs.CodeConnectionDraining, ccs.CodeInvalidAPNSCredential, ccs.CodeAuthenticationFailed,
				ccs.CodeQuotaExceeded, "SOMETHING_NEW",
			}
			for _, code := range codes {
				b.fault(fcmsim.Fault{Nack: code, Next: 1})
			}
			for _, code := range codes {
				a.send(down(token, "m-1")) // a nacked id is open again
				if n := a.wantNack("m-1", code); n.Description != code.Sentence() {
					t.Errorf("%s says %q", code, n.Description)
				}
			}
			a.sendAcked(down(token, "m-1"))
			b.wantIDs(token, "m-1")
		})
	})
}

func TestTopics(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		a := b.login()
		for token, topics := range map[ccs.RegistrationToken][]string{
			"t-a": {"a"}, "t-ab": {"a", "/topics/b"}, "t-c": {"C"},
		} {
			if _, err := b.AddDevice(&fcmsim.DeviceOptions{Token: token, Topics: topics}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.AddDevice(&fcmsim.DeviceOptions{Token: "t-dead", Topics: []string{"a"}, Dead: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.AddDevice(&fcmsim.DeviceOptions{Token: "t-foreign", Topics: []string{"a"}, SenderID: "42"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			m    ccs.Downstream
			want string
		}{
			{ccs.Downstream{To: "/topics/a"}, "t-a t-ab"},
			{ccs.Downstream{To: "/topics/b"}, "t-ab"},
			{ccs.Downstream{To: "/topics/nobody"}, ""},
			{ccs.Downstream{Condition: "'a' in topics"}, "t-a t-ab"},
			{ccs.Downstream{Condition: "'a' in topics && 'b' in topics"}, "t-ab"},
			{ccs.Downstream{Condition: " ( 'b' IN TOPICS||'c'in topics ) "}, "t-ab t-c"},
			{ccs.Downstream{Condition: "'c' in topics && ('a' in topics || 'b' in topics)"}, ""},
			// From left to right: (c or a) and b.
			{ccs.Downstream{Condition: "'c' in topics || 'a' in topics && 'b' in topics"}, "t-ab"},
			{ccs.Downstream{Condition: "'c' in topics || ('a' in topics && 'b' in topics)"}, "t-ab t-c"},
		} {
			m := c.m
			m.MessageID = ccs.NewMessageID()
			m.DeliveryReceiptRequested = true // topics have none
			a.sendAcked(&m)
			var got []string
			for _, token := range b.Record()[len(b.Record())-1].DeliveredTo {
				got = append(got, string(token))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: delivered to %v, want %s", m.Target(), got, c.want)
			}
		}
		a.wantQuiet(time.Minute)
		if d := b.device("t-c").Received[0]; d.Topic != " ( 'b' IN TOPICS||'c'in topics ) " {
			t.Errorf("the device was told the topic %q", d.Topic)
		}
	})
}

func TestBadConditions(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		a := b.login()
		for _, c := range []string{
			"a in topics", "'a", "'a'", "'a' in", "'a' in topics 'b' in topics", "('a' in topics", "'a' in topics)",
			"'a b' in topics", "!('a' in topics)", "'a' in topics & 'b' in topics", "'' in topics", "'a' in topics ||",
			strings.Repeat("(", 17) + "'a' in topics" + strings.Repeat(")", 17),
			strings.Repeat("'a' in topics || ", 5) + "'a' in topics",
		} {
			m := &ccs.Downstream{Condition: c, MessageID: ccs.NewMessageID()}
			a.send(m)
			if n := a.wantNack(m.MessageID, ccs.CodeInvalidJSON); !strings.HasPrefix(n.Description, "Invalid condition: ") {
				t.Errorf("%s: %s", c, n.Description)
			}
		}
		a.sendAcked(&ccs.Downstream{MessageID: "most", Condition: strings.Repeat("(", 16) +
			strings.Repeat("'a' in topics || ", 4) + "'a' in topics" + strings.Repeat(")", 16)})
	})
}

func TestRecord(t *testing.T) {
	t.Run("one object for each copy, with its stream's end", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			start := time.Now()
			a.sendAcked(down(token, "m-1"))
			a.send(down("nonsense-token", "m-2"))
			a.wantNack("m-2", ccs.CodeBadRegistration)
			r := b.Record()
			if len(r) != 2 {
				t.Fatalf("%d receptions", len(r))
			}
			if r[0].Answer != "ack" || r[0].Error != "" || !r[0].AnsweredAt.Equal(start) || !r[0].StreamEnded.IsZero() {
				t.Errorf("got %+v", r[0])
			}
			if r[1].Answer != "nack" || r[1].Error != ccs.CodeBadRegistration || r[1].ErrorDescription == "" {
				t.Errorf("got %+v", r[1])
			}
			time.Sleep(time.Minute)
			a.conn.Close()
			synctest.Wait()
			if got := b.Record()[0].StreamEnded; !got.Equal(start.Add(time.Minute)) {
				t.Errorf("the stream ended at %v", got)
			}
			b.ResetRecord()
			if len(b.Record()) != 0 {
				t.Error("the record is not empty")
			}
		})
	})
	t.Run("full, it drops the oldest and says so", func(t *testing.T) {
		inBubble(t, fcmsim.Options{RecordMax: 3}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			for _, id := range []ccs.MessageID{"m-1", "m-2", "m-3", "m-4", "m-5"} {
				a.sendAcked(down(token, id))
			}
			a.sendAcked(down(token, "m-1")) // its first copy has left the record
			a.sendAcked(down(token, "m-5"))
			var got []ccs.MessageID
			for _, r := range b.Record() {
				got = append(got, r.MessageID)
			}
			if !reflect.DeepEqual(got, []ccs.MessageID{"m-5", "m-1", "m-5"}) || b.RecordDropped() != 4 {
				t.Fatalf("got %v, %d dropped", got, b.RecordDropped())
			}
			if r := b.Record(); r[1].Repeated || !r[2].Repeated {
				t.Fatalf("got %+v", r)
			}
		})
	})
}

func TestTheRecordTellsOfMessagesThatWereWrong(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		a := b.login()
		to := b.Tokens()[0]
		tooBig := down(to, "big")
		tooBig.Data = map[string]string{"k": strings.Repeat("x", ccs.MaxPayload)}
		a.send(tooBig)
		nack := a.wantNack("big", ccs.CodeInvalidJSON)
		a.send(&ccs.Ack{MessageID: "an ack to nobody"})
		a.wantNack("an ack to nobody", ccs.CodeBadAck)
		a.sendAcked(down(to, "good"))

		record := b.Record()
		if len(record) != 2 {
			t.Fatalf("%d receptions, want the wrong message and the good one", len(record))
		}
		r := record[0]
		if r.MessageID != "big" || r.To != to || r.Answer != "nack" || r.Error != ccs.CodeInvalidJSON ||
			r.ErrorDescription != nack.Description || r.AnsweredAt.IsZero() || len(r.DeliveredTo) > 0 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestUpstream(t *testing.T) {
	state := func(b *bench, id ccs.MessageID, want string, offers int) {
		b.t.Helper()
		synctest.Wait()
		st, err := b.UpstreamState("", id)
		if err != nil || st.State != want || st.Offers != offers {
			b.t.Fatalf("got %+v, %v; want %s after %d offers", st, err, want, offers)
		}
	}
	t.Run("from waiting to acked, over two streams", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			token := b.Tokens()[0]
			id, err := b.Upstream(token, fcmsim.Upstream{Data: map[string]string{"k": "v"}, MessageID: "u-1"})
			if err != nil || id != "u-1" {
				t.Fatal(id, err)
			}
			state(b, "u-1", fcmsim.UpstreamWaiting, 0)
			want := &ccs.Upstream{From: token, Category: "com.example.app", MessageID: "u-1", Data: map[string]string{"k": "v"}}
			first := b.login()
			first.want(want)
			state(b, "u-1", fcmsim.UpstreamOffered, 1)
			first.conn.Close()
			state(b, "u-1", fcmsim.UpstreamWaiting, 1)
			second := b.login()
			second.want(want)
			state(b, "u-1", fcmsim.UpstreamOffered, 2)
			second.send(&ccs.Ack{To: token, MessageID: "u-1"})
			state(b, "u-1", fcmsim.UpstreamAcked, 2)
		})
	})
	t.Run("expired when nobody came in time", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			ttl := time.Minute
			if _, err := b.Upstream(b.Tokens()[0], fcmsim.Upstream{MessageID: "u-1", TTL: &ttl}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(ttl)
			state(b, "u-1", fcmsim.UpstreamExpired, 0)
		})
	})
	t.Run("equal ids of two devices", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a := b.login()
			for _, token := range b.Tokens()[:2] {
				if _, err := b.Upstream(token, fcmsim.Upstream{MessageID: "u-1"}); err != nil {
					t.Fatal(err)
				}
			}
			a.read()
			a.read()
			a.send(&ccs.Ack{To: b.Tokens()[0], MessageID: "u-1"})
			state(b, "u-1", fcmsim.UpstreamOffered, 1) // the latest
			if st, err := b.UpstreamState(b.Tokens()[0], "u-1"); err != nil || st.State != fcmsim.UpstreamAcked {
				t.Fatal(st, err)
			}
		})
	})
	t.Run("what cannot be sent", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			long, odd := ccs.MaxTTL+time.Second, time.Millisecond
			b.online(b.Tokens()[1], false)
			for name, c := range map[string]struct {
				token ccs.RegistrationToken
				m     fcmsim.Upstream
			}{
				"unknown device": {"nobody", fcmsim.Upstream{}},
				"offline":        {b.Tokens()[1], fcmsim.Upstream{}},
				"dead":           {b.DeadTokens()[0], fcmsim.Upstream{}},
				"TTL too long":   {b.Tokens()[0], fcmsim.Upstream{TTL: &long}},
				"TTL of ms":      {b.Tokens()[0], fcmsim.Upstream{TTL: &odd}},
				"too big":        {b.Tokens()[0], fcmsim.Upstream{Data: map[string]string{"k": strings.Repeat("x", 4096)}}},
				"id too long":    {b.Tokens()[0], fcmsim.Upstream{MessageID: ccs.MessageID(strings.Repeat("x", 1025))}},
				"not UTF-8":      {b.Tokens()[0], fcmsim.Upstream{Data: map[string]string{"k": "\xff"}}},
			} {
				if id, err := b.Upstream(c.token, c.m); err == nil {
					t.Errorf("%s: got the id %s", name, id)
				} else if len(c.token) > 20 && strings.Contains(err.Error(), string(c.token)) {
					t.Errorf("%s: the error has the whole token", name)
				}
			}
			if _, err := b.Upstream(b.Tokens()[0], fcmsim.Upstream{MessageID: "u-1"}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Upstream(b.Tokens()[0], fcmsim.Upstream{MessageID: "u-1"}); err == nil {
				t.Error("the same id was taken twice")
			}
			if _, err := b.UpstreamState("", "never"); err == nil {
				t.Error("an id that nobody sent has a state")
			}
		})
	})
}

func TestDrainAndCut(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		a := b.login()
		ids := b.Drain(ccsserver.DrainOptions{})
		if len(ids) != 1 || ids[0] != b.Streams()[0].ID {
			t.Fatalf("drained %v", ids)
		}
		a.want(&ccs.Control{Type: ccs.ControlDraining})
		a.sendAcked(down(b.Tokens()[0], "m-1"))
		a.wantEnd()
		a = b.login()
		if ids := b.Cut(nil); len(ids) != 1 {
			t.Fatalf("cut %v", ids)
		}
		a.wantEnd()
	})
}

func TestLifecycle(t *testing.T) {
	t.Run("shutdown drains", func(t *testing.T) {
		inBubble(t, fcmsim.Options{AnswerDelay: 3 * time.Second}, func(b *bench) {
			a := b.login()
			a.send(down(b.Tokens()[0], "m-1"))
			synctest.Wait()
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := b.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
			a.want(&ccs.Control{Type: ccs.ControlDraining})
			a.want(ack(down(b.Tokens()[0], "m-1")))
			a.wantEnd()
			wg.Wait()
		})
	})
	t.Run("shutdown has a bound", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			b.fault(fcmsim.Fault{Silence: true})
			a := b.login()
			a.send(down(b.Tokens()[0], "m-1"))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := b.Shutdown(ctx); err == nil {
				t.Error("no error")
			}
		})
	})
	t.Run("in any order", func(t *testing.T) {
		sim, err := fcmsim.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if sim.Addr() != "" {
			t.Error("an address before Start")
		}
		for range 2 {
			if err := sim.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := sim.Start(); err == nil {
			t.Error("started after Close")
		}
		if sim, err = fcmsim.Start(&fcmsim.Options{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}}); err != nil {
			t.Fatal(err)
		}
		if len(sim.Addrs()) != 2 {
			t.Errorf("addresses %v", sim.Addrs())
		}
		if err := sim.Start(); err == nil {
			t.Error("started twice")
		}
		if _, err := fcmsim.Start(&fcmsim.Options{Listen: []string{"127.0.0.1:0", sim.Addr()}}); err == nil {
			t.Error("a port was taken twice")
		}
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("bad options are named", func(t *testing.T) {
		for field, opt := range map[string]fcmsim.Options{
			"LiveDevices": {LiveDevices: -1}, "RecordMax": {RecordMax: -1}, "AnswerDelay": {AnswerDelay: -1},
			"Quotas": {Quotas: 7}, "SenderID": {SenderID: "me"}, "ServerKey": {ServerKey: "a\x00b"},
			"Options.Window": {Server: &ccsserver.Options{Window: -1}}, "devices": {LiveDevices: 100_001},
		} {
			if _, err := fcmsim.New(&opt); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

func TestOverTLS(t *testing.T) {
	sim, err := fcmsim.Start(&fcmsim.Options{Names: []string{"fcm.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	for _, name := range []string{"", "localhost", "gcm.googleapis.com", "fcm-xmpp.googleapis.com", "fcm.example.org"} {
		conn, err := tls.Dial("tcp", sim.Addr(), &tls.Config{RootCAs: sim.CertPool(), ServerName: name})
		if err != nil {
			t.Fatalf("as %q: %v", name, err)
		}
		a, err := login(t, conn, sim)
		if err != nil {
			t.Fatal(err)
		}
		a.sendAcked(down(sim.Tokens()[0], ccs.NewMessageID()))
	}
}

// TestEndsOverTLS shows that what faults need has not changed how streams end.
func TestEndsOverTLS(t *testing.T) {
	sim, err := fcmsim.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	bound := func() *app {
		conn, err := tls.Dial("tcp", sim.Addr(), &tls.Config{RootCAs: sim.CertPool()})
		if err != nil {
			t.Fatal(err)
		}
		a, err := login(t, conn, sim)
		if err != nil {
			t.Fatal(err)
		}
		a.sendAcked(down(sim.Tokens()[0], ccs.NewMessageID()))
		return a
	}
	a := bound()
	sim.Cut(nil)
	if _, err := a.next(10 * time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a cut shows as %v, want a reset", err)
	}
	a = bound()
	ended := make(chan error, 1)
	go func() { ended <- sim.Shutdown(t.Context()) }()
	for err == nil {
		_, err = a.next(10 * time.Second)
	}
	if !errors.Is(err, xmpp.ErrClosed) {
		t.Errorf("a shutdown shows as %v, want the closing tag", err)
	}
	if _, err := a.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("behind the closing tag came %v, want EOF", err)
	}
	a.conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDialable(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:5235": "127.0.0.1:5235", "0.0.0.0:1": "localhost:1", "[::]:2": "localhost:2", ":3": "localhost:3",
		"[::1]:4": "[::1]:4", "pipe": "pipe", "host:5": "host:5",
	} {
		if got := fcmsim.Dialable(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

// TestManyAtOnce is for the race detector: everything that can be called, at
// the same time.
func TestManyAtOnce(t *testing.T) {
	sim, err := fcmsim.Start(&fcmsim.Options{AnswerDelay: time.Millisecond, RecordMax: 200, Events: &fcmsim.Events{
		Delivered: func(ccs.RegistrationToken, fcmsim.Delivery) {},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	token := sim.Tokens()[0]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for round := range 5 {
				conn, err := tls.Dial("tcp", sim.Addr(), &tls.Config{RootCAs: sim.CertPool()})
				if err != nil {
					t.Error(err)
					return
				}
				func(conn net.Conn) {
					defer conn.Close()
					a, err := login(t, conn, sim)
					if err != nil {
						t.Error(err)
						return
					}
					for range 50 {
						m := down(token, ccs.NewMessageID())
						m.DeliveryReceiptRequested = true
						if a.write(m) != nil {
							return // cut by a fault
						}
					}
					for range 20 * round {
						if _, err := a.next(10 * time.Second); err != nil {
							return // cut by a fault
						}
					}
				}(conn)
			}
		})
		wg.Go(func() {
			yes, no := true, false
			for i := range 50 {
				sim.SetDevice(token, &no, nil)
				sim.Record()
				sim.Devices()
				sim.Streams()
				sim.Upstream(sim.Tokens()[1], fcmsim.Upstream{})
				sim.SetDevice(token, &yes, nil)
				if i%10 == 0 {
					sim.SetFault(fcmsim.Fault{Cut: true, Deliver: true, Next: 1, Delay: time.Millisecond})
					sim.SetFault(fcmsim.Fault{Silence: true, Next: 1})
				}
				sim.Faults()
			}
		})
	}
	wg.Wait()
	sim.ClearFaults()
}
