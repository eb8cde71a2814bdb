package book

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Digest stands for texts in a book, which compares them and does not show them: 32 hexadecimal digits, the first
// 16 bytes of SHA-256 over each text's length, a colon and the text.
func Digest(texts ...string) string {
	var b []byte
	for _, text := range texts {
		b = strconv.AppendInt(b, int64(len(text)), 10)
		b = append(b, ':')
		b = append(b, text...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:schemas.DigestSize])
}

// Millis is a time as the script has it.
func Millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// TickFields are the script's fields of a tick.
func TickFields(in pipeline.In, tick *schemas.Tick) []string {
	retention := tick.GetRetention().AsDuration().Milliseconds()
	return []string{Tick, in.ID, Millis(in.Time), "", strconv.FormatInt(retention, 10)}
}
