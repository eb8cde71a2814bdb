package kafka_test

import (
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// Records of 300 bytes from Publish to the handler, through 24 partitions.
func BenchmarkThrough(b *testing.B) {
	const partitions, batch = 24, 2400
	c, err := kafka.New(b.Context(), kafka.Config{Brokers: []string{server(b)}, Namespace: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.EnsureTopics(b.Context(), []kafka.TopicSpec{{Name: "entries", Partitions: partitions}},
		1); err != nil {
		b.Fatal(err)
	}
	records := make([]pipeline.Record, batch)
	for i := range records {
		records[i] = pipeline.Record{
			Topic: "entries", Partition: i % partitions, Key: make([]byte, 16),
			Value: make([]byte, 300),
		}
	}
	var got handled
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(b.Context(), "entries")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for m := range messages {
			batch := pipeline.BatchOf(m.Context())
			got.mu.Lock()
			got.count += len(batch.Records)
			got.mu.Unlock()
			m.Ack()
		}
	}()
	begin, written := time.Now(), 0
	for b.Loop() {
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				if err := c.Publish(b.Context(), records); err != nil {
					b.Error(err)
				}
			})
		}
		writers.Wait()
		written += 4 * batch
	}
	published := time.Since(begin)
	for got.total() < written && time.Since(begin) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(written)/published.Seconds(), "published/s")
	b.ReportMetric(float64(got.total())/time.Since(begin).Seconds(), "handled/s")
}

// The time from Publish to the handler, on a quiet topic.
func BenchmarkLatency(b *testing.B) {
	c, err := kafka.New(b.Context(), kafka.Config{Brokers: []string{server(b)}, Namespace: "latency"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.EnsureTopics(b.Context(), []kafka.TopicSpec{{Name: "entries", Partitions: 4}},
		1); err != nil {
		b.Fatal(err)
	}
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(b.Context(), "entries")
	if err != nil {
		b.Fatal(err)
	}
	arrived := make(chan *message.Message)
	go func() {
		for m := range messages {
			m.Ack()
			arrived <- m
		}
	}()
	for b.Loop() {
		if err := c.Publish(b.Context(), numbered("entries", 1, 0, 1)); err != nil {
			b.Fatal(err)
		}
		<-arrived
	}
}
