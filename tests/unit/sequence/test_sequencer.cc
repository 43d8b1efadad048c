/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence/steps.h"

#include <cosmos/error.h>

#include <cerrno>
#include <memory>

using steps::Sequencer;
using steps::Steps;
using support::call;
using support::Event;
using support::other;

namespace
{

Event in(Event event, const char *container, const char *name = nullptr, const char *image = nullptr)
{
        (*event).container_id = event.keep(container);
        (*event).container_name = event.keep(name);
        (*event).image = event.keep(image);
        return event;
}

Event started(Event event, uint64_t proc_start)
{
        (*event).proc_start = proc_start;
        (*event).known |= COSMOS_KNOWN_PROC_START;
        return event;
}

Event of_thread(Event event, int32_t tid, int64_t thread_start = -1)
{
        (*event).tid = tid;
        (*event).known |= COSMOS_KNOWN_TID;
        if (thread_start >= 0) {
                (*event).thread_start = static_cast<uint64_t>(thread_start);
                (*event).known |= COSMOS_KNOWN_THREAD_START;
        }
        return event;
}

Event returned(Event event, int64_t ret)
{
        (*event).ret = ret;
        (*event).known |= COSMOS_KNOWN_RET;
        return event;
}

} // namespace

/* ---- keys --------------------------------------------------------------------------- */

TEST(Sequencer, AProcessIsASequence)
{
        Sequencer s;

        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 1 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(6, "write")), (Steps{"call 2 pid 6 n 1 token 3,0"}));
        EXPECT_EQ(s.feed(call(5, "openat")), (Steps{"call 1 pid 5 n 2 token 4,0"}));
        EXPECT_EQ(cosmos_sequencer_count(s.s), 2u);
}

