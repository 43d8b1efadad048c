/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files for tests: a Blob is the parts of one, each of which a test may
 * change before bytes() puts them together. Weights are random, from a seed.
 */
#ifndef COSMOS_TEST_BLOB_H
#define COSMOS_TEST_BLOB_H

#include <cosmos/model.h>
#include <cosmos/predictor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace blob
{

struct Tensor {
        std::string name, dtype, shape;
        std::vector<float> values;
        uint64_t begin, end;
        uint32_t rows, columns;

        bool is_quantised() const /* in an int8 file */
        {
                return name.find("kernel") != std::string::npos && name != "lstm.0.kernel";
        }
        /* To whole numbers from -127 to 127; returns what each column is to be multiplied with. */
        std::vector<float> quantise()
        {
                std::vector<float> scales(columns);

                for (uint32_t c = 0; c < columns; c++) {
                        for (uint32_t r = 0; r < rows; r++)
                                scales[c] = std::max(scales[c], std::fabs(values[r * columns + c]) / 127);
                        for (uint32_t r = 0; scales[c] > 0 && r < rows; r++)
                                values[r * columns + c] = std::rint(values[r * columns + c] / scales[c]);
                }
                return scales;
        }
        /* To what is left of it in int8. */
        void round_to_int8()
        {
                const std::vector<float> scales = quantise();

                for (size_t i = 0; i < values.size(); i++)
                        values[i] *= scales[i % columns];
        }
};

struct Options {
        std::vector<uint32_t> layers{3};
        uint32_t embedding = 2;
        uint32_t vocab = 4;
        std::string tokens = "name";
        uint32_t seed = 1;
        float scale = 0.6f;
};

/* A table of embeddings: the field's ids, or the one row of the frequency. */
struct Field {
        std::string name;
        uint32_t size;
        int field; /* -1: frequency */
};

inline std::vector<Field> fields_of(const Options &o)
{
        cosmos_token_scheme scheme;
        cosmos_diag diag = {""};
        std::vector<Field> all;

        if (cosmos_token_scheme_parse(&scheme, o.tokens.c_str(), &diag) < 0)
                throw std::runtime_error(diag.text);
        for (int f = 0; f < COSMOS_TOKEN_FIELDS; f++) {
                const auto field = static_cast<cosmos_token_field>(f);

                if (scheme.fields >> f & 1)
                        all.push_back({cosmos_token_field_name(field),
                                       f == 0 ? o.vocab : cosmos_token_field_size(&scheme, field), f});
        }
        if (scheme.frequency)
                all.push_back({"frequency", 1, -1});
        return all;
}

inline std::string quoted(const std::string &text)
{
        std::string out = "\"";

        for (char c : text) {
                if (c == '"' || c == '\\')
                        out += '\\';
                out += c;
        }
        return out + '"';
}

inline std::string vocab_json(uint32_t n)
{
        std::string out = R"(["<start>","<unknown>")";

        for (uint32_t i = 2; i < n; i++)
                out += ",\"call" + std::to_string(i) + "\"";
        return out + "]";
}

struct Blob {
        Options options;
        std::map<std::string, std::string> metadata; /* as JSON: quoted() for a string */
        std::vector<Tensor> tensors;
        std::string extra_header; /* members that are put in as they are: `"k":v,` */

        explicit Blob(const Options &o = Options()) : options(o), random(o.seed)
        {
                std::string layers;
                uint32_t in = o.embedding;

                for (uint32_t units : o.layers)
                        layers += (layers.empty() ? "" : ",") + std::to_string(units);
                set("format", "1");
                set("arch", "lstm");
                set("gates", "ifgo");
                set("layers", layers);
                set("embedding", std::to_string(o.embedding));
                set("vocab", vocab_json(o.vocab));
                set("tokens", o.tokens);
                set("unit", "process");
                set("window", "100");
                set("hop", "50");
                set("score", "shrunk_mean");
                set("prior_count", "8");
                set("prior_mean", "1.25");

                for (const Field &field : fields_of(o))
                        add("embedding." + field.name + ".weight", field.size, o.embedding);
                for (size_t i = 0; i < o.layers.size(); i++) {
                        std::string prefix = "lstm." + std::to_string(i) + ".";

                        add(prefix + "kernel", in, 4 * o.layers[i]);
                        add(prefix + "recurrent_kernel", o.layers[i], 4 * o.layers[i]);
                        add(prefix + "bias", 0, 4 * o.layers[i]);
                        in = o.layers[i];
                }
                add("dense.kernel", in, o.vocab);
                add("dense.bias", 0, o.vocab);
        }

        void set(const std::string &key, const std::string &text)
        {
                metadata["cosmos." + key] = quoted(text);
        }

        /* A random matrix at the end of the data; rows 0: a vector. */
        void add(const std::string &name, uint32_t rows, uint32_t columns)
        {
                std::uniform_real_distribution<float> uniform(-1, 1);
                std::vector<float> values((rows ? rows : 1) * columns);
                uint64_t begin = tensors.empty() ? 0 : tensors.back().end;

                for (float &value : values)
                        value = uniform(random) * options.scale;
                tensors.push_back({name, "F32",
                                   rows ? "[" + std::to_string(rows) + "," + std::to_string(columns) + "]"
                                        : "[" + std::to_string(columns) + "]",
                                   values, begin, begin + 4 * values.size(), rows ? rows : 1, columns});
        }

        /* An int8 file, as models/quantise.py makes it of this one: what has one byte stands last, as the others are
         * aligned. */
        void store_int8()
        {
                std::vector<Tensor> all, bytes;
                uint64_t end = 0;

                set("precision", "int8");
                for (Tensor t : tensors) {
                        if (!t.is_quantised()) {
                                all.push_back(t);
                                continue;
                        }
                        all.push_back({t.name + ".scale", "F32", "[" + std::to_string(t.columns) + "]", t.quantise(), 0,
                                       0, 1, t.columns});
                        t.dtype = "I8";
                        bytes.push_back(t);
                }
                all.insert(all.end(), bytes.begin(), bytes.end());
                for (Tensor &t : all) {
                        t.begin = end;
                        t.end = end += (t.dtype == "I8" ? 1 : 4) * t.values.size();
                }
                tensors = all;
        }

        /* What the C trainer keeps of what it has learnt: rows of tokens, each 0x8000 where a piece begins, and where
         * the scheme has it their frequency. */
        void keep(const std::vector<float> &tokens, const std::vector<float> &frequency = {})
        {
                const auto n = static_cast<uint32_t>(tokens.size());
                uint32_t columns = 0;
                uint64_t end = tensors.back().end;

                for (const Field &field : fields_of(options))
                        columns += field.field >= 0;
                if (!frequency.empty()) {
                        const auto rows = static_cast<uint32_t>(frequency.size());

                        tensors.push_back({"kept.frequency", "F32", "[" + std::to_string(rows) + "]", frequency, end,
                                           end + 4 * frequency.size(), 1, rows});
                        end = tensors.back().end;
                }
                tensors.push_back({"kept.tokens", "U16",
                                   "[" + std::to_string(n / columns) + "," + std::to_string(columns) + "]", tokens, end,
                                   end + 2 * tokens.size(), n / columns, columns});
                set("format", "2");
                set("kept", "1000");
        }

        Tensor &tensor(const std::string &name)
        {
                for (Tensor &t : tensors)
                        if (t.name == name)
                                return t;
                throw std::out_of_range(name);
        }

        void remove(const std::string &name)
        {
                for (size_t i = 0; i < tensors.size(); i++)
                        if (tensors[i].name == name)
                                tensors.erase(tensors.begin() + static_cast<long>(i));
        }

        std::string header() const
        {
                std::string out = "{" + extra_header + "\"__metadata__\":{";
                const char *comma = "";

                for (const auto &[key, json] : metadata) {
                        out += comma + quoted(key) + ":" + json;
                        comma = ",";
                }
                out += "}";
                for (const Tensor &t : tensors)
                        out += "," + quoted(t.name) + ":{\"dtype\":" + quoted(t.dtype) + ",\"shape\":" + t.shape +
                               ",\"data_offsets\":[" + std::to_string(t.begin) + "," + std::to_string(t.end) + "]}";
                return out + "}";
        }

        std::string data() const
        {
                std::string out;

                for (const Tensor &t : tensors)
                        for (float value : t.values) {
                                uint32_t bits;

                                if (t.dtype != "F32") {
                                        const int whole = static_cast<int>(value);

                                        out += static_cast<char>(whole);
                                        if (t.dtype == "U16")
                                                out += static_cast<char>(whole >> 8);
                                        continue;
                                }
                                memcpy(&bits, &value, sizeof(bits));
                                for (int shift = 0; shift < 32; shift += 8)
                                        out += static_cast<char>(bits >> shift);
                        }
                return out;
        }

        static std::string pack(const std::string &header, const std::string &data)
        {
                std::string out;

                for (int shift = 0; shift < 64; shift += 8)
                        out += static_cast<char>(static_cast<uint64_t>(header.size()) >> shift);
                return out + header + data;
        }

        std::string bytes() const
        {
                return pack(header(), data());
        }

      private:
        std::mt19937 random;
};

struct Unref {
        void operator()(cosmos_model *model) const
        {
                cosmos_model_unref(model);
        }
        void operator()(cosmos_predictor *predictor) const
        {
                cosmos_predictor_free(predictor);
        }
        void operator()(cosmos_session *session) const
        {
                cosmos_session_free(session);
        }
};
using Model = std::unique_ptr<cosmos_model, Unref>;
using Predictor = std::unique_ptr<cosmos_predictor, Unref>;
using Session = std::unique_ptr<cosmos_session, Unref>;

/* What this machine can run. */
inline std::vector<const char *> isas()
{
        std::vector<const char *> names;

        while (const char *name = cosmos_isa_name(names.size()))
                names.push_back(name);
        return names;
}

/* Throws the diagnostic. The copy is exactly as large as the file: an over-read is seen by a sanitizer. */
inline Model load(const std::string &bytes, cosmos_precision precision = COSMOS_PRECISION_FILE,
                  const char *isa = nullptr)
{
        const cosmos_model_options options = {sizeof(options), precision, isa};
        std::vector<char> copy(bytes.begin(), bytes.end());
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        if (cosmos_model_load(&model, copy.data(), copy.size(), "test", &options, &diag) < 0)
                throw std::runtime_error(diag.text);
        return Model(model);
}

inline Predictor predictor_of(cosmos_model *model)
{
        cosmos_predictor *predictor = nullptr;

        if (cosmos_predictor_new(&predictor, model, nullptr) < 0)
                throw std::runtime_error("cosmos_predictor_new");
        return Predictor(predictor);
}

inline Session session_of(cosmos_model *model)
{
        cosmos_session *session = nullptr;

        if (cosmos_session_new(&session, model, nullptr) < 0)
                throw std::runtime_error("cosmos_session_new");
        return Session(session);
}

} // namespace blob

#endif
