// Pictures draws docs/pictures: every kind of message from the example events, with
// the product's own code. It needs chromium.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

func main() {
	browser := flag.String("chromium", "chromium", "the browser's executable")
	only := flag.String("only", "", "draw only pictures whose name contains this")
	flag.Parse()
	if err := run(*browser, *only); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(browser, only string) error {
	path, err := exec.LookPath(browser)
	if err != nil {
		return fmt.Errorf("%s is missing: install chromium, or name it with -chromium: %w", browser, err)
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
		if err := p.capture(path, filepath.Join(dir, p.name+".png")); err != nil {
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

// maxHeight is the height of the browser's window, in CSS pixels; what is empty
// below a page is cut off.
const maxHeight = 3600

func (p picture) capture(browser, to string) error {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(file, []byte(p.page), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"),
		fmt.Sprintf("--window-size=%d,%d", p.width, maxHeight), "--screenshot="+shot, "file://"+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	body, err := os.ReadFile(shot)
	if err != nil {
		return errors.New("the browser wrote no file")
	}
	whole, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, trimmed(whole)); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

// trimmed is the picture without the empty rows at its end, in as few colors as it
// has.
func trimmed(whole image.Image) image.Image {
	bounds := whole.Bounds()
	background := whole.At(bounds.Min.X, bounds.Max.Y-1)
	last := bounds.Max.Y - 1
	for last > bounds.Min.Y && uniform(whole, last, background) {
		last--
	}
	bounds.Max.Y = min(last+12, bounds.Max.Y)
	colors := make(map[color.Color]bool)
	var palette color.Palette
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if c := rounded(whole.At(x, y)); !colors[c] {
				colors[c] = true
				palette = append(palette, c)
			}
		}
	}
	if len(palette) > 256 {
		cut := image.NewRGBA(bounds)
		draw.Draw(cut, bounds, whole, bounds.Min, draw.Src)
		return cut
	}
	index := make(map[color.Color]uint8)
	for i, c := range palette {
		index[c] = uint8(i)
	}
	cut := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			cut.SetColorIndex(x, y, index[rounded(whole.At(x, y))])
		}
	}
	return cut
}

// rounded is a color with four bits a channel: text is drawn in many shades that
// nobody tells apart.
func rounded(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	step := func(v uint32) uint8 { return uint8((v>>8 + 8) / 17 * 17 & 0xFF) }
	return color.RGBA{step(min(r, 0xF7FF)), step(min(g, 0xF7FF)), step(min(b, 0xF7FF)), 0xFF}
}

func uniform(m image.Image, y int, c color.Color) bool {
	for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
		if m.At(x, y) != c {
			return false
		}
	}
	return true
}
