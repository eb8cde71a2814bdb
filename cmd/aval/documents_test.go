package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aval-systems/aval/pipeline/telemetry"
	"github.com/aval-systems/aval/schemas"
)

// The document shows the registry as it is.
func TestArchitectureShowsTheTopics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), schemas.TopicsTable()) {
		t.Errorf("ARCHITECTURE.md does not show the topics as they are; they are\n%s", schemas.TopicsTable())
	}
}

// The document shows what a process refuses to start on.
func TestArchitectureShowsTheChecks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), rulesTable()) {
		t.Errorf("ARCHITECTURE.md does not show the checks as they are; they are\n%s", rulesTable())
	}
}

// The document shows the metrics as they are.
func TestArchitectureShowsTheMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), telemetry.Table()) {
		t.Errorf("ARCHITECTURE.md does not show the metrics as they are; they are\n%s", telemetry.Table())
	}
}

// The document shows the settings and the exit codes as they are.
func TestArchitectureShowsTheSettings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), settingsMarkdown()) {
		t.Errorf("ARCHITECTURE.md does not show the settings as they are; they are\n%s", settingsMarkdown())
	}
	for line := range strings.Lines(exitHelp) {
		code, means, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if row := "| " + code + " | " + means + " |\n"; ok && !strings.Contains(string(text), row) {
			t.Errorf("ARCHITECTURE.md does not show the exit codes as they are: it lacks %s", row)
		}
	}
}

// settingsMarkdown is the table of settings, as the document shows it.
func settingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| setting | variable | default | is |\n|---|---|---|---|\n")
	for _, s := range settingsTable() {
		def, help := s.explained()
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.name, s.variable(), def, help)
	}
	return b.String()
}

// Every stage that the registry names as a reader or an owner is one that can be run.
func TestRegistryKnowsTheStages(t *testing.T) {
	t.Parallel()
	others := map[string]bool{
		"producers": true, "operators": true, "integrators": true, "recipients": true,
		"every stage": true,
	}
	for _, name := range stageNames() {
		others[name] = true
	}
	for _, topic := range schemas.Topics() {
		for _, name := range append(strings.Split(topic.Owner, ", "), topic.Readers...) {
			if !others[name] {
				t.Errorf("topic %s names %q, which is no stage", topic.Name, name)
			}
		}
	}
}
