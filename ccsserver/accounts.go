package ccsserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"penstock/ccs"
)

// ErrBadCredentials is what [Accounts] says of a sender or key that it does not know.
var ErrBadCredentials = errors.New("wrong sender id or server key")

// Accounts say who may log in. Several goroutines call.
type Accounts interface {
	// Authenticate returns nil if key is a server key of sender. It takes the
	// same time whether the sender is unknown or the key is wrong. Any other
	// error than [ErrBadCredentials] means that nobody could tell.
	Authenticate(ctx context.Context, sender ccs.SenderID, key string) error
}

// Keys are accounts that do not change: server keys by sender id. Of the keys
// only keyed hashes stay in memory. The zero value knows nobody.
type Keys struct {
	salt [32]byte
	sums map[ccs.SenderID][][sha256.Size]byte
}

// NewKeys hashes the server keys of each sender id.
func NewKeys(keys map[ccs.SenderID][]string) *Keys {
	k := &Keys{sums: make(map[ccs.SenderID][][sha256.Size]byte, len(keys))}
	rand.Read(k.salt[:])
	for sender, list := range keys {
		for _, key := range list {
			k.sums[sender] = append(k.sums[sender], k.sum(key))
		}
	}
	return k
}

// Authenticate implements [Accounts]. Every key of the sender is compared, in
// constant time; for an unknown sender a sum that matches nothing is.
func (k *Keys) Authenticate(_ context.Context, sender ccs.SenderID, key string) error {
	got := k.sum(key)
	sums := k.sums[sender]
	if len(sums) == 0 {
		sums = [][sha256.Size]byte{{}}
	}
	ok := false
	for i := range sums {
		if hmac.Equal(sums[i][:], got[:]) {
			ok = true
		}
	}
	if !ok {
		return ErrBadCredentials
	}
	return nil
}

func (k *Keys) sum(key string) (s [sha256.Size]byte) {
	h := hmac.New(sha256.New, k.salt[:])
	h.Write([]byte(key))
	h.Sum(s[:0])
	return s
}