TEST(Sequencer, APidThatStartedAnewIsAnother)
{
        Sequencer s;

        EXPECT_EQ(s.feed(started(call(5, "read"), 100)), (Steps{"call 1 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(started(call(5, "read"), 200)), (Steps{"call 2 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 3 pid 5 n 1 token 2,0"})) << "an unknown start is none of them";
        EXPECT_EQ(s.feed(started(call(5, "read"), 0)), (Steps{"call 4 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(started(call(5, "read"), 100)), (Steps{"call 1 pid 5 n 2 token 2,0"}));
}

TEST(Sequencer, APidInAnotherContainerIsAnother)
{
        Sequencer s;

        EXPECT_EQ(s.feed(in(call(5, "read"), "aaaa")), (Steps{"call 1 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(in(call(5, "read"), "bbbb")), (Steps{"call 2 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 3 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(in(call(5, "read"), "aaaa")), (Steps{"call 1 pid 5 n 2 token 2,0"}));
}

TEST(Sequencer, ThreadsOfAProcessAreOneSequenceOfIt)
{
        Sequencer s;

        s.feed(of_thread(call(5, "read"), 5));
        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 6)), (Steps{"call 1 pid 5 n 2 token 2,0"}));
        EXPECT_FALSE(s.key->known & COSMOS_KNOWN_TID);
}

TEST(Sequencer, AThreadIsASequenceWhereThatIsTheUnit)
{
        Sequencer s(COSMOS_UNIT_THREAD);

        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 5)), (Steps{"call 1 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 6, 10)), (Steps{"call 2 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 6, 20)), (Steps{"call 3 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(of_thread(call(7, "read"), 6, 20)), (Steps{"call 4 pid 7 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 6, 10)), (Steps{"call 2 pid 5 n 2 token 2,0"}));
        EXPECT_EQ(s.key->tid, 6);
        EXPECT_EQ(s.key->thread_start, 10u);
        EXPECT_EQ(s.key->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_THREAD_START);
}

TEST(Sequencer, CallsOfNoThreadDoNotFitThreads)
{
        Sequencer s(COSMOS_UNIT_THREAD);

        s.feed(call(5, "read"));
        EXPECT_EQ(s.fed, -COSMOS_EMISMATCH);
        EXPECT_TRUE(support::contains(s.diag.text, "thread")) << s.diag.text;
        EXPECT_EQ(s.feed(of_thread(call(5, "read"), 5)), (Steps{"call 1 pid 5 n 1 token 2,0"})) << "it goes on";
        EXPECT_EQ(s.feed(other(COSMOS_EVENT_LOSS)), (Steps{"end 1 pid 5 n 1 loss"})) << "a loss has no thread";
}

TEST(Sequencer, AKeySaysWhoseItIsAndNothingElse)
{
        Sequencer s;
        Event event = started(in(returned(call(5, "read"), -2), "aaaa", "db", "mariadb:11"), 77);

        (*event).known |= COSMOS_KNOWN_SEQ | COSMOS_KNOWN_PPID;
        (*event).seq = 9;
        (*event).ppid = 3;
        (*event).exe = event.keep("/bin/x");
        (*event).path = event.keep("/p");
        (*event).host = event.keep("h");
        s.feed(event);
        EXPECT_STREQ(s.key->container_id, "aaaa");
        EXPECT_STREQ(s.key->container_name, "db");
        EXPECT_STREQ(s.key->image, "mariadb:11");
        EXPECT_EQ(s.key->pid, 5);
        EXPECT_EQ(s.key->proc_start, 77u);
        EXPECT_EQ(s.key->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_PROC_START);
        EXPECT_STREQ(s.key->comm, "comm");
        EXPECT_STREQ(s.key->exe, "/bin/x");
        EXPECT_EQ(s.key->syscall, nullptr);
        EXPECT_EQ(s.key->path, nullptr);
        EXPECT_EQ(s.key->host, nullptr);
        EXPECT_EQ(s.key->seq, 0u);
        EXPECT_EQ(s.key->timestamp, 0);
}

TEST(Sequencer, AKeyHasTheNamesOfTheLatestCall)
{
        Sequencer s;
        Event event = call(5, "read"), after = call(5, "read");

        (*event).comm = event.keep("sh");
        (*event).exe = event.keep("/bin/sh");
        s.feed(event);
        (*after).comm = after.keep("sh-and-more");
        s.feed(after);
        EXPECT_STREQ(s.key->comm, "sh-and-more");
        EXPECT_EQ(s.key->exe, nullptr) << "the latest call does not say";
        s.feed(event);
        EXPECT_STREQ(s.key->comm, "sh");
        EXPECT_STREQ(s.key->exe, "/bin/sh");
        (*event).exe = event.keep("/" + std::string(5000, 'x'));
        s.feed(event);
        EXPECT_EQ(std::string(s.key->exe).substr(0, 100), "/" + std::string(99, 'x')) << "a long one is cut";
}

TEST(Sequencer, KeysOutliveTheEventsThatMadeThem)
{
        Sequencer s;

        {
                Event event = in(call(5, "read"), "aaaa", "db", "image");

                s.feed(event);
        } /* its strings are freed */
        EXPECT_EQ(s.feed(nullptr), (Steps{"end 1 pid 5 n 1 end_of_trace"}));
        EXPECT_STREQ(s.key->container_name, "db");
        EXPECT_STREQ(s.key->comm, "comm");
}

/* ---- ends -------------------------------------------------------------------------------- */

TEST(Sequencer, ExitGroupEndsAProcess)
{
        Sequencer s;

        s.feed(call(5, "read"));
        s.feed(call(6, "read"));
        EXPECT_EQ(s.feed(call(5, "exit_group")), (Steps{"call 1 pid 5 n 2 token 5,0", "end 1 pid 5 n 2 exit"}));
        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 3 pid 5 n 1 token 2,0"})) << "what comes after is another";
        EXPECT_EQ(s.feed(call(7, "exit_group")), (Steps{"call 4 pid 7 n 1 token 5,0", "end 4 pid 7 n 1 exit"}));
        EXPECT_EQ(s.feed(call(6, "exit")), (Steps{"call 2 pid 6 n 2 token 6,0"})) << "a thread of it, perhaps";
}

TEST(Sequencer, ExitEndsAThread)
{
        Sequencer s(COSMOS_UNIT_THREAD);
        Event end = of_thread(other(COSMOS_EVENT_THREAD_EXIT), 6);

        for (int tid : {5, 6, 7})
                s.feed(of_thread(call(5, "read"), tid));
        EXPECT_EQ(s.feed(of_thread(call(5, "exit"), 5)), (Steps{"call 1 pid 5 n 2 token 6,0", "end 1 pid 5 n 2 exit"}));
        (*end).pid = 5;
        EXPECT_EQ(s.feed(end), (Steps{"end 2 pid 5 n 1 exit"}));
        EXPECT_EQ(s.feed(end), Steps{}) << "it is gone";
        EXPECT_EQ(s.feed(of_thread(call(5, "exit_group"), 8)),
                  (Steps{"call 4 pid 5 n 1 token 5,0", "end 4 pid 5 n 1 exit"}));
        EXPECT_EQ(cosmos_sequencer_count(s.s), 1u) << "the others have their own ends";
}

TEST(Sequencer, AThreadsExitDoesNotEndItsProcess)
{
        Sequencer s;
        Event end = of_thread(other(COSMOS_EVENT_THREAD_EXIT), 5);

        (*end).pid = 5;
        s.feed(of_thread(call(5, "read"), 5));
        EXPECT_EQ(s.feed(end), Steps{});
        EXPECT_EQ(cosmos_sequencer_count(s.s), 1u);
}

TEST(Sequencer, AStoppedContainerEndsItsSequences)
{
        Sequencer s;

        s.feed(in(call(5, "read"), "aaaa"));
        s.feed(in(call(6, "read"), "bbbb"));
        s.feed(call(7, "read"));
        s.feed(in(call(8, "read"), "aaaa"));
        s.feed(in(call(5, "read"), "aaaa"));
        EXPECT_EQ(s.feed(in(other(COSMOS_EVENT_CONTAINER_STOP), "aaaa")),
                  (Steps{"end 4 pid 8 n 1 container_stop", "end 1 pid 5 n 2 container_stop"}));
        EXPECT_EQ(s.feed(in(other(COSMOS_EVENT_CONTAINER_STOP), "cccc")), Steps{});
        EXPECT_EQ(cosmos_sequencer_count(s.s), 2u);
}

TEST(Sequencer, ALossEndsAllUnlessItNamesAContainer)
{
        for (auto kind : {COSMOS_LOSS_KERNEL, COSMOS_LOSS_ENOBUFS, COSMOS_LOSS_GAP, COSMOS_LOSS_UNAUDITED}) {
                Sequencer s;
                Event loss = other(COSMOS_EVENT_LOSS), local = in(other(COSMOS_EVENT_LOSS), "bbbb");

                (*loss).loss_kind = (*local).loss_kind = kind;
                s.feed(in(call(5, "read"), "aaaa"));
                s.feed(in(call(6, "read"), "bbbb"));
                s.feed(call(7, "read"));
                EXPECT_EQ(s.feed(local), (Steps{"end 2 pid 6 n 1 loss"}));
                EXPECT_EQ(s.feed(loss), (Steps{"end 1 pid 5 n 1 loss", "end 3 pid 7 n 1 loss"}));
                EXPECT_EQ(s.feed(loss), Steps{});
        }
}

/* ---- losses and ends of threads ------------------------------------------------------------ */

namespace
{

/* Of thread `tid` of process 5 in container aaaa, as the bpf backend tells it. */
Event thread_event(Event event, int32_t tid, const char *container = "aaaa", uint64_t proc_start = 100)
{
        event = of_thread(started(in(event, container), proc_start), tid, tid * 10);
        (*event).pid = 5;
        (*event).known |= COSMOS_KNOWN_PID;
        return event;
}

Event thread_call(const std::string &name, int32_t tid, const char *container = "aaaa", uint64_t proc_start = 100)
{
        return thread_event(call(5, name), tid, container, proc_start);
}

} // namespace

TEST(Sequencer, ALossThatNamesAThreadEndsItsSequenceOnly)
{
        Sequencer s(COSMOS_UNIT_THREAD);
        Event loss = thread_event(other(COSMOS_EVENT_LOSS), 6);

        for (int tid : {5, 6, 7})
                s.feed(thread_call("read", tid));
        s.feed(thread_call("read", 6, "bbbb"));
        s.feed(thread_call("read", 6, "aaaa", 200));
        EXPECT_EQ(s.feed(loss), (Steps{"end 2 pid 5 n 1 loss"}));
        EXPECT_EQ(s.key->tid, 6);
        EXPECT_EQ(s.feed(loss), Steps{});
        EXPECT_EQ(cosmos_sequencer_count(s.s), 4u);
        EXPECT_EQ(s.feed(thread_call("read", 6)), (Steps{"call 6 pid 5 n 1 token 2,0"})) << "it begins anew";
        EXPECT_EQ(s.feed(thread_call("read", 5)), (Steps{"call 1 pid 5 n 2 token 2,0"})) << "the others go on";
}

TEST(Sequencer, ALossThatNamesAThreadEndsItsProcessWhereThatIsTheUnit)
{
        Sequencer s;
        Event loss = thread_event(other(COSMOS_EVENT_LOSS), 6);

        s.feed(thread_call("read", 5));
        s.feed(thread_call("read", 5, "bbbb"));
        s.feed(thread_call("read", 5, "aaaa", 200));
        s.feed(in(started(call(7, "read"), 100), "aaaa"));
        EXPECT_EQ(s.feed(loss), (Steps{"end 1 pid 5 n 1 loss"})) << "also of a thread that was not seen yet";
        EXPECT_EQ(s.feed(loss), Steps{});
        EXPECT_EQ(cosmos_sequencer_count(s.s), 3u);
}

TEST(Sequencer, ALossThatNamesAContainerEndsAllOfIt)
{
        for (cosmos_unit unit : {COSMOS_UNIT_PROCESS, COSMOS_UNIT_THREAD}) {
                Sequencer s(unit);
                Event loss = in(other(COSMOS_EVENT_LOSS), "aaaa");

                s.feed(thread_call("read", 5));
                s.feed(thread_call("read", 6, "bbbb"));
                s.feed(thread_call("read", 7, "aaaa", 200));
                (*loss).pid = 5;
                (*loss).known |= COSMOS_KNOWN_PID; /* as audit's does; no thread, so it may be any */
                EXPECT_EQ(s.feed(loss), (Steps{"end 1 pid 5 n 1 loss", "end 3 pid 5 n 1 loss"}));
                EXPECT_EQ(cosmos_sequencer_count(s.s), 1u);
        }
}

TEST(Sequencer, AThreadsEndOpensNothing)
{
        for (cosmos_unit unit : {COSMOS_UNIT_PROCESS, COSMOS_UNIT_THREAD})
                for (const char *last : {"exit", "exit_group"}) {
                        Sequencer s(unit);
                        Event end = thread_event(other(COSMOS_EVENT_THREAD_EXIT), 5);
                        const bool ends = unit == COSMOS_UNIT_THREAD || std::string(last) == "exit_group";

                        EXPECT_EQ(s.feed(end), Steps{}) << "of a thread that never made a call";
                        EXPECT_EQ(s.feed(thread_call(last, 5)).size(), ends ? 2u : 1u);
                        EXPECT_EQ(s.feed(end), Steps{}) << last;
                        EXPECT_EQ(cosmos_sequencer_count(s.s), ends ? 0u : 1u);
                        EXPECT_EQ(s.feed(thread_event(other(COSMOS_EVENT_LOSS), 9)),
                                  unit == COSMOS_UNIT_PROCESS && !ends ? (Steps{"end 1 pid 5 n 1 loss"}) : Steps{});
                        EXPECT_EQ(cosmos_sequencer_count(s.s), 0u) << "nor does a loss";
                }
}

TEST(Sequencer, OtherEventsEndNothing)
{
        Sequencer s;

        s.feed(in(call(5, "read"), "aaaa"));
        for (auto type : {COSMOS_EVENT_CONTAINER_START, COSMOS_EVENT_TRACE})
                EXPECT_EQ(s.feed(in(other(type), "aaaa")), Steps{});
        EXPECT_EQ(cosmos_sequencer_count(s.s), 1u);
}

TEST(Sequencer, TheEndOfTheTraceEndsAllTheLongestIdleFirst)
{
        Sequencer s;

        for (int pid : {5, 6, 7, 5})
                s.feed(call(pid, "read"));
        EXPECT_EQ(s.feed(nullptr), (Steps{"end 2 pid 6 n 1 end_of_trace", "end 3 pid 7 n 1 end_of_trace",
                                          "end 1 pid 5 n 2 end_of_trace"}));
        EXPECT_EQ(s.feed(nullptr), Steps{});
        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 4 pid 5 n 1 token 2,0"})) << "another trace may follow";
}

/* ---- time -------------------------------------------------------------------------------- */

TEST(Sequencer, ExpiresByTheTimeOfTheEvents)
{
        Sequencer s(COSMOS_UNIT_PROCESS, 0, 1000 * 1000000);

        s.feed(call(5, "read", 0));
        s.feed(call(6, "read", 500));
        EXPECT_EQ(s.feed(call(6, "read", 999)), (Steps{"call 2 pid 6 n 2 token 2,0"}));
        EXPECT_EQ(s.feed(call(6, "read", 1000)), (Steps{"end 1 pid 5 n 1 idle", "call 2 pid 6 n 3 token 2,0"}));
        EXPECT_EQ(s.feed(call(5, "read", 1500)), (Steps{"call 3 pid 5 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(5, "read", 2500)),
                  (Steps{"end 2 pid 6 n 3 idle", "end 3 pid 5 n 1 idle", "call 4 pid 5 n 1 token 2,0"}))
            << "its own too: it has been silent as long";
        EXPECT_EQ(s.feed(other(COSMOS_EVENT_TRACE, 3500)), (Steps{"end 4 pid 5 n 1 idle"})) << "any event is time";
}

TEST(Sequencer, ByDefaultTenMinutesIsIdle)
{
        Sequencer s;

        s.feed(call(5, "read", 0));
        EXPECT_EQ(s.feed(call(6, "read", 600 * 1000 - 1)).size(), 1u);
        EXPECT_EQ(s.feed(call(6, "read", 600 * 1000)).size(), 2u);
}

TEST(Sequencer, AnOlderEventDoesNotTurnTimeBack)
{
        Sequencer s(COSMOS_UNIT_PROCESS, 0, 1000 * 1000000);

        s.feed(call(5, "read", 5000));
        EXPECT_EQ(s.feed(call(6, "read", 100)), (Steps{"call 2 pid 6 n 1 token 2,0"})) << "late, not idle";
        EXPECT_EQ(s.feed(call(7, "read", 5999)), (Steps{"call 3 pid 7 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(7, "read", 6000)),
                  (Steps{"end 1 pid 5 n 1 idle", "end 2 pid 6 n 1 idle", "call 3 pid 7 n 2 token 2,0"}));
        EXPECT_EQ(s.feed(call(7, "read", 0)), (Steps{"call 3 pid 7 n 3 token 2,0"}));
}

/* ---- limits ------------------------------------------------------------------------------- */

TEST(Sequencer, EvictsTheLongestIdleWhenFull)
{
        Sequencer s(COSMOS_UNIT_PROCESS, 3);

        for (int pid : {5, 6, 7, 5})
                s.feed(call(pid, "read"));
        EXPECT_EQ(s.feed(call(8, "read")), (Steps{"end 2 pid 6 n 1 evicted", "call 4 pid 8 n 1 token 2,0"}));
        EXPECT_EQ(s.feed(call(7, "read")), (Steps{"call 3 pid 7 n 2 token 2,0"})) << "one that is in needs no room";
        EXPECT_EQ(s.feed(call(9, "read")), (Steps{"end 1 pid 5 n 2 evicted", "call 5 pid 9 n 1 token 2,0"}));
        EXPECT_EQ(cosmos_sequencer_count(s.s), 3u);
}

TEST(Sequencer, OfOneOnly)
{
        Sequencer s(COSMOS_UNIT_PROCESS, 1);

        s.feed(call(5, "read"));
        EXPECT_EQ(s.feed(call(5, "read")), (Steps{"call 1 pid 5 n 2 token 2,0"}));
        EXPECT_EQ(s.feed(call(6, "exit_group")),
                  (Steps{"end 1 pid 5 n 2 evicted", "call 2 pid 6 n 1 token 5,0", "end 2 pid 6 n 1 exit"}));
        EXPECT_EQ(cosmos_sequencer_count(s.s), 0u);
}

TEST(Sequencer, ByDefaultHolds16384)
{
        Sequencer s;

        for (int pid = 1; pid <= 16384; pid++)
                ASSERT_EQ(s.feed(call(pid, "read")).size(), 1u);
        EXPECT_EQ(s.feed(call(16385, "read")),
                  (Steps{"end 1 pid 1 n 1 evicted", "call 16385 pid 16385 n 1 token 2,0"}));
}

TEST(Sequencer, RefusesBadOptions)
{
        std::unique_ptr<cosmos_vocab, cosmos_vocab *(*)(cosmos_vocab *)> vocab(steps::vocabulary(), cosmos_vocab_free);
        cosmos_sequencer *s = nullptr;
        cosmos_sequencer_options options = {};

        EXPECT_EQ(cosmos_sequencer_new(&s, vocab.get(), &options, nullptr), -EINVAL) << "size 0";
        options = {sizeof(options), static_cast<cosmos_unit>(2), 0, 0, nullptr};
        EXPECT_EQ(cosmos_sequencer_new(&s, vocab.get(), &options, nullptr), -EINVAL);
        options = {sizeof(options), COSMOS_UNIT_THREAD, UINT32_MAX, 0, nullptr};
        EXPECT_EQ(cosmos_sequencer_new(&s, vocab.get(), &options, nullptr), -EINVAL);
        EXPECT_EQ(s, nullptr);
        EXPECT_EQ(cosmos_sequencer_new(&s, vocab.get(), nullptr, nullptr), 0);
        EXPECT_EQ(cosmos_sequencer_free(s), nullptr);
        EXPECT_EQ(cosmos_sequencer_free(nullptr), nullptr);
}

TEST(Sequencer, WantsItsStepsTaken)
{
        Sequencer s;
        cosmos_step step;
        Event event = call(5, "exit_group");

        ASSERT_EQ(cosmos_sequencer_feed(s.s, event, nullptr), 0);
        EXPECT_EQ(cosmos_sequencer_feed(s.s, event, &s.diag), -EBUSY);
        EXPECT_EQ(cosmos_sequencer_next(s.s, &step), 1);
        EXPECT_EQ(cosmos_sequencer_feed(s.s, event, nullptr), -EBUSY);
        EXPECT_EQ(cosmos_sequencer_next(s.s, &step), 1);
        EXPECT_EQ(cosmos_sequencer_next(s.s, &step), 0);
        EXPECT_EQ(cosmos_sequencer_next(s.s, &step), 0);
        EXPECT_EQ(cosmos_sequencer_feed(s.s, event, nullptr), 0);
        /* and may be freed in the middle of an event */
}

TEST(Sequencer, NamesItsUnitsAndEnds)
{
        EXPECT_STREQ(cosmos_unit_name(COSMOS_UNIT_PROCESS), "process");
        EXPECT_STREQ(cosmos_unit_name(COSMOS_UNIT_THREAD), "thread");
        EXPECT_EQ(cosmos_unit_name(static_cast<cosmos_unit>(2)), nullptr);
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_EXIT), "exit");
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_CONTAINER_STOP), "container_stop");
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_LOSS), "loss");
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_IDLE), "idle");
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_EVICTED), "evicted");
        EXPECT_STREQ(cosmos_end_name(COSMOS_END_TRACE), "end_of_trace");
        EXPECT_EQ(cosmos_end_name(static_cast<cosmos_end>(6)), nullptr);
}

