package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// runMake runs a target of the Makefile in an environment that may disturb it.
func runMake(t *testing.T, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"-s"}, arguments...)...)
	cmd.Env = append(os.Environ(), "GOARCH=386", "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

func TestReleaseHasWhatDeploysWithoutGo(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	build, out := t.TempDir(), filepath.Join(t.TempDir(), "release")
	for _, f := range functions {
		runMake(t, "build-"+f.id, "ARTIFACTS_DIR="+filepath.Join(build, f.id), "VERSION=v1.2.3")
		// make sbom writes it; the tool is too slow for a test.
		if err := os.WriteFile(filepath.Join(build, f.name+".cdx.json"), []byte(`{"bomFormat":"CycloneDX"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write("v1.2.3", build, out); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{"CHANGELOG.md", "LICENSE", "README.md", "SHA256SUMS", "THIRD_PARTY_NOTICES", "notifier.cdx.json", "notifier.zip", "poller.cdx.json", "poller.zip", "template.yaml"}; !slices.Equal(names, want) {
		t.Errorf("it holds %v, want %v", names, want)
	}
	for _, f := range functions {
		holdsOneBootstrap(t, filepath.Join(out, f.name+".zip"), "v1.2.3")
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = out
	if report, err := check.CombinedOutput(); err != nil || strings.Count(string(report), ": OK\n") != len(names)-1 {
		t.Errorf("the checksums do not fit: %v\n%s", err, report)
	}
	notices, err := os.ReadFile(filepath.Join(out, "THIRD_PARTY_NOTICES"))
	if err != nil || !bytes.Contains(notices, []byte("--- github.com/slack-go/slack")) || !bytes.Contains(notices, []byte("--- Go standard library: LICENSE")) {
		t.Errorf("the notices lack a linked module (%v)", err)
	}
}

func holdsOneBootstrap(t *testing.T, path, version string) {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	if len(archive.File) != 1 || archive.File[0].Name != "bootstrap" || archive.File[0].Mode() != 0o755 {
		t.Fatalf("%s does not hold one executable bootstrap", path)
	}
	file, err := archive.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	executable, err := elf.NewFile(bytes.NewReader(body))
	if err != nil || executable.Machine != elf.EM_AARCH64 || !bytes.Contains(body, []byte(version)) {
		t.Errorf("the bootstrap of %s is not an arm64 build of %s: %v", path, version, err)
	}
}

func TestReleaseTemplateRefersToTheZipsAndTranslates(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	packaged, err := packageTemplate(string(source), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"      CodeUri: poller.zip\n", "      CodeUri: notifier.zip\n", "    SemanticVersion: 1.2.3\n"} {
		if strings.Count(packaged, line) != 1 {
			t.Errorf("the template has %q not once", line)
		}
	}
	if strings.Contains(packaged, "BuildMethod") || strings.Count(packaged, "CodeUri:") != len(functions) {
		t.Error("something is left to build")
	}
	// As `aws cloudformation package` writes it.
	uploaded := strings.NewReplacer("CodeUri: poller.zip", "CodeUri: s3://bucket/poller", "CodeUri: notifier.zip", "CodeUri: s3://bucket/notifier").Replace(packaged)
	body, err := sam.TranslateTemplate(t.Context(), uploaded, "eu-west-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Metadata  map[string]map[string]any
		Resources map[string]struct {
			Properties struct {
				Code struct{ S3Bucket, S3Key string }
			}
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	for _, f := range functions {
		if code := document.Resources[f.id].Properties.Code; code.S3Bucket != "bucket" || code.S3Key != f.name {
			t.Errorf("the code of %s is at %+v", f.id, code)
		}
	}
	// AWS Serverless Application Repository Developer Guide, "Publishing
	// applications": these are required to publish a public application.
	application := document.Metadata["AWS::ServerlessRepo::Application"]
	for _, key := range []string{"Name", "Description", "Author", "SpdxLicenseId", "LicenseUrl", "ReadmeUrl", "SemanticVersion", "SourceCodeUrl"} {
		if text, _ := application[key].(string); text == "" {
			t.Errorf("the application has no %s", key)
		}
	}
	for _, key := range []string{"LicenseUrl", "ReadmeUrl"} {
		name, _ := application[key].(string)
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestReleaseRefusesATemplateThatItCannotPackage(t *testing.T) {
	_, err := packageTemplate("Resources: {}\n", "v1.2.3")
	if err == nil || !strings.Contains(err.Error(), "PollerFunction") {
		t.Errorf("the error is %v", err)
	}
}

func TestReleaseRefusesAnotherArchitecture(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	dir := t.TempDir()
	runMake(t, "build-PollerFunction", "ARTIFACTS_DIR="+dir, "GOARCH=amd64")
	if _, err := zipped(filepath.Join(dir, "bootstrap")); err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("the error is %v", err)
	}
}

func TestSemanticVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-rc.1": "1.2.3-rc.1", "v1.2.3-4-gabcdef012345-dirty": "1.2.3-4-gabcdef012345-dirty",
		"012345678901": "0.0.0-g012345678901", "dev": "0.0.0-gdev", "my_tag": "0.0.0-gmy-tag",
	} {
		if got := semantic(version); got != want {
			t.Errorf("%s is %s, want %s", version, got, want)
		}
	}
}
