package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/pipeline"
)

func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	set := encodeBatch(identity{id: 4711, epoch: 3}, 7, 1_700_000_000_000, []pipeline.Record{
		{Key: []byte("k"), Value: []byte("value"), Headers: []pipeline.Header{
			{Key: "h", Value: []byte("v")},
			{Key: "n"},
		}},
		{Value: []byte{}},
	})
	// Size; base offset, length, leader epoch, magic, checksum; attributes, last delta, times; producer,
	// epoch, sequence, count; two records.
	const want = "00000058" + "0000000000000000" + "0000004c" + "ffffffff" + "02" + "8601b877" +
		"0000" + "00000001" + "0000018bcfe56800" + "0000018bcfe56800" + "0000000000001267" + "0003" +
		"00000007" + "00000002" + "26" + "000000" + "026b" + "0a76616c7565" + "04" + "02680276" + "026e01" +
		"0c" + "000002" + "01" + "00" + "00"
	if got := hex.EncodeToString(set); got != want {
		t.Errorf("encoded as\n%s, want\n%s", got, want)
	}
}

// Another implementation reads what is written here.
func TestEncodeIsReadByKafkaGo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := someRecords(t)
		set := encodeBatch(identity{id: 9, epoch: 1}, rapid.Int32Min(0).Draw(t, "sequence"), 1, records)
		if len(set) != prefixBytes+batchBytes(records) {
			t.Fatalf("%d bytes, announced %d", len(set)-prefixBytes, batchBytes(records))
		}
		var read protocol.RecordSet
		if _, err := read.ReadFrom(bytes.NewReader(set)); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			r, err := read.Records.ReadRecord()
			if err != nil {
				t.Fatal(err)
			}
			value, _ := protocol.ReadAll(r.Value)
			key, _ := protocol.ReadAll(r.Key)
			if !bytes.Equal(value, records[i].Value) || !bytes.Equal(key, records[i].Key) ||
				len(r.Headers) != len(records[i].Headers) {
				t.Fatalf("record %d came back otherwise", i)
			}
		}
		if _, err := read.Records.ReadRecord(); !errors.Is(err, io.EOF) {
			t.Fatal("there are more records")
		}
	})
}

func someRecords(t *rapid.T) []pipeline.Record {
	some := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pipeline.Record {
		r := pipeline.Record{Topic: "t", Partition: 5, Key: some.Draw(t, "key"), Value: some.Draw(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, pipeline.Header{
				Key: rapid.StringN(0, 20, 60).Draw(t, "name"), Value: some.Draw(t, "content"),
			})
		}
		return r
	}), 1, 20).Draw(t, "records")
}

// at makes a set look as the broker keeps it, at an offset.
func at(set []byte, offset int64) []byte {
	batch := slices.Clone(set[prefixBytes:])
	binary.BigEndian.PutUint64(batch, uint64(offset))
	return batch
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var log []byte
		var want []pipeline.Record
		offset := rapid.Int64Range(0, 1<<40).Draw(t, "offset")
		from := offset
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			records := someRecords(t)
			log = append(log, at(encodeBatch(nobody(), 0, 1, records), offset)...)
			for i := range records {
				records[i].Offset = offset
				offset++
			}
			want = append(want, records...)
		}
		from += rapid.Int64Range(0, offset-from-1).Draw(t, "from")
		whole := len(log)
		log = append(log, log[:rapid.IntRange(0, headerBytes).Draw(t, "cut")]...) // the beginning of one more
		chunks, err := split(log)
		if err != nil || chunks[len(chunks)-1].next != offset {
			t.Fatalf("%d chunks, error %v", len(chunks), err)
		}
		var got []pipeline.Record
		for _, k := range chunks {
			if got, err = k.decode(got, "t", 5, from); err != nil {
				t.Fatal(err)
			}
		}
		want = slices.DeleteFunc(want, func(r pipeline.Record) bool { return r.Offset < from })
		if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Fatalf("decoded\n%#v, want\n%#v", got, want)
		}
		log[rapid.IntRange(attributesAt, whole-1).Draw(t, "where")] ^= 1
		if _, err := split(log[:whole]); err == nil && len(chunks) == 1 {
			t.Fatal("a flipped bit was not seen")
		}
	})
}

