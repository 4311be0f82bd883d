package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What serve prints can be used as it stands: addresses can be dialled, and files
// be found from elsewhere.
func TestServePrintsWhatCanBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := func(t *testing.T, args ...string) *process {
		t.Helper()
		cmd := command(t, nil, append([]string{"serve", "--data-dir", "data"}, args...)...)
		cmd.Dir = dir
		return startCommand(t, cmd)
	}
	ca := filepath.Join(dir, "data", "ca.pem")

	t.Run("in words", func(t *testing.T) {
		p := serve(t, "--ccs-listen", ":0", "--ccs-listen", "0.0.0.0:0", "--http-listen", "[::]:0", "--admin-listen", "")
		var text strings.Builder
		for !strings.Contains(text.String(), "certificate") {
			text.WriteString(p.line())
		}
		r := p.terminate()
		r.want(t, 0)
		got := text.String()
		if strings.Contains(got, "[::]") || strings.Contains(got, "0.0.0.0") || strings.Count(got, "localhost:") != 3 {
			t.Errorf("not every address can be dialled:\n%s", got)
		}
		if !strings.Contains(got, "  health       none\n") {
			t.Errorf("there is no admin listener, and it says:\n%s", got)
		}
		if !strings.Contains(got, " "+ca+"\n") {
			t.Errorf("there is no %s in\n%s", ca, got)
		}
	})
	t.Run("in JSON", func(t *testing.T) {
		p := serve(t, "--json", "--ccs-listen", ":0", "--http-listen", ":0", "--admin-listen", ":0")
		line := p.line()
		p.terminate().want(t, 0)
		var l serveLine
		readSome(t, line, &l)
		if l.CAFile != ca || strings.Contains(line, "[::]") {
			t.Errorf("got %s; want the CA at %s", line, ca)
		}
	})
	t.Run("without a CA", func(t *testing.T) {
		p := serve(t, "--json", "--ccs-listen", "", "--http-listen", ":0", "--admin-listen", "")
		line := p.line()
		p.terminate().want(t, 0)
		if !strings.Contains(line, `"ca_file":""`) {
			t.Errorf("got %s", line)
		}
	})
	t.Run("with a simulator", func(t *testing.T) {
		p := serve(t, "--sim", "--json", "--control-listen", ":0")
		var l serveLine
		readSome(t, p.line(), &l)
		r := p.terminate()
		r.want(t, 0)
		if l.CAFile != ca || strings.Contains(r.errOut, "[::]") || !strings.Contains(r.errOut, strings.TrimPrefix(l.SimControl, "http://")) {
			t.Errorf("the CA is at %s, want %s; the control API at %s; stderr %s", l.CAFile, ca, l.SimControl, r.errOut)
		}
	})
	t.Run("by ca", func(t *testing.T) {
		cmd := command(t, nil, "ca", "--json", "--data-dir", "data")
		cmd.Dir = dir
		out, err := cmd.Output()
		var l serveLine
		if err != nil || json.Unmarshal(out, &l) != nil || l.CAFile != ca {
			t.Errorf("got %s, %v; want the CA at %s", out, err, ca)
		}
	})
}
