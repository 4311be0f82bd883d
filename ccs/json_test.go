package ccs

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// scanAll reads src whole and decodes it as encoding/json would with UseNumber.
func scanAll(src []byte) (got any, deepest int, err error) {
	scan := scanner{src: src}
	v, err := scan.value()
	if err == nil {
		err = scan.end()
	}
	if err != nil {
		return nil, 0, err
	}
	if scan.deepest > MaxDepth {
		return nil, scan.deepest, nil
	}
	got, err = decodeAny(source{src: src, text: string(src)}, v)
	return got, scan.deepest, err
}

func decodeAny(src source, v value) (any, error) {
	switch v.kind {
	case jsonNull:
		return nil, nil
	case jsonTrue, jsonFalse:
		return v.kind == jsonTrue, nil
	case jsonNumber:
		return json.Number(src.str(v)), nil
	case jsonString:
		return src.str(v), nil
	case jsonArray:
		list := []any{}
		scan := scanner{src: src.src, pos: v.start + 1}
		for {
			if scan.space(); scan.peek() == ']' {
				return list, nil
			}
			val, err := scan.value()
			if err != nil {
				return nil, err
			}
			elem, err := decodeAny(src, val)
			if err != nil {
				return nil, err
			}
			list = append(list, elem)
			if scan.space(); scan.peek() == ',' {
				scan.pos++
			}
		}
	}
	object := map[string]any{}
	scan := scanner{src: src.src[:v.end], pos: v.start}
	if err := scan.enter(); err != nil {
		return nil, err
	}
	for {
		key, val, ok, err := scan.member()
		if err != nil {
			return nil, err
		}
		if !ok {
			return object, scan.end()
		}
		if object[src.str(key)], err = decodeAny(src, val); err != nil {
			return nil, err
		}
	}
}

// tokenDepth is how deep src nests, as encoding/json sees it.
func tokenDepth(src []byte) int {
	depth, deepest := 0, 0
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// checkAgainstEncodingJSON fails unless scanner and encoding/json agree on src.
func checkAgainstEncodingJSON(t *testing.T, src []byte) {
	t.Helper()
	got, deepest, err := scanAll(src)
	want := json.Valid(src) && utf8.Valid(src)
	if deepest > MaxDepth && !want {
		t.Fatalf("scanner measures %d levels in what is no JSON: %q", deepest, src)
	}
	if !want {
		if err == nil {
			t.Fatalf("scanner accepts %q, encoding/json does not", src)
		}
		return
	}
	if err != nil {
		t.Fatalf("scanner refuses %q, encoding/json does not: %v", src, err)
	}
	if depth := tokenDepth(src); deepest != depth {
		t.Fatalf("scanner measures %d levels in %q, encoding/json %d", deepest, src, depth)
	}
	if deepest > MaxDepth {
		return
	}
	var theirs any
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	if err := dec.Decode(&theirs); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, theirs) {
		t.Fatalf("%q: scanner reads %#v, encoding/json %#v", src, got, theirs)
	}
}

var scannerSeeds = []string{
	``, ` `, `0`, `-0`, `-`, `01`, `1.`, `1.5e+3`, `1e`, `.5`, `1e400`, `+1`, `0x1`, `NaN`,
	`null`, `nul`, `nulll`, `true`, `false`, `tru e`,
	`""`, `"`, `"a`, `"\"`, `"\\"`, `"\x"`, `"\u00"`, `"\u00e9\n\/\b\f\r\t"`, `"\ud83d\ude00"`,
	`"\ud800"`, `"\ud800\u0041"`, `"\ud800\ud800\udc00"`, `"\udc00"`, `"\ud800\n"`, `"\uD83D\uDE00"`,
	"\"a\nb\"", "\"\x00\"", "\"\x7f\"", "\"é€😀\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc3\\u00e9\"", "\xef\xbb\xbf{}",
	`"1234567"`, `"12345678"`, `"123456789"`, `"1234567\n"`, "\"1234567\x1f\"", `"1234567é"`,
	`[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[1}`, `[[],{}]`, `[[1],[2,[3]]]`,
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,"a":1}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1]`, `{1:2}`,
	`{"a":1,"a":2}`, `{"a":{"a":1},"a":{"b":[{}]}}`, `{"\u0061":1,"a":2}`, `{"a":{"b":1}`, `{} {}`, `{}x`, " \t\r\n{ \"a\" : [ 1 , { } ] } ",
	`{"to":"TOKEN","message_id":"m-1","data":{"hello":"a & b < c"},"time_to_live":600}`,
	strings.Repeat("[", 16) + strings.Repeat("]", 16),
	strings.Repeat("[", 17) + strings.Repeat("]", 17),
	strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64),
	strings.Repeat(`[{"a":`, 65) + "1" + strings.Repeat("}]", 65),
	strings.Repeat(`{"a":[`, 200) + strings.Repeat("]}", 200),
	strings.Repeat(`[{"a":`, 65) + "1" + strings.Repeat("}]", 64) + "]}",
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	for _, src := range scannerSeeds {
		checkAgainstEncodingJSON(t, []byte(src))
	}
}

func FuzzScanner(f *testing.F) {
	for _, src := range scannerSeeds {
		f.Add([]byte(src))
	}
	f.Fuzz(checkAgainstEncodingJSONCapped)
}

// Above 10,000 levels encoding/json gives up, and we do not.
func checkAgainstEncodingJSONCapped(t *testing.T, src []byte) {
	if bytes.Count(src, []byte("["))+bytes.Count(src, []byte("{")) < 10_000 {
		checkAgainstEncodingJSON(t, src)
	}
}

func TestScannerSkipsAnyDepthWithoutRecursion(t *testing.T) {
	const levels = 1 << 20
	src := strings.Repeat("[", levels) + strings.Repeat("]", levels)
	scan := scanner{src: []byte(src)}
	if _, err := scan.value(); err != nil {
		t.Fatal(err)
	}
	if scan.deepest != levels {
		t.Errorf("deepest = %d, want %d", scan.deepest, levels)
	}
}

func TestCompactDropsWhiteSpaceBetweenTokensOnly(t *testing.T) {
	const in = "{ \"a b\" :\t[ 1 ,\r\n \"c \\\" d\" , \"\\\\\" , 2 ] }"
	const want = `{"a b":[1,"c \" d","\\",2]}`
	if got := compact(in); got != want {
		t.Errorf("compact = %s, want %s", got, want)
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		text  string
		n     int64
		whole bool
	}{
		{"0", 0, true},
		{"-0", 0, true},
		{"0e5", 0, true},
		{"600", 600, true},
		{"600.0", 600, true},
		{"6e2", 600, true},
		{"60000E-2", 600, true},
		{"1.5", 1, false},
		{"-0.5", 0, false},
		{"1e-400", 0, false},
		{"1e400", 1<<63 - 1, true},
		{"-1e400", -1 << 63, true},
		{"99999999999999999999", 1<<63 - 1, true},
		{"007", 7, true},
	} {
		if n, whole := decimal(tt.text); n != tt.n || whole != tt.whole {
			t.Errorf("decimal(%s) = %d, %t, want %d, %t", tt.text, n, whole, tt.n, tt.whole)
		}
	}
}
