package book_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// image is a state of Redis.
type image map[string]map[string]string

const headerKey = "test:{toy:0}"

// imagesMax bounds how far Redis goes back.
const imagesMax = 24

func (w *world) image() image {
	image := image{}
	for _, key := range w.redis.Keys() {
		fields, err := w.redis.HKeys(key)
		if err != nil {
			w.t.Fatal(err)
		}
		image[key] = map[string]string{}
		for _, field := range fields {
			image[key][field] = w.redis.HGet(key, field)
		}
	}
	return image
}

func (w *world) restore(image image) {
	w.redis.FlushAll()
	for key, fields := range image {
		for field, value := range fields {
			w.redis.HSet(key, field, value)
		}
	}
}

// gather is called when a batch may land later: faults come together. Somebody else takes over, and what was
// decided is lost, or comes back, and the batch lands, just when it matters.
func (w *world) gather() {
	if w.storm > 0 {
		return
	}
	w.storm, w.forgotten = 4+w.random.IntN(8), false
	former := w.awake.runner.Book
	w.awake = w.processes[w.random.IntN(len(w.processes))]
	for *w.awake = *w.process(); w.awake.runner.Book == former && w.random.IntN(4) > 0; {
		*w.awake = *w.process()
	}
}

// blow is a step of a storm.
func (w *world) blow() {
	w.storm--
	if w.random.IntN(4) == 0 {
		w.produce()
	}
	w.work(w.awake, false)
	switch twins, undone := w.likely(); {
	case len(twins) > 0:
		w.restore(w.one(twins))
	case len(undone) > 0 && w.random.IntN(2) == 0:
		w.restore(w.one(undone))
		w.forgotten = true
	case w.forgotten && w.awake.next >= 0 && w.random.IntN(2) == 0: // it has read the journal
		w.log.land()
	}
}

// harm does what no process does: a batch lands that nobody waits for any more, or Redis loses something.
func (w *world) harm() {
	switch n := w.random.IntN(16); {
	case n < 6:
		w.log.land()
	case n < 15:
		w.goBack()
	default:
		w.redis.FlushAll()
	}
}

// goBack restores an earlier state: any, or, oftener, one that is easily taken for what should be there.
func (w *world) goBack() {
	images, undone := w.likely()
	if len(images) == 0 {
		images = undone
	}
	if len(images) == 0 || w.random.IntN(4) == 0 {
		images = w.images
	}
	if len(images) > 0 {
		w.restore(w.one(images))
	}
}

func (w *world) one(images []image) image { return images[w.random.IntN(len(images))] }

// likely are the earlier states that stand where Redis does and have another history; and those in which a former
// owner's last answer was not given yet.
func (w *world) likely() (twins, undone []image) {
	now := w.header()
	for _, i := range w.images {
		switch h := i[headerKey]; {
		case h["generation"] != now["generation"]:
		case h["epoch"] == now["epoch"] && h["at"] == now["at"] && h["digest"] != now["digest"]:
			twins = append(twins, i)
		case h["epoch"] != now["epoch"] && h["at"] == now["last_from"] && h["digest"] == now["last_digest"]:
			undone = append(undone, i)
		}
	}
	return twins, undone
}

func (w *world) header() map[string]string {
	header := map[string]string{}
	for _, field := range []string{"epoch", "generation", "at", "digest", "last_from", "last_digest"} {
		header[field] = w.redis.HGet(headerKey, field)
	}
	return header
}

// watch is called around each call of the script, by the step and the epoch that the caller names. Only the owner
// whose epoch the header has may change the state. That what a former one decided there would do no harm, since
// it decides only where the history is the one that it names, is no reason to let it: two would undo each other's
// work for ever.
func (w *world) watch(step, epoch string, call func()) {
	w.meanwhile()
	before := w.header()
	call()
	after := w.header()
	w.images = append(w.images, w.image())
	w.images = w.images[max(0, len(w.images)-imagesMax):]
	changed := before["generation"] != after["generation"] || before["at"] != after["at"] ||
		before["digest"] != after["digest"]
	if step != "enter" && changed && before["epoch"] != epoch {
		w.t.Fatalf("the owner of epoch %s could %s in the state of epoch %s", epoch, step, before["epoch"])
	}
	if number(after["epoch"]) < number(before["epoch"]) {
		w.t.Fatalf("the epoch went from %s to %s", before["epoch"], after["epoch"])
	}
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// losses is a connection to Redis that fails in both ways: nothing arrived, or it arrived and nobody was told.
type losses struct {
	random *rand.Rand
	odds   float64
	around func(step, epoch string, call func())
}

func (l *losses) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *losses) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *losses) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !slices.Contains([]string{"evalsha", "eval"}, cmd.Name()) {
			return next(ctx, cmd)
		}
		fails := l.random.Float64() < l.odds
		if fails && l.random.IntN(2) == 0 {
			cmd.SetErr(errDown)
			return errDown
		}
		var err error
		step, epoch := stepOf(cmd)
		l.around(step, epoch, func() { err = next(ctx, cmd) })
		if fails {
			cmd.SetErr(errDown)
			return errDown
		}
		return err
	}
}

// stepOf are the first two arguments of the script: behind the script, the number of keys and the keys.
func stepOf(cmd redis.Cmder) (step, epoch string) {
	args := cmd.Args()
	keys, _ := strconv.Atoi(fmt.Sprint(args[2]))
	return fmt.Sprint(args[3+keys]), fmt.Sprint(args[4+keys])
}
