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
//
//nolint:unparam // the interface has an error
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

const (
	headCertificates = "CERTIFICATES"
	headStage        = "STAGE"
	// lateAfter is from when on a stage is marked as late.
	lateAfter = tenths(100)
	lateMark  = " late"
)

// lines show everything. Columns are as wide each time: nothing jumps.
func (v watchView) lines() []string {
	const states, stages = "%-14s%14s%14s%14s", "%-14s%-20s%12s%10s%14s%s"
	lines := []string{
		fmt.Sprintf("%s   namespace %s   watched for %s s", v.Time, oneLine(v.Namespace), v.Seconds), "",
		fmt.Sprintf(states, headCertificates, "TOTAL", "SINCE", "PER SECOND"),
	}
	letters := v.DeadLetters
	letters.State = "dead letters"
	for _, s := range append(v.Certificates, letters) {
		total := ""
		if s.Total != nil {
			total = strconv.FormatInt(*s.Total, 10)
		}
		lines = append(lines, fmt.Sprintf(states, s.State, total, strconv.FormatInt(s.Since, 10), s.PerSecond))
	}
	lines = append(lines, "", fmt.Sprintf(stages, headStage, "TOPIC", "LAG", "SECONDS", "PER SECOND", ""))
	for _, s := range v.Stages {
		mark := ""
		if s.LagSeconds >= lateAfter {
			mark = lateMark
		}
		lag := strconv.FormatInt(s.LagRecords, 10)
		lines = append(lines, fmt.Sprintf(stages, s.Stage, s.Topic, lag, s.LagSeconds, s.PerSecond, mark))
	}
	return lines
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
