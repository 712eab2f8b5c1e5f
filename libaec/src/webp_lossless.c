/* The decoder for pictures without loss.  Names are those of RFC 9649, section 3; where that leaves open what a damaged
   stream means, this refuses what libwebp refuses.

   A stream is read as bits, least significant first.  Past its end come zeros, and `over` says so: a loop need not ask at
   every bit, but no picture is returned that bits were missing from. */

#include "webp_lossless.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE 0x2F
#define BLACK 0xFF000000u
#define LITERALS 256
#define LENGTHS 24
#define DISTANCES 40
#define CACHE_BITS_MAX 11
#define SYMBOLS (LITERALS + LENGTHS + (1 << CACHE_BITS_MAX)) /* of the largest alphabet */
#define CODE_LENGTHS 19
#define LENGTH_MAX 15
#define FAST_BITS 8
#define LONGER 0xFFFF /* in a table: a code of more than FAST_BITS bits */
#define NEAR 120      /* distances that stand for a pixel nearby */

static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (exact pixels)"};

typedef struct {
    const uint8_t *data;
    size_t size, position;
    uint64_t bits;
    int count, over;
    uint32_t rows; /* of the picture itself: those that were read */
} Bits;

/* A prefix code.  table: what the next `bits` bits begin with, as symbol << 4 | length; then all symbols, in order. */
typedef struct {
    uint16_t *table;
    uint16_t count[LENGTH_MAX + 1]; /* codes of each length */
    int bits;
} Code;

enum { GREEN, RED, BLUE, ALPHA, DISTANCE, CODES };

typedef struct {
    Code codes[CODES];
} Group;

enum { PREDICTOR, COLOUR, SUBTRACT_GREEN, PALETTE };

typedef struct {
    int type, bits;
    uint32_t width;   /* of the picture that it makes */
    uint32_t *pixels; /* of its own image */
} Transform;

static void fill(Bits *in)
{
    for (; in->count <= 56 && in->position < in->size; in->count += 8)
        in->bits |= (uint64_t)in->data[in->position++] << in->count;
}

static void skip(Bits *in, int n)
{
    if (n > in->count) {
        in->over = 1;
        in->bits = 0;
        in->count = 0;
        return;
    }
    in->bits >>= n;
    in->count -= n;
}

/* The next n <= 24 bits. */
static uint32_t take(Bits *in, int n)
{
    fill(in);
    uint32_t value = (uint32_t)(in->bits & (((uint64_t)1 << n) - 1));
    skip(in, n);
    return value;
}

static uint32_t parts(uint32_t size, int bits)
{
    return (uint32_t)(((uint64_t)size + (1u << bits) - 1) >> bits);
}

/* Makes a code of the lengths of its symbols; it must be complete, or have a single symbol, which then takes no bits. */
static aec_result make_code(const uint8_t *lengths, int symbols, Code *code)
{
    int used = 0, longest = 0, left = 1;
    uint16_t offset[LENGTH_MAX + 1];
    memset(code->count, 0, sizeof code->count);
    for (int i = 0; i < symbols; i++)
        code->count[lengths[i]]++;
    code->count[0] = 0;
    for (int length = 1; length <= LENGTH_MAX; length++) {
        offset[length] = (uint16_t)used;
        used += code->count[length];
        longest = code->count[length] ? length : longest;
        left = 2 * left - code->count[length];
        if (left < 0)
            return damaged;
    }
    if (!used || (used > 1 && left))
        return damaged;
    code->bits = used == 1 ? 0 : longest < FAST_BITS ? longest : FAST_BITS;
    size_t fast = (size_t)1 << code->bits;
    code->table = malloc((fast + (size_t)used) * sizeof *code->table);
    if (!code->table)
        return NO_MEMORY;
    uint16_t *ordered = code->table + fast;
    for (int i = 0; i < symbols; i++)
        if (lengths[i])
            ordered[offset[lengths[i]]++] = (uint16_t)i;
    for (size_t i = 0; i < fast; i++)
        code->table[i] = LONGER;
    if (used == 1) {
        code->table[0] = (uint16_t)(ordered[0] << 4);
        return OK;
    }
    uint32_t next = 0, index = 0; /* the next code, most significant bit first, and its symbol's place */
    for (int length = 1; length <= code->bits; length++, next <<= 1)
        for (int i = 0; i < code->count[length]; i++, next++, index++) {
            uint32_t turned = 0; /* as the bits come in the stream */
            for (int bit = 0; bit < length; bit++)
                turned |= (next >> bit & 1) << (length - 1 - bit);
            for (size_t at = turned; at < fast; at += (size_t)1 << length)
                code->table[at] = (uint16_t)(ordered[index] << 4 | length);
        }
    return OK;
}

