package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// checkRedis asks for PING, which a Redis that still loads its file refuses.
func checkRedis(ctx context.Context, addresses []string) error {
	for _, address := range addresses {
		if err := ping(ctx, address); err != nil {
			return fmt.Errorf("ask Redis at %s: %w", address, err)
		}
	}
	return nil
}

func ping(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: tryTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(tryTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" {
		return fmt.Errorf("it says %q", answer)
	}
	return nil
}
