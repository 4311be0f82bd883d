package translate

import (
	"strconv"
	"strings"
)

// LastPart is the id in a message's name, projects/P/messages/ID, as it stands
// there: also percent signs are part of it.
func LastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// MessageNumber is the id in a message's name as a JSON number, digit for digit:
// legacy senders read one in the answer about a topic. If it is none, fallback
// stands in.
func MessageNumber(name string, fallback uint64) string {
	id := LastPart(name)
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			id = ""
			break
		}
	}
	if id == "" {
		return strconv.FormatUint(fallback, 10)
	}
	if id = strings.TrimLeft(id, "0"); id == "" {
		return "0"
	}
	return id
}
