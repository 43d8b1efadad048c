/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole trace in memory. The calls are read once, in the order of the trace,
 * then sorted by sequence (a counting sort, which keeps their order). Without a
 * vocabulary they are read with one of all calls that have a name on any
 * architecture, which then shrinks to those that occur.
 */
#include "base/base.h"
#include "base/buffer.h"
#include "syscall/syscall.h"

#include <cosmos/collector.h>
#include <cosmos/container.h>
#include <cosmos/sequence.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

struct call {
        uint64_t sequence;
        int64_t timestamp;
        struct cosmos_token token;
};

struct cosmos_corpus {
        cosmos_vocab *vocab;
        char source[32];
        char *call_set; /* NULL: all */
        size_t n_sequences, n_calls;
        uint64_t *offsets;
        uint32_t *tokens;
        float *frequency; /* NULL: not in the scheme */
        int64_t *timestamps;
};

static void collector_freep(cosmos_collector **collector)
{
        cosmos_collector_free(*collector);
}

static void resolver_freep(cosmos_resolver **resolver)
{
        cosmos_resolver_free(*resolver);
}

static void sequencer_freep(cosmos_sequencer **sequencer)
{
        cosmos_sequencer_free(*sequencer);
}

static void corpus_freep(cosmos_corpus **corpus)
{
        cosmos_corpus_free(*corpus);
}

/* ---- vocabularies --------------------------------------------------------------- */

static int all_names(cosmos_vocab **ret, struct cosmos_diag *reterr)
{
        static const struct cosmos__syscall_table *const tables[] = {
            &cosmos__syscalls_x86_64,
            &cosmos__syscalls_i386,
            &cosmos__syscalls_aarch64,
        };
        const char *names[COSMOS_VOCAB_MAX] = {"<start>", "<unknown>"};
        size_t n = 2, unique = 2;

        for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
                for (uint32_t nr = 0; nr < tables[t]->n && n < ARRAY_SIZE(names); nr++)
                        if (tables[t]->names[nr])
                                names[n++] = tables[t]->names[nr];
        qsort(names + 2, n - 2, sizeof(*names), cosmos__compare_strings);
        for (size_t i = 2; i < n; i++)
                if (unique == 2 || strcmp(names[unique - 1], names[i]) != 0)
                        names[unique++] = names[i];
        return cosmos_vocab_new(ret, names, unique, reterr);
}

struct frequency {
        const char *name;
        uint32_t id; /* in the vocabulary that the calls were read with */
        size_t count;
};

static int compare_frequencies(const void *a, const void *b)
{
        const struct frequency *x = a, *y = b;

        if (x->count != y->count)
                return x->count < y->count ? 1 : -1;
        return strcmp(x->name, y->name);
}

/* Shrink the vocabulary of the corpus to the calls that occur, most frequent first. */
static int shrink_vocab(cosmos_corpus *corpus, struct cosmos_diag *reterr)
{
        struct frequency f[COSMOS_VOCAB_MAX] = {0};
        const char *names[COSMOS_VOCAB_MAX];
        uint32_t map[COSMOS_VOCAB_MAX] = {0};
        size_t n = cosmos_vocab_size(corpus->vocab), used = 0;
        cosmos_vocab *vocab;
        int r;

        for (uint32_t id = 0; id < n; id++)
                f[id] = (struct frequency){cosmos_vocab_name(corpus->vocab, id), id, 0};
        for (size_t i = 0; i < corpus->n_calls; i++)
                f[corpus->tokens[i * COSMOS_TOKEN_FIELDS + COSMOS_TOKEN_NAME]].count++;
        qsort(f + 2, n - 2, sizeof(*f), compare_frequencies);
        for (; used < n && (used < 2 || f[used].count > 0); used++) {
                names[used] = f[used].name;
                map[f[used].id] = (uint32_t)used;
        }
        r = cosmos_vocab_new(&vocab, names, used, reterr);
        if (r < 0)
                return r;
        cosmos_vocab_free(corpus->vocab);
        corpus->vocab = vocab;
        for (size_t i = 0; i < corpus->n_calls; i++) {
                uint32_t *name = &corpus->tokens[i * COSMOS_TOKEN_FIELDS + COSMOS_TOKEN_NAME];

                *name = map[*name];
        }
        return 0;
}

