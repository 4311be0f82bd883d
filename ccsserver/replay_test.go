package ccsserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// A recording is a dialog that a program by others had with a test server,
// testdata/wire has them, in the pieces in which the program wrote, each with
// what the recorded server answered.
type recording []piece

type piece struct{ wrote, read string }

func readRecording(t *testing.T, program string) recording {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wire", program+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	for _, line := range strings.Split("\n"+string(text), "\n[conn 1 +") {
		_, line, _ = strings.Cut(line, "] ")
		if wrote, ok := strings.CutPrefix(line, "C: "); ok {
			r = append(r, piece{wrote: wrote})
		} else if read, ok := strings.CutPrefix(line, "S: "); ok {
			r[len(r)-1].read = strings.TrimSuffix(read, "\n")
		}
	}
	if len(r) < 5 {
		t.Fatalf("%s: only %d pieces", program, len(r))
	}
	return r
}

// A habit is what a program does when draining is announced (docs/protocol.md,
// Draining).
type habit int

const (
	// holds: it writes no new messages, and logs in when the server has closed.
	holds habit = iota
	// sendsOn: it takes no notice.
	sendsOn
	// leaves: it logs in at once, and then closes the old connection at once.
	leaves
	// byTheBook: it logs in at once, and reads on the old connection until the
	// server closes it.
	byTheBook
)

// A stranger is a program by others: its recording, and what it does in a drain
// and after a cut.
type stranger struct {
	program string
	header  string // what it calls the server
	domain  string // of the JID that it gets
	id      string // of the message that it was recorded to send
	to      string // likewise
	habit   habit
	away    time.Duration // from the end of a connection to its next login
	resends bool          // what is unanswered after a cut, with its old id
	silent  bool          // never acks
	again   func(wrote, oldJID string) string

	rec recording
}

const (
	longToken = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	gcmDomain = "gcm.googleapis.com"
	fcmDomain = "fcm.googleapis.com"
	phrase    = "fcm xmpp client connection server"
)

// strangers are all that were recorded. xmppo and mellium are libraries: of the
// programs on them it is assumed that they do what Google asked for.
func strangers(t *testing.T) map[string]stranger {
	t.Helper()
	all := map[string]stranger{}
	for _, x := range []stranger{
		{
			program: "aiofcm", header: gcmDomain, domain: gcmDomain, id: "hello-1", to: longToken,
			habit: sendsOn, resends: true, silent: true,
			again: func(wrote, oldJID string) string { // asks for the resource that it had
				_, resource, _ := strings.Cut(oldJID, "/")
				return strings.Replace(wrote, `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>`,
					`<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>`+resource+`</resource></bind>`, 1)
			},
		},
		{program: "go-gcm", header: gcmDomain, domain: gcmDomain, id: "hello-1", to: longToken, habit: leaves},
		{program: "mellium", header: gcmDomain, domain: gcmDomain, id: "hello-1", to: longToken, habit: byTheBook},
		{program: "node-xcs", header: fcmDomain, domain: fcmDomain, id: "hello-1", to: longToken, habit: sendsOn, away: time.Second},
		{
			program: "seed-smack", header: phrase, domain: gcmDomain, id: "m-20261122064508-6981e48d-4fde-4f24-ba03-68b87979c66f", to: token,
			habit: holds, away: 10 * time.Second, resends: true,
			again: func(wrote, _ string) string { // Smack itself comes back to the domain of its JID
				return strings.Replace(wrote, phrase, gcmDomain, 1)
			},
		},
		{program: "slixmpp", header: gcmDomain, domain: gcmDomain, id: "hello-1", to: longToken, habit: holds},
		{program: "xmppo", header: gcmDomain, domain: gcmDomain, id: "hello-1", to: longToken, habit: byTheBook},
	} {
		x.rec = readRecording(t, x.program)
		all[x.program] = x
	}
	return all
}

// replay writes pieces as they were recorded, and checks what the answers mean.
func (p *peer) replay(x stranger, pieces recording) {
	p.t.Helper()
	features := []string{featuresLogin, featuresBind}
	for _, piece := range pieces {
		p.write(piece.wrote)
		switch {
		case strings.HasPrefix(piece.read, "<stream:stream"):
			if len(features) == 0 {
				p.t.Fatal("more than two streams were opened")
			}
			p.wantHeader(x.header)
			p.want(features[0])
			features = features[1:]
		case strings.HasPrefix(piece.read, "<success"):
			p.want(success)
		case strings.Contains(piece.read, "<jid>"):
			begin, _, _ := strings.Cut(piece.read, "<jid>")
			jid := p.wantMatch(regexp.MustCompile("^" + regexp.QuoteMeta(begin) + "<jid>([^<]*)</jid></bind></iq>"))[1]
			if !strings.HasPrefix(jid, sender+"@"+x.domain+"/") {
				p.t.Errorf("bound to %q, want %s@%s/…", jid, sender, x.domain)
			}
			p.jid = jid
		case strings.HasPrefix(piece.read, "<iq"):
			p.want(piece.read) // the recorded server answered sessions as we do
		case strings.HasPrefix(piece.read, "<message"):
			p.want(x.acked(x.id))
		case piece.read != "":
			p.t.Fatalf("the recording has an answer of a new kind: %s", piece.read)
		}
	}
	if len(features) != 0 {
		p.t.Fatalf("%d streams were opened, want 2", 2-len(features))
	}
}

