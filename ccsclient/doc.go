// Package ccsclient is the app server's end of CCS: it keeps streams to a
// connection server, sends downstream messages and says what became of each,
// and hands upstream messages and receipts to the program.
//
//	pool, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
//		ccsclient.Credentials{SenderID: "1234567890", Key: key}, nil)
//	…
//	go pool.Run(ctx)
//	…
//	answer, err := pool.Send(ctx, &ccs.Downstream{To: token, MessageID: ccs.NewMessageID(), Data: data})
//
// A [Pool] is what programs use. It reconnects for ever, with back-off; when a
// stream drains it opens the next one before the old one closes; it sends again
// what a broken stream left unanswered, with the same id and in the original
// order. A [Session] is one stream, for whoever wants to do all that by hand.
//
// What the life of a message is, is told in docs/flow.md; the rules of the wire
// in docs/protocol.md.
package ccsclient
