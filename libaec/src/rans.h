/* Reading a stream of the entropy coder (docs/format.md, section 5).  aecodec/entropy/_rans.c writes it, too.

   Whatever the arrays and the stream hold, no access leaves its buffer where every table lies within its arrays: the search
   stops at a table's last symbol, and words are read only where four bytes are left. */

#ifndef AEC_RANS_H
#define AEC_RANS_H

#include <stddef.h>
#include <stdint.h>

#define PRECISION 16
#define SLOT_MASK ((1u << PRECISION) - 1)
#define LOWER ((uint64_t)1 << 31)
#define RADIUS_MAX 32767 /* 2 R + 2 symbols of at least 1/65536 each */
#define ESCAPE_DIGITS 7
#define ESCAPE_SHIFT (PRECISION - 4) /* a digit and its flag are a nibble, all sixteen equally likely */
#define ESCAPE_FREQUENCY (1u << ESCAPE_SHIFT)
#define STATE_BYTES 16 /* in front of the words of a stream */
#define ODD_STATE 232 /* trellis.py: what the states of dependent symbols do */
#define ODD_SYMBOL 120

static const char truncated[] = "stream is truncated";

/* cdf holds the tables one after another, start where each begins; lookup (256 of each table) the symbol whose interval
   holds the slot 256 * column, where a search can begin. */
typedef struct {
    const int32_t *radius, *start;
    const uint32_t *cdf;
    const uint16_t *lookup;
} Tables;

typedef struct {
    uint64_t x, y; /* x belongs to the next operation; the two take turns */
    const uint8_t *data;
    ptrdiff_t position, size;
} Stream;

static inline uint32_t load32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Reads the states of the stream that begins here; false where they are missing or out of range. */
static inline int begin_stream(Stream *stream)
{
    if (stream->size - stream->position < STATE_BYTES)
        return 0;
    const uint8_t *from = stream->data + stream->position;
    stream->x = load32(from) | (uint64_t)load32(from + 4) << 32;
    stream->y = load32(from + 8) | (uint64_t)load32(from + 12) << 32;
    stream->position += STATE_BYTES;
    return stream->x >= LOWER && stream->x < LOWER << 32 && stream->y >= LOWER && stream->y < LOWER << 32;
}

/* Takes one operation off the stream; false where the stream ends before it. */
static inline int pop(Stream *stream, uint32_t frequency, uint32_t start)
{
    uint64_t x = frequency * (stream->x >> PRECISION) + (stream->x & SLOT_MASK) - start;
    if (x < LOWER) {
        if (stream->size - stream->position < 4)
            return 0;
        x = x << 32 | load32(stream->data + stream->position);
        stream->position += 4;
    }
    stream->x = stream->y;
    stream->y = x;
    return 1;
}

/* Decodes the digits after an escape to a value. Returns NULL, or a message. */
static inline const char *pop_escape(Stream *stream, int32_t radius, int32_t *value)
{
    uint32_t rest = 0, nibble = 8;
    for (int shift = 0; nibble & 8; shift += 3) {
        if (shift == 3 * ESCAPE_DIGITS)
            return "escape is too long";
        nibble = (stream->x & SLOT_MASK) >> ESCAPE_SHIFT;
        if (!pop(stream, ESCAPE_FREQUENCY, nibble << ESCAPE_SHIFT))
            return truncated;
        rest |= (nibble & 7) << shift;
    }
    int32_t magnitude = radius + 1 + (int32_t)(rest >> 1);
    *value = rest & 1 ? -magnitude : magnitude;
    return NULL;
}

/* Decodes count symbols. Where stride is not 0 they are dependent, as trellis.py says: the table is the one of the level
   plus stride in quantiser 0 and plus 2 stride in quantiser 1, and multiples take the place of symbols. Every level must
   have its tables. Returns NULL, or a message. */
static inline const char *pop_all(const Tables *tables, Stream *shared, const uint8_t *levels, ptrdiff_t count, int stride,
                                  int32_t *symbols)
{
    Stream stream = *shared; /* a local copy can stay in registers */
    uint32_t state = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        int quantiser = state & 1, table = levels[i] + stride * (1 + quantiser);
        int32_t radius = tables->radius[table], escape = 2 * radius + 1;
        const uint32_t *cdf = tables->cdf + tables->start[table];
        uint32_t slot = stream.x & SLOT_MASK;
        int32_t symbol = tables->lookup[256 * table + (slot >> 8)];
        if (symbol > escape)
            symbol = escape;
        while (symbol < escape && cdf[symbol + 1] <= slot)
            symbol++;
        if (!pop(&stream, cdf[symbol + 1] - cdf[symbol], cdf[symbol]))
            return truncated;
        int32_t value = symbol - radius;
        if (symbol == escape) {
            const char *problem = pop_escape(&stream, radius, &value);
            if (problem)
                return problem;
        }
        symbols[i] = value;
        if (stride) {
            symbols[i] = 2 * value - quantiser * ((value > 0) - (value < 0));
            state = (state >> 1) ^ (quantiser ? ODD_STATE : 0) ^ (value & 1 ? ODD_SYMBOL : 0);
        }
    }
    *shared = stream;
    return NULL;
}

#endif
