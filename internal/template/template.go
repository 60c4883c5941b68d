// Package template turns the real template.yaml into the CloudFormation that
// AWS makes of it, so that tests and the stand-in cloud work on what a
// deployment creates and not on a copy of it. Its own tests prove what the
// template promises. No Lambda function imports it.
package template

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

// Translate runs the SAM translator over template.yaml and returns
// CloudFormation JSON for a region of the aws partition.
//
// codeURIs maps a function's logical id to the s3://bucket/key its code lies
// at, as `sam package` would have written it; a function left out gets a
// made-up one. An id that is no function of the template is an error.
func Translate(ctx context.Context, codeURIs map[string]string) ([]byte, error) {
	return translate(ctx, "us-east-1", codeURIs)
}

// Python returns the path of the interpreter that has requirements.txt
// installed: IDMAPPING_PYTHON if set, else the one `make venv` makes. The
// error says what to run when there is none.
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
		return "", fmt.Errorf("looking for python: %w: run `make venv` first", err)
	}
	return path, nil
}

// Root returns the folder that holds go.mod and template.yaml: the working
// directory or the nearest above it.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the module's root: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("looking for go.mod in %s and above: %w", start, err)
		}
	}
}

//go:embed translate.py
var script string

// translate reads the template itself and hands it over: go test knows then
// that its results depend on it, which it cannot know of a file that only
// python opens.
func translate(ctx context.Context, region string, codeURIs map[string]string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	python, err := Python()
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	request, err := json.Marshal(map[string]any{"template": string(source), "codeURIs": codeURIs})
	if err != nil {
		return nil, fmt.Errorf("encoding the template: %w", err)
	}
	cmd := exec.CommandContext(ctx, python, "-c", script, region)
	cmd.Stdin = bytes.NewReader(request)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("translating template.yaml: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
