package schemas

// Header is a Kafka header.
type Header struct {
	Key   string
	Value []byte
}
