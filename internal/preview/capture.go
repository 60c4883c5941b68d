package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// browsers are the names of Chromium browsers on Linux, macOS and Windows.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	`C:\Program Files\Google\Chrome\Application\chrome.exe`}

// ErrNoBrowser is returned where no Chromium browser is installed.
var ErrNoBrowser = errors.New("a picture needs Chromium or Chrome, and none is installed: install it, for example with apt-get install chromium or brew install --cask chromium")

// Browser returns the path of an installed Chromium browser, or ErrNoBrowser.
func Browser() (string, error) {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoBrowser
}

// maxHeight is the height of the browser's window, in CSS pixels; what is empty
// below a page is cut off.
const maxHeight = 3600

// Capture takes a picture of an HTML page, as PNG, with a Chromium browser. width is
// in CSS pixels. The page may be at most 3,600 high.
func Capture(ctx context.Context, browser, page string, width int) ([]byte, error) {
	dir, err := os.MkdirTemp("", "preview-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"),
		fmt.Sprintf("--window-size=%d,%d", width, maxHeight), "--screenshot="+shot, "file://"+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running %s: %w: %s", browser, err, out)
	}
	body, err := os.ReadFile(shot)
	if err != nil {
		return nil, fmt.Errorf("%s wrote no file", browser)
	}
	whole, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, trimmed(whole)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
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
