package translate

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"penstock/ccs"
)

// ParseLegacyForm reads a plain text request of the legacy HTTP protocol: one
// recipient, data.KEY=VALUE, and the few options that it knows. Of equal fields
// the last counts. The error is a *[LegacyError] as of [ParseLegacyJSON].
func ParseLegacyForm(values url.Values, opt *LegacyOptions) (*Legacy, error) {
	if opt == nil {
		opt = &LegacyOptions{}
	}
	out := &Legacy{Form: true}
	if refused := out.readForm(values, opt); refused != nil {
		if refused.Status == http.StatusOK {
			return out, refused
		}
		return nil, refused
	}
	return out, nil
}

func (l *Legacy) readForm(values url.Values, opt *LegacyOptions) *LegacyError {
	m := &l.Message
	fields := make(map[string]string, len(values))
	for name, list := range values {
		val := list[len(list)-1]
		if !utf8.ValidString(name) || !utf8.ValidString(val) {
			return formError(InvalidParameters)
		}
		key, isData := strings.CutPrefix(name, "data.")
		if !isData {
			fields[name] = val
			continue
		}
		if m.Data == nil {
			m.Data = make(map[string]string)
		}
		m.Data[key] = val
	}
	take := func(name string) string {
		val := fields[name]
		delete(fields, name)
		return val
	}
	ok := true
	flag := func(name string) bool {
		switch take(name) {
		case "true", "1":
			return true
		case "", "false", "0":
		default:
			ok = false
		}
		return false
	}
	to, ttl := take("registration_id"), take("time_to_live")
	m.CollapseKey = ccs.CollapseKey(take("collapse_key"))
	m.RestrictedPackageName = take("restricted_package_name")
	m.DryRun, m.DelayWhileIdle = flag("dry_run"), flag("delay_while_idle")
	l.Ignored = len(fields)
	switch {
	case to == "":
		return &LegacyError{Status: http.StatusOK, Code: MissingRegistration}
	case !ok, opt.RefuseUnknown && l.Ignored > 0:
		return formError(InvalidParameters)
	}
	l.Targets = []ccs.RegistrationToken{ccs.RegistrationToken(to)}
	if refused := opt.checkKeys(m.Data); refused != nil {
		return refused
	}
	if ttl == "" {
		return nil
	}
	var refused *LegacyError
	m.TTL, refused = opt.ttl(ttl)
	return refused
}

// formError is a refusal in plain text.
func formError(code string) *LegacyError {
	return &LegacyError{Status: http.StatusBadRequest, Text: "Error=" + code, Code: code}
}
