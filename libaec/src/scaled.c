/* From latents to a smaller picture: docs/format.md, section 8.5.

   Only the linear path is computed, on blocks that are `factor` times smaller each way; the samples are means of two by two
   of what it gives. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define MEAN_BITS 7 /* a sum of four, in 1/32 of a level */

typedef struct {
    const aec_kernel_set *k;
    aec_matrix linear; /* outputs by column, colour and row, so that lapping along rows goes over many side by side */
    int linear_bits;
    int16_t lapping[STRIDE][STRIDE];
    int lapping_bits, side; /* side of a block */
    aec_factor *input;
    aec_linear_selection inputs;
    int32_t *wide; /* inputs, and their halves */
    int16_t *low, *high;
    int32_t *sums, *more_sums;
    int16_t *strip; /* of all positions, as their outputs are */
    int16_t *rows;  /* two strips of `side` rows, by column and colour */
} Reduced;

/* The matrix as it is, with outputs in the order of Reduced. */
static int reorder_linear(const aec_weights *w, Reduced *r)
{
    int pairs = (w->latents + 1) / 2;
    if (!aec_make_matrix(&r->linear, 3 * STRIDE * STRIDE, w->latents, 1))
        return 0;
    for (int o = 0; o < 3 * STRIDE * STRIDE; o++) { /* laid out by colour, column and row */
        int colour = o / 256, column = o / STRIDE % STRIDE, row = o % STRIDE;
        const int16_t *from = aec_packed_at(&w->linear, o, 0, 0);
        int16_t *to = aec_packed_at(&r->linear, (column * 3 + colour) * STRIDE + row, 0, 0);
        for (int i = 0; i < pairs; i++)
            memcpy(to + i * OUTPUTS * 2, from + i * OUTPUTS * 2, 2 * sizeof *to);
    }
    r->linear_bits = w->linear_bits;
    return 1;
}

/* Sums of the integers of squares of factor * factor; then as many bits are dropped as make them fit. */
static int reduce_linear(const aec_weights *w, int factor, Reduced *r)
{
    int side = STRIDE / factor, outputs = 3 * side * side, m = w->latents, drop = 0;
    if (factor == 1)
        return reorder_linear(w, r);
    int32_t *whole = calloc((size_t)outputs * (size_t)m, sizeof *whole);
    if (!whole || !aec_make_matrix(&r->linear, outputs, m, 1)) {
        free(whole);
        return 0;
    }
    for (int o = 0; o < 3 * STRIDE * STRIDE; o++) { /* laid out by colour, column and row */
        int colour = o / 256, column = o / STRIDE % STRIDE / factor, row = o % STRIDE / factor;
        int32_t *to = whole + (size_t)((column * 3 + colour) * side + row) * (size_t)m;
        const int16_t *from = aec_packed_at(&w->linear, o, 0, 0);
        for (int i = 0; i < m; i++)
            to[i] += from[i / 2 * OUTPUTS * 2 + i % 2];
    }
    for (int fits = 0; !fits; drop += !fits) {
        fits = 1;
        for (int o = 0; o < outputs && fits; o++) {
            int64_t sum = 0;
            for (int i = 0; i < m && fits; i++) {
                int64_t value = aec_drop(whole[(size_t)o * (size_t)m + (size_t)i], drop);
                fits = llabs(value) <= NARROW_MAX;
                sum += llabs(value);
            }
            fits = fits && sum <= LINEAR_ROW_MAX;
        }
    }
    for (int o = 0; o < outputs; o++) {
        int16_t *to = aec_packed_at(&r->linear, o, 0, 0);
        for (int i = 0; i < m; i++)
            to[i / 2 * OUTPUTS * 2 + i % 2] = (int16_t)aec_drop(whole[(size_t)o * (size_t)m + (size_t)i], drop);
    }
    r->linear_bits = w->linear_bits - drop;
    for (int f = factor; f > 1; f /= 2)
        r->linear_bits += 2;
    free(whole);
    return 1;
}

static void reduce_lapping(const aec_weights *w, int factor, Reduced *r)
{
    int32_t whole[STRIDE][STRIDE] = {{0}};
    int drop = 0;
    r->side = STRIDE / factor;
    for (int i = 0; i < STRIDE; i++)
        for (int j = 0; j < STRIDE; j++)
            whole[i / factor][j / factor] += w->lapping[i][j];
    for (int fits = 0; !fits; drop += !fits) {
        fits = 1;
        for (int i = 0; i < r->side; i++) {
            int64_t sum = 0;
            for (int j = 0; j < r->side; j++) {
                int64_t value = aec_drop(whole[i][j], drop);
                fits = fits && llabs(value) <= NARROW_MAX;
                sum += llabs(value);
            }
            fits = fits && sum <= LAPPING_ROW_MAX;
        }
    }
    for (int i = 0; i < r->side; i++)
        for (int j = 0; j < r->side; j++)
            r->lapping[i][j] = (int16_t)aec_drop(whole[i][j], drop);
    r->lapping_bits = w->lapping_bits - drop;
    for (int f = factor; f > 1; f /= 2)
        r->lapping_bits++;
}

static int16_t narrow(int64_t x)
{
    return (int16_t)(x < -NARROW_MAX ? -NARROW_MAX : x > NARROW_MAX ? NARROW_MAX : x);
}

/* Laps windows of `side` values, `step` apart; `count` of them side by side. */
static void lap(const Reduced *r, int16_t *values, ptrdiff_t step, ptrdiff_t count)
{
    if (r->side == STRIDE) {
        r->k->lap((const int16_t(*)[16])r->lapping, r->lapping_bits, values, step, count);
        return;
    }
    for (ptrdiff_t at = 0; at < count; at++) {
        int16_t window[STRIDE];
        for (int i = 0; i < r->side; i++)
            window[i] = values[at + i * step];
        for (int o = 0; o < r->side; o++) {
            int64_t sum = 0;
            for (int i = 0; i < r->side; i++)
                sum += r->lapping[o][i] * window[i];
            values[at + o * step] = narrow(aec_drop(sum, r->lapping_bits));
        }
    }
}

