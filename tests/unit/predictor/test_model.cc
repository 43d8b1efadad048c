/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: what is read from a good file, and what is said of each bad one. */
#include "blob.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>

using blob::Blob;
using blob::quoted;

namespace
{

struct Failure {
        int error;
        std::string text;
};

Failure load_error(const std::string &bytes)
{
        std::vector<char> copy(bytes.begin(), bytes.end());
        cosmos_model *const untouched = reinterpret_cast<cosmos_model *>(0x1);
        cosmos_model *model = untouched;
        cosmos_diag diag = {""};
        static const char nothing = 0;

        int r =
            cosmos_model_load(&model, copy.empty() ? &nothing : copy.data(), copy.size(), "bad.bin", nullptr, &diag);
        if (r == 0)
                cosmos_model_unref(model);
        else
                EXPECT_EQ(model, untouched);
        return {r, diag.text};
}

/* Loading fails with `error`, and the message holds every one of `words`. */
void expect_error(const std::string &bytes, int error, const std::vector<std::string> &words)
{
        Failure failure = load_error(bytes);

        EXPECT_EQ(failure.error, -error) << failure.text;
        EXPECT_NE(failure.text.find("bad.bin"), std::string::npos) << failure.text;
        for (const std::string &word : words)
                EXPECT_NE(failure.text.find(word), std::string::npos) << "no '" << word << "' in: " << failure.text;
}

Blob int8_blob()
{
        blob::Options options;
        options.layers = {3, 2};
        Blob b(options);

        b.store_int8();
        return b;
}

cosmos_model_info info_of(const blob::Model &model)
{
        cosmos_model_info info = {};

        info.size = sizeof(info);
        cosmos_model_get_info(model.get(), &info);
        return info;
}

} // namespace

TEST(Model, Info)
{
        blob::Options options;
        options.layers = {64, 32, 7};
        options.embedding = 5;
        options.vocab = 9;
        options.tokens = "name,errno";
        Blob b(options);
        b.set("unit", "thread");
        b.set("threshold", "2.5e0");
        b.set("quantile", "0.99");
        b.set("source", "audit");
        b.set("calls", "all");
        b.set("trained_on", "something");
        b.metadata["another"] = quoted("kept");
        blob::Model model = blob::load(b.bytes());
        cosmos_model_info info = info_of(model);

        EXPECT_EQ(info.n_fields, 2u);
        EXPECT_EQ(info.tokens.fields, 1u << COSMOS_TOKEN_NAME | 1u << COSMOS_TOKEN_ERRNO);
        EXPECT_EQ(info.tokens.size, 0u);
        EXPECT_EQ(info.tokens.frequency, 0u);
        EXPECT_EQ(info.embedding, 5u);
        EXPECT_EQ(info.n_layers, 3u);
        EXPECT_EQ(info.units[0], 64u);
        EXPECT_EQ(info.units[1], 32u);
        EXPECT_EQ(info.units[2], 7u);
        EXPECT_EQ(info.units[3], 0u);
        EXPECT_EQ(info.unit, COSMOS_UNIT_THREAD);
        EXPECT_EQ(info.window, 100u);
        EXPECT_EQ(info.hop, 50u);
        EXPECT_EQ(info.prior_count, 8.0);
        EXPECT_EQ(info.prior_mean, 1.25);
        EXPECT_EQ(info.has_threshold, 1);
        EXPECT_EQ(info.threshold, 2.5);
        EXPECT_EQ(info.quantile, 0.99);
        EXPECT_STREQ(info.source, "audit");
        EXPECT_STREQ(cosmos_model_name(model.get()), "test");
        EXPECT_EQ(cosmos_vocab_size(cosmos_model_vocab(model.get())), 9u);
        EXPECT_STREQ(cosmos_vocab_name(cosmos_model_vocab(model.get()), 8), "call8");
        EXPECT_STREQ(cosmos_model_metadata(model.get(), "cosmos.trained_on"), "something");
        EXPECT_STREQ(cosmos_model_metadata(model.get(), "another"), "kept");
        EXPECT_EQ(cosmos_model_metadata(model.get(), "absent"), nullptr);
}

