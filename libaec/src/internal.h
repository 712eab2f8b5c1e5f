/* What the sources of libaec share.  Nothing here is for callers. */

#ifndef AEC_INTERNAL_H
#define AEC_INTERNAL_H

#include "aec.h"
#include "rans.h"

#include <float.h>
#include <math.h>

/* Section 8.1 of docs/format.md needs float64 that rounds each operation once. */
#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "libaec does not compute what the format defines with -ffast-math or /fp:fast"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 1
#error "libaec needs double arithmetic without extra bits: -msse2 -mfpmath=sse on 32-bit x86"
#endif
_Static_assert(-3 >> 1 == -2, "shifts of negative numbers must keep their sign");
_Static_assert(DBL_MANT_DIG == 53, "double must be binary64 of IEEE 754");

#define KNOTS 9
#define MAX_RATE 2048
#define GAIN_ROWS 257
#define LEVELS 64
#define TABLES 3       /* sets of LEVELS: hyper-latents, quantiser 0, quantiser 1 */
#define STEPS 4        /* of the context model */
#define STRIDE 16      /* pixels per latent position, each way */
#define HYPER 4        /* latent positions per hyper-latent position, each way */
#define PADDING (STRIDE * HYPER)
#define WIDTH_MAX 4096 /* channels of anything */
#define BLOCKS_MAX 64  /* residual blocks at one resolution */

#define OK ((aec_result){AEC_OK, "done"})
#define NO_MEMORY ((aec_result){AEC_MEMORY, "memory ran out"})
#define FAIL(status, text) return ((aec_result){status, text})
#define TRY(call)                            \
    do {                                     \
        aec_result tried_ = (call);          \
        if (tried_.status != AEC_OK)         \
            return tried_;                   \
    } while (0)

/* Checksums and compression: checksum.c, inflate.c. */

uint32_t aec_crc32(uint32_t crc, const uint8_t *data, size_t size); /* crc is 0 at first */
void aec_sha256(const uint8_t *data, size_t size, uint8_t digest[32]);

/* The same, piece by piece. */
typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t size;
} aec_hash;

void aec_hash_begin(aec_hash *hash);
void aec_hash_add(aec_hash *hash, const uint8_t *data, size_t size);
void aec_hash_end(aec_hash *hash, uint8_t digest[32]);

/* Inflates a zlib stream that must become exactly out_size bytes and end with its input.  False where it does not. */
int aec_inflate(const uint8_t *data, size_t size, uint8_t *out, size_t out_size);

/* Container: container.c. */

typedef struct {
    const uint8_t *body;
    size_t size;
    int is_cut; /* the file ends early, before the end of the chunk; or all of it is missing */
} aec_span;

/* A place in bytes; never beyond their end. */
typedef struct {
    const uint8_t *data;
    size_t size, position;
} aec_cursor;

aec_result aec_take_varint(aec_cursor *in, uint64_t *value);

typedef struct {
    aec_info info;
    aec_span alpha;
    int alpha_in_exact;      /* whether alpha stands with the colour of a picture without loss */
    aec_span exact;          /* the body of a chunk X, or L */
    const uint8_t *hash;     /* HASH_BYTES of the samples', NULL where there are none */
    const uint8_t *payloads; /* where the first chunk P, or L, begins */
    size_t payloads_size;    /* 0 in a file that is cut off before */
    size_t tiles;
    int may_be_cut; /* whether a file that ends early is taken */
} aec_file;

#define HASH_BYTES 8

/* A rectangle of a picture, in pixels. */
typedef struct {
    uint32_t top, left, height, width;
} aec_box;

/* Where samples go: an area of a picture, or of one at a scale.  The last of 2 or 4 channels is the alpha. */
typedef struct {
    void *samples; /* uint8_t where they have 8 bits, else uint16_t */
    size_t width, height, channels;
    size_t top, left; /* of the area in the picture */
    uint32_t depth;
} aec_sink;

/* Reads header and chunks up to the first payload.  may_be_cut: of a file that ends early, what is there. */
aec_result aec_read_head(const uint8_t *data, size_t size, int may_be_cut, aec_file *file);

/* Finds the chunk of a type, and m, among those in front of the payloads; also in a file that ends early. */
aec_result aec_find_chunks(const uint8_t *data, size_t size, int type, aec_span *plain, aec_span *packed);

/* Checks all payloads, exact pixels but for the damage inside their streams, and that nothing follows.  Sets
   info.truncated. */
aec_result aec_read_payloads(aec_file *file);

