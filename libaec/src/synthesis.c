/* From latents to samples: docs/format.md, section 8.

   Rows go through all layers at once, two at a time, since squares.h makes two rows of sums: a layer asks the one in front of
   it for the next two, and keeps six.  So memory does not grow with a picture's height.  A part of a picture's rows begins and
   ends as many rows further out as its layers reach.

   A row of inputs is int16 where all of it fits, and is in two halves where it does not: the activations of photographs
   fit, those of graphics in pure colours sometimes do not.  Either way sums are the same. */

#include "internal.h"

#include "edge_filter.h"
#include "squares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EIGHTH (LEVEL_FRAC - 3)
#define SLOPE 6554
#define SLOPE_BITS 16
#define KEPT 32 /* rows of samples that are at hand: two strips */
#define OUTER 6 /* rows that are kept: the four of a kernel for two rows, and up to two that came with the last of them */
#define SPREAD_MAX 12288 /* inputs of squares that are spread at a time: 16 times as many int16 fit the cache */

typedef struct {
    aec_factor *above, *below; /* below is NULL where there is no activation */
} Scaling;

/* A row of a layer's inputs.  A wide one is high * 2**WIDE_BITS + low. */
typedef struct {
    int16_t *low, *high;
    int wide;
} Row;

/* A residual block at work: its inputs, what is between its layers, and the stream that it adds to. */
typedef struct {
    const aec_block *block;
    Scaling first, second;
    Row in[OUTER], middle[OUTER];
    int32_t *stream[OUTER];
    ptrdiff_t next_in, next_middle, next_out; /* rows */
    ptrdiff_t end_in, end_middle, end_out;
} Stage;

typedef struct {
    const aec_weights *w;
    const aec_kernel_set *k;
    const int32_t *latents;
    ptrdiff_t rows, columns; /* of latents */
    aec_factor *input, *linear_input;
    Scaling stem, up, head, strength;
    int16_t amounts[3][AMOUNTS];

    int16_t *zeros; /* a row of any layer */
    int32_t *no_bias; /* of latents */
    int32_t *sums[2], *more_sums[2]; /* of two rows */
    int16_t *spread;
    int32_t *products;
    int32_t *wide_row; /* a row of any layer */
    Row stem_in[OUTER];
    ptrdiff_t next_stem_in, next_stem, end_stem;
    Stage stage_16[BLOCKS_MAX], stage_8[BLOCKS_MAX];
    Row up_in;
    int32_t *rows_16[2]; /* the last rows at 1/16, first_16 .. end_16 - 1 */
    int32_t *up_row, *up_out[2]; /* one of them, up_at, and the two that it becomes */
    ptrdiff_t next_up, end_up, up_at, first_16, end_16;
    int32_t *head_rows[2];
    Row head_in[OUTER], strength_in;
    int32_t *head_out;
    ptrdiff_t next_head_in, end_head_in, next_head, end_head;
    int16_t *correction;    /* 16 rows of samples */
    uint8_t *strengths[OUTER];
    aec_linear_selection linear_inputs;
    int16_t *low, *high;    /* inputs of the linear path, in two halves */
    int16_t *strip;         /* 16 rows of samples, by colour, column and row */
    int16_t *samples;       /* KEPT rows by column and colour; the first is row `base` */
    ptrdiff_t base;
    Lines lines;
    uint8_t *out;           /* a row of samples */
    uint16_t *deep_out;     /* the same, of more than 8 bits; NULL where they have 8 */
    int16_t *eighths;       /* a row for the edge filter, beside those that are finer */
    const aec_sink *sink;
    void *memory[2 * BLOCKS_MAX * 18 + 96]; /* all that was allocated */
    size_t allocations;
    int failed;
} Part;

static void *room(Part *part, size_t count, size_t size)
{
    int full = part->allocations == sizeof part->memory / sizeof *part->memory;
    void *memory = full ? NULL : calloc(count, size);
    part->failed |= !memory;
    if (memory)
        part->memory[part->allocations++] = memory;
    return memory;
}

static void make_row(Part *part, Row *row, size_t count)
{
    row->low = room(part, count, sizeof *row->low);
    row->high = room(part, count, sizeof *row->high);
}

static aec_result make_scaling(Part *part, const aec_convolution *layer, const double *gain, int gains, double unit,
                               int activated, Scaling *scaling)
{
    int outputs = layer->matrix.outputs;
    scaling->above = room(part, (size_t)outputs, sizeof *scaling->above);
    scaling->below = activated ? room(part, (size_t)outputs, sizeof *scaling->below) : NULL;
    if (part->failed)
        return NO_MEMORY;
    for (int o = 0; o < outputs; o++) {
        double scale = layer->scale[o] * (gain ? gain[o % gains] : 1) * unit;
        TRY(aec_factor_of(scale, scaling->above + o));
        if (activated)
            TRY(aec_factor_of(aec_factor_value(scaling->above[o]) * SLOPE / (1 << SLOPE_BITS), scaling->below + o));
    }
    return OK;
}

