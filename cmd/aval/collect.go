package main

import (
	"os"
	"runtime/debug"
)

// What the garbage collector of a process that runs stages goes by, unless GOGC or GOMEMLIMIT say otherwise: nearly
// all of its memory lives for one batch, so that collecting seldom costs little memory and saves a tenth of its work.
// Near the limit it collects as often as it must.
const (
	collectPercent = 400
	collectLimit   = 768 << 20 // bytes
)

// collectSeldom sets it.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(collectLimit)
	}
}
