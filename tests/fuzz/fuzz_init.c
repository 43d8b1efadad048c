/* SPDX-License-Identifier: Apache-2.0 */
/* Models to go on from, and what they keep: whoever loads is gone on from, or is refused with a reason; a training that
 * begins ends. */
#include "tiny_trace.h"

#include <cosmos/trainer.h>

#define PARAMETERS_MAX 4096 /* more only take longer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cosmos_corpus *read_corpus(cosmos_model *model, const struct cosmos_model_info *info)
{
        const struct cosmos_corpus_options options = {
            .size = sizeof(options),
            .unit = info->unit,
            .vocab = cosmos_model_vocab(model),
            .extend = 1,
            .tokens = &info->tokens,
        };
        const char *path = tiny_trace();
        struct cosmos_diag diag = {""};
        cosmos_corpus *corpus = NULL;

        check(cosmos_corpus_read(&corpus, &path, 1, &options, &diag) == 0 || (!corpus && diag.text[0]));
        return corpus;
}

static void go_on(const cosmos_corpus *corpus, const uint8_t *data, size_t size)
{
        struct cosmos_trainer_options options;
        struct cosmos_diag diag = {""};
        cosmos_trainer *trainer = NULL;
        const void *model;
        size_t model_size = 0;
        int r;

        cosmos_trainer_options_init(&options);
        options.batch = 4;
        options.length = 8;
        options.epochs = options.epoch_chunks = options.threads = 1;
        options.window = options.hop = 1;
        options.init = data;
        options.init_size = size;
        r = cosmos_trainer_new(&trainer, corpus, &options, &diag);
        if (r == 0)
                do
                        r = cosmos_trainer_run(trainer, &diag);
                while (r > 0);
        check(r == 0 || diag.text[0]);
        if (r == 0) {
                cosmos_trainer_get_model(trainer, &model, &model_size);
                check(model_size > 0);
        }
        cosmos_trainer_free(trainer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_diag diag = {""};
        cosmos_corpus *corpus = NULL;
        cosmos_model *model = NULL;

        if (size / sizeof(float) > PARAMETERS_MAX || cosmos_model_load(&model, data, size, "fuzz", NULL, &diag) < 0)
                return 0;
        cosmos_model_get_info(model, &info);
        corpus = read_corpus(model, &info);
        if (corpus)
                go_on(corpus, data, size);
        cosmos_corpus_free(corpus);
        cosmos_model_unref(model);
        return 0;
}
