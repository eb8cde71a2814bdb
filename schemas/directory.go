package schemas

import "crypto/ed25519"

func (x *Directory) faults(c check) {
	if len(x.GetParticipants()) == 0 {
		c.fault("participants", "are missing; a directory has at least one")
	}
	u := unique{
		banks: map[string]bool{}, keys: map[string]bool{}, contacts: map[string]bool{}, parties: map[string]bool{},
	}
	for i, p := range x.GetParticipants() {
		if c.full() {
			return
		}
		p.faults(c.item("participants", i), u)
	}
	for i, p := range x.GetParties() {
		if c.full() {
			return
		}
		p.faults(c.item("parties", i), u)
	}
}

// unique is what stands once in a directory, as far as was looked: else an answer would depend on the order.
type unique struct{ banks, keys, contacts, parties map[string]bool }

func (x *Participant) faults(c check, u unique) {
	c.bank("bank", x.GetBank())
	c.once("bank", x.GetBank(), u.banks)
	c.between("name", x.GetName(), 0, NameMax)
	for i, contact := range x.GetContacts() {
		if c.full() {
			return
		}
		c.between(itemName("contacts", i), contact, 1, ContactMax)
		c.once(itemName("contacts", i), contact, u.contacts)
	}
	signs := false
	for i, key := range x.GetKeys() {
		if c.full() {
			return
		}
		k := c.item("keys", i)
		k.id("id", key.GetId())
		k.once("id", key.GetId(), u.keys)
		if n := len(key.GetEd25519()); n != ed25519.PublicKeySize {
			k.fault("ed25519", "has %d bytes, must have %d", n, ed25519.PublicKeySize)
		}
		signs = signs || key.GetId() == x.GetSigningKeyId()
	}
	if receives := len(x.GetKeys()) == 0 && x.GetSigningKeyId() == ""; !signs && !receives {
		c.fault("signing_key_id", "%s, must be the id of one of keys", sized(x.GetSigningKeyId()))
	}
}

func (c check) once(field, value string, seen map[string]bool) {
	if seen[value] {
		c.fault(field, "%s and stands twice in the directory, must stand once", sized(value))
	}
	seen[value] = true
}
