package cli_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/cli"
)

// milliseconds is what differs from run to run in a line of send.
var milliseconds = regexp.MustCompile(`"ms":[0-9.]+`)

func TestSendPrintsAnAck(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := sim.send("--to", sim.token(), "--message-id", "m-1", "--json", "--data", "a=b=c", "--data", "l=1;2,3", "--notification", "title=Hello")
	r.want(t, 0)
	want := fmt.Sprintf(`{"message_id":"m-1","to":%q,"answer":"ack","error":"","error_description":"","registration_id":"","attempts":1,"ms":0}`+"\n", sim.token())
	if got := milliseconds.ReplaceAllString(r.out, `"ms":0`); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	rec := sim.Record()
	if len(rec) != 1 || rec[0].Data["a"] != "b=c" || rec[0].Data["l"] != "1;2,3" || rec[0].Notification["title"] != "Hello" {
		t.Errorf("the simulator received %+v", rec)
	}
	if r.errOut != "" {
		t.Errorf("stderr: %s", r.errOut)
	}
}

func TestSendPrintsANackAndFails(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	dead := string(sim.DeadTokens()[0])
	r := sim.send("--to", dead, "--message-id", "m-1", "--json")
	r.want(t, 1)
	want := fmt.Sprintf(`{"message_id":"m-1","to":%q,"answer":"nack","error":"DEVICE_UNREGISTERED","error_description":%q,"registration_id":"","attempts":1,"ms":0}`+"\n",
		dead, ccs.CodeDeviceUnregistered.Sentence())
	if got := milliseconds.ReplaceAllString(r.out, `"ms":0`); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if r = sim.send("--to", dead); r.code != 1 || !strings.Contains(r.out, "DEVICE_UNREGISTERED") || strings.Contains(r.out, dead) {
		t.Errorf("in words: %+v", r)
	}
}

func TestSendCountsAndSumsUp(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := sim.send("--to", sim.token(), "--count", "250", "--message-id", "c", "--json")
	r.want(t, 0)
	list, sum := readAnswers(t, r.out)
	if len(list) != 250 || sum.Sent != 250 || sum.Acked != 250 || sum.Nacked != 0 || sum.Unknown != 0 {
		t.Errorf("%d answers, %+v", len(list), sum)
	}
	if got := keys(t, r.out[strings.LastIndex(strings.TrimSpace(r.out), "\n")+1:]); got != "summary sent acked nacked unknown seconds" {
		t.Errorf("the summary's keys are %s", got)
	}
	ids := sim.ids()
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 250 || !slices.Contains(ids, "c-1") || !slices.Contains(ids, "c-250") {
		t.Errorf("%d ids: %v", len(ids), ids)
	}

	r = sim.send("--to", string(sim.DeadTokens()[0]), "--count", "2")
	r.want(t, 1)
	if !strings.Contains(r.out, "2 sent: 0 acked, 2 nacked, 0 unknown, in ") {
		t.Errorf("in words: %s", r.out)
	}
}

func TestSendKeepsTheRate(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := sim.send("--to", sim.token(), "--count", "41", "--rate", "100", "--json")
	r.want(t, 0)
	if _, sum := readAnswers(t, r.out); sum.Seconds < 0.39 {
		t.Errorf("41 messages at 100 a second took %v s", sum.Seconds)
	}
}

func TestSendRetriesWhatMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	if err := sim.SetFault(fcmsim.Fault{Nack: ccs.CodeServiceUnavailable, Next: 1}); err != nil {
		t.Fatal(err)
	}
	r := sim.send("--to", sim.token(), "--json")
	r.want(t, 0)
	var a answerLine
	read(t, r.out, &a)
	if a.Attempts != 2 || a.MS < 1000 {
		t.Errorf("got %+v", a)
	}
}