static aec_result make_stages(Part *part, const aec_block *blocks, int count, int outer, int inner, ptrdiff_t columns,
                              Stage *stages)
{
    for (int i = 0; i < count; i++) {
        Stage *stage = stages + i;
        size_t width = (size_t)blocks[i].first.matrix.outputs, padded = ((size_t)columns + 3) * width;
        stage->block = blocks + i;
        TRY(make_scaling(part, &blocks[i].first, NULL, 1, ldexp(1, inner - outer), 1, &stage->first));
        TRY(make_scaling(part, &blocks[i].second, NULL, 1, ldexp(1, outer + STREAM_GUARD - inner), 0, &stage->second));
        for (int r = 0; r < OUTER; r++) {
            make_row(part, stage->in + r, padded);
            make_row(part, stage->middle + r, padded);
            stage->stream[r] = room(part, (size_t)columns * width, sizeof **stage->stream);
        }
        if (part->failed)
            return NO_MEMORY;
    }
    return OK;
}

/* Table of the edge filter at a rate index. */
static void make_amounts(Part *part, uint32_t rate)
{
    static const int ends[9] = {0, 16, 32, 56, 88, 128, 192, 288, 480};
    for (int ring = 0; ring < 3; ring++) {
        int64_t values[9] = {0};
        for (int i = 0; i < 8; i++) {
            int32_t known[KNOTS];
            for (int knot = 0; knot < KNOTS; knot++) {
                double value = aec_float16(part->w->edge_table[24 * knot + 8 * ring + i]) * 128, whole = floor(value);
                double rest = value - whole; /* to the nearest, ties to even */
                whole += rest > 0.5 || (rest == 0.5 && fmod(whole, 2) != 0);
                known[knot] = (int32_t)(whole < -32767 ? -32767 : whole > 32767 ? 32767 : whole);
            }
            values[i + 1] = aec_interpolate(known, KNOTS, 1, 0, (int)rate);
        }
        for (int a = 0, i = 0; a <= LAST; a++) {
            i += i < 7 && a >= ends[i + 1];
            int width = ends[i + 1] - ends[i];
            int64_t sum = values[i] * (ends[i + 1] - a) + values[i + 1] * (a - ends[i]) + width / 2;
            part->amounts[ring][LAST + a] = (int16_t)(sum / width - (sum % width < 0));
            part->amounts[ring][LAST - a] = (int16_t)-part->amounts[ring][LAST + a];
        }
    }
}

static aec_result make_tables(Part *part, uint32_t rate)
{
    const aec_weights *w = part->w;
    int m = w->latents, most = m > w->width_16 ? m : w->width_16;
    most = most > w->width_8 ? most : w->width_8;
    double *gain = room(part, (size_t)most, sizeof *gain);
    part->input = room(part, (size_t)m, sizeof *part->input);
    part->linear_input = room(part, (size_t)m, sizeof *part->linear_input);
    if (part->failed)
        return NO_MEMORY;
    TRY(aec_linear_inputs(w, rate, gain, part->linear_input));
    for (int c = 0; c < m; c++)
        TRY(aec_factor_of(gain[c] * ldexp(1, w->stem_bits - MEAN_FRAC) / w->spread[c], part->input + c));
    int fine_16 = w->stream_16_bits + STREAM_GUARD, fine_8 = w->stream_8_bits + STREAM_GUARD;
    TRY(aec_gains(w->gain_16, w->width_16, rate, gain));
    TRY(make_scaling(part, &w->stem, gain, w->width_16, ldexp(1, fine_16 - w->stem_bits), 0, &part->stem));
    TRY(aec_gains(w->gain_8, w->width_8, rate, gain));
    TRY(make_scaling(part, &w->up_8, gain, w->width_8, ldexp(1, fine_8 - w->stream_16_bits), 1, &part->up));
    TRY(make_scaling(part, &w->head, NULL, 1, 255 * ldexp(1, LEVEL_FRAC - w->stream_8_bits), 0, &part->head));
    if (w->filters_edges) {
        TRY(make_scaling(part, &w->strength, NULL, 1, 16 * ldexp(1, -w->stream_8_bits), 0, &part->strength));
        make_amounts(part, rate);
    }
    ptrdiff_t columns = part->columns;
    TRY(make_stages(part, w->block_16, w->blocks_16, w->stream_16_bits, w->middle_16_bits, columns, part->stage_16));
    return make_stages(part, w->block_8, w->blocks_8, w->stream_8_bits, w->middle_8_bits, 2 * columns, part->stage_8);
}

