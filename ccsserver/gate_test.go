package ccsserver_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"penstock/ccsserver"
)

// Connections whose login has failed take nobody's place, in all no more than
// of an address: the right key gets in although so many are being closed.
func TestS12_ThoseWhoFailTakeNoPlaceInAll(t *testing.T) {
	for name, addr := range map[string]string{"from loopback": "127.0.0.1:%d", "from many addresses": "192.0.2.%d:1234"} {
		t.Run(name, func(t *testing.T) {
			const most = 5
			play(t, &ccsserver.Options{Connections: ccsserver.ConnectionLimits{Unauthenticated: most}}, func(t *testing.T, srv *server) {
				for i := range most {
					p := srv.dialFrom(t, fmt.Sprintf(addr, i+1))
					p.open(featuresLogin)
					p.write(auth("", sender, "wrong"))
				}
				synctest.Wait()
				p := srv.dialFrom(t, fmt.Sprintf(addr, 100))
				p.login(sender)
				p.bind()
			})
		})
	}
}
