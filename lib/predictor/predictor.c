/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and steps. A call to step() is checked whole before any session
 * moves; then it goes through the network in chunks that fit the scratch memory.
 */
#include "base/base.h"
#include "predictor/network.h"

#include <cosmos/predictor.h>

#include <errno.h>
#include <string.h>

struct cosmos_predictor {
        cosmos_model *model;
        float *gates;  /* [COSMOS__ROWS_MAX, gates_width] */
        float *logits; /* [COSMOS__ROWS_MAX, vocab_width] */
};

struct cosmos_session {
        cosmos_model *model;
        size_t mark; /* scratch of check() */
        _Alignas(64) float state[];
};

COSMOS_API int cosmos_predictor_new(cosmos_predictor **ret, cosmos_model *model, struct cosmos_diag *reterr)
{
        cosmos_predictor *predictor;

        if (!ret || !model)
                return cosmos__fail(reterr, -EINVAL, "predictor: `ret` and `model` must not be NULL");
        predictor = calloc(1, sizeof(*predictor));
        if (!predictor)
                return cosmos__fail(reterr, -ENOMEM, "predictor: out of memory");
        predictor->model = cosmos_model_ref(model);
        predictor->gates = cosmos__matrix_new(COSMOS__ROWS_MAX, model->gates_width);
        predictor->logits = cosmos__matrix_new(COSMOS__ROWS_MAX, model->vocab_width);
        if (!predictor->gates || !predictor->logits) {
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
        free(predictor->gates);
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
        session->mark = 0;
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
        return token->field[COSMOS_TOKEN_NAME] < cosmos_vocab_size(model->vocab) &&
               (model->info.n_fields <= COSMOS_TOKEN_ERRNO ||
                token->field[COSMOS_TOKEN_ERRNO] < COSMOS_TOKEN_ERRNO_SIZE);
}

/* Each session is marked with its place in the call; one that is there twice
 * then has the mark of its last place only. */
static bool call_fits(const cosmos_model *model, cosmos_session *const *sessions, const struct cosmos_token *tokens,
                      size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (!sessions[i] || sessions[i]->model != model || !token_fits(model, &tokens[i]))
                        return false;
                sessions[i]->mark = i;
        }
        for (size_t i = 0; i < n; i++)
                if (sessions[i]->mark != i)
                        return false;
        return true;
}

/* NLLs, and all log-probabilities if asked for, of one session from its logits. */
static float read_out(const cosmos_model *model, float *logits, uint32_t name, float *ret_logp)
{
        const size_t n = cosmos_vocab_size(model->vocab);
        const double log_sum = model->kernels->log_softmax(logits, n);

        for (size_t k = 0; ret_logp && k < n; k++)
                ret_logp[k] = (float)((double)logits[k] - log_sum);
        return (float)(log_sum - (double)logits[name]);
}

COSMOS_API int cosmos_predictor_step(cosmos_predictor *predictor, cosmos_session *const *sessions,
                                     const struct cosmos_token *tokens, size_t n, float *ret_nll, float *ret_logp)
{
        const cosmos_model *model;
        float *states[COSMOS__ROWS_MAX];
        size_t rows;

        if (!predictor || (n > 0 && (!sessions || !tokens || !ret_nll)))
                return -EINVAL;
        model = predictor->model;
        if (!call_fits(model, sessions, tokens, n))
                return -EINVAL;

        for (size_t i = 0; i < n; i += rows) {
                rows = MIN(n - i, COSMOS__ROWS_MAX);
                for (size_t r = 0; r < rows; r++)
                        states[r] = sessions[i + r]->state;
                cosmos__network_logits(model, states, rows, predictor->logits);
                for (size_t r = 0; r < rows; r++)
                        ret_nll[i + r] = read_out(
                            model, predictor->logits + r * model->vocab_width, tokens[i + r].field[COSMOS_TOKEN_NAME],
                            ret_logp ? ret_logp + (i + r) * cosmos_vocab_size(model->vocab) : NULL);
                cosmos__network_advance(model, states, tokens + i, rows, predictor->gates);
        }
        return 0;
}
