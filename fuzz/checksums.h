/* Sets the checksums of a damaged file right again, so that what is behind them is tried, too. */

#ifndef AEC_FUZZ_CHECKSUMS_H
#define AEC_FUZZ_CHECKSUMS_H

#include "internal.h"

#define FIXED 9        /* bytes in front of width and height */
#define BEHIND_SIZE 6  /* weights and rate index */

static int take_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (*at >= size)
            return 0;
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* Writes the checksums of header and chunks, as far as these can be found. */
static void set_checksums(uint8_t *data, size_t size)
{
    size_t at = FIXED;
    uint64_t value;
    if (!take_varint(data, size, &at, &value) || !take_varint(data, size, &at, &value) || size < at + BEHIND_SIZE + 4)
        return;
    at += BEHIND_SIZE;
    put32(data + at, aec_crc32(0, data, at));
    at += 4;
    while (at < size) {
        uint8_t *kind = data + at++;
        if (!take_varint(data, size, &at, &value) || value > size - at || size - at - value < 4)
            return;
        put32(data + at + value, aec_crc32(aec_crc32(0, kind, 1), data + at, (size_t)value));
        at += (size_t)value + 4;
    }
}

#endif
