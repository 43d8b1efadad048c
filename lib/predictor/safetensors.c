/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/safetensors.h"

#include "base/base.h"
#include "base/buffer.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define LENGTH_SIZE 8 /* of the header length, at the start of the file */

/* Objects and lists in a header. An empty one costs the JSON library 80 times
 * its text, so a header of nothing else would be a lever on our memory. */
#define NESTED_MAX 10000

/* A tensor's bytes, begin .. end-1 of the data. */
struct range {
        const char *name;
        uint64_t begin, end;
        size_t align;
};

static uint64_t read_length(const uint8_t *bytes)
{
        uint64_t length;

        memcpy(&length, bytes, sizeof(length));
        return le64toh(length);
}

static size_t count_nested(const char *text, size_t length)
{
        size_t n = 0;

        for (size_t i = 0; i < length; i++)
                n += text[i] == '{' || text[i] == '[';
        return n;
}

static int read_header(json_t **ret, const char *text, size_t length, struct cosmos_diag *reterr)
{
        char quoted[200];
        json_error_t error;
        json_t *header;

        if (count_nested(text, length) > NESTED_MAX)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "the header holds more than %d JSON objects and lists",
                                    NESTED_MAX);
        header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
        if (!header)
                return cosmos__fail(reterr,
                                    json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -COSMOS_EFORMAT,
                                    "the header is not valid JSON: byte %d: %s", LENGTH_SIZE + error.position,
                                    cosmos__quote_str(quoted, sizeof(quoted), error.text));
        if (!json_is_object(header)) {
                json_decref(header);
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "the header is not a JSON object");
        }
        *ret = header;
        return 0;
}

int cosmos__safetensors_open(struct cosmos__safetensors *ret, const uint8_t *bytes, size_t size,
                             struct cosmos_diag *reterr)
{
        struct cosmos__safetensors file = {0};
        uint64_t length;
        int r;

        if (size > COSMOS__SAFETENSORS_MAX)
                return cosmos__fail(reterr, -EFBIG, "the file has %zu bytes; at most %zu are read", size,
                                    COSMOS__SAFETENSORS_MAX);
        if (size < LENGTH_SIZE)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "the file has %zu bytes, not even a header length of %d",
                                    size, LENGTH_SIZE);
        length = read_length(bytes);
        if (length > COSMOS__SAFETENSORS_HEADER_MAX)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "the header length is %ju; at most %zu bytes are read",
                                    (uintmax_t)length, COSMOS__SAFETENSORS_HEADER_MAX);
        if (length > size - LENGTH_SIZE)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "the header length is %ju, but only %zu bytes follow; is the file cut short?",
                                    (uintmax_t)length, size - LENGTH_SIZE);

        r = read_header(&file.header, (const char *)bytes + LENGTH_SIZE, (size_t)length, reterr);
        if (r < 0)
                return r;
        file.metadata = json_object_get(file.header, "__metadata__");
        if (!json_is_object(file.metadata)) {
                json_decref(file.header);
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "the header has no object '__metadata__'");
        }
        file.data = bytes + LENGTH_SIZE + length;
        file.size = size - LENGTH_SIZE - (size_t)length;
        *ret = file;
        return 0;
}

bool cosmos__safetensors_rows(const struct cosmos__safetensors *file, const char *name, uint32_t *ret_rows)
{
        const json_t *entry = json_object_get(file->header, name);
        const json_int_t rows = json_integer_value(json_array_get(json_object_get(entry, "shape"), 0));

        *ret_rows = rows > 0 && rows <= UINT32_MAX ? (uint32_t)rows : 0;
        return entry != NULL;
}

void cosmos__safetensors_close(struct cosmos__safetensors *file)
{
        json_decref(file->header);
        *file = (struct cosmos__safetensors){0};
}

