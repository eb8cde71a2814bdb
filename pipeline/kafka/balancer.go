package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	kafkago "github.com/segmentio/kafka-go"
)

// balancer spreads the partitions of each topic evenly over its members, and leaves with each what it holds,
// as far as that is even: a moved partition is a takeover.
type balancer struct {
	held func() (generation int32, partitions []int)
}

// ProtocolName names the rule; members with another cannot share a group with these.
func (balancer) ProtocolName() string { return "aval-sticky" }

const userDataVersion = 1

// UserData tells the leader which partitions this member holds, and since which generation at the latest.
func (b balancer) UserData() ([]byte, error) {
	generation, partitions := b.held()
	slices.Sort(partitions)
	data := binary.AppendVarint([]byte{userDataVersion}, int64(generation))
	for _, p := range partitions {
		data = binary.AppendUvarint(data, uint64(p)) //nolint:gosec // not negative
	}
	return data, nil
}

// claimed is what a member says it holds.
type claimed struct {
	generation int64
	partitions []int
}

// readUserData reads what UserData wrote. What cannot be read claims nothing.
func readUserData(data []byte) (claimed, error) {
	bad := errors.New("the member's data cannot be read")
	if len(data) == 0 || data[0] != userDataVersion {
		return claimed{}, bad
	}
	generation, n := binary.Varint(data[1:])
	if n <= 0 {
		return claimed{}, bad
	}
	c := claimed{generation: generation}
	for data = data[1+n:]; len(data) > 0; data = data[n:] {
		var p uint64
		if p, n = binary.Uvarint(data); n <= 0 || p > 1<<31-1 {
			return claimed{}, bad
		}
		c.partitions = append(c.partitions, int(p))
	}
	return c, nil
}

// AssignGroups gives each partition to one of the members that read its topic.
func (balancer) AssignGroups(
	members []kafkago.GroupMember, partitions []kafkago.Partition,
) kafkago.GroupMemberAssignments {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b kafkago.GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	topics := map[string][]int{}
	for _, p := range partitions {
		topics[p.Topic] = append(topics[p.Topic], p.ID)
	}
	assignments := kafkago.GroupMemberAssignments{}
	load := map[string]int{}
	for _, m := range members {
		assignments[m.ID] = map[string][]int{}
	}
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		var readers []kafkago.GroupMember
		for _, m := range members {
			if slices.Contains(m.Topics, topic) {
				readers = append(readers, m)
			}
		}
		if len(readers) == 0 {
			continue
		}
		slices.Sort(topics[topic])
		for id, share := range balance(readers, slices.Compact(topics[topic]), load) {
			assignments[id][topic] = share
			load[id] += len(share)
		}
	}
	return assignments
}

// balance shares the partitions of one topic out. The load is what members have of other topics: who has less
// gets what is left over.
func balance(members []kafkago.GroupMember, partitions []int, load map[string]int) map[string][]int {
	kept := keep(members, partitions)
	least, over := len(partitions)/len(members), len(partitions)%len(members)
	order := slices.Clone(members)
	slices.SortFunc(order, func(a, b kafkago.GroupMember) int { // who already has more keeps it
		return cmp.Or(
			-cmp.Compare(min(len(kept[a.ID]), least+1), min(len(kept[b.ID]), least+1)),
			cmp.Compare(load[a.ID], load[b.ID]), cmp.Compare(a.ID, b.ID))
	})
	shares := map[string][]int{}
	taken := map[int]bool{}
	room := map[string]int{}
	for i, m := range order {
		quota := least
		if i < over {
			quota++
		}
		share := kept[m.ID][:min(len(kept[m.ID]), quota)]
		shares[m.ID] = slices.Clone(share)
		room[m.ID] = quota - len(share)
		for _, p := range share {
			taken[p] = true
		}
	}
	i := 0
	for _, p := range partitions {
		if taken[p] {
			continue
		}
		for room[order[i].ID] == 0 {
			i++
		}
		shares[order[i].ID] = append(shares[order[i].ID], p)
		room[order[i].ID]--
	}
	for _, share := range shares {
		slices.Sort(share)
	}
	return shares
}

// keep returns what each member holds. Of a partition that several claim, the one with the latest generation
// holds it.
func keep(members []kafkago.GroupMember, partitions []int) map[string][]int {
	type holder struct {
		id         string
		generation int64
	}
	holders := map[int]holder{}
	for _, m := range members {
		c, err := readUserData(m.UserData)
		if err != nil {
			continue
		}
		for _, p := range c.partitions {
			if h, ok := holders[p]; !ok || c.generation > h.generation {
				holders[p] = holder{id: m.ID, generation: c.generation}
			}
		}
	}
	kept := map[string][]int{}
	for _, p := range partitions {
		if h, ok := holders[p]; ok {
			kept[h.id] = append(kept[h.id], p)
		}
	}
	return kept
}
