package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Certificates are the files of a TLS connection. All may be absent: then the system's authorities are trusted, and
// the client shows no certificate.
type Certificates struct {
	CA         string // authorities to verify the server's certificate with, PEM
	Cert, Key  string // the client's own, PEM
	ServerName string // in the server's certificate, where it is not the host that is dialed
}

// Config reads the files, and says everything that is wrong with them.
func (c Certificates) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	var errs []error
	if c.CA != "" {
		pool, err := authorities(c.CA)
		config.RootCAs = pool
		errs = append(errs, err)
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			err = fmt.Errorf("client certificate %s with key %s: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return config, nil
}

func authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate: it must be PEM, with -----BEGIN CERTIFICATE-----", path)
	}
	return pool, nil
}
