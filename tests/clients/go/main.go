// The scenario's commands in franz-go; tests/clients/README.md describes them.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	wait            = 20 * time.Second
	messageBytesMax = 4_000_000
	lineBytesMax    = 64 << 20
)

type header struct {
	name  string
	value []byte
}

func (h *header) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&h.name, &h.value})
}

func (h header) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{h.name, h.value})
}

type record struct {
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp *int64   `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

// at is a name ("earliest") or a number.
type at string

func (a *at) UnmarshalJSON(text []byte) error {
	if unquoted, err := strconv.Unquote(string(text)); err == nil {
		*a = at(unquoted)
	} else {
		*a = at(text)
	}
	return nil
}

type command struct {
	Do         string             `json:"do"`
	Broker     string             `json:"broker"`
	Topic      string             `json:"topic"`
	Partition  *int32             `json:"partition"`
	Partitions json.RawMessage    `json:"partitions"`
	Codec      string             `json:"codec"`
	Acks       string             `json:"acks"`
	Idempotent bool               `json:"idempotent"`
	Records    []record           `json:"records"`
	From       at                 `json:"from"`
	At         at                 `json:"at"`
	Committed  bool               `json:"committed"`
	Configs    map[string]*string `json:"configs"`
	Set        map[string]string  `json:"set"`
	Append     map[string]string  `json:"append"`
	Subtract   map[string]string  `json:"subtract"`
	Delete     []string           `json:"delete"`
	Total      int                `json:"total"`
	Before     int64              `json:"before"`
}

type answer map[string]any

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		var asked command
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		text, err := json.Marshal(answered(asked))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}

func answered(asked command) answer {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	verb, known := map[string]func(context.Context, command) (answer, error){
		"version":        version,
		"produce":        produce,
		"read":           read,
		"offset":         offset,
		"create":         create,
		"describe":       describe,
		"list":           list,
		"configs":        configs,
		"alter":          alter,
		"replace":        replace,
		"add_partitions": addPartitions,
		"delete_records": deleteRecords,
		"delete":         remove,
	}[asked.Do]
	if !known {
		return answer{"lacking": "no " + asked.Do}
	}
	said, err := verb(ctx, asked)
	if err == nil {
		return said
	}
	code := int16(-1)
	var refused *kerr.Error
	if errors.As(err, &refused) {
		code = refused.Code
	}
	return answer{"error": code, "text": err.Error()}
}

func version(context.Context, command) (answer, error) {
	build, _ := debug.ReadBuildInfo()
	said := answer{"with": build.GoVersion}
	for _, module := range build.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			said["version"] = module.Version
		}
	}
	return said, nil
}

func producer(asked command) (*kgo.Client, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	acks := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}
	options := []kgo.Opt{
		kgo.SeedBrokers(asked.Broker),
		kgo.ProducerBatchCompression(codecs[asked.Codec]),
		kgo.RequiredAcks(acks[asked.Acks]),
		kgo.ProducerBatchMaxBytes(messageBytesMax),
		kgo.ProducerLinger(20 * time.Millisecond),
	}
	if !asked.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if asked.Partition != nil {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return kgo.NewClient(options...)
}

func produce(ctx context.Context, asked command) (answer, error) {
	client, err := producer(asked)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var sent []*kgo.Record
	for _, each := range asked.Records {
		made := &kgo.Record{Topic: asked.Topic, Key: each.Key, Value: each.Value}
		for _, pair := range each.Headers {
			made.Headers = append(made.Headers, kgo.RecordHeader{Key: pair.name, Value: pair.value})
		}
		if asked.Partition != nil {
			made.Partition = *asked.Partition
		}
		if each.Timestamp != nil {
			made.Timestamp = time.UnixMilli(*each.Timestamp)
		}
		sent = append(sent, made)
	}
	results := client.ProduceSync(ctx, sent...)
	if err := results.FirstErr(); err != nil {
		return nil, err
	}
	written := [][]int64{}
	for _, each := range sent {
		offset := each.Offset
		if asked.Acks == "0" {
			offset = -1
		}
		written = append(written, []int64{int64(each.Partition), offset})
	}
	return answer{"written": written}, nil
}

func isolation(asked command) kgo.IsolationLevel {
	if asked.Committed {
		return kgo.ReadCommitted()
	}
	return kgo.ReadUncommitted()
}

// ends is where reading has to come to, for each partition asked for.
func ends(ctx context.Context, asked command, partitions []int32) (map[int32]int64, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	listed, err := latest(ctx, admin, asked)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, partition := range partitions {
		each, _ := listed.Lookup(asked.Topic, partition)
		if each.Err != nil {
			return nil, each.Err
		}
		found[partition] = each.Offset
	}
	return found, nil
}

func latest(ctx context.Context, admin *kadm.Client, asked command) (kadm.ListedOffsets, error) {
	if asked.Committed {
		return admin.ListCommittedOffsets(ctx, asked.Topic)
	}
	return admin.ListEndOffsets(ctx, asked.Topic)
}

func read(ctx context.Context, asked command) (answer, error) {
	var partitions []int32
	if err := json.Unmarshal(asked.Partitions, &partitions); err != nil {
		return nil, err
	}
	unread, err := ends(ctx, asked, partitions)
	if err != nil {
		return nil, err
	}
	starts := map[int32]kgo.Offset{}
	for partition, end := range unread {
		starts[partition] = kgo.NewOffset().AtStart()
		if from, err := strconv.ParseInt(string(asked.From), 10, 64); err == nil {
			starts[partition] = kgo.NewOffset().At(from)
		} else if end == 0 {
			delete(unread, partition)
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Broker),
		kgo.FetchIsolationLevel(isolation(asked)),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{asked.Topic: starts}),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found := []record{}
	for len(unread) > 0 {
		polled := client.PollFetches(ctx)
		for _, failed := range polled.Errors() {
			return nil, failed.Err
		}
		for _, each := range polled.Records() {
			found = append(found, readRecord(each))
			if each.Offset+1 >= unread[each.Partition] {
				delete(unread, each.Partition)
			}
		}
	}
	return answer{"records": found}, nil
}

func readRecord(from *kgo.Record) record {
	timestamp := from.Timestamp.UnixMilli()
	made := record{
		Partition: from.Partition,
		Offset:    from.Offset,
		Timestamp: &timestamp,
		Key:       from.Key,
		Value:     from.Value,
		Headers:   []header{},
	}
	for _, pair := range from.Headers {
		made.Headers = append(made.Headers, header{pair.Key, pair.Value})
	}
	return made
}
