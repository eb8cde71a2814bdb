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
	// Lua defines the local table `book`: tables, rotating, width, wants(c, want) and decide(c, s).
	// See protocol.lua for what it may use.
	Lua() string
	// Width is how many fields a command of the script has: book.width.
	Width() int
	// Tables names the script's tables: those of book.tables, then each of book.rotating.
	Tables() (fixed, rotating []string)
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

//go:embed protocol.lua
var protocol string

// script is the book's part in the protocol.
func script(b Book) string {
	return strings.Replace(protocol, "-- @book\n", b.Lua(), 1)
}

// tables are the names of all tables, in the script's order.
func tables(b Book) []string {
	fixed, rotating := b.Tables()
	names := append([]string{"clock", "seen0", "seen1"}, fixed...)
	for _, name := range rotating {
		names = append(names, name+"0", name+"1")
	}
	return names
}
