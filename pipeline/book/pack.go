package book

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Packed rows, as protocol.lua keeps them: see there. This file writes and reads tokens, keys and buckets; the script
// alone says which rows there are.

// digitsMax is how many digits to the base 4 an identifier has: of so many buckets one is its own, at most.
const digitsMax = 12

// Sizes of tokens, which are their first bytes, and the bytes that mean something in a row.
const (
	tokenSize = 16
	tokenLong = 24

	rowBegins = 0
	escape    = 1 // written before 1 and 2 in the place of 0 and 1
	textEnds  = 2 // around an identifier that is no token
)

// errPacked says that a packed row is none that the script writes.
var errPacked = errors.New("a packed row cannot be read")

// appendKey appends the key of an identifier, with the byte with which its row begins.
func appendKey(b []byte, id string) []byte {
	b = append(b, rowBegins)
	if packed, ok := appendToken(b, id); ok {
		return packed
	}
	return append(append(append(b, textEnds), id...), textEnds)
}

// appendToken appends the token of a word, if it has one.
func appendToken(b []byte, word string) ([]byte, bool) {
	size := len(word) / 2
	if size != tokenSize && size != tokenLong || len(word)%2 != 0 {
		return b, false
	}
	at := len(b)
	b = append(b, byte(size)) //nolint:gosec // tokenSize or tokenLong
	for i := 0; i < len(word); i += 2 {
		high, low := digit(word[i]), digit(word[i+1])
		if high > 15 || low > 15 {
			return b[:at], false
		}
		if c := high<<4 | low; c > escape {
			b = append(b, c)
		} else {
			b = append(b, escape, c+1)
		}
	}
	return b, true
}

// readToken returns what a token at the beginning of a packed text stands for, and how long it is there: zero if it is
// none.
func readToken(packed string) (bytes []byte, length int) {
	if !isToken(packed) {
		return nil, 0
	}
	bytes = make([]byte, 0, tokenLong)
	at := 1
	for range packed[0] {
		if at < len(packed) && packed[at] == escape {
			at++
			if at < len(packed) {
				bytes = append(bytes, packed[at]-1)
			}
		} else if at < len(packed) {
			bytes = append(bytes, packed[at])
		}
		at++
	}
	if at > len(packed) {
		return nil, 0
	}
	return bytes, at
}

// digit is the value of a hexadecimal digit, or more than 15.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// appendTokens appends a value, its words as tokens where they have one.
func appendTokens(b []byte, value string) []byte {
	for i := 0; ; i++ {
		word, rest, more := strings.Cut(value, " ")
		if i > 0 {
			b = append(b, ' ')
		}
		packed, ok := appendToken(b, word)
		if b = packed; !ok {
			b = append(b, word...)
		}
		if !more {
			return b
		}
		value = rest
	}
}

// plainValue is a value without tokens. What appendTokens would write otherwise is an error: comparisons in the
// script rest on there being one form.
func plainValue(packed string) (string, error) {
	b := make([]byte, 0, 2*len(packed))
	for rest := packed; ; {
		bytes, size := readToken(rest)
		if size > 0 {
			b = hex.AppendEncode(b, bytes)
		} else if size = strings.IndexByte(rest, ' '); size >= 0 {
			b = append(b, rest[:size]...)
		} else {
			b, size = append(b, rest...), len(rest)
		}
		if rest = rest[size:]; rest == "" {
			break
		}
		if rest[0] != ' ' {
			return "", errPacked
		}
		b, rest = append(b, ' '), rest[1:]
	}
	if string(appendTokens(nil, string(b))) != packed {
		return "", fmt.Errorf("%w: a value has two forms", errPacked)
	}
	return string(b), nil
}

// isToken says whether a packed text begins with a token.
func isToken(packed string) bool {
	return packed != "" && (packed[0] == tokenSize || packed[0] == tokenLong)
}

// seedOf makes buckets' names nobody's choice but the history's.
func seedOf(history string) uint64 { return fnv(offset64, history) }

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

// fnv is FNV-1a, continued.
func fnv(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime64
	}
	return h
}

// appendDigits appends the digits of an identifier, which name its bucket.
func appendDigits(b []byte, seed uint64, id string) []byte {
	h := fnv(seed, id)
	h = (h ^ h>>33) * 0xff51afd7ed558ccd // as Murmur3 ends: FNV's upper bits are not even
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	for range digitsMax {
		b = append(b, '0'+byte(h&3))
		h >>= 2
	}
	return b
}

// packedRow is a row of a bucket.
type packedRow struct {
	table int // from 0
	field string
	value string
	whole string // as it stands in the bucket
}

// bucketHead is the size of a bucket's era.
const bucketHead = 4

// readBucket returns the rows of a bucket that count in the era, and how many there are of all.
func (s *Store) readBucket(bucket string, era uint32) (rows []packedRow, all int, err error) {
	if len(bucket) <= bucketHead {
		return nil, 0, errPacked
	}
	written := uint32(bucket[0])<<24 | uint32(bucket[1])<<16 | uint32(bucket[2])<<8 | uint32(bucket[3])
	for rest := bucket[bucketHead:]; rest != ""; all++ {
		r, err := readRow(rest)
		if err != nil || r.table >= len(s.packed) {
			return nil, 0, errPacked
		}
		rest = rest[len(r.whole):]
		if s.counts(r.table, written, era) {
			rows = append(rows, r)
		}
	}
	return rows, all, nil
}

// counts says whether rows of a table count that were written in an era: of the half that became the current one
// since then they do not.
func (s *Store) counts(table int, written, era uint32) bool {
	half, rotates := s.half(table)
	return !rotates || written == era || written+1 == era && half != era%2
}

// half is which half of a rotating table a packed table is.
func (s *Store) half(table int) (half uint32, rotates bool) {
	at := table - 2 - len(s.book.Tables().Packed)
	if table < 2 {
		at = table
	}
	return uint32(at) % 2, table < 2 || at >= 0 //nolint:gosec // few
}

// readRow reads the row with which a part of a bucket begins.
func readRow(b string) (packedRow, error) {
	end := strings.IndexByte(b[1:], rowBegins) + 1
	if end == 0 {
		end = len(b)
	}
	r := packedRow{whole: b[:end]}
	body := b[1:end]
	bytes, size := readToken(body)
	switch {
	case b[0] != rowBegins:
		return r, errPacked
	case size > 0:
		r.field = hex.EncodeToString(bytes)
	case body != "" && body[0] == textEnds:
		size = strings.IndexByte(body[1:], textEnds) + 2
		r.field = body[1:max(1, size-1)]
	}
	if r.field == "" || size >= len(body) || body[size] == 0 {
		return r, errPacked
	}
	r.table, r.value = int(body[size])-1, body[size+1:]
	return r, nil
}
