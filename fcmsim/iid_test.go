package fcmsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// iid calls what asks for the header access_token_auth.
func (f *face) iid(method, path, body string, header ...string) reply {
	f.t.Helper()
	return f.do(method, path, body, append(append(f.bearer(), "access_token_auth", "true"), header...)...)
}

func batch(topic string, tokens ...ccs.RegistrationToken) string {
	body, err := json.Marshal(map[string]any{"to": topic, "registration_tokens": tokens})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func (f *face) topics(token ccs.RegistrationToken) []string {
	f.t.Helper()
	d, ok := f.Device(token)
	if !ok {
		f.t.Fatalf("no device has the token %s", token.Redacted())
	}
	return d.Topics
}

func (f *face) wantTopics(token ccs.RegistrationToken, want ...string) {
	f.t.Helper()
	if got := f.topics(token); !slices.Equal(got, want) {
		f.t.Fatalf("the topics are %v, want %v", got, want)
	}
}

func TestM_35_BatchesAnswerInTheOrderOfTheTokens(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	a, b := f.Tokens()[0], f.Tokens()[1]
	const news = "/topics/news"
	r := f.iid("POST", "/iid/v1:batchAdd", batch(news, "unknown", a, f.DeadTokens()[0], b, f.ForeignTokens()[0], a))
	r.want(200, `{"results":[{"error":"INVALID_ARGUMENT"},{},{"error":"NOT_FOUND"},{},{"error":"INVALID_ARGUMENT"},{}]}`)
	f.wantTopics(a, "news")
	f.wantTopics(b, "news")
	f.iid("POST", "/iid/v1:batchRemove", batch(news, a, "unknown", a)).want(200, `{"results":[{},{"error":"INVALID_ARGUMENT"},{}]}`)
	f.wantTopics(a)
	f.wantTopics(b, "news")

	t.Run("M-35 a FID stands for its token", func(t *testing.T) {
		d, _ := f.Device(a)
		f.iid("POST", "/iid/v1:batchAdd", batch(news, ccs.RegistrationToken(d.FID))).want(200, `{"results":[{}]}`)
		f.wantTopics(a, "news")
	})
	t.Run("M-35 one relation", func(t *testing.T) {
		path := "/iid/v1/" + string(a) + "/rel/topics/sport"
		f.iid("POST", path, "").want(200, `{}`)
		f.wantTopics(a, "news", "sport")
		f.iid("DELETE", path, "").want(200, `{}`)
		f.wantTopics(a, "news")
		f.iid("POST", "/iid/v1/unknown/rel/topics/sport", "").want(400, `{"error":"INVALID_ARGUMENT"}`)
		f.iid("POST", "/iid/v1/"+string(f.DeadTokens()[0])+"/rel/topics/sport", "").want(404, `{"error":"NOT_FOUND"}`)
		f.iid("POST", "/iid/v1/"+string(a)+"/rel/topics/a%20b", "").want(400, `{"error":"InvalidTopicName"}`)
	})
	t.Run("M-35 a batch that cannot be read", func(t *testing.T) {
		for body, want := range map[string]string{
			"{":                     "BadJsonFormat",
			batch(news, a) + "x":    "BadJsonFormat",
			batch("news", a):        "InvalidTopicName",
			batch("/topics/", a):    "InvalidTopicName",
			batch("/topics/a b", a): "InvalidTopicName",
			batch(news):             "MissingRegistrationTokens",
			`{"to":"/topics/x"}`:    "MissingRegistrationTokens",
			strings.Repeat(" ", 1<<20) + batch(news, a): "BadJsonFormat",
		} {
			f.iid("POST", "/iid/v1:batchAdd", body).want(400, fmt.Sprintf(`{"error":%q}`, want))
		}
		if r := f.iid("GET", "/iid/v1:batchAdd", ""); r.status != 405 || r.header.Get("Allow") != "POST" {
			t.Errorf("GET: %d %v", r.status, r.header)
		}
	})
}

func TestM_35_WithoutAccessTokenAuthAnAccessTokenIsNone(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	body := batch("/topics/news", f.Tokens()[0])
	for name, header := range map[string][]string{
		"no access_token_auth":    f.bearer(),
		"a false one":             append(f.bearer(), "access_token_auth", "false"),
		"no access token":         {"access_token_auth", "true"},
		"an unknown access token": {"access_token_auth", "true", "Authorization", "Bearer x"},
		"a server key":            {"access_token_auth", "true", "Authorization", "key=" + f.ServerKey()},
	} {
		t.Run("M-35 "+name, func(t *testing.T) {
			for method, path := range map[string]string{
				"POST": "/iid/v1:batchAdd", "GET": "/iid/info/" + string(f.Tokens()[0]),
			} {
				r := f.do(method, path, body, header...)
				if r.status != 401 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") ||
					!strings.Contains(r.body, "Error 401 (Unauthorized)!!1") || r.header.Get("WWW-Authenticate") != realm {
					t.Errorf("%s: %d %v %s", path, r.status, r.header, r.body)
				}
			}
			f.wantTopics(f.Tokens()[0])
		})
	}
	f.SetAccess(fcmsim.Access{PermissionDenied: true})
	f.iid("POST", "/iid/v1:batchAdd", body).want(403, `{"error":"Permission 'cloudmessaging.messages.create' denied on resource `+
		`'//cloudresourcemanager.googleapis.com/projects/penstock-sim' (or it may not exist)."}`)
}

func TestM_35_InfoTellsOfADevice(t *testing.T) {
	c := &clock{time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)}
	f := newFace(t, fcmsim.Options{Now: c.now, Category: "com.example.shop"})
	token := f.Tokens()[0]
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/a", token))
	c.pass(2 * time.Hour)
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/b", token))
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/a", token)) // since March all the same
	info := f.iid("GET", "/iid/info/"+string(token)+"?details=true", "")
	var v struct {
		Signer string `json:"appSigner"`
	}
	if err := json.Unmarshal([]byte(info.body), &v); err != nil || len(v.Signer) != 40 {
		t.Fatalf("%v: %s", err, info.body)
	}
	plain := `"application":"com.example.shop","applicationVersion":"1","authorizedEntity":"` + string(f.SenderID()) +
		`","platform":"ANDROID","appSigner":"` + v.Signer + `"`
	info.want(200, `{`+plain+`,"rel":{"topics":{"a":{"addDate":"2026-03-31"},"b":{"addDate":"2026-04-01"}}}}`)
	f.iid("GET", "/iid/info/"+string(token), "").want(200, `{`+plain+`}`)
	for platform, want := range map[fcmsim.Platform]string{fcmsim.PlatformIOS: "IOS", fcmsim.PlatformWeb: "CHROME"} {
		d, err := f.AddDevice(&fcmsim.DeviceOptions{Platform: platform})
		if err != nil {
			t.Fatal(err)
		}
		f.iid("GET", "/iid/info/"+string(d.Token)+"?details=true", "").want(200, `{"application":"com.example.shop",`+
			`"applicationVersion":"1","authorizedEntity":"`+string(f.SenderID())+`","platform":"`+want+`"}`)
	}
	f.iid("GET", "/iid/info/unknown?details=true", "").want(400, `{"error":"InvalidToken"}`)
	f.iid("GET", "/iid/info/"+string(f.ForeignTokens()[0]), "").want(400, `{"error":"InvalidToken"}`)
	f.iid("GET", "/iid/info/"+string(f.DeadTokens()[0]), "").want(404, `{"error":"No information found about this instance id."}`)
}

