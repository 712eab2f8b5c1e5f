/* aecthumb makes a thumbnail of an .aec file, as PNG, for file managers: they run it once for each file, so it starts fast.

   usage: aecthumb -w ID=WEIGHTS... SIZE IN.aec OUT.png

   ID is that of the weights in the file WEIGHTS, 8 hexadecimal digits; it saves hashing them.  The picture is turned as its
   EXIF says, and its longest side becomes SIZE at most. */

#define _DEFAULT_SOURCE /* for madvise() */

#include "aec.h"
#include "png.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static const char usage[] = "usage: aecthumb -w ID=WEIGHTS... SIZE IN.aec OUT.png\n";

#define SIZE_MAX_ 4096
#define WEIGHTS_COUNT 16
#define HEAP (1 << 24) /* bytes that most thumbnails need */
#define PAGE 4096

typedef struct {
    uint32_t width, height, channels;
    uint8_t *samples;
} Image;

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "aecthumb: %s: %s\n", what, why);
    return 1;
}

/* Has memory come in large pages, and taken again once it is freed: a fault for each small page is a tenth of the time. */
static void prepare_memory(void)
{
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    char *heap = malloc(HEAP);
    if (heap)
        madvise(heap + (PAGE - (uintptr_t)heap % PAGE), HEAP - PAGE, MADV_HUGEPAGE);
    free(heap);
#endif
}

/* A file's bytes in memory, for as long as the program runs; NULL where it cannot be read or is empty. */
static const uint8_t *map(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    void *data = MAP_FAILED;
    if (file >= 0 && !fstat(file, &status) && status.st_size > 0) {
        *size = (size_t)status.st_size;
        data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
    }
    if (file >= 0)
        close(file);
    return data == MAP_FAILED ? NULL : data;
}

/* The path of weights by their id. */
static const char *find_weights(char *const *all, int count, const uint8_t id[4])
{
    char name[10];
    snprintf(name, sizeof name, "%02x%02x%02x%02x=", id[0], id[1], id[2], id[3]);
    for (int i = 0; i < count; i++)
        if (!strncmp(all[i], name, 9))
            return all[i] + 9;
    return NULL;
}

/* The mean of the pixels of a rectangle, colour by its alpha. */
static void mean(const Image *from, size_t top, size_t left, size_t bottom, size_t right, uint8_t *to)
{
    uint64_t sums[4] = {0}, weight = 0, area = (bottom - top) * (right - left);
    size_t channels = from->channels, colours = channels < 3 ? 1 : 3;
    for (size_t y = top; y < bottom; y++) {
        const uint8_t *at = from->samples + (y * from->width + left) * channels;
        for (size_t x = left; x < right; x++, at += channels) {
            uint64_t alpha = channels % 2 ? 1 : at[colours];
            weight += alpha;
            for (size_t c = 0; c < colours; c++)
                sums[c] += alpha * at[c];
        }
    }
    for (size_t c = 0; c < colours; c++)
        to[c] = (uint8_t)(weight ? (sums[c] + weight / 2) / weight : 0);
    if (channels % 2 == 0)
        to[colours] = (uint8_t)((weight + area / 2) / area);
}

/* A pixel of the turned picture, from left to right and top to bottom, as its place in the stored one. */
static void turned(uint32_t orientation, size_t width, size_t height, size_t *x, size_t *y)
{
    size_t across = *x, down = *y;
    if (orientation > 4) {
        *x = down;
        *y = across;
    }
    if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        *x = width - 1 - *x;
    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        *y = height - 1 - *y;
}

/* The picture, which `from` shows at some scale, within a size and turned. */
static int reduce(const Image *from, const aec_info *info, uint32_t longest, uint32_t orientation, Image *to)
{
    uint64_t most = info->width > info->height ? info->width : info->height, side = most < longest ? most : longest;
    size_t width = (size_t)((info->width * side + most / 2) / most), height = (size_t)((info->height * side + most / 2) / most);
    width = width ? width : 1;
    height = height ? height : 1;
    to->width = (uint32_t)(orientation > 4 ? height : width);
    to->height = (uint32_t)(orientation > 4 ? width : height);
    to->channels = from->channels;
    to->samples = malloc(width * height * to->channels);
    if (!to->samples)
        return 0;
    for (size_t i = 0; i < width * height; i++) {
        size_t x = i % to->width, y = i / to->width;
        turned(orientation, width, height, &x, &y);
        mean(from, y * from->height / height, x * from->width / width, (y + 1) * from->height / height,
             (x + 1) * from->width / width, to->samples + i * to->channels);
    }
    return 1;
}

