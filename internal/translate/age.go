package translate

import (
	"time"

	"penstock/fcm"
)

// Age is r after it has waited with us; see [fcm.SendRequest.Aged]. The error is a
// *[fcm.SendError] of class Expired.
func Age(r *fcm.SendRequest, waited time.Duration) (*fcm.SendRequest, error) {
	aged, alive := r.Aged(waited)
	if !alive {
		return nil, expired()
	}
	return aged, nil
}