/* The next symbol; needs LENGTH_MAX bits at hand, but where the stream ends. */
static uint32_t symbol_of(Bits *in, const Code *code)
{
    uint32_t entry = code->table[in->bits & (((uint64_t)1 << code->bits) - 1)];
    if (entry != LONGER) {
        skip(in, (int)(entry & 15));
        return entry >> 4;
    }
    const uint16_t *ordered = code->table + ((size_t)1 << code->bits);
    uint32_t prefix = 0, first = 0, index = 0;
    for (int length = 1; length <= LENGTH_MAX; length++) {
        prefix |= (uint32_t)(in->bits >> (length - 1)) & 1;
        if (prefix - first < code->count[length]) {
            skip(in, length);
            return ordered[index + prefix - first];
        }
        index += code->count[length];
        first = (first + code->count[length]) << 1;
        prefix <<= 1;
    }
    in->over = 1; /* not reached: the code is complete */
    return 0;
}

static uint32_t take_symbol(Bits *in, const Code *code)
{
    fill(in);
    return symbol_of(in, code);
}

/* Reads the lengths of a code's symbols, themselves coded. */
static aec_result read_lengths(Bits *in, int symbols, uint8_t *lengths)
{
    static const uint8_t order[CODE_LENGTHS] = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t of_lengths[CODE_LENGTHS] = {0};
    Code code;
    int known = 4 + (int)take(in, 4), previous = 8, most = symbols;
    for (int i = 0; i < known; i++)
        of_lengths[order[i]] = (uint8_t)take(in, 3);
    if (take(in, 1)) {
        int bits = 2 + 2 * (int)take(in, 3);
        most = 2 + (int)take(in, bits);
    }
    if (most > symbols)
        return damaged;
    TRY(make_code(of_lengths, CODE_LENGTHS, &code));
    for (int at = 0; at < symbols && most > 0; most--) {
        int length = (int)take_symbol(in, &code), repeat = 1, value = length;
        if (length == 16) {
            repeat = 3 + (int)take(in, 2);
            value = previous;
        } else if (length > 16) {
            repeat = length == 17 ? 3 + (int)take(in, 3) : 11 + (int)take(in, 7);
            value = 0;
        } else if (length)
            previous = length;
        if (repeat > symbols - at || in->over) {
            free(code.table);
            return damaged;
        }
        memset(lengths + at, value, (size_t)repeat);
        at += repeat;
    }
    free(code.table);
    return OK;
}

static aec_result read_code(Bits *in, int symbols, Code *code)
{
    uint8_t lengths[SYMBOLS] = {0};
    if (take(in, 1)) {
        int two = (int)take(in, 1);
        lengths[take(in, take(in, 1) ? 8 : 1)] = 1;
        if (two)
            lengths[take(in, 8)] = 1;
    } else
        TRY(read_lengths(in, symbols, lengths));
    return in->over ? damaged : make_code(lengths, symbols, code);
}

static void free_groups(Group *groups, size_t count)
{
    for (size_t i = 0; groups && i < count; i++)
        for (int c = 0; c < CODES; c++)
            free(groups[i].codes[c].table);
    free(groups);
}

static aec_result read_groups(Bits *in, size_t count, int cache_bits, Group **groups)
{
    const int alphabet[CODES] = {LITERALS + LENGTHS + (cache_bits ? 1 << cache_bits : 0), 256, 256, 256, DISTANCES};
    if (count > (in->size - in->position + 8) * 8 / 20) { /* bits that a group takes at least */
        in->over = 1;
        return damaged;
    }
    *groups = calloc(count, sizeof **groups);
    if (!*groups)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < CODES; c++)
            TRY(read_code(in, alphabet[c], &(*groups)[i].codes[c]));
    return OK;
}

/* The number that a symbol for a length or a distance stands for, with the bits after it. */
static uint32_t take_number(Bits *in, uint32_t symbol)
{
    if (symbol < 4)
        return symbol + 1;
    int bits = (int)(symbol - 2) >> 1;
    return ((2 + (symbol & 1)) << bits) + take(in, bits) + 1;
}

