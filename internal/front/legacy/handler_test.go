package legacy_test

import (
	"context"
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
	"penstock/internal/front/legacy"
)

func TestF_07_R_A31_WhoHasNoKeyGets401(t *testing.T) {
	missing := `Bearer realm="penstock"`
	wrong := missing + `, error="invalid_token"`
	for _, tt := range []struct {
		name      string
		head      []string
		challenge string
		title     string
	}{
		{"F-07 no key", nil, missing, "<title>Unauthorized</title>"},
		{"F-07 a wrong key", []string{"Authorization", "key=" + wrongKey}, wrong, "<title>INVALID_KEY</title>"},
		{"F-07 a wrong bearer", []string{"Authorization", "Bearer " + wrongKey}, wrong, "<title>INVALID_KEY</title>"},
		{"F-07 a key for another front", []string{"Authorization", "key=" + v1Key}, wrong, "<title>INVALID_KEY</title>"},
		{"F-07 an empty key", []string{"Authorization", "key="}, wrong, "<title>INVALID_KEY</title>"},
		{"R-A31 the right key without a scheme", []string{"Authorization", key}, wrong, "<title>INVALID_KEY</title>"},
		{"R-A31 the right key in another scheme", []string{"Authorization", "Basic " + key}, wrong, "<title>INVALID_KEY</title>"},
		{"R-A31 the right key and a wrong one", []string{"Authorization", "key=" + key, "Authorization", "key=" + wrongKey}, wrong, "<title>INVALID_KEY</title>"},
		{"R-A31 the right key twice", []string{"Authorization", "key=" + key, "Authorization", "key=" + key}, wrong, "<title>INVALID_KEY</title>"},
		{"R-A31 the right key in another header", []string{"X-Authorization", "key=" + key, "Proxy-Authorization", "key=" + key, "Cookie", "key=" + key}, missing, "<title>Unauthorized</title>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, asked := newFront(t, named("1"), nil), 0
			for _, target := range []string{"/fcm/send", "/gcm/send", "/", "/admin", "/fcm/send/", "/fcm/send?key=" + key, "/fcm/send?access_token=" + key} {
				for _, method := range []string{"POST", "GET", "OPTIONS"} {
					got := f.ask(t, method, target, `{"to":"T","key":"`+key+`"}`, append(tt.head, "Content-Type", "application/json")...)
					asked++
					if got.status != 401 || got.header.Get("WWW-Authenticate") != tt.challenge || !strings.Contains(got.body, tt.title) || !strings.Contains(got.body, "Unauthorized") {
						t.Errorf("%s %s: %d, %s, %s", method, target, got.status, got.header.Get("WWW-Authenticate"), got.body)
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

func TestF_07_R_A37_MethodsAndTypes(t *testing.T) {
	auth := []string{"Authorization", "key=" + key}
	with := func(head ...string) []string { return append(head, auth...) }
	jsonBody, formBody := `{"to":"T"}`, "registration_id=T"
	for _, tt := range []struct {
		name, method, body string
		head               []string
		status             int
		text               string
	}{
		{"F-07 GET", "GET", "", with(), 405, "This path takes POST only"},
		{"R-A37 PUT", "PUT", jsonBody, with("Content-Type", "application/json"), 405, "This path takes POST only"},
		{"R-A37 HEAD", "HEAD", "", with(), 405, "This path takes POST only"},
		{"R-A37 OPTIONS", "OPTIONS", "", with(), 405, "This path takes POST only"},
		{"R-A37 post in small letters", "post", jsonBody, with("Content-Type", "application/json"), 405, "This path takes POST only"},
		{"R-A37 a method in a header", "GET", jsonBody, with("X-HTTP-Method-Override", "POST"), 405, "This path takes POST only"},
		{"F-05 JSON", "POST", jsonBody, with("Content-Type", "application/json"), 200, `"success":1`},
		{"F-05 JSON with a charset", "POST", jsonBody, with("Content-Type", "Application/JSON; charset=utf-8"), 200, `"success":1`},
		{"F-05 JSON with half a parameter", "POST", jsonBody, with("Content-Type", "application/json;"), 200, `"success":1`},
		{"F-05 JSON with a parameter that is none", "POST", jsonBody, with("Content-Type", "application/json; UTF-8"), 200, `"success":1`},
		{"F-05 a form", "POST", formBody, with("Content-Type", "application/x-www-form-urlencoded"), 200, "id=1"},
		{"F-05 a form without a type", "POST", formBody, with(), 200, "id=1"},
		{"F-05 a form with an empty type", "POST", formBody, with("Content-Type", ""), 200, "id=1"},
		{"F-05 JSON without a type is a form", "POST", jsonBody, with(), 200, "Error=MissingRegistration"},
		{"R-A37 text", "POST", formBody, with("Content-Type", "text/plain"), 415, "Content-Type must be application/json or application/x-www-form-urlencoded"},
		{"R-A37 a form of parts", "POST", formBody, with("Content-Type", "multipart/form-data; boundary=x"), 415, "Content-Type must be"},
		{"R-A37 XML", "POST", jsonBody, with("Content-Type", "application/xml"), 415, "Content-Type must be"},
		{"R-A37 JSON of another kind", "POST", jsonBody, with("Content-Type", "application/jsonp"), 415, "Content-Type must be"},
		{"R-A37 a type that is none", "POST", jsonBody, with("Content-Type", "application/json, text/plain"), 415, "Content-Type must be"},
		{"R-A37 two types", "POST", jsonBody, with("Content-Type", "application/json", "Content-Type", "application/json"), 415, "Content-Type must be"},
		{"R-A37 gzip", "POST", jsonBody, with("Content-Type", "application/json", "Content-Encoding", "gzip"), 415, "The body must not be compressed"},
		{"R-A37 brotli", "POST", jsonBody, with("Content-Type", "application/json", "Content-Encoding", "br"), 415, "The body must not be compressed"},
		{"R-A37 two encodings", "POST", jsonBody, with("Content-Type", "application/json", "Content-Encoding", "identity", "Content-Encoding", "gzip"), 415, "The body must not be compressed"},
		{"R-A37 no encoding, said aloud", "POST", jsonBody, with("Content-Type", "application/json", "Content-Encoding", "identity"), 200, `"success":1`},
		{"R-A37 what the caller accepts is not looked at", "POST", jsonBody, with("Content-Type", "application/json", "Accept-Encoding", "gzip", "Accept", "text/html"), 200, `"success":1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, named("1"), nil)
			got := f.ask(t, tt.method, "/fcm/send", tt.body, tt.head...)
			if got.status != tt.status || !strings.Contains(got.body, tt.text) {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, tt.text)
			}
			if allow := got.header.Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("Allow %q beside %d", allow, got.status)
			}
			if got.header.Get("Content-Encoding") != "" {
				t.Error("the answer is compressed")
			}
			// RFC 9110, section 12.5.3: what would be taken is told.
			if refused := strings.Contains(tt.text, "compressed"); refused != (got.header.Get("Accept-Encoding") == "identity") {
				t.Errorf("Accept-Encoding %q", got.header.Get("Accept-Encoding"))
			}
			if tt.status != 200 {
				f.quiet(t)
			}
		})
	}
}

func TestF_05_TheOlderPathIsServedToo(t *testing.T) {
	f := newFront(t, named("1"), nil)
	got := f.ask(t, "POST", "/gcm/send", `{"to":"T"}`, "Authorization", "Bearer "+key, "Content-Type", "application/json")
	if got.status != 200 || len(f.lane.submitted()) != 1 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestF_10_BodiesBeyondTheBound(t *testing.T) {
	body := func(n int) string {
		const begin, end = `{"to":"T","x":"`, `"}`
		return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
	}
	for _, n := range []int{legacy.MaxBody, legacy.MaxBody + 1, 2 << 20} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("F-10 %d bytes, announced %v", n, announced), func(t *testing.T) {
				f := newFront(t, named("1"), nil)
				r := httptest.NewRequest("POST", "/fcm/send", strings.NewReader(body(n)))
				if !announced {
					r.ContentLength = -1
				}
				r.Header.Set("Authorization", "key="+key)
				r.Header.Set("Content-Type", "application/json")
				rec := httptest.NewRecorder()
				f.ServeHTTP(rec, r)
				if n == legacy.MaxBody {
					if rec.Code != 200 {
						t.Errorf("got %d %s", rec.Code, rec.Body)
					}
					return
				}
				if rec.Code != 413 || rec.Body.String() != "The body is too large: at most 1048576 bytes are allowed" {
					t.Errorf("got %d %s", rec.Code, rec.Body)
				}
				f.quiet(t)
			})
		}
	}
}

// A caller that leaves is told nothing, and the connection is cut, since a
// handler that returns has answered 200. What was begun goes on, and its end is
// told.
func TestF_06_ACallerThatLeavesStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, func(*downstream.Message) (downstream.Answer, error) {
			time.Sleep(5 * time.Second)
			return named("1")(nil)
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", "/fcm/send", strings.NewReader(`{"registration_ids":["a","b","c"]}`))
		r.Header.Set("Authorization", "key="+key)
		r.Header.Set("Content-Type", "application/json")
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
		if n := len(f.lane.submitted()); n != 3 || fmt.Sprint(f.events.answered) != "[shop ok shop ok shop ok]" {
			t.Errorf("%d sent, told %v", n, f.events.answered)
		}
	})
}

// All recipients are under way at once, and the answer comes with the last.
func TestT_05_RecipientsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, func(m *downstream.Message) (downstream.Answer, error) {
			time.Sleep(time.Duration(len(m.CCS.To)) * time.Second)
			return named(string(m.CCS.To))(m)
		}, nil)
		start := time.Now()
		got := f.post(t, `{"registration_ids":["aaaa","b","ccc","dd"]}`)
		if since := time.Since(start); since != 4*time.Second {
			t.Errorf("it took %v", since)
		}
		if want := `"results":[{"message_id":"aaaa"},{"message_id":"b"},{"message_id":"ccc"},{"message_id":"dd"}]`; !strings.Contains(got.body, want) {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestR_F35_APanicCostsItsRequest(t *testing.T) {
	t.Run("R-F35 on the way there", func(t *testing.T) {
		f := newFront(t, nil, nil)
		f.Handler = legacy.New(ringOf(t), func(string) legacy.Lane { panic("oh") }, f.events.options(nil))
		got := f.post(t, `{"to":"T"}`)
		if got.status != 500 || got.body != "Internal error; try again later" || len(f.events.failed) != 1 {
			t.Errorf("got %d %s, told %v", got.status, got.body, f.events.failed)
		}
	})
	t.Run("R-F35 on the way back", func(t *testing.T) {
		f := newFront(t, named("0:1"), nil)
		opt := f.events.options(nil)
		opt.Events.Answered = func(string, string, time.Duration) { panic("oh") }
		f.Handler = legacy.New(ringOf(t), func(string) legacy.Lane { return f.lane }, opt)
		got := f.post(t, `{"registration_ids":["a","b"]}`)
		want := `{"multicast_id":M,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"InternalServerError"},{"error":"InternalServerError"}]}`
		if got.status != 200 || golden(got.body) != want || len(f.events.failed) != 2 || !strings.Contains(f.events.failed[0].Error(), "oh") {
			t.Errorf("got %d %s, told %v", got.status, got.body, f.events.failed)
		}
	})
	t.Run("an abort is not ours to stop", func(t *testing.T) {
		f := newFront(t, nil, nil)
		f.Handler = legacy.New(ringOf(t), func(string) legacy.Lane { panic(http.ErrAbortHandler) }, nil)
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Error("the abort was stopped")
			}
		}()
		f.post(t, `{"to":"T"}`)
	})
}