static size_t up_to_16(size_t x)
{
    return (x + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
}

/* How many squares of so many inputs go through at a time: sixes, since the kernels of AVX2 take six. */
static ptrdiff_t squares_at_a_time(ptrdiff_t width)
{
    ptrdiff_t squares = SPREAD_MAX / width / 6 * 6;
    return squares < 6 ? 6 : squares > SQUARES_MAX ? SQUARES_MAX : squares;
}

/* From a place of a square to the next. */
static size_t spread_pitch(ptrdiff_t width)
{
    return (size_t)(squares_at_a_time(width) * width) + PITCH_EXTRA;
}

static aec_result make_rows(Part *part)
{
    const aec_weights *w = part->w;
    size_t columns = (size_t)part->columns, m = (size_t)w->latents, a = (size_t)w->width_16, b = (size_t)w->width_8;
    size_t widest = m > a ? m : a;
    widest = widest > 2 * b ? widest : 2 * b;
    size_t sums = up_to_16(a) > up_to_16(4 * b) ? up_to_16(a) : up_to_16(4 * b);
    sums = sums > 2 * up_to_16(b) ? sums : 2 * up_to_16(b);
    sums = sums > 768 ? sums : 768;
    if (columns > SIZE_MAX / 64 / (widest + sums))
        return NO_MEMORY;
    part->zeros = room(part, (columns + 3) * widest, sizeof *part->zeros);
    part->no_bias = room(part, m, sizeof *part->no_bias);
    for (int r = 0; r < 2; r++) {
        part->sums[r] = room(part, (columns + 1) * sums, sizeof **part->sums);
        part->more_sums[r] = room(part, (columns + 1) * sums, sizeof **part->more_sums);
    }
    size_t spread = 6 * widest > SPREAD_MAX ? 6 * widest : SPREAD_MAX; /* of any layer */
    part->spread = room(part, PLACES * (spread + PITCH_EXTRA), sizeof *part->spread);
    part->products = room(part, PLACES * PRODUCTS_PITCH, sizeof *part->products);
    part->wide_row = room(part, columns * widest, sizeof *part->wide_row);
    for (int r = 0; r < OUTER; r++) {
        make_row(part, part->stem_in + r, (columns + 3) * m);
        make_row(part, part->head_in + r, (2 * columns + 3) * b);
    }
    make_row(part, &part->up_in, columns * a + 2);
    make_row(part, &part->strength_in, 2 * columns * b + 2);
    part->up_row = room(part, columns * 4 * b, sizeof *part->up_row);
    part->head_out = room(part, 2 * columns * 192, sizeof *part->head_out);
    part->correction = room(part, 16 * columns * 48, sizeof *part->correction);
    for (int r = 0; r < 2; r++) {
        part->rows_16[r] = room(part, columns * a, sizeof **part->rows_16);
        part->up_out[r] = room(part, 2 * columns * b, sizeof **part->up_out);
        part->head_rows[r] = room(part, 2 * columns * b, sizeof **part->head_rows);
    }
    for (int r = 0; r < OUTER; r++)
        part->strengths[r] = room(part, 2 * columns, 1);
    part->out = room(part, columns * 48, 1);
    if (part->sink->depth > 8) {
        part->deep_out = room(part, columns * 48, sizeof *part->deep_out);
        part->eighths = room(part, columns * 48, sizeof *part->eighths);
    }
    part->low = room(part, columns * m + 2, sizeof *part->low);
    part->high = room(part, columns * m + 2, sizeof *part->high);
    part->strip = room(part, columns * 768, sizeof *part->strip);
    part->samples = room(part, KEPT * columns * 48, sizeof *part->samples);
    int32_t *edge_memory = room(part, 2 * ROWS * columns * STRIDE, sizeof *edge_memory);
    if (part->failed)
        return NO_MEMORY;
    part->lines = begin_lines((ptrdiff_t)columns * STRIDE, edge_memory);
    return OK;
}

static ptrdiff_t at_least_0(ptrdiff_t x)
{
    return x > 0 ? x : 0;
}

static ptrdiff_t at_most(ptrdiff_t x, ptrdiff_t most)
{
    return x < most ? x : most;
}

static void begin_stages(Stage *stages, int count, ptrdiff_t rows, ptrdiff_t *first, ptrdiff_t *end)
{
    for (Stage *stage = stages + count; stage-- > stages;) {
        stage->next_out = *first;
        stage->next_middle = at_least_0(*first - 1);
        *first = stage->next_in = at_least_0(*first - 2);
        stage->end_out = *end;
        stage->end_middle = at_most(*end + 1, rows);
        *end = stage->end_in = at_most(*end + 2, rows);
    }
}

/* Begins and ends every layer at the rows that the rows first .. end - 1 of blocks depend on. */
static void begin(Part *part, ptrdiff_t first, ptrdiff_t end)
{
    part->next_head = first;
    part->end_head = end;
    first = part->next_head_in = at_least_0(first - 1);
    end = part->end_head_in = at_most(end + 1, 2 * part->rows);
    begin_stages(part->stage_8, part->w->blocks_8, 2 * part->rows, &first, &end);
    part->next_up = first;
    part->end_up = end;
    part->up_at = -1;
    first = part->end_16 = first / 2;
    end = (end + 1) / 2;
    begin_stages(part->stage_16, part->w->blocks_16, part->rows, &first, &end);
    part->next_stem = first;
    part->end_stem = end;
    part->next_stem_in = at_least_0(first - 1);
}

/* How many rows come next. */
static int next_count(ptrdiff_t next, ptrdiff_t end)
{
    return end - next < 2 ? (int)(end - next) : 2;
}

/* Writes a row of inputs in halves. */
static void split(const int32_t *x, ptrdiff_t count, Row *row, ptrdiff_t offset)
{
    row->wide = 1;
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t high = (x[i] + (1 << WIDE_BITS >> 1)) >> WIDE_BITS;
        row->high[offset + i] = (int16_t)high;
        row->low[offset + i] = (int16_t)(x[i] - high * (1 << WIDE_BITS));
    }
}

