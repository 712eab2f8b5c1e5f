/* Header, chunks and alpha: docs/format.md, section 3. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SIDE ((uint32_t)1 << 22)
#define EXPANSION 1032 /* bytes that one byte of a zlib stream can become at most */
#define ELSEWHERE 8    /* form of the alpha that stands with the colour */

static const int depths[4] = {8, 10, 12, 16};
static const uint8_t magic[7] = {0x8F, 'a', 'e', 'c', '\r', '\n', '\n'};

static const aec_result truncated_file = {AEC_DAMAGED, "the file is truncated"};

aec_result aec_take_varint(aec_cursor *in, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (in->position == in->size)
            return truncated_file;
        uint8_t byte = in->data[in->position++];
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            if (!byte && shift)
                FAIL(AEC_DAMAGED, "the file is damaged (a number is not in its shortest form)");
            return OK;
        }
    }
    FAIL(AEC_DAMAGED, "the file is damaged (a number is too long)");
}

static aec_result take_header(aec_cursor *in, aec_info *info)
{
    const uint8_t *data = in->data;
    if (!in->size)
        FAIL(AEC_DAMAGED, "the file is empty");
    if (in->size < 7 || memcmp(data, magic, 7)) {
        if (in->size >= 4 && !memcmp(data, magic, 4))
            FAIL(AEC_DAMAGED, "the file is truncated, or damaged by a transfer in text mode");
        FAIL(AEC_DAMAGED, "this is no aecodec file");
    }
    if (in->size < 9)
        return truncated_file;
    if (data[7] != 1 && data[7] != 2)
        FAIL(AEC_UNSUPPORTED, "the file has another format version than 1 or 2");
    uint8_t layout = data[8];
    uint64_t width, height;
    in->position = 9;
    TRY(aec_take_varint(in, &width));
    TRY(aec_take_varint(in, &height));
    if (in->size - in->position < 10)
        return truncated_file;
    memcpy(info->weights, data + in->position, 4);
    uint32_t rate = data[in->position + 4] | (uint32_t)data[in->position + 5] << 8;
    in->position += 6;
    if (load32(data + in->position) != aec_crc32(0, data, in->position))
        FAIL(AEC_DAMAGED, "the file's header is damaged (checksum)");
    in->position += 4;
    int mode = layout & 3, depth = layout >> 2 & 3, tile = layout >> 4;
    if (mode > 1 || (depth && data[7] == 1) || tile > 8)
        FAIL(AEC_UNSUPPORTED, "the file uses a layout that this library does not know");
    if (!width || !height || width > MAX_SIDE || height > MAX_SIDE || rate > MAX_RATE)
        FAIL(AEC_DAMAGED, "the file's header holds impossible values");
    info->width = (uint32_t)width;
    info->height = (uint32_t)height;
    info->channels = mode ? 3 : 1;
    info->rate = rate;
    info->tile = tile ? 128u << tile : 0;
    info->depth = (uint32_t)depths[depth];
    return OK;
}

/* Takes a type, and a body as far as it is there; the checksum follows.  A span that is cut ends with the file. */
static aec_result take_body(aec_cursor *in, uint8_t *kind, aec_span *span)
{
    uint64_t length = 0;
    *span = (aec_span){in->data + in->size, 0, 1};
    if (in->position == in->size)
        return OK;
    *kind = in->data[in->position++];
    aec_result result = aec_take_varint(in, &length);
    if (result.status != AEC_OK)
        return in->position == in->size ? OK : result;
    size_t left = in->size - in->position;
    *span = (aec_span){in->data + in->position, left, 1};
    if (left >= 4 && length <= left - 4)
        *span = (aec_span){span->body, (size_t)length, 0};
    else if (length < left)
        span->size = (size_t)length;
    in->position = span->is_cut ? in->size : in->position + span->size;
    return OK;
}