/* Takes the next payload; position begins at 0.  The file is checked already. */
aec_span aec_next_payload(const aec_file *file, size_t *position);

/* A sample as one of another depth, rounded. */
static inline uint32_t aec_scaled(uint32_t value, uint32_t from, uint32_t to)
{
    uint32_t peak = (1u << from) - 1, wanted = (1u << to) - 1;
    return from == to ? value : (uint32_t)(((uint64_t)value * wanted * 2 + peak) / (2 * peak));
}

static inline void aec_set_sample(void *samples, uint32_t depth, size_t at, uint32_t value)
{
    if (depth > 8)
        ((uint16_t *)samples)[at] = (uint16_t)value;
    else
        ((uint8_t *)samples)[at] = (uint8_t)value;
}

/* Writes the alpha of an area. */
aec_result aec_decode_alpha(const aec_file *file, int scale, const aec_sink *sink);

/* Exact pixels: exact.c.  The first checks all but what is inside the streams; the second, after it, writes them over an
   area. */
aec_result aec_check_exact(const aec_file *file);
aec_result aec_lay_exact(const aec_file *file, int scale, const aec_options *options, const aec_sink *sink);

/* Weights: safetensors.c, weights.c. */

typedef enum { TYPE_I8, TYPE_I32, TYPE_F16 } aec_type;

typedef struct {
    const uint8_t *data;
    aec_type type;
    int dimensions;
    uint32_t shape[4];
    size_t count;
} aec_tensor;

#define TENSOR_NAMES 256 /* more than a model has */

typedef struct {
    const char *names[TENSOR_NAMES]; /* where the first ones stand in the header, behind their quotes */
    size_t name_sizes[TENSOR_NAMES], count;
    const char *rest, *end; /* the header behind these; rest is NULL where it is done */
    const uint8_t *data;
    size_t size;
} aec_tensors;

aec_result aec_tensors_open(const uint8_t *data, size_t size, aec_tensors *tensors);
int aec_tensors_find(const aec_tensors *tensors, const char *name, aec_tensor *tensor); /* false where there is none */

/* Weights of a convolution as kernels read them: for every 16 outputs, every tap (row, column) and every two inputs
   16 x 2 int16, outputs slow.  What is missing of 16 outputs and of 2 inputs is 0.  With SQUARES in the place of the
   kernel's side they are those of a 3x3 convolution, as squares.h transforms them. */
typedef struct {
    int outputs, inputs, kernel;
    int16_t *packed;
} aec_matrix;

#define OUTPUTS 16 /* at a time */
#define SQUARES 4

int aec_make_matrix(aec_matrix *matrix, int outputs, int inputs, int kernel); /* of zeros; false where memory ran out */
int16_t *aec_packed_at(const aec_matrix *matrix, int output, int input, int tap);

/* An integer layer of the entropy model; depthwise ones keep (9, O) taps in matrix.packed. */
typedef struct {
    aec_matrix matrix;
    int32_t *bias; /* (KNOTS, O) */
    int8_t *shift; /* (O) */
    int relu;
} aec_layer;

/* A factor of sums: mantissa / 2**shift. */
typedef struct {
    int32_t mantissa, shift;
} aec_factor;

/* A convolution of the synthesis. */
typedef struct {
    aec_matrix matrix;
    int32_t *bias;
    double *scale;
    int32_t limit;  /* of inputs */
    int32_t narrow; /* inputs up to here fit int16, and their sums int32, also where these are made of squares */
} aec_convolution;

typedef struct {
    aec_convolution first, second;
} aec_block;

typedef struct {
    aec_layer mix, gather, hidden;
    aec_layer mean[4], level[4]; /* the outputs of each group */
} aec_step;

struct aec_weights {
    uint8_t id[4];
    int is_for_scales; /* of the synthesis only the linear path is there */
    int latents, hyper, features, context; /* M, Nz, F, C */
    int width_16, width_8;

    aec_layer up_32, up_16, out;
    aec_step steps[STEPS];
    int32_t *mean_gain;   /* (GAIN_ROWS, M) */
    int32_t *hyper_scale; /* (KNOTS, Nz) */
    Tables tables;
    int32_t *table_radius, *table_start;
    uint32_t *table_cdf;
    uint16_t *table_lookup;
    uint8_t compand[4097]; /* of magnitudes */

