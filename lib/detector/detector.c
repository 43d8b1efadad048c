/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: what is kept of a sequence; its scores; the queue of steps; the detector.
 *
 * Steps are queued, so that the predictor is given many tokens at a time, and then
 * taken in their order: what comes out is the same as step by step, to the bit.
 */
#include "detector/why.h"

#include "base/base.h"

#include <cosmos/detector.h>
#include <cosmos/predictor.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define QUEUE 1024   /* steps */
#define QUEUE_WHY 64 /* with why: each has all its log-probabilities, and a note */
#define RUN 16384    /* events that run() takes at a time */
#define TEXT 65536   /* bytes for the names of what is scored in the queue */

/* A scored call. */
struct call {
        float nll;
        uint64_t seq;
};

/* A step of a sequence that waits for its turn. */
struct queued {
        struct stream *stream;
        const char *end; /* NULL: a call */
        bool determinate;
        bool scored; /* a window is full here, or ends: its names are in `key` */
        struct call call;
        int64_t timestamp;
        uint32_t timestamp_digits;
        bool unknown;
        struct cosmos_event key; /* as that of a step */
};

/* What the detector keeps of a sequence: the sequencer's userdata. */
struct stream {
        struct stream *next, **link; /* all open ones, so that they can be freed */
        cosmos_session *session;
        struct cosmos__why *why; /* NULL: not asked for */
        uint64_t queued;         /* calls, those in the queue included */
        uint64_t calls, scored;  /* so far; at the latest score */
        bool anomalous;          /* one of its windows was */
        int64_t timestamp;       /* of its latest call */
        uint32_t timestamp_digits;
        struct call ring[]; /* [window], call i at i % window */
};

struct cosmos_detector {
        cosmos_model *model;
        struct cosmos_model_info info;
        cosmos_threshold *own_threshold;
        const cosmos_threshold *threshold;
        cosmos_sink *sink;
        cosmos_sequencer *sequencer;
        cosmos_predictor *predictor;
        uint32_t why;
        struct cosmos_surprise surprises[COSMOS_WHY_MAX];
        struct stream *streams;

        size_t n_queued, queue_size;
        struct queued *queue;
        size_t n_tokens; /* of the calls among them, each with its session: what the predictor steps */
        cosmos_session **sessions;
        struct cosmos_token *tokens;
        float *nll;
        float *logp;                /* [queue_size, vocabulary], only with why */
        struct cosmos__note *notes; /* only with why */
        char *text;                 /* [TEXT] what the keys of the queue point to */
        size_t text_used;
        struct cosmos_detector_stats stats;
};

/* ---- streams ------------------------------------------------------------------- */

static struct stream *stream_free(struct stream *s)
{
        if (!s)
                return NULL;
        if (s->link) {
                *s->link = s->next;
                if (s->next)
                        s->next->link = s->link;
        }
        cosmos_session_free(s->session);
        cosmos__why_free(s->why);
        free(s);
        return NULL;
}

static int stream_new(cosmos_detector *d, struct stream **ret, struct cosmos_diag *reterr)
{
        struct stream *s = calloc(1, sizeof(*s) + d->info.window * sizeof(*s->ring));
        int r;

        if (!s)
                return -ENOMEM;
        r = cosmos_session_new(&s->session, d->model, reterr);
        if (r == 0 && d->why)
                r = cosmos__why_new(&s->why, d->why, d->info.window, d->info.hop);
        if (r < 0) {
                stream_free(s);
                return r;
        }
        s->next = d->streams;
        if (s->next)
                s->next->link = &s->next;
        s->link = &d->streams;
        d->streams = s;
        d->stats.sequences++;
        *ret = s;
        return 0;
}

/* ---- scores ---------------------------------------------------------------------- */

