// Program mutants breaks aval on purpose, in one line at a time, and says who notices: the simulator or another test.
// A fault that nobody notices fails it.
//
//	go run ./deploy/mutants [-count 4] [-seed 1] [-rounds 400] [-first] [NAME...]
//
// The work tree is not touched: the compiler is handed the changed file in place of the true one.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options say which faults are tried, and how thoroughly.
type options struct {
	count  int    // of faults, chosen by the seed; 0: all
	seed   uint64 // of the choice, and the simulator's first
	rounds int    // seeds of the simulator, at most, for each fault
	first  bool   // who notices first is enough
	names  []string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.IntVar(&o.count, "count", 0, "how many faults to try, chosen by the seed; 0: all")
	flags.Uint64Var(&o.seed, "seed", 0, "the simulator's first seed, and the choice of faults; 0: a fresh one")
	flags.IntVar(&o.rounds, "rounds", 400, "how many seeds the simulator may try for each fault")
	flags.BoolVar(&o.first, "first", false, "do not ask the other tests where the simulator has noticed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.names = flags.Args()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	chosen, err := choose(table(), o)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d faults, seed %d\n\n| fault | the simulator | other tests |\n|---|---|---|\n",
		len(chosen), o.seed)
	var missed []string
	for _, m := range chosen {
		found, err := try(ctx, m, o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %s |\n", m.name, found.simulator, found.tests)
		if !found.caught {
			missed = append(missed, m.name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("nobody notices: %s", strings.Join(missed, "; "))
	}
	_, _ = fmt.Fprintf(out, "\nEach of %d was noticed.\n", len(chosen))
	return nil
}

// choose returns the faults that are named, or as many as there is time for.
func choose(all []mutant, o options) ([]mutant, error) {
	if len(o.names) > 0 {
		var chosen []mutant
		for _, name := range o.names {
			i := slices.IndexFunc(all, func(m mutant) bool { return m.name == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no fault %q", name)
			}
			chosen = append(chosen, all[i])
		}
		return chosen, nil
	}
	if o.count > 0 && o.count < len(all) {
		random := rand.New(rand.NewPCG(o.seed, 0))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:o.count]
	}
	return all, nil
}

// apply returns the file with the fault. A text that is not there, or more than once, says that the table is not
// about this source any more.
func (m mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file)) //nolint:gosec // the table names it
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has the text %d times, must have it once: write the fault anew, in table.go:\n%s",
			m.file, n, m.old)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// finding is who noticed a fault.
type finding struct {
	caught           bool
	simulator, tests string
}

// try builds with the fault, and asks the simulator and the tests.
func try(ctx context.Context, m mutant, o options) (f finding, err error) {
	root, err := os.Getwd()
	if err != nil {
		return f, err
	}
	text, err := m.apply(root)
	if err != nil {
		return f, err
	}
	scratch, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	changed := filepath.Join(scratch, filepath.Base(m.file))
	overlay := filepath.Join(scratch, "overlay.json")
	files, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): changed}})
	if err == nil {
		err = errors.Join(os.WriteFile(changed, text, 0o600), os.WriteFile(overlay, files, 0o600))
	}
	if err != nil {
		return f, err
	}
	f.simulator, f.tests = "–", "–"
	if !m.unseen {
		if f.simulator, err = simulate(ctx, overlay, o); err != nil {
			return f, err
		}
	}
	f.caught = f.simulator != "–"
	if f.caught && o.first {
		f.tests = ""
		return f, nil
	}
	f.tests, err = test(ctx, overlay, m.tests)
	f.caught = f.caught || f.tests != "–"
	return f, err
}

// seeds finds the number of the seed that failed.
func seeds() *regexp.Regexp { return regexp.MustCompile(`seed (\d+): (.*)`) }

// simulate lets the simulator look for a fault, and says what it found at which seed.
func simulate(ctx context.Context, overlay string, o options) (string, error) {
	output, failed, err := goTest(ctx, overlay, []string{"./consumers/simulation"},
		"-run", "TestNothingIsLostWhateverFails", "-seed", strconv.FormatUint(o.seed, 10),
		"-rounds", strconv.Itoa(o.rounds),
		"-shrink=false")
	if err != nil || !failed {
		return "–", err
	}
	match := seeds().FindStringSubmatch(output)
	if match == nil {
		return "", fmt.Errorf("the simulator does not run:\n%s", output)
	}
	seed, err := strconv.ParseUint(match[1], 10, 64)
	return fmt.Sprintf("after %d seeds: %s", seed-o.seed+1, cell(match[2])), err
}

// cell is a text for a table: no longer than a line.
func cell(text string) string {
	const most = 100
	text = strings.ReplaceAll(strings.TrimSpace(text), "|", "/")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// test says which tests of the packages fail.
func test(ctx context.Context, overlay string, packages []string) (string, error) {
	if len(packages) == 0 {
		return "–", nil
	}
	output, failed, err := goTest(ctx, overlay, packages, "-short")
	if err != nil || !failed {
		return "–", err
	}
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^--- FAIL: (\w+)`).FindAllStringSubmatch(output, -1) {
		names = append(names, match[1])
	}
	switch {
	case strings.Contains(output, "[build failed]"):
		return "", fmt.Errorf("the fault does not compile:\n%s", output)
	case len(names) == 0:
		names = append(names, "a test that does not end or panics")
	}
	const most = 3
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d others", len(names)-most))
	}
	return strings.Join(names, ", "), nil
}

// goTest runs tests on the source with the fault, and says whether one fails.
func goTest(ctx context.Context, overlay string, packages []string, flags ...string) (string, bool, error) {
	args := append([]string{"test", "-count=1", "-timeout=4m", "-vet=off", "-overlay", overlay}, packages...)
	command := exec.CommandContext(ctx, "go", append(args, flags...)...) //nolint:gosec // the table names them
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return string(output), true, nil
	}
	return string(output), false, err
}
