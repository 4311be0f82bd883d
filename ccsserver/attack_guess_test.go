package ccsserver_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS12_R_A18_GuessingIsSlowAndTheRightKeyIsNot(t *testing.T) {
	const guesser, friend = "192.0.2.1:1000", "192.0.2.1:2000"
	fail := func(t *testing.T, srv *server, addr, user string) time.Duration {
		t.Helper()
		p := srv.dialFrom(t, addr)
		p.open(featuresLogin)
		start := time.Now()
		p.write(auth("", user, "guess"))
		for p.came() == "" {
			time.Sleep(10 * time.Millisecond)
		}
		took := time.Since(start)
		p.want(failure("not-authorized"))
		p.hangUp()
		return took
	}
	t.Run("each failure of an address makes the next answer slower, up to 0.9 s", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			for i, want := range []time.Duration{0, 100, 200, 400, 800, 900, 900, 900} {
				if took := fail(t, srv, guesser, sender); took != want*time.Millisecond {
					t.Errorf("failure %d took %v, want %v", i+1, took, want*time.Millisecond)
				}
			}
			if took := fail(t, srv, "192.0.2.2:1000", sender); took != 0 {
				t.Errorf("the first failure of another address took %v", took)
			}
			if took := fail(t, srv, "192.0.2.1:3000", rival); took != 900*time.Millisecond {
				t.Errorf("another sender's failure at the address took %v", took)
			}
		})
	})
	t.Run("the right key is taken at once, however many failed", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			for range 300 {
				fail(t, srv, guesser, sender)
			}
			p := srv.dialFrom(t, friend)
			start := time.Now()
			p.login(sender)
			p.bind()
			if took := time.Since(start); took != 0 {
				t.Errorf("logging in took %v", took)
			}
		})
	})
	t.Run("a quarter of an hour forgives", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			for range 10 {
				fail(t, srv, guesser, sender)
			}
			time.Sleep(15*time.Minute + time.Second)
			if took := fail(t, srv, guesser, sender); took != 0 {
				t.Errorf("took %v", took)
			}
		})
	})
}

func TestR_L8_OneFailureEndsTheStream(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.dial(t)
		p.open(featuresLogin)
		p.write(auth("", sender, "wrong"), auth("", sender, key))
		p.want(failure("not-authorized"))
		time.Sleep(500 * time.Millisecond)
		p.wantClosed(end)
		if len(srv.authFailed) != 1 || srv.authFailed[0] != sender {
			t.Errorf("failed: %v", srv.authFailed)
		}
	})
}

// counted are accounts that count who asks.
type counted struct {
	ccsserver.Accounts
	mu    sync.Mutex // guards what follows
	asked []ccs.SenderID
}

func (c *counted) Authenticate(ctx context.Context, sender ccs.SenderID, key string) error {
	c.mu.Lock()
	c.asked = append(c.asked, sender)
	c.mu.Unlock()
	return c.Accounts.Authenticate(ctx, sender, key)
}

func TestR_A19_AnUnknownSenderIsAnsweredAsAKnownOneIs(t *testing.T) {
	const known, unknown = sender, "1111111111"
	t.Run("the same bytes after the same time, for the same work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			acc := &counted{Accounts: everybody}
			srv := newServerWith(t, nil, acc)
			for i := range 12 {
				var took []time.Duration
				for j, user := range []string{known, unknown, known + "@fcm.googleapis.com", unknown + "@fcm.googleapis.com"} {
					p := srv.dialFrom(t, fmt.Sprintf("192.0.2.%d:1", j+1))
					p.open(featuresLogin)
					start := time.Now()
					p.write(auth("", user, "wrong"))
					for p.came() == "" {
						time.Sleep(10 * time.Millisecond)
					}
					took = append(took, time.Since(start))
					p.want(failure("not-authorized"))
					time.Sleep(500 * time.Millisecond)
					p.wantClosed(end)
				}
				if slices.Max(took) != slices.Min(took) {
					t.Errorf("failure %d took %v", i+1, took)
				}
			}
			want := slices.Repeat([]ccs.SenderID{known, unknown}, 24)
			if !slices.Equal(acc.asked, want) || !slices.Equal(srv.authFailed, want) {
				t.Errorf("asked about %v, told of %v", acc.asked, srv.authFailed)
			}
		})
	})
	t.Run("Keys does the same for both", func(t *testing.T) {
		keys := ccsserver.NewKeys(map[ccs.SenderID][]string{known: {key}})
		work := func(sender ccs.SenderID, key string) float64 {
			return testing.AllocsPerRun(100, func() { _ = keys.Authenticate(t.Context(), sender, key) })
		}
		if a, b, c := work(known, "wrong"), work(unknown, "wrong"), work(unknown, key); a != b || b != c {
			t.Errorf("a wrong key allocates %v times, an unknown sender %v and %v times", a, b, c)
		}
	})
	t.Run("keys are compared in constant time, each of them", wantConstantTime)
}

