package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
)

// A front is one of the three ways into Penstock.
type front string

const (
	byCCS    front = "ccs"
	byLegacy front = "legacy"
	byV1     front = "v1"
)

var fronts = []front{byCCS, byLegacy, byV1}

// A said is what a caller was told about one message.
type said struct {
	// word is ok, the code of a nack, the word of a legacy result, or of an
	// error of v1 its FcmError or else its status; for what came without a
	// body of the protocol, the HTTP status line.
	word       string
	status     int    // of HTTP
	retryAfter string // of HTTP
	text       string
	unknown    bool // the message may have been delivered
}

// words are what the fronts say about one and the same outcome.
type words map[front]string

var (
	accepted    = words{byCCS: "ok", byLegacy: "ok", byV1: "ok"}
	unavailable = words{byCCS: "SERVICE_UNAVAILABLE", byLegacy: "Unavailable", byV1: "UNAVAILABLE"}
	dead        = words{byCCS: "DEVICE_UNREGISTERED", byLegacy: "NotRegistered", byV1: "UNREGISTERED"}
	foreign     = words{byCCS: "SENDER_ID_MISMATCH", byLegacy: "MismatchSenderId", byV1: "SENDER_ID_MISMATCH"}
	malformed   = words{byCCS: "BAD_REGISTRATION", byLegacy: "InvalidRegistration", byV1: "INVALID_ARGUMENT"}
	deviceQuota = words{byCCS: "DEVICE_MESSAGE_RATE_EXCEEDED", byLegacy: "DeviceMessageRateExceeded", byV1: "QUOTA_EXCEEDED"}
)

// callers are an app server that has a key of a project and uses all fronts.
type callers struct {
	t    *testing.T
	key  string
	name string // of the project
	pool *ccsclient.Pool
	url  string
	h1   *http.Client // for legacy
	h2   *http.Client // for v1

	drains counter
}

// callers starts an app server. opt, which may be nil, is of its CCS end.
func (p *penstock) callers(sender, key string, opt *ccsclient.Options) *callers {
	p.w.t.Helper()
	c := &callers{t: p.w.t, key: key, name: "shop", url: "https://" + p.addr.HTTP[0]}
	var o ccsclient.Options
	if opt != nil {
		o = *opt
	}
	o.TLS, o.Dial, o.RetryMax = p.trusted, p.w.net.Dial, -1
	if o.Events == nil {
		o.Events = &ccsclient.Events{}
	}
	o.Events.Draining = func(ccsclient.Stream) { c.drains.add(1) }
	var err error
	c.pool, err = ccsclient.NewPool(p.addr.CCS[0], ccsclient.Credentials{SenderID: ccs.SenderID(sender), Key: key}, &o)
	if err != nil {
		p.w.t.Fatal(err)
	}
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = c.pool.Run(context.Background()) // Close ends it
	}()
	for _, two := range []bool{false, true} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!two)
		protocols.SetHTTP2(two)
		client := &http.Client{Transport: &http.Transport{
			DialContext: p.w.net.Dial, TLSClientConfig: p.trusted.Clone(), Protocols: protocols, MaxIdleConnsPerHost: 100,
		}}
		if two {
			c.h2 = client
		} else {
			c.h1 = client
		}
	}
	p.w.t.Cleanup(func() {
		c.pool.Close()
		<-ran
		c.h1.CloseIdleConnections()
		c.h2.CloseIdleConnections()
	})
	return c
}

// send sends a message that carries id to a device, and returns what its caller
// was told.
func (c *callers) send(by front, to ccs.RegistrationToken, id string) said {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch by {
	case byLegacy:
		return c.post(ctx, c.h1, "/fcm/send", "key="+c.key, map[string]any{"to": to, "data": map[string]string{"id": id}})
	case byV1:
		return c.post(ctx, c.h2, "/v1/projects/"+c.name+"/messages:send", "Bearer "+c.key,
			map[string]any{"message": map[string]any{"token": to, "data": map[string]string{"id": id}}})
	}
	_, err := c.pool.Send(ctx, &ccs.Downstream{To: to, MessageID: ccs.MessageID(id), Data: map[string]string{"id": id}})
	return saidByCCS(err)
}

