/* What layers of the entropy model do besides their sums of products (docs/format.md, section 6): each set of kernels
   compiles this for its own instructions. */

#ifndef AEC_LAYERS_H
#define AEC_LAYERS_H

#include "internal.h"

/* x / 2**shift, rounded, ties upward; a negative shift multiplies. */
static inline __attribute__((always_inline)) int32_t shifted(int32_t x, int shift)
{
    int up = shift < 0 ? -shift : 0, down = shift > 0 ? shift : 0;
    return ((int32_t)((uint32_t)x << up) + ((1 << down) >> 1)) >> down;
}

static inline __attribute__((always_inline)) int16_t activation(int32_t x, int shift, int32_t most)
{
    x = shifted(x, shift);
    return (int16_t)(x < 0 ? 0 : x > most ? most : x);
}

static inline __attribute__((always_inline)) void shift_sums(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions,
                                                             int channels, const int32_t *bias, const int8_t *shift,
                                                             int32_t *restrict out)
{
    for (ptrdiff_t p = 0; p < positions; p++, sums += width, out += channels)
        for (int c = 0; c < channels; c++)
            out[c] = shifted(sums[c] + bias[c], shift[c]);
}

static inline __attribute__((always_inline)) void activate_sums(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions,
                                                                int channels, const int32_t *bias, const int8_t *shift,
                                                                int32_t most, int16_t *restrict out)
{
    for (ptrdiff_t p = 0; p < positions; p++, sums += width, out += channels)
        for (int c = 0; c < channels; c++)
            out[c] = activation(sums[c] + bias[c], shift[c], most);
}

static inline __attribute__((always_inline)) void convolve_channels(const int16_t *weights, const int16_t *const *rows,
                                                                    ptrdiff_t positions, int channels, const int32_t *bias,
                                                                    const int8_t *shift, int32_t most,
                                                                    int16_t *restrict out)
{
    const int16_t *above = rows[0], *middle = rows[1], *below = rows[2];
    for (ptrdiff_t p = 0; p < positions; p++, above += channels, middle += channels, below += channels, out += channels)
        for (int c = 0; c < channels; c++) {
            int32_t sum = bias[c];
            for (int tap = 0; tap < 3; tap++)
                sum += weights[tap * channels + c] * above[tap * channels + c] +
                       weights[(3 + tap) * channels + c] * middle[tap * channels + c] +
                       weights[(6 + tap) * channels + c] * below[tap * channels + c];
            out[c] = activation(sum, shift[c], most);
        }
}

#endif
