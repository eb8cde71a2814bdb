//go:build !integration

package localtest

import "testing"

func realServers(testing.TB) []Pair { return nil }
