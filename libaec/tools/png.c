#include "png.h"
#include "png_filter.h"

#include <stdlib.h>
#include <string.h>

#define SYMBOLS 257 /* bytes, and the end of a block */
#define END 256
#define LONGEST 15
#define CODE_LENGTHS 19

typedef struct {
    uint8_t *data;
    size_t size, room;
    uint64_t bits;
    int count;
} Output; /* data is NULL once memory ran out */

static void put_byte(Output *out, uint8_t byte)
{
    if (out->size == out->room) {
        uint8_t *more = out->data ? realloc(out->data, out->room *= 2) : NULL;
        if (!more)
            free(out->data);
        out->data = more;
    }
    if (out->data)
        out->data[out->size++] = byte;
}

static void put_bits(Output *out, uint32_t value, int count)
{
    out->bits |= (uint64_t)value << out->count;
    for (out->count += count; out->count >= 8; out->count -= 8, out->bits >>= 8)
        put_byte(out, (uint8_t)out->bits);
}

/* Lengths of a Huffman code of counts: the two rarest symbols are joined until one is left.  Rare ones count for more until
   no length is over LONGEST. */
static void code_lengths(const uint32_t *counts, uint8_t *lengths)
{
    for (uint32_t least = 1;; least *= 2) {
        uint64_t weight[2 * SYMBOLS];
        int parent[2 * SYMBOLS], nodes = SYMBOLS, longest = 0;
        uint8_t joined[2 * SYMBOLS] = {0};
        for (int i = 0; i < SYMBOLS; i++)
            weight[i] = counts[i] ? counts[i] + least - 1 : 0;
        for (;; nodes++) {
            int a = -1, b = -1;
            for (int i = 0; i < nodes; i++) {
                if (!weight[i] || joined[i])
                    continue;
                if (a < 0 || weight[i] < weight[a]) {
                    b = a;
                    a = i;
                } else if (b < 0 || weight[i] < weight[b])
                    b = i;
            }
            if (b < 0)
                break;
            weight[nodes] = weight[a] + weight[b];
            joined[a] = joined[b] = 1;
            parent[a] = parent[b] = nodes;
        }
        for (int i = 0; i < SYMBOLS; i++) {
            int length = 0;
            for (int node = i; weight[node] && joined[node]; node = parent[node])
                length++;
            lengths[i] = (uint8_t)length;
            longest = length > longest ? length : longest;
        }
        if (longest <= LONGEST)
            return;
    }
}

/* Codes of their lengths, with the first bit of each in the lowest place. */
static void codes_of(const uint8_t *lengths, int symbols, uint16_t *codes)
{
    uint32_t next = 0;
    for (int length = 1; length <= LONGEST; length++, next <<= 1)
        for (int i = 0; i < symbols; i++)
            if (lengths[i] == length) {
                codes[i] = 0;
                for (int bit = 0; bit < length; bit++)
                    codes[i] |= (uint16_t)((next >> bit & 1) << (length - 1 - bit));
                next++;
            }
}

