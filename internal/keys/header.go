package keys

import (
	"net/http"
	"strings"
)

// FromHeader returns the server key that an HTTP request shows in its header
// Authorization: "key=K" or "Bearer K", the scheme in any letter case. It is
// empty where the header says something else, or is there more than once: two
// readers of such a request might see two callers. shown tells whether there
// is any such header.
func FromHeader(h http.Header) (key string, shown bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", len(values) > 0
	}
	value := strings.Trim(values[0], " \t")
	for _, scheme := range []string{"key=", "Bearer "} {
		if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
			return strings.Trim(value[len(scheme):], " \t"), true
		}
	}
	return "", true
}
