package fcmsend_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcm"
	"penstock/fcmsend"
)

// block is a header block without reference to any table.
func block(fields ...string) []byte {
	var buf blockWriter
	enc := hpack.NewEncoder(&buf)
	for i := 0; i+1 < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return buf
}

func (r *request) rawHeaders(fragment []byte, endHeaders, endStream bool) {
	r.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: r.id, BlockFragment: fragment, EndHeaders: endHeaders, EndStream: endStream})
	})
}

func TestR_A65_AnswersThatBreakTheRulesEndTheirStream(t *testing.T) {
	cases := map[string]func(r *request){
		"no status":               func(r *request) { r.rawHeaders(block("content-type", "x"), true, true) },
		"a status of letters":     func(r *request) { r.rawHeaders(block(":status", "abc"), true, true) },
		"a status of four":        func(r *request) { r.rawHeaders(block(":status", "2000"), true, true) },
		"a status of two":         func(r *request) { r.rawHeaders(block(":status", "20"), true, true) },
		"two statuses":            func(r *request) { r.rawHeaders(block(":status", "200", ":status", "200"), true, true) },
		"a pseudo field":          func(r *request) { r.rawHeaders(block(":status", "200", ":path", "/"), true, true) },
		"a pseudo field in front": func(r *request) { r.rawHeaders(block(":path", "/", ":status", "200"), true, true) },
		"a pseudo field before a length": func(r *request) {
			r.rawHeaders(block(":status", "200", ":path", "/", "content-length", "0"), true, true)
		},
		"a pseudo field before others": func(r *request) { r.rawHeaders(block(":status", "200", ":path", "/", "x", "y"), true, true) },
		"a length of nothing":          func(r *request) { r.rawHeaders(block(":status", "200", "content-length", ""), true, true) },
		"a length with a point":        func(r *request) { r.rawHeaders(block(":status", "200", "content-length", "1.0"), true, true) },
		"a length beyond all bounds": func(r *request) {
			r.rawHeaders(block(":status", "200", "content-length", "1"+strings.Repeat("0", 64)), true, true)
		},
		"two lengths, the first of 0": func(r *request) {
			r.rawHeaders(block(":status", "200", "content-length", "0", "content-length", "2"), true, true)
		},
		"a length of letters": func(r *request) { r.rawHeaders(block(":status", "200", "content-length", "x"), true, true) },
		"two lengths": func(r *request) {
			r.rawHeaders(block(":status", "200", "content-length", "1", "content-length", "2"), true, true)
		},
		"an interim answer":    func(r *request) { r.rawHeaders(block(":status", "103"), true, true) },
		"trailers without end": func(r *request) { r.head(200, false); r.rawHeaders(block("a", "b"), true, false) },
		"a second header":      func(r *request) { r.head(200, false); r.rawHeaders(block(":status", "200"), true, true) },
		"a body in front":      func(r *request) { r.data("{}", true) },
		"a window beyond 2^31": func(r *request) { r.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(r.id, 1<<31-1) }) },
	}
	for name, answer := range cases {
		t.Run("R-A65 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(nil)
				p, other := send(t, s, toToken()), send(t, s, toToken())
				conn := w.conn()
				r := conn.request()
				answer(r)
				var failed *sending
				select { // which of the two was first nobody knows
				case <-p.done:
					failed = p
				case <-other.done:
					failed, other = other, p
				}
				failed.wantError(fcm.Unavailable, true)
				synctest.Wait()
				if code, ok := conn.resetOf(r.id); !ok || code != http2.ErrCodeProtocol {
					t.Errorf("reset %v, %v; want PROTOCOL_ERROR", code, ok)
				}
				conn.request().accept()
				other.wantAccepted()
				// What comes on that stream now is nobody's answer.
				third := send(t, s, toToken())
				next := conn.request()
				r.rawHeaders(block(":status", "404"), true, true)
				third.wantPending()
				next.accept()
				third.wantAccepted()
			})
		})
	}
}

