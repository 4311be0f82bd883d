package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Over the wire, in every way that net/http itself has an opinion about.
func TestR_A31_NobodyIsServedWithoutAKey(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		for _, tt := range []struct{ name, line, head string }{
			{"R-A31 a good request but for the key", "POST " + d.path + " HTTP/1.1", ""},
			{"R-A31 a wrong key", "POST " + d.path + " HTTP/1.1", "Authorization: Bearer psk_NOBODYNOBODYNOBO\r\n"},
			{"R-A31 an empty key", "POST " + d.path + " HTTP/1.1", "Authorization:\r\n"},
			{"R-A31 another path", "POST /api/v1/messages HTTP/1.1", ""},
			{"R-A31 the root", "GET / HTTP/1.1", ""},
			{"R-A31 all of the server", "OPTIONS * HTTP/1.1", ""},
			{"R-A31 a whole URL", "POST http://penstock.test" + d.path + " HTTP/1.1", ""},
			{"R-A31 a key in the URL", "POST http://" + goodKey + "@penstock.test" + d.path + " HTTP/1.1", ""},
			{"R-A31 a tunnel", "CONNECT penstock.test:443 HTTP/1.1", ""},
			{"R-A31 a debugger", "GET /debug/pprof/ HTTP/1.1", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					c := s.dial(t)
					body := d.body("STOLEN")
					fmt.Fprintf(c, "%s\r\nHost: penstock.test\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", tt.line, tt.head, len(body), body)
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					text, _ := io.ReadAll(res.Body)
					if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), `Bearer realm="penstock"`) {
						t.Errorf("got %d, %v, %s", res.StatusCode, res.Header, text)
					}
					if !res.Close {
						t.Error("the connection stays: strangers would keep places")
					}
					if strings.Contains(string(text), "psk_") || res.Header.Get("Set-Cookie") != "" {
						t.Errorf("got %s", text)
					}
					if got := s.lane.recipients(); len(got) > 0 {
						t.Errorf("sent to %v", got)
					}
				})
			})
		}
	})
}

// A body is asked for only from those who may send one.
func TestR_A31_NobodyIsAskedForABodyWithoutAKey(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, d, 0)
			for head, want := range map[string]string{
				"": "HTTP/1.1 401 Unauthorized",
				"Authorization: Bearer " + goodKey + "\r\n": "HTTP/1.1 100 Continue",
			} {
				c := s.dial(t)
				fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: penstock.test\r\n%sContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", d.path, head)
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil || strings.TrimSpace(line) != want {
					t.Errorf("got %q, %v; want %s", line, err, want)
				}
			}
		})
	})
}