/* The pixels nearby that the first distances stand for: the nearest first, then the one of smaller |x|, then the left one. */
static void list_near(int8_t near[NEAR][2])
{
    int at = 0;
    for (int square = 1; square <= 8 * 8 + 7 * 7; square++)
        for (int x = 0; x <= 8; x++)
            for (int y = 0; y <= 7; y++) {
                if (x * x + y * y != square)
                    continue;
                near[at][0] = (int8_t)x;
                near[at++][1] = (int8_t)y;
                if (x && x < 8 && y) {
                    near[at][0] = (int8_t)-x;
                    near[at++][1] = (int8_t)y;
                }
            }
}

typedef struct {
    uint32_t width, height;
    int cache_bits, part_bits; /* part_bits: of the parts that have a group each, where `meta` is not NULL */
    const uint32_t *meta;
    const Group *groups;
} Layout;

static aec_result read_pixels(Bits *in, const Layout *layout, uint32_t *pixels)
{
    int8_t near[NEAR][2];
    uint32_t cache[1 << CACHE_BITS_MAX] = {0};
    size_t width = layout->width, count = width * layout->height, stored = 0, at = 0;
    uint32_t across = parts(layout->width, layout->part_bits), x = 0, y = 0;
    list_near(near);
    while (at < count) {
        const Group *group = layout->groups;
        if (layout->meta)
            group += layout->meta[(size_t)(y >> layout->part_bits) * across + (x >> layout->part_bits)] >> 8 & 0xFFFF;
        uint32_t symbol = take_symbol(in, &group->codes[GREEN]), length = 1;
        if (symbol < LITERALS) {
            uint32_t red = symbol_of(in, &group->codes[RED]); /* fill() leaves more bits than three codes have */
            uint32_t blue = symbol_of(in, &group->codes[BLUE]);
            uint32_t alpha = take_symbol(in, &group->codes[ALPHA]);
            pixels[at] = alpha << 24 | red << 16 | symbol << 8 | blue;
        } else if (symbol < LITERALS + LENGTHS) {
            length = take_number(in, symbol - LITERALS);
            uint32_t far = take_number(in, take_symbol(in, &group->codes[DISTANCE]));
            int64_t back = far > NEAR ? (int64_t)far - NEAR : near[far - 1][0] + near[far - 1][1] * (int64_t)width;
            back = back < 1 ? 1 : back;
            if ((uint64_t)back > at || length > count - at)
                break;
            for (size_t i = at; i < at + length; i++)
                pixels[i] = pixels[i - (size_t)back];
        } else { /* the alphabet has these only where there is a cache */
            for (; stored < at; stored++)
                cache[0x1E35A7BDu * pixels[stored] >> (32 - layout->cache_bits)] = pixels[stored];
            pixels[at] = cache[symbol - LITERALS - LENGTHS];
        }
        if (in->over)
            break;
        at += length;
        for (x += length; x >= width; y++)
            x -= (uint32_t)width;
    }
    in->rows = y;
    return at == count ? OK : damaged;
}

/* Reads an entropy-coded image; a picture itself may have several groups of codes, which an image of their numbers says. */
static aec_result read_image(Bits *in, uint32_t width, uint32_t height, int is_picture, uint32_t *pixels)
{
    Layout layout = {.width = width, .height = height};
    uint32_t *meta = NULL;
    Group *groups = NULL;
    size_t count = 1;
    if (take(in, 1)) {
        layout.cache_bits = (int)take(in, 4);
        if (layout.cache_bits < 1 || layout.cache_bits > CACHE_BITS_MAX)
            return damaged;
    }
    if (is_picture && take(in, 1)) {
        layout.part_bits = 2 + (int)take(in, 3);
        uint32_t across = parts(width, layout.part_bits), down = parts(height, layout.part_bits);
        meta = malloc((size_t)across * down * sizeof *meta);
        if (!meta)
            return NO_MEMORY;
        aec_result result = read_image(in, across, down, 0, meta);
        if (result.status != AEC_OK) {
            free(meta);
            return result;
        }
        for (size_t i = 0; i < (size_t)across * down; i++)
            count = (meta[i] >> 8 & 0xFFFF) >= count ? (meta[i] >> 8 & 0xFFFF) + 1 : count;
    }
    aec_result result = read_groups(in, count, layout.cache_bits, &groups);
    layout.meta = meta;
    layout.groups = groups;
    in->rows = 0;
    if (result.status == AEC_OK)
        result = read_pixels(in, &layout, pixels);
    if (!is_picture)
        in->rows = 0;
    free_groups(groups, count);
    free(meta);
    return result;
}

