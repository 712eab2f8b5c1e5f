/* The kernels in plain C: what every other set must equal. */

#include "internal.h"

#include "layers.h"
#include "squares.h"

static void convolve(const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t stride, ptrdiff_t step,
                     ptrdiff_t positions, int32_t *sums)
{
    int kernel = matrix->kernel, blocks = (matrix->outputs + OUTPUTS - 1) / OUTPUTS;
    ptrdiff_t pairs = (matrix->inputs + 1) / 2, width = (ptrdiff_t)blocks * OUTPUTS;
    const int16_t *weights = matrix->packed;
    for (int block = 0; block < blocks; block++, weights += kernel * kernel * pairs * OUTPUTS * 2)
        for (ptrdiff_t p = 0; p < positions; p++) {
            uint32_t sum[OUTPUTS] = {0}; /* modulo 2**32, as squares.h needs it */
            const int16_t *w = weights;
            for (int tap = 0; tap < kernel * kernel; tap++) {
                const int16_t *x = rows[tap / kernel] + p * stride + tap % kernel * step;
                for (ptrdiff_t i = 0; i < pairs; i++, w += 2 * OUTPUTS)
                    for (int o = 0; o < OUTPUTS; o++)
                        sum[o] += (uint32_t)(w[2 * o] * x[2 * i] + w[2 * o + 1] * x[2 * i + 1]);
            }
            for (int o = 0; o < OUTPUTS; o++)
                sums[p * width + block * OUTPUTS + o] = (int32_t)sum[o];
        }
}

static inline int64_t times(int64_t sum, aec_factor factor)
{
    return (sum * factor.mantissa + ((int64_t)1 << factor.shift >> 1)) >> factor.shift;
}

static inline int32_t clamp(int64_t x, int32_t limit)
{
    return x < -limit ? -limit : x > limit ? limit : (int32_t)x;
}

static inline int32_t scaled(int64_t sum, const aec_factor *above, const aec_factor *below, int c, int32_t limit)
{
    return clamp(times(sum, below && sum < 0 ? below[c] : above[c]), limit);
}

static void scale(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                  const aec_factor *above, const aec_factor *below, int32_t limit, int32_t *out)
{
    for (ptrdiff_t p = 0; p < positions; p++, sums += width)
        for (int c = 0; c < channels; c++)
            *out++ = scaled((int64_t)sums[c] + bias[c], above, below, c, limit);
}

static int scale_narrow(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                        const aec_factor *above, const aec_factor *below, int32_t limit, int16_t *out)
{
    int reached = 0;
    for (ptrdiff_t p = 0; p < positions; p++, sums += width)
        for (int c = 0; c < channels; c++) {
            int32_t x = scaled((int64_t)sums[c] + bias[c], above, below, c, limit);
            reached |= (x == limit) | (x == -limit);
            *out++ = (int16_t)x;
        }
    return reached;
}

static void scale_add(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                      const aec_factor *factors, int32_t limit, const int32_t *stream, int32_t *out)
{
    for (ptrdiff_t p = 0; p < positions; p++, sums += width)
        for (int c = 0; c < channels; c++)
            *out++ = clamp(*stream++ + times((int64_t)sums[c] + bias[c], factors[c]), limit);
}

static int read(const int32_t *stream, ptrdiff_t count, int32_t limit, int16_t *out)
{
    int reached = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t x = clamp((stream[i] + (1 << STREAM_GUARD >> 1)) >> STREAM_GUARD, limit);
        reached |= (x == limit) | (x == -limit);
        out[i] = (int16_t)x;
    }
    return reached;
}

static void lap(const int16_t (*matrix)[16], int bits, int16_t *values, ptrdiff_t step, ptrdiff_t count)
{
    for (ptrdiff_t at = 0; at < count; at++) {
        int16_t window[16];
        for (int i = 0; i < 16; i++)
            window[i] = values[at + i * step];
        for (int o = 0; o < 16; o++) {
            int32_t sum = 0;
            for (int i = 0; i < 16; i++)
                sum += matrix[o][i] * window[i];
            /* a window of 2**15 - 1 and a row of 2**16 - 2 leave room for the rounding */
            values[at + o * step] = (int16_t)clamp((sum + (1 << bits >> 1)) >> bits, NARROW_MAX);
        }
    }
}

static void spread(const int16_t *const rows[4], ptrdiff_t width, ptrdiff_t squares, ptrdiff_t pitch, int16_t *out)
{
    spread_inputs(rows, width, squares, pitch, out);
}

static void gather(const int32_t *products, ptrdiff_t squares, ptrdiff_t width, int32_t *const rows[2])
{
    gather_sums(products, squares, width, rows);
}

static void shift(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                  const int8_t *shift, int32_t *out)
{
    shift_sums(sums, width, positions, channels, bias, shift, out);
}

static void activate(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                     const int8_t *shift, int32_t most, int16_t *out)
{
    activate_sums(sums, width, positions, channels, bias, shift, most, out);
}

static void depthwise(const int16_t *weights, const int16_t *const *rows, ptrdiff_t positions, int channels,
                      const int32_t *bias, const int8_t *shift, int32_t most, int16_t *out)
{
    convolve_channels(weights, rows, positions, channels, bias, shift, most, out);
}

const aec_kernel_set aec_kernels_plain = {convolve, scale, scale_narrow, scale_add, read, lap,
                                          shift, activate, depthwise, spread, gather};

#ifdef AEC_HAS_128
const aec_kernel_set aec_kernels_128 = {aec_convolve_128, scale, scale_narrow, scale_add, read, lap,
                                        shift, activate, depthwise, spread, gather};
#endif
