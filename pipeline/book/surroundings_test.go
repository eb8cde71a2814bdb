package book_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline/book"
)

const saysInfo = "# Server\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\n\r\n# Memory\r\n" +
	"maxmemory_policy:allkeys-lru\r\n# Persistence\r\naof_enabled:0\r\n# Replication\r\nrole:master\r\n"

// TestSurroundings asks servers that tell all, some, and nothing of themselves.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	const (
		unknown = "ERR unknown command 'CONFIG', with args beginning with: 'GET'"
		noPerm  = "NOPERM User aval has no permissions to run the 'config|get' command"
	)
	general := map[string]string{"version": "7.2.4", "mode": "standalone", "role": "master"}
	for name, test := range map[string]struct {
		info   func(*server.Peer)
		config func(*server.Peer, string)
		want   map[string]string
		hidden string
	}{
		"all": {
			info: func(c *server.Peer) { c.WriteBulk(saysInfo) },
			config: func(c *server.Peer, name string) {
				c.WriteStrings([]string{name, map[string]string{
					"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always",
				}[name]})
			},
			want: map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"},
		},
		"without CONFIG": {
			info:   func(c *server.Peer) { c.WriteBulk(saysInfo) },
			config: func(c *server.Peer, _ string) { c.WriteError(unknown) },
			want:   map[string]string{"maxmemory-policy": "allkeys-lru", "appendonly": "no"},
			hidden: unknown,
		},
		"without either": {
			info:   func(c *server.Peer) { c.WriteError(strings.Replace(noPerm, "config|get", "info", 1)) },
			config: func(c *server.Peer, _ string) { c.WriteError(noPerm) },
			hidden: noPerm,
		},
		"with CONFIG alone": {
			info: func(c *server.Peer) { c.WriteError(strings.Replace(noPerm, "config|get", "info", 1)) },
			config: func(c *server.Peer, name string) {
				if name == "appendfsync" { // as where it was renamed
					c.WriteLen(0)
					return
				}
				c.WriteStrings([]string{name, "set"})
			},
			want: map[string]string{"maxmemory-policy": "set", "appendonly": "set"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pretend(t, test.info, test.config)
			want := maps.Clone(test.want)
			if test.want == nil {
				want = map[string]string{}
			}
			if !strings.Contains(name, "either") && !strings.Contains(name, "alone") {
				maps.Copy(want, general)
			}
			client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
			defer client.Close() //nolint:errcheck // it was only asked
			got, err := book.Surroundings(t.Context(), client)
			if err != nil || len(got) != 1 {
				t.Fatalf("Surroundings = %v, %v", got, err)
			}
			if got[0].Address != address || !maps.Equal(got[0].Settings, want) {
				t.Errorf("%s says %v, want %v of %s", got[0].Address, got[0].Settings, want, address)
			}
			hidden := ""
			if got[0].Hidden != nil {
				hidden = got[0].Hidden.Error()
			}
			if hidden != test.hidden {
				t.Errorf("it hides %q, want %q", hidden, test.hidden)
			}
		})
	}
}

// TestSurroundingsUnknown asks servers that do not answer yet, or not as Redis does.
func TestSurroundingsUnknown(t *testing.T) {
	t.Parallel()
	loading := pretend(t, func(c *server.Peer) { c.WriteBulk(saysInfo) }, func(c *server.Peer, _ string) {
		c.WriteError("LOADING Redis is loading the dataset in memory")
	})
	for _, address := range []string{loading, "127.0.0.1:1"} {
		client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
		if got, err := book.Surroundings(t.Context(), client); err == nil {
			t.Errorf("Surroundings = %v of a server that does not answer", got)
		}
		_ = client.Close()
	}
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
	got, err := book.Surroundings(t.Context(), client)
	if err != nil || len(got[0].Settings) != 0 || got[0].Hidden == nil {
		t.Errorf("of the embedded Redis Surroundings = %v, %v", got, err)
	}
	_ = client.Close()
}

// pretend starts a server that answers INFO and CONFIG GET.
func pretend(t *testing.T, info func(*server.Peer), config func(*server.Peer, string)) string {
	t.Helper()
	s, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for name, answer := range map[string]server.Cmd{
		"HELLO":  func(c *server.Peer, _ string, _ []string) { c.WriteError("ERR unknown command 'HELLO'") },
		"CLIENT": func(c *server.Peer, _ string, _ []string) { c.WriteOK() },
		"INFO":   func(c *server.Peer, _ string, _ []string) { info(c) },
		"CONFIG": func(c *server.Peer, _ string, args []string) { config(c, args[1]) },
	} {
		if err := s.Register(name, answer); err != nil {
			t.Fatal(err)
		}
	}
	return s.Addr().String()
}
