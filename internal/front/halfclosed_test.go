package front_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A caller may close its half of the connection behind its request and wait for
// the answer on the other. net/http takes it for one that has left, and would
// answer 200 with nothing in it to a handler that returns: a success that nobody
// gave. The end of the connection tells the caller that the outcome is unknown.
func TestF_02_F_06_NobodyIsToldOfASuccessThatThereIsNot(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		for _, tt := range []struct {
			name  string
			delay time.Duration
			want  string
		}{
			{"F-02 F-06 before the verdict is there", time.Second, ""},
			{"F-02 F-06 after it", 0, "HTTP/1.1 200 OK\r\n"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, tt.delay)
					c := s.dial(t)
					if _, err := io.WriteString(c, s.good("T")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(c)
					if err != nil || !strings.HasPrefix(string(got), tt.want) || tt.want == "" && len(got) > 0 {
						t.Errorf("got %q, %v; want %q", got, err, tt.want)
					}
					if n := len(s.lane.recipients()); n != 1 {
						t.Errorf("%d sent", n)
					}
				})
			})
		}
	})
}
