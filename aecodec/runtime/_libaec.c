/* libaec for Python: a set of weights, and the two halves of a decode on buffers. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "aec.h"
#include "webp_lossless.h"

typedef struct {
    PyObject_HEAD
    aec_weights *weights;
} Model;

/* What went wrong, as the exception that its kind has: ValueError for a file, LookupError for weights. */
static PyObject *fail(aec_result result)
{
    PyObject *kind = result.status == AEC_MEMORY     ? PyExc_MemoryError
                     : result.status == AEC_WEIGHTS  ? PyExc_LookupError
                     : result.status == AEC_ARGUMENT ? PyExc_TypeError
                                                     : PyExc_ValueError;
    PyErr_SetString(kind, result.message);
    return NULL;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    Py_buffer data;
    const char *id = NULL;
    Py_ssize_t id_size = 0;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "y*z#:Model", &data, &id, &id_size))
        return NULL;
    if (id && id_size != 4) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_TypeError, "an id has four bytes");
        return NULL;
    }
    aec_weights *weights = NULL;
    aec_result result;
    Py_BEGIN_ALLOW_THREADS
    result = id ? aec_weights_open_as(data.buf, (size_t)data.len, (const uint8_t *)id, &weights)
                : aec_weights_open(data.buf, (size_t)data.len, &weights);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    if (result.status != AEC_OK)
        return fail(result);
    Model *self = (Model *)PyType_GenericAlloc(type, 0);
    if (!self)
        aec_weights_free(weights);
    else
        self->weights = weights;
    return (PyObject *)self;
}

static void model_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    aec_weights_free(((Model *)self)->weights);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Whether a buffer has rows * columns * each bytes. */
static int holds(const Py_buffer *buffer, unsigned rows, unsigned columns, size_t each)
{
    return rows <= 1u << 18 && columns <= 1u << 18 && (size_t)rows * columns <= PY_SSIZE_T_MAX / each &&
           (size_t)buffer->len == (size_t)rows * columns * each;
}

static aec_options options_of(int *threads, int kernels, unsigned depth)
{
    return (aec_options){.kernels = (aec_kernels)kernels,
                         .parallel = aec_run_threads,
                         .context = threads,
                         .threads = *threads,
                         .depth = depth};
}

/* Releases what was read and what was filled, and returns None, or raises what went wrong. */
static PyObject *done(aec_result result, Py_buffer *read, Py_buffer *filled)
{
    PyBuffer_Release(read);
    PyBuffer_Release(filled);
    if (result.status != AEC_OK)
        return fail(result);
    Py_RETURN_NONE;
}

static PyObject *decode_latents(PyObject *self, PyObject *args)
{
    Py_buffer payload, latents;
    unsigned rate, rows, columns;
    int threads = 1, kernels;
    if (!PyArg_ParseTuple(args, "y*w*IIIi:decode_latents", &payload, &latents, &rate, &rows, &columns, &kernels))
        return NULL;
    const aec_weights *weights = ((Model *)self)->weights;
    aec_result result = {AEC_ARGUMENT, "the buffer for latents has another size"};
    aec_options options = options_of(&threads, kernels, 8);
    if (holds(&latents, rows, columns, aec_latent_channels(weights) * sizeof(int32_t))) {
        Py_BEGIN_ALLOW_THREADS
        result = aec_decode_latents(weights, payload.buf, (size_t)payload.len, rate, rows, columns, &options, latents.buf);
        Py_END_ALLOW_THREADS
    }
    return done(result, &payload, &latents);
}

static PyObject *synthesise(PyObject *self, PyObject *args)
{
    Py_buffer latents, samples;
    unsigned rate, rows, columns, depth;
    int threads = 1, kernels, scale;
    if (!PyArg_ParseTuple(args, "y*w*IIIiiIi:synthesise", &latents, &samples, &rate, &rows, &columns, &threads, &kernels,
                          &depth, &scale))
        return NULL;
    const aec_weights *weights = ((Model *)self)->weights;
    aec_result result = {AEC_ARGUMENT, "a buffer has another size"};
    aec_options options = options_of(&threads, kernels, depth);
    unsigned side = scale > 0 ? 16 / (unsigned)scale : 0;
    options.scale = scale;
    if (side && holds(&latents, rows, columns, aec_latent_channels(weights) * sizeof(int32_t)) &&
        holds(&samples, rows, columns, side * side * 3 * (depth > 8 ? 2 : 1))) {
        Py_BEGIN_ALLOW_THREADS
        result = aec_synthesise(weights, latents.buf, rate, rows, columns, &options, samples.buf);
        Py_END_ALLOW_THREADS
    }
    return done(result, &latents, &samples);
}

