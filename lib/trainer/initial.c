/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/initial.h"

#include "base/base.h"
#include "trainer/random.h"

#include <errno.h>
#include <math.h>

#define EMBEDDING 0.05 /* the name's embedding is uniform in +- this */
#define TWO_PI 6.283185307179586

static void uniform(float *parameters, const struct cosmos__parameter *p, double limit, uint64_t *random)
{
        for (size_t i = 0; i < (size_t)p->rows * p->columns; i++)
                parameters[p->at + i] = (float)((2 * cosmos__random_share(random) - 1) * limit);
}

/* Glorot & Bengio 2010. */
static void glorot(float *parameters, const struct cosmos__parameter *p, uint64_t *random)
{
        uniform(parameters, p, sqrt(6.0 / ((double)p->rows + p->columns)), random);
}

static double normal(uint64_t *random) /* Box & Muller 1958 */
{
        const double r = sqrt(-2 * log(1 - cosmos__random_share(random)));

        return r * cos(TWO_PI * cosmos__random_share(random));
}

static double dot(const double *a, const double *b, size_t n)
{
        double part[8] = {0};

        for (size_t i = 0; i < n; i++) /* n is a multiple of 4, and the sum has one order */
                part[i % 8] += a[i] * b[i];
        return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* Rows of random directions, each orthogonal to those before (Saxe et al. 2014): Gram-Schmidt, twice against rounding.
 */
static int orthogonal(float *parameters, const struct cosmos__parameter *p, uint64_t *random)
{
        const size_t n = p->columns;
        _cleanup_free_ double *rows = calloc(p->rows, n * sizeof(*rows));

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < p->rows; i++) {
                double *row = rows + i * n, norm;

                for (size_t k = 0; k < n; k++)
                        row[k] = normal(random);
                for (size_t done = 0; done < 2 * i; done++) {
                        const double *other = rows + done % i * n, along = dot(row, other, n);

                        for (size_t k = 0; k < n; k++)
                                row[k] -= along * other[k];
                }
                norm = sqrt(dot(row, row, n));
                for (size_t k = 0; k < n; k++) {
                        row[k] /= norm;
                        parameters[p->at + i * n + k] = (float)row[k];
                }
        }
        return 0;
}

/* From the frequencies of the calls: what is to be learnt is what context adds. */
static void log_frequencies(float *parameters, const struct cosmos__parameter *p, const uint64_t *counts)
{
        double sum = 0;

        for (size_t k = 0; k < p->columns; k++)
                sum += (double)(counts[k] + 1);
        for (size_t k = 0; k < p->columns; k++)
                parameters[p->at + k] = (float)log((double)(counts[k] + 1) / sum);
}

int cosmos__initial(float *parameters, const struct cosmos__shape *shape, const struct cosmos__layout *layout,
                    const uint64_t *counts, uint64_t *random)
{
        int r = 0;

        for (size_t i = 0; i < layout->n;
             i++) /* also the tables of all fields but the name: what is never met says nothing */
                parameters[i] = 0;
        uniform(parameters, &layout->fields[0], EMBEDDING, random);
        for (uint32_t l = 0; l < shape->n_layers && r == 0; l++) {
                glorot(parameters, &layout->layers[l].kernel, random);
                r = orthogonal(parameters, &layout->layers[l].recurrent, random);
                for (uint32_t u = 0; u < shape->units[l]; u++) /* the forget gate's (Jozefowicz et al. 2015) */
                        parameters[layout->layers[l].bias.at + shape->units[l] + u] = 1;
        }
        glorot(parameters, &layout->dense, random);
        log_frequencies(parameters, &layout->dense_bias, counts);
        return r;
}
