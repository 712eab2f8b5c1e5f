/* Inflate (RFC 1951) of zlib streams (RFC 1950) whose size is known: alpha needs no more. */

#include "internal.h"

#include <string.h>

#define LENGTH_MAX 15
#define SYMBOLS 288

typedef struct {
    const uint8_t *data;
    size_t size, position;
    uint32_t bits;
    int count;
} Bits;

/* Codes by their lengths: how many there are of each, and the symbols in order. */
typedef struct {
    uint16_t count[LENGTH_MAX + 1], symbol[SYMBOLS];
} Codes;

/* The next n <= 16 bits, or -1 at the end. */
static int take(Bits *in, int n)
{
    while (in->count < n) {
        if (in->position == in->size)
            return -1;
        in->bits |= (uint32_t)in->data[in->position++] << in->count;
        in->count += 8;
    }
    int value = (int)(in->bits & ((1u << n) - 1));
    in->bits >>= n;
    in->count -= n;
    return value;
}

/* False where lengths make more codes than there are, or fewer, but for a single one. */
static int build(Codes *codes, const uint8_t *lengths, int count)
{
    uint16_t offset[LENGTH_MAX + 1];
    int left = 1, used = 0;
    memset(codes->count, 0, sizeof codes->count);
    for (int i = 0; i < count; i++)
        codes->count[lengths[i]]++;
    codes->count[0] = 0;
    offset[0] = offset[1] = 0;
    for (int i = 1; i <= LENGTH_MAX; i++) {
        left = 2 * left - codes->count[i];
        used += codes->count[i];
        if (left < 0)
            return 0;
        if (i < LENGTH_MAX)
            offset[i + 1] = offset[i] + codes->count[i];
    }
    for (int i = 0; i < count; i++)
        if (lengths[i])
            codes->symbol[offset[lengths[i]]++] = (uint16_t)i;
    return left == 0 || (used == 1 && codes->count[1] == 1) || used == 0;
}

static int decode(Bits *in, const Codes *codes)
{
    int code = 0, first = 0, index = 0;
    for (int length = 1; length <= LENGTH_MAX; length++) {
        int bit = take(in, 1);
        if (bit < 0)
            return -1;
        code |= bit;
        int count = codes->count[length];
        if (code - first < count)
            return codes->symbol[index + code - first];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return -1;
}

static int read_codes(Bits *in, Codes *literal, Codes *distance)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[SYMBOLS + 32] = {0};
    int literals = take(in, 5), distances = take(in, 5), count = take(in, 4);
    if (literals < 0 || distances < 0 || count < 0 || literals > 29 || distances > 29)
        return 0;
    literals += 257;
    distances += 1;
    for (int i = 0; i < count + 4; i++) {
        int length = take(in, 3);
        if (length < 0)
            return 0;
        lengths[order[i]] = (uint8_t)length;
    }
    if (!build(literal, lengths, 19))
        return 0;
    memset(lengths, 0, sizeof lengths);
    for (int i = 0; i < literals + distances;) {
        int symbol = decode(in, literal);
        if (symbol < 0)
            return 0;
        if (symbol < 16) {
            lengths[i++] = (uint8_t)symbol;
            continue;
        }
        int extra = take(in, symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
        if (extra < 0 || (symbol == 16 && !i))
            return 0;
        int repeat = extra + (symbol == 18 ? 11 : 3);
        uint8_t value = symbol == 16 ? lengths[i - 1] : 0;
        if (repeat > literals + distances - i)
            return 0;
        memset(lengths + i, value, (size_t)repeat);
        i += repeat;
    }
    return lengths[256] && build(literal, lengths, literals) && build(distance, lengths + literals, distances);
}

static void fixed_codes(Codes *literal, Codes *distance)
{
    uint8_t lengths[SYMBOLS];
    for (int i = 0; i < SYMBOLS; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    build(literal, lengths, SYMBOLS);
    memset(lengths, 5, 32);
    build(distance, lengths, 32);
}

static int inflate_block(Bits *in, const Codes *literal, const Codes *distance, uint8_t *out, size_t size, size_t *end)
{
    static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                             31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                            2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t far_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                          33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                          1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    size_t at = *end;
    for (;;) {
        int symbol = decode(in, literal);
        if (symbol < 0)
            return 0;
        if (symbol < 256) {
            if (at == size)
                return 0;
            out[at++] = (uint8_t)symbol;
            continue;
        }
        if (symbol == 256)
            break;
        symbol -= 257;
        if (symbol >= 29)
            return 0;
        int extra = take(in, length_bits[symbol]);
        int far = decode(in, distance);
        if (extra < 0 || far < 0 || far >= 30)
            return 0;
        size_t length = length_base[symbol] + (size_t)extra;
        int more = take(in, far < 2 ? 0 : far / 2 - 1);
        if (more < 0)
            return 0;
        size_t back = far_base[far] + (size_t)more;
        if (back > at || length > size - at)
            return 0;
        for (; length; length--, at++)
            out[at] = out[at - back];
    }
    *end = at;
    return 1;
}

static uint32_t adler32(const uint8_t *data, size_t size)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a += data[i];
        a = a >= 65521 ? a - 65521 : a;
        b += a;
        b = b >= 65521 ? b - 65521 : b;
    }
    return b << 16 | a;
}

int aec_inflate(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    if (size < 6 || (data[0] & 15) != 8 || data[0] >> 4 > 7 || data[1] & 32 || (data[0] << 8 | data[1]) % 31)
        return 0;
    Bits in = {.data = data, .size = size - 4, .position = 2};
    size_t at = 0;
    for (int last = 0; !last;) {
        last = take(&in, 1);
        int type = take(&in, 2);
        if (last < 0 || type < 0 || type == 3)
            return 0;
        if (type == 0) {
            in.bits = 0;
            in.count = 0; /* the rest of a byte; whole ones are never ahead */
            if (in.size - in.position < 4)
                return 0;
            size_t length = in.data[in.position] | (size_t)in.data[in.position + 1] << 8;
            size_t check = in.data[in.position + 2] | (size_t)in.data[in.position + 3] << 8;
            in.position += 4;
            if ((length ^ check) != 0xFFFF || length > in.size - in.position || length > out_size - at)
                return 0;
            if (length)
                memcpy(out + at, in.data + in.position, length);
            in.position += length;
            at += length;
            continue;
        }
        Codes literal, distance;
        if (type == 1)
            fixed_codes(&literal, &distance);
        else if (!read_codes(&in, &literal, &distance))
            return 0;
        if (!inflate_block(&in, &literal, &distance, out, out_size, &at))
            return 0;
    }
    const uint8_t *sum = data + size - 4;
    uint32_t stored = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
    return at == out_size && in.position == in.size && stored == adler32(out, out_size);
}
