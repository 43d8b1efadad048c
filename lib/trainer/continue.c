/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on from a model. It must fit the corpus; then the corpus is sifted: each sequence is scored by the model as its
 * detector would, and what is anomalous is left out with all that is near to it, so that whoever is inside already, or
 * wants to be, can't teach the model to expect him. Who stays below the threshold is still less expected than most of
 * normal life: of stretches of sequences, the least expected are not learnt either (trimmed likelihood; Neykov and
 * Müller 2003). The threshold is fitted to them all the same, or it would drift down.
 */
#include "trainer/trainer.h"

#include "base/base.h"
#include "base/hash.h"
#include "base/rank.h"
#include "predictor/metadata.h"
#include "trainer/weights.h"

#include <errno.h>
#include <string.h>

#define REACH UINT64_C(1000)   /* calls before and behind an anomalous window that are left out too */
#define STRETCH UINT64_C(1000) /* calls, about, that are trimmed or not together */
#define TRIMMED 0.1            /* share of all calls, at most (docs/continual.md) */
#define STEPS 64               /* of a scan, in one go */
#define PIECES 64

/* ---- the file ----------------------------------------------------------------------------- */

static int mismatch(struct cosmos_diag *reterr, const char *what, const char *model, const char *traces)
{
        char quoted[2][96];

        return cosmos__fail(reterr, -COSMOS_EMISMATCH, "the model is of %s %s, but the traces are of %s", what,
                            cosmos__quote_str(quoted[0], sizeof(quoted[0]), model),
                            cosmos__quote_str(quoted[1], sizeof(quoted[1]), traces));
}

static const char *text_of(const cosmos_trainer *t, const char *key, const char *absent)
{
        const char *text = cosmos_model_metadata(t->init, key);

        return text ? text : absent;
}

static bool reserved(const char *name)
{
        return strncmp(name, COSMOS_VOCAB_RESERVED, strlen(COSMOS_VOCAB_RESERVED)) == 0;
}

/* Every name has its place still, and the new ones are in reserved places. */
static int check_vocab(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const cosmos_vocab *old = cosmos_model_vocab(t->init), *new = cosmos_corpus_vocab(t->corpus);
        const size_t n = cosmos_vocab_size(new);

        if (cosmos_vocab_size(old) != n)
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "the traces were read with another vocabulary than the model's");
        t->known = calloc(n, sizeof(*t->known));
        if (!t->known)
                return -ENOMEM;
        for (uint32_t id = 0; id < n; id++) {
                const bool same = strcmp(cosmos_vocab_name(old, id), cosmos_vocab_name(new, id)) == 0;

                if (!same && !reserved(cosmos_vocab_name(old, id)))
                        return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                            "the traces were read with another vocabulary than the model's");
                t->known[id] = same ? id : COSMOS_VOCAB_UNKNOWN;
                t->report.new_calls += !same;
        }
        return 0;
}

static int check_fit(cosmos_trainer *t, const struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        const char *source = cosmos_corpus_source(t->corpus), *calls = cosmos_corpus_call_set(t->corpus);

        if (info->precision != COSMOS_PRECISION_F32)
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "the model's weights are int8, which is too coarse to learn on: take the f32 file "
                                    "that it was made of");
        if (info->unit != cosmos_corpus_unit(t->corpus))
                return mismatch(reterr, "the unit", cosmos_unit_name(info->unit),
                                cosmos_unit_name(cosmos_corpus_unit(t->corpus)));
        if (info->source[0] && source[0] && strcmp(info->source, source) != 0)
                return mismatch(reterr, "the source", info->source, source);
        if (strcmp(text_of(t, "cosmos.calls", calls), calls) != 0)
                return mismatch(reterr, "the calls", text_of(t, "cosmos.calls", ""), calls);
        return check_vocab(t, reterr);
}

static void take_shape(cosmos_trainer *t, const struct cosmos_model_info *info)
{
        struct cosmos_trainer_options *o = &t->options;

        o->embedding = info->embedding;
        o->n_layers = info->n_layers;
        memcpy(o->units, info->units, sizeof(o->units));
        o->tokens = info->tokens;
}

int cosmos__continue_open(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos_model_options f32 = {.size = sizeof(f32)};
        struct cosmos_model_info info = {.size = sizeof(info)};
        int r;

        r = cosmos_model_load(&t->init, t->options.init, t->options.init_size, "the model to go on from", &f32, reterr);
        if (r < 0)
                return r;
        t->digest_init = cosmos__hash_bytes(t->options.init, t->options.init_size);
        cosmos_model_get_info(t->init, &info);
        take_shape(t, &info);
        return check_fit(t, &info, reterr);
}

void cosmos__continue_close(cosmos_trainer *t)
{
        cosmos__scan_close(&t->sift);
        cosmos__kept_free(&t->kept);
        cosmos__spool_free(&t->refused);
        cosmos__spool_free(&t->unlearnt);
        cosmos__spool_free(&t->stretch_room);
        cosmos_model_unref(t->init);
        free(t->known);
}