/* A whole file, as aecdec decodes it. */
static PyObject *decode(PyObject *self, PyObject *args)
{
    Py_buffer data, samples;
    int threads = 1, kernels, scale;
    unsigned depth;
    if (!PyArg_ParseTuple(args, "y*w*iiIi:decode", &data, &samples, &threads, &kernels, &depth, &scale))
        return NULL;
    const aec_weights *weights = ((Model *)self)->weights;
    aec_options options = options_of(&threads, kernels, depth);
    options.scale = scale;
    aec_result result;
    Py_BEGIN_ALLOW_THREADS
    result = aec_decode(weights, data.buf, (size_t)data.len, &options, samples.buf, (size_t)samples.len);
    Py_END_ALLOW_THREADS
    return done(result, &data, &samples);
}

static PyMethodDef model_methods[] = {
    {"decode_latents", decode_latents, METH_VARARGS,
     "decode_latents(payload, latents, rate, rows, columns, kernels); fills latents (rows, columns, M) int32"},
    {"synthesise", synthesise, METH_VARARGS,
     "synthesise(latents, samples, rate, rows, columns, threads, kernels, depth, scale); fills samples\n"
     "(16 rows / scale, 16 columns / scale, 3)"},
    {"decode", decode, METH_VARARGS,
     "decode(data, samples, threads, kernels, depth, scale); fills samples (H / scale, W / scale, channels), uint16 of more\n"
     "than 8 bits"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_new, model_new},
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_methods, model_methods},
    {Py_tp_doc, "Model(data, id): a decoder, from the bytes of model.safetensors and their id of four bytes; None makes it of them"},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "aecodec.runtime._libaec.Model",
    .basicsize = sizeof(Model),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = model_slots,
};

static PyObject *decode_webp(PyObject *self, PyObject *args)
{
    Py_buffer stream, pixels;
    uint32_t width, height;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*:decode_webp", &stream, &pixels))
        return NULL;
    aec_result result = aec_webp_size(stream.buf, (size_t)stream.len, &width, &height);
    if (result.status == AEC_OK && (uint64_t)pixels.len != (uint64_t)width * height * sizeof(uint32_t))
        result = (aec_result){AEC_ARGUMENT, "the buffer for pixels has another size"};
    if (result.status == AEC_OK) {
        Py_BEGIN_ALLOW_THREADS
        result = aec_webp_decode(stream.buf, (size_t)stream.len, NULL, pixels.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&stream);
    PyBuffer_Release(&pixels);
    if (result.status != AEC_OK)
        return fail(result);
    Py_RETURN_NONE;
}

/* What there is of a file that ends early; the model may be None where no payload has begun, or the file has no loss. */
static PyObject *preview(PyObject *self, PyObject *args)
{
    Py_buffer data, samples;
    PyObject *model;
    int threads = 1, scale;
    unsigned depth;
    aec_crop crop;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*w*iIi(IIII):preview", &model, &data, &samples, &threads, &depth, &scale, &crop.left,
                          &crop.top, &crop.width, &crop.height))
        return NULL;
    const aec_weights *weights = model == Py_None ? NULL : ((Model *)model)->weights;
    aec_options options = options_of(&threads, AEC_KERNELS_BEST, depth);
    options.max_pixels = UINT64_MAX; /* the caller has checked it */
    options.scale = scale;
    options.crop = crop;
    options.preview = 1;
    aec_result result;
    Py_BEGIN_ALLOW_THREADS
    result = aec_decode(weights, data.buf, (size_t)data.len, &options, samples.buf, (size_t)samples.len);
    Py_END_ALLOW_THREADS
    return done(result, &data, &samples);
}

