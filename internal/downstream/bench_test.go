package downstream_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"penstock/ccs"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// nothing is a far end that takes everything at once.
type nothing struct{}

func (nothing) Send(context.Context, *downstream.Message) (downstream.Answer, error) {
	return downstream.Answer{Name: "projects/p/messages/1"}, nil
}

// BenchmarkSubmit is what a message costs in the lane, from Submit to its
// answer, with at most a hundred at a time.
func BenchmarkSubmit(b *testing.B) {
	for _, bb := range []struct {
		name string
		pace pace.Options
	}{
		{"unlimited", *pace.Unlimited()},
		{"device limits", pace.Options{PerMinute: 2e9, Ramp: -1}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			lane, err := downstream.New(nothing{}, &downstream.Options{Pace: &bb.pace})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = lane.Run(ctx) })
			messages := make([]*downstream.Message, 100_000)
			for i := range messages {
				messages[i] = &downstream.Message{CCS: &ccs.Downstream{To: ccs.RegistrationToken(ccs.NewMessageID()), MessageID: "m"}}
			}
			window := make(chan struct{}, 100)
			var failed atomic.Int64
			done := func(_ downstream.Answer, err error) {
				if err != nil {
					failed.Add(1)
				}
				<-window
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				window <- struct{}{}
				lane.Submit(messages[i%len(messages)], done)
				i++
			}
			for range cap(window) {
				window <- struct{}{}
			}
			cancel()
			running.Wait()
			if n := failed.Load(); n > 0 {
				b.Fatalf("%d of %d messages failed", n, b.N)
			}
		})
	}
}