// login replays all that comes before the first message.
func (x stranger) login(t *testing.T, srv *server) *peer {
	t.Helper()
	p := srv.dial(t)
	p.replay(x, x.rec[:len(x.rec)-1])
	return p
}

// relogin is login as the program does it after the end of a connection.
func (x stranger) relogin(t *testing.T, srv *server, oldJID string) *peer {
	t.Helper()
	y := x
	y.rec = nil
	for _, piece := range x.rec {
		if x.again != nil {
			piece.wrote = x.again(piece.wrote, oldJID)
			y.header = strings.Replace(x.header, phrase, gcmDomain, 1)
		}
		y.rec = append(y.rec, piece)
	}
	return y.login(t, srv)
}

// message is the recorded message, as it was written, but for its id.
func (x stranger) message(id string) string {
	return strings.ReplaceAll(x.rec[len(x.rec)-1].wrote, x.id, id)
}

func (x stranger) acked(id string) string {
	return answer(`{"message_type":"ack","from":"` + x.to + `","message_id":"` + id + `"}`)
}

// ack is the ack of upstream in the dress of the program's messages.
func (x stranger) ack(id string) string {
	json := `{"to":"` + token + `","message_id":"` + id + `","message_type":"ack"}`
	if strings.Contains(x.message("x"), "&#34;") {
		json = strings.ReplaceAll(json, `"`, "&#34;")
	}
	const open, end = `<gcm xmlns="google:mobile:data">`, `</gcm>`
	before, rest, _ := strings.Cut(x.message("x"), open)
	_, after, _ := strings.Cut(rest, end)
	return before + open + json + end + after
}

func (x stranger) upstream(id string) string {
	return strings.Replace(upstream(id), gcmDomain, x.domain, 1)
}

func TestRecordedPrograms(t *testing.T) {
	order := map[string]string{"title": "Order update", "message": "Your parcel 0001 leaves the depot today", "k1": "v1", "n": "42"}
	for name, x := range strangers(t) {
		t.Run("S2 S9 S30 "+name+" is led from its first byte to its ack", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				p.replay(x, x.rec)
				p.wantQuiet()
				want := &ccs.Downstream{
					To: ccs.RegistrationToken(x.to), MessageID: ccs.MessageID(x.id), Priority: "high", Data: order, TTL: duration(time.Hour),
				}
				if name == "seed-smack" {
					want.Priority, want.TTL, want.Data = "", nil, map[string]string{"message": "This is the simple sample message"}
				}
				r := srv.take(t)
				if r.Sender != sender || r.Message.MessageID != want.MessageID || r.Message.ContentHash() != want.ContentHash() {
					t.Errorf("handed on as %s: %+v, want %+v", r.Sender, r.Message, want)
				}
			})
		})
	}
}

// replayItems are those of known programs that a replay shows in part.
var replayItems = map[string]string{
	"seed-smack": "S72 S73 ", "go-gcm": "S74 ", "node-xcs": "S75 ", "aiofcm": "S76 ", "slixmpp": "S77 ",
}

func TestRecordedProgramsAreDrained(t *testing.T) {
	//conformance:S72 S73 S74 S75 S76 S77 S66 S70
	for name, x := range strangers(t) {
		t.Run(replayItems[name]+"S66 S70 "+name+" loses no answer that it waits for", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := x.login(t, srv)
				p.write(x.message("m-1"))
				p.want(x.acked("m-1"))
				if !x.silent {
					o := srv.offer(t, fromDevice("u-1"))
					pass(time.Second) // mellium has asked for no session
					p.want(x.upstream("u-1"))
					p.write(x.ack("u-1"))
					o.want(t, ccsserver.Acked, 1)
				}
				srv.take(t)
				srv.hold()
				settle()
				p.write(x.message("m-2"))
				inWork := srv.take(t)
				srv.Drain(ccsserver.DrainOptions{})
				p.want(control)

				var q *peer
				switch x.habit {
				case holds, sendsOn:
					if x.habit == sendsOn {
						p.write(x.message("m-3"))
						srv.take(t).Answer(nil, nil)
						p.want(x.acked("m-3"))
					}
					time.Sleep(2 * time.Second)
					p.wantQuiet()
					inWork.Answer(nil, nil)
					p.wantClosed(x.acked("m-2"), end)
					p.hangUp()
					pass(x.away)
					q = x.login(t, srv)
				case leaves:
					q = x.login(t, srv)
					p.hangUp()
					inWork.Answer(nil, nil) // there is nobody to tell
					p.wait()
				case byTheBook:
					q = x.login(t, srv)
					time.Sleep(2 * time.Second)
					p.wantQuiet()
					inWork.Answer(nil, nil)
					p.wantClosed(x.acked("m-2"), end)
					p.hangUp()
				}
				q.write(x.message("m-4"))
				srv.take(t).Answer(nil, nil)
				q.want(x.acked("m-4"))
				pass(50 * time.Second)
				q.wantQuiet() // it was not drained once more
				if s := srv.Streams(); len(s) != 1 || s[0].ID != q.id {
					t.Errorf("there are %d streams, want the new one", len(s))
				}
				if n := srv.logins(); n != 2 {
					t.Errorf("%d logins, want one more than the first", n)
				}
			})
		})
	}
}

