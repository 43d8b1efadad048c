/* SPDX-License-Identifier: Apache-2.0 */
/* A model file with other metadata: read, loaded to see that it is good, put together anew, and loaded again. */
#include "predictor/safetensors.h"

#include "base/base.h"

#include <cosmos/model.h>

#include <errno.h>
#include <string.h>

/* Of a file that has been loaded: all is known to be as it must be. */
static void take_tensor(struct cosmos__tensor *ret, const struct cosmos__safetensors *file, const char *name,
                        const json_t *entry)
{
        const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
        const size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0)),
                     end = (size_t)json_integer_value(json_array_get(offsets, 1));

        snprintf(ret->name, sizeof(ret->name), "%s", name);
        ret->dtype = COSMOS__F32;
        while (strcmp(cosmos__dtype_name(ret->dtype), json_string_value(json_object_get(entry, "dtype"))))
                ret->dtype++;
        ret->n_dims = (uint32_t)json_array_size(shape);
        for (uint32_t i = 0; i < ret->n_dims; i++)
                ret->shape[i] = (uint32_t)json_integer_value(json_array_get(shape, i));
        ret->data = file->data + begin;
        ret->n = (end - begin) / cosmos__dtype_size(ret->dtype);
}

static int change(json_t *metadata, const struct cosmos_model_metadata_entry *entries, size_t n,
                  struct cosmos_diag *reterr)
{
        char quoted[80];

        for (size_t i = 0; i < n; i++) {
                json_t *value = entries[i].value ? json_string(entries[i].value) : NULL;

                if (!entries[i].value)
                        json_object_del(metadata, entries[i].key);
                else if (!value || json_object_set_new(metadata, entries[i].key, value) < 0)
                        return cosmos__fail(reterr, -EINVAL, "the value of '%s' is not UTF-8, or there is no memory",
                                            cosmos__quote_str(quoted, sizeof(quoted), entries[i].key));
        }
        return 0;
}

/* The same tensors with `metadata`. */
static int put_together(uint8_t **ret, size_t *ret_size, const struct cosmos__safetensors *file, const json_t *metadata,
                        struct cosmos_diag *reterr)
{
        _cleanup_free_ struct cosmos__tensor *tensors = calloc(json_object_size(file->header), sizeof(*tensors));
        const char *name;
        json_t *entry;
        size_t n = 0;

        if (!tensors)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        json_object_foreach(file->header, name, entry)
        {
                if (entry != file->metadata)
                        take_tensor(&tensors[n++], file, name, entry);
        }
        return cosmos__safetensors_write(ret, ret_size, metadata, tensors, n, reterr);
}

static int rewrite(uint8_t **ret, size_t *ret_size, const char *data, size_t size,
                   const struct cosmos_model_metadata_entry *entries, size_t n, struct cosmos_diag *reterr)
{
        _cleanup_(cosmos__safetensors_close) struct cosmos__safetensors file = {0};
        json_auto_t *metadata = NULL;
        int r;

        r = cosmos__safetensors_open(&file, (const uint8_t *)data, size, reterr);
        if (r < 0)
                return r;
        metadata = json_deep_copy(file.metadata);
        if (!metadata)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        r = change(metadata, entries, n, reterr);
        return r < 0 ? r : put_together(ret, ret_size, &file, metadata, reterr);
}

static int check(const void *data, size_t size, const char *name, struct cosmos_diag *reterr)
{
        cosmos_model *model = NULL;
        int r = cosmos_model_load(&model, data, size, name, NULL, reterr);

        cosmos_model_unref(model);
        return r;
}

COSMOS_API int cosmos_model_copy(const char *from, const char *to, const struct cosmos_model_metadata_entry *entries,
                                 size_t n, struct cosmos_diag *reterr)
{
        _cleanup_free_ char *data = NULL;
        _cleanup_free_ uint8_t *copy = NULL;
        char quoted[160], text[64];
        struct cosmos_diag why;
        size_t size;
        int r;

        if (!from || !to || (n && !entries))
                return cosmos__fail(reterr, -EINVAL, "model: `from`, `to` and `entries` must not be NULL");
        r = cosmos__read_file(from, COSMOS__SAFETENSORS_MAX, &data, &size);
        if (r < 0)
                return cosmos__fail(reterr, r, "model '%s': can't be read: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), from),
                                    cosmos_strerror(r, text, sizeof(text)));
        r = check(data, size, from, reterr);
        if (r < 0)
                return r;
        cosmos__quote_str(quoted, sizeof(quoted), to);
        r = rewrite(&copy, &size, data, size, entries, n, &why);
        if (r < 0)
                return cosmos__fail(reterr, r, "model '%s': not written: %s", quoted, why.text);
        r = check(copy, size, to, reterr);
        if (r < 0)
                return r == -COSMOS_EFORMAT || r == -COSMOS_EVERSION ? -EINVAL : r;
        r = cosmos__write_file(to, copy, size);
        if (r < 0)
                return cosmos__fail(reterr, r, "model '%s': not written: %s; what was there is as it was", quoted,
                                    cosmos_strerror(r, text, sizeof(text)));
        return 0;
}
