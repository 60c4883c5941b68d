package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenseFile is what modules name the texts that must accompany their code.
var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|notice|copying|patents)(\.(md|txt))?$`)

// notices returns the licenses of everything linked into the functions.
func notices() ([]byte, error) {
	list := exec.Command("go", "list", "-deps", "-tags", "lambda.norpc",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "./functions/...")
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the linked modules: %w", err)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the Go standard library: %w", err)
	}
	folders := map[string]string{"Go standard library": strings.TrimSpace(string(goroot))}
	for line := range strings.Lines(string(out)) {
		if module, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			folders[module] = dir
		}
	}
	var text bytes.Buffer
	text.WriteString("The functions contain the following software.\n")
	for _, module := range sortedNames(folders) {
		entries, err := os.ReadDir(folders[module])
		if err != nil {
			return nil, fmt.Errorf("reading the license of %s: %w", module, err)
		}
		found := false
		for _, entry := range entries {
			if !licenseFile.MatchString(entry.Name()) {
				continue
			}
			body, err := os.ReadFile(filepath.Join(folders[module], entry.Name()))
			if err != nil {
				return nil, fmt.Errorf("reading the license of %s: %w", module, err)
			}
			fmt.Fprintf(&text, "\n--- %s: %s ---\n\n%s\n", module, entry.Name(), bytes.TrimSpace(body))
			found = true
		}
		if !found {
			return nil, fmt.Errorf("%s has no license file", module)
		}
	}
	return text.Bytes(), nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
