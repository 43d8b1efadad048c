/* SPDX-License-Identifier: Apache-2.0 */
#include "train_arguments.h"

#include <errno.h>
#include <float.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] = "Usage: cosmos-train [OPTION]... -o MODEL TRACE...\n"
                           "\n"
                           "Learn the system calls of a container from traces of its normal life, and write a\n"
                           "model that cosmos-score judges others with. TRACE is what cosmos-collect writes, or\n"
                           "an audit.log; it may be compressed with gzip. - is standard input. Time cuts the\n"
                           "calls in three: from the first 70% it learns, the next 15% say when to stop, the\n"
                           "last 15% which score is still normal. Collect 100000 calls or more, and nothing that\n"
                           "is not to be taken for normal.\n"
                           "\n"
                           "  -o, --output MODEL   the file to write\n"
                           "      --card FILE      the model card to write: what was learnt, how, and what came of\n"
                           "                       it, in Markdown, with the curve as a plot beside it. Default:\n"
                           "                       that of MODEL, and .md\n"
                           "  -c, --container C    only this container (name, first digits of the id, image);\n"
                           "                       may be given several times\n"
                           "  -k, --checkpoint FILE\n"
                           "                       keep the training here after each epoch, each 30 seconds, and\n"
                           "                       on Ctrl-C; the same command goes on from it\n"
                           "\n"
                           "To go on from a model:\n"
                           "  -i, --init MODEL     learn these traces too, beside some of what MODEL has learnt;\n"
                           "                       new calls enter its vocabulary. Its network stays as it is\n"
                           "      --learn-anomalous\n"
                           "                       learn all: otherwise what MODEL finds anomalous is left out,\n"
                           "                       and of the rest a tenth that it expects least is not learnt\n"
                           "\n"
                           "What the network is told, and its size:\n"
                           "  -f, --fields SCHEME  of a call: name, then any of errno, size/octave (or /half,\n"
                           "                       /quarter), fd, path, args, frequency/CALLS, with commas\n"
                           "                       between. Default: name,errno\n"
                           "  -u, --unit UNIT      what a sequence is: process, or thread. Default: the thread\n"
                           "                       where the traces tell threads apart\n"
                           "      --layers N       LSTM layers. Default: 1\n"
                           "      --units N        width of each. Default: 128\n"
                           "      --embedding N    width of the embedding. Default: 64\n"
                           "\n"
                           "Learning:\n"
                           "      --epochs N       at most; it stops by itself. Default: 30\n"
                           "      --batch N        chunks of 200 calls in a step. Default: 64\n"
                           "      --learning-rate X\n"
                           "                       at the beginning. Default: 0.01\n"
                           "      --dropout X      share of connections that a step leaves out. Default: 0\n"
                           "      --keep N         calls, at most, that the model keeps for an --init from it to\n"
                           "                       learn again. Default: 262144\n"
                           "  -s, --seed N         of chance. Default: 1\n"
                           "  -j, --threads N      the model is the same with any number. Default: one for each\n"
                           "                       processor\n"
                           "\n"
                           "The score and its threshold:\n"
                           "      --window N       calls in a scored window. Default: 100\n"
                           "      --hop N          calls from one score to the next. Default: 50\n"
                           "  -q, --quantile Q     the share of normal windows that is not to be above the\n"
                           "                       threshold. Default: 0.999\n"
                           "      --margin X       room on top: the share of never seen calls that a normal\n"
                           "                       window may hold. Default: 0.08\n"
                           "\n"
                           "  -h, --help           this text\n"
                           "      --version        the version\n"
                           "\n"
                           "Standard error: a line for each epoch, then what was learnt, how well, and which\n"
                           "moments of the later calls were least expected.\n"
                           "\n"
                           "Examples:\n"
                           "  cosmos-train -o model.bin normal.jsonl\n"
                           "  cosmos-train -k training.ckpt -o model.bin monday.jsonl.gz tuesday.jsonl.gz\n"
                           "  cosmos-train --fields name,errno,size/half,fd,path,args -o model.bin normal.jsonl\n"
                           "  cosmos-train --init model.bin -o new.bin wednesday.jsonl\n"
                           "  cosmos-collect --container db --duration 3600 | cosmos-train -o model.bin -\n"
                           "\n"
                           "Exit status: 0 the model is written, 2 an error, 130 stopped by a signal.\n"
                           "See also cosmos-collect(1), cosmos-score(1).\n";

