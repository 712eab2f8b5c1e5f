/* The lossless coder of contexts, reading: docs/format.md, section 5.6.  aecodec/entropy/_context.c writes. */

#include "context.h"

#define SIDE_MAX 4096
#define BAND (1u << 21)       /* pixels, about */
#define BLOCK (1u << 22)      /* decisions of an entropy stream */
#define HAS_ALPHA 1
#define HAS_MASK 2
#define IS_NEAR 4

typedef struct {
    Stream stream;
    uint32_t left; /* decisions, of the block */
    int has_failed;
    int is_over; /* whether the stream ended early */
} Coder;

static int begin_block(Coder *coder)
{
    coder->is_over = coder->stream.size - coder->stream.position < STATE_BYTES;
    coder->left = BLOCK;
    return begin_stream(&coder->stream);
}

static int is_at_end(const Coder *coder)
{
    return coder->stream.x == LOWER && coder->stream.y == LOWER;
}

static inline int code(Coder *coder, uint32_t probability, int bit)
{
    if (!coder->left && (!is_at_end(coder) || !begin_block(coder)))
        coder->has_failed = 1;
    if (coder->has_failed)
        return 0;
    coder->left--;
    bit = (coder->stream.x & SLOT_MASK) < probability;
    if (!pop(&coder->stream, bit ? probability : 65536 - probability, bit ? 0 : probability))
        coder->has_failed = coder->is_over = 1;
    return bit;
}

#include "context_model.h"

static inline uint32_t cheaper(Model *model, Coder *coder, const uint32_t *r, const Around *place, const Guess *guess,
                               uint32_t value)
{
    (void)model, (void)coder, (void)r, (void)place, (void)guess;
    return value;
}

static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (exact pixels)"};

typedef struct {
    uint32_t width, height, flags;
} Head;

static aec_result take_head(aec_cursor *in, Head *head)
{
    uint64_t width, height;
    if (in->size < 2 || in->data[0] != CONTEXT_SIGNATURE || in->data[1] > (HAS_ALPHA | HAS_MASK | IS_NEAR))
        return damaged;
    in->position = 2;
    TRY(aec_take_varint(in, &width));
    TRY(aec_take_varint(in, &height));
    if (!width || width > SIDE_MAX || !height || height > SIDE_MAX)
        return damaged;
    *head = (Head){(uint32_t)width, (uint32_t)height, in->data[1]};
    return OK;
}

aec_result aec_context_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height)
{
    aec_cursor in = {data, size, 0};
    Head head;
    TRY(take_head(&in, &head));
    *width = head.width;
    *height = head.height;
    return OK;
}

typedef struct {
    uint32_t width, rows, flags;
    aec_span stream;
    uint32_t *pixels;
    uint32_t whole; /* rows of it that are */
    aec_result result;
} Band;

static void copy_band(const Model *model, Band *band)
{
    uint32_t visible = band->flags & IS_NEAR ? 254u << 24 : 255u << 24;
    for (uint32_t y = 0; y < band->whole; y++)
        for (uint32_t x = 0; x < band->width; x++) {
            ptrdiff_t from = (ptrdiff_t)y * model->stride + x;
            uint32_t pixel = model->pixels[from], *to = band->pixels + (size_t)y * band->width + x;
            if (!(band->flags & HAS_MASK))
                *to = pixel;
            else
                *to = model->inside[from] ? (pixel & 0xFFFFFF) | visible : 0;
        }
}

static void decode_band(void *argument, int index)
{
    Band *band = (Band *)argument + index;
    Coder coder = {.stream = {LOWER, LOWER, band->stream.body, 0, (ptrdiff_t)band->stream.size}};
    Model *model = open_model(band->width, band->rows, !!(band->flags & HAS_ALPHA), !!(band->flags & HAS_MASK));
    if (!model) {
        band->result = NO_MEMORY;
        return;
    }
    if (!model->inside || code_mask(model, &coder) == band->rows)
        band->whole = code_pixels(model, &coder);
    int is_done = band->whole == band->rows && is_at_end(&coder) && coder.stream.position == coder.stream.size;
    band->result = is_done || (band->stream.is_cut && coder.is_over) ? OK : damaged;
    copy_band(model, band);
    close_model(model);
}

/* Finds the streams of the bands. */
static aec_result take_bands(aec_cursor *in, const Head *head, int may_be_cut, uint32_t band_rows, uint32_t *pixels, Band *bands)
{
    for (uint32_t top = 0; top < head->height; top += band_rows, bands++) {
        uint64_t length = 0;
        aec_result result = aec_take_varint(in, &length);
        size_t there = in->size - in->position;
        int is_cut = result.status || length > there;
        if (is_cut && !may_be_cut)
            return damaged;
        *bands = (Band){.width = head->width,
                        .rows = head->height - top < band_rows ? head->height - top : band_rows,
                        .flags = head->flags,
                        .stream = {in->data + in->position, result.status ? 0 : is_cut ? there : (size_t)length, is_cut},
                        .pixels = pixels + (size_t)top * head->width};
        in->position = is_cut ? in->size : in->position + (size_t)length;
    }
    return in->position == in->size ? OK : damaged;
}

aec_result aec_context_decode(const uint8_t *data, size_t size, const aec_options *options, uint32_t *rows, uint32_t *pixels)
{
    aec_cursor in = {data, size, 0};
    Head head;
    TRY(take_head(&in, &head));
    uint32_t band_rows = BAND / head.width, count = (head.height + band_rows - 1) / band_rows;
    Band *bands = calloc(count, sizeof *bands);
    if (!bands)
        return NO_MEMORY;
    aec_result result = take_bands(&in, &head, rows != NULL, band_rows, pixels, bands);
    if (result.status == AEC_OK)
        aec_run(options, (int)count, decode_band, bands);
    if (rows)
        *rows = 0;
    int is_whole = 1;
    for (uint32_t i = 0; i < count && result.status == AEC_OK; i++) {
        result = bands[i].result;
        if (rows && is_whole)
            *rows += bands[i].whole;
        is_whole &= bands[i].whole == bands[i].rows;
    }
    free(bands);
    return result;
}
