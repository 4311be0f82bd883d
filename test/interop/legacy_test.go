package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A legacyOrder is what a program on a library for legacy HTTP is told to do.
type legacyOrder struct {
	URL       string   `json:"url,omitempty"` // for libraries with an option for it
	Key       string   `json:"key"`
	WrongKey  string   `json:"wrong_key"`
	Live      string   `json:"live"`
	Dead      string   `json:"dead"`
	Foreign   string   `json:"foreign"`
	Malformed string   `json:"malformed"`
	Batch     []string `json:"batch"`
	Topic     string   `json:"topic"`
	Steps     []string `json:"steps"`
}

// A legacyResult is what the library made of one step.
type legacyResult struct {
	Step    string   `json:"step"`
	OK      bool     `json:"ok"`
	Name    string   `json:"name"`
	Code    string   `json:"code"` // the library's own word
	Error   string   `json:"error"`
	Success int      `json:"success"`
	Failure int      `json:"failure"`
	Answers []string `json:"answers"` // a word for each token; none for an accepted one
}

// A legacySender is a program on somebody's library for legacy HTTP.
type legacySender struct {
	name    string
	posts   string // where to
	url     bool   // it is told where to; the others have one of Google's names built in
	command func(t *testing.T, file, ca string) *exec.Cmd

	// The library's own words for single tokens, for a wrong key, and for tokens of
	// a batch where those differ.
	dead, foreign, malformed, unauthorized string
	batch                                  map[string]string // word for a single token → word in a batch

	data  bool // it knows data alone, no notifications
	topic bool // it knows topics

	// unavailable is what it tells of a 503 that it does not repeat by itself.
	unavailable string
	// unavailableOne is what it tells of one token that was Unavailable among
	// others, if it does not send to that one again by itself.
	unavailableOne string
	// lastOnly: of a batch that it sent again in part, it tells that part alone.
	lastOnly bool
}

var legacySenders = []legacySender{
	{
		name: "node-gcm", posts: "its option `uri`", url: true,
		command: legacyNode("legacy-node/node-gcm.js"),
		dead:    "NotRegistered", foreign: "MismatchSenderId", malformed: "InvalidRegistration", unauthorized: "401",
		topic: true,
	},
	{
		name: "fcm-push", posts: "`fcm.googleapis.com/fcm/send`",
		command: legacyNode("legacy-node/fcm-push.js"),
		dead:    "NotRegistered", foreign: "MismatchSenderId", malformed: "InvalidRegistration", unauthorized: "NotAuthorizedError",
		topic: true, unavailableOne: "Unavailable",
	},
	{
		name: "pyfcm", posts: "`fcm.googleapis.com/fcm/send`",
		command: legacyPython("legacy-python/pyfcm_app.py"),
		dead:    "NotRegistered", foreign: "MismatchSenderId", malformed: "InvalidRegistration", unauthorized: "AuthenticationError",
		topic: true, unavailableOne: "Unavailable",
	},
	{
		name: "python-gcm", posts: "`gcm-http.googleapis.com/gcm/send`, single tokens as a form",
		command: legacyPython("legacy-python/python_gcm_app.py"),
		dead:    "GCMNotRegisteredException", foreign: "GCMMismatchSenderIdException", malformed: "GCMInvalidRegistrationException",
		unauthorized: "GCMAuthenticationException",
		batch: map[string]string{
			"GCMNotRegisteredException":       "NotRegistered",
			"GCMMismatchSenderIdException":    "MismatchSenderId",
			"GCMInvalidRegistrationException": "InvalidRegistration",
		},
		data: true, topic: true, lastOnly: true,
	},
	{
		name: "gcm-server", posts: "`gcm-http.googleapis.com/gcm/send`",
		command: legacyJava(legacyGoogleEnv),
		dead:    "ERROR_NOT_REGISTERED", foreign: "ERROR_MISMATCH_SENDER_ID", malformed: "ERROR_INVALID_REGISTRATION",
		unauthorized: "InvalidRequestException 401", topic: true,
		unavailable: "InvalidRequestException 503",
	},
	{
		name: "gcm-server of 2012", posts: "`android.googleapis.com/gcm/send`, single tokens as a form",
		command: legacyJava(legacyGanyoEnv),
		dead:    "ERROR_NOT_REGISTERED", foreign: "ERROR_MISMATCH_SENDER_ID", malformed: "ERROR_INVALID_REGISTRATION",
		unauthorized: "InvalidRequestException 401", data: true,
	},
	{
		name: "go-fcm", posts: "its option `WithEndpoint`", url: true,
		command: func(_ *testing.T, file, _ string) *exec.Cmd { return exec.Command(os.Getenv(legacyGoEnv), file) },
		dead:    "unregistered device, unregistered", foreign: "mismatched sender id, unregistered",
		malformed: "invalid registration token, unregistered", unauthorized: "401 error: 401 Unauthorized",
		topic: true, unavailableOne: "timeout",
	},
}

