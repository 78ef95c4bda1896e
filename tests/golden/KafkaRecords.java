// Records of __consumer_offsets by Kafka's own classes, one JSON object a line: first one of every
// version of every value, then those read from standard input ("key value" in hex, value - if null).
// Run by generate_coordinator_records.py.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKeyJsonConverter;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValueJsonConverter;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKeyJsonConverter;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValueJsonConverter;

public class KafkaRecords {
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws Exception {
        for (short version = 0; version <= 4; version++) {
            show("every version", offsetKey("orders"), versioned(version, offset(version)));
            show("every version", groupKey("orders"), versioned(version, group(version)));
        }
        byte[] legacy = offsetKey("orders");
        legacy[1] = 0;
        show("legacy key", legacy, versioned((short) 0, offset((short) 0)));
        show("strings at their edges", offsetKey(""), versioned((short) 4, long_metadata(126)));
        show("strings at their edges", offsetKey("gé€😀"), versioned((short) 4, long_metadata(127)));
        show("strings at their edges", offsetKey("o"), versioned((short) 4, long_metadata(4096)));
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            String[] words = line.split(" ");
            byte[] value = words[1].equals("-") ? null : HEX.parseHex(words[1]);
            show("log", HEX.parseHex(words[0]), value);
        }
    }

    static byte[] offsetKey(String group) {
        return MessageUtil.toCoordinatorTypePrefixedBytes(
            new OffsetCommitKey().setGroup(group).setTopic("töpic").setPartition(7));
    }

    static byte[] groupKey(String group) {
        return MessageUtil.toCoordinatorTypePrefixedBytes(new GroupMetadataKey().setGroup(group));
    }

    static byte[] versioned(short version, Message message) {
        return MessageUtil.toVersionPrefixedBytes(version, message);
    }

    static OffsetCommitValue offset(short version) {
        OffsetCommitValue value = new OffsetCommitValue()
            .setOffset(0x0102030405060708L).setMetadata("wo").setCommitTimestamp(1_700_000_000_123L);
        if (version == 1) value.setExpireTimestamp(1_700_000_600_123L);
        if (version >= 3) value.setLeaderEpoch(9);
        if (version >= 4) value.setTopicId(new Uuid(0x1112131415161718L, 0x2122232425262728L));
        return value;
    }

    static OffsetCommitValue long_metadata(int size) {
        return new OffsetCommitValue().setOffset(5).setMetadata("m".repeat(size));
    }

    static GroupMetadataValue group(short version) {
        GroupMetadataValue.MemberMetadata leader = member("a", "wörker", 30_000);
        GroupMetadataValue.MemberMetadata other = member("b", "", 45_000);
        if (version >= 1) leader.setRebalanceTimeout(60_000);
        if (version >= 1) other.setRebalanceTimeout(300_000);
        if (version >= 3) other.setGroupInstanceId("rack-2");
        GroupMetadataValue value = new GroupMetadataValue()
            .setProtocolType("consumer").setGeneration(3).setProtocol("range").setLeader("a")
            .setMembers(List.of(leader, other));
        if (version >= 2) value.setCurrentStateTimestamp(1_700_000_000_456L);
        return value;
    }

    static GroupMetadataValue.MemberMetadata member(String id, String client, int session) {
        return new GroupMetadataValue.MemberMetadata()
            .setMemberId(id).setClientId(client).setClientHost("/127.0.0.1")
            .setSessionTimeout(session)
            .setSubscription(new byte[] {0, 1, 2}).setAssignment(new byte[0]);
    }

    static void show(String from, byte[] key, byte[] value) throws Exception {
        short type = ByteBuffer.wrap(key).getShort();
        ObjectNode entry = MAPPER.createObjectNode();
        entry.put("from", from).put("type", type).put("key", HEX.formatHex(key));
        entry.put("value", value == null ? null : HEX.formatHex(value));
        if (type <= 2) {
            entry.set("key_fields", keyFields(type, body(key)));
            if (value != null) {
                short version = ByteBuffer.wrap(value).getShort();
                entry.put("version", version);
                entry.set("value_fields", valueFields(type, version, body(value)));
            }
        }
        System.out.println(MAPPER.writeValueAsString(entry));
    }

    static ByteBufferAccessor body(byte[] bytes) {
        return new ByteBufferAccessor(ByteBuffer.wrap(bytes, 2, bytes.length - 2).slice());
    }

    static JsonNode keyFields(short type, ByteBufferAccessor body) {
        if (type == 2)
            return GroupMetadataKeyJsonConverter.write(new GroupMetadataKey(body, (short) 0), (short) 0);
        return OffsetCommitKeyJsonConverter.write(new OffsetCommitKey(body, (short) 0), (short) 0);
    }

    static JsonNode valueFields(short type, short version, ByteBufferAccessor body) {
        if (type == 2)
            return GroupMetadataValueJsonConverter.write(new GroupMetadataValue(body, version), version);
        return OffsetCommitValueJsonConverter.write(new OffsetCommitValue(body, version), version);
    }
}
