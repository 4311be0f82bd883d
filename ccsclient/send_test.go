package ccsclient_test

import (
	"context"
	"encoding/xml"
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

func seconds(n int) *time.Duration {
	d := time.Duration(n) * time.Second
	return &d
}

func TestC16_EachDownstreamIsOneMessageWithOnePayload(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		p.sendMany(1, 3)
		for i := 1; i <= 3; i++ {
			el := st.stanza()
			if id := st.payloadOf(el)["message_id"]; id != string(nth(i)) { // which wants one message with one <gcm>
				t.Errorf("the stanza %d carries %v", i, id)
			}
			for _, a := range el.Attrs {
				if a.Name.Local == "id" && a.Value == "" {
					t.Error("the stanza's id is empty")
				}
			}
			if strings.TrimSpace(el.Text) != "" {
				t.Errorf("text beside the payload: %s", el)
			}
		}
		st.wantQuiet()
		raw := st.bytes()
		if n := strings.Count(raw, `<gcm xmlns="google:mobile:data">`); n != 3 {
			t.Errorf("%d payloads on the wire:\n%s", n, raw)
		}
	})
}

func TestC17_EveryCharacterArrivesUnharmed(t *testing.T) {
	for name, value := range map[string]string{
		"ampersand":         `a & b &amp; &lt; &#38; &nonsense;`,
		"angle brackets":    `<b>bold</b> </gcm></message> </stream:stream>`,
		"end of CDATA":      `]]> <![CDATA[x]]>`,
		"quotes":            `"double" 'single' \ back \" both`,
		"controls":          "\x00\x01\x08\t\n\v\f\r\x1b\x1f\x7f\u0080\u009f",
		"no characters":     "\ufffe\uffff",
		"beyond the BMP":    "😀 𐍈 \U0010ffff \U0001fffe",
		"line separators":   "\u2028\u2029\u0085",
		"white space":       "  two  \r\n lines \r ",
		"combining and RTL": "e\u0301 \u202e \ufeff",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(nil)
				m := msg(ccs.MessageID("id" + value))
				m.To = ccs.RegistrationToken("to" + value)
				m.CollapseKey = ccs.CollapseKey(value)
				m.Data = map[string]string{"key" + value: value}
				m.Notification = map[string]string{"title": value}
				r := p.sendCtx(t.Context(), m)
				got := st.payload()
				want := map[string]any{
					"message_id": string(m.MessageID), "to": string(m.To), "collapse_key": value,
				}
				for k, v := range want {
					if got[k] != v {
						t.Errorf("%s arrived as %q, want %q", k, got[k], v)
					}
				}
				if data, _ := got["data"].(map[string]any); len(data) != 1 || data["key"+value] != value {
					t.Errorf("data arrived as %q", got["data"])
				}
				if n, _ := got["notification"].(map[string]any); n["title"] != value {
					t.Errorf("notification arrived as %q", got["notification"])
				}
				r.wantOpen()
				p.send("m-2")
				st.want("m-2") // the stream is whole
			})
		})
	}
}

// refuses wants that m is refused for that field and that nothing is written.
func refuses(t *testing.T, field string, m *ccs.Downstream) {
	t.Helper()
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		written := len(st.bytes())
		check := func(by string, err error) {
			if e, ok := errors.AsType[*ccs.FieldError](err); !ok || e.Field != field {
				t.Errorf("%s: %v, want an error about %s", by, err, field)
			}
		}
		_, err := p.Send(t.Context(), m)
		check("Send", err)
		check("SendFunc", p.SendFunc(t.Context(), m, func(ccsclient.Answer, error) { t.Error("done was called") }))
		if got := st.bytes(); len(got) != written {
			t.Errorf("written: %s", got[written:])
		}
		s, st, _ := srv.session(nil)
		written = len(st.bytes())
		_, err = s.Send(t.Context(), m)
		check("Session.Send", err)
		if got := st.bytes(); len(got) != written {
			t.Errorf("written by a session: %s", got[written:])
		}
	})
}

