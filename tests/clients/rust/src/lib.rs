//! What both Rust programs share: commands come in as lines, answers go out. The commands are
//! described in tests/clients/README.md. Nothing here knows a client library.

use base64::{engine::general_purpose::STANDARD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};

pub const WAIT_MS: u64 = 20_000;
pub const MESSAGE_BYTES_MAX: usize = 4_000_000;

#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    #[serde(default)]
    pub partition: i32,
    #[serde(default)]
    pub offset: i64,
    pub timestamp: Option<i64>,
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

/// "earliest" and its like, or a number.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum At {
    Number(i64),
    Name(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Command {
    #[serde(rename = "do")]
    pub verb: String,
    pub broker: String,
    pub topic: String,
    pub partition: Option<i32>,
    pub partitions: Value,
    pub codec: String,
    pub acks: String,
    pub idempotent: bool,
    pub committed: bool,
    pub records: Vec<Record>,
    pub from: Option<At>,
    pub at: Option<At>,
    pub configs: BTreeMap<String, String>,
    pub total: usize,
    pub before: i64,
}

impl Command {
    pub fn read_partitions(&self) -> Vec<i32> {
        serde_json::from_value(self.partitions.clone()).expect("partitions are a list")
    }

    pub fn partition_count(&self) -> i32 {
        serde_json::from_value(self.partitions.clone()).expect("partitions are a number")
    }
}

pub enum No {
    /// The broker, or the client in its place, said no: Kafka's error code and what was said.
    Refused(i32, String),
    /// The client has no way to say this.
    Lacking(String),
}

pub type Answer = Result<Value, No>;

pub fn lacking<T>(what: &str) -> Result<T, No> {
    Err(No::Lacking(what.to_string()))
}

pub fn bytes(text: &Option<String>) -> Option<Vec<u8>> {
    text.as_ref()
        .map(|each| STANDARD.decode(each).expect("base64"))
}

pub fn text(value: Option<&[u8]>) -> Option<String> {
    value.map(|each| STANDARD.encode(each))
}

/// The version of a crate in Cargo.lock, which is what was built.
pub fn locked(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != format!("name = \"{name}\""));
    lines
        .nth(1)
        .and_then(|line| line.split('"').nth(1))
        .expect("a locked version")
        .to_string()
}

/// Answer commands until standard input ends.
pub fn speak(verb: impl Fn(&Command) -> Answer) {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input");
        let command: Command = serde_json::from_str(&line).expect("a command");
        let said = match verb(&command) {
            Ok(said) => said,
            Err(No::Refused(code, text)) => json!({"error": code, "text": text}),
            Err(No::Lacking(what)) => json!({"lacking": what}),
        };
        println!("{said}");
        std::io::stdout().flush().expect("standard output");
    }
}
