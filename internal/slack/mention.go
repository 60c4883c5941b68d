package slack

import (
	"fmt"
	"strings"

	"github.com/idmapping/notifier/internal/tags"
)

// ParseMention reads whom to mention on failures: a comma-separated list of
// here, channel, everyone, user IDs (U…, W…) and user group IDs (S…), with or
// without @, or each in Slack's markup (<@U…>, <!subteam^S…>, <!here>). It
// returns mrkdwn. Names do not work: Slack accepts IDs only.
func ParseMention(setting string) (string, error) {
	var all []string
	for part := range strings.SplitSeq(setting, ",") {
		part = strings.TrimSpace(part)
		switch bare := strings.TrimPrefix(unmarked(part), "@"); {
		case part == "":
		case bare == "here" || bare == "channel" || bare == "everyone":
			all = append(all, "<!"+bare+">")
		case tags.IsSlackID(bare, "UW"):
			all = append(all, "<@"+bare+">")
		case tags.IsSlackID(bare, "S"):
			all = append(all, "<!subteam^"+bare+">")
		default:
			return "", fmt.Errorf("SlackMention: %.60q is not a user, group or @here: give here, channel, everyone, a user ID such as U0123456789 or a user group ID such as S0123456789", part)
		}
	}
	return strings.Join(all, " "), nil
}

// unmarked is a mention without Slack's markup, if it has any.
func unmarked(mention string) string {
	inner, opened := strings.CutPrefix(mention, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	if !opened || !closed {
		return mention
	}
	switch {
	case strings.HasPrefix(inner, "!subteam^S"):
		return strings.TrimPrefix(inner, "!subteam^")
	case inner == "!here" || inner == "!channel" || inner == "!everyone", strings.HasPrefix(inner, "@U"), strings.HasPrefix(inner, "@W"):
		return inner[1:]
	default:
		return mention
	}
}
