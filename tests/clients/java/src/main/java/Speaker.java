import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The scenario's commands in Apache Kafka's own client; tests/clients/README.md describes them. */
public final class Speaker {
    private static final int WAIT_MS = 20_000;
    private static final int MESSAGE_BYTES_MAX = 4_000_000;
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    /** The client has no way to say this. */
    private static final class Lacking extends RuntimeException {
        private static final long serialVersionUID = 1;

        Lacking(String text) {
            super(text);
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(GSON.toJson(answer(JsonParser.parseString(line).getAsJsonObject())));
        }
    }

    private static JsonObject answer(JsonObject command) throws Exception {
        JsonObject said = new JsonObject();
        try {
            return verb(command);
        } catch (Lacking lacking) {
            said.addProperty("lacking", lacking.getMessage());
        } catch (ExecutionException failed) {
            refuse(said, failed.getCause());
        } catch (OffsetOutOfRangeException outside) {
            said.addProperty("error", Errors.OFFSET_OUT_OF_RANGE.code());
            said.addProperty("text", outside.toString());
        } catch (org.apache.kafka.common.KafkaException failed) {
            refuse(said, failed);
        }
        return said;
    }

    private static void refuse(JsonObject said, Throwable why) {
        said.addProperty("error", Errors.forException(why).code());
        said.addProperty("text", why.toString());
    }

    private static JsonObject verb(JsonObject command) throws Exception {
        String verb = command.get("do").getAsString();
        switch (verb) {
            case "version":
                return version();
            case "produce":
                return produce(command);
            case "read":
                return read(command);
            default:
                try (Admin admin = Admin.create(settings(command))) {
                    return administer(verb, admin, command);
                }
        }
    }

    private static JsonObject version() throws Exception {
        Properties jar = new Properties();
        jar.load(Speaker.class.getResourceAsStream("/kafka/kafka-version.properties"));
        JsonObject said = new JsonObject();
        said.addProperty("version", jar.getProperty("version"));
        said.addProperty("with", "Java " + System.getProperty("java.version"));
        return said;
    }