TEST(Model, AnySchemeOfTokens)
{
        for (const char *text :
             {"name", "name,errno", "name,size/octave", "name,errno,fd", "name,args,frequency/7", "name,path",
              "name,errno,size/quarter,fd,path,args,frequency/1000", "name,frequency/1"}) {
                blob::Options options;
                cosmos_token_scheme scheme = {};

                options.tokens = text;
                ASSERT_EQ(cosmos_token_scheme_parse(&scheme, text, nullptr), 0);
                for (cosmos_precision precision : {COSMOS_PRECISION_F32, COSMOS_PRECISION_INT8}) {
                        const cosmos_model_info info = info_of(blob::load(Blob(options).bytes(), precision));

                        EXPECT_EQ(memcmp(&info.tokens, &scheme, sizeof(scheme)), 0) << text;
                        EXPECT_EQ(info.n_fields + (scheme.frequency > 0), blob::fields_of(options).size()) << text;
                }
        }
}

TEST(Model, OptionalKeysMayBeAbsent)
{
        cosmos_model_info info = info_of(blob::load(Blob().bytes()));

        EXPECT_EQ(info.n_fields, 1u);
        EXPECT_EQ(info.unit, COSMOS_UNIT_PROCESS);
        EXPECT_EQ(info.has_threshold, 0);
        EXPECT_TRUE(std::isnan(info.quantile));
        EXPECT_STREQ(info.source, "");
}

TEST(Model, ShorterInfoStructOfAnOlderCaller)
{
        blob::Model model = blob::load(Blob().bytes());
        cosmos_model_info info = {};

        info.size = offsetof(cosmos_model_info, window);
        info.window = 77;
        cosmos_model_get_info(model.get(), &info);
        EXPECT_EQ(info.n_layers, 1u);
        EXPECT_EQ(info.window, 77u);
}

TEST(Model, HeaderMayBePaddedAndTensorsInAnyOrder)
{
        Blob b;
        std::string data = b.data();

        std::swap(b.tensors.front(), b.tensors.back());
        EXPECT_NO_THROW(blob::load(Blob::pack(b.header() + "     ", data)));
}

/* ---- bad files ------------------------------------------------------------ */

TEST(BadModel, TruncatedAtEveryLength)
{
        const std::string whole = Blob().bytes(), int8 = int8_blob().bytes();

        ASSERT_EQ(load_error(whole).error, 0);
        ASSERT_EQ(load_error(int8).error, 0);
        for (size_t n = 0; n < int8.size(); n++)
                ASSERT_EQ(load_error(int8.substr(0, n)).error, -COSMOS_EFORMAT) << n;
        for (size_t n = 0; n < whole.size(); n++) {
                Failure failure = load_error(whole.substr(0, n));

                ASSERT_EQ(failure.error, -COSMOS_EFORMAT) << n;
                ASSERT_NE(failure.text.find("bad.bin"), std::string::npos) << n;
        }
        expect_error("", COSMOS_EFORMAT, {"0 bytes"});
        expect_error(whole.substr(0, 7), COSMOS_EFORMAT, {"7 bytes"});
        expect_error(whole.substr(0, 8), COSMOS_EFORMAT, {"header length", "cut short"});
        expect_error(whole.substr(0, whole.size() - 1), COSMOS_EFORMAT, {"dense.bias", "cut short"});
        expect_error(whole + '\0', COSMOS_EFORMAT, {"1 bytes follow"});
}

TEST(BadModel, AnyByteOfTheHeaderDamaged)
{
        for (const Blob &b : {Blob(), int8_blob()}) {
                const std::string whole = b.bytes();
                const size_t end = 8 + b.header().size();

                for (size_t i = 0; i < end; i++)
                        for (unsigned char damage : {0x01, 0x20, 0x80, 0xff}) {
                                std::string bytes = whole;

                                bytes[i] = static_cast<char>(bytes[i] ^ damage);
                                /* A letter of a name in the vocabulary may change; nothing may crash. */
                                Failure failure = load_error(bytes);
                                ASSERT_EQ(failure.error < 0, failure.text.find("bad.bin") != std::string::npos) << i;
                        }
        }
}

TEST(BadModel, HeaderLengthLies)
{
        const std::string whole = Blob().bytes();
        auto with_length = [&](uint64_t length) {
                std::string bytes = whole;

                for (int i = 0; i < 8; i++)
                        bytes[static_cast<size_t>(i)] = static_cast<char>(length >> 8 * i);
                return bytes;
        };

        expect_error(with_length(0), COSMOS_EFORMAT, {"header", "JSON"});
        expect_error(with_length(1), COSMOS_EFORMAT, {"header", "JSON"});
        expect_error(with_length(whole.size() - 7), COSMOS_EFORMAT, {"header length", "cut short"});
        expect_error(with_length(whole.size() - 8), COSMOS_EFORMAT, {"header", "JSON"});
        for (uint64_t length : {UINT64_MAX, UINT64_MAX - 7, uint64_t(1) << 63, uint64_t(1) << 40})
                expect_error(with_length(length), COSMOS_EFORMAT, {"header length is " + std::to_string(length)});
}

