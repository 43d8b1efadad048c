/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows once the weights are found: the second and third part are gone through with the model as it will
 * be used. The windows of the third give the threshold, the least expected calls of both go into the report; then the
 * n-grams are counted.
 */
#include "trainer/trainer.h"

#include "base/base.h"
#include "base/rank.h"

#include <cosmos/threshold.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define WARM_UP UINT64_C(10000) /* calls before a piece that the state of a long sequence is built up from */
#define CONTEXT UINT64_C(1000)  /* likewise before a moment */
#define MIN_SCORES 10
#define CONFIDENCE 0.95
#define PIECES 64                   /* in one go, at most */
#define STEPS 64                    /* of a scan, likewise */
#define NGRAM_CALLS UINT64_C(50000) /* in one go */

/* ---- moments: the least expected calls ------------------------------------------------------ */

static const struct cosmos__piece *piece_of(const cosmos_trainer *t)
{
        return &t->split.parts[t->part].all[t->piece];
}

static const uint32_t *name_at(const cosmos_trainer *t, uint64_t call)
{
        return &t->calls.tokens[call * t->calls.stride];
}

static uint32_t before(const cosmos_trainer *t, uint64_t call, uint64_t first)
{
        return call > first ? *name_at(t, call - 1) : COSMOS_VOCAB_START;
}

static bool same_moment(const cosmos_trainer *t, const struct cosmos__moment *a, const struct cosmos__moment *b)
{
        return *name_at(t, a->call) == *name_at(t, b->call) &&
               before(t, a->call, a->first) == before(t, b->call, b->first);
}

/* One of a kind: ten times the same call behind the same call would tell nothing. */
static void take_moment(cosmos_trainer *t, const struct cosmos__moment *m)
{
        size_t i = t->n_moments;

        for (size_t k = 0; k < t->n_moments; k++)
                if (same_moment(t, &t->moments[k], m)) {
                        if (t->moments[k].nll >= m->nll)
                                return;
                        memmove(&t->moments[k], &t->moments[k + 1], (--t->n_moments - k) * sizeof(*m));
                        i = t->n_moments;
                        break;
                }
        while (i > 0 && t->moments[i - 1].nll < m->nll)
                i--;
        if (i == COSMOS_TRAINER_MOMENTS)
                return;
        t->n_moments = MIN(t->n_moments + 1, (size_t)COSMOS_TRAINER_MOMENTS);
        memmove(&t->moments[i + 1], &t->moments[i], (t->n_moments - 1 - i) * sizeof(*m));
        t->moments[i] = *m;
}

static void on_call(void *userdata, uint64_t call, double nll)
{
        cosmos_trainer *t = userdata;
        const struct cosmos__piece *p = piece_of(t);

        if (call < p->begin)
                return;
        t->later_nll += nll;
        if ((t->n_moments < COSMOS_TRAINER_MOMENTS || nll > t->moments[t->n_moments - 1].nll))
                take_moment(t, &(struct cosmos__moment){call, p->opened, nll});
}

/* ---- scores ----------------------------------------------------------------------------------- */

static int on_window(void *userdata, uint64_t first, uint64_t end, double score, struct cosmos_diag *reterr)
{
        cosmos_trainer *t = userdata;
        int r;

        if (t->part != COSMOS__CALIBRATE || first < piece_of(t)->begin)
                return 0;
        r = cosmos__spool_append(&t->scores, &score, sizeof(score), reterr);
        if (r < 0)
                return r;
        return cosmos__spool_append(&t->times, &cosmos_corpus_timestamps(t->corpus)[end - 1], sizeof(int64_t), reterr);
}

int cosmos__calibrate_reserve(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos__pieces *part = &t->split.parts[COSMOS__CALIBRATE];
        /* At most one at each hop within a piece, one at its first call, one of what is left over at its end. */
        const uint64_t windows = part->calls / t->options.hop + 2 * part->n;
        const int r = cosmos__spool_reserve(&t->scores, windows * sizeof(double), reterr);

        return r < 0 ? r : cosmos__spool_reserve(&t->times, windows * sizeof(int64_t), reterr);
}

static void begin_piece(cosmos_trainer *t)
{
        const struct cosmos__piece *p = piece_of(t);
        const uint64_t past = p->begin - p->opened;
        /* A whole number of hops back, so that windows fall where they do live. */
        const uint64_t skip = past > WARM_UP ? (past - WARM_UP) / t->options.hop * t->options.hop : 0;

        cosmos__scan_begin(&t->scan, p->opened + skip, p->end);
}

