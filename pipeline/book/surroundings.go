package book

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// The settings of a Redis on which a book's state depends, as redis.conf names them, and what else it says of itself.
const (
	SettingEviction = "maxmemory-policy"
	SettingAOF      = "appendonly"
	SettingSync     = "appendfsync"
	SettingRole     = "role"    // master, or slave
	SettingMode     = "mode"    // standalone, or cluster
	SettingVersion  = "version" // of the server
)

// Server is a Redis as it describes itself.
type Server struct {
	Address  string
	Settings map[string]string // those that it tells
	Hidden   error             // why it tells no more: its answer to CONFIG; nil where it tells all
}

// Surroundings asks the Redis behind a client, or every master of its cluster, by what it keeps what it is given. What
// a user may not ask by CONFIG, or a managed service does not know, is taken from INFO as far as that goes. An error
// means that a server did not answer.
func Surroundings(ctx context.Context, client redis.UniversalClient) ([]Server, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		s, err := ask(ctx, client)
		if single, known := client.(*redis.Client); known {
			s.Address = single.Options().Addr
		}
		return []Server{s}, err
	}
	var mu sync.Mutex
	var servers []Server
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		s, err := ask(ctx, master)
		s.Address = master.Options().Addr
		mu.Lock()
		defer mu.Unlock()
		servers = append(servers, s)
		return err
	})
	slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(a.Address, b.Address) })
	return servers, err
}

func ask(ctx context.Context, client redis.Cmdable) (Server, error) {
	s := Server{Settings: map[string]string{}}
	info, err := client.Info(ctx).Result()
	if err != nil && !told(err) {
		return s, fmt.Errorf("ask redis for INFO: %w", err)
	}
	maps.Copy(s.Settings, settingsOf(info))
	for _, name := range []string{SettingEviction, SettingAOF, SettingSync} {
		found, err := client.ConfigGet(ctx, name).Result()
		switch value, ok := found[name]; {
		case err != nil && !told(err):
			return s, fmt.Errorf("ask redis for %s: %w", name, err)
		case err != nil:
			s.Hidden = err
		case ok:
			s.Settings[name] = value
		}
	}
	return s, nil
}

// told says that the server answered, and refused.
func told(err error) bool {
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	for _, passing := range []string{"LOADING ", "CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN "} {
		if strings.HasPrefix(answer.Error(), passing) {
			return false
		}
	}
	return true
}

// settingsOf reads what INFO says.
func settingsOf(info string) map[string]string {
	names := map[string]string{
		"maxmemory_policy": SettingEviction, "aof_enabled": SettingAOF, "role": SettingRole,
		"redis_mode": SettingMode, "redis_version": SettingVersion,
	}
	settings := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if setting := names[name]; ok && setting != "" {
			settings[setting] = value
		}
	}
	switch settings[SettingAOF] {
	case "0":
		settings[SettingAOF] = "no"
	case "1":
		settings[SettingAOF] = "yes"
	}
	return settings
}

// recordedIn returns the number of partitions that a takeover among the records says, zero where there is none.
func recordedIn(records []pipeline.Record) (partitions int) {
	for _, record := range records {
		in, err := pipeline.Decode(record)
		if t, ok := in.Body.(*schemas.Takeover); err == nil && ok {
			partitions = int(t.GetPartitions())
		}
	}
	return partitions
}

// Recorded returns the number of partitions that the takeovers of a journal record, which is its namespace's for ever;
// zero where nobody has taken a partition over yet.
func Recorded(ctx context.Context, log pipeline.Log, journal string, partitions int) (recorded int, err error) {
	for p := 0; p < partitions && recorded == 0; p++ {
		first, end, err := log.Bounds(ctx, journal, p)
		if err != nil {
			return 0, fmt.Errorf("look for a takeover in %s/%d: %w", journal, p, err)
		}
		visit := func(records []pipeline.Record) error {
			recorded = recordedIn(records)
			return nil
		}
		if err := log.Read(ctx, journal, p, first, min(first+1, end), visit); err != nil {
			return 0, fmt.Errorf("look for a takeover in %s/%d: %w", journal, p, err)
		}
	}
	return recorded, nil
}
