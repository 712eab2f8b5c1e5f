/* The filter of aecodec/images/edge_filter.py, which says what it computes and holds the same in numpy.  Rows go through
   once: an amount is added to the change of the pair's first pixel and taken from that of its second, at most two rows
   further down. */

#ifndef AEC_EDGE_FILTER_H
#define AEC_EDGE_FILTER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 8
#define REACH 2          /* rows and columns between the pixels of a pair, at most */
#define ROWS (REACH + 1) /* that a change is kept for */
#define LAST 480         /* differences beyond this one count as this one */
#define AMOUNTS (2 * LAST + 1) /* of the differences -LAST .. LAST */
#define PIECE 512 /* pairs at a time */
#define TO_AMOUNT 256    /* a unit of the picture, in units of amount times strength */
#define UNIT_BITS 11     /* log2 of a level in those units */
#define STRENGTH_MAX 32

typedef struct {
    ptrdiff_t width;
    int16_t *luma[ROWS];
    int32_t *change[ROWS];
} Lines;

/* memory: 2 * ROWS * width zeros. */
static inline Lines begin_lines(ptrdiff_t width, int32_t *memory)
{
    Lines lines = {.width = width};
    for (int i = 0; i < ROWS; i++) {
        lines.luma[i] = (int16_t *)(memory + i * width);
        lines.change[i] = memory + (ROWS + i) * width;
    }
    return lines;
}

static inline void read_luma(const int16_t *pixels, int16_t *luma, ptrdiff_t width)
{
    for (ptrdiff_t x = 0; x < width; x++)
        luma[x] = (int16_t)((77 * pixels[3 * x] + 150 * pixels[3 * x + 1] + 29 * pixels[3 * x + 2] + 128) >> 8);
}

/* Pairs of the pixels first[0 .. count - 1] and second[0 .. count - 1].  Loops that do one thing each are vectorised, but for
   the second. */
static inline void exchange(const int16_t *amounts, const int16_t *first, const int16_t *second, int32_t *change,
                            int32_t *other, ptrdiff_t count)
{
    int16_t amount[PIECE];
    for (ptrdiff_t start = 0; start < count; start += PIECE) {
        ptrdiff_t pairs = count - start < PIECE ? count - start : PIECE;
        for (ptrdiff_t x = 0; x < pairs; x++) {
            int16_t difference = (int16_t)(second[start + x] - first[start + x]);
            difference = difference < -LAST ? -LAST : difference;
            amount[x] = difference > LAST ? LAST : difference;
        }
        for (ptrdiff_t x = 0; x < pairs; x++)
            amount[x] = amounts[LAST + amount[x]];
        for (ptrdiff_t x = 0; x < pairs; x++)
            change[start + x] += amount[x];
        for (ptrdiff_t x = 0; x < pairs; x++)
            other[start + x] -= amount[x];
    }
}

static inline void filter_row(const Lines *lines, ptrdiff_t row, ptrdiff_t rows_below, const int16_t (*amounts)[AMOUNTS])
{
    ptrdiff_t w = lines->width;
    int16_t *luma[ROWS];
    int32_t *change[ROWS];
    for (int i = 0; i < ROWS; i++) {
        luma[i] = lines->luma[(row + i) % ROWS];
        change[i] = lines->change[(row + i) % ROWS];
    }
    exchange(amounts[0], luma[0], luma[0] + 1, change[0], change[0] + 1, w - 1);
    exchange(amounts[2], luma[0], luma[0] + 2, change[0], change[0] + 2, w - 2);
    if (rows_below >= 1) {
        exchange(amounts[0], luma[0], luma[1], change[0], change[1], w);
        exchange(amounts[1], luma[0], luma[1] + 1, change[0], change[1] + 1, w - 1);
        exchange(amounts[1], luma[0] + 1, luma[1], change[0] + 1, change[1], w - 1);
    }
    if (rows_below >= 2)
        exchange(amounts[2], luma[0], luma[2], change[0], change[2], w);
}

static inline void write_row(const int16_t *pixels, const int32_t *change, const uint8_t *strength, uint8_t *out,
                             ptrdiff_t width)
{
    for (ptrdiff_t x = 0; x < width; x++) {
        int32_t added = change[x] * strength[x / BLOCK] + (1 << (UNIT_BITS - 1));
        for (int c = 0; c < 3; c++) {
            int32_t sample = (pixels[3 * x + c] * TO_AMOUNT + added) >> UNIT_BITS;
            out[3 * x + c] = (uint8_t)(sample < 0 ? 0 : sample > 255 ? 255 : sample);
        }
    }
}

/* Filters a picture (height, width, 3) with the strengths of its blocks, and the amounts of differences from 0 on. memory: as
   for begin_lines. */
static inline void filter_edges(const int16_t *picture, const uint8_t *strength, const int16_t (*half)[LAST + 1],
                                uint8_t *out, ptrdiff_t height, ptrdiff_t w, int32_t *memory)
{
    Lines lines = begin_lines(w, memory);
    int16_t amounts[3][AMOUNTS];
    for (int ring = 0; ring < 3; ring++)
        for (int a = LAST; a >= 0; a--) {
            amounts[ring][LAST - a] = (int16_t)-half[ring][a];
            amounts[ring][LAST + a] = half[ring][a];
        }
    for (ptrdiff_t row = 0; row < height && row < REACH; row++)
        read_luma(picture + 3 * w * row, lines.luma[row], w);
    for (ptrdiff_t row = 0; row < height; row++) {
        ptrdiff_t below = height - 1 - row;
        if (below >= REACH)
            read_luma(picture + 3 * w * (row + REACH), lines.luma[(row + REACH) % ROWS], w);
        filter_row(&lines, row, below, (const int16_t(*)[AMOUNTS])amounts);
        int32_t *change = lines.change[row % ROWS];
        write_row(picture + 3 * w * row, change, strength + w / BLOCK * (row / BLOCK), out + 3 * w * row, w);
        memset(change, 0, (size_t)w * sizeof *change);
    }
}

#endif
