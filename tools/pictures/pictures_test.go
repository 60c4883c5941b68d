package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

func TestPicturesShowWhatTheProductSends(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "docs", "pictures")
	all, err := pictures()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if sources[p.name] != p.source() {
			t.Errorf("docs/pictures/%s.png was drawn from something else: run make pictures", p.name)
		}
		if _, err := os.Stat(filepath.Join(dir, p.name+".png")); err != nil {
			t.Error(err)
		}
	}
	if len(sources) != len(all) {
		t.Errorf("%d pictures are recorded, %d are drawn: run make pictures", len(sources), len(all))
	}
}
