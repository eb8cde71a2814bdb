package kafka_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/access"
	"github.com/aval-systems/aval/pipeline/kafka"
)

const (
	host     = "127.0.0.1"
	user     = "ana"
	password = "correct-horse"
	wrong    = "battery-staple"
)

// guarded starts a broker that lets not everybody in.
func guarded(t *testing.T, options ...kfake.Opt) string {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

func signed(mechanism string) []kfake.Opt {
	return []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), user, password)}
}

func serve(t *testing.T, a *localtest.Authority, name string, lasts time.Duration) *tls.Config {
	t.Helper()
	cert, key, _ := a.Issue(t, name, lasts)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func trust(t *testing.T, c access.Certificates) *tls.Config {
	t.Helper()
	config, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestSecured writes and reads, alone and in a group, over TLS and signed in.
func TestSecured(t *testing.T) {
	t.Parallel()
	a := localtest.NewAuthority(t)
	for _, mechanism := range append(access.Mechanisms(), "") {
		t.Run("mechanism "+mechanism, func(t *testing.T) {
			t.Parallel()
			options := []kfake.Opt{kfake.TLS(serve(t, a, host, time.Hour))}
			config := kafka.Config{
				Namespace: newNamespace(), TLS: trust(t, access.Certificates{CA: a.File}),
			}
			if mechanism != "" {
				options = append(options, signed(mechanism)...)
				config.SASL = &kafka.SASL{Mechanism: mechanism, User: user, Password: password}
			}
			config.Brokers = []string{guarded(t, options...)}
			c := connectTo(t, config)
			topic(t, c, "things", 2)
			if err := c.Publish(t.Context(), numbered("things", 1, 0, 100)); err != nil {
				t.Fatal(err)
			}
			ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
			defer done()
			messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "readers"}).Subscribe(ctx, "things")
			if err != nil {
				t.Fatal(err)
			}
			read := 0
			for envelope := range messages {
				batch := pipeline.BatchOf(envelope.Context())
				envelope.Ack()
				if read += len(batch.Records); read == 100 {
					done()
				}
			}
			if read != 100 {
				t.Errorf("the group read %d records, want 100", read)
			}
		})
	}
}

