/* A set of weights from its file: every tensor is checked, and laid out as the kernels read it. */

#include "internal.h"

#include "squares.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT (1 << 24)       /* sums of the entropy model stay below */
#define MEAN_LIMIT (1 << 26)
#define BIAS_MAX (1 << 30)
#define SUM_MAX (((int64_t)1 << 41) - 1) /* a sum of the synthesis */
#define WEIGHTS_MAX (1 << 19)            /* the sum of magnitudes of the weights of an output */
#define SQUARES_WEIGHTS_MAX (1 << 18)    /* the same: four sums of either half of inputs fit int32 */
#define LEAST_SHIFT (-6)
#define LEVELS_CRC 0x819233B3u
#define SCALE_MIN 0.12
#define FREQUENCIES 13804
#define HYPER_RADIUS_MAX 1263 /* of the last level */

static const aec_result missing = {AEC_WEIGHTS, "a tensor is missing from the weights, or has another shape or type"};
static const aec_result out_of_range = {AEC_WEIGHTS, "the weights break a rule of the format"};

static int32_t int32_at(const aec_tensor *tensor, size_t i)
{
    return (int32_t)load32(tensor->data + 4 * i);
}

static uint16_t half_at(const aec_tensor *tensor, size_t i)
{
    return (uint16_t)(tensor->data[2 * i] | tensor->data[2 * i + 1] << 8);
}

/* Finds a tensor of a type and shape; a size of 0 there takes any up to WIDTH_MAX. */
static int find(const aec_tensors *all, const char *name, aec_type type, uint32_t a, uint32_t b, uint32_t c, uint32_t d,
                aec_tensor *found)
{
    const uint32_t wanted[4] = {a, b, c, d};
    if (!aec_tensors_find(all, name, found) || found->type != type)
        return 0;
    for (int i = 0; i < 4; i++)
        if (wanted[i] ? found->shape[i] != wanted[i] : found->shape[i] > WIDTH_MAX)
            return 0;
    return 1;
}

static int find_part(const aec_tensors *all, const char *layer, const char *part, aec_type type, uint32_t a, uint32_t b,
                     uint32_t c, uint32_t d, aec_tensor *found)
{
    char name[96];
    int size = snprintf(name, sizeof name, "%s.%s", layer, part);
    return size > 0 && size < (int)sizeof name && find(all, name, type, a, b, c, d, found);
}

/* Weight (o, i, y, x) of a matrix, for 0 <= tap < kernel * kernel. */
int16_t *aec_packed_at(const aec_matrix *m, int o, int i, int tap)
{
    ptrdiff_t pairs = (m->inputs + 1) / 2, taps = m->kernel * m->kernel;
    ptrdiff_t block = (o / OUTPUTS * taps + tap) * pairs + i / 2;
    return m->packed + (block * OUTPUTS + o % OUTPUTS) * 2 + i % 2;
}

int aec_make_matrix(aec_matrix *m, int outputs, int inputs, int kernel)
{
    size_t blocks = (size_t)(outputs + OUTPUTS - 1) / OUTPUTS, pairs = (size_t)(inputs + 1) / 2;
    *m = (aec_matrix){outputs, inputs, kernel, NULL};
    m->packed = calloc(blocks * (size_t)(kernel * kernel) * pairs, OUTPUTS * 2 * sizeof *m->packed);
    return m->packed != NULL;
}

/* Outputs that a pixel shuffle follows are laid out by row, column and channel, so that it only copies. */
typedef enum { AS_STORED, SHUFFLE_2, SHUFFLE_8, SHUFFLE_16 } Order;

/* The number that an output has in the file, of `outputs`. */
static int stored(Order order, int o, int outputs)
{
    if (order == SHUFFLE_2) { /* row, column, channel */
        int channels = outputs / 4;
        return o % channels * 4 + o / channels;
    }
    if (order == SHUFFLE_8) /* row, column, colour */
        return o % 3 * 64 + o / 3;
    if (order == SHUFFLE_16) /* colour, column, row: lapping along rows comes first */
        return o / 256 * 256 + o % 16 * 16 + o / 16 % 16;
    return o;
}

