package downstream_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

func TestAMessageIsTriedOnceAndAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 30 * time.Millisecond
		h := start(t, far, downstream.Options{})
		r := h.submit(to("a"))
		time.Sleep(time.Minute)
		r.wantAccepted(t)
		r.wantAt(t, 30*time.Millisecond)
		if r.a.Name != "projects/p/messages/a" {
			t.Errorf("answer %+v", r.a)
		}
		if n := len(far.seen()); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
		want := downstream.Answered{Project: "p", Dialect: downstream.Legacy, Tries: 1, Sending: 30 * time.Millisecond}
		if got := h.answers(); len(got) != 1 || got[0] != want {
			t.Errorf("events %+v, want %+v", got, want)
		}
		if got := want.Outcome(); got != "accepted" {
			t.Errorf("outcome %q", got)
		}
	})
}

func TestVerdictsPassAsTheyAre(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		class fcm.Class // of the event
	}{
		{"R-F24 S-19 a dead token", unregistered(), fcm.Unregistered},
		{"R-F23 S-26 a token of another sender", &fcm.SendError{Class: fcm.SenderIDMismatch}, fcm.SenderIDMismatch},
		{"a bad message", &fcm.SendError{Class: fcm.InvalidMessage}, fcm.InvalidMessage},
		{"an internal fault", &fcm.SendError{Class: fcm.Internal}, fcm.Internal},
		{"S-35 an overload", overload(3 * time.Second), fcm.Unavailable},
		{"no reply in time", timedOut(), fcm.Unavailable},
		{"Apple's key", &fcm.SendError{Class: fcm.ThirdPartyAuth}, fcm.ThirdPartyAuth},
		{"a nack INVALID_JSON", &ccs.NackError{Code: ccs.CodeInvalidJSON}, fcm.InvalidMessage},
		{"a nack BAD_ACK", &ccs.NackError{Code: ccs.CodeBadAck}, fcm.InvalidMessage},
		{"a nack BAD_REGISTRATION", &ccs.NackError{Code: ccs.CodeBadRegistration}, fcm.MalformedToken},
		{"a nack DEVICE_UNREGISTERED", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}, fcm.Unregistered},
		{"a nack SENDER_ID_MISMATCH", &ccs.NackError{Code: ccs.CodeSenderIDMismatch}, fcm.SenderIDMismatch},
		{"a nack SERVICE_UNAVAILABLE", &ccs.NackError{Code: ccs.CodeServiceUnavailable}, fcm.Unavailable},
		{"a nack CONNECTION_DRAINING", &ccs.NackError{Code: ccs.CodeConnectionDraining}, fcm.Unavailable},
		{"a nack INTERNAL_SERVER_ERROR", &ccs.NackError{Code: ccs.CodeInternalServerError}, fcm.Internal},
		{"a nack DEVICE_MESSAGE_RATE_EXCEEDED", &ccs.NackError{Code: ccs.CodeDeviceMessageRateExceeded}, fcm.DeviceQuota},
		{"a nack QUOTA_EXCEEDED", &ccs.NackError{Code: ccs.CodeQuotaExceeded}, fcm.DeviceQuota},
		{"a nack TOPICS_MESSAGE_RATE_EXCEEDED", &ccs.NackError{Code: ccs.CodeTopicsMessageRateExceeded}, fcm.TopicQuota},
		{"a nack INVALID_APNS_CREDENTIAL", &ccs.NackError{Code: ccs.CodeInvalidAPNSCredential}, fcm.ThirdPartyAuth},
		{"a nack AUTHENTICATION_FAILED", &ccs.NackError{Code: ccs.CodeAuthenticationFailed}, fcm.Credential},
		{"a nack of a code that nobody documented", &ccs.NackError{Code: "STRANGE"}, fcm.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.fate = func(time.Duration, *downstream.Message) error { return tt.err }
				h := start(t, far, unlimited())
				r := h.submit(to("a"))
				time.Sleep(time.Minute)
				r.wantAt(t, 0)
				if r.err != tt.err { //nolint:errorlint // the very error, not one around it
					t.Errorf("error %v, want %v as it is", r.err, tt.err)
				}
				if n := len(far.seen()); n != 1 {
					t.Errorf("%d tries, want 1", n)
				}
				if got := h.answers()[0]; got.Class != tt.class || got.Outcome() != tt.class.String() {
					t.Errorf("event %+v, want class %v", got, tt.class)
				}
				if want := tt.name == "no reply in time"; h.answers()[0].OutcomeUnknown != want {
					t.Errorf("event says outcome unknown: %v, want %v", !want, want)
				}
			})
		})
	}
}

