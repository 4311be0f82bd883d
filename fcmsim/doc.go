// Package fcmsim is a pretend FCM for tests and demonstrations: an app server
// logs in over CCS as it did at Google's, its messages reach virtual devices,
// receipts and upstream messages come back, and faults happen on request.
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
// The protocol itself is ccsserver's, with all its rules; what is added here is
// what stands behind Google's endpoint. [Sim.ControlHandler] lets programs in
// other languages watch and steer (docs/simulator.md). Nothing of it is meant
// for production: whoever reaches the control API may do everything.
package fcmsim