/* Packs rows first .. first + outputs - 1 of int8 weights; those of a 3x3 convolution for squares where `side` says so. */
static int pack(aec_matrix *m, const int8_t *weights, int inputs, int kernel, int side, int first, int outputs, Order order)
{
    int taps = kernel * kernel, places = side * side, pairs = (inputs + 1) / 2;
    if (!aec_make_matrix(m, outputs, inputs, side))
        return 0;
    for (int o = 0; o < outputs && kernel == 1; o++) { /* most matrices */
        const int8_t *from = weights + (size_t)(first + stored(order, o, outputs)) * (size_t)inputs;
        int16_t *to = aec_packed_at(m, o, 0, 0);
        for (int i = 0; i < inputs; i++)
            to[i / 2 * 2 * OUTPUTS + i % 2] = from[i];
    }
    if (kernel == 1)
        return 1;
    for (int block = 0; block < (outputs + OUTPUTS - 1) / OUTPUTS; block++) {
        const int8_t *from[OUTPUTS];
        int count = outputs - block * OUTPUTS < OUTPUTS ? outputs - block * OUTPUTS : OUTPUTS;
        for (int o = 0; o < count; o++)
            from[o] = weights + (size_t)(first + stored(order, block * OUTPUTS + o, outputs)) * (size_t)(inputs * taps);
        for (int pair = 0; pair < pairs; pair++) {
            int16_t both[9][2 * OUTPUTS] = {{0}}, places_of[PLACES][2 * OUTPUTS];
            for (int o = 0; o < count; o++)
                for (int i = 0; i < 2 && 2 * pair + i < inputs; i++)
                    for (int tap = 0; tap < taps; tap++)
                        both[tap][2 * o + i] = *from[o]++;
            if (side == SQUARES)
                transform_weights((const int16_t(*)[2 * OUTPUTS])both, places_of);
            for (int place = 0; place < places; place++)
                memcpy(m->packed + ((block * places + place) * (ptrdiff_t)pairs + pair) * 2 * OUTPUTS,
                       side == SQUARES ? places_of[place] : both[place], sizeof *both);
        }
    }
    return 1;
}

/* Reads rows of an integer layer. inputs is 1 for depthwise ones, and most the largest input. */
static aec_result read_layer(const aec_tensors *all, const char *name, int outputs, int inputs, int kernel, int first,
                             int rows, int frac_in, int frac_out, int relu, int most, Order order, aec_layer *layer)
{
    aec_tensor weight, bias, exponent;
    uint32_t k = (uint32_t)kernel, o = (uint32_t)outputs;
    if (!find_part(all, name, "weight", TYPE_I8, o, (uint32_t)inputs, k, k, &weight) ||
        !find_part(all, name, "bias", TYPE_I32, KNOTS, o, 1, 1, &bias) ||
        !find_part(all, name, "exponent", TYPE_I8, o, 1, 1, 1, &exponent))
        return missing;
    int taps = inputs * kernel * kernel;
    layer->relu = relu;
    layer->bias = malloc(KNOTS * (size_t)rows * sizeof *layer->bias);
    layer->shift = malloc((size_t)rows);
    if (!layer->bias || !layer->shift)
        return NO_MEMORY;
    for (int r = 0; r < rows; r++) {
        int from = first + stored(order, r, rows), shift = (int8_t)exponent.data[from] + frac_in - frac_out;
        int64_t sum = 0, largest = 0;
        for (int i = 0; i < taps; i++)
            sum += abs(((const int8_t *)weight.data)[(size_t)from * (size_t)taps + (size_t)i]);
        for (int knot = 0; knot < KNOTS; knot++) {
            int64_t value = int32_at(&bias, (size_t)(knot * outputs + from));
            largest = llabs(value) > largest ? llabs(value) : largest;
            layer->bias[knot * rows + r] = (int32_t)value;
        }
        if (shift < LEAST_SHIFT || shift > 24 || sum * most + largest + ((int64_t)1 << shift * (shift > 0) >> 1) >= EXACT)
            return out_of_range;
        layer->shift[r] = (int8_t)shift;
    }
    if (inputs > 1 || kernel == 1)
        return pack(&layer->matrix, (const int8_t *)weight.data, inputs, kernel, kernel, first, rows, order) ? OK : NO_MEMORY;
    layer->matrix = (aec_matrix){rows, 1, kernel, malloc((size_t)(taps * rows) * sizeof(int16_t))};
    if (!layer->matrix.packed)
        return NO_MEMORY;
    for (int r = 0; r < rows; r++)
        for (int tap = 0; tap < taps; tap++)
            layer->matrix.packed[tap * rows + r] = ((const int8_t *)weight.data)[r * taps + tap];
    return OK;
}

