package ccsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"penstock/ccs"
)

// Options are what is optional about a [Server]. The zero value of a field is
// its documented default.
type Options struct {
	// TLS is the server's side of every connection: direct TLS from the first
	// byte, at least version 1.2. Required unless ClearText is set.
	TLS *tls.Config
	// ClearText serves without TLS: behind a proxy that ends it, or in tests.
	ClearText bool

	// Window is how many downstream messages may be unanswered on a stream
	// before the server stops reading it. Default 100.
	Window int
	// UpstreamWindow is how many upstream messages may be unacked on a stream
	// before another stream gets the next one. Default 100.
	UpstreamWindow int
	// MaxWaiting is how many upstream messages, and apart from them how many
	// receipts, wait for one sender; at the bound [Server.Offer] says
	// [ErrFull]. Default 10,000.
	MaxWaiting int
	// AnswerTimeout is how long the handler may take. After it the app server
	// reads SERVICE_UNAVAILABLE, "outcome unknown"; the late verdict answers
	// the same id when that is sent again. Default 12 s.
	AnswerTimeout time.Duration
	// AnswerTimeoutOf, if set, is asked for each message that comes how long the
	// handler may take for this sender; zero or less: AnswerTimeout. It is called
	// on the goroutine that reads the stream, and must be quick.
	AnswerTimeoutOf func(sender ccs.SenderID) time.Duration

	// LoginTimeout bounds the way from the first byte to the bound stream;
	// HandshakeTimeout bounds TLS alone. Defaults 30 s and 10 s.
	LoginTimeout     time.Duration
	HandshakeTimeout time.Duration
	// WriteTimeout is how long one write may be stuck. Default 30 s.
	WriteTimeout time.Duration
	// QuietAfter is how long a stream may be silent: without output the server
	// writes a space, without input it pings. PingTimeout is how long the ping
	// may stay without any byte in answer. Defaults 60 s and 30 s.
	QuietAfter  time.Duration
	PingTimeout time.Duration

	// StrictPayload turns off the kindness to senders that paste JSON into
	// their stanzas unescaped (docs/protocol.md, The JSON as XML text).
	StrictPayload bool

	// DedupeWindow is how long an acked message id is remembered, DedupeMax
	// how many are: the oldest goes first. Defaults 10 min and 1,000,000.
	DedupeWindow time.Duration
	DedupeMax    int

	// Wrap, if set, is given a stream's id and its connection, TLS included,
	// before the stream is bound, and returns what is to be used in its place.
	// It is for servers that break streams on purpose. What it returns offers
	// NetConn and CloseWrite as a [tls.Conn] does, or cannot be reset.
	Wrap func(stream string, conn net.Conn) net.Conn

	Connections ConnectionLimits
	Drain       DrainTimes
	Events      *Events
}

// ConnectionLimits keep strangers from using up the server. Zero fields are the
// documented defaults.
type ConnectionLimits struct {
	// PerAddress is how many connections of one address (one /64 of IPv6) may
	// be unauthenticated at a time, and how many besides may take their time to
	// close when their login has failed. Rate and Burst are how fast one
	// address may open them. Loopback is exempt from all three. Defaults 200,
	// 200/s, 1,000.
	PerAddress int
	Rate       float64
	Burst      int
	// Unauthenticated is how many there may be in all, and how many besides
	// may take their time to close. Default 10,000.
	Unauthenticated int
	// PerSender is how many bound streams one sender id may have. Default 1,000.
	PerSender int
}

// DrainTimes shape a drain. Zero fields are the documented defaults.
type DrainTimes struct {
	// CloseAfter is when an idle draining stream closes. Default 1 s.
	CloseAfter time.Duration
	// LastCall is when a stream that is still busy stops taking downstream
	// messages and nacks them CONNECTION_DRAINING. Default 15 s.
	LastCall time.Duration
	// Limit is when the stream closes whatever is unanswered. Default 30 s.
	Limit time.Duration
}

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.TLS == nil && !c.ClearText {
		return c, errors.New("ccsserver: Options.TLS is required (or set ClearText, behind something that ends TLS)")
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	}
	var bad error
	count := func(name string, v *int, def int) {
		if *v < 0 && bad == nil {
			bad = fmt.Errorf("ccsserver: Options.%s is negative", name)
		}
		if *v == 0 {
			*v = def
		}
	}
	span := func(name string, v *time.Duration, def time.Duration) {
		if *v < 0 && bad == nil {
			bad = fmt.Errorf("ccsserver: Options.%s is negative", name)
		}
		if *v == 0 {
			*v = def
		}
	}
	count("Window", &c.Window, 100)
	count("UpstreamWindow", &c.UpstreamWindow, 100)
	count("MaxWaiting", &c.MaxWaiting, 10_000)
	count("DedupeMax", &c.DedupeMax, 1_000_000)
	count("Connections.PerAddress", &c.Connections.PerAddress, 200)
	count("Connections.Burst", &c.Connections.Burst, 1_000)
	count("Connections.Unauthenticated", &c.Connections.Unauthenticated, 10_000)
	count("Connections.PerSender", &c.Connections.PerSender, 1_000)
	if c.Connections.Rate < 0 && bad == nil {
		bad = errors.New("ccsserver: Options.Connections.Rate is negative")
	}
	if c.Connections.Rate == 0 {
		c.Connections.Rate = 200
	}
	span("AnswerTimeout", &c.AnswerTimeout, 12*time.Second)
	span("LoginTimeout", &c.LoginTimeout, 30*time.Second)
	span("HandshakeTimeout", &c.HandshakeTimeout, 10*time.Second)
	span("WriteTimeout", &c.WriteTimeout, 30*time.Second)
	span("QuietAfter", &c.QuietAfter, time.Minute)
	span("PingTimeout", &c.PingTimeout, 30*time.Second)
	span("DedupeWindow", &c.DedupeWindow, 10*time.Minute)
	span("Drain.CloseAfter", &c.Drain.CloseAfter, time.Second)
	span("Drain.LastCall", &c.Drain.LastCall, 15*time.Second)
	span("Drain.Limit", &c.Drain.Limit, 30*time.Second)
	c.Drain = c.Drain.or(c.Drain)
	if c.Events == nil {
		c.Events = &Events{}
	}
	return c, bad
}

// or fills what is zero in d from def, and keeps the three in order.
func (d DrainTimes) or(def DrainTimes) DrainTimes {
	if d.CloseAfter <= 0 {
		d.CloseAfter = def.CloseAfter
	}
	if d.LastCall <= 0 {
		d.LastCall = def.LastCall
	}
	if d.Limit <= 0 {
		d.Limit = def.Limit
	}
	d.Limit = max(d.Limit, d.CloseAfter)
	d.LastCall = min(d.LastCall, d.Limit)
	return d
}
