package kafka

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"pgregory.net/rapid"
)

// someGroup draws members, what they claim, and partitions.
func someGroup(t *rapid.T) (members []kafkago.GroupMember, partitions []kafkago.Partition,
	claims map[string]claimed,
) {
	claims = map[string]claimed{}
	topics := []string{"a", "b"}[:rapid.IntRange(1, 2).Draw(t, "topics")]
	counts := map[string]int{}
	for _, topic := range topics {
		counts[topic] = rapid.IntRange(1, 30).Draw(t, "partitions")
		for p := range counts[topic] {
			partitions = append(partitions, kafkago.Partition{Topic: topic, ID: p})
		}
	}
	for i := range rapid.IntRange(1, 9).Draw(t, "members") {
		topic := rapid.SampledFrom(topics).Draw(t, "topic")
		c := claimed{generation: rapid.Int64Range(-1, 5).Draw(t, "generation")}
		c.partitions = rapid.SliceOfNDistinct(rapid.IntRange(0, 31), 0, -1, rapid.ID).Draw(t, "held")
		slices.Sort(c.partitions)
		data, err := balancer{held: func() (int32, []int) {
			return int32(c.generation),
				c.partitions
		}}.UserData()
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 9).Draw(t, "garbage") == 0 {
			data, c = []byte{9, 9, 9}, claimed{}
		}
		m := kafkago.GroupMember{ID: fmt.Sprintf("m%d", i), Topics: []string{topic}, UserData: data}
		members, claims[m.ID] = append(members, m), c
	}
	return members, partitions, claims
}

func TestBalance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		members, partitions, claims := someGroup(t)
		got := balancer{}.AssignGroups(members, partitions)

		shuffled := rapid.Permutation(members).Draw(t, "members")
		if again := (balancer{}).AssignGroups(shuffled, rapid.Permutation(partitions).Draw(t,
			"partitions")); !reflect.DeepEqual(got, again) {
			t.Fatalf("the order of the members matters: %v, %v", got, again)
		}
		owners := map[place]string{}
		for id, topics := range got {
			for topic, ids := range topics {
				for _, p := range ids {
					at := place{topic: topic, partition: int32(p)}
					if owners[at] != "" {
						t.Fatalf("%v is given to %s and %s", at, owners[at], id)
					}
					owners[at] = id
				}
			}
		}
		for _, topic := range []string{"a", "b"} {
			checkTopic(t, topic, members, partitions, got, owners, claims)
		}
	})
}

func checkTopic(
	t *rapid.T, topic string, members []kafkago.GroupMember, partitions []kafkago.Partition,
	got kafkago.GroupMemberAssignments, owners map[place]string, claims map[string]claimed,
) {
	var readers []string
	for _, m := range members {
		if slices.Contains(m.Topics, topic) {
			readers = append(readers, m.ID)
		} else if len(got[m.ID][topic]) > 0 {
			t.Fatalf("%s gets partitions of a topic that it does not read", m.ID)
		}
	}
	count := 0
	for _, p := range partitions {
		if p.Topic == topic {
			count++
		}
	}
	if len(readers) == 0 || count == 0 {
		return
	}
	least, over := count/len(readers), count%len(readers)
	// What each may keep at most in an even share is what must stay.
	holders := map[string]int{}
	for p := range count {
		holder, latest := "", int64(-2)
		for _, id := range slices.Sorted(slices.Values(readers)) {
			if c := claims[id]; slices.Contains(c.partitions, p) && c.generation > latest {
				holder, latest = id, c.generation
			}
		}
		if holder != "" {
			holders[holder]++
		}
	}
	must, above, stayed := 0, 0, 0
	for _, id := range readers {
		if n := len(got[id][topic]); n != least && n != least+1 {
			t.Fatalf("%s gets %d of %d partitions among %d", id, n, count, len(readers))
		}
		must += min(holders[id], least)
		if holders[id] > least && above < over {
			above++
		}
	}
	must += above
	for p := range count {
		owner, ok := owners[place{topic: topic, partition: int32(p)}]
		if !ok {
			t.Fatalf("%s/%d is given to nobody", topic, p)
		}
		if holderOf(readers, claims, p) == owner {
			stayed++
		}
	}
	if stayed != must {
		t.Fatalf("%d partitions of %s stay, %d could", stayed, topic, must)
	}
}

func holderOf(readers []string, claims map[string]claimed, p int) string {
	holder, latest := "", int64(-2)
	for _, id := range slices.Sorted(slices.Values(readers)) {
		if c := claims[id]; slices.Contains(c.partitions, p) && c.generation > latest {
			holder, latest = id, c.generation
		}
	}
	return holder
}

func TestUserData(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"empty": nil, "another version": {2, 0}, "no generation": {1}, "half a number": {1, 2, 0x80},
		"too large": {1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if _, err := readUserData(data); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
}
