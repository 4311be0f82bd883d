package keys_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/internal/keys"
)

const (
	shopKey  = "psk_SHOPSHOPSHOPSHOP"
	shopOld  = "psk_SHOPSHOPSHOPSOLD"
	newsKey  = "psk_NEWSNEWSNEWSNEWS"
	nobodies = "psk_NOBODYNOBODYNOBO"
)

func record(s keys.Secret, name, key string, fronts ...keys.Front) keys.Record {
	return keys.Record{Name: name, Hash: s.Hash(key), Fronts: fronts, Created: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
}

func projects(s keys.Secret) []keys.Project {
	return []keys.Project{
		{Name: "shop", ProjectID: "shop-1a2b3", SenderID: "1234567890", Keys: []keys.Record{
			record(s, "backend", shopKey), record(s, "old", shopOld, keys.CCS, keys.Legacy),
		}},
		{Name: "news", ProjectID: "news-9z8y7", Keys: []keys.Record{record(s, "main", newsKey, keys.V1)}},
	}
}

func newRing(t *testing.T, s keys.Secret, p []keys.Project) *keys.Ring {
	t.Helper()
	ring, err := keys.NewRing(s, p)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestLookupKeepsToTheFrontsOfAKey(t *testing.T) {
	s := keys.NewSecret()
	ring := newRing(t, s, projects(s))
	for _, tt := range []struct {
		name, key string
		at        map[keys.Front]string
	}{
		{"a key for all", shopKey, map[keys.Front]string{keys.CCS: "shop", keys.Legacy: "shop", keys.V1: "shop"}},
		{"a key for two", shopOld, map[keys.Front]string{keys.CCS: "shop", keys.Legacy: "shop"}},
		{"a key for one", newsKey, map[keys.Front]string{keys.V1: "news"}},
		{"a key of nobody", nobodies, nil},
		{"no key", "", nil},
		{"a key with a blank behind it", shopKey + " ", nil},
		{"the beginning of a key", shopKey[:len(shopKey)-1], nil},
		{"a key in other letters", strings.ToLower(shopKey), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, front := range append(keys.Fronts(), "elsewhere") {
				p, ok := ring.Lookup(tt.key, front)
				got := ""
				if ok {
					got = p.Name
				}
				want := tt.at[front]
				if front == "elsewhere" && tt.key == shopKey {
					want = "shop"
				}
				if got != want || ok != (p != nil) {
					t.Errorf("at %s: %q, want %q", front, got, want)
				}
			}
		})
	}
}

// A hash is found by its beginning and compared to its end.
func TestAHashThatBeginsAlikeIsAnother(t *testing.T) {
	s := keys.NewSecret()
	alike := record(s, "alike", shopKey)
	alike.Hash[len(alike.Hash)-1] ^= 1
	ring := newRing(t, s, []keys.Project{{Name: "news", Keys: []keys.Record{alike}}})
	if p, ok := ring.Lookup(shopKey, keys.V1); ok {
		t.Errorf("the key speaks for %s", p.Name)
	}
	ring = newRing(t, s, []keys.Project{{Name: "news", Keys: []keys.Record{alike}}, {Name: "shop", Keys: []keys.Record{record(s, "k", shopKey)}}})
	if p, ok := ring.Lookup(shopKey, keys.V1); !ok || p.Name != "shop" {
		t.Errorf("the key speaks for %v", p)
	}
}

func TestAuthenticateWantsTheSendersOwnKey(t *testing.T) {
	s := keys.NewSecret()
	list := projects(s)
	list = append(list, keys.Project{Name: "blog", SenderID: "77", Keys: []keys.Record{record(s, "http", "psk_BLOGBLOGBLOGBLOG", keys.Legacy)}})
	list[1].Keys[0].Fronts = nil
	ring := newRing(t, s, list)
	for _, tt := range []struct {
		name   string
		sender ccs.SenderID
		key    string
		ok     bool
	}{
		{"the right key", "1234567890", shopKey, true},
		{"the other right key", "1234567890", shopOld, true},
		{"a wrong key", "1234567890", nobodies, false},
		{"the key of another project", "1234567890", newsKey, false},
		{"an unknown sender", "99", shopKey, false},
		{"the empty sender of a project that has none", "", newsKey, false},
		{"a key that counts elsewhere", "77", "psk_BLOGBLOGBLOGBLOG", false},
		{"nothing at all", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := ring.Authenticate(context.Background(), tt.sender, tt.key)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, keys.ErrUnknown) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSenderNamesTheProject(t *testing.T) {
	s := keys.NewSecret()
	ring := newRing(t, s, projects(s))
	if p, ok := ring.Sender("1234567890"); !ok || p.Name != "shop" {
		t.Errorf("got %v, %v", p, ok)
	}
	for _, sender := range []ccs.SenderID{"", "99"} {
		if p, ok := ring.Sender(sender); ok || p != nil {
			t.Errorf("%q is %v", sender, p)
		}
	}
}

func TestAnswersToNameIDAndNumber(t *testing.T) {
	p := keys.Project{Name: "shop", ProjectID: "shop-1a2b3", SenderID: "1234567890"}
	for _, segment := range []string{"shop", "shop-1a2b3", "1234567890"} {
		if !p.Answers(segment) {
			t.Errorf("%q is not answered", segment)
		}
	}
	for _, segment := range []string{"", "Shop", "shop-1a2b", "01234567890", "news"} {
		if p.Answers(segment) {
			t.Errorf("%q is answered", segment)
		}
	}
	if (&keys.Project{Name: "x"}).Answers("") {
		t.Error("a project without an id answers to nothing")
	}
}

// A key that was taken away stops at once, a new one counts at once, whoever
// looks meanwhile sees either state and never a mixture.
func TestReplaceTakesEffectAtOnce(t *testing.T) {
	s := keys.NewSecret()
	before := []keys.Project{{Name: "shop", SenderID: "1", Keys: []keys.Record{record(s, "a", shopKey)}}}
	after := []keys.Project{{Name: "shop", SenderID: "2", Keys: []keys.Record{record(s, "b", newsKey)}}}
	ring := newRing(t, s, before)
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	for range 2 {
		watchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if p, ok := ring.Lookup(shopKey, keys.V1); ok && p.SenderID != "1" {
					t.Errorf("the old key speaks for sender id %s", p.SenderID)
					return
				}
			}
		})
	}
	for range 200 {
		for i, list := range [][]keys.Project{before, after} {
			if err := ring.Replace(list); err != nil {
				t.Fatal(err)
			}
			_, old := ring.Lookup(shopKey, keys.V1)
			_, fresh := ring.Lookup(newsKey, keys.V1)
			if old != (i == 0) || fresh != (i == 1) {
				t.Fatalf("after replacing: old key %v, new key %v", old, fresh)
			}
		}
	}
	close(stop)
	watchers.Wait()
}

