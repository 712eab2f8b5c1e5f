/* A whole file, and what callers may ask for besides. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROWS 4 /* of latents that a part has: it computes the eleven beside it, too */

int aec_abi(void)
{
    return AEC_ABI;
}

const aec_kernel_set *aec_choose_kernels(const aec_options *options)
{
    aec_kernels wanted = options ? options->kernels : AEC_KERNELS_BEST;
    if (wanted == AEC_KERNELS_PLAIN)
        return &aec_kernels_plain;
#ifdef AEC_HAS_AVX2
    if (wanted != AEC_KERNELS_128 && __builtin_cpu_supports("avx2"))
        return &aec_kernels_avx2;
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

/* What the jobs of a decode share; each writes its own result. */
typedef struct {
    const aec_weights *weights;
    const aec_kernel_set *kernels;
    const aec_span *payloads;
    uint32_t rate;
    ptrdiff_t rows, columns, side, tile_columns; /* in latent positions */
    int parts, scale;
    int32_t *latents;
    aec_sink sink;
    aec_result *results;
} Work;

static void decode_tile(void *argument, int index)
{
    const Work *work = argument;
    ptrdiff_t row = index / work->tile_columns * work->side, column = index % work->tile_columns * work->side;
    ptrdiff_t rows = work->rows - row < work->side ? work->rows - row : work->side;
    ptrdiff_t columns = work->columns - column < work->side ? work->columns - column : work->side;
    ptrdiff_t m = work->weights->latents, stride = work->columns * m;
    work->results[index] = aec_decode_tile(work->weights, work->kernels, work->payloads[index], work->rate, rows, columns,
                                           work->latents + row * stride + column * m, stride);
}

static void synthesise_part(void *argument, int index)
{
    const Work *work = argument;
    ptrdiff_t first = work->rows * index / work->parts, last = work->rows * (index + 1) / work->parts;
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

static aec_result decode_picture(const aec_file *file, Work *work, const aec_options *options)
{
    size_t position = 0;
    aec_span *payloads = calloc(file->tiles, sizeof *payloads);
    work->latents = malloc((size_t)(work->rows * work->columns * work->weights->latents) * sizeof *work->latents);
    aec_result result = NO_MEMORY;
    if (payloads && work->latents) {
        for (size_t i = 0; i < file->tiles; i++)
            payloads[i] = aec_next_payload(file, &position);
        work->payloads = payloads;
        result = run_all(work, options, file->tiles, decode_tile);
        if (result.status == AEC_OK)
            result = run_all(work, options, (size_t)work->parts, synthesise_part);
    }
    free(payloads);
    free(work->latents);
    return result;
}

/* Decodes payloads to the samples of a sink. */
static aec_result decode_payloads(const aec_weights *weights, const aec_file *file, const aec_options *options, int scale,
                                  const aec_sink *sink)
{
    uint64_t rows = ((uint64_t)file->info.height + PADDING - 1) / PADDING * HYPER;
    uint64_t columns = ((uint64_t)file->info.width + PADDING - 1) / PADDING * HYPER;
    if (rows * columns > SIZE_MAX / sizeof(int32_t) / (size_t)weights->latents / 4)
        FAIL(AEC_LIMIT, "the picture is too large for this machine");
    Work work = {.weights = weights, .kernels = aec_choose_kernels(options), .rate = file->info.rate, .sink = *sink};
    work.rows = (ptrdiff_t)rows;
    work.columns = (ptrdiff_t)columns;
    work.side = file->info.tile ? (ptrdiff_t)file->info.tile / STRIDE : rows > columns ? work.rows : work.columns;
    work.tile_columns = (work.columns + work.side - 1) / work.side;
    work.parts = parts_of(options, work.rows);
    work.scale = scale;
    return decode_picture(file, &work, options);
}

static int is_scale(int scale)
{
    return scale == 1 || scale == 2 || scale == 4 || scale == 8 || scale == 16;
}

aec_result aec_decode(const aec_weights *weights, const uint8_t *data, size_t size, const aec_options *options,
                      uint8_t *samples, size_t capacity)
{
    aec_file file;
    if (!data || !samples)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    TRY(aec_read_head(data, size, &file));
    uint64_t width = file.info.width, height = file.info.height;
    uint64_t limit = options && options->max_pixels ? options->max_pixels : AEC_MAX_PIXELS;
    if (width * height > limit)
        FAIL(AEC_LIMIT, "the picture is over the limit of pixels");
    int scale = options && options->scale ? options->scale : 1;
    if (!is_scale(scale))
        FAIL(AEC_ARGUMENT, "the scale must be 1, 2, 4, 8 or 16");
    width = (width + (unsigned)scale - 1) / (unsigned)scale;
    height = (height + (unsigned)scale - 1) / (unsigned)scale;
    if (capacity < width * height * file.info.channels)
        FAIL(AEC_ARGUMENT, "the buffer for samples is too small");
    TRY(aec_read_payloads(&file));
    aec_sink sink = {samples, (size_t)width, (size_t)height, file.info.channels, 0, 0};
    if (!file.info.lossless) {
        if (!weights || memcmp(file.info.weights, weights->id, 4))
            FAIL(AEC_WEIGHTS, "the file needs other weights");
        TRY(decode_payloads(weights, &file, options, scale, &sink));
    }
    if (file.exact.body)
        TRY(aec_lay_exact(&file, scale, &sink));
    return file.alpha.body && !file.alpha_in_exact ? aec_decode_alpha(&file, scale, &sink) : OK;
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
    return aec_decode_tile(weights, aec_choose_kernels(options), (aec_span){payload, size}, rate, (ptrdiff_t)rows,
                           (ptrdiff_t)columns, latents, (ptrdiff_t)columns * weights->latents);
}

aec_result aec_synthesise(const aec_weights *weights, const int32_t *latents, uint32_t rate, uint32_t rows,
                          uint32_t columns, const aec_options *options, uint8_t *samples)
{
    int scale = options && options->scale ? options->scale : 1;
    if (!weights || !latents || !samples || rate > MAX_RATE || !rows || !columns || rows > 1 << 18 || columns > 1 << 18 ||
        !is_scale(scale))
        FAIL(AEC_ARGUMENT, "an argument makes no sense");
    Work work = {.weights = weights, .kernels = aec_choose_kernels(options), .rate = rate, .scale = scale};
    work.rows = (ptrdiff_t)rows;
    work.columns = (ptrdiff_t)columns;
    work.latents = (int32_t *)latents; /* only read */
    work.parts = parts_of(options, work.rows);
    size_t side = STRIDE / (size_t)scale;
    work.sink = (aec_sink){samples, (size_t)columns * side, (size_t)rows * side, 3, 0, 0};
    return run_all(&work, options, (size_t)work.parts, synthesise_part);
}
