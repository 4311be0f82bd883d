// Package toccs is the transport to any CCS endpoint, another Penstock for
// instance: it turns a message into CCS's words, if it is not CCS already, takes
// off its time to live what it has waited with us, and sends it once through a
// ccsclient.Pool.
//
//	pool, err := ccsclient.NewPool(endpoint, credentials, &ccsclient.Options{
//		Streams: 4, RetryMax: -1, Upstream: …, Receipts: …,
//	})
//	…
//	lane, err := downstream.New(toccs.New(pool, nil), &downstream.Options{
//		Pace: &pace.Options{MaxInFlight: 4 * ccs.Window, …},
//	})
//
// Two things are the assembly's to set: RetryMax −1, since a nack is a verdict
// and repeats are the lane's to decide; and as many tries in flight as the
// windows of the pool's streams hold, so that messages wait in the lane, where
// their patience is known, and not in the pool. What comes back from devices is
// between the pool and its handlers.
//
// A message keeps its id on the way. The app server's ids are unique for its
// sender, which is one with the project, and an endpoint that remembers ids
// then knows a message again that was sent anew because its outcome was unknown;
// receipts carry it back. A message that has none, from legacy HTTP or v1, gets
// a new one. While a copy with the same id is still in flight, whose answer came
// too late for its sender, nothing is sent: the lane tries again until the first
// copy has its answer.
package toccs
