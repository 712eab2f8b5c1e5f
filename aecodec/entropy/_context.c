/* The lossless coder of contexts, a band at a time.  context.py describes the calls; _context_python.py is the same in
   Python.  The model is that of libaec, which reads whole pictures. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdlib.h>

#include "_rans_write.h"

#define BLOCK (1u << 22) /* decisions of a stream */
#define COSTS (1 << 12)  /* of probabilities */

/* Where bits are counted, and what a picture whose pixels take cheaper colours is compared with. */
typedef struct {
    const uint32_t *given; /* the picture whose colours are right, or NULL where pixels do not take cheaper ones */
    const float *weights;  /* bits that a squared error of each pixel is worth */
    float *bits, *spent;   /* those of each pixel, and of the one that is being coded */
    float cost[COSTS + 1]; /* bits of a decision, by its probability */
} Count;

typedef struct {
    int reads;    /* else it writes, or, */
    Count *tally; /* where this is not NULL, counts */
    Stream stream;
    uint32_t count; /* decisions of the block so far */
    uint64_t most;  /* decisions that may follow it */
    uint32_t *operations;
    uint8_t *out;
    size_t out_size, out_room;
    int has_failed;
    int lacks_memory;
} Coder;

/* Appends the stream of a block. */
static int end_block(Coder *coder)
{
    uint64_t state_0, state_1;
    const uint32_t *words = push_all(coder->operations, coder->count, &state_0, &state_1);
    ptrdiff_t count = coder->operations + coder->count - words;
    size_t needed = coder->out_size + STATE_BYTES + 4 * (size_t)count;
    if (needed > coder->out_room) {
        size_t room = 2 * coder->out_room > needed ? 2 * coder->out_room : needed;
        uint8_t *out = realloc(coder->out, room);
        if (!out)
            return 0;
        coder->out = out;
        coder->out_room = room;
    }
    store_stream(state_0, state_1, words, count, coder->out + coder->out_size);
    coder->out_size = needed;
    coder->count = 0;
    return 1;
}

static inline float cost_of(const Count *tally, uint32_t probability)
{
    return tally->cost[(probability + 8) >> 4];
}

static int write_decision(Coder *coder, uint32_t probability, int bit)
{
    if (!coder->most--)
        coder->has_failed = 1;
    else if (coder->tally)
        *coder->tally->spent += cost_of(coder->tally, bit ? probability : 65536 - probability);
    else if (coder->count == BLOCK && !end_block(coder))
        coder->has_failed = coder->lacks_memory = 1;
    else
        coder->operations[coder->count++] = bit ? probability << 16 : (65536 - probability) << 16 | probability;
    return bit;
}

static inline int code(Coder *coder, uint32_t probability, int bit)
{
    if (coder->has_failed)
        return 0;
    if (!coder->reads)
        return write_decision(coder, probability, bit);
    if (coder->count == 0 && (coder->stream.x != LOWER || coder->stream.y != LOWER || !begin_stream(&coder->stream))) {
        coder->has_failed = 1;
        return 0;
    }
    coder->count = (coder->count + 1) % BLOCK;
    bit = (coder->stream.x & SLOT_MASK) < probability;
    coder->has_failed = !pop(&coder->stream, bit ? probability : 65536 - probability, bit ? 0 : probability);
    return bit;
}

#include "context_model.h"

#define VALUE_BITS 16 /* about, of a pixel that is none of the candidates; with 12 and 20 bytes and errors were traded alike */

/* Returns what a colour in place of the given one costs in bits: its squared error times a weight. */
static inline float error_of(uint32_t colour, uint32_t given, float weight)
{
    int red = (int)(colour >> 16 & 255) - (int)(given >> 16 & 255), green = (int)(colour >> 8 & 255) - (int)(given >> 8 & 255);
    int blue = (int)(colour & 255) - (int)(given & 255);
    return weight * (0.3f * (float)(red * red) + 0.5f * (float)(green * green) + 0.2f * (float)(blue * blue));
}

