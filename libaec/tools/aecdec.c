/* aecdec decodes an .aec file to a Netpbm picture: an example of how libaec is used, and a decoder without Python. */

#define _POSIX_C_SOURCE 200809L

#include "aec.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "usage: aecdec [-w WEIGHTS] [-c X,Y,W,H] [-s 2|4|8|16] [-j THREADS] [-b BITS]\n"
                            "              [-k plain|128|avx2|avxvnni|avx512] [--preview] IN.aec OUT.ppm\n"
                            "Decodes a file to PGM, PPM or, with alpha, PAM; - is standard input or output.\n"
                            "-c decodes a part of it only, -s makes it, or the part, so many times smaller, for less work.\n"
                            "--preview shows what there is of a file that ends early.\n"
                            "BITS of a sample, 8 to 16, are those of the file where nothing else is asked for.\n"
                            "WEIGHTS is the model.safetensors that the file was written with, or $AEC_WEIGHTS; a picture without\n"
                            "loss needs none.\n";

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "aecdec: %s: %s\n", what, why);
    return 1;
}

/* The bytes of a file, or NULL. */
static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    uint8_t *data = NULL;
    size_t room = 0, got = 1;
    *size = 0;
    while (file && got) {
        if (*size == room) {
            uint8_t *more = realloc(data, room = room ? 2 * room : 1 << 16);
            if (!more) {
                free(data);
                return NULL;
            }
            data = more;
        }
        got = fread(data + *size, 1, room - *size, file);
        *size += got;
    }
    if (file && file != stdin)
        fclose(file);
    return data;
}

static int write_picture(const char *path, const aec_info *info, uint8_t *samples)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "wb") : stdout;
    size_t size = (size_t)info->width * info->height * info->channels;
    unsigned peak = (1u << info->depth) - 1;
    if (!file)
        return 0;
    if (info->channels % 2)
        fprintf(file, "P%d\n%u %u\n%u\n", info->channels == 1 ? 5 : 6, info->width, info->height, peak);
    else
        fprintf(file, "P7\nWIDTH %u\nHEIGHT %u\nDEPTH %u\nMAXVAL %u\nTUPLTYPE %s_ALPHA\nENDHDR\n", info->width,
                info->height, info->channels, peak, info->channels == 2 ? "GRAYSCALE" : "RGB");
    if (info->depth > 8) { /* two bytes a sample, the high one first */
        for (size_t i = 0; i < size; i++) {
            unsigned value = ((const uint16_t *)(void *)samples)[i];
            samples[2 * i] = (uint8_t)(value >> 8);
            samples[2 * i + 1] = (uint8_t)value;
        }
        size *= 2;
    }
    int written = fwrite(samples, 1, size, file) == size;
    written = !(file == stdout ? fflush(file) : fclose(file)) && written;
    if (!written && file != stdout)
        remove(path);
    return written;
}

static int decode(const char *in, const char *out, const char *weights_path, aec_options *options)
{
    size_t size;
    uint8_t *data = read_file(in, &size);
    if (!data)
        return fail(in, "cannot be read");
    aec_info info;
    aec_result result = options->preview ? aec_read_preview_info(data, size, &info) : aec_read_info(data, size, &info);
    if (result.status != AEC_OK)
        return fail(in, result.message);
    if ((uint64_t)info.width * info.height > AEC_MAX_PIXELS)
        return fail(in, "the picture is over the limit of pixels");
    aec_weights *weights = NULL;
    if (!info.lossless) {
        size_t weights_size;
        uint8_t *weights_data = weights_path ? read_file(weights_path, &weights_size) : NULL;
        if (!weights_data)
            return fail(weights_path ? weights_path : in, weights_path ? "cannot be read" : "needs weights");
        result = aec_weights_open(weights_data, weights_size, &weights);
        free(weights_data);
        if (result.status != AEC_OK)
            return fail(weights_path, result.message);
    }
    aec_crop crop = options->crop;
    if (crop.width && crop.width <= info.width && crop.height <= info.height) { /* if not, aec_decode says so */
        info.width = crop.width;
        info.height = crop.height;
    }
    if (options->scale > 1) {
        unsigned by = (unsigned)options->scale;
        info.width = (crop.left % by + info.width + by - 1) / by;
        info.height = (crop.top % by + info.height + by - 1) / by;
    }
    info.depth = options->depth ? options->depth : options->scale > 1 ? 8 : info.depth;
    size_t capacity = (size_t)info.width * info.height * info.channels * (info.depth > 8 ? 2 : 1);
    uint8_t *samples = malloc(capacity);
    if (!samples)
        return fail(in, "memory ran out");
    result = aec_decode(weights, data, size, options, samples, capacity);
    int failed = result.status != AEC_OK ? fail(in, result.message) : 0;
    if (!failed && !write_picture(out, &info, samples))
        failed = fail(out, "cannot be written");
    aec_weights_free(weights);
    free(samples);
    free(data);
    return failed;
}

int main(int argc, char **argv)
{
    const char *weights = getenv("AEC_WEIGHTS");
    aec_options options = {.threads = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    static const struct option names[] = {{"preview", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "w:c:s:j:k:b:", names, NULL)) != -1;) {
        if (option == 'p')
            options.preview = 1;
        else if (option == 'w')
            weights = optarg;
        else if (option == 'c') {
            aec_crop *crop = &options.crop;
            if (sscanf(optarg, "%u,%u,%u,%u", &crop->left, &crop->top, &crop->width, &crop->height) != 4)
                return fputs(usage, stderr), 2;
        } else if (option == 's')
            options.scale = atoi(optarg);
        else if (option == 'j')
            options.threads = atoi(optarg);
        else if (option == 'b')
            options.depth = (uint32_t)atoi(optarg);
        else if (option == 'k' && !strcmp(optarg, "plain"))
            options.kernels = AEC_KERNELS_PLAIN;
        else if (option == 'k' && !strcmp(optarg, "128"))
            options.kernels = AEC_KERNELS_128;
        else if (option == 'k' && !strcmp(optarg, "avx2"))
            options.kernels = AEC_KERNELS_AVX2;
        else if (option == 'k' && !strcmp(optarg, "avxvnni"))
            options.kernels = AEC_KERNELS_AVX_VNNI;
        else if (option == 'k' && !strcmp(optarg, "avx512"))
            options.kernels = AEC_KERNELS_AVX512;
        else
            return fputs(usage, stderr), 2;
    }
    options.parallel = aec_run_threads;
    options.context = &options.threads;
    if (argc - optind != 2)
        return fputs(usage, stderr), 2;
    return decode(argv[optind], argv[optind + 1], weights, &options);
}
