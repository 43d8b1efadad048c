/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: the layout of the parameters; what a pass needs; packing; forwards, step by step; backwards; the gradients
 * of the matrices; Adam.
 *
 * A token of the batch has a row: the pieces that have a step t stand together, those of step 0 first. Pieces are
 * sorted by their length, so those that go on are the first ones of a step.
 *
 * The embedding is folded into the first layer's kernel, as in the predictor: a token's input is a look-up, and what
 * comes back is summed up by token before it is multiplied by anything.
 */
#include "trainer/network.h"

#include "base/base.h"
#include "base/hash.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#define BETA_1 0.9
#define BETA_2 0.999
#define EPSILON 1e-7
#define BLOCK ((size_t)128)    /* tokens whose derivatives are packed at once */
#define PANEL_MAX ((size_t)64) /* columns of a panel, at most */
#define CHUNK ((size_t)16384)  /* parameters that a thread moves at once */
#define HUGE_PAGE ((size_t)2 << 20)
#define TABLES (COSMOS__NETWORK_FIELDS_MAX + 1)

struct layer {
        size_t units, width;                                       /* width: padded */
        cosmos__real *recurrent, *recurrent_t, *kernel, *kernel_t; /* packed; the first layer's kernel by embedding */
        cosmos__real *bias;                                        /* [4 width] */
        cosmos__real *z, *c, *h, *out; /* [tokens][4 width], [tokens][width]; out: what goes up, h with units dropped */
        cosmos__real *d_recurrent, *d_kernel, *d_bias; /* padded as the packed ones */
};

/* What one field's ids add to the first layer's gates. The frequency is a table of one row. */
struct table {
        size_t size;
        const cosmos__real *embedding; /* among the parameters */
        cosmos__real *rows, *d_rows;   /* [size][4 width] */
        cosmos__real *d_embedding;     /* [size][embedding, padded] */
};

struct cosmos__network {
        struct cosmos__shape shape;
        struct cosmos__layout layout;
        const struct cosmos__training_kernels *kernels;
        struct cosmos__pool *pool;
        cosmos__real *parameters, *moments, *gradient;
        double *norms; /* of the gradient's chunks */

        size_t embedding_width, vocab_width, width_max;
        struct layer layers[COSMOS__NETWORK_LAYERS_MAX];
        struct table tables[TABLES];
        size_t n_tables;
        cosmos__real *dense, *dense_t, *dense_bias, *d_dense, *d_dense_bias;
        cosmos__real *logits; /* [tokens][vocab_width] */
        cosmos__real *d_h;    /* [tokens][width_max]: the derivatives by a layer's h, what goes up from it first */
        cosmos__real *d_c;    /* [pieces][width_max]: those that come back from the step after */
        cosmos__real *zeros;  /* [width_max] */

        /* The batch that is being worked on. */
        const struct cosmos__batch *batch;
        const struct cosmos__pass *pass;
        size_t *first; /* [steps + 1]: a step's first row */
        size_t groups;
        bool learns;         /* or it is only evaluated */
        cosmos__real scale;  /* 1 / calls */
        double *nll, *loss;  /* [pieces] */
        double rate, factor; /* of Adam's step */
};

/* ---- layout ------------------------------------------------------------------------- */

static struct cosmos__parameter place(size_t *at, uint32_t rows, uint32_t columns)
{
        const struct cosmos__parameter p = {*at, rows, columns};

        *at += (size_t)rows * columns;
        return p;
}

void cosmos__layout_init(struct cosmos__layout *ret, const struct cosmos__shape *s)
{
        uint32_t in = s->embedding;

        *ret = (struct cosmos__layout){.n = 0};
        for (uint32_t f = 0; f < s->n_fields; f++)
                ret->fields[f] = place(&ret->n, s->field_size[f], s->embedding);
        if (s->frequency)
                ret->frequency = place(&ret->n, 1, s->embedding);
        for (uint32_t l = 0; l < s->n_layers; l++) {
                ret->layers[l].kernel = place(&ret->n, in, 4 * s->units[l]);
                ret->layers[l].recurrent = place(&ret->n, s->units[l], 4 * s->units[l]);
                ret->layers[l].bias = place(&ret->n, 1, 4 * s->units[l]);
                in = s->units[l];
        }
        ret->dense = place(&ret->n, in, s->vocab);
        ret->dense_bias = place(&ret->n, 1, s->vocab);
}

/* ---- memory --------------------------------------------------------------------------- */

