/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence: one ordered stream of tokens for each process or thread of each
 * container.
 *
 * Key: (container, pid, proc_start) and, where the unit is the thread, also
 * (tid, thread_start). A sequence ends when its process or thread ends (its own
 * exit_group; for threads also exit or thread_exit), its container stops, something
 * was lost (of the thread that the loss names, else of the container that it names,
 * else of whatever process), it was
 * idle for `idle_ns` of *event* time, the table is full (the longest idle
 * one goes), or the trace ends. Time is the events' own: the machine's clock
 * plays no part, so a replay cuts where live did.
 *
 * Thread safety: vocabularies and corpora are immutable once built; a sequencer
 * belongs to one thread at a time.
 */
#ifndef COSMOS_SEQUENCE_H
#define COSMOS_SEQUENCE_H

#include <cosmos/error.h>
#include <cosmos/event.h>
#include <cosmos/log.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- token: what a model is told of one call ------------------------------ */

#define COSMOS_TOKEN_FIELDS 6

/* The fields of a token, in their fixed order. A model's scheme says which it
 * reads; the first is what it predicts. All but the name are classes of the call
 * as it was seen, so 0 also stands for what the source does not know. */
enum cosmos_token_field {
        COSMOS_TOKEN_NAME = 0,  /* id of the call's name in the vocabulary */
        COSMOS_TOKEN_ERRNO = 1, /* 0: success or no result known, 1..133: that errno, 134: any other */
        COSMOS_TOKEN_SIZE = 2,  /* class of the bytes that were read or written, 0: none or not known */
        COSMOS_TOKEN_FD = 3,    /* enum cosmos_fd_kind; 0: none or not known */
        COSMOS_TOKEN_PATH = 4,  /* enum cosmos_path_class; 0: none or not known */
        COSMOS_TOKEN_ARGS = 5,  /* cosmos_args_class() */
};
#define COSMOS_TOKEN_ERRNO_SIZE 135u

struct cosmos_token {
        uint32_t field[COSMOS_TOKEN_FIELDS]; /* ids; fields outside the scheme are 0 */
        /* Share of the latest calls of the sequence, this one included, that have this call's
         * name: 0..1; 0 outside the scheme and before the first call. */
        float frequency;
};

/* ---- scheme: which fields there are, and how fine they are -------------------- */

#define COSMOS_TOKEN_FREQUENCY_MAX 1000u

struct cosmos_token_scheme {
        uint32_t fields; /* bit `1u << field` for each; that of the name is always set */
        /* Classes for each octave of COSMOS_TOKEN_SIZE: 1, 2 or 4; 0 without that field. As in
         * cosmos_size_class(), which is that of 2, none, 1..7 and 8..31 bytes are a class each. */
        uint32_t size;
        uint32_t frequency; /* calls in the window, 1..COSMOS_TOKEN_FREQUENCY_MAX; 0: no frequency */
};

/* "name", "errno", "size", "fd", "path", "args"; NULL for any other. Static.
 * A model's table of the field is the tensor `embedding.NAME.weight`. */
const char *cosmos_token_field_name(enum cosmos_token_field field);
/* Ids of a field of the scheme; 0 for the name, of which the vocabulary decides,
 * and for a field that is not in the scheme. */
uint32_t cosmos_token_field_size(const struct cosmos_token_scheme *scheme, enum cosmos_token_field field);

/*
 * A scheme's text, as in a model's `cosmos.tokens`: fields by name in their order, with commas
 * between; "size" with its classes, "size/octave", "size/half" or "size/quarter"; at the end
 * "frequency/CALLS". "name,errno,size/half,fd,path,args,frequency/100" has all.
 * -EINVAL if it is not one; `ret` is untouched then.
 */
int cosmos_token_scheme_parse(struct cosmos_token_scheme *ret, const char *text, struct cosmos_diag *reterr);
/* The inverse, for a scheme as parse() gives it, in `buf` of `size` bytes, of which COSMOS_TOKEN_SCHEME_TEXT
 * are enough for any. Returns `buf`. */
#define COSMOS_TOKEN_SCHEME_TEXT 64
const char *cosmos_token_scheme_text(const struct cosmos_token_scheme *scheme, char *buf, size_t size);

/* ---- vocabulary: call names to ids ---------------------------------------- */

/* Ids 0 and 1 are reserved in every vocabulary. */
#define COSMOS_VOCAB_START 0u   /* "<start>": what comes before the first call */
#define COSMOS_VOCAB_UNKNOWN 1u /* "<unknown>": a call that is not in the vocabulary */
#define COSMOS_VOCAB_MAX 4096u

typedef struct cosmos_vocab cosmos_vocab;

/* A vocabulary of the `n` names, which must be unique and begin with "<start>",
 * "<unknown>"; 2 <= n <= COSMOS_VOCAB_MAX. The names are copied. */
