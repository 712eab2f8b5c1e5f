/* The kernels for AVX2, AVX-VNNI and AVX-512-VNNI: a source that includes this names its instructions (FAST), its set of
   kernels (SET), and how it adds products to sums.  Sums are those of kernels_plain.c, since integers add up in any order.
   A sum times a factor is computed in float64, exactly: the product has 52 bits at most, and the half that is added is a
   multiple of its last. */

#include "internal.h"

#include <immintrin.h>
#include <math.h>
#include <stdlib.h>

#include "layers.h"
#include "squares.h"

#define FACTORS 64 /* channels at a time whose factors are at hand */

#ifdef TILE /* the source has registers for 16 sums */
#define REGISTERS 1
#else
#define REGISTERS 2
#define TILE 6 /* positions at a time: 12 sums, two weights and an input are 15 of 16 registers */
typedef __m256i Lanes;
#define load_weights(at) load(at)
#define splat(both) _mm256_set1_epi32(both)
#define add_to_sums(sums, a, b) add_products(sums, a, b)
#define store_sums(at, sums) _mm256_storeu_si256((__m256i *)(at), sums)
#endif

FAST static inline __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

FAST static inline int32_t pair_of(const int16_t *x)
{
    int32_t both;
    __builtin_memcpy(&both, x, 4);
    return both;
}

/* The sums of 16 outputs at `count` <= TILE positions, whose number the compiler knows. */
FAST static inline __attribute__((always_inline)) void tile(const int16_t *w, const int16_t *const *rows, int kernel,
                                                            ptrdiff_t pairs, ptrdiff_t stride, ptrdiff_t step,
                                                            ptrdiff_t position, int count, int32_t *sums, ptrdiff_t width)
{
    Lanes sum[TILE][REGISTERS], weights[REGISTERS];
    for (int p = 0; p < count; p++)
        for (int r = 0; r < REGISTERS; r++)
            sum[p][r] = splat(0);
    for (int row = 0; row < kernel; row++)
        for (int column = 0; column < kernel; column++) {
            const int16_t *x = rows[row] + position * stride + column * step;
            const int16_t *later = x + (count > 6 ? 6 * stride : 0); /* registers do not hold twelve distances */
            for (ptrdiff_t i = 0; i < pairs; i++, w += 2 * OUTPUTS, x += 2, later += 2) {
                /* the weights that come next, one matrix further on: there are more of them than the caches hold */
                _mm_prefetch((const char *)(w + 2 * OUTPUTS * pairs), _MM_HINT_T0);
                for (int r = 0; r < REGISTERS; r++)
                    weights[r] = load_weights(w + r * OUTPUTS);
                for (int p = 0; p < count; p++) {
                    Lanes both = splat(pair_of(p < 6 ? x + p * stride : later + (p - 6) * stride));
                    for (int r = 0; r < REGISTERS; r++)
                        sum[p][r] = add_to_sums(sum[p][r], both, weights[r]);
                }
            }
        }
    for (int p = 0; p < count; p++)
        for (int r = 0; r < REGISTERS; r++)
            store_sums(sums + (position + p) * width + 8 * r, sum[p][r]);
}

FAST static void convolve(const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t stride, ptrdiff_t step,
                          ptrdiff_t positions, int32_t *sums)
{
    int kernel = matrix->kernel, blocks = (matrix->outputs + OUTPUTS - 1) / OUTPUTS;
    ptrdiff_t pairs = (matrix->inputs + 1) / 2, width = (ptrdiff_t)blocks * OUTPUTS, p;
    const int16_t *w = matrix->packed;
    for (int block = 0; block < blocks; block++, w += kernel * kernel * pairs * OUTPUTS * 2, sums += OUTPUTS) {
        for (p = 0; p + TILE <= positions; p += TILE)
            tile(w, rows, kernel, pairs, stride, step, p, TILE, sums, width);
        for (; TILE > 6 && p + 6 <= positions; p += 6)
            tile(w, rows, kernel, pairs, stride, step, p, 6, sums, width);
        for (; p + 2 <= positions; p += 2)
            tile(w, rows, kernel, pairs, stride, step, p, 2, sums, width);
        for (; p < positions; p++)
            tile(w, rows, kernel, pairs, stride, step, p, 1, sums, width);
    }
}

/* Factors of some channels, above 0 and below it, as float64. */
typedef struct {
    double above[FACTORS], below[FACTORS];
} Values;