func TestR_A65_FramesThatBreakTheRulesEndTheConnection(t *testing.T) {
	cases := map[string]func(c *farConn, r *request){
		"a frame beyond the bound": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteRawFrame(http2.FrameData, 0, r.id, make([]byte, 17<<10)) })
		},
		"headers without end": func(c *farConn, r *request) {
			r.rawHeaders(block(":status", "200"), false, false)
			for range 20 {
				c.write(func(f *http2.Framer) error {
					return f.WriteContinuation(r.id, false, block("x", strings.Repeat("y", 10<<10)))
				})
			}
		},
		"frames without content": func(c *farConn, r *request) {
			r.rawHeaders(block(":status", "200"), false, false)
			for range 20_000 {
				c.write(func(f *http2.Framer) error { return f.WriteContinuation(r.id, false, nil) })
			}
		},
		"more header than is allowed": func(c *farConn, r *request) {
			// Little on the wire: one entry of the table, many times.
			fragment := append([]byte{0x40, 1, 'x', 0x7f, 0xa1, 0x1e}, strings.Repeat("y", 4000)...) // literal with indexing
			fragment = append([]byte{0x88}, fragment...)
			for range 100 {
				fragment = append(fragment, 0x80|62)
			}
			r.rawHeaders(fragment, true, true)
		},
		"a header that is cut": func(c *farConn, r *request) { r.rawHeaders(block(":status", "201")[:2], true, true) },
		"a header of nonsense": func(c *farConn, r *request) { r.rawHeaders([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true, true) },
		"a push": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error {
				return f.WritePushPromise(http2.PushPromiseParam{StreamID: r.id, PromiseID: 2, BlockFragment: block(":method", "GET"), EndHeaders: true})
			})
		},
		"a stream of its own": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteData(2, true, nil) })
		},
		"a stream nobody opened": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteRSTStream(r.id+2, 0) })
		},
		"a window beyond 2^31": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1) })
		},
		"a window that grows by 0": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteRawFrame(http2.FrameWindowUpdate, 0, r.id, make([]byte, 4)) })
		},
		"settings of a wrong value": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			})
		},
		"settings of a wrong size": func(c *farConn, r *request) {
			c.write(func(f *http2.Framer) error { return f.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) })
		},
	}
	for name, answer := range cases {
		t.Run("R-A65 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				var why error
				s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{ConnectionClosed: func(_ fcmsend.ConnectionInfo, err error) { why = err }}})
				p := send(t, s, toToken())
				conn := w.conn()
				answer(conn, conn.request())
				e := p.wantError(fcm.Unavailable, true)
				if !conn.isOver() || p.took != 0 || why == nil || !strings.Contains(e.Error(), "rules of HTTP/2") {
					t.Errorf("after %v: %v, closed with %v; want it at once, and the connection over", p.took, e, why)
				}
				p = send(t, s, toToken()) // elsewhere
				w.conn().request().accept()
				p.wantAccepted()
			})
		})
	}
}

func TestR_A65_AFarEndThatSpeaksSomethingElse(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.silent = true
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		conn.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
		if p.wantError(fcm.Unavailable, true); p.took != 0 {
			t.Errorf("took %v; want it at once", p.took)
		}
	})
	play(t, func(t *testing.T, w *far) {
		w.silent = true
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		conn.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
		if p.wantError(fcm.Unavailable, true); p.took != 0 {
			t.Errorf("took %v; want it at once", p.took)
		}
	})
	play(t, func(t *testing.T, w *far) {
		w.silent = true
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		conn.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		p.wantError(fcm.Unavailable, true)
	})
}

func TestWhatIsNoFaultIsBorneWith(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		conn.write(func(f *http2.Framer) error { return f.WriteRawFrame(0xbe, 0xff, r.id, []byte("grease")) })
		conn.write(func(f *http2.Framer) error { return f.WriteSettings(http2.Setting{ID: 0x1a1a, Val: 7}) })
		conn.write(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1}) })
		r.rawHeaders(block(":status", "100"), true, false)
		r.rawHeaders(block(":status", "103", "link", "x"), true, false)
		head := block(":status", "200", "content-length", itoa(len(success)), "content-length", itoa(len(success)))
		synctest.Wait()
		r.rawHeaders(head[:3], false, false) // in two frames
		conn.write(func(f *http2.Framer) error { return f.WriteContinuation(r.id, true, head[3:]) })
		conn.write(func(f *http2.Framer) error {
			return f.WriteDataPadded(r.id, false, []byte(success[:10]), make([]byte, 200))
		})
		r.data(success[10:], false)
		r.rawHeaders(block("grpc-status", "0"), true, true) // trailers
		p.wantAccepted()
		// Frames on the stream that is over are late, and no fault either.
		r.data("late", false)
		r.cancel(http2.ErrCodeNo)
		conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(r.id, 10) })
		r.rawHeaders(block(":status", "200"), true, true)
		p = send(t, s, toToken())
		conn.request().accept()
		p.wantAccepted()
		if conn.acks != 2 || len(conn.pongs) != 0 {
			t.Errorf("%d of 2 SETTINGS are acked, %d pings answered that were answers", conn.acks, len(conn.pongs))
		}
		conn.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{7}) })
		synctest.Wait()
		if len(conn.pongs) != 1 || conn.pongs[0] != [8]byte{7} {
			t.Errorf("a ping is answered with %v", conn.pongs)
		}
	})
}

