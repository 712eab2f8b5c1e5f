/* The kernels for AVX-512-VNNI, whose registers hold the 16 sums of a position. */

#include "internal.h"

#ifdef AEC_HAS_AVX512

#define SET aec_kernels_avx512
#define FAST __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define add_products(sums, a, b) _mm256_dpwssd_epi32(sums, a, b)

#define TILE 12 /* positions at a time: enough sums for two instructions a cycle, of five cycles each */
#define Lanes __m512i
#define load_weights(at) _mm512_loadu_si512(at)
#define splat(both) _mm512_set1_epi32(both)
#define add_to_sums(sums, a, b) _mm512_dpwssd_epi32(sums, a, b)
#define store_sums(at, sums) _mm512_storeu_si512(at, sums)

#include "kernels_avx.h"

#else
typedef int aec_no_avx512;
#endif