func TestM_36_ABatchHasAThousandTokensAndADeviceTwoThousandTopics(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	token := f.Tokens()[0]
	tokens := slices.Repeat([]ccs.RegistrationToken{token}, 1001)
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/news", tokens...)).want(400, `{"error":"TooManyRegistrationTokens: 1001 of at most 1000"}`)
	f.wantTopics(token)
	r := f.iid("POST", "/iid/v1:batchAdd", batch("/topics/t-0", tokens[:1000]...))
	if n := strings.Count(r.body, "{}"); r.status != 200 || n != 1000 {
		t.Errorf("%d results: %d", n, r.status)
	}
	for i := 1; i < 2000; i++ {
		f.iid("POST", "/iid/v1:batchAdd", batch(fmt.Sprint("/topics/t-", i), token)).want(200, `{"results":[{}]}`)
	}
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/t-2000", token, f.Tokens()[1])).want(200, `{"results":[{"error":"TOO_MANY_TOPICS"},{}]}`)
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/t-7", token)).want(200, `{"results":[{}]}`) // has it
	f.iid("POST", "/iid/v1/"+string(token)+"/rel/topics/t-2000", "").want(400, `{"error":"TOO_MANY_TOPICS"}`)
	f.iid("POST", "/iid/v1:batchRemove", batch("/topics/t-7", token)).want(200, `{"results":[{}]}`)
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/t-2000", token)).want(200, `{"results":[{}]}`)
	if n := len(f.topics(token)); n != 2000 {
		t.Errorf("the device has %d topics", n)
	}
}

