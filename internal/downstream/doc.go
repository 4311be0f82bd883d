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
//
// There is no store: the answer is the far end's verdict, and what could not be
// tried in time was not sent. Why trouble is answered as it is stands in
// docs/adr/0008-verdicts-without-a-store.md.
package downstream
