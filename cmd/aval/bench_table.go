package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/aval-systems/aval/producers/bench"
)

// printReport prints what a bench found.
func printReport(w io.Writer, format output, r bench.Report) error {
	if format.String() != string(outputTable) {
		return reportJSON(w, format, r)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range benchRows(r) {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", row.name, row.figure, row.remark) // Flush says what went wrong
	}
	return table.Flush()
}

// benchRow is a figure for people.
type benchRow struct{ name, figure, remark string }

func benchRows(r bench.Report) []benchRow {
	rows := []benchRow{
		{"kind", r.Kind, "offered " + r.Offered},
		{"measured", r.Seconds.Short() + " s", "after " + r.Warmed.Short() + " s of warming up"},
		{"count", strconv.FormatInt(r.Count, 10), fmt.Sprintf("lost %d, refused %d, twice %d, undone %d",
			r.Lost, r.Refused, r.Twice, r.Undone)},
		{"rate", r.Rate.Short() + "/s", ""},
		{"processor", cpuText(r.CPU) + " µs each", "machine busy " + short(r.Busy) + " %"},
		{"resident", short(r.RSS) + " MiB", "client " + short(r.ClientRSS) + " MiB"},
	}
	if r.Records > 0 {
		rows = append(rows, flowRows(r)...)
	}
	if r.RedisBytes != nil {
		rows = append(rows, benchRow{"redis", short(r.RedisBytes) + " bytes an open one", fmt.Sprintf(
			"accounts %s, pre-issues %s, register %s; of %d", r.Redis.Accounts.Short(), r.Redis.PreIssues.Short(),
			r.Redis.Register.Short(), r.Redis.Items)})
	}
	if o := r.Overload; o != nil {
		rows = append(rows, benchRow{"twice the load", o.Rate.Short() + "/s", fmt.Sprintf(
			"of %s/s offered; waiting %d at the end, lost %d, resident %s MiB", o.Wanted.Short(), o.Waiting, o.Lost,
			short(o.RSS))})
	}
	if r.Idle != nil {
		rows = append(rows, benchRow{"at rest", r.Idle.Short() + " % of a core", ""})
	}
	return append(rows, benchRow{
		"machine", fmt.Sprintf("%d cores, %d partitions", r.Machine.Cores, r.Partitions),
		strings.Join([]string{r.Machine.Model, r.Machine.System, versionsText(r.Versions)}, ", "),
	})
}

// flowRows are what goes through topics.
func flowRows(r bench.Report) []benchRow {
	rows := []benchRow{
		{
			"latency", fmt.Sprintf("p50 %s ms, p99 %s ms, p99.9 %s ms", r.Latency.P50.Short(), r.Latency.P99.Short(),
				r.Latency.P999.Short()), "at " + r.LatencyRate.Short() + "/s, longest " + r.Latency.Max.Short() + " ms",
		},
		{"records", r.Records.Short() + " each", r.Bytes.Short() + " bytes"},
	}
	for _, topic := range slices.Sorted(maps.Keys(r.Topics)) {
		t := r.Topics[topic]
		rows = append(rows, benchRow{
			"  " + topic, t.Records.Short() + " each", t.RecordBytes.Short() + " bytes a record, batches of " +
				r.Batches[topic].Short(),
		})
	}
	return append(rows,
		benchRow{"floor: kafka copy", short(r.Floors.Copy) + "/s", "as many records of the same size"},
		benchRow{
			"floor: bare script", short(r.Floors.Script) + "/s",
			"without remembering identifiers " + short(r.Floors.Forgetful) + "/s",
		})
}

func cpuText(c bench.CPU) string {
	return fmt.Sprintf("aval %s, kafka %s, redis %s, client %s", short(c.Aval), short(c.Kafka), short(c.Redis),
		short(c.Client))
}

func versionsText(versions map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, name+" "+versions[name])
	}
	return strings.Join(parts, ", ")
}

// short is a figure, or a dash where nobody knows it.
func short(n *bench.Number) string {
	if n == nil {
		return "-"
	}
	return n.Short()
}
