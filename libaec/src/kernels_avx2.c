/* The kernels for AVX2. */

#include "internal.h"

#ifdef AEC_HAS_AVX2

#define SET aec_kernels_avx2
#define FAST __attribute__((target("avx2")))
#define add_products(sums, a, b) _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))

#include "kernels_avx.h"

#else
typedef int aec_no_avx2;
#endif
