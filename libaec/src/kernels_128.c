/* Sums with registers of 128 bits, which every x86-64 (SSE2), every 64-bit ARM (NEON) and WebAssembly's SIMD have; the rest
   as in plain C. */

#include "internal.h"

#ifdef AEC_HAS_128

#ifdef __SSE2__
#include <emmintrin.h>
#define TILE 2 /* positions at a time: 8 sums, 4 weights and an input are 13 of 16 registers */
typedef __m128i Lanes;
#define load(at) _mm_loadu_si128((const __m128i *)(at))
#define splat(both) _mm_set1_epi32(both)
#define add_products(sum, a, b) _mm_add_epi32(sum, _mm_madd_epi16(a, b))
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define TILE 2 /* most of these programs run on x86-64 */
typedef v128_t Lanes;
#define load(at) wasm_v128_load(at)
#define splat(both) wasm_i32x4_splat(both)
#define add_products(sum, a, b) wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b))
#else
#include <arm_neon.h>
#define TILE 4 /* 16 sums, 4 weights and 2 inputs are 22 of 32 */
#endif

/* The sums of 16 outputs at `count` <= TILE positions, whose number the compiler knows. */
static inline __attribute__((always_inline)) void tile(const int16_t *w, const int16_t *const *rows, int kernel,
                                                       ptrdiff_t pairs, ptrdiff_t stride, ptrdiff_t step,
                                                       ptrdiff_t position, int count, int32_t *sums, ptrdiff_t width)
{
#ifndef __aarch64__
    Lanes sum[TILE][4];
    for (int p = 0; p < count; p++)
        for (int i = 0; i < 4; i++)
            sum[p][i] = splat(0);
#else
    int32x4_t sum[TILE][4];
    for (int p = 0; p < count; p++)
        for (int i = 0; i < 4; i++)
            sum[p][i] = vdupq_n_s32(0);
#endif
    for (int row = 0; row < kernel; row++)
        for (int column = 0; column < kernel; column++) {
            const int16_t *x = rows[row] + position * stride + column * step;
            for (ptrdiff_t pair = 0; pair < pairs; pair++, w += 2 * OUTPUTS, x += 2) {
#ifndef __aarch64__
                Lanes weight[4];
                for (int i = 0; i < 4; i++)
                    weight[i] = load(w + 8 * i);
                for (int p = 0; p < count; p++) {
                    int32_t both;
                    __builtin_memcpy(&both, x + p * stride, 4);
                    Lanes input = splat(both);
                    for (int i = 0; i < 4; i++)
                        sum[p][i] = add_products(sum[p][i], input, weight[i]);
                }
#else
                int16x8x2_t low = vld2q_s16(w), high = vld2q_s16(w + OUTPUTS); /* of the first and the second input */
                for (int p = 0; p < count; p++)
                    for (int i = 0; i < 2; i++) {
                        int16_t input = x[p * stride + i];
                        sum[p][0] = vmlal_n_s16(sum[p][0], vget_low_s16(low.val[i]), input);
                        sum[p][1] = vmlal_n_s16(sum[p][1], vget_high_s16(low.val[i]), input);
                        sum[p][2] = vmlal_n_s16(sum[p][2], vget_low_s16(high.val[i]), input);
                        sum[p][3] = vmlal_n_s16(sum[p][3], vget_high_s16(high.val[i]), input);
                    }
#endif
            }
        }
    for (int p = 0; p < count; p++)
        __builtin_memcpy(sums + (position + p) * width, sum[p], sizeof sum[p]);
}

void aec_convolve_128(const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t stride, ptrdiff_t step,
                      ptrdiff_t positions, int32_t *sums)
{
    int kernel = matrix->kernel, blocks = (matrix->outputs + OUTPUTS - 1) / OUTPUTS;
    ptrdiff_t pairs = (matrix->inputs + 1) / 2, width = (ptrdiff_t)blocks * OUTPUTS, p;
    const int16_t *w = matrix->packed;
    for (int block = 0; block < blocks; block++, w += kernel * kernel * pairs * OUTPUTS * 2, sums += OUTPUTS) {
        for (p = 0; p + TILE <= positions; p += TILE)
            tile(w, rows, kernel, pairs, stride, step, p, TILE, sums, width);
        for (; p < positions; p++)
            tile(w, rows, kernel, pairs, stride, step, p, 1, sums, width);
    }
}

#else
typedef int aec_no_128;
#endif
