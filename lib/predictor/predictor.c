/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and steps. A call to step() is checked whole before any session
 * moves. It goes in chunks, and a chunk in waves: the first token of each session in
 * it, then the second ones, and so on. The dense layer follows for the whole
 * chunk, since nothing depends on it: a long sequence alone has its weights read once
 * for many tokens too.
 */
#include "base/base.h"
#include "predictor/network.h"
#include "predictor/pack.h"

#include <cosmos/predictor.h>

#include <errno.h>
#include <string.h>

#define CHUNK ((size_t)256)     /* tokens */
#define LOGIT_ROWS ((size_t)64) /* that are in the cache between the dense layer and the softmax */

struct cosmos_predictor {
        cosmos_model *model;
        struct cosmos__scratch scratch; /* for CHUNK rows */
        float *logits;                  /* [LOGIT_ROWS, vocab_width] */
        size_t n;                       /* in the chunk; what follows is in the order of waves */
        uint32_t n_waves;
        uint32_t starts[CHUNK + 1]; /* of each wave, and the end of the last */
        uint16_t order[CHUNK];      /* its place in the chunk */
        float *states[CHUNK];
        struct cosmos_token tokens[CHUNK];
};

struct cosmos_session {
        cosmos_model *model;
        uint32_t waves; /* scratch of plan() */
        _Alignas(64) float state[];
};

COSMOS_API int cosmos_predictor_new(cosmos_predictor **ret, cosmos_model *model, struct cosmos_diag *reterr)
{
        cosmos_predictor *predictor;
        size_t memory = 0;

        if (!ret || !model)
                return cosmos__fail(reterr, -EINVAL, "predictor: `ret` and `model` must not be NULL");
        predictor = calloc(1, sizeof(*predictor));
        if (!predictor)
                return cosmos__fail(reterr, -ENOMEM, "predictor: out of memory");
        predictor->model = cosmos_model_ref(model);
        predictor->logits = cosmos__pack_alloc(LOGIT_ROWS * model->vocab_width, sizeof(*predictor->logits), &memory);
        if (cosmos__scratch_init(&predictor->scratch, model, CHUNK) < 0 || !predictor->logits) {
                cosmos_predictor_free(predictor);
                return cosmos__fail(reterr, -ENOMEM, "predictor: out of memory");
        }
        *ret = predictor;
        return 0;
}

COSMOS_API cosmos_predictor *cosmos_predictor_free(cosmos_predictor *predictor)
{
        if (!predictor)
                return NULL;
        cosmos_model_unref(predictor->model);
        cosmos__scratch_free(&predictor->scratch);
        free(predictor->logits);
        free(predictor);
        return NULL;
}

COSMOS_API int cosmos_session_new(cosmos_session **ret, cosmos_model *model, struct cosmos_diag *reterr)
{
        cosmos_session *session;

        if (!ret || !model)
                return cosmos__fail(reterr, -EINVAL, "session: `ret` and `model` must not be NULL");
        session = aligned_alloc(COSMOS__ALIGNMENT, sizeof(*session) + model->state_size * sizeof(float));
        if (!session)
                return cosmos__fail(reterr, -ENOMEM, "session: out of memory");
        session->model = cosmos_model_ref(model);
        cosmos_session_reset(session);
        *ret = session;
        return 0;
}

COSMOS_API void cosmos_session_reset(cosmos_session *session)
{
        memcpy(session->state, session->model->start, session->model->state_size * sizeof(float));
}

COSMOS_API cosmos_session *cosmos_session_free(cosmos_session *session)
{
        if (!session)
                return NULL;
        cosmos_model_unref(session->model);
        free(session);
        return NULL;
}

/* Fields that the model does not read are not looked at. */
static bool token_fits(const cosmos_model *model, const struct cosmos_token *token)
{
        for (size_t i = 0; i < model->info.n_fields; i++)
                if (token->field[model->fields[i].field] >= model->fields[i].size)
                        return false;
        return !model->info.tokens.frequency || (token->frequency >= 0 && token->frequency <= 1);
}

