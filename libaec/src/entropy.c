/* From a payload to latents: docs/format.md, sections 6 and 7. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define STEP 14         /* of the quantisers, in units of the latents */
#define COMPAND_MAX 127
#define MULTIPLE_MAX (1 << 16)
#define ACTIVATION_MAX 255
#define MISSING INT32_MIN /* no symbol */

typedef struct {
    const aec_weights *w;
    const aec_kernel_set *k;
    uint32_t rate;
    ptrdiff_t rows, columns; /* of latents */
    int16_t *inputs;         /* (rows, columns, F + M): features, then the context */
    aec_selection mix;       /* of a step's first layer, what a phase needs */
    uint8_t *is_used;        /* F + M: whether an input is not 0 somewhere */
    int16_t *bits;           /* F + M: the bits that occur in it */
    int16_t *used;           /* these inputs of half a row */
    int16_t *mixed;          /* (rows + 2, columns + 2, C), its border 0 */
    int16_t *gathered;       /* a row */
    int16_t *hidden;         /* (rows, columns, C) */
    int32_t *sums, *bias;    /* biases of two layers, `widest` each */
    size_t widest;
    int16_t *level_row;
    int32_t *means;          /* of a step, by phase, row, column and channel */
    int32_t *symbols;
    uint8_t *levels, *coded; /* levels of all latents of a step, and of those that are in the stream */
    int is_cut, has_ended;   /* whether the stream may end early, and whether it has */
} Tile;

/* Reads symbols; of a stream that ends early those that are missing are 0. */
static aec_result read_symbols(Tile *tile, Stream *stream, const uint8_t *levels, ptrdiff_t count, int stride,
                               int32_t *symbols)
{
    for (ptrdiff_t i = 0; tile->is_cut && i < count; i++)
        symbols[i] = MISSING;
    const char *problem = tile->has_ended ? truncated : pop_all(&tile->w->tables, stream, levels, count, stride, symbols);
    if (problem && (!tile->is_cut || problem != truncated))
        FAIL(AEC_DAMAGED, "the file is damaged (its payload)");
    tile->has_ended = problem != NULL;
    for (ptrdiff_t i = count; tile->has_ended && i-- && symbols[i] == MISSING;)
        symbols[i] = 0;
    return OK;
}

/* The biases of a layer; number: 0, or 1 where those of two layers are needed. */
static const int32_t *bias_of(Tile *tile, const aec_layer *layer, int number)
{
    int outputs = layer->matrix.outputs;
    int32_t *bias = tile->bias + (size_t)number * tile->widest;
    for (int o = 0; o < outputs; o++)
        bias[o] = (int32_t)aec_interpolate(layer->bias, KNOTS, outputs, o, (int)tile->rate);
    return bias;
}