/* Sums of the four samples of two pixels, modulo 256. */
static uint32_t add(uint32_t a, uint32_t b)
{
    uint32_t odd = (a & 0xFF00FF00u) + (b & 0xFF00FF00u), even = (a & 0x00FF00FFu) + (b & 0x00FF00FFu);
    return (odd & 0xFF00FF00u) | (even & 0x00FF00FFu);
}

static uint32_t average(uint32_t a, uint32_t b)
{
    return (((a ^ b) & 0xFEFEFEFEu) >> 1) + (a & b);
}

static int sample(uint32_t pixel, int shift)
{
    return (int)(pixel >> shift & 255);
}

static uint32_t clamped(int value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (uint32_t)value;
}

static uint32_t nearer(uint32_t left, uint32_t top, uint32_t corner)
{
    int to_left = 0, to_top = 0; /* distances of left + top - corner */
    for (int shift = 0; shift < 32; shift += 8) {
        to_left += abs(sample(top, shift) - sample(corner, shift));
        to_top += abs(sample(left, shift) - sample(corner, shift));
    }
    return to_left < to_top ? left : top;
}

static uint32_t full(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t pixel = 0;
    for (int shift = 0; shift < 32; shift += 8)
        pixel |= clamped(sample(a, shift) + sample(b, shift) - sample(c, shift)) << shift;
    return pixel;
}

static uint32_t half(uint32_t a, uint32_t b)
{
    uint32_t pixel = 0;
    for (int shift = 0; shift < 32; shift += 8)
        pixel |= clamped(sample(a, shift) + (sample(a, shift) - sample(b, shift)) / 2) << shift;
    return pixel;
}

/* What a pixel is predicted to be from its left neighbour and the three above; top[1] right of the last one is the first
   pixel of the row itself. */
static uint32_t predicted(int mode, uint32_t left, const uint32_t *top)
{
    switch (mode) {
    case 1: return left;
    case 2: return top[0];
    case 3: return top[1];
    case 4: return top[-1];
    case 5: return average(average(left, top[1]), top[0]);
    case 6: return average(left, top[-1]);
    case 7: return average(left, top[0]);
    case 8: return average(top[-1], top[0]);
    case 9: return average(top[0], top[1]);
    case 10: return average(average(left, top[-1]), average(top[0], top[1]));
    case 11: return nearer(left, top[0], top[-1]);
    case 12: return full(left, top[0], top[-1]);
    case 13: return half(average(left, top[0]), top[-1]);
    default: return BLACK;
    }
}

static void undo_prediction(const Transform *transform, uint32_t height, uint32_t *pixels)
{
    size_t width = transform->width, across = parts(transform->width, transform->bits);
    pixels[0] = add(pixels[0], BLACK);
    for (size_t x = 1; x < width; x++)
        pixels[x] = add(pixels[x], pixels[x - 1]);
    for (size_t y = 1; y < height; y++) {
        uint32_t *row = pixels + y * width;
        const uint32_t *modes = transform->pixels + (y >> transform->bits) * across;
        row[0] = add(row[0], row[0 - (ptrdiff_t)width]);
        for (size_t x = 1; x < width; x++)
            row[x] = add(row[x], predicted(modes[x >> transform->bits] >> 8 & 15, row[x - 1], row + x - width));
    }
}

static int delta(uint32_t factor, uint32_t colour)
{
    return (int8_t)(factor & 255) * (int8_t)(colour & 255) >> 5;
}

static void undo_colour(const Transform *transform, uint32_t height, uint32_t *pixels)
{
    size_t width = transform->width, across = parts(transform->width, transform->bits);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, pixels++) {
            uint32_t factors = transform->pixels[(y >> transform->bits) * across + (x >> transform->bits)];
            uint32_t green = *pixels >> 8, red = (*pixels >> 16) + (uint32_t)delta(factors, green);
            uint32_t blue = *pixels + (uint32_t)delta(factors >> 8, green) + (uint32_t)delta(factors >> 16, red);
            *pixels = (*pixels & 0xFF00FF00u) | (red & 255) << 16 | (blue & 255);
        }
}