TEST(BadModel, HeaderIsNotAnObjectWithMetadata)
{
        expect_error(Blob::pack("[]", ""), COSMOS_EFORMAT, {"not a JSON object"});
        expect_error(Blob::pack("{}", ""), COSMOS_EFORMAT, {"__metadata__"});
        expect_error(Blob::pack("{\"__metadata__\":[]}", ""), COSMOS_EFORMAT, {"__metadata__"});
        expect_error(Blob::pack(std::string("{}\0", 3), ""), COSMOS_EFORMAT, {"JSON"});
        expect_error(Blob::pack("{\"\\u0000\":{}}", ""), COSMOS_EFORMAT, {"JSON"});
        expect_error(Blob::pack("{\"\xff\":{}}", ""), COSMOS_EFORMAT, {"JSON"});
        expect_error(Blob::pack(std::string(9999, '['), ""), COSMOS_EFORMAT, {"JSON"});
        expect_error(Blob::pack(std::string(100000, '['), ""), COSMOS_EFORMAT, {"more than 10000"});
}

TEST(BadModel, DuplicateKeys)
{
        Blob b;

        b.extra_header = "\"dense.bias\":{},";
        expect_error(b.bytes(), COSMOS_EFORMAT, {"JSON", "duplicate"});
        b.extra_header = "\"__metadata__\":{},";
        expect_error(b.bytes(), COSMOS_EFORMAT, {"JSON", "duplicate"});
        b.extra_header = "\"x\":{\"a\":1,\"a\":1},";
        expect_error(b.bytes(), COSMOS_EFORMAT, {"JSON", "duplicate"});
}

TEST(BadModel, RequiredKeyMissingOrNotAString)
{
        for (const char *key : {"format", "arch", "gates", "layers", "embedding", "vocab", "tokens", "unit", "window",
                                "hop", "score", "prior_count", "prior_mean"}) {
                std::string full = std::string("cosmos.") + key;
                Blob missing, number, null;

                missing.metadata.erase(full);
                expect_error(missing.bytes(), COSMOS_EFORMAT, {"'" + full + "'", "missing"});
                number.metadata[full] = "1";
                expect_error(number.bytes(), COSMOS_EFORMAT, {"'" + full + "'", "not a string"});
                null.metadata[full] = "null";
                expect_error(null.bytes(), COSMOS_EFORMAT, {"'" + full + "'", "not a string"});
        }
        Blob other;
        other.metadata["mine"] = "{}";
        expect_error(other.bytes(), COSMOS_EFORMAT, {"'mine'", "not a string"});
}

TEST(BadModel, ValueOutOfRange)
{
        const std::map<std::string, std::vector<std::string>> bad = {
            {"format", {"", "0", "-1", "1.0", "one", "01", " 1", "1 "}},
            {"arch", {"", "gru", "LSTM", "lstm "}},
            {"gates", {"", "ifog", "IFGO", "ifgo,"}},
            {"layers",
             {"", "0", ",", "3,", ",3", "3,,3", "3 ", "3;3", "-3", "4097", "99999999999999999999", "03",
              "3,3,3,3,3,3,3,3,3", "3,4097"}},
            {"embedding", {"", "0", "-2", "+2", "2.0", "0x2", "4097", "4294967298", "18446744073709551618", "2\\n"}},
            {"tokens",
             {"", "errno", "name,", "name, errno", "errno,name", "name,errno,size", "name,frequency/1001",
              "name,fd,errno"}},
            {"unit", {"", "Process", "container"}},
            {"window", {"", "0", "-1", "1000001", "1e2", "100.0"}},
            {"hop", {"", "0", "-1", "101", "1000000"}},
            {"score", {"", "mean", "shrunk_mean "}},
            {"prior_count", {"", "-1", "nan", "inf", "1,5", "1e999", "8 ", " 8", "0x8", "\"8\"", "[8]", "1e7", "8\\n"}},
            {"prior_mean", {"", "-0.5", "NaN", "Infinity", "1,25", "1.", ".5", "+1", "true", "1e7"}},
            {"threshold", {"", "nan", "-inf", "2,5", "1e400", "x", "123456789012345678901234567890x"}},
            {"threshold_n", {"", "0", "-1", "1.0", "1e3"}},
            {"threshold_spread", {"", "0", "-1", "nan", "1e7"}},
        };

        for (const auto &[key, values] : bad)
                for (const std::string &value : values) {
                        Blob b;

                        b.metadata["cosmos." + key] = "\"" + value + "\"";
                        if (value == "\"8\"")
                                b.set(key, value);
                        expect_error(b.bytes(), COSMOS_EFORMAT, {"'cosmos." + key + "'", "must be"});
                }
        for (const char *value : {"0", "-0.1", "1.01", "x"}) {
                Blob b;

                b.set("threshold", "2");
                b.set("quantile", value);
                expect_error(b.bytes(), COSMOS_EFORMAT, {"'cosmos.quantile'", "must be"});
        }
        Blob alone;
        alone.set("quantile", "0.5");
        expect_error(alone.bytes(), COSMOS_EFORMAT, {"'cosmos.quantile'", "'cosmos.threshold'"});
}