/* A call that was never seen begins as what stood for it until now. */
static void place_new_calls(const cosmos_trainer *t, float *parameters)
{
        const struct cosmos__parameter *names = &cosmos__network_layout(t->network)->fields[0];

        for (uint32_t id = 0; id < t->shape.vocab; id++)
                if (t->known[id] != id)
                        memcpy(parameters + names->at + (size_t)id * names->columns,
                               parameters + names->at + (size_t)COSMOS_VOCAB_UNKNOWN * names->columns,
                               names->columns * sizeof(*parameters));
}

static int read_tensors(cosmos_trainer *t, const struct cosmos__safetensors *file, struct cosmos_diag *reterr)
{
        struct cosmos__weights_tensors tensors;
        struct cosmos__kept_found kept;
        int r;

        cosmos__weights_tensors(&tensors, &t->shape, t->calls.fields, cosmos__network_layout(t->network));
        cosmos__kept_expect(&kept, file, tensors.all, &tensors.n, t->shape.n_fields, t->shape.frequency);
        r = cosmos__safetensors_find(file, tensors.all, tensors.n, reterr);
        if (r < 0)
                return r;
        if (kept.tokens)
                r = cosmos__kept_read(&t->kept, &t->shape, kept.tokens, kept.frequency,
                                      strtoull(text_of(t, "cosmos.kept", "0"), NULL, 10), t->options.length, reterr);
        tensors.n -= (size_t)(kept.tokens != NULL) + (kept.frequency != NULL);
        cosmos__weights_get(&tensors, cosmos__network_parameters(t->network));
        return r;
}

static int sift_begin(cosmos_trainer *t, struct cosmos_diag *reterr);

int cosmos__continue_parameters(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        struct cosmos__safetensors file = {0};
        int r = cosmos__safetensors_open(&file, t->options.init, t->options.init_size, reterr);

        if (r < 0)
                return r;
        r = read_tensors(t, &file, reterr);
        cosmos__safetensors_close(&file);
        if (r < 0)
                return r;
        place_new_calls(t, cosmos__network_parameters(t->network));
        return sift_begin(t, reterr);
}

/* ---- sifting --------------------------------------------------------------------------------- */

/* The stretches of a sequence are equally long. */
static uint64_t stretches_of(uint64_t calls)
{
        return MAX(calls / STRETCH, UINT64_C(1));
}

static void begin_stretch(cosmos_trainer *t, uint64_t begin)
{
        const uint64_t first = t->sift.first, calls = t->sift.end - first, n = stretches_of(calls);

        if (begin == first)
                t->sift_stretch = 0;
        t->stretches[t->n_stretches] = (struct cosmos__stretch){
            .range = {begin, first + calls * ++t->sift_stretch / n},
            .score = t->sift.info.prior_count * t->sift.info.prior_mean,
        };
}

static void begin_sequence(cosmos_trainer *t)
{
        const uint64_t *offsets = cosmos_corpus_offsets(t->corpus);

        cosmos__scan_begin(&t->sift, offsets[t->sift_sequence], offsets[t->sift_sequence + 1]);
        begin_stretch(t, t->sift.first);
}

static uint64_t calls_in(const struct cosmos__range *range)
{
        return range->end - range->begin;
}

static void on_call(void *userdata, uint64_t call, double nll)
{
        cosmos_trainer *t = userdata;
        struct cosmos__stretch *s = &t->stretches[t->n_stretches];

        s->score += nll;
        if (call + 1 < s->range.end)
                return;
        s->score /= (double)calls_in(&s->range) + t->sift.info.prior_count;
        t->n_stretches++;
        if (call + 1 < t->sift.end)
                begin_stretch(t, call + 1);
}

/* Make a range that begins no earlier than the last one, if it meets that, one with it. */
static bool join_range(struct cosmos__range *last, const struct cosmos__range *range)
{
        if (last->end < range->begin)
                return false;
        last->end = MAX(last->end, range->end);
        return true;
}

static int add_range(struct cosmos__spool *ranges, const struct cosmos__range *range, struct cosmos_diag *reterr)
{
        struct cosmos__range *all = (void *)ranges->data;
        const size_t n = ranges->size / sizeof(*all);

        return n > 0 && join_range(&all[n - 1], range) ? 0
                                                       : cosmos__spool_append(ranges, range, sizeof(*range), reterr);
}

static int on_sifted(void *userdata, uint64_t first, uint64_t end, double score, struct cosmos_diag *reterr)
{
        cosmos_trainer *t = userdata;
        const uint64_t *offsets = cosmos_corpus_offsets(t->corpus);
        const uint64_t begin = offsets[t->sift_sequence], last = offsets[t->sift_sequence + 1];
        const int64_t time = cosmos_corpus_timestamps(t->corpus)[end - 1];
        const double span = (double)(t->time_max - t->time_min) + 1;

        t->report.sifted++;
        if (!t->sift.info.has_threshold || !(score > t->sift.info.threshold))
                return 0;
        t->report.refused++;
        t->refused_tenths |= 1u << (unsigned)((double)(time - t->time_min) / span * 10);
        if (t->refused_sequence != t->sift_sequence + 1)
                t->report.refused_sequences++;
        t->refused_sequence = t->sift_sequence + 1;
        if (t->options.learn_anomalous)
                return 0;
        return add_range(&t->refused,
                         &(struct cosmos__range){first - begin > REACH ? first - REACH : begin,
                                                 last - end > REACH ? end + REACH : last},
                         reterr);
}

