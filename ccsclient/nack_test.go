package ccsclient_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestC25_TheNewTokenOfAnAckIsTold(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		var events []ccsclient.Answer
		p, st := srv.bound(func(o *ccsclient.Options) {
			o.Events.Answered = func(a ccsclient.Answer, err error) {
				if err != nil {
					t.Error(err)
				}
				events = append(events, a)
			}
		})
		r := p.send("m-1")
		time.Sleep(250 * time.Millisecond)
		st.say(`{"message_type":"ack","from":"` + token + `","message_id":"m-1","registration_id":"newToken"}`)
		a := r.wantAcked()
		if a.RegistrationID != "newToken" || a.Attempts != 1 || a.Took != 250*time.Millisecond {
			t.Errorf("%+v, want the new token after one attempt and 250 ms", a)
		}
		if len(events) != 1 || events[0].RegistrationID != "newToken" {
			t.Errorf("the event told %+v", events)
		}
		group := p.send("m-2")
		st.say(`{"message_type":"ack","from":"group","message_id":"m-2","success":2,"failure":1,"failed_registration_ids":["gone"]}`)
		a = group.wantAcked()
		if a.Success != 2 || a.Failure != 1 || !slices.Equal(a.FailedRegistrationIDs, []ccs.RegistrationToken{"gone"}) || a.RegistrationID != "" {
			t.Errorf("%+v, want the counts of a group", a)
		}
		plain := p.send("m-3")
		st.ack("m-3")
		if a = plain.wantAcked(); a.RegistrationID != "" || a.Success != 0 {
			t.Errorf("%+v, want a plain ack", a)
		}
		s, st, _ := srv.session(nil)
		r = sendBy(t.Context(), t, s, msg("m-4"))
		st.want("m-4")
		st.say(`{"message_type":"ack","from":"` + token + `","message_id":"m-4","registration_id":"newToken"}`)
		if a = r.wantAcked(); a.RegistrationID != "newToken" || a.Attempts != 1 {
			t.Errorf("%+v of a session", a)
		}
	})
}

