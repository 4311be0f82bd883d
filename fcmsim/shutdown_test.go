package fcmsim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcmsim"
)

func TestShutdownWaitsForNoFault(t *testing.T) {
	hour := fcmsim.Fault{Delay: time.Hour}
	for _, tt := range []struct {
		name       string
		fault      fcmsim.Fault
		path, body string
		want       string // how the answer begins; empty: there is none
	}{
		{"v1", hour, "/v1/projects/PROJECT/messages:send", `{"message":{"token":"TOKEN"}}`, `200 {`},
		{"legacy HTTP, to a token", hour, "/fcm/send", `{"to":"TOKEN"}`, `200 {"multicast_id":`},
		{"legacy HTTP, to many", hour, "/fcm/send", `{"registration_ids":["TOKEN","x"]}`, `200 {"multicast_id":`},
		{"legacy HTTP, to a topic", hour, "/fcm/send", `{"to":"/topics/x"}`, `200 {"message_id":`},
		{"legacy HTTP, to be cut", fcmsim.Fault{Delay: time.Hour, Cut: true}, "/fcm/send", `{"to":"TOKEN"}`, ""},
		{"legacy HTTP, silence", fcmsim.Fault{Silence: true}, "/fcm/send", `{"to":"TOKEN"}`, ""},
		{"the token endpoint", hour, "/token", ``, "400 {\n  \"error\":"},
	} {
		overHTTP(t, tt.name, fcmsim.Options{Legacy: fcmsim.Legacy2019}, func(h *h2) {
			h.fault(tt.fault)
			if err := h.SetTokenFault(fcmsim.TokenFault{Delay: time.Hour}); err != nil {
				h.t.Fatal(err)
			}
			fill := strings.NewReplacer("TOKEN", string(h.Tokens()[0]), "PROJECT", h.ProjectID())
			answer := make(chan string, 1)
			go func() {
				req, err := http.NewRequest(http.MethodPost, "http://plain"+fill.Replace(tt.path), strings.NewReader(fill.Replace(tt.body)))
				if err != nil {
					panic(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", h.auth)
				if tt.path == "/fcm/send" {
					req.Header.Set("Authorization", "key="+h.ServerKey())
				}
				resp, err := h.client(false).Do(req)
				if err != nil {
					answer <- ""
					return
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body) // a part of it is no answer either
				answer <- fmt.Sprint(resp.StatusCode, " ", string(text))
			}()
			synctest.Wait()
			select {
			case got := <-answer:
				h.t.Fatalf("nothing held it back: %s", got)
			default:
			}
			ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			if err := h.Shutdown(ctx); err != nil || time.Since(began) > 5*time.Second {
				h.t.Errorf("%v after %v", err, time.Since(began))
			}
			if got := <-answer; !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
				h.t.Errorf("got %q, want %s…", got, tt.want)
			}
		})
	}
}
