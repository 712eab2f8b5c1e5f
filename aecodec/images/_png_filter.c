/* Rows of a PNG for Python; aecthumb has the same filter. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "png_filter.h" /* of libaec's tools */

/* Rows of a PNG, each behind its filter. */
static PyObject *rows(PyObject *self, PyObject *args)
{
    Py_buffer samples;
    Py_ssize_t size, pixel, first, last;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*nnnn:rows", &samples, &size, &pixel, &first, &last))
        return NULL;
    PyObject *result = NULL;
    uint8_t *zeros = NULL;
    if (pixel < 1 || size < pixel || first < 0 || last < first || last > samples.len / size)
        PyErr_SetString(PyExc_TypeError, "the buffer has another size");
    else if (!(zeros = PyMem_Calloc(2, (size_t)size)))
        PyErr_NoMemory();
    else
        result = PyBytes_FromStringAndSize(NULL, (last - first) * (size + 1));
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(result);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t y = first; y < last; y++, out += size + 1) {
            const uint8_t *row = (const uint8_t *)samples.buf + y * size;
            png_filter_row(row, y ? row - size : zeros, (size_t)size, (size_t)pixel, zeros + size, out);
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(zeros);
    PyBuffer_Release(&samples);
    return result;
}

static PyMethodDef methods[] = {
    {"rows", rows, METH_VARARGS,
     "rows(samples, size, pixel, first, last); returns rows of `size` bytes as a PNG has them, filtered, each behind its\n"
     "filter's number; pixel: bytes from a sample to the next of its kind"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_png_filter", .m_methods = methods};

PyMODINIT_FUNC PyInit__png_filter(void)
{
    return PyModuleDef_Init(&module);
}
