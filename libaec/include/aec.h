/* libaec decodes .aec files.  C11, no dependencies but the C library; no global state; any thread may call.

   Open a set of weights once (the file model.safetensors of a model), then decode any number of files with it.  The same
   file gives the same samples on every machine: docs/format.md defines each of them. */

#ifndef AEC_H
#define AEC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AEC_ABI 1                                /* grows when a caller must be compiled again */
#define AEC_MAX_PIXELS ((uint64_t)1 << 28)       /* the default limit on width * height */

#if defined(__GNUC__) && !defined(_WIN32)
#define AEC_API __attribute__((visibility("default")))
#else
#define AEC_API
#endif

typedef enum {
    AEC_OK = 0,
    AEC_DAMAGED,     /* the file is no .aec file, truncated, or breaks a rule of the format */
    AEC_UNSUPPORTED, /* the file needs a feature that this library does not have */
    AEC_LIMIT,       /* the picture is larger than the limit allows */
    AEC_WEIGHTS,     /* the weights are damaged, or others than the file needs */
    AEC_MEMORY,      /* memory ran out */
    AEC_ARGUMENT     /* a buffer is too small, or an argument makes no sense */
} aec_status;

/* What a call gives: a status, and a sentence about it that lives for ever. */
typedef struct {
    aec_status status;
    const char *message;
} aec_result;

typedef struct {
    uint32_t width, height;
    uint32_t channels;  /* interleaved samples of a pixel: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha */
    uint32_t rate;      /* rate index, 0 to 2048 */
    uint32_t tile;      /* side of the tiles in pixels, 0 for one tile */
    uint8_t weights[4]; /* id of the weights */
    uint32_t lossless;  /* 1 where the picture is without loss, so that no weights are needed, else 0 */
    uint32_t depth;     /* bits of a sample: 8, 10, 12 or 16 */
    uint8_t cicp[4];    /* what the colours mean, by ITU-T H.273: primaries, transfer, matrix, range; zeros: sRGB, or as a
                           profile says */
    uint32_t hashed;    /* whether the file has a hash of its samples, which aec_decode checks */
    uint32_t truncated; /* 1 where the file ends early, as aec_read_preview_info says; else 0 */
} aec_info;

/* Kernels that compute sums; all give the same integers. */
typedef enum {
    AEC_KERNELS_BEST = 0,
    AEC_KERNELS_PLAIN,
    AEC_KERNELS_AVX2,
    AEC_KERNELS_128, /* registers of 128 bits: SSE2 or NEON */
    AEC_KERNELS_AVX_VNNI,
    AEC_KERNELS_AVX512 /* with VNNI */
} aec_kernels;

/* A part of a picture, in pixels. */
typedef struct {
    uint32_t left, top, width, height;
} aec_crop;

/* How a decode is done; all zeros are the defaults. */
typedef struct {
    uint64_t max_pixels; /* limit on width * height; 0 is AEC_MAX_PIXELS */
    aec_kernels kernels; /* those that the machine lacks are replaced by the best that it has */
    /* Runs job(argument, 0) .. job(argument, count - 1), in any order and in any threads, and returns when all are done.
       NULL: one after another.  threads is about how many run at once. */
    void (*parallel)(void *context, int count, void (*job)(void *argument, int index), void *argument);
    void *context;
    int threads;
    /* 2, 4, 8 or 16: a picture that many times smaller each way, sides rounded up, for much less work; 0 or 1: as it is. */
    int scale;
    /* What is decoded, with the tiles that it needs; all zeros: the whole picture.  At a scale: the samples of the smaller
       picture that show any of it, columns left / scale .. ceil((left + width) / scale) - 1, and rows alike. */
    aec_crop crop;
    uint32_t depth; /* bits of the samples that are wanted, 8 to 16; 0: those of the file */
    /* 1: show what there is of a file that ends early; docs/format.md, section 8.6.  aec_read_preview_info is its
       aec_read_info.  A whole file is decoded, and checked, as ever. */
    int preview;
} aec_options;

/* A function for `parallel` that runs jobs in threads of its own; context points to an int, how many. */
AEC_API void aec_run_threads(void *context, int count, void (*job)(void *argument, int index), void *argument);

typedef struct aec_weights aec_weights;

/* Returns AEC_ABI as the library was compiled. */
AEC_API int aec_abi(void);

/* Opens weights from the bytes of a file model.safetensors, which are not needed afterwards. */
AEC_API aec_result aec_weights_open(const void *data, size_t size, aec_weights **weights);

/* The same for a caller that knows the id of the weights already and need not hash them. */
AEC_API aec_result aec_weights_open_as(const void *data, size_t size, const uint8_t id[4], aec_weights **weights);

/* The same, for pictures at a scale alone: a third of the time. */
AEC_API aec_result aec_weights_open_for_scales(const void *data, size_t size, const uint8_t id[4], aec_weights **weights);

AEC_API void aec_weights_free(aec_weights *weights);

/* Writes the four bytes of the weights' id: the beginning of the SHA-256 of their file. */
AEC_API void aec_weights_id(const aec_weights *weights, uint8_t id[4]);

/* Reads the header, and the chunks in front of the payload.  No limit is applied, nothing is allocated. */
AEC_API aec_result aec_read_info(const uint8_t *data, size_t size, aec_info *info);

/* The same of a file that may end early: it must have its header, and the beginning of its picture.  All that is there is
   checked, which takes time in proportion to its size. */
AEC_API aec_result aec_read_preview_info(const uint8_t *data, size_t size, aec_info *info);

/* Gives the metadata of a type, as docs/format.md calls it: 'c' ICC profile, 'e' EXIF, 'i' IPTC, 'r' resolution, 'x' XMP.
   body is NULL where there is none; aec_free() frees it.  The file may end early. */
AEC_API aec_result aec_read_metadata(const uint8_t *data, size_t size, int type, uint8_t **body, size_t *length);
AEC_API void aec_free(void *memory);

/* Returns how a viewer turns the picture, as EXIF counts it, 1 to 8; 1 where nothing says it. */
AEC_API uint32_t aec_orientation(const uint8_t *data, size_t size);

/* Decodes a whole file to width * height * channels samples, or to those of a crop or scale: uint8_t where they have 8 bits,
   else uint16_t; at a scale they always have 8.  capacity: bytes at samples, which are aligned for their type.  A file that
   has a hash of its samples is AEC_DAMAGED where they have another; asking for a depth that is not the file's, a crop or a
   scale leaves that out.  options may be NULL, and so may the weights for a picture without loss. */
AEC_API aec_result aec_decode(const aec_weights *weights, const uint8_t *data, size_t size, const aec_options *options,
                              void *samples, size_t capacity);

/* The two halves of a decode, for programs that read the container themselves.

   A tile's payload to its latents, rows * columns * channels of int32; rows and columns are multiples of 4. */
AEC_API aec_result aec_decode_latents(const aec_weights *weights, const uint8_t *payload, size_t size, uint32_t rate,
                                      uint32_t rows, uint32_t columns, const aec_options *options, int32_t *latents);

/* Latents, as above, to 16 rows * 16 columns * 3 samples, of 8 bits where the options say nothing else; or to fewer at a
   scale, of 8 bits. */
AEC_API aec_result aec_synthesise(const aec_weights *weights, const int32_t *latents, uint32_t rate, uint32_t rows,
                                  uint32_t columns, const aec_options *options, void *samples);

/* Channels of the latents that weights have. */
AEC_API uint32_t aec_latent_channels(const aec_weights *weights);

#ifdef __cplusplus
}
#endif

#endif
