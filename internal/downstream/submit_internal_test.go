package downstream

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
)

// TestShutdownWaitsForWhatAHandOverTells has a timer that comes late: what it
// would have given up is given up by the next message's goroutine.
func TestShutdownWaitsForWhatAHandOverTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane, err := New(nil, &Options{Project: "p"})
		if err != nil {
			t.Fatal(err)
		}
		telling, told := make(chan struct{}), make(chan struct{})
		message := &Message{CCS: &ccs.Downstream{To: "token"}}
		lane.Submit(message, func(Answer, error) {
			close(telling)
			<-told
		})
		lane.timer.Stop()
		time.Sleep(lane.VerdictTimeout())
		go lane.Submit(message, func(Answer, error) {})
		<-telling
		down := make(chan error, 1)
		go func() { down <- lane.Shutdown(context.Background()) }()
		synctest.Wait()
		if len(down) > 0 {
			t.Error("Shutdown did not wait for the answer of a message that was given up")
		}
		close(told)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}
