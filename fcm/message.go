package fcm

import (
	"encoding/json"
	"time"
)

// A ProjectID names a project of Firebase: its id, or its number without padding.
type ProjectID string

// Unknown are fields of one object that the schema does not know, by the name
// under which they came. They are written as they are.
type Unknown map[string]json.RawMessage

// A Duration is written as seconds with a unit: "3s", "3.5s", at most nine digits
// behind the point.
type Duration time.Duration

// A SendRequest is the body of a send.
type SendRequest struct {
	Message      *Message `json:"message" proto:"Message"`
	ValidateOnly bool     `json:"validate_only"`
	Unknown      Unknown  `json:"-"`
}

// A Message is one message to one target. Exactly one of FID, Token, Topic and
// Condition is set; Android and AndroidV2 exclude each other.
type Message struct {
	Name         string            `json:"name"` // of a reply only
	Data         map[string]string `json:"data"`
	Notification *Notification     `json:"notification" proto:"Notification"`
	Android      *AndroidConfig    `json:"android" proto:"AndroidConfig"`
	AndroidV2    *AndroidConfigV2  `json:"android_v2" proto:"AndroidConfigV2"`
	Webpush      *WebpushConfig    `json:"webpush" proto:"WebpushConfig"`
	APNS         *APNSConfig       `json:"apns" proto:"ApnsConfig"`
	Options      *Options          `json:"fcm_options" proto:"FcmOptions"`
	FID          string            `json:"fid" oneof:"target"`
	Token        string            `json:"token" oneof:"target"` // a registration token, a FID, or the notification key of a device group
	Topic        string            `json:"topic" oneof:"target"` // without /topics/
	Condition    string            `json:"condition" oneof:"target"`
	Unknown      Unknown           `json:"-"`
}

// A Notification is what all platforms show.
type Notification struct {
	Title   string  `json:"title"`
	Body    string  `json:"body"`
	Image   string  `json:"image"`
	Unknown Unknown `json:"-"`
}

// Options are for the console's statistics.
type Options struct {
	AnalyticsLabel string  `json:"analytics_label"`
	Unknown        Unknown `json:"-"`
}

// An AndroidPriority is normal or high; upper and lower case are alike.
type AndroidPriority string

// The priorities, as they are written.
const (
	PriorityNormal AndroidPriority = "normal"
	PriorityHigh   AndroidPriority = "high"
)

// MaxTTL is the longest time to live, and the default: four weeks.
const MaxTTL = 28 * 24 * time.Hour

// An AndroidConfig is the part for Android.
type AndroidConfig struct {
	CollapseKey            string               `json:"collapse_key"`
	Priority               AndroidPriority      `json:"priority" enum:"AndroidMessagePriority"`
	TTL                    *Duration            `json:"ttl"` // nil: absent, which means MaxTTL; 0: now or never
	RestrictedPackageName  string               `json:"restricted_package_name"`
	Data                   map[string]string    `json:"data"` // in place of the message's
	Notification           *AndroidNotification `json:"notification" proto:"AndroidNotification"`
	Options                *Options             `json:"fcm_options" proto:"AndroidFcmOptions"`
	DirectBootOK           bool                 `json:"direct_boot_ok"`
	BandwidthConstrainedOK bool                 `json:"bandwidth_constrained_ok"`
	RestrictedSatelliteOK  bool                 `json:"restricted_satellite_ok"`
	Unknown                Unknown              `json:"-"`
}

// An AndroidNotification is what Android shows. Color is #rrggbb, EventTime a
// date of RFC 3339; enumerations are their names.
type AndroidNotification struct {
	Title                   string         `json:"title"`
	Body                    string         `json:"body"`
	Icon                    string         `json:"icon"`
	Color                   string         `json:"color"`
	Sound                   string         `json:"sound"`
	Tag                     string         `json:"tag"`
	ClickAction             string         `json:"click_action"`
	BodyLocKey              string         `json:"body_loc_key"`
	BodyLocArgs             []string       `json:"body_loc_args"`
	TitleLocKey             string         `json:"title_loc_key"`
	TitleLocArgs            []string       `json:"title_loc_args"`
	ChannelID               string         `json:"channel_id"`
	Ticker                  string         `json:"ticker"`
	Sticky                  bool           `json:"sticky"`
	EventTime               string         `json:"event_time" proto:"google.protobuf.Timestamp"`
	LocalOnly               bool           `json:"local_only"`
	NotificationPriority    string         `json:"notification_priority" enum:"AndroidNotification.NotificationPriority"`
	DefaultSound            bool           `json:"default_sound"`
	DefaultVibrateTimings   bool           `json:"default_vibrate_timings"`
	DefaultLightSettings    bool           `json:"default_light_settings"`
	VibrateTimings          []Duration     `json:"vibrate_timings"`
	Visibility              string         `json:"visibility" enum:"AndroidNotification.Visibility"`
	NotificationCount       *int32         `json:"notification_count"`
	LightSettings           *LightSettings `json:"light_settings" proto:"LightSettings"`
	Image                   string         `json:"image"`
	BypassProxyNotification bool           `json:"bypass_proxy_notification"`
	Proxy                   string         `json:"proxy" enum:"AndroidNotification.Proxy"`
	Unknown                 Unknown        `json:"-"`
}