FAST static inline void values_of(const aec_factor *factors, int count, double *values)
{
    int c = 0;
    for (; c + 4 <= count; c += 4) {
        __m256i both = load(factors + c); /* mantissa, shift, .. */
        __m128i low = _mm256_castsi256_si128(both), high = _mm256_extracti128_si256(both, 1);
        __m128 a = _mm_castsi128_ps(low), b = _mm_castsi128_ps(high);
        __m128i mantissa = _mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)), shift = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD));
        __m256i exponent = _mm256_slli_epi64(_mm256_sub_epi64(_mm256_set1_epi64x(1023), _mm256_cvtepi32_epi64(shift)), 52);
        _mm256_storeu_pd(values + c, _mm256_mul_pd(_mm256_cvtepi32_pd(mantissa), _mm256_castsi256_pd(exponent)));
    }
    for (; c < count; c++)
        values[c] = aec_factor_value(factors[c]);
}

/* Reads the factors of the channels from `first` on; returns of how many. */
FAST static inline int read_factors(const aec_factor *above, const aec_factor *below, int first, int channels, Values *values)
{
    int count = channels - first < FACTORS ? channels - first : FACTORS;
    values_of(above + first, count, values->above);
    values_of((below ? below : above) + first, count, values->below);
    return count;
}

/* Rounded products of the sums of four channels from c on, as float64. */
FAST static inline __m256d times(const int32_t *sums, const int32_t *bias, const Values *values, int c)
{
    __m128i sum = _mm_add_epi32(_mm_loadu_si128((const __m128i *)(sums + c)), _mm_loadu_si128((const __m128i *)(bias + c)));
    __m256d x = _mm256_cvtepi32_pd(sum);
    __m256d factor = _mm256_blendv_pd(_mm256_loadu_pd(values->above + c), _mm256_loadu_pd(values->below + c), x);
    return _mm256_floor_pd(_mm256_add_pd(_mm256_mul_pd(x, factor), _mm256_set1_pd(0.5)));
}

FAST static inline __m128i limited(__m256d x, __m256d limit)
{
    __m256d least = _mm256_sub_pd(_mm256_setzero_pd(), limit);
    return _mm256_cvttpd_epi32(_mm256_max_pd(least, _mm256_min_pd(limit, x)));
}

/* One channel, for those that are left over four. */
FAST static inline int32_t single(const int32_t *sums, const int32_t *bias, const Values *values, int c, double start,
                                  double limit)
{
    int32_t sum = sums[c] + bias[c];
    double x = start + floor(sum * (sum < 0 ? values->below : values->above)[c] + 0.5);
    return (int32_t)(x < -limit ? -limit : x > limit ? limit : x);
}

FAST static void scale(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                       const aec_factor *above, const aec_factor *below, int32_t limit, int32_t *out)
{
    __m256d most = _mm256_set1_pd(limit);
    Values values;
    for (int first = 0, count; first < channels; first += count, sums += count, bias += count) {
        count = read_factors(above, below, first, channels, &values);
        for (ptrdiff_t p = 0; p < positions; p++) {
            const int32_t *from = sums + p * width;
            int32_t *to = out + p * channels + first;
            int c = 0;
            for (; c + 4 <= count; c += 4)
                _mm_storeu_si128((__m128i *)(to + c), limited(times(from, bias, &values, c), most));
            for (; c < count; c++)
                to[c] = single(from, bias, &values, c, 0, limit);
        }
    }
}

FAST static int scale_narrow(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                             const aec_factor *above, const aec_factor *below, int32_t limit, int16_t *out)
{
    __m256d most = _mm256_set1_pd(limit);
    __m128i top = _mm_set1_epi16((int16_t)limit), bottom = _mm_set1_epi16((int16_t)-limit), at_end = _mm_setzero_si128();
    Values values;
    int reached = 0;
    for (int first = 0, count; first < channels; first += count, sums += count, bias += count) {
        count = read_factors(above, below, first, channels, &values);
        for (ptrdiff_t p = 0; p < positions; p++) {
            const int32_t *from = sums + p * width;
            int16_t *to = out + p * channels + first;
            int c = 0;
            for (; c + 8 <= count; c += 8) {
                __m128i both = _mm_packs_epi32(limited(times(from, bias, &values, c), most),
                                               limited(times(from, bias, &values, c + 4), most));
                at_end = _mm_or_si128(at_end, _mm_or_si128(_mm_cmpeq_epi16(both, top), _mm_cmpeq_epi16(both, bottom)));
                _mm_storeu_si128((__m128i *)(to + c), both);
            }
            for (; c < count; c++) {
                to[c] = (int16_t)single(from, bias, &values, c, 0, limit);
                reached |= abs(to[c]) == limit;
            }
        }
    }
    return reached | !_mm_testz_si128(at_end, at_end);
}

FAST static void scale_add(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                           const aec_factor *factors, int32_t limit, const int32_t *stream, int32_t *out)
{
    __m256d most = _mm256_set1_pd(limit);
    Values values;
    for (int first = 0, count; first < channels; first += count, sums += count, bias += count) {
        count = read_factors(factors, NULL, first, channels, &values);
        for (ptrdiff_t p = 0; p < positions; p++) {
            const int32_t *from = sums + p * width, *start = stream + p * channels + first;
            int32_t *to = out + p * channels + first;
            int c = 0;
            for (; c + 4 <= count; c += 4) {
                __m256d x = _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(start + c)));
                x = _mm256_add_pd(x, times(from, bias, &values, c));
                _mm_storeu_si128((__m128i *)(to + c), limited(x, most));
            }
            for (; c < count; c++)
                to[c] = single(from, bias, &values, c, start[c], limit);
        }
    }
}

