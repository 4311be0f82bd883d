package cli_test

import (
	"os"
	"strings"
	"testing"
)

// unread is a process whose stdout nobody reads any more, as behind head(1) that
// has ended.
func unread(t *testing.T, args ...string) result {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var errOut lockedBuffer
	cmd := command(t, nil, args...)
	cmd.Stdout, cmd.Stderr = w, &errOut
	return result{exitCode(t, cmd.Run()), "", errOut.String()}
}

func TestAStdoutThatNobodyReadsIsAFailureOfEachCommand(t *testing.T) {
	t.Parallel()
	sim, dir := newSim(t), dataDir(t)
	for name, args := range map[string][]string{
		"send":             append(sim.login(), "--to", sim.token(), "--count", "3", "--json"),
		"send in words":    append(sim.login(), "--to", sim.token()),
		"sim":              {"sim", "--ccs-listen", "127.0.0.1:0"},
		"serve":            append([]string{"serve", "--data-dir", dataDir(t)}, free...),
		"demo":             {"demo", "--once", "--duration", "1s"},
		"config check":     {"config", "check", "--data-dir", dir},
		"ca":               {"ca", "--data-dir", dir},
		"version in words": {"version"},
		"version":          {"version", "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := unread(t, args...)
			r.want(t, 1)
			r.wantErr(t, "broken pipe")
			if n := strings.Count(r.errOut, "broken pipe"); n > 1 {
				t.Errorf("it is told %d times: %s", n, r.errOut)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(sim.Record()); n != 4 {
			t.Errorf("%d messages were sent, want all four", n)
		}
	})
}