func TestC18_IncompleteMessagesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		field string
		m     *ccs.Downstream
	}{
		"without id":     {"message_id", &ccs.Downstream{To: token}},
		"without target": {"to", &ccs.Downstream{MessageID: "m"}},
		"with both":      {"to", &ccs.Downstream{MessageID: "m", To: token, Condition: "'a' in topics"}},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, c.field, c.m) })
	}
}

func TestC19_BadValuesAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	with := func(f func(m *ccs.Downstream)) *ccs.Downstream {
		m := msg("m")
		f(m)
		return m
	}
	for name, c := range map[string]struct {
		field string
		m     *ccs.Downstream
	}{
		"a negative TTL":         {"time_to_live", with(func(m *ccs.Downstream) { m.TTL = seconds(-1) })},
		"a TTL beyond 4 weeks":   {"time_to_live", with(func(m *ccs.Downstream) { m.TTL = seconds(2419201) })},
		"the key from":           {"data", with(func(m *ccs.Downstream) { m.Data = map[string]string{"from": "x"} })},
		"the key message_type":   {"data", with(func(m *ccs.Downstream) { m.Data = map[string]string{"message_type": "x"} })},
		"a key of Google's":      {"data", with(func(m *ccs.Downstream) { m.Data = map[string]string{"google.x": "x"} })},
		"a key of GCM's":         {"data", with(func(m *ccs.Downstream) { m.Data = map[string]string{"gcm.x": "x"} })},
		"a key of the message's": {"data", with(func(m *ccs.Downstream) { m.Data = map[string]string{"collapse_key": "x"} })},
		"4097 bytes": {"data", with(func(m *ccs.Downstream) {
			m.Data = map[string]string{"k": strings.Repeat("x", 4090)}
			m.Notification = map[string]string{"title": "y"}
		})},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, c.field, c.m) })
	}
	t.Run("what is just allowed", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			for i, m := range []*ccs.Downstream{
				with(func(m *ccs.Downstream) { m.TTL = seconds(0) }),
				with(func(m *ccs.Downstream) { m.TTL = seconds(2419200) }),
				with(func(m *ccs.Downstream) { m.Data = map[string]string{"k": strings.Repeat("x", 4095)} }),
			} {
				m.MessageID = nth(i)
				p.sendCtx(t.Context(), m)
				st.want(string(nth(i)))
			}
		})
	})
}

func TestC20_TTLIsANumberAndFlagsAreBooleans(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		p.sendCtx(t.Context(), &ccs.Downstream{
			To: token, MessageID: "m-1", TTL: seconds(600), Priority: ccs.PriorityHigh,
			ContentAvailable: true, MutableContent: true, DelayWhileIdle: true, DeliveryReceiptRequested: true, DryRun: true,
		})
		m := st.payload()
		if m["time_to_live"] != 600.0 {
			t.Errorf("time_to_live is %#v", m["time_to_live"])
		}
		for _, flag := range []string{"content_available", "mutable_content", "delay_while_idle", "delivery_receipt_requested", "dry_run"} {
			if m[flag] != true {
				t.Errorf("%s is %#v", flag, m[flag])
			}
		}
		p.sendCtx(t.Context(), &ccs.Downstream{To: token, MessageID: "m-2", TTL: seconds(0)})
		if m = st.payload(); m["time_to_live"] != 0.0 || len(m) != 3 {
			t.Errorf("%v: a TTL of zero is no TTL, and flags that are off are left out", m)
		}
	})
}

func TestWithdrawnBeforeItWasWrittenNothingIsSent(t *testing.T) {
	for name, end := range map[string]struct {
		give func(p *client, cancel context.CancelFunc)
		want error
	}{
		"by its context": {func(_ *client, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"by Withdraw": {func(p *client, _ context.CancelFunc) {
			if !p.Withdraw("m-2") {
				p.t.Error("Withdraw does not know the message")
			}
		}, ccsclient.ErrWithdrawn},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 1 })
				first := p.send("m-1")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := p.sendCtx(ctx, msg("m-2")) // the window is full
				last := p.send("m-3")
				r.wantOpen()
				end.give(p, cancel)
				r.wantErr(end.want)
				if errors.Is(r.err, ccsclient.ErrOutcomeUnknown) {
					t.Errorf("%v, but nothing was written", r.err)
				}
				if p.Withdraw("m-2") {
					t.Error("a withdrawn message can be withdrawn again")
				}
				st.want("m-1")
				st.ack("m-1")
				first.wantAcked()
				st.want("m-3") // m-2 was never written
				st.ack("m-3")
				last.wantAcked()
				// Its id is free again.
				p.send("m-2")
				st.want("m-2")
			})
		})
	}
}

