// Package fcmsim is a pretend FCM for tests and demonstrations: an app server
// logs in over CCS as it did at Google's, or sends by HTTP v1 with Google's own
// libraries, its messages reach virtual devices, receipts and upstream messages
// come back, and faults happen on request.
//
//	sim, err := fcmsim.Start(nil) // on a free port of loopback
//	…
//	defer sim.Close()
//	connect(sim.Addr(), sim.CertPool(), sim.SenderID(), sim.ServerKey())
//	send(sim.Tokens()[0])
//	…
//	for _, r := range sim.Record() {
//		fmt.Println(r.MessageID, r.Answer, r.DeliveredTo)
//	}
//
// HTTP is served where [Options] name addresses for it. Senders of HTTP v1 need
// [Sim.FCMURL] or [Sim.PlainURL], [Sim.ProjectID], and [Sim.ServiceAccountJSON].
//
// The protocol of CCS itself is ccsserver's, with all its rules; what is added
// here is what stands behind Google's endpoints. [Sim.ControlHandler] lets
// programs in other languages watch and steer (docs/simulator.md). Nothing of it
// is meant for production: whoever reaches the control API may do everything.
package fcmsim