func legacyNode(app string) func(*testing.T, string, string) *exec.Cmd {
	return func(_ *testing.T, file, ca string) *exec.Cmd {
		cmd := exec.Command("node", "--no-deprecation", app, file)
		cmd.Env = append(os.Environ(), "NODE_PATH="+os.Getenv(legacyNodeEnv), "NODE_EXTRA_CA_CERTS="+ca)
		return cmd
	}
}

func legacyPython(app string) func(*testing.T, string, string) *exec.Cmd {
	return func(_ *testing.T, file, ca string) *exec.Cmd {
		cmd := exec.Command(os.Getenv(legacyPythonEnv), app, file)
		cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+ca)
		return cmd
	}
}

func legacyJava(env string) func(*testing.T, string, string) *exec.Cmd {
	return func(t *testing.T, file, ca string) *exec.Cmd {
		dir := os.Getenv(env)
		return exec.Command("java", "-XX:TieredStopAtLevel=1", "-Xmx256m",
			"-Djavax.net.ssl.trustStore="+trustStore(t, ca), "-Djavax.net.ssl.trustStorePassword=changeit",
			"-cp", filepath.Join(dir, "classes")+":"+filepath.Join(dir, "lib", "*"), "interop.Legacy", file)
	}
}

// legacyServe starts penstock serve where the senders look for it.
func legacyServe(t *testing.T) *simulator {
	t.Helper()
	t.Setenv("PENSTOCK_HTTP_OWN_TLS", "true")
	return startServe(t, "--http-listen", "127.0.0.1:443")
}

// legacyBatch is live tokens with a dead, a foreign and a malformed one between.
func (o *legacyOrder) legacyBatch(s *simulator) []string {
	return []string{s.Tokens[0], o.Dead, s.Tokens[1], o.Foreign, s.Tokens[2], o.Malformed, s.Tokens[3]}
}

// run runs the program to its end and returns what it told, by step.
func (l *legacySender) run(t *testing.T, s *simulator, o legacyOrder, steps ...string) map[string]legacyResult {
	t.Helper()
	o.Steps = steps
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := l.command(t, file, s.CAFile)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the program: %v\n%.4000s\n%.4000s", err, stdout.String(), stderr.String())
	}
	results := map[string]legacyResult{}
	for line := range strings.Lines(stdout.String()) {
		var r legacyResult
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("the program wrote %.200q", line)
		}
		results[r.Step] = r
	}
	for _, step := range steps {
		if _, ok := results[step]; !ok {
			t.Fatalf("the program told nothing of %s; to stderr it wrote %.4000s", step, stderr.String())
		}
	}
	return results
}

// of returns what the far end got of one step.
func (s *simulator) of(t *testing.T, step string) (list []send) {
	t.Helper()
	for _, r := range s.sends(t) {
		if r.Data["step"] == step {
			list = append(list, r)
		}
	}
	return list
}

// got wants the far end to have got a step's messages for these tokens, in any
// order, each delivered if its token is live and to its device alone, and with all
// of the payload.
func (s *simulator) got(t *testing.T, step string, data bool, tokens ...string) {
	t.Helper()
	var to []string
	for _, r := range s.of(t, step) {
		to = append(to, r.To)
		var want []string
		if slices.Contains(s.Tokens, r.To) {
			want = []string{r.To}
		}
		if !slices.Equal(r.DeliveredTo, want) {
			t.Errorf("%s to %s was delivered to %d devices; want %d, its own", step, short(r.To), len(r.DeliveredTo), len(want))
		}
		s.payload(t, r, data)
	}
	slices.Sort(to)
	tokens = slices.Clone(tokens)
	slices.Sort(tokens)
	if !slices.Equal(to, tokens) {
		t.Errorf("%s: the far end got %d messages; want %d, one for each of their tokens", step, len(to), len(tokens))
	}
}

