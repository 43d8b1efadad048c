/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a token beyond the name, and the frequency: by cases, and against plain oracles. */
#include "sequence/steps.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>
#include <random>

using support::call;
using support::Event;

namespace
{

cosmos_token_scheme scheme_of(const char *text)
{
        cosmos_token_scheme scheme = {};
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_token_scheme_parse(&scheme, text, &diag), 0) << diag.text;
        return scheme;
}

class Tokens
{
      public:
        explicit Tokens(const char *scheme, uint32_t max = 0) : vocab(steps::vocabulary())
        {
                const cosmos_token_scheme tokens = scheme_of(scheme);
                const cosmos_sequencer_options options = {sizeof(options), COSMOS_UNIT_PROCESS, max, 0, &tokens};

                EXPECT_EQ(cosmos_sequencer_new(&s, vocab, &options, nullptr), 0);
        }
        ~Tokens()
        {
                cosmos_sequencer_free(s);
                cosmos_vocab_free(vocab);
        }
        Tokens(const Tokens &) = delete;
        Tokens &operator=(const Tokens &) = delete;

        /* That of the event's call. `ends`: the sequences that it ends. */
        cosmos_token operator()(const cosmos_event *event, std::vector<uint64_t> *ends = nullptr)
        {
                cosmos_token token = {};
                cosmos_step step;

                EXPECT_EQ(cosmos_sequencer_feed(s, event, nullptr), 0);
                while (cosmos_sequencer_next(s, &step) == 1) {
                        if (step.type == COSMOS_STEP_CALL)
                                token = step.token;
                        else if (ends)
                                ends->push_back(step.id);
                        id = step.id;
                }
                return token;
        }
        uint32_t field(cosmos_token_field f, const cosmos_event *event)
        {
                return (*this)(event).field[f];
        }

        uint64_t id = 0; /* of the latest step's sequence */

      private:
        cosmos_vocab *vocab;
        cosmos_sequencer *s = nullptr;
};

Event returned(const std::string &name, int64_t ret)
{
        Event event = call(1, name);

        (*event).ret = ret;
        (*event).known |= COSMOS_KNOWN_RET;
        return event;
}

Event sized(Event event, uint32_t size_class)
{
        (*event).size_class = size_class;
        (*event).known |= COSMOS_KNOWN_SIZE_CLASS;
        return event;
}

} // namespace

TEST(Token, FieldsOutsideTheSchemeAre0)
{
        Event event = sized(returned("openat", -2), 7);

        (*event).fd_kind = COSMOS_FD_SOCKET;
        (*event).path_class = COSMOS_PATH_TMP;
        (*event).known |= COSMOS_KNOWN_FD_KIND | COSMOS_KNOWN_PATH_CLASS;
        (*event).n_args = 6;
        const cosmos_token all = Tokens("name,errno,size/half,fd,path,args,frequency/4")(event);
        for (uint32_t field = 0; field < COSMOS_TOKEN_FIELDS; field++)
                EXPECT_GT(all.field[field], 0u) << field;
        EXPECT_EQ(all.frequency, 1.0f);
        for (const char *text : {"name", "name,errno", "name,size/half", "name,fd", "name,path", "name,args",
                                 "name,frequency/4", "name,errno,path", "name,size/half,args,frequency/9"}) {
                const cosmos_token_scheme scheme = scheme_of(text);
                const cosmos_token some = Tokens(text)(event);

                for (uint32_t field = 0; field < COSMOS_TOKEN_FIELDS; field++)
                        EXPECT_EQ(some.field[field], scheme.fields >> field & 1 ? all.field[field] : 0) << text;
                EXPECT_EQ(some.frequency, scheme.frequency ? 1.0f : 0.0f) << text;
        }
}

TEST(Token, SizeIsOfWhatACallMoved)
{
        Tokens octave("name,size/octave"), half("name,size/half"), quarter("name,size/quarter");

        for (const auto &[ret, o, h, q] : std::vector<std::tuple<int64_t, uint32_t, uint32_t, uint32_t>>{
                 {-EAGAIN, 0, 0, 0},
                 {0, 0, 0, 0},
                 {1, 1, 1, 1},
                 {7, 1, 1, 1},
                 {8, 2, 2, 2},
                 {31, 2, 2, 2},
                 {32, 3, 3, 3},
                 {38, 3, 3, 3},
                 {39, 3, 3, 4},
                 {46, 3, 4, 5},
                 {54, 3, 4, 6},
                 {63, 3, 4, 6},
                 {64, 4, 5, 7},
                 {4096, 10, 17, 31},
                 {INT64_MAX, 60, 118, 234},
             }) {
                for (const char *name : {"read", "write", "recvfrom"}) { /* the last one is not in the vocabulary */
                        EXPECT_EQ(octave.field(COSMOS_TOKEN_SIZE, returned(name, ret)), o) << name << " " << ret;
                        EXPECT_EQ(half.field(COSMOS_TOKEN_SIZE, returned(name, ret)), h) << name << " " << ret;
                        EXPECT_EQ(quarter.field(COSMOS_TOKEN_SIZE, returned(name, ret)), q) << name << " " << ret;
                }
                EXPECT_EQ(half.field(COSMOS_TOKEN_SIZE, returned("openat", ret)), 0u) << "that is a descriptor";
        }
}

