package ccsserver_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

const tooMuch = `<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/>`

func TestS28_R_L2_R_L3_StanzasHaveLimits(t *testing.T) {
	fill := func(begin, end string, size int) string {
		return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
	}
	nest := func(depth int) string {
		return `<iq type='result'>` + strings.Repeat("<a>", depth-1) + strings.Repeat("</a>", depth-1) + `</iq>`
	}
	attrs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " a%d=''", i)
		}
		return `<presence` + b.String() + `/>`
	}
	elements := func(n int) string { return `<presence>` + strings.Repeat("<a/>", n-1) + `</presence>` }
	for name, tt := range map[string]struct{ fits, passes string }{
		"64 KiB":        {fill(`<presence>`, `</presence>`, 64<<10), fill(`<presence>`, `</presence>`, 64<<10+1)},
		"eight levels":  {nest(8), nest(9)},
		"16 attributes": {attrs(16), attrs(17)},
		"64 elements":   {elements(64), elements(65)},
	} {
		t.Run("bound: "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p, other := srv.bind(t), srv.bind(t)
				p.write(tt.fits)
				p.wantQuiet()
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
				p.try(tt.passes)
				p.wantRefusal(tooMuch)
				other.write(downstream("m-2"))
				other.want(acked("m-2"))
			})
		})
	}
	t.Run("bound: every payload of 8 KiB gets an answer, however it is escaped", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(stanza(`{"to":"` + token + `","message_id":"m-1","data":{"k":"` + strings.Repeat("&#x26;", 8<<10) + `"}}`))
			if got := p.next(); !strings.Contains(got, `"error":"INVALID_JSON"`) {
				t.Errorf("answered by %s", got)
			}
		})
	})
	saslOf := func(size int) string {
		return fill(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>`, `</auth>`, size)
	}
	for name, passes := range map[string]string{
		"8 KiB":         saslOf(8<<10 + 1),
		"four levels":   nest(5),
		"16 attributes": attrs(17),
		"32 elements":   elements(33),
	} {
		t.Run("before the login: "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				p.open(featuresLogin)
				p.try(passes)
				p.wantRefusal(tooMuch)
			})
		})
	}
	t.Run("before the login: what just fits is judged by what it says", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(saslOf(8 << 10))
			p.want(failure("malformed-request"))
		})
	})
}

// bindFrom logs a peer with an address in.
func (srv *server) bindFrom(t *testing.T, addr string) *peer {
	t.Helper()
	p := srv.dialFrom(t, addr)
	p.login(sender)
	p.bind()
	return p
}

func TestR_L4_UnauthenticatedConnectionsOfAnAddress(t *testing.T) {
	limits := &ccsserver.Options{Connections: ccsserver.ConnectionLimits{PerAddress: 3, Unauthenticated: 8}}
	t.Run("so many at a time, and those that log in make room", func(t *testing.T) {
		play(t, limits, func(t *testing.T, srv *server) {
			var open []*peer
			for i := range 3 {
				open = append(open, srv.dialFrom(t, fmt.Sprintf("192.0.2.1:%d", 1000+i)))
				open[i].open(featuresLogin)
			}
			srv.dialFrom(t, "192.0.2.1:2000").wantClosed() // without a word
			if why := srv.refused(); len(why) != 1 {
				t.Errorf("refused: %v", why)
			}
			srv.bindFrom(t, "192.0.2.2:1000")              // another address has its own
			srv.bindFrom(t, "[2001:db8::1]:1000").hangUp() // so has each /64
			open[0].write(auth("", sender, key))
			open[0].want(success)
			open[0].open(featuresBind)
			open[0].bind()
			p := srv.dialFrom(t, "192.0.2.1:2001")
			p.open(featuresLogin)
			srv.dialFrom(t, "192.0.2.1:2002").wantClosed()
			p.hangUp()
			p.wait()
			srv.bindFrom(t, "192.0.2.1:2003")
		})
	})
	t.Run("a /64 is one address, an IPv4 address in IPv6 is itself", func(t *testing.T) {
		play(t, limits, func(t *testing.T, srv *server) {
			for i := range 3 {
				srv.dialFrom(t, fmt.Sprintf("[2001:db8::%d]:1", i)).open(featuresLogin)
			}
			srv.dialFrom(t, "[2001:db8::ffff:1]:1").wantClosed()
			srv.dialFrom(t, "[2001:db8:0:1::1]:1").open(featuresLogin)
			for range 3 {
				srv.dialFrom(t, "[::ffff:192.0.2.9]:1").open(featuresLogin)
			}
			srv.dialFrom(t, "192.0.2.9:1").wantClosed()
		})
	})
	t.Run("so many in all", func(t *testing.T) {
		play(t, limits, func(t *testing.T, srv *server) {
			var last *peer
			for i := range 8 {
				last = srv.dialFrom(t, fmt.Sprintf("192.0.2.%d:1", i))
				last.open(featuresLogin)
			}
			srv.dialFrom(t, "192.0.2.100:1").wantClosed()
			last.hangUp()
			last.wait()
			srv.bindFrom(t, "192.0.2.100:1")
		})
	})
	t.Run("loopback is exempt", func(t *testing.T) {
		play(t, &ccsserver.Options{Connections: ccsserver.ConnectionLimits{PerAddress: 1, Rate: 0.001, Burst: 1}}, func(t *testing.T, srv *server) {
			for range 20 {
				srv.dialFrom(t, "127.0.0.1:1").open(featuresLogin)
				srv.dialFrom(t, "[::1]:1").open(featuresLogin)
			}
		})
	})
}

func TestR_L5_HowFastAnAddressMayCome(t *testing.T) {
	play(t, &ccsserver.Options{Connections: ccsserver.ConnectionLimits{Rate: 2, Burst: 5}}, func(t *testing.T, srv *server) {
		come := func() bool {
			p := srv.dialFrom(t, "192.0.2.1:1")
			p.wait()
			p.try(header)
			ok := p.came() != ""
			p.hangUp()
			p.wait()
			return ok
		}
		for i := range 5 {
			if !come() {
				t.Errorf("connection %d of the burst was refused", i+1)
			}
		}
		if come() {
			t.Error("the sixth was taken")
		}
		time.Sleep(500 * time.Millisecond)
		if !come() || come() {
			t.Error("half a second makes room for one")
		}
		time.Sleep(time.Hour)
		n := 0
		for come() {
			n++
		}
		if n != 5 {
			t.Errorf("an hour makes room for %d, want the burst", n)
		}
		srv.dialFrom(t, "192.0.2.2:1").open(featuresLogin)
	})
}

func TestWhatIsGoneTakesNoMemory(t *testing.T) {
	play(t, &ccsserver.Options{AnswerTimeout: 5 * time.Second, Window: 4}, func(t *testing.T, srv *server) {
		// One message without a verdict, sent again by stream after stream,
		// cut before and behind its time.
		srv.hold()
		before := heap()
		const streams = 600
		for i := range streams {
			p := srv.bind(t)
			p.write(downstream("m-1"), downstream("m-1"))
			if i%2 == 0 {
				pass(6 * time.Second)
			}
			p.wait()
			p.cut()
			p.wait()
			p.mu.Lock()
			p.unread, p.all = nil, nil
			p.mu.Unlock()
		}
		if each := (int64(heap()) - int64(before)) / streams; each > 5_000 {
			t.Errorf("a stream that is gone takes %d bytes", each)
		}
		srv.wantHandedOn(t, 1)
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestOptionsAreCheckedAndCopied(t *testing.T) {
	for field, opt := range map[string]*ccsserver.Options{
		"TLS":                         nil,
		"Window":                      {ClearText: true, Window: -1},
		"UpstreamWindow":              {ClearText: true, UpstreamWindow: -1},
		"MaxWaiting":                  {ClearText: true, MaxWaiting: -1},
		"AnswerTimeout":               {ClearText: true, AnswerTimeout: -1},
		"LoginTimeout":                {ClearText: true, LoginTimeout: -1},
		"HandshakeTimeout":            {ClearText: true, HandshakeTimeout: -1},
		"WriteTimeout":                {ClearText: true, WriteTimeout: -1},
		"QuietAfter":                  {ClearText: true, QuietAfter: -1},
		"PingTimeout":                 {ClearText: true, PingTimeout: -1},
		"DedupeWindow":                {ClearText: true, DedupeWindow: -1},
		"DedupeMax":                   {ClearText: true, DedupeMax: -1},
		"Connections.PerAddress":      {ClearText: true, Connections: ccsserver.ConnectionLimits{PerAddress: -1}},
		"Connections.Rate":            {ClearText: true, Connections: ccsserver.ConnectionLimits{Rate: -1}},
		"Connections.Burst":           {ClearText: true, Connections: ccsserver.ConnectionLimits{Burst: -1}},
		"Connections.Unauthenticated": {ClearText: true, Connections: ccsserver.ConnectionLimits{Unauthenticated: -1}},
		"Connections.PerSender":       {ClearText: true, Connections: ccsserver.ConnectionLimits{PerSender: -1}},
		"Drain.CloseAfter":            {ClearText: true, Drain: ccsserver.DrainTimes{CloseAfter: -1}},
		"Drain.LastCall":              {ClearText: true, Drain: ccsserver.DrainTimes{LastCall: -1}},
		"Drain.Limit":                 {ClearText: true, Drain: ccsserver.DrainTimes{Limit: -1}},
	} {
		t.Run(field, func(t *testing.T) {
			if _, err := ccsserver.New(&onward{}, everybody, opt); err == nil || !strings.Contains(err.Error(), "Options."+field) {
				t.Errorf("New says %v", err)
			}
		})
	}
	t.Run("the zero value but for TLS is fine", func(t *testing.T) {
		if _, err := ccsserver.New(&onward{}, everybody, &ccsserver.Options{ClearText: true}); err != nil {
			t.Error(err)
		}
	})
}

func TestServeTellsWhyAListenerFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := ccsserver.New(&onward{}, everybody, &ccsserver.Options{ClearText: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		l := &failing{Listener: newListener(), errs: []error{temporary{}, temporary{}, errors.New("on fire")}}
		start := time.Now()
		if err := srv.Serve(l); err == nil || !strings.Contains(err.Error(), "on fire") {
			t.Errorf("Serve says %v", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("it tried again after %v in all, want 100 ms", took)
		}
	})
}

// A failing listener accepts nobody.
type failing struct {
	net.Listener
	errs []error
}

func (l *failing) Accept() (net.Conn, error) {
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

// temporary is what accept says when no descriptor is left.
type temporary struct{}

func (temporary) Error() string   { return "too many open files" }
func (temporary) Timeout() bool   { return false }
func (temporary) Temporary() bool { return true }

func TestEventsTellTheStory(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		srv.refuse(&ccs.NackError{Code: ccs.CodeBadRegistration})
		p.write(downstream("m-1"))
		p.wait()
		srv.offer(t, fromDevice("u-1"))
		p.write(ack(token, "u-1"))
		settle()
		srv.Drain(ccsserver.DrainOptions{})
		pass(time.Second)
		p.skip()
		want := []string{
			"bound 1234567890",
			"received m-1",
			`answered {"message_type":"nack","from":"aaaaaaaatoken","message_id":"m-1","error":"BAD_REGISTRATION","error_description":"The registration token is malformed"}`,
			"offered 1",
			"settled",
			"draining draining",
			"closed <nil>",
		}
		if got := strings.Join(srv.lines, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s", got)
		}
	})
}

// Whoever counts refusals by limit goes by the error's type.
func TestRefusalsNameTheirLimit(t *testing.T) {
	for want, tt := range map[ccsserver.Limit]struct {
		limits ccsserver.ConnectionLimits
		last   func(t *testing.T, srv *server)
	}{
		ccsserver.LimitPerAddress:      {ccsserver.ConnectionLimits{PerAddress: 1}, nil},
		ccsserver.LimitRate:            {ccsserver.ConnectionLimits{Rate: 1, Burst: 1}, nil},
		ccsserver.LimitUnauthenticated: {ccsserver.ConnectionLimits{Unauthenticated: 1}, nil},
		ccsserver.LimitPerSender: {ccsserver.ConnectionLimits{PerSender: 1}, func(t *testing.T, srv *server) {
			srv.bind(t)
			p := srv.dial(t)
			p.login(sender)
			p.write(bindIQ)
			p.wait()
			p.hangUp()
			p.wait()
		}},
	} {
		t.Run(string(want), func(t *testing.T) {
			play(t, &ccsserver.Options{Connections: tt.limits}, func(t *testing.T, srv *server) {
				if tt.last != nil {
					tt.last(t, srv)
				} else {
					srv.dialFrom(t, "192.0.2.1:1").open(featuresLogin)
					srv.dialFrom(t, "192.0.2.1:2").wantClosed()
				}
				why := srv.refused()
				if len(why) != 1 {
					t.Fatalf("refused: %v", why)
				}
				if limit, ok := errors.AsType[*ccsserver.LimitError](why[0]); !ok || limit.Limit != want || limit.Error() == "" {
					t.Errorf("got %v", why[0])
				}
			})
		})
	}
}
