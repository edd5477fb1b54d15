/* Lines of a raw tape to records: Binance's messages as the venue writes them, read without a Python object
 * each. It knows that form and nothing else. The first line that differs in anything (one of the taper's
 * own, another order of the envelope, a space, an escape, a number that is not exactly a float64 by one
 * division, …) ends a call, and the vendor's own reader says what it is: so there is one contract, and what
 * is refused gets that reader's reason. `tapedeck.tape.canonical` declares what the arrays hold. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FUTURES = 0, SPOT = 1 };
enum { TRADE = 0, QUOTE = 1, BOOK = 2 };
enum { TEXT = 1, INTEGER = 2, BOOLEAN = 3, LEVELS = 4, OTHER = 5 };
enum { LONGEST_SYMBOL = 64, MOST_LEVELS = 65535 };
static const int64_t NS_OF_MS = 1000000;

typedef struct {
    const uint8_t *at, *end;
} Text;

/* A value: what it is, and where it stands (a text without its quotes). */
typedef struct {
    int type;
    Text text;
} Value;

/* Values by the one letter of their key (`pu` under PU), of which only those in `seen` are there. */
enum { PU = 0 };
typedef struct {
    uint64_t seen[2];
    Value of[128];
} Event;

/* ---- JSON, as far as a venue uses it ---------------------------------------------------------------- */

/* Each reader gives 1 and moves on, or 0 where what it looks for does not begin here. */

static int skip(Text *t, const char *wanted) {
    size_t length = strlen(wanted);
    if ((size_t)(t->end - t->at) < length || memcmp(t->at, wanted, length)) return 0;
    t->at += length;
    return 1;
}

static int is(Text t, const char *wanted) {
    size_t length = strlen(wanted);
    return (size_t)(t.end - t.at) == length && !memcmp(t.at, wanted, length);
}

/* A string of printable ASCII without escapes; its text is what stands between the quotes. */
static int read_text(Text *t, Text *found) {
    if (t->at >= t->end || *t->at != '"') return 0;
    const uint8_t *at = t->at + 1;
    found->at = at;
    while (at < t->end && *at != '"') {
        if (*at < 0x20 || *at > 0x7e || *at == '\\') return 0;
        at++;
    }
    if (at >= t->end) return 0;
    found->end = at;
    t->at = at + 1;
    return 1;
}

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* `0` or digits that do not begin with 0, at most 18. */
static int read_digits(Text *t, int64_t *value) {
    const uint8_t *first = t->at;
    int64_t sum = 0;
    while (t->at < t->end && is_digit(*t->at)) {
        if (t->at - first >= 18) return 0;
        sum = sum * 10 + (*t->at++ - '0');
    }
    if (t->at == first || (*first == '0' && t->at - first > 1)) return 0;
    *value = sum;
    return 1;
}

/* `["price","size"],…` between brackets. Levels are checked here and read when they are written. */
static int read_levels(Text *t, Text *found) {
    if (!skip(t, "[")) return 0;
    found->at = t->at;
    if (t->at < t->end && *t->at == ']') {
        found->end = t->at++;
        return 1;
    }
    for (;;) {
        Text one;
        if (!skip(t, "[") || !read_text(t, &one) || !skip(t, ",") || !read_text(t, &one) || !skip(t, "]")) return 0;
        if (t->at >= t->end) return 0;
        if (*t->at == ']') {
            found->end = t->at++;
            return 1;
        }
        if (*t->at++ != ',') return 0;
    }
}

static int read_value(Text *t, Value *value) {
    if (t->at >= t->end) return 0;
    uint8_t c = *t->at;
    int64_t ignored;
    value->text.at = t->at;
    if (c == '"') {
        value->type = TEXT;
        return read_text(t, &value->text);
    }
    if (c == '[') {
        value->type = LEVELS;
        return read_levels(t, &value->text);
    }
    if (is_digit(c)) {
        value->type = INTEGER;
        if (!read_digits(t, &ignored)) return 0;
    } else if (skip(t, "true") || skip(t, "false")) {
        value->type = BOOLEAN;
    } else if (skip(t, "null")) {
        value->type = OTHER;
    } else {
        return 0;
    }
    value->text.end = t->at;
    return 1;
}

