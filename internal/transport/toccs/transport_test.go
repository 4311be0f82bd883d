package toccs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcm"
	"penstock/internal/ccstest"
	"penstock/internal/downstream"
	"penstock/internal/pace"
	"penstock/internal/transport/toccs"
)

const (
	sender = "1234567890"
	key    = "server-key"
)

// A chain is a transport on a pool that is logged in to a ccsserver, whose
// handler the test writes.
type chain struct {
	t         *testing.T
	transport *toccs.Transport
	pool      *ccsclient.Pool
	srv       *ccsserver.Server

	mu   sync.Mutex
	came []*ccs.Downstream
}

// link plays f in a bubble. answer settles each message that reaches the server;
// nil: every one is acked at once.
func link(t *testing.T, key string, opt *toccs.Options, answer func(r *ccsserver.Request), f func(t *testing.T, c *chain)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &chain{t: t}
		accounts := ccsserver.NewKeys(map[ccs.SenderID][]string{sender: {"server-key"}})
		var err error
		c.srv, err = ccsserver.New(ccsserver.HandlerFunc(func(r *ccsserver.Request) {
			c.mu.Lock()
			c.came = append(c.came, r.Message)
			c.mu.Unlock()
			if answer == nil {
				r.Answer(nil, nil)
			} else {
				answer(r)
			}
		}), accounts, &ccsserver.Options{ClearText: true, AnswerTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		listener := ccstest.Listen()
		c.pool, err = ccsclient.NewPool("ccs.example.org:5235", ccsclient.Credentials{SenderID: sender, Key: key}, &ccsclient.Options{
			ClearText: true, RetryMax: -1,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.Dial(ctx) },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.transport = toccs.New(c.pool, opt)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.srv.Serve(listener) })
		running.Go(func() { _ = c.pool.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			c.srv.Close()
			running.Wait()
		})
		synctest.Wait()
		f(t, c)
	})
}

func (c *chain) arrived() []*ccs.Downstream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.came)
}

func (c *chain) send(m *downstream.Message) (downstream.Answer, error) {
	return c.transport.Send(c.t.Context(), m)
}

// fail wants an error of that class.
func (c *chain) fail(m *downstream.Message, class fcm.Class) *fcm.SendError {
	c.t.Helper()
	a, err := c.send(m)
	e, ok := errors.AsType[*fcm.SendError](err)
	if !ok || e.Class != class || !reflect.DeepEqual(a, downstream.Answer{}) {
		c.t.Fatalf("%+v, %v, want class %v", a, err, class)
	}
	return e
}

func legacy(id ccs.MessageID, ttl time.Duration) *downstream.Message {
	m := &downstream.Message{Accepted: time.Now(), CCS: &ccs.Downstream{To: "token", MessageID: id, Data: map[string]string{"k": "v"}}}
	if ttl > 0 {
		m.CCS.TTL = &ttl
	}
	return m
}

func v1(ttl time.Duration) *downstream.Message {
	m := &fcm.Message{Token: "token", Data: map[string]string{"k": "v"}}
	if ttl > 0 {
		m.Android = &fcm.AndroidConfig{TTL: (*fcm.Duration)(&ttl)}
	}
	return &downstream.Message{Accepted: time.Now(), V1: &fcm.SendRequest{Message: m}}
}

func TestAMessageGoesOnAsItIs(t *testing.T) {
	link(t, key, nil, nil, func(t *testing.T, c *chain) {
		m := legacy("m-1", 0)
		if a, err := c.send(m); err != nil || !reflect.DeepEqual(a, downstream.Answer{}) {
			t.Fatalf("%+v, %v", a, err)
		}
		if got := c.arrived(); len(got) != 1 || !reflect.DeepEqual(got[0], m.CCS) {
			t.Errorf("%+v came, want %+v", got, m.CCS)
		}
	})
}

func TestAMessageWithoutAnIDGetsOne(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message func() *downstream.Message
	}{
		{"legacy HTTP", func() *downstream.Message { return legacy("", 0) }},
		{"v1", func() *downstream.Message { return v1(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link(t, key, nil, nil, func(t *testing.T, c *chain) {
				m := tt.message()
				for range 2 {
					if _, err := c.send(m); err != nil {
						t.Fatal(err)
					}
				}
				got := c.arrived()
				if len(got) != 2 || got[0].MessageID == "" || got[0].MessageID == got[1].MessageID {
					t.Fatalf("%+v came, want two with ids of their own", got)
				}
				if got[0].To != "token" || got[0].Data["k"] != "v" {
					t.Errorf("%+v came", got[0])
				}
				if m.CCS != nil && m.CCS.MessageID != "" {
					t.Error("the front's message was changed")
				}
			})
		})
	}
}

