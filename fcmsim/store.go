package fcmsim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// What FCM stores for a device that is offline (docs/protocol.md, Limits).
const (
	maxStored       = 100 // non-collapsible messages
	maxCollapseKeys = 4   // collapse keys with a stored message
)

// A parcel is a message on its way to devices of one platform, whichever face
// it came by.
type parcel struct {
	id           ccs.MessageID
	target       ccs.RegistrationToken // what it was sent to: a token, a topic, a condition
	direct       bool                  // to the device itself, by one of its addresses
	receipt      bool                  // the sender asked for one
	pkg          string                // the app that it is restricted to; empty: none
	ttl          *time.Duration        // nil: the longest
	collapse     ccs.CollapseKey
	priority     ccs.Priority
	shown        bool // it came by v1, and is for the user's eyes
	data         map[string]string
	notification map[string]string
	headers      map[string]string
	payload, raw json.RawMessage
}

// parcelOf is a message of CCS: it is the same for all platforms.
func parcelOf(m *ccs.Downstream) *parcel {
	return &parcel{
		id: m.MessageID, target: m.Target(), pkg: m.RestrictedPackageName, ttl: m.TTL,
		direct:   m.Condition == "" && !strings.HasPrefix(string(m.To), topicPrefix),
		receipt:  m.DeliveryReceiptRequested,
		collapse: m.CollapseKey, priority: m.Priority, data: m.Data, notification: m.Notification,
	}
}

type storedMessage struct {
	m       *parcel
	entry   *entry
	expires time.Time
}

// A delivered message has still to be told to others, without the mutex.
type delivered struct {
	device   *device
	m        *parcel // nil: a notice
	delivery Delivery
}

// take gives m to the device, or stores it until the device is online. It
// appends to out what was delivered.
func (d *device) take(m *parcel, e *entry, now time.Time, out []delivered) []delivered {
	if d.online {
		return append(out, d.give(m, e, now))
	}
	ttl := ccs.MaxTTL
	if m.ttl != nil {
		ttl = *m.ttl
	}
	if ttl > 0 { // else: now or never
		d.store(&storedMessage{m: m, entry: e, expires: now.Add(ttl)}, now)
	}
	return out
}

func (d *device) give(m *parcel, e *entry, now time.Time) delivered {
	got := Delivery{
		Time: now, MessageID: m.id, CollapseKey: m.collapse, Priority: m.priority,
		Data: m.data, Notification: m.notification, Headers: m.headers, Payload: m.payload, Raw: m.raw,
	}
	if !m.direct {
		got.Topic = string(m.target)
	}
	d.received.add(got)
	e.DeliveredTo = append(e.DeliveredTo, d.token)
	return delivered{d, m, got}
}

// store keeps a message by FCM's rules. The newest of a collapse key replaces
// the older one. A fifth collapse key drives out the oldest collapsible
// message: FCM promises only that four are kept, not which. The 101st message
// without a collapse key drops all of these, itself too; the device is told so
// when it is online again.
func (d *device) store(msg *storedMessage, now time.Time) {
	d.expire(now)
	key := d.key(msg.m)
	if key == "" {
		plain := func(o *storedMessage) bool { return d.key(o.m) == "" }
		n := 0
		for _, o := range d.stored {
			if plain(o) {
				n++
			}
		}
		if n >= maxStored {
			d.stored = slices.DeleteFunc(d.stored, plain)
			d.deleted = true
			return
		}
	} else {
		d.stored = slices.DeleteFunc(d.stored, func(o *storedMessage) bool { return d.key(o.m) == key })
		oldest, keys := -1, 0
		for i, o := range d.stored {
			if d.key(o.m) == "" {
				continue
			}
			if keys++; oldest < 0 {
				oldest = i
			}
		}
		if keys >= maxCollapseKeys {
			d.stored = slices.Delete(d.stored, oldest, oldest+1)
		}
	}
	d.stored = append(d.stored, msg)
}

// key is what a message is collapsed by; empty: by nothing. What v1 shows to the
// user on Android always has one, the app's name if no other (docs/fcm-http.md,
// Quotas).
func (d *device) key(m *parcel) ccs.CollapseKey {
	if m.collapse == "" && m.shown && d.platform == PlatformAndroid {
		return ccs.CollapseKey(d.category)
	}
	return m.collapse
}

func (d *device) expire(now time.Time) {
	d.stored = slices.DeleteFunc(d.stored, func(o *storedMessage) bool { return !now.Before(o.expires) })
}

func (d *device) deliverStored(now time.Time) []delivered {
	d.expire(now)
	var out []delivered
	if d.deleted {
		d.deleted = false
		notice := Delivery{Time: now, DeletedMessages: true}
		d.received.add(notice)
		out = append(out, delivered{d, nil, notice})
	}
	for _, o := range d.stored {
		out = append(out, d.give(o.m, o.entry, now))
	}
	d.stored = nil
	return out
}

// announce tells others what devices got: whoever watches, and the app server
// that asked for receipts. Only messages to a token have receipts: nobody has
// recorded one for a topic. A receipt that finds too many others waiting is
// dropped, as receipts may be. Called without the mutex.
func (s *Sim) announce(list []delivered) {
	for _, d := range list {
		if f := s.opt.Events.Delivered; f != nil {
			f(d.device.token, d.delivery)
		}
		if d.m == nil || !d.m.receipt || d.delivery.Topic != "" {
			continue
		}
		// A receipt that finds no room is lost, as it was with Google.
		_ = s.srv.Offer(d.device.sender, &ccs.Receipt{
			MessageID:         ccs.ReceiptIDs + d.m.id,
			Category:          d.device.category,
			Status:            ccs.StatusSentToDevice,
			OriginalMessageID: d.m.id,
			Device:            d.device.token,
			SentAt:            d.delivery.Time,
		}, ccsserver.OfferOptions{})
	}
}
