/* Compares every set of kernels that this CPU has with the one in plain C, on random numbers and on the largest that occur:
   "compare_kernels ROUNDS" prints the names of the sets, and fails at the first difference. */

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "squares.h"

#define COUNT 8192 /* numbers of a row */
#define CHANNELS 40
#define POSITIONS 26

static uint64_t state;
static int16_t narrow[4][COUNT];
static int32_t wide[2][COUNT], products[PLACES * PRODUCTS_PITCH];

typedef struct { /* what each kernel writes */
    int32_t convolve[COUNT], scale[COUNT], scale_add[COUNT], shift[COUNT], gather[2][COUNT];
    int16_t scale_narrow[COUNT], read[COUNT], lap[COUNT], activate[COUNT], depthwise[COUNT], spread[2 * COUNT];
    int reached[2];
} Results;

static int below(int64_t count)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 32) % (uint64_t)count);
}

/* Within -limit .. limit; every fourth is one of the ends. */
static int32_t some(int64_t limit)
{
    return (int32_t)(below(4) ? (int64_t)((uint32_t)below(UINT32_MAX) % (2 * limit + 1)) - limit : below(2) ? limit : -limit);
}

static void fill(int narrow_limit, int64_t wide_limit)
{
    for (int i = 0; i < 4 * COUNT; i++)
        narrow[i / COUNT][i % COUNT] = (int16_t)some(narrow_limit);
    for (int i = 0; i < 2 * COUNT; i++)
        wide[i / COUNT][i % COUNT] = some(wide_limit);
}

/* Calls each kernel with what a seed draws. */
static void run(const aec_kernel_set *k, unsigned seed, Results *out)
{
    aec_factor above[CHANNELS], less[CHANNELS];
    int32_t bias[CHANNELS];
    int8_t shifts[CHANNELS];
    int16_t lapping[16][16];
    state = seed;
    memset(out, 0, sizeof *out);
    int channels = 1 + below(CHANNELS), positions = 1 + below(POSITIONS), width = channels + below(8);
    int limit = below(2) ? NARROW_MAX : 1 + below(NARROW_MAX), kernel = below(2) ? 1 : 3, inputs = 1 + below(20);
    ptrdiff_t stride = inputs + 2 * below(4), count = 1 + below(100);
    for (int c = 0; c < CHANNELS; c++) {
        above[c] = (aec_factor){(1 << 20) + below((1 << 20) + 1), below(63)};
        less[c] = below(8) ? (aec_factor){(1 << 20) + below((1 << 20) + 1), below(63)} : (aec_factor){0, 1};
        bias[c] = some(1 << 20);
        shifts[c] = (int8_t)(below(20) - 4);
    }

    fill(NARROW_MAX, INT32_MAX - (1 << 20));
    const int16_t *rows[4] = {narrow[0], narrow[1], narrow[2], narrow[3]};
    aec_matrix matrix;
    if (!aec_make_matrix(&matrix, channels, inputs, kernel))
        abort();
    for (int i = 0; i < channels * inputs * kernel * kernel; i++)
        *aec_packed_at(&matrix, i % channels, i / channels % inputs, i / channels / inputs) = (int16_t)some(NARROW_MAX);
    k->convolve(&matrix, rows, stride, stride, positions, out->convolve);
    free(matrix.packed);
    k->scale(wide[0], width, positions, channels, bias, above, below(2) ? less : NULL, INPUT_MAX, out->scale);
    out->reached[0] = k->scale_narrow(wide[0], width, positions, channels, bias, above, less, limit, out->scale_narrow);
    for (int i = 0; i < PLACES * PRODUCTS_PITCH; i++)
        products[i] = some(INT32_MAX);
    k->gather(products, positions, width + OUTPUTS, (int32_t *const[]){out->gather[0], out->gather[1]});

    fill(SQUARE_MAX, STREAM_MAX);
    k->scale_add(wide[0], width, positions, channels, bias, above, STREAM_MAX, wide[1], out->scale_add);
    out->reached[1] = k->read(wide[1], count, limit, out->read);
    k->spread(rows, channels, positions, channels * positions, out->spread);

    fill(255, (1 << 24) - (1 << 20));
    k->shift(wide[0], width, positions, channels, bias, shifts, out->shift);
    k->activate(wide[0], width, positions, channels, bias, shifts, 255, out->activate);
    k->depthwise(narrow[3], rows, positions, channels, bias, shifts, 255, out->depthwise);

    fill(NARROW_MAX, 0);
    memcpy(out->lap, narrow[0], sizeof out->lap);
    for (int i = 0; i < 256; i++)
        lapping[i / 16][i % 16] = (int16_t)some(LAPPING_ROW_MAX / 16);
    k->lap((const int16_t(*)[16])lapping, 1 + below(15), out->lap, count + below(9), count);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        aec_kernels kernels;
    } sets[] = {{"plain", AEC_KERNELS_PLAIN}, {"128", AEC_KERNELS_128}, {"avx2", AEC_KERNELS_AVX2},
                {"avxvnni", AEC_KERNELS_AVX_VNNI}, {"avx512", AEC_KERNELS_AVX512}};
    static Results wanted, found;
    const aec_kernel_set *last = NULL;
    int rounds = argc > 1 ? atoi(argv[1]) : 1000, differs = 0;
    for (int i = 0; i < 5 && !differs; i++) {
        const aec_kernel_set *set = aec_choose_kernels(&(aec_options){.kernels = sets[i].kernels});
        if (set == last)
            continue; /* in place of one that the CPU lacks */
        last = set;
        for (int seed = 0; seed < rounds && !differs; seed++) {
            run(&aec_kernels_plain, (unsigned)seed, &wanted);
            run(set, (unsigned)seed, &found);
            differs = memcmp(&wanted, &found, sizeof wanted) != 0;
        }
        printf("%s%s\n", sets[i].name, differs ? " differs" : "");
    }
    return differs;
}
