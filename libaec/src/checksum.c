/* CRC-32 as in PNG, and SHA-256 (FIPS 180-4). */

#include "internal.h"

#include <string.h>

static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int i = 0; i < 8; i++)
        crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    return crc;
}

uint32_t aec_crc32(uint32_t crc, const uint8_t *data, size_t size)
{
    uint32_t table[256];
    crc = ~crc;
    if (size < 256) {
        while (size--)
            crc = crc_step(crc, *data++);
        return ~crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        table[i] = crc_step(i, 0);
    while (size--)
        crc = crc >> 8 ^ table[(crc ^ *data++) & 255];
    return ~crc;
}

static uint32_t turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static void digest_plain(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks; blocks--, data += 64) {
        uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
                   (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
        for (int i = 0; i < 64; i++) {
            uint32_t t = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + w[i];
            uint32_t u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g;
            g = f;
            f = e;
            e = d + t;
            d = c;
            c = b;
            b = a;
            a = t + u;
        }
        const uint32_t end[8] = {a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; i++)
            state[i] += end[i];
    }
}

#ifdef AEC_HAS_AVX2

#include <cpuid.h>
#include <immintrin.h>

static int has_instructions(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
}

/* The same with the instructions for it, which take the state as ABEF and CDGH. */
__attribute__((target("sha,sse4.1"))) static void digest_fast(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const uint32_t ends[8] = {state[5], state[4], state[1], state[0], state[7], state[6], state[3], state[2]};
    __m128i x = _mm_loadu_si128((const __m128i *)ends), y = _mm_loadu_si128((const __m128i *)(ends + 4));
    for (; blocks; blocks--, data += 64) {
        __m128i w[4], first_x = x, first_y = y;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), order);
        for (int i = 0; i < 16; i++) {
            if (i >= 4) { /* w[i % 4] is that of four steps ago */
                __m128i older = _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4);
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), older);
                w[i % 4] = _mm_sha256msg2_epu32(sum, w[(i + 3) % 4]);
            }
            __m128i both = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)(rounds + 4 * i)));
            y = _mm_sha256rnds2_epu32(y, x, both);
            x = _mm_sha256rnds2_epu32(x, y, _mm_shuffle_epi32(both, 0x0E));
        }
        x = _mm_add_epi32(x, first_x);
        y = _mm_add_epi32(y, first_y);
    }
    uint32_t last[8];
    _mm_storeu_si128((__m128i *)last, x);
    _mm_storeu_si128((__m128i *)(last + 4), y);
    const int place[8] = {5, 4, 1, 0, 7, 6, 3, 2};
    for (int i = 0; i < 8; i++)
        state[place[i]] = last[i];
}
#endif

static void digest_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
#ifdef AEC_HAS_AVX2
    if (has_instructions()) {
        digest_fast(state, data, blocks);
        return;
    }
#endif
    digest_plain(state, data, blocks);
}

void aec_hash_begin(aec_hash *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->size = 0;
}

void aec_hash_add(aec_hash *hash, const uint8_t *data, size_t size)
{
    while (size) {
        size_t filled = (size_t)(hash->size % 64), part = 64 - filled < size ? 64 - filled : size;
        if (!filled && size >= 64)
            digest_blocks(hash->state, data, (part = size / 64 * 64) / 64);
        else {
            memcpy(hash->block + filled, data, part);
            if (filled + part == 64)
                digest_blocks(hash->state, hash->block, 1);
        }
        hash->size += part;
        data += part;
        size -= part;
    }
}

void aec_hash_end(aec_hash *hash, uint8_t digest[32])
{
    uint8_t last[72] = {0x80};
    uint64_t bits = hash->size * 8;
    size_t filled = (size_t)(hash->size % 64), padding = filled < 56 ? 56 - filled : 120 - filled;
    for (int i = 0; i < 8; i++)
        last[padding + 7 - (size_t)i] = (uint8_t)(bits >> 8 * i);
    aec_hash_add(hash, last, padding + 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void aec_sha256(const uint8_t *data, size_t size, uint8_t digest[32])
{
    aec_hash hash;
    aec_hash_begin(&hash);
    aec_hash_add(&hash, data, size);
    aec_hash_end(&hash, digest);
}
