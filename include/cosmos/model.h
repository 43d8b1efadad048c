/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the trained weights and what they fit, from a safetensors file.
 *
 * A file is validated completely before anything of it is used (docs/formats-model.md
 * gives the order of the checks); a file that lies costs an error that names
 * the tensor or key, never memory beyond a small multiple of its size.
 *
 * Thread safety: immutable and reference counted; share it between any number
 * of threads. ref and unref may be called from any thread.
 */
#ifndef COSMOS_MODEL_H
#define COSMOS_MODEL_H

#include <cosmos/error.h>
#include <cosmos/sequence.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COSMOS_MODEL_FORMAT 2 /* newest `cosmos.format` that is read */
#define COSMOS_MODEL_LAYERS_MAX 8
#define COSMOS_MODEL_UNITS_MAX 4096
#define COSMOS_MODEL_IMAGES_MAX 256     /* with a threshold of their own */
#define COSMOS_MODEL_IMAGE_NAME_MAX 512 /* bytes */
#define COSMOS_MODEL_SPREAD_MAX 1e6     /* nats */

typedef struct cosmos_model cosmos_model;

/* Of the weights between layers. docs/precision.md says what int8 costs. */
enum cosmos_precision {
        COSMOS_PRECISION_FILE = 0, /* in options: as they are stored */
        COSMOS_PRECISION_F32 = 1,
        COSMOS_PRECISION_INT8 = 2, /* a scale for each output; sums are exact, in 32 bits */
};

/* "f32", "int8"; NULL for any other. Static. */
const char *cosmos_precision_name(enum cosmos_precision precision);

/* The instruction sets that the library has kernels for and this machine can run,
 * fastest first: "avx512vnni", "avx512", "avx2", "neon"; the last is "portable".
 * NULL after it. Static. */
const char *cosmos_isa_name(size_t i);

struct cosmos_model_options {
        size_t size; /* sizeof(struct cosmos_model_options) */
        enum cosmos_precision precision;
        /* One of cosmos_isa_name(); NULL: the first. Scores are the same, bit for bit, on all
         * but "portable", which rounds in other places (f32: some 1e-6 nats; int8: an input may be
         * rounded to its neighbour). */
        const char *isa;
};

/* Load from a regular file or a pipe. -COSMOS_EFORMAT, -COSMOS_EVERSION or -errno;
 * -EINVAL for an `isa` that this machine does not have, or a `precision` that there is not. `options` may be NULL. */
int cosmos_model_load_file(cosmos_model **ret, const char *path, const struct cosmos_model_options *options,
                           struct cosmos_diag *reterr);
/* Load from memory, which is not kept. `name` is used in messages and scores. */
int cosmos_model_load(cosmos_model **ret, const void *data, size_t size, const char *name,
                      const struct cosmos_model_options *options, struct cosmos_diag *reterr);

cosmos_model *cosmos_model_ref(cosmos_model *model);
/* Takes NULL. Returns NULL. */
cosmos_model *cosmos_model_unref(cosmos_model *model);

struct cosmos_model_info {
        size_t size;        /* sizeof(struct cosmos_model_info) */
        uint32_t n_fields;  /* of a token that it reads: tables of embeddings */
        uint32_t embedding; /* width of the embedding */
        uint32_t n_layers;
        uint32_t units[COSMOS_MODEL_LAYERS_MAX];
        enum cosmos_unit unit; /* what one sequence is */
        uint32_t window;       /* calls in a scored window, 1 .. 10000 */
        uint32_t hop;          /* calls from one score to the next, 1 .. window */
        /* score of n calls with NLLs x_i: (sum x_i + prior_count * prior_mean) / (n + prior_count).
         * prior_count 0 is the plain mean; above 0 a short sequence has to be
         * surprising for more than a call or two. */
        double prior_count;
        double prior_mean; /* nats */
        int has_threshold;
        double threshold;   /* nats a call */
        double quantile;    /* of benign scores that the threshold stands for; NaN if not said */
        const char *source; /* backend whose semantics it fits ("bpf", "audit"); "" if any. Owned by the model. */
        enum cosmos_precision precision; /* of the weights in memory */
        const char *isa;                 /* that steps it */
        size_t memory;                   /* bytes of its weights and tables */
        struct cosmos_token_scheme tokens;
        uint32_t threshold_n; /* scores that the threshold was fitted to; 0 if not said */
        double spread;        /* of these, as in struct cosmos_threshold_fit; NaN if not said */
};

void cosmos_model_get_info(const cosmos_model *model, struct cosmos_model_info *ret);
/* Owned by the model. */
const cosmos_vocab *cosmos_model_vocab(const cosmos_model *model);
const char *cosmos_model_name(const cosmos_model *model);
/* A raw value of the file's __metadata__, NULL if it has no such key. Owned by the model. */
const char *cosmos_model_metadata(const cosmos_model *model, const char *key);

/* The threshold of a container image. */
struct cosmos_model_threshold {
        size_t size;       /* sizeof(struct cosmos_model_threshold) */
        const char *image; /* owned by the model */
        double theta;      /* nats a call */
        double quantile;   /* these as in struct cosmos_model_info */
        uint32_t n;
        double spread;
};
/* The `i`-th of them, in order of name. 0; -ENOENT: there are no more. */
int cosmos_model_get_threshold(const cosmos_model *model, size_t i, struct cosmos_model_threshold *ret);

/* A value of a file's metadata; NULL: the key is to go. */
struct cosmos_model_metadata_entry {
        const char *key, *value;
};
/*
 * Copy the model file `from` to `to`, which may be the same, with other metadata: `n` entries, each of which replaces
 * what is there. The tensors' values stay as they are. What could not be loaded is not written, and whatever fails, a
 * full disk also, leaves the file at `to` as it was; a link is followed. -EINVAL: the changes do not make a
 * model; else as cosmos_model_load_file(), or -errno.
 */
int cosmos_model_copy(const char *from, const char *to, const struct cosmos_model_metadata_entry *entries, size_t n,
                      struct cosmos_diag *reterr);

#ifdef __cplusplus
}
#endif
#endif
