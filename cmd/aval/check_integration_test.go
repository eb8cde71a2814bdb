//go:build integration

package main_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/schemas"
)

const (
	aBroker = kmsg.ConfigResourceTypeBroker
	aTopic  = kmsg.ConfigResourceTypeTopic
)

// TestRefusesSurroundings gives three brokers and a Redis every setting that would lose money, one after the other,
// and then all at once: no process starts on them, and each is named with what mends it.
func TestRefusesSurroundings(t *testing.T) {
	t.Parallel()
	servers := startServers(t, "--brokers", "3")
	address, client := startRedis(t)
	kafka := newAdmin(t, servers.kafka)
	at := func(namespace string, more ...string) []string {
		return append([]string{"--kafka", servers.kafka, "--redis", address, "--namespace", namespace}, more...)
	}
	code, _, stderr := run(t, append([]string{"topics", "create", "--partitions", "3"}, at("sound")...)...)
	if code != exitDecided {
		t.Fatalf("aval topics create ended with %d: %s", code, stderr)
	}
	starts(t, at("sound"), nil)

	type change struct {
		make func() (back func())
		want []string
	}
	topic := func(name, setting, unsafe, must string) change {
		return change{
			func() func() { return kafka.alter(t, aTopic, "sound."+name, setting, unsafe) },
			[]string{
				"topic sound." + name + " has " + setting + "=" + unsafe + ", must be " + must,
				"--entity-name sound." + name + " --add-config " + setting + "=" +
					strings.TrimPrefix(must, "at least "),
			},
		}
	}
	inRedis := func(setting, unsafe, must string) change {
		return change{
			func() func() { return setRedis(t, client, setting, unsafe) },
			[]string{
				"redis " + address + " has " + setting + "=" + unsafe + ", must be " + must,
				"redis-cli -u redis://" + address + " CONFIG SET " + setting + " " + must,
			},
		}
	}
	changes := []change{
		inRedis("maxmemory-policy", "allkeys-lru", "noeviction"),
		inRedis("appendonly", "no", "yes"),
		{
			func() func() { return kafka.alter(t, aBroker, "2", "unclean.leader.election.enable", "true") },
			[]string{
				"broker 2 has unclean.leader.election.enable=true, must be false",
				"--entity-type brokers --entity-name 2 --add-config unclean.leader.election.enable=false",
			},
		},
		topic("entries", "unclean.leader.election.enable", "true", "false"),
		topic("entries", "cleanup.policy", "compact", "delete"),
		topic("pre-issues", "retention.ms", "1000", "-1"),
		topic("pre-issues", "retention.bytes", "1000000", "-1"),
		topic("movements", "retention.ms", "86400000", "at least 2592000000"),
		topic("entries", "max.message.bytes", "1048588", "4194304"),
		topic("receipts", "message.timestamp.type", "CreateTime", "LogAppendTime"),
		topic("certificates", "min.insync.replicas", "1", "at least 2"),
	}
	var all []string
	var backs []func()
	for _, c := range changes {
		back := c.make()
		starts(t, at("sound"), c.want)
		back()
		all = append(all, c.want...)
	}
	for _, c := range changes {
		backs = append(backs, c.make())
	}
	starts(t, at("sound"), all)
	checks(t, at("sound"), len(changes)-2) // Redis is none of the topics' business

	dev := start(t, append([]string{"run", "--dev"}, at("sound")...)...)
	dev.awaitLog(t, "msg=running", 1)
	if n := dev.logged(`level=WARN msg=surroundings`); n != len(changes) {
		t.Errorf("--dev warns %d times, want %d:\n%s", n, len(changes), dev.stderr)
	}
	log := connect(t, servers.kafka, "sound")
	await(t, "a takeover", func() bool {
		_, end, err := log.Bounds(t.Context(), schemas.TopicEntries, 0)
		return err == nil && end > 0
	})
	dev.signal(t, syscall.SIGTERM)
	if code := dev.wait(t); code != exitDecided {
		t.Errorf("aval run --dev ended with %d", code)
	}
	for _, back := range backs {
		back()
	}
	checks(t, at("sound"), 0)

	for _, topic := range schemas.Topics() { // all agree, but a takeover has recorded three partitions
		if topic.Keyed() {
			kafka.grow(t, "sound."+topic.Name, 6)
		}
	}
	starts(t, at("sound"), []string{"topic sound.entries has partitions=6, must be 3", "--namespace"})

	kafka.create(t, "thin.entries", 4, 1, map[string]string{"min.insync.replicas": "2"})
	kafka.create(t, "thin.movements", 4, 3, map[string]string{"min.insync.replicas": "1"})
	kafka.create(t, "thin.pre-issues", 5, 3, nil)
	starts(t, at("thin"), []string{
		"topic thin.entries has replication.factor=1, must be at least 3", "kafka-reassign-partitions",
		"topic thin.entries has min.insync.replicas=2, must be at most 1",
		"topic thin.movements has min.insync.replicas=1, must be at least 2",
		"topic thin.pre-issues has partitions=5, must be 4",
		"topic thin.entries has retention.ms=604800000, must be -1",
	})
	thin := connect(t, servers.kafka, "thin")
	if n, err := thin.Existing(t.Context(), schemas.TopicReceipts); err != nil || n != 0 {
		t.Errorf("topics were made beside unsafe ones: %d partitions, %v", n, err)
	}
}

