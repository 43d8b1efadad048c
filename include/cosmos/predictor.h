/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predictor: the negative log-likelihood (NLL) of each call given its past.
 *
 * Embedding of each token field that the model reads, and a vector times the
 * frequency if it reads that (all summed), one or more LSTM layers, a dense layer
 * over the vocabulary, log-softmax. The LSTM is that of Keras: gates in
 * the order i, f, g, o; c' = sigmoid(f)*c + sigmoid(i)*tanh(g); h' = sigmoid(o)*tanh(c').
 * (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.)
 *
 * A session is the state of one sequence: h and c of each layer, all that
 * changes. It starts as the model stands after "<start>". step() tells the NLL
 * of each session's next token under the state as it is, then moves the state
 * on. Results do not depend on what is stepped together, to the bit: but stepping
 * 64 sessions in one call costs a fraction of 64 calls.
 *
 * Thread safety: a predictor holds scratch memory and belongs to one thread at
 * a time; so does each session. Any number of either may share a model.
 */
#ifndef COSMOS_PREDICTOR_H
#define COSMOS_PREDICTOR_H

#include <cosmos/error.h>
#include <cosmos/model.h>
#include <cosmos/sequence.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_predictor cosmos_predictor;
typedef struct cosmos_session cosmos_session;

/* Takes a reference of the model. */
int cosmos_predictor_new(cosmos_predictor **ret, cosmos_model *model, struct cosmos_diag *reterr);
cosmos_predictor *cosmos_predictor_free(cosmos_predictor *predictor);

/* Takes a reference of the model. */
int cosmos_session_new(cosmos_session **ret, cosmos_model *model, struct cosmos_diag *reterr);
/* Back to the start of a sequence. */
void cosmos_session_reset(cosmos_session *session);
cosmos_session *cosmos_session_free(cosmos_session *session);

/*
 * Step sessions of the predictor's model by `n` tokens, tokens[i] being the next of
 * sessions[i]. A session that is there several times takes its tokens in that order.
 *   ret_nll  [n]: nats, finite, >= 0
 *   ret_logp [n * vocabulary], row by row, or NULL: the log-probability of every
 *            call name *before* the token was seen
 * -EINVAL, with no session moved, if a session is of another model, or if of what the
 * model reads a token's field is out of range or its frequency is not from 0 to 1.
 * Nothing is allocated.
 */
int cosmos_predictor_step(cosmos_predictor *predictor, cosmos_session *const *sessions,
                          const struct cosmos_token *tokens, size_t n, float *ret_nll, float *ret_logp);

#ifdef __cplusplus
}
#endif
#endif
