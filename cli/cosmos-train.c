/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Train a model: the traces are read into a corpus, the trainer learns from it, what comes of it is saved.
 * train_arguments.c knows the command line, train_loop.c shows how far it is and keeps checkpoints, train_report.c
 * tells what was learnt.
 */
#include "train_arguments.h"
#include "train_loop.h"
#include "train_report.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVED 16 /* places of a new vocabulary for calls that are met when training goes on; as models/data.py */

/* The model to go on from. */
struct start {
        char *data;
        size_t size;
        cosmos_model *model;
        struct cosmos_model_info info;
};

/* ---- before hours of training -------------------------------------------------------------- */

static int cannot_write(const char *path, int error)
{
        cli_say("%s: can't be written: %s", path, strerror(error));
        return EXIT_ERROR;
}

/* A file is made beside it and takes its place; whether that can be shows when it is tried. */
static int check_folder(const char *path)
{
        char resolved[PATH_MAX], beside[PATH_MAX + 32];
        int fd;

        snprintf(beside, sizeof(beside), "%s.writable-XXXXXX", realpath(path, resolved) ? resolved : path);
        fd = mkstemp(beside);
        if (fd < 0)
                return cannot_write(path, errno);
        close(fd);
        unlink(beside);
        return EXIT_OK;
}

static int check_writable(const char *path)
{
        struct stat st;

        if (*path && path[strlen(path) - 1] == '/')
                return cannot_write(path, EISDIR);
        if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
                return check_folder(path);
        if (S_ISDIR(st.st_mode))
                return cannot_write(path, EISDIR);
        return access(path, W_OK) < 0 ? cannot_write(path, errno) : EXIT_OK;
}

/* ---- the model to go on from ------------------------------------------------------------------ */

