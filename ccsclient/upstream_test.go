package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// A handling is a call of an upstream handler under way.
type handling struct {
	m   *ccs.Upstream
	ctx context.Context
	end chan error // what the handler is to return
}

// handler gives a handler whose calls the test answers itself.
func handler() (ccsclient.UpstreamHandler, chan *handling) {
	calls := make(chan *handling, 100)
	return func(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
		h := &handling{m: m, ctx: ctx, end: make(chan error, 1)}
		calls <- h
		select {
		case err := <-h.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, calls
}

// handled is the call under way; there must be one.
func handled(t *testing.T, calls chan *handling, id ccs.MessageID) *handling {
	t.Helper()
	synctest.Wait()
	select {
	case h := <-calls:
		if h.m.MessageID != id {
			t.Fatalf("%s is handled, want %s", h.m.MessageID, id)
		}
		return h
	default:
		t.Fatalf("%s is not handled", id)
		return nil
	}
}

func wantNoCall(t *testing.T, calls chan *handling) {
	t.Helper()
	synctest.Wait()
	select {
	case h := <-calls:
		t.Fatalf("%s is handled", h.m.MessageID)
	default:
	}
}

func TestC34_UpstreamIsDeliveredWholeAndAcked(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var got []*ccs.Upstream
		_, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(_ context.Context, out ccsclient.Sender, m *ccs.Upstream) error {
				if out == nil {
					t.Error("there is nobody to answer by")
				}
				got = append(got, m)
				return nil
			}
		})
		st.device(`{"data":{"k":"v","n":1,"u":"ü &amp; \u00e4","e":""},"time_to_live":86400,"from":"device\&quot;1","message_id":"u-1","category":"com.example.app"}`)
		st.wantAck(`device"1`, "u-1")
		st.device(`{"from":"device-2","message_id":"u-1","data":{},"category":"other"}`) // the same id, of another device
		st.wantAck("device-2", "u-1")
		st.device(`{"from":"device-2","message_id":7}`) // lacking what an ack does not need
		st.wantAck("device-2", "7")
		st.wantQuiet()
		if len(got) != 3 {
			t.Fatalf("%d messages were delivered", len(got))
		}
		m := got[0]
		if m.From != `device"1` || m.Category != "com.example.app" || m.MessageID != "u-1" || m.TTL == nil || *m.TTL != 24*time.Hour {
			t.Errorf("%+v is not what was written", m)
		}
		if want := map[string]string{"k": "v", "n": "1", "u": "ü & ä", "e": ""}; fmt.Sprint(m.Data) != fmt.Sprint(want) {
			t.Errorf("data %v, want %v", m.Data, want)
		}
		if got[1].From != "device-2" || got[1].Category != "other" {
			t.Errorf("%+v is not what was written", got[1])
		}
	})
}

func TestC35_AcksGoToTheStreamThatBroughtTheMessage(t *testing.T) {
	t.Run("of two live ones", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, one := srv.bound(func(o *ccsclient.Options) { o.Streams, o.Upstream, o.Handlers = 2, h, 2 })
			two := srv.bind()
			one.upstream("device", "u-1")
			two.upstream("device", "u-2")
			first := handled(t, calls, "u-1")
			second := handled(t, calls, "u-2")
			second.end <- nil
			two.wantAck("device", "u-2")
			first.end <- nil
			one.wantAck("device", "u-1")
			one.wantQuiet()
			two.wantQuiet()
		})
	})
	for name, end := range map[string]func(st *stream){
		"not at all when it was cut": (*stream).cut,
		"nor when it was closed":     (*stream).hangUp,
		"nor behind its closing tag": (*stream).goodbye,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				h, calls := handler()
				var traced []string
				_, one := srv.bound(func(o *ccsclient.Options) {
					o.Upstream = h
					o.Trace = func(tr ccsclient.Trace) {
						if tr.Direction == ccsclient.Out {
							traced = append(traced, tr.Text)
						}
					}
				})
				one.upstream("device", "u-1")
				call := handled(t, calls, "u-1")
				end(one)
				two := srv.bind()
				call.end <- nil
				two.wantQuiet()
				if strings.Contains(one.bytes(), `"ack"`) || traced != nil {
					t.Errorf("acked on a stream that is gone: %s, traced %q", one.bytes(), traced)
				}
				// It comes again there, and that copy gets its ack without another call.
				two.upstream("device", "u-1")
				two.wantAck("device", "u-1")
				two.wantQuiet()
				wantNoCall(t, calls)
			})
		})
	}
	t.Run("on a draining one as long as it lives", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, one := srv.bound(func(o *ccsclient.Options) { o.Upstream = h })
			one.upstream("device", "u-1")
			call := handled(t, calls, "u-1")
			one.control()
			two := srv.bind()
			call.end <- nil
			one.wantAck("device", "u-1")
			two.wantQuiet()
		})
	})
}

