#include "png_filter.h"

#include <stdlib.h>
#include <string.h>

enum { SUB = 1, UP = 2, PAETH = 4 };

/* The sum of magnitudes of a row's bytes, as if they had signs: the less, the fewer bytes a compressor makes of it. */
static unsigned long cost_of(const uint8_t *row, size_t size)
{
    unsigned long cost = 0;
    for (size_t i = 0; i < size; i++)
        cost += row[i] < 128 ? row[i] : 256u - row[i];
    return cost;
}

static void filter_by(int filter, const uint8_t *row, const uint8_t *above, size_t size, size_t pixel, uint8_t *restrict out)
{
    size_t i = 0;
    for (; i < pixel; i++) /* left of it there is nothing */
        out[i] = (uint8_t)(row[i] - (filter == SUB ? 0 : above[i]));
    if (filter == SUB)
        for (; i < size; i++)
            out[i] = (uint8_t)(row[i] - row[i - pixel]);
    else if (filter == UP)
        for (; i < size; i++)
            out[i] = (uint8_t)(row[i] - above[i]);
    else
        for (; i < size; i++) {
            int left = row[i - pixel], up = above[i], corner = above[i - pixel];
            int by_left = abs(up - corner), by_up = abs(left - corner), by_corner = abs(left + up - 2 * corner);
            int nearest = by_up <= by_corner ? up : corner;
            out[i] = (uint8_t)(row[i] - (by_left <= by_up && by_left <= by_corner ? left : nearest));
        }
}

void png_filter_row(const uint8_t *row, const uint8_t *above, size_t size, size_t pixel, uint8_t *spare, uint8_t *out)
{
    filter_by(SUB, row, above, size, pixel, out + 1);
    unsigned long least = cost_of(out + 1, size);
    out[0] = SUB;
    for (int filter = UP; filter <= PAETH; filter *= 2) {
        filter_by(filter, row, above, size, pixel, spare);
        unsigned long cost = cost_of(spare, size);
        if (cost >= least)
            continue;
        least = cost;
        out[0] = (uint8_t)filter;
        memcpy(out + 1, spare, size);
    }
}
