/* libaec as a WebAssembly module without imports: what aecodec/view/module/aecodec.js calls.  "make wasm" builds it.

   One instance serves one thread.  A call returns an aec_status, and aec_web_message() the sentence about it. */

#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(#name), visibility("default"))) name

static aec_result last;
static aec_info info;
static uint8_t *samples;

/* libaec formats names of tensors alone, with %s and %d; the C library's own would bring files and floats along. */
int snprintf(char *restrict out, size_t size, const char *restrict format, ...)
{
    va_list arguments;
    size_t at = 0;
    va_start(arguments, format);
    for (; *format; format++) {
        char digits[12] = {*format, 0};
        const char *text = digits;
        int kind = *format == '%' ? *++format : 0;
        if (kind == 's')
            text = va_arg(arguments, const char *);
        else if (kind == 'd') {
            unsigned value = va_arg(arguments, unsigned);
            char *digit = digits + sizeof digits - 1;
            for (*digit = 0; digit == digits + sizeof digits - 1 || value; value /= 10)
                *--digit = (char)('0' + value % 10);
            text = digit;
        }
        for (; *text; text++, at++)
            if (at + 1 < size)
                out[at] = *text;
    }
    va_end(arguments);
    if (size)
        out[at < size ? at : size - 1] = 0;
    return (int)at;
}

static int status(aec_result result)
{
    last = result;
    return (int)result.status;
}

const char *EXPORT(aec_web_message)(void)
{
    return last.message;
}

void *EXPORT(aec_web_allocate)(size_t size)
{
    return malloc(size);
}

void EXPORT(aec_web_free)(void *memory)
{
    free(memory);
}

/* The id of the weights may be NULL: their bytes are then hashed. */
int EXPORT(aec_web_open)(const uint8_t *data, size_t size, const uint8_t *id, aec_weights **weights)
{
    return status(id ? aec_weights_open_as(data, size, id, weights) : aec_weights_open(data, size, weights));
}

void EXPORT(aec_web_close)(aec_weights *weights)
{
    aec_weights_free(weights);
}

void EXPORT(aec_web_id)(const aec_weights *weights, uint8_t id[4])
{
    aec_weights_id(weights, id);
}

/* Writes width, height, channels, rate, tile, lossless, depth and truncated to fields, and the id of the weights behind
   them. */
int EXPORT(aec_web_info)(const uint8_t *data, size_t size, int preview, uint32_t fields[9])
{
    aec_result result = preview ? aec_read_preview_info(data, size, &info) : aec_read_info(data, size, &info);
    if (result.status == AEC_OK) {
        const uint32_t values[8] = {info.width, info.height,   info.channels, info.rate,
                                    info.tile,  info.lossless, info.depth,    info.truncated};
        __builtin_memcpy(fields, values, sizeof values);
        __builtin_memcpy(fields + 8, info.weights, 4);
    }
    return status(result);
}

/* Checks the whole file before memory is taken for its pixels: memory that an instance once took it keeps. */
static aec_result decode(const aec_weights *weights, const uint8_t *data, size_t size, const aec_options *options)
{
    aec_file file;
    TRY(aec_read_head(data, size, options->preview, &file));
    uint64_t pixels = (uint64_t)file.info.width * file.info.height;
    if (pixels > options->max_pixels)
        FAIL(AEC_LIMIT, "the picture is over the limit of pixels");
    TRY(aec_read_payloads(&file));
    if (pixels * file.info.channels > SIZE_MAX / 8)
        FAIL(AEC_LIMIT, "the picture is too large for this machine");
    size_t capacity = (size_t)(pixels * file.info.channels * (options->depth > 8 ? 2 : 1));
    samples = malloc(capacity);
    if (!samples)
        return NO_MEMORY;
    return aec_decode(weights, data, size, options, samples, capacity);
}

/* Decodes a file to samples of `depth` bits; weights may be NULL for one without loss.  aec_web_samples() then has the
   samples, until it is freed. */
int EXPORT(aec_web_decode)(const aec_weights *weights, const uint8_t *data, size_t size, uint32_t max_pixels,
                           uint32_t depth, int plain_kernels, int preview)
{
    aec_options options = {.max_pixels = max_pixels, .depth = depth, .preview = preview};
    options.kernels = plain_kernels ? AEC_KERNELS_PLAIN : AEC_KERNELS_BEST;
    samples = NULL;
    aec_result result = decode(weights, data, size, &options);
    if (result.status != AEC_OK) {
        free(samples);
        samples = NULL;
    }
    return status(result);
}

uint8_t *EXPORT(aec_web_samples)(void)
{
    return samples;
}