/* The bounds of a class are those of the exact powers of two. */
TEST(Token, SizesOfRandomResults)
{
        const std::pair<const char *, uint32_t> variants[] = {
            {"name,size/octave", 1}, {"name,size/half", 2}, {"name,size/quarter", 4}};
        std::mt19937_64 random(3);

        for (const auto &[text, per_octave] : variants) {
                const cosmos_token_scheme scheme = scheme_of(text);
                Tokens tokens(text);

                for (int i = 0; i < 3000; i++) {
                        const int64_t bytes = static_cast<int64_t>(random() >> (1 + random() % 63));
                        const uint32_t found = tokens.field(COSMOS_TOKEN_SIZE, returned("read", bytes));

                        ASSERT_LT(found, cosmos_token_field_size(&scheme, COSMOS_TOKEN_SIZE));
                        if (bytes < 32) {
                                EXPECT_EQ(found, bytes >= 8 ? 2u : bytes > 0 ? 1u : 0u) << bytes;
                                continue;
                        }
                        const long double log2 = std::log2(static_cast<long double>(bytes));
                        const auto expected = static_cast<uint32_t>(std::floor(log2 * per_octave)) - 5 * per_octave + 3;

                        if (std::fabs(log2 * per_octave - std::round(log2 * per_octave)) > 1e-9L) {
                                EXPECT_EQ(found, expected) << bytes;
                        }
                        if (per_octave == 2) {
                                EXPECT_EQ(found, cosmos_size_class(static_cast<uint64_t>(bytes))) << bytes;
                        }
                }
        }
}

TEST(Token, SizeOfTheSourceWhereNoResultIs)
{
        const Event known = sized(call(1, "read"), 17), small = sized(call(1, "read"), 2);

        EXPECT_EQ(Tokens("name,size/half").field(COSMOS_TOKEN_SIZE, known), 17u);
        EXPECT_EQ(Tokens("name,size/octave").field(COSMOS_TOKEN_SIZE, known), 10u) << "that of 4096";
        EXPECT_EQ(Tokens("name,size/octave").field(COSMOS_TOKEN_SIZE, small), 2u);
        EXPECT_EQ(Tokens("name,size/quarter").field(COSMOS_TOKEN_SIZE, known), 0u) << "not known so finely";
        EXPECT_EQ(Tokens("name,size/half").field(COSMOS_TOKEN_SIZE, sized(returned("read", 1), 17)), 1u)
            << "the result is better";
        EXPECT_EQ(Tokens("name,size/half").field(COSMOS_TOKEN_SIZE, call(1, "read")), 0u);
        EXPECT_EQ(Tokens("name,size/octave").field(COSMOS_TOKEN_SIZE, sized(call(1, "read"), COSMOS_SIZE_CLASSES - 1)),
                  61u)
            << "the last of 62";
}

TEST(Token, PathByItsClassElseByItself)
{
        Event event = call(1, "openat");

        EXPECT_EQ(Tokens("name,path").field(COSMOS_TOKEN_PATH, event), COSMOS_PATH_NONE);
        (*event).path = event.keep("/etc/passwd");
        EXPECT_EQ(Tokens("name,path").field(COSMOS_TOKEN_PATH, event), COSMOS_PATH_ETC);
        (*event).path_class = COSMOS_PATH_HOME;
        EXPECT_EQ(Tokens("name,path").field(COSMOS_TOKEN_PATH, event), COSMOS_PATH_ETC) << "not known";
        (*event).known |= COSMOS_KNOWN_PATH_CLASS;
        EXPECT_EQ(Tokens("name,path").field(COSMOS_TOKEN_PATH, event), COSMOS_PATH_HOME);
}