TEST(BadModel, NewerFormat)
{
        for (const char *value : {"3", "10", "4294967297", "99999999999999999999999"}) {
                Blob b;

                b.set("format", value);
                b.metadata["cosmos.arch"] = "{}"; /* whatever else a newer format may hold */
                expect_error(b.bytes(), COSMOS_EVERSION, {"'cosmos.format'", value, "update"});
        }
}

TEST(BadModel, NulInText)
{
        Blob value, key, raw;

        value.metadata["cosmos.arch"] = "\"lstm\\u0000\"";
        expect_error(value.bytes(), COSMOS_EFORMAT, {"JSON"});
        key.metadata["cosmos.arch"] = "\"lstm\",\"cosmos.arch\\u0000\":\"x\"";
        expect_error(key.bytes(), COSMOS_EFORMAT, {"JSON"});
        raw.metadata["cosmos.arch"] = std::string("\"lst\0m\"", 7);
        expect_error(raw.bytes(), COSMOS_EFORMAT, {"JSON"});
}

TEST(BadModel, Vocabulary)
{
        const std::vector<std::pair<std::string, std::string>> bad = {
            {"", "JSON list"},
            {"{}", "object"},
            {"\"read\"", "JSON list"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"b\"", "JSON list"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"b\"] x", "JSON list"},
            {"[]", "0 names"},
            {"[\"<start>\"]", "1 names"},
            {"[\"<start>\",\"<unknown>\",\"a\",7]", "name 3"},
            {"[\"<start>\",\"<unknown>\",\"a\",null]", "name 3"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"\"]", "id 3 is empty"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"a\"]", "ids 2 and 3 are both 'a'"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"<start>\"]", "ids 0 and 3"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"b\\u0000\"]", "JSON list"},
            {"[\"<start>\",\"<unknown>\",\"a\",\"\\u0061\"]", "both 'a'"},
            {"[\"<unknown>\",\"<start>\",\"a\",\"b\"]", "id 0 is '<unknown>'"},
            {"[\"<start>\",\"a\",\"<unknown>\",\"b\"]", "id 1 is 'a'"},
        };

        for (const auto &[json, word] : bad) {
                Blob b;

                b.set("vocab", json);
                expect_error(b.bytes(), COSMOS_EFORMAT, {"'cosmos.vocab'", word});
        }
        for (uint32_t n : {3u, 5u}) { /* fits no tensor */
                Blob b;

                b.set("vocab", blob::vocab_json(n));
                expect_error(b.bytes(), COSMOS_EFORMAT,
                             {"'embedding.name.weight'", "[4,2]", "[" + std::to_string(n) + ",2]"});
        }
        Blob large;
        large.set("vocab", blob::vocab_json(COSMOS_VOCAB_MAX + 1));
        expect_error(large.bytes(), COSMOS_EFORMAT, {"'cosmos.vocab'", "4097 names"});
}