func TestR_A65_AFloodOfQuestionsIsNotAnsweredForEver(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		// The far end asks and reads nothing: our answers have nowhere to go.
		conn.halt()
		for range 200_000 {
			if conn.framer.WritePing(false, [8]byte{}) != nil {
				break
			}
		}
		if e := p.wantError(fcm.Unavailable, true); p.took != 0 || !strings.Contains(e.Error(), "does not read") {
			t.Errorf("after %v: %v; want it at once", p.took, e)
		}
	})
}

func TestWhatHasNotLeftHasAKnownOutcome(t *testing.T) {
	stuck := func(t *testing.T, w *far) (*fcmsend.Sender, *farConn, *sending) {
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 100}}
		s := w.sender(&fcmsend.Options{MaxConnections: 1})
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		p = send(t, s, toToken("k", strings.Repeat("v", 1000)))
		p.wantPending()
		return s, conn, p
	}
	t.Run("given up", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			s, conn, p := stuck(t, w)
			time.Sleep(5 * time.Second)
			conn.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }) // it lives
			p.wantError(fcm.Unavailable, false)
			// And what it left is not written any more, whatever window comes.
			p = send(t, s, toToken("k", strings.Repeat("w", 1000)))
			p.wantPending()
			conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 5000) })
			conn.noRequest()
			conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(5, 5000) })
			r := conn.request()
			if r.id != 5 || !strings.Contains(string(r.body), "www") {
				t.Errorf("stream %d: %.100s", r.id, r.body)
			}
			r.accept()
			p.wantAccepted()
		})
	})
	t.Run("given up, and its memory used elsewhere", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			w.stingy = true
			w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
			s := w.sender(&fcmsend.Options{QuietAfter: time.Hour, IdleTimeout: time.Hour})
			var before *farConn
			for range 10 { // whether memory is used again is a matter of chance
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request().accept()
				p.wantAccepted()
				p = send(t, s, toToken("k", strings.Repeat("v", 100_000)))
				p.wantPending()
				if before != nil {
					// The far end complains of what is written there now.
					before.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<20) })
					synctest.Wait()
					before.goAway(1<<31-1, http2.ErrCodeNo, "")
				}
				before = conn
				p.wantError(fcm.Unavailable, false) // and the connection is doubted
			}
		})
	})
	t.Run("reset", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			_, conn, p := stuck(t, w)
			conn.write(func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeInternal) })
			if p.wantError(fcm.Unavailable, false); p.took != 0 {
				t.Errorf("took %v", p.took)
			}
		})
	})
	t.Run("answered with nonsense", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			_, conn, p := stuck(t, w)
			(&request{farConn: conn, id: 3}).rawHeaders(block("a", "b"), true, true)
			if p.wantError(fcm.Unavailable, false); p.took != 0 {
				t.Errorf("took %v", p.took)
			}
		})
	})
	t.Run("answered with nonsense while its end is on the way", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			s, conn, p := stuck(t, w)
			conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<30) })
			conn.halt()
			send(t, s, toToken("k", strings.Repeat("w", 200_000))).wantPending()
			for _, id := range []uint32{5, 3} { // the first of them fills the socket
				conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(id, 1<<20) })
				synctest.Wait()
			}
			(&request{farConn: conn, id: 3}).rawHeaders(block("a", "b"), true, true)
			p.wantError(fcm.Unavailable, true)
		})
	})
	t.Run("cut, and sent again elsewhere", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			_, conn, p := stuck(t, w)
			w.settings = nil
			conn.nc.Close()
			w.conn().request().accept()
			p.wantAccepted()
		})
	})
	t.Run("answered all the same", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			_, conn, p := stuck(t, w)
			(&request{farConn: conn, id: 3}).answer(413, "")
			p.wantError(fcm.InvalidMessage, false)
			synctest.Wait()
			if code, ok := conn.resetOf(3); !ok || code != http2.ErrCodeCancel {
				t.Errorf("reset %v, %v; want CANCEL for the rest", code, ok)
			}
		})
	})
}

func TestRequestsThatTheSocketHasNotTakenAreSentElsewhere(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
		s := w.sender(nil)
		p := send(t, s, toToken())
		first := w.conn()
		first.request().accept()
		p.wantAccepted()
		first.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<30) })
		synctest.Wait()
		// The far end reads no more: 64 KiB fit into the pipe, and some wait.
		first.halt()
		var all []*sending
		for range 20 {
			all = append(all, send(t, s, toToken("k", strings.Repeat("v", 16_000))))
			synctest.Wait()
		}
		// One that was stuck in the middle gets through, and all others are handed
		// over together.
		if _, err := io.ReadFull(first.raw, make([]byte, 40<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.handle = (*request).accept
		first.raw.Reset()
		unknown, accepted := 0, 0
		for _, p := range all {
			if _, err := p.wait(); err == nil {
				accepted++
			} else {
				p.wantError(fcm.Unavailable, true)
				unknown++
			}
		}
		// 104 KiB were taken: six and a half of them.
		if unknown != 6 || accepted != 14 {
			t.Errorf("%d unknown, %d accepted elsewhere; want 6 and 14", unknown, accepted)
		}
	})
}

