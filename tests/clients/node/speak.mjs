// The scenario's commands in KafkaJS; tests/clients/README.md describes them. It has no manual
// assignment, so that it reads nothing here.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

// From where `make clients` put them, which is not beside this file.
const require = createRequire(process.env.CLIENT_MODULES + '/')
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } =
  require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
}
const WAIT_MS = 20_000

class Lacking extends Error {}

const connected = ({ broker }) =>
  new Kafka({
    brokers: [broker],
    logLevel: logLevel.NOTHING,
    requestTimeout: WAIT_MS,
    retry: { retries: 3, initialRetryTime: 50 },
  })

async function byAdmin(command, ask) {
  const admin = connected(command).admin()
  await admin.connect()
  try {
    return await ask(admin)
  } finally {
    await admin.disconnect()
  }
}

const bytes = (text) => (text === null ? null : Buffer.from(text, 'base64'))

function headersOf(record) {
  const headers = {}
  for (const [name, value] of record.headers) {
    if (value === null) throw new Lacking('no null header values')
    headers[name] = [...(headers[name] ?? []), bytes(value)]
  }
  return headers
}

async function produce(command) {
  if (!(command.codec in CODECS)) throw new Lacking(`no ${command.codec} without a package of one's own`)
  const producer = connected(command).producer({ idempotent: command.idempotent })
  const messages = command.records.map((record) => ({
    key: bytes(record.key),
    value: bytes(record.value),
    headers: headersOf(record),
    ...(command.partition === null ? {} : { partition: command.partition }),
    ...(record.timestamp === null ? {} : { timestamp: String(record.timestamp) }),
  }))
  await producer.connect()
  try {
    const told = await producer.send({
      topic: command.topic,
      acks: { all: -1, 1: 1, 0: 0 }[command.acks],
      compression: CODECS[command.codec],
      messages,
    })
    // One first offset for each partition; which record went where is not told.
    if (command.partition === null) return { written: null }
    const first = told.length ? Number(told[0].baseOffset) : -1
    return {
      written: messages.map((_, index) => [command.partition, first < 0 ? -1 : first + index]),
    }
  } finally {
    await producer.disconnect()
  }
}

async function offset(command) {
  const { topic, partition, at } = command
  if (at === 'max_timestamp') throw new Lacking('no look-up of the largest timestamp')
  return byAdmin(command, async (admin) => {
    if (typeof at === 'number') {
      const ends = await admin.fetchTopicOffsets(topic)
      const found = await admin.fetchTopicOffsetsByTimestamp(topic, at)
      const mine = Number(found.find((each) => each.partition === partition).offset)
      // Above the last timestamp it gives the end of the partition.
      const end = Number(ends.find((each) => each.partition === partition).high)
      return { offset: mine === end ? -1 : mine }
    }
    const told = (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === partition)
    return { offset: Number(at === 'earliest' ? told.low : told.high) }
  })
}

const create = (command) =>
  byAdmin(command, async (admin) => {
    const made = await admin.createTopics({
      topics: [
        {
          topic: command.topic,
          numPartitions: command.partitions,
          replicationFactor: 1,
          configEntries: Object.entries(command.configs).map(([name, value]) => ({ name, value })),
        },
      ],
    })
    // What exists already is `false` here, not an error.
    return made ? {} : { error: 36, text: 'createTopics gave false' }
  })

const describe = (command) =>
  byAdmin(command, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [command.topic] })
    return { partitions: topics[0].partitions.map((each) => each.partitionId).sort() }
  })

const list = (command) =>
  byAdmin(command, async (admin) => ({ topics: (await admin.listTopics()).sort() }))

const configs = (command) =>
  byAdmin(command, async (admin) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: command.topic }],
    })
    const entries = resources[0].configEntries.map((each) => [each.configName, each.configValue])
    return { configs: Object.fromEntries(entries) }
  })

const replace = (command) =>
  byAdmin(command, async (admin) => {
    const configEntries = Object.entries(command.configs).map(([name, value]) => ({ name, value }))
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: command.topic, configEntries }],
    })
    return {}
  })

const addPartitions = (command) =>
  byAdmin(command, async (admin) => {
    await admin.createPartitions({
      topicPartitions: [{ topic: command.topic, count: command.total }],
    })
    return {}
  })

const deleteRecords = (command) =>
  byAdmin(command, async (admin) => {
    const { topic, partition, before } = command
    await admin.fetchTopicOffsets(topic) // it deletes only where it knows the leaders already
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
    const told = await admin.fetchTopicOffsets(topic)
    return { start: Number(told.find((each) => each.partition === partition).low) }
  })

const remove = (command) =>
  byAdmin(command, async (admin) => {
    await admin.deleteTopics({ topics: [command.topic] })
    return {}
  })

const version = async () => ({
  version: require('kafkajs/package.json').version,
  with: `Node.js ${process.version}`,
})

const VERBS = {
  version,
  produce,
  offset,
  create,
  describe,
  list,
  configs,
  replace,
  add_partitions: addPartitions,
  delete_records: deleteRecords,
  delete: remove,
}

// A refusal lies below what says that asking again did not help, or is one of several.
function codeOf(error) {
  if (typeof error?.code === 'number') return error.code
  const below = [error?.cause, error?.originalError, error?.errors?.[0], error?.partitions?.[0]?.error]
  return below.filter(Boolean).map(codeOf).find((code) => code !== undefined)
}

function refusal(error) {
  if (error instanceof Lacking) return { lacking: error.message }
  return { error: codeOf(error) ?? -1, text: String(error.stack) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  let said
  try {
    if (!(command.do in VERBS)) throw new Lacking(`no ${command.do}`)
    said = await VERBS[command.do](command)
  } catch (error) {
    said = refusal(error)
  }
  process.stdout.write(JSON.stringify(said) + '\n')
}
