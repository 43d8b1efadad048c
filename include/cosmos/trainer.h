/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trainer: token sequences to a model.
 *
 * Time cuts the calls of a corpus into three parts: 70% that the network learns from, 15% that say when to stop, 15%
 * that the threshold is fitted to. The network (predictor.h) learns to expect each call given those
 * before it: back-propagation through time (Werbos 1990) over chunks of `length` calls, Adam (Kingma & Ba 2015),
 * gradients cut to a norm (Pascanu et al. 2013), label smoothing (Szegedy et al. 2016), dropout on the connections
 * that are not recurrent (Zaremba et al. 2014). An epoch that gains nothing halves the learning rate; after three such
 * in a row the best weights are taken. docs/training.md says why.
 *
 * With the model of `init` it goes on from there: the corpus must have been read with that model's vocabulary
 * (cosmos_corpus_options.vocab, extend). Pieces of what was learnt before, which a model keeps, are learnt again
 * beside the new (rehearsal; Robins 1995), and what the model finds anomalous is left out. Of the rest it does not
 * learn the stretches of about 1000 calls that the model expects least, up to a tenth of all calls: an intruder who
 * stays below the threshold is likely to be among them.
 *
 * The same corpus, options and seed give the same model, whatever the number of threads, on all instruction sets but
 * "portable"; also when it was interrupted and resumed.
 *
 * Pull: cosmos_trainer_run() does a little work and returns. Between two calls the caller may look at the progress,
 * write a checkpoint, or stop.
 *
 * Thread safety: one thread at a time for each trainer, which uses threads of its own.
 */
#ifndef COSMOS_TRAINER_H
#define COSMOS_TRAINER_H

#include <cosmos/error.h>
#include <cosmos/log.h>
#include <cosmos/model.h>
#include <cosmos/sequence.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_trainer cosmos_trainer;

/* Set all with cosmos_trainer_options_init(), then what is to be different. */
struct cosmos_trainer_options {
        size_t size; /* sizeof(struct cosmos_trainer_options) */
        struct cosmos_log log;

        /* The network. With `init` it is that model's, and these are not looked at. */
        uint32_t embedding;                      /* 64; 1..4096 */
        uint32_t n_layers;                       /* 1; 1..COSMOS_MODEL_LAYERS_MAX */
        uint32_t units[COSMOS_MODEL_LAYERS_MAX]; /* 128; 1..COSMOS_MODEL_UNITS_MAX */
        struct cosmos_token_scheme tokens;       /* that the corpus was read with; "name,errno" */

        /* Learning. */
        uint32_t batch;        /* 64 chunks; 1..1024 */
        uint32_t length;       /* 200 calls of a chunk; 2..10000 */
        uint32_t epochs;       /* 30, at most; 1..5000 */
        uint32_t epoch_chunks; /* 2000, at most */
        double learning_rate;  /* 0.01 */
        double dropout;        /* 0; below 1 */
        uint64_t seed;         /* 1 */
        uint32_t threads;      /* 0: as many as there are processors */

        /* The score, and the threshold that the model gets (threshold.h). */
        uint32_t window; /* 100 calls; 1..10000 */
        uint32_t hop;    /* 50; 1..window */
        double quantile; /* 0.999; above 0, up to 1 */
        double margin;   /* 0.08: room on top, as a share of never seen calls that a window may hold */

        /* Going on from a model: the bytes of its file, borrowed for cosmos_trainer_new(). NULL: from random weights.
         */
        const void *init;
        size_t init_size;
        int learn_anomalous; /* not 0: learn all, also what the model of `init` finds anomalous */
        uint32_t keep;       /* 262144 calls, at most, that the model keeps to be learnt again; 0: none */
};

void cosmos_trainer_options_init(struct cosmos_trainer_options *ret);

/*
 * The corpus is borrowed and must outlive the trainer. -EINVAL for an option out of range, -ENODATA if the
 * corpus is too small or cannot be cut, -COSMOS_EMISMATCH if it does not fit `init`, -COSMOS_EFORMAT for a
 * damaged `init`.
 */
int cosmos_trainer_new(cosmos_trainer **ret, const cosmos_corpus *corpus, const struct cosmos_trainer_options *options,
                       struct cosmos_diag *reterr);

/* Work on for a fraction of a second. 1: call again; 0: done, the model can be saved; negative: an error, -EDOM if the
 * training has diverged. */
int cosmos_trainer_run(cosmos_trainer *trainer, struct cosmos_diag *reterr);

enum cosmos_trainer_phase {
        COSMOS_TRAINER_SIFTING = 0,     /* only with `init`: the corpus is judged by that model */
        COSMOS_TRAINER_LEARNING = 1,    /* an epoch */
        COSMOS_TRAINER_EVALUATING = 2,  /* an epoch is held against the second part */
        COSMOS_TRAINER_CALIBRATING = 3, /* the third part is scored */
        COSMOS_TRAINER_COMPARING = 4,   /* the n-grams are counted */
        COSMOS_TRAINER_DONE = 5,
};

