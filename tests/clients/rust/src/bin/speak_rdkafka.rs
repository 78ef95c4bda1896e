//! The scenario's commands in rdkafka, the Rust binding of librdkafka.

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use streambus_test_clients::{
    bytes, lacking, locked, speak, text, Answer, At, Command, No, Record, MESSAGE_BYTES_MAX,
    WAIT_MS,
};

const WAIT: Duration = Duration::from_millis(WAIT_MS);

fn code(said: RDKafkaErrorCode) -> No {
    // librdkafka's own code for "out of range, and auto.offset.reset forbids to start elsewhere".
    let number = if said == RDKafkaErrorCode::AutoOffsetReset {
        1
    } else {
        said as i32
    };
    No::Refused(number, said.to_string())
}

fn refused(error: KafkaError) -> No {
    match (&error, error.rdkafka_error_code()) {
        (KafkaError::AdminOp(said), _) => code(*said),
        (_, Some(said)) => code(said),
        _ => No::Refused(-1, error.to_string()),
    }
}

fn main() {
    speak(|command| match command.verb.as_str() {
        "version" => Ok(json!({
            "version": locked("rdkafka"),
            "with": format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1),
        })),
        "produce" => produce(command),
        "read" => read(command),
        "offset" => offset(command),
        "describe" => describe(command),
        "list" => list(command),
        verb => administer(verb, command),
    })
}

fn settings(command: &Command) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &command.broker);
    settings
}

fn produce(command: &Command) -> Answer {
    let producer: FutureProducer = settings(command)
        .set("compression.type", &command.codec)
        .set("acks", &command.acks)
        .set("enable.idempotence", command.idempotent.to_string())
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("message.timeout.ms", WAIT_MS.to_string())
        .set("linger.ms", "20")
        .create()
        .map_err(refused)?;
    let mut waiting = Vec::new();
    for record in &command.records {
        let (key, value) = (bytes(&record.key), bytes(&record.value));
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            let value = bytes(value);
            headers = headers.insert(Header {
                key: name,
                value: value.as_ref(),
            });
        }
        let mut made = FutureRecord::<[u8], [u8]>::to(&command.topic).headers(headers);
        made.key = key.as_deref();
        made.payload = value.as_deref();
        made.partition = command.partition;
        made.timestamp = record.timestamp;
        waiting.push(
            producer
                .send_result(made)
                .map_err(|(error, _)| refused(error))?,
        );
    }
    producer.flush(WAIT).map_err(refused)?;
    let mut written = Vec::new();
    for each in waiting {
        let told = block_on(each).expect("a delivery report");
        let told = told.map_err(|(error, _)| refused(error))?;
        written.push((told.partition, told.offset.max(-1)));
    }
    Ok(json!({ "written": written }))
}

fn consumer(command: &Command) -> Result<BaseConsumer, No> {
    let level = if command.committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    settings(command)
        .set("group.id", "never-joined")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", level)
        .set("enable.partition.eof", "true")
        // The end is told when a wait at it is over.
        .set("fetch.wait.max.ms", "10")
        .create()
        .map_err(refused)
}

fn read(command: &Command) -> Answer {
    let reader = consumer(command)?;
    let start = match command.from {
        Some(At::Number(from)) => Offset::Offset(from),
        _ => Offset::Beginning,
    };
    let mut unread = command.read_partitions();
    let mut assigned = TopicPartitionList::new();
    for partition in &unread {
        assigned
            .add_partition_offset(&command.topic, *partition, start)
            .map_err(refused)?;
    }
    reader.assign(&assigned).map_err(refused)?;
    let mut found: Vec<Record> = Vec::new();
    while !unread.is_empty() {
        match reader.poll(WAIT) {
            None => return Err(No::Refused(-1, "nothing came".to_string())),
            Some(Err(KafkaError::PartitionEOF(ended))) => unread.retain(|each| *each != ended),
            Some(Err(error)) => return Err(refused(error)),
            Some(Ok(message)) => found.push(Record {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp().to_millis(),
                key: text(message.key()),
                value: text(message.payload()),
                headers: message.headers().map_or(Vec::new(), |headers| {
                    headers
                        .iter()
                        .map(|each| (each.key.to_string(), text(each.value)))
                        .collect()
                }),
            }),
        }
    }
    Ok(json!({ "records": found }))
}