func TestR_A32_OnlyTheCanonicalPathIsServed(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		cut := strings.LastIndexByte(d.path, '/')
		begin, end := d.path[:cut], d.path[cut+1:]
		first, rest, _ := strings.Cut(d.path[1:], "/")
		for _, target := range []string{
			"/" + d.path, begin + "//" + end, d.path + "/", d.path + "//",
			begin + "/./" + end, begin + "/x/../" + end, begin + "/../" + first + "/" + rest, "/.." + d.path,
			begin + "/%2e/" + end, "/x/%2e%2e" + d.path, begin + "/%2E%2E/" + end, begin + "/%252e%252e/" + end,
			begin + "/%u002e%u002e/" + end, "/%u002f" + d.path[1:],
			d.path + ";x", d.path + ";jsessionid=1", begin + ";x/" + end, d.path + "%3bx",
			d.path + ".", d.path + "%2e", d.path + ".json",
			begin + "%2f" + end, begin + "%2F" + end, begin + "%5c" + end, begin + `\` + end, strings.ReplaceAll(d.path, "/", "%2f"),
			strings.ToUpper(d.path), "/" + strings.ToUpper(first[:1]) + first[1:] + "/" + rest, begin + "/" + strings.ToUpper(end[:1]) + end[1:],
			d.path + "%00", d.path + "%20", d.path + "%09", d.path + "%0d%0a", d.path + "%c0%af", d.path + "%",
			begin + "/%" + fmt.Sprintf("%02x", end[0]) + end[1:], "/%" + fmt.Sprintf("%02x", first[0]) + first[1:] + "/" + rest,
			d.path + "/../../admin", "/admin", "/", "", "*", "//penstock.test" + d.path, "http://penstock.test/" + d.path, "https:" + d.path,
			"/fcm/notification", "/v1/projects", "/v1/projects/shop", "/v1/projects/shop%2fmessages:send", "/v1/projects/shop/x/messages:send",
			"/v1/projects/./messages:send", "/v1/projects/%2e%2e/messages:send", "/v1/projects/shop/messages:send:send", "/v1/projects/shop/messages%253Asend",
			"/v1/projects/shop/messages::send", "/v1/projects/shop/Messages:send", "/v1//projects/shop/messages:send",
		} {
			t.Run("R-A32 "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					body := d.body("TRICK")
					length := fmt.Sprintf("Content-Length: %d", len(body))
					for _, method := range []string{"POST", "GET"} {
						for _, anonymous := range []bool{false, true} {
							raw := s.request(method+" "+target+" HTTP/1.1", body, length)
							if anonymous {
								raw = strings.Replace(raw, "Authorization", "X-Authorization", 1)
							}
							got, _ := s.say(t, raw)
							allowed := []int{400, 404}
							if anonymous {
								allowed = []int{400, 401}
							}
							if len(got) != 1 || !slices.Contains(allowed, got[0]) {
								t.Errorf("%s, anonymous %v: got %v", method, anonymous, got)
							}
						}
					}
					if got := s.lane.recipients(); len(got) > 0 {
						t.Errorf("sent to %v", got)
					}
				})
			})
		}
		t.Run("R-A32 the path itself, and in a whole URL", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, d, 0)
				body := d.body("T")
				for _, target := range []string{d.path, d.path + "?", d.path + "?a=b", "http://penstock.test" + d.path} {
					if got, _ := s.say(t, s.request("POST "+target+" HTTP/1.1", body, fmt.Sprintf("Content-Length: %d", len(body)))); len(got) != 1 || got[0] != 200 {
						t.Errorf("%s: got %v", target, got)
					}
				}
			})
		})
	})
}

// A request must not be read in two ways: behind each trick there stands a whole
// second request, which nobody but a confused server would find.
func TestR_A33_RequestsThatReadInTwoWays(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		first := d.body("FIRST")
		chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(first), first)
		length := fmt.Sprintf("Content-Length: %d", len(first))
		const chunks = "Transfer-Encoding: chunked"
		for _, tt := range []struct {
			name   string
			lines  []string
			body   string
			status int
			sent   bool // the first request alone
		}{
			// Chunks count, by RFC 9112, 6.1, and the connection ends.
			{"R-A33 a length beside chunks", []string{length, chunks}, chunked, 200, true},
			{"R-A33 chunks beside a length", []string{chunks, length}, chunked, 200, true},
			{"R-A33 a length beside chunks that are empty", []string{"Content-Length: 5", chunks}, "0\r\n\r\n", 400, false},
			{"R-A33 a length of nothing beside chunks", []string{"Content-Length: 0", chunks}, chunked, 200, true},

			{"R-A33 two lengths", []string{length, "Content-Length: 0"}, first, 400, false},
			{"R-A33 two lengths in one", []string{length + ", 0"}, first, 400, false},
			{"R-A33 a length with a sign", []string{"Content-Length: +5"}, first, 400, false},
			{"R-A33 a negative length", []string{"Content-Length: -1"}, first, 400, false},
			{"R-A33 a hexadecimal length", []string{"Content-Length: 0x10"}, first, 400, false},
			{"R-A33 a length that overflows", []string{"Content-Length: 18446744073709551616"}, first, 400, false},
			{"R-A33 a length with an underscore", []string{"Content-Length: 1_0"}, first, 400, false},

			{"R-A33 identity", []string{"Transfer-Encoding: identity"}, first, 501, false},
			{"R-A33 identity beside a length", []string{"Transfer-Encoding: identity", length}, first, 501, false},
			{"R-A33 chunks twice", []string{chunks, chunks}, chunked, 501, false},
			{"R-A33 chunks and identity", []string{chunks, "Transfer-Encoding: identity"}, chunked, 501, false},
			{"R-A33 chunks in a list", []string{"Transfer-Encoding: gzip, chunked"}, chunked, 501, false},
			{"R-A33 chunks with an x", []string{"Transfer-Encoding: xchunked", length}, first, 501, false},
			{"R-A33 chunks behind a vertical tab", []string{"Transfer-Encoding: \vchunked", length}, first, 400, false},
			{"R-A33 a blank before the colon", []string{"Transfer-Encoding : chunked", length}, first, 400, false},
			{"R-A33 a line without a colon", []string{"Transfer-Encoding", length}, first, 400, false},
			{"R-A33 a name with a blank in it", []string{"Content Length: 5"}, first, 400, false},
			{"R-A33 a zero in a value", []string{"X: a\x00b", length}, first, 400, false},
			{"R-A33 a bare carriage return", []string{"X: a\rTransfer-Encoding: chunked", length}, first, 400, false},

			{"R-A33 a chunk that is no number", []string{chunks}, "zz\r\n" + first + "\r\n0\r\n\r\n", 400, false},
			{"R-A33 a chunk with a sign", []string{chunks}, "-1\r\n" + first + "\r\n0\r\n\r\n", 400, false},
			{"R-A33 a chunk with 0x", []string{chunks}, "0x5\r\nhello\r\n0\r\n\r\n", 400, false},
			{"R-A33 a chunk too long for a number", []string{chunks}, "fffffffffffffffff\r\n" + first + "\r\n0\r\n\r\n", 400, false},
			{"R-A33 a chunk that is longer than it says", []string{chunks}, "2\r\n" + first + "\r\n0\r\n\r\n", 400, false},
			{"R-A33 a chunk that ends with a line feed alone", []string{chunks}, fmt.Sprintf("%x\n%s\r\n0\r\n\r\n", len(first), first), 400, false},
			{"R-A33 an extension that ends with a line feed alone", []string{chunks}, fmt.Sprintf("%x;a\n%s\r\n0\r\n\r\n", len(first), first), 400, false},
			{"R-A33 an extension without an end", []string{chunks}, fmt.Sprintf("%x;%s\r\n%s\r\n0\r\n\r\n", len(first), strings.Repeat("a", 64<<10), first), 400, false},

			{"R-A33 two hosts", []string{"Host: elsewhere", length}, first, 400, false},
			{"R-A33 a key in a trailer", []string{chunks, "Trailer: Authorization"}, strings.TrimSuffix(chunked, "\r\n") + "Authorization: Bearer psk_NOBODYNOBODYNOBO\r\n\r\n", 200, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					got, closed := s.say(t, s.request("POST "+d.path+" HTTP/1.1", tt.body, tt.lines...)+s.good("SMUGGLED"))
					want := []string(nil)
					if tt.sent {
						want = []string{"FIRST"}
					}
					if sent := s.lane.recipients(); len(got) != 1 || got[0] != tt.status || !slices.Equal(sent, want) {
						t.Errorf("got %v, want %d; sent to %v, want %v", got, tt.status, sent, want)
					}
					if !closed {
						t.Error("the connection lives on")
					}
				})
			})
		}
		// A folded line belongs to the one before (RFC 9112, 5.2), so that what
		// follows is a second request for everybody.
		t.Run("R-A33 a folded line", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, d, 0)
				got, _ := s.say(t, s.request("POST "+d.path+" HTTP/1.1", first, "X: y", " Transfer-Encoding: chunked", length)+s.good("SECOND"))
				if sent := s.lane.recipients(); !slices.Equal(got, []int{200, 200}) || !slices.Equal(sent, []string{"FIRST", "SECOND"}) {
					t.Errorf("got %v, sent to %v", got, sent)
				}
			})
		})
		for _, tt := range []struct{ name, raw string }{
			{"R-A33 HTTP/0.9", "GET " + d.path + "\r\n"},
			{"R-A33 HTTP/0.9 with a body", "POST " + d.path + "\r\n\r\n" + first},
			{"R-A33 HTTP/3.0", "POST " + d.path + " HTTP/3.0\r\nHost: a\r\n\r\n"},
			{"R-A33 a version that is none", "POST " + d.path + " HTTP/1.x\r\nHost: a\r\n\r\n"},
			{"R-A33 a method with a blank", "PO ST " + d.path + " HTTP/1.1\r\nHost: a\r\n\r\n"},
			{"R-A33 no host", "POST " + d.path + " HTTP/1.1\r\nAuthorization: Bearer " + goodKey + "\r\n" + length + "\r\n\r\n" + first},
			{"R-A33 a host that is none", "POST " + d.path + " HTTP/1.1\r\nHost: a b\r\nAuthorization: Bearer " + goodKey + "\r\n" + length + "\r\n\r\n" + first},
			{"R-A33 TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
			{"R-A33 CCS", `<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">` + "\r\n\r\n"},
			{"R-A33 HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					got, closed := s.say(t, tt.raw+s.good("SMUGGLED"))
					if !closed || len(got) > 1 || len(got) == 1 && (got[0] < 400 || got[0] > 505) || len(s.lane.recipients()) > 0 {
						t.Errorf("got %v, closed %v, sent to %v", got, closed, s.lane.recipients())
					}
				})
			})
		}
	})
}

