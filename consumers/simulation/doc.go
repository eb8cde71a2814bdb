// Package simulation lets the whole flow run in one goroutine, from one seed, in virtual time, on a broker and a Redis
// that fail as the real ones do: it has tests alone.
//
//	reads   nothing: parties of its own send invitations, requests and movements
//	effect  none
//	emits   where something is wrong, the seed and a shortened trace
//
// The stages, books, scripts, the runner and the recovery are the real ones. What is simulated is what they stand on
// (broker.go, store.go), who is at work (process.go), and who sends (parties.go). Every request to a server is a place
// where the others may go on, where its process may die or sleep, and where the request or its answer may be lost.
package simulation
