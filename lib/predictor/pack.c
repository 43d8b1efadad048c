/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/pack.h"

#include "base/base.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

void *cosmos__pack_alloc(size_t n, size_t size, size_t *memory)
{
        void *room;
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - COSMOS__ALIGNMENT)
                return NULL;
        bytes = (bytes + COSMOS__ALIGNMENT - 1) / COSMOS__ALIGNMENT * COSMOS__ALIGNMENT;
        room = aligned_alloc(COSMOS__ALIGNMENT, bytes);
        if (!room)
                return NULL;
        *memory += bytes;
        return memset(room, 0, bytes);
}

/* ---- the order of outputs ----------------------------------------------------------- */

/* Outputs of a matrix as the kernels order them: vector v holds lanes of part v % n_parts. */
struct order {
        size_t lanes, n_parts, part; /* columns in a part */
};

static size_t vectors_of(const struct order *o)
{
        return o->n_parts * cosmos__padded(o->part) / o->lanes;
}

/* The tensor's column that is output `out`; SIZE_MAX: padding. */
static size_t column_of(const struct order *o, size_t out)
{
        const size_t v = out / o->lanes, within = v / o->n_parts * o->lanes + out % o->lanes;

        return within < o->part ? v % o->n_parts * o->part + within : SIZE_MAX;
}

/* Where the weight of input `in` for output `out` is among the panels. */
static size_t place_of(const struct cosmos__weights *w, const struct cosmos__kernels *kernels, size_t in, size_t out)
{
        const size_t v = out / kernels->lanes;
        size_t panel = v / kernels->panel * kernels->panel, vectors;

        while (v >= panel + (vectors = cosmos__panel_at(panel, w->n_vectors, kernels->panel)))
                panel += vectors;
        return panel * kernels->lanes * w->n_in +
               (((in / kernels->group) * vectors + v - panel) * kernels->lanes + out % kernels->lanes) *
                   kernels->group +
               in % kernels->group;
}

/* ---- int8 ----------------------------------------------------------------------------- */

/*
 * q = rint(w / scale), scale = max |w| / 127 over the column, all in float: models/quantise.py does
 * the same, so that a file that was quantised there gives the scores of one that is quantised here.
 */
static float scale_of(const struct cosmos__tensor *tensor, size_t column)
{
        const size_t columns = tensor->shape[1];
        float max = 0;

        if (tensor->dtype == COSMOS__I8)
                return cosmos__tensor_value(tensor->scale, column);
        for (size_t i = 0; i < tensor->shape[0]; i++)
                max = fmaxf(max, fabsf(cosmos__tensor_value(tensor, i * columns + column)));
        return max / COSMOS__Q_MAX;
}

static int8_t quantised(const struct cosmos__tensor *tensor, size_t i, float scale)
{
        float q;

        if (tensor->dtype == COSMOS__I8)
                return cosmos__tensor_q(tensor, i);
        if (scale == 0)
                return 0;
        q = rintf(cosmos__tensor_value(tensor, i) / scale);
        return (int8_t)(q > COSMOS__Q_MAX ? COSMOS__Q_MAX : q < -COSMOS__Q_MAX ? -COSMOS__Q_MAX : q);
}

static void pack_int8(struct cosmos__weights *w, const struct cosmos__kernels *kernels,
                      const struct cosmos__tensor *tensor, const struct order *order)
{
        int8_t *panels = w->panels;

        for (size_t out = 0; out < w->n_vectors * kernels->lanes; out++) {
                const size_t column = column_of(order, out);
                float scale;

                if (column == SIZE_MAX)
                        continue;
                scale = scale_of(tensor, column);
                w->scales[out] = scale / COSMOS__Q_MAX; /* that of the input is 1 / Q_MAX */
                for (size_t in = 0; in < tensor->shape[0]; in++) {
                        const int8_t q = quantised(tensor, in * tensor->shape[1] + column, scale);

                        panels[place_of(w, kernels, in, out)] = q;
                        w->offsets[out] -= kernels->input_zero * q;
                }
        }
}

static void pack_f32(struct cosmos__weights *w, const struct cosmos__kernels *kernels,
                     const struct cosmos__tensor *tensor, const struct order *order)
{
        float *panels = w->panels;

        for (size_t out = 0; out < w->n_vectors * kernels->lanes; out++) {
                const size_t column = column_of(order, out);

                for (size_t in = 0; column != SIZE_MAX && in < tensor->shape[0]; in++)
                        panels[place_of(w, kernels, in, out)] =
                            cosmos__tensor_value(tensor, in * tensor->shape[1] + column);
        }
}

