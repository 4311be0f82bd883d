package doctor_test

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/ccsserver"
	"penstock/fcmsim"
	"penstock/internal/config"
	"penstock/internal/doctor"
)

func TestAllIsGood(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	ccs := overCCS(sim)
	ccs.Name, ccs.Keys[0].Secret = "other", config.NewSecret("psk_another-0123456789")
	ccs.SenderID = "4711"
	ccs.Transport.CCS.SenderID = string(sim.SenderID())
	l := examine(t, settings(t, nil), overFCM(sim), ccs)
	l.only(t, "")
	for _, check := range []string{"configuration", "data-dir", "certificate", "port", "keys", "credentials", "endpoint", "clock", "access-token", "fcm", "sender-id", "ccs"} {
		l.want(t, check, doctor.Good)
	}
	l.want(t, "credentials", doctor.Good, "service_account", "gserviceaccount.com", sim.ProjectID())
	for _, r := range sim.Record() {
		if len(r.DeliveredTo) != 0 {
			t.Errorf("a device got a message: %+v", r)
		}
	}
}

// A far end that has a device with the token that cannot exist delivers nothing
// to it all the same.
func TestNothingIsDelivered(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	const token = "penstock-doctor-no-such-token"
	if _, err := sim.AddDevice(&fcmsim.DeviceOptions{Token: token}); err != nil {
		t.Fatal(err)
	}
	examine(t, settings(t, nil), overFCM(sim)).want(t, "fcm", doctor.Warning, "not Google's FCM")
	if d, ok := sim.Device(token); !ok || d.ReceivedCount != 0 {
		t.Errorf("the device got %d messages", d.ReceivedCount)
	}
	if n := len(sim.Record()); n == 0 {
		t.Error("FCM was not asked")
	}
}

func TestStreamEndsInOrder(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	sim := simulator(t, fcmsim.Options{Server: &ccsserver.Options{Events: &ccsserver.Events{Closed: func(_ ccsserver.Stream, err error) { closed <- err }}}})
	examine(t, settings(t, nil), overCCS(sim)).want(t, "ccs", doctor.Good)
	if err := <-closed; err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestVerdictsOfFCM(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		breaks func(*fcmsim.Sim, *config.Project)
		check  string
		result doctor.Result
		pieces []string
	}{
		{"key revoked", func(s *fcmsim.Sim, _ *config.Project) { s.SetAccess(fcmsim.Access{KeyRevoked: true}) },
			"access-token", doctor.Bad, []string{"deleted, disabled", "make a new key"}},
		{"no permission", func(s *fcmsim.Sim, _ *config.Project) { s.SetAccess(fcmsim.Access{PermissionDenied: true}) },
			"fcm", doctor.Bad, []string{"may not send for project penstock-sim", "check project_id", "roles/firebasecloudmessaging.admin", "serviceAccount:"}},
		{"wrong project", func(_ *fcmsim.Sim, p *config.Project) { p.ProjectID = "another-project" },
			"fcm", doctor.Bad, []string{"another-project", "check project_id"}},
		{"the credentials are another project's", func(_ *fcmsim.Sim, p *config.Project) { p.ProjectID = "another-project" },
			"credentials", doctor.Warning, []string{"penstock-sim", "another-project", "add-iam-policy-binding another-project"}},
		{"API disabled", func(s *fcmsim.Sim, _ *config.Project) { s.SetAccess(fcmsim.Access{APIDisabled: true}) },
			"fcm", doctor.Bad, []string{"gcloud services enable fcm.googleapis.com --project penstock-sim"}},
		{"scopes lack", func(s *fcmsim.Sim, _ *config.Project) { s.SetAccess(fcmsim.Access{ScopeLacking: true}) },
			"fcm", doctor.Bad, []string{"scope", "cloud-platform"}},
		{"the sender id is another number", func(_ *fcmsim.Sim, p *config.Project) { p.SenderID = "99999" },
			"sender-id", doctor.Warning, []string{"99999 is not the number", "set sender_id"}},
		{"the quota is used up", func(s *fcmsim.Sim, _ *config.Project) { setFault(s, "E13") },
			"fcm", doctor.Warning, []string{"quota"}},
		{"FCM is in trouble", func(s *fcmsim.Sim, _ *config.Project) { setFault(s, "E22") },
			"fcm", doctor.Unknown, []string{"no verdict", "again"}},
		{"FCM refuses the access token", func(s *fcmsim.Sim, _ *config.Project) { setFault(s, "E16") },
			"access-token", doctor.Bad, []string{"FCM refuses the access token", "make a new key"}},
		{"nothing there but a web server", func(s *fcmsim.Sim, _ *config.Project) { setFault(s, "E24") },
			"fcm", doctor.Bad, []string{"transport.fcm.endpoint"}},
		{"it takes what cannot be", func(s *fcmsim.Sim, _ *config.Project) { setOK(s) },
			"fcm", doctor.Warning, []string{"not Google's FCM"}},
		{"the token endpoint is away", func(s *fcmsim.Sim, p *config.Project) { p.Transport.FCM.CredentialsFile = withTokenURI(t, s) },
			"access-token", doctor.Unknown, []string{"nothing listens there"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, fcmsim.Options{})
			p := overFCM(sim)
			c.breaks(sim, p)
			l := examine(t, settings(t, nil), p)
			l.want(t, c.check, c.result, c.pieces...)
			if c.check == "access-token" {
				l.only(t, c.check)
			}
			if c.result == doctor.Bad && c.check == "fcm" {
				l.want(t, "access-token", doctor.Good)
			}
		})
	}
}