TEST(BadModel, EachTensorInTurn)
{
        blob::Options options;
        options.layers = {3, 2};
        options.tokens = "name,errno,size/octave,fd,path,args,frequency/100";
        const Blob good(options);

        auto damaged = [&](const std::string &name, const std::function<void(blob::Tensor &)> &change) {
                Blob b = good;

                change(b.tensor(name));
                return b.bytes();
        };
        for (const blob::Tensor &t : good.tensors) {
                const std::string name = "'" + t.name + "'";
                Blob missing = good;

                missing.remove(t.name);
                expect_error(missing.bytes(), COSMOS_EFORMAT, {name, "missing"});
                for (const char *dtype : {"F16", "F64", "I32", "f32", ""})
                        expect_error(damaged(t.name, [&](blob::Tensor &x) { x.dtype = dtype; }), COSMOS_EFORMAT,
                                     {name, "dtype", dtype});
                for (const char *shape :
                     {"[]", "[1]", "[7,7]", "[0,0]", "[1,1,1]", "[-1]", "[4,-8]", "[1.0]", "null", "\"x\"", "{}",
                      "[4611686018427387904,4]", "[9223372036854775807,9223372036854775807]", "[[1]]"})
                        expect_error(damaged(t.name, [&](blob::Tensor &x) { x.shape = shape; }), COSMOS_EFORMAT,
                                     {name, "shape"});
                expect_error(damaged(t.name, [](blob::Tensor &x) { x.shape = "[9223372036854775808]"; }),
                             COSMOS_EFORMAT, {"JSON"});
                expect_error(damaged(t.name, [](blob::Tensor &x) { x.end += 4; }), COSMOS_EFORMAT, {name, "span"});
                expect_error(damaged(t.name, [](blob::Tensor &x) { x.end -= 4; }), COSMOS_EFORMAT, {name, "span"});
                expect_error(damaged(t.name,
                                     [](blob::Tensor &x) {
                                             x.end += 2;
                                             x.begin += 2;
                                     }),
                             COSMOS_EFORMAT, {name, t.end == good.tensors.back().end ? "cut short" : "multiple of 4"});
                expect_error(damaged(t.name,
                                     [](blob::Tensor &x) {
                                             x.end += uint64_t(1) << 62;
                                             x.begin += uint64_t(1) << 62;
                                     }),
                             COSMOS_EFORMAT, {name, "cut short"});
                for (float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                                    -std::numeric_limits<float>::infinity()})
                        for (size_t at : {size_t(0), t.values.size() - 1})
                                expect_error(damaged(t.name, [&](blob::Tensor &x) { x.values[at] = value; }),
                                             COSMOS_EFORMAT, {name, "value " + std::to_string(at), "finite"});
        }
}

TEST(BadModel, Int8)
{
        const Blob good = int8_blob();
        const std::string scales = "dense.kernel.scale";
        Blob b = good;

        EXPECT_EQ(info_of(blob::load(good.bytes())).precision, COSMOS_PRECISION_INT8);
        for (const char *word : {"int4", "", "INT8", "f32 "}) {
                b.set("precision", word);
                expect_error(b.bytes(), COSMOS_EFORMAT, {"cosmos.precision", "'f32' or 'int8'"});
        }
        b.metadata["cosmos.precision"] = "8";
        expect_error(b.bytes(), COSMOS_EFORMAT, {"cosmos.precision"});

        /* Not what the key says. */
        b.set("precision", "f32");
        expect_error(b.bytes(), COSMOS_EFORMAT, {"dtype", "I8", "F32"});
        b = Blob();
        b.set("precision", "int8");
        expect_error(b.bytes(), COSMOS_EFORMAT, {"lstm.0.recurrent_kernel", "dtype", "F32", "I8"});
        for (const blob::Tensor &t : good.tensors) {
                Blob other = good;

                other.remove(t.name);
                expect_error(other.bytes(), COSMOS_EFORMAT, {"'" + t.name + "'", "missing"});
                other = good;
                other.tensor(t.name).dtype = t.dtype == "I8" ? "U8" : "I8";
                expect_error(other.bytes(), COSMOS_EFORMAT, {"'" + t.name + "'", "dtype"});
        }

        /* Values that quantising never makes. */
        b = good;
        b.tensor("dense.kernel").values[1] = -128;
        expect_error(b.bytes(), COSMOS_EFORMAT, {"'dense.kernel'", "value 1 is -128"});
        b = good;
        b.tensor(scales).values[2] = -0.5f;
        expect_error(b.bytes(), COSMOS_EFORMAT, {"'" + scales + "'", "value 2 is -0.5", "below 0"});
        b.tensor(scales).values[2] = std::numeric_limits<float>::infinity();
        expect_error(b.bytes(), COSMOS_EFORMAT, {"'" + scales + "'", "value 2", "finite"});
        b.tensor(scales).values[2] = 0;
        EXPECT_NO_THROW(blob::load(b.bytes()));
}

