package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/bench"
)

// unknown is a usage that nobody can tell.
const unknown = time.Duration(-1)

// selfPID is this process, as proc names it.
const selfPID = -1

// meter reads what a bench costs: from the system what runs on this machine, and from Redis what it says itself.
type meter struct {
	system *system
	stages *stagesProcess // nil of stages that run elsewhere
	kafka  int            // process ids; zero of one that is not known
	redis  int
	works  []pipeline.Work // what the stages read
}

// usage is what was used up to now.
func (m *meter) usage(ctx context.Context) (bench.Usage, error) {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return bench.Usage{}, fmt.Errorf("read own usage: %w", err)
	}
	busy, total := machineTime()
	return bench.Usage{
		Aval: processTime(m.stages.pid()), Kafka: processTime(m.kafka), Redis: processTime(m.redis),
		Client: time.Duration(self.Utime.Nano() + self.Stime.Nano()), Busy: busy, Total: total,
		Resident: m.stages.resident(), Done: m.stages.done(ctx),
	}, nil
}

// lag is how many records lie behind the mark that each group of the stages has committed, or are not done yet.
func (m *meter) lag(ctx context.Context) (map[string]int64, error) {
	lag := map[string]int64{}
	for _, w := range m.works {
		marks, err := m.system.kafka.Committed(ctx, w.Config.Group, w.Topic)
		if err != nil {
			return nil, err
		}
		for p, mark := range marks {
			_, end, err := m.system.kafka.Bounds(ctx, w.Topic, p)
			if err != nil {
				return nil, err
			}
			lag[w.Config.Group] += end - max(mark.Offset, 0)
		}
	}
	return lag, nil
}

// ticksPerSecond is in what /proc counts: USER_HZ, which is 100 wherever Linux runs Go.
const ticksPerSecond = 100

func ticks(fields ...string) time.Duration {
	n := int64(0)
	for _, field := range fields {
		n += number(field)
	}
	return time.Duration(n) * time.Second / ticksPerSecond
}

// processTime is the processor time of a process, with that of its children that have ended.
func processTime(pid int) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return unknown
	}
	_, after, ok := bytes.Cut(text, []byte(") ")) // a name may hold anything
	fields := strings.Fields(string(after))
	const user, children = 11, 15 // from the state on: user, system, and those of children
	if !ok || len(fields) < children {
		return unknown
	}
	return ticks(fields[user:children]...)
}

// machineTime is the processor time of all cores: what was used, and all.
func machineTime() (busy, total time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return unknown, unknown
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	const idle, waiting, steal = 4, 5, 8 // guests' time is in user's
	if len(fields) <= steal {
		return unknown, unknown
	}
	total = ticks(fields[1 : steal+1]...)
	return total - ticks(fields[idle], fields[waiting]), total
}

// peak is the most memory that a process had resident, in bytes; zero where nobody can tell.
func peak(pid int) int64 {
	name := strconv.Itoa(pid)
	if pid == selfPID {
		name = "self"
	}
	text, err := os.ReadFile(filepath.Join("/proc", name, "status")) //nolint:gosec // a number
	if err != nil {
		return 0
	}
	_, after, ok := bytes.Cut(text, []byte("VmHWM:"))
	fields := strings.Fields(string(after))
	if !ok || len(fields) == 0 {
		return 0
	}
	return number(fields[0]) << 10
}

// listener is the process of this machine that listens at an address, or zero.
func listener(address string) int {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !local(host) {
		return 0
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(table, int(number(port)), inodes)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, ok := strings.CutPrefix(target, "socket:[")
		if err == nil && ok && inodes[strings.TrimSuffix(inode, "]")] {
			return int(number(strings.Split(link, "/")[2]))
		}
	}
	return 0
}

func local(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// listening adds the inodes of sockets that listen at a port.
func listening(table string, port int, inodes map[string]bool) {
	file, err := os.Open(table) //nolint:gosec // one of two
	if err != nil {
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(file)
	suffix := fmt.Sprintf(":%04X", port)
	const listens, inodeAt = "0A", 9
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > inodeAt && strings.HasSuffix(fields[1], suffix) && fields[3] == listens {
			inodes[fields[inodeAt]] = true
		}
	}
}

// machine is this one.
func machine() bench.Machine {
	m := bench.Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH}
	text, _ := os.ReadFile("/proc/cpuinfo") // where there is none the model is not known
	if _, after, ok := strings.Cut(string(text), "model name"); ok {
		line, _, _ := strings.Cut(after, "\n")
		m.Model = strings.Trim(line, "\t :")
	}
	return m
}

// known says whether this machine tells what its processes cost.
func known() bool { return processTime(os.Getpid()) != unknown }

// describe fills in where and when it was measured.
func (m *meter) describe(ctx context.Context, r *bench.Report) {
	r.At, r.Machine, r.Versions = time.Now().UTC(), machine(), m.versions(ctx)
	r.Client(peak(selfPID))
}

var kafkaVersion = regexp.MustCompile(`kafka[_-](?:[0-9.]+-)?([0-9]+\.[0-9]+\.[0-9]+)`)

// versions are those of what is measured, as far as they are known.
func (m *meter) versions(ctx context.Context) map[string]string {
	versions := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				versions["aval"] = s.Value
			}
		}
	}
	command, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.kafka), "cmdline"))
	if found := kafkaVersion.FindSubmatch(command); found != nil {
		versions["kafka"] = string(found[1])
	}
	if m.system == nil {
		return versions
	}
	_ = m.system.eachRedis(ctx, func(ctx context.Context, c redis.Cmdable) error {
		info, err := c.InfoMap(ctx, "server").Result()
		if err == nil {
			versions["redis"] = info["Server"]["redis_version"]
		}
		return err
	})
	return versions
}