/* Decodes a file at the smallest scale that is as large as `longest`. */
static aec_result decode(const uint8_t *data, size_t size, const aec_info *info, const char *path, uint32_t longest, Image *image)
{
    static const aec_result no_memory = {AEC_MEMORY, "memory ran out"};
    aec_options options = {.depth = 8, .scale = 1};
    uint32_t most = info->width > info->height ? info->width : info->height;
    aec_weights *weights = NULL;
    while (options.scale < 16 && most / longest >= 2 * (unsigned)options.scale)
        options.scale *= 2;
    if (!info->lossless) {
        size_t weights_size;
        const uint8_t *bytes = path ? map(path, &weights_size) : NULL;
        if (!bytes)
            return (aec_result){AEC_WEIGHTS, path ? "its weights cannot be read" : "its weights are not among those given"};
        aec_result result = options.scale > 1
                                ? aec_weights_open_for_scales(bytes, weights_size, info->weights, &weights)
                                : aec_weights_open_as(bytes, weights_size, info->weights, &weights);
        if (result.status != AEC_OK)
            return result;
    }
    image->width = (info->width + (unsigned)options.scale - 1) / (unsigned)options.scale;
    image->height = (info->height + (unsigned)options.scale - 1) / (unsigned)options.scale;
    image->channels = info->channels;
    size_t capacity = (size_t)image->width * image->height * image->channels;
    image->samples = malloc(capacity);
    return image->samples ? aec_decode(weights, data, size, &options, image->samples, capacity) : no_memory;
}

static int write_thumbnail(const char *path, const Image *image, const aec_info *info, const uint8_t *profile, size_t profile_size)
{
    png_picture picture = {image->width, image->height, image->channels, image->samples, profile, profile_size, NULL};
    if (info->cicp[0])
        picture.cicp = info->cicp;
    FILE *file = fopen(path, "wb");
    int written = file && png_write(file, &picture);
    written = file && !fclose(file) && written;
    if (file && !written)
        remove(path);
    return written;
}

int main(int argc, char **argv)
{
    char *weights[WEIGHTS_COUNT];
    int count = 0;
    for (int option; (option = getopt(argc, argv, "w:")) != -1;) {
        if (option != 'w' || count == WEIGHTS_COUNT)
            return fputs(usage, stderr), 2;
        weights[count++] = optarg;
    }
    prepare_memory();
    long longest = argc - optind == 3 ? atol(argv[optind]) : 0;
    if (longest < 1 || longest > SIZE_MAX_)
        return fputs(usage, stderr), 2;
    const char *in = argv[optind + 1], *out = argv[optind + 2];
    size_t size, profile_size;
    const uint8_t *data = map(in, &size);
    if (!data)
        return fail(in, "cannot be read");
    aec_info info;
    aec_result result = aec_read_info(data, size, &info);
    if (result.status != AEC_OK)
        return fail(in, result.message);
    if ((uint64_t)info.width * info.height > AEC_MAX_PIXELS)
        return fail(in, "the picture is over the limit of pixels");
    Image whole = {0}, small = {0};
    result = decode(data, size, &info, find_weights(weights, count, info.weights), (uint32_t)longest, &whole);
    if (result.status != AEC_OK)
        return fail(in, result.message);
    if (!reduce(&whole, &info, (uint32_t)longest, aec_orientation(data, size), &small))
        return fail(in, "memory ran out");
    uint8_t *profile = NULL;
    if (aec_read_metadata(data, size, 'c', &profile, &profile_size).status != AEC_OK)
        profile = NULL; /* a thumbnail in other colours is better than none */
    return write_thumbnail(out, &small, &info, profile, profile_size) ? 0 : fail(out, "cannot be written");
}
