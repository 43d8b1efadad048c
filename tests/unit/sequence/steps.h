/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a sequencer as texts, so that whole runs can be compared and read. */
#ifndef COSMOS_TEST_STEPS_H
#define COSMOS_TEST_STEPS_H

#include "support.h"

#include <cosmos/sequence.h>

#include <set>
#include <string>
#include <vector>

namespace steps
{

inline const char *const NAMES[] = {"<start>", "<unknown>", "read", "write", "openat", "exit_group", "exit"};

inline cosmos_vocab *vocabulary()
{
        cosmos_vocab *vocab = nullptr;

        EXPECT_EQ(cosmos_vocab_new(&vocab, NAMES, sizeof(NAMES) / sizeof(*NAMES), nullptr), 0);
        return vocab;
}

/* "call 1 pid 5 n 2 token 3,0" or "end 1 pid 5 n 2 exit". */
inline std::string text(const cosmos_step &s)
{
        std::string out = (s.type == COSMOS_STEP_CALL ? "call " : "end ") + std::to_string(s.id) + " pid " +
                          std::to_string(s.key->pid) + " n " + std::to_string(s.calls);

        if (s.type == COSMOS_STEP_END)
                return out + " " + cosmos_end_name(s.end);
        return out + " token " + std::to_string(s.token.field[0]) + "," + std::to_string(s.token.field[1]);
}

class Sequencer
{
      public:
        explicit Sequencer(cosmos_unit unit = COSMOS_UNIT_PROCESS, uint32_t max = 0, uint64_t idle_ns = 0)
        {
                cosmos_sequencer_options options = {sizeof(options), unit, max, idle_ns, nullptr};

                vocab = vocabulary();
                EXPECT_EQ(cosmos_sequencer_new(&s, vocab, &options, &diag), 0) << diag.text;
        }
        ~Sequencer()
        {
                EXPECT_EQ(cosmos_sequencer_free(s), nullptr);
                cosmos_vocab_free(vocab);
        }
        Sequencer(const Sequencer &) = delete;
        Sequencer &operator=(const Sequencer &) = delete;

        /* All steps of one event. A slot is marked at its first call, and checked from then on. */
        std::vector<std::string> feed(const cosmos_event *event)
        {
                std::vector<std::string> out;
                cosmos_step step;
                int r;

                fed = cosmos_sequencer_feed(s, event, &diag);
                if (fed < 0)
                        return out;
                while ((r = cosmos_sequencer_next(s, &step)) == 1) {
                        out.push_back(text(step));
                        check(step, event);
                        if (step.key)
                                key = support::Event(*step.key);
                }
                EXPECT_EQ(r, 0);
                EXPECT_EQ(cosmos_sequencer_count(s), open.size());
                return out;
        }

        cosmos_vocab *vocab;
        cosmos_sequencer *s = nullptr;
        cosmos_diag diag = {""};
        support::Event key; /* of the latest step */
        int fed = 0;

      private:
        void check(const cosmos_step &step, const cosmos_event *event)
        {
                if (step.type == COSMOS_STEP_CALL) {
                        EXPECT_EQ(step.event, event);
                        EXPECT_EQ(step.calls == 1, open.insert(step.id).second) << "only a new one begins at 1";
                        EXPECT_EQ(*step.userdata, step.calls == 1 ? nullptr : mark(step.id));
                        *step.userdata = mark(step.id);
                        return;
                }
                EXPECT_EQ(*step.userdata, mark(step.id));
                EXPECT_EQ(open.erase(step.id), 1u) << "it ends once";
        }
        static void *mark(uint64_t id)
        {
                return reinterpret_cast<void *>(static_cast<uintptr_t>(id) * 16);
        }

        std::set<uint64_t> open;
};

using Steps = std::vector<std::string>;

} // namespace steps

#endif