/* Takes the colour of least bits + weight * squared error: value or a candidate.  What comes after it does not count. */
static inline uint32_t cheaper(Model *model, Coder *coder, const uint32_t *r, const Around *place, const Guess *guess,
                               uint32_t value)
{
    Count *tally = coder->tally;
    if (!tally)
        return value;
    ptrdiff_t offset = r - model->pixels, y = offset / model->stride;
    size_t at = (size_t)(y * (ptrdiff_t)model->width + offset % model->stride);
    tally->spent = tally->bits + at;
    if (!tally->given || !place)
        return value;
    float own = error_of(value, tally->given[at], tally->weights[at]), best = INFINITY, before = 0;
    uint32_t choice = value;
    int is_listed = 0;
    for (int i = 0, rank = 0; i < SOURCES && before < best; i++) {
        if (!is_candidate(guess, i))
            continue;
        uint32_t colour = guess->sources[i].colour;
        Hit hit = hit_of(model, r, place, guess, colour, rank++);
        uint32_t probability = predict(model, hit.slots, HIT_INPUTS, hit.weights, hit.match_weights, hit.curve,
                                       hit.match_curve).probability;
        float cost = before + cost_of(tally, probability) + error_of(colour, tally->given[at], tally->weights[at]);
        if (cost < best) {
            best = cost;
            choice = colour;
        }
        is_listed |= colour == value;
        before += cost_of(tally, 65536 - probability);
    }
    return is_listed || best <= before + VALUE_BITS + own ? choice : value;
}

/* Whether buffers hold width * height pixels and, where there is one, a mask of them. */
static int fits(const Py_buffer *pixels, const Py_buffer *mask, unsigned width, unsigned height)
{
    uint64_t area = (uint64_t)width * height;
    if (width && height && area <= 1 << 24 && (uint64_t)pixels->len == area * sizeof(uint32_t) &&
        (uintptr_t)pixels->buf % sizeof(uint32_t) == 0 && (!mask->buf || (uint64_t)mask->len == area))
        return 1;
    PyErr_SetString(PyExc_TypeError, "arrays have the wrong item size or do not fit each other");
    return 0;
}

/* Copies a picture, and where there is one its mask, into a model. */
static void fill(Model *model, const Py_buffer *pixels, const Py_buffer *mask)
{
    ptrdiff_t width = model->width;
    for (ptrdiff_t y = 0; y < (ptrdiff_t)model->height; y++) {
        memcpy(model->pixels + y * model->stride, (const uint32_t *)pixels->buf + y * width, (size_t)width * sizeof(uint32_t));
        for (ptrdiff_t x = 0; mask->buf && x < width; x++)
            model->inside[y * model->stride + x] = ((const uint8_t *)mask->buf)[y * width + x] != 0;
    }
}

static PyObject *encode(PyObject *self, PyObject *args)
{
    Py_buffer pixels, mask;
    unsigned width, height;
    int has_alpha;
    unsigned long long most;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*z*IIpK:encode", &pixels, &mask, &width, &height, &has_alpha, &most))
        return NULL;
    if (!fits(&pixels, &mask, width, height))
        goto done;
    Coder coder = {.most = most};
    Model *model;
    Py_BEGIN_ALLOW_THREADS
    coder.operations = malloc(BLOCK * sizeof *coder.operations);
    model = open_model(width, height, has_alpha, mask.buf != NULL);
    coder.lacks_memory = !model || !coder.operations;
    if (!coder.lacks_memory) {
        fill(model, &pixels, &mask);
        if (mask.buf)
            code_mask(model, &coder);
        code_pixels(model, &coder);
        if (!coder.has_failed)
            coder.lacks_memory = !end_block(&coder);
    }
    close_model(model);
    free(coder.operations);
    Py_END_ALLOW_THREADS
    if (coder.lacks_memory)
        PyErr_NoMemory();
    else if (coder.has_failed)
        result = Py_NewRef(Py_None);
    else
        result = PyBytes_FromStringAndSize((const char *)coder.out, (Py_ssize_t)coder.out_size);
    free(coder.out);
done:
    PyBuffer_Release(&pixels);
    if (mask.obj)
        PyBuffer_Release(&mask);
    return result;
}

