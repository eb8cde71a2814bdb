package kafka

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go/protocol/initproducerid"
)

// initProducer asks for a producer id: of the transactional id, or a new one. The coordinator may be away for
// a while; a nil error of the request says nothing, the code in the answer does.
func (c *Client) initProducer(ctx context.Context, transactionalID string) (who identity, err error) {
	request := &initproducerid.Request{
		TransactionalID: transactionalID, TransactionTimeoutMs: int32(time.Minute / time.Millisecond),
		ProducerID: -1, ProducerEpoch: -1,
	}
	of := coordinatorKey{key: transactionalID, kind: transactionKind}
	err = c.retry(ctx, "introduce a producer", func(ctx context.Context) error {
		ask := func() (any, error) { return c.cluster.ask(ctx, request) }
		if transactionalID != "" {
			ask = func() (any, error) { return c.cluster.askCoordinator(ctx, of, request) }
		}
		answer, err := ask()
		if err != nil {
			return err
		}
		response, ok := answer.(*initproducerid.Response)
		if !ok {
			return errWire
		}
		if err := asError(response.ErrorCode); err != nil {
			if moved(err) {
				c.cluster.forget(of)
			}
			return err
		}
		if response.ProducerID < 0 {
			return errWire
		}
		who = identity{id: response.ProducerID, epoch: response.ProducerEpoch}
		return nil
	})
	return who, err
}
