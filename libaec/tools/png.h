/* Writing PNG of 8 bits a sample (ISO/IEC 15948), for aecthumb: libaec itself knows no other format. */

#ifndef AEC_PNG_H
#define AEC_PNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    uint32_t width, height;
    uint32_t channels; /* 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha */
    const uint8_t *samples;
    const uint8_t *profile; /* ICC, or NULL */
    size_t profile_size;
    const uint8_t *cicp; /* four bytes, or NULL */
} png_picture;

/* Writes a picture; false where memory ran out or the file cannot be written.  Compressed by a Huffman code alone: quick, and
   near what zlib makes of photographs. */
int png_write(FILE *file, const png_picture *picture);

#endif