/* The score rule of model.h over calls first .. calls-1, summed in their order. */
static double score_of(const cosmos_detector *d, const struct stream *s, uint64_t first)
{
        double sum = d->info.prior_count * d->info.prior_mean;

        for (uint64_t i = first; i < s->calls; i++)
                sum += (double)s->ring[i % d->info.window].nll;
        return sum / ((double)(s->calls - first) + d->info.prior_count);
}

static void count(cosmos_detector *d, struct stream *s, enum cosmos_verdict verdict)
{
        switch (verdict) {
        case COSMOS_NORMAL:
                d->stats.normal++;
                break;
        case COSMOS_ANOMALOUS:
                d->stats.anomalous++;
                d->stats.anomalous_sequences += !s->anomalous;
                s->anomalous = true;
                break;
        case COSMOS_INDETERMINATE:
                d->stats.indeterminate++;
                break;
        }
}

/* Score calls first .. calls-1. */
static int write_score(cosmos_detector *d, const struct queued *q, uint64_t first, struct cosmos_diag *reterr)
{
        const struct cosmos_event *key = &q->key;
        struct stream *s = q->stream;
        struct cosmos_score score = {
            .score = q->determinate ? score_of(d, s, first) : (double)NAN,
            .threshold = cosmos_threshold_theta(d->threshold),
            .timestamp = s->timestamp,
            .timestamp_digits = s->timestamp_digits,
            .first_seq = s->ring[first % d->info.window].seq,
            .last_seq = s->ring[(s->calls - 1) % d->info.window].seq,
            .window = (uint32_t)(s->calls - first),
            .calls = s->calls,
            .end = q->end,
            .container_id = key->container_id,
            .container_name = key->container_name,
            .image = key->image,
            .known = key->known,
            .pid = key->pid,
            .tid = key->tid,
            .proc_start = key->proc_start,
            .thread_start = key->thread_start,
            .comm = key->comm,
            .exe = key->exe,
            .why = d->surprises,
            .model = cosmos_model_name(d->model),
        };

        score.verdict = cosmos_threshold_judge(d->threshold, score.score);
        if (s->why)
                score.n_why = cosmos__why_get(s->why, first, d->surprises, cosmos_model_vocab(d->model));
        s->scored = s->calls;
        count(d, s, score.verdict);
        return cosmos_sink_write_score(d->sink, &score, reterr);
}

static uint64_t window_start(const cosmos_detector *d, const struct stream *s)
{
        return s->calls > d->info.window ? s->calls - d->info.window : 0;
}

/* ---- the queue: out ---------------------------------------------------------------- */

static int take_call(cosmos_detector *d, const struct queued *q, struct cosmos_diag *reterr)
{
        struct stream *s = q->stream;

        s->ring[s->calls % d->info.window] = q->call;
        s->calls++;
        s->timestamp = q->timestamp;
        s->timestamp_digits = q->timestamp_digits;
        d->stats.calls++;
        d->stats.unknown_calls += q->unknown;
        return q->scored ? write_score(d, q, window_start(d, s), reterr) : 0;
}

static int take_end(cosmos_detector *d, const struct queued *q, struct cosmos_diag *reterr)
{
        struct stream *s = q->stream;
        int r = 0;

        /* What was lost is missing from the calls since the latest score. */
        if (s->calls > s->scored)
                r = write_score(d, q, q->determinate ? window_start(d, s) : MAX(s->scored, window_start(d, s)), reterr);
        stream_free(s);
        return r;
}

