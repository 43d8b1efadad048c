/* SPDX-License-Identifier: Apache-2.0 */
/* What a sink writes, replay reads: every field, of events made at random. */
#include "sink/lines.h"

#include <cosmos/collector.h>

#include <random>

using support::Event;

namespace
{

class Maker
{
      public:
        explicit Maker(uint32_t seed) : random(seed)
        {
        }

        Event event()
        {
                Event e;

                (*e).type = static_cast<cosmos_event_type>(pick({0, 0, 0, 0, 0, 1, 2, 3, 4, 5}));
                time(e);
                text(e, &cosmos_event::container_id,
                     e->type == COSMOS_EVENT_CONTAINER_START || e->type == COSMOS_EVENT_CONTAINER_STOP);
                text(e, &cosmos_event::container_name);
                text(e, &cosmos_event::image);
                text(e, &cosmos_event::host);
                if (e->type == COSMOS_EVENT_CALL || e->type == COSMOS_EVENT_THREAD_EXIT || e->type == COSMOS_EVENT_LOSS)
                        process(e);
                if (e->type == COSMOS_EVENT_CALL)
                        call(e);
                if (e->type == COSMOS_EVENT_LOSS) {
                        (*e).loss_kind = static_cast<cosmos_loss_kind>(random() % 4);
                        (*e).loss_count = random() % 2 ? 0 : number(INT64_MAX);
                }
                if (e->type == COSMOS_EVENT_TRACE)
                        text(e, &cosmos_event::source);
                return e;
        }

      private:
        int pick(std::vector<int> of)
        {
                return of[random() % of.size()];
        }

        /* Small, at the limit, or anything. */
        uint64_t number(uint64_t max)
        {
                switch (random() % 4) {
                case 0:
                        return random() % 10;
                case 1:
                        return max - random() % 10;
                default:
                        return max == UINT64_MAX ? random() : random() % (max + 1);
                }
        }

        void time(Event &e)
        {
                int64_t unit = 1;

                (*e).timestamp_digits = static_cast<uint32_t>(random() % 10);
                for (uint32_t i = e->timestamp_digits; i < 9; i++)
                        unit *= 10;
                (*e).timestamp = static_cast<int64_t>(number(INT64_MAX)) / unit * unit;
        }

        void text(Event &e, const char *cosmos_event::*field, bool needed = false)
        {
                std::string bytes;

                if (!needed && random() % 2)
                        return;
                for (size_t n = random() % 30; n > 0; n--)
                        bytes +=
                            static_cast<char>(random() % 3 ? random() % 255 + 1 : "\"\\/%\n\xc3\xa4"[random() % 7]);
                (*e).*field = e.keep(bytes);
        }

        template <typename T>
        void number(Event &e, uint32_t bit, T cosmos_event::*field, uint64_t max, bool needed = false)
        {
                if (!needed && random() % 2)
                        return;
                (*e).*field = static_cast<T>(number(max));
                (*e).known |= bit;
        }

        void process(Event &e)
        {
                const bool exit = e->type == COSMOS_EVENT_THREAD_EXIT, call = e->type == COSMOS_EVENT_CALL;

                number(e, COSMOS_KNOWN_PID, &cosmos_event::pid, INT32_MAX, exit || call);
                number(e, COSMOS_KNOWN_TID, &cosmos_event::tid, INT32_MAX, exit);
                number(e, COSMOS_KNOWN_PPID, &cosmos_event::ppid, INT32_MAX);
                number(e, COSMOS_KNOWN_SEQ, &cosmos_event::seq, INT64_MAX);
                number(e, COSMOS_KNOWN_PROC_START, &cosmos_event::proc_start, INT64_MAX);
                number(e, COSMOS_KNOWN_THREAD_START, &cosmos_event::thread_start, INT64_MAX);
                text(e, &cosmos_event::comm, call);
                text(e, &cosmos_event::exe);
        }

        void call(Event &e)
        {
                do
                        text(e, &cosmos_event::syscall, true);
                while (!*e->syscall);
                (*e).arch = static_cast<cosmos_arch>(random() % 4);
                number(e, COSMOS_KNOWN_NR, &cosmos_event::nr, UINT32_MAX);
                number(e, COSMOS_KNOWN_UID, &cosmos_event::uid, UINT32_MAX);
                number(e, COSMOS_KNOWN_AUID, &cosmos_event::auid, UINT32_MAX);
                number(e, COSMOS_KNOWN_RET, &cosmos_event::ret, UINT64_MAX);
                (*e).n_args = static_cast<uint32_t>(random() % 7);
                for (uint32_t i = 0; i < e->n_args; i++)
                        (*e).args[i] = number(UINT64_MAX);
                text(e, &cosmos_event::path);
                text(e, &cosmos_event::argv);
                text(e, &cosmos_event::addr);
        }

        std::mt19937_64 random;
};

/* The event as a reader sees it: its strings made UTF-8. */
Event readable(const Event &event)
{
        Event e = event;

        for (const char *cosmos_event::*field :
             {&cosmos_event::container_id, &cosmos_event::container_name, &cosmos_event::image, &cosmos_event::host,
              &cosmos_event::comm, &cosmos_event::exe, &cosmos_event::syscall, &cosmos_event::path, &cosmos_event::argv,
              &cosmos_event::addr, &cosmos_event::source})
                if ((*e).*field)
                        (*e).*field = e.keep(lines::readable((*e).*field));
        return e;
}

std::string write_all(const std::vector<Event> &events)
{
        lines::Writer writer;
        std::string out;

        for (const Event &event : events)
                out += writer.write(event) + "\n";
        return out;
}

std::vector<Event> replay(const std::string &content)
{
        support::File file(content);
        cosmos_collector *collector = nullptr;
        const cosmos_event *event;
        std::vector<Event> out;
        cosmos_diag diag = {""};
        support::Log log;
        cosmos_replay_options options = {sizeof(options), log.hook()};
        int r;

        EXPECT_EQ(cosmos_collector_open_replay(&collector, file.path(), &options, &diag), 0) << diag.text;
        while ((r = cosmos_collector_next(collector, &event, &diag)) == 1)
                out.push_back(Event(*event));
        EXPECT_EQ(r, 2) << diag.text;
        cosmos_collector_free(collector);
        EXPECT_TRUE(log.lines.empty()) << log.lines[0];
        return out;
}

} // namespace

TEST(RoundTrip, EveryFieldOfEveryEvent)
{
        for (uint32_t seed = 0; seed < 20; seed++) {
                std::vector<Event> events, again;
                Maker maker(seed);

                for (int i = 0; i < 300; i++)
                        events.push_back(maker.event());
                again = replay(write_all(events));
                ASSERT_EQ(again.size(), events.size());
                for (size_t i = 0; i < events.size(); i++)
                        ASSERT_EQ(support::describe(*again[i]), support::describe(*readable(events[i])));
                EXPECT_EQ(write_all(again), write_all(replay(write_all(again)))) << "and from then on byte by byte";
        }
}