func TestC36_NothingIsAckedBeforeItsHandlerIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		verdict error
		reports bool
	}{
		"when it succeeds":       {nil, false},
		"when it fails for good": {errors.New("no room in the database"), true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				h, calls := handler()
				var told []error
				_, st := srv.bound(func(o *ccsclient.Options) {
					o.Upstream = h
					o.Events.Handled = func(m ccs.FromServer, err error) {
						if m.(*ccs.Upstream).MessageID != "u-1" {
							t.Errorf("the event is about %v", m)
						}
						told = append(told, err)
					}
				})
				st.upstream("device", "u-1")
				call := handled(t, calls, "u-1")
				time.Sleep(10 * time.Second)
				st.wantQuiet()
				if told != nil {
					t.Errorf("told before it was handled: %v", told)
				}
				call.end <- c.verdict
				st.wantAck("device", "u-1")
				st.wantQuiet()
				if len(told) != 1 || !errors.Is(told[0], c.verdict) || (told[0] != nil) != c.reports {
					t.Errorf("told %v, want %v", told, c.verdict)
				}
				wantNoCall(t, calls)
			})
		})
	}
	t.Run("when it panics", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			var told error
			_, st := srv.bound(func(o *ccsclient.Options) {
				o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
					if m.MessageID == "u-1" {
						panic("out of cheese")
					}
					return nil
				}
				o.Receipts = func(context.Context, *ccs.Receipt) error { panic("again") }
				o.Events.Handled = func(_ ccs.FromServer, err error) { told = err }
			})
			st.upstream("device", "u-1")
			st.wantAck("device", "u-1")
			if told == nil || !strings.Contains(told.Error(), "out of cheese") || !strings.Contains(told.Error(), "upstream_test.go") {
				t.Errorf("told %v, want the panic and where it came from", told)
			}
			st.receipt("m-1")
			st.wantAck("gcm.googleapis.com", "dr2:m-1")
			if told == nil || !strings.Contains(told.Error(), "again") {
				t.Errorf("told %v, want the second panic", told)
			}
			st.upstream("device", "u-2") // everything lives on
			st.wantAck("device", "u-2")
			if told != nil {
				t.Error(told)
			}
		})
	})
	t.Run("when it asks for another try", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			var told []error
			_, st := srv.bound(func(o *ccsclient.Options) {
				o.Upstream = h
				o.Events.Handled = func(_ ccs.FromServer, err error) { told = append(told, err) }
			})
			again := fmt.Errorf("the database is away: %w", ccsclient.ErrTryAgain)
			st.upstream("device", "u-1")
			st.upstream("device", "u-2")
			handled(t, calls, "u-1").end <- again
			for _, wait := range []time.Duration{1, 2, 4, 8} {
				time.Sleep(wait*time.Second - 1)
				wantNoCall(t, calls) // u-2 neither: it stays in its place behind u-1
				st.wantQuiet()
				time.Sleep(time.Nanosecond)
				handled(t, calls, "u-1").end <- again
			}
			time.Sleep(16 * time.Second)
			last := handled(t, calls, "u-1")
			if told != nil {
				t.Errorf("told %v before the end", told)
			}
			last.end <- nil
			st.wantAck("device", "u-1")
			handled(t, calls, "u-2").end <- again
			for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
				time.Sleep(wait * time.Second)
				handled(t, calls, "u-2").end <- again
			}
			st.wantAck("device", "u-2") // after the sixth time it has failed for good
			synctest.Wait()
			if len(told) != 2 || told[0] != nil || !errors.Is(told[1], ccsclient.ErrTryAgain) {
				t.Errorf("told %v", told)
			}
		})
	})
	t.Run("when the pool ends meanwhile", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			p, st := srv.bound(func(o *ccsclient.Options) {
				o.Upstream = h
				o.Events.Handled = func(m ccs.FromServer, err error) { t.Errorf("%v is told as handled, with %v", m, err) }
			})
			st.upstream("device", "u-1")
			st.upstream("device", "u-2")
			call := handled(t, calls, "u-1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown returned %v", err)
			}
			if call.ctx.Err() == nil {
				t.Error("the handler's context lives on")
			}
			st.wantGoodbye() // and no ack in front of it
			wantNoCall(t, calls)
		})
	})
}

