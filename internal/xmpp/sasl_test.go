package xmpp_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"penstock/internal/xmpp"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestS13_R_A16_R_A17_Plain(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       xmpp.Plain
		refused    string
	}{
		{"S13 as aiofcm writes it", "ADEyMzQ1Njc4OTAAa2V5", xmpp.Plain{User: "1234567890", Password: "key"}, ""},
		{"S13 as the seed writes it", "ADEyMzQ1Njc4OTBAZ2NtLmdvb2dsZWFwaXMuY29tAHNlcnZlci1rZXk=", xmpp.Plain{User: "1234567890@gcm.googleapis.com", Password: "server-key"}, ""},
		{"S13 as Smack 3 writes it", b64("1\x001\x00key"), xmpp.Plain{Authzid: "1", User: "1", Password: "key"}, ""},
		{"S13 as xmpppy writes it", b64("1@gcm.googleapis.com\x001\x00key"), xmpp.Plain{Authzid: "1@gcm.googleapis.com", User: "1", Password: "key"}, ""},
		{"S13 white space around it", "\n\t ADEAMg==\r\n", xmpp.Plain{User: "1", Password: "2"}, ""},
		{"S13 as long as allowed", b64("\x00u\x00" + strings.Repeat("p", 1021)), xmpp.Plain{User: "u", Password: strings.Repeat("p", 1021)}, ""},
		{"S13 R-A17 characters that are not base64", "ADEA?g==", xmpp.Plain{}, "incorrect-encoding"},
		{"S13 R-A17 no padding", "ADEAMg", xmpp.Plain{}, "incorrect-encoding"},
		{"S13 R-A17 too much padding", "ADEAMg===", xmpp.Plain{}, "incorrect-encoding"},
		{"S13 R-A17 base64 on two lines", "ADEA\nMg==", xmpp.Plain{}, "incorrect-encoding"},
		{"S13 R-A17 base64 for file names", b64("\x001\x00\xc3\xbf\xc3\xbf")[:8] + "-_==", xmpp.Plain{}, "incorrect-encoding"},
		{"R-A16 nothing", "", xmpp.Plain{}, "malformed-request"},
		{"R-A16 nothing, said as XMPP says it", "=", xmpp.Plain{}, "malformed-request"},
		{"R-A16 no NUL", b64("user"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 one NUL", b64("user\x00password"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 three NULs", b64("\x00user\x00pass\x00word"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 an empty user", b64("\x00\x00password"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 an empty password", b64("\x00user\x00"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 invalid UTF-8", b64("\x00us\xffer\x00password"), xmpp.Plain{}, "malformed-request"},
		{"R-A16 more than 1 KiB", b64("\x00u\x00" + strings.Repeat("p", 1022)), xmpp.Plain{}, "malformed-request"},
		{"R-A16 much more than 1 KiB", b64("\x00u\x00" + strings.Repeat("p", 5000)), xmpp.Plain{}, "malformed-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := xmpp.DecodePlain([]byte(c.text))
			refused := ""
			if e, ok := errors.AsType[*xmpp.SASLError](err); ok {
				refused = e.Condition
			}
			if got != c.want || refused != c.refused || err != nil && refused == "" {
				t.Errorf("got %#v, %v; want %#v, %q", got, err, c.want, c.refused)
			}
		})
	}
}

func TestPrintingAPlainShowsNoPassword(t *testing.T) {
	p := xmpp.Plain{User: "1234", Password: "secret"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "plain", p)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", p, p, p, p), log.String()} {
		if strings.Contains(s, "secret") || !strings.Contains(s, "1234") {
			t.Errorf("printed as %s", s)
		}
	}
}

func FuzzDecodePlain(f *testing.F) {
	for _, s := range []string{"ADEyMzQ1Njc4OTAAa2V5", "=", "", "ADEAMg==", "ADEA\nMg==", b64("a\x00b\x00c"), b64("\x00\x00")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := xmpp.DecodePlain(text)
		if err != nil {
			if _, ok := errors.AsType[*xmpp.SASLError](err); !ok || p != (xmpp.Plain{}) {
				t.Fatalf("got %#v, %v", p, err)
			}
			return
		}
		if p.User == "" || p.Password == "" || strings.Contains(p.Authzid+p.User+p.Password, "\x00") {
			t.Fatalf("accepted %#v", p)
		}
		if again, err := xmpp.DecodePlain([]byte(xmpp.EncodePlain(p.Authzid, p.User, p.Password))); err != nil || again != p {
			t.Fatalf("printed and parsed: %#v, %v", again, err)
		}
	})
}
