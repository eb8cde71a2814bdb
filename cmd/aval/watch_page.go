package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// watchPage is the page of aval watch on a terminal.
type watchPage struct {
	watch    *watch
	interval time.Duration
	colour   bool

	ctx           context.Context //nolint:containedctx // the page's life, for looks that it asks for
	view          *watchView
	err           error
	width, height int
}

// What a page is told.
type (
	watchLooked struct {
		view watchView
		err  error
	}
	watchDue struct{}
)

// show shows the page until somebody leaves it, or ctx ends.
func (p *watchPage) show(ctx context.Context, in io.Reader, out io.Writer) error {
	p.ctx = ctx
	_, err := tea.NewProgram(p, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(),
		tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil || errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// Init implements tea.Model.
func (p *watchPage) Init() tea.Cmd { return p.look }

// look is done beside the page.
func (p *watchPage) look() tea.Msg {
	view, err := p.watch.look(p.ctx)
	return watchLooked{view, err}
}

// Update implements tea.Model.
func (p *watchPage) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.KeyMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return p, tea.Quit
		}
	case tea.WindowSizeMsg:
		p.width, p.height = m.Width, m.Height
	case watchLooked:
		if p.err = m.err; m.err == nil {
			p.view = &m.view
		}
		return p, tea.Tick(p.interval, func(time.Time) tea.Msg { return watchDue{} })
	case watchDue:
		return p, p.look
	}
	return p, nil
}

// View implements tea.Model.
func (p *watchPage) View() string {
	var text string
	switch {
	case p.view != nil:
		text = p.view.table(p.colour)
	case p.err == nil:
		text = "looking …\n"
	}
	if p.err != nil {
		text += "\n" + oneLine(p.err.Error()) + "\n"
	}
	return p.fit(text + "\nq leaves\n")
}

// fit keeps to the lines of the terminal, the last of which says how to leave; what is too wide, it cuts itself.
func (p *watchPage) fit(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if p.height > 1 && len(lines) > p.height {
		lines = append(lines[:p.height-1], lines[len(lines)-1])
	}
	return strings.Join(lines, "\n")
}
