package translate_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/translate"
)

// TestT_43_EveryOutputPassesTheSimulatorsStrictSchema sends what comes of each row
// to a device of each platform. The simulator has a schema and rules of its own.
func TestT_43_EveryOutputPassesTheSimulatorsStrictSchema(t *testing.T) {
	sim, err := fcmsim.New(&fcmsim.Options{Category: "org.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	face := sim.HTTPHandler()
	var tokens []ccs.RegistrationToken
	for _, platform := range []fcmsim.Platform{fcmsim.PlatformAndroid, fcmsim.PlatformIOS, fcmsim.PlatformWeb} {
		d, err := sim.AddDevice(&fcmsim.DeviceOptions{Platform: platform})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, d.Token)
	}
	send := func(t *testing.T, m *ccs.Downstream, opt *translate.Options) {
		t.Helper()
		for _, token := range tokens {
			m := *m
			if m.To != "" && !strings.HasPrefix(string(m.To), "/topics/") {
				m.To = token
			}
			r, err := translate.ToV1(&m, at(0), opt)
			if err != nil {
				t.Fatal(err)
			}
			body := r.Append(nil)
			req := httptest.NewRequest(http.MethodPost, "/v1/projects/"+sim.ProjectID()+"/messages:send", bytes.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+sim.AccessToken())
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			face.ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				t.Errorf("%s\n%d %s", body, w.Code, w.Body)
			}
		}
	}
	settings := map[string]*translate.Options{"by default": nil, "all settings on": allOptions}
	for setting, opt := range settings {
		for _, tt := range rows {
			t.Run("T-43 "+tt.name+", "+setting, func(t *testing.T) { send(t, overXMPP(t, tt.legacy), opt) })
		}
		for _, tt := range notificationRows {
			t.Run("T-43 "+tt.name+", "+setting, func(t *testing.T) {
				send(t, overXMPP(t, `{"to":"T","notification":{`+tt.notification+`}}`), opt)
				send(t, overXMPP(t, `{"to":"T","priority":"high","time_to_live":60,"content_available":true,"notification":{`+tt.notification+`}}`), opt)
			})
		}
	}
	t.Run("T-43 words of v1 that pass through", func(t *testing.T) {
		send(t, overHTTP(t, passing), allOptions)
	})
	t.Run("T-43 with our id in data", func(t *testing.T) {
		send(t, overXMPP(t, `{"to":"T","delivery_receipt_requested":true}`), allOptions)
	})
}
