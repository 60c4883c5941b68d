// Cost prints what a deployed stack costs per month: the table of the README.
// With -write it updates the README.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

func main() {
	write := flag.Bool("write", false, "replace the table in README.md")
	flag.Parse()
	if err := run(context.Background(), *write); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool) error {
	translated, err := sam.Translate(ctx, "us-east-1", nil)
	if err != nil {
		return err
	}
	text, err := tables(translated)
	if err != nil {
		return err
	}
	if !write {
		fmt.Print(text)
		return nil
	}
	root, err := sam.Root()
	if err != nil {
		return err
	}
	path := filepath.Join(root, "README.md")
	readme, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the README: %w", err)
	}
	updated, err := replaceBlock(string(readme), text)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(updated), 0o644)
}

const (
	blockBegin = "<!-- cost -->\n"
	blockEnd   = "<!-- /cost -->\n"
)

// replaceBlock puts text between the marks.
func replaceBlock(document, text string) (string, error) {
	before, rest, ok := strings.Cut(document, blockBegin)
	_, after, closed := strings.Cut(rest, blockEnd)
	if !ok || !closed {
		return "", fmt.Errorf("the README has no %s … %s", strings.TrimSpace(blockBegin), strings.TrimSpace(blockEnd))
	}
	return before + blockBegin + text + blockEnd + after, nil
}

// tables are the README's: an idle month item by item, and months with jobs.
func tables(translated []byte) (string, error) {
	prices, err := readPrices()
	if err != nil {
		return "", err
	}
	one, err := readStack(translated, true, slackChannel)
	if err != nil {
		return "", err
	}
	two, err := readStack(translated, true, slackChannel, emailChannel)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	printf := func(format string, arguments ...any) { fmt.Fprintf(&out, format, arguments...) }

	idle := month(two, prices, 0)
	printf("| idle month, Slack and email | usage | list price | after free tiers |\n|---|---:|---:|---:|\n")
	rows := func(items []item) {
		for _, i := range items {
			if i.quantity > 0 {
				printf("| %s | %s | %s | %s |\n", i.Name, amount(i.quantity, i.Unit), dollars(i.list()), dollars(i.beyondFree()))
			}
		}
	}
	total := func(name string, lists ...[]item) {
		printf("| **%s** | | **%s** | **%s** |\n", name, dollars(sum(item.list, lists...)), dollars(sum(item.beyondFree, lists...)))
	}
	rows(idle.runs)
	total("what runs", idle.runs)
	rows(idle.watches)
	total("without the dashboard", idle.runs, idle.watches)
	rows(idle.dashboard)
	total("with the dashboard", idle.runs, idle.watches, idle.dashboard)

	printf("\n| jobs per day | Slack | with dashboard | Slack and email | with dashboard | Slack, after free tiers | Slack and email, after free tiers |\n")
	printf("|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, jobsPerDay := range []float64{0, 1, 24, 240} {
		printf("| %.0f ", jobsPerDay)
		bills := []bill{month(one, prices, jobsPerDay), month(two, prices, jobsPerDay)}
		for _, b := range bills {
			printf("| %s | %s ", dollars(sum(item.list, b.runs, b.watches)), dollars(sum(item.list, b.runs, b.watches, b.dashboard)))
		}
		for _, b := range bills {
			printf("| %s ", dollars(sum(item.beyondFree, b.runs, b.watches, b.dashboard)))
		}
		printf("|\n")
	}

	busy := two
	busy.idlePollers = mostPollers * len(two.channels)
	fast := prices["lambdaDuration"].per(1000 * jobMinutes * fastSeconds * two.pollerGB)
	printf("\nA job is assumed to take %d minutes, in which `FastPoll` follows it: %s of each 1,000 jobs.\n", jobMinutes, dollars(fast))
	printf("\nThree assumptions need a real account to check:\n\n")
	printf("- Lambda polls an idle queue with %d pollers, the fewest that AWS documents. While it uses %d, two queues cost %s more per month.\n",
		fewestPollers, mostPollers, dollars(sum(item.list, month(busy, prices, 0).runs)-sum(item.list, idle.runs)))
	page := prices["lambdaDuration"].per(two.ticks / two.requestsPerSecond * two.pollerGB)
	printf("- Entity Resolution lists jobs newest first. Otherwise each tick reads a workflow's list to its end, and each further 25 jobs cost %s per month.\n", dollars(page))
	printf("- An email costs $%.2f per 1,000, the default plan of accounts that are new to SES since July 2026. Without a plan it is less.\n", prices["emails"].Dollars)
	return out.String(), nil
}

func dollars(d float64) string {
	if d > 0 && d < 0.005 {
		return "< $0.01"
	}
	return fmt.Sprintf("$%.2f", d)
}

// amount is a quantity with its unit, such as 43,800 requests.
func amount(n float64, unit string) string {
	if n == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	whole := int(n + 0.5)
	switch {
	case n < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", n), ".00") + " " + unit
	case n < 1000:
		return fmt.Sprintf("%d %s", whole, unit)
	}
	return fmt.Sprintf("%d,%03d %s", whole/1000, whole%1000, unit)
}
