/* SPDX-License-Identifier: Apache-2.0 */
#include "../support.h"
#include "compare_json.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

/* What is said of an object that is not JSON, with its column; "" of one that is. */
std::string error_of(const std::string &text)
{
        const support::Bytes bytes(text);
        std::string error;
        cosmos__json j = {};
        int same;

        if (!compare_members(&j, bytes.data(), bytes.size(), nullptr, &same))
                error = std::string(j.error) + " " + std::to_string(cosmos__json_column(&j));
        cosmos__json_free(&j);
        return error;
}

testing::AssertionResult agrees(const std::string &text)
{
        const char *fault = compare_with_jansson(reinterpret_cast<const uint8_t *>(text.data()), text.size());

        if (!fault)
                return testing::AssertionSuccess();
        return testing::AssertionFailure() << fault << ": " << text;
}

} // namespace

TEST(Json, SaysWhatIsWrongAndWhere)
{
        const std::pair<std::string, const char *> faults[] = {
            {"", "'{' was expected 1"},
            {"  []", "'{' was expected 3"},
            {"{", "a key was expected 2"},
            {"{a:1}", "a key was expected 2"},
            {R"({"a":1,})", "a key was expected 8"},
            {R"({"a" 1})", "':' was expected 6"},
            {R"({"a":})", "a value was expected 6"},
            {R"({"a":nul})", "a value was expected 6"},
            {R"({"a":nullx})", "',' or '}' was expected 10"},
            {R"({"a":1 "b":2})", "',' or '}' was expected 8"},
            {R"({"a":[1 2]})", "',' or ']' was expected 9"},
            {R"({"a":1}})", "something behind the object 8"},
            {R"({"a":"b)", "a string that does not end 6"},
            {"{\"a\":\"b\nc\"}", "a control character in a string 8"},
            {"{\"a\":\"b\xff\"}", "invalid UTF-8 in a string 8"},
            {R"({"a":"b\x"})", "a bad escape in a string 8"},
            {R"({"a":"\u12g4"})", "a bad escape in a string 7"},
            {R"({"a":"\ud83d"})", "half a surrogate pair in a string 7"},
            {R"({"a":"\ude00"})", "half a surrogate pair in a string 7"},
            {R"({"a":"\ud83d\ud83d"})", "half a surrogate pair in a string 7"},
            {R"({"a":"\u0000"})", "a NUL in a string 7"},
            {R"({"a":01})", "a number with a leading zero 6"},
            {R"({"a":-})", "a digit was expected 7"},
            {R"({"a":1.})", "a digit was expected 8"},
            {R"({"a":1e+})", "a digit was expected 9"},
            {R"({"a":9223372036854775808})", "an integer that does not fit into 64 bits 6"},
            {R"({"a":-9223372036854775809})", "an integer that does not fit into 64 bits 6"},
            {R"({"a":1,"b":2,"a":3})", "a key that came before 15"},
            {R"({"a":{"c":1,"b":2,"\u0063":3}})", "a key that came before 20"},
        };

        for (const auto &[text, error] : faults) {
                EXPECT_EQ(error_of(text), error) << text;
                EXPECT_TRUE(agrees(text));
        }
}

TEST(Json, ReadsNumbersOfEveryLength)
{
        std::string digits = "1234567890123456789";

        for (size_t n = 1; n <= digits.size(); n++)
                for (const char *sign : {"", "-"})
                        for (const char *after : {"}", ",\"b\":1}", " }", "                                   }", ".5}",
                                                  "e7}", "-}", "x}", ""})
                                EXPECT_TRUE(agrees("{\"a\":" + (sign + digits.substr(0, n)) + after));
        for (const char *number : {"0",
                                   "-0",
                                   "00",
                                   "-01",
                                   "0.0",
                                   "-0.0e-0",
                                   "9223372036854775807",
                                   "9223372036854775808",
                                   "-9223372036854775808",
                                   "-9223372036854775809",
                                   "18446744073709551615",
                                   "18446744073709551616",
                                   "99999999999999999999",
                                   "100000000000000000000000000000000000000",
                                   "1e400",
                                   "1e-400",
                                   "+1",
                                   ".5",
                                   "1.e5",
                                   "0x10",
                                   "1E5",
                                   "1E+05",
                                   "Infinity",
                                   "NaN",
                                   "12345678",
                                   "123456789012345678",
                                   "1234567x",
                                   "12345678901234567"})
                for (const char *after : {"}", ",\"b\":\"                    \"}"})
                        EXPECT_TRUE(agrees("{\"a\":" + std::string(number) + after));
}

