/* SPDX-License-Identifier: Apache-2.0 */
/* Model files: whatever loads must step, to finite NLLs, and free. */
#include <cosmos/predictor.h>

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

/* The last id of each field that the model reads. */
static struct cosmos_token last_token(const cosmos_model *model, const struct cosmos_token_scheme *scheme)
{
        struct cosmos_token token = {.frequency = scheme->frequency ? 1 : NAN};

        token.field[COSMOS_TOKEN_NAME] = (uint32_t)cosmos_vocab_size(cosmos_model_vocab(model));
        for (enum cosmos_token_field f = COSMOS_TOKEN_ERRNO; f < COSMOS_TOKEN_FIELDS; f++)
                token.field[f] = cosmos_token_field_size(scheme, f);
        for (enum cosmos_token_field f = COSMOS_TOKEN_NAME; f < COSMOS_TOKEN_FIELDS; f++)
                token.field[f]--;
        return token;
}

/* A scheme that was read has a text, which is read as that scheme. */
static void check_scheme(const struct cosmos_token_scheme *scheme)
{
        struct cosmos_token_scheme again;
        char text[COSMOS_TOKEN_SCHEME_TEXT];

        check(cosmos_token_scheme_parse(&again, cosmos_token_scheme_text(scheme, text, sizeof(text)), NULL) == 0);
        check(again.fields == scheme->fields && again.size == scheme->size && again.frequency == scheme->frequency);
}

static void step(cosmos_model *model)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_token token;
        cosmos_predictor *predictor = NULL;
        cosmos_session *session = NULL;
        float nll;

        cosmos_model_get_info(model, &info);
        check(info.n_layers >= 1 && info.hop >= 1 && info.hop <= info.window);
        check_scheme(&info.tokens);
        token = last_token(model, &info.tokens);
        check(cosmos_predictor_new(&predictor, model, NULL) == 0);
        check(cosmos_session_new(&session, model, NULL) == 0);
        for (int i = 0; i < 3; i++) {
                check(cosmos_predictor_step(predictor, &session, &token, 1, &nll, NULL) == 0);
                check(isfinite(nll) && nll >= 0);
        }
        cosmos_session_free(session);
        cosmos_predictor_free(predictor);
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
        cosmos_model_unref(model);
        return 0;
}
