package cli

import (
	"os/exec"
	"testing"
)

func TestWordsAreWhatAShellReadsBack(t *testing.T) {
	for s, want := range map[string]string{
		"/usr/bin/penstock":         "/usr/bin/penstock",
		"./ca-1_2.pem":              "./ca-1_2.pem",
		"/home/Zoë/ca.pem":          "/home/Zoë/ca.pem",
		"":                          "''",
		"/my files/ca.pem":          "'/my files/ca.pem'",
		"/it's/ca.pem":              `'/it'\''s/ca.pem'`,
		"~/$HOME;`x`&*?[]{}|<>#!()": "'~/$HOME;`x`&*?[]{}|<>#!()'",
		"two\nlines\\":              "'two\nlines\\'",
	} {
		if got := word(s); got != want {
			t.Errorf("word(%q) = %s, want %s", s, got, want)
		}
		if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+word(s)).Output(); err != nil || string(out) != s {
			t.Errorf("a shell reads %s as %q, %v", word(s), out, err)
		}
	}
}
