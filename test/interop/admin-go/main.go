// Command admin-go is an ordinary program on the Firebase Admin SDK for Go. It
// reads what to do from the file that its argument names, and tells by lines of
// JSON what the SDK made of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/errorutils"
	"firebase.google.com/go/v4/messaging"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

// An order is what the test wants.
type order struct {
	ProjectID          string   `json:"project_id"`
	ServiceAccountFile string   `json:"service_account_file"` // or
	Bearer             string   `json:"bearer"`               // a key in place of an access token
	Endpoint           string   `json:"endpoint"`             // empty: Google's name
	Steps              []string `json:"steps"`
	Live               []string `json:"live"`
	Dead               string   `json:"dead"`
	Foreign            string   `json:"foreign"`
	Topic              string   `json:"topic"`
	Each               int      `json:"each"`
}

// A result is one line for the test. Code is the SDK's own word.
type result struct {
	Step    string         `json:"step"`
	OK      bool           `json:"ok"`
	Name    string         `json:"name,omitempty"`
	Code    string         `json:"code,omitempty"`
	Error   string         `json:"error,omitempty"`
	Success int            `json:"success,omitempty"`
	Failure int            `json:"failure,omitempty"`
	Codes   map[string]int `json:"codes,omitempty"`
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "admin-go:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	var opts []option.ClientOption
	if o.Bearer != "" {
		opts = append(opts, option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: o.Bearer})))
	} else {
		opts = append(opts, option.WithCredentialsFile(o.ServiceAccountFile))
	}
	if o.Endpoint != "" {
		opts = append(opts, option.WithEndpoint(o.Endpoint))
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: o.ProjectID}, opts...)
	if err != nil {
		return err
	}
	client, err := app.Messaging(ctx)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, step := range o.Steps {
		r := do(ctx, client, &o, step)
		r.Step = step
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func do(ctx context.Context, client *messaging.Client, o *order, step string) result {
	one := func(m *messaging.Message) result {
		name, err := client.Send(ctx, m)
		return outcome(name, err)
	}
	switch step {
	case "send":
		return one(message(o.Live[0], 0))
	case "dry_run":
		name, err := client.SendDryRun(ctx, message(o.Live[0], 0))
		return outcome(name, err)
	case "dead":
		return one(message(o.Dead, 0))
	case "foreign":
		return one(message(o.Foreign, 0))
	case "malformed":
		return one(message("x", 0))
	case "topic":
		return one(&messaging.Message{Topic: o.Topic, Data: map[string]string{"step": step}})
	case "condition":
		return one(&messaging.Message{Condition: "'" + o.Topic + "' in topics", Data: map[string]string{"step": step}})
	case "each":
		batch, err := client.SendEach(ctx, o.messages())
		if err != nil {
			return outcome("", err)
		}
		r := result{OK: true, Success: batch.SuccessCount, Failure: batch.FailureCount, Codes: map[string]int{}}
		for _, response := range batch.Responses {
			if response.Error != nil {
				r.Codes[code(response.Error)]++
			}
		}
		return r
	case "subscribe", "unsubscribe":
		call := client.SubscribeToTopic
		if step == "unsubscribe" {
			call = client.UnsubscribeFromTopic
		}
		response, err := call(ctx, []string{o.Live[0], o.Dead}, o.Topic)
		if err != nil {
			return outcome("", err)
		}
		return result{OK: true, Success: response.SuccessCount, Failure: response.FailureCount}
	}
	return result{Error: "unknown step"}
}

// messages are o.Each ones: the last to a dead token, the one before to a foreign one.
func (o *order) messages() (list []*messaging.Message) {
	for i := range o.Each {
		token := o.Live[i%len(o.Live)]
		switch i {
		case o.Each - 2:
			token = o.Foreign
		case o.Each - 1:
			token = o.Dead
		}
		list = append(list, message(token, i))
	}
	return list
}

// message uses what a message of this SDK can have.
func message(token string, n int) *messaging.Message {
	badge := 3
	return &messaging.Message{
		Token:        token,
		Data:         map[string]string{"n": fmt.Sprint(n), "text": `Grüße & "quotes" <b>bold</b>`},
		Notification: &messaging.Notification{Title: "Goal", Body: "2:1"},
		Android: &messaging.AndroidConfig{Priority: "high", CollapseKey: "score",
			Notification: &messaging.AndroidNotification{ChannelID: "goals", Color: "#00ff00"}},
		APNS: &messaging.APNSConfig{Headers: map[string]string{"apns-priority": "10"},
			Payload: &messaging.APNSPayload{Aps: &messaging.Aps{Badge: &badge, Sound: "default"}}},
		Webpush:    &messaging.WebpushConfig{Headers: map[string]string{"TTL": "600"}},
		FCMOptions: &messaging.FCMOptions{AnalyticsLabel: "interop"},
	}
}

func outcome(name string, err error) result {
	if err == nil {
		return result{OK: true, Name: name}
	}
	return result{Code: code(err), Error: err.Error()}
}

// code is the first of the SDK's predicates that says yes.
func code(err error) string {
	for _, p := range []struct {
		name string
		is   func(error) bool
	}{
		{"unregistered", messaging.IsUnregistered},
		{"sender-id-mismatch", messaging.IsSenderIDMismatch},
		{"third-party-auth-error", messaging.IsThirdPartyAuthError},
		{"quota-exceeded", messaging.IsQuotaExceeded},
		{"unavailable", messaging.IsUnavailable},
		{"internal", messaging.IsInternal},
		{"invalid-argument", messaging.IsInvalidArgument},
		{"unauthenticated", errorutils.IsUnauthenticated},
		{"permission-denied", errorutils.IsPermissionDenied},
		{"resource-exhausted", errorutils.IsResourceExhausted},
	} {
		if p.is(err) {
			return p.name
		}
	}
	return "other"
}
