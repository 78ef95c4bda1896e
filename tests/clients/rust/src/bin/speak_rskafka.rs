//! The scenario's commands in rskafka, a small client written in Rust alone.

use chrono::{DateTime, Utc};
use rskafka::client::controller::ControllerClient;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use streambus_test_clients::{
    bytes, lacking, locked, speak, text, Answer, At, Command, No, Record, MESSAGE_BYTES_MAX,
    WAIT_MS,
};

fn refused(error: Error) -> No {
    let number = match &error {
        Error::ServerError { protocol_error, .. } => number(protocol_error),
        _ => -1,
    };
    No::Refused(number, error.to_string())
}

fn number(error: &ProtocolError) -> i32 {
    match error {
        ProtocolError::OffsetOutOfRange => 1,
        ProtocolError::UnknownTopicOrPartition => 3,
        ProtocolError::MessageTooLarge => 10,
        ProtocolError::InvalidTopicException => 17,
        ProtocolError::TopicAlreadyExists => 36,
        _ => -1,
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    speak(|command| runtime.block_on(bounded(answered(command))))
}

/// It asks again for as long as it takes: what is not there gives no answer of its own.
async fn bounded(verb: impl Future<Output = Answer>) -> Answer {
    match tokio::time::timeout(Duration::from_millis(WAIT_MS), verb).await {
        Ok(said) => said,
        Err(_) => Err(No::Refused(-1, "it took too long".to_string())),
    }
}

async fn answered(command: &Command) -> Answer {
    match command.verb.as_str() {
        "version" => Ok(json!({"version": locked("rskafka"), "with": "tokio"})),
        "produce" => produce(command).await,
        "read" => read(command).await,
        "offset" => offset(command).await,
        "list" => list(command).await,
        "create" => create(command).await,
        "delete_records" => delete_records(command).await,
        "delete" => {
            let told = controller(command)
                .await?
                .delete_topic(&command.topic, 10_000)
                .await;
            told.map(|_| json!({})).map_err(refused)
        }
        verb => lacking(&format!("no {verb}")),
    }
}

async fn connected(command: &Command) -> Result<Client, No> {
    ClientBuilder::new(vec![command.broker.clone()])
        .max_message_size(MESSAGE_BYTES_MAX * 10)
        .build()
        .await
        .map_err(refused)
}

async fn controller(command: &Command) -> Result<ControllerClient, No> {
    connected(command)
        .await?
        .controller_client()
        .map_err(refused)
}

async fn partition(command: &Command, number: i32) -> Result<PartitionClient, No> {
    connected(command)
        .await?
        .partition_client(&command.topic, number, UnknownTopicHandling::Error)
        .await
        .map_err(refused)
}

fn utc(timestamp: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(timestamp).expect("a timestamp")
}

fn record(from: &Record) -> Result<rskafka::record::Record, No> {
    let mut headers = BTreeMap::new();
    if from.headers.windows(2).any(|pair| pair[0].0 > pair[1].0) {
        return lacking("no order of headers but the names'");
    }
    for (name, value) in &from.headers {
        let Some(value) = bytes(value) else {
            return lacking("no null header values");
        };
        if headers.insert(name.clone(), value).is_some() {
            return lacking("no repeated header names");
        }
    }
    Ok(rskafka::record::Record {
        key: bytes(&from.key),
        value: bytes(&from.value),
        headers,
        timestamp: from.timestamp.map_or_else(Utc::now, utc),
    })
}

async fn produce(command: &Command) -> Answer {
    let codec = match command.codec.as_str() {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        _ => Compression::Zstd,
    };
    let Some(number) = command.partition else {
        return lacking("no partitioner");
    };
    if command.idempotent {
        return lacking("no idempotence");
    }
    if command.acks != "all" {
        return lacking("no acks but all");
    }
    let records: Result<Vec<_>, No> = command.records.iter().map(record).collect();
    let records = records?;
    let told = partition(command, number)
        .await?
        .produce(records, codec)
        .await;
    let offsets = told.map_err(refused)?;
    let written: Vec<(i32, i64)> = offsets.into_iter().map(|each| (number, each)).collect();
    Ok(json!({ "written": written }))
}

async fn read(command: &Command) -> Answer {
    let mut found: Vec<Record> = Vec::new();
    for number in command.read_partitions() {
        let reader = partition(command, number).await?;
        let end = reader.get_offset(OffsetAt::Latest).await.map_err(refused)?;
        let (mut at, end) = match command.from {
            Some(At::Number(from)) => (from, end.max(from + 1)),
            _ => (
                reader
                    .get_offset(OffsetAt::Earliest)
                    .await
                    .map_err(refused)?,
                end,
            ),
        };
        while at < end {
            let asked = reader.fetch_records(at, 1..MESSAGE_BYTES_MAX as i32, 1_000);
            let (records, _) = asked.await.map_err(refused)?;
            for each in records {
                at = each.offset + 1;
                found.push(Record {
                    partition: number,
                    offset: each.offset,
                    timestamp: Some(each.record.timestamp.timestamp_millis()),
                    key: text(each.record.key.as_deref()),
                    value: text(each.record.value.as_deref()),
                    headers: each
                        .record
                        .headers
                        .iter()
                        .map(|(name, value)| (name.clone(), text(Some(value))))
                        .collect(),
                });
            }
        }
    }
    Ok(json!({ "records": found }))
}

async fn offset(command: &Command) -> Answer {
    let at = match &command.at {
        Some(At::Number(timestamp)) => OffsetAt::Timestamp(utc(*timestamp)),
        Some(At::Name(name)) if name == "earliest" => OffsetAt::Earliest,
        Some(At::Name(name)) if name == "latest" => OffsetAt::Latest,
        _ => return lacking("no look-up of the largest timestamp"),
    };
    let reader = partition(command, command.partition.expect("a partition")).await?;
    let found = reader.get_offset(at).await.map_err(refused)?;
    Ok(json!({ "offset": found }))
}

async fn list(command: &Command) -> Answer {
    let told = connected(command)
        .await?
        .list_topics()
        .await
        .map_err(refused)?;
    let mut names: Vec<String> = told.into_iter().map(|each| each.name).collect();
    names.sort();
    Ok(json!({ "topics": names }))
}

async fn create(command: &Command) -> Answer {
    if !command.configs.is_empty() {
        return lacking("no configs");
    }
    let asked = controller(command).await?;
    asked
        .create_topic(&command.topic, command.partition_count(), 1, 10_000)
        .await
        .map_err(refused)?;
    Ok(json!({}))
}

async fn delete_records(command: &Command) -> Answer {
    let client = partition(command, command.partition.expect("a partition")).await?;
    client
        .delete_records(command.before, 10_000)
        .await
        .map_err(refused)?;
    let start = client
        .get_offset(OffsetAt::Earliest)
        .await
        .map_err(refused)?;
    Ok(json!({ "start": start }))
}
