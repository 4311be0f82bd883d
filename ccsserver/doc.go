// Package ccsserver is the connection server's end of CCS: it accepts streams,
// authenticates app servers, reads their downstream messages and writes the
// answers, hands upstream messages and receipts to them, and drains.
//
//	srv, err := ccsserver.New(handler, accounts, &ccsserver.Options{TLS: tlsConfig})
//	…
//	go srv.Serve(listener)
//	…
//	srv.Shutdown(ctx) // drains every stream
//
// What becomes of a message is the [Handler]'s verdict; who may log in is for
// [Accounts] to say. Delivery to devices, storage and quotas are left to
// others. The rules of the wire are told in docs/protocol.md.
package ccsserver
