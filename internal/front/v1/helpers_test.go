package v1_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/front/v1"
	"penstock/internal/keys"
)

const (
	key       = "psk_SHOPSHOPSHOPSHOP"
	newsKey   = "psk_NEWSNEWSNEWSNEWS"
	legacyKey = "psk_ONLYFORTHEOLDONE"
	wrongKey  = "psk_NOBODYNOBODYNOBO"
	token     = "fXq3lTqzQm2e8wV5c1Yd0a:APA91bHun4MxP5egoKMwt2KZFBaFUH"
	path      = "/v1/projects/shop-1a2b3/messages:send"
	simple    = `{"message":{"token":"` + token + `"}}`
	accepted  = "{\n  \"name\": \"projects/shop-1a2b3/messages/0:15%31a\"\n}\n"
)

// sender is where httptest has requests come from.
const sender = "192.0.2.1:1234"

type script func(m *downstream.Message) (downstream.Answer, error)

// A lane answers as its script says, each message on a goroutine of its own.
type lane struct {
	script script

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
func named(name string) script {
	return func(*downstream.Message) (downstream.Answer, error) { return downstream.Answer{Name: name}, nil }
}

// good is what FCM answers; it knows the project by its number.
var good = named("projects/1234567890/messages/0:15%31a")

func failing(err error) script {
	return func(*downstream.Message) (downstream.Answer, error) { return downstream.Answer{}, err }
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

func (e *events) options(o *v1.Options) *v1.Options {
	e.gone = make(chan struct{}, 10)
	if o == nil {
		o = new(v1.Options)
	}
	o.Events = &v1.Events{
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
				project += " after " + took.String()
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

func ringOf(t *testing.T) *keys.Ring {
	t.Helper()
	secret := keys.NewSecret()
	ring, err := keys.NewRing(secret, []keys.Project{
		{Name: "shop", ProjectID: "shop-1a2b3", SenderID: "1234567890", Keys: []keys.Record{
			{Name: "all", Hash: secret.Hash(key)},
			{Name: "old", Hash: secret.Hash(legacyKey), Fronts: []keys.Front{keys.Legacy, keys.CCS}},
		}},
		{Name: "news", ProjectID: "news-9z8y7", Keys: []keys.Record{{Name: "all", Hash: secret.Hash(newsKey)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A front is a handler before a scripted lane, that of the project shop.
type front struct {
	*v1.Handler
	lane   *lane
	events *events
}

func newFront(t *testing.T, s script, opt *v1.Options) *front {
	t.Helper()
	f := &front{lane: &lane{script: s}, events: new(events)}
	f.Handler = v1.New(ringOf(t), func(project string) v1.Lane {
		if project != "shop" {
			return nil
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
	return f.ask(t, "POST", path, body, "Authorization", "Bearer "+key, "Content-Type", "application/json")
}

// quiet fails the test if anything was sent.
func (f *front) quiet(t *testing.T) {
	t.Helper()
	if got := f.lane.submitted(); len(got) > 0 {
		t.Errorf("%d messages were sent", len(got))
	}
}
