package translate_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

// TestT_45_TranslationIsPure translates the same message many times, its maps
// made anew each time.
func TestT_45_TranslationIsPure(t *testing.T) {
	opt := &translate.Options{PassThrough: true, ThreadFromTag: true, WebTag: true, MessageIDKey: "penstock_id"}
	message := func(keys ...string) *ccs.Downstream {
		m := &ccs.Downstream{
			To: "T", MessageID: "m-1", TTL: new(10 * time.Minute), CollapseKey: "c", DeliveryReceiptRequested: true,
			Data: make(map[string]string),
			Notification: map[string]string{
				"title": "N", "tag": "t", "icon": "https://example.com/i", "sound": `{"b":1,"a":[2,{"d":1,"c":2}]}`,
				"ticker": "x", "light_settings": "{}", "vibrate_timings": `["1s"]`, "proxy": "?", "body_loc_args": `[1,{"b":1,"a":2}]`,
			},
		}
		for _, key := range keys {
			m.Data[key] = "v"
		}
		return m
	}
	t.Run("T-45 the same output", func(t *testing.T) {
		var first string
		for i := range 200 {
			r, err := translate.ToV1(message("a", "b", "c", "d"), at(time.Second), opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.Append(nil)); i == 0 {
				first = got
			} else if got != first {
				t.Fatalf("got  %s\nthen %s", first, got)
			}
		}
	})
	t.Run("T-45 the same error", func(t *testing.T) {
		var first string
		for i := range 200 {
			_, err := translate.ToV1(message("a", "from", "google.x", "message_type"), at(0), opt)
			if i == 0 {
				first = err.Error()
			} else if err.Error() != first {
				t.Fatalf("got  %s\nthen %s", first, err)
			}
		}
	})
	t.Run("T-45 the input stays as it was", func(t *testing.T) {
		m := message("a", "b")
		if _, err := translate.ToV1(m, at(5*time.Second), opt); err != nil {
			t.Fatal(err)
		}
		if want := message("a", "b"); !reflect.DeepEqual(m, want) {
			t.Errorf("got  %+v\nwant %+v", m, want)
		}
	})
	t.Run("T-45 the way to CCS", func(t *testing.T) {
		r := request(t, `{"message":{"token":"T","x":1,"apns":{"payload":{"y":1,"z":2}},"android":{"w":1},"webpush":{"v":1}}}`)
		for range 200 {
			_, err := translate.ToCCS(r, "m-1")
			if e, ok := errors.AsType[*fcm.SendError](err); !ok || e.Violations()[0].Field != "message.android.w" {
				t.Fatal(err)
			}
		}
	})
}

// TestT_45_NothingComesFromOutside reads the room's own code: no clock, no
// chance, no I/O.
func TestT_45_NothingComesFromOutside(t *testing.T) {
	allowed := []string{
		"bytes", "encoding/json", "errors", "fmt", "io", "maps", "net/http", "net/url", "reflect", "slices", "strconv",
		"strings", "time", "unicode", "unicode/utf8", "penstock/ccs", "penstock/fcm",
	}
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		for _, imp := range file.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, _ := s.X.(*ast.Ident)
			if from == nil {
				return true
			}
			switch from.Name + "." + s.Sel.Name {
			case "time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "http.Get", "http.Post", "http.NewRequest":
				t.Errorf("%s: %s.%s", files.Position(n.Pos()), from.Name, s.Sel.Name)
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("no file was read")
	}
}
