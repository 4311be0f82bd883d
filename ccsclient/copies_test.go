package ccsclient_test

import (
	"context"
	"testing"
	"testing/synctest"

	"penstock/ccs"
	"penstock/ccsclient"
)

// What waits for a handler is bounded, also if it is a thousand copies of one
// message.
func TestC37_CopiesOfOneMessageAreBounded(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		goOn := make(chan struct{})
		defer close(goOn)
		_, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { <-goOn; return nil }
		})
		for range 1000 {
			st.upstream("dev", "u-1")
		}
		st.wantQuiet()
		st.upstream("dev", "u-1")
		synctest.Wait()
		st.wantEnd()
	})
}
