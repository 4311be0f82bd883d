package fcmsim

import (
	"fmt"
	"strconv"
	"time"

	"penstock/ccs"
)

// address is the device that a message is for; nil: it has none such. Called
// with mu held.
func (s *Sim) address(v *sender) *device {
	switch v.kind {
	case toToken:
		return s.named(ccs.RegistrationToken(v.target))
	case toFID:
		return s.fids[v.target]
	}
	return nil
}

// other is the device's address that is not this one.
func (d *device) other(address ccs.RegistrationToken) ccs.RegistrationToken {
	switch {
	case d == nil:
		return ""
	case d.token == address:
		return ccs.RegistrationToken(d.fid)
	}
	return d.token
}

// verdictV1 decides what becomes of a message and does it. d is whom it is
// addressed to. Called with mu held.
func (s *Sim) verdictV1(v *sender, d *device, e *entry, now time.Time) ([]delivered, *apiError) {
	switch v.kind {
	case toTopic:
		v.id = s.digitsID(now)
		return s.publishV1(v, e, now, func(d *device) bool { _, on := d.topics[v.target]; return on }), nil
	case toCondition:
		v.id = s.digitsID(now)
		return s.publishV1(v, e, now, func(d *device) bool { return v.condition(d.follows) }), nil
	}
	v.id = s.tokenID(now)
	if d == nil {
		members, ok := s.groupMembers(v.target)
		switch {
		case v.kind == toToken && ok:
			return s.multicast(v, members, e, now), nil
		case v.kind == toFID && isFID(v.target):
			return nil, errUnregistered()
		case v.kind == toFID:
			return nil, errBadToken("message.fid")
		}
		return nil, errBadToken("message.token")
	}
	p := v.parcel(d.platform, now)
	switch {
	case d.sender != s.state.SenderID:
		return nil, errSenderMismatch()
	case !d.live && d.platform != PlatformIOS:
		return nil, errUnregistered()
	case !d.admits(p):
		return nil, badField("message.android.restricted_package_name", "The restricted package name is not that of the app with this token.")
	case d.platform == PlatformIOS && !p.shown && v.applePriority() == "10":
		return nil, badField("message.apns.headers.apns-priority", "Data messages to Apple devices need apns-priority 5.")
	case s.opt.Quotas == QuotasGoogle && !d.admit(p, now):
		err := errQuota("Device")
		err.setHeader("Retry-After", s.opt.RetryAfter)
		return nil, err
	case v.validateOnly:
		v.id = "fake_message_id"
		return nil, nil
	case !d.live && s.opt.AppleGone == "E10":
		return nil, errAPNSDisabled()
	case !d.live:
		return nil, errAPNSUnregistered()
	}
	return d.take(p, e, now, nil), nil
}

func (v *v1Send) applePriority() string {
	text, _ := v.header(v.apns, "apns-priority")
	return text
}

// publishV1 hands a message to every live device of the project that on chooses.
func (s *Sim) publishV1(v *sender, e *entry, now time.Time, on func(*device) bool) []delivered {
	if v.validateOnly {
		return nil
	}
	var out []delivered
	for _, d := range s.order {
		if d.live && d.sender == s.state.SenderID && on(d) {
			if p := v.parcel(d.platform, now); d.admits(p) {
				out = d.take(p, e, now, out)
			}
		}
	}
	return out
}

// multicast hands a message to the members of a device group. v1 has no word
// for those that it does not reach.
func (s *Sim) multicast(v *sender, members []*device, e *entry, now time.Time) []delivered {
	if v.validateOnly {
		v.id = "fake_message_id"
		return nil
	}
	var out []delivered
	for _, d := range members {
		if p := v.parcel(d.platform, now); d.live && d.admits(p) && (s.opt.Quotas != QuotasGoogle || d.admit(p, now)) {
			out = d.take(p, e, now, out)
		}
	}
	return out
}

// digitsID is the id of a message to a topic or a condition: more than a
// float64 can hold. Called with mu held.
func (s *Sim) digitsID(now time.Time) ccs.MessageID {
	s.lastID = max(s.lastID+1, now.UnixNano())
	return ccs.MessageID(strconv.FormatInt(s.lastID, 10))
}

// tokenID is the id of a message to a token: microseconds, and what looks like
// an escaped octet. Called with mu held.
func (s *Sim) tokenID(now time.Time) ccs.MessageID {
	s.lastID = max(s.lastID+1, now.UnixNano())
	tail := uint32(s.lastID) & 0xffffff
	return ccs.MessageID(fmt.Sprintf("0:%d%%31%06x31%06x", s.lastID/1000, tail, tail))
}