/* Reads a row of a stream as a layer's inputs, from `offset` on. */
static void read_row(const Part *part, const int32_t *stream, ptrdiff_t count, const aec_convolution *layer, Row *row,
                     ptrdiff_t offset)
{
    row->wide = 0;
    if (!part->k->read(stream, count, layer->narrow, row->low + offset))
        return;
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t x = (stream[i] + (1 << STREAM_GUARD >> 1)) >> STREAM_GUARD, limit = layer->limit;
        part->wide_row[i] = x < -limit ? -limit : x > limit ? limit : x;
    }
    split(part->wide_row, count, row, offset);
}

static ptrdiff_t sum_width(const aec_convolution *layer)
{
    return (ptrdiff_t)up_to_16((size_t)layer->matrix.outputs);
}

/* Sums of two rows of a 3x3 convolution from four rows of inputs, which begin a column further left. */
static void convolve_squares(const Part *part, const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t columns,
                             int32_t *const *sums)
{
    ptrdiff_t inputs = matrix->inputs, pitch = (ptrdiff_t)spread_pitch(inputs), step = (inputs + 1) / 2 * 2 * OUTPUTS;
    ptrdiff_t squares = (columns + 1) / 2, width = (ptrdiff_t)up_to_16((size_t)matrix->outputs);
    for (ptrdiff_t first = 0, count; first < squares; first += count) {
        const int16_t *from[4], *weights = matrix->packed;
        count = at_most(squares - first, squares_at_a_time(inputs));
        for (int r = 0; r < 4; r++)
            from[r] = rows[r] + 2 * first * inputs;
        part->k->spread(from, inputs, count, pitch, part->spread);
        for (ptrdiff_t o = 2 * first * width, end = o + width; o < end; o += OUTPUTS) {
            for (int place = 0; place < PLACES; place++, weights += step) {
                const aec_matrix one = {OUTPUTS, (int)inputs, 1, (int16_t *)weights}; /* only read */
                const int16_t *x = part->spread + place * pitch;
                part->k->convolve(&one, &x, inputs, 0, count, part->products + place * PRODUCTS_PITCH);
            }
            int32_t *const to[2] = {sums[0] + o, sums[1] + o};
            part->k->gather(part->products, count, width, to);
        }
    }
}

/* Sums of a 3x3 convolution of `count` <= 2 rows from y on of `rows`; returns whether they are in two halves. */
static int convolve_3(const Part *part, const aec_convolution *layer, const Row *kept, ptrdiff_t y, int count,
                      ptrdiff_t rows, ptrdiff_t columns)
{
    ptrdiff_t width = layer->matrix.inputs;
    const int16_t *low[4], *high[4];
    int wide = 0;
    for (int i = 0; i < 4; i++) {
        ptrdiff_t at = y + i - 1;
        const Row *row = at >= 0 && at < rows && i < count + 2 ? kept + at % OUTER : NULL;
        low[i] = row ? row->low : part->zeros;
        high[i] = row && row->wide ? row->high : part->zeros;
        wide |= row && row->wide;
    }
    for (int half = 0; half <= wide; half++) {
        const int16_t *const *from = half ? high : low;
        int32_t *const *sums = half ? part->more_sums : part->sums;
        if (layer->matrix.kernel == SQUARES)
            convolve_squares(part, &layer->matrix, from, columns, sums);
        else
            for (int r = 0; r < count; r++)
                part->k->convolve(&layer->matrix, from + r, width, width, columns, sums[r]);
    }
    return wide;
}