FAST static int read(const int32_t *stream, ptrdiff_t count, int32_t limit, int16_t *out)
{
    __m256i top = _mm256_set1_epi16((int16_t)limit), bottom = _mm256_set1_epi16((int16_t)-limit);
    __m256i at_end = _mm256_setzero_si256();
    int reached = 0;
    __m256i half = _mm256_set1_epi32(1 << STREAM_GUARD >> 1), most = _mm256_set1_epi32(limit);
    __m256i least = _mm256_sub_epi32(_mm256_setzero_si256(), most);
    ptrdiff_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i x = _mm256_srai_epi32(_mm256_add_epi32(load(stream + i), half), STREAM_GUARD);
        __m256i y = _mm256_srai_epi32(_mm256_add_epi32(load(stream + i + 8), half), STREAM_GUARD);
        x = _mm256_max_epi32(least, _mm256_min_epi32(most, x));
        y = _mm256_max_epi32(least, _mm256_min_epi32(most, y));
        x = _mm256_permute4x64_epi64(_mm256_packs_epi32(x, y), 0xD8);
        at_end = _mm256_or_si256(at_end, _mm256_or_si256(_mm256_cmpeq_epi16(x, top), _mm256_cmpeq_epi16(x, bottom)));
        _mm256_storeu_si256((__m256i *)(out + i), x);
    }
    for (; i < count; i++) {
        int32_t x = (stream[i] + (1 << STREAM_GUARD >> 1)) >> STREAM_GUARD;
        out[i] = (int16_t)(x < -limit ? -limit : x > limit ? limit : x);
        reached |= abs(out[i]) == limit;
    }
    return reached | !_mm256_testz_si256(at_end, at_end);
}

/* 16 windows side by side. */
FAST static inline void lap_side_by_side(const int16_t (*matrix)[16], int bits, int16_t *values, ptrdiff_t step)
{
    __m256i low[8], high[8]; /* values of two rows, interleaved */
    for (int i = 0; i < 8; i++) {
        __m256i a = load(values + 2 * i * step), b = load(values + (2 * i + 1) * step);
        low[i] = _mm256_unpacklo_epi16(a, b);
        high[i] = _mm256_unpackhi_epi16(a, b);
    }
    __m256i half = _mm256_set1_epi32(1 << bits >> 1), least = _mm256_set1_epi16(-NARROW_MAX);
    for (int o = 0; o < 16; o++) {
        __m256i x = half, y = half;
        for (int i = 0; i < 8; i++) {
            __m256i both = _mm256_set1_epi32(pair_of(matrix[o] + 2 * i));
            x = add_products(x, both, low[i]);
            y = add_products(y, both, high[i]);
        }
        x = _mm256_packs_epi32(_mm256_srai_epi32(x, bits), _mm256_srai_epi32(y, bits));
        _mm256_storeu_si256((__m256i *)(values + o * step), _mm256_max_epi16(least, x));
    }
}

FAST static void lap(const int16_t (*matrix)[16], int bits, int16_t *values, ptrdiff_t step, ptrdiff_t count)
{
    ptrdiff_t at = 0;
    for (; at + 16 <= count; at += 16)
        lap_side_by_side(matrix, bits, values + at, step);
    if (at < count)
        aec_kernels_plain.lap(matrix, bits, values + at, step, count - at);
}

FAST static void spread(const int16_t *const rows[4], ptrdiff_t width, ptrdiff_t squares, ptrdiff_t pitch, int16_t *out)
{
    spread_inputs(rows, width, squares, pitch, out);
}

FAST static void gather(const int32_t *products, ptrdiff_t squares, ptrdiff_t width, int32_t *const rows[2])
{
    gather_sums(products, squares, width, rows);
}

FAST static void shift(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                       const int8_t *shift, int32_t *out)
{
    shift_sums(sums, width, positions, channels, bias, shift, out);
}

FAST static void activate(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                          const int8_t *shift, int32_t most, int16_t *out)
{
    activate_sums(sums, width, positions, channels, bias, shift, most, out);
}

FAST static void depthwise(const int16_t *weights, const int16_t *const *rows, ptrdiff_t positions, int channels,
                           const int32_t *bias, const int8_t *shift, int32_t most, int16_t *out)
{
    convolve_channels(weights, rows, positions, channels, bias, shift, most, out);
}

const aec_kernel_set SET = {convolve, scale, scale_narrow, scale_add, read, lap,
                            shift, activate, depthwise, spread, gather};
