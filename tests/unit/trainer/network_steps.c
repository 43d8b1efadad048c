/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network as a program, for what holds it against another one (tests/python, tests/bench).
 *
 *   network_steps INPUT OUTPUT [THREADS [ISA [REPEAT]]]
 *
 * INPUT, all little-endian and 4 bytes: vocabulary, embedding, layers, units of each, fields, size of each; frequency
 * (0 or 1); pieces, steps, batches; learning rate, clip norm, smoothing; the parameters in the order of network.h; and
 * for each batch the lengths, the inputs, the frequencies if there are any, and the targets. OUTPUT: the first batch's
 * gradient, then the parameters after all batches. Standard output: a line for each batch, its mean NLL before it was
 * learnt; at last the seconds that all took (the best of REPEAT goes over them), and which instruction set it was.
 */
#include "trainer/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *input;

static void *values(size_t n)
{
        void *v = malloc(n * 4 + 1);

        if (!v || fread(v, 4, n, input) != n) {
                fputs("network_steps: the input is too short\n", stderr);
                exit(2);
        }
        return v;
}

static uint32_t number(void)
{
        uint32_t *v = values(1), n = *v;

        free(v);
        return n;
}

static double real_number(void)
{
        float *v = values(1), x = *v;

        free(v);
        return (double)x;
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
        const struct cosmos__training_kernels *kernels = cosmos__training_kernels_get(argc > 4 ? argv[4] : NULL);
        struct cosmos__shape shape = {0};
        struct cosmos__pass pass = {0};
        struct cosmos__network *network;
        struct cosmos__batch *batches;
        struct cosmos__pool *pool;
        struct cosmos__loss loss;
        uint32_t pieces, steps, n;
        double rate, clip, best = 1e30;
        float *first;
        FILE *output;

        if (argc < 3 || !(input = fopen(argv[1], "rb")) || !(output = fopen(argv[2], "wb")) || !kernels)
                return 2;
        shape.vocab = number();
        shape.embedding = number();
        shape.n_layers = number();
        for (uint32_t l = 0; l < shape.n_layers; l++)
                shape.units[l] = number();
        shape.n_fields = number();
        for (uint32_t f = 0; f < shape.n_fields; f++)
                shape.field_size[f] = number();
        shape.frequency = number();
        pieces = number();
        steps = number();
        n = number();
        rate = real_number();
        clip = real_number();
        pass.smoothing = (float)real_number();
        if (cosmos__pool_new(&pool, argc > 3 ? (size_t)atoi(argv[3]) : 1) < 0 ||
            cosmos__network_new(&network, &shape, pieces, steps, kernels, pool) < 0)
                return 2;
        first = values(cosmos__network_layout(network)->n);
        batches = calloc(n, sizeof(*batches));
        for (uint32_t i = 0; batches && i < n; i++)
                batches[i] = (struct cosmos__batch){
                    .pieces = pieces,
                    .steps = steps,
                    .length = values(pieces),
                    .inputs = values((size_t)pieces * steps * shape.n_fields),
                    .frequency = shape.frequency ? values((size_t)pieces * steps) : NULL,
                    .targets = values((size_t)pieces * steps),
                };
        for (int repeat = argc > 5 ? atoi(argv[5]) : 1; repeat > 0; repeat--) {
                const size_t bytes = cosmos__network_layout(network)->n * sizeof(cosmos__real);
                double begun = now(), others = 0;

                memcpy(cosmos__network_parameters(network), first, bytes);
                memset(cosmos__network_moments(network), 0, 2 * bytes);
                for (uint32_t i = 0; i < n; i++) {
                        const cosmos__real *gradient = cosmos__network_gradient(network, &batches[i], &pass, &loss);
                        double at = now();

                        if (repeat == 1 && i == 0)
                                fwrite(gradient, bytes, 1, output);
                        if (repeat == 1)
                                printf("%.9g\n", loss.nll / (double)loss.calls);
                        others += now() - at;
                        cosmos__network_learn(network, rate, clip, i + 1);
                }
                best = now() - begun - others < best ? now() - begun - others : best;
                if (repeat == 1)
                        fwrite(cosmos__network_parameters(network), bytes, 1, output);
        }
        printf("%.6f %s\n", best, kernels->isa);
        return fclose(output) == 0 ? 0 : 2;
}
