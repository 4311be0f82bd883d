package cut_test

import (
	"crypto/tls"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"penstock/internal/faultproxy"
	"penstock/internal/localca"
)

// workers is how many bubbles run at a time.
const workers = 4

// each plays the conversation once undisturbed, and then with the fault at each
// byte of each link and direction.
func each(t *testing.T, deed faultproxy.Deed, tlsOf *secrets, step int64, judge func(*conversation) []string) {
	calm := converse(t, fault{}, tlsOf)
	if wrong := calm.check(); len(wrong) > 0 || len(calm.passed) != 2 {
		t.Fatalf("undisturbed, over %d links: %s", len(calm.passed), strings.Join(wrong, "; "))
	}
	faults := make(chan fault)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for f := range faults {
				c := converse(t, f, tlsOf)
				if wrong := judge(c); len(wrong) > 0 {
					t.Errorf("%v: %s", f, strings.Join(wrong, "; "))
				}
			}
		})
	}
	n := 0
	for link, passed := range calm.passed {
		for direction, bytes := range passed {
			for at := int64(n) % step; at <= bytes; at += step {
				faults <- fault{link, faultproxy.Direction(direction), deed, at, bytes}
				n++
			}
		}
	}
	close(faults)
	all.Wait()
	t.Logf("%v: %d places, of %v bytes", deed, n, calm.passed)
}

func TestR_F1_R_F2_R_F17_C46_C48_CutAtEveryByte(t *testing.T) {
	each(t, faultproxy.Cut, nil, stride, (*conversation).check)
}

func TestR_F1_R_F2_R_F17_C46_C48_ResetAtEveryByte(t *testing.T) {
	each(t, faultproxy.Reset, nil, stride, (*conversation).check)
}

func TestC46_C48_HalfCloseAtEveryByte(t *testing.T) {
	each(t, faultproxy.HalfClose, nil, stride, (*conversation).check)
}

func TestR_F3_C44_C48_SilenceAtEveryThirdByte(t *testing.T) {
	each(t, faultproxy.Silence, nil, 3*stride, (*conversation).check)
}

func TestABitAtEveryByteOfClearText(t *testing.T) {
	each(t, faultproxy.Flip, nil, stride, (*conversation).checkFlipped)
}

const (
	// lastWords are the bytes of the closing tag and of TLS's own, as records,
	// and some more since signatures differ in length.
	lastWords = 38 + 24 + 8
	// lastRecords is more than a flipped bit adds to the length of a record that
	// is not refused at once, or than the records have that stand there.
	lastRecords = 256
	// mostRecords is how many records stand there at most, each with one byte of
	// its length among those that are broken: how answers share records is a matter
	// of chance.
	mostRecords = 8
)

// Over TLS a flipped bit is noticed, and costs no more than a cut.
func TestR_F7_C46_C48_ABitAtEveryThirdByteOfTLS(t *testing.T) {
	var both *secrets
	synctest.Test(t, func(t *testing.T) { // a certificate that is good at the bubbles' time
		ca, err := localca.Open("", nil)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.Server([]string{"ccs.example"})
		if err != nil {
			t.Fatal(err)
		}
		// One curve, so that there are fewer bytes to break.
		both = &secrets{client: &tls.Config{RootCAs: ca.Pool(), CurvePreferences: []tls.CurveID{tls.X25519}}, server: &tls.Config{Certificates: []tls.Certificate{cert}}}
	})
	var longer atomic.Int32
	each(t, faultproxy.Flip, both, tlsStride, func(c *conversation) []string {
		wrong := c.check()
		left := c.fault.of - c.fault.at
		switch {
		case c.broken > 0:
		case c.fault.at == 1 || c.fault.at == 2: // the version in the first record's header counts for nobody
		case left <= lastWords: // who has said goodbye does not mind how the other's was spelt
		case left <= lastWords+lastRecords && longer.Add(1) <= mostRecords:
			// A length that grew: the reader waits for the rest of a record that
			// nothing follows, until the stream has drained.
		default:
			wrong = append(wrong, "the connection lived on")
		}
		return wrong
	})
}