int cosmos_vocab_new(cosmos_vocab **ret, const char *const *names, size_t n, struct cosmos_diag *reterr);
size_t cosmos_vocab_size(const cosmos_vocab *vocab);
/* The name of an id, NULL if there is none. Owned by the vocabulary. */
const char *cosmos_vocab_name(const cosmos_vocab *vocab, uint32_t id);
/* The id of a name; COSMOS_VOCAB_UNKNOWN if it is not there. */
uint32_t cosmos_vocab_id(const cosmos_vocab *vocab, const char *name);
cosmos_vocab *cosmos_vocab_free(cosmos_vocab *vocab);

/* ---- sequencer: events to steps ------------------------------------------- */

enum cosmos_unit {
        COSMOS_UNIT_PROCESS = 0,
        COSMOS_UNIT_THREAD = 1,
        /* Only in the options of a corpus: the thread where the first trace tells threads apart (its
         * head says "bpf", or its first call has a tid), else the process. */
        COSMOS_UNIT_NATURAL = 2,
};

/* "process", "thread". Static. */
const char *cosmos_unit_name(enum cosmos_unit unit);

struct cosmos_sequencer_options {
        size_t size;            /* sizeof(struct cosmos_sequencer_options) */
        enum cosmos_unit unit;  /* thread: events without tid are -COSMOS_EMISMATCH */
        uint32_t max_sequences; /* open at once; 0: 16384 */
        uint64_t idle_ns;       /* 0: 600 s */
        /* Which fields a token has; NULL: "name,errno". Copied. */
        const struct cosmos_token_scheme *tokens;
};

typedef struct cosmos_sequencer cosmos_sequencer;

enum cosmos_step_type {
        COSMOS_STEP_CALL = 0, /* a call of the sequence; the first one opens it */
        COSMOS_STEP_END = 1,  /* the sequence is over; *userdata must be released now */
};

enum cosmos_end {
        COSMOS_END_EXIT = 0,
        COSMOS_END_CONTAINER_STOP = 1,
        COSMOS_END_LOSS = 2, /* the window in progress is indeterminate */
        COSMOS_END_IDLE = 3,
        COSMOS_END_EVICTED = 4,
        COSMOS_END_TRACE = 5,
};

/* "exit", "container_stop", "loss", "idle", "evicted", "end_of_trace". Static. */
const char *cosmos_end_name(enum cosmos_end end);

/* Lent until the next call. Strings of a key belong to the sequencer. */
struct cosmos_step {
        enum cosmos_step_type type;
        uint64_t id;                      /* of the sequence: 1, 2, ... in the order that they opened */
        const struct cosmos_event *key;   /* container_id/_name, image, pid, tid, proc_start, thread_start,
                                             known, comm and exe of the latest call: nothing else is set */
        uint64_t calls;                   /* of the sequence so far, this one included */
        struct cosmos_token token;        /* CALL */
        const struct cosmos_event *event; /* CALL: the event as it was fed */
        enum cosmos_end end;              /* END */
        void **userdata;                  /* a slot of the sequence's own; NULL at its first call */
};

/* `vocab` is borrowed and must outlive the sequencer. `options` may be NULL. */
int cosmos_sequencer_new(cosmos_sequencer **ret, const cosmos_vocab *vocab,
                         const struct cosmos_sequencer_options *options, struct cosmos_diag *reterr);
/* Take an event in; it must stay valid until next() has returned 0.
 * NULL: the trace ends here, and with it all sequences, the longest idle first. */
int cosmos_sequencer_feed(cosmos_sequencer *sequencer, const struct cosmos_event *event, struct cosmos_diag *reterr);
/* 1 and a step; 0: nothing more, feed again; -ENOMEM: the event is lost, feed again. */
int cosmos_sequencer_next(cosmos_sequencer *sequencer, struct cosmos_step *ret);
size_t cosmos_sequencer_count(const cosmos_sequencer *sequencer);
cosmos_sequencer *cosmos_sequencer_free(cosmos_sequencer *sequencer);

/* ---- corpus: all sequences of some traces, at rest, for training ------------ */

/* What a name of a place that a vocabulary keeps for a call not seen yet begins with: "<reserved-0>", ... */
#define COSMOS_VOCAB_RESERVED "<reserved-"

typedef struct cosmos_corpus cosmos_corpus;