TEST(BadModel, OffsetsOfWrongType)
{
        for (const char *offsets :
             {"null", "[]", "[0]", "[0,96,96]", "[\"0\",96]", "[0.0,96]", "[-4,92]", "[96,0]", "7", "{\"begin\":0}"}) {
                Blob b;
                std::string header = b.header();
                const std::string key = "\"dense.bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":";
                size_t at = header.find(key) + key.size();

                header.replace(at, header.find(']', at) + 1 - at, offsets);
                expect_error(Blob::pack(header, b.data()), COSMOS_EFORMAT, {"'dense.bias'", "data_offsets"});
        }
        Blob more;
        std::string header = more.header();
        header.replace(header.find("\"dtype\""), 0, "\"strides\":[],");
        expect_error(Blob::pack(header, more.data()), COSMOS_EFORMAT, {"embedding.name.weight", "more than"});
}

TEST(BadModel, Layout)
{
        Blob overlap;
        overlap.tensor("dense.bias").begin = overlap.tensor("dense.kernel").begin;
        overlap.tensor("dense.bias").end = overlap.tensor("dense.bias").begin + 16;
        expect_error(overlap.bytes(), COSMOS_EFORMAT, {"'dense.bias'", "'dense.kernel'", "overlap"});

        Blob hole;
        hole.tensor("dense.bias").begin += 4;
        hole.tensor("dense.bias").end += 4;
        expect_error(hole.bytes() + std::string(4, '\0'), COSMOS_EFORMAT, {"'dense.bias'", "hole of 4 bytes"});

        Blob first;
        for (blob::Tensor &t : first.tensors) {
                t.begin += 8;
                t.end += 8;
        }
        expect_error(Blob::pack(first.header(), std::string(8, '\0') + first.data()), COSMOS_EFORMAT,
                     {"'embedding.name.weight'", "hole of 8 bytes"});

        expect_error(Blob().bytes() + std::string(4, '\0'), COSMOS_EFORMAT, {"4 bytes follow"});
}

TEST(BadModel, UnexpectedTensor)
{
        Blob b, layer, empty, errors;

        b.add("zzz", 1, 1);
        expect_error(b.bytes(), COSMOS_EFORMAT, {"'zzz'", "not one of"});
        layer.add("lstm.1.bias", 0, 4);
        expect_error(layer.bytes(), COSMOS_EFORMAT, {"'lstm.1.bias'", "not one of"});
        empty.extra_header = "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},";
        expect_error(empty.bytes(), COSMOS_EFORMAT, {"'none'", "not one of"});
        empty.extra_header = "\"none\":7,";
        expect_error(empty.bytes(), COSMOS_EFORMAT, {"'none'", "not an object"});
        errors.add("embedding.errno.weight", COSMOS_TOKEN_ERRNO_SIZE, 2); /* the scheme is "name" */
        expect_error(errors.bytes(), COSMOS_EFORMAT, {"'embedding.errno.weight'", "not one of"});
}

/* A tiny file that claims a giant model: refused at once, in little memory. */
TEST(BadModel, ClaimsTerabytes)
{
        Blob b;
        struct rusage before, after;

        b.set("layers", "4096,4096,4096,4096,4096,4096,4096,4096");
        b.set("embedding", "4096");
        b.tensor("embedding.name.weight").shape = "[4,4096]";
        b.tensor("embedding.name.weight").end = 4 * 4096 * 4;
        b.tensor("lstm.0.kernel").shape = "[4096,16384]";
        getrusage(RUSAGE_SELF, &before);
        for (int i = 0; i < 100; i++)
                expect_error(b.bytes(), COSMOS_EFORMAT, {"lstm.0.kernel"});
        getrusage(RUSAGE_SELF, &after);
        EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024); /* KiB */
}

TEST(BadModel, MessageQuotesWhatItShows)
{
        Blob b;

        b.metadata["cosmos.arch"] = "\"\\u001b[31m\\n\"";
        Failure failure = load_error(b.bytes());
        EXPECT_NE(failure.text.find("\\x1b[31m\\x0a"), std::string::npos) << failure.text;

        Blob tensor;
        tensor.add("\x1b[31m", 1, 1); /* a raw control character: not JSON */
        EXPECT_EQ(load_error(tensor.bytes()).text.find('\x1b'), std::string::npos);
}