// payload wants all that the programs send in a message.
func (s *simulator) payload(t *testing.T, r send, data bool) {
	t.Helper()
	if r.Data["n"] != "12" || r.Data["text"] != `Grüße & "quotes" <b>bold</b>` {
		t.Errorf("%s: data %v", r.Data["step"], r.Data)
	}
	want := map[string]string{"title": "Goal", "body": "2:1"}
	priority := "HIGH"
	if data {
		want, priority = map[string]string{}, ""
	}
	if r.Notification["title"] != want["title"] || r.Notification["body"] != want["body"] {
		t.Errorf("%s: notification %v; want %v", r.Data["step"], r.Notification, want)
	}
	a := r.Request.Message.Android
	if a.CollapseKey != "score" || a.TTL != "600s" || strings.ToUpper(a.Priority) != priority {
		t.Errorf("%s: Android's part is %+v; want score, 600s and %q", r.Data["step"], a, priority)
	}
	if badge := r.Request.Message.APNS.Payload.APS.Badge; !data && badge != 3 {
		t.Errorf("%s: badge %d; want 3", r.Data["step"], badge)
	}
}

// TestLegacyLibraries: libraries for legacy HTTP, unchanged, through penstock
// serve: at an endpoint that they are told, or at Google's names, which are
// loopback here.
func TestLegacyLibraries(t *testing.T) {
	for _, l := range legacySenders {
		t.Run(l.name, func(t *testing.T) {
			serve := legacyServe
			if l.url {
				serve = func(t *testing.T) *simulator { return startServe(t) }
			}
			s := serve(t)
			o := legacyOrder{
				Key: s.ServerKey, WrongKey: "AAAAwrong:" + strings.Repeat("x", 140), Live: s.Tokens[0], Dead: s.Dead[0],
				Foreign: s.Foreign[0], Malformed: "no token of ours", Topic: "news",
			}
			if l.url {
				o.URL = s.HTTP + "/fcm/send"
			}
			o.Batch = o.legacyBatch(s)
			row := legacyRow{name: l.name, posts: l.posts}
			l.sends(t, s, o, &row)
			l.repeats(t, s, o, &row)
			if !t.Failed() {
				legacyRows = append(legacyRows, row)
			}
		})
	}
}

// sends has the program send to single tokens, to many, to a topic and with a
// wrong key.
func (l *legacySender) sends(t *testing.T, s *simulator, o legacyOrder, row *legacyRow) {
	steps := []string{"one", "dead", "foreign", "malformed", "many", "wrong_key"}
	var subscriber struct {
		Token string `json:"token"`
	}
	if l.topic {
		steps = append(steps, "topic")
		s.call(t, "POST", "/devices", map[string]any{"topics": []string{o.Topic}}, &subscriber)
	}
	got := l.run(t, s, o, steps...)
	single := map[string]string{"dead": l.dead, "foreign": l.foreign, "malformed": l.malformed}

	t.Run("F-05 F-06 one token, and the library's own words for those that are none", func(t *testing.T) {
		if r := got["one"]; !r.OK {
			t.Errorf("one: %+v", r)
		}
		for step, word := range single {
			if r := got[step]; r.OK || r.Code != word {
				t.Errorf("%s: %+v; want the word %q", step, r, word)
			}
		}
		s.got(t, "one", l.data, o.Live)
		s.got(t, "dead", l.data, o.Dead)
		s.got(t, "foreign", l.data, o.Foreign)
		s.got(t, "malformed", l.data, o.Malformed)
		row.words = strings.Join([]string{code(l.dead), code(l.foreign), code(l.malformed)}, ", ")
	})
	t.Run("F-06 T-49 many tokens, each with its own result", func(t *testing.T) {
		want := make([]string, len(o.Batch))
		for i, token := range o.Batch {
			for step, word := range single {
				if token == map[string]string{"dead": o.Dead, "foreign": o.Foreign, "malformed": o.Malformed}[step] {
					want[i] = or(l.batch[word], word)
				}
			}
		}
		if r := got["many"]; r.OK || r.Success != 4 || r.Failure != 3 || !slices.Equal(r.Answers, want) {
			t.Errorf("many: %+v; want %q", r, want)
		}
		s.got(t, "many", l.data, o.Batch...)
	})
	t.Run("F-07 a wrong key", func(t *testing.T) {
		if r := got["wrong_key"]; r.OK || r.Code != l.unauthorized {
			t.Errorf("wrong_key: %+v; want %q", r, l.unauthorized)
		}
		s.got(t, "wrong_key", l.data)
		row.key = code(l.unauthorized)
	})
	if !l.topic {
		return
	}
	t.Run("F-06 T-50 a topic", func(t *testing.T) {
		if r := got["topic"]; !r.OK || r.Name == "" || strings.Trim(r.Name, "0123456789") != "" {
			t.Errorf("topic: %+v; want a name of digits", r)
		}
		list := s.of(t, "topic")
		if len(list) != 1 || !slices.Equal(list[0].DeliveredTo, []string{subscriber.Token}) {
			t.Fatalf("the far end got %+v; want one message, delivered to the subscriber", list)
		}
		s.payload(t, list[0], l.data)
	})
}

