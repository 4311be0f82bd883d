// Package ccstest holds what the tests of both CCS ends share. [Pipe] is an
// in-memory stream pair that, unlike [net.Pipe], has a buffer in each direction,
// so that two peers that write in batches do not block each other; [Listen]
// gives such pairs to an Accept loop. Both work in bubbles of testing/synctest:
// whoever waits there waits durably, and deadlines follow the bubble's clock.
//
//	near, far := ccstest.Pipe()
//	go srv.ServeConn(tls.Server(far, config))
//	near.SetReadDeadline(time.Now().Add(time.Minute))
//	…
//	near.(*ccstest.Conn).Reset() // the network fails
//
// What is said over the streams is left to the rooms that are tested.
package ccstest