func TestAnErrorOfNoKindBecomesOne(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func() error
		text string
	}{
		{"any error", func() error { return errors.New("odd") }, "internal, outcome unknown: odd"},
		{"a panic", func() error { panic("odd") }, "internal, outcome unknown: the transport panicked: odd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.fate = func(time.Duration, *downstream.Message) error { return tt.send() }
				h := start(t, far, unlimited())
				r := h.submit(to("a"))
				synctest.Wait()
				if e := r.wantClass(t, fcm.Internal); e.Error() != tt.text || !e.OutcomeUnknown {
					t.Errorf("error %q, want %q", e, tt.text)
				}
			})
		})
	}
}

func TestAMessageWithoutContentIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, newFarEnd(), downstream.Options{})
		h.submit(&downstream.Message{}).wantClass(t, fcm.InvalidMessage)
	})
}

// What was not sent is tried again, with growing pauses, until it is sent.
func TestWhatWasNotSentIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(at time.Duration, _ *downstream.Message) error {
			if at < 5*time.Second {
				return refused()
			}
			return nil
		}
		h := start(t, far, unlimited())
		r := h.submit(to("a"))
		time.Sleep(time.Minute)
		r.wantAccepted(t)
		tries := far.seen()
		for i := 1; i < len(tries); i++ {
			rest := tries[i].at - tries[i-1].at
			longest := min(100*time.Millisecond<<(i-1), 2*time.Second)
			if rest < longest/2 || rest > longest {
				t.Errorf("pause %d lasted %v, want between %v and %v", i, rest, longest/2, longest)
			}
		}
		if got := h.answers()[0].Tries; got != len(tries) || got < 6 {
			t.Errorf("the event says %d tries, there were %d", got, len(tries))
		}
		h.wantEvents()
	})
}

func TestWhatWasNeverSentIsRefusedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(time.Duration, *downstream.Message) error { return refused() }
		h := start(t, far, unlimited())
		r := h.submit(to("a"))
		time.Sleep(time.Minute)
		r.wantNotSent(t)
		if r.at > 11*time.Second || r.at < 8*time.Second {
			t.Errorf("refused at %v, want soon before 11 s", r.at)
		}
		if tries := far.seen(); len(tries) < 2 || tries[len(tries)-1].at >= 11*time.Second {
			t.Errorf("tries %v, want several, none of them at 11 s or later", tries)
		}
	})
}

// A message that was tried, sent nothing, and then had to wait, says both.
func TestARefusalNamesTheLastTry(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message *downstream.Message
		class   fcm.Class
		text    string
	}{
		{"in vain", to("a"), fcm.Unavailable, "unavailable: not sent in time (quota): unavailable: dial: connection refused"},
		{"expired", living("a", 5*time.Second), fcm.Expired, "expired: unavailable: dial: connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				far.fate = func(_ time.Duration, m *downstream.Message) error {
					if name(m) == "a" {
						return refused()
					}
					return projectQuota(time.Hour)
				}
				h := start(t, far, unlimited())
				r := h.submit(tt.message)
				h.submit(to("b"))
				time.Sleep(time.Minute)
				if e := r.wantClass(t, tt.class); e.Error() != tt.text {
					t.Errorf("error %q, want %q", e, tt.text)
				}
				if got := h.answers(); len(got) != 2 || got[0].Tries != 1 || got[1].Tries != 1 {
					t.Errorf("events %+v, want two, of one try each", got)
				}
			})
		})
	}
}

// What may have been sent is never tried again: v1 knows no ids by which a
// second copy could be told.
func TestAnUnknownOutcomeIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = time.Second
		far.fate = func(time.Duration, *downstream.Message) error { return timedOut() }
		h := start(t, far, unlimited())
		r := h.submit(to("a"))
		time.Sleep(time.Minute)
		if e := r.wantClass(t, fcm.Unavailable); !e.OutcomeUnknown {
			t.Errorf("error %v, want an unknown outcome", e)
		}
		if n := len(far.seen()); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
	})
}

func TestALateVerdictIsToldAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = 40 * time.Second
		h := start(t, far, unlimited())
		r := h.submit(to("a"))
		time.Sleep(39 * time.Second)
		r.wantNone(t)
		time.Sleep(2 * time.Second)
		r.wantAccepted(t)
		r.wantAt(t, 40*time.Second)
	})
}

func TestWaitingCountsFromAcceptance(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message func() *downstream.Message
		timeout time.Duration
		at      time.Duration
	}{
		{"by default twelve seconds, but one", func() *downstream.Message { return to("a") }, 0, 11 * time.Second},
		{"a timeout of its own", func() *downstream.Message { return to("a") }, 5 * time.Second, 4 * time.Second},
		{"what the front spent counts", func() *downstream.Message {
			m := to("a")
			m.Accepted = time.Now().Add(-3 * time.Second)
			return m
		}, 0, 8 * time.Second},
		{"what is too late already", func() *downstream.Message {
			m := to("a")
			m.Accepted = time.Now().Add(-time.Hour)
			return m
		}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newFarEnd()
				opt := unlimited()
				opt.VerdictTimeout = tt.timeout
				h := prepare(t, far, opt) // it does not run, so that everything waits
				r := h.submit(tt.message())
				time.Sleep(time.Minute)
				e := r.wantNotSent(t)
				r.wantAt(t, tt.at)
				if _, ok := errors.AsType[*downstream.HeldError](e); !ok {
					t.Errorf("cause %v, want a *HeldError", e.Err)
				}
				if n := len(far.seen()); n != 0 {
					t.Errorf("%d tries, want none", n)
				}
			})
		})
	}
}

// duration makes a v1 time to live.
func duration(d time.Duration) *fcm.Duration { return (*fcm.Duration)(&d) }

// No try begins after the end of the time to live, and a message that waits for
// its turn is answered as expired then.
func TestNoTryAfterTheTimeToLive(t *testing.T) {
	v1 := func(m fcm.Message) *downstream.Message {
		m.Token = "a"
		return &downstream.Message{V1: &fcm.SendRequest{Message: &m}}
	}
	for _, tt := range []struct {
		name    string
		message *downstream.Message
		at      time.Duration
		class   fcm.Class
	}{
		{"S-36 R-F61 legacy, three seconds", living("a", 3*time.Second), 3 * time.Second, fcm.Expired},
		{"S-36 android, three seconds", v1(fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(3 * time.Second)}}), 3 * time.Second, fcm.Expired},
		{"S-36 android_v2, three seconds", v1(fcm.Message{AndroidV2: &fcm.AndroidConfigV2{TTL: duration(3 * time.Second)}}), 3 * time.Second, fcm.Expired},
		{"legacy, four weeks", living("a", ccs.MaxTTL), 11 * time.Second, fcm.Unavailable},
		{"legacy, as long as it may wait", living("a", 11*time.Second), 11 * time.Second, fcm.Unavailable},
		{"S-37 legacy, now or never", living("a", 0), time.Second, fcm.Unavailable},
		{"S-37 android, now or never", v1(fcm.Message{Android: &fcm.AndroidConfig{TTL: duration(0)}}), time.Second, fcm.Unavailable},
		{"v1 without any", v1(fcm.Message{Android: &fcm.AndroidConfig{}}), 11 * time.Second, fcm.Unavailable},
		{"v1 without parts", v1(fcm.Message{}), 11 * time.Second, fcm.Unavailable},
		{"v1 without a message", &downstream.Message{V1: &fcm.SendRequest{}}, 11 * time.Second, fcm.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := prepare(t, newFarEnd(), unlimited())
				r := h.submit(tt.message)
				time.Sleep(time.Minute)
				r.wantClass(t, tt.class)
				r.wantAt(t, tt.at)
			})
		})
	}
}

