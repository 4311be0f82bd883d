package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how far long work has come, on a terminal only; elsewhere
// it does nothing.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress begins work of total steps, if w is a terminal; a total below
// two is no long work. On less than 80 columns a bar with many digits would be
// wrapped, and never be wiped out whole: there is none.
func newProgress(w io.Writer, total int, what string) *progress {
	f, ok := beneath(w).(*os.File)
	if total < 2 || !ok || !isTerminal(f) {
		return &progress{}
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && columns < 80 {
		return &progress{}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("msg"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true))
	bar.StartWithoutRender() // counted from the first step, the first rate would be endless
	return &progress{bar}
}

func (p *progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

// clear makes room for a line of output; the bar comes back with the next step.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := beneath(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
