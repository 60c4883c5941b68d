// Pictures draws docs/pictures: every kind of message from the example events, with
// the product's own code. It needs chromium.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/preview"
)

func main() {
	browser := flag.String("chromium", "", "the browser's executable (default: an installed Chromium or Chrome)")
	only := flag.String("only", "", "draw only pictures whose name contains this")
	flag.Parse()
	if err := run(*browser, *only); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(browser, only string) error {
	path, err := browser, error(nil)
	if path == "" {
		path, err = preview.Browser()
	}
	if err != nil {
		return err
	}
	root, err := sam.Root()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "docs", "pictures")
	all, err := pictures()
	if err != nil {
		return err
	}
	sources, err := readSources(dir)
	if err != nil {
		return err
	}
	for i, p := range all {
		if !strings.Contains(p.name, only) {
			continue
		}
		body, err := preview.Capture(context.Background(), path, p.page, p.width)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, p.name+".png"), body, 0o644)
		}
		if err != nil {
			return fmt.Errorf("capturing %s: %w", p.name, err)
		}
		sources[p.name] = p.source()
		fmt.Printf("%d of %d  docs/pictures/%s.png\n", i+1, len(all), p.name)
	}
	return writeSources(dir, all, sources)
}

// picture is one file of docs/pictures.
type picture struct {
	name  string
	width int // CSS pixels
	page  string
}

// source identifies what a picture was drawn from.
func (p picture) source() string {
	sum := sha256.Sum256([]byte(p.page))
	return hex.EncodeToString(sum[:8])
}

// sourcesFile has the source of each picture, by name, so that a test finds those
// that are out of date without drawing them.
const sourcesFile = "sources.json"

func readSources(dir string) (map[string]string, error) {
	sources := make(map[string]string)
	body, err := os.ReadFile(filepath.Join(dir, sourcesFile))
	if errors.Is(err, os.ErrNotExist) {
		return sources, nil
	}
	if err != nil {
		return nil, err
	}
	return sources, json.Unmarshal(body, &sources)
}

// writeSources writes the sources, and removes pictures that are drawn no more.
func writeSources(dir string, all []picture, sources map[string]string) error {
	drawn := make(map[string]string)
	for _, p := range all {
		if source, ok := sources[p.name]; ok {
			drawn[p.name] = source
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, ok := drawn[strings.TrimSuffix(filepath.Base(file), ".png")]; !ok {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	body, err := json.MarshalIndent(drawn, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sourcesFile), append(body, '\n'), 0o644)
}
