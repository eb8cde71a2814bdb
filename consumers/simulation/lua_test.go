package simulation_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// engine runs scripts as Redis does, in one Lua state that many worlds use one after the other: a script is compiled
// once. It is the interpreter of the embedded Redis.
type engine struct {
	state    *lua.LState
	compiled map[string]*lua.FunctionProto
	call     func(args []string) any // of the Redis at whose cost a script runs now
}

func newEngine() *engine {
	e := &engine{state: lua.NewState(lua.Options{SkipOpenLibs: true}), compiled: map[string]*lua.FunctionProto{}}
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString,
		lua.MathLibName: lua.OpenMath,
	} {
		e.state.Push(e.state.NewFunction(open))
		e.state.Push(lua.LString(name))
		e.state.Call(1, 0)
	}
	module := e.state.NewTable()
	module.RawSetString("call", e.state.NewFunction(e.redisCall))
	module.RawSetString("sha1hex", e.state.NewFunction(func(l *lua.LState) int {
		sum := sha1.Sum([]byte(l.CheckString(1)))
		l.Push(lua.LString(hex.EncodeToString(sum[:])))
		return 1
	}))
	module.RawSetString("error_reply", e.state.NewFunction(func(l *lua.LState) int {
		reply := l.NewTable()
		reply.RawSetString("err", lua.LString(l.CheckString(1)))
		l.Push(reply)
		return 1
	}))
	e.state.SetGlobal("redis", module)
	return e
}

func (e *engine) close() { e.state.Close() }

func (e *engine) redisCall(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		args[i] = lua.LVAsString(l.Get(i + 1))
	}
	switch reply := e.call(args).(type) {
	case redisError:
		l.RaiseError("%s", string(reply))
	default:
		l.Push(toLua(l, reply))
	}
	return 1
}

func (e *engine) run(script string, keys, args []string, call func(args []string) any) any {
	proto := e.compiled[script]
	if proto == nil {
		chunk, err := parse.Parse(strings.NewReader(script), "script")
		if err != nil {
			return redisError("ERR " + err.Error())
		}
		if proto, err = lua.Compile(chunk, "script"); err != nil {
			return redisError("ERR " + err.Error())
		}
		e.compiled[script] = proto
	}
	e.call = call
	l := e.state
	l.SetTop(0)
	l.SetGlobal("KEYS", words(l, keys))
	l.SetGlobal("ARGV", words(l, args))
	l.Push(l.NewFunctionFromProto(proto))
	if err := l.PCall(0, 1, nil); err != nil {
		return redisError("ERR " + err.Error())
	}
	defer l.SetTop(0)
	return fromLua(l.Get(1))
}

func words(l *lua.LState, texts []string) *lua.LTable {
	t := l.CreateTable(len(texts), 0)
	for _, text := range texts {
		t.Append(lua.LString(text))
	}
	return t
}

func toLua(l *lua.LState, reply any) lua.LValue {
	switch r := reply.(type) {
	case nil:
		return lua.LFalse
	case string:
		return lua.LString(r)
	case int64:
		return lua.LNumber(r)
	case []any:
		t := l.CreateTable(len(r), 0)
		for _, value := range r {
			t.Append(toLua(l, value))
		}
		return t
	}
	panic(fmt.Sprintf("a reply of type %T", reply))
}

func fromLua(value lua.LValue) any {
	switch v := value.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case lua.LBool:
		if v {
			return int64(1)
		}
	case *lua.LTable:
		if text, ok := v.RawGetString("err").(lua.LString); ok {
			return redisError(text)
		}
		reply := []any{}
		for i := 1; v.RawGetInt(i) != lua.LNil; i++ {
			reply = append(reply, fromLua(v.RawGetInt(i)))
		}
		return reply
	}
	return nil
}
