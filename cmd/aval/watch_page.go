package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// What a terminal is told. The page stands on the terminal's other screen, so that what was there is there again in
// the end.
const (
	ansiEnter   = "\x1b[?1049h\x1b[?25l" // to the other screen, without a cursor
	ansiLeave   = "\x1b[?25h\x1b[?1049l"
	ansiHome    = "\x1b[H"
	ansiEndLine = "\x1b[K\r\n"
	ansiEndPage = "\x1b[J"
	ansiBold    = "\x1b[1m"
	ansiRed     = "\x1b[31m"
	ansiPlain   = "\x1b[0m"
)

// watchPage is the page of aval watch on a terminal. It asks the terminal nothing and reads no keys: an interrupt
// ends it, as it does every command.
type watchPage struct {
	look     func(context.Context) (watchView, error)
	interval time.Duration
	colour   bool
	size     func() (width, height int) // below one where it is not known
}

// show shows the page until ctx ends.
func (p *watchPage) show(ctx context.Context, out io.Writer) error {
	if _, err := io.WriteString(out, ansiEnter); err != nil {
		return err
	}
	defer io.WriteString(out, ansiLeave) //nolint:errcheck // the terminal is gone
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	var page []string
	for {
		view, err := p.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			page = view.lines()
		}
		if _, err := out.Write(p.draw(page, err)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// draw makes a page of the lines, or of as many as there is room for, and of what is wrong.
func (p *watchPage) draw(lines []string, fault error) []byte {
	last := []string{"", "an interrupt (Ctrl-C) ends this"}
	if fault != nil {
		last = []string{"", "this is how it was: " + oneLine(fault.Error())}
	}
	width, height := p.size()
	if height > len(last) {
		lines = lines[:min(len(lines), height-len(last))]
	}
	var b bytes.Buffer
	b.WriteString(ansiHome)
	for i, line := range append(slices.Clip(lines), last...) {
		if i > 0 {
			b.WriteString(ansiEndLine)
		}
		b.WriteString(p.paint(cut(line, width), i == 0 || fault != nil && i > len(lines)))
	}
	b.WriteString(ansiEndPage)
	return b.Bytes()
}

// paint makes headings bold, and red what is far behind or wrong.
func (p *watchPage) paint(line string, loud bool) string {
	switch {
	case !p.colour || line == "":
		return line
	case loud, strings.HasPrefix(line, headCertificates), strings.HasPrefix(line, headStage):
		return ansiBold + line + ansiPlain
	case strings.HasSuffix(line, lateMark):
		return ansiRed + line + ansiPlain
	}
	return line
}

// cut cuts a line to what the terminal has room for.
func cut(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width])
	}
	return line
}

// terminalSize is the size of the terminal, where it is one.
func terminalSize(w io.Writer) (width, height int) {
	file, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}
