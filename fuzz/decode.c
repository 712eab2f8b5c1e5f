/* libFuzzer on aec_decode: "make fuzz-libaec".

   The checksums of a file would stop nearly every mutation at the door.  So they are set right again afterwards, and what is
   behind them is fuzzed: chunks, payloads, alpha, exact pixels.  AEC_WEIGHTS names the weights that the seeds need. */

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXED 9        /* bytes in front of width and height */
#define BEHIND_SIZE 6  /* weights and rate index */
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

static int take_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (*at >= size)
            return 0;
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* Writes the checksums of header and chunks, as far as these can be found. */
static void set_checksums(uint8_t *data, size_t size)
{
    size_t at = FIXED;
    uint64_t value;
    if (!take_varint(data, size, &at, &value) || !take_varint(data, size, &at, &value) || size < at + BEHIND_SIZE + 4)
        return;
    at += BEHIND_SIZE;
    put32(data + at, aec_crc32(0, data, at));
    at += 4;
    while (at < size) {
        uint8_t *kind = data + at++;
        if (!take_varint(data, size, &at, &value) || value > size - at || size - at - value < 4)
            return;
        put32(data + at + value, aec_crc32(aec_crc32(0, kind, 1), data + at, (size_t)value));
        at += (size_t)value + 4;
    }
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