/* What the kernels of that name do, for sums in two halves. */
static void scale_wide(const Part *part, int row, const aec_convolution *layer, const Scaling *scaling, ptrdiff_t positions,
                       int32_t limit, int32_t *out)
{
    int channels = layer->matrix.outputs;
    for (ptrdiff_t p = 0, at = 0; p < positions; p++, at += sum_width(layer))
        for (int c = 0; c < channels; c++) {
            int64_t sum = (int64_t)part->more_sums[row][at + c] * (1 << WIDE_BITS) + part->sums[row][at + c] + layer->bias[c];
            *out++ = (int32_t)rounded(sum, scaling->below && sum < 0 ? scaling->below[c] : scaling->above[c], limit);
        }
}

/* A row of the sums of `layer`, scaled to int32. */
static void scale(const Part *part, int row, int wide, const aec_convolution *layer, const Scaling *scaling, ptrdiff_t positions,
                  int32_t limit, int32_t *out)
{
    if (wide)
        scale_wide(part, row, layer, scaling, positions, limit, out);
    else
        part->k->scale(part->sums[row], sum_width(layer), positions, layer->matrix.outputs, layer->bias, scaling->above,
                       scaling->below, limit, out);
}

/* The sums of the first layer of a block, scaled to inputs of the second. */
static void scale_middle(const Part *part, int row, int wide, const aec_block *block, const Scaling *scaling,
                         ptrdiff_t columns, Row *to)
{
    const aec_convolution *first = &block->first, *second = &block->second;
    int width = first->matrix.outputs;
    to->wide = 0;
    if (!wide && !part->k->scale_narrow(part->sums[row], sum_width(first), columns, width, first->bias, scaling->above,
                                        scaling->below, second->narrow, to->low + width))
        return;
    scale(part, row, wide, first, scaling, columns, second->limit, part->wide_row);
    split(part->wide_row, columns * width, to, width);
}

/* The sums of the second layer of a block, scaled and added to the stream. */
static void scale_add(const Part *part, int row, int wide, const aec_convolution *layer, const Scaling *scaling,
                      ptrdiff_t columns, const int32_t *stream, int32_t *out)
{
    int width = layer->matrix.outputs;
    if (!wide) {
        part->k->scale_add(part->sums[row], sum_width(layer), columns, width, layer->bias, scaling->above, STREAM_MAX,
                           stream, out);
        return;
    }
    for (ptrdiff_t p = 0, at = 0; p < columns; p++, at += sum_width(layer))
        for (int c = 0; c < width; c++) {
            int64_t sum = (int64_t)part->more_sums[row][at + c] * (1 << WIDE_BITS) + part->sums[row][at + c] + layer->bias[c];
            int64_t x = *stream++ + rounded(sum, scaling->above[c], INT64_MAX / 2);
            *out++ = (int32_t)(x < -STREAM_MAX ? -STREAM_MAX : x > STREAM_MAX ? STREAM_MAX : x);
        }
}

/* The functions below make as many rows as come next, two but at the end, and return how many. */

static int next_stem(Part *part, int32_t *const *out)
{
    const aec_convolution *stem = &part->w->stem;
    ptrdiff_t y = part->next_stem, m = part->w->latents, columns = part->columns;
    int count = next_count(y, part->end_stem);
    part->next_stem += count;
    while (part->next_stem_in < part->rows && part->next_stem_in <= y + count) {
        ptrdiff_t row = part->next_stem_in++;
        Row *in = part->stem_in + row % OUTER;
        const int32_t *v = part->latents + row * columns * m;
        in->wide = 0;
        if (!part->k->scale_narrow(v, m, columns, (int)m, part->no_bias, part->input, NULL, stem->narrow, in->low + m))
            continue;
        part->k->scale(v, m, columns, (int)m, part->no_bias, part->input, NULL, stem->limit, part->wide_row);
        split(part->wide_row, columns * m, in, m);
    }
    int wide = convolve_3(part, stem, part->stem_in, y, count, part->rows, columns);
    for (int r = 0; r < count; r++)
        scale(part, r, wide, stem, &part->stem, columns, STREAM_MAX, out[r]);
    return count;
}

static int next_up(Part *part, int32_t *const *out);

