package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

// SES is what SES lets the stack's account send in its region.
type SES struct {
	Sandbox bool // only to verified addresses, 200 messages in 24 hours
	Enabled bool // false while SES has paused the account's sending
}

// SES asks SES about the stack's account and region.
func (s Stack) SES(ctx context.Context) (SES, error) {
	out, err := sesv2.NewFromConfig(s.cfg).GetAccount(ctx, &sesv2.GetAccountInput{})
	if err != nil {
		return SES{}, fmt.Errorf("reading the account's state in SES: %w", err)
	}
	return SES{Sandbox: !out.ProductionAccessEnabled, Enabled: out.SendingEnabled}, nil
}

// Verified reports whether SES has verified the address, its domain or a domain
// above that: a verified domain includes its subdomains and all their addresses
// (Amazon SES Developer Guide, "Creating and verifying identities").
func (s Stack) Verified(ctx context.Context, address string) (bool, error) {
	client := sesv2.NewFromConfig(s.cfg)
	for _, identity := range identities(address) {
		out, err := client.GetEmailIdentity(ctx, &sesv2.GetEmailIdentityInput{EmailIdentity: &identity})
		if _, ok := errors.AsType[*types.NotFoundException](err); ok {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("reading identity %s in SES: %w", identity, err)
		}
		if out.VerifiedForSendingStatus {
			return true, nil
		}
	}
	return false, nil
}

// identities are the identities whose verification covers an address, from the
// narrowest on.
func identities(address string) []string {
	all := []string{address}
	_, domain, _ := strings.Cut(address, "@")
	for strings.Contains(domain, ".") {
		all = append(all, domain)
		_, domain, _ = strings.Cut(domain, ".")
	}
	return all
}
