/* SPDX-License-Identifier: Apache-2.0 */
/* The scheme of tokens: its texts, those that are none, and how many ids its fields have. */
#include "support.h"

#include <cosmos/sequence.h>

#include <cerrno>
#include <random>

namespace
{

std::string text_of(const cosmos_token_scheme &scheme)
{
        char buf[COSMOS_TOKEN_SCHEME_TEXT];

        EXPECT_EQ(cosmos_token_scheme_text(&scheme, buf, sizeof(buf)), buf);
        return buf;
}

cosmos_token_scheme parsed(const std::string &text)
{
        cosmos_token_scheme scheme = {};
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_token_scheme_parse(&scheme, text.c_str(), &diag), 0) << diag.text;
        return scheme;
}

uint32_t bits(std::initializer_list<cosmos_token_field> fields)
{
        uint32_t out = 0;

        for (cosmos_token_field f : fields)
                out |= 1u << f;
        return out;
}

void expect_refused(const std::string &text, const std::string &word = "is no scheme of tokens")
{
        cosmos_token_scheme scheme = {99, 98, 97};
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_token_scheme_parse(&scheme, text.c_str(), &diag), -EINVAL) << text;
        EXPECT_TRUE(support::contains(diag.text, word)) << diag.text;
        EXPECT_EQ(scheme.fields, 99u) << "untouched";
        EXPECT_EQ(scheme.size, 98u);
        EXPECT_EQ(scheme.frequency, 97u);
}

} // namespace

TEST(Scheme, SaysWhichFieldsThereAre)
{
        cosmos_token_scheme s = parsed("name");

        EXPECT_EQ(s.fields, bits({COSMOS_TOKEN_NAME}));
        EXPECT_EQ(s.size, 0u);
        EXPECT_EQ(s.frequency, 0u);
        s = parsed("name,errno");
        EXPECT_EQ(s.fields, bits({COSMOS_TOKEN_NAME, COSMOS_TOKEN_ERRNO}));
        s = parsed("name,errno,size/half,fd,path,args,frequency/100");
        EXPECT_EQ(s.fields, (1u << COSMOS_TOKEN_FIELDS) - 1);
        EXPECT_EQ(s.size, 2u);
        EXPECT_EQ(s.frequency, 100u);
        s = parsed("name,path,frequency/1000");
        EXPECT_EQ(s.fields, bits({COSMOS_TOKEN_NAME, COSMOS_TOKEN_PATH}));
        EXPECT_EQ(s.frequency, 1000u);
        EXPECT_EQ(parsed("name,size/octave").size, 1u);
        EXPECT_EQ(parsed("name,size/quarter").size, 4u);
        EXPECT_EQ(parsed("name,frequency/1").frequency, 1u);
}

TEST(Scheme, EachHasOneText)
{
        for (uint32_t fields = 1; fields < 1u << COSMOS_TOKEN_FIELDS; fields += 2)
                for (uint32_t size : {1u, 2u, 4u})
                        for (uint32_t frequency : {0u, 1u, 10u, 999u, 1000u}) {
                                const bool sized = fields >> COSMOS_TOKEN_SIZE & 1;
                                const cosmos_token_scheme scheme = {fields, sized ? size : 0, frequency};
                                const cosmos_token_scheme again = parsed(text_of(scheme));

                                EXPECT_EQ(again.fields, scheme.fields);
                                EXPECT_EQ(again.size, scheme.size);
                                EXPECT_EQ(again.frequency, scheme.frequency);
                        }
        EXPECT_EQ(text_of({(1u << COSMOS_TOKEN_FIELDS) - 1, 4, 1000}),
                  "name,errno,size/quarter,fd,path,args,frequency/1000");
}

TEST(Scheme, ATextIsCutToItsRoom)
{
        const cosmos_token_scheme scheme = parsed("name,errno,frequency/20");
        const std::string whole = text_of(scheme);

        for (size_t size = 1; size <= whole.size() + 1; size++) {
                std::vector<char> buf(size + 1, 'x');

                cosmos_token_scheme_text(&scheme, buf.data(), size);
                EXPECT_EQ(std::string(buf.data()), whole.substr(0, size - 1));
                EXPECT_EQ(buf[size], 'x');
        }
        EXPECT_EQ(cosmos_token_scheme_text(&scheme, nullptr, 0), nullptr);
}

