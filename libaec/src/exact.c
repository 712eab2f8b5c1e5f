/* Exact pixels: the body of a chunk X or L, docs/format.md, sections 3.4 and 3.5. */

#include "context.h"
#include "webp_lossless.h"

#include <stdlib.h>

#define PART 4096  /* the side of a part */
#define HEAD_MAX 6 /* bytes of a stream in which its size stands */

#define MISSING 0x00808080u /* a pixel that is not there, in a picture that has alpha */

/* A picture of exact pixels: where it stands, and its stream, which may be cut off. */
typedef struct {
    aec_box box;
    aec_span stream;
} Picture;

static const aec_result wrong_length = {AEC_DAMAGED, "the file is damaged (length of the exact pixels)"};

static int has_contexts(const aec_span *stream)
{
    return stream->size && *stream->body == CONTEXT_SIGNATURE;
}

static uint32_t part_columns(const aec_file *file)
{
    return (file->info.width + PART - 1) / PART;
}

static uint32_t part_count(const aec_file *file)
{
    return part_columns(file) * ((file->info.height + PART - 1) / PART);
}

/* Takes the numbers in front of the stream of a picture; top and left only where its length is not 0. */
static aec_result take_place(aec_cursor *in, const aec_file *file, uint64_t *length, uint64_t *top, uint64_t *left)
{
    *length = *top = *left = 0;
    TRY(aec_take_varint(in, length));
    if (!*length || file->info.lossless)
        return OK;
    TRY(aec_take_varint(in, top));
    return aec_take_varint(in, left);
}

/* Takes the picture of the next part; an empty box where it has none. */
static aec_result take_picture(aec_cursor *in, const aec_file *file, uint32_t index, Picture *picture)
{
    uint64_t length, top, left;
    uint32_t row = index / part_columns(file) * PART, column = index % part_columns(file) * PART;
    uint32_t height = file->info.height - row < PART ? file->info.height - row : PART;
    uint32_t width = file->info.width - column < PART ? file->info.width - column : PART, rows, columns;
    *picture = (Picture){{0, 0, 0, 0}, {NULL, 0, 0}};
    aec_result result = take_place(in, file, &length, &top, &left);
    size_t there = in->size - in->position;
    picture->stream = (aec_span){in->data + in->position, there, file->exact.is_cut && (result.status || length > there)};
    if (picture->stream.is_cut && there < HEAD_MAX) { /* not even its size */
        if (file->info.lossless)
            picture->box = (aec_box){row, column, height, width};
        in->position = in->size;
        return OK;
    }
    TRY(result);
    if (!length && !file->info.lossless)
        return OK;
    if (!picture->stream.is_cut) {
        if (length > there)
            return wrong_length;
        picture->stream.size = (size_t)length;
    }
    in->position += picture->stream.size;
    TRY((has_contexts(&picture->stream) ? aec_context_size : aec_webp_size)(picture->stream.body, picture->stream.size,
                                                                            &columns, &rows));
    if (file->info.lossless && (rows != height || columns != width))
        FAIL(AEC_DAMAGED, "the file is damaged (exact pixels of another size)");
    if (top > height || left > width || rows > height - top || columns > width - left)
        FAIL(AEC_DAMAGED, "the file is damaged (exact pixels outside their part)");
    picture->box = (aec_box){row + (uint32_t)top, column + (uint32_t)left, rows, columns};
    return OK;
}

aec_result aec_check_exact(const aec_file *file)
{
    aec_cursor in = {file->exact.body, file->exact.size, 0};
    int found = 0;
    for (uint32_t i = 0, count = part_count(file); i < count; i++) {
        Picture picture;
        TRY(take_picture(&in, file, i, &picture));
        found |= picture.box.width > 0;
    }
    return (found || file->exact.is_cut) && in.position == in.size ? OK : wrong_length;
}

/* Writes the pixels of a picture that are exact over those of an area. */
static void lay(const aec_file *file, const Picture *picture, const uint32_t *pixels, const aec_sink *sink)
{
    const aec_box *box = &picture->box;
    for (uint32_t y = 0; y < box->height; y++)
        for (uint32_t x = 0; x < box->width; x++) {
            /* unsigned differences are large where a pixel is above or to the left of the area */
            size_t row = (size_t)box->top + y - sink->top, column = (size_t)box->left + x - sink->left;
            uint32_t pixel = pixels[(size_t)y * box->width + x], red = pixel >> 16 & 255, green = pixel >> 8 & 255;
            if (row >= sink->height || column >= sink->width || (!file->info.lossless && !(pixel >> 24)))
                continue;
            size_t to = (row * sink->width + column) * sink->channels, channels = sink->channels;
            uint32_t values[3] = {red, green, pixel & 255};
            for (int c = 0; c < 3; c++)
                values[c] = aec_scaled(values[c], 8, sink->depth);
            if (channels < 3)
                values[0] = (values[0] + values[1] + values[2] + 1) / 3;
            for (size_t c = 0; c < (channels < 3 ? 1 : 3); c++)
                aec_set_sample(sink->samples, sink->depth, to + c, values[c]);
            if (file->alpha_in_exact)
                aec_set_sample(sink->samples, sink->depth, to + channels - 1, aec_scaled(pixel >> 24, 8, sink->depth));
        }
}

