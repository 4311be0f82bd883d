package ccs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
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
	front "penstock/internal/front/ccs"
	"penstock/internal/keys"
	"penstock/internal/translate"
)

const (
	key     = "psk_SHOPSHOPSHOPSHOP"
	newsKey = "psk_NEWSNEWSNEWSNEWS"
	httpKey = "psk_ONLYFORHTTPDOORS"
)

// A lane answers as its script says, each message on a goroutine of its own.
type lane struct {
	script func(m *downstream.Message) (downstream.Answer, error)

	mu  sync.Mutex // guards what follows
	got []*downstream.Message
}

func (l *lane) Submit(m *downstream.Message, answer func(downstream.Answer, error)) {
	l.mu.Lock()
	l.got = append(l.got, m)
	l.mu.Unlock()
	go func() { answer(l.script(m)) }()
}

func (l *lane) submitted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

// A bridge is a connection server with the front behind it, in memory.
type bridge struct {
	listener *ccstest.Listener
	ring     *keys.Ring
	secret   keys.Secret

	mu       sync.Mutex // guards what follows
	told     []string
	accepted int
}

func newBridge(t *testing.T, lanes map[string]front.Lane, opt *front.Options) *bridge {
	t.Helper()
	b := &bridge{listener: ccstest.Listen(), secret: keys.NewSecret()}
	var err error
	b.ring, err = keys.NewRing(b.secret, b.projects())
	if err != nil {
		t.Fatal(err)
	}
	if opt == nil {
		opt = new(front.Options)
	}
	if opt.Events == nil {
		opt.Events = &front.Events{
			Accepted: func(string) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.accepted++
			},
			Answered: func(project, outcome string, took time.Duration) { b.tell(project, outcome, took) },
			Failed:   func(project string, err error) { b.tell(project, "failed", strings.Split(err.Error(), "\n")[0]) },
		}
	}
	h := front.New(b.ring, func(project string) front.Lane { return lanes[project] }, opt)
	srv, err := ccsserver.New(h, front.Accounts(b.ring), &ccsserver.Options{ClearText: true})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(b.listener) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, ccsserver.ErrClosed) {
			t.Error(err)
		}
	})
	return b
}

func (b *bridge) projects() []keys.Project {
	return []keys.Project{
		{Name: "shop", SenderID: "1234567890", Keys: []keys.Record{
			{Name: "all", Hash: b.secret.Hash(key)},
			{Name: "http", Hash: b.secret.Hash(httpKey), Fronts: []keys.Front{keys.Legacy, keys.V1}},
		}},
		{Name: "news", SenderID: "777", Keys: []keys.Record{{Name: "ccs", Hash: b.secret.Hash(newsKey), Fronts: []keys.Front{keys.CCS}}}},
	}
}

func (b *bridge) tell(words ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, strings.TrimSpace(fmt.Sprintln(words...)))
}

func (b *bridge) heard() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.told, "; ")
}

// login opens a stream, or says why there is none.
func (b *bridge) login(t *testing.T, sender ccs.SenderID, key string) (*ccsclient.Session, error) {
	t.Helper()
	s, err := ccsclient.Dial(t.Context(), "penstock.test:5235", ccsclient.Credentials{SenderID: sender, Key: key}, &ccsclient.Options{
		ClearText: true,
		Dial:      func(ctx context.Context, _, _ string) (net.Conn, error) { return b.listener.Dial(ctx) },
	})
	if err != nil {
		return nil, err
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		s.Close()
		<-ran
	})
	return s, nil
}

