package fcmsim

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// Quotas are the sending limits that the simulator enforces.
type Quotas uint8

const (
	// QuotasOff enforces none: tests are not about Google's limits by default.
	QuotasOff Quotas = iota
	// QuotasGoogle allows 240 messages a minute and 5,000 an hour to one
	// device, of collapsible ones 20 at once and then one each 3 minutes; what
	// is beyond is nacked DEVICE_MESSAGE_RATE_EXCEEDED, or refused with 429
	// and QUOTA_EXCEEDED. Over HTTP [Options.ProjectQuota] counts too.
	QuotasGoogle
)

// Legacy is how the simulator answers at /fcm/send.
type Legacy uint8

const (
	// LegacyGone answers 404, as Google does today.
	LegacyGone Legacy = iota
	// Legacy2019 answers as Google did while the protocol lived.
	Legacy2019
)

// Defaults of [Options].
const (
	defaultMaxPayload   = 4096
	defaultProjectQuota = 600_000
)

// ErrProjectID means that Google would take no such id.
var ErrProjectID = errors.New("not a project's id: 6 to 30 small letters, digits and hyphens, a letter first and no hyphen last")

// Options are what is optional about a [Sim]. The zero value of a field is its
// documented default.
type Options struct {
	// Listen are the addresses of the CCS endpoint. Default: 127.0.0.1:0.
	Listen []string
	// Listeners take the place of Listen, for instance in memory. The
	// simulator closes them.
	Listeners []net.Listener
	// ClearText serves CCS without TLS; without HTTP no CA is made then.
	ClearText bool

	// HTTPListen are addresses where FCM's HTTP faces are, over TLS: HTTP/2,
	// and HTTP/1.1. PlainHTTPListen are those where the same is without TLS, in
	// HTTP/1.1 only. Default: none of either.
	HTTPListen      []string
	PlainHTTPListen []string
	// HTTPListeners and PlainHTTPListeners take their place, for instance in
	// memory. The simulator closes them.
	HTTPListeners      []net.Listener
	PlainHTTPListeners []net.Listener

	// Names are host names and IP addresses that the certificate covers
	// beyond loopback, this machine's name, Google's names, and the addresses
	// listened on.
	Names []string

	// Dir keeps CA, sender id, key and tokens: the same directory gives the
	// same ones again. Empty: everything is new each time, in memory.
	Dir string
	// SenderID and ServerKey are what the app server logs in with. Default:
	// those in Dir, or random ones. What is given here is kept in Dir.
	SenderID  ccs.SenderID
	ServerKey string
	// ProjectID is the project whose number the sender id is: both name it in
	// URLs. Default: that in Dir, or penstock-sim. What is given here is kept
	// in Dir.
	ProjectID string
	// Legacy is what became of the legacy HTTP protocol.
	Legacy Legacy

	// LiveDevices is how many devices are made: online, of the simulator's
	// sender. DeadDevices have lost their token; ForeignDevices belong to
	// another sender. Defaults 10, 2 and 2.
	LiveDevices    int
	DeadDevices    int
	ForeignDevices int
	// Category is the package name of the app on devices that name none.
	// Default: com.example.app.
	Category ccs.Category

	// AnswerDelay is how long each answer takes. Default: none.
	AnswerDelay time.Duration
	// Quotas are off by default.
	Quotas Quotas
	// ProjectQuota is how many requests to send the project has in a minute
	// with [QuotasGoogle]. Default: 600,000.
	ProjectQuota int
	// RetryAfter is that header of answers to requests beyond a quota. Default:
	// none, since nobody has published what Google sends.
	RetryAfter string
	// MaxPayload is how many bytes of data and notification a message may have
	// that comes by HTTP v1. Default: 4,096.
	MaxPayload int
	// AppleGone has a message to a dead Apple device answered as its service
	// does that is asked only now: E10 in docs/fcm-http.md, 400. The default,
	// E10a, is 404.
	AppleGone string
	// RecordMax is how many receptions the record holds; at the bound the
	// oldest goes, and is counted. Default 200,000.
	RecordMax int

	// Server shapes the CCS end: windows, drain times, limits, events. Its TLS
	// and ClearText are the simulator's own affair. Its AnswerTimeout is a
	// year by default, since here a late answer is always wanted late.
	Server *ccsserver.Options
	// Events tell what happens on the devices.
	Events *Events
	// Now is the clock of devices, quotas and the record: stored messages
	// expire by it. Default: time.Now.
	Now func() time.Time
}

// Events tell what happens on the devices. Each function is optional, is
// called by several goroutines, and must be quick.
type Events struct {
	// Delivered: a device got a message. It is called after the app server's
	// answer was written, if that is not held back by a fault.
	Delivered func(token ccs.RegistrationToken, d Delivery)
}

// maxDevices bounds the devices, made or added.
const maxDevices = 100_000

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	for _, n := range []struct {
		name string
		v    *int
		def  int
	}{
		{"LiveDevices", &c.LiveDevices, 10},
		{"DeadDevices", &c.DeadDevices, 2},
		{"ForeignDevices", &c.ForeignDevices, 2},
		{"RecordMax", &c.RecordMax, 200_000},
		{"ProjectQuota", &c.ProjectQuota, defaultProjectQuota},
		{"MaxPayload", &c.MaxPayload, defaultMaxPayload},
	} {
		if *n.v < 0 {
			return c, fmt.Errorf("fcmsim: Options.%s is negative", n.name)
		}
		if *n.v == 0 {
			*n.v = n.def
		}
	}
	switch {
	case c.LiveDevices+c.DeadDevices+c.ForeignDevices > maxDevices:
		return c, fmt.Errorf("fcmsim: Options ask for more than %d devices", maxDevices)
	case c.AnswerDelay < 0:
		return c, errors.New("fcmsim: Options.AnswerDelay is negative")
	case c.Quotas > QuotasGoogle:
		return c, errors.New("fcmsim: Options.Quotas is neither QuotasOff nor QuotasGoogle")
	case c.AppleGone != "" && c.AppleGone != "E10" && c.AppleGone != "E10a":
		return c, errors.New("fcmsim: Options.AppleGone is neither E10 nor E10a")
	case !isHeaderValue(c.RetryAfter):
		return c, errors.New("fcmsim: Options.RetryAfter is no value of a header")
	case c.SenderID != "" && !isDigits(string(c.SenderID)):
		return c, errors.New("fcmsim: Options.SenderID is not a project number: up to 20 digits")
	case c.ProjectID != "" && !isProjectID(c.ProjectID):
		return c, fmt.Errorf("fcmsim: Options.ProjectID: %w", ErrProjectID)
	case c.Legacy > Legacy2019:
		return c, errors.New("fcmsim: Options.Legacy is neither LegacyGone nor Legacy2019")
	case strings.ContainsRune(c.ServerKey, 0):
		return c, errors.New("fcmsim: Options.ServerKey holds a NUL, which no password may")
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{"127.0.0.1:0"}
	}
	if c.Category == "" {
		c.Category = "com.example.app"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Events == nil {
		c.Events = &Events{}
	}
	return c, nil
}

func isDigits(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
