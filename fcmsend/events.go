package fcmsend

import "time"

// Events are optional functions that a sender calls. It calls them on its own
// goroutines, several at a time, and holds no lock; they must be quick. No
// argument holds a token, a key or a payload.
type Events struct {
	// TokenRefreshed is called when a new access token is there.
	TokenRefreshed func(expiry time.Time)
	// TokenFailed is called when none could be got, or when FCM has refused the
	// one just got. Before next nobody is asked for another.
	TokenFailed func(err error, next time.Time)
	// CredentialsSwapped is called when a changed credential file was taken: its
	// access token is being fetched, and if the old ones had been refused, a
	// message that is sent from now on waits for it. CredentialsBroken is called
	// when it was not taken: the sender stays with what it had.
	CredentialsSwapped func()
	CredentialsBroken  func(err error)

	// ConnectionOpened is called when a connection can be used, and
	// ConnectionClosed when it is gone; a nil error: the sender had no more use
	// for it. DialFailed is called when none could be opened; before next it is
	// not tried again.
	ConnectionOpened func(c ConnectionInfo)
	ConnectionClosed func(c ConnectionInfo, err error)
	DialFailed       func(err error, next time.Time)
	// GoAway is called when the far end wants a connection to end. Reason is its
	// own text, made printable and cut to a line.
	GoAway func(c ConnectionInfo, code string, reason string)
}

// A ConnectionInfo names one connection.
type ConnectionInfo struct {
	ID       uint64 // counted from 1
	Protocol string // h2 or http/1.1
	Since    time.Time
}
