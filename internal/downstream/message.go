package downstream

import (
	"context"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// A Message is one message in the dialect of the front that took it. Exactly
// one of CCS and V1 is set. Nobody changes it any more.
type Message struct {
	CCS *ccs.Downstream  // also that of a legacy HTTP request, one for each target
	V1  *fcm.SendRequest // of the v1 front
	// Accepted is when the front had read it: its time to live counts from
	// then. Zero: from when the lane got it.
	Accepted time.Time
}

// An Answer is what success brings.
type Answer struct {
	// Name is v1's projects/P/messages/ID; empty: the far end gave none.
	Name string
	// The following come from far ends that speak CCS.
	RegistrationID        ccs.RegistrationToken // the canonical token, or empty
	Success, Failure      int                   // of a device group
	FailedRegistrationIDs []ccs.RegistrationToken
}

// A Transport tries one message once. It may try again by itself only where
// nothing was sent. Its error is a *fcm.SendError or a *ccs.NackError; of class
// Unavailable, without a reply and without a doubt about the outcome, it says
// that nothing was sent, and the lane may try again. Several goroutines call.
//
// ctx ends when the lane is cut off, and has no deadline: a Transport bounds
// each try in time by itself (docs/fcm-http.md, Retrying).
type Transport interface {
	Send(ctx context.Context, m *Message) (Answer, error)
}