// starts begins to run stages, which must be refused with all that is wanted, or must run if nothing is.
func starts(t *testing.T, at, want []string) {
	t.Helper()
	p := start(t, append([]string{"run"}, at...)...)
	if len(want) == 0 {
		p.awaitLog(t, "msg=running", 1)
		p.signal(t, syscall.SIGTERM)
		if code := p.wait(t); code != exitDecided {
			t.Errorf("it ended with %d", code)
		}
		return
	}
	if code := p.wait(t); code != exitUsage {
		t.Errorf("it ended with %d, want %d to be told %q", code, exitUsage, want)
	}
	for _, text := range want {
		if !strings.Contains(p.stderr.String(), text) {
			t.Errorf("it says nothing of %q:\n%s", text, p.stderr)
		}
	}
	if p.logged("msg=running") > 0 {
		t.Error("it ran before it was refused")
	}
}

// checks expects so many faults of the topics and their brokers.
func checks(t *testing.T, at []string, want int) {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{"topics", "check", "-o", "json"}, at...)...)
	var found []struct {
		Level, Where, Setting, Is, Why, Mend string
		Must                                 string `json:"must_be"`
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatalf("aval topics check printed %q, %q: %v", stdout, stderr, err)
	}
	if wantCode := min(want, 1); code != wantCode || len(found) != want {
		t.Errorf("aval topics check ended with %d and found %d, want %d and %d: %s", code, len(found), wantCode, want,
			stdout)
	}
	for _, f := range found {
		if f.Level != "unsafe" || f.Where == "" || f.Setting == "" || f.Is == "" || f.Must == "" || f.Mend == "" {
			t.Errorf("it says of a fault %+v", f)
		}
	}
}

// TestChecksRedis asks a Redis that does not tell all of itself, and a cluster of which one master is unsafe.
func TestChecksRedis(t *testing.T) {
	t.Parallel()
	brokers, namespace := localtest.Kafka(t), localtest.Namespace(t)
	at := func(redis ...string) []string {
		return append([]string{"--kafka", brokers, "--namespace", namespace, "--redis"}, redis...)
	}
	t.Run("shy", func(t *testing.T) {
		t.Parallel()
		address, client := startRedis(t)
		rules := func(allow ...any) {
			args := append([]any{"ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all"}, allow...)
			if err := client.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		rules("-config", "-info")
		p := start(t, append([]string{"run"}, at(address)...)...)
		p.awaitLog(t, "msg=running", 1)
		hidden := `msg=surroundings where="redis .* setting=(maxmemory-policy|appendonly) is=hidden .*\+config\|get`
		if n := p.logged(hidden); n != 2 {
			t.Errorf("it warns %d times of what it is not told, want twice:\n%s", n, p.stderr)
		}
		if p.logged(`where=kafka setting=brokers is=1 must_be="at least 3"`) != 1 {
			t.Errorf("it does not warn of a broker alone:\n%s", p.stderr)
		}
		p.signal(t, syscall.SIGTERM)
		p.wait(t)
		if err := client.ConfigSet(t.Context(), "appendonly", "no").Err(); err == nil {
			t.Fatal("CONFIG is allowed")
		}
		rules()
		defer setRedis(t, client, "appendonly", "no")()
		rules("-config")
		starts(t, at(address), []string{"redis " + address + " has appendonly=no, must be yes"})
		rules()
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		addresses, masters := startCluster(t)
		all := strings.Join(addresses, ",")
		back := setRedis(t, masters[2], "maxmemory-policy", "volatile-lru")
		starts(t, at(all), []string{"redis " + addresses[2] + " has maxmemory-policy=volatile-lru, must be noeviction"})
		back()
		p := start(t, append([]string{"run"}, at(all)...)...)
		p.awaitLog(t, "msg=running", 1)
		if n := p.logged(`msg=redis address=\S+ version=\S+ appendfsync=everysec`); n != len(masters) {
			t.Errorf("it says of %d masters how they keep what they are given, want %d:\n%s", n, len(masters), p.stderr)
		}
		p.signal(t, syscall.SIGTERM)
		p.wait(t)
	})
	t.Run("replica", func(t *testing.T) {
		t.Parallel()
		master, _ := startRedis(t)
		replica, client := startRedis(t)
		host, port, _ := strings.Cut(master, ":")
		if err := client.ReplicaOf(t.Context(), host, port).Err(); err != nil {
			t.Fatal(err)
		}
		starts(t, at(replica), []string{"redis " + replica + " has role=slave, must be master"})
	})
}