func TestReplaceKeepsNothingOfItsArgument(t *testing.T) {
	s := keys.NewSecret()
	list := projects(s)
	ring := newRing(t, s, list)
	list[0].Name = "stolen"
	list[0].Keys[0].Hash = s.Hash(nobodies)
	list[0].Keys[1].Fronts[1] = keys.V1
	if _, ok := ring.Lookup(nobodies, keys.V1); ok {
		t.Error("a key came in by the back door")
	}
	if _, ok := ring.Lookup(shopOld, keys.V1); ok {
		t.Error("a scope grew by the back door")
	}
	if p, ok := ring.Lookup(shopKey, keys.V1); !ok || p.Name != "shop" || p.Keys[0].Hash != s.Hash(shopKey) {
		t.Errorf("got %v", p)
	}
}

func TestRingsThatWouldBeUnclear(t *testing.T) {
	s := keys.NewSecret()
	for _, tt := range []struct {
		name string
		list []keys.Project
		want string
	}{
		{"no name", []keys.Project{{Name: "a"}, {}}, "project 2 has no name"},
		{"one name twice", []keys.Project{{Name: "a"}, {Name: "a"}}, `two projects have the name "a"`},
		{"one sender id twice", []keys.Project{{Name: "a", SenderID: "1"}, {Name: "b", SenderID: "1"}}, `two projects have the sender id "1"`},
		{
			"one key in two projects",
			[]keys.Project{
				{Name: "a", Keys: []keys.Record{record(s, "x", shopKey, keys.CCS)}},
				{Name: "b", Keys: []keys.Record{record(s, "y", shopKey, keys.V1)}},
			},
			`key "x" of project "a" and key "y" of project "b" are the same`,
		},
		{
			"a front that there is not", []keys.Project{{Name: "a", Keys: []keys.Record{record(s, "x", shopKey, "xmpp")}}},
			`project "a", key "x": there is no front "xmpp", only ["ccs" "legacy" "v1"]`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keys.NewRing(s, tt.list)
			if err == nil || err.Error() != "keys: "+tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			ring := newRing(t, s, projects(s))
			if ring.Replace(tt.list) == nil {
				t.Error("Replace accepts it")
			}
			if _, ok := ring.Lookup(shopKey, keys.CCS); !ok {
				t.Error("the ring lost its keys to a failed Replace")
			}
		})
	}
	if _, err := keys.NewRing(keys.Secret{}, nil); err == nil {
		t.Error("a ring without a secret was made")
	}
	if _, err := keys.NewRing(s, []keys.Project{{Name: "a"}, {Name: "b"}}); err != nil {
		t.Errorf("two projects without sender ids: %v", err)
	}
}

