// Release writes what a release consists of: a zip for each function, a template
// that refers to them, bills of materials, licenses and checksums. With them, the
// AWS CLI or SAM deploys the product without Go.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// functions are the logical IDs of the functions and the names of their files.
var functions = []struct{ id, name string }{{"PollerFunction", "poller"}, {"NotifierFunction", "notifier"}}

func main() {
	version := flag.String("version", "", "version of the release")
	build := flag.String("build", ".build", "folder with the built functions and their bills of materials")
	out := flag.String("out", ".build/release", "folder to write; it is emptied first")
	flag.Parse()
	if err := write(*version, *build, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
	fmt.Printf("release %s is in %s\n", *version, *out)
}

func write(version, build, out string) error {
	if version == "" {
		return fmt.Errorf("name the version with -version")
	}
	files := make(map[string][]byte)
	for _, f := range functions {
		archive, err := zipped(filepath.Join(build, f.id, "bootstrap"))
		if err != nil {
			return err
		}
		files[f.name+".zip"] = archive
	}
	template, err := os.ReadFile("template.yaml")
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	packaged, err := packageTemplate(string(template), version)
	if err != nil {
		return err
	}
	files["template.yaml"] = []byte(packaged)
	if files["THIRD_PARTY_NOTICES"], err = notices(); err != nil {
		return err
	}
	// The template's metadata refers to LICENSE and README.md.
	copies := map[string]string{"LICENSE": "LICENSE", "README.md": "README.md", "CHANGELOG.md": "CHANGELOG.md"}
	for _, f := range functions {
		copies[f.name+".cdx.json"] = filepath.Join(build, f.name+".cdx.json")
	}
	for name, path := range copies {
		if files[name], err = os.ReadFile(path); err != nil {
			return fmt.Errorf("copying %s: %w", name, err)
		}
	}
	files["SHA256SUMS"] = checksums(files)
	if err := os.RemoveAll(out); err != nil {
		return fmt.Errorf("emptying %s: %w", out, err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(out, name), body, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// zipped packs a function's executable as Lambda expects it, under the name
// bootstrap. Equal executables make equal archives.
func zipped(path string) ([]byte, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the function: %w: run make build first", err)
	}
	executable, err := elf.NewFile(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if executable.Machine != elf.EM_AARCH64 {
		return nil, fmt.Errorf("%s is built for %s, and the template's functions are arm64", path, executable.Machine)
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// checksums is the input of `sha256sum --check`.
func checksums(files map[string][]byte) []byte {
	var lines strings.Builder
	for _, name := range sortedNames(files) {
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return []byte(lines.String())
}
