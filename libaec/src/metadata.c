/* What stands in a file about its picture, for viewers: docs/format.md, sections 3.2 and 3.6. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define PACKED_MAX ((uint64_t)1 << 26) /* bytes of compressed metadata */
#define EXPANSION 1032                 /* bytes that one byte of a zlib stream can become at most */
#define EXIF_PREFIX 6
#define TAG_ORIENTATION 0x0112

static const aec_result damaged = {AEC_DAMAGED, "the file is damaged (metadata)"};

void aec_free(void *memory)
{
    free(memory);
}

static aec_result copy_of(const uint8_t *data, size_t size, uint8_t **body, size_t *length)
{
    *body = malloc(size ? size : 1);
    if (!*body)
        return NO_MEMORY;
    memcpy(*body, data, size);
    *length = size;
    return OK;
}

/* Looks for a type in the body of a chunk m, which holds chunks without checksums. */
static aec_result find_packed(aec_span packed, int type, uint8_t **body, size_t *length)
{
    aec_cursor in = {packed.body, packed.size, 0};
    uint64_t size, part = 0;
    TRY(aec_take_varint(&in, &size));
    if (size > PACKED_MAX || size / EXPANSION > packed.size)
        return damaged;
    uint8_t *data = malloc(size ? (size_t)size : 1);
    if (!data)
        return NO_MEMORY;
    aec_result result = damaged;
    if (aec_inflate(packed.body + in.position, packed.size - in.position, data, (size_t)size)) {
        result = OK;
        in = (aec_cursor){data, (size_t)size, 0};
        while (result.status == AEC_OK && in.position < in.size && !*body) {
            int kind = in.data[in.position++];
            result = aec_take_varint(&in, &part);
            if (result.status == AEC_OK && part > in.size - in.position)
                result = damaged;
            else if (result.status == AEC_OK && kind == type)
                result = copy_of(in.data + in.position, (size_t)part, body, length);
            in.position += result.status == AEC_OK ? (size_t)part : 0;
        }
    }
    free(data);
    return result;
}

aec_result aec_read_metadata(const uint8_t *data, size_t size, int type, uint8_t **body, size_t *length)
{
    aec_span plain = {NULL, 0, 0}, packed = {NULL, 0, 0};
    if (!data || !body || !length)
        FAIL(AEC_ARGUMENT, "a pointer is missing");
    *body = NULL;
    *length = 0;
    TRY(aec_find_chunks(data, size, type, &plain, &packed));
    if (plain.body)
        return copy_of(plain.body, plain.size, body, length);
    return packed.body ? find_packed(packed, type, body, length) : OK;
}

static uint32_t number(const uint8_t *at, int bytes, int is_little)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[is_little ? bytes - 1 - i : i];
    return value;
}

/* The orientation in a TIFF structure, whose first directory may break any rule. */
static uint32_t orientation_in(const uint8_t *tiff, size_t size)
{
    if (size < 8)
        return 1;
    int is_little = tiff[0] == 'I';
    size_t at = number(tiff + 4, 4, is_little);
    if (at > size - 2)
        return 1;
    uint32_t count = number(tiff + at, 2, is_little), value = 1;
    for (at += 2; count && size - at >= 12; count--, at += 12)
        if (number(tiff + at, 2, is_little) == TAG_ORIENTATION) {
            value = number(tiff + at + 8, 2, is_little);
            break;
        }
    return value >= 1 && value <= 8 ? value : 1;
}

uint32_t aec_orientation(const uint8_t *data, size_t size)
{
    uint8_t *exif;
    size_t length;
    uint32_t value = 1;
    if (aec_read_metadata(data, size, 'e', &exif, &length).status == AEC_OK && exif && length > EXIF_PREFIX)
        value = orientation_in(exif + EXIF_PREFIX, length - EXIF_PREFIX);
    free(exif);
    return value;
}
