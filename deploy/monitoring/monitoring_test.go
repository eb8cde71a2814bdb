// Package monitoring_test checks what is shipped for Prometheus and Grafana against the metrics that there are.
package monitoring_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/aval-systems/aval/pipeline/telemetry"
)

// dashboard is what is looked at of a dashboard.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// alerts are what is looked at of a file of rules.
type alerts struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

func read(t *testing.T, name string, parse func([]byte) error) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = parse(text)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Every expression asks for a metric that there is, by labels that it has.
func TestExpressions(t *testing.T) {
	t.Parallel()
	var d dashboard
	read(t, "dashboard.json", func(text []byte) error { return json.Unmarshal(text, &d) })
	var a alerts
	read(t, "alerts.yaml", func(text []byte) error { return yaml.Unmarshal(text, &a) })
	asked := map[string]bool{}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			check(t, panel.Title, target.Expr, asked)
		}
	}
	rules := 0
	for _, group := range a.Groups {
		for _, rule := range group.Rules {
			rules++
			check(t, rule.Alert, rule.Expr, asked)
			if rule.Annotations["summary"] == "" || rule.Annotations["action"] == "" {
				t.Errorf("%s does not say what is so and what to do", rule.Alert)
			}
		}
	}
	if len(d.Panels) < 10 || rules < 5 {
		t.Errorf("%d panels and %d rules were found", len(d.Panels), rules)
	}
	for _, m := range telemetry.Metrics() {
		// Those are parts of others, or for a closer look than a dashboard's.
		closer := []string{
			"aval_read_bytes_total", "aval_batch_records", "aval_batch_seconds", "aval_written_bytes_total",
			"aval_request_partitions", "aval_decisions_total", "aval_outages_total", "aval_outage_partitions",
		}
		if !asked[m.Name] && !slices.Contains(closer, m.Name) {
			t.Errorf("nobody looks at %s", m.Name)
		}
	}
}

// check looks at the metrics of an expression, and at the labels that it groups by.
func check(t *testing.T, what, expr string, asked map[string]bool) {
	t.Helper()
	var labels []string
	named := regexp.MustCompile(`aval_\w+`).FindAllString(expr, -1)
	for _, name := range named {
		i := slices.IndexFunc(telemetry.Metrics(), func(m telemetry.Metric) bool {
			return name == m.Name || m.Kind == telemetry.Histogram &&
				(name == m.Name+"_bucket" || name == m.Name+"_sum" || name == m.Name+"_count")
		})
		if i < 0 {
			t.Errorf("%s asks for %s, which there is not", what, name)
			continue
		}
		m := telemetry.Metrics()[i]
		asked[m.Name] = true
		labels = append(labels, m.Labels...)
	}
	for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			label = strings.TrimSpace(label)
			if label != "le" && label != "instance" && !slices.Contains(labels, label) {
				t.Errorf("%s groups by %s, which %v does not have", what, label, named)
			}
		}
	}
}
