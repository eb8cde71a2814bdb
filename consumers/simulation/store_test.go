package simulation_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// errDown is what a process gets of a request that was lost, or whose answer was.
var errDown = errors.New("the connection is gone")

// redisError is what Redis answers in place of a reply.
type redisError string

func (e redisError) Error() string { return string(e) }

// RedisError makes it one for go-redis.
func (redisError) RedisError() {}

// table is a hash, or none. An image shares it: so it is never changed in place once it is shared.
type table struct {
	fields map[string]string
	shared bool
}

// image is all that Redis holds at one moment.
type image map[string]*table

// server is a Redis: hashes, scripts, and images of earlier states to go back to.
type server struct {
	engine *engine
	keys   image
	loaded map[string]string // scripts by their digest
	images []image
}

const imagesMax = 32

func newServer(e *engine) *server {
	return &server{engine: e, keys: image{}, loaded: map[string]string{}}
}

// remember keeps an image to go back to.
func (s *server) remember() {
	for _, t := range s.keys {
		t.shared = true
	}
	if len(s.images) == imagesMax {
		s.images = s.images[1:]
	}
	s.images = append(s.images, maps.Clone(s.keys))
}

func (s *server) restore(i image) { s.keys = maps.Clone(i) }

func (s *server) read(key string) map[string]string {
	if t := s.keys[key]; t != nil {
		return t.fields
	}
	return nil
}

func (s *server) write(key string) map[string]string {
	t := s.keys[key]
	switch {
	case t == nil:
		t = &table{fields: map[string]string{}}
	case t.shared:
		t = &table{fields: maps.Clone(t.fields)}
	}
	s.keys[key] = t
	return t.fields
}

// do is one command, as Redis answers it.
func (s *server) do(args []string) any {
	switch name := strings.ToLower(args[0]); name {
	case "eval", "evalsha":
		return s.script(name, args)
	case "hget":
		return value(s.read(args[1]), args[2])
	case "hmget":
		fields, reply := s.read(args[1]), make([]any, 0, len(args)-2)
		for _, field := range args[2:] {
			reply = append(reply, value(fields, field))
		}
		return reply
	case "hgetall":
		fields, reply := s.read(args[1]), []any{}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			reply = append(reply, field, fields[field])
		}
		return reply
	case "hlen":
		return int64(len(s.read(args[1])))
	case "hset":
		fields, added := s.write(args[1]), int64(0)
		for pair := range slices.Chunk(args[2:], 2) {
			if _, ok := fields[pair[0]]; !ok {
				added++
			}
			fields[pair[0]] = pair[1]
		}
		return added
	case "hdel":
		return s.remove(args[1], args[2:])
	case "unlink", "del":
		gone := int64(0)
		for _, key := range args[1:] {
			if s.keys[key] != nil {
				gone++
			}
			delete(s.keys, key)
		}
		return gone
	case "pexpire":
		return int64(1) // nothing of a world lives so long
	}
	return redisError(fmt.Sprintf("ERR the simulated Redis does not know %q: teach it in store_test.go", args[0]))
}

func value(fields map[string]string, field string) any {
	if text, ok := fields[field]; ok {
		return text
	}
	return nil
}

func (s *server) remove(key string, names []string) any {
	if s.keys[key] == nil {
		return int64(0)
	}
	fields, gone := s.write(key), int64(0)
	for _, name := range names {
		if _, ok := fields[name]; ok {
			gone++
		}
		delete(fields, name)
	}
	if len(fields) == 0 {
		delete(s.keys, key)
	}
	return gone
}

func (s *server) script(name string, args []string) any {
	script := args[1]
	if name == "eval" {
		sum := sha1.Sum([]byte(script))
		s.loaded[hex.EncodeToString(sum[:])] = script
	} else if script = s.loaded[args[1]]; script == "" {
		return redisError("NOSCRIPT No matching script. Please use EVAL.")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return redisError("ERR value is not an integer or out of range")
	}
	return s.engine.run(script, args[3:3+n], args[3+n:], s.do)
}

// line is a connection to the Redis of the world that is simulated now: every request of go-redis goes to it and not
// to a network.
type line struct{ of *lab }

func (l line) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l line) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		return l.send([]redis.Cmder{cmd})
	}
}

func (l line) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error { return l.send(cmds) }
}

// send is one request, of one command or several that nothing comes between.
func (l line) send(cmds []redis.Cmder) error {
	w := l.of.world
	err := w.call("redis", func() string { return describe(cmds) }, func() {
		for _, cmd := range cmds {
			if name := cmd.Name(); name != "multi" && name != "exec" {
				answer(cmd, w.redis.do(arguments(cmd)))
			}
		}
		w.redis.remember()
	})
	for _, cmd := range cmds {
		if err != nil {
			cmd.SetErr(err)
		}
		if cmd.Err() != nil {
			return cmd.Err()
		}
	}
	return nil
}

func describe(cmds []redis.Cmder) string {
	args := arguments(cmds[0])
	if !strings.HasPrefix(args[0], "eval") {
		return fmt.Sprintf("%s of %d commands", args[0], len(cmds))
	}
	n, _ := strconv.Atoi(args[2])
	text := args[3:4:4]
	for _, word := range args[min(3+n, len(args)):min(9+n, len(args))] {
		if len(word) > 8 {
			word = word[:8] + "…"
		}
		text = append(text, strconv.Quote(word))
	}
	return strings.Join(text, " ")
}

func arguments(cmd redis.Cmder) []string {
	args := make([]string, len(cmd.Args()))
	for i, arg := range cmd.Args() {
		switch a := arg.(type) {
		case string:
			args[i] = a
		case []byte:
			args[i] = string(a)
		default:
			args[i] = fmt.Sprint(a)
		}
	}
	return args
}

// answer gives a command its reply.
func answer(cmd redis.Cmder, reply any) {
	if err, ok := reply.(redisError); ok {
		cmd.SetErr(err)
		return
	}
	switch c := cmd.(type) {
	case *redis.Cmd:
		if c.SetVal(reply); reply == nil {
			c.SetErr(redis.Nil)
		}
	case *redis.StringCmd:
		text, ok := reply.(string)
		if c.SetVal(text); !ok {
			c.SetErr(redis.Nil)
		}
	case *redis.SliceCmd:
		list, _ := reply.([]any)
		c.SetVal(list)
	case *redis.MapStringStringCmd:
		fields := map[string]string{}
		list, _ := reply.([]any)
		for pair := range slices.Chunk(list, 2) {
			fields[fmt.Sprint(pair[0])] = fmt.Sprint(pair[1])
		}
		c.SetVal(fields)
	case *redis.IntCmd:
		n, _ := reply.(int64)
		c.SetVal(n)
	default:
		cmd.SetErr(fmt.Errorf("the simulated Redis does not answer a %T: teach it in store_test.go", cmd))
	}
}
