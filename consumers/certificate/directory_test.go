package certificate_test

import (
	"testing"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

func TestDirectoryContact(t *testing.T) {
	t.Parallel()
	directory := certificate.NewDirectory(participants())
	tests := map[string]struct{ contact, want string }{
		"exact address beats its domain": {"boss@paga.example", receivingBank},
		"domain":                         {"joe@paga.example", issuingBank},
		"domains know no case":           {"joe@PAGA.eXample", issuingBank},
		"nor do those of addresses":      {"Eva@AVALON.example", issuingBank},
		"what stands before does":        {"eva@avalon.example", ""},
		"the last @ begins the domain":   {`"a@b"@paga.example`, issuingBank},
		"number":                         {"+5511999", receivingBank},
		"longer number":                  {"+55119990", ""},
		"shorter number":                 {"+551199", ""},
		"subdomain":                      {"joe@mail.paga.example", ""},
		"domain alone is no address":     {"@paga.example", ""},
		"other domain":                   {"joe@example", ""},
		"nothing":                        {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := directory.Contact(test.contact)
			if got.GetBank() != test.want || ok != (test.want != "") {
				t.Errorf("Contact(%q) = %q, %t, want %q", test.contact, got.GetBank(), ok, test.want)
			}
		})
	}
}

func TestDirectoryFirstParticipantAnswers(t *testing.T) {
	t.Parallel()
	directory := certificate.NewDirectory(&schemas.Directory{Participants: []*schemas.Participant{
		{Bank: receivingBank, Contacts: []string{"@same.example"}},
		{Bank: issuingBank, Contacts: []string{"@SAME.example"}},
	}})
	if got, _ := directory.Contact("joe@same.example"); got.GetBank() != receivingBank {
		t.Errorf("got %q, want the first", got.GetBank())
	}
}

func TestDirectoryBankAndAccount(t *testing.T) {
	t.Parallel()
	directory := certificate.NewDirectory(participants())
	if p, ok := directory.Bank(issuingBank); !ok || p.GetBank() != issuingBank {
		t.Errorf("Bank() = %v, %t", p, ok)
	}
	for account, want := range map[string]string{
		mariaAccount: issuingBank, "NONEBRSP/1": "", issuingBank: "", issuingBank + "/": "", "": "",
	} {
		if p, ok := directory.Account(account); p.GetBank() != want || ok != (want != "") {
			t.Errorf("Account(%q) = %q, %t, want %q", account, p.GetBank(), ok, want)
		}
	}
	if p, ok := directory.IssuingBank(nil); ok {
		t.Errorf("IssuingBank(nil) = %v", p)
	}
}
