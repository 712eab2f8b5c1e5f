/* The two loops of the entropy coder. rans.py describes the stream; _rans_python.py is the same in Python.

   Whatever the arrays and the stream hold, no access leaves its buffer: every table's extent is checked once per call,
   the search stops at a table's last symbol, and words are read only where four bytes are left. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "rans.h" /* reading, which libaec shares */

#define EMIT_FROM (LOWER >> PRECISION << 32) /* times the frequency: from here on the step would pass 2^63 */

static void store32(uint8_t *p, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(word >> 8 * i);
}

/* Lists the coding operations, frequency << 16 | start each. Returns NULL or what is wrong. */
static const char *expand(const Tables *tables, const int32_t *symbols, const uint8_t *levels, Py_ssize_t count,
                          uint32_t *operations, Py_ssize_t *operation_count)
{
    uint32_t *op = operations;
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t value = symbols[i]; /* 64 bits, for -2^31 has no absolute value in 32 */
        int64_t radius = tables->radius[levels[i]];
        int64_t beyond = (value < 0 ? -value : value) - radius - 1;
        const uint32_t *cdf = tables->cdf + tables->start[levels[i]] + (beyond < 0 ? value + radius : 2 * radius + 1);
        uint32_t frequency = (cdf[1] - cdf[0]) & SLOT_MASK;
        if (!frequency)
            return "table is not increasing";
        *op++ = frequency << 16 | (cdf[0] & SLOT_MASK);
        if (beyond < 0)
            continue;
        if (beyond >> (3 * ESCAPE_DIGITS - 1))
            return "value is too large for an escape";
        uint32_t rest = (uint32_t)beyond << 1 | (value < 0);
        do {
            uint32_t nibble = (rest & 7) | (rest > 7 ? 8 : 0);
            *op++ = ESCAPE_FREQUENCY << 16 | nibble << ESCAPE_SHIFT;
            rest >>= 3;
        } while (rest);
    }
    *operation_count = op - operations;
    return NULL;
}

/* Codes the operations from the last to the first. The words, in reading order, replace the end of the list: an
   operation emits one word at most, so they never reach an operation still to come. Returns the first word. */
static const uint32_t *push_all(uint32_t *operations, Py_ssize_t count, uint64_t *state_0, uint64_t *state_1)
{
    uint64_t x = LOWER, y = LOWER;
    uint32_t *word = operations + count;
    for (Py_ssize_t i = count; i-- > 0;) {
        uint64_t other = x;
        x = y;
        y = other;
        uint32_t frequency = operations[i] >> 16, start = operations[i] & SLOT_MASK;
        if (x >= EMIT_FROM * frequency) {
            *--word = (uint32_t)x;
            x >>= 32;
        }
        x = (x / frequency << PRECISION) + x % frequency + start;
    }
    *state_0 = x;
    *state_1 = y;
    return word;
}

static int holds(const Py_buffer *view, size_t itemsize, Py_ssize_t items)
{
    return view->itemsize == (Py_ssize_t)itemsize && view->len / (Py_ssize_t)itemsize == items &&
           (uintptr_t)view->buf % itemsize == 0;
}

/* Whether each level has a table, in every quantiser where they are dependent, and every table lies within the arrays;
   fills *tables. lookup may be NULL. */
static int fits(Tables *tables, const Py_buffer *levels, const Py_buffer *radius, const Py_buffer *cdf,
                const Py_buffer *start, const Py_buffer *lookup, int stride)
{
    Py_ssize_t count = radius->len / (Py_ssize_t)sizeof(int32_t), entries = cdf->len / (Py_ssize_t)sizeof(uint32_t);
    if (!holds(levels, 1, levels->len) || !holds(radius, sizeof(int32_t), count) ||
        !holds(cdf, sizeof(uint32_t), entries) || !holds(start, sizeof(int32_t), count) ||
        (lookup && !holds(lookup, sizeof(uint16_t), 256 * count)))
        return 0;
    *tables = (Tables){radius->buf, start->buf, cdf->buf, lookup ? lookup->buf : NULL};
    for (Py_ssize_t i = 0; i < count; i++) {
        int32_t r = tables->radius[i], first = tables->start[i];
        if (r < 0 || r > RADIUS_MAX || first < 0 || entries - first < 2 * r + 3)
            return 0;
    }
    for (Py_ssize_t i = 0; i < levels->len; i++)
        if (((const uint8_t *)levels->buf)[i] + 2 * stride >= count)
            return 0;
    return 1;
}

