package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

const (
	guardUser = "ana"
	password  = "correct-horse-17"
	wrong     = "battery-staple-17"
)

// guarded is a Kafka and a Redis that let not everybody in.
type guarded struct {
	kafka, redis string
	authority    *localtest.Authority
	cert, key    string // of the user
}

// guard starts a pair that speaks TLS with those who have a certificate, and wants a user and a password.
func guard(t *testing.T) guarded {
	t.Helper()
	g := guarded{authority: localtest.NewAuthority(t)}
	g.cert, g.key, _ = g.authority.Issue(t, guardUser, time.Hour)
	cert, key, _ := g.authority.Issue(t, "servers.test", time.Hour)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(readFile(t, g.authority.File))
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		MinVersion: tls.VersionTLS12,
	}
	g.kafka = fakeKafka(t, kfake.TLS(config), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", guardUser, password))
	redis := miniredis.NewMiniRedis()
	redis.RequireUserAuth(guardUser, password)
	if err := redis.StartTLS(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	g.redis = redis.Addr()
	return g
}

func fakeKafka(t *testing.T, options ...kfake.Opt) string {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(500 * time.Millisecond),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "8388608"}),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

// file is a file of settings with which the pair lets in.
func (g guarded) file(t *testing.T) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "redis-password")
	writeFile(t, secret, []byte(password+"\n"))
	var text strings.Builder
	for _, server := range []string{"kafka", "redis"} {
		fmt.Fprintf(&text, "%[1]s-tls: true\n%[1]s-tls-ca: %[2]s\n%[1]s-tls-cert: %[3]s\n%[1]s-tls-key: %[4]s\n"+
			"%[1]s-tls-server-name: servers.test\n%[1]s-user: %[5]s\n",
			server, g.authority.File, g.cert, g.key, guardUser)
	}
	fmt.Fprintf(&text, "kafka: %s\nredis: %s\nkafka-sasl: scram-sha-512\nredis-password-file: %s\n",
		g.kafka, g.redis, secret)
	return config(t, text.String())
}

// TestGuardedServers runs everything over servers that let not everybody in: what joins groups, what claims
// partitions, and what works in Redis.
func TestGuardedServers(t *testing.T) {
	t.Parallel()
	g := guard(t)
	j := newJob(t, crowd(5, 300), crowdFunds)
	p := startWith(t, []string{"AVAL_KAFKA_PASSWORD=" + password, "AVAL_CONFIG=" + g.file(t)},
		j.args("--log-level", "debug")...)
	j.judge(t, p)
	if strings.Contains(p.stdout.String()+p.stderr.String(), password) {
		t.Error("it tells the password")
	}
}

