package main

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func connected(asked command) (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(asked.Broker))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

func offset(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	var listed kadm.ListedOffsets
	switch asked.At {
	case "earliest":
		listed, err = admin.ListStartOffsets(ctx, asked.Topic)
	case "latest":
		listed, err = latest(ctx, admin, asked)
	case "max_timestamp":
		listed, err = admin.ListMaxTimestampOffsets(ctx, asked.Topic)
	default:
		var millis int64
		if millis, err = strconv.ParseInt(string(asked.At), 10, 64); err == nil {
			return after(ctx, admin, asked, millis)
		}
	}
	if err != nil {
		return nil, err
	}
	found, _ := listed.Lookup(asked.Topic, *asked.Partition)
	return answer{"offset": found.Offset}, found.Err
}

// after looks a timestamp up. Above the last one this client gives the end of the partition, not -1:
// told by the timestamp that it then lacks.
func after(ctx context.Context, admin *kadm.Client, asked command, millis int64) (answer, error) {
	listed, err := admin.ListOffsetsAfterMilli(ctx, millis, asked.Topic)
	if err != nil {
		return nil, err
	}
	found, _ := listed.Lookup(asked.Topic, *asked.Partition)
	if found.Err == nil && found.Timestamp < 0 {
		return answer{"offset": -1}, nil
	}
	return answer{"offset": found.Offset}, found.Err
}

func create(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	var partitions int32
	if err := json.Unmarshal(asked.Partitions, &partitions); err != nil {
		return nil, err
	}
	told, err := admin.CreateTopic(ctx, partitions, 1, asked.Configs, asked.Topic)
	if err != nil {
		return nil, err
	}
	return answer{}, told.Err
}

func describe(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	told, err := admin.ListTopics(ctx, asked.Topic)
	if err != nil {
		return nil, err
	}
	partitions := []int32{}
	for _, each := range told[asked.Topic].Partitions.Sorted() {
		partitions = append(partitions, each.Partition)
	}
	return answer{"partitions": partitions}, told[asked.Topic].Err
}

func list(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	told, err := admin.ListTopics(ctx)
	return answer{"topics": told.Names()}, err
}

func configs(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	told, err := admin.DescribeTopicConfigs(ctx, asked.Topic)
	if err != nil {
		return nil, err
	}
	resource, err := told.On(asked.Topic, nil)
	if err != nil {
		return nil, err
	}
	found := map[string]*string{}
	for _, each := range resource.Configs {
		found[each.Key] = each.Value
	}
	return answer{"configs": found}, resource.Err
}

func changed(told kadm.AlterConfigsResponses, err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	return answer{}, told[0].Err
}

func alter(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	var changes []kadm.AlterConfig
	for kind, values := range map[kadm.IncrementalOp]map[string]string{
		kadm.SetConfig: asked.Set, kadm.AppendConfig: asked.Append, kadm.SubtractConfig: asked.Subtract,
	} {
		for name, value := range values {
			changes = append(changes, kadm.AlterConfig{Op: kind, Name: name, Value: &value})
		}
	}
	for _, name := range asked.Delete {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	return changed(admin.AlterTopicConfigs(ctx, changes, asked.Topic))
}

func replace(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	var whole []kadm.AlterConfig
	for name, value := range asked.Configs {
		whole = append(whole, kadm.AlterConfig{Name: name, Value: value})
	}
	return changed(admin.AlterTopicConfigsState(ctx, whole, asked.Topic))
}

func addPartitions(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	told, err := admin.UpdatePartitions(ctx, asked.Total, asked.Topic)
	if err != nil {
		return nil, err
	}
	return answer{}, told[asked.Topic].Err
}

func deleteRecords(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	before := kadm.Offsets{}
	before.AddOffset(asked.Topic, *asked.Partition, asked.Before, -1)
	told, err := admin.DeleteRecords(ctx, before)
	if err != nil {
		return nil, err
	}
	found, _ := told.Lookup(asked.Topic, *asked.Partition)
	return answer{"start": found.LowWatermark}, found.Err
}

func remove(ctx context.Context, asked command) (answer, error) {
	admin, err := connected(asked)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	told, err := admin.DeleteTopic(ctx, asked.Topic)
	if err != nil {
		return nil, err
	}
	return answer{}, told.Err
}