static int64_t largest_mean_gain(const aec_weights *w)
{
    int64_t gain = 0;
    for (int i = 0; i < GAIN_ROWS * w->latents; i++)
        gain = llabs(w->mean_gain[i]) > gain ? llabs(w->mean_gain[i]) : gain;
    return gain;
}

/* Largest magnitude of a raw output's mean, as section 4.1 bounds it. */
static int means_fit(const aec_layer *layer, int64_t gain)
{
    for (int r = 0; r < layer->matrix.outputs; r++) {
        int shift = layer->shift[r];
        int64_t raw = shift < 0 ? (int64_t)EXACT << -shift : EXACT >> shift;
        if (raw * gain >> 16 >= MEAN_LIMIT) { /* the coarse bound fails: take the layer's own */
            int64_t sum = 0;
            for (int knot = 0; knot < KNOTS; knot++) {
                int64_t bias = llabs(layer->bias[knot * layer->matrix.outputs + r]);
                sum = bias > sum ? bias : sum;
            }
            for (int i = 0; i < layer->matrix.inputs; i++)
                sum += 255 * llabs(*aec_packed_at(&layer->matrix, r, i, 0));
            sum += shift > 0 ? (int64_t)1 << (shift - 1) : 0;
            raw = shift < 0 ? sum << -shift : sum >> shift;
            if (raw * gain >> 16 >= MEAN_LIMIT)
                return 0;
        }
    }
    return 1;
}

static aec_result read_ints(const aec_tensors *all, const char *name, int rows, int columns, int32_t **values)
{
    aec_tensor tensor;
    if (!find(all, name, TYPE_I32, (uint32_t)rows, (uint32_t)columns, 1, 1, &tensor))
        return missing;
    *values = malloc(tensor.count * sizeof **values);
    if (!*values)
        return NO_MEMORY;
    for (size_t i = 0; i < tensor.count; i++)
        (*values)[i] = int32_at(&tensor, i);
    return OK;
}

static aec_result read_entropy_model(const aec_tensors *all, aec_weights *w)
{
    aec_tensor gain, scale, out, mix;
    if (!find(all, "mean_gain", TYPE_I32, GAIN_ROWS, 0, 1, 1, &gain) ||
        !find(all, "hyper_scale", TYPE_I32, KNOTS, 0, 1, 1, &scale) ||
        !find(all, "hyper_synthesis.out.weight", TYPE_I8, 0, 0, 3, 3, &out) ||
        !find(all, "context.0.mix.weight", TYPE_I8, 0, 0, 1, 1, &mix))
        return missing;
    w->latents = (int)gain.shape[1];
    w->hyper = (int)scale.shape[1];
    w->features = (int)out.shape[0];
    w->context = (int)mix.shape[0];
    int m = w->latents, f = w->features, c = w->context, quarter = m / 4;
    if (m % 4 || m > 3 * STRIDE * STRIDE || w->hyper < 2 || f < 2 || f > WIDTH_MAX / 4)
        return missing;
    TRY(read_ints(all, "mean_gain", GAIN_ROWS, m, &w->mean_gain));
    TRY(read_ints(all, "hyper_scale", KNOTS, w->hyper, &w->hyper_scale));
    int64_t largest_gain = largest_mean_gain(w);
    TRY(read_layer(all, "hyper_synthesis.up_32", 4 * f, w->hyper, 3, 0, 4 * f, 0, 6, 1, 127, SHUFFLE_2, &w->up_32));
    TRY(read_layer(all, "hyper_synthesis.up_16", 4 * f, f, 3, 0, 4 * f, 6, 6, 1, 255, SHUFFLE_2, &w->up_16));
    TRY(read_layer(all, "hyper_synthesis.out", f, f, 3, 0, f, 6, 6, 1, 255, AS_STORED, &w->out));
    for (int s = 0; s < STEPS; s++) {
        aec_step *step = w->steps + s;
        char name[32];
        snprintf(name, sizeof name, "context.%d.mix", s);
        TRY(read_layer(all, name, c, s ? f + m : f, 1, 0, c, 6, 6, 1, 255, AS_STORED, &step->mix));
        snprintf(name, sizeof name, "context.%d.gather", s);
        TRY(read_layer(all, name, c, 1, 3, 0, c, 6, 6, 1, 255, AS_STORED, &step->gather));
        snprintf(name, sizeof name, "context.%d.hidden", s);
        TRY(read_layer(all, name, c, c, 1, 0, c, 6, 6, 1, 255, AS_STORED, &step->hidden));
        snprintf(name, sizeof name, "context.%d.out", s);
        for (int group = 0; group < 4; group++) {
            TRY(read_layer(all, name, 2 * m, c, 1, group * quarter, quarter, 6, 8, 0, 255, AS_STORED, &step->mean[group]));
            TRY(read_layer(all, name, 2 * m, c, 1, m + group * quarter, quarter, 6, 3, 0, 255, AS_STORED,
                           &step->level[group]));
            if (!means_fit(&step->mean[group], largest_gain))
                return out_of_range;
        }
    }
    return OK;
}