/* The next rows of the stream behind `blocks` blocks at 1/16 or 1/8. */
static int next_rows(Part *part, int at_8, int blocks, int32_t *const *out)
{
    if (!blocks)
        return at_8 ? next_up(part, out) : next_stem(part, out);
    Stage *stage = (at_8 ? part->stage_8 : part->stage_16) + blocks - 1;
    const aec_convolution *first = &stage->block->first, *second = &stage->block->second;
    int width = first->matrix.outputs, count = next_count(stage->next_out, stage->end_out);
    ptrdiff_t rows = part->rows << at_8, columns = part->columns << at_8, y = stage->next_out;
    stage->next_out += count;
    while (stage->next_middle < stage->end_middle && stage->next_middle <= y + count) {
        ptrdiff_t middle = stage->next_middle;
        int middles = next_count(middle, stage->end_middle);
        stage->next_middle += middles;
        while (stage->next_in < stage->end_in && stage->next_in <= middle + middles) {
            int32_t *const streams[2] = {stage->stream[stage->next_in % OUTER], stage->stream[(stage->next_in + 1) % OUTER]};
            int got = next_rows(part, at_8, blocks - 1, streams);
            for (int r = 0; r < got; r++)
                read_row(part, streams[r], columns * width, first, stage->in + stage->next_in++ % OUTER, width);
        }
        int wide = convolve_3(part, first, stage->in, middle, middles, rows, columns);
        for (int r = 0; r < middles; r++)
            scale_middle(part, r, wide, stage->block, &stage->first, columns, stage->middle + (middle + r) % OUTER);
    }
    int wide = convolve_3(part, second, stage->middle, y, count, rows, columns);
    for (int r = 0; r < count; r++)
        scale_add(part, r, wide, second, &stage->second, columns, stage->stream[(y + r) % OUTER], out[r]);
    return count;
}

static void convolve_1(const Part *part, const aec_convolution *layer, const Row *row, ptrdiff_t columns)
{
    const int16_t *low = row->low, *high = row->high;
    part->k->convolve(&layer->matrix, &low, layer->matrix.inputs, 0, columns, part->sums[0]);
    if (row->wide)
        part->k->convolve(&layer->matrix, &high, layer->matrix.inputs, 0, columns, part->more_sums[0]);
}

/* Makes the rows at 1/8 that a row at 1/16 becomes. */
static void make_up_rows(Part *part, ptrdiff_t row)
{
    const aec_convolution *up = &part->w->up_8;
    ptrdiff_t columns = part->columns, b = part->w->width_8;
    if (row == part->end_16) {
        part->first_16 = row;
        part->end_16 += next_rows(part, 0, part->w->blocks_16, part->rows_16);
    }
    read_row(part, part->rows_16[row - part->first_16], columns * part->w->width_16, up, &part->up_in, 0);
    convolve_1(part, up, &part->up_in, columns);
    scale(part, 0, part->up_in.wide, up, &part->up, columns, STREAM_MAX, part->up_row);
    for (ptrdiff_t i = 0; i < columns; i++)
        for (int r = 0; r < 2; r++)
            memcpy(part->up_out[r] + 2 * b * i, part->up_row + (4 * i + 2 * r) * b, 2 * (size_t)b * sizeof *part->up_row);
    part->up_at = row;
}

/* The next rows at 1/8 in front of the blocks there. */
static int next_up(Part *part, int32_t *const *out)
{
    int count = next_count(part->next_up, part->end_up);
    for (int r = 0; r < count; r++, part->next_up++) {
        if (part->up_at != part->next_up / 2)
            make_up_rows(part, part->next_up / 2);
        memcpy(out[r], part->up_out[part->next_up % 2], (size_t)(2 * part->columns * part->w->width_8) * sizeof **out);
    }
    return count;
}

/* The next rows of blocks of the network's part of the picture, and the strengths of their blocks. */
static void next_head(Part *part)
{
    const aec_weights *w = part->w;
    ptrdiff_t y = part->next_head, rows = 2 * part->rows, columns = 2 * part->columns, b = w->width_8;
    int count = next_count(y, part->end_head);
    part->next_head += count;
    while (part->next_head_in < part->end_head_in && part->next_head_in <= y + count) {
        int got = next_rows(part, 1, w->blocks_8, part->head_rows);
        for (int r = 0; r < got; r++) {
            ptrdiff_t row = part->next_head_in++;
            read_row(part, part->head_rows[r], columns * b, &w->head, part->head_in + row % OUTER, b);
            if (!w->filters_edges)
                continue;
            read_row(part, part->head_rows[r], columns * b, &w->strength, &part->strength_in, 0);
            convolve_1(part, &w->strength, &part->strength_in, columns);
            scale(part, 0, part->strength_in.wide, &w->strength, &part->strength, columns, STRENGTH_MAX, part->wide_row);
            for (ptrdiff_t i = 0; i < columns; i++)
                part->strengths[row % OUTER][i] = (uint8_t)(part->wide_row[i] > 0 ? part->wide_row[i] : 0);
        }
    }
    int wide = convolve_3(part, &w->head, part->head_in, y, count, rows, columns);
    for (int b_row = 0; b_row < count; b_row++) {
        int16_t *to = part->correction + (y + b_row) % 2 * 8 * 24 * columns;
        scale(part, b_row, wide, &w->head, &part->head, columns, NARROW_MAX, part->head_out);
        for (ptrdiff_t i = 0; i < columns; i++)
            for (int r = 0; r < 8; r++)
                for (int x = 0; x < 24; x++)
                    to[(r * columns + i) * 24 + x] = (int16_t)part->head_out[i * 192 + r * 24 + x];
    }
}

