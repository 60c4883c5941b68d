// Package sam turns the real template.yaml into the CloudFormation that AWS makes
// of it, so that tests and the fake cloud use what a deployment creates and not a
// copy of it.
package sam

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Python returns the path of the interpreter that has requirements.txt
// installed: IDMAPPING_PYTHON if set, otherwise the one that `make venv` creates.
// The error names the command to run when there is none.
func Python() (string, error) {
	if path := os.Getenv("IDMAPPING_PYTHON"); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".venv", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("finding python: %w: run `make venv` first", err)
	}
	return path, nil
}

// Root returns the folder that holds go.mod and template.yaml: the working
// directory or the nearest folder above it.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module's root: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding go.mod in %s and above: %w", start, err)
		}
	}
}

//go:embed translate.py
var script string

// Translate runs the SAM translator on template.yaml and returns CloudFormation
// JSON for the region.
//
// codeURIs maps a function's logical ID to the s3://bucket/key of its code, as
// `sam package` writes it; a function without one gets a placeholder. An ID that
// is no function of the template is an error.
//
// Translate reads the template itself: `go test` caches a result by the files
// that Go opens, and would miss a file that only Python opens.
func Translate(ctx context.Context, region string, codeURIs map[string]string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return TranslateTemplate(ctx, string(source), region, codeURIs)
}

// TranslateTemplate does what Translate does for the text of another template. A
// function that has a CodeUri on S3 keeps it.
func TranslateTemplate(ctx context.Context, source, region string, codeURIs map[string]string) ([]byte, error) {
	python, err := Python()
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(map[string]any{"template": source, "codeURIs": codeURIs})
	if err != nil {
		return nil, fmt.Errorf("encoding the template: %w", err)
	}
	cmd := exec.CommandContext(ctx, python, "-c", script, region)
	cmd.Stdin = bytes.NewReader(request)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("translating the template: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