/* Take all steps of the queue, also after an error: the next event finds things in order. The first error is told. */
static int flush(cosmos_detector *d, struct cosmos_diag *reterr)
{
        const cosmos_vocab *vocab = cosmos_model_vocab(d->model);
        size_t token = 0;
        int r, q;

        r = cosmos_predictor_step(d->predictor, d->sessions, d->tokens, d->n_tokens, d->nll, d->logp);
        if (r < 0)
                r = cosmos__fail(reterr, r, "the model cannot take a token of these calls");
        for (size_t i = 0; i < d->n_queued; i++) {
                struct queued *step = &d->queue[i];
                struct cosmos_diag *diag = r < 0 ? NULL : reterr;

                if (step->end) {
                        q = take_end(d, step, diag);
                } else {
                        step->call.nll = d->nll[token];
                        if (step->stream->why)
                                cosmos__why_add(step->stream->why, step->stream->calls, &d->notes[token],
                                                step->call.nll, d->logp + token * cosmos_vocab_size(vocab), vocab);
                        token++;
                        q = take_call(d, step, diag);
                }
                r = r < 0 ? r : q;
        }
        d->n_queued = d->n_tokens = d->text_used = 0;
        return r;
}

/* ---- the queue: in ------------------------------------------------------------------- */

static size_t text_size(const char *text)
{
        return text ? strlen(text) + 1 : 0;
}

static const char *keep(cosmos_detector *d, const char *text)
{
        const size_t n = text_size(text);
        char *at = d->text + d->text_used;

        d->text_used += n;
        return n ? memcpy(at, text, n) : NULL;
}

static size_t key_size(const struct cosmos_event *key)
{
        return text_size(key->container_id) + text_size(key->container_name) + text_size(key->image) +
               text_size(key->comm) + text_size(key->exe);
}

/* A key's strings change with the next call, and go with the sequence: keep them until the score is written. Names
 * that there is no room for stay where they are: the queue is flushed before they can change. */
static void keep_key(cosmos_detector *d, struct cosmos_event *ret, const struct cosmos_event *key)
{
        *ret = *key;
        if (key_size(key) > TEXT)
                return;
        ret->container_id = keep(d, key->container_id);
        ret->container_name = keep(d, key->container_name);
        ret->image = keep(d, key->image);
        ret->comm = keep(d, key->comm);
        ret->exe = keep(d, key->exe);
}

static bool has_room(const cosmos_detector *d, const struct cosmos_event *key)
{
        return d->n_queued < d->queue_size && key_size(key) <= TEXT - d->text_used;
}

static int queue_call(cosmos_detector *d, const struct cosmos_step *step, struct cosmos_diag *reterr)
{
        struct stream *s = *step->userdata;
        struct queued *q;
        int r = 0;

        if (!s) {
                r = stream_new(d, &s, reterr);
                if (r < 0)
                        return r;
                *step->userdata = s;
        }
        s->queued++;
        q = &d->queue[d->n_queued++];
        *q = (struct queued){
            .stream = s,
            .determinate = true,
            .scored = s->queued >= d->info.window && (s->queued - d->info.window) % d->info.hop == 0,
            .call.seq = step->event->known & COSMOS_KNOWN_SEQ ? step->event->seq : 0,
            .timestamp = step->event->timestamp,
            .timestamp_digits = step->event->timestamp_digits,
            .unknown = step->token.field[COSMOS_TOKEN_NAME] == COSMOS_VOCAB_UNKNOWN,
        };
        if (q->scored)
                keep_key(d, &q->key, step->key);
        if (d->why)
                cosmos__note_take(&d->notes[d->n_tokens], step->event);
        d->sessions[d->n_tokens] = s->session;
        d->tokens[d->n_tokens++] = step->token;
        return 0;
}

static void queue_end(cosmos_detector *d, const struct cosmos_step *step)
{
        struct stream *s = *step->userdata;
        struct queued *q;

        if (!s) /* there was no memory for it */
                return;
        q = &d->queue[d->n_queued++];
        *q = (struct queued){
            .stream = s,
            .end = cosmos_end_name(step->end),
            .determinate = step->end != COSMOS_END_LOSS,
        };
        keep_key(d, &q->key, step->key);
        *step->userdata = NULL;
}

/* ---- the detector ------------------------------------------------------------------- */

