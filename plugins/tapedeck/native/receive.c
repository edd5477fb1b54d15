/* What waits on a ZeroMQ socket to lines of the raw tape: the taper's loop, without a Python object for each
 * message. The lines are those that `buses.captured.line_of` writes, the stamps those of `clock.Stamps`. */

#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { NOBLOCK = 1, LONGEST_STAMP = 19 };

static int must_be_coded(const uint8_t *payload, size_t size) {
    if (!size) return 0;
    return payload[0] == '!' || (size >= 4 && !memcmp(payload, "b64:", 4)) || memchr(payload, '\n', size) != NULL;
}

static uint8_t *put_base64(uint8_t *to, const uint8_t *from, size_t size) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)from[i] << 16 | (i + 1 < size ? (uint32_t)from[i + 1] << 8 : 0) |
                         (i + 2 < size ? from[i + 2] : 0);
        *to++ = (uint8_t)letters[three >> 18];
        *to++ = (uint8_t)letters[three >> 12 & 63];
        *to++ = i + 1 < size ? (uint8_t)letters[three >> 6 & 63] : '=';
        *to++ = i + 2 < size ? (uint8_t)letters[three & 63] : '=';
    }
    return to;
}

static uint8_t *put_digits(uint8_t *to, uint64_t value) {
    uint8_t digits[20], *at = digits + sizeof digits;
    uint32_t low = (uint32_t)(value % 1000000000u);
    uint64_t high = value / 1000000000u;
    for (int i = 0; i < 9 && (high || low); i++, low /= 10) *--at = (uint8_t)('0' + low % 10);
    for (; high; high /= 10) *--at = (uint8_t)('0' + high % 10);
    if (at == digits + sizeof digits) *--at = '0';
    size_t length = (size_t)(digits + sizeof digits - at);
    memcpy(to, at, length);
    return to + length;
}

/* Takes at most `most` messages that wait and lays out their lines, at most `room` bytes of them; gives how
 * many. The functions are zmq_msg_recv, zmq_msg_data, zmq_msg_size and zmq_errno; `message` is a zmq_msg_t.
 * `state`: the stamps' floor, which moves; 1 where `message` holds one that there was no room for, which the
 * next call takes first; the bytes that one needs; the bytes laid out; an error of ZeroMQ's, else 0. */
int64_t td_receive(
    void *socket, int (*receive)(void *, void *, int), void *(*data_of)(void *), size_t (*size_of)(const void *),
    int (*error)(void), void *message, int64_t offset, int64_t *state, uint8_t *lines, int64_t room, int64_t most
) {
    int64_t n = 0;
    uint8_t *to = lines;
    state[4] = 0;
    while (n < most) {
        if (!state[1] && receive(message, socket, NOBLOCK) < 0) {
            int why = error();
            if (why != EAGAIN && why != EINTR) state[4] = why;
            break;
        }
        const uint8_t *payload = data_of(message);
        size_t size = size_of(message);
        int coded = must_be_coded(payload, size);
        int64_t needed = LONGEST_STAMP + 2 + (coded ? 4 + (int64_t)(size + 2) / 3 * 4 : (int64_t)size);
        state[1] = needed > lines + room - to;
        if (state[1]) {
            state[2] = needed;
            break;
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t stamp = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + offset;
        if (stamp < state[0]) stamp = state[0];
        state[0] = stamp + (size ? (int64_t)size : 1);
        to = put_digits(to, (uint64_t)stamp);
        *to++ = ' ';
        if (coded) {
            memcpy(to, "b64:", 4);
            to = put_base64(to + 4, payload, size);
        } else if (size) {
            memcpy(to, payload, size);
            to += size;
        }
        *to++ = '\n';
        n++;
    }
    state[3] = to - lines;
    return n;
}
