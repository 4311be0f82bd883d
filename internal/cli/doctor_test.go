package cli_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/fcmsim"
	"penstock/internal/doctor"
)

// doctorConfig is a configuration whose project goes to a simulator.
func doctorConfig(t *testing.T, more string) (file string, sim *fcmsim.Sim) {
	t.Helper()
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir(), HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return writeFile(t, fmt.Sprintf(`data_dir: %s
http: {listen: ["127.0.0.1:0"]}
admin: {listen: "127.0.0.1:0"}
projects:
  - name: shop
    sender_id: "%s"
    project_id: %s
    keys: [{name: backend, secret: psk_canary_0123456789}]
    transport: {fcm: {credentials_file: %s, endpoint: "%s", ca_file: %s, proxy: none}}
%s`, filepath.Join(t.TempDir(), "data"), sim.SenderID(), sim.ProjectID(), sim.ServiceAccountFile(), sim.FCMURL(), sim.CAFile(), more)), sim
}

const freeCCS = "ccs: {listen: [\"127.0.0.1:0\"]}\n"

// readFindings reads what --json printed, and wants the summary to be right.
func readFindings(t *testing.T, out string) (list []doctor.Finding) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	count := map[doctor.Result]int{}
	for _, line := range lines[:len(lines)-1] {
		if got := keys(t, line); got != "check subject result text fix" {
			t.Errorf("the keys are %s", got)
		}
		var f doctor.Finding
		read(t, line, &f)
		list = append(list, f)
		count[f.Result]++
	}
	want, _ := json.Marshal(map[string]any{"summary": true, "good": count["good"], "warning": count["warning"], "bad": count["bad"], "unknown": count["unknown"]})
	var got map[string]any
	read(t, lines[len(lines)-1], &got)
	if text, _ := json.Marshal(got); string(text) != string(want) {
		t.Errorf("the last line is %s, want %s", text, want)
	}
	return list
}

func TestDoctorFindsNothingBad(t *testing.T) {
	t.Parallel()
	file, _ := doctorConfig(t, freeCCS)
	r := run("doctor", "-c", file, "--json")
	r.want(t, 0)
	for _, f := range readFindings(t, r.out) {
		if f.Result != doctor.Good {
			t.Errorf("%+v", f)
		}
	}
	r = run("doctor", "-c", file)
	r.want(t, 0)
	if !strings.Contains(r.out, "✓ fcm            shop: it takes messages for project penstock-sim\n") || !strings.HasSuffix(r.out, "0 bad, 0 could not be tried\n") {
		t.Errorf("it says\n%s", r.out)
	}
}

func TestDoctorNamesTheFix(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, sim := doctorConfig(t, fmt.Sprintf("ccs: {listen: [%q]}\n", l.Addr()))
	sim.SetAccess(fcmsim.Access{PermissionDenied: true})
	r := run("doctor", "-c", file)
	r.want(t, 1)
	for _, want := range []string{
		"✗ port           ccs.listen " + l.Addr().String() + ": another program listens there\n                 → end that program, or give another address in ccs.listen (" + file + ":",
		"✗ fcm            shop: the account may not send for project penstock-sim, or there is no such project\n                 → check project_id",
		", 2 bad, ",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
}

func TestDoctorCouldNotTry(t *testing.T) {
	t.Parallel()
	file, sim := doctorConfig(t, freeCCS)
	if err := sim.SetFault(fcmsim.Fault{Error: "E22"}); err != nil {
		t.Fatal(err)
	}
	r := run("doctor", "-c", file, "--json")
	r.want(t, 3)
	readFindings(t, r.out)
}

func TestDoctorOfAConfigurationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	file, _ := doctorConfig(t, "ccs: {listem: [\":5235\"]}\nverdict_timeoot: 1s\n")
	r := run("doctor", "-c", file)
	r.want(t, 2)
	check, _, _ := strings.Cut(run("config", "check", "-c", file).errOut, "Try ")
	if said, _, _ := strings.Cut(r.errOut, "Try "); said != check || !strings.Contains(said, "listem") || !strings.Contains(said, "timeoot") {
		t.Errorf("it says\n%s\nand config check\n%s", r.errOut, check)
	}
	r = run("doctor", "-c", file, "--json")
	r.want(t, 2)
	if list := readFindings(t, r.out); len(list) < 2 || list[0].Result != doctor.Bad || !strings.Contains(r.out, "listem") {
		t.Errorf("it says\n%s", r.out)
	}
}

func TestDoctorOfOneProject(t *testing.T) {
	t.Parallel()
	file, _ := doctorConfig(t, `    # the far end of this one is away
  - name: other
    sender_id: "4711"
    keys: [{name: backend, secret: psk_other_0123456789}]
    transport: {ccs: {endpoint: "127.0.0.1:1", key: canary_far_end_0123}}
`+freeCCS)
	run("doctor", "-c", file).want(t, 1)
	run("doctor", "-c", file, "--project", "shop").want(t, 0)
	r := run("doctor", "-c", file, "--project", "shpo")
	r.want(t, 2)
	r.wantErr(t, "shpo", "penstock project list")
}

// What is printed may be shown to others.
func TestDoctorTellsNoSecrets(t *testing.T) {
	t.Parallel()
	for _, access := range []fcmsim.Access{{}, {KeyRevoked: true}, {PermissionDenied: true}, {ScopeLacking: true}} {
		file, sim := doctorConfig(t, freeCCS)
		sim.SetAccess(access)
		text, err := os.ReadFile(sim.ServiceAccountFile())
		if err != nil {
			t.Fatal(err)
		}
		var account map[string]string
		readSome(t, string(text), &account)
		key := strings.Split(account["private_key"], "\n")[1]
		for _, args := range [][]string{{"doctor", "-c", file}, {"doctor", "-c", file, "--json"}} {
			r := run(args...)
			for _, secret := range []string{"canary", key, account["private_key_id"], "Bearer "} {
				if strings.Contains(r.out+r.errOut, secret) {
					t.Errorf("%v with %+v tells %.12s", args, access, secret)
				}
			}
		}
	}
}