/* 16 rows of the linear path, lapped along rows, into samples at row 16 * row. */
static void linear_strip(Part *part, ptrdiff_t row)
{
    const aec_weights *w = part->w;
    ptrdiff_t m = w->latents, columns = part->columns, width = 48 * columns;
    const int32_t *v = part->latents + row * columns * m;
    aec_linear_sums(part->k, &part->linear_inputs, part->linear_input, v, columns, (int)m, part->wide_row, part->low,
                    part->high, part->sums[0], part->more_sums[0]);
    for (ptrdiff_t i = 0; i < columns; i++)
        for (int colour = 0; colour < 3; colour++) {
            ptrdiff_t from = i * 768 + colour * 256;
            aec_join_linear(part->sums[0] + from, part->more_sums[0] + from, 256, w->linear_bits,
                            part->strip + (colour * columns + i) * 256);
        }
    const ptrdiff_t plane = columns * 256;
    for (int colour = 0; colour < 3; colour++)
        for (ptrdiff_t i = 1; i < columns; i++)
            part->k->lap((const int16_t(*)[16])w->lapping, w->lapping_bits,
                         part->strip + colour * plane + (STRIDE * i - 8) * 16, 16, 16);
    for (int r = 0; r < 16; r++) {
        int16_t *to = part->samples + (STRIDE * row + r - part->base) * width;
        const int16_t *from = part->strip + r;
        for (ptrdiff_t x = 0; x < STRIDE * columns; x++, to += 3, from += 16) {
            to[0] = from[0];
            to[1] = from[plane];
            to[2] = from[2 * plane];
        }
    }
}

/* Hands a row of samples on, as far as it is in the sink's area. */
static void emit(const Part *part, ptrdiff_t y)
{
    const aec_sink *sink = part->sink;
    if ((size_t)y < sink->top || (size_t)y - sink->top >= sink->height)
        return;
    if (part->deep_out) {
        uint16_t *to = (uint16_t *)sink->samples + ((size_t)y - sink->top) * sink->width * sink->channels;
        const uint16_t *from = part->deep_out + 3 * sink->left;
        for (size_t x = 0; x < sink->width; x++, from += 3, to += sink->channels)
            if (sink->channels < 3)
                *to = (uint16_t)(((uint32_t)from[0] + from[1] + from[2] + 1) / 3);
            else
                memcpy(to, from, 3 * sizeof *to);
        return;
    }
    uint8_t *to = (uint8_t *)sink->samples + ((size_t)y - sink->top) * sink->width * sink->channels;
    const uint8_t *from = part->out + 3 * sink->left;
    if (sink->channels == 3) {
        memcpy(to, from, 3 * sink->width);
        return;
    }
    for (size_t x = 0; x < sink->width; x++, from += 3, to += sink->channels)
        if (sink->channels < 3)
            *to = (uint8_t)((from[0] + from[1] + from[2] + 1) / 3);
        else
            memcpy(to, from, 3);
}

/* A sample of more than 8 bits; x is in 2**-UNIT_BITS levels. */
static uint16_t deep_sample(const Part *part, int32_t x)
{
    const int32_t white = 255 << UNIT_BITS;
    uint64_t peak = (1u << part->sink->depth) - 1, bounded = (uint64_t)(x < 0 ? 0 : x > white ? white : x);
    return (uint16_t)((2 * bounded * peak + (uint64_t)white) / (2 * (uint64_t)white));
}

/* A row of samples of more than 8 bits: as below, but not rounded in front of the edge filter. */
static void finish_deep_row(Part *part, ptrdiff_t y, const int16_t *correction)
{
    ptrdiff_t width = 48 * part->columns;
    int16_t *row = part->samples + (y - part->base) * width;
    for (ptrdiff_t i = 0; i < width; i++) {
        int32_t x = row[i] + correction[i] + LINEAR_MIDDLE;
        row[i] = (int16_t)(x < 0 ? 0 : x > 2 * LINEAR_MIDDLE ? 2 * LINEAR_MIDDLE : x);
        part->eighths[i] = (int16_t)((row[i] + (1 << EIGHTH >> 1)) >> EIGHTH);
    }
    if (part->w->filters_edges)
        read_luma(part->eighths, part->lines.luma[y % ROWS], part->lines.width);
    else
        for (ptrdiff_t i = 0; i < width; i++)
            part->deep_out[i] = deep_sample(part, row[i] * (1 << (UNIT_BITS - LEVEL_FRAC)));
}

