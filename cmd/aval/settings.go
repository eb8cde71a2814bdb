package main

import (
	"strings"
	"time"

	"github.com/aval-systems/aval/consumers/timer"
	"github.com/aval-systems/aval/pipeline/access"
)

// setting is one thing that a user may say by a flag, in the environment or in the file.
type setting struct {
	name  string // of the flag and the file's key; in the environment AVAL_NAME
	group group
	kind  kind
	def   string   // in the words that a user would give
	one   []string // of kindChoice: what it may be
	help  string
}

// group is a set of settings that commands have in common.
type group string

// The groups. Every command that speaks to servers has the first four.
const (
	groupServers     group = "servers"
	groupSpace       group = "namespace"
	groupSecurity    group = "security"
	groupLog         group = "log"
	groupNew         group = "new"  // how a new namespace is made
	groupSign        group = "sign" // the issuing banks' private keys
	groupDev         group = "dev"
	groupRun         group = "run"   // of a process that runs stages
	groupTrace       group = "trace" // of a process that begins traces, or carries them on
	groupWebhookKeys group = "webhook-keys"
)

// kind says how a setting is written, and so how it is checked.
type kind string

// The kinds. A secret has no flag, and is shown to nobody.
const (
	kindText      kind = "text"
	kindSecret    kind = "secret"
	kindTruth     kind = "bool"
	kindNumber    kind = "number"
	kindDuration  kind = "duration"
	kindChoice    kind = "choice"
	kindAddresses kind = "addresses"
	kindListen    kind = "address"
	kindNamespace kind = "name"
	kindFile      kind = "file"
	kindURL       kind = "url"
	kindStages    kind = "stages"
)

// namespaceDefault is the namespace of whoever names none.
const namespaceDefault = "aval"

// off is how an address is said to be none.
const off = "off"

// settingsTable is the one place that says what there is to be set. Flags, variables, the file's keys, the help and
// the completion follow from it; values holds what was set.
func settingsTable() []setting {
	return append(append(serverSettings(), securitySettings()...), processSettings()...)
}

func serverSettings() []setting {
	return []setting{
		{
			"kafka", groupServers, kindAddresses, "localhost:9092", nil,
			"addresses of Kafka brokers, with commas between",
		},
		{
			"redis", groupServers, kindAddresses, "localhost:6379", nil,
			"address of Redis; several, with commas between, are a cluster",
		},
		{
			"connect-timeout", groupServers, kindDuration, "", nil,
			"how long servers are waited for, 0 as long as it takes (default 15s; who runs stages: 0)",
		},
		{
			"namespace", groupSpace, kindNamespace, namespaceDefault, nil,
			"prefix of topics, groups and keys: a system of its own",
		},
		{
			"partitions", groupNew, kindNumber, "", nil,
			"partitions of a new namespace, for its whole life (default 4)",
		},
		{
			"keys", groupSign, kindFile, "", nil,
			"the issuing banks' private keys, a JWK set (default: demonstration keys, which anyone can derive)",
		},
	}
}

func securitySettings() []setting {
	return []setting{
		{"kafka-tls", groupSecurity, kindTruth, "", nil, "speak TLS with Kafka"},
		{
			"kafka-tls-ca", groupSecurity, kindFile, "", nil,
			"certificates to verify Kafka's with, PEM (default: the system's)",
		},
		{"kafka-tls-cert", groupSecurity, kindFile, "", nil, "client certificate for Kafka, PEM"},
		{"kafka-tls-key", groupSecurity, kindFile, "", nil, "the client certificate's key, PEM"},
		{
			"kafka-tls-server-name", groupSecurity, kindText, "", nil,
			"the name in Kafka's certificates (default: each address's host)",
		},
		{"kafka-sasl", groupSecurity, kindChoice, "", access.Mechanisms(), "how to sign in with Kafka"},
		{"kafka-user", groupSecurity, kindText, "", nil, "user of Kafka"},
		{"kafka-password", groupSecurity, kindSecret, "", nil, "the user's password"},
		{"kafka-password-file", groupSecurity, kindFile, "", nil, "file that holds the password and nothing else"},
		{"redis-tls", groupSecurity, kindTruth, "", nil, "speak TLS with Redis"},
		{
			"redis-tls-ca", groupSecurity, kindFile, "", nil,
			"certificates to verify that of Redis with, PEM (default: the system's)",
		},
		{"redis-tls-cert", groupSecurity, kindFile, "", nil, "client certificate for Redis, PEM"},
		{"redis-tls-key", groupSecurity, kindFile, "", nil, "the client certificate's key, PEM"},
		{
			"redis-tls-server-name", groupSecurity, kindText, "", nil,
			"the name in the certificate of Redis (default: the address's host)",
		},
		{"redis-user", groupSecurity, kindText, "", nil, "ACL user of Redis (default: its default user)"},
		{"redis-password", groupSecurity, kindSecret, "", nil, "the user's password"},
		{"redis-password-file", groupSecurity, kindFile, "", nil, "file that holds the password and nothing else"},
		{"redis-db", groupSecurity, kindNumber, "", nil, "number of the database; a cluster has 0 alone"},
		{"redis-cluster", groupSecurity, kindTruth, "", nil, "the one address of Redis leads to a cluster"},
	}
}

