package email

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/event/drawn"
)

func FuzzRender(f *testing.F) { drawn.Fuzz(f, inert) }

func FuzzParseAddresses(f *testing.F) {
	for _, to := range []string{"a@example.com", "a@example.com, B <b@example.com>", "a@example.com,,", "a@example.com\r\nBcc: c@example.com", `"a,b"@example.com`, "ä@exämple.com", "nobody"} {
		f.Add("notifier@example.com", to)
	}
	f.Add("", "")
	f.Add("x", "a@example.com")
	f.Fuzz(func(t *testing.T, from, to string) {
		sender, recipients, err := ParseAddresses(from, to)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "Email") || sender != "" || recipients != nil {
				t.Errorf("%q, %q: %q, %q, %v", from, to, sender, recipients, err)
			}
			return
		}
		if len(recipients) > 0 && sender == "" {
			t.Errorf("%q, %q: nobody sends to %q", from, to, recipients)
		}
		for _, address := range append(recipients, sender) {
			if strings.ContainsAny(address, "\r\n\x00") {
				t.Errorf("%q, %q: a line break in %q", from, to, address)
			}
		}
		if sender != "" {
			if _, err := mail.ParseAddress(sender); err != nil {
				t.Errorf("%q is sent from: %v", sender, err)
			}
		}
	})
}
