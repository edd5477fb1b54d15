/* The loops that touch every message: gathering what librdkafka fetched, reading MsgPack into columns,
 * handing records to librdkafka's producer. Each works on arrays that the caller owns, keeps no state and
 * calls nothing but the functions it is given. `tapedeck.native` declares them to Python. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- byte strings, end to end ---------------------------------------------------------------------- */

/* String i is source[begins[i] …], as long as bounds says; they are laid end to end into `to`. */
void td_copy(const uint8_t *source, const int64_t *begins, int64_t n, uint8_t *to, const int64_t *bounds) {
    for (int64_t i = 0; i < n; i++)
        memcpy(to + bounds[i], source + begins[i], (size_t)(bounds[i + 1] - bounds[i]));
}

/* ---- MsgPack to columns ---------------------------------------------------------------------------- */

enum { TRADE = 0, QUOTE = 1, BOOK = 2, LEFT = 3 };
enum { LEVEL_BYTES = 19 }; /* an array's head and two float64 */

typedef struct {
    const uint8_t *at, *end;
} Reader;

static uint64_t big_endian(const uint8_t *bytes, int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; i++) value = value << 8 | bytes[i];
    return value;
}

static uint64_t big_endian_64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* Each reader gives 1 and moves on, or 0 where what it looks for does not begin here. */

static int read_integer(Reader *r, int64_t *value) {
    if (r->at >= r->end) return 0;
    uint8_t head = *r->at;
    if (head < 0x80 || head >= 0xe0) {
        *value = (int8_t)head;
        r->at++;
        return 1;
    }
    if (head < 0xcc || head > 0xd3) return 0;
    int width = 1 << ((head - 0xcc) & 3);
    if (r->end - r->at < 1 + width) return 0;
    uint64_t raw = width == 8 ? big_endian_64(r->at + 1) : big_endian(r->at + 1, width);
    if (head >= 0xd0) {
        int shift = 64 - 8 * width;
        *value = (int64_t)(raw << shift) >> shift;
    } else {
        if (raw > INT64_MAX) return 0;
        *value = (int64_t)raw;
    }
    r->at += 1 + width;
    return 1;
}

static int read_float(Reader *r, double *value) {
    if (r->end - r->at < 9 || *r->at != 0xcb) return 0;
    uint64_t bits = big_endian_64(r->at + 1);
    if ((bits >> 52 & 0x7ff) == 0x7ff) return 0; /* not finite */
    memcpy(value, &bits, 8);
    r->at += 9;
    return 1;
}

static int read_length(Reader *r, int64_t *length) {
    if (r->at >= r->end) return 0;
    uint8_t head = *r->at;
    if ((head & 0xf0) == 0x90) {
        *length = head & 15;
        r->at++;
        return 1;
    }
    if (head != 0xdc || r->end - r->at < 3) return 0;
    *length = (int64_t)big_endian(r->at + 1, 2);
    r->at += 3;
    return 1;
}

static int read_side(Reader *r, int64_t *count, double *levels, int64_t *filled) {
    if (!read_length(r, count) || *count > (r->end - r->at) / LEVEL_BYTES) return 0;
    for (int64_t i = 0; i < *count; i++) {
        double *level = levels + 2 * *filled;
        if (r->at >= r->end || *r->at++ != 0x92 || !read_float(r, level) || !read_float(r, level + 1)) return 0;
        ++*filled;
    }
    return 1;
}

static int read_symbol(Reader *r, const uint8_t **symbol, int64_t *length) {
    if (r->at >= r->end) return 0;
    uint8_t head = *r->at++;
    if ((head & 0xe0) == 0xa0) {
        *length = head & 31;
    } else {
        if (head != 0xd9 || r->at >= r->end) return 0;
        *length = *r->at++;
    }
    if (*length < 1 || *length > 64 || r->end - r->at < *length) return 0;
    *symbol = r->at;
    for (; r->at < *symbol + *length; r->at++)
        if (*r->at < 0x20 || *r->at > 0x7e) return 0;
    return 1;
}

/* The symbol's code in the batch: its place in `names` (begin, length), found by a hash table that is at
 * least half empty. */