static int check_source(const cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        char given[64], learnt[64];

        if (!event->source || !d->info.source[0] || strcmp(event->source, d->info.source) == 0)
                return 0;
        return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                            "the events come from \"%s\", but the model was trained on those of \"%s\", which are cut "
                            "into sequences in another way: train a model on such a trace",
                            cosmos__quote_str(given, sizeof(given), event->source),
                            cosmos__quote_str(learnt, sizeof(learnt), d->info.source));
}

/* A model of all calls that is fed with some would find the others' absence odd, and the other way round. */
static int check_calls(const cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        const char *learnt = cosmos_model_metadata(d->model, "cosmos.calls"),
                   *given = event->calls ? event->calls : "all";
        char quoted[2][128];

        if (!learnt || strcmp(learnt, given) == 0)
                return 0;
        return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                            "the trace holds these calls: %s, but the model was trained on: %s; collect the same ones "
                            "(cosmos-collect --calls)",
                            cosmos__quote_str(quoted[0], sizeof(quoted[0]), given),
                            cosmos__quote_str(quoted[1], sizeof(quoted[1]), learnt));
}

/* Does the trace fit the model? */
static int check_head(const cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r = check_source(d, event, reterr);

        return r < 0 || !event->source ? r : check_calls(d, event, reterr);
}

static int queue_step(cosmos_detector *d, const struct cosmos_step *step, struct cosmos_diag *reterr)
{
        int r = 0, q = 0;

        if (!has_room(d, step->key))
                r = flush(d, reterr);
        if (step->type == COSMOS_STEP_END)
                queue_end(d, step);
        else
                q = queue_call(d, step, r < 0 ? NULL : reterr);
        r = r < 0 ? r : q;
        if (key_size(step->key) > TEXT) {
                q = flush(d, r < 0 ? NULL : reterr);
                r = r < 0 ? r : q;
        }
        return r;
}

static int queue_event(cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        struct cosmos_step step;
        int r = 0, q;

        if (event && event->type == COSMOS_EVENT_TRACE)
                r = check_head(d, event, reterr);
        if (event && event->type == COSMOS_EVENT_LOSS)
                d->stats.losses++;
        if (r == 0)
                r = cosmos_sequencer_feed(d->sequencer, event, reterr);
        if (r < 0)
                return r;
        while ((q = cosmos_sequencer_next(d->sequencer, &step)) > 0) {
                q = queue_step(d, &step, r < 0 ? NULL : reterr); /* the first error is told */
                r = r < 0 ? r : q;
        }
        r = r < 0 ? r : q;
        return r == -ENOMEM ? cosmos__fail(reterr, r, "out of memory for a sequence") : r;
}

COSMOS_API int cosmos_detector_feed(cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r = queue_event(d, event, reterr), q = flush(d, r < 0 ? NULL : reterr);

        return r < 0 ? r : q;
}

/* Returns as resolver_pull() does; 1: there is more. */
static int queue_all(cosmos_detector *d, cosmos_collector *collector, cosmos_resolver *resolver,
                     struct cosmos_diag *reterr)
{
        const struct cosmos_event *event;
        int r, q;

        for (size_t n = 0; n < RUN; n++) {
                r = cosmos_resolver_pull(resolver, collector, &event, reterr);
                if (r == 0 || r < 0)
                        return r;
                q = queue_event(d, r == 2 ? NULL : event, reterr);
                if (q < 0 || r == 2)
                        return q < 0 ? q : r;
        }
        return 1;
}

COSMOS_API int cosmos_detector_run(cosmos_detector *d, cosmos_collector *collector, cosmos_resolver *resolver,
                                   struct cosmos_diag *reterr)
{
        int r = queue_all(d, collector, resolver, reterr), q;

        q = flush(d, r < 0 ? NULL : reterr); /* also what stands before an error */
        if (r < 0 || q < 0)
                return r < 0 ? r : q;
        q = cosmos_sink_flush(d->sink, reterr);
        return q < 0 ? q : r;
}

