/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole traces in mapped files (spool.h). The calls are read once, in the order of
 * the traces, then sorted by sequence (a counting sort, which keeps their order): it writes
 * at one place for each sequence that is open at that time, so the pages in use are few.
 *
 * A vocabulary that is made or extended needs the calls' counts: then they are read with one
 * of all calls that have a name on any architecture, and get their ids when they are sorted.
 */
#include "base/base.h"
#include "base/spool.h"
#include "sequence/digest.h"
#include "syscall/syscall.h"

#include <cosmos/collector.h>
#include <cosmos/container.h>
#include <cosmos/sequence.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMM_ROOM 16 /* the kernel's TASK_COMM_LEN */
#define PROGRESS_NS INT64_C(250000000)
#define PROGRESS_CALLS 4096 /* the clock is looked at no more often */

struct call {
        uint64_t sequence; /* from 0, of all traces */
        int64_t timestamp;
        struct cosmos_token token;
};

struct trace {
        char *path;
        char sha256[COSMOS__SHA256_TEXT];
        uint64_t calls, sequences;
};

struct cosmos_corpus {
        cosmos_vocab *vocab;
        size_t unplaced;
        enum cosmos_unit unit;
        char source[32];
        char *call_set; /* NULL: all */
        size_t n_sequences, n_calls;
        /* While the traces are read, [2 + i] is the number of calls of sequence i. */
        struct cosmos__spool offsets;
        struct cosmos__spool tokens, timestamps;
        struct cosmos__spool frequency; /* empty without it in the scheme */
        struct cosmos__spool comms;     /* [sequences][COMM_ROOM] */
        struct trace *traces;
        size_t n_traces;
        char *images[COSMOS_CORPUS_IMAGES_MAX];
        size_t n_images;
};

/* What is needed only until all is read. */
struct reading {
        cosmos_corpus *corpus;
        const struct cosmos_corpus_options *options;
        cosmos_vocab *all;         /* NULL: it is read with the vocabulary that was given */
        const cosmos_vocab *vocab; /* that the calls are read with */
        uint64_t counts[COSMOS_VOCAB_MAX];
        struct cosmos__spool calls; /* of struct call */
        struct cosmos__digest *digest;
        uint64_t total, before; /* bytes of all traces (0: not known), and of those that are done */
        int64_t told;           /* when progress was */

        /* Of the trace that is read. */
        struct trace *trace;
        cosmos_collector *collector;
        cosmos_resolver *resolver;
        cosmos_sequencer *sequencer; /* NULL until its first call */
        size_t first;                /* number of its first sequence */
        char source[32];             /* as its head says */
        char *call_set;
};

static void corpus_freep(cosmos_corpus **corpus)
{
        cosmos_corpus_free(*corpus);
}

static void close_trace(struct reading *reading)
{
        reading->sequencer = cosmos_sequencer_free(reading->sequencer);
        reading->resolver = cosmos_resolver_free(reading->resolver);
        reading->collector = cosmos_collector_free(reading->collector);
        reading->source[0] = 0;
        free(reading->call_set);
        reading->call_set = NULL;
}

static void reading_done(struct reading *reading)
{
        close_trace(reading);
        cosmos__spool_free(&reading->calls);
        cosmos__digest_free(reading->digest);
        cosmos_vocab_free(reading->all);
}

/* ---- vocabularies --------------------------------------------------------------- */

static bool is_reserved(const char *name)
{
        return strncmp(name, COSMOS_VOCAB_RESERVED, strlen(COSMOS_VOCAB_RESERVED)) == 0;
}

/* The names of `base`, and all others that a call has on any architecture. A `base` that is so full that
 * some have no room has hardly a place that they could take. */
