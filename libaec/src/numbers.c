/* The arithmetic that section 8.1 of docs/format.md defines: factors and gains.  Every float64 operation here is
   exact or a single correctly rounded one, so that neither the order nor fused multiply-add can matter. */

#include "internal.h"

#include <math.h>

#define MANTISSA 21
#define SHIFT_MAX 62
#define LOG_FRAC 24
#define LOG_MAX 16
#define LOG2_E 24204406
#define POWER_FRAC 28

int64_t aec_interpolate(const int32_t *table, int rows, int columns, int column, int rate)
{
    int steps = MAX_RATE / (rows - 1), low = rate / steps < rows - 2 ? rate / steps : rows - 2, part = rate - steps * low;
    int64_t first = table[(ptrdiff_t)low * columns + column], second = table[(ptrdiff_t)(low + 1) * columns + column];
    int64_t sum = first * (steps - part) + second * part + steps / 2;
    int64_t whole = sum / steps;
    return whole - (sum % steps < 0);
}

aec_result aec_factor_of(double value, aec_factor *factor)
{
    int exponent;
    if (!(value >= 0 && value < (double)(1 << MANTISSA)))
        FAIL(AEC_WEIGHTS, "a factor of the synthesis is out of range");
    double mantissa = floor(ldexp(frexp(value, &exponent), MANTISSA) + 0.5);
    *factor = (aec_factor){(int32_t)mantissa, MANTISSA - exponent};
    if (factor->shift > SHIFT_MAX || !factor->mantissa)
        *factor = (aec_factor){0, 1};
    return OK;
}

double aec_factor_value(aec_factor factor)
{
    return ldexp(factor.mantissa, -factor.shift);
}

aec_result aec_gains(const uint16_t *log, int channels, uint32_t rate, double *gains)
{
    static const int64_t power[7] = {268435456, 186065213, 64486372, 14892968, 2599579, 332627, 58696};
    for (int c = 0; c < channels; c++) {
        int32_t column[KNOTS];
        for (int k = 0; k < KNOTS; k++) {
            double value = aec_float16(log[k * channels + c]);
            if (!(fabs(value) <= LOG_MAX))
                FAIL(AEC_WEIGHTS, "a gain of the synthesis is out of range");
            column[k] = (int32_t)ldexp(value, LOG_FRAC);
        }
        int64_t natural = aec_interpolate(column, KNOTS, 1, 0, (int)rate);
        int64_t binary = (natural * LOG2_E + (1 << LOG_FRAC >> 1)) >> LOG_FRAC;
        int64_t part = binary & ((1 << LOG_FRAC) - 1), sum = power[6];
        for (int i = 5; i >= 0; i--)
            sum = power[i] + (sum * part >> LOG_FRAC);
        gains[c] = ldexp((double)sum, (int)(binary >> LOG_FRAC) - POWER_FRAC);
    }
    return OK;
}

aec_result aec_linear_inputs(const aec_weights *w, uint32_t rate, double *gains, aec_factor *factors)
{
    TRY(aec_gains(w->inverse_gain, w->latents, rate, gains));
    for (int c = 0; c < w->latents; c++)
        TRY(aec_factor_of(gains[c] * ldexp(1, LINEAR_FRAC - MEAN_FRAC), factors + c));
    return OK;
}
