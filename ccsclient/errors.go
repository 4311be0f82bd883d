package ccsclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// Errors of sending. [Pool.Send] wraps them with the message's id.
var (
	// ErrOutcomeUnknown: the message was written, and its answer is not known
	// now. It may have been delivered.
	ErrOutcomeUnknown = errors.New("outcome unknown: the message was written, its answer did not come")
	// ErrWithdrawn: [Pool.Withdraw] took the message back before it was
	// written. Nothing was sent.
	ErrWithdrawn = errors.New("withdrawn before it was sent")
	// ErrLate: [Pool.SendBy]'s time was over before the message was written.
	// Nothing was sent.
	ErrLate = errors.New("not written in time")
	// ErrDuplicateID: a message with this id is not finished yet.
	ErrDuplicateID = errors.New("a message with this id is still being sent")
	// ErrClosed: the pool or the stream takes no more messages. Nothing was sent.
	ErrClosed = errors.New("closed")
	// ErrDraining: the stream's end was announced; send on another.
	ErrDraining = errors.New("the stream is draining")
)

var (
	errWindowFull       = errors.New("the stream has as many unanswered messages as it may")
	errPeerSilent       = errors.New("the server is silent: no byte came after a ping")
	errDrainLimit       = errors.New("the server did not close the draining stream")
	errUpstreamOverflow = errors.New("more upstream messages came than are handled in time; they will come again")
)

// A CredentialsError says that the server refused to log us in. Trying again
// soon with the same credentials is of no use.
type CredentialsError struct {
	SenderID  ccs.SenderID
	Condition string // of SASL, such as not-authorized
}

func (e *CredentialsError) Error() string {
	return fmt.Sprintf("the server refused the credentials of sender id %s (%s): check the sender id and the server key", e.SenderID, e.Condition)
}

// A Stage is how far an attempt to connect came.
type Stage string

// The stages of connecting, in order.
const (
	StageConnect Stage = "connect"
	StageTLS     Stage = "TLS"
	StageLogin   Stage = "login"
)

// A ConnectError says that no stream could be opened, how far it came, and what
// to look at.
type ConnectError struct {
	Endpoint string
	Stage    Stage
	Err      error
}

func (e *ConnectError) Error() string {
	what := e.Err.Error()
	if isTimeout(e.Err) {
		what = "no answer in time"
	}
	s := fmt.Sprintf("%s: %s: %s", e.Endpoint, e.Stage, what)
	if h := e.Hint(); h != "" {
		s += " (" + h + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Hint says what to look at, or nothing.
func (e *ConnectError) Hint() string {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(e.Err, new(*CredentialsError)):
		return ""
	case errors.As(e.Err, &dns):
		return "the host name does not resolve: check its spelling and the resolver"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "nothing listens there: check host and port"
	case errors.As(e.Err, &authority):
		return "the certificate comes from a CA that is not trusted here: give the CA's file, for a Penstock of your own the ca.pem of its data directory"
	case errors.As(e.Err, &host):
		return "the certificate is for another name: use a name that it covers"
	case errors.As(e.Err, &cert):
		return "the server's certificate did not pass"
	case e.Stage == StageTLS && errors.As(e.Err, new(tls.RecordHeaderError)):
		return "the port answers, but not with TLS: wrong port, or a server without TLS"
	case e.Stage == StageTLS && isTimeout(e.Err):
		return "the port takes connections but does not answer TLS: wrong port, or a server without TLS"
	case e.Stage == StageTLS && isEnd(e.Err):
		return "the server ended the connection during the TLS handshake: wrong port, or a server without TLS"
	case e.Stage == StageLogin && isForeign(e.Err):
		return "what answers there does not speak CCS: wrong port?"
	case e.Stage == StageLogin && isTimeout(e.Err):
		return "connected, but nothing there speaks CCS: wrong port?"
	case e.Stage == StageLogin && isEnd(e.Err):
		return "connected, but the server ended the connection before the login: not a CCS port, or too many connections"
	case e.Stage == StageConnect && isTimeout(e.Err):
		return "no answer at all: check host, port and firewalls"
	}
	return ""
}

// isForeign reports whether the other end wrote what no CCS server does, rather
// than refuse us in a stream error of its own.
func isForeign(err error) bool {
	_, ours := errors.AsType[*ccs.StreamError](err)
	_, theirs := errors.AsType[*xmpp.PeerError](err)
	return ours && !theirs
}

// isTimeout reports whether nothing came back before somebody's patience ended,
// the caller's included.
func isTimeout(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
