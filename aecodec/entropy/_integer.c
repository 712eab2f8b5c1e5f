/* What numpy needs many passes for in integer.py: requantisation, and the depthwise convolution. Both compute on integers
   that float32 holds exactly, so the order of operations and fused multiply-adds change nothing. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

/* Builds for several x86 instruction sets at once, where the compiler and the C library can choose among them. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define FAST
#endif

/* Each of sums (rows, channels) becomes floor((sum + bias) * scale + half), limited to low..high. */
FAST static void requantise_rows(float *restrict sums, Py_ssize_t rows, Py_ssize_t channels, const float *restrict bias,
                                 const float *restrict scale, const float *restrict half, float low, float high)
{
    for (Py_ssize_t r = 0; r < rows; r++, sums += channels)
        for (Py_ssize_t c = 0; c < channels; c++) {
            float y = (sums[c] + bias[c]) * scale[c] + half[c];
            float whole = floorf(y);
            whole = whole > low ? whole : low;
            sums[c] = whole < high ? whole : high;
        }
}

/* out (h, w, channels) = 3x3 convolution of x, zero outside, each channel with its own nine taps (9, channels). */
FAST static void convolve_depthwise(const float *restrict x, float *restrict out, Py_ssize_t h, Py_ssize_t w,
                                    Py_ssize_t channels, const float *restrict taps)
{
    for (Py_ssize_t i = 0; i < h; i++)
        for (Py_ssize_t j = 0; j < w; j++) {
            float *to = out + (i * w + j) * channels;
            for (Py_ssize_t c = 0; c < channels; c++)
                to[c] = 0;
            for (int di = -1; di <= 1; di++)
                for (int dj = -1; dj <= 1; dj++) {
                    if (i + di < 0 || i + di >= h || j + dj < 0 || j + dj >= w)
                        continue;
                    const float *from = x + ((i + di) * w + j + dj) * channels;
                    const float *tap = taps + ((di + 1) * 3 + dj + 1) * channels;
                    for (Py_ssize_t c = 0; c < channels; c++)
                        to[c] += from[c] * tap[c];
                }
        }
}

static int is_floats(const Py_buffer *view, Py_ssize_t count)
{
    return count >= 0 && view->len % (Py_ssize_t)sizeof(float) == 0 && view->len / (Py_ssize_t)sizeof(float) == count;
}

static PyObject *requantise(PyObject *self, PyObject *args)
{
    Py_buffer sums, bias, scale, half;
    float low, high;
    if (!PyArg_ParseTuple(args, "w*y*y*y*ff:requantise", &sums, &bias, &scale, &half, &low, &high))
        return NULL;
    Py_ssize_t channels = bias.len / (Py_ssize_t)sizeof(float), count = sums.len / (Py_ssize_t)sizeof(float);
    int fits = channels > 0 && is_floats(&bias, channels) && is_floats(&scale, channels) && is_floats(&half, channels) &&
               is_floats(&sums, count) && count % channels == 0;
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        requantise_rows(sums.buf, count / channels, channels, bias.buf, scale.buf, half.buf, low, high);
        Py_END_ALLOW_THREADS
    } else
        PyErr_SetString(PyExc_ValueError, "arrays do not fit together");
    PyBuffer_Release(&sums);
    PyBuffer_Release(&bias);
    PyBuffer_Release(&scale);
    PyBuffer_Release(&half);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *depthwise(PyObject *self, PyObject *args)
{
    Py_buffer x, taps, out;
    Py_ssize_t h, w;
    if (!PyArg_ParseTuple(args, "y*y*w*(nn):depthwise", &x, &taps, &out, &h, &w))
        return NULL;
    Py_ssize_t channels = taps.len / (Py_ssize_t)(9 * sizeof(float));
    int fits = h > 0 && w > 0 && channels > 0 && is_floats(&taps, 9 * channels) && h <= PY_SSIZE_T_MAX / w &&
               h * w <= PY_SSIZE_T_MAX / channels && is_floats(&x, h * w * channels) && is_floats(&out, h * w * channels);
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        convolve_depthwise(x.buf, out.buf, h, w, channels, taps.buf);
        Py_END_ALLOW_THREADS
    } else
        PyErr_SetString(PyExc_ValueError, "arrays do not fit together");
    PyBuffer_Release(&x);
    PyBuffer_Release(&taps);
    PyBuffer_Release(&out);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"requantise", requantise, METH_VARARGS, "requantise(sums, bias, scale, half, low, high); changes sums (n, channels)"},
    {"depthwise", depthwise, METH_VARARGS, "depthwise(x, taps, out, (h, w)); fills out"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_integer", .m_methods = methods};

PyMODINIT_FUNC PyInit__integer(void)
{
    return PyModuleDef_Init(&module);
}
