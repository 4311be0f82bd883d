// Package downstream is the way of a message from a front to its far end: a
// lane for each project, which paces, tries, and returns one answer
// (docs/flow.md).
//
//	lane, err := downstream.New(transport, &downstream.Options{…})
//	…
//	go lane.Run(ctx)
//	…
//	lane.Submit(&downstream.Message{CCS: m}, func(a downstream.Answer, err error) { … })
//
// What the message says is no business of the lane's: a front made it, a
// Transport turns it into its own dialect and tries it once. An error is a
// *fcm.SendError or, from a far end that speaks CCS, a *ccs.NackError.
package downstream
