/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a trace: JSON as jansson reads it; what is read and written must be read again as the same event; and
 * whatever a call is, its token fits every model of its scheme. */
#include "collector/trace.h"
#include "compare_json.h"
#include "sink/jsonl.h"

#include <cosmos/sequence.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
        if (!condition)
                abort();
}

static bool same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_same_call(const struct cosmos_event *a, const struct cosmos_event *b)
{
        check(a->uid == b->uid && a->auid == b->auid && a->nr == b->nr && a->ret == b->ret);
        check(same(a->syscall, b->syscall) && a->arch == b->arch && a->n_args == b->n_args);
        check(memcmp(a->args, b->args, sizeof(a->args)) == 0);
        check(same(a->path, b->path) && same(a->argv, b->argv) && same(a->addr, b->addr));
        check(a->fd_kind == b->fd_kind && a->size_class == b->size_class && a->path_class == b->path_class);
}

static void check_same(const struct cosmos_event *a, const struct cosmos_event *b)
{
        check(a->type == b->type && a->known == b->known);
        check(a->timestamp == b->timestamp && a->timestamp_digits == b->timestamp_digits && a->seq == b->seq);
        check(a->pid == b->pid && a->tid == b->tid && a->ppid == b->ppid);
        check(a->proc_start == b->proc_start && a->thread_start == b->thread_start);
        check(same(a->container_id, b->container_id) && same(a->container_name, b->container_name));
        check(same(a->image, b->image) && same(a->host, b->host) && same(a->comm, b->comm) && same(a->exe, b->exe));
        check(a->loss_kind == b->loss_kind && a->loss_count == b->loss_count);
        check(same(a->source, b->source) && same(a->calls, b->calls));
        check_same_call(a, b);
}

static void write_and_read(const struct cosmos_event *event)
{
        struct cosmos__trace_line again = {0};
        struct cosmos__buffer buffer = {0};

        check(cosmos__jsonl_event(&buffer, event) == 0);
        check(buffer.size > 0 && memchr(buffer.data, '\n', buffer.size) == buffer.data + buffer.size - 1);
        check(cosmos__trace_parse(&again, (uint8_t *)buffer.data, buffer.size - 1, NULL) == 1);
        check_same(event, &again.event);
        cosmos__trace_line_free(&again);
        cosmos__buffer_free(&buffer);
}

/* A parser expects the fields of the lines that it has read before: it must say the same of this one. */
static void read_later(const uint8_t *data, size_t size, int r, const struct cosmos_event *event)
{
        static struct cosmos__trace_line later;
        uint8_t *copy = malloc(size ? size : 1);

        check(copy != NULL);
        if (size)
                memcpy(copy, data, size);
        check(cosmos__trace_parse(&later, copy, size, NULL) == r);
        if (r == 1)
                check_same(event, &later.event);
        free(copy);
}

static cosmos_sequencer *sequencer_of(const struct cosmos_token_scheme *scheme)
{
        static const char *const names[] = {"<start>", "<unknown>", "read", "openat", "socket", "mmap"};
        const struct cosmos_sequencer_options options = {.size = sizeof(options), .max_sequences = 4, .tokens = scheme};
        static cosmos_vocab *vocab;
        cosmos_sequencer *sequencer;

        check(vocab || cosmos_vocab_new(&vocab, names, sizeof(names) / sizeof(*names), NULL) == 0);
        check(cosmos_sequencer_new(&sequencer, vocab, &options, NULL) == 0);
        return sequencer;
}

static void check_token(const struct cosmos_token_scheme *scheme, const struct cosmos_token *token)
{
        check(token->field[COSMOS_TOKEN_NAME] >= 1 && token->field[COSMOS_TOKEN_NAME] < 6);
        for (enum cosmos_token_field f = COSMOS_TOKEN_ERRNO; f < COSMOS_TOKEN_FIELDS; f++)
                check(token->field[f] < cosmos_token_field_size(scheme, f));
        check(token->frequency > 0 && token->frequency <= 1);
}

/* With each of the sizes; the sequences go on from one input to the next. */
static void make_tokens(const struct cosmos_event *event)
{
        static cosmos_sequencer *sequencers[3];

        for (uint32_t i = 0; i < 3; i++) {
                const struct cosmos_token_scheme scheme = {(1u << COSMOS_TOKEN_FIELDS) - 1, 1u << i, 2 + 5 * i};
                struct cosmos_step step;

                if (!sequencers[i])
                        sequencers[i] = sequencer_of(&scheme);
                check(cosmos_sequencer_feed(sequencers[i], event, NULL) == 0);
                while (cosmos_sequencer_next(sequencers[i], &step) == 1)
                        if (step.type == COSMOS_STEP_CALL)
                                check_token(&scheme, &step.token);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cosmos__trace_line line = {0};
        struct cosmos_diag diag = {""};
        uint8_t *copy = malloc(size ? size : 1);
        int r;

        check(copy != NULL);
        if (size)
                memcpy(copy, data, size);
        r = cosmos__trace_parse(&line, copy, size, &diag);
        check(r == 0 || r == 1 || r == -COSMOS_EFORMAT || r == -COSMOS_EVERSION);
        check(r >= 0 || diag.text[0]);
        for (const char *c = diag.text; *c; c++)
                check(*c >= 0x20 && *c < 0x7f);
        read_later(data, size, r, &line.event);
        if (r == 1) {
                write_and_read(&line.event);
                make_tokens(&line.event);
        }
        check(!compare_with_jansson(data, size));
        cosmos__trace_line_free(&line);
        free(copy);
        return 0;
}
