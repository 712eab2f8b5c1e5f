/* The filter of edge_filter.py, which says what it computes and holds the same in numpy.  Rows go through once: an amount
   is added to the change of the pair's first pixel and taken from that of its second, at most two rows further down. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 8
#define REACH 2               /* rows and columns between the pixels of a pair, at most */
#define ROWS (REACH + 1)      /* that a change is kept for */
#define LAST 480              /* differences beyond this one count as this one */
#define TO_AMOUNT 256         /* a unit of the picture, in units of amount times strength */
#define UNIT_BITS 11          /* log2 of a level in those units */
#define STRENGTH_MAX 32

typedef struct {
    Py_ssize_t width;
    int32_t *luma[ROWS], *change[ROWS];
} Lines;

static void read_luma(const int16_t *pixels, int32_t *luma, Py_ssize_t width)
{
    for (Py_ssize_t x = 0; x < width; x++)
        luma[x] = (77 * pixels[3 * x] + 150 * pixels[3 * x + 1] + 29 * pixels[3 * x + 2] + 128) >> 8;
}

/* Pairs of the pixels first[0 .. count - 1] and second[0 .. count - 1]. */
static inline void exchange(const int16_t *restrict amounts, const int32_t *first, const int32_t *second, int32_t *change,
                            int32_t *other, Py_ssize_t count)
{
    for (Py_ssize_t x = 0; x < count; x++) {
        int32_t difference = second[x] - first[x], size = abs(difference);
        int32_t amount = amounts[size < LAST ? size : LAST];
        amount = difference < 0 ? -amount : amount;
        change[x] += amount;
        other[x] -= amount;
    }
}

static void filter_row(const Lines *lines, Py_ssize_t row, Py_ssize_t rows_below, const int16_t (*amounts)[LAST + 1])
{
    Py_ssize_t w = lines->width;
    int32_t *luma[ROWS], *change[ROWS];
    for (int i = 0; i < ROWS; i++) {
        luma[i] = lines->luma[(row + i) % ROWS];
        change[i] = lines->change[(row + i) % ROWS];
    }
    exchange(amounts[0], luma[0], luma[0] + 1, change[0], change[0] + 1, w - 1);
    exchange(amounts[2], luma[0], luma[0] + 2, change[0], change[0] + 2, w - 2);
    if (rows_below >= 1) {
        exchange(amounts[0], luma[0], luma[1], change[0], change[1], w);
        exchange(amounts[1], luma[0], luma[1] + 1, change[0], change[1] + 1, w - 1);
        exchange(amounts[1], luma[0] + 1, luma[1], change[0] + 1, change[1], w - 1);
    }
    if (rows_below >= 2)
        exchange(amounts[2], luma[0], luma[2], change[0], change[2], w);
}

static void write_row(const int16_t *pixels, const int32_t *change, const uint8_t *strength, uint8_t *out, Py_ssize_t width)
{
    for (Py_ssize_t x = 0; x < width; x++) {
        int32_t added = change[x] * strength[x / BLOCK] + (1 << (UNIT_BITS - 1));
        for (int c = 0; c < 3; c++) {
            int32_t sample = (pixels[3 * x + c] * TO_AMOUNT + added) >> UNIT_BITS;
            out[3 * x + c] = (uint8_t)(sample < 0 ? 0 : sample > 255 ? 255 : sample);
        }
    }
}

static void apply(const int16_t *picture, const uint8_t *strength, const int16_t (*amounts)[LAST + 1], uint8_t *out,
                  Py_ssize_t height, const Lines *lines)
{
    Py_ssize_t w = lines->width;
    for (Py_ssize_t row = 0; row < height && row < REACH; row++)
        read_luma(picture + 3 * w * row, lines->luma[row], w);
    for (Py_ssize_t row = 0; row < height; row++) {
        Py_ssize_t below = height - 1 - row;
        if (below >= REACH)
            read_luma(picture + 3 * w * (row + REACH), lines->luma[(row + REACH) % ROWS], w);
        filter_row(lines, row, below, amounts);
        int32_t *change = lines->change[row % ROWS];
        write_row(picture + 3 * w * row, change, strength + w / BLOCK * (row / BLOCK), out + 3 * w * row, w);
        memset(change, 0, (size_t)w * sizeof *change);
    }
}

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
    Py_ssize_t height;
    Lines lines;
    if (!PyArg_ParseTuple(args, "y*y*y*w*nn:apply", &picture, &strength, &amounts, &out, &height, &lines.width))
        return NULL;
    PyObject *result = NULL;
    if (!fits(&picture, &strength, &amounts, &out, height, lines.width)) {
        PyErr_SetString(PyExc_TypeError, "arrays have the wrong item size or do not fit each other");
        goto done;
    }
    int32_t *memory = PyMem_Calloc((size_t)(2 * ROWS * lines.width), sizeof *memory);
    if (memory) {
        for (int i = 0; i < ROWS; i++) {
            lines.luma[i] = memory + i * lines.width;
            lines.change[i] = memory + (ROWS + i) * lines.width;
        }
        Py_BEGIN_ALLOW_THREADS
        apply(picture.buf, strength.buf, amounts.buf, out.buf, height, &lines);
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
