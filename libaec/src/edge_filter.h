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
#define TO_AMOUNT 256    /* a unit of the picture, in units of amount times strength */
#define UNIT_BITS 11     /* log2 of a level in those units */
#define STRENGTH_MAX 32

typedef struct {
    ptrdiff_t width;
    int32_t *luma[ROWS], *change[ROWS];
} Lines;

static inline void read_luma(const int16_t *pixels, int32_t *luma, ptrdiff_t width)
{
    for (ptrdiff_t x = 0; x < width; x++)
        luma[x] = (77 * pixels[3 * x] + 150 * pixels[3 * x + 1] + 29 * pixels[3 * x + 2] + 128) >> 8;
}

/* Pairs of the pixels first[0 .. count - 1] and second[0 .. count - 1]. */
static inline void exchange(const int16_t *restrict amounts, const int32_t *first, const int32_t *second, int32_t *change,
                            int32_t *other, ptrdiff_t count)
{
    for (ptrdiff_t x = 0; x < count; x++) {
        int32_t difference = second[x] - first[x], size = abs(difference);
        int32_t amount = amounts[size < LAST ? size : LAST];
        amount = difference < 0 ? -amount : amount;
        change[x] += amount;
        other[x] -= amount;
    }
}

static inline void filter_row(const Lines *lines, ptrdiff_t row, ptrdiff_t rows_below, const int16_t (*amounts)[LAST + 1])
{
    ptrdiff_t w = lines->width;
    int32_t *luma[ROWS], *change[ROWS];
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

/* Filters a picture (height, width, 3) with the strengths of its blocks. memory: 2 * ROWS * width zeros. */
static inline void filter_edges(const int16_t *picture, const uint8_t *strength, const int16_t (*amounts)[LAST + 1],
                                uint8_t *out, ptrdiff_t height, ptrdiff_t w, int32_t *memory)
{
    Lines lines = {.width = w};
    for (int i = 0; i < ROWS; i++) {
        lines.luma[i] = memory + i * w;
        lines.change[i] = memory + (ROWS + i) * w;
    }
    for (ptrdiff_t row = 0; row < height && row < REACH; row++)
        read_luma(picture + 3 * w * row, lines.luma[row], w);
    for (ptrdiff_t row = 0; row < height; row++) {
        ptrdiff_t below = height - 1 - row;
        if (below >= REACH)
            read_luma(picture + 3 * w * (row + REACH), lines.luma[(row + REACH) % ROWS], w);
        filter_row(&lines, row, below, amounts);
        int32_t *change = lines.change[row % ROWS];
        write_row(picture + 3 * w * row, change, strength + w / BLOCK * (row / BLOCK), out + 3 * w * row, w);
        memset(change, 0, (size_t)w * sizeof *change);
    }
}

#endif
