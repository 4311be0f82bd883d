// Package pace decides when the messages of one project may be tried: its rate
// and its ramp, what FCM asked to wait for, what one device or one topic may
// get, the breaker, and how many tries may be under way.
//
//	g := pace.New(nil) // as towards Google
//	…
//	switch d := g.Admit(now, target); {
//	case d.OK: // try it, and then
//		g.Report(now, d.Ticket, pace.Outcome{Class: class, RetryAfter: wait})
//	case d.Refused != 0: // a verdict: too many for this device or topic
//	default: // ask again after d.Wait, or after the next Report
//	}
//
// A [Governor] has no goroutine, no timer and no clock: it is told the time.
// It knows nothing of messages but their targets, and of those only hashes.
//
// Who waits, in which order and for how long, is left to the caller. The rules
// are told in docs/fcm-http.md; why they are as they are, in
// docs/adr/0008-verdicts-without-a-store.md.
package pace