static ptrdiff_t up_to_16(ptrdiff_t x)
{
    return (x + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
}

/* Activations of the sums of a layer. */
static void activate(const Tile *tile, const aec_layer *layer, const int32_t *bias, ptrdiff_t positions, int16_t *out)
{
    int outputs = layer->matrix.outputs;
    tile->k->activate(tile->sums, up_to_16(outputs), positions, outputs, bias, layer->shift, ACTIVATION_MAX, out);
}

/* A 3x3 layer: in (rows + 2, columns + 2, I), its border 0; shuffled by 2 or not; out has `border` and `stride` int16 from
   position to position. */
static void layer_3(Tile *tile, const aec_layer *layer, const int16_t *in, ptrdiff_t rows, ptrdiff_t columns, int factor,
                    int16_t *out, ptrdiff_t border, ptrdiff_t stride, int16_t *row)
{
    ptrdiff_t inputs = layer->matrix.inputs, pitch = (columns + 2) * inputs;
    ptrdiff_t channels = layer->matrix.outputs / (factor * factor), out_pitch = (factor * columns + 2 * border) * stride;
    const int32_t *bias = bias_of(tile, layer, 0);
    for (ptrdiff_t y = 0; y < rows; y++) {
        const int16_t *three[3] = {in + y * pitch, in + (y + 1) * pitch, in + (y + 2) * pitch};
        tile->k->convolve(&layer->matrix, three, inputs, inputs, columns, tile->sums);
        activate(tile, layer, bias, columns, row);
        for (ptrdiff_t x = 0; x < columns; x++)
            for (int i = 0; i < factor; i++)
                for (int j = 0; j < factor; j++)
                    memcpy(out + (factor * y + i + border) * out_pitch + (factor * x + j + border) * stride,
                           row + x * layer->matrix.outputs + (i * factor + j) * channels, (size_t)channels * sizeof *out);
    }
}

/* Reads hyper-latents, and computes the features from them. */
static aec_result read_features(Tile *tile, Stream *stream)
{
    const aec_weights *w = tile->w;
    ptrdiff_t hz = tile->rows / HYPER, wz = tile->columns / HYPER, nz = w->hyper, f = w->features, count = hz * wz * nz;
    size_t widest = (size_t)(4 * f > nz ? 4 * f : nz);
    aec_result result = NO_MEMORY;
    uint8_t *levels = malloc((size_t)count);
    int32_t *symbols = malloc((size_t)count * sizeof *symbols);
    int16_t *z = calloc((size_t)((hz + 2) * (wz + 2) * nz) + 2, sizeof *z);
    int16_t *x_32 = calloc((size_t)((2 * hz + 2) * (2 * wz + 2) * f) + 2, sizeof *x_32);
    int16_t *x_16 = calloc((size_t)((4 * hz + 2) * (4 * wz + 2) * f) + 2, sizeof *x_16);
    int16_t *row = malloc((size_t)tile->columns * widest * sizeof *row);
    if (!levels || !symbols || !z || !x_32 || !x_16 || !row)
        goto done;
    for (ptrdiff_t i = 0; i < nz; i++) {
        int64_t level = (aec_interpolate(w->hyper_scale, KNOTS, (int)nz, (int)i, (int)tile->rate) + 8) >> 4;
        levels[i] = (uint8_t)(level < 1 ? 1 : level > LEVELS - 1 ? LEVELS - 1 : level);
    }
    for (ptrdiff_t i = nz; i < count; i++)
        levels[i] = levels[i - nz];
    result = read_symbols(tile, stream, levels, count, 0, symbols);
    if (result.status != AEC_OK)
        goto done;
    result = (aec_result){AEC_DAMAGED, "the file is damaged (its payload)"};
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t y = i / (wz * nz), rest = i % (wz * nz);
        if (abs(symbols[i]) > COMPAND_MAX)
            goto done;
        z[(y + 1) * (wz + 2) * nz + nz + rest] = (int16_t)symbols[i];
    }
    layer_3(tile, &w->up_32, z, hz, wz, 2, x_32, 1, f, row);
    layer_3(tile, &w->up_16, x_32, 2 * hz, 2 * wz, 2, x_16, 1, f, row);
    layer_3(tile, &w->out, x_16, tile->rows, tile->columns, 1, tile->inputs, 0, f + w->latents, row);
    result = OK;
done:
    free(levels);
    free(symbols);
    free(z);
    free(x_32);
    free(x_16);
    free(row);
    return result;
}

/* Finds the inputs of a step that are not 0 somewhere in a phase: latents that are not known yet are 0, and so are many
   others. */
static void find_used(Tile *tile, int phase)
{
    ptrdiff_t inputs = tile->w->features + tile->w->latents;
    int16_t *restrict bits = tile->bits;
    memset(bits, 0, (size_t)inputs * sizeof *bits);
    for (ptrdiff_t y = phase / 2; y < tile->rows; y += 2)
        for (ptrdiff_t x = phase % 2; x < tile->columns; x += 2) {
            const int16_t *in = tile->inputs + (y * tile->columns + x) * inputs;
            for (ptrdiff_t i = 0; i < inputs; i++)
                bits[i] |= in[i];
        }
    for (ptrdiff_t i = 0; i < inputs; i++)
        tile->is_used[i] = bits[i] != 0;
}

/* The first layer of a step, phase by phase. */
static void mix(Tile *tile, const aec_step *step)
{
    ptrdiff_t c = tile->w->context, columns = tile->columns, half = columns / 2;
    ptrdiff_t inputs = tile->w->features + tile->w->latents;
    const int32_t *bias = bias_of(tile, &step->mix, 0);
    for (int phase = 0; phase < 4; phase++) {
        find_used(tile, phase);
        aec_select_inputs(&tile->mix, &step->mix.matrix, tile->is_used);
        const int *pairs = tile->mix.pairs;
        ptrdiff_t count = tile->mix.matrix.inputs / 2;
        for (ptrdiff_t y = phase / 2; y < tile->rows; y += 2) {
            const int16_t *in = tile->inputs + (y * columns + phase % 2) * inputs, *used = tile->used;
            int16_t *out = tile->mixed + ((y + 1) * (columns + 2) + phase % 2 + 1) * c;
            for (ptrdiff_t x = 0; x < half; x++)
                for (ptrdiff_t i = 0; i < count; i++)
                    memcpy(tile->used + 2 * (x * count + i), in + 2 * x * inputs + pairs[i], 2 * sizeof *in);
            tile->k->convolve(&tile->mix.matrix, &used, 2 * count, 0, half, tile->sums);
            activate(tile, &step->mix, bias, half, tile->gathered);
            for (ptrdiff_t x = 0; x < half; x++)
                memcpy(out + 2 * x * c, tile->gathered + x * c, (size_t)c * sizeof *out);
        }
    }
}

