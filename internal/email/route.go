package email

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

// Recipients finds the recipients that workflows' tags name.
type Recipients struct {
	Config  aws.Config
	From    string   // as ParseAddresses returns it
	To      []string // likewise
	Options Options

	mu        sync.Mutex
	byAddress map[string]*Recipient
}

// All returns the recipients of the stack's setting.
func (r *Recipients) All() []notify.Destination { return r.recipients(r.To) }

// Route returns a recipient for each address that the tags name in a domain of
// the stack's own addresses, and logs the others.
func (r *Recipients) Route(s tags.Settings) []notify.Destination {
	allowed, refused := Allowed(s.Emails, r.From, r.To)
	for _, address := range refused {
		slog.Warn("address in a tag ignored", "address", address, "reason", "its domain is neither that of EmailFrom nor of an address in EmailTo")
	}
	return r.recipients(allowed)
}

// Allowed splits addresses that a tag names into those in the domain of the sender or
// of one of the recipients, and the others: anyone who may tag a workflow must not send
// its figures anywhere.
func Allowed(addresses []string, from string, to []string) (allowed, refused []string) {
	domains := map[string]bool{domainOf(from): true}
	for _, address := range to {
		domains[domainOf(address)] = true
	}
	for _, address := range addresses {
		if strings.Contains(address, "@") && domains[domainOf(address)] {
			allowed = append(allowed, address)
		} else {
			refused = append(refused, address)
		}
	}
	return allowed, refused
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

func (r *Recipients) recipients(addresses []string) []notify.Destination {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byAddress == nil {
		r.byAddress = make(map[string]*Recipient)
	}
	var all []notify.Destination
	for _, address := range addresses {
		if r.byAddress[address] == nil {
			options := r.Options
			options.Tagged = !slices.Contains(r.To, address)
			r.byAddress[address] = New(r.Config, r.From, address, options)
		}
		all = append(all, r.byAddress[address])
	}
	return all
}