COSMOS_API void cosmos_detector_get_stats(const cosmos_detector *d, struct cosmos_detector_stats *ret)
{
        struct cosmos_detector_stats stats = d->stats;

        stats.open = cosmos_sequencer_count(d->sequencer);
        cosmos__fill(ret, &stats, sizeof(stats));
}

static int set_threshold(cosmos_detector *d, const cosmos_threshold *threshold, struct cosmos_diag *reterr)
{
        char quoted[256];
        int r;

        d->threshold = threshold;
        if (threshold)
                return 0;
        if (!d->info.has_threshold)
                return cosmos__fail(reterr, -EINVAL,
                                    "%s: the model has no threshold (cosmos.threshold): give one, or fit one to benign "
                                    "scores",
                                    cosmos__quote_str(quoted, sizeof(quoted), cosmos_model_name(d->model)));
        r = cosmos_threshold_new_fixed(&d->own_threshold, d->info.threshold, reterr);
        d->threshold = d->own_threshold;
        return r;
}

static int make_queue(cosmos_detector *d)
{
        const size_t n = d->why ? QUEUE_WHY : QUEUE, vocab = cosmos_vocab_size(cosmos_model_vocab(d->model));

        d->queue_size = n;
        d->queue = calloc(n, sizeof(*d->queue));
        d->sessions = calloc(n, sizeof(*d->sessions));
        d->tokens = calloc(n, sizeof(*d->tokens));
        d->nll = calloc(n, sizeof(*d->nll));
        d->text = malloc(TEXT);
        if (d->why) {
                d->logp = calloc(n * vocab, sizeof(*d->logp));
                d->notes = calloc(n, sizeof(*d->notes));
        }
        return d->queue && d->sessions && d->tokens && d->nll && d->text && (!d->why || (d->logp && d->notes))
                   ? 0
                   : -ENOMEM;
}

static void detector_freep(cosmos_detector **d)
{
        cosmos_detector_free(*d);
}

COSMOS_API int cosmos_detector_new(cosmos_detector **ret, cosmos_model *model, cosmos_sink *sink,
                                   const struct cosmos_detector_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(detector_freep) cosmos_detector *d = NULL;
        struct cosmos_sequencer_options sequences = {.size = sizeof(sequences)};
        struct cosmos_detector_options o;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_detector_options", reterr);
        if (r < 0)
                return r;
        if (o.why > COSMOS_WHY_MAX)
                return cosmos__fail(reterr, -EINVAL, "cosmos_detector_options: why is %u, at most %d", o.why,
                                    COSMOS_WHY_MAX);
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->model = cosmos_model_ref(model);
        d->info.size = sizeof(d->info);
        cosmos_model_get_info(model, &d->info);
        d->sink = sink;
        d->why = o.why;
        if (make_queue(d) < 0)
                return -ENOMEM;
        sequences.unit = d->info.unit;
        sequences.max_sequences = o.max_sequences;
        sequences.idle_ns = o.idle_ns;
        sequences.tokens = &d->info.tokens;
        r = set_threshold(d, o.threshold, reterr);
        if (r == 0)
                r = cosmos_sequencer_new(&d->sequencer, cosmos_model_vocab(model), &sequences, reterr);
        if (r == 0)
                r = cosmos_predictor_new(&d->predictor, model, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

COSMOS_API cosmos_detector *cosmos_detector_free(cosmos_detector *d)
{
        if (!d)
                return NULL;
        while (d->streams)
                stream_free(d->streams);
        cosmos_sequencer_free(d->sequencer);
        cosmos_predictor_free(d->predictor);
        cosmos_threshold_free(d->own_threshold);
        cosmos_model_unref(d->model);
        free(d->queue);
        free(d->sessions);
        free(d->tokens);
        free(d->nll);
        free(d->logp);
        free(d->notes);
        free(d->text);
        free(d);
        return NULL;
}
