package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// startServe starts penstock serve --sim: what it prints is a simulator's line,
// and more. Its control API is that of the far end.
func startServe(t *testing.T, flags ...string) *simulator {
	t.Helper()
	return startPenstock(t, append([]string{"serve", "--sim", "--json", "--data-dir", t.TempDir()}, flags...)...)
}

// A send is a line of the record of the far end: a send of HTTP v1.
type send struct {
	Face   string            `json:"face"`
	To     string            `json:"to"`
	Data   map[string]string `json:"data"`
	Answer string            `json:"answer"`
	Error  string            `json:"error"`

	Notification map[string]string `json:"notification"`
	DeliveredTo  []string          `json:"delivered_to"`

	// Request is what of the body is looked at.
	Request struct {
		Message struct {
			Android struct {
				Priority    string `json:"priority"`
				TTL         string `json:"ttl"`
				CollapseKey string `json:"collapse_key"`
			} `json:"android"`
			APNS struct {
				Payload struct {
					APS struct {
						Badge int `json:"badge"`
					} `json:"aps"`
				} `json:"payload"`
			} `json:"apns"`
		} `json:"message"`
	} `json:"request"`
}

// sends returns what the far end got by HTTP v1.
func (s *simulator) sends(t *testing.T) (list []send) {
	t.Helper()
	resp, err := s.http.Get(s.Control + "/record")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var r send
		if err := dec.Decode(&r); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if r.Face == "v1" {
			list = append(list, r)
		}
	}
}

// TestOldAppServersThroughTheBridge: programs of CCS, unchanged, log in to
// penstock serve, which hands their messages to HTTP v1.
func TestOldAppServersThroughTheBridge(t *testing.T) {
	for _, app := range []struct {
		name  string
		start func(t *testing.T, s *simulator) *program
	}{
		{"slixmpp", func(t *testing.T, s *simulator) *program { return slixmpp(t, s, "", "") }},
		{"node-xcs", func(t *testing.T, s *simulator) *program { return nodeXCS(t, s, "", "") }},
		{"aiofcm", func(t *testing.T, s *simulator) *program { return aiofcm(t, s, "", "") }},
		{"Smack 4.3", func(t *testing.T, s *simulator) *program {
			return smack{dir: os.Getenv(smack43Env), ping: 100}.start(t, s, "", "")
		}},
		{"Smack 4.4", func(t *testing.T, s *simulator) *program {
			return smack{dir: os.Getenv(smack44Env), ping: 100}.start(t, s, "", "")
		}},
	} {
		t.Run("S31 S41 T-46 "+app.name+": through penstock serve to HTTP v1", func(t *testing.T) {
			s := startServe(t, "--ccs-listen", "127.0.0.1:5235", "--ccs-listen", "127.0.0.1:5236")
			p := app.start(t, s)
			if app.name != "aiofcm" { // which logs in when there is something to send
				p.next(t, 0, "online")
			}
			want := map[string]string{ // token → code
				s.Tokens[0]:        "",
				s.Tokens[1]:        "",
				s.Dead[0]:          "DEVICE_UNREGISTERED",
				s.Foreign[0]:       "SENDER_ID_MISMATCH",
				"no token of ours": "BAD_REGISTRATION",
			}
			tokens := []string{s.Tokens[0], s.Tokens[1], s.Dead[0], s.Foreign[0], "no token of ours"}
			messages, ids := batch("bridge", 500, tokens...)
			p.send(t, messages...)
			p.answered(t, "500 answers", ids, len(ids))
			got := map[string]send{} // by the number in the data
			for _, r := range s.sends(t) {
				if _, twice := got[r.Data["n"]]; twice {
					t.Errorf("the far end got message %s twice", r.Data["n"])
				}
				got[r.Data["n"]] = r
			}
			for i, m := range messages {
				a, _ := p.answer(m.ID)
				kind := "nack"
				if want[m.To] == "" {
					kind = "ack"
				}
				if a.Answer != kind || a.Error != want[m.To] {
					t.Errorf("%s to %s: %+v; want %s %q", m.ID, short(m.To), a, kind, want[m.To])
				}
				r, ok := got[fmt.Sprint(i)]
				if !ok || r.To != m.To || r.Data["text"] != m.Data["text"] || (kind == "ack") != slices.Equal(r.DeliveredTo, []string{m.To}) {
					t.Errorf("%s to %s: the far end got %+v", m.ID, short(m.To), r)
				}
			}
		})
	}
}