/* An object `{"key":value,…}` of such values. A key that comes twice is left to others. */
static int read_object(Text *t, Event *event) {
    event->seen[0] = event->seen[1] = 0;
    if (!skip(t, "{")) return 0;
    for (;;) {
        Text key;
        Value value;
        if (!read_text(t, &key) || !skip(t, ":") || !read_value(t, &value)) return 0;
        int letter = key.end - key.at == 1 ? *key.at : is(key, "pu") ? PU : -1;
        if (letter >= 0) {
            uint64_t bit = 1ull << (letter & 63);
            if (event->seen[letter >> 6] & bit) return 0;
            event->seen[letter >> 6] |= bit;
            event->of[letter] = value;
        }
        if (t->at >= t->end) return 0;
        if (*t->at == '}') {
            t->at++;
            return 1;
        }
        if (*t->at++ != ',') return 0;
    }
}

/* The value of that type under a letter, NULL where there is none. */
static const Value *value_of(const Event *event, int letter, int type) {
    const Value *value = &event->of[letter];
    return event->seen[letter >> 6] >> (letter & 63) & 1 && value->type == type ? value : NULL;
}

static int integer(const Event *event, int letter, int64_t *found) {
    const Value *value = value_of(event, letter, INTEGER);
    if (!value) return 0;
    Text t = value->text;
    return read_digits(&t, found);
}

/* Digits, with a fraction or without. Exact: digits up to 2^53 and a power of ten up to 10^22 are float64 as
 * they stand, so that one division rounds once (Clinger 1990). */
static int number_of(Text t, double *value) {
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *at = t.at, *end = t.end, *point;
    uint64_t digits = 0;
    while (at < end && is_digit(*at)) {
        if (at - t.at >= 18) return 0;
        digits = digits * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == t.at || (*t.at == '0' && at - t.at > 1)) return 0;
    int places = 0;
    if (at < end) {
        if (*at++ != '.' || at == end) return 0;
        point = at;
        for (const uint8_t *c = at; c < end; c++)
            if (!is_digit(*c)) return 0;
        while (end > point && end[-1] == '0') end--;
        for (; at < end; at++) {
            if (digits > (1ull << 53)) return 0;
            digits = digits * 10 + (uint64_t)(*at - '0');
        }
        places = (int)(end - point);
    }
    if (digits > (1ull << 53) || places > 22) return 0;
    *value = (double)digits / power[places];
    return 1;
}

static int number(const Event *event, int letter, double *found) {
    const Value *value = value_of(event, letter, TEXT);
    return value && number_of(value->text, found);
}

/* ---- MsgPack, as `message.encode` writes it ---------------------------------------------------------- */