fn offset(command: &Command) -> Answer {
    let reader = consumer(command)?;
    let partition = command.partition.expect("a partition");
    let wanted = match &command.at {
        Some(At::Number(timestamp)) => {
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(&command.topic, partition, Offset::Offset(*timestamp))
                .map_err(refused)?;
            let told = reader.offsets_for_times(asked, WAIT).map_err(refused)?;
            let found = told
                .find_partition(&command.topic, partition)
                .expect("the partition");
            match found.offset() {
                Offset::Offset(offset) => offset,
                _ => -1,
            }
        }
        Some(At::Name(name)) if name == "max_timestamp" => {
            return lacking("no look-up of the largest timestamp")
        }
        at => {
            let (low, high) = reader
                .fetch_watermarks(&command.topic, partition, WAIT)
                .map_err(refused)?;
            match at {
                Some(At::Name(name)) if name == "earliest" => low,
                _ => high,
            }
        }
    };
    Ok(json!({ "offset": wanted }))
}

fn describe(command: &Command) -> Answer {
    let told = consumer(command)?
        .fetch_metadata(Some(&command.topic), WAIT)
        .map_err(refused)?;
    let topic = &told.topics()[0];
    if let Some(error) = topic.error() {
        return Err(code(error.into()));
    }
    let mut partitions: Vec<i32> = topic.partitions().iter().map(|each| each.id()).collect();
    partitions.sort();
    Ok(json!({ "partitions": partitions }))
}

fn list(command: &Command) -> Answer {
    let told = consumer(command)?
        .fetch_metadata(None, WAIT)
        .map_err(refused)?;
    let mut names: Vec<&str> = told.topics().iter().map(|each| each.name()).collect();
    names.sort();
    Ok(json!({ "topics": names }))
}

fn only<T, W>(told: Vec<Result<T, (W, RDKafkaErrorCode)>>) -> Answer {
    for each in told {
        each.map_err(|(_, said)| code(said))?;
    }
    Ok(json!({}))
}

fn administer(verb: &str, command: &Command) -> Answer {
    let admin: AdminClient<DefaultClientContext> = settings(command).create().map_err(refused)?;
    let options = AdminOptions::new()
        .operation_timeout(Some(WAIT))
        .request_timeout(Some(WAIT));
    match verb {
        "create" => {
            let count = command.partition_count();
            let mut topic = NewTopic::new(&command.topic, count, TopicReplication::Fixed(1));
            for (name, value) in &command.configs {
                topic = topic.set(name, value);
            }
            only(block_on(admin.create_topics([&topic], &options)).map_err(refused)?)
        }
        "configs" => configs(&admin, command, &options),
        "replace" => {
            let mut asked = AlterConfig::new(ResourceSpecifier::Topic(&command.topic));
            for (name, value) in &command.configs {
                asked = asked.set(name, value);
            }
            only(block_on(admin.alter_configs([&asked], &options)).map_err(refused)?)
        }
        "add_partitions" => {
            let asked = NewPartitions::new(&command.topic, command.total);
            only(block_on(admin.create_partitions([&asked], &options)).map_err(refused)?)
        }
        "delete_records" => delete_records(&admin, command, &options),
        "delete" => {
            only(block_on(admin.delete_topics(&[&command.topic], &options)).map_err(refused)?)
        }
        verb => lacking(&format!("no {verb}")),
    }
}

fn configs(
    admin: &AdminClient<DefaultClientContext>,
    command: &Command,
    options: &AdminOptions,
) -> Answer {
    let asked = ResourceSpecifier::Topic(&command.topic);
    let told = block_on(admin.describe_configs([&asked], options)).map_err(refused)?;
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for resource in told {
        for entry in resource.map_err(code)?.entries {
            found.insert(entry.name, json!(entry.value));
        }
    }
    Ok(json!({ "configs": found }))
}

fn delete_records(
    admin: &AdminClient<DefaultClientContext>,
    command: &Command,
    options: &AdminOptions,
) -> Answer {
    let partition = command.partition.expect("a partition");
    let before_offset = match command.before {
        -1 => Offset::End,
        offset => Offset::Offset(offset),
    };
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&command.topic, partition, before_offset)
        .map_err(refused)?;
    let told = block_on(admin.delete_records(&before, options)).map_err(refused)?;
    let found = told
        .find_partition(&command.topic, partition)
        .expect("the partition");
    found.error().map_err(refused)?;
    match found.offset() {
        Offset::Offset(start) => Ok(json!({ "start": start })),
        other => Err(No::Refused(-1, format!("{other:?}"))),
    }
}
