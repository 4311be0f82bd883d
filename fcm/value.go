package fcm

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// unquote is what a JSON string that was scanned stands for.
func unquote(raw json.RawMessage) string {
	s := scanner{src: raw}
	text, _ := s.text()
	return string(text)
}

// parseDuration reads digits, perhaps a point and up to nine more, and an s. why
// is Google's reason where it does not fit.
func parseDuration(name string, k kind, text string) (d Duration, why string) {
	why = "Field '" + name + "', Illegal duration format; duration must end with 's'"
	number, ok := strings.CutSuffix(text, "s")
	if k != kindString || !ok {
		return 0, why
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if !isDigits(whole) || point && !isDigits(fraction) || len(fraction) > 9 {
		return 0, why
	}
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds >= int64(1<<63-1)/int64(time.Second) {
		return 0, "Field '" + name + "', Duration value exceeds limits"
	}
	d = Duration(seconds) * Duration(time.Second)
	if point {
		nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		d += Duration(nanos)
	}
	if negative {
		d = -d
	}
	return d, ""
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

func isDate(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

// parseInt32 takes a number, or a string that holds one, that is whole.
func parseInt32(k kind, raw json.RawMessage, text string) (int32, bool) {
	n, ok := parseFloat(k, raw, text)
	if i := int32(n); ok && float64(i) == n {
		return i, true
	}
	return 0, false
}

// parseFloat takes a number, or a string that holds one.
func parseFloat(k kind, raw json.RawMessage, text string) (float64, bool) {
	switch k {
	case kindNumber:
		text = string(raw)
	case kindString:
		s := scanner{src: []byte(text)}
		if !s.number() || s.pos < len(text) {
			return 0, false
		}
	default:
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}
