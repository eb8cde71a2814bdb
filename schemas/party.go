package schemas

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// WebhookURLMax bounds the URL of a webhook, in bytes.
const WebhookURLMax = 2048

func (x *Party) faults(c check, u unique) {
	c.text("id", x.GetId())
	c.once("id", x.GetId(), u.parties)
	c.utf8("webhook_key_id", x.GetWebhookKeyId())
	if x.GetWebhookUrl() == "" {
		return
	}
	c.id("webhook_key_id", x.GetWebhookKeyId())
	if fault := webhookFault(x.GetWebhookUrl()); fault != "" {
		c.fault("webhook_url", "%s", fault)
	}
}

// webhookFault says what is wrong with the URL of a webhook, without the URL: it may hold what it must not.
func webhookFault(text string) string {
	if len(text) > WebhookURLMax {
		return "has " + strconv.Itoa(len(text)) + " bytes, must have at most " + strconv.Itoa(WebhookURLMax)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return "has other characters than those of a URL; encode them: %20, and xn-- in a host"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return "is no URL, must be https://HOST/PATH"
	case u.User != nil:
		return "has a user or a password, which everybody could read; the key signs instead"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return "has a query or a fragment, must be https://HOST/PATH: everybody can read it"
	case u.Port() != "" && !isPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return "has a port that is none"
	case u.Scheme == "https", u.Scheme == "http" && isNear(u.Hostname()):
		return ""
	}
	return "must begin with https://; http:// is for localhost and private addresses"
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// isNear says whether the host is this machine, or an address that the internet does not know.
func isNear(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && (address.IsLoopback() || address.IsPrivate())
}
