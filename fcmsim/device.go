package fcmsim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ccs"
)

// Errors about devices.
var (
	ErrUnknownToken  = errors.New("no device has this token: see Devices, or add one")
	ErrTokenTaken    = errors.New("a device has this token already: choose another one, or leave it out")
	ErrFIDTaken      = errors.New("a device has this fid already: choose another one, or leave it out")
	ErrDeviceOffline = errors.New("the device is offline or its token is dead: set it online and live first")
)

// maxReceived bounds the messages in a device's own record; the oldest goes.
const maxReceived = 1000

// A Platform is what a device runs. It decides which part of a message of HTTP
// v1 the device gets.
type Platform string

// The platforms.
const (
	PlatformAndroid Platform = "android"
	PlatformIOS     Platform = "ios"
	PlatformWeb     Platform = "web"
)

// A Device describes one app on one virtual device at one moment.
type Device struct {
	Token    ccs.RegistrationToken `json:"token"`
	FID      string                `json:"fid"` // the app's installation id; messages of HTTP v1 may name it instead
	Platform Platform              `json:"platform"`
	SenderID ccs.SenderID          `json:"sender_id"`
	Category ccs.Category          `json:"category"`
	Topics   []string              `json:"topics"` // names, without /topics/
	Online   bool                  `json:"online"`
	Live     bool                  `json:"live"` // false: the token is dead

	Stored        int        `json:"stored"`         // messages that wait until it is online
	ReceivedCount int        `json:"received_count"` // since it was made
	Received      []Delivery `json:"received,omitempty"`
}

// A Delivery is one message on a device, as the device's platform gets it. What
// it holds must not be changed.
type Delivery struct {
	Time         time.Time         `json:"t"`
	MessageID    ccs.MessageID     `json:"message_id,omitempty"`
	Topic        string            `json:"topic,omitempty"` // "/topics/NAME" or the condition that it came by
	CollapseKey  ccs.CollapseKey   `json:"collapse_key,omitempty"`
	Priority     ccs.Priority      `json:"priority,omitempty"`
	Data         map[string]string `json:"data,omitempty"`
	Notification map[string]string `json:"notification,omitempty"`
	// What follows is of messages that came by HTTP v1 only. Notification then
	// has all fields that the platform shows, by the names of the proto, values
	// that are no strings as JSON.

	// Headers are those for Apple's service, or for web push.
	Headers map[string]string `json:"headers,omitempty"`
	// Payload is what an Apple device, or a browser, gets as JSON.
	Payload json.RawMessage `json:"payload,omitempty"`
	// Raw is the message as it was sent, with the parts of all platforms.
	Raw json.RawMessage `json:"raw,omitempty"`

	// DeletedMessages marks the notice that too many messages had been stored
	// and all were dropped. It has no other field but Time.
	DeletedMessages bool `json:"deleted_messages,omitempty"`
}

// DeviceOptions are what is optional about a new device. The zero value is a
// live device that is online, with a random token.
type DeviceOptions struct {
	Token    ccs.RegistrationToken
	FID      string       // default: made of the token, so that the same token has the same one
	Platform Platform     // default: Android
	SenderID ccs.SenderID // whose messages it takes; default: the simulator's
	Category ccs.Category // default: that of [Options]
	Topics   []string     // with or without /topics/
	Offline  bool
	Dead     bool
}

// A device is guarded by the simulator's mutex.
type device struct {
	token    ccs.RegistrationToken
	fid      string
	platform Platform
	sender   ccs.SenderID
	category ccs.Category
	topics   map[string]time.Time // since when it is subscribed to which
	online   bool
	live     bool

	stored   []*storedMessage // in the order in which they will be delivered
	deleted  bool             // too many were stored: the device has to be told
	received ring[Delivery]
	minute   bucket
	hour     bucket
	burst    bucket // of collapsible messages
}

// AddDevice makes a device. A nil opt is the zero value.
func (s *Sim) AddDevice(opt *DeviceOptions) (Device, error) {
	if opt == nil {
		opt = &DeviceOptions{}
	}
	d, err := s.newDevice(opt)
	if err != nil {
		return Device{}, fmt.Errorf("fcmsim: add device: %w", err)
	}
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.addDevice(d); err != nil {
		return Device{}, fmt.Errorf("fcmsim: add device: %w", err)
	}
	return d.describe(now), nil
}