static cosmos__real *reals(size_t rows, size_t columns)
{
        const size_t bytes = rows * columns * sizeof(cosmos__real),
                     alignment = bytes < HUGE_PAGE ? COSMOS__ALIGNMENT : HUGE_PAGE,
                     size = MAX((bytes + alignment - 1) / alignment * alignment, alignment);
        cosmos__real *r = aligned_alloc(alignment, size); /* not calloc(): what no batch reaches stays untouched */

        /* A panel's rows are pages apart, more than a TLB knows. If there are no huge pages, it only takes longer. */
        if (r && alignment == HUGE_PAGE)
                (void)madvise(r, size, MADV_HUGEPAGE);
        return r;
}

static cosmos__real *zeroed(size_t rows, size_t columns)
{
        cosmos__real *r = reals(rows, columns);

        return r ? memset(r, 0, rows * columns * sizeof(*r)) : NULL;
}

static int layer_init(struct cosmos__network *n, uint32_t l, size_t tokens)
{
        struct layer *y = &n->layers[l];
        const size_t in = l == 0 ? n->shape.embedding : n->layers[l - 1].width,
                     in_width = l == 0 ? n->embedding_width : in, gates = 4 * cosmos__padded(n->shape.units[l]);

        y->units = n->shape.units[l];
        y->width = cosmos__padded(y->units);
        y->recurrent = reals(y->width, gates);
        y->recurrent_t = reals(gates, y->width);
        y->kernel = reals(in, gates);
        y->kernel_t = reals(gates, in_width);
        y->bias = reals(1, gates);
        y->z = reals(tokens, gates);
        y->c = reals(tokens, y->width);
        y->h = reals(tokens, y->width);
        y->out = reals(tokens, y->width);
        y->d_recurrent = reals(y->width, gates);
        y->d_kernel = reals(in_width, gates);
        y->d_bias = reals(1, gates);
        n->width_max = MAX(n->width_max, y->width);
        return y->recurrent && y->recurrent_t && y->kernel && y->kernel_t && y->bias && y->z && y->c && y->h &&
                       y->out && y->d_recurrent && y->d_kernel && y->d_bias
                   ? 0
                   : -ENOMEM;
}

static int table_init(struct cosmos__network *n, const struct cosmos__parameter *p)
{
        struct table *t = &n->tables[n->n_tables++];

        t->size = p->rows;
        t->embedding = n->parameters + p->at;
        t->rows = reals(t->size, 4 * n->layers[0].width);
        t->d_rows = reals(t->size, 4 * n->layers[0].width);
        t->d_embedding = reals(t->size, n->embedding_width);
        return t->rows && t->d_rows && t->d_embedding ? 0 : -ENOMEM;
}

static int init(struct cosmos__network *n, size_t pieces, size_t steps)
{
        const size_t tokens = pieces * steps, top = cosmos__padded(n->shape.units[n->shape.n_layers - 1]);
        int r = 0;

        n->embedding_width = cosmos__padded(n->shape.embedding);
        n->vocab_width = cosmos__padded(n->shape.vocab);
        n->parameters = zeroed(1, n->layout.n);
        n->moments = zeroed(2, n->layout.n);
        n->gradient = zeroed(1, n->layout.n);
        n->norms = calloc(n->layout.n / CHUNK + 1, sizeof(*n->norms));
        if (!n->parameters || !n->moments || !n->gradient || !n->norms)
                return -ENOMEM;
        for (uint32_t l = 0; l < n->shape.n_layers && r == 0; l++)
                r = layer_init(n, l, tokens);
        for (uint32_t f = 0; f < n->shape.n_fields && r == 0; f++)
                r = table_init(n, &n->layout.fields[f]);
        if (n->shape.frequency && r == 0)
                r = table_init(n, &n->layout.frequency);
        n->dense = reals(top, n->vocab_width);
        n->dense_t = reals(n->vocab_width, top);
        n->dense_bias = reals(1, n->vocab_width);
        n->d_dense = reals(top, n->vocab_width);
        n->d_dense_bias = reals(1, n->vocab_width);
        n->logits = reals(tokens, n->vocab_width);
        n->d_h = reals(tokens, n->width_max);
        n->d_c = reals(pieces, n->width_max);
        n->zeros = zeroed(1, n->width_max);
        n->first = calloc(steps + 1, sizeof(*n->first));
        n->nll = calloc(pieces, sizeof(*n->nll));
        n->loss = calloc(pieces, sizeof(*n->loss));
        return r == 0 && n->dense && n->dense_t && n->dense_bias && n->d_dense && n->d_dense_bias && n->logits &&
                       n->d_h && n->d_c && n->zeros && n->first && n->nll && n->loss
                   ? 0
                   : -ENOMEM;
}

