package legacy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/front/legacy"
	"penstock/internal/keys"
)

const (
	key      = "psk_SHOPSHOPSHOPSHOP"
	v1Key    = "psk_ONLYFORTHEV1DOOR"
	wrongKey = "psk_NOBODYNOBODYNOBO"
	token    = "fXq3lTqzQm2e8wV5c1Yd0a:APA91bHun4MxP5egoKMwt2KZFBaFUH"
)

// A lane answers as its script says, each message on a goroutine of its own.
// sender is where httptest has requests come from.
const sender = "192.0.2.1:1234"

type lane struct {
	script func(m *downstream.Message) (downstream.Answer, error)

	mu  sync.Mutex // guards what follows
	got []*downstream.Message
	wg  sync.WaitGroup // answers under way
}

func (l *lane) Submit(m *downstream.Message, answer func(downstream.Answer, error)) {
	l.mu.Lock()
	l.got = append(l.got, m)
	l.mu.Unlock()
	l.wg.Go(func() { answer(l.script(m)) })
}

// submitted are the messages that the lane got.
func (l *lane) submitted() []*downstream.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// named accepts a message under a name of the far end's.
func named(id string) func(*downstream.Message) (downstream.Answer, error) {
	return func(*downstream.Message) (downstream.Answer, error) {
		return downstream.Answer{Name: "projects/shop-1a2b3/messages/" + id}, nil
	}
}

func failing(err error) func(*downstream.Message) (downstream.Answer, error) {
	return func(*downstream.Message) (downstream.Answer, error) { return downstream.Answer{}, err }
}

// byToken answers each token by a table; others are accepted as "0:1".
func byToken(table map[string]error) func(*downstream.Message) (downstream.Answer, error) {
	return func(m *downstream.Message) (downstream.Answer, error) {
		if err := table[string(m.CCS.To)]; err != nil {
			return downstream.Answer{}, err
		}
		return named("0:1")(m)
	}
}

func class(c fcm.Class) error { return &fcm.SendError{Class: c} }

// events are what a front told.
type events struct {
	mu       sync.Mutex // guards what follows
	accepted int
	answered []string
	refused  []int
	failed   []error
	gone     chan struct{}
}

func (e *events) options(o *legacy.Options) *legacy.Options {
	e.gone = make(chan struct{}, 10)
	if o == nil {
		o = new(legacy.Options)
	}
	o.Events = &legacy.Events{
		Accepted: func(project string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if project == "shop" {
				e.accepted++
			}
		},
		Answered: func(project, outcome string, took time.Duration) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if took < 0 || took > time.Minute {
				outcome += " after " + took.String()
			}
			e.answered = append(e.answered, project+" "+outcome)
		},
		Refused: func(address, project string, status int) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if (project == "") != (status == http.StatusUnauthorized) || address != sender {
				status = -status
			}
			e.refused = append(e.refused, status)
		},
		Failed: func(_ string, err error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.failed = append(e.failed, err)
		},
		Gone: func(string) { e.gone <- struct{}{} },
	}
	return o
}

// A front is a handler before a scripted lane.
type front struct {
	*legacy.Handler
	lane   *lane
	events *events
}

func newFront(t *testing.T, script func(*downstream.Message) (downstream.Answer, error), opt *legacy.Options) *front {
	t.Helper()
	secret := keys.NewSecret()
	ring, err := keys.NewRing(secret, []keys.Project{
		{Name: "shop", ProjectID: "shop-1a2b3", SenderID: "1234567890", Keys: []keys.Record{
			{Name: "all", Hash: secret.Hash(key)},
			{Name: "v1", Hash: secret.Hash(v1Key), Fronts: []keys.Front{keys.V1, keys.CCS}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &front{lane: &lane{script: script}, events: new(events)}
	f.Handler = legacy.New(ring, func(project string) legacy.Lane {
		if project != "shop" {
			t.Errorf("the lane of %q is asked for", project)
		}
		return f.lane
	}, f.events.options(opt))
	t.Cleanup(f.lane.wg.Wait)
	return f
}

// A reply is what a caller reads.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request to the handler; head are pairs of names and values.
func (f *front) ask(t *testing.T, method, target, body string, head ...string) reply {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(head); i += 2 {
		r.Header.Add(head[i], head[i+1])
	}
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, r)
	res := rec.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("browsers may guess the type of the answer")
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// post sends JSON with the right key.
func (f *front) post(t *testing.T, body string) reply {
	t.Helper()
	return f.ask(t, "POST", "/fcm/send", body, "Authorization", "key="+key, "Content-Type", "application/json")
}

// form sends a form with the right key and without a Content-Type.
func (f *front) form(t *testing.T, body string) reply {
	t.Helper()
	return f.ask(t, "POST", "/fcm/send", body, "Authorization", "key="+key)
}

var multicastID = regexp.MustCompile(`"multicast_id":([1-9][0-9]{0,18}),`)

// golden is a body with its random number named.
func golden(body string) string { return multicastID.ReplaceAllString(body, `"multicast_id":M,`) }

// quiet fails the test if anything was sent.
func (f *front) quiet(t *testing.T) {
	t.Helper()
	if got := f.lane.submitted(); len(got) > 0 {
		t.Errorf("%d messages were sent", len(got))
	}
}