func (s *Sim) newDevice(opt *DeviceOptions) (*device, error) {
	d := &device{
		token: opt.Token, fid: opt.FID, platform: opt.Platform, sender: opt.SenderID, category: opt.Category,
		topics: make(map[string]time.Time, len(opt.Topics)),
		online: !opt.Offline, live: !opt.Dead,
		received: ring[Delivery]{max: maxReceived},
	}
	if d.token == "" {
		d.token = newToken(1)
	}
	if d.platform == "" {
		d.platform = PlatformAndroid
	}
	if d.sender == "" {
		d.sender = s.state.SenderID
	}
	if d.category == "" {
		d.category = s.opt.Category
	}
	switch {
	case strings.HasPrefix(string(d.token), topicPrefix):
		return nil, errors.New("a token must not begin with /topics/: give the topic in topics")
	case len(d.token) > 4096 || !utf8.ValidString(string(d.token)):
		return nil, errors.New("a token must be valid UTF-8 of at most 4,096 bytes")
	case d.fid != "" && !isFID(d.fid):
		return nil, errors.New("a fid has 22 characters: c, d, e or f, then letters, digits, - and _")
	case d.platform != PlatformAndroid && d.platform != PlatformIOS && d.platform != PlatformWeb:
		return nil, errors.New("the platform must be android, ios or web")
	case !isDigits(string(d.sender)):
		return nil, errors.New("the sender id is not a project number: up to 20 digits")
	}
	now := s.opt.Now()
	for _, topic := range opt.Topics {
		name := strings.TrimPrefix(topic, topicPrefix)
		if !isTopicName(name) {
			return nil, fmt.Errorf("topic %.40q is not legal: letters, digits and -_.~%% only, at most 900", topic)
		}
		d.topics[name] = now
	}
	return d, nil
}

// addDevice is called with mu held.
func (s *Sim) addDevice(d *device) error {
	if d.fid == "" {
		d.fid = s.ownFID(d.token)
	}
	switch {
	case s.devices[d.token] != nil:
		return ErrTokenTaken
	case s.fids[d.fid] != nil:
		return ErrFIDTaken
	case len(s.devices) >= maxDevices:
		return fmt.Errorf("there are %d devices already, more are not possible", maxDevices)
	}
	s.devices[d.token], s.fids[d.fid] = d, d
	s.order = append(s.order, d)
	return nil
}

// named is the device with that token or, since a FID may stand in the place of
// a token, with that FID. Called with mu held.
func (s *Sim) named(token ccs.RegistrationToken) *device {
	if d := s.devices[token]; d != nil {
		return d
	}
	return s.fids[string(token)]
}

// isFID reports whether s looks like a Firebase installation id
// (docs/fcm-http.md).
func isFID(s string) bool {
	if len(s) != 22 || s[0] < 'c' || s[0] > 'f' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ownFID is the FID for a device that was given none: the one in front of its
// token, as Google's tokens have it. Where there is none, or where an older
// token of the same app has it already, it is made of the token. Called with mu
// held.
func (s *Sim) ownFID(token ccs.RegistrationToken) string {
	if fid, _, ok := strings.Cut(string(token), ":"); ok && isFID(fid) && s.fids[fid] == nil {
		return fid
	}
	sum := sha256.Sum256([]byte(token))
	return string("cdef"[sum[31]%4]) + base64.RawURLEncoding.EncodeToString(sum[:])[:21]
}

// Devices lists all devices in the order in which they were made, those that
// are dead or another sender's too; without what they received.
func (s *Sim) Devices() []Device {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Device, len(s.order))
	for i, d := range s.order {
		list[i] = d.describe(now)
	}
	return list
}

// Device describes one device with the last 1,000 messages that it received,
// and says whether there is one with that token.
func (s *Sim) Device(token ccs.RegistrationToken) (Device, bool) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[token]
	if d == nil {
		return Device{}, false
	}
	v := d.describe(now)
	v.Received = d.received.list()
	return v, true
}

// SetDevice changes whether a device is online and whether its token is live;
// nil leaves it as it is. A device that comes online gets what was stored for
// it, in order. One whose token dies loses that.
func (s *Sim) SetDevice(token ccs.RegistrationToken, online, live *bool) error {
	now := s.opt.Now()
	s.mu.Lock()
	d := s.devices[token]
	if d == nil {
		s.mu.Unlock()
		return fmt.Errorf("fcmsim: set device %s: %w", token.Redacted(), ErrUnknownToken)
	}
	if online != nil {
		d.online = *online
	}
	if live != nil {
		d.live = *live
	}
	var out []delivered
	switch {
	case !d.live:
		d.stored, d.deleted = nil, false
	case d.online:
		out = d.deliverStored(now)
	}
	s.mu.Unlock()
	s.announce(out)
	return nil
}

func (d *device) describe(now time.Time) Device {
	d.expire(now)
	return Device{
		Token: d.token, FID: d.fid, Platform: d.platform, SenderID: d.sender, Category: d.category,
		Topics: slices.AppendSeq(make([]string, 0, len(d.topics)), maps.Keys(d.topics)),
		Online: d.online, Live: d.live,
		Stored: len(d.stored), ReceivedCount: d.received.len() + d.received.dropped,
	}.sorted()
}

func (d Device) sorted() Device {
	slices.Sort(d.Topics)
	return d
}

// follows reports whether d is subscribed to a topic that a condition names.
// Those are compared without regard to case, as Google's documentation says.
func (d *device) follows(topic string) bool {
	if _, ok := d.topics[topic]; ok {
		return true
	}
	for name := range d.topics {
		if strings.EqualFold(name, topic) {
			return true
		}
	}
	return false
}
