package main_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	signing "github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// heard is what aval listen prints.
type heard struct {
	ID        string
	Signature string
	Try       int
	Repeat    bool
	Status    int
	Problem   string
	Type      string
	Payload   struct {
		Type      string
		Timestamp time.Time
		Data      json.RawMessage
	}
}

func heardFrom(t *testing.T, p *process) []heard {
	t.Helper()
	var all []heard
	for line := range strings.Lines(p.stdout.String()) {
		var h heard
		if !strings.HasSuffix(line, "\n") {
			continue // it is being written
		}
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, h)
	}
	return all
}

// listen starts aval listen on a free port.
func listen(t *testing.T, args ...string) (p *process, url string) {
	t.Helper()
	p = start(t, append([]string{"listen", "--port", "0", "-o", "ndjson"}, args...)...)
	form := regexp.MustCompile(`listening on (http://\S+)`)
	p.awaitLog(t, form.String(), 1)
	found := form.FindStringSubmatch(p.stderr.String())
	if found == nil {
		t.Fatalf("aval listen ended: %s", p.stderr)
	}
	return p, found[1]
}

// webhookKey makes a file with a key, and returns it.
func webhookKey(t *testing.T, id string, args ...string) (file, secret string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "webhook keys")
	code, stdout, stderr := run(t, append([]string{"notice", "keys", "generate", file, "--id", id}, args...)...)
	info, err := os.Stat(file)
	if code != 0 || err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("generate a key: %d, %v, %v: %s", code, info, err, stderr)
	}
	secret = strings.Fields(string(readFile(t, file)))[1]
	if strings.Contains(stdout+stderr, secret[8:]) {
		t.Errorf("the key is printed: %s%s", stdout, stderr)
	}
	return file, secret
}

// TestWebhooks has a buyer and a bank told by webhook, over the whole system.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			namespace := localtest.Namespace(t)
			servers := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace}
			file, secret := webhookKey(t, "shop")
			listener, url := listen(t, "--key", "shop", "--webhook-keys", file, "--fail", "1")
			stages := start(t, append([]string{"run", "--dev", "--webhook-keys", file}, servers...)...)
			stages.awaitLog(t, "msg=running", 1)
			publishParties(t, pair, namespace, map[string]string{"b1": url, demo.ReceivingBank: url + "/bank"})
			time.Sleep(time.Second) // by then the directory's new version is known

			orders := head + "o1,s1,b1,1.00,BRL,boleto,delivered\no2,s1,b2,1.00,BRL,boleto,delivered\n"
			j := newJob(t, []byte(orders), "1000")
			j.judge(t, start(t, j.args(append(servers, "--attach")...)...))
			want := append(inboxOf(t, servers, "b1"), inboxOf(t, servers, demo.ReceivingBank)...)
			types := map[string]bool{}
			taken := func() (ids []string) {
				for _, h := range heardFrom(t, listener) {
					if h.Signature != "valid" || h.Try > 1 && h.Status == http.StatusInternalServerError {
						t.Fatalf("heard %+v", h)
					}
					if h.Status == http.StatusOK {
						ids = append(ids, h.ID)
						types[h.Payload.Type] = true
					}
				}
				slices.Sort(ids)
				return ids
			}
			slices.Sort(want)
			await(t, "all were taken", func() bool { return slices.Equal(taken(), want) })
			if !types["pre_issue.offered"] || !types["certificate.issued"] {
				t.Errorf("the webhooks were of %v", types)
			}
			stages.signal(t, syscall.SIGTERM)
			if code := stages.wait(t); code != 0 {
				t.Errorf("aval run ended with %d", code)
			}
			if log := stages.stderr.String(); strings.Contains(log, secret[8:]) || strings.Contains(log, "/bank") {
				t.Errorf("the log tells a secret:\n%s", log)
			}
			listener.signal(t, os.Interrupt)
			if code := listener.wait(t); code != 0 {
				t.Errorf("aval listen ended with %d", code)
			}
		})
	}
}