int cosmos__network_new(struct cosmos__network **ret, const struct cosmos__shape *shape, uint32_t pieces,
                        uint32_t steps, const struct cosmos__training_kernels *kernels, struct cosmos__pool *pool)
{
        struct cosmos__network *n = calloc(1, sizeof(*n));

        if (!n)
                return -ENOMEM;
        n->shape = *shape;
        n->kernels = kernels;
        n->pool = pool;
        cosmos__layout_init(&n->layout, shape);
        if (init(n, pieces, steps) < 0) {
                cosmos__network_free(n);
                return -ENOMEM;
        }
        *ret = n;
        return 0;
}

struct cosmos__network *cosmos__network_free(struct cosmos__network *n)
{
        if (!n)
                return NULL;
        for (size_t l = 0; l < COSMOS__NETWORK_LAYERS_MAX; l++) {
                struct layer *y = &n->layers[l];
                cosmos__real *const all[] = {y->recurrent, y->recurrent_t, y->kernel,   y->kernel_t,
                                             y->bias,      y->z,           y->c,        y->h,
                                             y->out,       y->d_recurrent, y->d_kernel, y->d_bias};

                for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                        free(all[i]);
        }
        for (size_t t = 0; t < n->n_tables; t++) {
                free(n->tables[t].rows);
                free(n->tables[t].d_rows);
                free(n->tables[t].d_embedding);
        }
        free(n->parameters);
        free(n->moments);
        free(n->gradient);
        free(n->norms);
        free(n->dense);
        free(n->dense_t);
        free(n->dense_bias);
        free(n->d_dense);
        free(n->d_dense_bias);
        free(n->logits);
        free(n->d_h);
        free(n->d_c);
        free(n->zeros);
        free(n->first);
        free(n->nll);
        free(n->loss);
        free(n);
        return NULL;
}

cosmos__real *cosmos__network_parameters(struct cosmos__network *n)
{
        return n->parameters;
}

cosmos__real *cosmos__network_moments(struct cosmos__network *n)
{
        return n->moments;
}

const struct cosmos__layout *cosmos__network_layout(const struct cosmos__network *n)
{
        return &n->layout;
}

/* ---- packing ------------------------------------------------------------------------------ */

/* A matrix among the parameters, whose columns, or rows, are `parts` groups of `units`, each padded to `width`. */
struct source {
        const cosmos__real *at;
        size_t rows, columns, parts, units, width;
};

/* Where column `j` of the padded matrix stands; the number of columns: nowhere, it is zero. */
static size_t unpadded(const struct source *s, size_t j)
{
        return j % s->width < s->units && j / s->width < s->parts ? j / s->width * s->units + j % s->width : s->columns;
}

/* [rows][padded columns], panel by panel. */
static void pack(const struct cosmos__network *n, cosmos__real *to, const struct source *s)
{
        const size_t columns = s->parts * s->width;

        for (size_t at = 0, w; at < columns; at += w) {
                size_t from[PANEL_MAX];

                w = cosmos__panel_columns(n->kernels, at, columns);
                for (size_t j = 0; j < w; j++)
                        from[j] = unpadded(s, at + j);
                for (size_t i = 0; i < s->rows; i++)
                        for (size_t j = 0; j < w; j++)
                                *to++ = from[j] < s->columns ? s->at[i * s->columns + from[j]] : 0;
        }
}

/* The same, transposed: [padded columns][rows, padded]. */
static void pack_transposed(const struct cosmos__network *n, cosmos__real *to, const struct source *s)
{
        const size_t rows = cosmos__padded(s->rows), inner = s->parts * s->width;

        for (size_t at = 0, w; at < rows; at += w) {
                w = cosmos__panel_columns(n->kernels, at, rows);
                for (size_t k = 0; k < inner; k++) {
                        const size_t from = unpadded(s, k);

                        for (size_t i = at; i < at + w; i++)
                                *to++ = from < s->columns && i < s->rows ? s->at[i * s->columns + from] : 0;
                }
        }
}

static struct source source_of(const struct cosmos__network *n, const struct cosmos__parameter *p, size_t parts)
{
        const size_t units = p->columns / parts;

        return (struct source){n->parameters + p->at, p->rows, p->columns, parts, units, cosmos__padded(units)};
}

static void pack_vector(cosmos__real *to, const struct source *s, cosmos__real padding)
{
        for (size_t j = 0; j < s->parts * s->width; j++)
                to[j] = unpadded(s, j) < s->columns ? s->at[unpadded(s, j)] : padding;
}