static int hyper_radius(int level)
{
    int radius = (int)ceil(4 * (SCALE_MIN * exp(level / 8.0)));
    return radius > 2 ? radius : 2;
}

static int latent_radius(int level)
{
    int radius = (int)ceil(2.5 * (SCALE_MIN * exp(level / 8.0)));
    return radius > 3 ? radius : 3;
}

/* The tables of hyper-latents, one after another. */
static aec_result fill_hyper_tables(uint32_t *cdf)
{
    uint8_t bytes[4 * (2 * HYPER_RADIUS_MAX + 3)];
    uint32_t crc = 0;
    for (int level = 0; level < LEVELS; level++) {
        double sigma = SCALE_MIN * exp(level / 8.0), low = 0;
        int radius = hyper_radius(level), symbols = 2 * radius + 2;
        if (radius > HYPER_RADIUS_MAX)
            FAIL(AEC_WEIGHTS, "this machine's exp gives other coding tables");
        for (int i = 0; i <= symbols; i++) {
            uint32_t value = 65536;
            if (i < symbols) {
                double edge = 0.5 * erf((i - radius - 0.5) / (sigma * sqrt(2)));
                low = i ? low : edge;
                value = (uint32_t)(floor((edge - low) * (65536 - symbols) + 0.5) + i);
            }
            for (int byte = 0; byte < 4; byte++)
                bytes[4 * i + byte] = (uint8_t)(value >> 8 * byte);
            *cdf++ = value;
        }
        crc = aec_crc32(crc, bytes, 4 * ((size_t)symbols + 1));
    }
    if (crc != LEVELS_CRC)
        FAIL(AEC_WEIGHTS, "this machine's erf gives other coding tables");
    return OK;
}

static aec_result fill_latent_tables(const aec_tensors *all, uint32_t *cdf)
{
    aec_tensor tensor;
    if (!find(all, "symbol_frequency", TYPE_I32, FREQUENCIES, 1, 1, 1, &tensor))
        return missing;
    size_t at = 0;
    for (int table = 0; table < 2 * LEVELS; table++) {
        int radius = latent_radius(table % LEVELS);
        uint32_t sum = 0;
        for (int i = 0; i < radius + 2; i++) {
            int32_t frequency = int32_at(&tensor, at + (size_t)i);
            if (frequency < 1 || frequency > 65536)
                return out_of_range;
        }
        *cdf++ = 0;
        for (int v = -radius; v <= radius + 1; v++) {
            sum += (uint32_t)int32_at(&tensor, at + (size_t)(v > radius ? radius + 1 : abs(v)));
            if (sum > 65536)
                return out_of_range;
            *cdf++ = sum;
        }
        if (sum != 65536)
            return out_of_range;
        at += (size_t)radius + 2;
    }
    return OK;
}