static int read_range(struct range *ret, const char *name, const json_t *entry, struct cosmos_diag *reterr)
{
        const json_t *offsets = json_object_get(entry, "data_offsets");
        const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
        char quoted[80];

        cosmos__quote_str(quoted, sizeof(quoted), name);
        if (!json_is_object(entry))
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor '%s': its header entry is not an object", quoted);
        if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
            json_integer_value(begin) < 0 || json_integer_value(begin) > json_integer_value(end))
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "tensor '%s': data_offsets is not [begin, end] with 0 <= begin <= end", quoted);
        *ret = (struct range){
            .name = name,
            .begin = (uint64_t)json_integer_value(begin),
            .end = (uint64_t)json_integer_value(end),
            .align = 1,
        };
        return 0;
}

static const char *show_expected(char *buf, size_t size, const struct cosmos__tensor *tensor)
{
        if (tensor->n_dims == 1)
                snprintf(buf, size, "[%u]", tensor->shape[0]);
        else
                snprintf(buf, size, "[%u,%u]", tensor->shape[0], tensor->shape[1]);
        return buf;
}

static const char *show_found(char *buf, size_t size, const json_t *shape)
{
        const json_t *a = json_array_get(shape, 0), *b = json_array_get(shape, 1);

        if (json_array_size(shape) == 1 && json_is_integer(a))
                snprintf(buf, size, "[%jd]", (intmax_t)json_integer_value(a));
        else if (json_array_size(shape) == 2 && json_is_integer(a) && json_is_integer(b))
                snprintf(buf, size, "[%jd,%jd]", (intmax_t)json_integer_value(a), (intmax_t)json_integer_value(b));
        else
                snprintf(buf, size, "not a list of one or two integers");
        return buf;
}

static int check_shape(const struct cosmos__tensor *tensor, const json_t *shape, struct cosmos_diag *reterr)
{
        bool same = json_array_size(shape) == tensor->n_dims;
        char expected[64], found[64];

        for (uint32_t i = 0; same && i < tensor->n_dims; i++) {
                const json_t *dim = json_array_get(shape, i);

                same = json_is_integer(dim) && json_integer_value(dim) == (json_int_t)tensor->shape[i];
        }
        if (same)
                return 0;
        return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor '%s': shape is %s; by the metadata it must be %s",
                            tensor->name, show_found(found, sizeof(found), shape),
                            show_expected(expected, sizeof(expected), tensor));
}

/* Present, of the right type and shape, and as many bytes as the shape says. */
static int find_tensor(const json_t *header, struct cosmos__tensor *tensor, struct range *range,
                       struct cosmos_diag *reterr)
{
        const json_t *entry = json_object_get(header, tensor->name);
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        char quoted[40];
        uint64_t bytes;
        int r;

        if (!entry)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor '%s' is missing", tensor->name);
        if (!dtype || strcmp(dtype, cosmos__dtype_name(tensor->dtype)) != 0)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor '%s': dtype is '%s', not '%s'", tensor->name,
                                    cosmos__quote_str(quoted, sizeof(quoted), dtype),
                                    cosmos__dtype_name(tensor->dtype));
        r = check_shape(tensor, json_object_get(entry, "shape"), reterr);
        if (r < 0)
                return r;
        r = read_range(range, tensor->name, entry, reterr);
        if (r < 0)
                return r;

        bytes = (uint64_t)tensor->shape[0] * (tensor->n_dims == 2 ? tensor->shape[1] : 1);
        if (__builtin_mul_overflow(bytes, cosmos__dtype_size(tensor->dtype), &bytes) ||
            range->end - range->begin != bytes)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "tensor '%s': data_offsets span %ju bytes; its shape needs %ju", tensor->name,
                                    (uintmax_t)(range->end - range->begin), (uintmax_t)bytes);
        range->align = cosmos__dtype_size(tensor->dtype);
        if (json_object_size(entry) != 3)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "tensor '%s': its header entry holds more than dtype, shape and data_offsets",
                                    tensor->name);
        return 0;
}

static int by_begin(const void *a, const void *b)
{
        const struct range *x = a, *y = b;

        if (x->begin != y->begin)
                return x->begin < y->begin ? -1 : 1;
        return (x->end > y->end) - (x->end < y->end);
}

