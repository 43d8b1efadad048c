/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer takes of the rows that a model keeps. */
#include "../support.h"

extern "C" {
#include "trainer/kept.h"
}

#include <vector>

using support::contains;

namespace
{

/* What is said of rows of a name of 4 and a field of 3; "" if they are good. `ret`: calls to learn and held ones. */
std::string read(const std::vector<uint16_t> &rows, const std::vector<float> &frequency = {},
                 std::pair<uint64_t, uint64_t> *ret = nullptr)
{
        cosmos__shape shape = {};
        cosmos__tensor tokens = {}, share = {};
        cosmos__kept kept = {};
        cosmos_diag diag = {""};

        shape.vocab = 4;
        shape.n_fields = 2;
        shape.field_size[0] = 4;
        shape.field_size[1] = 3;
        tokens.dtype = COSMOS__U16;
        tokens.n = rows.size();
        tokens.shape[0] = static_cast<uint32_t>(rows.size() / 2);
        tokens.data = reinterpret_cast<const uint8_t *>(rows.data());
        share.dtype = COSMOS__F32;
        share.n = frequency.size();
        share.data = reinterpret_cast<const uint8_t *>(frequency.data());
        const int r = cosmos__kept_read(&kept, &shape, &tokens, frequency.empty() ? nullptr : &share, 100, 10, &diag);
        EXPECT_EQ(r, diag.text[0] ? -COSMOS_EFORMAT : 0) << r;
        if (ret)
                *ret = {kept.learn.calls, kept.held.calls};
        cosmos__kept_free(&kept);
        return diag.text;
}

} // namespace

TEST(Kept, RowsAreInRange)
{
        EXPECT_EQ(read({}), "");
        EXPECT_EQ(read({0x8000, 0, 3, 2, 0x8003, 2}), "");
        EXPECT_EQ(read({0x8000, 0, 3, 2}, {0, 1}), "");
        EXPECT_TRUE(contains(read({0, 0}), "'kept.tokens': row 0 is of no piece"));
        for (uint16_t name : {4, 0x4000, 0x4001, 0x7fff, 0x8004, 0xc004, 0xffff})
                EXPECT_TRUE(contains(read({0x8000, 0, name, 0}), "row 1 has a field that is out of range")) << name;
        EXPECT_TRUE(contains(read({0x8000, 0, 1, 3}), "row 1 has a field that is out of range"));
        EXPECT_TRUE(contains(read({0x8000, 0, 1, 0x8000}), "row 1 has a field that is out of range"));
        for (float value : {-0.5f, 1.5f})
                EXPECT_TRUE(contains(read({0x8000, 0, 1, 0}, {0, value}), "'kept.frequency': value 1 is not in 0..1"));
}

TEST(Kept, WhatIsHeldIsNotLearnt)
{
        std::pair<uint64_t, uint64_t> calls;

        EXPECT_EQ(read({0x8000, 0, 3, 2, 0xc003, 2, 1, 1, 2, 2, 0x8001, 0, 1, 1}, {}, &calls), "");
        EXPECT_EQ(calls, std::make_pair(uint64_t{2}, uint64_t{2}));
}
