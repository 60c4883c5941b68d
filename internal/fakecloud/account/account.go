// Package account names the region and account of the fake cloud.
package account

// Region and ID are the region and the account. The account is the one that
// moto uses.
const (
	Region = "us-east-1"
	ID     = "123456789012"
)