static int check_range(const struct cosmos__safetensors *file, const struct range *range, struct cosmos_diag *reterr)
{
        char quoted[80];

        cosmos__quote_str(quoted, sizeof(quoted), range->name);
        if (range->end > file->size)
                return cosmos__fail(
                    reterr, -COSMOS_EFORMAT,
                    "tensor '%s': data_offsets end at %ju, but the file holds %zu bytes of data; is it cut short?",
                    quoted, (uintmax_t)range->end, file->size);
        if (range->begin % range->align != 0)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "tensor '%s': data_offsets begin at %ju, which is not a multiple of %zu", quoted,
                                    (uintmax_t)range->begin, range->align);
        return 0;
}

/* All tensors of the file, also those that are not expected: one after the other from the first byte to the last. */
static int check_layout(const struct cosmos__safetensors *file, struct range *ranges, size_t n,
                        struct cosmos_diag *reterr)
{
        char a[80], b[80];
        uint64_t covered = 0;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = check_range(file, &ranges[i], reterr);
                if (r < 0)
                        return r;
        }
        qsort(ranges, n, sizeof(*ranges), by_begin);
        for (size_t i = 0; i < n; i++) {
                cosmos__quote_str(a, sizeof(a), ranges[i].name);
                if (ranges[i].begin < covered)
                        return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensors '%s' and '%s' overlap at data byte %ju",
                                            cosmos__quote_str(b, sizeof(b), ranges[i - 1].name), a,
                                            (uintmax_t)ranges[i].begin);
                if (ranges[i].begin > covered)
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "tensor '%s': a hole of %ju bytes before it, at data byte %ju", a,
                                            (uintmax_t)(ranges[i].begin - covered), (uintmax_t)covered);
                covered = ranges[i].end;
        }
        if (covered != file->size)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%ju bytes follow the data of the last tensor",
                                    (uintmax_t)(file->size - covered));
        return 0;
}

static bool is_expected(const struct cosmos__tensor *tensors, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (!strcmp(tensors[i].name, name))
                        return true;
        return false;
}

/* The ranges of the tensors that are not expected, and the name of the first. */
static int read_others(json_t *header, const struct cosmos__tensor *tensors, size_t n, struct range *ranges,
                       const char **ret_first, struct cosmos_diag *reterr)
{
        const char *name;
        json_t *entry;
        int r;

        json_object_foreach(header, name, entry)
        {
                if (!strcmp(name, "__metadata__") || is_expected(tensors, n, name))
                        continue;
                r = read_range(ranges++, name, entry, reterr);
                if (r < 0)
                        return r;
                if (!*ret_first)
                        *ret_first = name;
        }
        return 0;
}

static int check_values(const struct cosmos__tensor *tensor, struct cosmos_diag *reterr)
{
        for (size_t i = 0; i < tensor->n; i++) {
                if (tensor->dtype == COSMOS__I8 && cosmos__tensor_q(tensor, i) == INT8_MIN)
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "tensor '%s': value %zu is -128; it must be -127 to 127", tensor->name, i);
                if (tensor->dtype == COSMOS__F32 && !isfinite(cosmos__tensor_value(tensor, i)))
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "tensor '%s': value %zu is %f, not a finite number", tensor->name, i,
                                            (double)cosmos__tensor_value(tensor, i));
        }
        return 0;
}

int cosmos__safetensors_find(const struct cosmos__safetensors *file, struct cosmos__tensor *tensors, size_t n,
                             struct cosmos_diag *reterr)
{
        size_t n_entries = json_object_size(file->header) - 1; /* without the metadata */
        _cleanup_free_ struct range *ranges = NULL;
        const char *other = NULL;
        char quoted[80];
        int r;