func setFault(s *fcmsim.Sim, code string) {
	if err := s.SetFault(fcmsim.Fault{Error: code}); err != nil {
		panic(err)
	}
}

func setOK(s *fcmsim.Sim) {
	if err := s.SetFault(fcmsim.Fault{Status: http.StatusOK, Body: `{"name":"projects/p/messages/1"}`}); err != nil {
		panic(err)
	}
}

// withTokenURI is the simulator's key file with a token endpoint where nothing
// listens.
func withTokenURI(t *testing.T, s *fcmsim.Sim) string {
	t.Helper()
	var file map[string]string
	if err := json.Unmarshal(s.ServiceAccountJSON(), &file); err != nil {
		t.Fatal(err)
	}
	file["token_uri"] = "http://" + closedPort(t) + "/token"
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// closedPort is an address of loopback where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTokenEndpointOfAnotherTime(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{Now: func() time.Time { return time.Now().Add(3 * time.Hour) }})
	examine(t, settings(t, nil), overFCM(sim)).want(t, "access-token", doctor.Bad, "clock of this machine", "time synchronisation")
}

func TestClockAgainstTheDateOfAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		off    time.Duration
		result doctor.Result
		pieces []string
	}{
		{"half a minute", 30 * time.Second, doctor.Good, nil},
		{"two minutes behind", 2 * time.Minute, doctor.Warning, []string{"behind", "time synchronisation"}},
		{"two minutes ahead", -2 * time.Minute, doctor.Warning, []string{"ahead of", "time synchronisation"}},
		{"six minutes behind", 6 * time.Minute, doctor.Bad, []string{"behind", "time synchronisation"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, fcmsim.Options{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(c.off).UTC().Format(http.TimeFormat))
				sim.HTTPHandler().ServeHTTP(w, r)
			}))
			defer server.Close()
			p := overFCM(sim)
			p.Transport.FCM.Endpoint = server.URL
			examine(t, settings(t, nil), p).want(t, "clock", c.result, c.pieces...)
		})
	}
}

func TestEndpointsThatCannotBeReached(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	other := simulator(t, fcmsim.Options{})
	expiredFiles, expired := certificate(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour), "localhost")
	foreignFiles, foreign := certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "elsewhere.example")
	for _, c := range []struct {
		name   string
		set    func(*testing.T, *config.FCM)
		check  string
		pieces []string
	}{
		{"unknown CA", func(_ *testing.T, f *config.FCM) { f.CAFile = other.CAFile() }, "endpoint", []string{"not trusted", "ca_file"}},
		{"expired", func(t *testing.T, f *config.FCM) { f.Endpoint, f.CAFile = tlsServer(t, expired), expiredFiles.CertFile }, "endpoint", []string{"has expired", "clock"}},
		{"wrong name", func(t *testing.T, f *config.FCM) { f.Endpoint, f.CAFile = tlsServer(t, foreign), foreignFiles.CertFile }, "endpoint", []string{"for another name"}},
		{"nothing listens", func(t *testing.T, f *config.FCM) { f.Endpoint = "https://" + closedPort(t) }, "endpoint", []string{"nothing listens there"}},
		{"no such name", func(_ *testing.T, f *config.FCM) { f.Endpoint = "https://no-such-host.invalid" }, "endpoint", []string{"does not resolve", "resolver"}},
		{"no TLS", func(_ *testing.T, f *config.FCM) { f.Endpoint = strings.Replace(sim.PlainURL(), "http:", "https:", 1) }, "endpoint", []string{"does not speak TLS"}},
		{"proxy away", func(t *testing.T, f *config.FCM) {
			f.Proxy = config.NewURL("http://user:canary-password@" + closedPort(t))
		}, "proxy", []string{"nothing listens there", "transport.fcm.proxy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := overFCM(sim)
			c.set(t, &p.Transport.FCM)
			l := examine(t, settings(t, nil), p)
			l.want(t, c.check, doctor.Bad, c.pieces...)
			l.want(t, "fcm", doctor.Unknown)
			if strings.Contains(l.String(), "canary") {
				t.Errorf("the password is in\n%s", l)
			}
		})
	}
}

func tlsServer(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func TestProjectsShareOneWayToFCM(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	second := overFCM(sim)
	second.Name, second.Keys[0].Secret, second.SenderID = "second", config.NewSecret("psk_another-0123456789"), "4711"
	l := examine(t, settings(t, nil), overFCM(sim), second)
	n := 0
	for _, f := range l {
		if f.Check == "clock" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d findings about the clock in\n%s", n, l)
	}
}

func TestLoginAtAnotherEndpoint(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	other := simulator(t, fcmsim.Options{})
	for _, c := range []struct {
		name   string
		set    func(*testing.T, *config.FarCCS)
		pieces []string
	}{
		{"wrong key", func(_ *testing.T, f *config.FarCCS) { f.Key = config.NewSecret("canary-wrong-key-0123") }, []string{"at login", "refused", "key_file"}},
		{"unknown CA", func(_ *testing.T, f *config.FarCCS) { f.CAFile = other.CAFile() }, []string{"at TLS", "ca.pem"}},
		{"nothing listens", func(t *testing.T, f *config.FarCCS) { f.Endpoint = closedPort(t) }, []string{"at connect", "nothing listens there"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := overCCS(sim)
			c.set(t, &p.Transport.CCS)
			l := examine(t, settings(t, nil), p)
			l.want(t, "ccs", doctor.Bad, c.pieces...)
			if strings.Contains(l.String(), "canary") {
				t.Errorf("the key is in\n%s", l)
			}
		})
	}
}
