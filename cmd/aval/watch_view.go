package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/schemas"
)

// watchView is what one look shows.
type watchView struct {
	Time         string       `json:"time"`
	Namespace    string       `json:"namespace"`
	Seconds      tenths       `json:"seconds"` // since it began to watch
	Certificates []watchState `json:"certificates"`
	Stages       []watchStage `json:"stages"`
	DeadLetters  watchState   `json:"dead_letters"`
}

// watchState is how many are in a state, or came to it.
type watchState struct {
	State     string `json:"state,omitempty"`
	Total     *int64 `json:"total,omitempty"` // absent where only those since it began are counted
	Since     int64  `json:"since"`
	PerSecond tenths `json:"per_second"`
}

// watchStage is how far a stage has come with a topic.
type watchStage struct {
	Stage      string `json:"stage"`
	Topic      string `json:"topic"`
	LagRecords int64  `json:"lag_records"`
	LagSeconds tenths `json:"lag_seconds"`
	PerSecond  tenths `json:"per_second"`
}

// tenths is a number with one digit after the point.
type tenths int64

func (t tenths) String() string {
	text := strconv.FormatInt(int64(t)/10, 10) + "." + strconv.FormatInt(max(int64(t), -int64(t))%10, 10)
	if t < 0 && t > -10 {
		text = "-" + text
	}
	return text
}

// MarshalJSON implements json.Marshaler.
func (t tenths) MarshalJSON() ([]byte, error) { return []byte(t.String()), nil }

// rate is how many that were for a second.
func rate(count int64, took time.Duration) tenths {
	ms := took.Milliseconds()
	if ms <= 0 {
		return 0
	}
	return tenths(count * 10_000 / ms)
}

func secondsOf(d time.Duration) tenths { return tenths(max(d, 0) / (100 * time.Millisecond)) }

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		total += max(n, 0)
	}
	return total
}

// view compares a sample with the last one and with the first.
func (w *watch) view(now, last *watchSample) watchView {
	took := now.at.Sub(last.at)
	state := func(name string, of func(*watchSample) int64, total bool) watchState {
		n := of(now)
		s := watchState{State: name, Since: n - of(w.first), PerSecond: rate(n-of(last), took)}
		if total {
			s.Total = &n
		}
		return s
	}
	end := func(topic string) func(*watchSample) int64 {
		return func(s *watchSample) int64 { return sum(s.ends[topic]) }
	}
	closed := func(state register.State) func(*watchSample) int64 {
		return func(s *watchSample) int64 { return s.closed[state] }
	}
	v := watchView{
		Time: now.at.UTC().Format(time.RFC3339), Namespace: w.system.namespace,
		Seconds: secondsOf(now.at.Sub(w.first.at)),
		Certificates: []watchState{
			state("invited", end(schemas.TopicInvitations), true),
			state("open", func(s *watchSample) int64 { return s.open }, true),
			state("issued", end(schemas.TopicCertificates), true),
			state("held", func(s *watchSample) int64 { return s.held }, true),
			state("closed", end(schemas.TopicRefusals), true),
			state("refused", closed(register.StateRefused), false),
			state("declined", closed(register.StateDeclined), false),
			state("withdrawn", closed(register.StateWithdrawn), false),
			state("lapsed", closed(register.StateLapsed), false),
		},
		DeadLetters: state("", end(schemas.TopicDeadLetters), true),
	}
	for _, work := range w.works {
		v.Stages = append(v.Stages, stageView(work, now, last))
	}
	return v
}

func stageView(work watchWork, now, last *watchSample) watchStage {
	v := watchStage{
		Stage: work.stage, Topic: work.topic,
		LagRecords: max(sum(now.ends[work.topic])-sum(now.done[work]), 0),
		PerSecond:  rate(sum(now.done[work])-sum(last.done[work]), now.at.Sub(last.at)),
	}
	if oldest := now.oldest[work]; !oldest.IsZero() {
		v.LagSeconds = secondsOf(now.at.Sub(oldest))
	}
	return v
}

// Colours of a terminal.
const (
	ansiBold  = "\x1b[1m"
	ansiRed   = "\x1b[31m"
	ansiPlain = "\x1b[0m"
)

// lagRed is from when on a stage's lag is shown in red.
const lagRed = tenths(100)

// table shows everything.
func (v watchView) table(colour bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   namespace %s   watched for %s s\n\n", v.Time, oneLine(v.Namespace), v.Seconds)
	const states, stages = "%-14s%14s%14s%14s\n", "%-14s%-20s%12s%10s%14s\n" // the same each time: nothing jumps
	fmt.Fprintf(&b, states, "CERTIFICATES", "TOTAL", "SINCE", "PER SECOND")
	for _, s := range append(v.Certificates, watchState{
		State: "dead letters", Total: v.DeadLetters.Total, Since: v.DeadLetters.Since, PerSecond: v.DeadLetters.PerSecond,
	}) {
		total := ""
		if s.Total != nil {
			total = strconv.FormatInt(*s.Total, 10)
		}
		fmt.Fprintf(&b, states, s.State, total, strconv.FormatInt(s.Since, 10), s.PerSecond)
	}
	b.WriteByte('\n')
	fmt.Fprintf(&b, stages, "STAGE", "TOPIC", "LAG", "SECONDS", "PER SECOND")
	for _, s := range v.Stages {
		fmt.Fprintf(&b, stages, s.Stage, s.Topic, strconv.FormatInt(s.LagRecords, 10), s.LagSeconds, s.PerSecond)
	}
	if !colour {
		return b.String()
	}
	return v.coloured(b.String())
}

// coloured makes headings bold, and red what is far behind: line by line, so that no column moves.
func (v watchView) coloured(text string) string {
	lines := strings.Split(text, "\n")
	late := map[string]bool{}
	for _, s := range v.Stages {
		late[s.Stage+" "+s.Topic] = s.LagSeconds >= lagRed
	}
	for i, line := range lines {
		fields := strings.Fields(line)
		switch {
		case i == 0, len(fields) > 0 && (fields[0] == "CERTIFICATES" || fields[0] == "STAGE"):
			lines[i] = ansiBold + line + ansiPlain
		case len(fields) > 1 && late[fields[0]+" "+fields[1]]:
			lines[i] = ansiRed + line + ansiPlain
		}
	}
	return strings.Join(lines, "\n")
}

// line shows what matters most.
func (v watchView) line() string {
	var b strings.Builder
	b.WriteString(v.Time)
	for _, s := range v.Certificates {
		if s.Total != nil {
			fmt.Fprintf(&b, " %s=%d", s.State, *s.Total)
		} else {
			fmt.Fprintf(&b, " %s=+%d", s.State, s.Since)
		}
	}
	worst := watchStage{Stage: "none", Topic: "none"}
	lag := int64(0)
	for _, s := range v.Stages {
		lag += s.LagRecords
		if s.LagSeconds > worst.LagSeconds {
			worst = s
		}
	}
	fmt.Fprintf(&b, " issued_per_second=%s lag=%d lag_seconds=%s slowest=%s/%s dead_letters=%d",
		v.perSecond("issued"), lag, worst.LagSeconds, worst.Stage, worst.Topic, *v.DeadLetters.Total)
	return b.String()
}

func (v watchView) perSecond(state string) tenths {
	for _, s := range v.Certificates {
		if s.State == state {
			return s.PerSecond
		}
	}
	return 0
}
