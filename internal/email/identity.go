package email

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

// Account is what SES lets an account send in a region.
type Account struct {
	Sandbox bool // only to verified addresses, 200 messages in 24 hours
	Enabled bool // false while SES has paused the account's sending
}

// ReadAccount asks SES about the account and region of cfg.
func ReadAccount(ctx context.Context, cfg aws.Config) (Account, error) {
	out, err := sesv2.NewFromConfig(cfg).GetAccount(ctx, &sesv2.GetAccountInput{})
	if err != nil {
		return Account{}, fmt.Errorf("reading the account's state in SES: %w", err)
	}
	return Account{Sandbox: !out.ProductionAccessEnabled, Enabled: out.SendingEnabled}, nil
}

// Verified reports whether SES has verified the address, its domain or a domain
// above that: a verified domain includes its subdomains and all their addresses
// (Amazon SES Developer Guide, "Creating and verifying identities").
func Verified(ctx context.Context, cfg aws.Config, address string) (bool, error) {
	client := sesv2.NewFromConfig(cfg)
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
