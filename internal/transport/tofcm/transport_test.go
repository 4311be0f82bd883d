package tofcm_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/downstream"
	"penstock/internal/translate"
	"penstock/internal/transport/tofcm"
)

// A sender notes what it is asked to send.
type sender struct {
	err error

	requests []*fcm.SendRequest
	by       []time.Time
}

func (s *sender) SendBy(_ context.Context, r *fcm.SendRequest, by time.Time) (fcmsend.Result, error) {
	s.requests = append(s.requests, r)
	s.by = append(s.by, by)
	if s.err != nil {
		return fcmsend.Result{}, s.err
	}
	return fcmsend.Result{Name: "projects/p/messages/1"}, nil
}

func seconds(n int) *time.Duration {
	d := time.Duration(n) * time.Second
	return &d
}

func legacy(ttl *time.Duration) *downstream.Message {
	return &downstream.Message{Accepted: time.Now(), CCS: &ccs.Downstream{
		To: "token", MessageID: "m", TTL: ttl, Notification: map[string]string{"title": "T"},
	}}
}

func v1(ttl *time.Duration) *downstream.Message {
	return &downstream.Message{Accepted: time.Now(), V1: &fcm.SendRequest{Message: &fcm.Message{
		Token: "token", Android: &fcm.AndroidConfig{TTL: (*fcm.Duration)(ttl)},
		APNS: &fcm.APNSConfig{Headers: map[string]string{"apns-expiration": "4711"}},
	}}}
}

func TestLegacyMessagesAreTurnedIntoV1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		m := legacy(nil)
		m.CCS.Data = map[string]string{"k": "v"}
		a, err := tofcm.New(s, nil).Send(t.Context(), m)
		if err != nil || a.Name != "projects/p/messages/1" {
			t.Fatalf("%+v, %v", a, err)
		}
		got := s.requests[0].Message
		if got.Token != "token" || got.Data["k"] != "v" || got.Notification == nil || got.Notification.Title != "T" {
			t.Errorf("sent %+v", got)
		}
		if want := m.Accepted.Add(11 * time.Second); !s.by[0].Equal(want) {
			t.Errorf("to begin until %v, want %v", s.by[0], want)
		}
	})
}

func TestV1MessagesPassAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		m := v1(nil)
		if _, err := tofcm.New(s, nil).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if s.requests[0] != m.V1 {
			t.Errorf("sent %+v, want what came", s.requests[0])
		}
	})
}

func TestS_38_T_25_TheTimeToLiveShrinksByWaiting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message func(*time.Duration) *downstream.Message
		ttl     *time.Duration
		waited  time.Duration
		want    string // of Android's part; empty: expired
		by      time.Duration
	}{
		{"legacy", legacy, seconds(600), 5 * time.Second, "595s", 11 * time.Second},
		{"v1", v1, seconds(600), 5 * time.Second, "595s", 11 * time.Second},
		{"legacy, less than a second", legacy, seconds(600), 900 * time.Millisecond, "600s", 11 * time.Second},
		{"legacy, which dies soon", legacy, seconds(8), 5 * time.Second, "3s", 8 * time.Second},
		{"v1, which dies soon", v1, seconds(8), 5 * time.Second, "3s", 8 * time.Second},
		{"legacy, now or never", legacy, seconds(0), 0, "0s", time.Second},
		{"v1, now or never", v1, seconds(0), 0, "0s", time.Second},
		{"legacy, too late", legacy, seconds(3), 5 * time.Second, "", 0},
		{"v1, too late", v1, seconds(3), 5 * time.Second, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sender{}
				m := tt.message(tt.ttl)
				time.Sleep(tt.waited)
				_, err := tofcm.New(s, nil).Send(t.Context(), m)
				if tt.want == "" {
					if e, ok := errors.AsType[*fcm.SendError](err); !ok || e.Class != fcm.Expired || len(s.requests) > 0 {
						t.Errorf("%v after %d requests, want it expired", err, len(s.requests))
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got := s.requests[0].Message
				if ttl := time.Duration(*got.Android.TTL); ttl != parse(t, tt.want) {
					t.Errorf("time to live %v, want %v", ttl, tt.want)
				}
				if m.V1 != nil && got.APNS.Headers["apns-expiration"] != "4711" {
					t.Errorf("apns-expiration %q has moved", got.APNS.Headers["apns-expiration"])
				}
				if by := s.by[0].Sub(m.Accepted); by != tt.by {
					t.Errorf("to begin within %v, want %v", by, tt.by)
				}
			})
		})
	}
}

func parse(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWithoutADateOfAcceptanceNowCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, message := range []func(*time.Duration) *downstream.Message{legacy, v1} {
			s := &sender{}
			m := message(seconds(600))
			m.Accepted = time.Time{}
			if _, err := tofcm.New(s, &tofcm.Options{StartWithin: 3 * time.Second}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if ttl := time.Duration(*s.requests[0].Message.Android.TTL); ttl != 10*time.Minute {
				t.Errorf("time to live %v, want it whole", ttl)
			}
			if by := time.Until(s.by[0]); by != 3*time.Second {
				t.Errorf("to begin within %v, want 3 s", by)
			}
		}
	})
}

func TestWhatCannotBeTranslatedIsNotSent(t *testing.T) {
	s := &sender{}
	m := legacy(nil)
	m.CCS.Data = map[string]string{"k": "too long"}
	_, err := tofcm.New(s, &tofcm.Options{Translate: &translate.Options{SizeLimit: 3}}).Send(t.Context(), m)
	if e, ok := errors.AsType[*fcm.SendError](err); !ok || e.Class != fcm.InvalidMessage || len(s.requests) > 0 {
		t.Errorf("%v after %d requests, want an invalid message", err, len(s.requests))
	}
	// What has no message at all is the sender's to refuse.
	if _, err := tofcm.New(s, nil).Send(t.Context(), &downstream.Message{V1: &fcm.SendRequest{}}); err != nil || len(s.requests) != 1 {
		t.Errorf("%v after %d requests", err, len(s.requests))
	}
}

func TestFailuresPassAsTheyAre(t *testing.T) {
	want := &fcm.SendError{Class: fcm.Unregistered}
	if _, err := tofcm.New(&sender{err: want}, nil).Send(t.Context(), legacy(nil)); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}