// TestCurlThroughTheBridge: what scripts have posted to /fcm/send for years.
func TestCurlThroughTheBridge(t *testing.T) {
	s := startServe(t)
	// post runs curl and returns the HTTP status and the body.
	post := func(t *testing.T, key, contentType, body string) (string, []byte) {
		t.Helper()
		cmd := exec.Command("curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", s.HTTP+"/fcm/send",
			"-H", "Authorization: key="+key, "-H", "Content-Type: "+contentType, "--data-binary", "@-")
		cmd.Stdin = strings.NewReader(body)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("curl: %v: %s", err, stderr.String())
		}
		i := bytes.LastIndexByte(out, '\n')
		return string(out[i+1:]), out[:i]
	}
	type multicast struct {
		MulticastID json.Number `json:"multicast_id"`
		Success     int         `json:"success"`
		Failure     int         `json:"failure"`
		Canonical   *int        `json:"canonical_ids"`
		Results     []struct {
			MessageID string `json:"message_id"`
			Error     string `json:"error"`
		} `json:"results"`
	}
	t.Run("F-05 F-06 curl: one token", func(t *testing.T) {
		status, body := post(t, s.ServerKey, "application/json", `{"to":"`+s.Tokens[0]+`","data":{"n":"1"}}`)
		var m multicast
		if err := json.Unmarshal(body, &m); err != nil || status != "200" || m.Success != 1 || m.Failure != 0 || len(m.Results) != 1 || m.Results[0].MessageID == "" {
			t.Errorf("%s %s (%v)", status, body, err)
		}
	})
	t.Run("F-05 F-06 curl: a form", func(t *testing.T) {
		status, body := post(t, s.ServerKey, "application/x-www-form-urlencoded", "registration_id="+s.Dead[0]+"&data.n=1")
		if status != "200" || strings.TrimSpace(string(body)) != "Error=NotRegistered" {
			t.Errorf("%s %s", status, body)
		}
	})
	t.Run("F-07 curl: a wrong key", func(t *testing.T) {
		if status, body := post(t, "wrong", "application/json", `{"to":"x"}`); status != fmt.Sprint(http.StatusUnauthorized) {
			t.Errorf("%s %s", status, body)
		}
	})
	t.Run("F-01 M-41 curl: HTTP v1 to an installation id", func(t *testing.T) {
		var device struct {
			FID           string `json:"fid"`
			ReceivedCount int    `json:"received_count"`
		}
		s.call(t, "GET", "/devices/"+s.Tokens[1], nil, &device)
		for i, field := range []string{"fid", "token"} {
			cmd := exec.Command("curl", "-sS", "--fail-with-body", "--max-time", "60", s.HTTP+"/v1/projects/"+s.ProjectID+"/messages:send",
				"-H", "Authorization: Bearer "+s.ServerKey, "-H", "Content-Type: application/json",
				"-d", fmt.Sprintf(`{"message":{%q:%q,"data":{"n":"1"}}}`, field, device.FID))
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"name": "projects/`+s.ProjectID+`/messages/`) {
				t.Errorf("%s: %v: %s", field, err, out)
			}
			s.call(t, "GET", "/devices/"+s.Tokens[1], nil, &device)
			if device.ReceivedCount != i+1 {
				t.Errorf("%s: the device got %d messages; want %d", field, device.ReceivedCount, i+1)
			}
		}
	})
	t.Run("T-05 T-49 F-06 curl: 1,000 tokens, live, dead and foreign", func(t *testing.T) {
		var ids []string
		want := map[string]string{s.Dead[0]: "NotRegistered", s.Foreign[0]: "MismatchSenderId", "nonsense": "InvalidRegistration"}
		for i := range 1000 {
			switch {
			case i%10 == 7:
				ids = append(ids, s.Dead[0])
			case i%10 == 8:
				ids = append(ids, s.Foreign[0])
			case i%10 == 9:
				ids = append(ids, "nonsense")
			default:
				ids = append(ids, s.Tokens[i%len(s.Tokens)])
			}
		}
		text, err := json.Marshal(map[string]any{"registration_ids": ids, "data": map[string]any{"n": 12}})
		if err != nil {
			t.Fatal(err)
		}
		status, body := post(t, s.ServerKey, "application/json", string(text))
		var m multicast
		if err := json.Unmarshal(body, &m); err != nil || status != "200" || m.Success != 700 || m.Failure != 300 || len(m.Results) != 1000 || m.Canonical == nil || *m.Canonical != 0 {
			t.Fatalf("%s %.300s (%v)", status, body, err)
		}
		for i, id := range ids {
			if r := m.Results[i]; r.Error != want[id] || (r.MessageID != "") != (want[id] == "") {
				t.Errorf("result %d for %s: %+v; want %q", i, short(id), r, want[id])
			}
		}
	})
}
