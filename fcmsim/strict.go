package fcmsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

const maxControlBody = 64 << 10

// decodeBody reads a JSON object into a struct and refuses fields that the
// struct does not have: a misspelt one would silently do nothing. No body means
// an empty object.
func decodeBody(r *http.Request, into any) error {
	text, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return &statusError{http.StatusRequestEntityTooLarge, fmt.Errorf("the body has more than %d bytes", maxControlBody)}
	case err != nil:
		return fmt.Errorf("the body could not be read: %w", err)
	case strings.TrimSpace(string(text)) == "":
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("the body is no JSON object: %w", err)
	}
	known := fieldNames(reflect.TypeOf(into).Elem())
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(known, name) {
			continue
		}
		return fmt.Errorf("there is no field %.40q: perhaps %q was meant", name, nearest(name, known))
	}
	err = json.Unmarshal(text, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		// Inside a list or an object Go names the type of the element.
		name, _, _ := strings.Cut(wrong.Field, ".")
		if i := slices.Index(known, name); i >= 0 {
			return fmt.Errorf("%s must be %s, and holds %s", name, kindName(reflect.TypeOf(into).Elem().Field(i).Type), withArticle(wrong.Value))
		}
		return fmt.Errorf("%s must be %s, not %s", wrong.Field, kindName(wrong.Type), wrong.Value)
	}
	return err
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// withArticle makes a noun of what package json calls a JSON value.
func withArticle(value string) string {
	if value == "bool" {
		return "true or false"
	}
	value, _, _ = strings.Cut(value, " ") // "number 1.5"
	if strings.HasPrefix(value, "a") || strings.HasPrefix(value, "o") {
		return "an " + value
	}
	return "a " + value
}

func kindName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of strings"
	default:
		return "an object of strings"
	}
}

// nearest is the known name that takes the fewest edits to become.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