func TestWithdrawnAfterItWasWrittenTheOutcomeIsUnknown(t *testing.T) {
	for name, give := range map[string]func(p *client, cancel context.CancelFunc){
		"by its context": func(_ *client, cancel context.CancelFunc) { cancel() },
		"by Withdraw":    func(p *client, _ context.CancelFunc) { p.Withdraw("m-1") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				type late struct {
					a   ccsclient.Answer
					err error
				}
				var lates []late
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.Window = 1
					o.Events.Late = func(a ccsclient.Answer, err error) { lates = append(lates, late{a, err}) }
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := p.sendCtx(ctx, msg("m-1"))
				st.want("m-1")
				give(p, cancel)
				r.wantErr(ccsclient.ErrOutcomeUnknown)
				for _, e := range []error{context.Canceled, ccsclient.ErrWithdrawn, ccsclient.ErrClosed} {
					if errors.Is(r.err, e) {
						t.Errorf("%v is also %v, which means that nothing was sent", r.err, e)
					}
				}
				// The slot stays taken, the id in use.
				next := p.send("m-2")
				st.wantQuiet()
				p.send("m-1").wantErr(ccsclient.ErrDuplicateID)
				if n := p.State().InFlight; n != 1 {
					t.Errorf("%d in flight, want the unknown one", n)
				}
				st.nack("m-1", ccs.CodeDeviceUnregistered, "gone")
				if len(lates) != 1 || lates[0].a.Message.MessageID != "m-1" {
					t.Fatalf("late answers: %v", lates)
				}
				if nack, ok := errors.AsType[*ccs.NackError](lates[0].err); !ok || nack.Code != ccs.CodeDeviceUnregistered {
					t.Errorf("the late answer is %v", lates[0].err)
				}
				st.want("m-2")
				st.ack("m-2")
				next.wantAcked()
				if len(lates) != 1 {
					t.Errorf("late answers: %v", lates)
				}
			})
		})
	}
}

func TestALateAnswerIsToldBehindTheUnknownOutcome(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var heard list[string]
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Events.Late = func(ccsclient.Answer, error) { heard.add("late") }
		})
		ctx, cancel := context.WithCancel(t.Context())
		err := p.SendFunc(ctx, msg("m-1"), func(_ ccsclient.Answer, err error) {
			time.Sleep(time.Second) // as a caller that is kept from its processor
			if errors.Is(err, ccsclient.ErrOutcomeUnknown) {
				heard.add("unknown")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		st.want("m-1")
		cancel()
		synctest.Wait()
		st.ack("m-1") // while the caller is being told
		if early := heard.take(); len(early) > 0 {
			t.Errorf("the caller heard %q too early", early)
		}
		time.Sleep(2 * time.Second)
		if got, want := heard.take(), []string{"unknown", "late"}; !slices.Equal(got, want) {
			t.Errorf("the caller heard %q, want %q", got, want)
		}
	})
}

func TestWhatWasGivenUpIsNotSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		keep bool
		end  func(st *stream)
	}{
		"after a cut":                               {false, (*stream).cut},
		"after a nack CONNECTION_DRAINING":          {false, func(st *stream) { st.nack("m-1", ccs.CodeConnectionDraining, "x") }},
		"after a cut, unless that is wished":        {true, (*stream).cut},
		"after a draining nack, unless that is too": {true, func(st *stream) { st.nack("m-1", ccs.CodeConnectionDraining, "x") }},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var lates []error
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.KeepAfterCancel = c.keep
					o.Events.Late = func(_ ccsclient.Answer, err error) { lates = append(lates, err) }
				})
				ctx, cancel := context.WithCancel(t.Context())
				r := p.sendCtx(ctx, msg("m-1"))
				st.want("m-1")
				cancel()
				r.wantErr(ccsclient.ErrOutcomeUnknown)
				c.end(st)
				second := srv.bind()
				if !c.keep {
					second.wantQuiet()
					if st := p.State(); st.Waiting+st.InFlight+st.Resting > 0 {
						t.Errorf("what nobody waits for is still held: %v", st)
					}
					return
				}
				second.want("m-1")
				second.ack("m-1")
				if len(lates) != 1 || lates[0] != nil {
					t.Errorf("late answers: %v, want one ack", lates)
				}
			})
		})
	}
}

func TestGivenUpBetweenTwoStreams(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var lates int
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.KeepAfterCancel = keep
					o.Events.Late = func(ccsclient.Answer, error) { lates++ }
				})
				ctx, cancel := context.WithCancel(t.Context())
				r := p.sendCtx(ctx, msg("m-1"))
				st.want("m-1")
				st.cut()
				second := srv.accept() // not logged in yet
				r.wantOpen()
				cancel()
				r.wantErr(ccsclient.ErrOutcomeUnknown) // the first copy may have arrived
				second.login(loginFeatures, bindFeatures, boundResult)
				second.element()
				second.ready()
				if !keep {
					second.wantQuiet()
					return
				}
				second.want("m-1")
				second.ack("m-1")
				if lates != 1 {
					t.Errorf("%d late answers", lates)
				}
			})
		})
	}
}

func TestSendBeforeRunWaits(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, err := ccsclient.NewPool(endpoint, credentials, srv.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		r := sendBy(t.Context(), t, p, msg("m-1"))
		r.wantOpen()
		if n := p.State().Waiting; n != 1 {
			t.Errorf("%d waiting", n)
		}
		if n := len(srv.dialled()); n != 0 {
			t.Errorf("%d dials before Run", n)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		st := srv.bind()
		st.want("m-1")
		st.ack("m-1")
		r.wantAcked()
		if err := p.Run(t.Context()); err == nil {
			t.Error("Run runs twice")
		}
		p.Close()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestSendFuncTellsOnce(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window = 3 })
		told := map[ccs.MessageID][]error{}
		var mu sync.Mutex
		done := func(a ccsclient.Answer, err error) {
			mu.Lock()
			defer mu.Unlock()
			told[a.Message.MessageID] = append(told[a.Message.MessageID], err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, id := range []ccs.MessageID{"acked", "nacked", "written", "waiting"} {
			if err := p.SendFunc(ctx, msg(id), done); err != nil {
				t.Fatal(err)
			}
		}
		st.want("acked", "nacked", "written")
		cancelled, stop := context.WithCancel(t.Context())
		stop()
		if err := p.SendFunc(cancelled, msg("never"), done); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		if err := p.SendFunc(ctx, msg("waiting"), done); !errors.Is(err, ccsclient.ErrDuplicateID) {
			t.Errorf("%v, want ErrDuplicateID", err)
		}
		p.Withdraw("waiting")
		st.ack("acked")
		st.nack("nacked", ccs.CodeBadRegistration, "x")
		cancel()
		synctest.Wait()
		st.ack("written")
		mu.Lock()
		defer mu.Unlock()
		for id, want := range map[ccs.MessageID]error{
			"acked": nil, "nacked": nil, "written": ccsclient.ErrOutcomeUnknown, "waiting": ccsclient.ErrWithdrawn,
		} {
			got := told[id]
			if len(got) != 1 {
				t.Errorf("%s: told %v", id, got)
				continue
			}
			if id == "nacked" {
				if _, ok := errors.AsType[*ccs.NackError](got[0]); !ok {
					t.Errorf("%s: %v, want a nack", id, got[0])
				}
				continue
			}
			if !errors.Is(got[0], want) {
				t.Errorf("%s: %v, want %v", id, got[0], want)
			}
		}
		if len(told) != 4 {
			t.Errorf("told of %d messages", len(told))
		}
	})
}

func TestADuplicateIDIsRefusedWhileTheFirstIsUnfinished(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		r := p.send("m-1")
		p.send("m-1").wantErr(ccsclient.ErrDuplicateID)
		st.want("m-1")
		st.wantQuiet()
		st.ack("m-1")
		r.wantAcked()
		again := p.send("m-1")
		st.want("m-1")
		st.ack("m-1")
		again.wantAcked()
	})
}