// TestNotLetIn is let in nowhere, and says why; it does not wait for it to be otherwise.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	a, other := localtest.NewAuthority(t), localtest.NewAuthority(t)
	cert, key, _ := a.Issue(t, user, time.Hour)
	trusting := trust(t, access.Certificates{CA: a.File})
	mutual := serve(t, a, host, time.Hour)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, trusting.RootCAs
	secure := kfake.TLS(serve(t, a, host, time.Hour))
	with := func(mechanism, password string) *kafka.SASL {
		return &kafka.SASL{Mechanism: mechanism, User: user, Password: access.Secret(password)}
	}
	cases := map[string]struct {
		server []kfake.Opt
		tls    *tls.Config
		sasl   *kafka.SASL
		want   access.Reason // empty: it is let in
	}{
		"another authority": {
			[]kfake.Opt{secure}, trust(t, access.Certificates{CA: other.File}), nil, access.Unverified,
		},
		"the system's authorities": {[]kfake.Opt{secure}, trust(t, access.Certificates{}), nil, access.Unverified},
		"an old certificate": {
			[]kfake.Opt{kfake.TLS(serve(t, a, host, -time.Hour))}, trusting, nil, access.Expired,
		},
		"another's certificate": {
			[]kfake.Opt{kfake.TLS(serve(t, a, "broker.test", time.Hour))}, trusting, nil, access.OtherName,
		},
		"another's certificate that is named": {
			[]kfake.Opt{kfake.TLS(serve(t, a, "broker.test", time.Hour))},
			trust(t, access.Certificates{CA: a.File, ServerName: "broker.test"}), nil, "",
		},
		"no client certificate": {[]kfake.Opt{kfake.TLS(mutual)}, trusting, nil, access.WantsCertificate},
		"a client certificate": {
			[]kfake.Opt{kfake.TLS(mutual)}, trust(t, access.Certificates{CA: a.File, Cert: cert, Key: key}), nil, "",
		},
		"TLS that is not spoken": {nil, trusting, nil, access.NoTLS},
		"TLS that is not spoken, signed": {
			signed(access.Plain), trusting, with(access.Plain, password), access.NoTLS,
		},
		"no TLS":                 {[]kfake.Opt{secure}, nil, nil, access.WantsTLS},
		"no TLS, signed":         {[]kfake.Opt{secure}, nil, with(access.Plain, password), access.WantsTLS},
		"a wrong plain password": {signed(access.Plain), nil, with(access.Plain, wrong), access.WrongPassword},
		"a wrong scram password": {
			signed(access.ScramSHA256), nil, with(access.ScramSHA256, wrong), access.WrongPassword,
		},
		"a wrong password of 512": {
			signed(access.ScramSHA512), nil, with(access.ScramSHA512, wrong), access.WrongPassword,
		},
		"no password":      {signed(access.Plain), nil, nil, access.WantsPassword},
		"no password, TLS": {append(signed(access.Plain), secure), trusting, nil, access.WantsPassword},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			client := connectTo(t, kafka.Config{
				Brokers: []string{guarded(t, c.server...)}, Namespace: newNamespace(), TLS: c.tls, SASL: c.sasl,
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := client.Existing(ctx, "things")
			refused, _ := errors.AsType[*access.Error](err)
			if c.want == "" && err != nil || c.want != "" && (refused == nil || refused.Reason != c.want) {
				t.Errorf("Existing() = %v, want it to say that %s", err, c.want)
			}
			if said := log.String(); err != nil {
				said += err.Error()
				if strings.Contains(said, password) || strings.Contains(said, wrong) {
					t.Errorf("it tells the password: %s", said)
				}
			}
		})
	}
}

// TestAway tells a broker that is away, and is waited for, from an address at which there can be none.
func TestAway(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	away := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	nowhere := strings.Repeat("x", 64) + ".test:9092" // longer than a name can be: nobody need be asked
	for name, brokers := range map[string][]string{
		"away": {away}, "unknown": {nowhere}, "one of each": {nowhere, away},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connectTo(t, kafka.Config{Brokers: brokers, Namespace: newNamespace()})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Existing(ctx, "things")
			refused, known := errors.AsType[*access.Error](err)
			switch waited := errors.Is(err, context.DeadlineExceeded); {
			case slices.Contains(brokers, away) && !waited:
				t.Errorf("Existing(%v) = %v, want it to wait", brokers, err)
			case !slices.Contains(brokers, away) && (waited || !known || refused.Reason != access.UnknownHost):
				t.Errorf("Existing(%v) = %v, want it to say that %s", brokers, err, access.UnknownHost)
			}
		})
	}
}

// TestPasswordChanges takes the right to sign in from a client that is at work: it waits for it to come back.
func TestPasswordChanges(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	start := func(password string) *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(),
			kfake.Superuser("PLAIN", user, password),
			kfake.ListenFn(func(network, _ string) (net.Listener, error) {
				return new(net.ListenConfig).Listen(t.Context(), network, address)
			}))
		if err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	before := start(password)
	c := connectTo(t, kafka.Config{
		Brokers: []string{address}, Namespace: newNamespace(),
		SASL: &kafka.SASL{Mechanism: access.Plain, User: user, Password: password},
	})
	if _, err := c.Existing(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	before.Close()
	changed := start(wrong)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Existing(ctx, "things"); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), string(access.WrongPassword)) {
		t.Errorf("Existing() while the password is another one = %v, want it to wait and say why", err)
	}
	changed.Close()
	after := start(password)
	defer after.Close()
	if _, err := c.Existing(t.Context(), "things"); err != nil {
		t.Errorf("Existing() when the password is the right one again: %v", err)
	}
}
