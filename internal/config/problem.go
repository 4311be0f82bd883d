package config

import (
	"fmt"
	"strings"
)

// Problems are all that is wrong with a configuration, a sentence each, in the
// order in which they were found.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

func (p *Problems) add(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// err is nil without problems.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// nearest finds the word that somebody may have meant: the one with the fewest
// changes to it, if those are no more than a third of its length.
func nearest(typed string, words []string) string {
	best, distance := "", 0
	for _, w := range words {
		if d := changes(typed, w); d <= max(len(w)/3, 1) && (best == "" || d < distance) {
			best, distance = w, d
		}
	}
	return best
}

// changes counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func changes(a, b string) int {
	if len(a) > 128 || len(b) > 128 {
		return 128
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