static int all_names(cosmos_vocab **ret, const cosmos_vocab *base, struct cosmos_diag *reterr)
{
        static const struct cosmos__syscall_table *const tables[] = {
            &cosmos__syscalls_x86_64,
            &cosmos__syscalls_i386,
            &cosmos__syscalls_aarch64,
        };
        const char *names[COSMOS_VOCAB_MAX] = {"<start>", "<unknown>"};
        size_t n = 2, known, unique;

        for (uint32_t id = 2; base && id < cosmos_vocab_size(base); id++)
                if (!is_reserved(cosmos_vocab_name(base, id)))
                        names[n++] = cosmos_vocab_name(base, id);
        known = unique = n;
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
                for (uint32_t nr = 0; nr < tables[t]->n && n < ARRAY_SIZE(names); nr++)
                        if (tables[t]->names[nr] &&
                            (!base || cosmos_vocab_id(base, tables[t]->names[nr]) == COSMOS_VOCAB_UNKNOWN))
                                names[n++] = tables[t]->names[nr];
        qsort(names + known, n - known, sizeof(*names), cosmos__compare_strings);
        for (size_t i = known; i < n; i++)
                if (unique == known || strcmp(names[unique - 1], names[i]) != 0)
                        names[unique++] = names[i];
        return cosmos_vocab_new(ret, names, unique, reterr);
}

struct frequency {
        const char *name;
        uint64_t count;
};

static int compare_frequencies(const void *a, const void *b)
{
        const struct frequency *x = a, *y = b;

        if (x->count != y->count)
                return x->count < y->count ? 1 : -1;
        return strcmp(x->name, y->name);
}

/* The calls that occurred and are not in `base` (NULL: all that occurred), most frequent first: how many. */
static size_t new_names(const struct reading *reading, const cosmos_vocab *base, struct frequency *ret)
{
        size_t n = 0;

        for (uint32_t id = 2; id < cosmos_vocab_size(reading->vocab); id++) {
                const char *name = cosmos_vocab_name(reading->vocab, id);

                if (reading->counts[id] > 0 && (!base || cosmos_vocab_id(base, name) == COSMOS_VOCAB_UNKNOWN))
                        ret[n++] = (struct frequency){name, reading->counts[id]};
        }
        qsort(ret, n, sizeof(*ret), compare_frequencies);
        return n;
}

static int make_vocab(struct reading *reading, struct cosmos_diag *reterr)
{
        struct frequency f[COSMOS_VOCAB_MAX];
        const char *names[COSMOS_VOCAB_MAX] = {"<start>", "<unknown>"};
        size_t n = new_names(reading, NULL, f) + 2, reserve = reading->options->reserve;
        _cleanup_free_ char(*reserved)[32] = NULL;

        if (reserve > COSMOS_VOCAB_MAX - n)
                return cosmos__fail(reterr, -EINVAL,
                                    "%zu reserved places are too many: beside %zu names there is room for %zu", reserve,
                                    n, COSMOS_VOCAB_MAX - n);
        reserved = calloc(reserve + 1, sizeof(*reserved));
        if (!reserved)
                return -ENOMEM;
        for (size_t i = 2; i < n; i++)
                names[i] = f[i - 2].name;
        for (size_t i = 0; i < reserve; i++) {
                snprintf(reserved[i], sizeof(*reserved), COSMOS_VOCAB_RESERVED "%zu>", i);
                names[n + i] = reserved[i];
        }
        return cosmos_vocab_new(&reading->corpus->vocab, names, n + reserve, reterr);
}

/* The vocabulary that was given; calls that it lacks take its reserved places. */
static int extend_vocab(struct reading *reading, bool extend, struct cosmos_diag *reterr)
{
        const cosmos_vocab *base = reading->options->vocab;
        struct frequency f[COSMOS_VOCAB_MAX];
        const char *names[COSMOS_VOCAB_MAX];
        size_t n = extend ? new_names(reading, base, f) : 0, placed = 0;

        for (uint32_t id = 0; id < cosmos_vocab_size(base); id++) {
                names[id] = cosmos_vocab_name(base, id);
                if (placed < n && is_reserved(names[id]))
                        names[id] = f[placed++].name;
        }
        reading->corpus->unplaced = n - placed;
        return cosmos_vocab_new(&reading->corpus->vocab, names, cosmos_vocab_size(base), reterr);
}

