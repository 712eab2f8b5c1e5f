/* corrupt damages files in many ways and decodes them: for a build with -fsanitize=address,undefined.

   usage: corrupt WEIGHTS COUNT FILE...

   Each file is damaged COUNT times as a whole, which its checksums must notice, and COUNT times each in a payload and in its
   exact pixels, whose checksums are not asked.  It is cut off COUNT times and shown as a preview, which must be possible from
   its first payload on; half of these are damaged, too.  Weights are damaged COUNT / 10 times.  Prints how many were refused;
   fails if damage to a whole file was not, or if a preview was.  $SEED, 1 or more, begins other damage. */

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 1;

/* A number below limit (xorshift64*). */
static size_t below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (size_t)((seed * 0x2545F4914F6CDD1Du) >> 16) % limit;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        exit(2);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size ? *size : 1);
    if (!data || fread(data, 1, *size, file) != *size)
        exit(2);
    fclose(file);
    return data;
}

/* A damaged copy of its own size, so that a sanitizer sees every byte beyond it. */
static uint8_t *damage(const uint8_t *data, size_t *size)
{
    size_t kept = below(4) ? *size : below(*size + 1), changes = 1 + below(4);
    uint8_t *copy = malloc(kept ? kept : 1);
    if (!copy)
        exit(2);
    memcpy(copy, data, kept);
    for (size_t i = 0; kept && i < changes; i++)
        copy[below(kept)] ^= (uint8_t)(1 << below(8));
    *size = kept;
    return copy;
}

static int whole_file(const aec_weights *weights, const uint8_t *data, size_t size)
{
    size_t damaged_size = size;
    uint8_t *damaged = damage(data, &damaged_size);
    int same = damaged_size == size && !memcmp(damaged, data, size);
    static _Alignas(2) uint8_t samples[1 << 22];
    aec_options options = {.max_pixels = 1 << 20};
    aec_result result = aec_decode(weights, damaged, damaged_size, &options, samples, sizeof samples);
    free(damaged);
    return same || result.status != AEC_OK;
}

static int payload(const aec_weights *weights, const aec_file *file)
{
    size_t position = 0;
    aec_span span = aec_next_payload(file, &position);
    uint8_t *damaged = damage(span.body, &span.size);
    static int32_t latents[8 * 8 * 768];
    static uint8_t samples[128 * 128 * 3];
    uint32_t rows = (file->info.height + 63) / 64 * 4, columns = (file->info.width + 63) / 64 * 4;
    rows = rows > 8 ? 8 : rows;
    columns = columns > 8 ? 8 : columns;
    span.size &= ~(size_t)3;
    aec_result result =
        aec_decode_latents(weights, damaged, span.size, file->info.rate, rows, columns, NULL, latents);
    if (!below(20)) /* whatever is in the latents by now */
        aec_synthesise(weights, latents, file->info.rate, rows, columns, NULL, samples);
    free(damaged);
    return result.status != AEC_OK;
}

/* Whether what there is of a file that is cut off was shown, or could not be. */
static int preview(const aec_weights *weights, const aec_file *file, const uint8_t *data, size_t size)
{
    static _Alignas(2) uint8_t samples[1 << 22];
    size_t kept = below(size + 1);
    int is_damaged = kept && below(2), can_be_shown = kept > (size_t)(file->payloads - data);
    uint8_t *copy = malloc(kept ? kept : 1);
    if (!copy)
        exit(2);
    memcpy(copy, data, kept);
    if (is_damaged)
        copy[below(kept)] ^= (uint8_t)(1 << below(8));
    aec_options options = {.max_pixels = 1 << 20, .preview = 1, .scale = 1 << below(5)};
    aec_result result = aec_decode(weights, copy, kept, &options, samples, sizeof samples);
    free(copy);
    return is_damaged || !can_be_shown || result.status == AEC_OK;
}

/* The body of a chunk X or L, and what is in it. */
static int exact_pixels(const aec_file *file)
{
    static _Alignas(2) uint8_t samples[1 << 22];
    aec_file copy = *file;
    aec_sink sink = {samples, file->info.width, file->info.height, file->info.channels, 0, 0, 8};
    uint8_t *damaged = damage(file->exact.body, &copy.exact.size);
    copy.exact.body = damaged;
    if ((uint64_t)sink.width * sink.height * sink.channels > sizeof samples)
        exit(2);
    aec_result result = aec_check_exact(&copy);
    if (result.status == AEC_OK)
        result = aec_lay_exact(&copy, 1, NULL, &sink);
    free(damaged);
    return result.status != AEC_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t size, refused = 0, count = (size_t)atoi(argv[2]);
    seed = getenv("SEED") ? (uint64_t)atoll(getenv("SEED")) * 0x9E3779B97F4A7C15u : seed;
    uint8_t *data = read_file(argv[1], &size);
    aec_weights *weights, *others;
    if (aec_weights_open(data, size, &weights).status != AEC_OK)
        return 2;
    for (size_t i = 0; i < count / 10; i++) {
        /* in the header, where sizes are, or anywhere */
        size_t damaged_size = size;
        uint8_t *damaged = damage(data, &damaged_size);
        damaged[below(damaged_size < 9000 ? damaged_size + !damaged_size : 9000)] ^= (uint8_t)(1 << below(8));
        if (aec_weights_open(damaged, damaged_size, &others).status == AEC_OK)
            aec_weights_free(others);
        else
            refused++;
        free(damaged);
    }
    printf("weights: %zu of %zu refused\n", refused, count / 10);
    free(data);
    int missed = 0;
    for (int i = 3; i < argc; i++) {
        aec_file file;
        size_t whole = 0, payloads = 0, exact = 0, previews = 0;
        data = read_file(argv[i], &size);
        if (aec_read_head(data, size, 0, &file).status != AEC_OK || aec_read_payloads(&file).status != AEC_OK)
            return 2;
        for (size_t n = 0; n < count; n++) {
            whole += (size_t)whole_file(weights, data, size);
            payloads += file.info.lossless ? 0 : (size_t)payload(weights, &file);
            exact += file.exact.body ? (size_t)exact_pixels(&file) : 0;
            previews += (size_t)preview(weights, &file, data, size);
        }
        printf("%s: %zu of %zu damaged files refused, %zu payloads, %zu exact pixels; %zu previews\n", argv[i], whole, count,
               payloads, exact, previews);
        missed |= whole < count || previews < count;
        free(data);
    }
    aec_weights_free(weights);
    return missed;
}
