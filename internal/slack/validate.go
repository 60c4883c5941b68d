package slack

import (
	"fmt"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"
)

// Slack's limits, in characters ("Block Kit" reference). The total over all
// blocks is not documented: cards of more than about 13,200 are refused with
// msg_blocks_too_long.
const (
	maxBlocks        = 50
	maxSectionText   = 3000
	maxFields        = 10
	maxFieldText     = 2000
	maxContextParts  = 10
	maxTotal         = 13_000
	maxText          = 40_000
	maxContextLength = 3000
	maxTableRows     = 100
	maxTableColumns  = 20
	maxTableText     = 10_000 // of all cells: caution, the table block's page names no limit
	maxURL           = 3000   // caution too: no limit is documented in rich text
)

// Validate says which of Slack's limits the message exceeds. One block beyond a
// limit loses the whole message.
func (r Rendered) Validate() error {
	if r.Text == "" {
		return fmt.Errorf("text is empty")
	}
	if n := utf8.RuneCountInString(r.Text); n > maxText {
		return fmt.Errorf("text has %d characters, %d are allowed", n, maxText)
	}
	if len(r.Blocks) > maxBlocks {
		return fmt.Errorf("%d blocks, %d are allowed", len(r.Blocks), maxBlocks)
	}
	total, tables := 0, 0
	for i, b := range r.Blocks {
		if b.BlockType() == slackgo.MBTTable {
			if tables++; tables > 1 {
				return fmt.Errorf("block %d is a second table, one is allowed", i)
			}
		}
		n, err := validate(b)
		if err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		total += n
	}
	if total > maxTotal {
		return fmt.Errorf("%d characters over all blocks, %d are allowed", total, maxTotal)
	}
	return nil
}

// validate checks one block and counts its characters.
func validate(b slackgo.Block) (int, error) {
	switch b := b.(type) {
	case *slackgo.HeaderBlock:
		return checkLength("header", b.Text, maxHeader)
	case *slackgo.ContextBlock:
		if n := len(b.ContextElements.Elements); n == 0 || n > maxContextParts {
			return 0, fmt.Errorf("context has %d elements, 1 to %d are allowed", n, maxContextParts)
		}
		total := 0
		for _, e := range b.ContextElements.Elements {
			text, ok := e.(*slackgo.TextBlockObject)
			if !ok {
				return 0, fmt.Errorf("context has a %T", e)
			}
			n, err := checkLength("context", text, maxContextLength)
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	case *slackgo.SectionBlock:
		if b.Text != nil {
			return checkLength("section", b.Text, maxSectionText)
		}
		if n := len(b.Fields); n == 0 || n > maxFields {
			return 0, fmt.Errorf("section has %d fields, 1 to %d are allowed", n, maxFields)
		}
		total := 0
		for _, f := range b.Fields {
			n, err := checkLength("field", f, maxFieldText)
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	case *slackgo.RichTextBlock:
		n, err := validateRich(b.Elements)
		if err == nil && n == 0 {
			err = fmt.Errorf("rich text is empty")
		}
		return n, err
	case *slackgo.TableBlock:
		return validateTable(b)
	default:
		return 0, fmt.Errorf("%T is not rendered here", b)
	}
}

func checkLength(what string, text *slackgo.TextBlockObject, most int) (int, error) {
	n := utf8.RuneCountInString(text.Text)
	if n == 0 || n > most {
		return 0, fmt.Errorf("%s has %d characters, 1 to %d are allowed", what, n, most)
	}
	return n, nil
}

// validateTable checks a table's size, and that no cell is empty.
func validateTable(b *slackgo.TableBlock) (int, error) {
	if n := len(b.Rows); n == 0 || n > maxTableRows {
		return 0, fmt.Errorf("table has %d rows, 1 to %d are allowed", n, maxTableRows)
	}
	total := 0
	for _, row := range b.Rows {
		if n := len(row); n == 0 || n > maxTableColumns {
			return 0, fmt.Errorf("table has a row of %d cells, 1 to %d are allowed", n, maxTableColumns)
		}
		for _, c := range row {
			cell, ok := c.(*slackgo.TableRawTextCell)
			if !ok || cell.Text == "" {
				return 0, fmt.Errorf("table has an empty cell or a %T", c)
			}
			total += utf8.RuneCountInString(cell.Text)
		}
	}
	if len(b.ColumnSettings) > maxTableColumns {
		return 0, fmt.Errorf("table has settings of %d columns, %d are allowed", len(b.ColumnSettings), maxTableColumns)
	}
	if total > maxTableText {
		return 0, fmt.Errorf("table has %d characters, %d are allowed", total, maxTableText)
	}
	return total, nil
}

// validateRich checks the elements of rich text, and counts the characters that
// they show.
func validateRich(elements []slackgo.RichTextElement) (int, error) {
	total := 0
	for _, e := range elements {
		var n int
		var err error
		switch e := e.(type) {
		case *slackgo.RichTextSection:
			n, err = validateSpans(e.Elements)
		case *slackgo.RichTextPreformatted:
			n, err = validateSpans(e.Elements)
		case *slackgo.RichTextList:
			n, err = validateRich(e.Elements)
		default:
			err = fmt.Errorf("%T is not rendered here", e)
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func validateSpans(elements []slackgo.RichTextSectionElement) (int, error) {
	total := 0
	for _, e := range elements {
		n := 0
		switch e := e.(type) {
		case *slackgo.RichTextSectionTextElement:
			n = utf8.RuneCountInString(e.Text)
		case *slackgo.RichTextSectionLinkElement:
			if e.URL == "" || len(e.URL) > maxURL {
				return 0, fmt.Errorf("link has a URL of %d bytes, 1 to %d are allowed", len(e.URL), maxURL)
			}
			if n = utf8.RuneCountInString(e.Text); n > 0 {
				n += len(e.URL)
			}
		case *slackgo.RichTextSectionDateElement:
			n = len(e.Format)
		default:
			return 0, fmt.Errorf("%T is not rendered here", e)
		}
		if n == 0 {
			return 0, fmt.Errorf("%T is empty", e)
		}
		total += n
	}
	return total, nil
}