func TestDecodeCompressedAndControl(t *testing.T) {
	t.Parallel()
	records := []pipeline.Record{{Value: bytes.Repeat([]byte("long "), 100)}, {Value: []byte("b")}}
	plain := encodeBatch(nobody(), 0, 1, records)
	for name, codec := range map[string]compress.Compression{
		"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var packed bytes.Buffer
			packed.Write(plain[prefixBytes : prefixBytes+headerBytes])
			w := codec.Codec().NewWriter(&packed)
			if _, err := w.Write(plain[prefixBytes+headerBytes:]); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			chunks, err := split(sealed(packed.Bytes(), uint16(codec)))
			if err != nil || len(chunks) != 1 {
				t.Fatalf("%d chunks, error %v", len(chunks), err)
			}
			got, err := chunks[0].decode(nil, "t", 0, 0)
			if err != nil || len(got) != 2 || !bytes.Equal(got[0].Value, records[0].Value) {
				t.Fatalf("decoded %d records, error %v", len(got), err)
			}
		})
	}
	chunks, err := split(sealed(slices.Clone(plain[prefixBytes:]), controlBatch))
	if err != nil || len(chunks) != 1 || chunks[0].next != 2 {
		t.Fatalf("control batch: %v, error %v", chunks, err)
	}
	if got, err := chunks[0].decode(nil, "t", 0, 0); len(got) != 0 || err != nil {
		t.Errorf("control batch: %d records, error %v", len(got), err)
	}
}

// sealed writes length, attributes and checksum into a batch.
func sealed(batch []byte, attributes uint16) []byte {
	binary.BigEndian.PutUint32(batch[lengthAt:], uint32(len(batch)-leaderAt))
	binary.BigEndian.PutUint16(batch[attributesAt:], attributes)
	binary.BigEndian.PutUint32(batch[crcAt:], checksum(batch))
	return batch
}

func FuzzDecode(f *testing.F) {
	set := encodeBatch(nobody(), 0, 1, []pipeline.Record{{
		Key: []byte("k"), Value: []byte("v"), Headers: []pipeline.Header{{Key: "h"}},
	}})
	f.Add(set[prefixBytes:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		if len(log) >= headerBytes { // let the rest of the decoder see it
			log = sealed(slices.Clone(log), binary.BigEndian.Uint16(log[attributesAt:])&controlBatch)
			log[magicAt] = 2
		}
		chunks, _ := split(log)
		for _, k := range chunks {
			records, err := k.decode(nil, "t", 0, 0)
			if err == nil && len(records) > 0 && records[len(records)-1].Offset >= k.next {
				t.Error("a record stands beyond its batch")
			}
		}
		_, _ = readFetch(log)
	})
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from int32
		n    int
		want int32
	}{
		"begin": {0, 3, 3}, "end": {1<<31 - 2, 1, 1<<31 - 1}, "over": {1<<31 - 1, 1, 0},
		"across": {1<<31 - 2, 5, 3},
	} {
		if got := advance(test.from, test.n); got != test.want {
			t.Errorf("%s: %d after %d of %d, want %d", name, got, test.n, test.from, test.want)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	records := make([]pipeline.Record, 1000)
	for i := range records {
		records[i] = pipeline.Record{Key: make([]byte, 16), Value: make([]byte, 300)}
	}
	for b.Loop() {
		encodeBatch(nobody(), 0, 1, records)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkDecode(b *testing.B) {
	records := make([]pipeline.Record, 1000)
	for i := range records {
		records[i] = pipeline.Record{Key: make([]byte, 16), Value: make([]byte, 300)}
	}
	log := at(encodeBatch(nobody(), 0, 1, records), 0)
	into := make([]pipeline.Record, 0, 1000)
	for b.Loop() {
		chunks, _ := split(log)
		into, _ = chunks[0].decode(into[:0], "t", 0, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