static int sift_begin(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const int64_t *times = cosmos_corpus_timestamps(t->corpus);
        const uint64_t *offsets = cosmos_corpus_offsets(t->corpus);
        const size_t sequences = cosmos_corpus_sequences(t->corpus);
        uint64_t stretches = 0;
        int r;

        t->phase = COSMOS_TRAINER_SIFTING;
        t->sifted = t->calls;
        t->sifted.known = t->known;
        r = cosmos__scan_open(&t->sift, t->init, &t->sifted, reterr);
        if (r < 0)
                return r;
        if (!t->sift.info.has_threshold)
                cosmos__log(&t->options.log, COSMOS_LOG_WARNING,
                            "the model has no threshold: nothing of the traces is left out as anomalous");
        for (size_t i = 0; i < sequences; i++)
                stretches += stretches_of(offsets[i + 1] - offsets[i]);
        r = cosmos__spool_reserve(&t->stretch_room, stretches * sizeof(*t->stretches), reterr);
        if (r < 0)
                return r;
        t->stretches = (void *)t->stretch_room.data;
        t->time_min = t->time_max = times[0];
        for (size_t i = 1; i < cosmos_corpus_calls(t->corpus); i++) {
                t->time_min = MIN(t->time_min, times[i]);
                t->time_max = MAX(t->time_max, times[i]);
        }
        t->sift.userdata = t;
        t->sift.on_call = on_call;
        t->sift.on_window = on_sifted;
        begin_sequence(t);
        return 0;
}

/* ---- trimming -------------------------------------------------------------------------------- */

/* The least expected first. */
static struct cosmos__weighed weighed_stretch(const void *stretches, size_t i)
{
        const struct cosmos__stretch *s = (const struct cosmos__stretch *)stretches + i;

        return (struct cosmos__weighed){~cosmos__key_of_double(s->score), calls_in(&s->range)};
}

/* What is refused and begins before `end`, from the range `*i` on. */
static int leave_out_refused(cosmos_trainer *t, size_t *i, uint64_t end, struct cosmos_diag *reterr)
{
        const struct cosmos__range *all = (const void *)t->refused.data;
        int r = 0;

        for (; r == 0 && *i < t->refused.size / sizeof(*all) && all[*i].begin < end; ++*i)
                r = add_range(&t->unlearnt, &all[*i], reterr);
        return r;
}

/* What is not learnt: what was refused, and of the stretches, up to TRIMMED of all calls, the least expected; of equal
 * ones, the earlier. */
static int trim(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const uint64_t most = (uint64_t)(TRIMMED * (double)cosmos_corpus_calls(t->corpus));
        const uint64_t last = cosmos__key_of_rank(t->stretches, t->n_stretches, most, weighed_stretch);
        uint64_t room = most; /* for what is as expected as the last of them */
        size_t refused = 0;
        int r = 0;

        for (size_t i = 0; i < t->n_stretches; i++) {
                const struct cosmos__weighed w = weighed_stretch(t->stretches, i);

                room -= w.key < last ? w.weight : 0;
        }
        for (size_t i = 0; i < t->n_stretches && r == 0; i++) {
                const struct cosmos__weighed w = weighed_stretch(t->stretches, i);
                const struct cosmos__range *range = &t->stretches[i].range;

                r = leave_out_refused(t, &refused, range->begin, reterr);
                if (w.key > last || (w.key == last && w.weight > room) || r < 0)
                        continue;
                room -= w.key == last ? w.weight : 0;
                r = add_range(&t->unlearnt, range, reterr);
        }
        return r < 0 ? r : leave_out_refused(t, &refused, UINT64_MAX, reterr);
}

static int sift_end(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos__range *refused = (const void *)t->refused.data;
        int r = 0;

        for (size_t i = 0; i < t->refused.size / sizeof(*refused); i++)
                t->report.refused_calls += calls_in(&refused[i]);
        for (uint32_t tenth = 0; tenth < 10; tenth++)
                t->report.refused_spread += (t->refused_tenths >> tenth & 1) / 10.0;
        if (!t->options.learn_anomalous)
                r = trim(t, reterr);
        cosmos__spool_free(&t->stretch_room);
        return r < 0 ? r : cosmos__learn_begin(t, reterr);
}

int cosmos__trainer_sift(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int r;

        for (size_t pieces = 0, steps = 0; pieces < PIECES && steps < STEPS; steps++) {
                r = cosmos__scan_run(&t->sift, reterr);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                if (++t->sift_sequence == cosmos_corpus_sequences(t->corpus))
                        return sift_end(t, reterr);
                begin_sequence(t);
                pieces++;
        }
        return 1;
}