func TestC37_ARepeatedUpstreamIsHandledOnceAndAckedTwice(t *testing.T) {
	t.Run("when the first was handled", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, st := srv.bound(func(o *ccsclient.Options) { o.Upstream = h })
			st.upstream("device", "u-1")
			handled(t, calls, "u-1").end <- nil
			st.wantAck("device", "u-1")
			st.upstream("device", "u-1")
			st.wantAck("device", "u-1")
			wantNoCall(t, calls)
			st.upstream("another", "u-1") // ids are unique for one device only
			handled(t, calls, "u-1").end <- nil
			st.wantAck("another", "u-1")
			st.cut()
			st = srv.bind()
			st.upstream("device", "u-1")
			st.wantAck("device", "u-1")
			wantNoCall(t, calls)
		})
	})
	t.Run("while the first is being handled", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, st := srv.bound(func(o *ccsclient.Options) { o.Upstream, o.Handlers = h, 4 })
			st.upstream("device", "u-1")
			call := handled(t, calls, "u-1")
			st.upstream("device", "u-1")
			wantNoCall(t, calls)
			st.wantQuiet()
			call.end <- nil
			st.wantAck("device", "u-1")
			st.wantAck("device", "u-1")
			st.wantQuiet()
		})
	})
	t.Run("on a new stream while the first is being handled", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, old := srv.bound(func(o *ccsclient.Options) { o.Upstream, o.Handlers = h, 4 })
			old.upstream("device", "u-1")
			call := handled(t, calls, "u-1")
			old.cut()
			fresh := srv.bind()
			fresh.wantQuiet()
			fresh.upstream("device", "u-1")
			wantNoCall(t, calls)
			fresh.wantQuiet()
			call.end <- nil
			fresh.wantAck("device", "u-1") // that of the second copy
			fresh.wantQuiet()
		})
	})
	t.Run("on another stream while both live", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, one := srv.bound(func(o *ccsclient.Options) { o.Upstream, o.Streams = h, 2 })
			two := srv.bind()
			one.upstream("device", "u-1")
			two.upstream("device", "u-1")
			handled(t, calls, "u-1").end <- nil
			one.wantAck("device", "u-1")
			two.wantAck("device", "u-1")
			one.wantQuiet()
			two.wantQuiet()
			wantNoCall(t, calls)
		})
	})
	t.Run("as far as the last ten thousand go", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			n := 0
			_, st := srv.bound(func(o *ccsclient.Options) {
				o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { n++; return nil }
			})
			for i := range 10_001 {
				st.upstream("device", string(nth(i)))
				st.wantAck("device", string(nth(i)))
			}
			st.upstream("device", "m-1")
			st.wantAck("device", "m-1")
			if n != 10_001 {
				t.Errorf("%d calls: a remembered message was handled again", n)
			}
			st.upstream("device", "m-0") // forgotten
			st.wantAck("device", "m-0")
			if n != 10_002 {
				t.Errorf("%d calls: the memory has no bound", n)
			}
		})
	})
	t.Run("but handed over too, and marked, for whoever asks for repeats", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, one := srv.bound(func(o *ccsclient.Options) { o.Upstream, o.Repeats = h, true })
			want := func(call *handling, again bool, state ccsclient.StreamState) {
				t.Helper()
				d := ccsclient.DeliveryOf(call.ctx)
				if d.Redelivered != again || d.Stream.State != state || d.Stream.ID != streamID || d.Stream.JID != jid {
					t.Errorf("%s: %+v, want redelivered %t, on a stream that is %s", call.m.MessageID, d, again, state)
				}
			}
			one.upstream("device", "u-1")
			one.upstream("device", "u-2")
			first := handled(t, calls, "u-1")
			want(first, false, ccsclient.StateOpen)
			one.upstream("device", "u-1") // in its place, behind u-2
			one.upstream("device", "u-1") // the same copy once more
			one.cut()
			two := srv.bind()
			two.upstream("device", "u-2") // no handler was called for it yet: it is no repeat
			first.end <- nil
			second := handled(t, calls, "u-2")
			want(second, false, ccsclient.StateClosed)
			second.end <- nil
			two.wantAck("device", "u-2")
			again := handled(t, calls, "u-1")
			want(again, true, ccsclient.StateClosed)
			again.end <- nil
			wantNoCall(t, calls)
			two.upstream("device", "u-1")
			again = handled(t, calls, "u-1")
			want(again, true, ccsclient.StateOpen)
			two.wantQuiet()
			again.end <- nil
			two.wantAck("device", "u-1")
			two.wantQuiet()
			if d := ccsclient.DeliveryOf(t.Context()); d != (ccsclient.Delivery{}) {
				t.Errorf("%+v of a context that is no handler's", d)
			}
		})
	})
	t.Run("a receipt is no copy of a message", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			var n, receipts int
			_, st := srv.bound(func(o *ccsclient.Options) {
				o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { n++; return nil }
				o.Receipts = func(context.Context, *ccs.Receipt) error { receipts++; return nil }
			})
			st.upstream(token, "dr2:1")
			st.wantAck(token, "dr2:1")
			st.receipt("1")
			st.wantAck("gcm.googleapis.com", "dr2:1")
			st.receipt("1")
			st.wantAck("gcm.googleapis.com", "dr2:1")
			if n != 1 || receipts != 1 {
				t.Errorf("%d messages and %d receipts were handled, want one each", n, receipts)
			}
		})
	})
}