static int copy_vocab(cosmos_vocab **ret, const cosmos_vocab *vocab, struct cosmos_diag *reterr)
{
        const char *names[COSMOS_VOCAB_MAX];
        size_t n = cosmos_vocab_size(vocab);

        for (uint32_t id = 0; id < n; id++)
                names[id] = cosmos_vocab_name(vocab, id);
        return cosmos_vocab_new(ret, names, n, reterr);
}

/* ---- reading --------------------------------------------------------------------------- */

struct reading {
        cosmos_corpus *corpus;
        cosmos_resolver *resolver;
        cosmos_sequencer *sequencer;
        struct cosmos__buffer calls; /* of struct call */
};

static int take_steps(struct reading *reading)
{
        struct cosmos_step step;
        int r;

        while ((r = cosmos_sequencer_next(reading->sequencer, &step)) > 0) {
                struct call call = {step.id, step.event ? step.event->timestamp : 0, step.token};

                if (step.type != COSMOS_STEP_CALL)
                        continue;
                reading->corpus->n_sequences = MAX(reading->corpus->n_sequences, (size_t)step.id);
                r = cosmos__buffer_append(&reading->calls, &call, sizeof(call));
                if (r < 0)
                        return r;
        }
        return r;
}

static int take_event(struct reading *reading, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r;

        if (event->type == COSMOS_EVENT_TRACE && event->source)
                snprintf(reading->corpus->source, sizeof(reading->corpus->source), "%s", event->source);
        if (event->type == COSMOS_EVENT_TRACE && event->calls) {
                free(reading->corpus->call_set);
                reading->corpus->call_set = strdup(event->calls);
                if (!reading->corpus->call_set)
                        return -ENOMEM;
        }
        r = cosmos_resolver_feed(reading->resolver, event, reterr);
        while (r >= 0 && (r = cosmos_resolver_next(reading->resolver, &event)) > 0) {
                r = cosmos_sequencer_feed(reading->sequencer, event, reterr);
                if (r == 0)
                        r = take_steps(reading);
        }
        return r;
}