/* Takes a chunk and checks it.  One that is cut is refused where the file may not be. */
static aec_result take_chunk(aec_cursor *in, int may_be_cut, uint8_t *kind, aec_span *span)
{
    TRY(take_body(in, kind, span));
    if (span->is_cut)
        return may_be_cut ? OK : truncated_file;
    uint32_t crc = aec_crc32(aec_crc32(0, kind, 1), span->body, span->size);
    if (load32(in->data + in->position) != crc)
        FAIL(AEC_DAMAGED, "the file is damaged (checksum)");
    in->position += 4;
    return OK;
}

aec_result aec_read_head(const uint8_t *data, size_t size, int may_be_cut, aec_file *file)
{
    aec_cursor in = {data, size, 0};
    uint8_t seen[256] = {0};
    memset(file, 0, sizeof *file);
    file->may_be_cut = may_be_cut;
    TRY(take_header(&in, &file->info));
    uint64_t side = file->info.tile, columns = 1, rows = 1;
    if (side) {
        columns = (file->info.width + side - 1) / side;
        rows = (file->info.height + side - 1) / side;
    }
    file->tiles = (size_t)(rows * columns);
    for (aec_span span = {NULL, 0, 0}; !span.is_cut;) {
        uint8_t kind = in.position < in.size ? data[in.position] : 0;
        file->info.lossless = kind == 'L';
        if (kind == 'P' || kind == 'L')
            break;
        TRY(take_chunk(&in, may_be_cut, &kind, &span));
        if (kind == 'X')
            file->exact = span;
        else if (kind == 'A' && !span.is_cut) {
            file->alpha = span;
            file->info.channels++;
        } else if (kind && kind != 'A' && (kind < 'a' || kind > 'z'))
            FAIL(AEC_UNSUPPORTED, "the file needs a feature that this library does not know (a critical chunk)");
        if (seen[kind]++)
            FAIL(AEC_DAMAGED, "the file is damaged (two chunks of a type)");
        if (span.is_cut)
            continue;
        if ((kind == 'h' && span.size != HASH_BYTES) || (kind == 's' && span.size != 4))
            FAIL(AEC_DAMAGED, "the file is damaged (length of a hash or of colours)");
        if (kind == 'h') {
            file->hash = span.body;
            file->info.hashed = 1;
        } else if (kind == 's')
            memcpy(file->info.cicp, span.body, 4);
    }
    file->payloads = data + in.position;
    file->payloads_size = size - in.position;
    if (!file->payloads_size && !file->exact.body)
        FAIL(AEC_DAMAGED, "the file is truncated: nothing of its picture is there");
    return OK;
}

aec_result aec_find_chunks(const uint8_t *data, size_t size, int type, aec_span *plain, aec_span *packed)
{
    aec_cursor in = {data, size, 0};
    aec_info info;
    TRY(take_header(&in, &info));
    for (;;) {
        uint8_t kind = 0;
        aec_span span;
        TRY(take_chunk(&in, 1, &kind, &span));
        if (span.is_cut || kind == 'P' || kind == 'L')
            return OK;
        if (kind == type)
            *plain = span;
        else if (kind == 'm')
            *packed = span;
    }
}

aec_result aec_read_payloads(aec_file *file)
{
    aec_cursor in = {file->payloads, file->payloads_size, 0};
    aec_span span = {NULL, 0, !file->payloads_size};
    for (size_t i = 0; i < (file->info.lossless ? 1 : file->tiles) && !span.is_cut; i++) {
        uint8_t kind = 'P';
        TRY(take_chunk(&in, file->may_be_cut, &kind, &span));
        if (file->info.lossless) {
            if (file->exact.body)
                FAIL(AEC_DAMAGED, "the file is damaged (exact pixels of a picture that is exact)");
            file->exact = span;
        } else if (kind != 'P')
            FAIL(AEC_DAMAGED, "the file is damaged (a chunk among its tiles)");
    }
    file->info.truncated = span.is_cut > 0;
    if (in.position != in.size)
        FAIL(AEC_DAMAGED, "bytes follow the end of the file");
    file->alpha_in_exact = file->info.lossless && file->alpha.size == 1 && file->alpha.body[0] == ELSEWHERE;
    if (file->exact.body && file->info.depth > 8)
        FAIL(AEC_DAMAGED, "the file is damaged (exact pixels of 8 bits in a picture of more)");
    return file->exact.body ? aec_check_exact(file) : OK;
}

