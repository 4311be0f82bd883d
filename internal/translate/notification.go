package translate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"penstock/fcm"
)

// A notice is a legacy notification on its way to the parts of v1. What it is to
// show stays nil where a platform shows nothing of its own.
type notice struct {
	in                               map[string]string
	opt                              *Options
	contentAvailable, mutableContent bool

	common  *fcm.Notification
	android *fcm.AndroidNotification
	apple   aps
	web     json.RawMessage // of a Web Notification
	link    string          // https, for browsers

	known   int // keys of in that mean something
	ignored int // things of in that are left out
}

// An aps is the part of APNs' payload that Apple defined.
type aps struct {
	Alert            *alert          `json:"alert,omitempty"`
	Badge            *int64          `json:"badge,omitempty"`
	Sound            json.RawMessage `json:"sound,omitempty"`
	ThreadID         string          `json:"thread-id,omitempty"`
	Category         string          `json:"category,omitempty"`
	ContentAvailable int             `json:"content-available,omitempty"`
	MutableContent   int             `json:"mutable-content,omitempty"`
}

type alert struct {
	Title        string   `json:"title,omitempty"`
	Subtitle     string   `json:"subtitle,omitempty"`
	Body         string   `json:"body,omitempty"`
	TitleLocKey  string   `json:"title-loc-key,omitempty"`
	TitleLocArgs []string `json:"title-loc-args,omitempty"`
	LocKey       string   `json:"loc-key,omitempty"`
	LocArgs      []string `json:"loc-args,omitempty"`
}

// The keys of a legacy notification.
const (
	keyTitle        = "title"
	keyBody         = "body"
	keySubtitle     = "subtitle"
	keyImage        = "image"
	keyChannel      = "android_channel_id"
	keyIcon         = "icon"
	keySound        = "sound"
	keyBadge        = "badge"
	keyTag          = "tag"
	keyColor        = "color"
	keyClickAction  = "click_action"
	keyBodyLocKey   = "body_loc_key"
	keyBodyLocArgs  = "body_loc_args"
	keyTitleLocKey  = "title_loc_key"
	keyTitleLocArgs = "title_loc_args"
)

// get is the value of a key that means something; empty if there is none.
func (n *notice) get(key string) string {
	val, ok := n.in[key]
	if ok {
		n.known++
	}
	return val
}

// read fills all parts.
func (n *notice) read() error {
	if n.contentAvailable {
		n.apple.ContentAvailable = 1
	}
	if n.mutableContent {
		n.apple.MutableContent = 1
	}
	if len(n.in) == 0 {
		return nil
	}
	title, body, image := n.get(keyTitle), n.get(keyBody), n.get(keyImage)
	if title != "" || body != "" || image != "" {
		n.common = &fcm.Notification{Title: title, Body: body, Image: image}
	}
	var a fcm.AndroidNotification
	if n.opt.PassThrough {
		a = n.passThrough()
	}
	a.ChannelID, a.Tag, a.ClickAction = n.get(keyChannel), n.get(keyTag), n.get(keyClickAction)
	a.BodyLocKey, a.TitleLocKey = n.get(keyBodyLocKey), n.get(keyTitleLocKey)
	var err error
	if a.BodyLocArgs, err = n.args(keyBodyLocArgs); err != nil {
		return err
	}
	if a.TitleLocArgs, err = n.args(keyTitleLocArgs); err != nil {
		return err
	}
	if color := n.get(keyColor); isColor(color) {
		a.Color = color
	} else {
		n.drop(color)
	}
	n.readSound(&a)
	n.readBadge()
	n.readWeb(title, body, n.readIcon(&a), a.Tag)
	n.readLink(a.ClickAction)
	n.apple.Category = a.ClickAction
	if n.opt.ThreadFromTag {
		n.apple.ThreadID = a.Tag
	}
	shown := alert{
		Subtitle: n.get(keySubtitle), TitleLocKey: a.TitleLocKey, TitleLocArgs: a.TitleLocArgs,
		LocKey: a.BodyLocKey, LocArgs: a.BodyLocArgs,
	}
	if shown.Subtitle != "" || shown.TitleLocKey != "" || shown.LocKey != "" || shown.TitleLocArgs != nil || shown.LocArgs != nil {
		// What stands here hides what all platforms have in common.
		shown.Title, shown.Body = title, body
		n.apple.Alert = &shown
	}
	if !reflect.ValueOf(a).IsZero() {
		n.android = &a
	}
	n.ignored += len(n.in) - n.known
	return nil
}