// A lateConn hears all a moment later.
type lateConn struct{ net.Conn }

func (c lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(100 * time.Millisecond)
	return n, err
}

func TestR_F12_AGoAwayIsHeardThoughWritingFailedBefore(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
		var why error
		opt := w.options(&fcmsend.Options{Events: &fcmsend.Events{ConnectionClosed: func(_ fcmsend.ConnectionInfo, err error) { why = err }}})
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.dial(ctx, network, address)
			return lateConn{nc}, err
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		p := send(t, s, toToken())
		first := w.conn()
		first.request()
		time.Sleep(time.Second)
		first.goAway(0, http2.ErrCodeNo, "")
		first.nc.Close()
		other := send(t, s, toToken()) // its writing fails before the GOAWAY is read
		second := w.conn()
		second.request().accept()
		second.request().accept()
		p.wantAccepted()
		other.wantAccepted()
		synctest.Wait()
		if why == nil || !strings.Contains(why.Error(), "write") {
			t.Errorf("closed with %v; want what the writer saw", why)
		}
	})
}

func TestHeadersBeyondAFrameAndTables(t *testing.T) {
	for _, length := range []int{1_000, 8_000, 16_370} {
		t.Run(itoa(length)+" characters of token", func(t *testing.T) { tablesWith(t, length) })
	}
}

func tablesWith(t *testing.T, length int) {
	for name, settings := range map[string][]http2.Setting{
		"no table":      {{ID: http2.SettingHeaderTableSize, Val: 0}},
		"a small table": {{ID: http2.SettingHeaderTableSize, Val: 200}},
		"a large table": {{ID: http2.SettingHeaderTableSize, Val: 1 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				w.settings = settings
				token := strings.Repeat("~", length) // which no code makes shorter
				s := w.senderWith(fcmsend.Static(token), nil)
				var conn *farConn
				for range 4 {
					p := send(t, s, toToken())
					if conn == nil {
						conn = w.conn()
					}
					r := conn.request()
					if r.header["authorization"] != "Bearer "+token || r.header[":path"] != sendPath {
						t.Errorf("header %.200v", r.header)
					}
					r.accept()
					p.wantAccepted()
					synctest.Wait() // for the SETTINGS to be acked
				}
			})
		})
	}
}

// Both ends of the answers' table forget the same entries at the same time: it has
// the size of RFC 9113 6.5.2, since the sender names none.
func TestTheTableOfAnswersIsInStep(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		var conn *farConn
		for i := range 400 {
			p := send(t, s, toToken())
			if conn == nil {
				conn = w.conn()
			}
			pad := strings.Repeat("p", 1+i*37%211)
			conn.request().answer(503, "", "retry-after", itoa(1+i%50), "x-"+itoa(i%7), pad)
			if e := p.wantError(fcm.Unavailable, false); e.RetryAfter != time.Duration(1+i%50)*time.Second {
				t.Fatalf("answer %d: retry after %v", i, e.RetryAfter)
			}
		}
	})
}

func TestANewTokenIsWrittenOnOldConnections(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{IdleTimeout: 10 * time.Hour})
		var conn *farConn
		for hour := range 5 {
			for range 4 {
				p := send(t, s, toToken())
				if conn == nil {
					conn = w.conn()
				}
				r := conn.request()
				if got, want := r.header["authorization"], "Bearer token-"+itoa(hour+1); got != want {
					t.Errorf("hour %d: authorization %q; want %q", hour, got, want)
				}
				r.accept()
				p.wantAccepted()
			}
			time.Sleep(time.Hour)
		}
		if n := h.count(); n != 5 {
			t.Errorf("%d tokens", n)
		}
	})
}

// What comes behind the bound of a reply is nobody's, whoever sends next.
func TestATooLongAnswerIsCutOff(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		r.head(503, false)
		r.data(strings.Repeat("x", 64<<10), false)
		p.wantPending()
		r.data("x", false)
		p.wantError(fcm.Unavailable, false)
		synctest.Wait()
		if code, ok := conn.resetOf(r.id); !ok || code != http2.ErrCodeCancel {
			t.Errorf("reset %v, %v; want CANCEL", code, ok)
		}
		p = send(t, s, toToken())
		next := conn.request()
		r.data("x", true)
		p.wantPending()
		next.accept()
		p.wantAccepted()
	})
}