/* Item l: a layer; the one behind: the dense layer. */
static void pack_item(void *userdata, size_t l)
{
        struct cosmos__network *n = userdata;
        struct layer *y = &n->layers[l];
        struct source s;

        if (l == n->shape.n_layers) {
                s = source_of(n, &n->layout.dense, 1);
                pack(n, n->dense, &s);
                pack_transposed(n, n->dense_t, &s);
                s = source_of(n, &n->layout.dense_bias, 1);
                pack_vector(n->dense_bias, &s, (cosmos__real)-COSMOS__LOGIT_MAX);
                return;
        }
        s = source_of(n, &n->layout.layers[l].recurrent, 4);
        pack(n, y->recurrent, &s);
        pack_transposed(n, y->recurrent_t, &s);
        s = source_of(n, &n->layout.layers[l].kernel, 4);
        pack(n, y->kernel, &s);
        pack_transposed(n, y->kernel_t, &s);
        s = source_of(n, &n->layout.layers[l].bias, 4);
        pack_vector(y->bias, &s, 0);
}

static void table_item(void *userdata, size_t i)
{
        struct cosmos__network *n = userdata;
        struct table *t = &n->tables[i];
        const size_t gates = 4 * n->layers[0].width;

        n->kernels->matmul(&(struct cosmos__matmul){
            .c = t->rows,
            .c_row = gates,
            .from = i == 0 ? n->layers[0].bias : NULL,
            .rows = t->size,
            .columns = gates,
            .inner = n->shape.embedding,
            .a = t->embedding,
            .a_row = n->shape.embedding,
            .a_inner = 1,
            .b = n->layers[0].kernel,
        });
}

static void pack_all(struct cosmos__network *n)
{
        cosmos__pool_run(n->pool, pack_item, n, n->shape.n_layers + 1);
        cosmos__pool_run(n->pool, table_item, n, n->n_tables);
}

/* ---- forwards ------------------------------------------------------------------------------- */

/* Rows of a step. */
static size_t rows_at(const struct cosmos__network *n, size_t t)
{
        return n->first[t + 1] - n->first[t];
}

/* How many rows of a step are a group's: those of pieces group, group + groups, ... */
static size_t rows_of(const struct cosmos__network *n, size_t t, size_t group)
{
        const size_t rows = rows_at(n, t);

        return rows > group ? (rows - group - 1) / n->groups + 1 : 0;
}

/* c = from + a * b of a group's rows, of which the first ones are given. `from`: NULL, or of rows like c's. */
static void multiply(const struct cosmos__network *n, size_t rows, cosmos__real *c, size_t columns, size_t c_row,
                     const cosmos__real *from, size_t from_row, const cosmos__real *a, size_t inner, size_t a_row,
                     const cosmos__real *b)
{
        n->kernels->matmul(&(struct cosmos__matmul){
            .c = c,
            .c_row = c_row * n->groups,
            .from = from,
            .from_row = from_row * n->groups,
            .rows = rows,
            .columns = columns,
            .inner = inner,
            .a = a,
            .a_row = a_row * n->groups,
            .a_inner = 1,
            .b = b,
        });
}

/* to[u] = from[u], or 0 where the unit is dropped (Srivastava et al. 2014; of the connections that are not recurrent:
 * Zaremba et al. 2014). The same ones on the way back: they follow from the row. */
static void drop(const struct cosmos__network *n, size_t l, size_t row, cosmos__real *to, const cosmos__real *from)
{
        const uint32_t base = (uint32_t)cosmos__hash_mix(n->pass->noise ^ (uint64_t)l << 56 ^ row);
        const uint32_t least = (uint32_t)((double)n->pass->dropout * 4294967296.0);
        const cosmos__real kept = (cosmos__real)(1 / (1 - (double)n->pass->dropout));

        for (size_t u = 0; u < n->layers[l].width; u++) {
                uint32_t x = base + (uint32_t)u * 0x9e3779b9u;

                x = (x ^ x >> 16) * 0x7feb352du; /* lowbias32 (Wellons 2018) */
                x = (x ^ x >> 15) * 0x846ca68bu;
                x ^= x >> 16;
                to[u] = x < least ? 0 : from[u] * kept;
        }
}

/* What a token adds to the first layer's gates: that of its name is returned, that of the rest is added to z. */
static const cosmos__real *look_up(const struct cosmos__network *n, size_t t, size_t piece, cosmos__real *z)
{
        const struct cosmos__batch *b = n->batch;
        const size_t gates = 4 * n->layers[0].width, at = piece * b->steps + t;
        const uint32_t *ids = b->inputs + at * n->shape.n_fields;

        for (size_t f = 1; f < n->shape.n_fields; f++)
                n->kernels->add(z, n->tables[f].rows + ids[f] * gates, 1, gates);
        if (n->shape.frequency)
                n->kernels->add(z, n->tables[n->shape.n_fields].rows, (cosmos__real)b->frequency[at], gates);
        return n->tables[0].rows + ids[0] * gates;
}