static int32_t code_of(
    const uint8_t *data, const uint8_t *symbol, int64_t length, int32_t *table, int64_t mask, int64_t *names,
    int64_t *count
) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (int64_t i = 0; i < length; i++) hash = (hash ^ symbol[i]) * 1099511628211u;
    for (int64_t place = (int64_t)(hash ^ hash >> 29) & mask;; place = (place + 1) & mask) {
        int32_t code = table[place];
        if (code < 0) {
            table[place] = (int32_t)*count;
            names[2 * *count] = symbol - data;
            names[2 * *count + 1] = length;
            return (int32_t)(*count)++;
        }
        if (names[2 * code + 1] == length && !memcmp(data + names[2 * code], symbol, (size_t)length)) return code;
    }
}

/* Reads n records; `tapedeck.unpack` tells what the arrays hold. Gives how many symbols there are, and in
 * `filled` how many levels. */
int64_t td_unpack(
    const uint8_t *data, const int64_t *bounds, int64_t n, int8_t *kind, int32_t *symbol, int64_t *common,
    double *numbers, int64_t *extra, double *levels, int32_t *table, int64_t table_size, int64_t *names,
    int64_t *filled
) {
    int64_t count = 0, mask = table_size - 1;
    *filled = 0;
    for (int64_t i = 0; i < n; i++) {
        Reader r = {data + bounds[i], data + bounds[i + 1]};
        kind[i] = LEFT;
        if (r.end - r.at < 10 || r.at[1] != 0xa1) continue;
        int fields = r.at[0] - 0x90, tag = r.at[2];
        int found = tag == 't' && (fields == 9 || fields == 10)   ? TRADE
                    : tag == 'q' && fields >= 9 && fields <= 11 ? QUOTE
                    : tag == 'b' && fields == 10                ? BOOK
                                                                : LEFT;
        if (found == LEFT) continue;
        r.at += 3;
        const uint8_t *name;
        int64_t length, value[5], own[3] = {0, 0, 0}, kept = *filled;
        double price[4] = {0, 0, 0, 0};
        if (!read_symbol(&r, &name, &length)) continue;
        int sound = 1;
        for (int j = 0; sound && j < 5; j++) sound = read_integer(&r, value + j);
        if (!sound || value[0] < 0 || value[1] <= 0 || value[4] <= 0) continue;
        if (found == TRADE) {
            sound = read_float(&r, price) && read_float(&r, price + 1) && (fields == 9 || read_integer(&r, own));
            if (own[0] < -1 || own[0] > 1) continue;
        } else if (found == QUOTE) {
            for (int j = 0; sound && j < fields - 7; j++) sound = read_float(&r, price + j);
        } else {
            sound = read_integer(&r, own) && read_side(&r, own + 1, levels, &kept) &&
                    read_side(&r, own + 2, levels, &kept);
            if (own[0] < 0 || own[0] > 1) continue;
        }
        if (!sound || r.at != r.end) continue;
        *filled = kept;
        for (int j = 0; j < 5; j++) common[j * n + i] = value[j];
        for (int j = 0; j < 4; j++) numbers[j * n + i] = price[j];
        for (int j = 0; j < 3; j++) extra[j * n + i] = own[j];
        symbol[i] = code_of(data, name, length, table, mask, names, &count);
        kind[i] = (int8_t)found;
    }
    return count;
}

/* Marks the records that a reader of one kind and a few symbols must look at: all but those that are plainly
 * of another kind than `tag` or of none of the symbols. */
void td_about(
    const uint8_t *data, const int64_t *bounds, int64_t n, int64_t tag, const uint8_t *names,
    const int64_t *name_bounds, int64_t count, uint8_t *meant
) {
    static const char plain[] = "tqbsfh";
    for (int64_t i = 0; i < n; i++) {
        Reader r = {data + bounds[i], data + bounds[i + 1]};
        const uint8_t *name;
        int64_t length;
        meant[i] = 1;
        if (r.end - r.at < 10 || (r.at[0] & 0xf0) != 0x90 || r.at[1] != 0xa1) continue;
        int found = r.at[2];
        if (!found || !strchr(plain, found)) continue;
        if (found != tag) {
            meant[i] = 0;
            continue;
        }
        r.at += 3;
        if (!read_symbol(&r, &name, &length)) continue;
        int wanted = 0;
        for (int64_t j = 0; !wanted && j < count; j++)
            wanted = name_bounds[j + 1] - name_bounds[j] == length &&
                     !memcmp(names + name_bounds[j], name, (size_t)length);
        meant[i] = (uint8_t)wanted;
    }
}

