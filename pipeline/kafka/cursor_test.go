package kafka

import "testing"

// Readers of one partition share a request where one answer serves them; whoever stands before what is asked for is
// left out of it, comes next, and is not waited for.
func TestChoose(t *testing.T) {
	t.Parallel()
	at := place{topic: "t"}
	for name, test := range map[string]struct {
		turn   int
		stands []int64
		from   int64
		asked  int
	}{
		"alone":                       {turn: 1, stands: []int64{7}, from: 7, asked: 1},
		"together":                    {turn: 1, stands: []int64{7, 7, 7}, from: 7, asked: 3},
		"who is behind, with all":     {turn: 0, stands: []int64{9, 4, 9}, from: 4, asked: 3},
		"who is ahead, without him":   {turn: 1, stands: []int64{9, 4, 9}, from: 9, asked: 2},
		"who is in between, and more": {turn: 5, stands: []int64{9, 4, 7}, from: 7, asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := poll{wait: fetchWait, at: map[place]int{}}
			var cursors []*cursor
			for _, next := range test.stands {
				c := &cursor{place: at, next: next, room: 10, fresh: true}
				cursors = append(cursors, c)
				p.add(c)
			}
			wants := p.choose(test.turn)
			if len(wants) != 1 || wants[0] != (want{place: at, from: test.from, bytes: 10}) {
				t.Errorf("asked for %+v", wants)
			}
			asked := 0
			for _, c := range cursors {
				if c.polled {
					asked++
				}
				if c.polled != (c.next >= test.from) || c.polled == c.fresh {
					t.Errorf("the cursor at %d: polled %t, fresh %t", c.next, c.polled, c.fresh)
				}
			}
			if asked != test.asked || (p.wait == 0) != (asked < len(cursors)) {
				t.Errorf("asked for %d readers, waits %v", asked, p.wait)
			}
		})
	}
}