/* What goes up from a layer. */
static const cosmos__real *out_of(const struct cosmos__network *n, size_t l)
{
        return n->pass->dropout > 0 ? n->layers[l].out : n->layers[l].h;
}

static void forward_step(struct cosmos__network *n, size_t l, size_t t, size_t group)
{
        struct layer *y = &n->layers[l];
        const size_t rows = rows_of(n, t, group), first = n->first[t] + group, gates = 4 * y->width,
                     before = t > 0 ? n->first[t - 1] + group : 0;
        cosmos__real *z = y->z + first * gates;

        /* Of nothing, at step 0: z is set to zero. */
        multiply(n, rows, z, gates, gates, NULL, 0, y->h + before * y->width, t > 0 ? y->units : 0, y->width,
                 y->recurrent);
        if (l > 0)
                multiply(n, rows, z, gates, gates, z, gates, out_of(n, l - 1) + first * n->layers[l - 1].width,
                         n->layers[l - 1].units, n->layers[l - 1].width, y->kernel);
        for (size_t i = 0; i < rows; i++) {
                const size_t row = first + i * n->groups;
                const cosmos__real *x = l == 0 ? look_up(n, t, group + i * n->groups, y->z + row * gates) : y->bias;

                n->kernels->forward(y->z + row * gates, x,
                                    t > 0 ? y->c + (before + i * n->groups) * y->width : n->zeros,
                                    y->c + row * y->width, y->h + row * y->width, y->width);
                if (n->pass->dropout > 0)
                        drop(n, l, row, y->out + row * y->width, y->h + row * y->width);
        }
}

/* The derivatives by what goes up from a layer are those by its h, but for the units that are dropped. */
static void drop_back(const struct cosmos__network *n, size_t l, size_t t, size_t group)
{
        for (size_t i = 0; n->pass->dropout > 0 && i < rows_of(n, t, group); i++) {
                const size_t row = n->first[t] + group + i * n->groups;

                drop(n, l, row, n->d_h + row * n->width_max, n->d_h + row * n->width_max);
        }
}

static void dense_step(struct cosmos__network *n, size_t t, size_t group)
{
        const size_t l = n->shape.n_layers - 1, width = n->layers[l].width, rows = rows_of(n, t, group),
                     first = n->first[t] + group;
        cosmos__real *logits = n->logits + first * n->vocab_width;

        multiply(n, rows, logits, n->vocab_width, n->vocab_width, n->dense_bias, 0, out_of(n, l) + first * width,
                 n->layers[l].units, width, n->dense);
        for (size_t i = 0; i < rows; i++) {
                const size_t piece = group + i * n->groups;

                n->nll[piece] += n->kernels->cross_entropy(logits + i * n->groups * n->vocab_width, n->shape.vocab,
                                                           n->batch->targets[piece * n->batch->steps + t],
                                                           (cosmos__real)n->pass->smoothing, n->scale, &n->loss[piece]);
        }
        if (!n->learns)
                return;
        /* Now, while the derivatives by the logits are at hand. */
        multiply(n, rows, n->d_h + first * n->width_max, width, n->width_max, NULL, 0, logits, n->vocab_width,
                 n->vocab_width, n->dense_t);
        drop_back(n, l, t, group);
}

static void forward_group(struct cosmos__network *n, size_t group)
{
        for (size_t p = group; p < n->batch->pieces; p += n->groups)
                n->nll[p] = n->loss[p] = 0;
        for (size_t t = 0; t < n->batch->steps && rows_of(n, t, group) > 0; t++) {
                for (size_t l = 0; l < n->shape.n_layers; l++)
                        forward_step(n, l, t, group);
                dense_step(n, t, group);
        }
}

/* ---- backwards --------------------------------------------------------------------------------- */

static void backward_step(struct cosmos__network *n, size_t l, size_t t, size_t group)
{
        struct layer *y = &n->layers[l];
        const size_t rows = rows_of(n, t, group), first = n->first[t] + group, gates = 4 * y->width, max = n->width_max,
                     before = t > 0 ? n->first[t - 1] + group : 0;
        const cosmos__real *z = y->z + first * gates;

        for (size_t i = 0; i < rows; i++) {
                const size_t row = first + i * n->groups, piece = group + i * n->groups;

                n->kernels->backward(y->z + row * gates, t > 0 ? y->c + (before + i * n->groups) * y->width : n->zeros,
                                     y->c + row * y->width, n->d_h + row * max, n->d_c + piece * max, y->width);
        }
        if (t > 0)
                multiply(n, rows, n->d_h + before * max, y->width, max, n->d_h + before * max, max, z, gates, gates,
                         y->recurrent_t);
        if (l > 0) {
                multiply(n, rows, n->d_h + first * max, n->layers[l - 1].width, max, NULL, 0, z, gates, gates,
                         y->kernel_t);
                drop_back(n, l - 1, t, group);
        }
}

