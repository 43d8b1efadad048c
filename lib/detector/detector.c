/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: what is kept of a sequence; its scores; its steps; the detector.
 */
#include "detector/why.h"

#include "base/base.h"

#include <cosmos/detector.h>
#include <cosmos/predictor.h>

#include <errno.h>
#include <math.h>
#include <string.h>

/* A scored call. */
struct call {
        float nll;
        uint64_t seq;
};

/* What the detector keeps of a sequence: the sequencer's userdata. */
struct stream {
        struct stream *next, **link; /* all open ones, so that they can be freed */
        cosmos_session *session;
        struct cosmos__why *why;  /* NULL: not asked for */
        uint64_t calls, scored;   /* so far; at the latest score */
        bool anomalous;           /* one of its windows was */
        struct cosmos_event last; /* timestamp only: what else it points to is gone */
        struct call ring[];       /* [window], call i at i % window */
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
        float *logp; /* [vocabulary], only with why */
        struct stream *streams;
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

/* Score calls first .. calls-1; `end` NULL while the sequence goes on. */
static int write_score(cosmos_detector *d, const struct cosmos_step *step, struct stream *s, uint64_t first,
                       const char *end, bool determinate, struct cosmos_diag *reterr)
{
        const struct cosmos_event *key = step->key;
        struct cosmos_score score = {
            .score = determinate ? score_of(d, s, first) : (double)NAN,
            .threshold = cosmos_threshold_theta(d->threshold),
            .timestamp = s->last.timestamp,
            .timestamp_digits = s->last.timestamp_digits,
            .first_seq = s->ring[first % d->info.window].seq,
            .last_seq = s->ring[(s->calls - 1) % d->info.window].seq,
            .window = (uint32_t)(s->calls - first),
            .calls = s->calls,
            .end = end,
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

/* ---- steps ------------------------------------------------------------------------- */

static int take_call(cosmos_detector *d, const struct cosmos_step *step, struct cosmos_diag *reterr)
{
        struct stream *s = *step->userdata;
        float nll;
        int r;

        if (!s) {
                r = stream_new(d, &s, reterr);
                if (r < 0)
                        return r;
                *step->userdata = s;
        }
        r = cosmos_predictor_step(d->predictor, &s->session, &step->token, 1, &nll, d->logp);
        if (r < 0)
                return cosmos__fail(reterr, r, "the model cannot take a token of this call");
        if (s->why)
                cosmos__why_add(s->why, s->calls, step->event, nll, d->logp, cosmos_model_vocab(d->model));
        s->ring[s->calls % d->info.window] =
            (struct call){nll, step->event->known & COSMOS_KNOWN_SEQ ? step->event->seq : 0};
        s->calls++;
        s->last.timestamp = step->event->timestamp;
        s->last.timestamp_digits = step->event->timestamp_digits;
        d->stats.calls++;
        d->stats.unknown_calls += step->token.field[COSMOS_TOKEN_NAME] == COSMOS_VOCAB_UNKNOWN;
        if (s->calls < d->info.window || (s->calls - d->info.window) % d->info.hop != 0)
                return 0;
        return write_score(d, step, s, window_start(d, s), NULL, true, reterr);
}

static int take_end(cosmos_detector *d, const struct cosmos_step *step, struct cosmos_diag *reterr)
{
        struct stream *s = *step->userdata;
        bool determinate = step->end != COSMOS_END_LOSS;
        int r = 0;

        /* What was lost is missing from the calls since the latest score. */
        if (s && s->calls > s->scored)
                r = write_score(d, step, s, determinate ? window_start(d, s) : MAX(s->scored, window_start(d, s)),
                                cosmos_end_name(step->end), determinate, reterr);
        stream_free(s);
        *step->userdata = NULL;
        return r;
}

/* ---- the detector ------------------------------------------------------------------- */

static int check_source(const cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        char source[64];

        if (!event->source || !d->info.source[0] || strcmp(event->source, d->info.source) == 0)
                return 0;
        return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                            "the events come from \"%s\", but the model was trained on those of \"%s\", which are cut "
                            "into sequences in another way: train a model on such a trace",
                            cosmos__quote_str(source, sizeof(source), event->source), d->info.source);
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

COSMOS_API int cosmos_detector_feed(cosmos_detector *d, const struct cosmos_event *event, struct cosmos_diag *reterr)
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
        /* All steps are taken, also after an error: the next event finds things in order. */
        while ((q = cosmos_sequencer_next(d->sequencer, &step)) > 0) {
                struct cosmos_diag *diag = r < 0 ? NULL : reterr; /* the first error is told */

                q = step.type == COSMOS_STEP_CALL ? take_call(d, &step, diag) : take_end(d, &step, diag);
                r = r < 0 ? r : q;
        }
        r = r < 0 ? r : q;
        return r == -ENOMEM ? cosmos__fail(reterr, r, "out of memory for a sequence") : r;
}

COSMOS_API int cosmos_detector_run(cosmos_detector *d, cosmos_collector *collector, cosmos_resolver *resolver,
                                   struct cosmos_diag *reterr)
{
        const struct cosmos_event *event;
        int r, q;

        while ((r = cosmos_resolver_pull(resolver, collector, &event, reterr)) == 1) {
                r = cosmos_detector_feed(d, event, reterr);
                if (r < 0)
                        return r;
        }
        if (r == 2) {
                q = cosmos_detector_feed(d, NULL, reterr);
                if (q < 0)
                        return q;
        }
        if (r < 0)
                return r;
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
        int r;

        d->threshold = threshold;
        if (threshold)
                return 0;
        if (!d->info.has_threshold)
                return cosmos__fail(reterr, -EINVAL,
                                    "%s: the model has no threshold (cosmos.threshold): give one, or fit one to benign "
                                    "scores",
                                    cosmos_model_name(d->model));
        r = cosmos_threshold_new_fixed(&d->own_threshold, d->info.threshold, reterr);
        d->threshold = d->own_threshold;
        return r;
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
        if (d->why) {
                d->logp = calloc(cosmos_vocab_size(cosmos_model_vocab(model)), sizeof(*d->logp));
                if (!d->logp)
                        return -ENOMEM;
        }
        sequences.unit = d->info.unit;
        sequences.max_sequences = o.max_sequences;
        sequences.idle_ns = o.idle_ns;
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
        free(d->logp);
        free(d);
        return NULL;
}
