/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs, until they gain nothing. A call of learn() is one batch, so that the caller is never kept waiting. */
#include "trainer/trainer.h"

#include "base/base.h"
#include "trainer/initial.h"
#include "trainer/random.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define VALIDATION UINT64_C(1000) /* chunks at most */
#define PATIENCE 2                /* epochs without a gain, each of which halves the learning rate */
#define GAIN 1e-3                 /* nats a call; less is none */
#define UNKNOWN 5e-3              /* share of input names that are made <unknown> */
#define CLIP 1.0                  /* norm of the gradient */
#define REHEARSED (1 / 3.0)       /* share of chunks that are of what was learnt before */

static const struct cosmos__pieces *part(const cosmos_trainer *t, enum cosmos__part p)
{
        return &t->split.parts[p];
}

static void begin_epoch(cosmos_trainer *t)
{
        t->phase = COSMOS_TRAINER_LEARNING;
        t->epoch++;
        t->drawn = 0;
        t->epoch_nll = 0;
        t->epoch_calls = 0;
}

static void count_calls(cosmos_trainer *t)
{
        const struct cosmos__pieces *learn = part(t, COSMOS__LEARN);

        for (size_t i = 0; i < learn->n; i++)
                for (uint64_t k = learn->all[i].begin; k < learn->all[i].end; k++)
                        t->counts[t->calls.tokens[k * t->calls.stride]]++;
}

static int check_parts(const cosmos_trainer *t, struct cosmos_diag *reterr)
{
        for (enum cosmos__part p = 0; p < COSMOS__PARTS; p++)
                if (part(t, p)->calls == 0)
                        return cosmos__fail(
                            reterr, -ENODATA,
                            t->init ? "what is left of the calls, after those that the model finds anomalous, "
                                      "can't be cut into three parts by time: collect for longer"
                                    : "the calls stand too close in time to be cut into three parts: "
                                      "collect for longer");
        return 0;
}

static struct cosmos__without without_of(const void *ranges, size_t size)
{
        return (struct cosmos__without){ranges, size / sizeof(struct cosmos__range)};
}

int cosmos__learn_begin(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos_trainer_options *o = &t->options;
        const struct cosmos__without unlearnt = without_of(t->unlearnt.data, t->unlearnt.size);
        const struct cosmos__without without[COSMOS__PARTS] = {
            [COSMOS__LEARN] = unlearnt,
            [COSMOS__STOP] = unlearnt, /* or it would say that nothing is gained */
            [COSMOS__CALIBRATE] = without_of(t->refused.data, t->refused.size),
        };
        int r;

        r = cosmos__split_init(&t->split, t->corpus, o->length, without, reterr);
        if (r == 0)
                r = check_parts(t, reterr);
        if (r == 0)
                r = cosmos__calibrate_reserve(t, reterr);
        if (r < 0)
                return r;
        count_calls(t);
        t->random = cosmos__hash_mix(o->seed);
        if (!t->init)
                r = cosmos__initial(cosmos__network_parameters(t->network), &t->shape,
                                    cosmos__network_layout(t->network), t->counts, &t->random);
        t->rate = o->learning_rate;
        t->best = INFINITY;
        t->held_out = NAN;
        t->epoch_chunks = MIN(o->epoch_chunks,
                              MAX(UINT64_C(4) * o->batch, 4 * (cosmos__pieces_chunks(part(t, COSMOS__LEARN)) +
                                                               (t->init ? cosmos__pieces_chunks(&t->kept.learn) : 0))));
        begin_epoch(t);
        if (t->init) { /* how good it is as it stands */
                t->epoch = 0;
                t->phase = COSMOS_TRAINER_EVALUATING;
        }
        return r;
}

/* ---- learning ------------------------------------------------------------------------------ */

static struct cosmos__source_chunk draw(cosmos_trainer *t)
{
        const bool again = t->kept.learn.n > 0 && cosmos__random_share(&t->random) < REHEARSED;

        return (struct cosmos__source_chunk){
            .calls = again ? &t->kept.calls : &t->calls,
            .chunk =
                cosmos__pieces_draw(again ? &t->kept.learn : part(t, COSMOS__LEARN), t->options.length, &t->random),
        };
}

static int diverged(const cosmos_trainer *t, struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -EDOM,
                            "the training has diverged in epoch %u (loss or gradient is not a number): try a lower "
                            "learning rate",
                            t->epoch);
}

