package app

import (
	"testing"

	"penstock/internal/config"
)

func TestALaneHandsNoMoreToAFarEndThanItsWindowsHold(t *testing.T) {
	for _, tt := range []struct{ inFlight, streams, want int }{
		{1000, 1, 100},
		{1000, 4, 400},
		{50, 1, 50},
	} {
		p := config.NewProject("shop")
		p.Transport.HasCCS, p.Transport.CCS.Streams = true, tt.streams
		p.Quotas.InFlight = tt.inFlight
		if got := paceOf(p).MaxInFlight; got != tt.want {
			t.Errorf("in_flight %d and %d streams give %d; want %d", tt.inFlight, tt.streams, got, tt.want)
		}
	}
}
