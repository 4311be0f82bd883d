package fcmsim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

func TestStoredMessages(t *testing.T) {
	seconds := func(n int) *time.Duration { d := time.Duration(n) * time.Second; return &d }

	t.Run("wait in order for the device", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			for _, id := range []ccs.MessageID{"m-1", "m-2", "m-3"} {
				a.sendAcked(down(token, id))
			}
			b.wantIDs(token)
			if r := b.Record(); r[0].DeliveredTo != nil {
				t.Error("delivered to a device that is offline")
			}
			b.online(token, true)
			b.wantIDs(token, "m-1", "m-2", "m-3")
			if r := b.Record(); len(r[2].DeliveredTo) != 1 || r[2].DeliveredTo[0] != token {
				t.Errorf("the record says %+v", r[2])
			}
			b.online(token, true)
			b.wantIDs(token, "m-1", "m-2", "m-3")
		})
	})
	t.Run("live as long as they are told, or four weeks", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			for id, ttl := range map[ccs.MessageID]*time.Duration{
				"now or never": seconds(0), "a minute": seconds(60), "an hour": seconds(3600), "weeks": nil,
			} {
				m := down(token, id)
				m.TTL = ttl
				a.sendAcked(m)
			}
			if n := b.device(token).Stored; n != 3 {
				t.Fatalf("%d are stored, want 3", n)
			}
			time.Sleep(time.Minute - time.Nanosecond)
			if n := b.device(token).Stored; n != 3 {
				t.Fatalf("%d are stored, want 3", n)
			}
			time.Sleep(time.Nanosecond)
			if n := b.device(token).Stored; n != 2 {
				t.Fatalf("%d are stored, want 2", n)
			}
			time.Sleep(4*7*24*time.Hour - time.Minute - time.Second)
			b.online(token, true)
			b.wantIDs(token, "weeks")
			b.online(token, false)
			a = b.login()
			a.sendAcked(down(token, "m-2"))
			time.Sleep(4 * 7 * 24 * time.Hour)
			b.online(token, true)
			b.wantIDs(token, "weeks")
		})
	})
	t.Run("expire by the clock of the options", func(t *testing.T) {
		now := time.Date(2024, 7, 22, 0, 0, 0, 0, time.UTC)
		inBubble(t, fcmsim.Options{Now: func() time.Time { return now }}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			m := down(token, "m-1")
			m.TTL = seconds(60)
			a.sendAcked(m)
			now = now.Add(time.Minute)
			b.online(token, true)
			b.wantIDs(token)
			if at := b.Record()[0].Time; at.Year() != 2024 {
				t.Errorf("recorded at %v", at)
			}
		})
	})
	t.Run("only the newest of a collapse key is kept", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			for i, key := range []ccs.CollapseKey{"score", "", "mail", "score"} {
				m := down(token, ccs.MessageID(fmt.Sprint("m-", i)))
				m.CollapseKey = key
				a.sendAcked(m)
			}
			m := down(token, "now or never") // takes no other's place
			m.CollapseKey, m.TTL = "score", seconds(0)
			a.sendAcked(m)
			b.online(token, true)
			b.wantIDs(token, "m-1", "m-2", "m-3")
			// Online, nothing collapses.
			for _, id := range []ccs.MessageID{"m-4", "m-5"} {
				m := down(token, id)
				m.CollapseKey = "score"
				a.sendAcked(m)
			}
			b.wantIDs(token, "m-1", "m-2", "m-3", "m-4", "m-5")
		})
	})
	t.Run("four collapse keys at most", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			for _, key := range []string{"a", "b", "", "c", "d", "b", "e"} {
				m := down(token, ccs.NewMessageID())
				m.CollapseKey, m.Data = ccs.CollapseKey(key), map[string]string{"k": key}
				a.sendAcked(m)
			}
			b.online(token, true)
			var got []string
			for _, d := range b.device(token).Received {
				got = append(got, d.Data["k"])
			}
			if s := strings.Join(got, ","); s != ",c,d,b,e" {
				t.Fatalf("got %s", s)
			}
		})
	})
	t.Run("the 101st drops all, and the device is told", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			b.online(token, false)
			m := down(token, "kept")
			m.CollapseKey = "score"
			a.sendAcked(m)
			for i := range 100 {
				a.sendAcked(down(token, ccs.MessageID(fmt.Sprint("m-", i))))
			}
			if n := b.device(token).Stored; n != 101 {
				t.Fatalf("%d are stored", n)
			}
			a.sendAcked(down(token, "m-100"))
			if n := b.device(token).Stored; n != 1 {
				t.Fatalf("%d are stored", n)
			}
			a.sendAcked(down(token, "m-101"))
			b.online(token, true)
			b.wantIDs(token, "(deleted messages)", "kept", "m-101")
		})
	})
	t.Run("are lost with the token", func(t *testing.T) {
		inBubble(t, fcmsim.Options{}, func(b *bench) {
			a, token := b.login(), b.Tokens()[0]
			yes, no := true, false
			b.online(token, false)
			a.sendAcked(down(token, "m-1"))
			if err := b.SetDevice(token, nil, &no); err != nil {
				t.Fatal(err)
			}
			a.send(down(token, "m-2"))
			a.wantNack("m-2", ccs.CodeDeviceUnregistered)
			if err := b.SetDevice(token, &yes, &yes); err != nil {
				t.Fatal(err)
			}
			a.sendAcked(down(token, "m-3"))
			b.wantIDs(token, "m-3")
		})
	})
}

