/* SPDX-License-Identifier: Apache-2.0 */
#include <cosmos/sequence.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

namespace
{

struct Result {
        int error;
        std::string text;
};

Result make(cosmos_vocab **ret, std::vector<const char *> names)
{
        cosmos_diag diag = {""};

        names.reserve(1); /* so that data() is never NULL */
        int r = cosmos_vocab_new(ret, names.data(), names.size(), &diag);
        return {r, diag.text};
}

void expect_error(const std::vector<const char *> &names, const std::string &word)
{
        cosmos_vocab *vocab = nullptr;
        Result result = make(&vocab, names);

        EXPECT_EQ(result.error, -EINVAL);
        EXPECT_NE(result.text.find(word), std::string::npos) << result.text;
        EXPECT_EQ(vocab, nullptr);
}

} // namespace

TEST(Vocab, MapsBothWays)
{
        cosmos_vocab *vocab = nullptr;

        ASSERT_EQ(make(&vocab, {"<start>", "<unknown>", "read", "openat"}).error, 0);
        EXPECT_EQ(cosmos_vocab_size(vocab), 4u);
        EXPECT_EQ(cosmos_vocab_id(vocab, "<start>"), COSMOS_VOCAB_START);
        EXPECT_EQ(cosmos_vocab_id(vocab, "<unknown>"), COSMOS_VOCAB_UNKNOWN);
        EXPECT_EQ(cosmos_vocab_id(vocab, "read"), 2u);
        EXPECT_EQ(cosmos_vocab_id(vocab, "openat"), 3u);
        EXPECT_STREQ(cosmos_vocab_name(vocab, 3), "openat");
        for (const char *name : {"", "rea", "reads", "READ", "close"})
                EXPECT_EQ(cosmos_vocab_id(vocab, name), COSMOS_VOCAB_UNKNOWN) << name;
        EXPECT_EQ(cosmos_vocab_id(vocab, nullptr), COSMOS_VOCAB_UNKNOWN);
        EXPECT_EQ(cosmos_vocab_name(vocab, 4), nullptr);
        EXPECT_EQ(cosmos_vocab_name(vocab, UINT32_MAX), nullptr);
        EXPECT_EQ(cosmos_vocab_free(vocab), nullptr);
        EXPECT_EQ(cosmos_vocab_free(nullptr), nullptr);
}

TEST(Vocab, CopiesTheNames)
{
        std::string name = "read";
        cosmos_vocab *vocab = nullptr;

        ASSERT_EQ(make(&vocab, {"<start>", "<unknown>", name.c_str()}).error, 0);
        name = "xxxx";
        EXPECT_STREQ(cosmos_vocab_name(vocab, 2), "read");
        EXPECT_EQ(cosmos_vocab_id(vocab, "read"), 2u);
        cosmos_vocab_free(vocab);
}

TEST(Vocab, Limits)
{
        std::vector<std::string> texts = {"<start>", "<unknown>"};
        std::vector<const char *> names;
        cosmos_vocab *vocab = nullptr;

        while (texts.size() < COSMOS_VOCAB_MAX + 1)
                texts.push_back("call" + std::to_string(texts.size()));
        for (const std::string &text : texts)
                names.push_back(text.c_str());
        expect_error(names, "4097 names");
        names.pop_back();
        ASSERT_EQ(make(&vocab, names).error, 0);
        for (uint32_t id = 0; id < COSMOS_VOCAB_MAX; id++)
                ASSERT_EQ(cosmos_vocab_id(vocab, names[id]), id);
        cosmos_vocab_free(vocab);
        ASSERT_EQ(make(&vocab, {"<start>", "<unknown>"}).error, 0);
        cosmos_vocab_free(vocab);
}

TEST(Vocab, BadNames)
{
        expect_error({}, "0 names");
        expect_error({"<start>"}, "1 names");
        expect_error({"<unknown>", "<start>"}, "id 0 is '<unknown>'");
        expect_error({"<start>", "read"}, "id 1 is 'read'");
        expect_error({"<start>", "<unknown>", ""}, "id 2 is empty");
        expect_error({"<start>", "<unknown>", nullptr}, "id 2 is empty");
        expect_error({"<start>", "<unknown>", "a", "b", "a"}, "ids 2 and 4 are both 'a'");
        expect_error({"<start>", "<unknown>", "<unknown>"}, "ids 1 and 2");
        expect_error({"<start>", "\x1b[31m"}, "\\x1b[31m");
}

TEST(Vocab, NullArguments)
{
        const char *names[] = {"<start>", "<unknown>"};
        cosmos_vocab *vocab = nullptr;

        EXPECT_EQ(cosmos_vocab_new(nullptr, names, 2, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_vocab_new(&vocab, nullptr, 2, nullptr), -EINVAL);
}