func TestAtTheBoundSendWaitsForAPlace(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) { o.Window, o.MaxWaiting = 2, 3 })
		inside := p.sendMany(1, 5) // two are written, three wait
		blocked := make(chan error, 1)
		go func() {
			blocked <- p.SendFunc(t.Context(), msg("m-6"), func(ccsclient.Answer, error) {})
		}()
		ctx, cancel := context.WithCancel(t.Context())
		seventh := p.sendCtx(ctx, msg("m-7"))
		synctest.Wait()
		select {
		case err := <-blocked:
			t.Fatalf("the sixth message was taken: %v", err)
		default:
		}
		if s := p.State(); s.Waiting != 3 || s.InFlight != 2 {
			t.Errorf("%v, want 3 waiting and 2 in flight", s)
		}
		cancel()
		seventh.wantErr(context.Canceled)
		st.want("m-1", "m-2")
		st.ack("m-1")
		inside[0].wantAcked()
		if err := <-blocked; err != nil {
			t.Error(err)
		}
		waits := p.send("m-8")
		waits.wantOpen()
		p.Close()
		waits.wantErr(ccsclient.ErrClosed)
	})
}

func TestWithdrawnMessagesDoNotPileUpBehindAWaitingOne(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		srv.setRefuse(errors.New("no route"))
		p := srv.pool(nil)
		first := p.send("first")
		for i := range 5_000 {
			if err := p.SendFunc(t.Context(), msg(nth(i)), func(ccsclient.Answer, error) {}); err != nil {
				t.Fatal(err)
			}
			p.Withdraw(nth(i))
		}
		if n := ccsclient.Held(p.Pool); n > 200 {
			t.Errorf("%d messages are held, want hardly more than the one that waits", n)
		}
		for i := range 10 {
			p.send(nth(i))
		}
		srv.setRefuse(nil)
		st := srv.bind()
		st.want(append([]string{"first"}, ids(0, 9)...)...)
		first.wantOpen()
	})
}

func TestBroadcastTellsOfEveryToken(t *testing.T) {
	tokens := func(n int) (list []ccs.RegistrationToken) {
		for i := range n {
			list = append(list, ccs.RegistrationToken(fmt.Sprint("token-", i)))
		}
		return list
	}
	t.Run("each once, one at a time", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window, o.MaxWaiting = 4, 2 })
			const n = 50
			to := tokens(n)
			got := map[ccs.RegistrationToken]error{} // each is called by one goroutine at a time: the race detector looks
			busy := false
			ended := make(chan error, 1)
			m := &ccs.Downstream{To: "ignored", MessageID: "ignored", Data: map[string]string{"k": "v"}}
			go func() {
				ended <- p.Broadcast(t.Context(), m, to, func(a ccsclient.Answer, err error) {
					if busy {
						t.Error("two calls at a time")
					}
					busy = true
					if _, twice := got[a.Message.To]; twice {
						t.Errorf("%s was told twice", a.Message.To)
					}
					got[a.Message.To] = err
					busy = false
				})
			}()
			seen := map[any]bool{}
			for i := range n {
				m := st.payload()
				id := m["message_id"].(string)
				if seen[id] || m["to"] != string(to[i]) || m["data"].(map[string]any)["k"] != "v" {
					t.Errorf("message %d is %v", i, m)
				}
				seen[id] = true
				if i == 7 {
					st.nack(id, ccs.CodeDeviceUnregistered, "x")
				} else {
					st.ack(id)
				}
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			for i, tok := range to {
				_, nacked := errors.AsType[*ccs.NackError](got[tok])
				if _, told := got[tok]; !told || nacked != (i == 7) {
					t.Errorf("%s: %v", tok, got[tok])
				}
			}
			if m.To != "ignored" || m.MessageID != "ignored" {
				t.Errorf("the caller's message was changed: %v", m)
			}
		})
	})
	t.Run("the context's end is told", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.Window, o.MaxWaiting = 1, 1 })
			ctx, cancel := context.WithCancel(t.Context())
			var unknown, unsent int
			ended := make(chan error, 1)
			go func() {
				ended <- p.Broadcast(ctx, &ccs.Downstream{}, tokens(5), func(_ ccsclient.Answer, err error) {
					switch {
					case errors.Is(err, ccsclient.ErrOutcomeUnknown):
						unknown++
					case errors.Is(err, context.Canceled):
						unsent++
					}
				})
			}()
			st.payload()
			synctest.Wait()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want the context's error", err)
			}
			if unknown != 1 || unsent != 4 {
				t.Errorf("%d unknown and %d unsent, want 1 and 4", unknown, unsent)
			}
		})
	})
	t.Run("a closed pool is told", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, _ := srv.bound(nil)
			p.Close()
			n := 0
			err := p.Broadcast(t.Context(), &ccs.Downstream{}, tokens(3), func(ccsclient.Answer, error) { n++ })
			if !errors.Is(err, ccsclient.ErrClosed) || n != 3 {
				t.Errorf("%v, and told of %d", err, n)
			}
		})
	})
}