/* Strings are read by eight bytes: whatever stands at whatever place, near the end or not. */
TEST(Json, AStringMayHoldAnythingAnywhere)
{
        for (const char *piece : {"\"",
                                  "\\\"",
                                  "\\n",
                                  "\\u00e4",
                                  "\\ud83d\\ude00",
                                  "\\",
                                  "\\u",
                                  "\xc3\xa4",
                                  "\xf0\x9f\x98\x80",
                                  "\xc3",
                                  "\x80",
                                  "\x1f",
                                  "\x7f",
                                  " ",
                                  "!",
                                  "#",
                                  "[",
                                  "]",
                                  "\xed\xa0\x80",
                                  "\xf4\x90\x80\x80"})
                for (size_t before = 0; before < 20; before++)
                        for (size_t behind = 0; behind < 20; behind++)
                                for (const char *end :
                                     {"\"}", "\",\"key\":17,\"another\":\"more than eight bytes\"}"}) {
                                        std::string text = "{\"a\":\"" + std::string(before, 'x') + piece +
                                                           std::string(behind, 'y') + end;

                                        ASSERT_TRUE(agrees(text));
                                }
}

TEST(Json, EveryCharacterAndEveryEscape)
{
        char escape[32];

        for (unsigned int byte = 1; byte < 256; byte++)
                for (unsigned int next : {0x22u, 0x41u, 0x80u, 0x90u, 0xa0u, 0xbfu, 0xc0u}) {
                        std::string text = {static_cast<char>(byte), static_cast<char>(next), '\x80', '\x80'};

                        for (size_t n = 1; n <= text.size(); n++)
                                ASSERT_TRUE(agrees("{\"a\":\"" + text.substr(0, n) + "\"}"));
                }
        for (unsigned int c = 0; c < 0x10000; c++) {
                snprintf(escape, sizeof(escape), c % 2 ? "{\"\\u%04x\":\"\\u%04x\"}" : "{\"\\u%04X\":\"\\u%04X\"}", c,
                         c);
                ASSERT_TRUE(agrees(escape));
        }
        for (unsigned int high = 0xd800; high < 0xe000; high += 0x3f)
                for (unsigned int low = 0xd800; low < 0xe100; low += 0x3f) {
                        snprintf(escape, sizeof(escape), "{\"a\":\"\\u%04x\\u%04x\"}", high, low);
                        ASSERT_TRUE(agrees(escape));
                }
}

TEST(Json, HexadecimalDigitsAreThoseAndNoOthers)
{
        for (unsigned int c = 0; c < 256; c++)
                for (unsigned int at = 0; at < 8; at++) {
                        uint8_t text[8];

                        memcpy(text, "0aF9cD7e", sizeof(text));
                        text[at] = static_cast<uint8_t>(c);
                        uint64_t mask = cosmos__not_hex(cosmos__word(text));
                        ASSERT_EQ(mask ? cosmos__before(mask) : 8,
                                  c && strchr("0123456789abcdefABCDEF", static_cast<int>(c)) ? 8 : at)
                            << c;
                }
        uint8_t text[] = "0aF9cD7e";
        for (unsigned int n = 1; n <= 8; n++)
                EXPECT_EQ(cosmos__hex(cosmos__word(text), n), UINT64_C(0x0af9cd7e) >> (32 - 4 * n));
}

TEST(Json, ValuesMayBeNestedSoDeepAndNoDeeper)
{
        auto nested = [](size_t n) { return "{\"a\":" + std::string(n, '[') + std::string(n, ']') + "}"; };
        auto objects = [](size_t n) {
                std::string text = "1";

                for (size_t i = 0; i < n; i++)
                        text = "{\"a\":" + text + ",\"b\":2}";
                return text;
        };

        EXPECT_EQ(error_of(nested(COSMOS__JSON_DEPTH - 1)), "");
        EXPECT_EQ(error_of(nested(COSMOS__JSON_DEPTH)), "values within values, too many 261");
        EXPECT_EQ(error_of(objects(COSMOS__JSON_DEPTH)), "");
        EXPECT_NE(error_of(objects(COSMOS__JSON_DEPTH + 1)), "");
        EXPECT_TRUE(agrees(nested(100)));
        EXPECT_TRUE(agrees(objects(100)));
        EXPECT_NE(error_of("{\"a\":" + std::string(1000000, '[')), "");
}

TEST(Json, ManyKeysAreFoundToBeTwins)
{
        std::string many = "{", nested;

        for (int i = 0; i < 2000; i++)
                many += "\"key" + std::to_string(i * 7919 % 2000) + "\":" + std::to_string(i) + ",";
        EXPECT_TRUE(agrees(many + "\"z\":" + many + "\"z\":1}}"));
        EXPECT_TRUE(agrees(many + "\"key77\":1}"));
        EXPECT_TRUE(agrees(many + "\"z\":" + many + "\"key99\":1}}"));
        EXPECT_TRUE(agrees(many + "\"z\":" + many + "\"z\":1},\"key3\":1}"));
        EXPECT_EQ(error_of(many + "\"z\":" + many + "\"z\":1}}"), "");
        EXPECT_NE(error_of(many + "\"key1999\":1}"), "");
}
