package v1_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/downstream"
	"penstock/internal/front/v1"
)

func TestF_04_R_A31_WhoHasNoKeyGets401(t *testing.T) {
	const plain = `Bearer realm="penstock"`
	const wrong = plain + `, error="invalid_token"`
	const invalid = "Request had invalid authentication credentials. "
	for _, tt := range []struct {
		name      string
		head      []string
		challenge string
		text      string
	}{
		{"F-04 no key", nil, plain, "Request is missing required authentication credential. "},
		{"F-04 a wrong key", []string{"Authorization", "Bearer " + wrongKey}, wrong, invalid},
		{"F-04 a key for other fronts", []string{"Authorization", "Bearer " + legacyKey}, wrong, invalid},
		{"R-A31 the right key without a scheme", []string{"Authorization", key}, wrong, invalid},
		{"R-A31 the right key twice", []string{"Authorization", "Bearer " + key, "Authorization", "Bearer " + key}, wrong, invalid},
		{"R-A31 the right key in other headers", []string{"X-Goog-Api-Key", key, "Cookie", "key=" + key}, plain, "Request is missing required authentication credential. "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, asked := newFront(t, good, nil), 0
			for _, target := range []string{path, "/v1/projects/other/messages:send", "/", "/admin", "/v1/projects/shop/topics"} {
				for _, method := range []string{"POST", "GET", "OPTIONS"} {
					got := f.ask(t, method, target, simple, append(tt.head, "Content-Type", "application/json")...)
					asked++
					if got.status != 401 || got.header.Get("WWW-Authenticate") != tt.challenge {
						t.Errorf("%s %s: %d, %s", method, target, got.status, got.header.Get("WWW-Authenticate"))
					}
					var body struct {
						Error struct {
							Code            int
							Message, Status string
							Details         []struct{ Reason string }
						}
					}
					if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Error.Code != 401 || body.Error.Status != "UNAUTHENTICATED" || !strings.HasPrefix(body.Error.Message, tt.text) {
						t.Errorf("%s: %v", got.body, err)
					}
					if missing := tt.text != invalid; missing != (len(body.Error.Details) == 1 && body.Error.Details[0].Reason == "CREDENTIALS_MISSING") {
						t.Errorf("details %v", body.Error.Details)
					}
					if strings.Contains(got.body+fmt.Sprint(got.header), "psk_") {
						t.Error("the answer repeats a key")
					}
				}
			}
			if want := slices.Repeat([]int{401}, asked); !slices.Equal(f.events.refused, want) {
				t.Errorf("told %v, want %v", f.events.refused, want)
			}
			f.quiet(t)
		})
	}
}

// A secret in a URL is in somebody's log already. It is never read, and to be
// told so helps more than to be let in.
func TestF_04_SecretsInTheURLAreRefused(t *testing.T) {
	for _, query := range []string{
		"access_token=" + key, "key=" + key, "oauth_token=" + key, "alt=json&key=" + key, "key", "KEY=" + key, "ac%63ess_token=" + key,
		"alt=json;key=" + key, "a=%zz&key=" + key,
	} {
		for _, head := range [][]string{nil, {"Authorization", "Bearer " + key}} {
			t.Run(fmt.Sprintf("F-04 %.20s, header %v", query, head != nil), func(t *testing.T) {
				f := newFront(t, good, nil)
				got := f.ask(t, "POST", path+"?"+query, simple, append(head, "Content-Type", "application/json")...)
				if got.status != 401 || !strings.Contains(got.body, "is not read") || strings.Contains(got.body, key) || got.header.Get("WWW-Authenticate") == "" {
					t.Errorf("got %d %s", got.status, got.body)
				}
				f.quiet(t)
			})
		}
	}
	f := newFront(t, good, nil)
	if got := f.ask(t, "POST", path+"?monkey=1&x=key", simple, "Authorization", "Bearer "+key); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestF_04_TheKeyMustBelongToTheProject(t *testing.T) {
	for _, tt := range []struct {
		name, key, segment string
		status             int
	}{
		{"F-04 by name", key, "shop", 200},
		{"F-04 by id", key, "shop-1a2b3", 200},
		{"F-04 by number", key, "1234567890", 200},
		{"F-04 key= as legacy has it", key, "shop", 200},
		{"F-04 R-A29 another project's name", key, "news", 403},
		{"F-04 another project's id", key, "news-9z8y7", 403},
		{"F-04 no project's", key, "nothing", 403},
		{"F-04 in other letters", key, "Shop", 403},
		{"F-04 a number with a zero before it", key, "01234567890", 403},
		{"F-04 the other way round", newsKey, "shop", 403},
		{"F-04 the wildcard of topics", key, "-", 403},
		{"F-04 an id of a domain", key, "example.com:shop", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, good, nil)
			got := f.ask(t, "POST", "/v1/projects/"+tt.segment+"/messages:send", simple, "Authorization", "key="+tt.key, "Content-Type", "application/json")
			if got.status != tt.status {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			if tt.status == 200 {
				return
			}
			want := indent(t, `{"error":{"code":403,"message":"Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com/projects/`+tt.segment+
				`' (or it may not exist).","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"IAM_PERMISSION_DENIED",`+
				`"domain":"cloudresourcemanager.googleapis.com","metadata":{"permission":"cloudmessaging.messages.create","resource":"projects/`+tt.segment+`"}}]}}`)
			if got.body != want {
				t.Errorf("got %s, want %s", got.body, want)
			}
			f.quiet(t)
		})
	}
}