func saidByCCS(err error) said {
	nack, isNack := errors.AsType[*ccs.NackError](err)
	switch {
	case err == nil:
		return said{word: "ok"}
	case isNack:
		return said{word: string(nack.Code), text: nack.Description, unknown: strings.Contains(nack.Description, "outcome unknown")}
	}
	return said{word: err.Error(), unknown: errors.Is(err, ccsclient.ErrOutcomeUnknown)}
}

// post makes a request of HTTP, and reads the answer by either protocol.
func (c *callers) post(ctx context.Context, client *http.Client, path, authorization string, body any) said {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // of maps and strings alone
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, strings.NewReader(string(text)))
	if err != nil {
		panic(err) // of constants alone
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		// Penstock answers what it has read: it must not have been sent.
		return said{word: err.Error()}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return said{word: err.Error()}
	}
	s := said{word: resp.Status, status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), text: string(answer)}
	var a struct {
		Name    string
		Results []struct{ Error string }
		Error   struct {
			Status  string
			Message string
			Details []struct{ ErrorCode string }
		}
	}
	if json.Unmarshal(answer, &a) != nil {
		return s
	}
	switch {
	case len(a.Results) == 1 && a.Results[0].Error == "" || a.Name != "":
		s.word = "ok"
	case len(a.Results) == 1:
		s.word = a.Results[0].Error
		s.unknown = s.word == "Unavailable" // the protocol cannot say which
	case a.Error.Status != "":
		s.word = a.Error.Status
		for _, d := range a.Error.Details {
			if d.ErrorCode != "" {
				s.word = d.ErrorCode
			}
		}
		s.unknown = strings.Contains(a.Error.Message, "unknown")
	}
	return s
}

// expect sends one message by each front and compares what its caller was told.
func (c *callers) expect(l *ledger, to ccs.RegistrationToken, want words) {
	c.t.Helper()
	var all sync.WaitGroup
	for _, by := range fronts {
		all.Go(func() {
			if got := l.send(c, by, to); got.word != want[by] {
				c.t.Errorf("%s: told %q (%d %s), want %q", by, got.word, got.status, got.text, want[by])
			}
		})
	}
	all.Wait()
}

// A counter is a number of several goroutines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	return c.n
}

// A ledger is what callers were told, by the ids that their messages carry.
type ledger struct {
	ids counter

	mu   sync.Mutex // guards what follows
	told map[string]said
}

func newLedger() *ledger { return &ledger{told: make(map[string]said)} }

// send sends a message under a new id, and notes what its caller was told.
func (l *ledger) send(c *callers, by front, to ccs.RegistrationToken) said {
	id := l.id(by)
	s := c.send(by, to, id)
	l.note(c.t, id, s)
	return s
}

func (l *ledger) id(by front) string { return string(by) + "-" + strconv.Itoa(l.ids.add(1)) }

// note notes what the caller of a message was told.
func (l *ledger) note(t *testing.T, id string, s said) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, twice := l.told[id]; twice {
		t.Errorf("the caller of %s was answered twice", id)
	}
	l.told[id] = s
}

// count is how many were told that word; of an empty one, how many in all.
func (l *ledger) count(word string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.told {
		if word == "" || s.word == word {
			n++
		}
	}
	return n
}

// audit compares what callers were told with what the simulator has accepted:
// each accepted message once, each refused one never, and one whose outcome its
// caller does not know at most once.
func (l *ledger) audit(t *testing.T, sim *fcmsim.Sim) {
	t.Helper()
	if n := sim.RecordDropped(); n != 0 {
		t.Fatalf("%d receptions have left the record", n)
	}
	accepted := make(map[string]int)
	for _, r := range sim.Record() {
		if r.Answer == "ack" && len(r.DeliveredTo) > 0 {
			accepted[r.Data["id"]]++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, s := range l.told {
		n := accepted[id]
		delete(accepted, id)
		switch {
		case s.word == "ok" && n == 0:
			t.Errorf("%s is lost: its caller was told that it was accepted", id)
		case n > 1:
			t.Errorf("%s was accepted %d times; its caller was told %s", id, n, s.word)
		case s.word != "ok" && n == 1 && !s.unknown:
			t.Errorf("%s was accepted, and its caller was told %s %s", id, s.word, s.text)
		}
	}
	for id, n := range accepted {
		t.Errorf("%q was accepted %d times, and nobody was told", id, n)
	}
}
