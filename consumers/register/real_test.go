//go:build integration

package register_test

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

func TestReal(t *testing.T) {
	t.Parallel()
	contract(t, func(t *testing.T) (redis.UniversalClient, string) {
		t.Helper()
		client := redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: strings.Split(localtest.Redis(t), ","), MaxRetries: -1,
		})
		namespace := localtest.Namespace(t)
		t.Cleanup(func() {
			empty(context.WithoutCancel(t.Context()), t, client, namespace)
			_ = client.Close()
		})
		return client, namespace
	})
}
