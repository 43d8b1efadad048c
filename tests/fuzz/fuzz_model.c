/* SPDX-License-Identifier: Apache-2.0 */
/* Model files: whatever loads must step, to finite NLLs, and free. */
#include <cosmos/predictor.h>
#include <cosmos/threshold.h>

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
        if (!condition)
                abort();
}

static void step(cosmos_model *model)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_token token = {0};
        cosmos_predictor *predictor = NULL;
        cosmos_session *session = NULL;
        float nll;

        cosmos_model_get_info(model, &info);
        check(info.n_layers >= 1 && info.hop >= 1 && info.hop <= info.window);
        check(cosmos_predictor_new(&predictor, model, NULL) == 0);
        check(cosmos_session_new(&session, model, NULL) == 0);
        token.field[COSMOS_TOKEN_NAME] = (uint32_t)cosmos_vocab_size(cosmos_model_vocab(model)) - 1;
        token.field[COSMOS_TOKEN_ERRNO] = COSMOS_TOKEN_ERRNO_SIZE - 1;
        for (int i = 0; i < 3; i++) {
                check(cosmos_predictor_step(predictor, &session, &token, 1, &nll, NULL) == 0);
                check(isfinite(nll) && nll >= 0);
        }
        cosmos_session_free(session);
        cosmos_predictor_free(predictor);
}

static void judge(cosmos_model *model)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_model_threshold its = {.size = sizeof(its)};
        cosmos_threshold *threshold = NULL, *adaptive = NULL;

        cosmos_model_get_info(model, &info);
        check(cosmos_threshold_new_model(&threshold, model, NULL) == (info.has_threshold ? 0 : -EINVAL));
        if (!threshold)
                return;
        for (size_t i = 0; cosmos_model_get_threshold(model, i, &its) == 0; i++)
                check(cosmos_threshold_theta(cosmos_threshold_of(threshold, its.image)) == its.theta);
        if (cosmos_threshold_new_adaptive(&adaptive, threshold, NULL, NULL) == 0)
                cosmos_threshold_update(adaptive, 1);
        cosmos_threshold_free(adaptive);
        cosmos_threshold_free(threshold);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cosmos_diag diag = {""};
        cosmos_model *model = NULL;

        if (cosmos_model_load(&model, size ? data : (const uint8_t *)"", size, "fuzz", NULL, &diag) < 0) {
                check(!model && diag.text[0]);
                return 0;
        }
        step(model);
        judge(model);
        cosmos_model_unref(model);
        return 0;
}