static void hidden_features(Tile *tile, const aec_step *step)
{
    const aec_kernel_set *k = tile->k;
    ptrdiff_t c = tile->w->context, columns = tile->columns;
    mix(tile, step);
    const aec_layer *gather = &step->gather, *hidden = &step->hidden;
    const int32_t *gather_bias = bias_of(tile, gather, 0), *hidden_bias = bias_of(tile, hidden, 1);
    for (ptrdiff_t y = 0; y < tile->rows; y++) {
        const int16_t *in = tile->gathered, *mixed = tile->mixed + y * (columns + 2) * c;
        const int16_t *three[3] = {mixed, mixed + (columns + 2) * c, mixed + 2 * (columns + 2) * c};
        k->depthwise(gather->matrix.packed, three, columns, (int)c, gather_bias, gather->shift, ACTIVATION_MAX, tile->gathered);
        k->convolve(&hidden->matrix, &in, c, 0, columns, tile->sums);
        activate(tile, hidden, hidden_bias, columns, tile->hidden + y * columns * c);
    }
}

static int group_of(int step, int phase)
{
    static const int order[STEPS] = {0, 3, 1, 2};
    return phase ^ order[step];
}

/* Means and levels of the latents of a step. */
static void predict(Tile *tile, int number)
{
    const aec_step *step = tile->w->steps + number;
    const aec_kernel_set *k = tile->k;
    ptrdiff_t c = tile->w->context, quarter = tile->w->latents / 4, half = tile->columns / 2;
    int32_t *mean = tile->means;
    uint8_t *level = tile->levels;
    hidden_features(tile, step);
    for (int phase = 0; phase < 4; phase++) {
        int group = group_of(number, phase);
        const aec_layer *of_mean = &step->mean[group], *of_level = &step->level[group];
        const int32_t *mean_bias = bias_of(tile, of_mean, 0), *level_bias = bias_of(tile, of_level, 1);
        for (ptrdiff_t y = phase / 2; y < tile->rows; y += 2, mean += half * quarter) {
            const int16_t *in = tile->hidden + (y * tile->columns + phase % 2) * c;
            k->convolve(&of_mean->matrix, &in, 2 * c, 0, half, tile->sums);
            k->shift(tile->sums, up_to_16(quarter), half, (int)quarter, mean_bias, of_mean->shift, mean);
            k->convolve(&of_level->matrix, &in, 2 * c, 0, half, tile->sums);
            k->activate(tile->sums, up_to_16(quarter), half, (int)quarter, level_bias, of_level->shift, LEVELS - 1,
                        tile->level_row);
            for (ptrdiff_t i = 0; i < half * quarter; i++)
                *level++ = (uint8_t)tile->level_row[i];
        }
    }
}

#define TOGETHER 8 /* latents of a position, of which all are 0 often enough to look for that */

static int is_coded(const uint8_t *levels)
{
    static const uint8_t none[TOGETHER];
    return memcmp(levels, none, TOGETHER) != 0;
}

static int are_zero(const int32_t *means, const uint8_t *levels)
{
    int32_t bits = 0;
    for (int i = 0; i < TOGETHER; i++)
        bits |= means[i];
    return !bits && !is_coded(levels);
}

/* Puts the latents of a step together from means and multiples; false where one is out of range.  The context of each is 0
   until then. */
static int rebuild(const Tile *tile, int number, const int64_t *gain, int32_t *latents, ptrdiff_t stride)
{
    const aec_weights *w = tile->w;
    ptrdiff_t m = w->latents, quarter = m / 4, f = w->features;
    const int32_t *mean = tile->means, *symbol = tile->symbols;
    const uint8_t *level = tile->levels;
    for (int phase = 0; phase < 4; phase++) {
        ptrdiff_t first = group_of(number, phase) * quarter;
        for (ptrdiff_t y = phase / 2; y < tile->rows; y += 2)
            for (ptrdiff_t x = phase % 2; x < tile->columns; x += 2) {
                int32_t *to = latents + y * stride + x * m + first;
                int16_t *context = tile->inputs + (y * tile->columns + x) * (f + m) + f + first;
                for (ptrdiff_t i = 0; i < quarter; i++) {
                    if (quarter - i >= TOGETHER && are_zero(mean, level)) {
                        memset(to + i, 0, TOGETHER * sizeof *to);
                        mean += TOGETHER;
                        level += TOGETHER;
                        i += TOGETHER - 1;
                        continue;
                    }
                    int32_t v = (int32_t)((*mean++ * gain[first + i] + (1 << 15)) >> 16);
                    if (*level++) {
                        if (abs(*symbol) > MULTIPLE_MAX)
                            return 0;
                        v += STEP * *symbol++;
                    }
                    to[i] = v;
                    int32_t size = abs(v), value = w->compand[size < 4096 ? size : 4096];
                    context[i] = (int16_t)(v < 0 ? -value : value);
                }
            }
    }
    return 1;
}