func TestC26_C27_AnswersComeInManyForms(t *testing.T) {
	const (
		ack  = `{"message_type":"ack","from":"t","message_id":"m-1","registration_id":"a & <b>"}`
		amp  = `{"message_type":"ack","from":"t","message_id":"m-1","registration_id":"a &amp; &lt;b&gt;"}`
		data = `<data:gcm xmlns:data="google:mobile:data">` + amp + `</data:gcm>`
	)
	for name, stanza := range map[string]string{
		"the prefix data:":       `<message>` + data + `</message>`,
		"the default namespace":  `<message><gcm xmlns="google:mobile:data">` + amp + `</gcm></message>`,
		"escaped quotes":         `<message><gcm xmlns="google:mobile:data">` + strings.ReplaceAll(amp, `"`, "&quot;") + `</gcm></message>`,
		"numeric references":     `<message><gcm xmlns="google:mobile:data">` + strings.ReplaceAll(amp, `"`, "&#x22;") + `</gcm></message>`,
		"CDATA":                  `<message><gcm xmlns="google:mobile:data"><![CDATA[` + ack + `]]></gcm></message>`,
		"CDATA in pieces":        `<message><gcm xmlns="google:mobile:data">{"message_type":"ack",<![CDATA["from":"t","message_id":"m-1",]]>"registration_id":"a <![CDATA[& <b>]]>"}</gcm></message>`,
		"with a stanza id":       `<message id="3">` + data + `</message>`,
		"with an empty id":       `<message id="">` + data + `</message>`,
		"of type normal":         `<message type="normal">` + data + `</message>`,
		"of type chat":           `<message type="chat" id="" from="gcm.googleapis.com" to="1234@gcm.googleapis.com/x">` + data + `</message>`,
		"of type headline":       `<message type='headline'>` + data + `</message>`,
		"of an empty type":       `<message type="">` + data + `</message>`,
		"behind another child":   `<message><x xmlns="y">z</x>` + data + `</message>`,
		"with its own namespace": `<message xmlns="jabber:client">` + data + `</message>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(nil)
				r := p.send("m-1")
				st.want("m-1")
				st.write(stanza)
				if a := r.wantAcked(); a.RegistrationID != "a & <b>" {
					t.Errorf("the token arrived as %q", a.RegistrationID)
				}
				r = p.send("m-2")
				st.want("m-2")
				st.write(strings.NewReplacer("m-1", "m-2", "ack", "nack", "registration_id", "error").Replace(stanza))
				// A code without description ends before its first blank, as of 2013.
				if nack := r.wantNack("a"); nack.Description != "& <b>" {
					t.Errorf("the nack's text is %q", nack.Description)
				}
				if odd := srv.noted(); odd != nil {
					t.Errorf("reported: %q", odd)
				}
			})
		})
	}
}

func TestC28_AnswersAreNeverAcked(t *testing.T) {
	for _, kind := range []string{"", ` type="normal"`, ` type="chat"`, ` type="normal" from="devices@gcm.googleapis.com" to="1234@gcm.googleapis.com"`} {
		t.Run("stanza"+kind, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(func(o *ccsclient.Options) {
					o.Upstream = func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
						t.Errorf("an answer was handled: %v", m)
						return nil
					}
					o.Receipts = func(_ context.Context, r *ccs.Receipt) error {
						t.Errorf("an answer was handled: %v", r)
						return nil
					}
				})
				p.sendMany(1, 3)
				st.want(ids(1, 3)...)
				for _, payload := range []string{
					`{"message_type":"ack","from":"t","message_id":"m-1"}`,
					`{"message_type":"ack","from":"t","message_id":"unknown","category":"c","data":{}}`,
					`{"message_type":"nack","from":"t","message_id":"m-2","error":"BAD_REGISTRATION","error_description":"x"}`,
					`{"message_type":"nack","from":"t","message_id":"unknown","error":"BAD_ACK"}`,
				} {
					st.write(`<message` + kind + `><gcm xmlns="google:mobile:data">` + payload + `</gcm></message>`)
				}
				time.Sleep(5 * time.Second)
				st.wantQuiet()
			})
		})
	}
}

func TestC29_CodeAndTextOfANackReachTheCaller(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p, st := srv.bound(nil)
		for name, c := range map[string]struct {
			json string
			code ccs.Code
			text string
		}{
			"as documented":  {`"error":"DEVICE_UNREGISTERED","error_description":"gone & away"`, ccs.CodeDeviceUnregistered, "gone & away"},
			"an unknown one": {`"error":"SOMETHING_NEW","error_description":"not seen before"`, "SOMETHING_NEW", "not seen before"},
			"without text":   {`"error":"BAD_REGISTRATION"`, ccs.CodeBadRegistration, ""},
			"as of 2013":     {`"error":"InvalidJson: JSON_TYPE_ERROR : Field x"`, "InvalidJson", "JSON_TYPE_ERROR : Field x"},
			"without code":   {`"error_description":"nobody knows"`, "", "nobody knows"},
		} {
			r := p.send("m-1")
			st.want("m-1")
			st.say(`{"message_type":"nack","from":"t","message_id":"m-1",` + strings.ReplaceAll(c.json, "&", "&amp;") + `}`)
			if nack := r.wantNack(c.code); nack.Description != c.text {
				t.Errorf("%s: the text is %q, want %q", name, nack.Description, c.text)
			}
			if s := r.err.Error(); !strings.HasPrefix(s, "ccsclient: send m-1: nack") || !strings.Contains(s, string(c.code)) || !strings.Contains(s, c.text) {
				t.Errorf("%s: the error is %q", name, s)
			}
			if r.answer.Message == nil || r.answer.Attempts != 1 {
				t.Errorf("%s: the answer is %+v", name, r.answer)
			}
		}
	})
}

func TestC30_TransientNacksAreRetriedWithBackOff(t *testing.T) {
	for _, code := range []ccs.Code{ccs.CodeServiceUnavailable, ccs.CodeInternalServerError} {
		t.Run(string(code), func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(nil)
				r := p.send("m-1")
				st.want("m-1")
				for _, least := range []time.Duration{1, 2, 4, 8, 16} {
					st.nack("m-1", code, "later")
					r.wantOpen()
					if s := p.State(); s.Resting != 1 || s.InFlight != 0 || s.Streams[0].InFlight != 0 {
						t.Errorf("%v, want the message to rest without a slot", s)
					}
					began := time.Now()
					st.want("m-1")
					if wait := time.Since(began); wait < least*time.Second || wait > least*1500*time.Millisecond {
						t.Errorf("it came again after %v, want %d s and up to half as much for jitter", wait, least)
					}
				}
				st.nack("m-1", code, "still")
				if nack := r.wantNack(code); nack.Description != "still" {
					t.Errorf("the last nack's text is %q", nack.Description)
				}
				if r.answer.Attempts != 6 {
					t.Errorf("%d attempts, want 6", r.answer.Attempts)
				}
			})
		})
	}
	t.Run("with jitter", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			p.sendMany(1, 50)
			st.want(ids(1, 50)...)
			for _, id := range ids(1, 50) {
				st.nack(id, ccs.CodeServiceUnavailable, "x")
			}
			began := time.Now()
			waits := map[time.Duration]bool{}
			for range 50 {
				st.payload()
				waits[time.Since(began)] = true
			}
			if len(waits) < 25 {
				t.Errorf("50 messages came again at %d moments only", len(waits))
			}
		})
	})
	t.Run("other messages pass a resting one", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			first := p.send("m-1")
			st.want("m-1")
			st.nack("m-1", ccs.CodeServiceUnavailable, "x")
			p.send("m-2")
			st.want("m-2")
			st.want("m-1")
			st.ack("m-1")
			if a := first.wantAcked(); a.Attempts != 2 {
				t.Errorf("%d attempts", a.Attempts)
			}
		})
	})
	t.Run("within the time to live", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			m := msg("m-1")
			m.TTL = seconds(5)
			r := p.sendCtx(t.Context(), m)
			st.want("m-1")
			n := 0
			for {
				st.nack("m-1", ccs.CodeServiceUnavailable, "x")
				select {
				case <-r.done:
				case x := <-st.got:
					if st.payloadOf(x.(*element))["message_id"] != "m-1" {
						t.Fatalf("%v", x)
					}
					n++
					continue
				}
				break
			}
			r.wantNack(ccs.CodeServiceUnavailable)
			if n < 1 || n > 2 || r.answer.Took >= 5*time.Second {
				t.Errorf("%d retries in %v, within 5 s", n, r.answer.Took)
			}
			now := msg("m-2")
			now.TTL = seconds(0)
			r = p.sendCtx(t.Context(), now)
			st.want("m-2")
			st.nack("m-2", ccs.CodeServiceUnavailable, "x")
			r.wantNack(ccs.CodeServiceUnavailable) // now or never
		})
	})
	t.Run("as often as is wished", func(t *testing.T) {
		for max, want := range map[int]int{-1: 0, 1: 1, 2: 2} {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(func(o *ccsclient.Options) { o.RetryMax, o.RetryFirst = max, time.Millisecond })
				r := p.send("m-1")
				st.want("m-1")
				for range want {
					began := time.Now()
					st.nack("m-1", ccs.CodeServiceUnavailable, "x")
					st.want("m-1")
					if took := time.Since(began); took < time.Second {
						t.Errorf("a retry after %v, want at least a second", took)
					}
				}
				st.nack("m-1", ccs.CodeServiceUnavailable, "x")
				r.wantNack(ccs.CodeServiceUnavailable)
			})
		}
	})
	t.Run("not once its caller has gone", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			ctx, cancel := context.WithCancel(t.Context())
			r := p.sendCtx(ctx, msg("m-1"))
			st.want("m-1")
			st.nack("m-1", ccs.CodeServiceUnavailable, "x")
			cancel()
			r.wantErr(context.Canceled) // every copy was refused: nothing is under way
			if errors.Is(r.err, ccsclient.ErrOutcomeUnknown) {
				t.Errorf("%v, but the only copy was refused", r.err)
			}
			time.Sleep(10 * time.Second)
			st.wantQuiet()
		})
	})
}

func TestC31_NoOtherCodeIsRetried(t *testing.T) {
	for _, code := range []ccs.Code{
		ccs.CodeInvalidJSON, ccs.CodeBadRegistration, ccs.CodeDeviceUnregistered, ccs.CodeSenderIDMismatch, ccs.CodeBadAck,
		ccs.CodeDeviceMessageRateExceeded, ccs.CodeTopicsMessageRateExceeded, ccs.CodeInvalidAPNSCredential,
		ccs.CodeAuthenticationFailed, ccs.CodeQuotaExceeded, "SOMETHING_NEW", "INTERNAL_SERVER_ ERROR", "service_unavailable",
	} {
		t.Run(string(code), func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(nil)
				r := p.send("m-1")
				st.want("m-1")
				st.nack("m-1", code, "x")
				r.wantNack(code)
				time.Sleep(5 * time.Minute)
				st.wantQuiet()
			})
		})
	}
}

func TestC32_AnErrorStanzaFailsTheMessageItNames(t *testing.T) {
	const (
		text   = `<error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">InvalidJson : broken</text></error>`
		before = `<gcm xmlns="google:mobile:data">`
	)
	for name, c := range map[string]struct {
		stanza string
		fails  bool
	}{
		"by the echo":             {`<message type="error" to="` + jid + `">` + before + `{"to":"t","message_id":"m-2","data":{"k":"v"}}</gcm>` + text + `</message>`, true},
		"by an echo of bad JSON":  {`<message type="error">` + before + `{"message_id":"m-2","to":"t","time_to_live":"soon"}</gcm>` + text + `</message>`, true},
		"by the stanza's id":      {`<message id="m-2" type="error">` + text + `</message>`, true},
		"by both, the echo first": {`<message id="m-1" type="error">` + before + `{"to":"t","message_id":"m-2"}</gcm>` + text + `</message>`, true},
		"with the error in front": {`<message type="error">` + text + before + `{"to":"t","message_id":"m-2"}</gcm></message>`, true},
		"naming none":             {`<message id="" type="error">` + before + `{"random":"text"}</gcm>` + text + `</message>`, false},
		"without payload":         {`<message type="error">` + text + `</message>`, false},
		"without anything":        {`<message type="error"/>`, false},
		"naming an unknown one":   {`<message id="m-9" type="error">` + before + `{"to":"t","message_id":"m-9"}</gcm>` + text + `</message>`, false},
		"for an ack of that id":   {`<message type="error">` + before + `{"to":"t","message_id":"m-2","message_type":"ack"}</gcm><error code="406"/></message>`, false},
		"for a bad ack":           {`<message type="error">` + before + `{"message_id":"m-2","message_type":"ack"}</gcm><error code="406"/></message>`, false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(nil)
				all := p.sendMany(1, 3)
				st.want(ids(1, 3)...)
				st.write(c.stanza)
				srv.wantOdd("an error stanza")
				all[0].wantOpen()
				all[2].wantOpen()
				if c.fails {
					if nack := all[1].wantNack(ccs.CodeInvalidJSON); nack.Description != "InvalidJson : broken" {
						t.Errorf("the text is %q", nack.Description)
					}
				} else {
					all[1].wantOpen()
					st.ack("m-2")
					all[1].wantAcked()
				}
				st.ack("m-1", "m-3")
				all[0].wantAcked()
				all[2].wantAcked()
				st.wantQuiet()
				srv.wantNoDial(time.Second)
			})
		})
	}
}

func TestC33_SameIDReceivedBeforeIsAnAckOnlyBehindAResend(t *testing.T) {
	const same = "Message with the same id has been received before"
	t.Run("sent once", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			r := p.send("m-1")
			st.nack("m-1", ccs.CodeInvalidJSON, same)
			if nack := r.wantNack(ccs.CodeInvalidJSON); nack.Description != same {
				t.Errorf("the text is %q", nack.Description)
			}
		})
	})
	t.Run("sent twice", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(nil)
			r := p.send("m-1")
			st.want("m-1")
			st.cut()
			second := srv.bind()
			second.want("m-1")
			second.nack("m-1", ccs.CodeInvalidJSON, same+`\n`)
			if a := r.wantAcked(); a.Attempts != 2 {
				t.Errorf("%d attempts", a.Attempts)
			}
			// Every other text is what it says.
			r = p.send("m-2")
			second.want("m-2")
			second.cut()
			third := srv.bind()
			third.want("m-2")
			third.nack("m-2", ccs.CodeInvalidJSON, "message_id reused with another content")
			r.wantNack(ccs.CodeInvalidJSON)
		})
	})
}
