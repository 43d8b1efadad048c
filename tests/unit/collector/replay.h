/* SPDX-License-Identifier: Apache-2.0 */
/* A replay as tests see it, and lines to replay. */
#ifndef COSMOS_TEST_REPLAY_H
#define COSMOS_TEST_REPLAY_H

#include "collector/records.h"
#include "support.h"

#include <cosmos/collector.h>

#include <string>
#include <vector>

namespace replay
{

inline std::string trace_line(int pid, const std::string &more = "")
{
        return R"({"timestamp":"2026-11-23T04:20:11.123Z","pid":)" + std::to_string(pid) +
               R"(,"comm":"c","syscall":"read")" + more + "}";
}

/* The lines that auditd writes of one call. */
inline std::string log_event(int serial, const std::string &seconds = "1364481363.243")
{
        std::string s = std::to_string(serial);

        return records::line("SYSCALL", s, records::SYSCALL, seconds) + "\n" +
               records::line("CWD", s, "cwd=\"/\"", seconds) + "\n" + records::line("PATH", s, records::PATH, seconds) +
               "\n" + records::line("PROCTITLE", s, records::PROCTITLE, seconds) + "\n";
}

/* An open replay, and all that it has said. */
class Replay
{
      public:
        explicit Replay(const char *path)
        {
                cosmos_replay_options options = {sizeof(options), log.hook()};

                opened = cosmos_collector_open_replay(&collector, path, &options, &diag);
                EXPECT_EQ(collector != nullptr, opened == 0);
        }
        ~Replay()
        {
                EXPECT_EQ(cosmos_collector_free(collector), nullptr);
        }

        /* As next(); an event goes to `event`. */
        int next()
        {
                const cosmos_event *lent = nullptr;
                int r = cosmos_collector_next(collector, &lent, &diag);

                if (r == 1)
                        event = support::Event(*lent);
                return r;
        }
        /* All events there are now; what came after them in `end`. */
        std::vector<support::Event> take()
        {
                std::vector<support::Event> events;

                while ((end = next()) == 1)
                        events.push_back(event);
                return events;
        }
        std::vector<int> pids()
        {
                std::vector<int> out;

                for (const support::Event &e : take())
                        if (e->type == COSMOS_EVENT_CALL)
                                out.push_back(e->pid);
                return out;
        }
        cosmos_collector_stats stats() const
        {
                cosmos_collector_stats s = {};

                s.size = sizeof(s);
                cosmos_collector_get_stats(collector, &s);
                return s;
        }

        cosmos_collector *collector = nullptr;
        cosmos_diag diag = {""};
        support::Log log;
        int opened, end = 99;
        support::Event event;
};

} // namespace replay

#endif
