/* Pictures without loss: the bare stream of a lossless WebP (RFC 9649, section 3). */

#ifndef AEC_WEBP_LOSSLESS_H
#define AEC_WEBP_LOSSLESS_H

#include "internal.h"

/* Reads the size of a picture, 1 to 16384 each way, from the first five bytes of its stream. */
aec_result aec_webp_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height);

/* Decodes a stream to width * height pixels, 0xAARRGGBB each, where they are what aec_webp_size gives.  Alpha is 255 where
   the stream says that it has none.  Takes memory for a fifth as many pixels at most, and for codes in proportion to the
   stream.  Where rows is not NULL the stream may end early: it becomes the number of rows that are whole, and pixels below
   them have no meaning. */
aec_result aec_webp_decode(const uint8_t *data, size_t size, uint32_t *rows, uint32_t *pixels);

#endif
