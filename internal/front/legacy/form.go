package legacy

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"penstock/ccs"
)

// parseForm reads the body of a plain text request, which has one recipient.
// The error is always a *fault. Of equal keys the last counts; flags are "1" or
// "true", and their opposites (docs/fcm-http.md, Legacy HTTP).
func parseForm(body []byte) (*request, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("InvalidParameters: the body is no form of key=value pairs, joined by & and percent-encoded")
	}
	q := &request{plain: true}
	m := &q.message
	var target, ttl string
	for key, list := range values {
		val := list[len(list)-1]
		if !utf8.ValidString(key) || !utf8.ValidString(val) {
			return nil, invalid("InvalidParameters: the body is not valid UTF-8")
		}
		ok := true
		switch key {
		case keyRegistrationID:
			target = val
		case keyCollapseKey:
			m.CollapseKey = ccs.CollapseKey(val)
		case keyTTL:
			ttl = val
			ok = strings.Trim(strings.TrimPrefix(val, "-"), "0123456789") == ""
		case keyPackage:
			m.RestrictedPackageName = val
		case keyDryRun:
			m.DryRun, ok = parseFlag(val)
		case keyDelayWhileIdle:
			m.DelayWhileIdle, ok = parseFlag(val)
		default:
			if name, isData := strings.CutPrefix(key, "data."); isData {
				if m.Data == nil {
					m.Data = make(map[string]string)
				}
				m.Data[name] = val
			}
		}
		if !ok {
			return nil, invalid("InvalidParameters: Field %q has the value %s", key, shorten(val))
		}
	}
	if target != "" {
		q.tokens = []string{target}
	}
	q.check(ttl, target == "")
	return q, nil
}

func parseFlag(s string) (on, ok bool) {
	switch strings.ToLower(s) {
	case "1", "true":
		return true, true
	case "", "0", "false":
		return false, true
	}
	return false, false
}