static aec_result make_tables(const aec_tensors *all, aec_weights *w)
{
    size_t hyper_size = 0, size = 0;
    w->table_radius = malloc(TABLES * LEVELS * sizeof *w->table_radius);
    w->table_start = malloc(TABLES * LEVELS * sizeof *w->table_start);
    w->table_lookup = malloc(TABLES * LEVELS * 256 * sizeof *w->table_lookup);
    if (!w->table_radius || !w->table_start || !w->table_lookup)
        return NO_MEMORY;
    for (int table = 0; table < TABLES * LEVELS; table++) {
        int radius = table < LEVELS ? hyper_radius(table) : latent_radius(table % LEVELS);
        w->table_radius[table] = radius;
        w->table_start[table] = (int32_t)size;
        size += 2 * (size_t)radius + 3;
        hyper_size = table == LEVELS - 1 ? size : hyper_size;
    }
    w->table_cdf = malloc(size * sizeof *w->table_cdf);
    if (!w->table_cdf)
        return NO_MEMORY;
    TRY(fill_hyper_tables(w->table_cdf));
    TRY(fill_latent_tables(all, w->table_cdf + hyper_size));
    for (int table = 0; table < TABLES * LEVELS; table++) {
        const uint32_t *cdf = w->table_cdf + w->table_start[table];
        int symbol = 0;
        for (uint32_t slot = 0; slot < 256; slot++) {
            while (cdf[symbol + 1] <= slot << 8)
                symbol++;
            w->table_lookup[256 * table + (int)slot] = (uint16_t)symbol;
        }
    }
    w->tables = (Tables){w->table_radius, w->table_start, w->table_cdf, w->table_lookup};
    for (int n = 0; n <= 4096; n++) {
        double value = floor(16 * log2(1 + n / 16.0) + 0.5);
        w->compand[n] = (uint8_t)(value < 127 ? value : 127);
    }
    return OK;
}

static aec_result read_convolution(const aec_tensors *all, const char *name, int outputs, int inputs, int kernel, int bits,
                                   Order order, aec_convolution *layer)
{
    aec_tensor weight, bias, scale;
    uint32_t o = (uint32_t)outputs, k = (uint32_t)kernel;
    if (!find_part(all, name, "weight", TYPE_I8, o, (uint32_t)inputs, k, k, &weight) ||
        !find_part(all, name, "weight.scale", TYPE_F16, o, 1, 1, 1, &scale) ||
        !find_part(all, name, "bias", TYPE_F16, o, 1, 1, 1, &bias))
        return missing;
    layer->bias = malloc((size_t)outputs * sizeof *layer->bias);
    layer->scale = malloc((size_t)outputs * sizeof *layer->scale);
    if (!layer->bias || !layer->scale)
        return NO_MEMORY;
    layer->limit = INPUT_MAX;
    layer->narrow = NARROW_MAX;
    int64_t most = 0; /* of the sums of magnitudes */
    size_t taps = (size_t)(inputs * kernel * kernel);
    int8_t *rows = malloc((size_t)outputs * taps);
    if (!rows)
        return NO_MEMORY;
    int sound = 1;
    for (int r = 0; r < outputs; r++) {
        size_t from = (size_t)stored(order, r, outputs);
        double step = aec_float16(half_at(&scale, from)), offset = aec_float16(half_at(&bias, from));
        sound = sound && step > 0 && step < INFINITY && fabs(offset) < INFINITY;
        if (!sound)
            break;
        double least = fabs(offset) * ldexp(1.0 / BIAS_MAX, bits), unit = step > least ? step : least;
        int64_t whole = (int64_t)floor(ldexp(offset, bits) / unit + 0.5), sum = 0;
        const int8_t *stored_row = (const int8_t *)weight.data + from * taps;
        int8_t *row = rows + from * taps;
        for (size_t i = 0; i < taps; i++) {
            /* where the unit is the file's the quotient is exact */
            row[i] = unit == step ? stored_row[i] : (int8_t)floor(stored_row[i] * step / unit + 0.5);
            sum += abs(row[i]);
        }
        sound = sum <= WEIGHTS_MAX;
        if (!sound)
            break;
        layer->scale[r] = unit;
        layer->bias[r] = (int32_t)whole;
        int64_t limit = (SUM_MAX - llabs(whole)) / (sum ? sum : 1), narrow = (INT32_MAX - llabs(whole)) / (sum ? sum : 1);
        layer->limit = limit < layer->limit ? (int32_t)limit : layer->limit;
        layer->narrow = narrow < layer->narrow ? (int32_t)narrow : layer->narrow;
        most = sum > most ? sum : most;
    }
    int side = kernel;
    if (kernel == 3 && most < SQUARES_WEIGHTS_MAX) {
        int32_t narrow = (int32_t)(INT32_MAX / 4 / (most ? most : 1));
        side = SQUARES;
        layer->narrow = layer->narrow < narrow ? layer->narrow : narrow;
        layer->narrow = layer->narrow < SQUARE_MAX ? layer->narrow : SQUARE_MAX;
    }
    int packed = sound && pack(&layer->matrix, rows, inputs, kernel, side, 0, outputs, order);
    free(rows);
    return packed ? OK : sound ? NO_MEMORY : out_of_range;
}