struct cosmos_trainer_progress {
        size_t size; /* sizeof(struct cosmos_trainer_progress) */
        enum cosmos_trainer_phase phase;
        uint32_t epoch, epochs; /* 1 .. epochs at most */
        double share;           /* of the phase, 0..1 */
        double loss;            /* mean NLL of the epoch so far, nats a call; NaN before it has begun */
        double held_out;        /* mean NLL on the second part after the latest whole epoch; NaN before the first */
        double best;            /* the lowest of these */
        double learning_rate;   /* of this epoch */
        uint64_t calls;         /* that were learnt from in all, repetitions counted */
};

void cosmos_trainer_get_progress(const cosmos_trainer *trainer, struct cosmos_trainer_progress *ret);

/*
 * All that is needed to go on later, to a file (written whole or not at all), and from it: to a trainer that
 * has just been made with the same corpus and options, threads apart; else -COSMOS_EMISMATCH, and the text says what
 * differs. -COSMOS_EFORMAT: the file is damaged. On either the trainer is as it was. -EDOM: the file is whole, but its
 * weights are of no use.
 */
int cosmos_trainer_checkpoint(const cosmos_trainer *trainer, const char *path, struct cosmos_diag *reterr);
int cosmos_trainer_resume(cosmos_trainer *trainer, const char *path, struct cosmos_diag *reterr);

#define COSMOS_TRAINER_MOMENTS 10

/* A call of the held-out parts that was hardly expected. Strings belong to the trainer or its corpus. */
struct cosmos_trainer_moment {
        double nll; /* nats */
        int64_t timestamp;
        const char *comm; /* of its sequence; "" if not known. Bytes that the process chose. */
        const char *syscall;
        const char *before;   /* the call before it: "<start>" at the beginning */
        const char *expected; /* the likeliest call there */
        double expected_p;    /* its probability, 0..1 */
};

/* What came of it. Perplexities are of the second and third part, which were not learnt from. */
struct cosmos_trainer_report {
        size_t size; /* sizeof(struct cosmos_trainer_report) */
        uint64_t parameters;
        uint64_t learnt, stopping, calibration; /* calls of each part */
        uint32_t epochs;
        double perplexity;
        double unigram_perplexity; /* by the frequency of calls alone */
        double fivegram_perplexity;
        uint64_t windows;                      /* that the threshold was fitted to */
        double median, highest;                /* of their scores, nats a call */
        double quantile_score;                 /* their quantile */
        double quantile_lower, quantile_upper; /* its 95% confidence interval; upper: infinity if they are too few */
        double theta;
        double above_later; /* share of the later half of the windows above the quantile of the earlier half */
        double above;       /* share of the windows above theta */
        struct cosmos_trainer_moment moments[COSMOS_TRAINER_MOMENTS]; /* the least expected first */
        size_t n_moments;

        /* With `init`. */
        uint64_t sifted;            /* windows that the model of `init` judged */
        uint64_t refused;           /* of them, found anomalous */
        uint64_t refused_calls;     /* that were left out */
        uint64_t trimmed_calls;     /* of the others in the first and second part, the least expected: not learnt */
        uint64_t refused_sequences; /* that they are of */
        double refused_spread; /* share of ten equal stretches of time that they lie in: many, and it is drift rather
                                  than an intrusion */
        /* Perplexity on chunks of the second part, of the model of `init` and of the new one. */
        double before, after;
        uint64_t new_calls;             /* names that entered the vocabulary */
        double kept_before, kept_after; /* perplexity on kept calls that were never learnt from; NaN: none are kept */
};

/* After cosmos_trainer_run() has returned 0. */
void cosmos_trainer_get_report(const cosmos_trainer *trainer, struct cosmos_trainer_report *ret);

/* The same: the model file's bytes, lent until the trainer is freed. */
void cosmos_trainer_get_model(const cosmos_trainer *trainer, const void **ret_data, size_t *ret_size);
/* The model to a file, which is written whole or not at all. */
int cosmos_trainer_save(const cosmos_trainer *trainer, const char *path, struct cosmos_diag *reterr);

cosmos_trainer *cosmos_trainer_free(cosmos_trainer *trainer);

/*
 * The card of the model file `model`, whichever trainer has made it: what it was trained on, how, and what came of it,
 * from the file's metadata (docs/formats-model.md). Markdown to `card`, and the learning curve beside it as SVG, by the
 * same name with .svg in place of .md, or else behind it. What the metadata do not say, or not in the form that they
 * should, the card does not say either; without a curve there is no plot. The same file gives the same bytes. Each of
 * the two is written whole or not at all, the plot first. Errors as of cosmos_model_load_file(), and -errno where one
 * can't be written.
 */
int cosmos_model_card(const char *model, const char *card, struct cosmos_diag *reterr);

#ifdef __cplusplus
}
#endif
#endif
