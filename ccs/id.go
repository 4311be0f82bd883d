package ccs

import "crypto/rand"

// NewMessageID is an id that nobody else has chosen or will guess. Several
// goroutines may call it (docs/protocol.md, Message ids).
func NewMessageID() MessageID { return MessageID("m-" + rand.Text()) }