func TestSendSaysWhatBecameOfAMessageThatTimedOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fault    fcmsim.Fault
		says     string
		attempts int
	}{
		{"no answer came", fcmsim.Fault{Silence: true}, "it may have been delivered", 1},
		{"a nack came each time", fcmsim.Fault{Nack: ccs.CodeInternalServerError}, "not delivered: nacked each time", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := newSim(t)
			if err := sim.SetFault(c.fault); err != nil {
				t.Fatal(err)
			}
			r := sim.send("--to", sim.token(), "--json", "--timeout", "900ms")
			r.want(t, 1)
			var a answerLine
			read(t, r.out, &a)
			if a.Answer != "unknown" || a.Error != "" || a.Attempts != c.attempts || !strings.Contains(a.ErrorDescription, c.says) {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestAFileGivesTheSameIDsInEachRun(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	line := fmt.Sprintf(`{"to":%q,"data":{"k":"v"}}`, sim.token())
	name := writeFile(t, line+"\n\n"+line+"\r\n"+fmt.Sprintf(`{"to":%q,"message_id":"own"}`, sim.token()))
	var runs [2][]ccs.MessageID
	for i := range runs {
		r := sim.send("--file", name, "--json")
		r.want(t, 0)
		list, sum := readAnswers(t, r.out)
		if sum.Sent != 3 || sum.Acked != 3 {
			t.Errorf("run %d: %+v", i, sum)
		}
		for _, a := range list {
			runs[i] = append(runs[i], a.MessageID)
		}
		slices.Sort(runs[i])
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("first %v, then %v", runs[0], runs[1])
	}
	form := regexp.MustCompile(`^f-[0-9a-f]+-[13]$`)
	if ids := runs[0]; !form.MatchString(string(ids[0])) || !form.MatchString(string(ids[1])) || ids[0] == ids[1] || ids[2] != "own" {
		t.Errorf("ids are %v", ids)
	}
	for _, rec := range sim.Record()[3:] {
		if !rec.Repeated || rec.Answer != "ack" || len(rec.DeliveredTo) != 0 {
			t.Errorf("the second run's %s: %+v", rec.MessageID, rec)
		}
	}
}

// An editor's byte order mark, or a shell's pipe, changes nothing about a file.
func TestAFileMayBeginWithAMarkOrBeAPipe(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	text := fmt.Sprintf(`{"to":%q,"data":{"k":"v"}}`, sim.token()) + "\n" + fmt.Sprintf(`{"to":%q}`, sim.token()) + "\n"
	sent := func(name string) []ccs.MessageID {
		r := sim.send("--file", name, "--json")
		r.want(t, 0)
		list, _ := readAnswers(t, r.out)
		var ids []ccs.MessageID
		for _, a := range list {
			ids = append(ids, a.MessageID)
		}
		return slices.Sorted(slices.Values(ids))
	}
	plain := sent(writeFile(t, text))
	if got := sent(writeFile(t, "\ufeff"+text)); !slices.Equal(got, plain) || len(got) != 2 {
		t.Errorf("with a byte order mark %v, without %v", got, plain)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := in.WriteString(text); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if got := sent(fmt.Sprintf("/dev/fd/%d", out.Fd())); !slices.Equal(got, plain) {
		t.Errorf("through a pipe %v, from a file %v", got, plain)
	}
}

func TestAWrongFileIsToldByItsLinesAndNothingIsSent(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	good := fmt.Sprintf(`{"to":%q}`, sim.token())
	long := func(n int) string {
		start := fmt.Sprintf(`{"to":%q,"message_id":"long","x":"`, sim.token())
		return start + strings.Repeat("x", n-len(start)-2) + `"}`
	}
	for _, c := range []struct {
		name, text string
		errs       []string
	}{
		{"no JSON", good + "\nnonsense\n", []string{":2: "}},
		{"null", good + "\nnull\n", []string{":2: ", "null"}},
		{"an array", "[1]\n", []string{":1: "}},
		{"an ack", `{"message_type":"ack","to":"x","message_id":"m"}`, []string{":1: ", "not a downstream message"}},
		{"no target", good + "\n\n" + `{"data":{"k":"v"}}`, []string{":3: ", `"to"`}},
		{"a reserved key", `{"to":"x","data":{"from":"me"}}`, []string{":1: ", "from"}},
		{"an id that is a number", `{"to":"x","message_id":7}`, []string{":1: ", "message_id"}},
		{"an id used twice", `{"to":"x","message_id":"m"}` + "\n" + good + "\n" + `{"to":"y","message_id":"m"}`, []string{":3: ", "line 1"}},
		{"several", "a\n" + good + "\nb\n", []string{":1: ", ":3: "}},
		{"a line beyond 64 KiB", good + "\n" + long(64<<10+1) + "\n", []string{":2: ", "65536"}},
		{"no line at all", "\n\n", []string{"no message"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sim.send("--file", writeFile(t, c.text))
			r.want(t, 2)
			r.wantErr(t, c.errs...)
			if r.out != "" {
				t.Errorf("stdout: %s", r.out)
			}
		})
	}
	if ids := sim.ids(); len(ids) > 0 {
		t.Errorf("the simulator received %v", ids)
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		sim.send("--file", writeFile(t, long(64<<10)+end)).want(t, 0)
	}
}

func TestSendRefusesWrongFlagsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	file := writeFile(t, fmt.Sprintf(`{"to":%q}`, sim.token()))
	for _, c := range []struct {
		name string
		args []string
		errs []string
	}{
		{"no target", nil, []string{"--to"}},
		{"two targets", []string{"--to", "x", "--condition", "'a' in topics"}, []string{"condition"}},
		{"a TTL that is no time", []string{"--to", "x", "--ttl", "soon"}, []string{"--ttl", "60s"}},
		{"a TTL beyond four weeks", []string{"--to", "x", "--ttl", "2419201"}, []string{"time_to_live"}},
		{"a negative TTL", []string{"--to", "x", "--ttl=-1s"}, []string{"time_to_live"}},
		{"a TTL of half a second", []string{"--to", "x", "--ttl", "500ms"}, []string{"whole seconds"}},
		{"4,097 bytes", []string{"--to", "x", "--data", "k=" + strings.Repeat("v", 4096)}, []string{"data", "4097", "4096"}},
		{"a reserved data key", []string{"--to", "x", "--data", "from=me"}, []string{"data", "from"}},
		{"data without a value", []string{"--to", "x", "--data", "k"}, []string{"--data"}},
		{"an unknown priority", []string{"--to", "x", "--priority", "urgent"}, []string{"priority"}},
		{"no message at all", []string{"--to", "x", "--count", "0"}, []string{"--count"}},
		{"an id that is too long with its number", []string{"--to", "x", "--count", "10", "--message-id", strings.Repeat("m", 1022)}, []string{"message_id"}},
		{"a rate of nothing", []string{"--to", "x", "--rate", "0"}, []string{"--rate is 0: give 0.001 to 1000000 messages a second, or leave it out"}},
		{"a rate below counting", []string{"--to", "x", "--rate", "0.0009"}, []string{"--rate"}},
		{"a negative rate", []string{"--to", "x", "--rate", "-1"}, []string{"--rate"}},
		{"a rate beyond counting", []string{"--to", "x", "--rate", "1e12"}, []string{"--rate"}},
		{"a rate that is no number", []string{"--to", "x", "--rate", "NaN"}, []string{"--rate"}},
		{"no time at all", []string{"--to", "x", "--timeout", "0s"}, []string{"--timeout"}},
		{"an endpoint without a port", []string{"--to", "x", "--endpoint", "localhost"}, []string{"host:port"}},
		{"a CA file that is none", []string{"--to", "x", "--ca-file", file}, []string{"PEM"}},
		{"a CA file that is not there", []string{"--to", "x", "--ca-file", file + "x"}, []string{"--ca-file"}},
		{"two keys", []string{"--to", "x", "--key-file", file}, []string{"--key-file"}},
		{"an unknown flag", []string{"--to", "x", "--bogus"}, []string{"--bogus"}},
		{"a file and a target", []string{"--file", file, "--to", "x"}, []string{"--file excludes --to"}},
		{"a file and a notification", []string{"--file", file, "--notification", "title=T"}, []string{"--file excludes --notification"}},
		{"a file and a TTL", []string{"--file", file, "--ttl", "60s"}, []string{"--file excludes --ttl"}},
		{"a file that is not there", []string{"--file", file + "x"}, []string{"--file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sim.send(c.args...)
			r.want(t, 2)
			r.wantErr(t, append(c.errs, `"penstock send --help"`)...)
			if r.out != "" {
				t.Errorf("stdout: %s", r.out)
			}
		})
	}
	t.Run("no key", func(t *testing.T) {
		r := run("send", "--endpoint", sim.Addr(), "--sender-id", "1", "--to", "x")
		r.want(t, 2)
		r.wantErr(t, "PENSTOCK_KEY", "--key-file")
	})
	t.Run("an empty key file", func(t *testing.T) {
		r := run("send", "--endpoint", sim.Addr(), "--sender-id", "1", "--to", "x", "--key-file", os.DevNull)
		r.want(t, 2)
		r.wantErr(t, "--key-file: "+os.DevNull+" is empty: write the server key into it")
	})
	if ids := sim.ids(); len(ids) > 0 {
		t.Errorf("the simulator received %v", ids)
	}
}

func TestAWrongKeyEndsTheCommandAtOnce(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	began := time.Now()
	r := sim.send("--to", sim.token(), "--key", "wrong", "--timeout", "5m", "--count", "500", "--json")
	r.want(t, 1)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	r.wantErr(t, "refused the credentials of sender id "+string(sim.SenderID()), "check the sender id and the server key")
	if strings.Contains(r.errOut+r.out, "wrong port") {
		t.Errorf("the port is not to blame: %s", r.errOut)
	}
	list, sum := readAnswers(t, r.out)
	if sum.Acked != 0 || sum.Unknown != len(list) || !strings.Contains(list[0].ErrorDescription, "credentials") {
		t.Errorf("%+v, first %+v", sum, list[0])
	}
	if ids := sim.ids(); len(ids) > 0 {
		t.Errorf("the simulator received %v", ids)
	}
}

// listener is a port of loopback whose connections serve handles.
func listener(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestSendTellsAWrongPortFromWrongCredentials(t *testing.T) {
	t.Parallel()
	sim, other := newSim(t), newSim(t)
	cert, elsewhere := other.serverTLS(t, "127.0.0.1"), other.serverTLS(t, "elsewhere.example")
	for _, c := range []struct {
		name string
		args []string
		errs []string
	}{
		{"another CA", []string{"--ca-file", other.ca}, []string{"TLS", "CA that is not trusted here"}},
		{"a certificate for another name", []string{"--ca-file", other.ca, "--endpoint", listener(t, func(c net.Conn) {
			go tls.Server(c, elsewhere).Handshake()
		})}, []string{"the certificate is for another name"}},
		{"a port that speaks clear text", []string{"--endpoint", listener(t, func(c net.Conn) {
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		})}, []string{"not with TLS: wrong port, or a server without TLS"}},
		{"a port that says nothing", []string{"--endpoint", listener(t, func(net.Conn) {})}, []string{"does not answer TLS: wrong port, or a server without TLS"}},
		{"a port that hangs up", []string{"--endpoint", listener(t, func(c net.Conn) { c.Close() })}, []string{"wrong port, or a server without TLS"}},
		{"TLS without CCS", []string{"--ca-file", other.ca, "--endpoint", listener(t, func(c net.Conn) {
			go tls.Server(c, cert).Handshake()
		})}, []string{"speaks CCS: wrong port?"}},
		{"nothing listens", []string{"--endpoint", closedPort(t)}, []string{"nothing listens there: check host and port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := sim.send(append([]string{"--to", sim.token(), "--timeout", "1s", "--json"}, c.args...)...)
			r.want(t, 1)
			if took := time.Since(began); took < time.Second || took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			r.wantErr(t, append(c.errs, "no connection: ")...)
			if strings.Contains(r.errOut, "credentials") {
				t.Errorf("the credentials are not to blame: %s", r.errOut)
			}
			var a answerLine
			read(t, r.out, &a)
			if a.Answer != "unknown" || a.Attempts != 0 || !strings.HasPrefix(a.ErrorDescription, "not sent: ") {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestWithoutAConnectionTheFirstTimeoutEndsTheCommand(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := sim.send("--to", sim.token(), "--timeout", "1s", "--count", "5000", "--json", "--endpoint", closedPort(t))
	r.want(t, 1)
	r.wantErr(t, "nothing listens there")
	// What had not been handed over by then was not even tried: 5,000 messages
	// would take 25 timeouts.
	if lines := strings.Count(r.out, "\n"); lines > 500 {
		t.Errorf("%d lines", lines)
	}
}

// closedPort was free a moment ago.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTheTraceShowsNoSecrets(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := sim.send("--to", sim.token(), "--data", "city=Reykjavik", "--notification", "title=Sesame", "--message-id", "m-1", "--trace")
	r.want(t, 0)
	r.wantErr(t, "-> downstream m-1 to "+sim.Tokens()[0].Redacted(), "<- ack m-1")
	for _, secret := range []string{sim.token(), sim.ServerKey(), "Reykjavik", "city", "Sesame"} {
		if strings.Contains(r.errOut+r.out, secret) {
			t.Errorf("%q is shown:\n%s%s", secret, r.errOut, r.out)
		}
	}
}

func TestTheEnvironmentStandsInForFlags(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(sim.ServerKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, fmt.Sprintf(`{"to":%q,"message_id":"of-the-file"}`, sim.token()))
	base := []string{"PENSTOCK_ENDPOINT=" + sim.Addr(), "PENSTOCK_CA_FILE=" + sim.ca, "PENSTOCK_SENDER_ID=" + string(sim.SenderID())}
	key, wrong := "PENSTOCK_KEY="+sim.ServerKey(), "PENSTOCK_KEY=wrong"
	to := "PENSTOCK_TO=" + sim.token()
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string // in stdout
	}{
		{"PENSTOCK_KEY", []string{key}, []string{"--to", sim.token()}, 0, ""},
		{"PENSTOCK_KEY_FILE", []string{"PENSTOCK_KEY_FILE=" + keyFile}, []string{"--to", sim.token()}, 0, ""},
		{"a wrong PENSTOCK_KEY", []string{wrong}, []string{"--to", sim.token()}, 1, ""},
		{"PENSTOCK_TO, PENSTOCK_DATA and PENSTOCK_JSON", []string{key, to, "PENSTOCK_DATA=k=v", "PENSTOCK_JSON=true"}, nil, 0, `"answer":"ack"`},
		{"a flag beats its variable", []string{wrong, "PENSTOCK_TO=nobody"}, []string{"--to", sim.token(), "--key", sim.ServerKey()}, 0, ""},
		{"--key-file beats PENSTOCK_KEY", []string{wrong}, []string{"--to", sim.token(), "--key-file", keyFile}, 0, ""},
		{"--key beats PENSTOCK_KEY_FILE", []string{"PENSTOCK_KEY_FILE=/nowhere"}, []string{"--to", sim.token(), "--key", sim.ServerKey()}, 0, ""},
		{"both keys in the environment", []string{key, "PENSTOCK_KEY_FILE=" + keyFile}, []string{"--to", sim.token()}, 2, ""},
		{"--file beats PENSTOCK_TO", []string{key, "PENSTOCK_TO=nobody"}, []string{"--file", file}, 0, "of-the-file"},
		{"--to beats PENSTOCK_FILE", []string{key, "PENSTOCK_FILE=" + file}, []string{"--to", sim.token(), "--message-id", "of-flags"}, 0, "of-flags"},
		{"--to beats a PENSTOCK_FILE that is not there", []string{key, "PENSTOCK_FILE=/nowhere"}, []string{"--to", sim.token()}, 0, ""},
		{"a PENSTOCK_FILE that is not there", []string{key, "PENSTOCK_FILE=/nowhere"}, nil, 2, ""},
		{"--to beats PENSTOCK_CONDITION", []string{key, "PENSTOCK_CONDITION='a' in topics"}, []string{"--to", sim.token(), "--json"}, 0, sim.token()},
		{"--condition beats PENSTOCK_TO", []string{key, to}, []string{"--condition", "'a' in topics", "--json"}, 0, "'a' in topics"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := runWith(t, append(slices.Clone(base), c.env...), append([]string{"send", "--timeout", "20s"}, c.args...)...)
			r.want(t, c.code)
			if !strings.Contains(r.out, c.want) {
				t.Errorf("stdout lacks %q: %s", c.want, r.out)
			}
		})
	}
}

// A full writer takes some lines and no more, as a disk may.
type full struct{ lines int }

func (w *full) Write(b []byte) (int, error) {
	if w.lines == 0 {
		return 0, errors.New("no space left")
	}
	w.lines--
	return len(b), nil
}

func TestAnAnswerThatCannotBePrintedIsAFailure(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--json"}, {}} {
		sim := newSim(t)
		var errOut lockedBuffer
		code := cli.Main(append([]string{
			"send", "--endpoint", sim.Addr(), "--ca-file", sim.ca, "--sender-id", string(sim.SenderID()),
			"--key", sim.ServerKey(), "--to", sim.token(), "--count", "3",
		}, args...), &full{lines: 2}, &errOut)
		if code != 1 || !strings.Contains(errOut.String(), "stdout: no space left") {
			t.Errorf("exit code %d, stderr: %s", code, errOut.String())
		}
		if n := len(sim.Record()); n != 3 {
			t.Errorf("%d messages were sent, want all three", n)
		}
	}
}

func TestASignalEndsSendWithASummary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		signal os.Signal
		code   int
	}{
		{"an interrupt", os.Interrupt, 130},
		{"a termination", syscall.SIGTERM, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := newSim(t)
			p := start(t, append(sim.login(), "--to", sim.token(), "--count", "100000", "--rate", "200", "--json")...)
			first := p.line()
			if err := p.cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			r := p.wait()
			r.want(t, c.code)
			r.wantErr(t, "ended by a signal before every message was sent")
			list, sum := readAnswers(t, first+r.out)
			if sum.Sent == 0 || sum.Sent >= 100_000 || sum.Sent != len(list) || sum.Sent != sum.Acked+sum.Unknown {
				t.Errorf("%d lines, %+v", len(list), sum)
			}
		})
	}
}