TEST(Scheme, AnyOtherTextIsRefused)
{
        for (const char *text : {"",
                                 ",",
                                 "name,",
                                 ",name",
                                 "names",
                                 "nam",
                                 "NAME",
                                 " name",
                                 "name ",
                                 "name, errno",
                                 "name,,errno",
                                 "name,name",
                                 "errno",
                                 "errno,name",
                                 "name,fd,errno",
                                 "name,args,path",
                                 "name,errno,errno",
                                 "name,size",
                                 "name,size/",
                                 "name,size/third",
                                 "name,size/half/half",
                                 "name,size/halfer",
                                 "name,size/octave,size/half",
                                 "name/half",
                                 "name,errno/1",
                                 "frequency/100",
                                 "name,frequency",
                                 "name,frequency/",
                                 "name,frequency/0",
                                 "name,frequency/01",
                                 "name,frequency/1001",
                                 "name,frequency/-1",
                                 "name,frequency/+1",
                                 "name,frequency/1.5",
                                 "name,frequency/10,errno",
                                 "name,frequency/10,frequency/10",
                                 "name,frequency/10,",
                                 "name,frequency/99999999999999999999",
                                 "name,frequency/4294967297",
                                 "name,frequency/1e2",
                                 "name;errno",
                                 "name,colour",
                                 "name\n"})
                expect_refused(text);
        expect_refused("name,\x1b[31m", "\\x1b[31m");
        expect_refused(std::string(100000, 'n'));
        EXPECT_EQ(cosmos_token_scheme_parse(nullptr, "name", nullptr), -EINVAL);
        cosmos_token_scheme scheme;
        EXPECT_EQ(cosmos_token_scheme_parse(&scheme, nullptr, nullptr), -EINVAL);
}

/* What is taken is always what it says: no two texts are the same scheme. */
TEST(Scheme, RandomTexts)
{
        static const char *const parts[] = {"name", "errno", "size/", "half",      "octave", "fd",  "path",
                                            "args", ",",     "/",     "frequency", "1",      "100", "0"};
        std::mt19937 random(7);
        int taken = 0;

        for (int i = 0; i < 200000; i++) {
                std::string text = i % 2 ? "name" : "";
                cosmos_token_scheme scheme;

                for (uint32_t n = random() % 7; n > 0; n--)
                        text += parts[random() % (sizeof(parts) / sizeof(*parts))];
                if (cosmos_token_scheme_parse(&scheme, text.c_str(), nullptr) < 0)
                        continue;
                taken++;
                ASSERT_EQ(text_of(scheme), text);
        }
        EXPECT_GT(taken, 1000) << "some are schemes";
}

TEST(Scheme, FieldsHaveNamesAndSizes)
{
        const cosmos_token_scheme all = parsed("name,errno,size/half,fd,path,args,frequency/100");
        const cosmos_token_scheme none = parsed("name");

        for (int f = 0; f < COSMOS_TOKEN_FIELDS; f++)
                ASSERT_NE(cosmos_token_field_name(static_cast<cosmos_token_field>(f)), nullptr);
        EXPECT_STREQ(cosmos_token_field_name(COSMOS_TOKEN_ERRNO), "errno");
        EXPECT_STREQ(cosmos_token_field_name(COSMOS_TOKEN_ARGS), "args");
        EXPECT_EQ(cosmos_token_field_name(static_cast<cosmos_token_field>(COSMOS_TOKEN_FIELDS)), nullptr);
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_NAME), 0u) << "the vocabulary's";
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_ERRNO), COSMOS_TOKEN_ERRNO_SIZE);
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_SIZE), COSMOS_SIZE_CLASSES);
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_FD), 8u);
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_PATH), 13u);
        EXPECT_EQ(cosmos_token_field_size(&all, COSMOS_TOKEN_ARGS), COSMOS_ARGS_CLASSES);
        for (int f = 0; f <= COSMOS_TOKEN_FIELDS; f++)
                EXPECT_EQ(cosmos_token_field_size(&none, static_cast<cosmos_token_field>(f)), 0u);
}