static aec_result read_halves(const aec_tensors *all, const char *name, int rows, int columns, uint16_t *values)
{
    aec_tensor tensor;
    if (!find(all, name, TYPE_F16, (uint32_t)rows, (uint32_t)columns, 1, 1, &tensor))
        return missing;
    for (size_t i = 0; i < tensor.count; i++)
        values[i] = half_at(&tensor, i);
    return OK;
}

/* Reads blocks NAME.0, NAME.1 and so on. */
static aec_result read_blocks(const aec_tensors *all, const char *stem, int width, int outer, int inner, aec_block *blocks,
                              int *count)
{
    for (*count = 0; *count < BLOCKS_MAX; ++*count) {
        aec_tensor tensor;
        char first[64], second[64];
        snprintf(first, sizeof first, "synthesis.%s.%d.conv1", stem, *count);
        snprintf(second, sizeof second, "synthesis.%s.%d.conv2", stem, *count);
        if (!find_part(all, first, "bias", TYPE_F16, 0, 1, 1, 1, &tensor))
            break;
        TRY(read_convolution(all, first, width, width, 3, outer, AS_STORED, &blocks[*count].first));
        TRY(read_convolution(all, second, width, width, 3, inner, AS_STORED, &blocks[*count].second));
    }
    return OK;
}

/* Rounds a float16 matrix to int16 with as many fractional bits, at most `most`, as its rows leave room for; returns them,
   or -1 if there are none. */
static int round_matrix(const aec_tensor *tensor, double unit, int most, int64_t row_limit, int16_t *out)
{
    size_t rows = tensor->shape[0], columns = tensor->shape[1];
    for (int bits = most; bits >= 0; bits--) {
        double scale = ldexp(unit, bits);
        int fits = 1;
        for (size_t r = 0; r < rows && fits; r++) {
            int64_t sum = 0;
            for (size_t c = 0; c < columns && fits; c++) {
                double value = aec_float16(half_at(tensor, r * columns + c)) * scale + 0.5;
                fits = value >= -NARROW_MAX && value < NARROW_MAX + 1;
                if (fits) {
                    int whole = (int)value;
                    whole -= whole > value; /* floor() is slow where the machine has no instruction for it */
                    out[r * columns + c] = (int16_t)whole;
                    sum += abs(whole);
                }
            }
            fits = fits && sum <= row_limit;
        }
        if (fits)
            return bits;
    }
    return -1;
}