// TestNotLetIn is let in nowhere: the process ends with what mends it, and never tells a password.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	g := guard(t)
	plainKafka, plainRedis := localtest.Embedded(t)
	kafkaPassword := "AVAL_KAFKA_PASSWORD=" + password
	cases := map[string]struct {
		variables []string
		args      []string
		want      []string
	}{
		"a wrong password of Kafka": {
			[]string{"AVAL_KAFKA_PASSWORD=" + wrong},
			nil,
			[]string{
				"Kafka at " + g.kafka, "does not take this user and password",
				"see --kafka-user and AVAL_KAFKA_PASSWORD",
			},
		},
		"a wrong password of Redis": {
			[]string{kafkaPassword, "AVAL_REDIS_PASSWORD_FILE=", "AVAL_REDIS_PASSWORD=" + wrong},
			[]string{"--redis-password-file", ""},
			[]string{"Redis at " + g.redis, "does not take this user and password", "AVAL_REDIS_PASSWORD"},
		},
		"another user of Redis": {
			[]string{kafkaPassword}, []string{"--redis-user", "bob"}, []string{"Redis at", "--redis-user"},
		},
		"no user of Redis": {
			[]string{kafkaPassword},
			[]string{"--redis-user", "", "--redis-password-file", ""},
			[]string{"Redis at", "wants a user and a password", "--redis-password-file"},
		},
		"no user of Kafka": {
			nil,
			[]string{"--kafka-sasl", "", "--kafka-user", ""},
			[]string{"Kafka at", "wants a user and a password", "set --kafka-sasl"},
		},
		"another authority of Kafka": {
			[]string{kafkaPassword},
			[]string{"--kafka-tls-ca", localtest.NewAuthority(t).File},
			[]string{"Kafka at", "authority", "--kafka-tls-ca"},
		},
		"another authority of Redis": {
			[]string{kafkaPassword},
			[]string{"--redis-tls-ca", localtest.NewAuthority(t).File},
			[]string{"Redis at", "authority", "--redis-tls-ca"},
		},
		"another name of Kafka": {
			[]string{kafkaPassword},
			[]string{"--kafka-tls-server-name", ""},
			[]string{"Kafka at", "for another name", "--kafka-tls-server-name"},
		},
		"another name of Redis": {
			[]string{kafkaPassword},
			[]string{"--redis-tls-server-name", ""},
			[]string{"Redis at", "for another name", "--redis-tls-server-name"},
		},
		"no certificate for Kafka": {
			[]string{kafkaPassword},
			[]string{"--kafka-tls-cert", "", "--kafka-tls-key", ""},
			[]string{"Kafka at", "client's certificate", "--kafka-tls-cert"},
		},
		"no certificate for Redis": {
			[]string{kafkaPassword},
			[]string{"--redis-tls-cert", "", "--redis-tls-key", ""},
			[]string{"Redis at", "client's certificate", "--redis-tls-cert"},
		},
		"TLS with a Kafka without it": {
			[]string{kafkaPassword},
			[]string{"--kafka", plainKafka},
			[]string{"Kafka at " + plainKafka, "does not speak TLS", "without --kafka-tls"},
		},
		"TLS with a Redis without it": {
			[]string{kafkaPassword},
			[]string{"--redis", plainRedis},
			[]string{"Redis at " + plainRedis, "does not speak TLS", "without --redis-tls"},
		},
		"a host that is none": {
			[]string{kafkaPassword},
			[]string{"--kafka", strings.Repeat("x", 64) + ":9092"},
			[]string{"nobody knows this host", "name another one: --kafka"},
		},
		"a host of Redis that is none": {
			[]string{kafkaPassword},
			[]string{"--redis", strings.Repeat("x", 64) + ":6379"},
			[]string{"nobody knows this host", "name another one: --redis"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"run", "--config", g.file(t), "--log-level", "debug"}, c.args...)
			refusedEntry(t, c.variables, args, c.want)
		})
	}
	without := map[string][]string{
		"Kafka": {"--kafka", g.kafka, "--redis", plainRedis}, "Redis": {"--kafka", plainKafka, "--redis", g.redis},
	}
	for server, args := range without {
		t.Run("no TLS with "+server, func(t *testing.T) {
			t.Parallel()
			refusedEntry(t, nil, append([]string{"run"}, args...),
				[]string{server + " at", "speaks TLS", "set --" + strings.ToLower(server) + "-tls"})
		})
	}
}

func refusedEntry(t *testing.T, variables, args, want []string) {
	t.Helper()
	code, stdout, stderr := runWith(t, variables, args...)
	if code != exitUsage {
		t.Errorf("it ended with %d, want %d", code, exitUsage)
	}
	last := stderr[strings.LastIndex("\n"+stderr, "\naval: "):]
	for _, text := range want {
		if !strings.Contains(last, text) {
			t.Errorf("it says nothing of %q: %s", text, last)
		}
	}
	if said := stdout + stderr; strings.Contains(said, password) || strings.Contains(said, wrong) {
		t.Errorf("it tells a password: %s", said)
	}
}

// TestAway has servers that are away: they are waited for by who runs stages, and not for long by others.
func TestAway(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	kafka, redis := localtest.Embedded(t)
	namespace := localtest.Namespace(t)
	if code, _, stderr := run(t, "topics", "create", "--kafka", kafka, "--namespace", namespace); code != exitDecided {
		t.Fatal(stderr)
	}
	for server, places := range map[string][]string{
		"Kafka": {"--kafka", away, "--redis", redis}, "Redis": {"--kafka", kafka, "--redis", away},
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			places := append(places, "--namespace", namespace)
			args := append([]string{"account", "list", "--connect-timeout", "1s"}, places...)
			code, stdout, stderr := run(t, args...)
			mend := "say where it is: --" + strings.ToLower(server)
			if code != exitFailed || stdout != "" || !strings.Contains(stderr, "no "+server+" answers") ||
				!strings.Contains(stderr, "connection refused") || !strings.Contains(stderr, mend) {
				t.Errorf("account list ended with %d and said %s%s", code, stdout, stderr)
			}
			p := start(t, append([]string{"run", "--dev"}, places...)...)
			p.awaitLog(t, "connection refused", 1)
			time.Sleep(2 * time.Second)
			if said := p.logged("connection refused"); said != 1 || !p.running() {
				t.Errorf("it said %d times that it waits:\n%s", said, p.stderr.String())
			}
			p.signal(t, syscall.SIGTERM)
			p.wait(t)
		})
	}
}