    int stem_bits, stream_16_bits, middle_16_bits, stream_8_bits, middle_8_bits;
    uint16_t *inverse_gain, *gain_16, *gain_8; /* float16 (KNOTS, channels) */
    double *spread;
    aec_convolution stem, up_8, head, strength;
    int blocks_16, blocks_8;
    aec_block block_16[BLOCKS_MAX], block_8[BLOCKS_MAX];
    aec_matrix linear; /* (768, M) */
    int linear_bits;
    int16_t lapping[16][16];
    int lapping_bits;
    int filters_edges;
    uint16_t edge_table[KNOTS * 24];
};

static inline double aec_float16(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value;
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    else if (!exponent)
        value = fraction * (1.0 / (1 << 24));
    else
        value = (double)((int64_t)(1024 + fraction) << exponent) * (1.0 / (1 << 25));
    return bits & 0x8000 ? -value : value;
}

int64_t aec_interpolate(const int32_t *table, int rows, int columns, int column, int rate); /* section 6.1 */

/* Arithmetic of section 8.1: numbers.c. */

aec_result aec_factor_of(double value, aec_factor *factor);
aec_result aec_gains(const uint16_t *log, int channels, uint32_t rate, double *gains);
double aec_factor_value(aec_factor factor);

/* x / 2**bits, rounded, ties upward. */
static inline int64_t aec_drop(int64_t x, int bits)
{
    return (x + ((int64_t)1 << bits >> 1)) >> bits;
}

/* x times a factor, rounded, within -limit .. limit. */
static inline int64_t rounded(int64_t x, aec_factor factor, int64_t limit)
{
    x = aec_drop(x * factor.mantissa, factor.shift);
    return x < -limit ? -limit : x > limit ? limit : x;
}

/* The linear path, section 8.3. */

#define MEAN_FRAC 4
#define LINEAR_FRAC 10
#define LINEAR_MAX ((1 << 19) - 1)
#define LINEAR_ROW_MAX 4000000
#define LAPPING_ROW_MAX 65534
#define HALF_BITS 10 /* of its inputs that go into the lower of two sums */
#define LEVEL_FRAC 5
#define LINEAR_MIDDLE 4080 /* half of the range of samples, in 1/32 of a level */

/* The factors of its inputs; gains has room for a number for each latent, which are their gains afterwards. */
aec_result aec_linear_inputs(const aec_weights *weights, uint32_t rate, double *gains, aec_factor *factors);

/* Kernels: one set for each instruction set, with the same results. */

typedef struct {
    /* sums (positions, outputs rounded up to OUTPUTS) of a convolution without bias.  rows: its kernel's rows, each at the
       leftmost tap of the first position; stride: int16 from a position to the next; step: from a tap to the next. */
    void (*convolve)(const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t stride, ptrdiff_t step,
                     ptrdiff_t positions, int32_t *sums);
    /* out = (sums + bias) times a factor of the channel, another one below 0, within -limit .. limit.  width is from one
       position to the next in sums; out is (positions, channels). */
    void (*scale)(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                  const aec_factor *above, const aec_factor *below, int32_t limit, int32_t *out);
    /* The same, to int16.  True where a limit was reached: a value may lie beyond it. */
    int (*scale_narrow)(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                         const aec_factor *above, const aec_factor *below, int32_t limit, int16_t *out);
    /* out = stream + the rounded product, within -limit .. limit. */
    void (*scale_add)(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                      const aec_factor *factors, int32_t limit, const int32_t *stream, int32_t *out);
    /* out = stream / 2**STREAM_GUARD, rounded, within -limit .. limit.  True as above. */
    int (*read)(const int32_t *stream, ptrdiff_t count, int32_t limit, int16_t *out);
    /* A 16 x 16 matrix times windows of 16 values, `step` apart; count of them side by side. */
    void (*lap)(const int16_t (*matrix)[16], int bits, int16_t *values, ptrdiff_t step, ptrdiff_t count);
    /* out = (sums + bias) / 2**shift, rounded, of channels whose sums are `width` apart. */
    void (*shift)(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                  const int8_t *shift, int32_t *out);
    /* The same within 0 .. most. */
    void (*activate)(const int32_t *sums, ptrdiff_t width, ptrdiff_t positions, int channels, const int32_t *bias,
                     const int8_t *shift, int32_t most, int16_t *out);
    /* The same of a depthwise 3x3 convolution; rows begin a position further left. */
    void (*depthwise)(const int16_t *weights, const int16_t *const *rows, ptrdiff_t positions, int channels,
                      const int32_t *bias, const int8_t *shift, int32_t most, int16_t *out);
    /* What squares.h says: inputs of squares, and what becomes of the sums of their products. */
    void (*spread)(const int16_t *const rows[4], ptrdiff_t width, ptrdiff_t squares, ptrdiff_t pitch, int16_t *out);
    void (*gather)(const int32_t *products, ptrdiff_t squares, ptrdiff_t width, int32_t *const rows[2]);
} aec_kernel_set;