/* Options without a letter. */
enum {
        VERSION = 256,
        CARD,
        LEARN_ANOMALOUS,
        LAYERS,
        UNITS,
        EMBEDDING,
        EPOCHS,
        BATCH,
        LEARNING_RATE,
        DROPOUT,
        KEEP,
        WINDOW,
        HOP,
        MARGIN,
};

/* ---- values ----------------------------------------------------------------------------- */

#define AT(member) offsetof(struct train_arguments, member)

/* Found wrong here, not after hours of reading by cosmos_trainer_new(). */
static const struct whole {
        int option;
        const char *name;
        size_t at; /* of a uint32_t */
        uint32_t min, max;
} wholes[] = {
    {LAYERS, "layers", AT(layers), 1, COSMOS_MODEL_LAYERS_MAX},
    {UNITS, "units", AT(units), 1, COSMOS_MODEL_UNITS_MAX},
    {EMBEDDING, "embedding", AT(embedding), 1, COSMOS_MODEL_UNITS_MAX},
    {EPOCHS, "epochs", AT(options.epochs), 1, 5000},
    {BATCH, "batch", AT(options.batch), 1, 1024},
    {KEEP, "keep", AT(options.keep), 0, 1u << 24},
    {WINDOW, "window", AT(window), 1, 10000},
    {HOP, "hop", AT(hop), 1, 10000},
    {'j', "threads", AT(options.threads), 1, 256},
};

static const struct real {
        int option;
        const char *name;
        size_t at; /* of a double */
        double min, max;
        const char *range;
} reals[] = {
    {LEARNING_RATE, "learning-rate", AT(options.learning_rate), DBL_MIN, 1, "above 0, up to 1"},
    {DROPOUT, "dropout", AT(options.dropout), 0, 1 - DBL_EPSILON, "from 0 to below 1"},
    {'q', "quantile", AT(options.quantile), DBL_MIN, 1, "above 0, up to 1"},
    {MARGIN, "margin", AT(options.margin), 0, DBL_MAX, "0 or more"},
};

static bool parse_integer(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return *text >= '0' && *text <= '9' && !*end && !errno && *ret <= max;
}

static int take_whole(const struct whole *w, struct train_arguments *a)
{
        uint32_t *to = (void *)((char *)a + w->at);
        uint64_t value;

        if (!parse_integer(optarg, w->max, &value) || value < w->min) {
                cli_say("--%s '%s': give a whole number from %u to %u", w->name, optarg, w->min, w->max);
                return cli_usage_error();
        }
        *to = (uint32_t)value;
        return EXIT_OK;
}

static int take_real(const struct real *real, struct train_arguments *a)
{
        double *to = (void *)((char *)a + real->at);
        char *end;
        const double value = strtod(optarg, &end);

        if (*end || end == optarg || !(value >= real->min && value <= real->max)) {
                cli_say("--%s '%s': give a number %s", real->name, optarg, real->range);
                return cli_usage_error();
        }
        *to = value;
        return EXIT_OK;
}

static int take_number(int option, struct train_arguments *a)
{
        for (size_t i = 0; i < sizeof(wholes) / sizeof(*wholes); i++)
                if (wholes[i].option == option)
                        return take_whole(&wholes[i], a);
        for (size_t i = 0; i < sizeof(reals) / sizeof(*reals); i++)
                if (reals[i].option == option)
                        return take_real(&reals[i], a);
        return cli_usage_error();
}

static int take_seed(struct train_arguments *a)
{
        if (parse_integer(optarg, UINT64_MAX, &a->options.seed))
                return EXIT_OK;
        cli_say("--seed '%s': give a whole number, 0 or more", optarg);
        return cli_usage_error();
}

static int take_unit(struct train_arguments *a)
{
        for (int unit = COSMOS_UNIT_PROCESS; unit <= COSMOS_UNIT_THREAD; unit++)
                if (strcmp(cosmos_unit_name((enum cosmos_unit)unit), optarg) == 0) {
                        a->unit = (enum cosmos_unit)unit;
                        return EXIT_OK;
                }
        cli_say("--unit '%s': give process or thread", optarg);
        return cli_usage_error();
}