struct cosmos_corpus_options {
        size_t size; /* sizeof(struct cosmos_corpus_options) */
        struct cosmos_log log;
        enum cosmos_unit unit;
        /* Read with this vocabulary; NULL: make one from the traces, most
         * frequent call first (equal counts by name); what has no name on any
         * architecture is "<unknown>" then. Borrowed for the call. */
        const cosmos_vocab *vocab;
        const char *const *select; /* containers, as in the resolver's options */
        size_t n_select;
        /* Without `vocab`: so many names "<reserved-0>", "<reserved-1>", ... behind the others,
         * places for calls that are not in these traces. */
        uint32_t reserve;
        /* With `vocab`, if not 0: calls that it lacks take its reserved places, the first place for the
         * most frequent call (equal counts by name). Ids of names that it has stay. */
        int extend;
        /* How far it is, a few times a second at most, from the calling thread; NULL: tell nobody.
         * `calls` read so far; `share` of the traces' bytes, 0..1, NaN where one is a pipe. Anything but 0
         * ends the reading with -ECANCELED. */
        int (*progress)(void *userdata, uint64_t calls, double share);
        void *userdata;
        /* Which fields a token has; NULL: "name,errno". Copied. */
        const struct cosmos_token_scheme *tokens;
};

/*
 * Read the `n` traces whole, 1 or more, with one vocabulary: the sequences of one trace after those of
 * another; a sequence ends where its trace does. `options` may be NULL.
 *
 * The arrays are in files without a name, in $TMPDIR or else /var/tmp, and mapped: memory that is not
 * just a cache of files stays the same, some MiB, however many calls there are. The disk must have room for
 * 80 bytes a call, 84 with frequencies; 48 of them are given back in the end.
 *
 * -ENODATA if a trace holds no call that is selected; -COSMOS_EMISMATCH if the traces are not of one source
 * and one set of calls, or the unit is the thread and a trace does not tell threads apart; -ENOSPC and the
 * like if the arrays have no room. The text names the traces.
 */
int cosmos_corpus_read(cosmos_corpus **ret, const char *const *paths, size_t n,
                       const struct cosmos_corpus_options *options, struct cosmos_diag *reterr);
size_t cosmos_corpus_sequences(const cosmos_corpus *corpus);
size_t cosmos_corpus_calls(const cosmos_corpus *corpus);
/* [sequences + 1]: sequence i is the calls offsets[i] .. offsets[i+1]-1. The sequences of a trace
 * stand in the order of their first call. */
const uint64_t *cosmos_corpus_offsets(const cosmos_corpus *corpus);
/* [calls][COSMOS_TOKEN_FIELDS], row by row. */
const uint32_t *cosmos_corpus_tokens(const cosmos_corpus *corpus);
/* [calls] the tokens' frequencies; NULL where the scheme has none. */
const float *cosmos_corpus_frequency(const cosmos_corpus *corpus);
/* [calls] ns since 1970. */
const int64_t *cosmos_corpus_timestamps(const cosmos_corpus *corpus);
/* comm of the first call of a sequence, below cosmos_corpus_sequences(); "" if not known. Bytes that the
 * process chose. Owned by the corpus. */
const char *cosmos_corpus_comm(const cosmos_corpus *corpus, size_t sequence);
/* That the tokens are of: made, given, or given and extended. Owned by the corpus. */
const cosmos_vocab *cosmos_corpus_vocab(const cosmos_corpus *corpus);
/* How many different calls found no place in the vocabulary that was to be extended, and are "<unknown>". */
size_t cosmos_corpus_unplaced(const cosmos_corpus *corpus);
/* What a sequence is: never COSMOS_UNIT_NATURAL. */
enum cosmos_unit cosmos_corpus_unit(const cosmos_corpus *corpus);
/* What the traces' heads say of their source ("bpf", "audit"), "" if they have none. */
const char *cosmos_corpus_source(const cosmos_corpus *corpus);
/* Which calls were collected, as the traces' heads say: names with commas between, or "all". */
const char *cosmos_corpus_call_set(const cosmos_corpus *corpus);

/* What a trace held. Strings belong to the corpus. */
struct cosmos_corpus_trace {
        size_t size;        /* sizeof(struct cosmos_corpus_trace) */
        const char *path;   /* as it was given */
        const char *sha256; /* of the file's bytes, 64 hexadecimal digits; "" for a pipe */
        uint64_t calls;     /* that are in the corpus */
        uint64_t sequences;
};

size_t cosmos_corpus_traces(const cosmos_corpus *corpus);
/* Trace `i`, below cosmos_corpus_traces(), in the order that they were given. */
void cosmos_corpus_get_trace(const cosmos_corpus *corpus, size_t i, struct cosmos_corpus_trace *ret);

#define COSMOS_CORPUS_IMAGES_MAX 64u

/* The container images that calls of the corpus are of, different ones, in the order that they came, up to
 * COSMOS_CORPUS_IMAGES_MAX: image `i`; NULL behind the last. Owned by the corpus. */
const char *cosmos_corpus_image(const cosmos_corpus *corpus, size_t i);

cosmos_corpus *cosmos_corpus_free(cosmos_corpus *corpus);

#ifdef __cplusplus
}
#endif
#endif