TEST(Token, DescriptorAndArguments)
{
        Event event = call(1, "socket"); /* not in the vocabulary */

        (*event).fd_kind = COSMOS_FD_PIPE;
        EXPECT_EQ(Tokens("name,fd").field(COSMOS_TOKEN_FD, event), 0u) << "not known";
        (*event).known |= COSMOS_KNOWN_FD_KIND;
        EXPECT_EQ(Tokens("name,fd").field(COSMOS_TOKEN_FD, event), COSMOS_FD_PIPE);
        EXPECT_EQ(Tokens("name,args").field(COSMOS_TOKEN_ARGS, event), 0u) << "no arguments";
        (*event).n_args = 4;
        (*event).args[0] = 2;
        (*event).args[1] = 1;
        EXPECT_EQ(Tokens("name,args").field(COSMOS_TOKEN_ARGS, event), cosmos_args_class(event));
        EXPECT_GT(cosmos_args_class(event), 0u);
}

/* ---- frequency ----------------------------------------------------------------------- */

TEST(Token, FrequencyIsAShareOfTheLatestCalls)
{
        Tokens tokens("name,frequency/3");
        auto of = [&](const char *name) { return tokens(call(1, name)).frequency; };

        EXPECT_EQ(of("read"), 1.0f);
        EXPECT_EQ(of("write"), 1.0f / 2);
        EXPECT_EQ(of("read"), 2.0f / 3);
        EXPECT_EQ(of("read"), 2.0f / 3) << "the first one has left";
        EXPECT_EQ(of("read"), 3.0f / 3);
        EXPECT_EQ(of("write"), 1.0f / 3);
        EXPECT_EQ(of("gone"), 1.0f / 3);
        EXPECT_EQ(of("other"), 2.0f / 3) << "neither is in the vocabulary";
        EXPECT_EQ(tokens(call(2, "write")).frequency, 1.0f) << "another sequence";
        EXPECT_EQ(Tokens("name,frequency/1")(call(1, "read")).frequency, 1.0f);
}

/* Against the list of all names of a sequence; sequences come and go. */
TEST(Token, FrequencyOfRandomSequences)
{
        static const char *const names[] = {"read", "read", "write", "openat", "exit_group", "gone", "also gone"};
        std::mt19937 random(11);

        for (uint32_t window : {1u, 2u, 3u, 7u, 64u, 1000u}) {
                const std::string scheme = "name,errno,frequency/" + std::to_string(window);
                std::map<uint64_t, std::vector<uint32_t>> sequences;
                Tokens tokens(scheme.c_str(), 3);

                for (int i = 0; i < 6000; i++) {
                        const auto pid = static_cast<int32_t>(random() % (i % 1000 < 900 ? 2 : 6) + 1);
                        const char *name = names[random() % (i % 100 == 99 ? 7 : 4)];
                        std::vector<uint64_t> ended;
                        const cosmos_token token = tokens(call(pid, name), &ended);
                        std::vector<uint32_t> &all = sequences[tokens.id];

                        all.push_back(token.field[COSMOS_TOKEN_NAME]);
                        const auto n = static_cast<long>(std::min<size_t>(all.size(), window));
                        const auto same = std::count(all.end() - n, all.end(), all.back());
                        ASSERT_EQ(token.frequency, static_cast<float>(same) / static_cast<float>(n)) << i;
                        for (uint64_t id : ended)
                                sequences.erase(id);
                }
        }
}

TEST(Token, WhatIsNoSchemeIsRefused)
{
        cosmos_vocab *vocab = steps::vocabulary();
        const cosmos_token_scheme bad[] = {{0, 0, 0},
                                           {2, 0, 0},
                                           {1u << COSMOS_TOKEN_FIELDS | 1, 0, 0},
                                           {UINT32_MAX, 2, 0},
                                           {1, 2, 0},
                                           {1 | 1u << COSMOS_TOKEN_SIZE, 0, 0},
                                           {1, 0, 1001},
                                           {1 | 1u << COSMOS_TOKEN_SIZE, 3, 0}};

        for (const cosmos_token_scheme &scheme : bad) {
                const cosmos_sequencer_options options = {sizeof(options), COSMOS_UNIT_PROCESS, 0, 0, &scheme};
                cosmos_sequencer *s = nullptr;
                cosmos_diag diag = {""};

                EXPECT_EQ(cosmos_sequencer_new(&s, vocab, &options, &diag), -EINVAL) << scheme.fields;
                EXPECT_TRUE(support::contains(diag.text, "no scheme of tokens")) << diag.text;
                EXPECT_EQ(s, nullptr);
        }
        cosmos_vocab_free(vocab);
}
