package keys_test

import (
	"net/http"
	"testing"

	"penstock/internal/keys"
)

func TestF_05_FromHeader(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		key    string
		shown  bool
	}{
		{"F-05 key=", []string{"key=K1"}, "K1", true},
		{"F-05 Bearer", []string{"Bearer K1"}, "K1", true},
		{"F-05 other letter cases", []string{"KEY=K1"}, "K1", true},
		{"F-05 bearer in other letters", []string{"bEaReR K1"}, "K1", true},
		{"F-05 blanks around", []string{" key= K1 \t"}, "K1", true},
		{"F-05 several blanks", []string{"Bearer   K1"}, "K1", true},
		{"F-05 the key's own case stays", []string{"key=aB=c"}, "aB=c", true},
		{"nothing", nil, "", false},
		{"an empty header", []string{""}, "", true},
		{"no key", []string{"key="}, "", true},
		{"no bearer", []string{"Bearer "}, "", true},
		{"a key without a scheme", []string{"K1"}, "", true},
		{"another scheme", []string{"Basic K1"}, "", true},
		{"a scheme that only begins so", []string{"BearerK1"}, "", true},
		{"the header twice", []string{"key=K1", "key=K1"}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, shown := keys.FromHeader(http.Header{"Authorization": tt.values})
			if key != tt.key || shown != tt.shown {
				t.Errorf("got %q, %v; want %q, %v", key, shown, tt.key, tt.shown)
			}
		})
	}
}