/* A row of samples is complete: adds the network's part, and rounds. */
static void finish_row(Part *part, ptrdiff_t y)
{
    ptrdiff_t width = 48 * part->columns;
    int16_t *row = part->samples + (y - part->base) * width;
    while (part->next_head <= y / 8)
        next_head(part);
    const int16_t *correction = part->correction + y % 16 * width;
    if (part->deep_out) {
        finish_deep_row(part, y, correction);
        return;
    }
    if (part->w->filters_edges) {
        for (ptrdiff_t i = 0; i < width; i++) {
            int32_t x = (row[i] + correction[i] + LINEAR_MIDDLE + (1 << EIGHTH >> 1)) >> EIGHTH;
            row[i] = (int16_t)(x < 0 ? 0 : x > 2040 ? 2040 : x);
        }
        read_luma(row, part->lines.luma[y % ROWS], part->lines.width);
    } else
        for (ptrdiff_t i = 0; i < width; i++) {
            int32_t x = (row[i] + correction[i] + LINEAR_MIDDLE + (1 << LEVEL_FRAC >> 1)) >> LEVEL_FRAC;
            part->out[i] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
}

/* Filters row y, behind which two rows are finished where the picture has them. */
static void filter_one(Part *part, ptrdiff_t y)
{
    Lines *lines = &part->lines;
    int32_t *change = lines->change[y % ROWS];
    filter_row(lines, y, STRIDE * part->rows - 1 - y, (const int16_t(*)[AMOUNTS])part->amounts);
    const int16_t *row = part->samples + (y - part->base) * 48 * part->columns;
    const uint8_t *strength = part->strengths[y / 8 % OUTER];
    if (part->deep_out)
        for (ptrdiff_t i = 0; i < 48 * part->columns; i++)
            part->deep_out[i] = deep_sample(part, row[i] * (1 << (UNIT_BITS - LEVEL_FRAC)) +
                                                      change[i / 3] * strength[i / (3 * BLOCK)]);
    else
        write_row(row, change, strength, part->out, lines->width);
    memset(change, 0, (size_t)lines->width * sizeof *change);
}

static void lap_columns(Part *part, ptrdiff_t strip)
{
    ptrdiff_t width = 48 * part->columns;
    part->k->lap((const int16_t(*)[16])part->w->lapping, part->w->lapping_bits,
                 part->samples + (STRIDE * strip - 8 - part->base) * width, width, width);
}

/* Makes the samples of the rows of latents first .. last - 1. */
static void run(Part *part, ptrdiff_t first, ptrdiff_t last)
{
    ptrdiff_t width = 48 * part->columns, height = STRIDE * part->rows, reach = part->w->filters_edges ? REACH : 0;
    ptrdiff_t from = STRIDE * first, to = STRIDE * last;           /* rows that are wanted */
    ptrdiff_t next = at_least_0(from - reach), filtered = next;    /* the next that is finished, and filtered */
    ptrdiff_t end = to + reach < height ? to + reach : height;     /* of those that are finished */
    ptrdiff_t start = at_least_0(first - 1);
    begin(part, next / 8, (end + 7) / 8);
    part->base = STRIDE * start;
    for (ptrdiff_t strip = start; next < end; strip++) {
        linear_strip(part, strip);
        if (strip > start)
            lap_columns(part, strip);
        ptrdiff_t complete = strip + 1 < part->rows ? STRIDE * strip + 8 : height;
        for (; next < complete && next < end; next++) {
            finish_row(part, next);
            if (!reach) {
                emit(part, next);
                continue;
            }
            for (; filtered < to && (filtered + REACH <= next || next + 1 == height); filtered++) {
                filter_one(part, filtered);
                if (filtered >= from)
                    emit(part, filtered);
            }
        }
        if (strip > start) { /* rows from 8 below the strip's beginning on are needed again */
            memmove(part->samples, part->samples + STRIDE * width, (size_t)(STRIDE * width) * sizeof *part->samples);
            part->base += STRIDE;
        }
    }
}

aec_result aec_synthesise_rows(const aec_weights *weights, const aec_kernel_set *kernels, const int32_t *latents,
                               uint32_t rate, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t last,
                               const aec_sink *sink)
{
    Part *part = calloc(1, sizeof *part);
    if (!part)
        return NO_MEMORY;
    part->w = weights;
    part->k = kernels;
    part->latents = latents;
    part->rows = rows;
    part->columns = columns;
    part->sink = sink;
    aec_result result = make_rows(part);
    if (result.status == AEC_OK)
        result = make_tables(part, rate);
    ptrdiff_t start = at_least_0(first - 1), end = last < rows ? last + 1 : rows; /* of what the linear path reads */
    const int32_t *v = latents + start * columns * weights->latents;
    if (result.status == AEC_OK && !aec_select_linear(&part->linear_inputs, &weights->linear, part->linear_input, v,
                                                      (end - start) * columns))
        result = NO_MEMORY;
    if (result.status == AEC_OK)
        run(part, first, last);
    aec_free_linear(&part->linear_inputs);
    for (size_t i = 0; i < part->allocations; i++)
        free(part->memory[i]);
    free(part);
    return result;
}
