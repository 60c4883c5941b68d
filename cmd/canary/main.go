// Canary tests a deployed stack: it invokes the poller to send a test message
// along the whole path, which people see in every channel, and waits until each
// destination has received it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/idmapping/notifier/internal/deployment"
)

func main() {
	var target deployment.Target
	target.Flags(flag.CommandLine)
	timeout := flag.Duration("timeout", 2*time.Minute, "how long to wait for the destinations")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, target, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target deployment.Target, timeout time.Duration) error {
	cfg, err := target.Config(ctx, "samconfig.toml")
	if err != nil {
		return err
	}
	stack, err := deployment.Find(ctx, cfg, target.Stack)
	if err != nil {
		return err
	}
	begin := time.Now()
	id, err := stack.SendCanary(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("canary %.12s… published by stack %s in %s\n", id, target.Stack, target.Region)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return stack.AwaitCanary(ctx, id, func(destination string) {
		fmt.Printf("%s received it after %.1f s\n", destination, time.Since(begin).Seconds())
	})
}