func (b *bridge) mustLogin(t *testing.T, sender ccs.SenderID, key string) *ccsclient.Session {
	t.Helper()
	s, err := b.login(t, sender, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func answering(a downstream.Answer, err error) *lane {
	return &lane{script: func(*downstream.Message) (downstream.Answer, error) { return a, err }}
}

func TestLoginsGoByTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil, nil)
		for _, tt := range []struct {
			sender ccs.SenderID
			key    string
			in     bool
		}{
			{"1234567890", key, true},
			{"777", newsKey, true},
			{"1234567890", newsKey, false},
			{"1234567890", httpKey, false},
			{"99", key, false},
		} {
			s, err := b.login(t, tt.sender, tt.key)
			if tt.in != (err == nil) {
				t.Errorf("sender %s: %v", tt.sender, err)
			}
			if refused, ok := errors.AsType[*ccsclient.CredentialsError](err); !tt.in && (!ok || refused.Condition != "not-authorized") {
				t.Errorf("sender %s: %v is no refusal", tt.sender, err)
			}
			if s != nil {
				s.Close()
			}
		}
		// A key that was taken away opens nothing from then on.
		list := b.projects()
		list[0].Keys = list[0].Keys[1:]
		if err := b.ring.Replace(list); err != nil {
			t.Fatal(err)
		}
		if _, err := b.login(t, "1234567890", key); err == nil {
			t.Error("a key that was taken away still opens")
		}
	})
}

func TestAccountsKeepOtherErrors(t *testing.T) {
	s := keys.NewSecret()
	ring, err := keys.NewRing(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := front.Accounts(ring).Authenticate(t.Context(), "1", key); !errors.Is(err, ccsserver.ErrBadCredentials) {
		t.Errorf("got %v", err)
	}
}

func TestMessagesGoToTheLaneOfTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, news := answering(downstream.Answer{Name: "projects/p/messages/1"}, nil), answering(downstream.Answer{}, nil)
		b := newBridge(t, map[string]front.Lane{"shop": shop, "news": news}, nil)
		s := b.mustLogin(t, "1234567890", key)
		ttl := time.Minute
		m := &ccs.Downstream{To: "TOKEN", MessageID: "m-1", TTL: &ttl, Data: map[string]string{"k": "v"}}
		a, err := s.Send(t.Context(), m)
		if err != nil || a.RegistrationID != "" || a.Success != 0 {
			t.Errorf("got %+v, %v", a, err)
		}
		if shop.submitted() != 1 || news.submitted() != 0 {
			t.Fatalf("shop got %d, news %d", shop.submitted(), news.submitted())
		}
		got := shop.got[0]
		if got.V1 != nil || got.CCS.ContentHash() != m.ContentHash() || got.CCS.MessageID != "m-1" || got.Accepted != time.Now() {
			t.Errorf("handed on: %+v at %v", got.CCS, got.Accepted)
		}
		synctest.Wait()
		if b.heard() != "shop ok 0s" || b.accepted != 1 {
			t.Errorf("told %s", b.heard())
		}
	})
}

func TestAcksCarryWhatTheFarEndSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := downstream.Answer{RegistrationID: "NEW", Success: 1, Failure: 2, FailedRegistrationIDs: []ccs.RegistrationToken{"T1", "T2"}}
		b := newBridge(t, map[string]front.Lane{"shop": answering(far, nil)}, nil)
		a, err := b.mustLogin(t, "1234567890", key).Send(t.Context(), &ccs.Downstream{To: "GROUP", MessageID: "m-1"})
		if err != nil || a.RegistrationID != "NEW" || a.Success != 1 || a.Failure != 2 || fmt.Sprint(a.FailedRegistrationIDs) != "[T1 T2]" {
			t.Errorf("got %+v, %v", a, err)
		}
		none := newBridge(t, map[string]front.Lane{"shop": answering(downstream.Answer{Failure: 2}, nil)}, nil)
		a, err = none.mustLogin(t, "1234567890", key).Send(t.Context(), &ccs.Downstream{To: "GROUP", MessageID: "m-1"})
		if err != nil || a.Success != 0 || a.Failure != 2 {
			t.Errorf("a group that nobody of has it: %+v, %v", a, err)
		}
	})
}

