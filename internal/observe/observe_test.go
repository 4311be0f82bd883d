package observe_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/downstream"
	"penstock/internal/observe"
	"penstock/internal/pace"
)

// A lockedText is what a log writes.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func observer(t *testing.T) (*observe.Observer, *prometheus.Registry, *lockedText) {
	t.Helper()
	reg, text := prometheus.NewPedanticRegistry(), new(lockedText)
	return observe.New(reg, observe.NewLog(text, "text", "debug")), reg, text
}

// samples are all values, as "name{label=value,…}"; of histograms the counts.
func samples(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.Counter != nil:
				got[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				got[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return got
}

const token = "cTokenOfADevice:APA91bVeryLongAndPersonal0123456789abcdefghijklmnopqrstuvwxyz"

var addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}

// tell makes every event happen, some twice.
func tell(o *observe.Observer) {
	f := o.Front("ccs")
	f.Accepted("shop")
	f.Answered("shop", "ok", time.Millisecond)
	f.Answered("shop", "DEVICE_UNREGISTERED", time.Millisecond)
	f.Answered("shop", "A_CODE_OF_"+token, time.Millisecond)
	f.Failed("shop", errors.New("own fault"))
	o.Front("legacy").Answered("shop", "NotRegistered", time.Millisecond)
	o.Front("v1").Answered("news", "ok", time.Millisecond)
	o.Front("v1").Answered("news", "sender_id_mismatch", time.Millisecond)
	o.Front("v1").Refused(addr.String(), "", 401)
	o.Front("v1").Refused(addr.String(), "news", 413)
	o.Front("v1").Gone("news")
	o.LimitHit("http_connections")
	o.Deaf(addr, syscall.EMFILE)

	c := o.CCS()
	for _, l := range []ccsserver.Limit{ccsserver.LimitPerSender, ccsserver.LimitRate} {
		c.Refused(addr, fmt.Errorf("login: %w", &ccsserver.LimitError{Limit: l}))
	}
	c.Refused(addr, io.EOF)
	c.Refused(addr, fmt.Errorf("login: %w", &ccs.StreamError{Condition: ccs.ConditionPolicyViolation}))
	c.AuthFailed(addr, ccs.SenderID(strings.Repeat("9", 1000)))
	s := ccsserver.Stream{ID: "S1", Sender: "1234567890", Address: "192.0.2.1:5"}
	c.Bound(s)
	c.Draining(s)
	c.Failed("1234567890", &ccs.Downstream{To: token, MessageID: "m-1", Data: map[string]string{"k": "payload"}}, errors.New("own fault"))
	c.Odd("S1", "an unknown stanza")
	c.Settled("S1", &ccs.Receipt{MessageID: "m-9", Device: token})
	c.Closed(s, io.ErrUnexpectedEOF)
	c.Closed(s, &ccs.StreamError{Condition: ccs.ConditionPolicyViolation})
	c.Closed(s, &ccs.StreamError{Condition: ccs.ConditionInvalidXML})

	l := o.Lane("shop")
	l.Answered(downstream.Answered{Tries: 1, Queued: time.Second, Sending: time.Second})
	l.Answered(downstream.Answered{Tries: 2, Class: fcm.Unavailable, OutcomeUnknown: true})
	l.Answered(downstream.Answered{Class: fcm.DeviceQuota})
	l.Held(downstream.Held{Why: pace.Credential, Err: errors.New("key revoked")})
	l.Held(downstream.Held{Why: pace.Storm, Err: errors.New("503")})
	l.Resumed(downstream.Resumed{Why: pace.Storm})

	m := o.FCM("shop")
	m.TokenRefreshed(time.Unix(1800000000, 0))
	m.TokenFailed(errors.New("invalid_grant"), time.Unix(1800000000, 0))
	m.CredentialsSwapped()
	m.CredentialsBroken(errors.New("no JSON"))
	m.ConnectionOpened(fcmsend.ConnectionInfo{ID: 1, Protocol: "h2"})
	m.ConnectionClosed(fcmsend.ConnectionInfo{ID: 1, Protocol: "h2"}, io.EOF)
	m.DialFailed(errors.New("refused"), time.Unix(1800000000, 0))
	m.GoAway(fcmsend.ConnectionInfo{ID: 1}, "NO_ERROR", "bye")

	p := o.Far("shop", "far:5235")
	p.Authenticated(ccsclient.Stream{ID: "F1"})
	p.Draining(ccsclient.Stream{ID: "F1"})
	p.Closed(ccsclient.Stream{ID: "F1"}, nil)
	p.ReconnectFailed(errors.New("refused"))
	p.ReconnectingIn(time.Second)
	p.Handled(&ccs.Upstream{From: token, MessageID: "u-1"}, nil)
	p.Handled(&ccs.Receipt{Device: token, MessageID: "r-1"}, errors.New("no room"))
	p.Unhandled(&ccs.Upstream{From: token, MessageID: "u-2"})
	p.Odd(ccsclient.Stream{ID: "F1"}, "an unknown type")
}

func TestEventsAreCounted(t *testing.T) {
	o, reg, _ := observer(t)
	tell(o)
	got := samples(t, reg)
	want := map[string]float64{
		"penstock_messages_accepted_total{front=ccs,project=shop}":                             1,
		"penstock_messages_answered_total{front=ccs,outcome=ok,project=shop}":                  1,
		"penstock_messages_answered_total{front=ccs,outcome=DEVICE_UNREGISTERED,project=shop}": 1,
		"penstock_messages_answered_total{front=ccs,outcome=other,project=shop}":               1,
		"penstock_messages_answered_total{front=legacy,outcome=NotRegistered,project=shop}":    1,
		"penstock_messages_answered_total{front=v1,outcome=ok,project=news}":                   1,
		"penstock_messages_answered_total{front=v1,outcome=sender_id_mismatch,project=news}":   1,
		"penstock_answer_seconds{front=ccs,project=shop}":                                      3,
		"penstock_answer_seconds{front=legacy,project=shop}":                                   1,
		"penstock_answer_seconds{front=v1,project=news}":                                       2,
		"penstock_requests_refused_total{front=v1,status=401}":                                 1,
		"penstock_requests_refused_total{front=v1,status=413}":                                 1,
		"penstock_requests_abandoned_total{front=v1,project=news}":                             1,
		"penstock_faults_total{room=front_ccs}":                                                1,
		"penstock_faults_total{room=ccsserver}":                                                1,
		"penstock_limit_hits_total{limit=http_body_bytes}":                                     1,
		"penstock_limit_hits_total{limit=http_connections}":                                    1,
		"penstock_limit_hits_total{limit=ccs_per_sender}":                                      1,
		"penstock_limit_hits_total{limit=ccs_rate}":                                            1,
		"penstock_ccs_logins_total{outcome=broken_off}":                                        2,
		"penstock_limit_hits_total{limit=ccs_stanza}":                                          2,
		"penstock_ccs_logins_total{outcome=wrong_credentials}":                                 1,
		"penstock_ccs_logins_total{outcome=bound}":                                             1,
		"penstock_ccs_drains_total":                                                            1,
		"penstock_ccs_oddities_total":                                                          1,
		"penstock_sends_total{outcome=accepted,project=shop}":                                  1,
		"penstock_sends_total{outcome=unavailable,project=shop}":                               1,
		"penstock_sends_total{outcome=device_quota,project=shop}":                              1,
		"penstock_unknown_outcomes_total{project=shop}":                                        1,
		"penstock_send_seconds{project=shop}":                                                  2,
		"penstock_wait_seconds{project=shop}":                                                  3,
		"penstock_lane_holds_total{project=shop,reason=credential}":                            1,
		"penstock_lane_holds_total{project=shop,reason=storm}":                                 1,
		"penstock_token_refreshes_total{outcome=ok,project=shop}":                              1,
		"penstock_token_refreshes_total{outcome=failed,project=shop}":                          1,
		"penstock_credential_changes_total{outcome=taken,project=shop}":                        1,
		"penstock_credential_changes_total{outcome=refused,project=shop}":                      1,
		"penstock_fcm_dials_total{outcome=ok,project=shop}":                                    1,
		"penstock_fcm_dials_total{outcome=failed,project=shop}":                                1,
		"penstock_fcm_goaways_total{project=shop}":                                             1,
		"penstock_upstream_messages_total{kind=upstream,outcome=acked,project=shop}":           1,
		"penstock_upstream_messages_total{kind=receipt,outcome=failed,project=shop}":           1,
		"penstock_upstream_messages_total{kind=upstream,outcome=left,project=shop}":            1,
		"penstock_far_dials_total{outcome=ok,project=shop}":                                    1,
		"penstock_far_dials_total{outcome=failed,project=shop}":                                1,
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	for name, v := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is %v, and nobody asked for it", name, v)
		}
	}

	o.Forget("shop")
	for name := range samples(t, reg) {
		if strings.Contains(name, "project=shop") {
			t.Errorf("%s is still there", name)
		}
	}
	if got := samples(t, reg)["penstock_requests_abandoned_total{front=v1,project=news}"]; got != 1 {
		t.Errorf("another project's count is %v", got)
	}
}

