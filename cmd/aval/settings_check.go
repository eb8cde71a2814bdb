package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline/access"
)

// namespaceForm is what topics, groups and keys can begin with.
var namespaceForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// parse returns the text in the form that values are read from, or says why it is none of this setting's.
func (s setting) parse(text string) (string, error) {
	if text == "" {
		if s.def != "" {
			return "", errors.New("is empty")
		}
		return "", nil
	}
	switch s.kind {
	case kindText, kindSecret:
		return text, nil
	case kindTruth:
		return parseTruth(text)
	case kindNumber:
		return parseNumber(text, s.name == "redis-db")
	case kindDuration:
		return parseDuration(text)
	case kindChoice:
		return parseChoice(text, s.one)
	case kindAddresses:
		return parseAddresses(text)
	case kindListen:
		return parseListen(text)
	case kindNamespace:
		return parseNamespace(text)
	case kindFile:
		return text, readable(text)
	case kindURL:
		return parseURL(text)
	case kindStages:
		names := split(text)
		return strings.Join(names, ","), checkStages(names)
	}
	panic("unknown kind " + string(s.kind))
}

// split takes a list apart, whose commas may have spaces around.
func split(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		parts = append(parts, strings.TrimSpace(part))
	}
	return parts
}

func parseTruth(text string) (string, error) {
	is, err := strconv.ParseBool(text)
	if err != nil {
		return "", errors.New("must be true or false")
	}
	return strconv.FormatBool(is), nil
}

func parseNumber(text string, zero bool) (string, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return "", errors.New("is too large")
	case err != nil:
		return "", errors.New("must be a whole number")
	case zero && n < 0:
		return "", errors.New("must be at least 0")
	case !zero && n < 1:
		return "", errors.New("must be at least 1")
	}
	return strconv.FormatInt(n, 10), nil
}

func parseDuration(text string) (string, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return "", errors.New("must be a duration such as 500ms, 20s or 5m")
	}
	return d.String(), nil
}

func parseChoice(text string, one []string) (string, error) {
	if slices.Contains(one, strings.ToLower(text)) {
		return strings.ToLower(text), nil
	}
	return "", fmt.Errorf("must be %s%s", oneOf(one), didYouMean(text, one))
}

// oneOf lists what there is to choose from.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func parseAddresses(text string) (string, error) {
	addresses := split(text)
	for i, address := range addresses {
		if err := checkAddress(address, 1); err != nil {
			return "", err
		}
		if slices.Contains(addresses[:i], address) {
			return "", fmt.Errorf("%s is named twice", address)
		}
	}
	return strings.Join(addresses, ","), nil
}

func parseListen(text string) (string, error) {
	if text == off {
		return text, nil
	}
	return text, checkAddress(text, 0)
}

// checkAddress expects a host and a port from the least one on. Who listens may leave the host out.
func checkAddress(text string, least int) error {
	const form = "must be HOST:PORT such as localhost:9092"
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		return fmt.Errorf("%q %s, without %s://", withoutPassword(text), form, scheme)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" && least > 0 || strings.ContainsAny(host, " /@") {
		return fmt.Errorf("%q %s", withoutPassword(text), form)
	}
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		return fmt.Errorf("%q: port %q must be a number from %d to 65535", text, port, least)
	}
	return nil
}

// withoutPassword hides what stands before the host, where some write a password.
func withoutPassword(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return access.Hidden + text[at:]
	}
	return text
}

func parseNamespace(text string) (string, error) {
	if !namespaceForm.MatchString(text) {
		return "", errors.New("must be at most 64 letters, digits, - and _")
	}
	return text, nil
}

func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("must be a URL such as http://localhost:4318")
	}
	if u.User != nil {
		return "", errors.New("must not hold a password: others would see it")
	}
	return text, nil
}

// readable says why a file cannot be read. What is no regular file is opened by its reader alone: a pipe can be read
// just once.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return plain(err)
	case info.IsDir():
		return errors.New("is a folder, must be a file")
	case !info.Mode().IsRegular():
		return nil
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return plain(err)
	}
	return file.Close()
}

// plain is an error of the system's without the path, which the caller names.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
