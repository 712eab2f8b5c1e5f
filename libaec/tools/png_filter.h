/* The filters of PNG (ISO/IEC 15948, section 9), for aecthumb and for the Python module. */

#ifndef AEC_PNG_FILTER_H
#define AEC_PNG_FILTER_H

#include <stddef.h>
#include <stdint.h>

/* Filters a row of `size` bytes, of which `pixel` lead from a sample to the next of its kind, by the row above it, zeros for
   the first.  Of Sub, Up and Paeth it takes the filter that leaves the least magnitudes.  `out` gets the filter's number and
   the filtered row, size + 1 bytes; `spare` has room for `size`. */
void png_filter_row(const uint8_t *row, const uint8_t *above, size_t size, size_t pixel, uint8_t *spare, uint8_t *out);

#endif
