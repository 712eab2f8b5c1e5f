/* The filter of edge_filter.py for Python; libaec has its loops. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "edge_filter.h" /* of libaec */

static int fits(const Py_buffer *picture, const Py_buffer *strength, const Py_buffer *amounts, const Py_buffer *out,
                Py_ssize_t height, Py_ssize_t width)
{
    if (height < 0 || width < REACH || height % BLOCK || width % BLOCK || height > (1 << 24) || width > (1 << 24))
        return 0;
    Py_ssize_t samples = 3 * height * width, blocks = height / BLOCK * (width / BLOCK);
    if (picture->len != 2 * samples || out->len != samples || strength->len != blocks ||
        amounts->len != (Py_ssize_t)(3 * (LAST + 1) * sizeof(int16_t)))
        return 0;
    for (Py_ssize_t i = 0; i < blocks; i++)
        if (((const uint8_t *)strength->buf)[i] > STRENGTH_MAX)
            return 0;
    return 1;
}

static PyObject *py_apply(PyObject *self, PyObject *args)
{
    Py_buffer picture, strength, amounts, out;
    Py_ssize_t height, width;
    if (!PyArg_ParseTuple(args, "y*y*y*w*nn:apply", &picture, &strength, &amounts, &out, &height, &width))
        return NULL;
    PyObject *result = NULL;
    if (!fits(&picture, &strength, &amounts, &out, height, width)) {
        PyErr_SetString(PyExc_TypeError, "arrays have the wrong item size or do not fit each other");
        goto done;
    }
    int32_t *memory = PyMem_Calloc((size_t)(2 * ROWS * width), sizeof *memory);
    if (memory) {
        Py_BEGIN_ALLOW_THREADS
        filter_edges(picture.buf, strength.buf, amounts.buf, out.buf, height, width, memory);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    } else
        PyErr_NoMemory();
    PyMem_Free(memory);
done:
    PyBuffer_Release(&picture);
    PyBuffer_Release(&strength);
    PyBuffer_Release(&amounts);
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef methods[] = {
    {"apply", py_apply, METH_VARARGS, "apply(picture, strength, amounts, out, height, width); fills out"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_edge_filter", .m_methods = methods};

PyMODINIT_FUNC PyInit__edge_filter(void)
{
    return PyModuleDef_Init(&module);
}
