package doctor

import (
	"strings"
	"unicode"
)

// A Result is how a check went.
type Result string

// The results.
const (
	Good    Result = "good"
	Warning Result = "warning" // messages go out all the same, or will for some time
	Bad     Result = "bad"     // messages do not go out, or the server does not start
	Unknown Result = "unknown" // it could not be tried
)

// A Finding is what one check found out.
type Finding struct {
	Check   string `json:"check"`   // a word of a closed set, such as port
	Subject string `json:"subject"` // what was looked at: a setting, a file, a host, a project
	Result  Result `json:"result"`
	Text    string `json:"text"`
	Fix     string `json:"fix"` // what to do; empty: nothing
}

// A Summary counts findings by their result.
type Summary struct{ Good, Warning, Bad, Unknown int }

func (s *Summary) add(r Result) {
	switch r {
	case Good:
		s.Good++
	case Warning:
		s.Warning++
	case Bad:
		s.Bad++
	case Unknown:
		s.Unknown++
	}
}

// textMax is how many bytes of a text that others wrote are shown.
const textMax = 600

// oneLine makes a text that a far end may have had a hand in fit for a terminal:
// no control characters, and an end.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > textMax {
		text = strings.ToValidUTF8(text[:textMax], "") + "…"
	}
	return text
}
