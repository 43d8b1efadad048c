/* SPDX-License-Identifier: Apache-2.0 */
/* What cosmos-train was told on its command line. */
#ifndef COSMOS_CLI_TRAIN_ARGUMENTS_H
#define COSMOS_CLI_TRAIN_ARGUMENTS_H

#include "common.h"

struct train_arguments {
        struct cli_containers containers;
        const char *output, *init, *checkpoint, *card; /* the last three NULL: not given */
        char **traces;
        size_t n_traces;
        const char *fields;                             /* NULL: not given */
        enum cosmos_unit unit;                          /* COSMOS_UNIT_NATURAL: not given */
        uint32_t layers, units, embedding, window, hop; /* 0: not given */
        struct cosmos_trainer_options options;          /* all else; what is above, after train_arguments_settle() */
};

/* -1: go on; else the exit status. */
int train_arguments_parse(int argc, char **argv, struct train_arguments *ret);

/* What was not given becomes what `model` has, or without one (NULL) as usual. EXIT_OK or EXIT_ERROR. */
int train_arguments_settle(struct train_arguments *arguments, const struct cosmos_model_info *model);

/* Is standard input one of the traces? */
bool train_arguments_has_input(const struct train_arguments *arguments);

#endif