func TestC38_C39_ReceiptsAreKnownAndAckedByTheirWholeID(t *testing.T) {
	at := time.UnixMilli(1498801519251)
	for name, c := range map[string]struct {
		json string
		want ccs.Receipt
	}{
		"as recorded": {
			`{"category":"com.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"dev","message_sent_timestamp":"1498801519251"},"message_id":"dr2:39","message_type":"receipt","time_to_live":0,"from":"gcm.googleapis.com"}`,
			ccs.Receipt{MessageID: "dr2:39", Category: "com.example.app", Status: "MESSAGE_SENT_TO_DEVICE", OriginalMessageID: "39", Device: "dev", SentAt: at},
		},
		"without timestamp": {
			`{"category":"c","data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"dev"},"message_id":"dr2:39","message_type":"receipt","from":"gcm.googleapis.com"}`,
			ccs.Receipt{MessageID: "dr2:39", Category: "c", Status: "MESSAGE_SENT_TO_DEVICE", OriginalMessageID: "39", Device: "dev"},
		},
		"with a numeric one": {
			`{"data":{"message_sent_timestamp":1498801519251,"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"39","device_registration_id":"dev"},"message_id":"dr2:39","message_type":"receipt","from":"gcm.googleapis.com"}`,
			ccs.Receipt{MessageID: "dr2:39", Status: "MESSAGE_SENT_TO_DEVICE", OriginalMessageID: "39", Device: "dev", SentAt: at},
		},
		"with an unknown status": {
			`{"data":{"message_status":"MESSAGE_SEEN","original_message_id":"39","device_registration_id":"dev","news":{"a":[1]}},"message_id":"dr2:39","message_type":"receipt","from":"gcm.googleapis.com"}`,
			ccs.Receipt{MessageID: "dr2:39", Status: "MESSAGE_SEEN", OriginalMessageID: "39", Device: "dev"},
		},
		"without data": {
			`{"message_id":"dr2:39","message_type":"receipt","from":"gcm.googleapis.com"}`,
			ccs.Receipt{MessageID: "dr2:39"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var got []*ccs.Receipt
				let := make(chan struct{})
				_, st := srv.bound(func(o *ccsclient.Options) {
					o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
						t.Errorf("a receipt was taken for the message %v", m)
						return nil
					}
					o.Receipts = func(_ context.Context, r *ccs.Receipt) error {
						<-let
						got = append(got, r)
						return nil
					}
				})
				st.device(c.json)
				st.wantQuiet() // not before the handler is done
				close(let)
				st.wantAck("gcm.googleapis.com", "dr2:39")
				st.wantQuiet()
				if len(got) != 1 {
					t.Fatalf("%d receipts", len(got))
				}
				if !got[0].SentAt.Equal(c.want.SentAt) {
					t.Errorf("sent at %v, want %v", got[0].SentAt, c.want.SentAt)
				}
				got[0].SentAt, c.want.SentAt = time.Time{}, time.Time{}
				if *got[0] != c.want {
					t.Errorf("%+v, want %+v", *got[0], c.want)
				}
			})
		})
	}
	t.Run("of one message to several devices", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			n := 0
			_, st := srv.bound(func(o *ccsclient.Options) {
				o.Receipts = func(context.Context, *ccs.Receipt) error { n++; return nil }
			})
			for _, dev := range []string{"a", "b"} {
				st.device(`{"data":{"original_message_id":"39","device_registration_id":"` + dev + `"},"message_id":"dr2:39","message_type":"receipt","from":"gcm.googleapis.com"}`)
				st.wantAck("gcm.googleapis.com", "dr2:39")
			}
			if n != 2 {
				t.Errorf("%d receipts were handled, want that of each device", n)
			}
		})
	})
}

