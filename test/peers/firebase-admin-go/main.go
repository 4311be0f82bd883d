// Program firebase-admin-go is a peer for penstock bench fcm: Google's Admin SDK
// for Go, which sends batches of 500 messages, one after the other.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

// batch is how many messages SendEach takes at most.
const batch = 500

func main() {
	line, err := run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		os.Exit(1)
	}
}

// A line is what the benchmark is told.
type line struct {
	Name     string  `json:"name"`
	Messages int     `json:"messages"`
	Seconds  float64 `json:"seconds"`
}

func run(ctx context.Context) (line, error) {
	warmUp, err := milliseconds("PENSTOCK_BENCH_WARM_UP_MS")
	if err != nil {
		return line{}, err
	}
	limit, err := milliseconds("PENSTOCK_BENCH_TIME_MS")
	if err != nil {
		return line{}, err
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: os.Getenv("PENSTOCK_BENCH_PROJECT")},
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("PENSTOCK_BENCH_ACCESS_TOKEN")})),
		option.WithEndpoint(os.Getenv("PENSTOCK_BENCH_URL")+"/v1"))
	if err != nil {
		return line{}, err
	}
	client, err := app.Messaging(ctx)
	if err != nil {
		return line{}, err
	}
	if _, err := send(ctx, client, warmUp); err != nil {
		return line{}, err
	}
	began := time.Now()
	sent, err := send(ctx, client, limit)
	return line{"firebase-admin-go " + firebase.Version, sent, time.Since(began).Seconds()}, err
}

func milliseconds(name string) (time.Duration, error) {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// send sends batches until so much time has passed.
func send(ctx context.Context, client *messaging.Client, limit time.Duration) (int, error) {
	ttl := time.Hour
	messages := make([]*messaging.Message, batch)
	for i := range messages {
		messages[i] = &messaging.Message{
			Token:   os.Getenv("PENSTOCK_BENCH_TOKEN"),
			Android: &messaging.AndroidConfig{Priority: "high", TTL: &ttl},
			Data: map[string]string{
				"k1": "v1", "message": "Your parcel 0001 leaves the depot today", "n": "42", "title": "Order update",
			},
		}
	}
	sent := 0
	for began := time.Now(); time.Since(began) < limit; {
		r, err := client.SendEach(ctx, messages)
		if err != nil {
			return sent, err
		}
		if r.FailureCount > 0 {
			for _, one := range r.Responses {
				if one.Error != nil {
					return sent, fmt.Errorf("%d messages failed, such as: %w", r.FailureCount, one.Error)
				}
			}
		}
		sent += r.SuccessCount
	}
	return sent, nil
}
