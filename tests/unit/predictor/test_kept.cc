/* SPDX-License-Identifier: Apache-2.0 */
/* A model file that keeps something of what was learnt, which only a trainer reads. */
#include "../support.h"
#include "blob.h"

#include <cerrno>

using blob::Blob;
using support::contains;
using support::File;

namespace
{

Blob with_kept(const std::string &tokens, const std::vector<float> &rows, const std::vector<float> &frequency = {})
{
        blob::Options options;

        options.tokens = tokens;
        Blob b(options);
        b.keep(rows, frequency);
        return b;
}

/* By name alone, by two fields, by the frequency too. */
std::vector<Blob> all_kinds()
{
        return {with_kept("name", {0x8000, 2, 3, 0x8002, 1}), with_kept("name,errno", {0x8000, 0, 2, 134, 0x8003, 0}),
                with_kept("name,frequency/10", {0x8000, 2, 3}, {0, 1, 0.5f})};
}

std::vector<float> scores(const std::string &bytes)
{
        blob::Model model = blob::load(bytes);
        blob::Predictor predictor = blob::predictor_of(model.get());
        blob::Session session = blob::session_of(model.get());
        cosmos_session *s = session.get();
        std::vector<float> nll(20);

        for (size_t i = 0; i < nll.size(); i++) {
                const cosmos_token token = {{static_cast<uint32_t>(i % 4)}, 0.25f};

                EXPECT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll[i], nullptr), 0);
        }
        return nll;
}

/* Loading fails, and the message holds `text`. */
void expect_refused(const std::string &bytes, const std::string &text)
{
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load(&model, bytes.data(), bytes.size(), "x", nullptr, &diag), -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(diag.text, text)) << diag.text;
}

} // namespace

TEST(Kept, ChangesNoScore)
{
        for (const Blob &b : all_kinds())
                EXPECT_EQ(scores(b.bytes()), scores(Blob(b.options).bytes())) << b.options.tokens;
}

TEST(Kept, RowsAreATrainersToCheck)
{
        EXPECT_EQ(scores(with_kept("name", {0, 0xffff, 9}).bytes()), scores(Blob().bytes()));
        EXPECT_NO_THROW(blob::load(with_kept("name", {}).bytes()));
        EXPECT_NO_THROW(blob::load(with_kept("name,frequency/10", {0x8000}, {-1}).bytes()));
}

TEST(Kept, StaysInACopy)
{
        const cosmos_model_metadata_entry entry = {"cosmos.threshold", "1.5"};

        for (const Blob &b : all_kinds()) {
                File from(b.bytes()), to;
                cosmos_diag diag = {""};

                ASSERT_EQ(cosmos_model_copy(from.path(), to.path(), &entry, 1, &diag), 0) << diag.text;
                const std::string copy = to.read();
                EXPECT_EQ(scores(copy), scores(b.bytes()));
                for (const blob::Tensor &t : b.tensors)
                        EXPECT_TRUE(contains(copy, "\"" + t.name + "\":{\"dtype\":\"" + t.dtype +
                                                       "\",\"shape\":" + t.shape + ","))
                            << t.name;
                EXPECT_TRUE(contains(copy, R"("cosmos.kept":"1000")"));
                Blob alone = b; /* the same rows, as they stand in a file: narrow ones last */
                alone.tensors = {b.tensors.back()};
                EXPECT_EQ(copy.substr(copy.size() - alone.data().size()), alone.data());
                ASSERT_EQ(cosmos_model_copy(to.path(), from.path(), nullptr, 0, &diag), 0) << diag.text;
                EXPECT_EQ(from.read(), copy);
        }
}

TEST(Kept, OfAWrongTypeOrShapeIsRefused)
{
        const Blob good = all_kinds()[1];
        Blob b = good;

        b.tensor("kept.tokens").dtype = "I16";
        expect_refused(b.bytes(), "tensor 'kept.tokens': dtype is 'I16', not 'U16'");
        for (const char *shape :
             {"[6]", "[2,3]", "[4,2]", "[3,2,1]", "[-3,2]", "[4294967299,2]", "[3.0,2]", "\"x\"", "[]"}) {
                b = good;
                b.tensor("kept.tokens").shape = shape;
                expect_refused(b.bytes(), "tensor 'kept.tokens': ");
        }
        b = good;
        b.tensor("kept.tokens").end -= 2;
        expect_refused(b.bytes(), "tensor 'kept.tokens': data_offsets span 10 bytes; its shape needs 12");
}

TEST(Kept, FrequencyGoesWithTheScheme)
{
        Blob b = all_kinds()[2];

        b.tensor("kept.frequency").shape = "[2]";
        expect_refused(b.bytes(), "tensor 'kept.frequency': shape is [2]; by the metadata it must be [3]");
        b = all_kinds()[2];
        b.tensor("kept.frequency").values[1] = NAN;
        expect_refused(b.bytes(), "tensor 'kept.frequency': value 1 is nan, not a finite number");
        b = all_kinds()[2];
        b.remove("kept.frequency");
        expect_refused(b.bytes(), "tensor 'kept.frequency' is missing");
        expect_refused(with_kept("name", {0x8000, 2}, {0, 1}).bytes(),
                       "tensor 'kept.frequency' is not one of this model's");
        b = all_kinds()[2];
        b.remove("kept.tokens");
        expect_refused(b.bytes(), "tensor 'kept.frequency' is not one of this model's");
}

TEST(Kept, IsAlignedToItsValues)
{
        Blob b;

        b.keep({0x8000, 2});
        b.tensor("kept.tokens").begin += 1;
        b.tensor("kept.tokens").end += 1;
        expect_refused(b.bytes() + '\0', "which is not a multiple of 2");
}
