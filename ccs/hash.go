package ccs

import (
	"crypto/sha256"
	"encoding/binary"
)

// ContentHash is equal for two messages exactly if they are equal but for their
// ids, however their JSON was written. It tells a repeated message from another
// one that took the same id by mistake (docs/protocol.md, Message ids).
func (m *Downstream) ContentHash() [sha256.Size]byte {
	var room [1024]byte
	b := room[:0]
	for _, field := range [...]string{
		string(m.To), m.Condition, string(m.CollapseKey), string(m.Priority), m.RestrictedPackageName, m.AnalyticsLabel,
	} {
		b = appendCounted(b, field)
	}
	if m.TTL == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendVarint(append(b, 1), int64(*m.TTL))
	}
	for _, flag := range [...]bool{
		m.ContentAvailable, m.MutableContent, m.DelayWhileIdle, m.DeliveryReceiptRequested, m.DryRun, m.DirectBootOK,
	} {
		if flag {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	b = appendCountedMap(b, m.Data)
	b = appendCountedMap(b, m.Notification)
	return sha256.Sum256(b)
}

// appendCounted puts the length first: without it, neighbours could trade bytes
// and hash the same.
func appendCounted(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendCountedMap(b []byte, m map[string]string) []byte {
	var room [16]member
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, e := range sorted(room[:0], m) {
		b = appendCounted(appendCounted(b, e.key), e.val)
	}
	return b
}