// publishParties publishes the demo's directory with these webhooks.
func publishParties(t *testing.T, pair localtest.Pair, namespace string, urls map[string]string) {
	t.Helper()
	public := map[string][]*schemas.PublicKey{}
	for bank, of := range map[string]string{
		demo.IssuingBank: namespace, demo.ReceivingBank: namespace + "-receiving",
	} {
		id, key := signing.DemonstrationKey(of)
		ed25519Key, _ := key.Public().(ed25519.PublicKey)
		public[bank] = []*schemas.PublicKey{{Id: id, Ed25519: ed25519Key}}
	}
	d := demo.Directory(nil, public)
	for id, url := range urls {
		d.Parties = append(d.Parties, &schemas.Party{Id: id, WebhookUrl: url, WebhookKeyId: "shop"})
	}
	record := encode(t, schemas.TopicDirectory, "parties", d)
	record.Partition = 0
	if err := connect(t, pair.Kafka, namespace).Publish(t.Context(), []pipeline.Record{record}); err != nil {
		t.Fatal(err)
	}
}

// inboxOf are the identifiers of an inbox's notices, as aval notice list tells them.
func inboxOf(t *testing.T, servers []string, recipient string) (ids []string) {
	t.Helper()
	args := append([]string{"notice", "list", "--recipient", recipient, "-o", "json"}, servers...)
	code, stdout, stderr := run(t, args...)
	var all []struct {
		ID     string
		Offset int64
		Time   time.Time
		Notice struct{ Recipient struct{ ID string } }
	}
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil || len(all) == 0 {
		t.Fatalf("aval notice list: %d, %v: %s%s", code, err, stdout, stderr)
	}
	for i, n := range all {
		if n.Notice.Recipient.ID != recipient || n.Time.IsZero() || i > 0 && n.Offset <= all[i-1].Offset {
			t.Errorf("the inbox of %s has %+v", recipient, n)
		}
		ids = append(ids, n.ID)
	}
	return ids
}

// TestInbox reads an inbox from places on, and follows it.
func TestInbox(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			namespace := localtest.Namespace(t)
			servers := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace}
			if code, _, stderr := run(t, append([]string{"topics", "create", "--dev"}, servers...)...); code != 0 {
				t.Fatal(stderr)
			}
			log := connect(t, pair.Kafka, namespace)
			tell := func(id, recipient string) {
				record := encode(t, schemas.TopicNotices, id, &schemas.Notice{
					Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: recipient},
					Subject:   schemas.Subject_SUBJECT_REFUSED, InvitationId: "i1",
					Reason: schemas.Reason_REASON_DECLINED,
				})
				if err := log.Publish(t.Context(), []pipeline.Record{record}); err != nil {
					t.Fatal(err)
				}
			}
			list := func(args ...string) string {
				args = append([]string{"notice", "list", "--recipient", "maria"}, args...)
				code, stdout, stderr := run(t, append(args, servers...)...)
				if code != 0 {
					t.Fatalf("%v: %d: %s", args, code, stderr)
				}
				return stdout
			}
			if got := list(); got != "" {
				t.Errorf("an empty inbox has %q", got)
			}
			for _, id := range []string{"n1", "n2", "n3"} {
				tell(id, "maria")
				tell("other-"+id, "other")
			}
			future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			for args, want := range map[string]string{
				"": "n1 n2 n3", "--limit 2": "n1 n2", "--from 999": "", "--from 0 --limit 1": "n1",
				"--from 2026-01-31T10:00:00Z": "n1 n2 n3", "--from " + future: "",
			} {
				got := regexp.MustCompile(`\bn\d\b`).FindAllString(list(strings.Fields(args)...), -1)
				if strings.Join(got, " ") != want {
					t.Errorf("aval notice list %s tells %v, want %s", args, got, want)
				}
			}
			args := []string{"notice", "follow", "--recipient", "maria", "-o", "ndjson"}
			follow := start(t, append(args, servers...)...)
			for n := 0; follow.stdout.String() == ""; n++ { // it begins behind what was there when it came
				tell("n4", "maria")
				time.Sleep(200 * time.Millisecond)
				if n == 200 || !follow.running() {
					t.Fatalf("aval notice follow tells nothing: %s", follow.stderr)
				}
			}
			if got := follow.stdout.String(); !strings.Contains(got, `"id":"n4"`) || strings.Contains(got, `"n3"`) {
				t.Errorf("aval notice follow tells %s", got)
			}
			follow.signal(t, os.Interrupt)
			if code := follow.wait(t); code != 0 {
				t.Errorf("aval notice follow ended with %d", code)
			}
		})
	}
}