func TestC40_UnknownTypesAndKeysArePassedOver(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var got []ccs.MessageID
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
				got = append(got, m.MessageID)
				return nil
			}
		})
		r := p.send("m-1")
		st.want("m-1")
		st.device(`{"message_type":"news","message_id":"x","from":"y","data":{}}`)
		srv.wantOdd("unknown type")
		st.wantQuiet()
		st.device(`{"from":"d","message_id":"u-1","data":{},"category":"c","extra":{"a":[1,{"b":null}]},"error":5,"success":true}`)
		st.wantAck("d", "u-1")
		st.say(`{"message_type":"ack","message_id":"m-1","from":"t","whatever":[[]],"time_to_live":"x"}`)
		r.wantAcked()
		st.write(`<message><gcm xmlns="google:mobile:data">{"from":"d","message_id":"u-2"}</gcm><x xmlns="y"/></message>`)
		st.wantAck("d", "u-2")
		if odd := srv.noted(); odd != nil {
			t.Errorf("reported: %q", odd)
		}
		st.write(`<news xmlns="urn:x"><a/></news>`)
		srv.wantOdd("element")
		st.write(`<presence from="a"/>`)
		srv.wantOdd("element")
		st.wantQuiet()
		srv.wantNoDial(time.Second)
	})
}

func TestC41_APayloadThatIsNoJSONIsReportedAndTheStreamGoesOn(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40)
	for name, c := range map[string]struct{ stanza, report string }{
		"no JSON":              {`<message><gcm xmlns="google:mobile:data">hello</gcm></message>`, "no message"},
		"half of it":           {`<message><gcm xmlns="google:mobile:data">{"message_type":"ack",</gcm></message>`, "no message"},
		"an array":             {`<message><gcm xmlns="google:mobile:data">[1]</gcm></message>`, "no message"},
		"nothing":              {`<message><gcm xmlns="google:mobile:data"/></message>`, "no message"},
		"nested too deep":      {`<message><gcm xmlns="google:mobile:data">` + deep + `</gcm></message>`, "no message"},
		"an ack without id":    {`<message><gcm xmlns="google:mobile:data">{"message_type":"ack","from":"t"}</gcm></message>`, "message_id"},
		"upstream from nobody": {`<message><gcm xmlns="google:mobile:data">{"message_id":"u","data":{}}</gcm></message>`, "from"},
		"data of a wrong type": {`<message><gcm xmlns="google:mobile:data">{"message_id":"u","from":"d","data":"x"}</gcm></message>`, "data"},
		"no payload":           {`<message><body>hello</body></message>`, "without payload"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
						t.Errorf("handled: %v", m)
						return nil
					}
				})
				r := p.send("m-1")
				st.want("m-1")
				st.write(c.stanza)
				srv.wantOdd(c.report)
				st.wantQuiet()
				st.ack("m-1")
				r.wantAcked()
				srv.wantNoDial(time.Second)
			})
		})
	}
}