/* ---- what librdkafka fetched ----------------------------------------------------------------------- */

/* rd_kafka_message_t of librdkafka's public interface (rdkafka.h). */
typedef struct {
    int32_t err;
    void *topic;
    int32_t partition;
    void *payload;
    size_t length;
    void *key;
    size_t key_length;
    int64_t offset;
    void *private_;
} Message;

/* How many bytes of values and of keys the first messages have, up to the first that is an error. Gives
 * how many those are. */
int64_t td_measure(Message *const *messages, int64_t n, int64_t *value_bytes, int64_t *key_bytes) {
    *value_bytes = *key_bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        if (messages[i]->err) return i;
        *value_bytes += (int64_t)messages[i]->length;
        *key_bytes += (int64_t)messages[i]->key_length;
    }
    return n;
}

/* Lays n messages out in arrays. `timestamp` is rd_kafka_message_timestamp; `topics` are the handles. */
void td_gather(
    Message *const *messages, int64_t n, int64_t (*timestamp)(const Message *, int *), void **topics,
    int32_t *partitions, int64_t *offsets, int64_t *timestamps, uint8_t *values, int64_t *value_bounds,
    uint8_t *keys, int64_t *key_bounds, uint8_t *null_keys
) {
    value_bounds[0] = key_bounds[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const Message *m = messages[i];
        if (m->length) memcpy(values + value_bounds[i], m->payload, m->length);
        if (m->key_length) memcpy(keys + key_bounds[i], m->key, m->key_length);
        value_bounds[i + 1] = value_bounds[i] + (int64_t)m->length;
        key_bounds[i + 1] = key_bounds[i] + (int64_t)m->key_length;
        null_keys[i] = m->key == NULL;
        topics[i] = m->topic;
        partitions[i] = m->partition;
        offsets[i] = m->offset;
        timestamps[i] = timestamp(m, NULL);
    }
}

/* What is wrong with a message, and where: its error, topic handle, partition and offset. */
void td_error(const Message *message, int64_t *found) {
    found[0] = message->err;
    found[1] = (int64_t)(intptr_t)message->topic;
    found[2] = message->partition;
    found[3] = message->offset;
}

/* Gives n messages back. `destroy` is rd_kafka_message_destroy. */
void td_release(Message *const *messages, int64_t n, void (*destroy)(Message *)) {
    for (int64_t i = 0; i < n; i++) destroy(messages[i]);
}

/* ---- handing records to librdkafka's producer ------------------------------------------------------ */

/* rd_kafka_vu_t of rdkafka.h. */
typedef struct {
    int type;
    union {
        void *topic;
        int flags;
        int32_t partition;
        int64_t time;
        void *opaque;
        struct {
            const void *at;
            size_t size;
        } bytes;
        char room[64];
    } u;
} Argument;

enum { ARG_TOPIC = 2, ARG_PARTITION = 3, ARG_VALUE = 4, ARG_KEY = 5, ARG_OPAQUE = 6, ARG_FLAGS = 7, ARG_TIME = 8 };
enum { COPY = 2 };

/* Produces records first … n - 1. Record i goes to lane lanes[i], which is a topic handle and a partition;
 * its lane comes back with its acknowledgement. Gives the first that was not taken, n where all were, and
 * in `failed` librdkafka's error for it. The functions are rd_kafka_produceva, _error_code, _error_destroy. */
