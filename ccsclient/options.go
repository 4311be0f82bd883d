package ccsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"penstock/ccs"
)

// Credentials are what an app server logs in with.
type Credentials struct {
	SenderID ccs.SenderID // the numeric project number
	Key      string       // the server key
	// Domain is the domain of the user name. Default gcm.googleapis.com, which
	// every server of CCS took.
	Domain string
}

// String leaves the key out.
func (c Credentials) String() string { return string(c.SenderID) + "@" + c.domain() }

// GoString leaves the key out.
func (c Credentials) GoString() string { return c.String() }

// LogValue leaves the key out.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Credentials) domain() string {
	if c.Domain == "" {
		return ccs.DefaultHost
	}
	return c.Domain
}

// Options are what is optional about a [Pool] or a [Session]. The zero value of
// a field is its documented default.
type Options struct {
	// TLS is copied; ServerName is the endpoint's host unless set. Default: the
	// system's roots, at least TLS 1.2. Verification is on.
	TLS *tls.Config
	// ClearText connects without TLS: towards a proxy of one's own, or in tests.
	ClearText bool
	// Dial opens the connection below TLS. Default: a [net.Dialer], which
	// resolves the host anew each time.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Streams is how many streams a pool keeps. With one, messages leave in the
	// order in which they were handed over. Default 1.
	Streams int
	// Window is how many messages may be unanswered on one stream. Default 100,
	// which is also the most that CCS allows.
	Window int
	// MaxWaiting is how many unfinished messages a pool holds beyond its
	// windows; at the bound Send waits for room. Default 10,000.
	MaxWaiting int

	// LoginTimeout bounds the way from dialling to the bound stream. Default 30 s.
	LoginTimeout time.Duration
	// WriteTimeout is how long one write may be stuck. Default 30 s.
	WriteTimeout time.Duration
	// QuietAfter is how long a stream may be silent before it is pinged, with
	// nothing unanswered and with something; PingTimeout is how long the ping
	// may stay without any byte in answer before the stream is given up.
	// Defaults 60 s, 15 s and 15 s.
	QuietAfter     time.Duration
	BusyQuietAfter time.Duration
	PingTimeout    time.Duration
	// DrainLimit is how long a draining stream is kept for its answers if the
	// server does not close it. Default 60 s.
	DrainLimit time.Duration

	// RetryFirst is the least wait before a message is sent again that was
	// nacked SERVICE_UNAVAILABLE or INTERNAL_SERVER_ERROR; it doubles, plus
	// jitter. RetryMax is how often that is done, within the message's time to
	// live. Defaults 1 s and 5; a negative RetryMax: never.
	RetryFirst time.Duration
	RetryMax   int
	// ReconnectSpread is how long a pool may take to dial again when a stream
	// that worked has broken, as long as no message waits for it: a random time
	// up to this. A message that waits has it dialled at once. It keeps a
	// thousand app servers from coming back in the same moment. Default 5 s;
	// negative: always at once.
	ReconnectSpread time.Duration
	// BackoffFirst is the least wait after an attempt to connect has failed; the
	// next ones double. Each lasts up to four times as long, by chance, but not
	// longer than BackoffMax. Defaults 1 s and 60 s. Refused credentials wait at
	// least 30 s.
	BackoffFirst time.Duration
	BackoffMax   time.Duration
	// KeepAfterCancel sends a message again after its stream broke although
	// its caller has given up meanwhile.
	KeepAfterCancel bool

	// Upstream and Receipts handle what comes from devices. What has no handler
	// is not acked: the server keeps it for a stream that has one.
	Upstream UpstreamHandler
	Receipts ReceiptHandler
	// Handlers is how many messages, and as many receipts, are handled at a
	// time. With one, in the order in which they came. Default 1.
	Handlers int
	// Repeats hands a repeated copy to the handlers too, marked as redelivered:
	// see [DeliveryOf]. With several Handlers it may be handled beside the first.
	// Default: it is acked without another call.
	Repeats bool

	Events *Events
	// Trace is told every message, decoded, without tokens, keys and payloads.
	// It must be quick, and must not call the pool: a lock is held.
	Trace func(Trace)
}

func (o *Options) withDefaults(endpoint string, cred Credentials) (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	host, _, err := net.SplitHostPort(endpoint)
	switch {
	case err != nil:
		return c, fmt.Errorf("ccsclient: endpoint %q is not host:port: %w", endpoint, err)
	case cred.SenderID == "":
		return c, errors.New("ccsclient: Credentials.SenderID is empty")
	case cred.Key == "":
		return c, errors.New("ccsclient: Credentials.Key is empty")
	}
	if !c.ClearText {
		if c.TLS == nil {
			c.TLS = &tls.Config{}
		}
		c.TLS = c.TLS.Clone()
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
		if c.TLS.ServerName == "" {
			c.TLS.ServerName = host
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Window > ccs.Window {
		return c, fmt.Errorf("ccsclient: Options.Window is %d, and CCS allows %d", c.Window, ccs.Window)
	}
	for _, n := range []struct {
		name string
		v    *int
		def  int
	}{
		{"Streams", &c.Streams, 1}, {"Window", &c.Window, ccs.Window},
		{"MaxWaiting", &c.MaxWaiting, 10_000}, {"Handlers", &c.Handlers, 1},
	} {
		if *n.v < 0 {
			return c, fmt.Errorf("ccsclient: Options.%s is negative", n.name)
		}
		if *n.v == 0 {
			*n.v = n.def
		}
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"LoginTimeout", &c.LoginTimeout, 30 * time.Second}, {"WriteTimeout", &c.WriteTimeout, 30 * time.Second},
		{"QuietAfter", &c.QuietAfter, time.Minute}, {"BusyQuietAfter", &c.BusyQuietAfter, 15 * time.Second},
		{"PingTimeout", &c.PingTimeout, 15 * time.Second}, {"DrainLimit", &c.DrainLimit, time.Minute},
		{"RetryFirst", &c.RetryFirst, time.Second}, {"BackoffFirst", &c.BackoffFirst, time.Second},
		{"BackoffMax", &c.BackoffMax, time.Minute},
	} {
		if *d.v < 0 {
			return c, fmt.Errorf("ccsclient: Options.%s is negative", d.name)
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.ReconnectSpread == 0 {
		c.ReconnectSpread = 5 * time.Second
	}
	c.RetryFirst = max(c.RetryFirst, time.Second) // docs/protocol.md, Nack codes: not before a second
	if c.RetryMax == 0 {
		c.RetryMax = 5
	}
	if c.Events == nil {
		c.Events = &Events{}
	}
	return c, nil
}
