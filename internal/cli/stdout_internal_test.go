package cli

import (
	"io"
	"os"
	"testing"
)

func TestATerminalIsSeenThroughTheOutlet(t *testing.T) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{f, &outlet{to: f}} {
		if !isTerminal(w) {
			t.Errorf("%T is no terminal", w)
		}
	}
	for _, w := range []io.Writer{io.Discard, &outlet{to: io.Discard}} {
		if isTerminal(w) {
			t.Errorf("%T is a terminal", w)
		}
	}
}
