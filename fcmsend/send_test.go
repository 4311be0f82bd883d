package fcmsend_test

import (
	"encoding/json"
	"testing"
)

func TestS_01_PostsToTheProjectsPath(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken("k", "v"))
		r := w.conn().request()
		for name, want := range map[string]string{
			":method": "POST", ":scheme": "https", ":authority": "fcm.googleapis.com", ":path": sendPath,
			"content-type": "application/json", "authorization": "Bearer " + accessToken, "user-agent": "penstock",
		} {
			if r.header[name] != want {
				t.Errorf("%s is %q; want %q", name, r.header[name], want)
			}
		}
		var body struct {
			Message struct {
				Token string
				Data  map[string]string
			}
		}
		if err := json.Unmarshal(r.body, &body); err != nil || body.Message.Token != device || body.Message.Data["k"] != "v" {
			t.Errorf("body %s, %v", r.body, err)
		}
		r.accept()
		p.wantAccepted()
	})
}