func TestR_A54_LabelsAndLinesHoldNoTokenAndNoPayload(t *testing.T) {
	o, reg, text := observer(t)
	tell(o)
	var all []string
	for name := range samples(t, reg) {
		all = append(all, name)
	}
	for _, s := range append(all, strings.Split(text.String(), "\n")...) {
		if strings.Contains(s, "<nil>") {
			t.Errorf("%s tells of no error", s)
		}
		if strings.Contains(s, "APA91bVery") || strings.Contains(s, "payload") || strings.Contains(s, strings.Repeat("9", 50)) {
			t.Errorf("%.300s", s)
		}
	}
	name := regexp.MustCompile(`^penstock_[a-z0-9_]+(_total|_seconds|_messages|_streams|_connections|_per_second|_held|_targets)(\{|$)`)
	for _, s := range all {
		if !name.MatchString(s) {
			t.Errorf("%s is no name of a noun and its unit", s)
		}
	}
}

func TestOperatorsAreToldByLevel(t *testing.T) {
	o, _, text := observer(t)
	tell(o)
	lines := strings.Split(text.String(), "\n")
	for _, want := range [][]string{
		{"level=ERROR", "until an operator acts", "project=shop", "reason=credential", `err="key revoked"`},
		{"level=WARN", "the project waits", "reason=storm"},
		{"level=INFO", "waits no more"},
		{"level=WARN", "a login was refused", "address=192.0.2.1:5"},
		{"level=INFO", "an app server logged in", "sender_id=1234567890", "session=S1"},
		{"level=ERROR", "no access token", "invalid_grant"},
		{"level=ERROR", "cannot be used; the old one stays"},
		{"level=ERROR", "cost a message", "message_id=m-1", "token="},
		{"level=WARN", "no stream to the far end", "endpoint=far:5235"},
		{"level=ERROR", "given up", "message_id=r-1"},
		{"level=WARN", "refused by a limit", "reason"},
		{"level=INFO", "showed no key"},
	} {
		if !slices.ContainsFunc(lines, func(line string) bool {
			return !slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(line, part) })
		}) {
			t.Errorf("no line has %q", want)
		}
	}
}

