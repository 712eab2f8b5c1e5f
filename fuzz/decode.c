/* libFuzzer on aec_decode: "make fuzz-libaec".

   The checksums of a file would stop nearly every mutation at the door.  So they are set right again afterwards, and what is
   behind them is fuzzed: chunks, payloads, alpha, exact pixels.  AEC_WEIGHTS names the weights that the seeds need. */

#include "checksums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIXELS_MAX (1 << 15)

static aec_weights *weights;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *path = getenv("AEC_WEIGHTS");
    FILE *file = path ? fopen(path, "rb") : NULL;
    (void)argc;
    (void)argv;
    if (!file || fseek(file, 0, SEEK_END))
        exit(2);
    size_t size = (size_t)ftell(file);
    uint8_t *data = malloc(size);
    rewind(file);
    if (!data || fread(data, 1, size, file) != size || aec_weights_open(data, size, &weights).status != AEC_OK)
        exit(2);
    fclose(file);
    free(data);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, room);
    if (seed % 16) /* the others try the checksums themselves */
        set_checksums(data, size);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int scales[] = {1, 16, 2, 16, 4, 16, 8, 16}; /* whole pictures take seconds with all the checks */
    static _Alignas(2) uint8_t samples[PIXELS_MAX * 4 * 2];
    aec_options options = {.max_pixels = PIXELS_MAX, .scale = scales[size % 8]};
    aec_decode(weights, data, size, &options, samples, sizeof samples);
    return 0;
}