int cosmos__pack_weights(struct cosmos__weights *ret, const struct cosmos__kernels *kernels, bool int8,
                         const struct cosmos__tensor *tensor, size_t n_parts, size_t *memory)
{
        const struct order order = {kernels->lanes, n_parts, tensor->shape[1] / n_parts};
        size_t n_out;

        ret->n_in = cosmos__padded(tensor->shape[0]);
        ret->n_vectors = vectors_of(&order);
        n_out = ret->n_vectors * kernels->lanes;
        ret->panels = cosmos__pack_alloc(ret->n_in * n_out, int8 ? sizeof(int8_t) : sizeof(float), memory);
        if (!ret->panels)
                return -ENOMEM;
        if (!int8) {
                pack_f32(ret, kernels, tensor, &order);
                return 0;
        }
        ret->scales = cosmos__pack_alloc(n_out, sizeof(*ret->scales), memory);
        ret->offsets = cosmos__pack_alloc(n_out, sizeof(*ret->offsets), memory);
        if (!ret->scales || !ret->offsets)
                return -ENOMEM;
        pack_int8(ret, kernels, tensor, &order);
        return 0;
}

/* ---- tables ---------------------------------------------------------------------------- */

/* The conversion of a double outside the range of float is undefined. */
static float to_float(double x)
{
        return (float)(x > (double)FLT_MAX ? (double)FLT_MAX : x < -(double)FLT_MAX ? -(double)FLT_MAX : x);
}

/* sum = row `r` of embedding * kernel (+ bias), in the order of the tensors' columns. */
static void fold_row(double *sum, size_t columns, const struct cosmos__tensor *embedding, const float *kernel, size_t r,
                     const struct cosmos__tensor *bias)
{
        const size_t n_in = embedding ? embedding->shape[1] : 0;

        for (size_t k = 0; k < columns; k++)
                sum[k] = bias ? (double)cosmos__tensor_value(bias, k) : 0;
        for (size_t j = 0; j < n_in; j++) {
                const double x = (double)cosmos__tensor_value(embedding, r * n_in + j);

                for (size_t k = 0; k < columns; k++)
                        sum[k] += x * (double)kernel[j * columns + k];
        }
}

static void put_row(struct cosmos__table *table, size_t r, const double *sum, const struct order *order)
{
        const size_t width = vectors_of(order) * order->lanes;
        float *floats = (float *)table->rows + r * width;
        int16_t *words = (int16_t *)table->rows + r * width;
        float max = 0, scale;

        for (size_t k = 0; k < order->n_parts * order->part; k++)
                max = fmaxf(max, fabsf(to_float(sum[k])));
        scale = max / COSMOS__TABLE_MAX;
        if (table->scales)
                table->scales[r] = scale;
        for (size_t out = 0; out < width; out++) {
                const size_t column = column_of(order, out);

                if (column == SIZE_MAX)
                        continue;
                if (!table->scales)
                        floats[out] = to_float(sum[column]);
                else if (scale > 0)
                        words[out] = (int16_t)fmax(fmin(rint(sum[column] / (double)scale), COSMOS__TABLE_MAX),
                                                   -COSMOS__TABLE_MAX);
        }
}

int cosmos__pack_table(struct cosmos__table *ret, const struct cosmos__kernels *kernels, bool int8,
                       const struct cosmos__tensor *embedding, const struct cosmos__tensor *kernel,
                       const struct cosmos__tensor *bias, size_t *memory)
{
        const size_t columns = kernel ? kernel->shape[1] : bias->shape[0], rows = embedding ? embedding->shape[0] : 1;
        const struct order order = {kernels->lanes, COSMOS__GATES, columns / COSMOS__GATES};
        const size_t width = vectors_of(&order) * kernels->lanes;
        _cleanup_free_ double *sum = calloc(columns, sizeof(*sum));
        _cleanup_free_ float *values = kernel ? calloc(kernel->n, sizeof(*values)) : NULL;

        ret->row_bytes = width * (int8 ? sizeof(int16_t) : sizeof(float));
        ret->rows = cosmos__pack_alloc(rows, ret->row_bytes, memory);
        ret->scales = int8 ? cosmos__pack_alloc(rows, sizeof(*ret->scales), memory) : NULL;
        if (!sum || (kernel && !values) || !ret->rows || (int8 && !ret->scales))
                return -ENOMEM;
        for (size_t i = 0; kernel && i < kernel->n; i++)
                values[i] = cosmos__tensor_value(kernel, i);
        for (size_t r = 0; r < rows; r++) {
                fold_row(sum, columns, embedding, values, r, bias);
                put_row(ret, r, sum, &order);
        }
        return 0;
}
