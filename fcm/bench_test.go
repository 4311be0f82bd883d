package fcm_test

import (
	"encoding/json"
	"testing"
	"time"

	"penstock/fcm"
)

// typical is a message as the bridge writes it: a token, data, a notification,
// and options for each platform.
func typical() *fcm.SendRequest {
	ttl := fcm.Duration(10 * time.Minute)
	return &fcm.SendRequest{Message: &fcm.Message{
		Token:        "dTf7Qp0zRkS5n1yWv3uXab:APA91bE4kQm8vYt2sGh6jLr0wZxCn3bVf5dSa7pOiUyTrEwQzXcVbNmLkJhGfDsApOiUyTrEwQ1234567890abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO",
		Data:         map[string]string{"score": "3-1", "match": "12345", "link": "app://match/12345?tab=live"},
		Notification: &fcm.Notification{Title: "Goal!", Body: "FC Örebro – 3:1 in the 78th minute"},
		Android: &fcm.AndroidConfig{
			CollapseKey: "score", Priority: fcm.PriorityHigh, TTL: &ttl,
			Notification: &fcm.AndroidNotification{ClickAction: "OPEN", ChannelID: "goals"},
		},
		APNS: &fcm.APNSConfig{
			Headers: map[string]string{"apns-priority": "10", "apns-collapse-id": "score", "apns-expiration": "1795000000"},
			Payload: json.RawMessage(`{"aps":{"alert":{"title":"Goal!","body":"FC Örebro – 3:1 in the 78th minute"},"badge":3,"category":"OPEN"}}`),
		},
		Webpush: &fcm.WebpushConfig{Headers: map[string]string{"TTL": "600", "Urgency": "high", "Topic": "score"}},
	}}
}

func BenchmarkAppend(b *testing.B) {
	r := typical()
	buf := r.Append(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
}

// plainMessage has the fields of a typical message in the way that encoding/json
// likes best, to compare with.
type plainMessage struct {
	Message *plainBody `json:"message"`
}

type plainBody struct {
	Token        string            `json:"token,omitempty"`
	Data         map[string]string `json:"data,omitempty"`
	Notification *struct {
		Title string `json:"title,omitempty"`
		Body  string `json:"body,omitempty"`
	} `json:"notification,omitempty"`
	Android *struct {
		CollapseKey  string `json:"collapse_key,omitempty"`
		Priority     string `json:"priority,omitempty"`
		TTL          string `json:"ttl,omitempty"`
		Notification *struct {
			ClickAction string `json:"click_action,omitempty"`
			ChannelID   string `json:"channel_id,omitempty"`
		} `json:"notification,omitempty"`
	} `json:"android,omitempty"`
	APNS *struct {
		Headers map[string]string `json:"headers,omitempty"`
		Payload json.RawMessage   `json:"payload,omitempty"`
	} `json:"apns,omitempty"`
	Webpush *struct {
		Headers map[string]string `json:"headers,omitempty"`
	} `json:"webpush,omitempty"`
}

// BenchmarkAppendEncodingJSON is what encoding/json needs for a struct that has
// nothing but the typical fields.
func BenchmarkAppendEncodingJSON(b *testing.B) {
	body := typical().Append(nil)
	var m plainMessage
	if err := json.Unmarshal(body, &m); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSendRequest(b *testing.B) {
	body := typical().Append(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fcm.ParseSendRequest(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseEncodingJSON reads the typical fields only.
func BenchmarkParseEncodingJSON(b *testing.B) {
	body := typical().Append(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var m plainMessage
		if err := json.Unmarshal(body, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	r := typical()
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseReply(b *testing.B) {
	body := []byte("{\n  \"name\": \"projects/demo/messages/0:1500415314455276%31bd1c9631bd1c96\"\n}\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := fcm.ParseReply(body); !ok {
			b.Fatal("no reply")
		}
	}
}
