package kafka

import (
	"context"
	"encoding/binary"
)

// Batches counts the record batches that a partition has from an offset up to before another, their records and
// their bytes, without reading them; after that many bytes it looks no further.
func (c *Client) Batches(
	ctx context.Context, topic string, partition int, from, end int64, most int,
) (batches, records, bytes int, err error) {
	for from < end && bytes < most {
		chunks, err := c.expect(ctx, topic, partition, from, end)
		if err != nil {
			return batches, records, bytes, err
		}
		for _, k := range chunks {
			if k.next > end {
				return batches, records, bytes, nil
			}
			batches++
			records += int(binary.BigEndian.Uint32(k.raw[countAt:]))
			bytes += len(k.raw)
			from = k.next
		}
	}
	return batches, records, bytes, nil
}