static aec_result read_linear_path(const aec_tensors *all, aec_weights *w)
{
    aec_tensor klt, lap;
    int m = w->latents, rows = 3 * STRIDE * STRIDE;
    if (!find(all, "synthesis.klt.weight", TYPE_F16, (uint32_t)rows, (uint32_t)m, 1, 1, &klt))
        return missing;
    w->inverse_gain = malloc(KNOTS * (size_t)m * sizeof *w->inverse_gain);
    if (!w->inverse_gain)
        return NO_MEMORY;
    TRY(read_halves(all, "inverse_gain.log", KNOTS, m, w->inverse_gain));
    int16_t *whole = NULL;
    if (aec_make_matrix(&w->linear, rows, m, 1)) /* first, so that the other one leaves no hole when it is freed */
        whole = malloc((size_t)(rows * m) * sizeof *whole);
    if (!whole)
        return NO_MEMORY;
    w->linear_bits = round_matrix(&klt, 255, 15, LINEAR_ROW_MAX, whole);
    for (int o = 0; o < rows; o++) {
        const int16_t *from = whole + stored(SHUFFLE_16, o, rows) * m;
        int16_t *to = aec_packed_at(&w->linear, o, 0, 0);
        for (int i = 0; i < m; i++)
            to[i / 2 * OUTPUTS * 2 + i % 2] = from[i];
    }
    free(whole);
    w->lapping_bits = 14;
    for (int i = 0; i < 16; i++)
        w->lapping[i][i] = 1 << 14;
    if (aec_tensors_find(all, "synthesis.lap.weight", &lap)) {
        if (!find(all, "synthesis.lap.weight", TYPE_F16, 16, 16, 1, 1, &lap))
            return missing;
        w->lapping_bits = round_matrix(&lap, 1, 14, LAPPING_ROW_MAX, &w->lapping[0][0]);
    }
    return w->linear_bits < 0 || w->lapping_bits < 1 ? out_of_range : OK;
}

static aec_result read_synthesis(const aec_tensors *all, aec_weights *w)
{
    aec_tensor tensor;
    int m = w->latents;
    int8_t bits[5] = {8, 11, 10, 14, 13};
    if (aec_tensors_find(all, "synthesis.fraction_bits", &tensor)) {
        if (!find(all, "synthesis.fraction_bits", TYPE_I8, 5, 1, 1, 1, &tensor))
            return missing;
        memcpy(bits, tensor.data, 5);
    }
    for (int i = 0; i < 5; i++)
        if (bits[i] < 0 || bits[i] > 20)
            return out_of_range;
    w->stem_bits = bits[0];
    w->stream_16_bits = bits[1];
    w->middle_16_bits = bits[2];
    w->stream_8_bits = bits[3];
    w->middle_8_bits = bits[4];
    if (!find(all, "synthesis.gain_16.log", TYPE_F16, KNOTS, 0, 1, 1, &tensor))
        return missing;
    w->width_16 = (int)tensor.shape[1];
    if (!find(all, "synthesis.gain_8.log", TYPE_F16, KNOTS, 0, 1, 1, &tensor) || tensor.shape[1] > WIDTH_MAX / 4)
        return missing;
    w->width_8 = (int)tensor.shape[1];
    int a = w->width_16, b = w->width_8;
    w->gain_16 = malloc(KNOTS * (size_t)a * sizeof *w->gain_16);
    w->gain_8 = malloc(KNOTS * (size_t)b * sizeof *w->gain_8);
    w->spread = malloc((size_t)m * sizeof *w->spread);
    if (!w->gain_16 || !w->gain_8 || !w->spread)
        return NO_MEMORY;
    TRY(read_halves(all, "synthesis.gain_16.log", KNOTS, a, w->gain_16));
    TRY(read_halves(all, "synthesis.gain_8.log", KNOTS, b, w->gain_8));
    if (!find(all, "synthesis.spread", TYPE_F16, 1, (uint32_t)m, 1, 1, &tensor))
        return missing;
    for (int i = 0; i < m; i++) {
        w->spread[i] = aec_float16(half_at(&tensor, (size_t)i));
        if (!(w->spread[i] > 0 && w->spread[i] < INFINITY))
            return out_of_range;
    }
    TRY(read_convolution(all, "synthesis.stem", a, m, 3, bits[0], AS_STORED, &w->stem));
    TRY(read_blocks(all, "blocks_16", a, bits[1], bits[2], w->block_16, &w->blocks_16));
    TRY(read_convolution(all, "synthesis.up_8.0", 4 * b, a, 1, bits[1], SHUFFLE_2, &w->up_8));
    TRY(read_blocks(all, "blocks_8", b, bits[3], bits[4], w->block_8, &w->blocks_8));
    TRY(read_convolution(all, "synthesis.head.0", 192, b, 3, bits[3], SHUFFLE_8, &w->head));
    if (aec_tensors_find(all, "synthesis.edges.table", &tensor)) {
        TRY(read_halves(all, "synthesis.edges.table", KNOTS, 24, w->edge_table));
        for (int i = 0; i < KNOTS * 24; i++) {
            w->filters_edges |= (w->edge_table[i] & 0x7FFF) != 0;
            if ((w->edge_table[i] & 0x7C00) == 0x7C00)
                return out_of_range;
        }
    }
    if (w->filters_edges)
        TRY(read_convolution(all, "synthesis.edges.strength", 1, b, 1, bits[3], AS_STORED, &w->strength));
    return OK;
}

