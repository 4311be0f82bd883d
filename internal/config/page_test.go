package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"penstock/internal/config"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

const (
	page   = "../../docs/configuration.md"
	begins = "<!-- The tables below are made by: go test ./internal/config -run Page -update -->\n"
)

// tables are the settings as the page shows them.
func tables() string {
	var b strings.Builder
	b.WriteString(begins)
	table := func(title, doc, prefix string) {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| key | default | |\n|---|---|---|\n", title, doc)
		for _, s := range config.Settings() {
			key, ok := strings.CutPrefix(s.Path, prefix)
			if !ok || s.Section || strings.ContainsAny(key, ".[") {
				continue
			}
			def := "`" + s.Default + "`"
			if s.Default == "" {
				def = ""
			}
			text := s.Doc
			if s.Words != nil {
				text = "`" + strings.Join(s.Words, "`, `") + "`. " + text
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, def, text)
		}
	}
	table("The file itself", "At the margin of the file.", "")
	for _, s := range config.Settings() {
		if s.Section && s.Path != "projects[].transport" {
			dots := s.Path
			if strings.HasPrefix(dots, "projects") && (dots == "projects" || strings.HasSuffix(dots, "keys")) {
				dots += "[]"
			}
			table("`"+dots+"`", s.Doc+" In the environment: `"+s.Variable+map[bool]string{true: "_<NAME>", false: ""}[strings.HasSuffix(dots, "[]")]+"_…`.", dots+".")
		}
	}
	return b.String()
}

func TestPageTellsEverySetting(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, old, ok := strings.Cut(string(text), begins)
	if !ok {
		t.Fatalf("%s has no line %q", page, begins)
	}
	if begins+old == tables() {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./internal/config -run Page -update", page)
	}
	if err := os.WriteFile(page, []byte(head+tables()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingHasASentence(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range config.Settings() {
		if !strings.HasSuffix(s.Doc, ".") || strings.Contains(s.Doc, "|") {
			t.Errorf("%s: %q is no sentence for a table", s.Path, s.Doc)
		}
		if seen[s.Variable] {
			t.Errorf("two settings are %s in the environment", s.Variable)
		}
		seen[s.Variable] = true
	}
	if !seen["PENSTOCK_PROJECTS_<NAME>_KEYS_<NAME>_SECRET_FILE"] || !seen["PENSTOCK_LIMITS_HTTP_HEADER_BYTES"] || !seen["PENSTOCK_CCS_TLS_CERT_FILE"] {
		t.Errorf("variables are not what the pages say: %v", seen)
	}
}

func TestExampleIsAConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../examples/penstock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := write(t, "")
	p.put("penstock.yaml", strings.NewReplacer("/run/secrets/shop-key", "key", "/run/secrets/shop-sa.json", "sa.json", "/var/lib/penstock", "data").Replace(string(text)), 0o644)
	c, err := config.Load(config.Sources{File: p.file, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Projects) != 1 || c.Projects[0].Name != "shop" {
		t.Errorf("got %v", c.Projects)
	}
}
