package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline/access"
	"github.com/aval-systems/aval/schemas"
)

// patience is how long a command waits for servers that it uses, and that others run.
const patience = 15 * time.Second

// reach waits until both servers answer, for so long.
func (s *system) reach(ctx context.Context) error {
	if err := s.reachKafka(ctx); err != nil {
		return err
	}
	ctx, cancel := s.place.patiently(ctx)
	defer cancel()
	return waited(redisServer, s.redisAnswers(ctx))
}

func (s *system) reachKafka(ctx context.Context) error {
	ctx, cancel := s.place.patiently(ctx)
	defer cancel()
	_, err := s.kafka.Existing(ctx, schemas.TopicMovements)
	return waited(kafkaServer, err)
}

func (p place) patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case p.patience < 0:
		return context.WithTimeout(ctx, patience)
	case p.patience == 0:
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.patience)
}

// mended says of the error that a server lets nobody in what mends it: some setting.
func mended(err error) error {
	if refused, ok := errors.AsType[*access.Error](err); ok {
		return usage("%w; %s", refused, mend(refused.Server, refused.Reason))
	}
	return err
}

// waited says of a server that was away for too long what mends it.
func waited(server string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no %s answers: %w; start one, such as with `aval dev` or `make up`, "+
			"or say where it is: --%s", server, err, strings.ToLower(server))
	}
	return err
}

// mend is what to do about the reason why a server lets nobody in.
func mend(server string, reason access.Reason) string {
	name := strings.ToLower(server)
	switch reason {
	case access.UnknownHost:
		return "name another one: --" + name
	case access.Unverified:
		return "name the authority's certificate: --" + name + "-tls-ca"
	case access.Expired:
		return "give the server a new certificate, or set this machine's clock"
	case access.OtherName:
		return "name it: --" + name + "-tls-server-name"
	case access.NoTLS:
		return "do without --" + name + "-tls, or name its port for TLS"
	case access.WantsTLS:
		return "set --" + name + "-tls"
	case access.WantsCertificate:
		return "name one that it trusts: --" + name + "-tls-cert and --" + name + "-tls-key"
	case access.NoCommonTLS:
		return "let it speak TLS 1.2 or 1.3"
	case access.WrongPassword:
		return "see --" + name + "-user and " + setting{name: name + "-password"}.variable() +
			", or --" + name + "-password-file"
	case access.WantsPassword:
		if name == "kafka" {
			return "set --kafka-sasl, --kafka-user and --kafka-password-file, or AVAL_KAFKA_PASSWORD"
		}
		return "set --redis-password-file, or AVAL_REDIS_PASSWORD, and --redis-user where it is not the default one"
	case access.NoPassword:
		return "do without one, or let the server ask for it"
	case access.OtherMechanism:
		return "choose one that it offers: --kafka-sasl"
	case access.NotAllowed:
		return "let the user do that, or name another one: --" + name + "-user"
	case access.WantsCluster:
		return "set --redis-cluster"
	case access.NoCluster:
		return "name one address, without --redis-cluster"
	}
	return "see its settings"
}