/* Some of the inputs of a matrix with a kernel of 1, by twos as kernels read them, and the matrix for these alone:
   selection.c. */
typedef struct {
    aec_matrix matrix;
    int *pairs; /* where each two begin among all inputs */
} aec_selection;

int aec_make_selection(aec_selection *selection, const aec_matrix *all); /* of all inputs; false where memory ran out */
void aec_select_inputs(aec_selection *selection, const aec_matrix *all, const uint8_t *wanted); /* fewer of them */
void aec_free_selection(aec_selection *selection);

/* Inputs of the linear path without those that are always 0, in the lower and in the upper half: of the 512 latents of a
   photograph, half and fewer have anything to say. */
typedef struct {
    aec_selection low, high;
    int32_t *zeros; /* as many, for a bias */
} aec_linear_selection;

/* Finds them for latents v; false where memory ran out. */
int aec_select_linear(aec_linear_selection *selection, const aec_matrix *linear, const aec_factor *factors, const int32_t *v,
                      ptrdiff_t positions);

void aec_free_linear(aec_linear_selection *selection);

/* The two sums of some positions, of m latents each; inputs, low and high have room for all inputs. */
void aec_linear_sums(const aec_kernel_set *kernels, const aec_linear_selection *selection, const aec_factor *factors,
                     const int32_t *v, ptrdiff_t positions, int m, int32_t *inputs, int16_t *low, int16_t *high,
                     int32_t *low_sums, int32_t *high_sums);

/* What becomes of `count` pairs of sums, in 1/32 of a level, within int16. */
void aec_join_linear(const int32_t *low, const int32_t *high, ptrdiff_t count, int matrix_bits, int16_t *out);

#define STREAM_GUARD 8
#define STREAM_MAX ((1 << 30) - 1)
#define INPUT_MAX ((1 << 22) - 1) /* an input of a convolution */
#define NARROW_MAX 32767          /* what fits int16 */
#define WIDE_BITS 12              /* larger inputs are split: so many bits, with a sign, are the lower half */

extern const aec_kernel_set aec_kernels_plain;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define AEC_HAS_AVX2 1
extern const aec_kernel_set aec_kernels_avx2;
#if __has_include(<avxvnniintrin.h>)
#define AEC_HAS_AVX_VNNI 1
extern const aec_kernel_set aec_kernels_avxvnni;
#endif
#if __has_include(<avx512vnniintrin.h>)
#define AEC_HAS_AVX512 1 /* with VNNI */
extern const aec_kernel_set aec_kernels_avx512;
#endif
#endif

/* Sums with registers of 128 bits, for every x86-64, every little-endian 64-bit ARM, and WebAssembly with SIMD. */
#if (defined(__SSE2__) || (defined(__aarch64__) && !defined(__AARCH64EB__)) || defined(__wasm_simd128__)) && \
    (defined(__GNUC__) || defined(__clang__))
#define AEC_HAS_128 1
void aec_convolve_128(const aec_matrix *matrix, const int16_t *const *rows, ptrdiff_t stride, ptrdiff_t step,
                      ptrdiff_t positions, int32_t *sums);
extern const aec_kernel_set aec_kernels_128;
#endif

const aec_kernel_set *aec_choose_kernels(const aec_options *options);
void aec_run(const aec_options *options, int count, void (*job)(void *, int), void *argument);

/* Entropy model and synthesis of a part: entropy.c, synthesis.c. */

/* The samples of the rows of latents first .. last - 1. */
aec_result aec_synthesise_rows(const aec_weights *weights, const aec_kernel_set *kernels, const int32_t *latents,
                               uint32_t rate, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t last,
                               const aec_sink *sink);

/* The same of a picture that is smaller by a scale of 2, 4, 8 or 16, as section 8.5 says: scaled.c. */
aec_result aec_synthesise_scaled_rows(const aec_weights *weights, const aec_kernel_set *kernels, const int32_t *latents,
                                      uint32_t rate, int scale, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first,
                                      ptrdiff_t last, const aec_sink *sink);

/* The latents of a tile; stride: int32 from one row of them to the next.  What is missing of a payload that is cut counts
   as 0. */
aec_result aec_decode_tile(const aec_weights *weights, const aec_kernel_set *kernels, aec_span payload, uint32_t rate,
                           ptrdiff_t rows, ptrdiff_t columns, int32_t *latents, ptrdiff_t stride);

#endif