static void backward_group(struct cosmos__network *n, size_t group)
{
        for (size_t l = n->shape.n_layers; l-- > 0;) {
                for (size_t p = group; p < n->batch->pieces; p += n->groups)
                        memset(n->d_c + p * n->width_max, 0, n->width_max * sizeof(*n->d_c));
                for (size_t t = n->batch->length[group]; t-- > 0;)
                        backward_step(n, l, t, group);
        }
}

/* ---- the gradients of the matrices ---------------------------------------------------------------- */

/* Columns of the derivatives d of some tokens, which stand together for as many products as they are needed for. */
struct panel {
        size_t at, width, tokens;
        const cosmos__real *next; /* where those of the next tokens are; NULL: there are none */
        _Alignas(COSMOS__ALIGNMENT) cosmos__real d[BLOCK * PANEL_MAX];
};

static void clear_columns(cosmos__real *gradient, size_t rows, size_t columns, const struct panel *p)
{
        for (size_t i = 0; i < rows; i++)
                memset(gradient + i * columns + p->at, 0, p->width * sizeof(*gradient));
}

/* From d[left][columns], as many tokens as there is room for. */
static void copy_columns(struct panel *p, const cosmos__real *d, size_t columns, size_t left)
{
        p->tokens = MIN(left, BLOCK);
        p->next = left > BLOCK ? d + BLOCK * columns + p->at : NULL;
        for (size_t i = 0; i < p->tokens; i++)
                memcpy(p->d + i * p->width, d + i * columns + p->at, p->width * sizeof(*d));
}

/* To a matrix's gradient [rows][columns], the sum over the tokens of a column of a[token][a_row] times a row of d. */
static void add_outer(const struct cosmos__network *n, cosmos__real *gradient, size_t rows, size_t columns,
                      const cosmos__real *a, size_t a_row, const struct panel *p)
{
        n->kernels->matmul(&(struct cosmos__matmul){
            .c = gradient + p->at,
            .c_row = columns,
            .from = gradient + p->at,
            .from_row = columns,
            .rows = rows,
            .columns = p->width,
            .inner = p->tokens,
            .a = a,
            .a_row = 1,
            .a_inner = a_row,
            .b = p->d,
            .next = p->next,
            .next_row = columns,
        });
}

/* To a bias's gradient, the sum of d. */
static void add_sum(const struct cosmos__network *n, cosmos__real *gradient, const struct panel *p)
{
        static const cosmos__real one = 1;

        add_outer(n, gradient, 1, 0, &one, 0, p);
}

static void dense_panel(const struct cosmos__network *n, struct panel *p)
{
        const size_t top = n->shape.n_layers - 1, units = n->layers[top].units, width = n->layers[top].width,
                     columns = n->vocab_width, tokens = n->first[n->batch->steps];

        clear_columns(n->d_dense, units, columns, p);
        clear_columns(n->d_dense_bias, 1, columns, p);
        for (size_t k = 0; k < tokens; k += p->tokens) {
                copy_columns(p, n->logits + k * columns, columns, tokens - k);
                add_outer(n, n->d_dense, units, columns, out_of(n, top) + k * width, width, p);
                add_sum(n, n->d_dense_bias, p);
        }
}

/* To the derivatives by the rows of the tables, those of the tokens from `first` on, of step t or later. */
static void add_to_tables(const struct cosmos__network *n, size_t t, size_t first, const struct panel *p)
{
        const size_t gates = 4 * n->layers[0].width, fields = n->shape.n_fields;

        for (size_t i = 0; i < p->tokens; i++) {
                size_t token;

                while (first + i >= n->first[t + 1])
                        t++;
                token = (first + i - n->first[t]) * n->batch->steps + t;
                for (size_t f = 0; f < n->n_tables; f++) {
                        const size_t row = f < fields ? n->batch->inputs[token * fields + f] : 0;

                        n->kernels->add(n->tables[f].d_rows + row * gates + p->at, p->d + i * p->width,
                                        f < fields ? 1 : (cosmos__real)n->batch->frequency[token], p->width);
                }
        }
}

/* The derivatives by the first kernel, from those by the rows of the tables. */
static void first_kernel_panel(const struct cosmos__network *n, struct panel *p)
{
        const size_t gates = 4 * n->layers[0].width, embedding = n->shape.embedding;

        for (size_t i = 0; i < n->n_tables; i++) {
                const struct table *t = &n->tables[i];

                for (size_t id = 0; id < t->size; id += p->tokens) {
                        copy_columns(p, t->d_rows + id * gates, gates, t->size - id);
                        add_outer(n, n->layers[0].d_kernel, embedding, gates, t->embedding + id * embedding, embedding,
                                  p);
                }
        }
}