// A key may stand in a file of the operator's and among those that were made:
// it counts wherever one of the two does.
func TestOneKeyTwiceInAProjectCountsForBoth(t *testing.T) {
	s := keys.NewSecret()
	ring := newRing(t, s, []keys.Project{{Name: "a", Keys: []keys.Record{
		record(s, "x", shopKey, keys.CCS), record(s, "y", shopKey, keys.V1),
	}}})
	for front, want := range map[keys.Front]bool{keys.CCS: true, keys.V1: true, keys.Legacy: false} {
		if _, ok := ring.Lookup(shopKey, front); ok != want {
			t.Errorf("at %s: %v", front, ok)
		}
	}
}

func TestHashesDependOnTheSecret(t *testing.T) {
	a, b := keys.NewSecret(), keys.NewSecret()
	if a.Hash(shopKey) == b.Hash(shopKey) || a.Hash(shopKey) == a.Hash(newsKey) {
		t.Error("a hash tells too little, or too much")
	}
	// HMAC with SHA-256, so that hashes on disk stay good.
	s, err := keys.ParseSecret(strings.Repeat("0b", 32))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := s.Hash("Hi There").MarshalText()
	const want = "hmac-sha256:198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestSecretSurvivesItsFile(t *testing.T) {
	s := keys.NewSecret()
	again, err := keys.ParseSecret(" " + s.Reveal() + "\n")
	if err != nil || again.Reveal() != s.Reveal() || again.Hash(shopKey) != s.Hash(shopKey) {
		t.Errorf("got another secret, %v", err)
	}
	for _, text := range []string{"", s.Reveal()[2:], s.Reveal() + "00", s.Reveal() + "0", s.Reveal() + "xx", strings.Repeat("0", 64), strings.Repeat("x", 64)} {
		_, err := keys.ParseSecret(text)
		if err == nil {
			t.Errorf("a text of %d characters is a secret", len(text))
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

func TestRecordSurvivesJSON(t *testing.T) {
	s := keys.NewSecret()
	want := projects(s)[0].Keys[1]
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := s.Hash(shopOld).MarshalText()
	if golden := `{"name":"old","hash":"` + string(hash) + `","fronts":["ccs","legacy"],"created":"2026-11-22T00:00:00Z"}`; string(text) != golden {
		t.Errorf("got %s, want %s", text, golden)
	}
	var got keys.Record
	if err := json.Unmarshal(text, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.Hash != want.Hash {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{`""`, `"hmac-sha256:00"`, `"` + strings.Repeat("0", 64) + `"`, `"sha512:` + strings.Repeat("0", 64) + `"`, `"hmac-sha256:` + strings.Repeat("0", 66) + `"`, `"hmac-sha256:` + strings.Repeat("0", 64) + `xx"`} {
		if err := json.Unmarshal([]byte(`{"hash":`+bad+`}`), &got); err == nil {
			t.Errorf("%s is a hash", bad)
		}
	}
}

func TestGeneratedKeysAreFitForEveryWire(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		key := keys.Generate().Reveal()
		if err := keys.Check(key); err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(key, "psk_")
		if !ok || seen[key] {
			t.Fatalf("a key of %d characters, seen before: %v", len(key), seen[key])
		}
		seen[key] = true
		// 32 letters and digits carry 5 bits each.
		if bits := 5 * len(body); bits < 256 || strings.Trim(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			t.Fatalf("%d bits, or strange characters", bits)
		}
	}
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ key, want string }{
		{"", "the key is empty"},
		{"short", "the key has 5 characters: at least 16 are needed"},
		{strings.Repeat("k", 1001), "the key has 1001 characters: at most 1000 are allowed"},
		{"0123456789 12345678", "character 11 of the key is a blank, or no printable ASCII"},
		{"01234567891234567\n", "character 18 of the key is a blank, or no printable ASCII"},
		{"0123456789123456\x7f", "character 17 of the key is a blank, or no printable ASCII"},
		{"é123456789123456", "character 1 of the key is a blank, or no printable ASCII"},
	} {
		if err := keys.Check(tt.key); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	for _, key := range []string{strings.Repeat("k", 16), strings.Repeat("~", 1000), "AIzaSyZ-1u:APA91b!#$"} {
		if err := keys.Check(key); err != nil {
			t.Error(err)
		}
	}
}

// texts is everything that could be written of v by accident.
func texts(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%p", "%e"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("log", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("log", "v", v)
	if text, err := json.Marshal(v); err == nil {
		b.Write(text)
	}
	return b.String()
}

// shows reports whether text holds key, in clear or in hexadecimal digits.
func shows(text, key string) bool {
	return strings.Contains(text, key) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", key))
}

func TestR_A54_KeysAndSecretsShowNothingOfThemselves(t *testing.T) {
	k := keys.Generate()
	if text := texts(k) + texts(&k) + texts([]keys.Key{k}) + texts(map[string]any{"k": k}) + texts(struct{ K, k keys.Key }{k, k}); shows(text, k.Reveal()) || shows(text, k.Reveal()[4:20]) {
		t.Errorf("a key shows itself:\n%s", text)
	}
	s := keys.NewSecret()
	raw, _ := hex.DecodeString(s.Reveal())
	ring := newRing(t, s, projects(s))
	text := texts(s) + texts(&s) + texts(struct{ S, s keys.Secret }{s, s}) + texts(ring)
	if shows(text, s.Reveal()) || bytes.Contains([]byte(text), raw) || strings.Contains(text, fmt.Sprint(raw[0], raw[1], raw[2], raw[3], raw[4], raw[5])) {
		t.Errorf("a secret shows itself:\n%s", text)
	}
	h := s.Hash(shopKey)
	if whole, _ := h.MarshalText(); len(h.String()) > 12 || h.String() == s.Hash(newsKey).String() || !strings.Contains(string(whole), strings.TrimSuffix(h.String(), "…")) {
		t.Errorf("a hash is told as %s", h)
	}
	if !shows(fmt.Sprintf("%x", k.Reveal()), k.Reveal()) {
		t.Error("this test would not notice")
	}
}

// FuzzKeysNeverShow puts a key through everything that could write it down.
// What shows with another key in its place was in the names already, in one of
// the many forms that fmt has for them.
func FuzzKeysNeverShow(f *testing.F) {
	f.Add(shopKey, "shop", "1")
	f.Add("", "", "")
	f.Add("psk_ \x00\xff key with anything in it", "n", "2")
	f.Add("too short key", "n", "2")
	f.Add("cccccccccccc", "\xcc\xcc\xcc\xcc\xcc\xcc", "3")
	f.Fuzz(func(t *testing.T, key, name, sender string) {
		if len(key) < 12 || shows(writings(t, "another key in its place", name, sender), key) {
			return
		}
		if out := writings(t, key, name, sender); shows(out, key) {
			t.Errorf("the key shows in:\n%s", out)
		}
	})
}

// writings is all that is written anywhere about a project with a key.
func writings(t *testing.T, key, name, sender string) string {
	t.Helper()
	s := keys.NewSecret()
	rec := record(s, name, key)
	list := []keys.Project{{Name: "p" + name, SenderID: ccs.SenderID(sender), Keys: []keys.Record{rec}}}
	ring, err := keys.NewRing(s, list)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := ring.Lookup(key, keys.V1)
	if !ok {
		t.Fatal("a key is not known")
	}
	_, twice := keys.NewRing(s, append(list, keys.Project{Name: "q" + name + "q", Keys: []keys.Record{rec}}))
	_, secret := keys.ParseSecret(key)
	return texts(rec) + texts(p) + texts(ring) + texts(list) +
		fmt.Sprint(keys.Check(key), twice, secret, ring.Authenticate(context.Background(), "other", key),
			ring.Authenticate(context.Background(), ccs.SenderID(sender), key+"x"))
}

func TestIDsTellSecretsApart(t *testing.T) {
	a, b := keys.NewSecret(), keys.NewSecret()
	again, err := keys.ParseSecret(a.Reveal())
	if err != nil || a.ID() != again.ID() || a.ID() == b.ID() || len(a.ID()) != 8 {
		t.Errorf("got %s, %s and %s, %v", a.ID(), again.ID(), b.ID(), err)
	}
	if strings.Contains(a.Reveal(), a.ID()) {
		t.Error("the id is a part of the secret")
	}
}