// Each row of the table of outcomes as CCS has it (docs/fcm-http.md, Outcomes).
func TestT_46_EveryOutcomeHasItsNack(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code ccs.Code
	}{
		{"T-46 a message that breaks a rule", &fcm.SendError{Class: fcm.InvalidMessage}, ccs.CodeInvalidJSON},
		{"T-46 a malformed token", &fcm.SendError{Class: fcm.MalformedToken}, ccs.CodeBadRegistration},
		{"T-46 a dead token", &fcm.SendError{Class: fcm.Unregistered}, ccs.CodeDeviceUnregistered},
		{"T-46 R-A29 a foreign token", &fcm.SendError{Class: fcm.SenderIDMismatch}, ccs.CodeSenderIDMismatch},
		{"T-46 Apple's key", &fcm.SendError{Class: fcm.ThirdPartyAuth}, ccs.CodeInvalidAPNSCredential},
		{"T-46 the project's quota", &fcm.SendError{Class: fcm.ProjectQuota}, ccs.CodeServiceUnavailable},
		{"T-46 T-53 the device's quota", &fcm.SendError{Class: fcm.DeviceQuota}, ccs.CodeDeviceMessageRateExceeded},
		{"T-46 T-53 the topic's quota", &fcm.SendError{Class: fcm.TopicQuota}, ccs.CodeTopicsMessageRateExceeded},
		{"T-46 T-47 our credential", &fcm.SendError{Class: fcm.Credential, Err: errors.New("secret")}, ccs.CodeServiceUnavailable},
		{"T-46 T-47 our configuration", &fcm.SendError{Class: fcm.Configuration, Err: errors.New("secret")}, ccs.CodeServiceUnavailable},
		{"T-46 overload", &fcm.SendError{Class: fcm.Unavailable}, ccs.CodeServiceUnavailable},
		{"T-46 nobody knows", &fcm.SendError{Class: fcm.Internal, OutcomeUnknown: true}, ccs.CodeServiceUnavailable},
		{"T-46 an internal fault", &fcm.SendError{Class: fcm.Internal}, ccs.CodeInternalServerError},
		{"T-46 a nack of a far end", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}, ccs.CodeDeviceUnregistered},
		{"T-46 what nobody thought of", errors.New("secret"), ccs.CodeInternalServerError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBridge(t, map[string]front.Lane{"shop": answering(downstream.Answer{}, tt.err)}, nil)
				s := b.mustLogin(t, "1234567890", key)
				for _, id := range []ccs.MessageID{"m-1", "m-2"} { // the stream lives
					_, err := s.Send(t.Context(), &ccs.Downstream{To: "T", MessageID: id})
					nack, ok := errors.AsType[*ccs.NackError](err)
					if !ok || nack.Code != tt.code || strings.Contains(nack.Description, "secret") {
						t.Errorf("got %v, want %s", err, tt.code)
					}
				}
				synctest.Wait()
				if want := "shop " + string(tt.code) + " 0s"; b.heard() != want+"; "+want {
					t.Errorf("told %s", b.heard())
				}
			})
		})
	}
}

func TestASettingShowsThatOurCredentialFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := answering(downstream.Answer{}, &fcm.SendError{Class: fcm.Credential})
		b := newBridge(t, map[string]front.Lane{"shop": broken}, &front.Options{Translate: &translate.Options{AuthenticationFailed: true}})
		_, err := b.mustLogin(t, "1234567890", key).Send(t.Context(), &ccs.Downstream{To: "T", MessageID: "m-1"})
		if nack, ok := errors.AsType[*ccs.NackError](err); !ok || nack.Code != ccs.CodeAuthenticationFailed {
			t.Errorf("got %v", err)
		}
	})
}

