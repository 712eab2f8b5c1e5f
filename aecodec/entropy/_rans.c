/* The two loops of the entropy coder. rans.py describes the stream; _rans_python.py is the same in Python.

   Whatever the arrays and the stream hold, no access leaves its buffer: every table's extent is checked once per call,
   the search stops at a table's last symbol, and words are read only where four bytes are left. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "_rans_write.h"

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
    PyObject *result = PyBytes_FromStringAndSize(NULL, STATE_BYTES + 4 * count);
    if (result)
        store_stream(state_0, state_1, words, count, (uint8_t *)PyBytes_AsString(result));
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