    private static Map<String, Object> settings(JsonObject command) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", command.get("broker").getAsString());
        settings.put("default.api.timeout.ms", WAIT_MS);
        settings.put("request.timeout.ms", WAIT_MS);
        return settings;
    }

    private static byte[] bytes(JsonElement text) {
        return text.isJsonNull() ? null : Base64.getDecoder().decode(text.getAsString());
    }

    private static String text(byte[] value) {
        return value == null ? null : Base64.getEncoder().encodeToString(value);
    }

    private static <T> T result(Future<T> future) throws Exception {
        return future.get(WAIT_MS, TimeUnit.MILLISECONDS);
    }

    private static JsonObject produce(JsonObject command) throws Exception {
        Map<String, Object> settings = settings(command);
        settings.remove("default.api.timeout.ms");
        settings.put("acks", command.get("acks").getAsString());
        settings.put("compression.type", command.get("codec").getAsString());
        settings.put("enable.idempotence", command.get("idempotent").getAsBoolean());
        settings.put("max.request.size", MESSAGE_BYTES_MAX);
        settings.put("batch.size", MESSAGE_BYTES_MAX);
        settings.put("linger.ms", 20);
        settings.put("delivery.timeout.ms", WAIT_MS + 20);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        JsonArray written = new JsonArray();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (JsonElement each : command.getAsJsonArray("records")) {
                sent.add(producer.send(record(command, each.getAsJsonObject())));
            }
            producer.flush();
            for (Future<RecordMetadata> each : sent) {
                RecordMetadata told = result(each);
                JsonArray pair = new JsonArray();
                pair.add(told.partition());
                pair.add(told.hasOffset() ? told.offset() : -1L);
                written.add(pair);
            }
        }
        JsonObject said = new JsonObject();
        said.add("written", written);
        return said;
    }

    private static ProducerRecord<byte[], byte[]> record(JsonObject command, JsonObject record) {
        List<Header> headers = new ArrayList<>();
        for (JsonElement pair : record.getAsJsonArray("headers")) {
            JsonArray header = pair.getAsJsonArray();
            headers.add(new RecordHeader(header.get(0).getAsString(), bytes(header.get(1))));
        }
        JsonElement partition = command.get("partition");
        JsonElement timestamp = record.get("timestamp");
        return new ProducerRecord<>(
                command.get("topic").getAsString(),
                partition.isJsonNull() ? null : partition.getAsInt(),
                timestamp.isJsonNull() ? null : timestamp.getAsLong(),
                bytes(record.get("key")),
                bytes(record.get("value")),
                headers);
    }

    private static JsonObject read(JsonObject command) {
        Map<String, Object> settings = settings(command);
        settings.put("auto.offset.reset", "none");
        settings.put("enable.auto.commit", false);
        settings.put("isolation.level", isolation(command).toString().toLowerCase());
        List<TopicPartition> asked = new ArrayList<>();
        for (JsonElement partition : command.getAsJsonArray("partitions")) {
            asked.add(new TopicPartition(command.get("topic").getAsString(), partition.getAsInt()));
        }
        JsonArray found = new JsonArray();
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(
                        settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(asked);
            Map<TopicPartition, Long> ends = new HashMap<>(consumer.endOffsets(asked));
            if (command.get("from").getAsString().equals("earliest")) {
                consumer.seekToBeginning(asked);
            } else {
                long from = command.get("from").getAsLong();
                for (TopicPartition each : asked) {
                    consumer.seek(each, from);
                    ends.merge(each, from + 1, Math::max);
                }
            }
            long deadline = System.nanoTime() + Duration.ofMillis(WAIT_MS).toNanos();
            while (asked.stream().anyMatch(each -> consumer.position(each) < ends.get(each))) {
                if (System.nanoTime() > deadline) {
                    throw new org.apache.kafka.common.errors.TimeoutException("nothing came");
                }
                ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<byte[], byte[]> each : polled) {
                    found.add(readRecord(each));
                }
            }
        }
        JsonObject said = new JsonObject();
        said.add("records", found);
        return said;
    }

    private static JsonObject readRecord(ConsumerRecord<byte[], byte[]> record) {
        JsonObject said = new JsonObject();
        said.addProperty("partition", record.partition());
        said.addProperty("offset", record.offset());
        said.addProperty("timestamp", record.timestamp());
        said.addProperty("key", text(record.key()));
        said.addProperty("value", text(record.value()));
        JsonArray headers = new JsonArray();
        for (Header header : record.headers()) {
            JsonArray pair = new JsonArray();
            pair.add(header.key());
            pair.add(text(header.value()));
            headers.add(pair);
        }
        said.add("headers", headers);
        return said;
    }

    private static IsolationLevel isolation(JsonObject command) {
        boolean committed = command.has("committed") && command.get("committed").getAsBoolean();
        return committed ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED;
    }

    private static OffsetSpec spec(String at) {
        switch (at) {
            case "earliest":
                return OffsetSpec.earliest();
            case "latest":
                return OffsetSpec.latest();
            case "max_timestamp":
                return OffsetSpec.maxTimestamp();
            default:
                return OffsetSpec.forTimestamp(Long.parseLong(at));
        }
    }

    private static JsonObject administer(String verb, Admin admin, JsonObject command)
            throws Exception {
        JsonObject said = new JsonObject();
        if (verb.equals("list")) {
            said.add("topics", GSON.toJsonTree(new TreeSet<>(result(admin.listTopics().names()))));
            return said;
        }
        String topic = command.get("topic").getAsString();
        switch (verb) {
            case "create":
                NewTopic asked = new NewTopic(topic, command.get("partitions").getAsInt(), (short) 1);
                result(admin.createTopics(List.of(asked.configs(strings(command, "configs")))).all());
                break;
            case "describe":
                TreeSet<Integer> partitions = new TreeSet<>();
                result(admin.describeTopics(List.of(topic)).allTopicNames())
                        .get(topic)
                        .partitions()
                        .forEach(each -> partitions.add(each.partition()));
                said.add("partitions", GSON.toJsonTree(partitions));
                break;
            case "configs":
                said.add("configs", configs(admin, topic));
                break;
            case "alter":
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                result(admin.incrementalAlterConfigs(Map.of(resource, changes(command))).all());
                break;
            case "add_partitions":
                NewPartitions more = NewPartitions.increaseTo(command.get("total").getAsInt());
                result(admin.createPartitions(Map.of(topic, more)).all());
                break;
            case "delete":
                result(admin.deleteTopics(List.of(topic)).all());
                break;
            default:
                return administerPartition(verb, admin, command);
        }
        return said;
    }

    private static JsonObject administerPartition(String verb, Admin admin, JsonObject command)
            throws Exception {
        JsonObject said = new JsonObject();
        switch (verb) {
            case "offset":
                TopicPartition where = partition(command);
                Map<TopicPartition, OffsetSpec> spec =
                        Map.of(where, spec(command.get("at").getAsString()));
                ListOffsetsOptions options = new ListOffsetsOptions(isolation(command));
                long found = result(admin.listOffsets(spec, options).partitionResult(where)).offset();
                said.addProperty("offset", found);
                return said;
            case "delete_records":
                TopicPartition from = partition(command);
                RecordsToDelete before =
                        RecordsToDelete.beforeOffset(command.get("before").getAsLong());
                said.addProperty(
                        "start",
                        result(admin.deleteRecords(Map.of(from, before)).lowWatermarks().get(from))
                                .lowWatermark());
                return said;
            default:
                throw new Lacking("no " + verb);
        }
    }

    private static TopicPartition partition(JsonObject command) {
        return new TopicPartition(
                command.get("topic").getAsString(), command.get("partition").getAsInt());
    }

    private static JsonObject configs(Admin admin, String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        JsonObject configs = new JsonObject();
        for (ConfigEntry entry :
                result(admin.describeConfigs(List.of(resource)).all()).get(resource).entries()) {
            configs.addProperty(entry.name(), entry.value());
        }
        return configs;
    }

    private static Map<String, String> strings(JsonObject command, String field) {
        Map<String, String> found = new HashMap<>();
        if (command.has(field)) {
            command.getAsJsonObject(field)
                    .entrySet()
                    .forEach(each -> found.put(each.getKey(), each.getValue().getAsString()));
        }
        return found;
    }

    private static Collection<AlterConfigOp> changes(JsonObject command) {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (AlterConfigOp.OpType kind :
                List.of(
                        AlterConfigOp.OpType.SET,
                        AlterConfigOp.OpType.APPEND,
                        AlterConfigOp.OpType.SUBTRACT)) {
            strings(command, kind.name().toLowerCase())
                    .forEach(
                            (name, value) ->
                                    changes.add(
                                            new AlterConfigOp(new ConfigEntry(name, value), kind)));
        }
        JsonElement gone = Optional.ofNullable(command.get("delete")).orElse(JsonNull.INSTANCE);
        if (gone.isJsonArray()) {
            for (JsonElement name : gone.getAsJsonArray()) {
                ConfigEntry entry = new ConfigEntry(name.getAsString(), null);
                changes.add(new AlterConfigOp(entry, AlterConfigOp.OpType.DELETE));
            }
        }
        return changes;
    }
}
