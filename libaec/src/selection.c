/* A matrix without the inputs that are 0 at every position it is for: they add nothing to any sum. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

int aec_make_selection(aec_selection *selection, const aec_matrix *all)
{
    size_t blocks = (size_t)(all->outputs + OUTPUTS - 1) / OUTPUTS, pairs = (size_t)(all->inputs + 1) / 2;
    selection->matrix = (aec_matrix){all->outputs, 0, 1, malloc(blocks * pairs * OUTPUTS * 2 * sizeof(int16_t))};
    selection->pairs = malloc(pairs * sizeof *selection->pairs);
    return selection->matrix.packed && selection->pairs;
}

void aec_select_inputs(aec_selection *selection, const aec_matrix *all, const uint8_t *wanted)
{
    int pairs = (all->inputs + 1) / 2, count = 0, blocks = (all->outputs + OUTPUTS - 1) / OUTPUTS;
    for (int i = 0; i < pairs; i++)
        if (wanted[2 * i] || (2 * i + 1 < all->inputs && wanted[2 * i + 1]))
            selection->pairs[count++] = 2 * i;
    if (!count)
        selection->pairs[count++] = 0;
    selection->matrix.inputs = 2 * count;
    int16_t *to = selection->matrix.packed;
    for (int block = 0; block < blocks; block++) {
        const int16_t *from = aec_packed_at(all, block * OUTPUTS, 0, 0);
        for (int i = 0; i < count; i++, to += 2 * OUTPUTS)
            memcpy(to, from + selection->pairs[i] * OUTPUTS, 2 * OUTPUTS * sizeof *to);
    }
}

void aec_free_selection(aec_selection *selection)
{
    free(selection->matrix.packed);
    free(selection->pairs);
}

/* An input in halves: that of its upper bits, the other being what is left. */
static int16_t upper_half(int32_t y)
{
    return (int16_t)((y + (1 << HALF_BITS >> 1)) >> HALF_BITS);
}

int aec_select_linear(aec_linear_selection *selection, const aec_matrix *linear, const aec_factor *factors, const int32_t *v,
                      ptrdiff_t positions)
{
    int m = linear->inputs;
    uint32_t *most = calloc((size_t)m, sizeof *most); /* magnitudes */
    uint8_t *is_low = calloc(2, (size_t)m), *is_high = is_low + m;
    selection->zeros = calloc((size_t)m, sizeof *selection->zeros);
    int made = most && is_low && selection->zeros && aec_make_selection(&selection->low, linear) &&
               aec_make_selection(&selection->high, linear);
    if (made) {
        for (ptrdiff_t p = 0; p < positions; p++, v += m)
            for (int i = 0; i < m; i++) {
                uint32_t size = v[i] < 0 ? 0 - (uint32_t)v[i] : (uint32_t)v[i];
                most[i] = size > most[i] ? size : most[i];
            }
        for (int i = 0; i < m; i++) {
            int32_t size = most[i] < INT32_MAX ? (int32_t)most[i] : INT32_MAX;
            is_low[i] = most[i] > 0;
            is_high[i] = upper_half((int32_t)rounded(size, factors[i], LINEAR_MAX)) ||
                         upper_half((int32_t)rounded(-size, factors[i], LINEAR_MAX));
        }
        aec_select_inputs(&selection->low, linear, is_low);
        aec_select_inputs(&selection->high, linear, is_high);
    }
    free(most);
    free(is_low);
    return made;
}

void aec_linear_sums(const aec_kernel_set *kernels, const aec_linear_selection *selection, const aec_factor *factors,
                     const int32_t *v, ptrdiff_t positions, int m, int32_t *inputs, int16_t *low, int16_t *high,
                     int32_t *low_sums, int32_t *high_sums)
{
    const aec_selection *lower = &selection->low, *upper = &selection->high;
    int lows = lower->matrix.inputs, highs = upper->matrix.inputs;
    const int16_t *low_row = low, *high_row = high;
    kernels->scale(v, m, positions, m, selection->zeros, factors, NULL, LINEAR_MAX, inputs);
    for (ptrdiff_t p = 0; p < positions; p++, inputs += m) {
        for (int n = 0; n < lows; n++) {
            int32_t y = inputs[lower->pairs[n / 2] + n % 2];
            *low++ = (int16_t)(y - upper_half(y) * (1 << HALF_BITS));
        }
        for (int n = 0; n < highs; n++)
            *high++ = upper_half(inputs[upper->pairs[n / 2] + n % 2]);
    }
    kernels->convolve(&lower->matrix, &low_row, lows, 0, positions, low_sums);
    kernels->convolve(&upper->matrix, &high_row, highs, 0, positions, high_sums);
}

void aec_free_linear(aec_linear_selection *selection)
{
    aec_free_selection(&selection->low);
    aec_free_selection(&selection->high);
    free(selection->zeros);
}

/* In int32, which holds all: sums are below 2**31 - 2**26, as rows of the matrix have limits. */
void aec_join_linear(const int32_t *low, const int32_t *high, ptrdiff_t count, int matrix_bits, int16_t *out)
{
    const int drop = matrix_bits + LINEAR_FRAC - LEVEL_FRAC - HALF_BITS, half = 1 << (drop + HALF_BITS) >> 1;
    if (drop < 0 || drop > 16) {
        for (ptrdiff_t i = 0; i < count; i++) {
            int64_t sum = aec_drop((int64_t)high[i] * (1 << HALF_BITS) + low[i], drop + HALF_BITS);
            out[i] = (int16_t)(sum < -NARROW_MAX ? -NARROW_MAX : sum > NARROW_MAX ? NARROW_MAX : sum);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t sum = (high[i] + ((low[i] + half) >> HALF_BITS)) >> drop;
        sum = sum < NARROW_MAX ? sum : NARROW_MAX;
        out[i] = (int16_t)(sum > -NARROW_MAX ? sum : -NARROW_MAX);
    }
}
