package app_test

import (
	"net"
	"os"
	"syscall"
	"testing"

	"penstock/internal/app"
)

// Tests run as root may listen everywhere, so the error is made by hand.
func TestAPrivilegedPortIsNotJustAnotherAddress(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	err := &app.ListenError{Setting: "http.listen", Place: "--http-listen", Address: ":443", Err: refused}
	const want = "cannot listen on :443: this user may not listen there, since the port is privileged: " +
		"let the program have the capability cap_net_bind_service (penstock doctor says how), or give another address in http.listen (--http-listen)"
	if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
