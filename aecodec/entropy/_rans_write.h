/* Writing a stream of the entropy coder: docs/format.md, sections 5.3 and 5.5. */

#ifndef AECODEC_RANS_WRITE_H
#define AECODEC_RANS_WRITE_H

#include "rans.h"

#define EMIT_FROM (LOWER >> PRECISION << 32) /* times the frequency: from here on the step would pass 2^63 */

static void store32(uint8_t *p, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(word >> 8 * i);
}

/* Codes the operations from the last to the first. The words, in reading order, replace the end of the list: an
   operation emits one word at most, so they never reach an operation still to come. Returns the first word. */
static const uint32_t *push_all(uint32_t *operations, ptrdiff_t count, uint64_t *state_0, uint64_t *state_1)
{
    uint64_t x = LOWER, y = LOWER;
    uint32_t *word = operations + count;
    for (ptrdiff_t i = count; i-- > 0;) {
        uint64_t other = x;
        x = y;
        y = other;
        uint32_t frequency = operations[i] >> 16, start = operations[i] & SLOT_MASK;
        if (x >= EMIT_FROM * frequency) {
            *--word = (uint32_t)x;
            x >>= 32;
        }
        x = (x / frequency << PRECISION) + x % frequency + start;
    }
    *state_0 = x;
    *state_1 = y;
    return word;
}

static void store_stream(uint64_t state_0, uint64_t state_1, const uint32_t *words, ptrdiff_t count, uint8_t *out)
{
    store32(out, (uint32_t)state_0);
    store32(out + 4, (uint32_t)(state_0 >> 32));
    store32(out + 8, (uint32_t)state_1);
    store32(out + 12, (uint32_t)(state_1 >> 32));
    for (ptrdiff_t i = 0; i < count; i++)
        store32(out + STATE_BYTES + 4 * i, words[i]);
}

#endif