int cosmos__trainer_learn(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos__pass pass = {.smoothing = (float)COSMOS__SMOOTHING,
                                          .dropout = (float)t->options.dropout,
                                          .noise = cosmos__hash_mix(t->random)};
        const uint32_t n = (uint32_t)MIN(t->epoch_chunks - t->drawn, (uint64_t)t->options.batch);
        struct cosmos__loss loss;
        double norm;

        for (uint32_t i = 0; i < n; i++)
                t->chunks[i] = draw(t);
        cosmos__batch_fill(&t->room, t->chunks, n, UNKNOWN, cosmos__random(&t->random));
        cosmos__network_gradient(t->network, &t->room.batch, &pass, &loss);
        norm = cosmos__network_learn(t->network, t->rate, CLIP, ++t->step);
        if (!isfinite(norm) || !isfinite(loss.loss))
                return diverged(t, reterr);
        t->epoch_nll += loss.nll;
        t->epoch_calls += loss.calls;
        t->calls_learnt += loss.calls;
        t->drawn += n;
        if (t->drawn < t->epoch_chunks)
                return 1;
        t->phase = COSMOS_TRAINER_EVALUATING;
        return 0;
}

/* ---- evaluating ------------------------------------------------------------------------------ */

/* The mean NLL over pieces, one batch after another. */
static double mean_nll(cosmos_trainer *t, const struct cosmos__calls *calls, const struct cosmos__pieces *pieces)
{
        const struct cosmos__pass pass = {0};
        const uint64_t n = MIN(VALIDATION, cosmos__pieces_chunks(pieces));
        struct cosmos__loss loss;
        uint64_t sum = 0;
        double nll = 0;

        for (uint64_t i = 0; i < n;) {
                uint32_t k = 0;

                for (; k < t->options.batch && i < n; k++, i++)
                        t->chunks[k] =
                            (struct cosmos__source_chunk){calls, cosmos__pieces_at(pieces, t->options.length, i, n)};
                cosmos__batch_fill(&t->room, t->chunks, k, 0, 0);
                cosmos__network_evaluate(t->network, &t->room.batch, &pass, &loss);
                nll += loss.nll;
                sum += loss.calls;
        }
        return nll / (double)sum;
}

static int note(cosmos_trainer *t)
{
        json_t *point =
            json_pack("{s:i,s:f,s:f,s:f}", "epoch", (int)t->epoch, "loss", t->epoch_nll / (double)t->epoch_calls,
                      "held_out", t->held_out, "learning_rate", t->rate);

        return point && json_array_append_new(t->curve, point) == 0 ? 0 : -ENOMEM;
}

/* Whether there is a next epoch. */
static bool goes_on(cosmos_trainer *t, double value)
{
        const size_t bytes = cosmos__network_layout(t->network)->n * sizeof(*t->best_parameters);

        t->without = value < t->best - GAIN ? 0 : t->without + 1;
        if (value < t->best) {
                t->best = value;
                memcpy(t->best_parameters, cosmos__network_parameters(t->network), bytes);
        }
        if (t->without > 0 && t->epoch > 0)
                t->rate /= 2;
        return t->without <= PATIENCE && t->epoch < t->options.epochs;
}

/* On what is held of the kept pieces; NaN: nothing is. */
static double kept_nll(cosmos_trainer *t)
{
        return t->kept.held.n > 0 ? mean_nll(t, &t->kept.calls, &t->kept.held) : NAN;
}

int cosmos__learn_end(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        memcpy(cosmos__network_parameters(t->network), t->best_parameters,
               cosmos__network_layout(t->network)->n * sizeof(*t->best_parameters));
        t->prior_mean = mean_nll(t, &t->calls, part(t, COSMOS__STOP));
        t->kept_after = kept_nll(t);
        return isfinite(t->prior_mean) ? cosmos__calibrate_begin(t, reterr) : diverged(t, reterr);
}

int cosmos__trainer_evaluate(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const double kept = kept_nll(t);
        double value;

        t->held_out = mean_nll(t, &t->calls, part(t, COSMOS__STOP));
        value = isnan(kept) ? t->held_out : t->held_out + kept; /* not their mean: to gain on one is enough */
        if (!isfinite(value))
                return diverged(t, reterr);
        if (t->epoch == 0) {
                t->before = t->held_out;
                t->kept_before = kept;
        }
        if (t->epoch > 0 && note(t) < 0)
                return -ENOMEM;
        if (!goes_on(t, value))
                return cosmos__learn_end(t, reterr);
        begin_epoch(t);
        return 0;
}