static bool call_fits(const cosmos_model *model, cosmos_session *const *sessions, const struct cosmos_token *tokens,
                      size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!sessions[i] || sessions[i]->model != model || !token_fits(model, &tokens[i]))
                        return false;
        return true;
}

/* Which token goes in which wave, and where it stands then. */
static void plan(cosmos_predictor *p, cosmos_session *const *sessions, const struct cosmos_token *tokens, size_t n)
{
        uint32_t wave[CHUNK], next = 0;

        p->n = n;
        p->n_waves = 0;
        for (size_t i = 0; i < n; i++)
                sessions[i]->waves = 0;
        for (size_t i = 0; i < n; i++) {
                wave[i] = sessions[i]->waves++;
                if (wave[i] == p->n_waves)
                        p->starts[p->n_waves++] = 0;
                p->starts[wave[i]]++;
        }
        for (uint32_t w = 0; w < p->n_waves; w++) {
                const uint32_t rows = p->starts[w];

                p->starts[w] = next;
                next += rows;
        }
        for (size_t i = 0; i < n; i++) {
                const uint32_t at = p->starts[wave[i]]++;

                p->order[at] = (uint16_t)i;
                p->states[at] = sessions[i]->state;
                p->tokens[at] = tokens[i];
        }
        /* Each start has become the end of its wave, which is the start of the next. */
        memmove(p->starts + 1, p->starts, p->n_waves * sizeof(*p->starts));
        p->starts[0] = 0;
}

/* NLL, and all log-probabilities if asked for, of one token from its logits. */
static float read_out(const cosmos_model *model, float *logits, uint32_t name, float *ret_logp)
{
        const double log_sum = model->kernels->log_softmax(logits, model->vocab_width);

        if (ret_logp)
                model->kernels->log_probabilities(ret_logp, logits, cosmos_vocab_size(model->vocab), log_sum);
        return (float)(log_sum - (double)logits[name]);
}

static void step_chunk(cosmos_predictor *p, float *ret_nll, float *ret_logp)
{
        const cosmos_model *model = p->model;
        const size_t size = cosmos__inputs_size(model, &model->layers[model->info.n_layers - 1]);
        const size_t vocab = cosmos_vocab_size(model->vocab);

        for (uint32_t w = 0; w < p->n_waves; w++)
                cosmos__network_advance(model, &p->scratch, p->states + p->starts[w], p->tokens + p->starts[w],
                                        p->starts[w + 1] - p->starts[w], p->scratch.top + p->starts[w] * size);
        for (size_t at = 0; at < p->n; at += LOGIT_ROWS) {
                const size_t rows = MIN(p->n - at, LOGIT_ROWS);

                cosmos__network_logits(model, p->scratch.top + at * size, rows, p->logits);
                for (size_t r = 0; r < rows; r++) {
                        const size_t i = p->order[at + r];

                        ret_nll[i] = read_out(model, p->logits + r * model->vocab_width,
                                              p->tokens[at + r].field[COSMOS_TOKEN_NAME],
                                              ret_logp ? ret_logp + i * vocab : NULL);
                }
        }
}

COSMOS_API int cosmos_predictor_step(cosmos_predictor *predictor, cosmos_session *const *sessions,
                                     const struct cosmos_token *tokens, size_t n, float *ret_nll, float *ret_logp)
{
        size_t rows;

        if (!predictor || (n > 0 && (!sessions || !tokens || !ret_nll)))
                return -EINVAL;
        if (!call_fits(predictor->model, sessions, tokens, n))
                return -EINVAL;
        for (size_t i = 0; i < n; i += rows) {
                rows = MIN(n - i, CHUNK);
                plan(predictor, sessions + i, tokens + i, rows);
                step_chunk(predictor, ret_nll + i,
                           ret_logp ? ret_logp + i * cosmos_vocab_size(predictor->model->vocab) : NULL);
        }
        return 0;
}
