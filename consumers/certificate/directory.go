package certificate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// ErrNoVersion says that the directory's topic ends before the version, or holds none there. Who stamps a
// version has read it in the topic, so it will not come.
var ErrNoVersion = errors.New("the directory has no such version")

// Directories is the part of the directory's topic that routing and funding need.
type Directories interface {
	// At returns a version of the directory, or ErrNoVersion. Every other error means "not now".
	At(version uint64) (*Directory, error)
}

// lookUp returns the version, or why it is none. An error means "not now".
func lookUp(directories Directories, version uint64) (d *Directory, fault string, err error) {
	d, err = directories.At(version)
	switch {
	case errors.Is(err, ErrNoVersion):
		fault = fmt.Sprintf("directory_version %d is none: stamp one that the directory's topic holds", version)
		return nil, fault, nil
	case err != nil:
		return nil, "", fmt.Errorf("read directory version %d: %w", version, err)
	}
	return d, "", nil
}

// Directory is one version of the directory of participants, made to look banks up. It does not change.
type Directory struct {
	banks    map[string]*schemas.Participant
	contacts map[string]*schemas.Participant // by address or number
	domains  map[string]*schemas.Participant // by "@domain"
}

// NewDirectory makes a directory of its message, which must not change from then on. Where two participants
// answer for the same, the first one listed does.
func NewDirectory(d *schemas.Directory) *Directory {
	x := &Directory{
		banks:    map[string]*schemas.Participant{},
		contacts: map[string]*schemas.Participant{},
		domains:  map[string]*schemas.Participant{},
	}
	for _, p := range d.GetParticipants() {
		first(x.banks, p.GetBank(), p)
		for _, contact := range p.GetContacts() {
			if strings.HasPrefix(contact, "@") {
				first(x.domains, strings.ToLower(contact), p)
			} else {
				first(x.contacts, normal(contact), p)
			}
		}
	}
	return x
}

func first(m map[string]*schemas.Participant, key string, p *schemas.Participant) {
	if _, ok := m[key]; !ok {
		m[key] = p
	}
}

// IssuingBank resolves the issuing information: to the bank that it names, that keeps the account, or that
// answers for the contact.
func (x *Directory) IssuingBank(issuing *schemas.IssuingInformation) (*schemas.Participant, bool) {
	switch kind := issuing.GetKind().(type) {
	case *schemas.IssuingInformation_Bank:
		return x.Bank(kind.Bank)
	case *schemas.IssuingInformation_Account:
		return x.Account(kind.Account)
	case *schemas.IssuingInformation_Contact:
		return x.Contact(kind.Contact)
	}
	return nil, false
}

// Bank returns the participant that has the identifier.
func (x *Directory) Bank(id string) (*schemas.Participant, bool) {
	p, ok := x.banks[id]
	return p, ok
}

// Account returns the participant that keeps the account.
func (x *Directory) Account(account string) (*schemas.Participant, bool) {
	bank, ok := schemas.BankOf(account)
	if !ok {
		return nil, false
	}
	return x.Bank(bank)
}

// Contact returns the participant that answers for exactly this contact, else for its whole e-mail domain.
func (x *Directory) Contact(contact string) (*schemas.Participant, bool) {
	contact = normal(contact)
	if p, ok := x.contacts[contact]; ok {
		return p, true
	}
	at := strings.LastIndexByte(contact, '@')
	if at < 1 {
		return nil, false
	}
	p, ok := x.domains[contact[at:]]
	return p, ok
}

// normal is the contact with its e-mail domain in lower case: domains know no case, what stands before may.
func normal(contact string) string {
	at := strings.LastIndexByte(contact, '@')
	if at < 0 {
		return contact
	}
	return contact[:at] + strings.ToLower(contact[at:])
}
