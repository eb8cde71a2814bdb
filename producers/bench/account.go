package bench

import (
	"context"

	"github.com/aval-systems/aval/schemas"
)

// sampleBytes bounds what of a topic's partition is looked at.
const sampleBytes = 8 << 20

// account fills in what each of count items has left in topics.
func (r *Report) account(count int64, before, after map[string][]int64) {
	r.Topics = map[string]Topic{}
	total := int64(0)
	for topic, ends := range after {
		grown := int64(0)
		for p, end := range ends {
			grown += end - before[topic][p]
		}
		total += grown
		if grown > 0 {
			r.Topics[topic] = Topic{Records: Per(grown, count)}
		}
	}
	r.Records = Per(total, count)
}

// remember fills in what each of count open items takes in Redis.
func (r *Report) remember(count int64, before, after Held) {
	if !before.Known || !after.Known {
		return
	}
	books := after.Accounts + after.PreIssues - before.Accounts - before.PreIssues
	all := after.All - before.All
	r.Redis = Memory{
		Items: count, Accounts: Per(after.Accounts-before.Accounts, count),
		PreIssues: Per(after.PreIssues-before.PreIssues, count), Register: Per(all-books, count), All: Per(all, count),
	}
	bytes := Per(books, count)
	r.RedisBytes = &bytes
}

// batches fills in how large the record batches were that the measurement left, and how large their records.
func (r *Report) batches(ctx context.Context, d Deps, from, end map[string][]int64) error {
	r.Batches = map[string]Number{}
	total := int64(0)
	for _, t := range schemas.Topics() {
		batches, records, bytes := int64(0), int64(0), int64(0)
		for p, first := range from[t.Name] {
			b, n, size, err := d.Log.Batches(ctx, t.Name, p, first, end[t.Name][p], sampleBytes)
			if err != nil {
				return err
			}
			batches, records, bytes = batches+int64(b), records+int64(n), bytes+int64(size)
		}
		if records == 0 {
			continue
		}
		r.Batches[t.Name] = Per(records, batches)
		topic := r.Topics[t.Name]
		topic.RecordBytes = Per(bytes, records)
		r.Topics[t.Name] = topic
		total += int64(topic.Records) * bytes / records
	}
	r.Bytes = Number(total)
	return nil
}
