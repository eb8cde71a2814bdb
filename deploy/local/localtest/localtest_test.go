package localtest_test

import (
	"net"
	"strings"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

func TestServersListen(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			for address := range strings.SplitSeq(pair.Kafka+","+pair.Redis, ",") {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = conn.Close()
			}
		})
	}
}

func TestNamespacesDiffer(t *testing.T) {
	t.Parallel()
	if a, b := localtest.Namespace(t), localtest.Namespace(t); a == b {
		t.Errorf("Namespace() = %q twice", a)
	}
}
