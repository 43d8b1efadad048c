/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/scan.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define CALLS ((size_t)256) /* in a step */

int cosmos__scan_open(struct cosmos__scan *scan, cosmos_model *model, const struct cosmos__calls *calls,
                      struct cosmos_diag *reterr)
{
        int r;

        scan->info.size = sizeof(scan->info);
        cosmos_model_get_info(model, &scan->info);
        scan->calls = calls;
        scan->model = cosmos_model_ref(model);
        scan->ring = calloc(scan->info.window, sizeof(*scan->ring));
        if (!scan->ring)
                return -ENOMEM;
        r = cosmos_predictor_new(&scan->predictor, model, reterr);
        return r < 0 ? r : cosmos_session_new(&scan->session, model, reterr);
}

void cosmos__scan_close(struct cosmos__scan *scan)
{
        scan->predictor = cosmos_predictor_free(scan->predictor);
        scan->session = cosmos_session_free(scan->session);
        scan->model = cosmos_model_unref(scan->model);
        free(scan->ring);
        scan->ring = NULL;
}

void cosmos__scan_begin(struct cosmos__scan *scan, uint64_t first, uint64_t end)
{
        cosmos_session_reset(scan->session);
        scan->first = scan->at = first;
        scan->end = end;
}

struct cosmos_token cosmos__calls_token(const struct cosmos__calls *calls, uint64_t call)
{
        struct cosmos_token token = {.frequency = calls->frequency ? calls->frequency[call] : 0};

        memcpy(token.field, calls->tokens + call * calls->stride, sizeof(token.field));
        if (calls->known)
                token.field[COSMOS_TOKEN_NAME] = calls->known[token.field[COSMOS_TOKEN_NAME]];
        return token;
}

/* The rule of model.h over calls first .. at-1, summed in their order, as the detector does it. */
static double score_of(const struct cosmos__scan *scan, uint64_t first)
{
        double sum = scan->info.prior_count * scan->info.prior_mean;

        for (uint64_t i = first; i < scan->at; i++)
                sum += (double)scan->ring[(i - scan->first) % scan->info.window];
        return sum / ((double)(scan->at - first) + scan->info.prior_count);
}

static int take(struct cosmos__scan *scan, float nll, struct cosmos_diag *reterr)
{
        uint64_t calls, first;

        scan->ring[(scan->at - scan->first) % scan->info.window] = nll;
        if (scan->on_call)
                scan->on_call(scan->userdata, scan->at, (double)nll);
        calls = ++scan->at - scan->first;
        if (scan->at < scan->end && (calls < scan->info.window || (calls - scan->info.window) % scan->info.hop != 0))
                return 0;
        first = scan->at - MIN(calls, (uint64_t)scan->info.window);
        return scan->on_window(scan->userdata, first, scan->at, score_of(scan, first), reterr);
}

int cosmos__scan_run(struct cosmos__scan *scan, struct cosmos_diag *reterr)
{
        const size_t n = MIN(scan->end - scan->at, CALLS);
        cosmos_session *sessions[CALLS] = {NULL};
        struct cosmos_token tokens[CALLS] = {0};
        float nll[CALLS];
        int r;

        for (size_t i = 0; i < n; i++) {
                sessions[i] = scan->session;
                tokens[i] = cosmos__calls_token(scan->calls, scan->at + i);
        }
        r = cosmos_predictor_step(scan->predictor, sessions, tokens, n, nll, NULL);
        for (size_t i = 0; i < n && r == 0; i++)
                r = take(scan, nll[i], reterr);
        return r < 0 ? r : scan->at < scan->end;
}

int cosmos__scan_expected(struct cosmos__scan *scan, uint64_t first, uint64_t call, uint32_t *ret_name, double *ret_p)
{
        const size_t vocab = cosmos_vocab_size(cosmos_model_vocab(scan->model));
        _cleanup_free_ float *logp = calloc(vocab, sizeof(*logp));
        int r = logp ? 0 : -ENOMEM;

        cosmos_session_reset(scan->session);
        for (uint64_t i = first; i <= call && r == 0; i++) {
                const struct cosmos_token token = cosmos__calls_token(scan->calls, i);
                float nll;

                r = cosmos_predictor_step(scan->predictor, &scan->session, &token, 1, &nll, i == call ? logp : NULL);
        }
        *ret_name = 0;
        for (uint32_t k = 1; r == 0 && k < vocab; k++)
                if (logp[k] > logp[*ret_name])
                        *ret_name = k;
        *ret_p = r == 0 ? exp((double)logp[*ret_name]) : 0;
        return r;
}