static aec_result read_latents(Tile *tile, Stream *stream, int32_t *latents, ptrdiff_t stride)
{
    static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (its payload)"};
    ptrdiff_t count = tile->rows * tile->columns * (tile->w->latents / 4), m = tile->w->latents;
    int64_t gain[3 * STRIDE * STRIDE];
    for (ptrdiff_t i = 0; i < m; i++)
        gain[i] = aec_interpolate(tile->w->mean_gain, GAIN_ROWS, (int)m, (int)i, (int)tile->rate);
    TRY(read_features(tile, stream));
    for (int step = 0; step < STEPS; step++) {
        ptrdiff_t coded = 0;
        predict(tile, step);
        for (ptrdiff_t i = 0; i < count; i++) {
            if (count - i >= TOGETHER && !is_coded(tile->levels + i)) {
                i += TOGETHER - 1;
                continue;
            }
            tile->coded[coded] = tile->levels[i];
            coded += tile->levels[i] > 0;
        }
        TRY(read_symbols(tile, stream, tile->coded, coded, LEVELS, tile->symbols));
        if (!rebuild(tile, step, gain, latents, stride))
            return damaged;
    }
    return tile->is_cut || (stream->x == LOWER && stream->y == LOWER && stream->position == stream->size) ? OK : damaged;
}

aec_result aec_decode_tile(const aec_weights *w, const aec_kernel_set *kernels, aec_span payload, uint32_t rate,
                           ptrdiff_t rows, ptrdiff_t columns, int32_t *latents, ptrdiff_t stride)
{
    static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (its payload)"};
    int has_ended = payload.is_cut && payload.size < STATE_BYTES;
    if (!has_ended && (payload.size < STATE_BYTES || (payload.size % 4 && !payload.is_cut) || payload.size > PTRDIFF_MAX))
        return damaged;
    Stream stream = {LOWER, LOWER, payload.body, 0, (ptrdiff_t)payload.size};
    if (!has_ended && !begin_stream(&stream))
        return damaged;
    size_t area = (size_t)rows * (size_t)columns, m = (size_t)w->latents, f = (size_t)w->features, c = (size_t)w->context;
    size_t widest = 4 * f > c ? 4 * f : c, count = area * m / 4;
    widest = (size_t)up_to_16((ptrdiff_t)(widest > m ? widest : m));
    if (area > SIZE_MAX / 8 / (f + m + c + widest + (size_t)w->hyper))
        return NO_MEMORY;
    Tile tile = {.w = w, .k = kernels, .rate = rate, .rows = rows, .columns = columns};
    tile.is_cut = payload.is_cut;
    tile.has_ended = has_ended;
    tile.inputs = calloc(area * (f + m) + 2, sizeof *tile.inputs);
    int has_mix = aec_make_selection(&tile.mix, &w->steps[1].mix.matrix);
    tile.is_used = malloc(f + m);
    tile.bits = malloc((f + m) * sizeof *tile.bits);
    tile.used = malloc((size_t)columns / 2 * (f + m + 1) * sizeof *tile.used);
    tile.mixed = calloc((size_t)((rows + 2) * (columns + 2)) * c + 2, sizeof *tile.mixed);
    tile.gathered = calloc((size_t)columns * c + 2, sizeof *tile.gathered);
    tile.hidden = calloc(area * c + 2, sizeof *tile.hidden);
    tile.sums = malloc((size_t)columns * widest * sizeof *tile.sums);
    tile.widest = widest;
    tile.bias = malloc(2 * widest * sizeof *tile.bias);
    tile.level_row = malloc((size_t)columns * m / 4 * sizeof *tile.level_row);
    tile.means = malloc(count * sizeof *tile.means);
    tile.symbols = malloc(count * sizeof *tile.symbols);
    tile.levels = malloc(count);
    tile.coded = malloc(count + 1);
    aec_result result = NO_MEMORY;
    if (has_mix && tile.is_used && tile.bits && tile.used && tile.inputs && tile.mixed && tile.gathered && tile.hidden && tile.sums && tile.bias && tile.level_row && tile.means &&
        tile.symbols && tile.levels && tile.coded)
        result = read_latents(&tile, &stream, latents, stride);
    aec_free_selection(&tile.mix);
    free(tile.is_used);
    free(tile.bits);
    free(tile.used);
    free(tile.inputs);
    free(tile.mixed);
    free(tile.gathered);
    free(tile.hidden);
    free(tile.sums);
    free(tile.bias);
    free(tile.level_row);
    free(tile.means);
    free(tile.symbols);
    free(tile.levels);
    free(tile.coded);
    return result;
}
