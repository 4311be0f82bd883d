package fcm

import (
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that a Retry-After may ask for. What FCM
// sends is not published; longer ones count as this.
const MaxRetryAfter = time.Hour

// ParseRetryAfter reads the value of a Retry-After: seconds, or a date in one
// of HTTP's three forms (RFC 9110, 10.2.3). A date that is over is no wait, and
// ok. What is neither counts as missing: ok is false.
func ParseRetryAfter(value string, now time.Time) (wait time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	if isDigits(value) {
		seconds, _ := strconv.ParseInt(value, 10, 64) // what no int64 holds becomes the largest
		return time.Duration(min(seconds, int64(MaxRetryAfter/time.Second))) * time.Second, true
	}
	for _, form := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if date, err := time.Parse(form, value); err == nil {
			return min(max(date.Sub(now), 0), MaxRetryAfter), true
		}
	}
	return 0, false
}