aec_span aec_next_payload(const aec_file *file, size_t *position)
{
    aec_cursor in = {file->payloads, file->payloads_size, *position};
    aec_span span;
    uint8_t kind;
    take_body(&in, &kind, &span);
    *position = span.is_cut ? in.size : in.position + 4;
    return span;
}

aec_result aec_read_info(const uint8_t *data, size_t size, aec_info *info)
{
    aec_file file;
    if (!data || !info)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    TRY(aec_read_head(data, size, 0, &file));
    *info = file.info;
    return OK;
}

aec_result aec_read_preview_info(const uint8_t *data, size_t size, aec_info *info)
{
    aec_file file;
    if (!data || !info)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    TRY(aec_read_head(data, size, 1, &file));
    TRY(aec_read_payloads(&file));
    *info = file.info;
    return OK;
}

enum { LEFT = 1, ABOVE = 2, BITS = 4 };

/* Undoes the differences of rows of bytes in place. */
static void accumulate(uint8_t *data, size_t rows, size_t columns, int form)
{
    if (form & LEFT)
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 1; k < columns; k++)
                data[r * columns + k] = (uint8_t)(data[r * columns + k] + data[r * columns + k - 1]);
    if (form & ABOVE)
        for (size_t i = columns; i < rows * columns; i++)
            data[i] = (uint8_t)(data[i] + data[i - columns]);
}

/* The mean alpha of the square at (scale * y, scale * x), as far as it is in the picture. */
static uint8_t mean_alpha(const uint8_t *data, size_t columns, int form, const aec_info *info, size_t y, size_t x,
                          size_t scale)
{
    size_t bottom = scale * (y + 1) < info->height ? scale * (y + 1) : info->height;
    size_t right = scale * (x + 1) < info->width ? scale * (x + 1) : info->width;
    size_t sum = 0, area = (bottom - scale * y) * (right - scale * x);
    for (size_t i = scale * y; i < bottom; i++)
        for (size_t j = scale * x; j < right; j++) {
            const uint8_t *row = data + i * columns;
            sum += form & BITS ? (row[j / 8] >> (7 - j % 8) & 1 ? 255 : 0) : row[j];
        }
    return (uint8_t)((sum + area / 2) / area);
}

aec_result aec_decode_alpha(const aec_file *file, int scale, const aec_sink *sink)
{
    static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (alpha)"};
    size_t height = file->info.height, width = file->info.width;
    int form = file->alpha.size ? file->alpha.body[0] : 255;
    if (form > 6 || form == (LEFT | BITS) || form == (LEFT | ABOVE | BITS))
        return damaged;
    size_t columns = form & BITS ? (width + 7) / 8 : width, size = height * columns;
    if (size / EXPANSION > file->alpha.size) /* so that a short body claims no memory */
        return damaged;
    uint8_t *data = malloc(size);
    if (!data)
        return NO_MEMORY;
    int whole = aec_inflate(file->alpha.body + 1, file->alpha.size - 1, data, size);
    if (whole) {
        accumulate(data, height, columns, form);
        size_t to = sink->channels - 1;
        for (size_t y = sink->top; y < sink->top + sink->height; y++)
            for (size_t x = sink->left; x < sink->left + sink->width; x++, to += sink->channels) {
                uint32_t value = mean_alpha(data, columns, form, &file->info, y, x, (size_t)scale);
                aec_set_sample(sink->samples, sink->depth, to, aec_scaled(value, 8, sink->depth));
            }
    }
    free(data);
    return whole ? OK : damaged;
}