static int take_fields(struct train_arguments *a)
{
        struct cosmos_diag diag = {0};
        int r = cosmos_token_scheme_parse(&a->options.tokens, optarg, &diag);

        a->fields = optarg;
        if (r == 0)
                return EXIT_OK;
        cli_fail(r, &diag);
        return cli_usage_error();
}

/* EXIT_OK or EXIT_ERROR; -1: one that ends the program well. */
static int take_option(int option, struct train_arguments *a)
{
        switch (option) {
        case 'o':
                a->output = optarg;
                return EXIT_OK;
        case 'c':
                return cli_add_container(&a->containers, optarg);
        case 'i':
                a->init = optarg;
                return EXIT_OK;
        case LEARN_ANOMALOUS:
                a->options.learn_anomalous = 1;
                return EXIT_OK;
        case 'k':
                a->checkpoint = optarg;
                return EXIT_OK;
        case CARD:
                a->card = optarg;
                return EXIT_OK;
        case 'f':
                return take_fields(a);
        case 'u':
                return take_unit(a);
        case 's':
                return take_seed(a);
        case 'h':
                fputs(help, stdout);
                return -1;
        case VERSION:
                printf("cosmos-train %s\n", cosmos_version());
                return -1;
        default:
                return take_number(option, a);
        }
}

/* ---- together ------------------------------------------------------------------------------ */