func processSettings() []setting {
	return []setting{
		{"log-format", groupLog, kindChoice, "text", []string{"text", "json"}, "how to log"},
		{"log-level", groupLog, kindChoice, "info", []string{"debug", "info", "warn", "error"}, "what to log"},
		{"dev", groupDev, kindTruth, "", nil, "let servers' unsafe settings be warnings: for trying things out"},
		{"stages", groupRun, kindStages, strings.Join(stageNames(), ","), nil, "the stages to run"},
		{
			"listen", groupRun, kindListen, "localhost:0", nil,
			"address of health and metrics; port 0 is a free one, which the log names; off: none",
		},
		{"pprof", groupRun, kindTruth, "", nil, "serve Go's profiles beside the metrics"},
		{"trace-endpoint", groupTrace, kindURL, "", nil, "URL of an OTLP/HTTP collector of traces (default: none)"},
		{
			"trace-one-in", groupTrace, kindNumber, "1", nil,
			"of how many messages that go in one begins a trace",
		},
		{
			"drain-timeout", groupRun, kindDuration, "15s", nil,
			"how long an interrupt lets finish what is at work",
		},
		{
			"webhook-keys", groupWebhookKeys, kindFile, "", nil,
			"the keys that sign webhooks, one a line: see aval notice keys (default: no webhook is called)",
		},
		{
			"webhook-give-up", groupRun, kindDuration, "24h", nil,
			"how long a webhook is tried that does not take a notice",
		},
		{
			"tick-every", groupRun, kindDuration, timer.EveryDefault.String(), nil,
			"how often time passes in the log: what nobody answers lapses so much late at most",
		},
		{
			"remember", groupRun, kindDuration, timer.RememberDefault.String(), nil,
			"how long books remember what they have done, at least; older commands are refused (its first one stays)",
		},
		{"webhook-private", groupRun, kindTruth, "", nil, "call webhooks on this machine and in private networks too"},
	}
}

// values are what all settings were set to. A command finds the defaults in those that it does not have.
type values struct {
	Kafka     []string `koanf:"kafka"`
	Redis     []string `koanf:"redis"`
	Namespace string   `koanf:"namespace"`

	ConnectTimeout time.Duration `koanf:"connect-timeout"` // for who does not wait as long as it takes; see place

	Partitions int    `koanf:"partitions"` // 0: what the namespace has, else the default
	Keys       string `koanf:"keys"`

	KafkaTLS           bool          `koanf:"kafka-tls"`
	KafkaTLSCA         string        `koanf:"kafka-tls-ca"`
	KafkaTLSCert       string        `koanf:"kafka-tls-cert"`
	KafkaTLSKey        string        `koanf:"kafka-tls-key"`
	KafkaTLSServerName string        `koanf:"kafka-tls-server-name"`
	KafkaSASL          string        `koanf:"kafka-sasl"`
	KafkaUser          string        `koanf:"kafka-user"`
	KafkaPassword      access.Secret `koanf:"kafka-password"`
	KafkaPasswordFile  string        `koanf:"kafka-password-file"`

	RedisTLS           bool          `koanf:"redis-tls"`
	RedisTLSCA         string        `koanf:"redis-tls-ca"`
	RedisTLSCert       string        `koanf:"redis-tls-cert"`
	RedisTLSKey        string        `koanf:"redis-tls-key"`
	RedisTLSServerName string        `koanf:"redis-tls-server-name"`
	RedisUser          string        `koanf:"redis-user"`
	RedisPassword      access.Secret `koanf:"redis-password"`
	RedisPasswordFile  string        `koanf:"redis-password-file"`
	RedisDB            int           `koanf:"redis-db"`
	RedisCluster       bool          `koanf:"redis-cluster"`

	LogFormat string `koanf:"log-format"`
	LogLevel  string `koanf:"log-level"`
	Dev       bool   `koanf:"dev"`

	Stages        []string      `koanf:"stages"`
	Listen        string        `koanf:"listen"` // off: nowhere
	Pprof         bool          `koanf:"pprof"`
	TraceEndpoint string        `koanf:"trace-endpoint"`
	TraceOneIn    int64         `koanf:"trace-one-in"`
	DrainTimeout  time.Duration `koanf:"drain-timeout"`

	WebhookKeys    string        `koanf:"webhook-keys"`
	WebhookGiveUp  time.Duration `koanf:"webhook-give-up"`
	WebhookPrivate bool          `koanf:"webhook-private"`

	TickEvery time.Duration `koanf:"tick-every"`
	Remember  time.Duration `koanf:"remember"`
}

// variable is the setting's name in the environment.
func (s setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// secret says whether nobody is to see the value.
func (s setting) secret() bool { return s.kind == kindSecret }

// list says whether there may be several, with commas between.
func (s setting) list() bool { return s.kind == kindAddresses || s.kind == kindStages }

// value is what a parsed text stands for, as far as koanf does not see it by itself.
func (s setting) value(text string) any {
	switch {
	case s.list() && text == "":
		return []string{}
	case s.list():
		return split(text)
	case s.kind == kindDuration && text == "":
		return time.Duration(0)
	}
	return text
}

// settingOf finds a setting by its name.
func settingOf(name string) (setting, bool) {
	for _, s := range settingsTable() {
		if s.name == name {
			return s, true
		}
	}
	return setting{}, false
}