/* Not a ValueError: rans.py takes those for damage in the stream. */
static void raise_misfit(void)
{
    PyErr_SetString(PyExc_TypeError, "arrays have the wrong item size or do not fit each other");
}

static PyObject *stream_bytes(uint64_t state_0, uint64_t state_1, const uint32_t *words, Py_ssize_t count)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, 16 + 4 * count);
    if (!result)
        return NULL;
    uint8_t *out = (uint8_t *)PyBytes_AsString(result);
    store32(out, (uint32_t)state_0);
    store32(out + 4, (uint32_t)(state_0 >> 32));
    store32(out + 8, (uint32_t)state_1);
    store32(out + 12, (uint32_t)(state_1 >> 32));
    for (Py_ssize_t i = 0; i < count; i++)
        store32(out + 16 + 4 * i, words[i]);
    return result;
}

static PyObject *encode(PyObject *self, PyObject *args)
{
    Py_buffer symbols, levels, radius, cdf, start;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*:encode", &symbols, &levels, &radius, &cdf, &start))
        return NULL;
    PyObject *result = NULL;
    uint32_t *operations = NULL;
    Py_ssize_t count = levels.len, operation_count = 0;
    Tables tables;
    if (!holds(&symbols, sizeof(int32_t), count) || !fits(&tables, &levels, &radius, &cdf, &start, NULL, 0)) {
        raise_misfit();
        goto done;
    }
    /* The worst case: each symbol an escape of full length. */
    if (count <= PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(uint32_t) / (1 + ESCAPE_DIGITS))
        operations = PyMem_Malloc((size_t)count * (1 + ESCAPE_DIGITS) * sizeof(uint32_t));
    if (!operations) {
        PyErr_NoMemory();
        goto done;
    }
    const char *problem;
    const uint32_t *words = NULL;
    uint64_t state_0, state_1;
    Py_BEGIN_ALLOW_THREADS
    problem = expand(&tables, symbols.buf, levels.buf, count, operations, &operation_count);
    if (!problem)
        words = push_all(operations, operation_count, &state_0, &state_1);
    Py_END_ALLOW_THREADS
    if (problem)
        PyErr_SetString(PyExc_ValueError, problem);
    else
        result = stream_bytes(state_0, state_1, words, operations + operation_count - words);
done:
    PyMem_Free(operations);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&levels);
    PyBuffer_Release(&radius);
    PyBuffer_Release(&cdf);
    PyBuffer_Release(&start);
    return result;
}

static PyObject *decode(PyObject *self, PyObject *args)
{
    Py_buffer data, levels, symbols, radius, cdf, start, lookup;
    unsigned long long x, y;
    Py_ssize_t position;
    int stride;
    if (!PyArg_ParseTuple(args, "y*y*w*(KKn)y*y*y*y*i:decode", &data, &levels, &symbols, &x, &y, &position, &radius,
                          &cdf, &start, &lookup, &stride))
        return NULL;
    PyObject *result = NULL;
    Tables tables;
    if (position < 0 || position > data.len || !holds(&symbols, sizeof(int32_t), levels.len) ||
        stride < 0 || stride > 255 || !fits(&tables, &levels, &radius, &cdf, &start, &lookup, stride)) {
        raise_misfit();
        goto done;
    }
    Stream stream = {x, y, data.buf, position, data.len};
    const char *problem;
    Py_BEGIN_ALLOW_THREADS
    problem = pop_all(&tables, &stream, levels.buf, levels.len, stride, symbols.buf);
    Py_END_ALLOW_THREADS
    if (problem)
        PyErr_SetString(PyExc_ValueError, problem);
    else
        result = Py_BuildValue("KKn", (unsigned long long)stream.x, (unsigned long long)stream.y, stream.position);
done:
    PyBuffer_Release(&data);
    PyBuffer_Release(&levels);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&radius);
    PyBuffer_Release(&cdf);
    PyBuffer_Release(&start);
    PyBuffer_Release(&lookup);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "encode(symbols, levels, radius, cdf, start) -> bytes"},
    {"decode", decode, METH_VARARGS,
     "decode(data, levels, symbols, state, radius, cdf, start, lookup, stride) -> state; fills symbols"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_rans", .m_methods = methods};

PyMODINIT_FUNC PyInit__rans(void)
{
    return PyModuleDef_Init(&module);
}