static bool same_file(const char *one, const char *other)
{
        struct stat a, b;

        if (strcmp(one, other) == 0)
                return true;
        return stat(one, &a) == 0 && stat(other, &b) == 0 && S_ISREG(a.st_mode) && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

static int refuse_same(const char *path, const char *what, const char *other)
{
        cli_say("%s '%s' is %s too, which would be overwritten", what, path, other);
        return cli_usage_error();
}

/* What is written must not be what is read; but a model may replace the one that it goes on from. */
static int check_files(const struct train_arguments *a)
{
        for (size_t i = 0; i < a->n_traces; i++) {
                if (same_file(a->traces[i], a->output))
                        return refuse_same(a->output, "--output", "a TRACE");
                if (a->checkpoint && same_file(a->traces[i], a->checkpoint))
                        return refuse_same(a->checkpoint, "--checkpoint", "a TRACE");
        }
        if (a->checkpoint && same_file(a->checkpoint, a->output))
                return refuse_same(a->checkpoint, "--checkpoint", "the --output");
        if (a->checkpoint && a->init && same_file(a->checkpoint, a->init))
                return refuse_same(a->checkpoint, "--checkpoint", "the model of --init");
        return EXIT_OK;
}

static size_t count_inputs(const struct train_arguments *a)
{
        size_t n = 0;

        for (size_t i = 0; i < a->n_traces; i++)
                n += strcmp(a->traces[i], "-") == 0;
        return n;
}

bool train_arguments_has_input(const struct train_arguments *a)
{
        return count_inputs(a) > 0;
}

static int check_together(const struct train_arguments *a)
{
        const char *wrong = NULL;

        if (!a->output)
                wrong = "say with --output which file to write the model to";
        else if (a->n_traces == 0)
                wrong = "a TRACE is needed, of normal life";
        else if (count_inputs(a) > 1)
                wrong = "standard input (-) can be read once only";
        else if (a->options.learn_anomalous && !a->init)
                wrong = "--learn-anomalous is for --init: without a model nothing is anomalous";
        if (!wrong)
                return check_files(a);
        cli_say("%s", wrong);
        return cli_usage_error();
}

int train_arguments_parse(int argc, char **argv, struct train_arguments *ret)
{
        static const struct option options[] = {
            {"batch", required_argument, NULL, BATCH},
            {"card", required_argument, NULL, CARD},
            {"checkpoint", required_argument, NULL, 'k'},
            {"container", required_argument, NULL, 'c'},
            {"dropout", required_argument, NULL, DROPOUT},
            {"embedding", required_argument, NULL, EMBEDDING},
            {"epochs", required_argument, NULL, EPOCHS},
            {"fields", required_argument, NULL, 'f'},
            {"help", no_argument, NULL, 'h'},
            {"hop", required_argument, NULL, HOP},
            {"init", required_argument, NULL, 'i'},
            {"keep", required_argument, NULL, KEEP},
            {"layers", required_argument, NULL, LAYERS},
            {"learn-anomalous", no_argument, NULL, LEARN_ANOMALOUS},
            {"learning-rate", required_argument, NULL, LEARNING_RATE},
            {"margin", required_argument, NULL, MARGIN},
            {"output", required_argument, NULL, 'o'},
            {"quantile", required_argument, NULL, 'q'},
            {"seed", required_argument, NULL, 's'},
            {"threads", required_argument, NULL, 'j'},
            {"unit", required_argument, NULL, 'u'},
            {"units", required_argument, NULL, UNITS},
            {"version", no_argument, NULL, VERSION},
            {"window", required_argument, NULL, WINDOW},
            {0},
        };
        int option, r;

        *ret = (struct train_arguments){.unit = COSMOS_UNIT_NATURAL};
        cosmos_trainer_options_init(&ret->options);
        while ((option = getopt_long(argc, argv, "c:f:hi:j:k:o:q:s:u:", options, NULL)) != -1) {
                r = take_option(option, ret);
                if (r != EXIT_OK)
                        return r < 0 ? EXIT_OK : r;
        }
        ret->traces = argv + optind;
        ret->n_traces = (size_t)(argc - optind);
        return check_together(ret) == EXIT_OK ? -1 : EXIT_ERROR;
}

/* ---- settled --------------------------------------------------------------------------------- */

static int contradicts(const struct train_arguments *a, const char *name, const char *given, const char *has)
{
        cli_say("--%s %s: %s has %s, which must stay", name, given, a->init, has);
        return EXIT_ERROR;
}

static int check_number(const struct train_arguments *a, const char *name, uint32_t given, uint32_t has)
{
        char texts[2][16];

        if (given == 0 || given == has)
                return EXIT_OK;
        snprintf(texts[0], sizeof(texts[0]), "%u", given);
        snprintf(texts[1], sizeof(texts[1]), "%u", has);
        return contradicts(a, name, texts[0], texts[1]);
}

/* What a network is can't be changed once it has learnt. */
static int check_model(const struct train_arguments *a, const struct cosmos_model_info *model)
{
        char given[COSMOS_TOKEN_SCHEME_TEXT], has[COSMOS_TOKEN_SCHEME_TEXT];
        int r = EXIT_OK;

        cosmos_token_scheme_text(&a->options.tokens, given, sizeof(given));
        cosmos_token_scheme_text(&model->tokens, has, sizeof(has));
        if (a->fields && strcmp(given, has) != 0)
                return contradicts(a, "fields", given, has);
        if (a->unit != COSMOS_UNIT_NATURAL && a->unit != model->unit)
                return contradicts(a, "unit", cosmos_unit_name(a->unit), cosmos_unit_name(model->unit));
        r = check_number(a, "layers", a->layers, model->n_layers);
        for (uint32_t l = 0; l < model->n_layers && r == EXIT_OK; l++)
                r = check_number(a, "units", a->units, model->units[l]);
        return r == EXIT_OK ? check_number(a, "embedding", a->embedding, model->embedding) : r;
}

static void take_shape(struct train_arguments *a)
{
        struct cosmos_trainer_options *o = &a->options;

        if (a->embedding)
                o->embedding = a->embedding;
        if (a->layers)
                o->n_layers = a->layers;
        for (uint32_t l = 0; l < o->n_layers; l++)
                o->units[l] = a->units ? a->units : o->units[0];
}

int train_arguments_settle(struct train_arguments *a, const struct cosmos_model_info *model)
{
        struct cosmos_trainer_options *o = &a->options;

        if (model && check_model(a, model) != EXIT_OK)
                return EXIT_ERROR;
        if (model) {
                a->unit = model->unit;
                o->tokens = model->tokens;
                o->window = model->window;
                o->hop = model->hop;
        }
        take_shape(a);
        if (a->window)
                o->window = a->window;
        if (a->hop)
                o->hop = a->hop;
        if (o->hop <= o->window)
                return EXIT_OK;
        cli_say("--hop %u is more than --window %u: calls between windows would never be scored", o->hop, o->window);
        return cli_usage_error();
}