func TestTheStreamIsWellFormedFromEndToEnd(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = func(context.Context, ccsclient.Sender, *ccs.Upstream) error { return nil }
		})
		p.sendMany(1, 20)
		st.upstream("device", "u-1")
		st.want(ids(1, 20)...)
		st.wantAck("device", "u-1")
		st.ack(ids(1, 20)...)
		if err := p.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.wantGoodbye()
		raw := st.bytes()
		second := raw[strings.LastIndex(raw, "<stream:stream"):]
		dec := xml.NewDecoder(strings.NewReader(second))
		var names []string
		for depth := 0; ; {
			tok, err := dec.Token()
			if err != nil {
				t.Fatalf("the document does not end: %v", err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				if depth++; depth == 2 {
					names = append(names, tok.Name.Local)
				}
			case xml.EndElement:
				depth--
			}
			if depth == 0 {
				break
			}
		}
		if n := len(slices.DeleteFunc(names, func(n string) bool { return n != "message" })); n != 21 {
			t.Errorf("%d messages in the document, want 20 and an ack", n)
		}
	})
}

func TestWhatCannotBeWrittenInTimeIsNotSent(t *testing.T) {
	by := func(p *client, id ccs.MessageID, wait time.Duration) *sent {
		r := &sent{t: p.t, id: id, done: make(chan struct{})}
		at := time.Now().Add(wait)
		go func() {
			defer close(r.done)
			r.answer, r.err = p.SendBy(context.Background(), msg(id), at)
		}()
		synctest.Wait()
		return r
	}
	play(t, func(t *testing.T, srv *server) {
		srv.setRefuse(errors.New("out of reach"))
		p := srv.pool(func(o *ccsclient.Options) { o.Window = 1 })
		late := by(p, "late", time.Second)
		time.Sleep(time.Second - 1)
		late.wantOpen()
		time.Sleep(time.Nanosecond)
		late.wantErr(ccsclient.ErrLate)
		srv.setRefuse(nil)
		inTime, behind := by(p, "in-time", time.Hour), by(p, "behind", time.Hour+time.Second)
		st := srv.bind()
		st.want("in-time")
		time.Sleep(time.Hour) // it has left: its answer is awaited
		inTime.wantOpen()
		time.Sleep(time.Second)
		behind.wantErr(ccsclient.ErrLate) // there was no room in the window
		// Nor is it late when its stream breaks, and it leaves again.
		st.cut()
		again := srv.bind()
		again.want("in-time")
		again.ack("in-time")
		inTime.wantAcked()
		again.wantQuiet()
	})
}
