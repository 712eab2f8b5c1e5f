/* The search of trellis.py, which says what it computes; _trellis_python.py is the same in Python.  Additions and
   comparisons of floats in the same order give the same decisions in both: build without fused operations. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

#define STATES 256
#define HALF (STATES / 2)
#define ODD_STATE 104   /* what an odd state adds to the next one's lower half, besides its highest bit */
#define ODD_SYMBOL 120 /* what an odd symbol adds to it */
#define LANES (STATES / 32)
#define BLOCKS (HALF / LANES)
#define RENORMALISE 32
#define UNREACHED 1e6f

/* Builds for several x86 instruction sets at once, where the compiler and the C library can choose among them. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define FAST
#endif

typedef struct {
    const float *bits; /* (2, levels, top + 1): bits of a magnitude in quantiser 0 and 1 */
    Py_ssize_t levels, top;
    float step, distortion; /* the union's step in units of the residual; bits per squared step */
} Costs;

static inline float cost(const Costs *costs, int quantiser, int level, int32_t magnitude, float error)
{
    const float *bits = costs->bits + (quantiser * costs->levels + level) * (costs->top + 1);
    return bits[magnitude < costs->top ? magnitude : costs->top] + costs->distortion * (error * error);
}

/* The nearest of first, first + 4, .. to size, not below first. */
static inline float nearest(float size, float first)
{
    float steps = rintf((size - first) * 0.25f);
    return 4 * (steps > 0 ? steps : 0) + first;
}

/* Best symbol magnitudes and their costs for one residual: [quantiser][parity]. */
static inline void branches(const Costs *costs, float residual, int level, int32_t magnitude[2][2], float best[2][2])
{
    static const float first[2][2] = {{0, 2}, {3, 1}};
    float size = fabsf(residual) / costs->step;
    for (int q = 0; q < 2; q++) {
        for (int parity = 0; parity < 2; parity++) {
            float point = nearest(size, first[q][parity]);
            magnitude[q][parity] = ((int32_t)point + q) / 2;
            best[q][parity] = cost(costs, q, level, magnitude[q][parity], point - size);
        }
        float zero = cost(costs, q, level, 0, size);
        if (zero <= best[q][0]) {
            best[q][0] = zero;
            magnitude[q][0] = 0;
        }
    }
}

/* Additions, comparisons and selections into the states that quantiser q leads to; state LANES b + l takes the branch of
   parity p from the state whose costs are in from[LANES (b ^ even ^ p odd) + l], and p becomes bit b of chosen[l]. */
static inline void select_branches(const float *restrict from, const float best[2], int even, int odd, float *restrict next,
                                   uint32_t *restrict chosen, int first)
{
    for (int b = 0; b < BLOCKS; b++)
        for (int l = 0; l < LANES; l++) {
            float x = from[LANES * (b ^ even) + l] + best[0], y = from[LANES * (b ^ odd) + l] + best[1];
            next[LANES * b + l] = y < x ? y : x;
            chosen[l] |= ((uint32_t)(y < x)) << (first + b);
        }
}

FAST static void advance(const float *restrict now, float *restrict next, const float best[2][2], uint32_t *restrict chosen)
{
    float even[HALF], odd[HALF];
    uint32_t bits[LANES] = {0};
    for (int j = 0; j < HALF; j++) {
        even[j] = now[2 * j];
        odd[j] = now[2 * j + 1];
    }
    select_branches(even, best[0], 0, ODD_SYMBOL / LANES, next, bits, 0);
    select_branches(odd, best[1], ODD_STATE / LANES, (ODD_STATE ^ ODD_SYMBOL) / LANES, next + HALF, bits, BLOCKS);
    for (int l = 0; l < LANES; l++)
        chosen[l] = bits[l];
}

static void search(const Costs *costs, const float *residuals, const uint8_t *levels, Py_ssize_t count, int32_t *symbols,
                   uint8_t *quantisers, int32_t (*magnitudes)[2][2], uint32_t (*parities)[LANES])
{
    float buffers[2][STATES];
    for (int s = 0; s < STATES; s++)
        buffers[0][s] = s ? UNREACHED : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        float best[2][2], *now = buffers[i & 1], *next = buffers[~i & 1];
        branches(costs, residuals[i], levels[i], magnitudes[i], best);
        advance(now, next, best, parities[i]);
        if (i % RENORMALISE == RENORMALISE - 1)
            for (int s = STATES; s-- > 0;)
                next[s] -= next[0];
    }
    const float *last = buffers[count & 1];
    int state = 0;
    for (int s = 1; s < STATES; s++)
        if (last[s] < last[state])
            state = s;
    for (Py_ssize_t i = count; i-- > 0;) {
        int parity = parities[i][state % LANES] >> state / LANES & 1, quantiser = state >= HALF;
        int before = (state % HALF) ^ (quantiser ? ODD_STATE : 0) ^ (parity ? ODD_SYMBOL : 0);
        state = 2 * before + quantiser;
        int32_t magnitude = magnitudes[i][quantiser][parity];
        symbols[i] = residuals[i] < 0 ? -magnitude : magnitude;
        quantisers[i] = (uint8_t)quantiser;
    }
}

static PyObject *py_search(PyObject *self, PyObject *args)
{
    Py_buffer residuals, levels, bits, symbols, quantisers;
    Costs costs;
    if (!PyArg_ParseTuple(args, "y*y*y*nffw*w*:search", &residuals, &levels, &bits, &costs.levels, &costs.step,
                          &costs.distortion, &symbols, &quantisers))
        return NULL;
    PyObject *result = NULL;
    Py_ssize_t count = levels.len;
    costs.bits = bits.buf;
    costs.top = costs.levels > 0 ? bits.len / (Py_ssize_t)sizeof(float) / 2 / costs.levels - 1 : -1;
    int fits = costs.top >= 0 && quantisers.len == count && residuals.len / (Py_ssize_t)sizeof(float) == count &&
               symbols.len / (Py_ssize_t)sizeof(int32_t) == count && costs.step > 0;
    for (Py_ssize_t i = 0; fits && i < count; i++)
        fits = ((const uint8_t *)levels.buf)[i] < costs.levels && fabsf(((const float *)residuals.buf)[i]) < 1e8f;
    if (!fits) {
        PyErr_SetString(PyExc_TypeError, "arrays have the wrong item size or do not fit each other");
        goto done;
    }
    int32_t(*magnitudes)[2][2] = PyMem_Malloc((size_t)count * sizeof *magnitudes);
    uint32_t(*parities)[LANES] = PyMem_Malloc((size_t)count * sizeof *parities);
    if (magnitudes && parities) {
        Py_BEGIN_ALLOW_THREADS
        search(&costs, residuals.buf, levels.buf, count, symbols.buf, quantisers.buf, magnitudes, parities);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    } else
        PyErr_NoMemory();
    PyMem_Free(magnitudes);
    PyMem_Free(parities);
done:
    PyBuffer_Release(&residuals);
    PyBuffer_Release(&levels);
    PyBuffer_Release(&bits);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&quantisers);
    return result;
}

static PyMethodDef methods[] = {
    {"search", py_search, METH_VARARGS,
     "search(residuals, levels, bits, level count, step, distortion, symbols, quantisers); fills the last two"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_trellis", .m_methods = methods};

PyMODINIT_FUNC PyInit__trellis(void)
{
    return PyModuleDef_Init(&module);
}