// repeats has FCM be out of order for a moment.
func (l *legacySender) repeats(t *testing.T, s *simulator, o legacyOrder, row *legacyRow) {
	fault := func(token string) {
		s.call(t, "POST", "/fault", map[string]any{"status": 503, "retry_after": "1", "token": token, "next": 1}, nil)
	}
	// Sent is what the far end got of a step for the token whose first message failed.
	sent := func(t *testing.T, step, token string, again bool) {
		t.Helper()
		var list []send
		for _, r := range s.of(t, step) {
			if r.To == token {
				list = append(list, r)
			}
		}
		want := 1
		if again {
			want = 2
		}
		if len(list) != want || len(list[0].DeliveredTo) != 0 || again && !slices.Equal(list[1].DeliveredTo, []string{token}) {
			t.Errorf("%s: the far end got %+v; want %d, of which the first failed", step, list, want)
		}
	}
	t.Run("F-08 FCM answers 503, and then as ever", func(t *testing.T) {
		fault(o.Live)
		r := l.run(t, s, o, "retry")["retry"]
		if l.unavailable == "" && !r.OK || l.unavailable != "" && (r.OK || r.Code != l.unavailable) {
			t.Errorf("retry: %+v; want %q", r, l.unavailable)
		}
		sent(t, "retry", o.Live, l.unavailable == "")
		if row.retry = "sent again by the library"; l.unavailable != "" {
			row.retry = "told " + code(l.unavailable)
		}
	})
	t.Run("F-08 one of many is Unavailable", func(t *testing.T) {
		step := "retry_many"
		if l.unavailableOne != "" {
			step = "many" // which is the same for a library that sends to nobody again
		}
		o.Batch = s.Tokens[4:8]
		before := s.of(t, step)
		fault(o.Batch[1])
		r := l.run(t, s, o, step)[step]
		want := []string{"", l.unavailableOne, "", ""}
		if l.lastOnly {
			want = []string{"nothing", "", "nothing", "nothing"}
		}
		if r.OK != (l.unavailableOne == "") || !slices.Equal(r.Answers, want) {
			t.Errorf("%s: %+v; want %q", step, r, want)
		}
		sent(t, step, o.Batch[1], l.unavailableOne == "")
		for _, token := range []string{o.Batch[0], o.Batch[2], o.Batch[3]} {
			n := 0
			for _, r := range s.of(t, step)[len(before):] {
				if r.To == token && slices.Equal(r.DeliveredTo, []string{token}) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s got %d messages; want one", short(token), n)
			}
		}
		if row.one = "sent again by the library, to that token alone"; l.unavailableOne != "" {
			row.one = "told " + code(l.unavailableOne)
		} else if l.lastOnly {
			row.one += "; it then tells of that one alone"
		}
	})
}

func code(text string) string { return "`" + text + "`" }

// A legacyRow is what the page says of a sender.
type legacyRow struct {
	name, posts, words, key, retry, one string
}

// legacyRows are those of all senders. Tests do not run at the same time.
var legacyRows []legacyRow
