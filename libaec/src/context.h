/* Pictures without loss: those of docs/format.md, section 5.6. */

#ifndef AEC_CONTEXT_H
#define AEC_CONTEXT_H

#include "internal.h"

#define CONTEXT_SIGNATURE 0x43 /* the first byte of such a picture; that of a lossless WebP is another one */

/* Reads the size of a picture, 1 to 4096 each way, from the beginning of its stream. */
aec_result aec_context_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height);

/* Decodes a stream to width * height pixels, 0xAARRGGBB each, where they are what aec_context_size gives.  Each of
   options' threads takes memory for a band of 2^21 pixels at most.  Where rows is not NULL the stream may end early: rows
   becomes the number of those that are whole, and pixels below them have no meaning. */
aec_result aec_context_decode(const uint8_t *data, size_t size, const aec_options *options, uint32_t *rows, uint32_t *pixels);

#endif
