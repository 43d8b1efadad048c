/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network as a program, for what holds it against another one (tests/python/test_trainer_keras.py,
 * tests/bench/trainer.py).
 *
 *   network-steps THREADS ISA INPUT OUTPUT
 *
 * INPUT, all little-endian and of 4 bytes: vocabulary, embedding, layers, units of each, fields, size of each;
 * frequency (0 or 1); pieces at most, steps, batches; clip norm, smoothing; the parameters in the order of network.h;
 * and for each batch the learning rate (0: it is only evaluated), its pieces, their lengths, the inputs, the
 * frequencies if there are any, and the targets. OUTPUT: the first batch's gradient, then the parameters after the last
 * one. Standard output: a line for each batch, its mean NLL (before it was learnt) and the seconds that it took. ISA:
 * one of cosmos_isa_name(), or "best".
 */
#include "trainer/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *input, *output;

static void fail(const char *what)
{
        fprintf(stderr, "network-steps: %s\n", what);
        exit(2);
}

static void read_into(void *to, size_t n)
{
        if (fread(to, 4, n, input) != n)
                fail("the input is too short");
}

static void *values(size_t n)
{
        void *v = malloc(n * 4);

        if (!v)
                fail("out of memory");
        read_into(v, n);
        return v;
}

static uint32_t number(void)
{
        uint32_t n;

        read_into(&n, 1);
        return n;
}

static float real_number(void)
{
        float x;

        read_into(&x, 1);
        return x;
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct cosmos__shape read_shape(void)
{
        struct cosmos__shape shape = {.vocab = number()};

        shape.embedding = number();
        shape.n_layers = number();
        for (uint32_t l = 0; l < shape.n_layers; l++)
                shape.units[l] = number();
        shape.n_fields = number();
        for (uint32_t f = 0; f < shape.n_fields; f++)
                shape.field_size[f] = number();
        shape.frequency = number();
        return shape;
}

static struct cosmos__batch read_batch(const struct cosmos__shape *shape, uint32_t steps)
{
        struct cosmos__batch batch = {.pieces = number(), .steps = steps};
        const size_t places = (size_t)batch.pieces * steps;

        batch.length = values(batch.pieces);
        batch.inputs = values(places * shape->n_fields);
        batch.frequency = shape->frequency ? values(places) : NULL;
        batch.targets = values(places);
        return batch;
}

static void free_batch(struct cosmos__batch *batch)
{
        free((void *)batch->length);
        free((void *)batch->inputs);
        free((void *)batch->frequency);
        free((void *)batch->targets);
}

static void write_out(const cosmos__real *from, size_t n)
{
        if (fwrite(from, sizeof(*from), n, output) != n)
                fail("can't write the output");
}

int main(int argc, char **argv)
{
        const struct cosmos__training_kernels *kernels;
        struct cosmos__network *network = NULL;
        struct cosmos__pass pass = {0};
        struct cosmos__shape shape;
        struct cosmos__pool *pool = NULL;
        uint32_t pieces, steps, batches;
        double clip;
        size_t n;

        if (argc != 5 || !(input = fopen(argv[3], "rb")) || !(output = fopen(argv[4], "wb")))
                fail("usage: network-steps THREADS ISA INPUT OUTPUT");
        kernels = cosmos__training_kernels_get(strcmp(argv[2], "best") == 0 ? NULL : argv[2]);
        shape = read_shape();
        pieces = number();
        steps = number();
        batches = number();
        clip = (double)real_number();
        pass.smoothing = real_number();
        if (!kernels)
                fail("this machine has no such instruction set");
        if (cosmos__pool_new(&pool, (size_t)atoi(argv[1])) < 0 ||
            cosmos__network_new(&network, &shape, pieces, steps, kernels, pool) < 0)
                fail("out of memory");
        n = cosmos__network_layout(network)->n;
        read_into(cosmos__network_parameters(network), n);
        for (uint32_t i = 0; i < batches; i++) {
                const double rate = (double)real_number();
                struct cosmos__batch batch = read_batch(&shape, steps);
                const double begun = now();
                struct cosmos__loss loss;

                if (rate > 0) {
                        const cosmos__real *gradient = cosmos__network_gradient(network, &batch, &pass, &loss);

                        if (i == 0)
                                write_out(gradient, n);
                        cosmos__network_learn(network, rate, clip, i + 1);
                } else {
                        cosmos__network_evaluate(network, &batch, &(struct cosmos__pass){0}, &loss);
                }
                printf("%.9g %.9g\n", loss.nll / (double)loss.calls, now() - begun);
                free_batch(&batch);
        }
        write_out(cosmos__network_parameters(network), n);
        cosmos__network_free(network);
        cosmos__pool_free(pool);
        fclose(input);
        return fclose(output) == 0 ? 0 : 2;
}
