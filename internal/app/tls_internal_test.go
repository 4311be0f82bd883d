package app

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A renewed certificate is taken over without a restart; one that cannot be read
// changes nothing.
func TestCertificatesAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		loads, broken := 0, false
		c := &certificates{log: slog.New(slog.NewTextHandler(&text, nil)), load: func() (tls.Certificate, error) {
			loads++
			if broken {
				return tls.Certificate{}, errors.New("gone")
			}
			return tls.Certificate{OCSPStaple: []byte{byte(loads)}}, nil
		}}
		which := func() int {
			t.Helper()
			cert, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return int(cert.OCSPStaple[0])
		}
		if a, b := which(), which(); a != 1 || b != 1 {
			t.Errorf("at once: %d and %d", a, b)
		}
		time.Sleep(certificateAge)
		if a := which(); a != 2 {
			t.Errorf("after a while: %d", a)
		}
		broken = true
		time.Sleep(certificateAge)
		if a, b := which(), which(); a != 2 || b != 2 || loads != 3 || strings.Count(text.String(), "gone") != 1 {
			t.Errorf("once it cannot be read: %d and %d, %d loads, %s", a, b, loads, text.String())
		}
		if _, err := (&certificates{load: c.load}).get(nil); err == nil {
			t.Error("without any certificate there is no error")
		}
	})
}