/* Step t and those after it, up to the one that is returned, whose tokens have the one of the step before equally far
 * away. */
static size_t end_of_run(const struct cosmos__network *n, size_t t)
{
        size_t end = t + 1;

        while (t > 0 && end < n->batch->steps && rows_at(n, end - 1) == rows_at(n, t - 1))
                end++;
        return end;
}

static void gates_panel(const struct cosmos__network *n, size_t l, struct panel *p)
{
        const struct layer *y = &n->layers[l], *below = l > 0 ? y - 1 : NULL;
        const size_t gates = 4 * y->width;

        clear_columns(y->d_recurrent, y->units, gates, p);
        clear_columns(y->d_kernel, below ? below->units : n->shape.embedding, gates, p);
        clear_columns(y->d_bias, 1, gates, p);
        for (size_t i = 0; l == 0 && i < n->n_tables; i++)
                clear_columns(n->tables[i].d_rows, n->tables[i].size, gates, p);
        for (size_t t = 0, end; t < n->batch->steps; t = end) {
                end = end_of_run(n, t);
                for (size_t k = n->first[t]; k < n->first[end]; k += p->tokens) {
                        copy_columns(p, y->z + k * gates, gates, n->first[end] - k);
                        if (t > 0)
                                add_outer(n, y->d_recurrent, y->units, gates, y->h + (k - rows_at(n, t - 1)) * y->width,
                                          y->width, p);
                        if (below)
                                add_outer(n, y->d_kernel, below->units, gates, out_of(n, l - 1) + k * below->width,
                                          below->width, p);
                        else
                                add_to_tables(n, t, k, p);
                        add_sum(n, y->d_bias, p);
                }
        }
        if (!below)
                first_kernel_panel(n, p);
}

static size_t panels_of(const struct cosmos__network *n, size_t columns)
{
        return (columns + n->kernels->panel - 1) / n->kernels->panel;
}

/* What there is to do: panel after panel of the derivatives by one layer's gates after another's, then by the logits,
 * which take less time. */
static size_t n_gradient_items(const struct cosmos__network *n)
{
        size_t items = panels_of(n, n->vocab_width);

        for (size_t l = 0; l < n->shape.n_layers; l++)
                items += panels_of(n, 4 * n->layers[l].width);
        return items;
}

static void gradient_item(void *userdata, size_t item)
{
        const struct cosmos__network *n = userdata;
        size_t l = 0, columns;
        struct panel p;

        for (;; l++) {
                columns = l < n->shape.n_layers ? 4 * n->layers[l].width : n->vocab_width;
                if (item < panels_of(n, columns))
                        break;
                item -= panels_of(n, columns);
        }
        p.at = item * n->kernels->panel;
        p.width = cosmos__panel_columns(n->kernels, p.at, columns);
        if (l < n->shape.n_layers)
                gates_panel(n, l, &p);
        else
                dense_panel(n, &p);
}

static void embedding_item(void *userdata, size_t i)
{
        struct cosmos__network *n = userdata;
        const struct table *t = &n->tables[i];
        const size_t gates = 4 * n->layers[0].width;

        n->kernels->matmul(&(struct cosmos__matmul){
            .c = t->d_embedding,
            .c_row = n->embedding_width,
            .rows = t->size,
            .columns = n->embedding_width,
            .inner = gates,
            .a = t->d_rows,
            .a_row = gates,
            .a_inner = 1,
            .b = n->layers[0].kernel_t,
        });
}

/* A padded matrix [rows][parts * width] to its place in the gradient. */
static void unpad(struct cosmos__network *n, const struct cosmos__parameter *p, size_t parts, const cosmos__real *from,
                  size_t row)
{
        const struct source s = source_of(n, p, parts);
        cosmos__real *to = n->gradient + p->at;

        for (size_t i = 0; i < p->rows; i++)
                for (size_t part = 0; part < parts; part++, to += s.units)
                        memcpy(to, from + i * row + part * s.width, s.units * sizeof(*to));
}

static void collect_gradient(struct cosmos__network *n)
{
        for (uint32_t f = 0; f < n->shape.n_fields; f++)
                unpad(n, &n->layout.fields[f], 1, n->tables[f].d_embedding, n->embedding_width);
        if (n->shape.frequency)
                unpad(n, &n->layout.frequency, 1, n->tables[n->shape.n_fields].d_embedding, n->embedding_width);
        for (uint32_t l = 0; l < n->shape.n_layers; l++) {
                const struct layer *y = &n->layers[l];

                unpad(n, &n->layout.layers[l].kernel, 4, y->d_kernel, 4 * y->width);
                unpad(n, &n->layout.layers[l].recurrent, 4, y->d_recurrent, 4 * y->width);
                unpad(n, &n->layout.layers[l].bias, 4, y->d_bias, 4 * y->width);
        }
        unpad(n, &n->layout.dense, 1, n->d_dense, n->vocab_width);
        unpad(n, &n->layout.dense_bias, 1, n->d_dense_bias, n->vocab_width);
}

