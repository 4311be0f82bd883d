package bridge_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/fcmsim"
)

// SIGTERM under load on all fronts: who was told of success has it, who was told
// otherwise has not, and nobody is left without an answer.
func TestStatement50_R_F40_TheEndUnderLoad(t *testing.T) {
	t.Parallel()
	w := onLoopback(t)
	sim := w.simulator(fcmsim.Options{AnswerDelay: 20 * time.Millisecond})
	p := w.penstock(nil, overFCM(sim))
	c := p.callers(string(sim.SenderID()), serverKey, nil)
	l := newLedger()
	c.expect(l, sim.Tokens()[0], accepted)

	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, by := range fronts {
		for worker := range 20 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					s := l.send(c, by, sim.Tokens()[worker%len(sim.Tokens())])
					switch {
					case s.word == "ok":
						continue
					case by == byCCS: // the pool keeps what was never answered until it is closed
						if !strings.HasSuffix(s.word, "closed") {
							t.Errorf("ccs: told %s %s", s.word, s.text)
						}
					case strings.HasSuffix(s.word, "connect: connection refused"):
					case strings.HasSuffix(s.word, "EOF"), strings.HasSuffix(s.word, "connection reset by peer"),
						strings.HasSuffix(s.word, "server closed idle connection"):
						// A connection that was closed as idle while the request was
						// on its way; audit tells whether it was sent after all.
					default:
						t.Errorf("%s: told %s %d %s", by, s.word, s.status, s.text)
					}
					if s.status == 0 {
						return // nobody is there any more
					}
				}
			})
		}
	}
	until(t, "the load is on", func() bool { return l.count("ok") > 1000 })
	began := time.Now()
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, address := range []string{p.addr.CCS[0], p.addr.HTTP[0], p.addr.Admin} {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("at %s somebody still listens", address)
		}
	}
	close(stop)
	c.pool.Close()
	load.Wait()
	if n := c.drains.add(0); n != 1 {
		t.Errorf("the end was announced %d times on one stream", n)
	}
	l.audit(t, sim)
	for _, r := range sim.Record() {
		if r.Status != http.StatusOK {
			t.Errorf("a request was broken off, or was refused: %d %s", r.Status, r.Error)
		}
	}
}