func TestQuotas(t *testing.T) {
	send := func(b *bench, a *app, n int) (acked int) {
		for range n {
			a.send(down(b.Tokens()[0], ccs.NewMessageID()))
			if _, ok := a.read().(*ccs.Ack); ok {
				acked++
			}
		}
		return acked
	}
	inBubble(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle}, func(b *bench) {
		a := b.login()
		if n := send(b, a, 300); n != 240 {
			t.Fatalf("%d at once", n)
		}
		time.Sleep(time.Second)
		if n := send(b, a, 10); n != 4 {
			t.Fatalf("%d after a second", n)
		}
		a.sendAcked(down(b.Tokens()[1], "another device"))
		total := 244
		for range 60 {
			time.Sleep(time.Minute)
			total += send(b, a, 250)
		}
		// The hour has given back what it allows: 5,000 more.
		if total < 9_990 || total > 10_010 {
			t.Fatalf("%d in an hour", total)
		}
	})
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		if n := send(b, b.login(), 300); n != 300 {
			t.Fatalf("%d without quotas", n)
		}
	})
}

func TestAddDevice(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		d, err := b.AddDevice(nil)
		if err != nil || len(d.Token) < 152 || !d.Online || !d.Live || d.SenderID != b.SenderID() {
			t.Fatalf("got %+v, %v", d, err)
		}
		b.login().sendAcked(down(d.Token, "m-1"))
		for name, opt := range map[string]fcmsim.DeviceOptions{
			"a token that exists":  {Token: d.Token},
			"a topic as a token":   {Token: "/topics/x"},
			"a bad topic":          {Topics: []string{"a b"}},
			"a bad sender":         {SenderID: "x"},
			"a token of no UTF-8":  {Token: "\xff"},
			"a fid that exists":    {FID: d.FID},
			"a short fid":          {FID: "c23456789012345678901"},
			"a fid with a g":       {FID: "g234567890123456789012"},
			"a fid with a dot":     {FID: "c.34567890123456789012"},
			"a platform of none":   {Platform: "symbian"},
			"a token that is huge": {Token: ccs.RegistrationToken(strings.Repeat("x", 5000))},
		} {
			if d, err := b.AddDevice(&opt); err == nil {
				t.Errorf("%s: got %+v", name, d)
			}
		}
		const fid = "c2345678-0123456789_12"
		for i, opt := range []fcmsim.DeviceOptions{
			{Token: fid + ":older"},
			{Token: fid + ":newer", Platform: fcmsim.PlatformIOS},
			{Token: "other", FID: "d234567890123456789012", Platform: fcmsim.PlatformWeb},
		} {
			d, err := b.AddDevice(&opt)
			if err != nil || len(d.FID) != 22 || (d.FID == fid) != (i == 0) || opt.FID != "" && opt.FID != d.FID {
				t.Errorf("got %+v, %v", d, err)
			}
			if want := []fcmsim.Platform{fcmsim.PlatformAndroid, fcmsim.PlatformIOS, fcmsim.PlatformWeb}[i]; d.Platform != want {
				t.Errorf("the platform is %q", d.Platform)
			}
		}
		for _, token := range append(append(b.Tokens(), b.DeadTokens()...), b.ForeignTokens()...) {
			if len(token) != 152 && len(token) != 163 {
				t.Errorf("a token of %d characters", len(token))
			}
		}
		if n := len(b.Devices()); n != 18 {
			t.Errorf("%d devices", n)
		}
	})
}

func TestReceivedIsBounded(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		a, token := b.login(), b.Tokens()[0]
		for i := range 1003 {
			a.sendAcked(down(token, ccs.MessageID(fmt.Sprint("m-", i))))
		}
		d := b.device(token)
		if len(d.Received) != 1000 || d.ReceivedCount != 1003 || d.Received[0].MessageID != "m-3" || d.Received[999].MessageID != "m-1002" {
			t.Fatalf("%d of %d kept", len(d.Received), d.ReceivedCount)
		}
	})
}