func TestStateIsReadAtTheScrape(t *testing.T) {
	o, reg, _ := observer(t)
	n := 0
	o.Watch(func() observe.State {
		n++
		return observe.State{ForgottenEarly: 7, Projects: []observe.ProjectState{
			{
				Name: "shop", Streams: 3, Connections: map[string]int{"h2": 2}, TokenExpiry: time.Unix(1800000000, 0),
				Lane: downstream.State{Waiting: n, InFlight: 5, Pace: pace.State{Rate: 10, Held: pace.Quota, Targets: 4, Forgotten: 6}},
			},
			{Name: "news", FarStreams: 2},
		}}
	})
	samples(t, reg)
	got := samples(t, reg)
	want := map[string]float64{
		"penstock_lane_waiting_messages{project=shop}":          2,
		"penstock_lane_in_flight_messages{project=shop}":        5,
		"penstock_lane_rate_messages_per_second{project=shop}":  10,
		"penstock_lane_remembered_targets{project=shop}":        4,
		"penstock_lane_forgotten_targets_total{project=shop}":   6,
		"penstock_lane_held{project=shop,reason=quota}":         1,
		"penstock_lane_held{project=shop,reason=storm}":         0,
		"penstock_lane_held{project=news,reason=quota}":         0,
		"penstock_ccs_streams{project=shop}":                    3,
		"penstock_ccs_streams{project=news}":                    0,
		"penstock_far_streams{project=news}":                    2,
		"penstock_fcm_connections{project=shop,protocol=h2}":    2,
		"penstock_token_expiry_timestamp_seconds{project=shop}": 1800000000,
		"penstock_ids_forgotten_early_total":                    7,
		"penstock_ccs_drains_total":                             0,
		"penstock_lane_held{project=shop,reason=configuration}": 0,
		"penstock_lane_held{project=shop,reason=credential}":    0,
	}
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v, want %v", name, g, v)
		}
	}
	if _, ok := got["penstock_token_expiry_timestamp_seconds{project=news}"]; ok {
		t.Error("a project without a token has an expiry")
	}
}

func TestLogsAreForPeopleOrMachines(t *testing.T) {
	for _, tt := range []struct{ format, level, want string }{
		{"json", "info", `"msg":"b"`}, {"text", "info", "msg=b"}, {"text", "warn", ""}, {"text", "debug", "msg=a"}, {"text", "nonsense", "msg=b"},
	} {
		var text strings.Builder
		log := observe.NewLog(&text, tt.format, tt.level)
		log.Debug("a")
		log.Info("b")
		if got := text.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" || tt.want == "msg=b" && strings.Contains(got, "msg=a") {
			t.Errorf("%s at %s: %q", tt.format, tt.level, got)
		}
	}
}