static int read_whole(FILE *f, struct start *s)
{
        struct stat st;

        if (fstat(fileno(f), &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE;
        s->size = (size_t)st.st_size;
        s->data = malloc(s->size + 1); /* also of an empty file */
        if (!s->data)
                return -ENOMEM;
        if (fread(s->data, 1, s->size, f) == s->size)
                return 0;
        return ferror(f) ? -errno : -EIO;
}

static int read_start(const char *path, struct start *s)
{
        FILE *f = fopen(path, "rbe");
        int r = f ? read_whole(f, s) : -errno;

        if (f)
                fclose(f);
        if (r == 0)
                return EXIT_OK;
        cli_say("%s: can't be read: %s", path, strerror(-r));
        return EXIT_ERROR;
}

static int open_start(const struct train_arguments *a, struct start *s)
{
        struct cosmos_diag diag = {0};
        int r = read_start(a->init, s);

        if (r != EXIT_OK)
                return r;
        r = cosmos_model_load(&s->model, s->data, s->size, a->init, NULL, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        s->info.size = sizeof(s->info);
        cosmos_model_get_info(s->model, &s->info);
        return EXIT_OK;
}

static void close_start(struct start *s)
{
        cosmos_model_unref(s->model);
        free(s->data);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* A live trace ends with its collector, to which a first stop signal of the terminal goes too. */
static int signals_of_reading(const struct train_arguments *a)
{
        return train_arguments_has_input(a) ? 1 : 0;
}

static int on_read(void *userdata, uint64_t calls, double share)
{
        const struct train_arguments *a = userdata;

        if (isnan(share))
                cli_progress("reading: %llu calls", (unsigned long long)calls);
        else
                cli_progress("reading: %.0f%%, %llu calls", 100 * share, (unsigned long long)calls);
        return cli_stop_signals > signals_of_reading(a);
}

static int read_corpus(cosmos_corpus **ret, struct train_arguments *a, const struct start *s)
{
        const struct cosmos_corpus_options options = {
            .size = sizeof(options),
            .log = cli_log(),
            .unit = a->unit,
            .vocab = s->model ? cosmos_model_vocab(s->model) : NULL,
            .extend = s->model != NULL,
            .reserve = s->model ? 0 : RESERVED,
            .select = a->containers.names,
            .n_select = a->containers.n,
            .tokens = &a->options.tokens,
            .progress = on_read,
            .userdata = a,
        };
        struct cosmos_diag diag = {0};
        int r = cosmos_corpus_read(ret, (const char *const *)a->traces, a->n_traces, &options, &diag);

        if (r == -ECANCELED) {
                cli_say("interrupted while reading, nothing is written");
                return EXIT_INTERRUPTED;
        }
        if (r < 0)
                return cli_fail(r, &diag);
        train_report_corpus(*ret, s->model != NULL);
        return EXIT_OK;
}

/* ---- training -------------------------------------------------------------------------------------- */

/* Where the card goes: NULL: nowhere, of a model that is no file that could be read. */
static const char *card_of(const struct train_arguments *a, char buf[static PATH_MAX])
{
        struct stat st;

        if (a->card)
                return a->card;
        if (stat(a->output, &st) == 0 && !S_ISREG(st.st_mode))
                return NULL;
        return snprintf(buf, PATH_MAX, "%s.md", a->output) < PATH_MAX ? buf : NULL;
}

static int save_card(const struct train_arguments *a)
{
        char buf[PATH_MAX];
        const char *card = card_of(a, buf);
        struct cosmos_diag diag = {0};
        int r = card ? cosmos_model_card(a->output, card, &diag) : 0;

        if (r < 0)
                return cli_fail(r, &diag);
        if (card)
                cli_say("%s says what it is", card);
        return EXIT_OK;
}

static int save(const struct train_arguments *a, const cosmos_trainer *trainer)
{
        struct cosmos_diag diag = {0};
        int r = cosmos_trainer_save(trainer, a->output, &diag);

        if (r < 0) {
                cli_fail(r, &diag);
                if (a->checkpoint && access(a->checkpoint, R_OK) == 0)
                        cli_say("the same command, or one with another --output, goes on from %s", a->checkpoint);
                return EXIT_ERROR;
        }
        train_report(a, trainer);
        cli_say("%s is written", a->output);
        return save_card(a);
}

static int train(const struct train_arguments *a, const cosmos_corpus *corpus, const struct start *s)
{
        const int signals = cli_stop_signals;
        struct cosmos_trainer_options options = a->options;
        cosmos_trainer *trainer = NULL;
        struct cosmos_diag diag = {0};
        int r;

        options.log = cli_log();
        options.init = s->data;
        options.init_size = s->size;
        r = cosmos_trainer_new(&trainer, corpus, &options, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        r = train_resume(a, trainer);
        if (r == EXIT_OK)
                r = train_loop(a, trainer, signals);
        if (r == EXIT_OK)
                r = save(a, trainer);
        cosmos_trainer_free(trainer);
        return r;
}

static int run(struct train_arguments *a)
{
        char buf[PATH_MAX];
        const char *card = card_of(a, buf);
        struct start s = {0};
        cosmos_corpus *corpus = NULL;
        int r = check_writable(a->output);

        if (r == EXIT_OK && card)
                r = check_writable(card);
        if (r == EXIT_OK && a->checkpoint)
                r = check_writable(a->checkpoint);
        if (r == EXIT_OK && a->init)
                r = open_start(a, &s);
        if (r == EXIT_OK)
                r = train_arguments_settle(a, s.model ? &s.info : NULL);
        if (r == EXIT_OK)
                r = read_corpus(&corpus, a, &s);
        if (r == EXIT_OK)
                r = train(a, corpus, &s);
        cosmos_corpus_free(corpus);
        close_start(&s);
        return r;
}

int main(int argc, char **argv)
{
        struct train_arguments arguments;
        int r;

        cli_name = "cosmos-train";
        cli_open_standard();
        r = train_arguments_parse(argc, argv, &arguments);
        if (r >= 0)
                return r;
        cli_catch_signals(1 + signals_of_reading(&arguments));
        return run(&arguments);
}