// TestListen sends aval listen what is right and what is not.
func TestListen(t *testing.T) {
	t.Parallel()
	file, secret := webhookKey(t, "shop")
	key, err := notice.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"type":"certificate.refused","timestamp":"2026-01-31T10:00:00Z","data":{}}`
	post := func(url, id, body string, change func(r *http.Request)) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		notice.Sign(r.Header, []notice.Key{key}, id, time.Now(), []byte(body))
		if change != nil {
			change(r)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // it has none
		return response.StatusCode
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}

	listener, url := listen(t, "--key", file, "--limit", "8")
	for i, c := range []struct {
		id, body string
		change   func(r *http.Request)
		status   int
		want     string // signature, problem
	}{
		{"w1", body, nil, 200, "valid "},
		{"w1", body, nil, 200, "valid  repeat"},
		{"w2", "{", nil, 200, "valid its body is no JSON"},
		{"w3", body, header(notice.HeaderID, "w4"), 401, "invalid " + notice.ErrSignature.Error()},
		{"w3", body, header(notice.HeaderTimestamp, "1"), 401, "invalid " + notice.ErrTimestamp.Error()},
		{"w3", body, header(notice.HeaderSignature, ""), 401, "invalid " + notice.ErrHeaders.Error()},
		{strings.Repeat("x", 300), body, nil, 400, "invalid its id is too long"},
		{"w3", body, func(r *http.Request) { r.Method = http.MethodPut }, 405, "invalid it is no POST"},
	} {
		if got := post(url, c.id, c.body, c.change); got != c.status {
			t.Errorf("%d: it is answered with %d, want %d", i, got, c.status)
		}
		await(t, "it is printed", func() bool { return len(heardFrom(t, listener)) > i })
		h := heardFrom(t, listener)[i]
		got := h.Signature + " " + h.Problem
		if h.Repeat {
			got += " repeat"
		}
		if got != c.want || h.Status != c.status {
			t.Errorf("%d: it prints %+v, want %s", i, h, c.want)
		}
	}
	if code := listener.wait(t); code != 0 {
		t.Errorf("aval listen ended with %d: %s", code, listener.stderr)
	}
	if text := listener.stdout.String() + listener.stderr.String(); strings.Contains(text, secret[8:]) {
		t.Error("it tells the key")
	}

	_, url = listen(t, "--fail", "2", "--status", "503")
	if got := []int{post(url, "a", body, nil), post(url, "a", body, nil), post(url, "a", body, nil)}; !slices.Equal(
		got, []int{503, 503, 200}) {
		t.Errorf("--fail 2 --status 503 answers %v", got)
	}
	_, url = listen(t, "--status", "410")
	if got := []int{post(url, "a", body, nil), post(url, "a", body, nil)}; !slices.Equal(got, []int{410, 410}) {
		t.Errorf("--status 410 answers %v", got)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	wrongUsage(t, []string{"choose another --port"}, "listen", "--port", port)
}

// wrongUsage expects exit code 2 and a message, which it returns.
func wrongUsage(t *testing.T, says []string, args ...string) (stderr string) {
	t.Helper()
	code, stdout, stderr := run(t, args...)
	if code != exitUsage || stdout != "" {
		t.Errorf("aval %v ended with %d: %s", args, code, stdout)
	}
	for _, text := range says {
		if !strings.Contains(stderr, text) {
			t.Errorf("aval %v says %s, want %s in it", args, stderr, text)
		}
	}
	return stderr
}

// TestWebhookUsage names keys, places and numbers that are none. No message tells a key.
func TestWebhookUsage(t *testing.T) {
	t.Parallel()
	file, secret := webhookKey(t, "shop")
	folder := t.TempDir()
	swapped, broken := filepath.Join(folder, "swapped"), filepath.Join(folder, "broken")
	empty := filepath.Join(folder, "empty")
	writeFile(t, swapped, []byte(secret+" shop\n"))
	writeFile(t, broken, []byte("# mine\nshop "+secret[:30]+"\n"))
	writeFile(t, empty, nil)
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"notice", "keys", "generate", file, "--id", "shop"}, []string{"has a key of shop", "--add"}},
		{[]string{"notice", "keys", "generate", file, "--id", "a b"}, []string{"--id", "0-9 A-Z a-z"}},
		{[]string{"notice", "keys", "generate", broken, "--id", "x"}, []string{broken, "line 2", "the key of shop"}},
		{[]string{"notice", "keys", "generate", "/nowhere/x", "--id", "x"}, []string{"/nowhere/x", "no such file"}},
		{[]string{"notice", "keys", "list", swapped}, []string{swapped, "line 1", "the id comes first"}},
		{[]string{"listen", "--port", "0", "--key", broken}, []string{broken, "line 2"}},
		{[]string{"listen", "--port", "0", "--key", empty}, []string{"no key in it"}},
		{[]string{"listen", "--port", "0", "--key", "x", "--webhook-keys", file}, []string{"no key of --webhook-keys"}},
		{[]string{"listen", "--port", "0", "--status", "99"}, []string{"--status"}},
		{[]string{"listen"}, []string{"port"}},
		{[]string{"run", "--webhook-keys", broken}, []string{"--webhook-keys", broken, "line 2"}},
		{[]string{"run", "--webhook-give-up", "0s"}, []string{"--webhook-give-up", "must be 1s to 336h"}},
		{[]string{"demo", "--webhook-keys", swapped}, []string{"--webhook-keys", "line 1"}},
		{[]string{"notice", "list", "--recipient", "maria", "--from", "yesterday"}, []string{"--from", "an offset"}},
		{[]string{"notice", "list", "--recipient", ""}, []string{"--recipient"}},
		{[]string{"notice", "list"}, []string{"recipient"}},
		{[]string{"notice", "follow", "--recipient", "maria", "--limit", "-1"}, []string{"--limit"}},
	} {
		if stderr := wrongUsage(t, c.says, c.args...); strings.Contains(stderr, secret[8:25]) {
			t.Errorf("aval %v tells a key: %s", c.args, stderr)
		}
	}
	before := readFile(t, file)
	code, _, stderr := run(t, "notice", "keys", "generate", file, "--id", "shop", "--add", "--asymmetric")
	if code != 0 {
		t.Errorf("a second key: %d: %s", code, stderr)
	}
	keys, err := notice.ReadKeys(file)
	if err != nil || len(keys["shop"]) != 2 || !bytes.HasPrefix(readFile(t, file), before) {
		t.Errorf("the keys are %v, %v", keys, err)
	}
	code, stdout, _ := run(t, "notice", "keys", "list", file, "-o", "ndjson")
	if code != 0 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, `"public_key":"whpk_`) ||
		strings.Contains(stdout, "whsec_") || strings.Contains(stdout, "whsk_") {
		t.Errorf("the list is %d %s", code, stdout)
	}
}