func TestTheTimeToLiveShrinksByWaiting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message *downstream.Message
		waited  time.Duration
		want    time.Duration // negative: expired
	}{
		{"legacy", legacy("m", 10*time.Minute), 2500 * time.Millisecond, 598 * time.Second},
		{"v1", v1(10 * time.Minute), 2500 * time.Millisecond, 598 * time.Second},
		{"less than a second", legacy("m", 10*time.Minute), 900 * time.Millisecond, 10 * time.Minute},
		{"legacy, at its very end", legacy("m", 2*time.Second), 2 * time.Second, 0},
		{"v1, at its very end", v1(2 * time.Second), 2 * time.Second, 0},
		{"now or never, less than a second", &downstream.Message{CCS: &ccs.Downstream{To: "token", MessageID: "m", TTL: new(time.Duration)}}, 900 * time.Millisecond, 0},
		{"legacy, too late", legacy("m", 2*time.Second), 2500 * time.Millisecond, -1},
		{"v1, too late", v1(2 * time.Second), 2500 * time.Millisecond, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link(t, key, nil, nil, func(t *testing.T, c *chain) {
				m := tt.message
				m.Accepted = time.Now()
				time.Sleep(tt.waited)
				if tt.want < 0 {
					c.fail(m, fcm.Expired)
					if n := len(c.arrived()); n != 0 {
						t.Errorf("%d came", n)
					}
					return
				}
				if _, err := c.send(m); err != nil {
					t.Fatal(err)
				}
				if got := c.arrived()[0].TTL; got == nil || *got != tt.want {
					t.Errorf("time to live %v, want %v", got, tt.want)
				}
			})
		})
	}
	t.Run("not without a date of acceptance", func(t *testing.T) {
		link(t, key, nil, nil, func(t *testing.T, c *chain) {
			m := legacy("m", 10*time.Minute)
			m.Accepted = time.Time{}
			time.Sleep(time.Minute)
			if _, err := c.send(m); err != nil {
				t.Fatal(err)
			}
			if got := *c.arrived()[0].TTL; got != 10*time.Minute {
				t.Errorf("time to live %v", got)
			}
		})
	})
}

func TestAnAckBringsWhatItSays(t *testing.T) {
	failed := []ccs.RegistrationToken{"x", "y"}
	answer := func(r *ccsserver.Request) {
		r.Answer(&ccs.Ack{RegistrationID: "canonical", Success: 1, Failure: 2, FailedRegistrationIDs: failed}, nil)
	}
	link(t, key, nil, answer, func(t *testing.T, c *chain) {
		a, err := c.send(legacy("m-1", 0))
		want := downstream.Answer{RegistrationID: "canonical", Success: 1, Failure: 2, FailedRegistrationIDs: failed}
		if err != nil || !reflect.DeepEqual(a, want) {
			t.Errorf("%+v, %v, want %+v", a, err, want)
		}
	})
}

// A nack is a verdict: it passes as it is, and nothing is tried again here.
func TestANackPassesAsItIs(t *testing.T) {
	for _, code := range []ccs.Code{ccs.CodeDeviceUnregistered, ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeDeviceMessageRateExceeded} {
		t.Run(string(code), func(t *testing.T) {
			answer := func(r *ccsserver.Request) {
				r.Answer(nil, &ccs.NackError{Code: code, Description: "no"})
			}
			link(t, key, nil, answer, func(t *testing.T, c *chain) {
				began := time.Now()
				_, err := c.send(legacy("m-1", 0))
				nack, ok := err.(*ccs.NackError) //nolint:errorlint // the very error, not one around it
				if !ok || nack.Code != code || nack.Description != "no" {
					t.Errorf("%v, want the nack itself", err)
				}
				if took := time.Since(began); took != 0 || len(c.arrived()) != 1 {
					t.Errorf("%d copies in %v, want one at once", len(c.arrived()), took)
				}
			})
		})
	}
}

func TestWhatBreaksARuleIsNotSent(t *testing.T) {
	link(t, key, nil, nil, func(t *testing.T, c *chain) {
		m := legacy("m-1", 0)
		m.CCS.Data = map[string]string{"from": "x"}
		c.fail(m, fcm.InvalidMessage)
		both := v1(0)
		both.V1.Message.Topic = "news"
		c.fail(both, fcm.InvalidMessage)
		if n := len(c.arrived()); n != 0 {
			t.Errorf("%d came", n)
		}
	})
}

func TestTheTimeOfATryIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  *toccs.Options
		want time.Duration
	}{
		{"ten seconds", nil, 10 * time.Second},
		{"or as one says", &toccs.Options{Timeout: 3 * time.Second}, 3 * time.Second},
	} {
		t.Run(tt.name+", in flight", func(t *testing.T) {
			link(t, key, tt.opt, func(*ccsserver.Request) {}, func(t *testing.T, c *chain) {
				began := time.Now()
				if e := c.fail(legacy("m-1", 0), fcm.Unavailable); !e.OutcomeUnknown || !errors.Is(e, ccsclient.ErrOutcomeUnknown) {
					t.Errorf("%v, want an unknown outcome", e)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
			})
		})
		t.Run(tt.name+", before it is written", func(t *testing.T) {
			link(t, key, tt.opt, nil, func(t *testing.T, c *chain) {
				c.srv.Close() // there will be no stream
				synctest.Wait()
				began := time.Now()
				if e := c.fail(legacy("m-1", 0), fcm.Unavailable); e.OutcomeUnknown || e.Reply != nil {
					t.Errorf("%v, want one that says that nothing was sent", e)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// A message leaves in time or not at all; the answer to one that has left is
// awaited.
func TestNothingIsWrittenLate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opt    *toccs.Options
		ttl    *time.Duration
		waited time.Duration
		want   time.Duration // behind the hand-over
	}{
		{"within the lane's time", &toccs.Options{StartWithin: 2 * time.Second}, nil, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"eleven seconds by default", nil, nil, 5 * time.Second, 6 * time.Second},
		{"within its time to live", nil, new(4 * time.Second), time.Second, 3 * time.Second},
		{"now or never is a second", nil, new(time.Duration), 0, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link(t, key, tt.opt, nil, func(t *testing.T, c *chain) {
				c.srv.Close() // there will be no stream
				synctest.Wait()
				m := legacy("m-1", 0)
				m.CCS.TTL = tt.ttl
				time.Sleep(tt.waited)
				began := time.Now()
				if e := c.fail(m, fcm.Unavailable); e.OutcomeUnknown || e.Reply != nil || !errors.Is(e, ccsclient.ErrLate) {
					t.Errorf("%v, want one that says that nothing was sent", e)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
			})
		})
	}
	answer := func(r *ccsserver.Request) {
		time.AfterFunc(5*time.Second, func() { r.Answer(nil, nil) })
	}
	link(t, key, &toccs.Options{StartWithin: 2 * time.Second}, answer, func(t *testing.T, c *chain) {
		if _, err := c.send(legacy("m-1", 0)); err != nil {
			t.Errorf("%v for what was answered after 5 s", err)
		}
	})
}

// An endpoint that refuses our key is an operator's matter.
func TestARefusedKeyIsABrokenCredential(t *testing.T) {
	link(t, "another-key", nil, nil, func(t *testing.T, c *chain) {
		e := c.fail(legacy("m-1", 0), fcm.Credential)
		if _, ok := errors.AsType[*ccsclient.CredentialsError](e); !ok || e.OutcomeUnknown {
			t.Errorf("%v, want the refusal as the cause", e)
		}
	})
}

func TestAClosedPoolHasSentNothing(t *testing.T) {
	link(t, key, nil, nil, func(t *testing.T, c *chain) {
		c.pool.Close()
		if e := c.fail(legacy("m-1", 0), fcm.Unavailable); e.OutcomeUnknown || !errors.Is(e, ccsclient.ErrClosed) {
			t.Errorf("%v, want one that says that nothing was sent", e)
		}
	})
}

// Whoever sends a message again whose outcome it does not know gets the verdict
// on the first copy, and the device gets one.
func TestTheSameIDAgainGetsTheSameVerdict(t *testing.T) {
	answer := func(r *ccsserver.Request) {
		time.AfterFunc(15*time.Second, func() { r.Answer(nil, nil) })
	}
	link(t, key, nil, answer, func(t *testing.T, c *chain) {
		lane, err := downstream.New(c.transport, &downstream.Options{Pace: pace.Unlimited()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = lane.Run(ctx) })
		defer func() {
			cancel()
			running.Wait()
		}()
		send := func() error {
			end := make(chan error, 1)
			lane.Submit(legacy("m-1", 0), func(_ downstream.Answer, err error) { end <- err })
			return <-end
		}
		err = send()
		if e, ok := errors.AsType[*fcm.SendError](err); !ok || !e.OutcomeUnknown {
			t.Fatalf("%v, want an unknown outcome after 10 s", err)
		}
		if e := c.fail(legacy("m-1", 0), fcm.Unavailable); e.OutcomeUnknown || !errors.Is(e, ccsclient.ErrDuplicateID) {
			t.Errorf("%v, want one that says that nothing was sent", e)
		}
		if err := send(); err != nil {
			t.Error(err)
		}
		if n := len(c.arrived()); n != 1 {
			t.Errorf("%d copies came to the handler, want one", n)
		}
	})
}

// A lane in front of a pool: no more messages in flight than its windows hold.
func TestManyMessagesThroughALane(t *testing.T) {
	answer := func(r *ccsserver.Request) {
		time.AfterFunc(20*time.Millisecond, func() { r.Answer(nil, nil) })
	}
	link(t, key, nil, answer, func(t *testing.T, c *chain) {
		opt := pace.Unlimited()
		opt.MaxInFlight = ccs.Window
		lane, err := downstream.New(c.transport, &downstream.Options{Pace: opt})
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = lane.Run(t.Context()) })
		var left sync.WaitGroup
		for i := range 1000 {
			left.Add(1)
			lane.Submit(legacy(ccs.MessageID(fmt.Sprint("m-", i)), 0), func(_ downstream.Answer, err error) {
				defer left.Done()
				if err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		left.Wait()
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("a thousand took %v, want ten windows of 20 ms", took)
		}
		if err := lane.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
}
