/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints whose state no training may ever have been in: a training goes on from it and ends, or refuses it with a
 * reason and is as it was. The file around the state is what a model's is, and is tried with models.
 *
 * An input's lines are `KEY VALUE`, of the metadata, or `@TENSOR BITS`, which all of its values then are.
 */
#include "tiny_trace.h"

#include "base/base.h"
#include "predictor/safetensors.h"

#include <cosmos/trainer.h>

#include <string.h>
#include <unistd.h>

#define BATCH 4u
#define STEPS_MAX 64
#define STEPS_BEFORE 3 /* into the second epoch */
#define TENSORS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cosmos_trainer *make_trainer(void)
{
        static cosmos_corpus *corpus;
        const struct cosmos_corpus_options corpus_options = {.size = sizeof(corpus_options)};
        const char *path = tiny_trace();
        struct cosmos_trainer_options options;
        struct cosmos_diag diag = {""};
        cosmos_trainer *trainer = NULL;

        if (!corpus)
                check(cosmos_corpus_read(&corpus, &path, 1, &corpus_options, &diag) == 0);
        cosmos_trainer_options_init(&options);
        options.embedding = options.units[0] = 2;
        options.batch = BATCH;
        options.length = 8;
        options.epochs = 3;
        options.epoch_chunks = BATCH;
        options.threads = options.window = options.hop = 1;
        check(cosmos_trainer_new(&trainer, corpus, &options, &diag) == 0);
        return trainer;
}

/* A checkpoint as it should be. */
static const struct cosmos__safetensors *whole(void)
{
        static struct cosmos__safetensors file;
        char path[] = "/tmp/cosmos-fuzz-XXXXXX", *bytes;
        cosmos_trainer *trainer;
        struct cosmos_diag diag = {""};
        size_t size;

        if (file.data)
                return &file;
        trainer = make_trainer();
        for (int i = 0; i < STEPS_BEFORE; i++)
                check(cosmos_trainer_run(trainer, &diag) == 1);
        check(close(mkstemp(path)) == 0);
        check(cosmos_trainer_checkpoint(trainer, path, &diag) == 0);
        cosmos_trainer_free(trainer);
        check(cosmos__read_file(path, COSMOS__SAFETENSORS_MAX, &bytes, &size) == 0);
        check(unlink(path) == 0);
        check(cosmos__safetensors_open(&file, (const uint8_t *)bytes, size, &diag) == 0);
        return &file;
}

struct change {
        json_t *metadata;
        struct cosmos__tensor tensors[TENSORS];
        float *values[TENSORS];
};

static void change_begin(struct change *c)
{
        static const char *const names[TENSORS] = {"parameters", "moments.first", "moments.second", "best"};
        struct cosmos_diag diag = {""};

        c->metadata = json_deep_copy(whole()->metadata);
        check(c->metadata != NULL);
        for (size_t i = 0; i < TENSORS; i++) {
                const json_t *shape = json_object_get(json_object_get(whole()->header, names[i]), "shape");
                const uint32_t n = (uint32_t)json_integer_value(json_array_get(shape, 0));

                c->tensors[i] = (struct cosmos__tensor){.dtype = COSMOS__F32, .n_dims = 1, .shape = {n, n}, .n = n};
                snprintf(c->tensors[i].name, sizeof(c->tensors[i].name), "%s", names[i]);
        }
        check(cosmos__safetensors_find(whole(), c->tensors, TENSORS, &diag) == 0);
        for (size_t i = 0; i < TENSORS; i++) {
                c->values[i] = malloc(c->tensors[i].n * sizeof(float));
                check(c->values[i] != NULL);
                memcpy(c->values[i], c->tensors[i].data, c->tensors[i].n * sizeof(float));
                c->tensors[i].data = (const uint8_t *)c->values[i];
        }
}

static void change_one(struct change *c, char *line)
{
        char *value = strchr(line, ' ');
        uint32_t bits;

        if (!value)
                return;
        *value++ = '\0';
        for (size_t i = 0; i < TENSORS; i++) {
                if (line[0] != '@' || strcmp(line + 1, c->tensors[i].name) != 0)
                        continue;
                bits = (uint32_t)strtoul(value, NULL, 0);
                for (size_t k = 0; k < c->tensors[i].n; k++)
                        memcpy(&c->values[i][k], &bits, sizeof(bits));
                return;
        }
        json_object_set_new(c->metadata, line, json_string(value)); /* not of bytes that are no UTF-8 */
}

/* The changed file, as a path. */
static int change_end(struct change *c)
{
        const int fd = memfd_create("checkpoint", 0);
        struct cosmos_diag diag = {""};
        uint8_t *bytes = NULL;
        size_t size = 0;

        check(fd >= 0 && cosmos__safetensors_write(&bytes, &size, c->metadata, c->tensors, TENSORS, &diag) == 0);
        check(write(fd, bytes, size) == (ssize_t)size);
        free(bytes);
        for (size_t i = 0; i < TENSORS; i++)
                free(c->values[i]);
        json_decref(c->metadata);
        return fd;
}

static void go_on(const char *path)
{
        cosmos_trainer *trainer = make_trainer();
        struct cosmos_diag diag = {""};
        int r = cosmos_trainer_resume(trainer, path, &diag);

        check(r == 0 || (r < 0 && strstr(diag.text, path)));
        r = 1;
        diag.text[0] = '\0';
        for (int i = 0; i < STEPS_MAX && r > 0; i++)
                r = cosmos_trainer_run(trainer, &diag);
        check(r == 0 || (r < 0 && diag.text[0]));
        cosmos_trainer_free(trainer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct change c;
        char *text, path[64];
        int fd;

        text = malloc(size + 1);
        check(text != NULL);
        memcpy(text, data, size);
        text[size] = '\0';
        change_begin(&c);
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
                change_one(&c, line);
        free(text);
        fd = change_end(&c);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        go_on(path);
        close(fd);
        return 0;
}
