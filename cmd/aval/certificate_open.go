package main

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/schemas"
)

// openPage is how many open pre-issues are looked up at a time.
const openPage = 500

// open lists the pre-issues that wait for their buyers, the newest first. The book says which are open, the register
// where they were offered, and the log in what words: so however many were decided before costs nothing. Of each
// partition's open ones it holds a few bytes at a time; without a limit they are printed as they are found.
func (l *list) open(ctx context.Context) error {
	l.progress.Stage("look through open pre-issues", 0)
	defer l.progress.Done()
	// What the book has decided by now is to be found, as soon as the register has heard of it.
	if _, err := l.system.registerHears(ctx); err != nil {
		return err
	}
	newest := &newestHeap{}
	unheard := 0
	for partition := range l.system.partitions {
		marks, unknown, err := l.openMarks(ctx, partition)
		if err != nil {
			return err
		}
		unheard += unknown
		if err := l.openOffers(ctx, partition, marks, newest); err != nil {
			return errors.Join(err, l.close())
		}
	}
	ordered := *newest
	slices.SortFunc(ordered, func(a, b found[listed]) int {
		return cmp.Or(b.time.Compare(a.time), cmp.Compare(a.item.InvitationID, b.item.InvitationID))
	})
	for _, f := range ordered {
		if err := l.print(f.item); err != nil {
			return err
		}
	}
	if unheard > 0 {
		next(l.stderr, "%d more are open that the register has not heard of yet, or has forgotten", unheard)
	}
	return l.close()
}

// openMarks returns the offers of a partition that are open and may be wanted, of at most so many as are the newest.
func (l *list) openMarks(ctx context.Context, partition int) (marks []register.Mark, unheard int, err error) {
	var ids []string
	look := func() error {
		rows, err := l.stories.Rows(ctx, partition, ids...)
		if err != nil {
			return err
		}
		l.progress.Add(len(ids))
		for _, row := range rows {
			m, ok := row.Offer()
			switch {
			case !ok:
				unheard++
			case m.Second >= l.from.Unix() && (l.buyer == "" || row.OfBuyer(l.buyer)):
				marks = append(marks, m)
			}
		}
		ids = ids[:0]
		return nil
	}
	store := l.system.store(preissue.Book{})
	err = store.Rows(ctx, partition, preissue.TableOpen, func(id, _ string) error {
		if ids = append(ids, id); len(ids) < openPage {
			return nil
		}
		return look()
	})
	if err == nil {
		err = look()
	}
	if err != nil {
		return nil, 0, err
	}
	if nothingElse := l.seller+l.reference+l.issuing+l.receiving+l.buyer == ""; nothingElse && l.limit > 0 {
		slices.SortFunc(marks, func(a, b register.Mark) int { return cmp.Compare(b.Second, a.Second) })
		marks = marks[:min(len(marks), l.limit)]
	}
	return marks, unheard, nil
}

// openOffers reads offers, and keeps the newest ones, or prints all where there is no limit.
func (l *list) openOffers(
	ctx context.Context, partition int, marks []register.Mark, newest *newestHeap,
) error {
	offsets := make([]int64, len(marks))
	for i, m := range marks {
		offsets[i] = m.Offset
	}
	return l.stories.Facts(ctx, schemas.TopicPreIssues, partition, offsets, func(f register.Fact) error {
		item, ok := f.Body.(*schemas.PreIssue)
		a := agreedIn(item.GetRequest().GetTerms())
		if !ok || !l.takes(a) || f.Time.Before(l.from) {
			return nil
		}
		x := listedOf(f, register.StateOpen, a)
		if l.limit == 0 {
			return l.print(x)
		}
		if heap.Push(newest, found[listed]{item: x, time: f.Time}); newest.Len() > l.limit {
			heap.Pop(newest)
		}
		return nil
	})
}

// newestHeap holds the newest ones: the oldest of them is its first.
type newestHeap []found[listed]

func (h newestHeap) Len() int           { return len(h) }
func (h newestHeap) Less(i, j int) bool { return h[i].time.Before(h[j].time) }
func (h newestHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *newestHeap) Push(x any) {
	f, _ := x.(found[listed])
	*h = append(*h, f)
}

// Pop implements heap.Interface.
func (h *newestHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