/* ---- tokens ------------------------------------------------------------------------------- */

TEST(Sequencer, ATokenIsTheNameAndTheErrno)
{
        const std::pair<int64_t, uint32_t> results[] = {
            {0, 0},         {3, 0},      {INT64_MAX, 0}, {-1, 1},      {-2, 2},    {-133, 133},
            {-134, 134},    {-512, 134}, {-516, 134},    {-4095, 134}, {-4096, 0}, /* an address, as mmap's */
            {INT64_MIN, 0},
        };
        Sequencer s;
        uint64_t n = 0;

        for (const auto &[ret, id] : results)
                EXPECT_EQ(s.feed(returned(call(5, "openat"), ret)),
                          (Steps{"call 1 pid 5 n " + std::to_string(++n) + " token 4," + std::to_string(id)}))
                    << ret;
        Event unknown = call(5, "openat");
        (*unknown).ret = -2; /* not known: not there */
        EXPECT_EQ(s.feed(unknown), (Steps{"call 1 pid 5 n " + std::to_string(n + 1) + " token 4,0"}));
}

TEST(Sequencer, ANameThatIsNotInTheVocabularyIsUnknown)
{
        Sequencer s;

        EXPECT_EQ(s.feed(call(5, "ptrace")), (Steps{"call 1 pid 5 n 1 token 1,0"}));
        EXPECT_EQ(s.feed(call(5, "syscall_999")), (Steps{"call 1 pid 5 n 2 token 1,0"}));
        EXPECT_EQ(s.feed(call(5, "<start>")), (Steps{"call 1 pid 5 n 3 token 1,0"})) << "no call begins a sequence";
        EXPECT_EQ(s.feed(call(5, "<unknown>")), (Steps{"call 1 pid 5 n 4 token 1,0"}));
}