static uint8_t *put_big_endian(uint8_t *to, uint64_t value, int width) {
    for (int i = width - 1; i >= 0; i--) *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

static uint8_t *put_integer(uint8_t *to, int64_t value) { /* not negative */
    if (value < 0x80) {
        *to++ = (uint8_t)value;
        return to;
    }
    int power = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
    *to++ = (uint8_t)(0xcc + power);
    return put_big_endian(to, (uint64_t)value, 1 << power);
}

static uint8_t *put_float(uint8_t *to, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    *to++ = 0xcb;
    return put_big_endian(to, bits, 8);
}

static uint8_t *put_symbol(uint8_t *to, Text symbol) {
    size_t length = (size_t)(symbol.end - symbol.at);
    if (length < 32) {
        *to++ = (uint8_t)(0xa0 | length);
    } else {
        *to++ = 0xd9;
        *to++ = (uint8_t)length;
    }
    memcpy(to, symbol.at, length);
    return to + length;
}

/* The levels of a side; NULL where one is not as it must be. */
static uint8_t *put_levels(uint8_t *to, Text levels) {
    int64_t count = 0;
    for (const uint8_t *c = levels.at; c < levels.end; c++) count += *c == '[';
    if (count < 16) {
        *to++ = (uint8_t)(0x90 | count);
    } else {
        if (count > MOST_LEVELS) return NULL;
        *to++ = 0xdc;
        to = put_big_endian(to, (uint64_t)count, 2);
    }
    while (levels.at < levels.end) {
        Text price, size;
        double of_price, of_size;
        levels.at++; /* [ */
        if (!read_text(&levels, &price)) return NULL;
        levels.at++; /* , */
        if (!read_text(&levels, &size)) return NULL;
        levels.at += 2; /* ] and , */
        if (!number_of(price, &of_price) || !number_of(size, &of_size)) return NULL;
        *to++ = 0x92;
        to = put_float(put_float(to, of_price), of_size);
    }
    return to;
}

/* ---- Binance ----------------------------------------------------------------------------------------- */

/* What a stream's name says its messages are; -1 for what is not read here. */
static int kind_of(Text stream) {
    if (is(stream, "trade")) return TRADE;
    if (is(stream, "bookTicker")) return QUOTE;
    if (!skip(&stream, "depth")) return -1;
    if (stream.at == stream.end) return BOOK;
    const uint8_t *first = stream.at + 1;
    if (*stream.at++ != '@') return -1;
    while (stream.at < stream.end && is_digit(*stream.at)) stream.at++;
    return stream.at > first && stream.at - first <= 5 && is(stream, "ms") ? BOOK : -1;
}

/* Whether a stream is named after this symbol, which has no small letters. */
static int is_named(Text named, Text symbol) {
    if (named.end - named.at != symbol.end - symbol.at) return 0;
    for (const uint8_t *n = named.at, *s = symbol.at; n < named.end; n++, s++) {
        if ((*n >= 'A' && *n <= 'Z') || (*s >= 'a' && *s <= 'z')) return 0;
        if (*n != (*s >= 'A' && *s <= 'Z' ? *s + 32 : *s)) return 0;
    }
    return 1;
}

/* One payload's record, written to `to`; gives its end, NULL where the vendor's own reader must look. */
static uint8_t *read_payload(Text t, int64_t recv_ns, int64_t src, int market, uint8_t *to, Text *symbol) {
    Event event;
    if (!skip(&t, "{\"stream\":")) return NULL;
    Text stream;
    if (!read_text(&t, &stream) || !skip(&t, ",\"data\":") || !read_object(&t, &event)) return NULL;
    if (!is(t, "}")) return NULL;
    const uint8_t *sign = memchr(stream.at, '@', (size_t)(stream.end - stream.at));
    if (!sign) return NULL;
    Text named = {stream.at, sign};
    int kind = kind_of((Text){sign + 1, stream.end});
    const Value *name = value_of(&event, 's', TEXT), *bids, *asks, *maker;
    if (kind < 0 || !name) return NULL;
    *symbol = name->text;
    ptrdiff_t length = symbol->end - symbol->at;
    if (length < 1 || length > LONGEST_SYMBOL || is(*symbol, "*") || !is_named(named, *symbol)) return NULL;
    int64_t ms = 0, seq, prev = 0;
    if (!(kind == QUOTE && market == SPOT)) { /* whose quotes have neither an event's name nor a time */
        const Value *word = value_of(&event, 'e', TEXT);
        if (!word || !is(word->text, kind == TRADE ? "trade" : kind == BOOK ? "depthUpdate" : "bookTicker")) return NULL;
        if (!integer(&event, 'E', &ms) || ms > INT64_MAX / NS_OF_MS) return NULL;
    }
    if (!integer(&event, kind == TRADE ? 't' : 'u', &seq)) return NULL;
    if (kind == TRADE) {
        prev = seq ? seq - 1 : 0;
    } else if (kind == BOOK) {
        if (!integer(&event, market == SPOT ? 'U' : PU, &prev)) return NULL;
        if (market == SPOT && prev) prev--;
    }
    *to++ = kind == QUOTE ? 0x9b : 0x9a;
    *to++ = 0xa1;
    *to++ = kind == TRADE ? 't' : kind == QUOTE ? 'q' : 'b';
    to = put_symbol(to, *symbol);
    to = put_integer(put_integer(to, ms * NS_OF_MS), recv_ns);
    to = put_integer(put_integer(put_integer(to, seq), prev), src);
    if (kind == BOOK) {
        if (!(bids = value_of(&event, 'b', LEVELS)) || !(asks = value_of(&event, 'a', LEVELS))) return NULL;
        *to++ = 0;
        to = put_levels(to, bids->text);
        return to ? put_levels(to, asks->text) : NULL;
    }
    for (const char *letter = kind == TRADE ? "pq" : "baBA"; *letter; letter++) {
        double value;
        if (!number(&event, *letter, &value)) return NULL;
        to = put_float(to, value);
    }
    if (kind == TRADE) {
        if (!(maker = value_of(&event, 'm', BOOLEAN))) return NULL;
        *to++ = *maker->text.at == 't' ? 0xff : 1; /* the buyer is the maker: the seller was the aggressor */
    }
    return to;
}

/* ---- a chunk of the tape ----------------------------------------------------------------------------- */

/* Kafka's murmur2, of the Java client's partitioner. */
static uint32_t murmur2(const uint8_t *data, int64_t length) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)length;
    for (; length >= 4; data += 4, length -= 4) {
        uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
    }
    if (length > 2) h ^= (uint32_t)data[2] << 16;
    if (length > 1) h ^= (uint32_t)data[1] << 8;
    if (length > 0) h = (h ^ data[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

/* Reads whole lines of `data` from `begin` to `end` until `most` records are laid out or one must be looked
 * at by itself, and gives where that one begins. A record whose lane is not `mine` is read and left out.
 * `values` must have room for twice the lines and 256 bytes more. `found` takes the number of records and
 * the receipt time of the last line read. */
static int64_t read_lines(
    int market, const uint8_t *data, int64_t begin, int64_t end, int64_t limit, int64_t src, int64_t partitions,
    const uint8_t *mine, int64_t longest, int64_t most, int32_t *lanes, uint8_t *values, int64_t *value_bounds,
    uint8_t *keys, int64_t *key_bounds, int64_t *times, int64_t *sent, int64_t *found
) {
    int64_t n = 0;
    uint8_t *value = values, *key = keys;
    value_bounds[0] = key_bounds[0] = 0;
    while (begin < end && n < most) {
        const uint8_t *line = data + begin, *feed = memchr(line, '\n', (size_t)(end - begin));
        if (!feed) break;
        Text t = {line, feed};
        uint64_t stamp = 0;
        while (t.at < t.end && is_digit(*t.at) && t.at - line < 19) stamp = stamp * 10 + (uint64_t)(*t.at++ - '0');
        if (!stamp || *line == '0' || !skip(&t, " ") || stamp > (uint64_t)limit) break;
        Text symbol;
        uint8_t *behind = read_payload(t, (int64_t)stamp, src, market, value, &symbol);
        if (!behind || behind - value > longest) break;
        int64_t length = symbol.end - symbol.at;
        int32_t lane = (int32_t)((murmur2(symbol.at, length) & 0x7fffffff) % (uint32_t)partitions);
        if (mine[lane]) {
            memcpy(key, symbol.at, (size_t)length);
            lanes[n] = lane;
            times[n] = (int64_t)stamp / NS_OF_MS;
            value = behind;
            key += length;
            n++;
            value_bounds[n] = value - values;
            key_bounds[n] = key - keys;
            sent[lane]++;
        }
        found[1] = (int64_t)stamp;
        begin = feed + 1 - data;
    }
    found[0] = n;
    return begin;
}

#define READER(name, market)                                                                                        \
    int64_t name(                                                                                                   \
        const uint8_t *data, int64_t begin, int64_t end, int64_t limit, int64_t src, int64_t partitions,            \
        const uint8_t *mine, int64_t longest, int64_t most, int32_t *lanes, uint8_t *values, int64_t *value_bounds, \
        uint8_t *keys, int64_t *key_bounds, int64_t *times, int64_t *sent, int64_t *found                           \
    ) {                                                                                                             \
        return read_lines(                                                                                          \
            market, data, begin, end, limit, src, partitions, mine, longest, most, lanes, values, value_bounds,     \
            keys, key_bounds, times, sent, found                                                                    \
        );                                                                                                          \
    }

READER(td_binance_futures_lines, FUTURES)
READER(td_binance_spot_lines, SPOT)