func TestALessPatientMessageIsGivenUpBeforeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := prepare(t, newFarEnd(), unlimited())
		patient := h.submit(to("a"))
		time.Sleep(time.Second)
		soon := h.submit(living("b", 3*time.Second))
		time.Sleep(time.Minute)
		soon.wantClass(t, fcm.Expired)
		soon.wantAt(t, 4*time.Second)
		patient.wantAt(t, 11*time.Second)
	})
}

func TestS_37_NowOrNeverIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(time.Duration, *downstream.Message) error { return refused() }
		h := start(t, far, unlimited())
		r := h.submit(living("a", 0))
		time.Sleep(time.Minute)
		r.wantNotSent(t)
		r.wantAt(t, 0)
		if n := len(far.seen()); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
	})
}

// A message for now or never leaves before those that can wait; among equals
// the order is that of their acceptance.
func TestTheLeastPatientLeavesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = time.Millisecond
		opt := unlimited()
		opt.Pace.MaxInFlight = 1
		h := start(t, far, opt)
		for _, m := range []*downstream.Message{to("1"), to("2"), to("3"), living("now", 0), to("4"), living("soon", 2*time.Second)} {
			h.submit(m)
		}
		time.Sleep(time.Second)
		var order []string
		for _, try := range far.seen() {
			order = append(order, try.to)
		}
		want := []string{"1", "now", "soon", "2", "3", "4"}
		if !slices.Equal(order, want) {
			t.Fatalf("order %v, want %v", order, want)
		}
	})
}

func TestABusyLaneRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.takes = time.Second
		opt := unlimited()
		opt.MaxInWork, opt.Pace.MaxInFlight = 10, 4
		h := start(t, far, opt)
		var taken []*result
		for range 10 {
			taken = append(taken, h.submit(to("a")))
		}
		beyond := h.submit(to("a"))
		if e := beyond.wantNotSent(t); !errors.Is(e, downstream.ErrBusy) {
			t.Errorf("cause %v, want ErrBusy", e.Err)
		}
		beyond.wantAt(t, 0)
		if st := h.lane.State(); st.InFlight != 4 || st.Waiting != 6 || st.Project != "p" || st.Pace.InFlight != 4 {
			t.Errorf("state %+v, want 4 in flight and 6 waiting", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		last := h.submit(to("a")) // there is room again
		time.Sleep(5 * time.Second)
		for _, r := range append(taken, last) {
			r.wantAccepted(t)
		}
	})
}

// Messages that rest between two tries count too.
func TestRestingMessagesKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		far.fate = func(time.Duration, *downstream.Message) error { return refused() }
		opt := unlimited()
		opt.MaxInWork = 1
		h := start(t, far, opt)
		first := h.submit(to("a"))
		synctest.Wait()
		first.wantNone(t)
		if st := h.lane.State(); st.Waiting != 1 || st.InFlight != 0 {
			t.Errorf("state %+v, want one waiting", st)
		}
		if e := h.submit(to("b")).wantNotSent(t); !errors.Is(e, downstream.ErrBusy) {
			t.Errorf("cause %v, want ErrBusy", e.Err)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  downstream.Options
		text string
	}{
		{"a negative bound", downstream.Options{MaxInWork: -1}, "downstream: Options.MaxInWork is negative"},
		{"a timeout that leaves no time", downstream.Options{VerdictTimeout: time.Second}, "downstream: Options.VerdictTimeout is 1s, and must be more than 1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := downstream.New(nothing{}, &tt.opt); err == nil || err.Error() != tt.text {
				t.Errorf("error %v, want %q", err, tt.text)
			}
		})
	}
	if _, err := downstream.New(nothing{}, nil); err != nil {
		t.Errorf("without options: %v", err)
	}
}

func TestTheFarEndIsPacedByTheProjectsOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarEnd()
		h := start(t, far, downstream.Options{Pace: &pace.Options{PerMinute: 60}})
		for i := range 5 {
			h.submit(to(string(rune('a' + i))))
		}
		time.Sleep(time.Minute)
		for i, try := range far.seen() {
			if want := time.Duration(i) * time.Second; try.at < want || try.at > want+time.Millisecond {
				t.Errorf("try %d began at %v, want %v", i, try.at, want)
			}
		}
		if n := len(far.seen()); n != 5 {
			t.Errorf("%d tries, want 5", n)
		}
	})
}