// Whoever is slow is cut off in time, and nobody waits for it.
func TestR_A34_R_L10_SlowPeersAreCutOff(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		trickle := func(t *testing.T, s *site, begin, rest string, every time.Duration) (status int, took time.Duration) {
			c := s.dial(t)
			start := time.Now()
			go func() {
				_, err := io.WriteString(c, begin)
				for i := 0; err == nil && i < len(rest); i++ {
					time.Sleep(every)
					_, err = io.WriteString(c, rest[i:i+1])
				}
			}()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			took = time.Since(start)
			if err != nil {
				return 0, took
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_, _ = c.Read(make([]byte, 1)) // the end
			return res.StatusCode, took
		}
		for _, tt := range []struct {
			name        string
			begin, rest func(s *site) string
			every       time.Duration
			status      int // 0: closed without a word
			took        time.Duration
		}{
			{"R-A34 nothing at all", func(*site) string { return "" }, func(*site) string { return "" }, 0, 0, 5 * time.Second},
			{"R-A34 a header, a byte a second", func(*site) string { return "" }, func(s *site) string { return s.good("T") }, time.Second, 400, 5 * time.Second},
			{"R-A34 a header that stops", func(*site) string { return "POST / HTTP/1.1\r\nHost:" }, func(*site) string { return "" }, 0, 0, 5 * time.Second},
			{
				"R-A34 a body, a byte a second", func(s *site) string {
					return strings.TrimSuffix(s.good(strings.Repeat("T", 100)), d.body(strings.Repeat("T", 100)))
				},
				func(*site) string { return d.body(strings.Repeat("T", 100)) }, time.Second, 408, 15 * time.Second,
			},
			{
				"R-A34 chunks, one in four seconds", func(s *site) string {
					return s.request("POST "+d.path+" HTTP/1.1", "", "Transfer-Encoding: chunked")
				}, func(*site) string { return strings.Repeat("1\r\n \r\n", 100) }, 4 * time.Second / 6, 408, 15 * time.Second,
			},
			{"R-A34 a body that stops", func(s *site) string { return s.good("T")[:len(s.good("T"))-1] }, func(*site) string { return "" }, 0, 408, 15 * time.Second},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					status, took := trickle(t, s, tt.begin(s), tt.rest(s), tt.every)
					if status != tt.status || took.Round(time.Second) != tt.took {
						t.Errorf("got %d after %v, want %d after %v", status, took, tt.status, tt.took)
					}
					if got := s.lane.recipients(); len(got) > 0 {
						t.Errorf("sent to %v", got)
					}
					s.serves(t)
				})
			})
		}
		t.Run("R-A34 a thousand of them hold up nobody", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, d, 0)
				for range 500 {
					_, _ = io.WriteString(s.dial(t), "POST / HTTP/1.1\r\nHost:")
					_, _ = io.WriteString(s.dial(t), s.good("SLOW")[:len(s.good("SLOW"))-1])
				}
				start := time.Now()
				s.serves(t)
				if since := time.Since(start); since > 3*time.Second { // say waits that long for more
					t.Errorf("it took %v", since)
				}
			})
		})
		t.Run("R-A34 who does not read its answers", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, d, 0)
				c := s.dial(t)
				start := time.Now()
				var err error
				for n := 0; err == nil && n < 100_000; n++ { // until the server reads no further, and then ends it
					_, err = io.WriteString(c, s.good("T"))
				}
				if since := time.Since(start); err == nil || since < 25*time.Second || since > 35*time.Second {
					t.Errorf("the connection ended after %v: %v", since, err)
				}
				s.serves(t)
			})
		})
		t.Run("R-A34 who says nothing more", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, d, 0)
				c := s.dial(t)
				_, _ = io.WriteString(c, s.good("T"))
				r := bufio.NewReader(c)
				res, err := http.ReadResponse(r, nil)
				if err != nil || res.StatusCode != 200 {
					t.Fatalf("got %v, %v", res, err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				start := time.Now()
				if _, err := r.ReadByte(); err == nil || time.Since(start) != time.Minute {
					t.Errorf("the connection ended after %v: %v", time.Since(start), err)
				}
			})
		})
	})
}