static int finish_vocab(struct reading *reading, struct cosmos_diag *reterr)
{
        return reading->options->vocab ? extend_vocab(reading, reading->all != NULL, reterr)
                                       : make_vocab(reading, reterr);
}

/* ---- calls ---------------------------------------------------------------------------- */

static int remember_image(cosmos_corpus *corpus, const char *image)
{
        size_t n = corpus->n_images;

        for (size_t i = 0; i < n; i++)
                if (strcmp(corpus->images[i], image) == 0)
                        return 0;
        if (n == ARRAY_SIZE(corpus->images))
                return 0;
        corpus->images[n] = strdup(image);
        if (!corpus->images[n])
                return -ENOMEM;
        corpus->n_images++;
        return 0;
}

static int begin_sequence(cosmos_corpus *corpus, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r = cosmos__spool_reserve(&corpus->offsets, sizeof(uint64_t), reterr);

        if (r == 0)
                r = cosmos__spool_reserve(&corpus->comms, COMM_ROOM, reterr);
        if (r < 0)
                return r;
        corpus->offsets.size += sizeof(uint64_t);
        snprintf(corpus->comms.data + corpus->comms.size, COMM_ROOM, "%s", event->comm ? event->comm : "");
        corpus->comms.size += COMM_ROOM;
        corpus->n_sequences++;
        return event->image ? remember_image(corpus, event->image) : 0;
}

static int take_call(struct reading *reading, const struct cosmos_step *step, struct cosmos_diag *reterr)
{
        struct call call = {reading->first + step->id - 1, step->event->timestamp, step->token};
        cosmos_corpus *corpus = reading->corpus;
        int r = 0;

        if (step->calls == 1)
                r = begin_sequence(corpus, step->event, reterr);
        if (r == 0)
                r = cosmos__spool_reserve(&reading->calls, sizeof(call), reterr);
        if (r < 0)
                return r;
        memcpy(reading->calls.data + reading->calls.size, &call, sizeof(call));
        reading->calls.size += sizeof(call);
        ((uint64_t *)(void *)corpus->offsets.data)[2 + call.sequence]++;
        reading->counts[call.token.field[COSMOS_TOKEN_NAME]]++;
        corpus->n_calls++;
        return 0;
}

static int take_steps(struct reading *reading, struct cosmos_diag *reterr)
{
        struct cosmos_step step;
        int r;

        while ((r = cosmos_sequencer_next(reading->sequencer, &step)) > 0) {
                if (step.type != COSMOS_STEP_CALL)
                        continue;
                r = take_call(reading, &step, reterr);
                if (r < 0)
                        return r;
        }
        return r;
}

/* ---- traces ---------------------------------------------------------------------------- */

static const char *source_of(const char *source)
{
        return *source ? source : "unknown source";
}

/* All calls must be of one source and set of calls: this trace's are the first, or like them. */
static int check_same(struct reading *reading, struct cosmos_diag *reterr)
{
        cosmos_corpus *corpus = reading->corpus;
        const char *set = reading->call_set;
        char one[160], other[160];

        if (corpus->n_calls == 0 && reading->trace == corpus->traces) {
                memcpy(corpus->source, reading->source, sizeof(corpus->source));
                free(corpus->call_set);
                corpus->call_set = set ? strdup(set) : NULL;
                return set && !corpus->call_set ? -ENOMEM : 0;
        }
        cosmos__quote_str(one, sizeof(one), corpus->traces[0].path);
        cosmos__quote_str(other, sizeof(other), reading->trace->path);
        if (strcmp(corpus->source, reading->source) != 0)
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "%s (%s) and %s (%s) are of different sources: train a model for each", one,
                                    source_of(corpus->source), other, source_of(reading->source));
        if (strcmp(corpus->call_set ? corpus->call_set : "all", set ? set : "all") != 0)
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "%s and %s hold different sets of calls (cosmos-collect --calls): train a model "
                                    "for each",
                                    one, other);
        return 0;
}

