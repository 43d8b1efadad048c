/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of model files, against files of models/export.py and against the reader. */
#include "../support.h"

#include <cerrno>
#include <cstring>

extern "C" {
#include "predictor/safetensors.h"
}

using support::contains;
using support::File;

namespace
{

using Bytes = std::string;

struct Opened {
        explicit Opened(const Bytes &content) : bytes(content)
        {
                cosmos_diag diag = {""};

                EXPECT_EQ(cosmos__safetensors_open(&file, reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(),
                                                   &diag),
                          0)
                    << diag.text;
        }
        ~Opened()
        {
                cosmos__safetensors_close(&file);
        }
        Opened(const Opened &) = delete;
        Opened &operator=(const Opened &) = delete;

        Bytes bytes;
        cosmos__safetensors file = {};
};

cosmos__tensor tensor(const char *name, cosmos__dtype dtype, std::vector<uint32_t> shape)
{
        cosmos__tensor t = {};

        snprintf(t.name, sizeof(t.name), "%s", name);
        t.dtype = dtype;
        t.n_dims = static_cast<uint32_t>(shape.size());
        std::copy(shape.begin(), shape.end(), t.shape);
        return t;
}

cosmos__tensor with_data(cosmos__tensor t, const Bytes &data)
{
        t.data = reinterpret_cast<const uint8_t *>(data.data());
        t.n = data.size() / cosmos__dtype_size(t.dtype);
        return t;
}

int write(Bytes &ret, const json_t *metadata, const std::vector<cosmos__tensor> &tensors, cosmos_diag *diag)
{
        uint8_t *bytes = nullptr;
        size_t size = 0;
        int r = cosmos__safetensors_write(&bytes, &size, metadata, tensors.data(), tensors.size(), diag);

        if (r == 0)
                ret.assign(reinterpret_cast<char *>(bytes), size);
        free(bytes);
        return r;
}

/* What the writer makes of what the reader finds. */
Bytes rewritten(const Bytes &bytes, std::vector<cosmos__tensor> tensors)
{
        Opened opened(bytes);
        cosmos_diag diag = {""};
        Bytes out;

        EXPECT_EQ(cosmos__safetensors_find(&opened.file, tensors.data(), tensors.size(), &diag), 0) << diag.text;
        EXPECT_EQ(write(out, opened.file.metadata, tensors, &diag), 0) << diag.text;
        return out;
}

TEST(SafetensorsWrite, SameBytesAsThePythonWriter)
{
        const Bytes golden = File::read_all(GOLDEN "/serialised.bin");

        ASSERT_FALSE(golden.empty());
        EXPECT_EQ(rewritten(golden, {tensor("b.i8", COSMOS__I8, {1, 3}), tensor("z", COSMOS__F32, {2, 3}),
                                     tensor("a.i8", COSMOS__I8, {3}), tensor("a.u16", COSMOS__U16, {3, 1}),
                                     tensor("a", COSMOS__F32, {1})}),
                  golden);
}

TEST(SafetensorsWrite, SameBytesOfAModel)
{
        const Bytes golden = File::read_all(GOLDEN "/model.bin");

        EXPECT_EQ(
            rewritten(
                golden,
                {tensor("lstm.1.bias", COSMOS__F32, {12}), tensor("embedding.name.weight", COSMOS__F32, {6, 3}),
                 tensor("embedding.errno.weight", COSMOS__F32, {135, 3}), tensor("lstm.0.kernel", COSMOS__F32, {3, 20}),
                 tensor("lstm.0.recurrent_kernel", COSMOS__F32, {5, 20}), tensor("lstm.0.bias", COSMOS__F32, {20}),
                 tensor("lstm.1.kernel", COSMOS__F32, {5, 12}), tensor("lstm.1.recurrent_kernel", COSMOS__F32, {3, 12}),
                 tensor("dense.kernel", COSMOS__F32, {3, 6}), tensor("dense.bias", COSMOS__F32, {6})}),
            golden);
}

TEST(SafetensorsWrite, TypesStandFromWideToNarrowAndAreReadBack)
{
        const Bytes words("\x01\x00\xff\xff\x34\x12", 6), floats("\0\0\x80\x3f", 4), bytes("\x7f", 1);
        json_t *metadata = json_pack("{s:s}", "k", "v");
        cosmos_diag diag = {""};
        Bytes out;

        ASSERT_EQ(
            write(out, metadata,
                  {with_data(tensor("a", COSMOS__I8, {1}), bytes), with_data(tensor("b", COSMOS__U16, {3, 1}), words),
                   with_data(tensor("c", COSMOS__F32, {1}), floats)},
                  &diag),
            0)
            << diag.text;
        json_decref(metadata);
        EXPECT_EQ(out.substr(out.size() - 11), floats + words + bytes);
        EXPECT_TRUE(contains(out, R"("b":{"dtype":"U16","shape":[3,1],"data_offsets":[4,10]})")) << out;

        Opened opened(out);
        std::vector<cosmos__tensor> found = {tensor("a", COSMOS__I8, {1}), tensor("b", COSMOS__U16, {3, 1}),
                                             tensor("c", COSMOS__F32, {1})};
        ASSERT_EQ(cosmos__safetensors_find(&opened.file, found.data(), found.size(), &diag), 0) << diag.text;
        EXPECT_EQ(cosmos__tensor_u16(&found[1], 0), 1);
        EXPECT_EQ(cosmos__tensor_u16(&found[1], 1), 65535);
        EXPECT_EQ(cosmos__tensor_u16(&found[1], 2), 0x1234);
        EXPECT_EQ(cosmos__tensor_value(&found[1], 2), 0x1234);
        EXPECT_EQ(cosmos__tensor_value(&found[2], 0), 1);
        found[0].dtype = COSMOS__U16;
        EXPECT_EQ(cosmos__safetensors_find(&opened.file, found.data(), found.size(), &diag), -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(diag.text, "tensor 'a': dtype is 'I8', not 'U16'")) << diag.text;
}

TEST(SafetensorsWrite, WithoutTensorsOrMetadata)
{
        json_t *metadata = json_object();
        cosmos_diag diag = {""};
        Bytes out;

        EXPECT_EQ(write(out, metadata, {}, &diag), 0);
        json_decref(metadata);
        EXPECT_EQ(out, Bytes("\x18\0\0\0\0\0\0\0", 8) + R"({"__metadata__":{}}     )");
        EXPECT_EQ(rewritten(out, {}), out);
}

TEST(SafetensorsWrite, RefusesWhatNoReaderWouldTake)
{
        const Bytes big(COSMOS__SAFETENSORS_HEADER_MAX, 'x');
        json_t *metadata = json_pack("{s:s}", "k", big.c_str());
        cosmos__tensor t = tensor("a", COSMOS__F32, {1});
        cosmos_diag diag = {""};
        Bytes out;

        EXPECT_EQ(write(out, metadata, {}, &diag), -EFBIG);
        EXPECT_TRUE(contains(diag.text, "the header would have")) << diag.text;
        json_decref(metadata);
        metadata = json_object();
        for (size_t n : {COSMOS__SAFETENSORS_MAX / 4, SIZE_MAX / 4, SIZE_MAX}) {
                t.n = n; /* none of it is read */
                EXPECT_EQ(write(out, metadata, {t, t}, &diag), -EFBIG);
                EXPECT_TRUE(contains(diag.text, "the tensors would have")) << diag.text;
        }
        json_decref(metadata);
}

} // namespace