func TestR_A35_R_L10_HeadersBeyondTheBound(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		lines := func(n int, line string) []string { return slices.Repeat([]string{line}, n) }
		for _, tt := range []struct {
			name   string
			path   string
			lines  []string
			status int
		}{
			{"R-A35 just a lot", d.path, lines(100, "X-Header: 0123456789"), 200},
			{"R-A35 ten thousand lines", d.path, lines(10_000, "X-Header: 0123456789"), 431},
			{"R-A35 ten thousand short lines", d.path, lines(10_000, "a:"), 431},
			{"R-A35 ten thousand cookies", d.path, lines(10_000, "Cookie: a=b"), 431},
			{"R-A35 one line of a megabyte", d.path, []string{"X: " + strings.Repeat("x", 1<<20)}, 431},
			{"R-A35 a line of a megabyte with a key in it", d.path, []string{"Authorization: Bearer " + strings.Repeat("x", 1<<20)}, 431},
			{"R-A35 a million query parameters", d.path + "?" + strings.Repeat("a&", 1_000_000), nil, 431},
			{"R-A35 a name of a megabyte", d.path, []string{strings.Repeat("x", 1<<20) + ": y"}, 431},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					body := d.body("T")
					got, _ := s.say(t, s.request("POST "+tt.path+" HTTP/1.1", body, append(tt.lines, fmt.Sprintf("Content-Length: %d", len(body)))...))
					if len(got) != 1 || got[0] != tt.status {
						t.Errorf("got %v, want %d", got, tt.status)
					}
					if n := len(s.lane.recipients()); (n == 1) != (tt.status == 200) {
						t.Errorf("%d sent", n)
					}
					s.serves(t)
				})
			})
		}
	})
}