// wantConstantTime reads how keys are compared: nothing measured would be
// steady enough. Each key of a sender is compared, by hmac.Equal, and no loop
// is left early.
func wantConstantTime(t *testing.T) {
	file, err := parser.ParseFile(gotoken.NewFileSet(), "accounts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	equal, found := 0, false
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Authenticate" || f.Recv == nil {
			continue
		}
		found = true
		ast.Inspect(f, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ReturnStmt, *ast.BranchStmt:
					t.Error("the loop over a sender's keys is left early")
				case *ast.BinaryExpr:
					if n.Op == gotoken.EQL || n.Op == gotoken.NEQ {
						t.Error("keys are compared by ==")
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "hmac" && n.Sel.Name == "Equal" {
						equal++
					}
				}
				return true
			})
			return false
		})
	}
	if !found || equal != 1 {
		t.Errorf("Authenticate compares by hmac.Equal in %d places, want 1", equal)
	}
}

func TestR_A20_GuessesAreCheap(t *testing.T) {
	t.Run("keys are long and random, so that a slow hash has no use", func(t *testing.T) {
		file, err := parser.ParseFile(gotoken.NewFileSet(), "accounts.go", nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			switch spec.Path.Value {
			case `"context"`, `"crypto/hmac"`, `"crypto/rand"`, `"crypto/sha256"`, `"errors"`, `"penstock/ccs"`:
			default:
				t.Errorf("accounts.go imports %s: how much does a guess cost now?", spec.Path.Value)
			}
		}
	})
	t.Run("a thousand at once", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			n := srv.neighbour(t)
			n.beside()
			before := heap()
			const many = 1000
			var peers []*peer
			long := auth("", sender, strings.Repeat("k", 1000))
			for i := range many {
				p := srv.dialFrom(t, fmt.Sprintf("203.0.113.%d:%d", i%250, i))
				p.try(header + long)
				peers = append(peers, p)
			}
			pass(900 * time.Millisecond)
			if each := (int64(heap()) - int64(before)) / many; each > 40<<10 {
				t.Errorf("a guess takes %d bytes", each)
			}
			for _, p := range peers {
				p.skip()
				p.hangUp()
			}
			if len(srv.authFailed) != many {
				t.Errorf("%d guesses were judged, want %d", len(srv.authFailed), many)
			}
			n.wantUnharmed()
		})
	})
}

func TestR_A4_R_L4_TenThousandConnectionsThatSayNothing(t *testing.T) {
	const many = 10_000
	for name, tt := range map[string]struct {
		address func(i int) string
		held    int
		takes   int64 // bytes, at most, with the test's own
	}{
		"of one /64":        {func(i int) string { return fmt.Sprintf("[2001:db8::%x:%x]:1000", i/1000, i%1000) }, 200, 12 << 20},
		"of one address":    {func(i int) string { return "192.0.2.66:" + fmt.Sprint(1000+i) }, 200, 12 << 20},
		"of many addresses": {func(i int) string { return fmt.Sprintf("10.%d.%d.1:1000", i/250, i%250) }, many, 100 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				n := srv.neighbour(t)
				n.beside()
				before := heap()
				silent := make([]*peer, many)
				for i := range silent {
					silent[i] = &peer{t: t, conn: srv.dialNet(t, address{addr: tt.address(i)})}
					if i%100 == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				if refused := len(srv.refused()); refused != many-tt.held {
					t.Errorf("%d connections were refused, want all but %d", refused, tt.held)
				}
				if grown := int64(heap()) - int64(before); grown > tt.takes {
					t.Errorf("they take %d bytes", grown)
				}
				pass(30*time.Second - 1)
				held := 0
				for _, p := range silent {
					if _, err := p.conn.Write([]byte(" ")); err == nil {
						held++
					}
				}
				if held != tt.held {
					t.Errorf("%d connections are held, want %d", held, tt.held)
				}
				pass(1)
				for _, p := range silent {
					if _, err := p.conn.Write([]byte(" ")); err == nil {
						t.Fatal("a silent connection is held for more than 30 s")
					}
					p.conn.Close()
				}
				if refused := len(srv.refused()); refused != many {
					t.Errorf("%d connections were refused in all, want %d", refused, many)
				}
				n.wantUnharmed()
			})
		})
	}
}