int64_t td_produce(
    void *producer, int64_t first, int64_t n, const int32_t *lanes, void *const *topics, const int32_t *partitions,
    const uint8_t *values, const int64_t *value_bounds, const uint8_t *keys, const int64_t *key_bounds,
    const uint8_t *null_keys, const int64_t *timestamps, void *(*produce)(void *, const Argument *, size_t),
    int (*error_code)(void *), void (*error_destroy)(void *), int64_t *failed
) {
    Argument args[7] = {{ARG_TOPIC, {0}}, {ARG_PARTITION, {0}}, {ARG_VALUE, {0}}, {ARG_KEY, {0}},
                        {ARG_OPAQUE, {0}}, {ARG_TIME, {0}}, {ARG_FLAGS, {0}}};
    args[6].u.flags = COPY;
    for (int64_t i = first; i < n; i++) {
        args[0].u.topic = topics[lanes[i]];
        args[1].u.partition = partitions[lanes[i]];
        args[2].u.bytes.at = values + value_bounds[i];
        args[2].u.bytes.size = (size_t)(value_bounds[i + 1] - value_bounds[i]);
        args[3].u.bytes.at = null_keys && null_keys[i] ? NULL : keys + key_bounds[i];
        args[3].u.bytes.size = (size_t)(key_bounds[i + 1] - key_bounds[i]);
        args[4].u.opaque = (void *)(intptr_t)lanes[i];
        args[5].u.time = timestamps[i];
        void *error = produce(producer, args, 7);
        if (error) {
            *failed = error_code(error);
            error_destroy(error);
            return i;
        }
    }
    return n;
}

/* Counts acknowledgements, each in its lane; behind a record that was refused a lane counts no more. The
 * first refusal ever is kept in `failure`: its error and its lane. */
void td_acknowledge(Message *const *messages, int64_t n, int64_t *acknowledged, uint8_t *broken, int64_t *failure) {
    for (int64_t i = 0; i < n; i++) {
        int64_t lane = (int64_t)(intptr_t)messages[i]->private_;
        if (messages[i]->err) {
            if (!failure[0]) {
                failure[0] = messages[i]->err;
                failure[1] = lane;
            }
            broken[lane] = 1;
        } else if (!broken[lane]) {
            acknowledged[lane]++;
        }
    }
}

/* ---- names of records ------------------------------------------------------------------------------ */

/* SplitMix64's finaliser (Steele, Lea and Flood 2014). */
static uint64_t mixed(uint64_t h) {
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

/* Folds each message's words, 64 bits each, word i of message j at words[i][j], into both lanes of its hash. */
void td_hashes(const uint64_t *const *words, int64_t count, int64_t n, const uint64_t *seeds, uint64_t *high,
               uint64_t *low) {
    for (int64_t j = 0; j < n; j++) {
        uint64_t a = seeds[0], b = seeds[1];
        for (int64_t i = 0; i < count; i++) {
            uint64_t word = words[i][j];
            a = mixed(a ^ word);
            b = mixed(b ^ word);
        }
        high[j] = a;
        low[j] = b;
    }
}

static void fold(uint64_t *low, uint64_t *high, const uint8_t *bytes, int64_t length) {
    for (; length > 0; bytes += 8, length -= 8) {
        uint64_t word = 0;
        memcpy(&word, bytes, length < 8 ? (size_t)length : 8);
        *low = mixed(*low ^ word);
        *high = mixed(*high ^ word);
    }
}

/* 128 bits for each record's key, timestamp and value. */
void td_names(
    int64_t n, const uint8_t *keys, const int64_t *key_bounds, const uint8_t *null_keys, const int64_t *timestamps,
    const uint8_t *values, const int64_t *value_bounds, uint64_t *names
) {
    for (int64_t i = 0; i < n; i++) {
        int64_t key_length = key_bounds[i + 1] - key_bounds[i], length = value_bounds[i + 1] - value_bounds[i];
        uint64_t head[3] = {null_keys && null_keys[i] ? UINT64_MAX : (uint64_t)key_length, (uint64_t)length,
                            (uint64_t)timestamps[i]};
        uint64_t low = 0x9e3779b97f4a7c15u, high = 0xc2b2ae3d27d4eb4fu;
        fold(&low, &high, (const uint8_t *)head, sizeof head);
        fold(&low, &high, keys + key_bounds[i], key_length);
        fold(&low, &high, values + value_bounds[i], length);
        names[2 * i] = low;
        names[2 * i + 1] = high;
    }
}