// LightSettings need all three of their fields.
type LightSettings struct {
	Color            *Color    `json:"color" proto:"google.type.Color"`
	LightOnDuration  *Duration `json:"light_on_duration"`
	LightOffDuration *Duration `json:"light_off_duration"`
	Unknown          Unknown   `json:"-"`
}

// A Color has parts from 0 to 1; a nil Alpha is opaque.
type Color struct {
	Red     float64  `json:"red"`
	Green   float64  `json:"green"`
	Blue    float64  `json:"blue"`
	Alpha   *float64 `json:"alpha"`
	Unknown Unknown  `json:"-"`
}

// An AndroidConfigV2 is the newer part for Android. It has no priority: a
// RemoteNotification is delivered at once, a BackgroundSync when it suits.
type AndroidConfigV2 struct {
	CollapseKey            string                     `json:"collapse_key"`
	TTL                    *Duration                  `json:"ttl"`
	RestrictedPackageName  string                     `json:"restricted_package_name"`
	Data                   map[string]string          `json:"data"`
	Options                *Options                   `json:"fcm_options" proto:"AndroidFcmOptions"`
	DirectBootOK           bool                       `json:"direct_boot_ok"`
	BandwidthConstrainedOK bool                       `json:"bandwidth_constrained_ok"`
	RestrictedSatelliteOK  bool                       `json:"restricted_satellite_ok"`
	BackgroundSync         *BackgroundSync            `json:"background_sync" proto:"AndroidBackgroundSync"`
	RemoteNotification     *AndroidRemoteNotification `json:"remote_notification" proto:"AndroidRemoteNotification"`
	Unknown                Unknown                    `json:"-"`
}

// A BackgroundSync has no fields so far.
type BackgroundSync struct {
	Unknown Unknown `json:"-"`
}

// An AndroidRemoteNotification is for the user's eyes.
type AndroidRemoteNotification struct {
	MutableContent     bool                   `json:"mutable_content"`
	Notification       *AndroidNotificationV2 `json:"notification" proto:"AndroidNotificationV2"`
	UseAsV1DataMessage bool                   `json:"use_as_v1_data_message"`
	Unknown            Unknown                `json:"-"`
}

// An AndroidNotificationV2 is what newer clients show; (Tag, ID) is its identity.
type AndroidNotificationV2 struct {
	ID                    *int32         `json:"id"`
	Title                 string         `json:"title"`
	Body                  string         `json:"body"`
	Icon                  string         `json:"icon"`
	Color                 string         `json:"color"`
	Sound                 string         `json:"sound"`
	Tag                   string         `json:"tag"`
	ClickAction           string         `json:"click_action"`
	BodyLocKey            string         `json:"body_loc_key"`
	BodyLocArgs           []string       `json:"body_loc_args"`
	TitleLocKey           string         `json:"title_loc_key"`
	TitleLocArgs          []string       `json:"title_loc_args"`
	ChannelID             string         `json:"channel_id"`
	Ticker                string         `json:"ticker"`
	Sticky                bool           `json:"sticky"`
	EventTime             string         `json:"event_time" proto:"google.protobuf.Timestamp"`
	LocalOnly             bool           `json:"local_only"`
	NotificationPriority  string         `json:"notification_priority" enum:"AndroidNotificationV2.NotificationPriority"`
	DefaultSound          bool           `json:"default_sound"`
	DefaultVibrateTimings bool           `json:"default_vibrate_timings"`
	DefaultLightSettings  bool           `json:"default_light_settings"`
	VibrateTimings        []Duration     `json:"vibrate_timings"`
	Visibility            string         `json:"visibility" enum:"AndroidNotificationV2.Visibility"`
	NotificationCount     *int32         `json:"notification_count"`
	LightSettings         *LightSettings `json:"light_settings" proto:"LightSettings"`
	Image                 string         `json:"image"` // HTTPS
	Unknown               Unknown        `json:"-"`
}

// An APNSConfig is the part for Apple devices.
type APNSConfig struct {
	Headers           map[string]string `json:"headers"`
	Payload           json.RawMessage   `json:"payload"` // an object: aps, and keys of the app's own
	Options           *APNSOptions      `json:"fcm_options" proto:"ApnsFcmOptions"`
	LiveActivityToken string            `json:"live_activity_token"`
	Unknown           Unknown           `json:"-"`
}

// APNSOptions are options for Apple devices.
type APNSOptions struct {
	AnalyticsLabel string  `json:"analytics_label"`
	Image          string  `json:"image"`
	Unknown        Unknown `json:"-"`
}

// A WebpushConfig is the part for browsers. Headers are those of RFC 8030.
type WebpushConfig struct {
	Headers      map[string]string `json:"headers"`
	Data         map[string]string `json:"data"`
	Notification json.RawMessage   `json:"notification"` // an object: options of a Web Notification
	Options      *WebpushOptions   `json:"fcm_options" proto:"WebpushFcmOptions"`
	Unknown      Unknown           `json:"-"`
}

// WebpushOptions are options for browsers.
type WebpushOptions struct {
	Link           string  `json:"link"` // HTTPS
	AnalyticsLabel string  `json:"analytics_label"`
	Unknown        Unknown `json:"-"`
}