static void undo_subtraction(const Transform *transform, uint32_t height, uint32_t *pixels)
{
    size_t count = (size_t)transform->width * height;
    for (size_t i = 0; i < count; i++)
        pixels[i] = add(pixels[i], (pixels[i] >> 8 & 255) * 0x00010001u);
}

/* From indices to colours, from the end: a packed picture grows in place. */
static void undo_palette(const Transform *transform, uint32_t height, uint32_t *pixels)
{
    size_t width = transform->width, packed = parts(transform->width, transform->bits);
    int each = 8 >> transform->bits;
    for (size_t y = height; y-- > 0;)
        for (size_t x = width; x-- > 0;) {
            uint32_t indices = pixels[y * packed + (x >> transform->bits)] >> 8 & 255;
            int shift = (int)(x & ((1u << transform->bits) - 1)) * each;
            pixels[y * width + x] = transform->pixels[indices >> shift & ((1u << each) - 1)];
        }
}

/* Reads a transform and its image; a palette changes the width of what follows. */
static aec_result read_transform(Bits *in, uint32_t *width, uint32_t height, Transform *transform)
{
    transform->width = *width;
    if (transform->type == SUBTRACT_GREEN)
        return OK;
    if (transform->type == PALETTE) {
        uint32_t colours = take(in, 8) + 1;
        transform->bits = colours > 16 ? 0 : colours > 4 ? 1 : colours > 2 ? 2 : 3;
        transform->pixels = calloc(256, sizeof *transform->pixels); /* indices beyond the colours are transparent black */
        if (!transform->pixels)
            return NO_MEMORY;
        TRY(read_image(in, colours, 1, 0, transform->pixels));
        for (uint32_t i = 1; i < colours; i++)
            transform->pixels[i] = add(transform->pixels[i], transform->pixels[i - 1]);
        *width = parts(*width, transform->bits);
        return OK;
    }
    transform->bits = 2 + (int)take(in, 3);
    uint32_t across = parts(*width, transform->bits), down = parts(height, transform->bits);
    transform->pixels = malloc((size_t)across * down * sizeof *transform->pixels);
    return transform->pixels ? read_image(in, across, down, 0, transform->pixels) : NO_MEMORY;
}

/* Reads the transforms, four at most, and the picture, and takes them back. */
static aec_result read_picture(Bits *in, uint32_t width, uint32_t height, Transform *transforms, uint32_t *pixels)
{
    static void (*const undo[])(const Transform *, uint32_t, uint32_t *) = {undo_prediction, undo_colour, undo_subtraction,
                                                                            undo_palette};
    int count = 0, seen = 0;
    for (; take(in, 1); count++) {
        int type = (int)take(in, 2);
        if (seen >> type & 1 || in->over)
            return damaged;
        seen |= 1 << type;
        transforms[count].type = type;
        TRY(read_transform(in, &width, height, transforms + count));
    }
    aec_result result = read_image(in, width, height, 1, pixels);
    if (result.status == AEC_OK || in->over)
        while (count-- && in->rows)
            undo[transforms[count].type](transforms + count, in->rows, pixels);
    return result;
}

aec_result aec_webp_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height)
{
    if (size < 5 || data[0] != SIGNATURE || data[4] >> 5) /* the version */
        return damaged;
    uint32_t fields = load32(data + 1);
    *width = (fields & 0x3FFF) + 1;
    *height = (fields >> 14 & 0x3FFF) + 1;
    return OK;
}

aec_result aec_webp_decode(const uint8_t *data, size_t size, uint32_t *rows, uint32_t *pixels)
{
    uint32_t width, height;
    Transform transforms[4] = {{0}};
    Bits in = {.data = data, .size = size, .position = 5};
    TRY(aec_webp_size(data, size, &width, &height));
    aec_result result = read_picture(&in, width, height, transforms, pixels);
    for (int i = 0; i < 4; i++)
        free(transforms[i].pixels);
    if (result.status == AEC_DAMAGED && rows && in.over)
        result = OK;
    if (result.status == AEC_OK && !(data[4] >> 4 & 1)) /* no alpha */
        for (size_t i = 0; i < (size_t)width * in.rows; i++)
            pixels[i] |= BLACK;
    if (rows)
        *rows = in.rows;
    return result;
}