        ranges = calloc(MAX(n_entries, n), sizeof(*ranges));
        if (!ranges)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                r = find_tensor(file->header, &tensors[i], &ranges[i], reterr);
                if (r < 0)
                        return r;
                tensors[i].begin = ranges[i].begin;
                tensors[i].n = (size_t)(ranges[i].end - ranges[i].begin) / cosmos__dtype_size(tensors[i].dtype);
        }
        /* All that are expected are there: the others are n_entries - n. */
        r = read_others(file->header, tensors, n, ranges + n, &other, reterr);
        if (r < 0)
                return r;
        r = check_layout(file, ranges, n_entries, reterr);
        if (r < 0)
                return r;
        if (other)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor '%s' is not one of this model's",
                                    cosmos__quote_str(quoted, sizeof(quoted), other));
        for (size_t i = 0; i < n; i++) {
                tensors[i].data = file->data + tensors[i].begin;
                r = check_values(&tensors[i], reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- written ------------------------------------------------------------------------ */

static int put(struct cosmos__buffer *out, const char *text)
{
        return cosmos__buffer_append(out, text, strlen(text));
}

static int put_unit(struct cosmos__buffer *out, unsigned unit)
{
        char text[8];

        snprintf(text, sizeof(text), "\\u%04x", unit);
        return put(out, text);
}

/* The code point at `*at`, and beyond it. The text is valid UTF-8, as in every json_t. */
static uint32_t next_point(const uint8_t **at)
{
        const uint8_t *p = *at;
        const unsigned more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
        uint32_t point = more ? p[0] & (0x3fu >> more) : p[0];

        for (unsigned i = 1; i <= more; i++)
                point = point << 6 | (p[i] & 0x3f);
        *at = p + more + 1;
        return point;
}

/* As Python's json module escapes: what is not printable ASCII, in lower case, in two units beyond 16 bits. */
static int put_point(struct cosmos__buffer *out, uint32_t point)
{
        static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        const char plain[2] = {(char)point, 0};
        int r;

        for (size_t i = 0; i < sizeof(named) - 1; i += 2)
                if (point == (uint8_t)named[i])
                        return cosmos__buffer_append(out, (const char[]){'\\', named[i + 1]}, 2);
        if (point >= 0x20 && point < 0x7f)
                return put(out, plain);
        if (point < 0x10000)
                return put_unit(out, point);
        r = put_unit(out, 0xd800 + ((point - 0x10000) >> 10));
        return r < 0 ? r : put_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
}

static int put_string(struct cosmos__buffer *out, const char *text, size_t length)
{
        const uint8_t *at = (const uint8_t *)text, *end = at + length;
        int r = put(out, "\"");

        while (r == 0 && at < end)
                r = put_point(out, next_point(&at));
        return r < 0 ? r : put(out, "\"");
}

static int put_member(struct cosmos__buffer *out, const char *key, const json_t *value)
{
        int r = put_string(out, key, strlen(key));

        if (r == 0)
                r = put(out, ":");
        return r < 0 ? r : put_string(out, json_string_value(value), json_string_length(value));
}

static int put_metadata(struct cosmos__buffer *out, const json_t *metadata)
{
        const size_t n = json_object_size(metadata);
        _cleanup_free_ const char **keys = calloc(MAX(n, (size_t)1), sizeof(*keys));
        void *at = json_object_iter((json_t *)(uintptr_t)metadata);
        int r;

        if (!keys)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++, at = json_object_iter_next((json_t *)(uintptr_t)metadata, at))
                keys[i] = json_object_iter_key(at);
        qsort(keys, n, sizeof(*keys), cosmos__compare_strings);
        r = put(out, "{\"__metadata__\":{");
        for (size_t i = 0; i < n && r == 0; i++) {
                r = i ? put(out, ",") : 0;
                if (r == 0)
                        r = put_member(out, keys[i], json_object_get(metadata, keys[i]));
        }
        return r < 0 ? r : put(out, "}");
}

static int put_tensor(struct cosmos__buffer *out, const struct cosmos__tensor *tensor, size_t begin, size_t end)
{
        char shape[64], text[200];
        int r = put(out, ",");

        if (r == 0)
                r = put_string(out, tensor->name, strlen(tensor->name));
        snprintf(text, sizeof(text), ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                 cosmos__dtype_name(tensor->dtype), show_expected(shape, sizeof(shape), tensor), begin, end);
        return r < 0 ? r : put(out, text);
}

static int by_width_and_name(const void *a, const void *b)
{
        const struct cosmos__tensor *x = *(const struct cosmos__tensor *const *)a,
                                    *y = *(const struct cosmos__tensor *const *)b;

        if (x->dtype != y->dtype)
                return x->dtype < y->dtype ? -1 : 1;
        return strcmp(x->name, y->name);
}

/* The header, which ends at a multiple of 8 bytes, and the size of the data that it tells of. */
static int put_header(struct cosmos__buffer *out, const json_t *metadata, const struct cosmos__tensor *const *sorted,
                      size_t n, size_t *ret_size)
{
        size_t at = 0, bytes;
        int r = put_metadata(out, metadata);

        for (size_t i = 0; i < n && r == 0; i++) {
                if (__builtin_mul_overflow(sorted[i]->n, cosmos__dtype_size(sorted[i]->dtype), &bytes) ||
                    __builtin_add_overflow(at, bytes, &bytes))
                        return -EFBIG;
                r = put_tensor(out, sorted[i], at, bytes);
                at = bytes;
        }
        if (r == 0)
                r = put(out, "}");
        while (r == 0 && out->size % LENGTH_SIZE)
                r = put(out, " ");
        *ret_size = at;
        return r;
}

static int check_sizes(size_t header, size_t data, struct cosmos_diag *reterr)
{
        if (header > COSMOS__SAFETENSORS_HEADER_MAX)
                return cosmos__fail(reterr, -EFBIG, "the header would have %zu bytes; at most %zu are read", header,
                                    COSMOS__SAFETENSORS_HEADER_MAX);
        if (data > COSMOS__SAFETENSORS_MAX - LENGTH_SIZE - header)
                return cosmos__fail(reterr, -EFBIG, "the tensors would have %zu bytes; a file has at most %zu", data,
                                    COSMOS__SAFETENSORS_MAX);
        return 0;
}

static uint8_t *put_together(const struct cosmos__buffer *header, const struct cosmos__tensor *const *sorted, size_t n,
                             size_t size)
{
        const uint64_t length = htole64(header->size);
        uint8_t *file = malloc(size), *at = file;

        if (!file)
                return NULL;
        memcpy(at, &length, LENGTH_SIZE);
        at += LENGTH_SIZE;
        memcpy(at, header->data, header->size);
        at += header->size;
        for (size_t i = 0; i < n; i++) {
                const size_t bytes = sorted[i]->n * cosmos__dtype_size(sorted[i]->dtype);

                if (bytes)
                        memcpy(at, sorted[i]->data, bytes);
                at += bytes;
        }
        return file;
}

int cosmos__safetensors_write(uint8_t **ret, size_t *ret_size, const json_t *metadata,
                              const struct cosmos__tensor *tensors, size_t n, struct cosmos_diag *reterr)
{
        _cleanup_(cosmos__buffer_free) struct cosmos__buffer header = {0};
        _cleanup_free_ const struct cosmos__tensor **sorted = calloc(MAX(n, (size_t)1), sizeof(*sorted));
        size_t data = 0;
        int r = sorted ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r == 0; i++)
                sorted[i] = &tensors[i];
        if (r == 0) {
                qsort(sorted, n, sizeof(*sorted), by_width_and_name);
                r = put_header(&header, metadata, sorted, n, &data);
        }
        if (r == -ENOMEM)
                return cosmos__fail(reterr, r, "out of memory");
        r = check_sizes(header.size, r < 0 ? SIZE_MAX : data, reterr);
        if (r < 0)
                return r;
        *ret = put_together(&header, sorted, n, LENGTH_SIZE + header.size + data);
        if (!*ret)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        *ret_size = LENGTH_SIZE + header.size + data;
        return 0;
}