static int take_head(struct reading *reading, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        if (event->source)
                snprintf(reading->source, sizeof(reading->source), "%s", event->source);
        if (event->calls) {
                free(reading->call_set);
                reading->call_set = strdup(event->calls);
                if (!reading->call_set)
                        return -ENOMEM;
        }
        return reading->sequencer ? check_same(reading, reterr) : 0;
}

/* The trace's first call: now its head has been seen, if it has one. */
static int open_sequencer(struct reading *reading, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        struct cosmos_sequencer_options o = {.size = sizeof(o), .tokens = reading->options->tokens};
        cosmos_corpus *corpus = reading->corpus;
        int r = check_same(reading, reterr);

        if (r < 0)
                return r;
        if (corpus->unit == COSMOS_UNIT_NATURAL)
                corpus->unit = strcmp(reading->source, "bpf") == 0 || (event->known & COSMOS_KNOWN_TID)
                                   ? COSMOS_UNIT_THREAD
                                   : COSMOS_UNIT_PROCESS;
        o.unit = corpus->unit;
        reading->first = corpus->n_sequences;
        return cosmos_sequencer_new(&reading->sequencer, reading->vocab, &o, reterr);
}

static int take_resolved(struct reading *reading, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        char quoted[256];
        int r;

        if (event->type == COSMOS_EVENT_CALL && reading->corpus->unit == COSMOS_UNIT_THREAD &&
            !(event->known & COSMOS_KNOWN_TID))
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "%s: a sequence is a thread here, but the calls do not say which thread made them "
                                    "(no \"tid\"): train on processes, or on traces of the bpf backend",
                                    cosmos__quote_str(quoted, sizeof(quoted), reading->trace->path));
        r = cosmos_sequencer_feed(reading->sequencer, event, reterr);
        return r < 0 ? r : take_steps(reading, reterr);
}

static int take_event(struct reading *reading, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r = 0;

        if (event->type == COSMOS_EVENT_TRACE)
                r = take_head(reading, event, reterr);
        else if (event->type == COSMOS_EVENT_CALL && !reading->sequencer)
                r = open_sequencer(reading, event, reterr);
        if (r == 0)
                r = cosmos_resolver_feed(reading->resolver, event, reterr);
        while (r >= 0 && (r = cosmos_resolver_next(reading->resolver, &event)) > 0)
                if (reading->sequencer)
                        r = take_resolved(reading, event, reterr);
        return r;
}

/* ---- progress ---------------------------------------------------------------------------- */

static int tell(struct reading *reading, struct cosmos_diag *reterr)
{
        const struct cosmos_corpus_options *o = reading->options;
        int64_t now = cosmos__boottime();
        uint64_t done = reading->before + cosmos__digest_bytes(reading->digest);

        if (!o->progress || now - reading->told < PROGRESS_NS)
                return 0;
        reading->told = now;
        if (reading->collector)
                done += (uint64_t)MAX(lseek(cosmos_collector_fd(reading->collector), 0, SEEK_CUR), 0);
        /* Every byte is read twice: for its calls, and for the digest. */
        if (o->progress(o->userdata, reading->corpus->n_calls,
                        reading->total ? fmin((double)done / (2 * (double)reading->total), 1) : (double)NAN) != 0)
                return cosmos__fail(reterr, -ECANCELED, "stopped while reading");
        return 0;
}

static uint64_t size_of(const char *path)
{
        struct stat st;

        return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static void add_up_bytes(struct reading *reading, const char *const *paths, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t size = size_of(paths[i]);

                reading->total += size;
                if (size == 0) { /* a pipe, or what will be an error */
                        reading->total = 0;
                        return;
                }
        }
}