static PyObject *decode(PyObject *self, PyObject *args)
{
    Py_buffer data, pixels, mask;
    unsigned width, height;
    int has_alpha, mask_alone;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*z*IIpp:decode", &data, &pixels, &mask, &width, &height, &has_alpha, &mask_alone))
        return NULL;
    if (!fits(&pixels, &mask, width, height))
        goto done;
    if (mask.buf && mask.readonly) {
        PyErr_SetString(PyExc_TypeError, "the mask cannot be written to");
        goto done;
    }
    Coder coder = {.reads = 1, .stream = {LOWER, LOWER, data.buf, 0, data.len}};
    Model *model;
    int is_whole = 0;
    Py_BEGIN_ALLOW_THREADS
    model = open_model(width, height, has_alpha, mask.buf != NULL);
    if (model) {
        is_whole = !mask.buf || code_mask(model, &coder) == height;
        if (is_whole && !mask_alone)
            is_whole = code_pixels(model, &coder) == height && coder.stream.x == LOWER && coder.stream.y == LOWER &&
                       coder.stream.position == coder.stream.size;
        for (ptrdiff_t y = 0; is_whole && y < (ptrdiff_t)height; y++) {
            memcpy((uint32_t *)pixels.buf + y * (ptrdiff_t)width, model->pixels + y * model->stride, width * sizeof(uint32_t));
            if (mask.buf)
                memcpy((uint8_t *)mask.buf + y * (ptrdiff_t)width, model->inside + y * model->stride, width);
        }
    }
    close_model(model);
    Py_END_ALLOW_THREADS
    if (!model)
        PyErr_NoMemory();
    else if (!is_whole)
        PyErr_SetString(PyExc_ValueError, "stream is damaged");
    else
        result = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&data);
    PyBuffer_Release(&pixels);
    if (mask.obj)
        PyBuffer_Release(&mask);
    return result;
}

static PyObject *measure(PyObject *self, PyObject *args)
{
    Py_buffer pixels, mask, given, weights, bits;
    unsigned width, height;
    unsigned long long most;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*z*z*z*w*IIK:measure", &pixels, &mask, &given, &weights, &bits, &width, &height, &most))
        return NULL;
    if (!fits(&pixels, &mask, width, height) || !fits(&bits, &mask, width, height) ||
        (given.buf && (!fits(&given, &mask, width, height) || !fits(&weights, &mask, width, height))))
        goto done;
    Model *model;
    Count *tally;
    int is_whole = 0;
    Py_BEGIN_ALLOW_THREADS
    tally = malloc(sizeof *tally);
    model = open_model(width, height, 0, mask.buf != NULL);
    if (tally && model) {
        Coder coder = {.tally = tally, .most = most};
        tally->given = given.buf;
        tally->weights = weights.buf;
        tally->spent = tally->bits = bits.buf;
        for (int i = 0; i <= COSTS; i++)
            tally->cost[i] = -log2f((float)(i ? i : 1) / COSTS);
        fill(model, &pixels, &mask);
        is_whole = code_pixels(model, &coder) == height;
        for (ptrdiff_t y = 0, i = 0; is_whole && y < (ptrdiff_t)height; y++)
            for (ptrdiff_t x = 0; x < (ptrdiff_t)width; x++, i++)
                if (!mask.buf || ((const uint8_t *)mask.buf)[i])
                    ((uint32_t *)pixels.buf)[i] = model->pixels[y * model->stride + x];
    }
    Py_END_ALLOW_THREADS
    if (tally && model)
        result = PyBool_FromLong(is_whole);
    else
        PyErr_NoMemory();
    close_model(model);
    free(tally);
done:
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&bits);
    if (mask.obj)
        PyBuffer_Release(&mask);
    if (given.obj)
        PyBuffer_Release(&given);
    if (weights.obj)
        PyBuffer_Release(&weights);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "encode(pixels, mask, width, height, has_alpha, most) -> bytes, None over most decisions"},
    {"decode", decode, METH_VARARGS,
     "decode(data, pixels, mask, width, height, has_alpha, mask_alone); fills pixels and, where it is not None, mask"},
    {"measure", measure, METH_VARARGS,
     "measure(pixels, mask, given, weights, bits, width, height, most) -> bool, False over most decisions; adds to bits and, "
     "where there is a given picture, changes pixels"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_context", .m_methods = methods};

PyMODINIT_FUNC PyInit__context(void)
{
    return PyModuleDef_Init(&module);
}