/* What a file that may end early says of its picture. */
static PyObject *preview_info(PyObject *self, PyObject *args)
{
    Py_buffer data;
    aec_info info;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*:preview_info", &data))
        return NULL;
    aec_result result = aec_read_preview_info(data.buf, (size_t)data.len, &info);
    PyBuffer_Release(&data);
    if (result.status != AEC_OK)
        return fail(result);
    return Py_BuildValue("Ii", info.channels, (int)info.lossless);
}

/* Samples of a depth as those of 16 bits, as aecodec/images/deep.py has them. */
static PyObject *widen(PyObject *self, PyObject *args)
{
    Py_buffer samples;
    unsigned depth;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*I:widen", &samples, &depth))
        return NULL;
    int fits = depth > 8 && depth <= 16 && samples.len % 2 == 0;
    if (fits) {
        uint8_t *bytes = samples.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < samples.len; i += 2) {
            uint16_t sample;
            memcpy(&sample, bytes + i, 2);
            uint64_t peak = (1u << depth) - 1, wide = (2 * sample * (uint64_t)65535 + peak) / (2 * peak);
            bytes[i] = (uint8_t)(wide >> 8);
            bytes[i + 1] = (uint8_t)wide;
        }
        Py_END_ALLOW_THREADS
    } else
        PyErr_SetString(PyExc_TypeError, "samples of more than 8 bits have two bytes");
    PyBuffer_Release(&samples);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

/* A whole file without loss, which needs no weights. */
static PyObject *decode_exact(PyObject *self, PyObject *args)
{
    Py_buffer data, samples;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*:decode_exact", &data, &samples))
        return NULL;
    aec_result result;
    Py_BEGIN_ALLOW_THREADS
    result = aec_decode(NULL, data.buf, (size_t)data.len, NULL, samples.buf, (size_t)samples.len);
    Py_END_ALLOW_THREADS
    return done(result, &data, &samples);
}

/* What a file says of its picture. */
static PyObject *info(PyObject *self, PyObject *args)
{
    Py_buffer data;
    aec_info found;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*:info", &data))
        return NULL;
    aec_result result = aec_read_info(data.buf, (size_t)data.len, &found);
    PyBuffer_Release(&data);
    if (result.status != AEC_OK)
        return fail(result);
    return Py_BuildValue("IIIIiy#", found.width, found.height, found.channels, found.depth, (int)found.lossless,
                         found.weights, (Py_ssize_t)4);
}

static PyMethodDef functions[] = {
    {"preview", preview, METH_VARARGS,
     "preview(model, data, samples, threads, depth, scale, (left, top, width, height)); fills samples (h, w, channels)"},
    {"preview_info", preview_info, METH_VARARGS,
     "preview_info(data) -> channels, lossless; of a file that may end early"},
    {"info", info, METH_VARARGS, "info(data); returns width, height, channels, depth, lossless and the weights' id, four bytes"},
    {"decode_exact", decode_exact, METH_VARARGS,
     "decode_exact(data, samples); fills samples (H, W, channels) from a file without loss"},
    {"widen", widen, METH_VARARGS,
     "widen(samples, depth); makes samples of so many bits, uint16, those of 16 bits as a PNG has them, big-endian"},
    {"decode_webp", decode_webp, METH_VARARGS,
     "decode_webp(stream, pixels); fills pixels (H, W) uint32, 0xAARRGGBB, from the bare stream of a lossless WebP"},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&model_spec);
    if (!type)
        return -1;
    if (PyModule_AddObject(module, "Model", type) < 0) {
        Py_DECREF(type);
        return -1;
    }
    if (PyModule_AddIntConstant(module, "BEST", AEC_KERNELS_BEST))
        return -1;
    if (PyModule_AddIntConstant(module, "PLAIN", AEC_KERNELS_PLAIN))
        return -1;
    if (PyModule_AddIntConstant(module, "SSE2_OR_NEON", AEC_KERNELS_128))
        return -1;
    if (PyModule_AddIntConstant(module, "AVX2", AEC_KERNELS_AVX2))
        return -1;
    if (PyModule_AddIntConstant(module, "AVX_VNNI", AEC_KERNELS_AVX_VNNI))
        return -1;
    return PyModule_AddIntConstant(module, "AVX512", AEC_KERNELS_AVX512);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_libaec", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit__libaec(void)
{
    return PyModuleDef_Init(&module);
}