func TestWithoutHandlerNothingIsAcked(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var unhandled []string
		_, st := srv.bound(func(o *ccsclient.Options) {
			o.Events.Unhandled = func(m ccs.FromServer) { unhandled = append(unhandled, fmt.Sprintf("%T", m)) }
		})
		st.upstream("device", "u-1")
		st.receipt("m-1")
		time.Sleep(30 * time.Second)
		st.wantQuiet()
		if !slices.Equal(unhandled, []string{"*ccs.Upstream", "*ccs.Receipt"}) {
			t.Errorf("told of %v", unhandled)
		}
	})
}

func TestMessagesAreHandledInOrderByOneAndTogetherByMany(t *testing.T) {
	t.Run("one", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, st := srv.bound(func(o *ccsclient.Options) { o.Upstream = h })
			for i := range 10 {
				st.upstream("device", string(nth(i)))
			}
			for i := range 10 {
				call := handled(t, calls, nth(i))
				wantNoCall(t, calls)
				call.end <- nil
				st.wantAck("device", string(nth(i)))
			}
		})
	})
	t.Run("many", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			h, calls := handler()
			_, st := srv.bound(func(o *ccsclient.Options) { o.Upstream, o.Handlers = h, 3 })
			for i := range 5 {
				st.upstream("device", string(nth(i)))
			}
			synctest.Wait()
			if n := len(calls); n != 3 {
				t.Errorf("%d are handled at a time, want 3", n)
			}
			for range 5 {
				synctest.Wait()
				(<-calls).end <- nil
			}
		})
	})
}

func TestTheHandlersContextOutlivesItsStream(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		h, calls := handler()
		p, st := srv.bound(func(o *ccsclient.Options) { o.Upstream = h })
		st.upstream("device", "u-1")
		call := handled(t, calls, "u-1")
		st.cut()
		srv.bind()
		if call.ctx.Err() != nil {
			t.Error("the context ended with the stream")
		}
		p.cancel()
		if err := <-p.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if call.ctx.Err() == nil {
			t.Error("the context outlives the pool")
		}
	})
}

func TestMoreUpstreamThanIsHandledClosesItsStream(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		let := make(chan struct{})
		var mu sync.Mutex
		handledTimes := map[ccs.MessageID]int{}
		var closed []error
		_, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
				<-let
				mu.Lock()
				defer mu.Unlock()
				handledTimes[m.MessageID]++
				return nil
			}
			o.Events.Closed = func(_ ccsclient.Stream, err error) { closed = append(closed, err) }
		})
		for i := range 1_001 { // one is being handled, a thousand wait
			st.upstream("device", string(nth(i)))
		}
		st.wantQuiet()
		st.upstream("device", "m-1001")
		st.wantEnd()
		fresh := srv.bind()
		if len(closed) != 1 || closed[0] == nil || !strings.Contains(closed[0].Error(), "more upstream messages") {
			t.Errorf("the stream closed with %v", closed)
		}
		close(let)
		synctest.Wait()
		fresh.wantQuiet() // the acks of the old stream's copies are lost with it
		for i := range 1_002 {
			fresh.upstream("device", string(nth(i)))
			fresh.wantAck("device", string(nth(i)))
		}
		for id, n := range handledTimes {
			if n != 1 {
				t.Errorf("%s was handled %d times", id, n)
			}
		}
		if len(handledTimes) != 1_002 {
			t.Errorf("%d messages were handled", len(handledTimes))
		}
	})
}

func TestAReceiptHoldsBackNoUpstreamMessage(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		h, calls := handler()
		var unhandled int
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = h
			o.Receipts = func(ctx context.Context, _ *ccs.Receipt) error {
				<-ctx.Done() // the slowest handler there is
				return ctx.Err()
			}
			o.Events.Unhandled = func(ccs.FromServer) { unhandled++ }
		})
		for i := range 1_500 { // the first is being handled, a thousand wait
			st.receipt(string(nth(i)))
		}
		st.upstream("device", "u-1")
		handled(t, calls, "u-1").end <- nil
		st.wantAck("device", "u-1")
		if unhandled != 499 {
			t.Errorf("%d receipts found no room, want 499", unhandled)
		}
		if n := len(p.State().Streams); n != 1 || len(srv.dialled()) != 1 {
			t.Errorf("%d streams after %d dials: receipts are worth no stream", n, len(srv.dialled()))
		}
	})
}

// A shutdown lets the handlers that are under way end, and their acks leave; what
// no handler has begun with comes again.
// What a handler leaves unhandled is not acked, and is as new when it comes again.