/* To the next piece that there is; false: no more. */
static bool next_piece(cosmos_trainer *t)
{
        t->piece++;
        if (t->part == COSMOS__STOP && t->piece >= t->split.parts[COSMOS__STOP].n) {
                t->part = COSMOS__CALIBRATE;
                t->piece = 0;
        }
        return t->piece < t->split.parts[t->part].n;
}

int cosmos__calibrate_begin(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        cosmos_model *model = NULL;
        int r = cosmos__finish(t, false, reterr);

        if (r == 0)
                r = cosmos_model_load(&model, t->file, t->file_size, "the model in training", NULL, reterr);
        if (r < 0)
                return r;
        r = cosmos__scan_open(&t->scan, model, &t->calls, reterr);
        cosmos_model_unref(model);
        if (r < 0)
                return r;
        t->scan.userdata = t;
        t->scan.on_call = on_call;
        t->scan.on_window = on_window;
        t->phase = COSMOS_TRAINER_CALIBRATING;
        t->part = COSMOS__STOP;
        t->piece = 0;
        begin_piece(t);
        return 0;
}

/* ---- the threshold ------------------------------------------------------------------------------ */

/* The scores of the earlier half of the time to the front. */
static void split_by_time(const int64_t *times, double *scores, size_t n)
{
        const int64_t middle = cosmos__int64_of_key(cosmos__key_of_rank(times, n, n / 2, cosmos__weighed_int64));
        size_t early = 0, room = n / 2; /* room: for what is of the middle itself, as it came */

        for (size_t i = 0; i < n; i++)
                room -= times[i] < middle;
        for (size_t i = 0; i < n; i++) {
                const bool tie = times[i] == middle && room > 0;
                const double score = scores[i];

                if (times[i] >= middle && !tie)
                        continue;
                room -= tie;
                scores[i] = scores[early];
                scores[early++] = score;
        }
}

static double share_above(const double *scores, size_t n, double theta)
{
        size_t above = 0;

        for (size_t i = 0; i < n; i++)
                above += scores[i] > theta;
        return (double)above / (double)n;
}

static int fit(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        struct cosmos_trainer_report *report = &t->report;
        double *scores = (void *)t->scores.data;
        const size_t n = t->scores.size / sizeof(*scores);
        struct cosmos_threshold_fit all = {.size = sizeof(all)}, middle = all, earlier = all;
        int r;

        if (n < MIN_SCORES)
                return cosmos__fail(
                    reterr, -ENODATA,
                    "only %zu windows lie in the last part of the traces and the threshold needs %d: collect "
                    "for longer, or take a smaller window and hop",
                    n, MIN_SCORES);
        split_by_time((const void *)t->times.data, scores, n);
        report->windows = n;
        report->highest = scores[0];
        for (size_t i = 1; i < n; i++)
                report->highest = MAX(report->highest, scores[i]);
        r = cosmos_threshold_fit_quantile(&all, scores, n, t->options.quantile, CONFIDENCE, reterr);
        if (r == 0)
                r = cosmos_threshold_fit_quantile(&middle, scores, n, 0.5, CONFIDENCE, reterr);
        if (r == 0)
                r = cosmos_threshold_fit_quantile(&earlier, scores, n / 2, t->options.quantile, CONFIDENCE, reterr);
        report->median = middle.theta;
        report->quantile_score = all.theta;
        report->quantile_lower = all.lower;
        report->quantile_upper = all.upper;
        report->theta = all.theta + t->options.margin * log(t->shape.vocab / COSMOS__SMOOTHING);
        report->above = share_above(scores, n, report->theta);
        report->above_later = share_above(scores + n / 2, n - n / 2, earlier.theta);
        t->spread = all.spread;
        return r;
}

/* ---- the report ------------------------------------------------------------------------------------ */

static const char *comm_of(const cosmos_trainer *t, uint64_t first)
{
        const uint64_t *offsets = cosmos_corpus_offsets(t->corpus);
        size_t low = 0, high = cosmos_corpus_sequences(t->corpus);

        while (high - low > 1) {
                const size_t middle = low + (high - low) / 2;

                if (offsets[middle] <= first)
                        low = middle;
                else
                        high = middle;
        }
        return cosmos_corpus_comm(t->corpus, low);
}