// drop counts a value that is left out, if there is one.
func (n *notice) drop(val string) {
	if val != "" {
		n.ignored++
	}
}

// onApple reports whether the message shows or sounds anything on Apple devices.
func (n *notice) onApple() bool {
	return n.common != nil || n.apple.Alert != nil || n.apple.Badge != nil || n.apple.Sound != nil
}

// payload is APNs' payload; nil if there is nothing in it.
func (n *notice) payload() json.RawMessage {
	a := &n.apple
	if a.Alert == nil && a.Badge == nil && a.Sound == nil && a.ThreadID == "" && a.Category == "" &&
		a.ContentAvailable == 0 && a.MutableContent == 0 {
		return nil
	}
	return mustJSON(struct {
		APS *aps `json:"aps"`
	}{a})
}

// args are the arguments of a text that the app has in several languages: a JSON
// array as text. What is no string in it becomes its JSON text.
func (n *notice) args(key string) ([]string, error) {
	text := n.get(key)
	if text == "" {
		return nil, nil
	}
	var elements []json.RawMessage
	if json.Unmarshal([]byte(text), &elements) != nil || elements == nil {
		return nil, invalid(fcm.InvalidMessage, "message.android.notification."+key, "must be a JSON array, or one as text")
	}
	if len(elements) == 0 {
		return nil, nil
	}
	args := make([]string, len(elements))
	for i, e := range elements {
		args[i] = jsonText(e)
	}
	return args, nil
}

// isColor reports whether color is #rrggbb.
func isColor(color string) bool {
	if len(color) != 7 || color[0] != '#' {
		return false
	}
	_, err := strconv.ParseUint(color[1:], 16, 32)
	return err == nil
}

// readSound takes a file's name, or the object of a critical alert of Apple's.
func (n *notice) readSound(a *fcm.AndroidNotification) {
	sound := n.get(keySound)
	if sound == "" {
		return
	}
	if object, ok := decodeObject(sound); ok {
		a.Sound, _ = object["name"].(string)
		n.apple.Sound = mustJSON(object)
		return
	}
	a.Sound = sound
	n.apple.Sound = mustJSON(sound)
}

// readBadge takes an integer, as text too. Android's count of a notification is
// something else.
func (n *notice) readBadge() {
	text := n.get(keyBadge)
	badge, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		n.drop(text)
		return
	}
	n.apple.Badge = &badge
}

// readIcon takes a drawable's name for Android and returns an address for the
// web, which takes https only.
func (n *notice) readIcon(a *fcm.AndroidNotification) string {
	icon := n.get(keyIcon)
	switch {
	case isHTTPS(icon):
		return icon
	case strings.Contains(icon, "://"):
		n.drop(icon)
	default:
		a.Icon = icon
	}
	return ""
}

func (n *notice) readWeb(title, body, icon, tag string) {
	if !n.opt.WebTag {
		tag = ""
	}
	if icon == "" && tag == "" {
		return
	}
	// What stands here hides what all platforms have in common.
	n.web = mustJSON(struct {
		Title string `json:"title,omitempty"`
		Body  string `json:"body,omitempty"`
		Icon  string `json:"icon,omitempty"`
		Tag   string `json:"tag,omitempty"`
	}{title, body, icon, tag})
}

func (n *notice) readLink(action string) {
	if isHTTPS(action) {
		n.link = action
	}
}

func isHTTPS(text string) bool {
	if !strings.HasPrefix(text, "https://") {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != ""
}

// decodeObject reads a JSON object, its numbers digit by digit.
func decodeObject(text string) (map[string]any, bool) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var object map[string]any
	if dec.Decode(&object) != nil {
		return nil, false
	}
	_, err := dec.Token()
	return object, err == io.EOF
}

// jsonText is what a JSON value becomes where only strings may stand: a string
// what it says, anything else its compact JSON text, digit by digit.
func jsonText(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if raw[0] == '"' {
		var s string
		_ = json.Unmarshal(raw, &s) // it was read before
		return s
	}
	if raw[0] != '{' && raw[0] != '[' {
		return string(raw)
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // it was read before
	return b.String()
}

// mustJSON is v as JSON. Nothing that stands in a notice fails to be written.
func mustJSON(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("translate: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
