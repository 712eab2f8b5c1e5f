/* A whole file, and what callers may ask for besides. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>
#ifdef AEC_HAS_AVX_VNNI
#include <cpuid.h>
#endif

#define LEAST_ROWS 4 /* of latents that a part has: it computes the eleven beside it, too */

int aec_abi(void)
{
    return AEC_ABI;
}

#ifdef AEC_HAS_AVX512
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef AEC_HAS_AVX_VNNI
static int has_avx_vnni(void) /* older compilers' __builtin_cpu_supports does not know it */
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}
#endif

const aec_kernel_set *aec_choose_kernels(const aec_options *options)
{
    aec_kernels wanted = options ? options->kernels : AEC_KERNELS_BEST;
    if (wanted == AEC_KERNELS_PLAIN)
        return &aec_kernels_plain;
#ifdef AEC_HAS_AVX2
    if (wanted != AEC_KERNELS_128 && __builtin_cpu_supports("avx2")) {
#ifdef AEC_HAS_AVX512
        if (wanted != AEC_KERNELS_AVX2 && wanted != AEC_KERNELS_AVX_VNNI && has_avx512())
            return &aec_kernels_avx512;
#endif
#ifdef AEC_HAS_AVX_VNNI
        if (wanted != AEC_KERNELS_AVX2 && has_avx_vnni())
            return &aec_kernels_avxvnni;
#endif
        return &aec_kernels_avx2;
    }
#endif
#ifdef AEC_HAS_128
    return &aec_kernels_128;
#else
    return &aec_kernels_plain;
#endif
}

void aec_run(const aec_options *options, int count, void (*job)(void *, int), void *argument)
{
    if (options && options->parallel && count > 1) {
        options->parallel(options->context, count, job, argument);
        return;
    }
    for (int i = 0; i < count; i++)
        job(argument, i);
}

/* What the jobs of a decode share; each writes its own result.  Rows and columns are latent positions.  Of a picture, only
   the tiles that a window touches are decoded, and only the rows first .. last - 1 of the window become samples. */
typedef struct {
    const aec_weights *weights;
    const aec_kernel_set *kernels;
    const aec_span *payloads;
    uint32_t rate;
    ptrdiff_t picture_rows, picture_columns, side;      /* side: of a tile */
    ptrdiff_t tile_row, tile_column, tile_columns;      /* the first tile that is decoded, and how many side by side */
    ptrdiff_t decoded_columns;                          /* of these tiles together */
    ptrdiff_t rows, columns, first, last;               /* of the window */
    int parts, scale;
    int32_t *latents;
    aec_sink sink;
    aec_result *results;
} Work;

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static void decode_tile(void *argument, int index)
{
    const Work *work = argument;
    ptrdiff_t down = index / work->tile_columns * work->side, across = index % work->tile_columns * work->side;
    ptrdiff_t rows = least(work->picture_rows - work->tile_row * work->side - down, work->side);
    ptrdiff_t columns = least(work->picture_columns - work->tile_column * work->side - across, work->side);
    ptrdiff_t m = work->weights->latents, stride = work->decoded_columns * m;
    work->results[index] = aec_decode_tile(work->weights, work->kernels, work->payloads[index], work->rate, rows, columns,
                                           work->latents + down * stride + across * m, stride);
}

static void synthesise_part(void *argument, int index)
{
    const Work *work = argument;
    ptrdiff_t count = work->last - work->first;
    ptrdiff_t first = work->first + count * index / work->parts, last = work->first + count * (index + 1) / work->parts;
    if (work->scale > 1)
        work->results[index] = aec_synthesise_scaled_rows(work->weights, work->kernels, work->latents, work->rate,
                                                          work->scale, work->rows, work->columns, first, last, &work->sink);
    else
        work->results[index] = aec_synthesise_rows(work->weights, work->kernels, work->latents, work->rate, work->rows,
                                                   work->columns, first, last, &work->sink);
}

static int parts_of(const aec_options *options, ptrdiff_t rows)
{
    ptrdiff_t most = rows / LEAST_ROWS, threads = options && options->parallel ? options->threads : 1;
    threads = threads < most ? threads : most;
    return threads > 1 ? (int)threads : 1;
}