/* A block of bytes with a code of its own.  Code lengths are written in five bits each, which costs 160 bytes. */
static void put_block(Output *out, const uint8_t *data, size_t size, int is_last)
{
    static const uint8_t order[CODE_LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint32_t counts[SYMBOLS] = {0};
    uint8_t lengths[SYMBOLS], of_lengths[16];
    uint16_t codes[SYMBOLS] = {0}, codes_of_lengths[16];
    counts[END] = 1;
    for (size_t i = 0; i < size; i++)
        counts[data[i]]++;
    code_lengths(counts, lengths);
    codes_of(lengths, SYMBOLS, codes);
    memset(of_lengths, 4, sizeof of_lengths); /* all sixteen lengths in four bits */
    codes_of(of_lengths, 16, codes_of_lengths);
    put_bits(out, (uint32_t)(is_last | 2 << 1), 3);
    put_bits(out, SYMBOLS - 257, 5);
    put_bits(out, 0, 5); /* one code of distances */
    put_bits(out, CODE_LENGTHS - 4, 4);
    for (int i = 0; i < CODE_LENGTHS; i++)
        put_bits(out, order[i] < 16 ? 4 : 0, 3);
    for (int i = 0; i < SYMBOLS; i++)
        put_bits(out, codes_of_lengths[lengths[i]], 4);
    put_bits(out, codes_of_lengths[0], 4); /* which is not used */
    for (size_t i = 0; i < size; i++)
        put_bits(out, codes[data[i]], lengths[data[i]]);
    put_bits(out, codes[END], lengths[END]);
}

/* A zlib stream of bytes. */
static void put_zlib(Output *out, const uint8_t *data, size_t size)
{
    const size_t block = 1 << 16;
    uint32_t low = 1, high = 0;
    put_byte(out, 0x78);
    put_byte(out, 0x01);
    for (size_t at = 0; at < size || !at; at += block)
        put_block(out, data + at, size - at < block ? size - at : block, at + block >= size);
    put_bits(out, 0, 7);
    out->count = 0;
    out->bits = 0;
    for (size_t i = 0; i < size; i++) {
        low += data[i];
        high += low;
        if (i % 5000 == 4999 || i + 1 == size) {
            low %= 65521;
            high %= 65521;
        }
    }
    for (int shift = 24; shift >= 0; shift -= 8)
        put_byte(out, (uint8_t)((high << 16 | low) >> shift));
}

/* All rows, each behind its filter. */
static uint8_t *filter_all(const png_picture *picture, size_t size)
{
    uint8_t *out = malloc(picture->height * (size + 1)), *zeros = calloc(2, size);
    const uint8_t *row = picture->samples, *above = zeros;
    for (uint32_t y = 0; out && zeros && y < picture->height; y++, above = row, row += size)
        png_filter_row(row, above, size, picture->channels, zeros + size, out + y * (size + 1));
    if (!zeros) {
        free(out);
        out = NULL;
    }
    free(zeros);
    return out;
}

static uint32_t crc_of(uint32_t crc, const uint8_t *data, size_t size)
{
    static uint32_t table[256];
    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
    }
    for (crc = ~crc; size--; data++)
        crc = crc >> 8 ^ table[(crc ^ *data) & 255];
    return ~crc;
}

static void store32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static int write_chunk(FILE *file, const char *type, const uint8_t *data, size_t size)
{
    uint8_t head[8], tail[4];
    store32(head, (uint32_t)size);
    memcpy(head + 4, type, 4);
    store32(tail, crc_of(crc_of(0, head + 4, 4), data, size));
    return fwrite(head, 1, 8, file) == 8 && fwrite(data, 1, size, file) == size && fwrite(tail, 1, 4, file) == 4;
}

/* A chunk of a prefix and a zlib stream. */
static int write_zlib(FILE *file, const char *type, const char *prefix, size_t prefix_size, const uint8_t *data, size_t size)
{
    Output out = {.data = malloc(1 << 16), .room = 1 << 16};
    for (size_t i = 0; i < prefix_size; i++)
        put_byte(&out, (uint8_t)prefix[i]);
    put_zlib(&out, data, size);
    int written = out.data && out.size <= INT32_MAX && write_chunk(file, type, out.data, out.size);
    free(out.data);
    return written;
}

int png_write(FILE *file, const png_picture *picture)
{
    static const uint8_t kinds[5] = {0, 0, 4, 2, 6};
    size_t size = (size_t)picture->width * picture->channels;
    uint8_t head[13] = {0};
    store32(head, picture->width);
    store32(head + 4, picture->height);
    head[8] = 8; /* bits of a sample */
    head[9] = kinds[picture->channels];
    uint8_t *rows = filter_all(picture, size);
    int written = rows && fwrite("\x89PNG\r\n\x1a\n", 1, 8, file) == 8 && write_chunk(file, "IHDR", head, sizeof head);
    if (picture->cicp)
        written = written && write_chunk(file, "cICP", picture->cicp, 4);
    if (picture->profile)
        written = written && write_zlib(file, "iCCP", "ICC profile\0", 13, picture->profile, picture->profile_size);
    written = written && write_zlib(file, "IDAT", "", 0, rows, picture->height * (size + 1)) &&
              write_chunk(file, "IEND", head, 0);
    free(rows);
    return written;
}