TEST(BadModel, NullArguments)
{
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load(nullptr, "x", 1, "n", nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_load(&model, nullptr, 1, "n", nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_load(&model, "x", 1, nullptr, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_model_load_file(&model, nullptr, nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_unref(nullptr), nullptr);
}

/* ---- files ---------------------------------------------------------------- */

TEST(ModelFile, LoadsAndIsNamedByItsPath)
{
        std::string path = testing::TempDir() + "cosmos-model-" + std::to_string(getpid());
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        std::ofstream(path, std::ios::binary) << Blob().bytes();
        ASSERT_EQ(cosmos_model_load_file(&model, path.c_str(), nullptr, &diag), 0) << diag.text;
        EXPECT_EQ(cosmos_model_name(model), path);
        cosmos_model_unref(model);

        std::ofstream(path, std::ios::binary) << "";
        EXPECT_EQ(cosmos_model_load_file(&model, path.c_str(), nullptr, &diag), -COSMOS_EFORMAT);
        EXPECT_NE(std::string(diag.text).find(path), std::string::npos) << diag.text;
        unlink(path.c_str());
}

TEST(ModelFile, Unreadable)
{
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load_file(&model, "/nonexistent/model.bin", nullptr, &diag), -ENOENT);
        EXPECT_NE(std::string(diag.text).find("/nonexistent/model.bin"), std::string::npos) << diag.text;
        EXPECT_EQ(cosmos_model_load_file(&model, "/", nullptr, &diag), -EISDIR);
        EXPECT_EQ(model, nullptr);
}

TEST(ModelFile, FromAPipe)
{
        const std::string bytes = Blob().bytes();
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};
        int fds[2];

        ASSERT_EQ(pipe(fds), 0);
        std::thread writer([&] {
                EXPECT_EQ(write(fds[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
                close(fds[1]);
        });
        std::string path = "/proc/self/fd/" + std::to_string(fds[0]);
        EXPECT_EQ(cosmos_model_load_file(&model, path.c_str(), nullptr, &diag), 0) << diag.text;
        writer.join();
        close(fds[0]);
        cosmos_model_unref(model);
}

/* ---- lifetime -------------------------------------------------------------- */

TEST(Model, ReferencesFromManyThreads)
{
        blob::Model model = blob::load(Blob().bytes());
        std::vector<std::thread> threads;

        for (int t = 0; t < 4; t++)
                threads.emplace_back([m = cosmos_model_ref(model.get())] {
                        for (int i = 0; i < 2000; i++) {
                                cosmos_model_ref(m);
                                if (cosmos_vocab_size(cosmos_model_vocab(m)) != 4)
                                        abort();
                                cosmos_model_unref(m);
                        }
                        blob::Session session = blob::session_of(m);
                        cosmos_model_unref(m); /* the session holds on to it */
                        cosmos_session_reset(session.get());
                });
        model.reset();
        for (std::thread &thread : threads)
                thread.join();
}

TEST(Model, OutlivesItsMakerThroughAPredictor)
{
        blob::Model model = blob::load(Blob().bytes());
        blob::Predictor predictor = blob::predictor_of(model.get());
        blob::Session session = blob::session_of(model.get());
        cosmos_session *s = session.get();
        cosmos_token token = {};
        float nll;

        model.reset();
        EXPECT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll, nullptr), 0);
}

TEST(Model, DoesNotKeepTheBytesItWasLoadedFrom)
{
        std::string bytes = Blob().bytes();
        cosmos_model *loaded = nullptr;

        ASSERT_EQ(cosmos_model_load(&loaded, bytes.data(), bytes.size(), "x", nullptr, nullptr), 0);
        blob::Model model(loaded), twin = blob::load(bytes);
        std::fill(bytes.begin(), bytes.end(), '\xee');
        for (cosmos_model *m : {model.get(), twin.get()}) {
                blob::Predictor predictor = blob::predictor_of(m);
                blob::Session session = blob::session_of(m);
                cosmos_session *s = session.get();
                cosmos_token token = {{2}, 0};
                static float first;
                float nll;

                ASSERT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll, nullptr), 0);
                if (m == model.get())
                        first = nll;
                EXPECT_EQ(nll, first);
        }
}
