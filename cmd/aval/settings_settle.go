package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/aval-systems/aval/pipeline/access"
)

// passwordMax is the longest password that a file may hold.
const passwordMax = 64 << 10 // bytes

// settle finds settings that contradict each other, and reads the passwords' files.
func (s *settings) settle() []error {
	if !slices.Contains(s.groups, groupSecurity) {
		return nil
	}
	v := &s.values
	errs := s.signIn()
	for _, server := range []struct {
		name, file string
		secret     *access.Secret
		config     **tls.Config
		files      access.Certificates
	}{
		{
			"kafka", v.KafkaPasswordFile, &v.KafkaPassword, &s.kafkaTLS,
			access.Certificates{
				CA: v.KafkaTLSCA, Cert: v.KafkaTLSCert, Key: v.KafkaTLSKey, ServerName: v.KafkaTLSServerName,
			},
		},
		{
			"redis", v.RedisPasswordFile, &v.RedisPassword, &s.redisTLS,
			access.Certificates{
				CA: v.RedisTLSCA, Cert: v.RedisTLSCert, Key: v.RedisTLSKey, ServerName: v.RedisTLSServerName,
			},
		},
	} {
		errs = append(errs, s.password(server.name, server.file, server.secret))
		faults := s.certificates(server.name)
		if s.is(server.name+"-tls") && len(faults) == 0 {
			var err error
			if *server.config, err = server.files.Config(); err != nil {
				faults = append(faults, fmt.Errorf("%s-tls: %w", server.name, err))
			}
		}
		errs = append(errs, faults...)
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// is says whether somebody set the setting, to more than nothing.
func (s *settings) is(name string) bool {
	return s.sources[name] != source{} && s.texts[name] != "" && s.texts[name] != "false"
}

// names is how a message names a setting that was set.
func (s *settings) names(name string) string { return s.sources[name].label(name) }

func (s *settings) password(server, path string, secret *access.Secret) error {
	file := server + "-password-file"
	switch {
	case path == "":
		return nil
	case *secret != "":
		return fmt.Errorf("%s and %s are both set: one must go", s.names(server+"-password"), s.names(file))
	}
	text, err := readPassword(path)
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.names(file), path, err)
	}
	*secret = access.Secret(text)
	return nil
}

// readPassword returns a file's text without the end of its line.
func readPassword(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", plain(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(file, passwordMax+1))
	switch {
	case err != nil:
		return "", plain(err)
	case len(text) > passwordMax:
		return "", fmt.Errorf("has more than %d bytes: it holds more than a password", passwordMax)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" {
		return "", errors.New("is empty, must hold the password")
	}
	return password, nil
}

// certificates checks that TLS is on where anything is said of it.
func (s *settings) certificates(server string) (errs []error) {
	for _, about := range []string{"-tls-ca", "-tls-cert", "-tls-key", "-tls-server-name"} {
		if s.is(server+about) && !s.is(server+"-tls") {
			errs = append(errs, fmt.Errorf("%s is set, but %s-tls is not: set it to true",
				s.names(server+about), server))
		}
	}
	if cert, key := server+"-tls-cert", server+"-tls-key"; s.is(cert) != s.is(key) {
		errs = append(errs, fmt.Errorf("%s and %s go together", cert, key))
	}
	return errs
}

// signIn checks users and passwords against how they are used.
func (s *settings) signIn() (errs []error) {
	v := s.values
	fault := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	password := v.KafkaPassword != "" || v.KafkaPasswordFile != ""
	fault(v.KafkaSASL != "" && v.KafkaUser == "", "%s is set, and kafka-user is missing", s.names("kafka-sasl"))
	fault(v.KafkaSASL != "" && !password, "%s is set, and the password is missing: set %s or kafka-password-file",
		s.names("kafka-sasl"), setting{name: "kafka-password"}.variable())
	fault(v.KafkaSASL == "" && (password || v.KafkaUser != ""),
		"there is a user or a password for Kafka, but kafka-sasl is not set: set it to %s", oneOf(access.Mechanisms()))
	fault(v.RedisUser != "" && v.RedisPassword == "" && v.RedisPasswordFile == "",
		"%s is set, and the password is missing: set %s or redis-password-file",
		s.names("redis-user"), setting{name: "redis-password"}.variable())
	fault(v.RedisDB != 0 && (len(v.Redis) > 1 || v.RedisCluster),
		"%s %d: a cluster has database 0 alone", s.names("redis-db"), v.RedisDB)
	return errs
}