/* ---- a batch ------------------------------------------------------------------------------------------ */

static void begin(struct cosmos__network *n, const struct cosmos__batch *batch, const struct cosmos__pass *pass,
                  bool learns)
{
        size_t piece = batch->pieces;

        n->batch = batch;
        n->pass = pass;
        n->learns = learns;
        n->groups = MIN(cosmos__pool_threads(n->pool), (size_t)batch->pieces);
        n->first[0] = 0;
        for (size_t t = 0; t < batch->steps; t++) {
                while (piece > 0 && batch->length[piece - 1] <= t)
                        piece--;
                n->first[t + 1] = n->first[t] + piece;
        }
        n->scale = (cosmos__real)(1 / (double)n->first[batch->steps]);
        pack_all(n);
}

static void sum_up(const struct cosmos__network *n, struct cosmos__loss *ret)
{
        *ret = (struct cosmos__loss){.calls = n->first[n->batch->steps]};
        for (size_t p = 0; p < n->batch->pieces; p++) {
                ret->nll += n->nll[p];
                ret->loss += n->loss[p];
        }
}

static void group_item(void *userdata, size_t group)
{
        struct cosmos__network *n = userdata;

        forward_group(n, group);
        if (n->learns)
                backward_group(n, group);
}

void cosmos__network_evaluate(struct cosmos__network *n, const struct cosmos__batch *batch,
                              const struct cosmos__pass *pass, struct cosmos__loss *ret)
{
        begin(n, batch, pass, false);
        cosmos__pool_run(n->pool, group_item, n, n->groups);
        sum_up(n, ret);
}

const cosmos__real *cosmos__network_gradient(struct cosmos__network *n, const struct cosmos__batch *batch,
                                             const struct cosmos__pass *pass, struct cosmos__loss *ret)
{
        begin(n, batch, pass, true);
        cosmos__pool_run(n->pool, group_item, n, n->groups);
        cosmos__pool_run(n->pool, gradient_item, n, n_gradient_items(n));
        cosmos__pool_run(n->pool, embedding_item, n, n->n_tables);
        collect_gradient(n);
        sum_up(n, ret);
        return n->gradient;
}

/* ---- Adam ------------------------------------------------------------------------------------------------ */

static void norm_item(void *userdata, size_t chunk)
{
        struct cosmos__network *n = userdata;
        const size_t end = MIN((chunk + 1) * CHUNK, n->layout.n);
        double sum = 0;

        for (size_t i = chunk * CHUNK; i < end; i++)
                sum += (double)n->gradient[i] * (double)n->gradient[i];
        n->norms[chunk] = sum;
}

static void adam_item(void *userdata, size_t chunk)
{
        struct cosmos__network *n = userdata;
        const size_t end = MIN((chunk + 1) * CHUNK, n->layout.n);
        const cosmos__real factor = (cosmos__real)n->factor, rate = (cosmos__real)n->rate,
                           b1 = (cosmos__real)(1 - BETA_1), b2 = (cosmos__real)(1 - BETA_2),
                           epsilon = (cosmos__real)EPSILON;
        cosmos__real *restrict m = n->moments, *restrict v = n->moments + n->layout.n, *restrict p = n->parameters;

        for (size_t i = chunk * CHUNK; i < end; i++) {
                const cosmos__real g = n->gradient[i] * factor;

                m[i] += (g - m[i]) * b1;
                v[i] += (g * g - v[i]) * b2;
#ifdef COSMOS__DOUBLE
                p[i] -= rate * m[i] / (sqrt(v[i]) + epsilon);
#else
                p[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
#endif
        }
}

double cosmos__network_learn(struct cosmos__network *n, double rate, double clip, uint64_t step)
{
        const size_t chunks = (n->layout.n + CHUNK - 1) / CHUNK;
        double norm = 0;

        cosmos__pool_run(n->pool, norm_item, n, chunks);
        for (size_t i = 0; i < chunks; i++)
                norm += n->norms[i];
        norm = sqrt(norm);
        n->factor = clip > 0 && norm > clip ? clip / norm : 1;
        n->rate = rate * sqrt(1 - pow(BETA_2, (double)step)) / (1 - pow(BETA_1, (double)step));
        cosmos__pool_run(n->pool, adam_item, n, chunks);
        return norm;
}
