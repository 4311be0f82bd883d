package fcmsend

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Whatever tokens come in whatever order, the far end reads what was meant, with
// the table that it has allowed.
func TestEachHeaderIsReadAsItWasMeant(t *testing.T) {
	_, to, err := (&Options{}).withDefaults("p")
	if err != nil {
		t.Fatal(err)
	}
	var w headerWriter
	w.init(&to, "x")
	var wire bytes.Buffer
	framer := http2.NewFramer(nil, &wire)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	id := uint32(1)
	read := func(token string) {
		t.Helper()
		wire.Write(w.append(nil, id, token, 7))
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("token %s: %v", token, err)
		}
		got := map[string]string{}
		for _, f := range frame.(*http2.MetaHeadersFrame).Fields {
			got[f.Name] = f.Value
		}
		if frame.Header().StreamID != id || got["authorization"] != token || got[":path"] != to.path ||
			got[":authority"] != to.authority || got["user-agent"] != "x" || got["content-length"] != "7" {
			t.Fatalf("stream %d, token %s: %v", frame.Header().StreamID, token, got)
		}
		id += 2
	}
	for _, token := range []string{"a", "a", "a", "b", "a", "a", "b", "b", "a"} {
		read(token)
	}
	for _, size := range []uint32{0, 200, 4096, 1 << 20} {
		for range 3 {
			read("a")
		}
		w.resize(size)
		framer.ReadMetaHeaders.SetMaxDynamicTableSize(min(size, 4096))
		for range 3 {
			read("a")
		}
	}
	for i := range 200 { // until the entries of the first header have high indices, and are gone
		for range 3 {
			read(fmt.Sprint("c", i))
		}
	}
}