static aec_result first_failure(const aec_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (results[i].status != AEC_OK)
            return results[i];
    return OK;
}

/* Runs jobs that write their results. */
static aec_result run_all(Work *work, const aec_options *options, size_t count, void (*job)(void *, int))
{
    if (count > INT32_MAX)
        FAIL(AEC_LIMIT, "the file has too many tiles");
    work->results = calloc(count, sizeof *work->results);
    if (!work->results)
        return NO_MEMORY;
    aec_run(options, (int)count, job, work);
    aec_result result = first_failure(work->results, count);
    free(work->results);
    return result;
}

/* Latent positions around a pixel that it depends on; docs/format.md, section 9.  At a scale only lapping reaches out. */
static ptrdiff_t reach_of(const aec_weights *weights, int scale)
{
    return scale > 1 ? 1 : 1 + 2 * weights->blocks_16 + (2 * weights->blocks_8 + 2) / 2;
}

/* The rows, or columns, that samples first .. first + count - 1 depend on; side: how many a position has. */
static void window_of(ptrdiff_t first, ptrdiff_t count, ptrdiff_t side, ptrdiff_t reach, ptrdiff_t all, ptrdiff_t *start,
                      ptrdiff_t *end)
{
    *start = first / side - reach > 0 ? first / side - reach : 0;
    *end = least((first + count + side - 1) / side + reach, all);
}

static aec_result decode_tiles(const aec_file *file, Work *work, const aec_options *options, ptrdiff_t tile_rows)
{
    ptrdiff_t all_columns = (work->picture_columns + work->side - 1) / work->side;
    size_t position = 0, count = 0;
    aec_span *payloads = calloc((size_t)(tile_rows * work->tile_columns), sizeof *payloads);
    if (!payloads)
        return NO_MEMORY;
    for (size_t i = 0; i < file->tiles; i++) {
        aec_span payload = aec_next_payload(file, &position);
        ptrdiff_t row = (ptrdiff_t)i / all_columns - work->tile_row, column = (ptrdiff_t)i % all_columns - work->tile_column;
        if (row >= 0 && row < tile_rows && column >= 0 && column < work->tile_columns)
            payloads[count++] = payload;
    }
    work->payloads = payloads;
    aec_result result = run_all(work, options, count, decode_tile);
    free(payloads);
    return result;
}

/* Whether the samples of a whole picture, colour and then alpha, have the hash that the file says. */
static int hash_agrees(const aec_file *file, const void *samples)
{
    uint8_t part[4096], digest[32];
    size_t pixels = (size_t)file->info.width * file->info.height, channels = file->info.channels;
    size_t colours = channels < 3 ? 1 : 3, deep = file->info.depth > 8, filled = 0;
    aec_hash hash;
    aec_hash_begin(&hash);
    for (int alpha = 0; alpha <= (file->alpha.body != NULL); alpha++) {
        size_t first = alpha ? colours : 0, last = alpha ? channels : colours;
        for (size_t i = 0; i < pixels; i++) {
            size_t end = i * channels + channels - 1; /* of the alpha, where there is one */
            int opaque = deep ? ((const uint16_t *)samples)[end] > 0 : ((const uint8_t *)samples)[end] > 0;
            int hidden = file->alpha.body && !opaque;
            for (size_t c = first; c < last; c++) {
                size_t at = i * channels + c;
                uint32_t value = deep ? ((const uint16_t *)samples)[at] : ((const uint8_t *)samples)[at];
                value = alpha ? aec_scaled(value, file->info.depth, 8) : hidden ? 0 : value;
                part[filled++] = (uint8_t)value;
                if (deep && !alpha)
                    part[filled++] = (uint8_t)(value >> 8);
                if (filled == sizeof part) {
                    aec_hash_add(&hash, part, filled);
                    filled = 0;
                }
            }
        }
    }
    aec_hash_add(&hash, part, filled);
    aec_hash_end(&hash, digest);
    return !memcmp(digest, file->hash, HASH_BYTES);
}