/* Mixes the exact pixels of a square of a smaller picture's sample with what is decoded of it. */
static void mix(const aec_file *file, const Picture *picture, const uint32_t *pixels, uint32_t scale, uint32_t top,
                uint32_t left, const aec_sink *sink)
{
    const aec_box *box = &picture->box;
    uint32_t bottom = top + scale < file->info.height ? top + scale : file->info.height;
    uint32_t right = left + scale < file->info.width ? left + scale : file->info.width;
    uint32_t area = (bottom - top) * (right - left), weight = 0, alpha = 0, sum[3] = {0};
    int by_alpha = file->alpha_in_exact; /* colour that is not seen counts for nothing */
    for (uint32_t y = top > box->top ? top : box->top; y < bottom && y < box->top + box->height; y++)
        for (uint32_t x = left > box->left ? left : box->left; x < right && x < box->left + box->width; x++) {
            uint32_t pixel = pixels[(size_t)(y - box->top) * box->width + (x - box->left)];
            uint32_t one = by_alpha ? pixel >> 24 : file->info.lossless || pixel >> 24;
            weight += one;
            alpha += pixel >> 24;
            for (int c = 0; c < 3; c++)
                sum[c] += one * (pixel >> (16 - 8 * c) & 255);
            if (sink->channels < 3)
                sum[0] += one * (((pixel >> 16 & 255) + (pixel >> 8 & 255) + (pixel & 255) + 1) / 3 - (pixel >> 16 & 255));
        }
    uint32_t all = by_alpha ? weight : area;
    size_t row = top / scale - sink->top, column = left / scale - sink->left;
    uint8_t *to = (uint8_t *)sink->samples + (row * sink->width + column) * sink->channels;
    for (size_t c = 0; c < (sink->channels < 3 ? 1 : 3); c++) {
        uint32_t rest = all > weight ? (all - weight) * to[c] : 0;
        to[c] = (uint8_t)(all ? (rest + sum[c] + all / 2) / all : 0);
    }
    if (by_alpha)
        to[sink->channels - 1] = (uint8_t)((alpha + area / 2) / area);
}

static uint32_t larger(uint32_t a, size_t b)
{
    return a > b ? a : (uint32_t)b;
}

static uint32_t least(uint32_t a, size_t b)
{
    return a < b ? a : (uint32_t)b;
}

/* The picture and the area overlap. */
static void lay_scaled(const aec_file *file, const Picture *picture, const uint32_t *pixels, uint32_t scale,
                       const aec_sink *sink)
{
    const aec_box *box = &picture->box; /* within a part, whose side is a multiple of any scale */
    uint32_t first_row = larger(box->top / scale, sink->top), first_column = larger(box->left / scale, sink->left);
    uint32_t last_row = least((box->top + box->height - 1) / scale, sink->top + sink->height - 1);
    uint32_t last_column = least((box->left + box->width - 1) / scale, sink->left + sink->width - 1);
    for (uint32_t row = first_row; row <= last_row; row++)
        for (uint32_t column = first_column; column <= last_column; column++)
            mix(file, picture, pixels, scale, row * scale, column * scale, sink);
}

static aec_result decode_stream(const aec_span *stream, const aec_options *options, uint32_t *rows, uint32_t *pixels)
{
    if (has_contexts(stream))
        return aec_context_decode(stream->body, stream->size, options, rows, pixels);
    return aec_webp_decode(stream->body, stream->size, rows, pixels);
}

/* Decodes a picture.  Of one that is cut the rows are shown that are whole. */
static aec_result decode_picture(const aec_file *file, const Picture *picture, const aec_options *options, uint32_t *pixels)
{
    if (!picture->stream.is_cut)
        return decode_stream(&picture->stream, options, NULL, pixels);
    uint32_t rows = 0, missing = !file->info.lossless ? 0 : file->alpha_in_exact ? MISSING : MISSING | 0xFF000000u;
    if (picture->stream.size >= HEAD_MAX)
        TRY(decode_stream(&picture->stream, options, &rows, pixels));
    for (size_t i = (size_t)rows * picture->box.width; i < (size_t)picture->box.height * picture->box.width; i++)
        pixels[i] = missing;
    return OK;
}

static int overlap(const aec_box *box, const aec_sink *sink, size_t scale)
{
    return box->width && box->top < (sink->top + sink->height) * scale && sink->top * scale < (size_t)box->top + box->height &&
           box->left < (sink->left + sink->width) * scale && sink->left * scale < (size_t)box->left + box->width;
}

aec_result aec_lay_exact(const aec_file *file, int scale, const aec_options *options, const aec_sink *sink)
{
    aec_cursor in = {file->exact.body, file->exact.size, 0};
    for (uint32_t i = 0, count = part_count(file); i < count; i++) {
        Picture picture;
        TRY(take_picture(&in, file, i, &picture));
        if (!overlap(&picture.box, sink, (size_t)scale))
            continue;
        uint32_t *pixels = malloc((size_t)picture.box.width * picture.box.height * sizeof *pixels);
        if (!pixels)
            return NO_MEMORY;
        aec_result result = decode_picture(file, &picture, options, pixels);
        if (result.status == AEC_OK && scale == 1)
            lay(file, &picture, pixels, sink);
        else if (result.status == AEC_OK)
            lay_scaled(file, &picture, pixels, (uint32_t)scale, sink);
        free(pixels);
        TRY(result);
    }
    return OK;
}