// A project that was taken away while its stream lives, and one whose lane is
// not there yet: try again later.
func TestASenderWithoutALaneIsAskedToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, map[string]front.Lane{"shop": answering(downstream.Answer{}, nil)}, nil)
		unavailable := func(s *ccsclient.Session, id ccs.MessageID) {
			t.Helper()
			_, err := s.Send(t.Context(), &ccs.Downstream{To: "T", MessageID: id})
			if nack, ok := errors.AsType[*ccs.NackError](err); !ok || nack.Code != ccs.CodeServiceUnavailable {
				t.Errorf("got %v", err)
			}
		}
		unavailable(b.mustLogin(t, "777", newsKey), "m-1")
		shop := b.mustLogin(t, "1234567890", key)
		if _, err := shop.Send(t.Context(), &ccs.Downstream{To: "T", MessageID: "m-1"}); err != nil {
			t.Error(err)
		}
		if err := b.ring.Replace(b.projects()[1:]); err != nil {
			t.Fatal(err)
		}
		unavailable(shop, "m-2")
	})
}

// A slow verdict holds up no other message of its stream, and comes to the
// message that it is about.
func TestASlowVerdictHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{script: func(m *downstream.Message) (downstream.Answer, error) {
			if m.CCS.To == "SLOW" {
				time.Sleep(5 * time.Second)
				return downstream.Answer{}, &fcm.SendError{Class: fcm.Unregistered}
			}
			return downstream.Answer{}, nil
		}}
		b := newBridge(t, map[string]front.Lane{"shop": l}, nil)
		s := b.mustLogin(t, "1234567890", key)
		start := time.Now()
		var slow sync.WaitGroup
		slow.Go(func() {
			_, err := s.Send(t.Context(), &ccs.Downstream{To: "SLOW", MessageID: "slow"})
			if nack, ok := errors.AsType[*ccs.NackError](err); !ok || nack.Code != ccs.CodeDeviceUnregistered || time.Since(start) != 5*time.Second {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		if _, err := s.Send(t.Context(), &ccs.Downstream{To: "T", MessageID: "quick"}); err != nil || time.Since(start) > 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		slow.Wait()
		synctest.Wait()
		if b.heard() != "shop ok 0s; shop DEVICE_UNREGISTERED 5s" {
			t.Errorf("told %s", b.heard())
		}
	})
}

// panicky is a lane that panics in place of taking a message.
type panicky struct{}

func (panicky) Submit(*downstream.Message, func(downstream.Answer, error)) { panic("oh") }

func TestR_F35_APanicCostsItsMessage(t *testing.T) {
	refused := func(t *testing.T, s *ccsclient.Session) {
		t.Helper()
		for _, id := range []ccs.MessageID{"m-1", "m-2"} { // the stream lives
			_, err := s.Send(t.Context(), &ccs.Downstream{To: "T", MessageID: id})
			if nack, ok := errors.AsType[*ccs.NackError](err); !ok || nack.Code != ccs.CodeInternalServerError {
				t.Errorf("got %v", err)
			}
		}
	}
	t.Run("R-F35 on the way there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBridge(t, map[string]front.Lane{"shop": panicky{}}, nil)
			refused(t, b.mustLogin(t, "1234567890", key))
			if b.heard() != "shop failed front/ccs: panic: oh; shop failed front/ccs: panic: oh" {
				t.Errorf("told %s", b.heard())
			}
		})
	})
	t.Run("R-F35 on the way back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBridge(t, map[string]front.Lane{"shop": &lane{script: func(*downstream.Message) (downstream.Answer, error) {
				return downstream.Answer{}, &panickyError{}
			}}}, nil)
			refused(t, b.mustLogin(t, "1234567890", key))
			synctest.Wait()
			if b.heard() != "shop failed front/ccs: panic: oh; shop failed front/ccs: panic: oh" {
				t.Errorf("told %s", b.heard())
			}
		})
	})
}

// A panickyError panics when somebody looks into it.
type panickyError struct{}

func (*panickyError) Error() string { return "oh" }
func (*panickyError) Unwrap() error { panic("oh") }
