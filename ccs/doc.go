// Package ccs holds the words of CCS, the Cloud Connection Server protocol of
// Firebase Cloud Messaging: the JSON messages that app server and connection
// server exchange inside <gcm> elements, their ids, codes and errors.
//
// There is no I/O here and no goroutine. Values may be shared by goroutines as
// long as nobody changes them.
//
// An app server writes [Downstream] and [Ack] (see [FromApp]); the connection
// server writes [Ack], [Nack], [Upstream], [Receipt] and [Control] (see
// [FromServer]). [ParseFromApp] decodes strictly, since each refusal has an
// answer; [ParseFromServer] is lenient where real servers differ, and [View] is
// the same without memory. [AppendFromApp] and [AppendFromServer] encode, and
// what they write is also well-formed XML text: no byte of it needs escaping
// inside an element.
//
// The rules are told in docs/protocol.md.
package ccs