/* ---- reading --------------------------------------------------------------------------- */

static int wait_for_events(struct reading *reading, struct cosmos_diag *reterr)
{
        struct pollfd p = {.fd = cosmos_collector_fd(reading->collector), .events = POLLIN};

        if (poll(&p, 1, (int)(PROGRESS_NS / 1000000)) < 0 && errno != EINTR)
                return -errno;
        return tell(reading, reterr);
}

static int read_events(struct reading *reading, struct cosmos_diag *reterr)
{
        const struct cosmos_event *event;
        uint64_t n = 0;
        int r;

        while ((r = cosmos_collector_next(reading->collector, &event, reterr)) != 2) {
                if (r > 0)
                        r = take_event(reading, event, reterr);
                else if (r == 0)
                        r = wait_for_events(reading, reterr);
                if (r == 0 && ++n % PROGRESS_CALLS == 0)
                        r = tell(reading, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_trace(struct reading *reading, struct cosmos_diag *reterr)
{
        const struct cosmos_corpus_options *o = reading->options;
        struct cosmos_replay_options replay = {.size = sizeof(replay), .log = o->log};
        struct cosmos_resolver_options containers = {
            .size = sizeof(containers), .log = o->log, .select = o->select, .n_select = o->n_select};
        size_t calls = reading->corpus->n_calls, sequences = reading->corpus->n_sequences;
        struct trace *trace = reading->trace;
        char quoted[256];
        int r;

        r = cosmos_collector_open_replay(&reading->collector, trace->path, &replay, reterr);
        if (r == 0)
                r = cosmos_resolver_new(&reading->resolver, &containers, reterr);
        if (r == 0)
                r = read_events(reading, reterr);
        if (r < 0)
                return r;
        trace->calls = reading->corpus->n_calls - calls;
        trace->sequences = reading->corpus->n_sequences - sequences;
        if (trace->calls == 0)
                return cosmos__fail(reterr, -ENODATA, "%s: holds no call%s",
                                    cosmos__quote_str(quoted, sizeof(quoted), trace->path),
                                    o->n_select ? " of the containers that were chosen" : "");
        close_trace(reading);
        reading->before += size_of(trace->path);
        return 0;
}

static int read_traces(struct reading *reading, const char *const *paths, size_t n, struct cosmos_diag *reterr)
{
        cosmos_corpus *corpus = reading->corpus;
        int r;

        corpus->traces = calloc(n, sizeof(*corpus->traces));
        if (!corpus->traces)
                return -ENOMEM;
        corpus->n_traces = n;
        for (size_t i = 0; i < n; i++) {
                reading->trace = &corpus->traces[i];
                reading->trace->path = strdup(paths[i]);
                if (!reading->trace->path)
                        return -ENOMEM;
                r = read_trace(reading, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_digests(struct reading *reading, struct cosmos_diag *reterr)
{
        cosmos_corpus *corpus = reading->corpus;
        int r = 0;

        while (r == 0 && !cosmos__digest_wait(reading->digest, (unsigned)(PROGRESS_NS / 1000000)))
                r = tell(reading, reterr);
        for (size_t i = 0; r == 0 && i < corpus->n_traces; i++)
                r = cosmos__digest_get(reading->digest, i, corpus->traces[i].sha256, reterr);
        return r;
}

/* ---- layout --------------------------------------------------------------------------- */

static int reserve_array(struct cosmos__spool *array, size_t n, size_t size, struct cosmos_diag *reterr)
{
        size_t bytes;
        int r;

        if (__builtin_mul_overflow(n, size, &bytes))
                return -EFBIG;
        r = cosmos__spool_reserve(array, bytes, reterr);
        if (r == 0)
                array->size = bytes;
        return r;
}

static int reserve_arrays(const struct reading *reading, struct cosmos_diag *reterr)
{
        const struct cosmos_token_scheme *scheme = reading->options->tokens;
        cosmos_corpus *corpus = reading->corpus;
        int r;

        r = reserve_array(&corpus->tokens, corpus->n_calls, sizeof((struct cosmos_token){0}.field), reterr);
        if (r == 0)
                r = reserve_array(&corpus->timestamps, corpus->n_calls, sizeof(int64_t), reterr);
        if (r == 0 && scheme && scheme->frequency)
                r = reserve_array(&corpus->frequency, corpus->n_calls, sizeof(float), reterr);
        return r;
}

/* Calls in the order of the traces to the arrays, in the order of the sequences. `next` is where the next
 * call of each sequence goes, and in the end where the sequence behind begins. */
static void place_calls(cosmos_corpus *corpus, const struct call *calls, uint64_t *next, const uint32_t *ids)
{
        uint32_t(*tokens)[COSMOS_TOKEN_FIELDS] = (void *)corpus->tokens.data;
        int64_t *timestamps = (void *)corpus->timestamps.data;
        float *frequency = (void *)corpus->frequency.data;

        for (size_t i = 0; i < corpus->n_calls; i++) {
                uint64_t at = next[calls[i].sequence]++;

                memcpy(tokens[at], calls[i].token.field, sizeof(*tokens));
                tokens[at][COSMOS_TOKEN_NAME] = ids[calls[i].token.field[COSMOS_TOKEN_NAME]];
                timestamps[at] = calls[i].timestamp;
                if (frequency)
                        frequency[at] = calls[i].token.frequency;
        }
}

static int lay_out(struct reading *reading, struct cosmos_diag *reterr)
{
        cosmos_corpus *corpus = reading->corpus;
        uint64_t *offsets = (void *)corpus->offsets.data;
        uint32_t ids[COSMOS_VOCAB_MAX];
        int r = reserve_arrays(reading, reterr);

        if (r < 0)
                return r;
        for (uint32_t id = 0; id < cosmos_vocab_size(reading->vocab); id++)
                ids[id] = cosmos_vocab_id(corpus->vocab, cosmos_vocab_name(reading->vocab, id));
        /* The counts begin at [2]: so [1 + i] becomes where sequence i begins, and once
         * its calls are placed, where it ends. [0] is 0 all the time. */
        for (size_t i = 0; i < corpus->n_sequences; i++)
                offsets[2 + i] += offsets[1 + i];
        place_calls(corpus, (const void *)reading->calls.data, offsets + 1, ids);
        cosmos__spool_trim(&corpus->offsets);
        cosmos__spool_trim(&corpus->comms);
        cosmos__spool_trim(&corpus->tokens);
        cosmos__spool_trim(&corpus->timestamps);
        cosmos__spool_trim(&corpus->frequency);
        return 0;
}

/* ---- the corpus ------------------------------------------------------------------------- */

static int begin(struct reading *reading, const char *const *paths, size_t n, struct cosmos_diag *reterr)
{
        const struct cosmos_corpus_options *o = reading->options;
        cosmos_corpus *corpus = reading->corpus;
        int r;

        if (n == 0)
                return cosmos__fail(reterr, -EINVAL, "no trace is given");
        if (!cosmos_unit_name(o->unit) && o->unit != COSMOS_UNIT_NATURAL)
                return cosmos__fail(reterr, -EINVAL, "cosmos_corpus_options: unit %d is out of range", (int)o->unit);
        corpus->unit = o->unit;
        if (!o->vocab || o->extend) {
                r = all_names(&reading->all, o->vocab, reterr);
                if (r < 0)
                        return r;
        }
        reading->vocab = reading->all ? reading->all : o->vocab;
        r = cosmos__spool_reserve(&corpus->offsets, 2 * sizeof(uint64_t), reterr);
        if (r < 0)
                return r;
        corpus->offsets.size = 2 * sizeof(uint64_t);
        add_up_bytes(reading, paths, n);
        return cosmos__digest_new(&reading->digest, paths, n, reterr);
}

static int fill_corpus(struct reading *reading, const char *const *paths, size_t n, struct cosmos_diag *reterr)
{
        int r = begin(reading, paths, n, reterr);

        if (r == 0)
                r = read_traces(reading, paths, n, reterr);
        if (r == 0)
                r = finish_vocab(reading, reterr);
        if (r == 0)
                r = lay_out(reading, reterr);
        return r == 0 ? take_digests(reading, reterr) : r;
}

COSMOS_API int cosmos_corpus_read(cosmos_corpus **ret, const char *const *paths, size_t n,
                                  const struct cosmos_corpus_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(corpus_freep) cosmos_corpus *corpus = NULL;
        struct cosmos_corpus_options o;
        struct reading reading = {.options = &o};
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_corpus_options", reterr);
        if (r < 0)
                return r;
        corpus = calloc(1, sizeof(*corpus));
        if (!corpus)
                return -ENOMEM;
        reading.corpus = corpus;
        r = fill_corpus(&reading, paths, n, reterr);
        reading_done(&reading);
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
        return (const void *)corpus->offsets.data;
}

COSMOS_API const uint32_t *cosmos_corpus_tokens(const cosmos_corpus *corpus)
{
        return (const void *)corpus->tokens.data;
}

COSMOS_API const float *cosmos_corpus_frequency(const cosmos_corpus *corpus)
{
        return (const void *)corpus->frequency.data;
}

COSMOS_API const int64_t *cosmos_corpus_timestamps(const cosmos_corpus *corpus)
{
        return (const void *)corpus->timestamps.data;
}

COSMOS_API const char *cosmos_corpus_comm(const cosmos_corpus *corpus, size_t sequence)
{
        return corpus->comms.data + sequence * COMM_ROOM;
}

COSMOS_API const cosmos_vocab *cosmos_corpus_vocab(const cosmos_corpus *corpus)
{
        return corpus->vocab;
}

COSMOS_API size_t cosmos_corpus_unplaced(const cosmos_corpus *corpus)
{
        return corpus->unplaced;
}

COSMOS_API enum cosmos_unit cosmos_corpus_unit(const cosmos_corpus *corpus)
{
        return corpus->unit;
}

COSMOS_API const char *cosmos_corpus_source(const cosmos_corpus *corpus)
{
        return corpus->source;
}

COSMOS_API const char *cosmos_corpus_call_set(const cosmos_corpus *corpus)
{
        return corpus->call_set ? corpus->call_set : "all";
}

COSMOS_API size_t cosmos_corpus_traces(const cosmos_corpus *corpus)
{
        return corpus->n_traces;
}

COSMOS_API void cosmos_corpus_get_trace(const cosmos_corpus *corpus, size_t i, struct cosmos_corpus_trace *ret)
{
        const struct trace *t = &corpus->traces[i];
        struct cosmos_corpus_trace ours = {
            .path = t->path, .sha256 = t->sha256, .calls = t->calls, .sequences = t->sequences};

        cosmos__fill(ret, &ours, sizeof(ours));
}

COSMOS_API const char *cosmos_corpus_image(const cosmos_corpus *corpus, size_t i)
{
        return i < corpus->n_images ? corpus->images[i] : NULL;
}

COSMOS_API cosmos_corpus *cosmos_corpus_free(cosmos_corpus *corpus)
{
        if (!corpus)
                return NULL;
        cosmos_vocab_free(corpus->vocab);
        free(corpus->call_set);
        cosmos__spool_free(&corpus->offsets);
        cosmos__spool_free(&corpus->tokens);
        cosmos__spool_free(&corpus->timestamps);
        cosmos__spool_free(&corpus->frequency);
        cosmos__spool_free(&corpus->comms);
        for (size_t i = 0; i < corpus->n_traces; i++)
                free(corpus->traces[i].path);
        free(corpus->traces);
        for (size_t i = 0; i < corpus->n_images; i++)
                free(corpus->images[i]);
        free(corpus);
        return NULL;
}
