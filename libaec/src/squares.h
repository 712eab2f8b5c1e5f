/* 3x3 convolutions of integers with 16 products for four sums instead of 36: F(2x2, 3x3) of Winograd's, as Lavin and Gray
   describe it ("Fast Algorithms for Convolutional Neural Networks", 2016).

   A square of 2 x 2 sums s has 4 x 4 inputs x.  With

       B = 1  0 -1  0     G = 2  0  0     A = 1  1  1  0
           0  1  1  0         1  1  1         0  1 -1 -1
           0 -1  1  0         1 -1  1
           0  1  0 -1         0  0  2

   and the weights w of an output and an input, 4 s = A ((G w G') * (B x B')) A', added up over the inputs.  G has no halves
   here, so that all of it are integers: the fours are divided out at the end, without a rest.  Inputs of up to SQUARE_MAX
   leave B x B' within int16.  Sums in between may leave int32: they are right modulo 2**32, and so is the last, which fits. */

#ifndef AEC_SQUARES_H
#define AEC_SQUARES_H

#include "internal.h"

#define SQUARE_MAX 8191
#define PLACES (SQUARES * SQUARES)
#define SQUARES_MAX 96 /* at a time */
#define PITCH_EXTRA (2 * OUTPUTS) /* or all places would fall into the same lines of the cache */
#define PRODUCTS_PITCH (SQUARES_MAX * OUTPUTS + PITCH_EXTRA)

/* Transforms the weights of 32 pairs of an output and an input: taps (9, 32) to (PLACES, 32). */
static inline void transform_weights(const int16_t taps[9][32], int16_t out[PLACES][32])
{
    int16_t rows[SQUARES][3][32];
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 32; i++) {
            int a = taps[c][i], b = taps[3 + c][i], d = taps[6 + c][i];
            rows[0][c][i] = (int16_t)(2 * a);
            rows[1][c][i] = (int16_t)(a + b + d);
            rows[2][c][i] = (int16_t)(a - b + d);
            rows[3][c][i] = (int16_t)(2 * d);
        }
    for (int r = 0; r < SQUARES; r++)
        for (int i = 0; i < 32; i++) {
            int a = rows[r][0][i], b = rows[r][1][i], d = rows[r][2][i];
            out[4 * r][i] = (int16_t)(2 * a);
            out[4 * r + 1][i] = (int16_t)(a + b + d);
            out[4 * r + 2][i] = (int16_t)(a - b + d);
            out[4 * r + 3][i] = (int16_t)(2 * d);
        }
}

/* A row of B x, which is one row of x plus or less another, times B'. */
static inline __attribute__((always_inline)) void spread_row(const int16_t *restrict first, const int16_t *restrict second,
                                                             int sign, ptrdiff_t width, ptrdiff_t pitch,
                                                             int16_t *restrict out)
{
    for (ptrdiff_t i = 0; i < width; i++) {
        int16_t a = (int16_t)(first[i] + sign * second[i]);
        int16_t b = (int16_t)(first[width + i] + sign * second[width + i]);
        int16_t c = (int16_t)(first[2 * width + i] + sign * second[2 * width + i]);
        int16_t d = (int16_t)(first[3 * width + i] + sign * second[3 * width + i]);
        out[i] = (int16_t)(a - c);
        out[pitch + i] = (int16_t)(b + c);
        out[2 * pitch + i] = (int16_t)(c - b);
        out[3 * pitch + i] = (int16_t)(b - d);
    }
}

/* Inputs of squares that lie side by side: rows hold their four rows, `width` channels for each column.  out is
   (PLACES, squares, width), with `pitch` int16 from a place to the next. */
static inline __attribute__((always_inline)) void spread_inputs(const int16_t *const rows[4], ptrdiff_t width,
                                                                ptrdiff_t squares, ptrdiff_t pitch, int16_t *out)
{
    for (ptrdiff_t s = 0, at = 0; s < squares; s++, at += 2 * width, out += width) {
        spread_row(rows[0] + at, rows[2] + at, -1, width, pitch, out);
        spread_row(rows[1] + at, rows[2] + at, 1, width, pitch, out + 4 * pitch);
        spread_row(rows[2] + at, rows[1] + at, -1, width, pitch, out + 8 * pitch);
        spread_row(rows[1] + at, rows[3] + at, -1, width, pitch, out + 12 * pitch);
    }
}

/* The sums of OUTPUTS outputs at squares side by side, from those of products (PLACES, PRODUCTS_PITCH), each place (squares,
   OUTPUTS): into two rows, `width` int32 for each column. */
static inline __attribute__((always_inline)) void gather_sums(const int32_t *restrict products, ptrdiff_t squares,
                                                              ptrdiff_t width, int32_t *const rows[2])
{
    for (ptrdiff_t s = 0; s < squares; s++, products += OUTPUTS) {
        int32_t *restrict above = rows[0] + 2 * s * width, *restrict below = rows[1] + 2 * s * width;
        for (int o = 0; o < OUTPUTS; o++) {
            uint32_t upper[SQUARES], lower[SQUARES]; /* A times the products */
            for (int c = 0; c < SQUARES; c++) {
                const int32_t *x = products + c * PRODUCTS_PITCH + o;
                uint32_t middle = (uint32_t)x[4 * PRODUCTS_PITCH], other = (uint32_t)x[8 * PRODUCTS_PITCH];
                upper[c] = (uint32_t)x[0] + middle + other;
                lower[c] = middle - other - (uint32_t)x[12 * PRODUCTS_PITCH];
            }
            above[o] = (int32_t)(upper[0] + upper[1] + upper[2]) >> 2;
            above[width + o] = (int32_t)(upper[1] - upper[2] - upper[3]) >> 2;
            below[o] = (int32_t)(lower[0] + lower[1] + lower[2]) >> 2;
            below[width + o] = (int32_t)(lower[1] - lower[2] - lower[3]) >> 2;
        }
    }
}

#endif
