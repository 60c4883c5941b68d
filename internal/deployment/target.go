// Package deployment is a deployed stack as the commands in cmd see it: where it
// is, what its functions report, and who receives its messages and alarms.
package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/BurntSushi/toml"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Target says which stack to use, and where. What is empty comes from the file
// that `sam deploy --guided` saves.
type Target struct {
	Stack   string `env:"STACK" placeholder:"NAME" help:"Name of the deployed stack; without it, the one in samconfig.toml."`
	Region  string `env:"AWS_REGION,AWS_DEFAULT_REGION" placeholder:"REGION" help:"Its region; without it, the one in samconfig.toml, or the profile's."`
	Profile string `env:"AWS_PROFILE" placeholder:"NAME" help:"AWS profile; without it, the one in samconfig.toml."`
}

// Config completes the target from the samconfig file, and returns the AWS
// configuration for it. Its error says how to name what is missing.
func (t *Target) Config(ctx context.Context, samconfig string) (aws.Config, error) {
	cfg, err := t.Load(ctx, samconfig)
	if err == nil && t.Stack == "" {
		return aws.Config{}, fmt.Errorf("no stack is named: %s has no stack_name, so name the stack with --stack NAME or STACK=NAME", samconfig)
	}
	return cfg, err
}

// Load is Config where there may be no stack yet.
func (t *Target) Load(ctx context.Context, samconfig string) (aws.Config, error) {
	saved, err := readSamconfig(samconfig)
	if err != nil {
		return aws.Config{}, err
	}
	t.Stack = cmp.Or(t.Stack, saved.Stack)
	// kong takes an empty AWS_REGION for a value.
	t.Region, t.Profile = cmp.Or(t.Region, os.Getenv("AWS_DEFAULT_REGION"), saved.Region), cmp.Or(t.Profile, saved.Profile)
	options := []func(*config.LoadOptions) error{config.WithRegion(t.Region)}
	if t.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(t.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if t.Region = cfg.Region; t.Region == "" {
		return aws.Config{}, fmt.Errorf("no region is set: %s has none, so name the stack's region with --region NAME or AWS_REGION=NAME", samconfig)
	}
	return cfg, nil
}

// readSamconfig reads the parameters of `sam deploy`; what a command has of its
// own goes before the global ones (AWS SAM Developer Guide, configuration file).
// A file that does not exist is empty.
func readSamconfig(path string) (Target, error) {
	type parameters struct {
		Parameters struct {
			Stack   string `toml:"stack_name"`
			Region  string `toml:"region"`
			Profile string `toml:"profile"`
		} `toml:"parameters"`
	}
	var file struct {
		Default struct {
			Deploy parameters `toml:"deploy"`
			Global parameters `toml:"global"`
		} `toml:"default"`
	}
	if _, err := toml.DecodeFile(path, &file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Target{}, fmt.Errorf("reading %s: %w", path, err)
	}
	own, global := file.Default.Deploy.Parameters, file.Default.Global.Parameters
	return Target{Stack: cmp.Or(own.Stack, global.Stack), Region: cmp.Or(own.Region, global.Region), Profile: cmp.Or(own.Profile, global.Profile)}, nil
}
