package main

import "testing"

// TestTheTableIsAboutThisSource fails when a fault's text is not in the source any more, or stands there twice.
func TestTheTableIsAboutThisSource(t *testing.T) {
	t.Parallel()
	const least = 15
	names := map[string]bool{}
	for _, m := range table() {
		if _, err := m.apply("../.."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if names[m.name] {
			t.Errorf("%s stands twice", m.name)
		}
		names[m.name] = true
	}
	if len(names) < least {
		t.Errorf("there are %d faults, fewer than %d", len(names), least)
	}
}