static int read_trace(struct reading *reading, cosmos_collector *collector, struct cosmos_diag *reterr)
{
        const struct cosmos_event *event;
        int r;

        while ((r = cosmos_collector_next(collector, &event, reterr)) != 2) {
                struct pollfd p = {.fd = cosmos_collector_fd(collector), .events = POLLIN};

                if (r > 0)
                        r = take_event(reading, event, reterr);
                else if (r == 0 && poll(&p, 1, -1) < 0 && errno != EINTR)
                        r = -errno;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Calls in the order of the trace to the arrays, in the order of the sequences. */
static int lay_out(cosmos_corpus *corpus, const struct call *calls, bool with_frequency)
{
        _cleanup_free_ uint64_t *next = NULL;
        size_t n = corpus->n_calls;

        corpus->offsets = calloc(corpus->n_sequences + 1, sizeof(*corpus->offsets));
        corpus->tokens = calloc(n, COSMOS_TOKEN_FIELDS * sizeof(*corpus->tokens));
        corpus->timestamps = calloc(n, sizeof(*corpus->timestamps));
        if (with_frequency) {
                corpus->frequency = calloc(n, sizeof(*corpus->frequency));
                if (!corpus->frequency)
                        return -ENOMEM;
        }
        next = calloc(corpus->n_sequences + 1, sizeof(*next));
        if (!corpus->offsets || !corpus->tokens || !corpus->timestamps || !next)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                corpus->offsets[calls[i].sequence]++; /* ids begin at 1 */
        for (size_t i = 0; i < corpus->n_sequences; i++) {
                corpus->offsets[i + 1] += corpus->offsets[i];
                next[i] = corpus->offsets[i];
        }
        for (size_t i = 0; i < n; i++) {
                size_t at = next[calls[i].sequence - 1]++;

                memcpy(corpus->tokens + at * COSMOS_TOKEN_FIELDS, calls[i].token.field, sizeof(calls[i].token.field));
                corpus->timestamps[at] = calls[i].timestamp;
                if (with_frequency)
                        corpus->frequency[at] = calls[i].token.frequency;
        }
        return 0;
}

static int fill_corpus(cosmos_corpus *corpus, const char *path, const struct cosmos_corpus_options *o,
                       struct cosmos_diag *reterr)
{
        struct cosmos_replay_options replay = {.size = sizeof(replay), .log = o->log};
        struct cosmos_resolver_options containers = {
            .size = sizeof(containers), .log = o->log, .select = o->select, .n_select = o->n_select};
        struct cosmos_sequencer_options sequences = {.size = sizeof(sequences), .unit = o->unit, .tokens = o->tokens};
        _cleanup_(collector_freep) cosmos_collector *collector = NULL;
        _cleanup_(resolver_freep) cosmos_resolver *resolver = NULL;
        _cleanup_(sequencer_freep) cosmos_sequencer *sequencer = NULL;
        struct reading reading = {.corpus = corpus};
        char quoted[256];
        int r;

        r = cosmos_collector_open_replay(&collector, path, &replay, reterr);
        if (r == 0)
                r = cosmos_resolver_new(&resolver, &containers, reterr);
        if (r == 0)
                r = cosmos_sequencer_new(&sequencer, corpus->vocab, &sequences, reterr);
        if (r < 0)
                return r;
        reading.resolver = resolver;
        reading.sequencer = sequencer;
        r = read_trace(&reading, collector, reterr);
        if (r == 0) {
                corpus->n_calls = reading.calls.size / sizeof(struct call);
                r = corpus->n_calls > 0 ? lay_out(corpus, (const struct call *)(const void *)reading.calls.data,
                                                  o->tokens && o->tokens->frequency)
                                        : cosmos__fail(reterr, -ENODATA, "%s: holds no call%s",
                                                       cosmos__quote_str(quoted, sizeof(quoted), path),
                                                       o->n_select ? " of the containers that were chosen" : "");
        }
        cosmos__buffer_free(&reading.calls);
        return r;
}

COSMOS_API int cosmos_corpus_read(cosmos_corpus **ret, const char *path, const struct cosmos_corpus_options *options,
                                  struct cosmos_diag *reterr)
{
        _cleanup_(corpus_freep) cosmos_corpus *corpus = NULL;
        struct cosmos_corpus_options o;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_corpus_options", reterr);
        if (r < 0)
                return r;
        corpus = calloc(1, sizeof(*corpus));
        if (!corpus)
                return -ENOMEM;
        r = o.vocab ? copy_vocab(&corpus->vocab, o.vocab, reterr) : all_names(&corpus->vocab, reterr);
        if (r == 0)
                r = fill_corpus(corpus, path, &o, reterr);
        if (r == 0 && !o.vocab)
                r = shrink_vocab(corpus, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(corpus);
        return 0;
}

COSMOS_API size_t cosmos_corpus_sequences(const cosmos_corpus *corpus)
{
        return corpus->n_sequences;
}

COSMOS_API size_t cosmos_corpus_calls(const cosmos_corpus *corpus)
{
        return corpus->n_calls;
}

COSMOS_API const uint64_t *cosmos_corpus_offsets(const cosmos_corpus *corpus)
{
        return corpus->offsets;
}

COSMOS_API const uint32_t *cosmos_corpus_tokens(const cosmos_corpus *corpus)
{
        return corpus->tokens;
}

COSMOS_API const float *cosmos_corpus_frequency(const cosmos_corpus *corpus)
{
        return corpus->frequency;
}

COSMOS_API const int64_t *cosmos_corpus_timestamps(const cosmos_corpus *corpus)
{
        return corpus->timestamps;
}

COSMOS_API const cosmos_vocab *cosmos_corpus_vocab(const cosmos_corpus *corpus)
{
        return corpus->vocab;
}

COSMOS_API const char *cosmos_corpus_source(const cosmos_corpus *corpus)
{
        return corpus->source;
}

COSMOS_API const char *cosmos_corpus_call_set(const cosmos_corpus *corpus)
{
        return corpus->call_set ? corpus->call_set : "all";
}

COSMOS_API cosmos_corpus *cosmos_corpus_free(cosmos_corpus *corpus)
{
        if (!corpus)
                return NULL;
        cosmos_vocab_free(corpus->vocab);
        free(corpus->call_set);
        free(corpus->offsets);
        free(corpus->tokens);
        free(corpus->frequency);
        free(corpus->timestamps);
        free(corpus);
        return NULL;
}