// Over the wire a body of 2 MiB is refused before it is read, and what is
// refused is never half done.
func TestR_A37_BodiesBeyondTheBoundOverTheWire(t *testing.T) {
	atEachDoor(t, func(t *testing.T, d door) {
		big := strings.Replace(d.body("T"), "{", `{"x":"`+strings.Repeat("x", 2<<20)+`",`, 1)
		for _, tt := range []struct{ name, body, line string }{
			{"R-A37 2 MiB, announced", big, fmt.Sprintf("Content-Length: %d", len(big))},
			{"R-A37 2 MiB, announced and not sent", "", fmt.Sprintf("Content-Length: %d", len(big))},
			{"R-A37 2 MiB in chunks", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), "Transfer-Encoding: chunked"},
			{"R-A37 chunks without an end", strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 1000), "Transfer-Encoding: chunked"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := open(t, d, 0)
					start := time.Now()
					got, closed := s.say(t, s.request("POST "+d.path+" HTTP/1.1", tt.body, tt.line)+s.good("SMUGGLED"))
					if len(got) != 1 || got[0] != 413 || !closed || time.Since(start) > 2*time.Second || len(s.lane.recipients()) > 0 {
						t.Errorf("got %v after %v, closed %v, sent to %v", got, time.Since(start), closed, s.lane.recipients())
					}
					s.serves(t)
				})
			})
		}
	})
}