static int explain(cosmos_trainer *t)
{
        const cosmos_vocab *vocab = cosmos_corpus_vocab(t->corpus);

        for (size_t i = 0; i < t->n_moments; i++) {
                const struct cosmos__moment *m = &t->moments[i];
                const uint64_t first = m->call - m->first > CONTEXT ? m->call - CONTEXT : m->first;
                struct cosmos_trainer_moment *to = &t->report.moments[i];
                uint32_t name;
                int r = cosmos__scan_expected(&t->scan, first, m->call, &name, &to->expected_p);

                if (r < 0)
                        return r;
                to->nll = m->nll;
                to->timestamp = cosmos_corpus_timestamps(t->corpus)[m->call];
                to->comm = comm_of(t, m->first);
                to->syscall = cosmos_vocab_name(vocab, *name_at(t, m->call));
                to->before = cosmos_vocab_name(vocab, before(t, m->call, m->first));
                to->expected = cosmos_vocab_name(vocab, name);
        }
        t->report.n_moments = t->n_moments;
        return 0;
}

/* ---- n-grams --------------------------------------------------------------------------------- */

static void begin_part(cosmos_trainer *t, enum cosmos__part part)
{
        t->part = part;
        t->piece = 0;
        t->at = 0;
}

static int compare_begin(cosmos_trainer *t)
{
        begin_part(t, COSMOS__LEARN);
        t->phase = COSMOS_TRAINER_COMPARING;
        return cosmos__ngram_new(&t->ngram, COSMOS__NGRAM_ORDER_MAX, t->shape.vocab, COSMOS__NGRAM_MOST);
}

/* Some calls of a piece, to learn from or to be judged. */
static int compare_calls(cosmos_trainer *t)
{
        const struct cosmos__piece *p = piece_of(t);
        const uint64_t first = p->begin + t->at, n = MIN(p->end - first, NGRAM_CALLS);

        t->at += n;
        if (t->part == COSMOS__LEARN)
                return cosmos__ngram_add(t->ngram, name_at(t, first), t->calls.stride, first - p->opened, n);
        t->fivegram_nll += cosmos__ngram_nll(t->ngram, name_at(t, first), t->calls.stride, first - p->opened, n);
        t->unigram_nll += cosmos__unigram_nll(t->ngram, name_at(t, first), t->calls.stride, n);
        return 0;
}

static int report_all(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        struct cosmos_trainer_report *report = &t->report;
        const struct cosmos__pieces *parts = t->split.parts;
        double later;

        report->parameters = cosmos__network_layout(t->network)->n;
        report->learnt = parts[COSMOS__LEARN].calls;
        report->stopping = parts[COSMOS__STOP].calls;
        report->calibration = parts[COSMOS__CALIBRATE].calls;
        report->trimmed_calls = cosmos_corpus_calls(t->corpus) - report->refused_calls - report->learnt -
                                report->stopping - report->calibration;
        report->epochs = t->epoch;
        later = (double)(report->stopping + report->calibration);
        report->perplexity = exp(t->later_nll / later);
        report->unigram_perplexity = exp(t->unigram_nll / later);
        report->fivegram_perplexity = exp(t->fivegram_nll / later);
        report->before = exp(t->before);
        report->after = exp(t->prior_mean);
        report->kept_before = exp(t->kept_before);
        report->kept_after = exp(t->kept_after);
        t->ngram = cosmos__ngram_free(t->ngram);
        t->phase = COSMOS_TRAINER_DONE;
        return cosmos__finish(t, true, reterr);
}

int cosmos__trainer_compare(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int r;

        for (size_t pieces = 0; pieces < PIECES; pieces++) {
                if (t->piece == t->split.parts[t->part].n) {
                        if (t->part == COSMOS__CALIBRATE)
                                return report_all(t, reterr);
                        r = t->part == COSMOS__LEARN ? cosmos__ngram_fit(t->ngram) : 0;
                        begin_part(t, t->part + 1);
                        return r < 0 ? r : 1;
                }
                r = compare_calls(t);
                if (r < 0)
                        return r;
                if (t->at < piece_of(t)->end - piece_of(t)->begin)
                        return 1;
                t->piece++;
                t->at = 0;
        }
        return 1;
}

/* ---- the phase --------------------------------------------------------------------------------- */

int cosmos__trainer_calibrate(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int r = 1;

        for (size_t pieces = 0, steps = 0; pieces < PIECES && steps < STEPS; steps++) {
                r = cosmos__scan_run(&t->scan, reterr);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                if (!next_piece(t))
                        goto over;
                begin_piece(t);
                pieces++;
        }
        return 1;
over:
        r = fit(t, reterr);
        if (r == 0)
                r = explain(t);
        cosmos__scan_close(&t->scan);
        return r < 0 ? r : compare_begin(t);
}