/* Decodes payloads to the samples of a sink. */
static aec_result decode_payloads(const aec_weights *weights, const aec_file *file, const aec_options *options, int scale,
                                  const aec_sink *sink)
{
    Work work = {.weights = weights, .kernels = aec_choose_kernels(options), .rate = file->info.rate, .scale = scale};
    ptrdiff_t m = weights->latents, height = file->info.height, width = file->info.width;
    work.picture_rows = (height + PADDING - 1) / PADDING * HYPER;
    work.picture_columns = (width + PADDING - 1) / PADDING * HYPER;
    work.side = work.picture_rows > work.picture_columns ? work.picture_rows : work.picture_columns;
    work.side = file->info.tile ? (ptrdiff_t)file->info.tile / STRIDE : work.side;
    ptrdiff_t top, bottom, left, right, reach = reach_of(weights, scale), side = STRIDE / scale; /* of a position */
    window_of((ptrdiff_t)sink->top, (ptrdiff_t)sink->height, side, reach, work.picture_rows, &top, &bottom);
    window_of((ptrdiff_t)sink->left, (ptrdiff_t)sink->width, side, reach, work.picture_columns, &left, &right);
    work.rows = bottom - top;
    work.columns = right - left;
    work.first = (ptrdiff_t)sink->top / side - top;
    work.last = ((ptrdiff_t)(sink->top + sink->height) + side - 1) / side - top;
    work.tile_row = top / work.side;
    work.tile_column = left / work.side;
    ptrdiff_t tile_rows = (bottom - 1) / work.side - work.tile_row + 1;
    work.tile_columns = (right - 1) / work.side - work.tile_column + 1;
    ptrdiff_t down = work.tile_row * work.side, across = work.tile_column * work.side; /* where the tiles begin */
    ptrdiff_t decoded_rows = least(tile_rows * work.side, work.picture_rows - down);
    work.decoded_columns = least(work.tile_columns * work.side, work.picture_columns - across);
    if ((uint64_t)decoded_rows * (uint64_t)work.decoded_columns > SIZE_MAX / sizeof(int32_t) / (size_t)m / 4)
        FAIL(AEC_LIMIT, "the picture is too large for this machine");
    work.latents = malloc((size_t)(decoded_rows * work.decoded_columns * m) * sizeof *work.latents);
    if (!work.latents)
        return NO_MEMORY;
    aec_result result = decode_tiles(file, &work, options, tile_rows);
    for (ptrdiff_t row = 0; result.status == AEC_OK && row < work.rows; row++) /* the window moves to the front */
        memmove(work.latents + row * work.columns * m,
                work.latents + ((top - down + row) * work.decoded_columns + left - across) * m,
                (size_t)(work.columns * m) * sizeof *work.latents);
    work.sink = *sink;
    work.sink.top -= (size_t)(top * side);
    work.sink.left -= (size_t)(left * side);
    work.parts = parts_of(options, work.last - work.first);
    if (result.status == AEC_OK)
        result = run_all(&work, options, (size_t)work.parts, synthesise_part);
    free(work.latents);
    return result;
}

/* Where no latents are there, gray stands for them. */
static void fill_with_gray(const aec_sink *sink)
{
    for (size_t i = 0; i < sink->width * sink->height * sink->channels; i++)
        aec_set_sample(sink->samples, sink->depth, i, 1u << (sink->depth - 1));
}

static int is_scale(int scale)
{
    return scale == 1 || scale == 2 || scale == 4 || scale == 8 || scale == 16;
}