func TestF_01_TheColonMayBeEscaped(t *testing.T) {
	for _, target := range []string{"/v1/projects/shop/messages:send", "/v1/projects/shop/messages%3Asend", "/v1/projects/shop/messages%3asend"} {
		f := newFront(t, good, nil)
		if got := f.ask(t, "POST", target, simple, "Authorization", "Bearer "+key); got.status != 200 || len(f.lane.submitted()) != 1 {
			t.Errorf("%s: got %d %s", target, got.status, got.body)
		}
	}
}

// A path that is not there is answered in HTML: SDKs take JSON with NOT_FOUND
// for a dead token.
func TestF_02_R_A37_PathsAndMethodsThatAreNotThere(t *testing.T) {
	for _, tt := range []struct {
		method, target string
		status         int
	}{
		{"POST", "/", 404},
		{"POST", "/v1/projects/shop/messages", 404},
		{"POST", "/v1/projects/shop/messages:sendAll", 404},
		{"POST", "/v1/projects/shop/messages:send/", 404},
		{"POST", "/v1/projects//messages:send", 404},
		{"POST", "/v1/projects/./messages:send", 404},
		{"POST", "/v1/projects/../messages:send", 404},
		{"POST", "/v1/projects/shop%2Fx/messages:send", 404},
		{"POST", "/v1/projects/shop%20x/messages:send", 404},
		{"POST", "/v1/projects/sh%6Fp/messages:send", 404},
		{"POST", "/v2/projects/shop/messages:send", 404},
		{"POST", "/batch", 404},
		{"GET", "/nothing", 404},
		{"GET", path, 405},
		{"PUT", path, 405},
		{"HEAD", path, 405},
		{"OPTIONS", path, 405},
		{"post", path, 405},
	} {
		t.Run("R-A37 "+tt.method+" "+tt.target, func(t *testing.T) {
			f := newFront(t, good, nil)
			got := f.ask(t, tt.method, tt.target, simple, "Authorization", "Bearer "+key, "Content-Type", "application/json")
			if got.status != tt.status || got.header.Get("Content-Type") != "text/html; charset=UTF-8" || json.Valid([]byte(got.body)) || got.body == "" {
				t.Errorf("got %d %s (%s)", got.status, got.body, got.header.Get("Content-Type"))
			}
			if allow := got.header.Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("Allow %q", allow)
			}
			if fmt.Sprint(f.events.refused) != fmt.Sprintf("[%d]", tt.status) {
				t.Errorf("told %v", f.events.refused)
			}
			f.quiet(t)
		})
	}
}

// A caller that leaves is told nothing, and the connection is cut, since a
// handler that returns has answered 200. What was begun goes on, and its end is
// told.
func TestF_04_ACallerThatLeavesStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, func(m *downstream.Message) (downstream.Answer, error) {
			time.Sleep(5 * time.Second)
			return good(m)
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(simple))
		r.Header.Set("Authorization", "Bearer "+key)
		rec := httptest.NewRecorder()
		start := time.Now()
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("got %v", err)
				}
			}()
			f.ServeHTTP(rec, r)
		}()
		if since := time.Since(start); since != time.Second || rec.Body.Len() > 0 || len(rec.Result().Header) > 0 {
			t.Errorf("after %v: %s, %v", since, rec.Body, rec.Result().Header)
		}
		<-f.events.gone
		f.lane.wg.Wait()
		if n := len(f.lane.submitted()); n != 1 || fmt.Sprint(f.events.answered) != "[shop ok]" {
			t.Errorf("%d sent, told %v", n, f.events.answered)
		}
	})
}

func TestR_F35_APanicCostsItsRequest(t *testing.T) {
	const want = `"status": "INTERNAL"`
	t.Run("R-F35 on the way there", func(t *testing.T) {
		f := newFront(t, good, nil)
		f.Handler = v1.New(ringOf(t), func(string) v1.Lane { panic("oh") }, f.events.options(nil))
		if got := f.post(t, simple); got.status != 500 || !strings.Contains(got.body, want) || len(f.events.failed) != 1 {
			t.Errorf("got %d %s, told %v", got.status, got.body, f.events.failed)
		}
	})
	t.Run("R-F35 on the way back", func(t *testing.T) {
		f := newFront(t, good, nil)
		opt := f.events.options(nil)
		opt.Events.Answered = func(string, string, time.Duration) { panic("oh") }
		f.Handler = v1.New(ringOf(t), func(string) v1.Lane { return f.lane }, opt)
		if got := f.post(t, simple); got.status != 500 || !strings.Contains(got.body, want) || len(f.events.failed) != 1 || !strings.Contains(f.events.failed[0].Error(), "oh") {
			t.Errorf("got %d %s, told %v", got.status, got.body, f.events.failed)
		}
	})
	t.Run("an abort is not ours to stop", func(t *testing.T) {
		f := newFront(t, good, nil)
		f.Handler = v1.New(ringOf(t), func(string) v1.Lane { panic(http.ErrAbortHandler) }, nil)
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Error("the abort was stopped")
			}
		}()
		f.post(t, simple)
	})
}
