/* The kernels for AVX-VNNI, which multiplies and adds in one instruction. */

#include "internal.h"

#ifdef AEC_HAS_AVX_VNNI

#define SET aec_kernels_avxvnni
#define FAST __attribute__((target("avx2,avxvnni")))
#define add_products(sums, a, b) _mm256_dpwssd_avx_epi32(sums, a, b)

#include "kernels_avx.h"

#else
typedef int aec_no_avxvnni;
#endif