aec_result aec_decode(const aec_weights *weights, const uint8_t *data, size_t size, const aec_options *options,
                      void *samples, size_t capacity)
{
    aec_file file;
    if (!data || !samples)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    TRY(aec_read_head(data, size, options && options->preview, &file));
    uint64_t width = file.info.width, height = file.info.height;
    uint64_t limit = options && options->max_pixels ? options->max_pixels : AEC_MAX_PIXELS;
    if (width * height > limit)
        FAIL(AEC_LIMIT, "the picture is over the limit of pixels");
    int scale = options && options->scale ? options->scale : 1;
    if (!is_scale(scale))
        FAIL(AEC_ARGUMENT, "the scale must be 1, 2, 4, 8 or 16");
    aec_crop crop = options ? options->crop : (aec_crop){0, 0, 0, 0};
    if (!crop.width && !crop.height)
        crop = (aec_crop){0, 0, (uint32_t)width, (uint32_t)height};
    if (!crop.width || !crop.height || crop.left >= width || crop.top >= height || crop.width > width - crop.left ||
        crop.height > height - crop.top)
        FAIL(AEC_ARGUMENT, "the crop is not inside the picture");
    int is_whole = scale == 1 && crop.width == width && crop.height == height;
    uint32_t by = (uint32_t)scale, left = crop.left / by, top = crop.top / by;
    width = (crop.left + crop.width + by - 1) / by - left;
    height = (crop.top + crop.height + by - 1) / by - top;
    uint32_t depth = options && options->depth ? options->depth : scale > 1 ? 8 : file.info.depth;
    if (depth < 8 || depth > 16 || (scale > 1 && depth > 8))
        FAIL(AEC_ARGUMENT, "a depth must be 8 to 16 bits, and 8 at a scale");
    if (capacity / (depth > 8 ? 2 : 1) < width * height * file.info.channels)
        FAIL(AEC_ARGUMENT, "the buffer for samples is too small");
    TRY(aec_read_payloads(&file));
    aec_sink sink = {samples, (size_t)width, (size_t)height, file.info.channels, top, left, depth};
    if (!file.payloads_size)
        fill_with_gray(&sink);
    else if (!file.info.lossless) {
        if (!weights || memcmp(file.info.weights, weights->id, 4))
            FAIL(AEC_WEIGHTS, "the file needs other weights");
        if (weights->is_for_scales && scale == 1)
            FAIL(AEC_ARGUMENT, "the weights were opened for pictures at a scale");
        TRY(decode_payloads(weights, &file, options, scale, &sink));
    }
    if (file.exact.body)
        TRY(aec_lay_exact(&file, scale, options, &sink));
    if (file.alpha.body && !file.alpha_in_exact)
        TRY(aec_decode_alpha(&file, scale, &sink));
    if (file.hash && is_whole && !file.info.truncated && depth == file.info.depth && !hash_agrees(&file, samples))
        FAIL(AEC_DAMAGED, "the picture is not the one that was encoded (hash)");
    return OK;
}

static int fits(const aec_weights *weights, const void *a, const void *b, uint32_t rate, uint32_t rows, uint32_t columns)
{
    return weights && a && b && rate <= MAX_RATE && rows && columns && rows % HYPER == 0 && columns % HYPER == 0 &&
           rows <= 1 << 18 && columns <= 1 << 18;
}

aec_result aec_decode_latents(const aec_weights *weights, const uint8_t *payload, size_t size, uint32_t rate, uint32_t rows,
                              uint32_t columns, const aec_options *options, int32_t *latents)
{
    if (!fits(weights, payload, latents, rate, rows, columns))
        FAIL(AEC_ARGUMENT, "an argument makes no sense");
    return aec_decode_tile(weights, aec_choose_kernels(options), (aec_span){payload, size, 0}, rate, (ptrdiff_t)rows,
                           (ptrdiff_t)columns, latents, (ptrdiff_t)columns * weights->latents);
}

aec_result aec_synthesise(const aec_weights *weights, const int32_t *latents, uint32_t rate, uint32_t rows,
                          uint32_t columns, const aec_options *options, void *samples)
{
    int scale = options && options->scale ? options->scale : 1;
    uint32_t depth = options && options->depth ? options->depth : 8;
    if (depth < 8 || depth > 16 || (scale > 1 && depth > 8))
        FAIL(AEC_ARGUMENT, "a depth must be 8 to 16 bits, and 8 at a scale");
    if (!weights || !latents || !samples || rate > MAX_RATE || !rows || !columns || rows > 1 << 18 || columns > 1 << 18 ||
        !is_scale(scale) || (weights->is_for_scales && scale == 1))
        FAIL(AEC_ARGUMENT, "an argument makes no sense");
    Work work = {.weights = weights, .kernels = aec_choose_kernels(options), .rate = rate, .scale = scale};
    work.rows = (ptrdiff_t)rows;
    work.columns = (ptrdiff_t)columns;
    work.last = work.rows;
    work.latents = (int32_t *)latents; /* only read */
    work.parts = parts_of(options, work.rows);
    size_t side = STRIDE / (size_t)scale;
    work.sink = (aec_sink){samples, (size_t)columns * side, (size_t)rows * side, 3, 0, 0, depth};
    return run_all(&work, options, (size_t)work.parts, synthesise_part);
}