// logins is how many streams were bound.
func (r *record) logins() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if strings.HasPrefix(line, "bound ") {
			n++
		}
	}
	return n
}

func TestRecordedProgramsAreCutOff(t *testing.T) {
	//conformance:S72 S74 S75 S76 S77 S24 S42 S56
	for name, x := range strangers(t) {
		items := strings.Replace(replayItems[name], "S73 ", "", 1) // with assertions on, Smack does not come back
		t.Run(items+"S24 S42 S56 "+name+" comes back, nothing is sent twice, and upstream is offered again", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := x.login(t, srv)
				o := srv.offer(t, fromDevice("u-1"))
				pass(time.Second)
				p.want(x.upstream("u-1"))
				srv.hold()
				p.write(x.message("m-1"))
				inWork := srv.take(t)
				p.cut()
				inWork.Answer(nil, nil)
				o.want(t, 0, 1)
				pass(x.away)

				q := x.relogin(t, srv, p.jid)
				pass(time.Second)
				q.want(x.upstream("u-1"))
				if x.silent {
					o.want(t, 0, 2)
				} else {
					q.write(x.ack("u-1"))
					o.want(t, ccsserver.Acked, 2)
				}
				if x.resends {
					q.write(x.message("m-1"))
					q.want(x.acked("m-1"))
					srv.wantHandedOn(t, 1)
				}
				q.write(x.message("m-2"))
				srv.take(t).Answer(nil, nil)
				q.want(x.acked("m-2"))
				srv.wantHandedOn(t, 2)
			})
		})
	}
}

func TestS74_GoGCMsPings(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		x := strangers(t)["go-gcm"]
		p := x.login(t, srv)
		for i := range 30 {
			time.Sleep(2 * time.Second)
			p.write("<iq from='" + p.jid + "' to='" + gcmDomain + "' id='c2s1' type='get'>\n<ping xmlns='urn:xmpp:ping'/>\n</iq>")
			p.want(`<iq from="` + gcmDomain + `" to="` + p.jid + `" type="result" id="c2s1"/>`) // else it makes a new connection
			if i%10 == 5 {
				id := fmt.Sprint("m-", i)
				p.write(x.message(id))
				p.want(x.acked(id))
			}
		}
		p.wantQuiet()
		if n := srv.logins(); n != 1 || len(srv.Streams()) != 1 {
			t.Errorf("%d logins in a minute, want the first alone", n)
		}
	})
}

func TestS72_S73_SmacksPings(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := strangers(t)["seed-smack"].login(t, srv)
		for i := range 10 {
			// We ask first, after a minute, and Smack answers.
			time.Sleep(time.Minute)
			p.dropBeats()
			p.want(p.ping())
			p.write(`<iq to='gcm.googleapis.com' id='ping' type='result'></iq>`)
			time.Sleep(40 * time.Second)
			p.wantQuiet()
			// The pong has to come from whom the ping was for, and counts as
			// forged otherwise.
			p.write(fmt.Sprintf(`<iq to='gcm.googleapis.com' id='N1Dwf-%d' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, 9+2*i))
			p.want(fmt.Sprintf(`<iq from="gcm.googleapis.com" to="%s" type="result" id="N1Dwf-%d"/>`, p.jid, 9+2*i))
		}
		if n := len(srv.closed()); n != 0 {
			t.Errorf("%d streams have ended", n)
		}
	})
}

func TestS76_AiofcmsTenMessages(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		x := strangers(t)["aiofcm"]
		srv.handle(func(r *ccsserver.Request) {
			if strings.HasSuffix(string(r.Message.MessageID), "7") {
				r.Answer(nil, &ccs.NackError{Code: ccs.CodeDeviceUnregistered})
				return
			}
			r.Answer(nil, nil)
		})
		p := x.login(t, srv)
		for i := range 10 {
			p.write(x.message(fmt.Sprint("m-", i)))
		}
		for i := range 10 {
			id := fmt.Sprint("m-", i)
			if i == 7 { // without an error and a text its future never ends
				p.wantMatch(regexp.MustCompile(`^` + regexp.QuoteMeta(strings.TrimSuffix(answer(`{"message_type":"nack","from":"`+x.to+`","message_id":"`+id+
					`","error":"DEVICE_UNREGISTERED","error_description":"`), `</data:gcm></message>`)) + `[^"]+"}</data:gcm></message>`))
				continue
			}
			p.want(x.acked(id))
		}
		p.write(`</stream:stream>`) // after ten idle seconds
		p.wantClosed(end)
	})
}
