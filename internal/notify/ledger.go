package notify

import (
	"fmt"
	"time"
)

// Claimed is returned when another invocation is telling the same destination
// of the same job right now.
type Claimed struct {
	Until time.Time // when its claim expires, UTC
}

// Error says until when.
func (c *Claimed) Error() string {
	return fmt.Sprintf("being told by another invocation until %s", c.Until.Format(time.RFC3339))
}