func TestM_36_SubscriptionsChangeThreeThousandTimesASecond(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle})
	header := append(f.bearer(), "access_token_auth", "true")
	path := "/iid/v1/" + string(f.Tokens()[0]) + "/rel/topics/news"
	call := func() reply {
		r := httptest.NewRequest("POST", "http://sim.test"+path, http.NoBody)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		f.h.ServeHTTP(w, r)
		return reply{t, w.Code, w.Header(), w.Body.String()}
	}
	for i := range 3000 {
		if r := call(); r.status != 200 {
			t.Fatalf("call %d: %d %s", i, r.status, r.body)
		}
	}
	call().want(429, `{"error":"RESOURCE_EXHAUSTED"}`)
	f.iid("POST", "/iid/v1:batchAdd", batch("/topics/x", f.Tokens()[0])).want(429, `{"error":"RESOURCE_EXHAUSTED"}`)
	r := f.do("POST", "/v1/projects/penstock-sim/registrations/"+string(f.Tokens()[0])+"/topicSubscriptions?topicName=x", "{}", f.bearer()...)
	if r.status != 429 || !strings.Contains(r.body, `"RESOURCE_EXHAUSTED"`) {
		t.Errorf("v1: %d %s", r.status, r.body)
	}
	c.pass(time.Millisecond)
	for range 3 {
		call().want(200, `{}`)
	}
	call().want(429, `{"error":"RESOURCE_EXHAUSTED"}`)
	if r := f.iid("GET", "/iid/info/"+string(f.Tokens()[0]), ""); r.status != 200 {
		t.Errorf("reading counts too: %d", r.status)
	}
}

func TestM_35_ApplesTokensAreImported(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	good := strings.Repeat("0a", 32)
	call := func(body string) (status int, results []struct {
		APNS   string                `json:"apns_token"`
		Status string                `json:"status"`
		Token  ccs.RegistrationToken `json:"registration_token"`
	}) {
		t.Helper()
		r := f.iid("POST", "/iid/v1:batchImport", body)
		var v struct {
			Results any `json:"results"`
		}
		v.Results = &results
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Fatal(err)
		}
		return r.status, results
	}
	body := fmt.Sprintf(`{"application":"com.example.ios","sandbox":false,"apns_tokens":[%q,"xyz",%q]}`, good, strings.ToUpper(good))
	status, got := call(body)
	if status != 200 || len(got) != 3 || got[0].APNS != good || got[0].Status != "OK" || got[0].Token == "" ||
		got[1].Status != "Internal Server Error" || got[1].Token != "" || got[2].Token != got[0].Token {
		t.Fatalf("%d %+v", status, got)
	}
	d, ok := f.Device(got[0].Token)
	if !ok || d.Platform != fcmsim.PlatformIOS || d.Category != "com.example.ios" {
		t.Errorf("got %+v", d)
	}
	if _, again := call(body); again[0].Token != got[0].Token {
		t.Error("the same token was imported twice")
	}
	many := strings.Repeat(`"`+good+`",`, 101)
	for body, want := range map[string]string{
		"[":                                "BadJsonFormat",
		`{"apns_tokens":["` + good + `"]}`: "MissingApplication",
		`{"application":"a"}`:              "MissingApnsTokens",
		`{"application":"a","apns_tokens":[` + strings.TrimSuffix(many, ",") + `]}`: "TooManyApnsTokens: 101 of at most 100",
	} {
		f.iid("POST", "/iid/v1:batchImport", body).want(400, fmt.Sprintf(`{"error":%q}`, want))
	}
}