/* A row of latents becomes `side` rows, lapped along them. */
static void make_strip(const Reduced *r, const int32_t *v, ptrdiff_t columns, int16_t *rows)
{
    ptrdiff_t outputs = r->linear.outputs, padded = (outputs + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    ptrdiff_t side = r->side, width = 3 * side * columns;
    aec_linear_sums(r->k, &r->inputs, r->input, v, columns, r->linear.inputs, r->wide, r->low, r->high, r->sums,
                    r->more_sums);
    for (ptrdiff_t x = 0; x < columns; x++)
        aec_join_linear(r->sums + x * padded, r->more_sums + x * padded, outputs, r->linear_bits, r->strip + x * outputs);
    for (ptrdiff_t x = 1; x < columns; x++)
        lap(r, r->strip + x * outputs - outputs / 2, 3 * side, 3 * side);
    for (ptrdiff_t y = 0; y < side; y++)
        for (ptrdiff_t i = 0; i < width; i++)
            rows[y * width + i] = r->strip[i * side + y];
}

/* Makes a row of samples of the means of two rows, as far as it is in the sink's area. */
static void emit(const int16_t *above, const int16_t *below, const aec_sink *sink, size_t y)
{
    if (y < sink->top || y - sink->top >= sink->height)
        return;
    uint8_t *to = (uint8_t *)sink->samples + (y - sink->top) * sink->width * sink->channels;
    above += 6 * sink->left;
    below += 6 * sink->left;
    for (size_t x = 0; x < sink->width; x++, above += 6, below += 6, to += sink->channels) {
        int sample[3];
        for (int c = 0; c < 3; c++) {
            int sum = above[c] + above[c + 3] + below[c] + below[c + 3] + 4 * LINEAR_MIDDLE;
            sum = (sum + (1 << MEAN_BITS >> 1)) >> MEAN_BITS;
            sample[c] = sum < 0 ? 0 : sum > 255 ? 255 : sum;
        }
        if (sink->channels < 3)
            to[0] = (uint8_t)((sample[0] + sample[1] + sample[2] + 1) / 3);
        else
            for (int c = 0; c < 3; c++)
                to[c] = (uint8_t)sample[c];
    }
}

static void run(const Reduced *r, const int32_t *latents, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first,
                ptrdiff_t last, const aec_sink *sink)
{
    ptrdiff_t side = r->side, width = 3 * side * columns, start = first ? first - 1 : 0;
    ptrdiff_t next = first * side, end = last * side; /* of the rows that are averaged by twos */
    for (ptrdiff_t strip = start; next < end; strip++) {
        int16_t *at = r->rows + (strip > start) * side * width;
        make_strip(r, latents + strip * columns * r->linear.inputs, columns, at);
        if (strip > start)
            lap(r, at - side / 2 * width, width, width);
        ptrdiff_t complete = strip + 1 < rows ? strip * side + side / 2 : rows * side;
        ptrdiff_t base = (strip > start ? strip - 1 : strip) * side;
        for (; next + 2 <= complete && next < end; next += 2)
            emit(r->rows + (next - base) * width, r->rows + (next + 1 - base) * width, sink, (size_t)next / 2);
        if (strip > start)
            memcpy(r->rows, r->rows + side * width, (size_t)(side * width) * sizeof *r->rows);
    }
}

aec_result aec_synthesise_scaled_rows(const aec_weights *w, const aec_kernel_set *kernels, const int32_t *latents,
                                      uint32_t rate, int scale, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first,
                                      ptrdiff_t last, const aec_sink *sink)
{
    Reduced r = {.k = kernels};
    size_t m = (size_t)w->latents, count = (size_t)columns;
    reduce_lapping(w, scale / 2, &r);
    size_t outputs = (size_t)(3 * r.side * r.side + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    double *gain = malloc(m * sizeof *gain);
    r.input = malloc(m * sizeof *r.input);
    r.wide = malloc(count * m * sizeof *r.wide);
    r.low = calloc(count * m + 2, sizeof *r.low);
    r.high = calloc(count * m + 2, sizeof *r.high);
    r.sums = malloc(count * outputs * sizeof *r.sums);
    r.more_sums = malloc(count * outputs * sizeof *r.more_sums);
    r.strip = malloc(count * outputs * sizeof *r.strip);
    r.rows = malloc(2 * count * outputs * sizeof *r.rows);
    aec_result result = NO_MEMORY;
    if (gain && r.input && r.wide && r.low && r.high && r.sums && r.more_sums && r.strip && r.rows && reduce_linear(w, scale / 2, &r))
        result = aec_linear_inputs(w, rate, gain, r.input);
    ptrdiff_t start = first ? first - 1 : 0, end = last < rows ? last + 1 : rows; /* of the latents that are read */
    const int32_t *v = latents + start * columns * w->latents;
    if (result.status == AEC_OK && !aec_select_linear(&r.inputs, &r.linear, r.input, v, (end - start) * columns))
        result = NO_MEMORY;
    if (result.status == AEC_OK)
        run(&r, latents, rows, columns, first, last, sink);
    free(gain);
    free(r.input);
    free(r.wide);
    free(r.low);
    free(r.high);
    free(r.sums);
    free(r.more_sums);
    free(r.strip);
    free(r.rows);
    free(r.linear.packed);
    aec_free_linear(&r.inputs);
    return result;
}
