/* SPDX-License-Identifier: Apache-2.0 */
/* Random events against the rules of the header, written as plainly as can be. */
#include "sequence/steps.h"

#include <algorithm>
#include <optional>
#include <random>

using steps::Steps;
using support::Event;

namespace
{

class Naive
{
      public:
        Naive(bool threads, size_t max, int64_t idle_ns) : threads(threads), max(max), idle_ns(idle_ns)
        {
        }

        Steps feed(const cosmos_event *e)
        {
                out.clear();
                if (e)
                        now = std::max(now, e->timestamp);
                end_where([&](const Sequence &q) { return now - q.last >= idle_ns; }, "idle");
                if (!e)
                        end_where([](const Sequence &) { return true; }, "end_of_trace");
                else if (e->type == COSMOS_EVENT_LOSS)
                        end_where([&](const Sequence &q) { return hit(q, e); }, "loss");
                else if (e->type == COSMOS_EVENT_CONTAINER_STOP)
                        end_where([&](const Sequence &q) { return q.container == id_of(e); }, "container_stop");
                else if (e->type == COSMOS_EVENT_THREAD_EXIT && threads)
                        end_where([&](const Sequence &q) { return q.key == key_of(e); }, "exit");
                else if (e->type == COSMOS_EVENT_CALL)
                        call(e);
                return out;
        }

        size_t size() const
        {
                return all.size();
        }

      private:
        struct Sequence {
                std::string key;
                std::optional<std::string> container;
                int32_t pid;
                uint64_t id, calls;
                int64_t last;
        };

        static std::optional<std::string> id_of(const cosmos_event *e)
        {
                return e->container_id ? std::optional<std::string>(e->container_id) : std::nullopt;
        }

        /* A thread, else a container, else all. */
        bool hit(const Sequence &q, const cosmos_event *loss) const
        {
                if (loss->known & COSMOS_KNOWN_TID)
                        return q.key == key_of(loss);
                return !loss->container_id || q.container == id_of(loss);
        }

        std::string key_of(const cosmos_event *e) const
        {
                auto number = [&](uint32_t bit, uint64_t n) {
                        return e->known & bit ? std::to_string(n) + " " : std::string("? ");
                };
                std::string key = id_of(e).value_or("none") + " " + std::to_string(e->pid) + " " +
                                  number(COSMOS_KNOWN_PROC_START, e->proc_start);

                if (threads)
                        key += std::to_string(e->tid) + " " + number(COSMOS_KNOWN_THREAD_START, e->thread_start);
                return key;
        }

        template <typename F> void end_where(F matches, const char *why)
        {
                for (size_t i = 0; i < all.size();) {
                        if (!matches(all[i])) {
                                i++;
                                continue;
                        }
                        out.push_back("end " + std::to_string(all[i].id) + " pid " + std::to_string(all[i].pid) +
                                      " n " + std::to_string(all[i].calls) + " " + why);
                        all.erase(all.begin() + static_cast<long>(i));
                }
        }

        void call(const cosmos_event *e)
        {
                const std::string key = key_of(e), name = e->syscall;
                auto found = std::find_if(all.begin(), all.end(), [&](const Sequence &q) { return q.key == key; });
                Sequence q;

                if (found == all.end()) {
                        if (all.size() == max) {
                                const uint64_t first = all[0].id;

                                end_where([&](const Sequence &other) { return other.id == first; }, "evicted");
                        }
                        q = {key, id_of(e), e->pid, ++opened, 0, 0};
                } else {
                        q = *found;
                        all.erase(found);
                }
                q.calls++;
                q.last = now;
                all.push_back(q); /* the latest to act is the last */
                out.push_back("call " + std::to_string(q.id) + " pid " + std::to_string(q.pid) + " n " +
                              std::to_string(q.calls) + " token " + std::to_string(token(name)) + ",0");
                if (name == "exit_group" || (threads && name == "exit"))
                        end_where([&](const Sequence &other) { return other.id == q.id; }, "exit");
        }

        static size_t token(const std::string &name)
        {
                for (size_t i = 2; i < sizeof(steps::NAMES) / sizeof(*steps::NAMES); i++)
                        if (name == steps::NAMES[i])
                                return i;
                return 1;
        }

        bool threads;
        size_t max;
        int64_t idle_ns, now = 0;
        uint64_t opened = 0;
        std::vector<Sequence> all;
        Steps out;
};

class Stream
{
      public:
        explicit Stream(uint32_t seed) : random(seed)
        {
        }

        Event next()
        {
                const uint32_t what = random() % 100;
                static const char *const names[] = {"read", "write", "openat", "exit", "exit_group", "ptrace"};
                Event e;

                ms += static_cast<int64_t>(random() % 50);
                if (random() % 100 == 0)
                        ms += 1500; /* idle_ns is a second */
                e = what < 93    ? support::call(pid(), names[std::min<uint32_t>(random() % 12, 5)])
                    : what < 95  ? support::other(COSMOS_EVENT_THREAD_EXIT)
                    : what == 95 ? support::other(COSMOS_EVENT_LOSS)
                    : what < 98  ? support::other(COSMOS_EVENT_CONTAINER_STOP)
                    : what == 98 ? support::other(COSMOS_EVENT_CONTAINER_START)
                                 : support::other(COSMOS_EVENT_TRACE);
                /* Some are late. */
                (*e).timestamp = support::T0 + (ms - (random() % 10 == 0 ? random() % 3000 : 0)) * 1000000;
                (*e).pid = pid();
                if (random() % 3)
                        (*e).container_id = e.keep(random() % 2 ? "aaaa" : "bbbb");
                if (e->type == COSMOS_EVENT_CONTAINER_STOP && !e->container_id)
                        (*e).container_id = e.keep("cccc");
                number(e, COSMOS_KNOWN_PROC_START, (*e).proc_start);
                number(e, COSMOS_KNOWN_THREAD_START, (*e).thread_start);
                (*e).known |= COSMOS_KNOWN_PID | COSMOS_KNOWN_TID;
                (*e).tid = pid();
                if (e->type == COSMOS_EVENT_LOSS && random() % 2)
                        (*e).known &= ~COSMOS_KNOWN_TID;
                return e;
        }

      private:
        int32_t pid()
        {
                return static_cast<int32_t>(random() % 4 + 1);
        }
        void number(Event &e, uint32_t bit, uint64_t &ret)
        {
                ret = random() % 2;
                if (random() % 4)
                        (*e).known |= bit;
        }

        std::mt19937 random;
        int64_t ms = 0;
};

} // namespace

TEST(SequencerRandom, FollowsTheRules)
{
        for (uint32_t seed = 0; seed < 60; seed++) {
                const bool threads = seed % 2;
                const uint32_t max = seed % 5 ? 3 + seed % 7 : 1000;
                steps::Sequencer sequencer(threads ? COSMOS_UNIT_THREAD : COSMOS_UNIT_PROCESS, max, support::SECOND);
                Naive naive(threads, max, support::SECOND);
                Stream stream(seed);

                for (int i = 0; i < 1500; i++) {
                        Event event = stream.next();
                        const cosmos_event *e = i % 500 == 499 ? nullptr : static_cast<const cosmos_event *>(event);

                        ASSERT_EQ(sequencer.feed(e), naive.feed(e)) << "seed " << seed << " event " << i;
                        ASSERT_EQ(sequencer.fed, 0);
                        ASSERT_EQ(cosmos_sequencer_count(sequencer.s), naive.size());
                }
        }
}
