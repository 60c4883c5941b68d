package slack

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	inMrkdwn  = regexp.MustCompile(`^<(!here|!channel|!everyone|@[UW][A-Z0-9]{2,20}|!subteam\^S[A-Z0-9]{2,20})>$`)
	userID    = regexp.MustCompile(`^[UW][A-Z0-9]{2,20}$`)
	userGroup = regexp.MustCompile(`^S[A-Z0-9]{2,20}$`)
)

// ParseMention reads whom to mention on failures: a comma-separated list of
// here, channel, everyone, user IDs (U…, W…) and user group IDs (S…), with or
// without @, or each in Slack's markup (<@U…>, <!subteam^S…>, <!here>). It
// returns mrkdwn. Names do not work: Slack accepts IDs only.
func ParseMention(setting string) (string, error) {
	var all []string
	for part := range strings.SplitSeq(setting, ",") {
		part = strings.TrimSpace(part)
		bare := strings.TrimPrefix(part, "@")
		switch {
		case part == "":
		case inMrkdwn.MatchString(part):
			all = append(all, part)
		case bare == "here" || bare == "channel" || bare == "everyone":
			all = append(all, "<!"+bare+">")
		case userID.MatchString(bare):
			all = append(all, "<@"+bare+">")
		case userGroup.MatchString(bare):
			all = append(all, "<!subteam^"+bare+">")
		default:
			return "", fmt.Errorf("SlackMention: %.60q is not a user, group or @here: give here, channel, everyone, a user ID such as U0123456789 or a user group ID such as S0123456789", part)
		}
	}
	return strings.Join(all, " "), nil
}