static aec_result read_all(const aec_tensors *tensors, aec_weights *weights)
{
    TRY(read_entropy_model(tensors, weights));
    TRY(make_tables(tensors, weights));
    TRY(read_linear_path(tensors, weights));
    return weights->is_for_scales ? OK : read_synthesis(tensors, weights);
}

static aec_result open_weights(const void *data, size_t size, const uint8_t id[4], int is_for_scales, aec_weights **weights)
{
    aec_tensors tensors;
    if (!data || !id || !weights)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    *weights = NULL;
    TRY(aec_tensors_open(data, size, &tensors));
    aec_weights *opened = calloc(1, sizeof *opened);
    if (!opened)
        return NO_MEMORY;
    memcpy(opened->id, id, 4);
    opened->is_for_scales = is_for_scales;
    aec_result result = read_all(&tensors, opened);
    if (result.status == AEC_OK)
        *weights = opened;
    else
        aec_weights_free(opened);
    return result;
}

aec_result aec_weights_open_as(const void *data, size_t size, const uint8_t id[4], aec_weights **weights)
{
    return open_weights(data, size, id, 0, weights);
}

aec_result aec_weights_open_for_scales(const void *data, size_t size, const uint8_t id[4], aec_weights **weights)
{
    return open_weights(data, size, id, 1, weights);
}

aec_result aec_weights_open(const void *data, size_t size, aec_weights **weights)
{
    uint8_t digest[32];
    if (!data || !weights)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    aec_sha256(data, size, digest);
    return aec_weights_open_as(data, size, digest, weights);
}

static void free_layer(aec_layer *layer)
{
    free(layer->matrix.packed);
    free(layer->bias);
    free(layer->shift);
}

static void free_convolution(aec_convolution *layer)
{
    free(layer->matrix.packed);
    free(layer->bias);
    free(layer->scale);
}

void aec_weights_free(aec_weights *w)
{
    if (!w)
        return;
    free_layer(&w->up_32);
    free_layer(&w->up_16);
    free_layer(&w->out);
    for (int s = 0; s < STEPS; s++) {
        free_layer(&w->steps[s].mix);
        free_layer(&w->steps[s].gather);
        free_layer(&w->steps[s].hidden);
        for (int group = 0; group < 4; group++) {
            free_layer(&w->steps[s].mean[group]);
            free_layer(&w->steps[s].level[group]);
        }
    }
    for (int i = 0; i < BLOCKS_MAX; i++) {
        free_convolution(&w->block_16[i].first);
        free_convolution(&w->block_16[i].second);
        free_convolution(&w->block_8[i].first);
        free_convolution(&w->block_8[i].second);
    }
    free_convolution(&w->stem);
    free_convolution(&w->up_8);
    free_convolution(&w->head);
    free_convolution(&w->strength);
    free(w->linear.packed);
    free(w->mean_gain);
    free(w->hyper_scale);
    free(w->table_radius);
    free(w->table_start);
    free(w->table_cdf);
    free(w->table_lookup);
    free(w->inverse_gain);
    free(w->gain_16);
    free(w->gain_8);
    free(w->spread);
    free(w);
}

void aec_weights_id(const aec_weights *weights, uint8_t id[4])
{
    memcpy(id, weights->id, 4);
}

uint32_t aec_latent_channels(const aec_weights *weights)
{
    return (uint32_t)weights->latents;
}
