// Package book runs a stage with state: it decides commands, and writes its journal and nothing else.
//
//	reads   the book's command topic, in order, each shard by one owner
//	effect  decides each shard's batch in one call of the book's script, on the shard's keys in Redis
//	emits   one entry for each answer to the book's journal, which is the authority: Redis is its view
//
// The rules that make this safe, whoever crashes, sleeps, or loses what it held, stand in ARCHITECTURE.md under
// "The protocol of a book"; the code names them by number.
package book

import (
	_ "embed"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Book is what makes a book: where it stands in the flow, its script, and how commands and answers are written.
type Book interface {
	Topics
	Script
	Codec
}

// Topics say where the book stands in the flow.
type Topics interface {
	Name() string     // of the book, and of its keys in Redis
	Commands() string // the command topic
	Journal() string  // the journal topic
}

// Script is the book's part of the script.
type Script interface {
	// Lua defines the local table `book`: plain, packed and rotating, as Tables has them, and decide(c, s).
	// See protocol.lua for what it may use.
	Lua() string
	// Fields are those of a command behind the first four, which every book's commands have: verb, id, own time in
	// ms, content digest.
	Fields() []Field
	// Tables names the script's tables.
	Tables() Tables
}

// Tables names a book's tables.
type Tables struct {
	Plain    []string // few rows, which many commands read and write
	Packed   []string // rows under identifiers, as many as there may be
	Rotating []string // the same, forgotten by halves: a table T is T0 and T1
}

// Codec reads commands and writes answers. It is pure.
type Codec interface {
	// Plan makes the script's fields of a command. An error says that nobody can read it.
	Plan(in pipeline.In) ([]string, error)
	// Item is the journal's record of a command and what was decided on it.
	Item(in pipeline.In, d *schemas.Decision) proto.Message
	// Unreadable is the journal's record of a command that nobody can read.
	Unreadable(u *schemas.Unreadable, d *schemas.Decision) proto.Message
}

// Verbs that the protocol knows itself.
const (
	// Unreadable is the verb of a command that Plan could not read.
	Unreadable = "unreadable"
	// Tick is the verb of a command that moves the shard's log time. Its fifth field is the retention in ms.
	Tick = "tick"
)

// The script: its steps, which rest on packed rows, the last of them being decide.
//
//go:embed protocol.lua
var protocolLua string

//go:embed rows.lua
var rowsLua string

//go:embed decide.lua
var decideLua string

// layout names how a state is kept. A state of another layout is rebuilt from the journal.
const layout = "3"

// script is the book's part in the protocol.
func script(b Book) string {
	text := strings.NewReplacer(
		"-- @book\n", b.Lua(), "-- @rows\n", rowsLua, "-- @decide\n", decideLua,
	).Replace(protocolLua)
	return strings.NewReplacer(
		"-- @take\n", takeLua(fields(b)), "-- @quick\n", quickLua(b), "-- @join\n", joinLua(),
		"'@group'", strconv.Itoa(answerGroup), "'@head'", strconv.Itoa(quickHead),
		"'@layout'", "'"+layout+"'", "'@width'", strconv.Itoa(Width(b)),
	).Replace(text)
}

func quickLua(b Book) string {
	if q, ok := b.(Quicker); ok {
		return q.QuickLua()
	}
	return "local quick\n"
}

// plainTables and packedTables are the names of all tables, in the script's order.
func plainTables(b Book) []string { return append([]string{"clock"}, b.Tables().Plain...) }

func packedTables(b Book) []string {
	names := append([]string{"seen0", "seen1"}, b.Tables().Packed...)
	for _, name := range b.Tables().Rotating {
		names = append(names, name+"0", name+"1")
	}
	return names
}
