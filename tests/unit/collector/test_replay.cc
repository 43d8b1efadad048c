/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/records.h"
#include "collector/replay.h"
#include "support.h"

#include <cosmos/collector.h>
#include <cosmos/error.h>

#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

using replay::log_event;
using replay::Replay;
using replay::trace_line;
using support::contains;
using support::Event;
using support::Fifo;
using support::File;

/* ---- what can be opened ------------------------------------------------------------------ */

TEST(Replay, SaysWhyAFileCannotBeOpened)
{
        for (const auto &[path, error] :
             {std::pair<const char *, int>{"/nowhere/trace.jsonl", -ENOENT}, {"/tmp", -EISDIR}}) {
                Replay r(path);

                EXPECT_EQ(r.opened, error);
                EXPECT_TRUE(contains(r.diag.text, path)) << r.diag.text;
        }
        Replay strange("/no\nwhere\x1b[2J");
        EXPECT_EQ(strange.opened, -ENOENT);
        EXPECT_TRUE(contains(strange.diag.text, "\\x0a")) << strange.diag.text;
        EXPECT_FALSE(contains(strange.diag.text, "\x1b"));
}

TEST(Replay, AnEmptyFileIsAnErrorThatSaysWhatWasExpected)
{
        for (const char *content : {"", "\n", "\n\n \t\n\r\n  "}) {
                File file(content);
                Replay r(file.path());

                ASSERT_EQ(r.opened, 0);
                EXPECT_EQ(r.next(), -COSMOS_EFORMAT);
                EXPECT_TRUE(contains(r.diag.text, "empty") && contains(r.diag.text, file.path())) << r.diag.text;
                EXPECT_EQ(r.next(), 2);
                EXPECT_EQ(r.stats().records, 0u);
        }
}

TEST(Replay, AFileOfWhichNothingCanBeReadIsAnError)
{
        std::string garbage;

        for (int i = 0; i < 5000; i++)
                garbage += static_cast<char>(i * 31 % 251);
        for (const std::string &content :
             {std::string("hello\nworld\n"), garbage, std::string("type=nonsense\ntype=\n"), std::string(100, '\0'),
              std::string("{}\n{}\n[]\n")}) {
                File file(content);
                Replay r(file.path());

                ASSERT_EQ(r.opened, 0);
                EXPECT_EQ(r.next(), -COSMOS_EFORMAT);
                EXPECT_TRUE(contains(r.diag.text, "none of its")) << r.diag.text;
                EXPECT_GT(r.stats().malformed, 0u);
                EXPECT_EQ(r.stats().malformed, r.stats().records);
                ASSERT_FALSE(r.log.lines.empty());
                for (const std::string &line : r.log.lines)
                        for (char c : line)
                                EXPECT_TRUE(c >= 0x20 && c < 0x7f) << "a control character in: " << line;
                EXPECT_EQ(r.next(), 2);
        }
}

TEST(Replay, IsNotLive)
{
        File file(trace_line(1));
        Replay r(file.path());
        pollfd p = {cosmos_collector_fd(r.collector), POLLIN, 0};

        EXPECT_EQ(cosmos_collector_is_live(r.collector), 0);
        EXPECT_EQ(poll(&p, 1, 0), 1) << "a file is always readable";
}

TEST(Replay, RefusesOptionsOfABadSize)
{
        File file(trace_line(1));
        cosmos_collector *collector = nullptr;
        cosmos_replay_options options = {};

        EXPECT_EQ(cosmos_collector_open_replay(&collector, file.path(), &options, nullptr), -EINVAL);
        EXPECT_EQ(collector, nullptr);
        EXPECT_EQ(cosmos_collector_open_replay(&collector, file.path(), nullptr, nullptr), 0);
        cosmos_collector_free(collector);
}

/* ---- traces -------------------------------------------------------------------------------- */

TEST(ReplayTrace, GivesEachLineInItsOrder)
{
        File file(R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":1,"source":"audit"})"
                  "\n" +
                  trace_line(1) + "\n" + R"({"timestamp":"2026-11-23T04:20:11Z","type":"score","score":1.5})" + "\n" +
                  R"({"timestamp":"2026-11-23T04:20:11Z","type":"loss","kind":"gap"})" + "\n" + trace_line(2) + "\n");
        Replay r(file.path());
        std::vector<Event> events = r.take();

        ASSERT_EQ(events.size(), 4u);
        EXPECT_EQ(events[0]->type, COSMOS_EVENT_TRACE);
        EXPECT_EQ(events[1]->pid, 1);
        EXPECT_EQ(events[2]->type, COSMOS_EVENT_LOSS);
        EXPECT_EQ(events[3]->pid, 2);
        EXPECT_EQ(r.end, 2);
        for (int i = 0; i < 3; i++)
                EXPECT_EQ(r.next(), 2) << "the end is for ever";
        EXPECT_EQ(r.stats().records, 5u);
        EXPECT_EQ(r.stats().events, 3u) << "loss events are not counted";
        EXPECT_EQ(r.stats().ignored, 1u);
        EXPECT_EQ(r.stats().malformed, 0u);
        EXPECT_TRUE(r.log.lines.empty());
}

TEST(ReplayTrace, LineEndsDoNotMatter)
{
        for (const char *end : {"\n", "\r\n", " \n", "\n\n", "\r\n\r\n"}) {
                File file(trace_line(1) + end + trace_line(2) + end + trace_line(3));
                Replay r(file.path());

                EXPECT_EQ(r.pids(), (std::vector<int>{1, 2, 3})) << "no newline at the end";
                EXPECT_EQ(r.end, 2);
                EXPECT_EQ(r.stats().records, 3u) << "blank lines are not";
                EXPECT_EQ(r.stats().malformed, 0u);
        }
}

TEST(ReplayTrace, WarnsOfEachLineThatItSkipsByItsNumber)
{
        File file(trace_line(1) + "\n\nrubbish\n" + trace_line(2) + "\n" + trace_line(3, ",\"ret\":\"x\"") + "\n" +
                  trace_line(4) + "\n{\"timestamp\":");
        Replay r(file.path());

        EXPECT_EQ(r.pids(), (std::vector<int>{1, 2, 4}));
        EXPECT_EQ(r.end, 2);
        ASSERT_EQ(r.log.lines.size(), 3u);
        EXPECT_TRUE(contains(r.log.lines[0], std::string(file.path()) + ":3: ")) << r.log.lines[0];
        EXPECT_TRUE(contains(r.log.lines[0], "skipped"));
        EXPECT_TRUE(contains(r.log.lines[1], ":5: ") && contains(r.log.lines[1], "\"ret\"")) << r.log.lines[1];
        EXPECT_TRUE(contains(r.log.lines[2], ":7: ")) << r.log.lines[2];
        EXPECT_EQ(r.stats().malformed, 3u);
        EXPECT_EQ(r.stats().records, 6u);
        EXPECT_EQ(r.stats().events, 3u);
}

TEST(ReplayTrace, WarnsTwentyTimesThenGivesTheTotal)
{
        for (int bad : {19, 20, 21, 500}) {
                std::string content = trace_line(1) + "\n";

                for (int i = 0; i < bad; i++)
                        content += "{\n";
                File file(content + trace_line(2));
                Replay r(file.path());

                EXPECT_EQ(r.pids(), (std::vector<int>{1, 2}));
                EXPECT_EQ(r.end, 2);
                ASSERT_EQ(r.log.lines.size(), static_cast<size_t>(bad <= 20 ? bad : 21)) << bad;
                if (bad > 20) {
                        EXPECT_TRUE(contains(r.log.lines[19], ":21: ")) << r.log.lines[19];
                        EXPECT_TRUE(contains(r.log.lines[20], std::to_string(bad))) << r.log.lines[20];
                }
                EXPECT_EQ(r.stats().malformed, static_cast<uint64_t>(bad));
        }
}

TEST(ReplayTrace, ANewerFormatIsRefusedWithItsPlace)
{
        File file("\n"
                  R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":2})"
                  "\n" +
                  trace_line(1));
        Replay r(file.path());

        EXPECT_EQ(r.next(), -COSMOS_EVERSION);
        EXPECT_TRUE(contains(r.diag.text, ":2: ") && contains(r.diag.text, "format 2")) << r.diag.text;
}

TEST(ReplayTrace, LongLinesAreReadUpTo16MiB)
{
        const size_t limit = size_t(16) << 20;
        auto line_of = [](size_t n) {
                std::string line = trace_line(7, ",\"path\":\"\"");

                return line.insert(line.size() - 2, n - line.size(), 'x');
        };
        auto check = [&](const std::string &long_line, bool last, bool fits) {
                File file(trace_line(1) + "\n" + long_line + (last ? "" : "\n" + trace_line(2) + "\n"));
                Replay r(file.path());
                std::vector<int> expected = {1};

                if (fits)
                        expected.push_back(7);
                if (!last)
                        expected.push_back(2);
                EXPECT_EQ(r.pids(), expected) << long_line.size();
                EXPECT_EQ(r.end, 2);
                EXPECT_EQ(r.stats().records, last ? 2u : 3u);
                EXPECT_EQ(r.stats().malformed, fits ? 0u : 1u);
                ASSERT_EQ(r.log.lines.size(), fits ? 0u : 1u);
                EXPECT_TRUE(fits || contains(r.log.lines[0], ":2: "));
        };

        for (bool last : {false, true}) {
                check(std::string(10000000, '{'), last, false);
                check(line_of(limit + 1), last, false);
                check(std::string(2 * limit + 5, 'x'), last, false);
        }
        check(line_of(10000000), false, true);
        check(line_of(limit), true, true);
        check(line_of(limit + 300000), false, false);
}

TEST(ReplayTrace, OneLineThatIsTooLongIsNotAnEmptyFile)
{
        File file(std::string((size_t(16) << 20) + 1, 'x'));
        Replay r(file.path());

        EXPECT_EQ(r.next(), -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(r.diag.text, "none of its 1 lines")) << r.diag.text;
        ASSERT_EQ(r.log.lines.size(), 1u);
        EXPECT_TRUE(contains(r.log.lines[0], "16 MiB"));
}

TEST(ReplayTrace, StopIsTheEndAtOnce)
{
        File file(trace_line(1) + "\n" + trace_line(2) + "\nrubbish\n");
        Replay r(file.path());

        ASSERT_EQ(r.next(), 1);
        EXPECT_EQ(cosmos_collector_stop(r.collector, nullptr), 0);
        EXPECT_EQ(cosmos_collector_stop(r.collector, nullptr), 0);
        EXPECT_EQ(r.next(), 2);
        EXPECT_EQ(r.next(), 2);
        EXPECT_TRUE(r.log.lines.empty());
}

/* ---- pipes ------------------------------------------------------------------------------------ */

TEST(ReplayPipe, GivesWhatIsThereAndNeverWaits)
{
        Fifo pipe;
        Replay r(pipe.path());

        ASSERT_EQ(r.opened, 0) << r.diag.text;
        EXPECT_EQ(r.next(), 0) << "nothing yet is not the end";
        pipe.put(trace_line(1));
        EXPECT_EQ(r.next(), 0) << "a line is one when its newline has come";
        pipe.put("\n" + trace_line(2).substr(0, 10));
        EXPECT_EQ(r.pids(), (std::vector<int>{1}));
        EXPECT_EQ(r.end, 0);
        pipe.put(trace_line(2).substr(10) + "\n" + trace_line(3) + "\n");
        EXPECT_EQ(r.pids(), (std::vector<int>{2, 3}));
        EXPECT_EQ(r.end, 0);
        pipe.put(trace_line(4));
        EXPECT_EQ(r.next(), 0);
        pipe.finish();
        EXPECT_EQ(r.pids(), (std::vector<int>{4})) << "the end ends the last line";
        EXPECT_EQ(r.end, 2);
        EXPECT_EQ(r.stats().records, 4u);
}

TEST(ReplayPipe, AnyCutIsTheSameAsNone)
{
        std::string content;

        for (int i = 0; i < 6; i++)
                content += trace_line(i) + (i == 3 ? "\nrub\xffish\n\n" : "\r\n");
        for (size_t step : {1, 2, 7, 64, 100}) {
                Fifo pipe;
                Replay r(pipe.path());
                std::vector<int> pids;

                for (size_t at = 0; at < content.size(); at += step) {
                        pipe.put(content.substr(at, step));
                        for (int pid : r.pids())
                                pids.push_back(pid);
                        ASSERT_EQ(r.end, 0);
                }
                pipe.finish();
                EXPECT_TRUE(r.pids().empty());
                EXPECT_EQ(r.end, 2);
                EXPECT_EQ(pids, (std::vector<int>{0, 1, 2, 3, 4, 5}));
                ASSERT_EQ(r.log.lines.size(), 1u);
                EXPECT_TRUE(contains(r.log.lines[0], ":5: ")) << r.log.lines[0];
        }
}

TEST(ReplayPipe, BecomesReadableWhenThereIsMore)
{
        Fifo pipe;
        Replay r(pipe.path());
        pollfd p = {cosmos_collector_fd(r.collector), POLLIN, 0};

        EXPECT_EQ(poll(&p, 1, 0), 0);
        std::thread writer([&] {
                usleep(20000);
                pipe.put(trace_line(1) + "\n");
        });
        EXPECT_EQ(poll(&p, 1, 10000), 1);
        writer.join();
        EXPECT_EQ(r.pids(), (std::vector<int>{1}));
}

TEST(ReplayPipe, IsEmptyIfNothingEverCame)
{
        Fifo pipe;
        Replay r(pipe.path());

        EXPECT_EQ(r.next(), 0);
        pipe.finish();
        EXPECT_EQ(r.next(), -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(r.diag.text, "empty")) << r.diag.text;
}

TEST(ReplayPipe, ASignalDoesNotMakeItWait)
{
        struct sigaction action = {}, before;
        itimerval often = {{0, 50}, {0, 50}}, never = {};
        Fifo pipe;
        Replay r(pipe.path());
        int64_t calls = 0;

        action.sa_handler = [](int) {};
        action.sa_flags = SA_RESTART; /* a read() that waits would wait on */
        sigaction(SIGALRM, &action, &before);
        setitimer(ITIMER_REAL, &often, nullptr);
        for (; calls < 200000; calls++)
                if (r.next() != 0)
                        break;
        setitimer(ITIMER_REAL, &never, nullptr);
        sigaction(SIGALRM, &before, nullptr);
        EXPECT_EQ(calls, 200000);
}

/* ---- logs of auditd ----------------------------------------------------------------------------- */

TEST(ReplayLog, BeginsWithAHeadThatSaysItsSource)
{
        File file(log_event(1));
        Replay r(file.path());
        std::vector<Event> events = r.take();

        ASSERT_EQ(events.size(), 2u);
        EXPECT_EQ(events[0]->type, COSMOS_EVENT_TRACE);
        EXPECT_STREQ(events[0]->source, "audit");
        EXPECT_EQ(events[0]->timestamp, INT64_C(1364481363243000000));
        EXPECT_EQ(events[1]->type, COSMOS_EVENT_CALL);
        EXPECT_STREQ(events[1]->syscall, "openat");
        EXPECT_STREQ(events[1]->path, "/etc/my.cnf");
        EXPECT_EQ(events[1]->seq, 1u);
        EXPECT_EQ(r.end, 2);
        EXPECT_EQ(r.stats().records, 4u);
        EXPECT_EQ(r.stats().events, 2u);
        EXPECT_EQ(r.stats().ignored, 1u); /* CWD */
        EXPECT_EQ(r.stats().malformed, 0u);
        EXPECT_EQ(r.stats().incomplete, 0u);
}

TEST(ReplayLog, OfAnyLineEndsAndOrigins)
{
        std::string log = "node=a.example " + records::line("SYSCALL", "1", records::SYSCALL) + "\r\n" +
                          "node=a.example " + records::line("SOCKADDR", "1", records::INET) + "\r\n" +
                          "node=a.example " + records::line("PATH", "1", "item=0 name=\"/f\" nametype=PARENT") +
                          "\r\n" + "node=a.example " + records::line("PROCTITLE", "1", records::PROCTITLE);
        File file(log);
        Replay r(file.path());
        std::vector<Event> events = r.take();

        ASSERT_EQ(events.size(), 2u);
        EXPECT_STREQ(events[1]->addr, "192.0.2.1:80");
        EXPECT_EQ(events[1]->path, nullptr) << "the carriage return is not part of PARENT";
        EXPECT_EQ(r.stats().malformed, 0u);
}

TEST(ReplayLog, WithoutEndsGivesAnEventWhenTheLogHasGoneOn)
{
        std::string log;

        for (int i = 0; i < 5; i++) /* one each second, and no PROCTITLE */
                log += records::line("SYSCALL", std::to_string(i), records::SYSCALL,
                                     std::to_string(1364481363 + i) + ".000") +
                       "\n";
        Fifo pipe;
        Replay r(pipe.path());
        pipe.put(log);
        std::vector<Event> events = r.take();

        EXPECT_EQ(r.end, 0);
        ASSERT_EQ(events.size(), 4u);
        EXPECT_EQ(events[3]->seq, 2u) << "the two of the last two seconds wait";
        pipe.finish();
        events = r.take();
        ASSERT_EQ(events.size(), 2u) << "the end ends them";
        EXPECT_EQ(events[1]->seq, 4u);
        EXPECT_EQ(r.end, 2);
        EXPECT_EQ(r.stats().incomplete, 0u) << "this log has no records that would make them complete";
}

TEST(ReplayLog, CountsWhatIsIncomplete)
{
        std::string cut = log_event(2);

        cut.resize(cut.find("type=PATH")); /* the log was rotated away here */
        File file(log_event(1) + cut);
        Replay r(file.path());

        EXPECT_EQ(r.pids().size(), 2u);
        EXPECT_EQ(r.stats().incomplete, 1u);
}

TEST(ReplayLog, InPiecesIsTheSame)
{
        std::string log = log_event(1) + records::line("LOGIN", "2", "pid=1") + "\n" + log_event(3, "1364481364.000");
        std::vector<std::string> whole, pieces;
        File file(log);
        Replay all(file.path());

        for (const Event &e : all.take())
                whole.push_back(support::describe(*e));
        Fifo pipe;
        Replay r(pipe.path());
        for (char c : log) {
                pipe.put(std::string(1, c));
                for (const Event &e : r.take())
                        pieces.push_back(support::describe(*e));
                ASSERT_EQ(r.end, 0);
        }
        pipe.finish();
        EXPECT_TRUE(r.take().empty()) << "nothing waited for the end";
        EXPECT_EQ(pieces, whole);
        EXPECT_EQ(whole.size(), 3u);
}

TEST(ReplayLog, TheLastLineMayLackItsNewline)
{
        std::string log = log_event(1);

        log.pop_back();
        File file(log);
        Replay r(file.path());
        EXPECT_EQ(r.pids().size(), 1u);
        EXPECT_EQ(r.stats().incomplete, 0u) << "the last line was read before the end was made";
}

TEST(ReplayLog, WarnsOfEachLineThatItSkipsByItsNumber)
{
        File file(log_event(1) + "type=SYSCALL msg=audit(1364481363.243:2): arch=c000003e\nnot a record\n" +
                  "type=SYSCALL msg=audit(1364481363\n" + log_event(3) +
                  records::line("SYSCALL", "3", records::SYSCALL) + "\n");
        Replay r(file.path());

        EXPECT_EQ(r.pids().size(), 3u) << "the last has a serial that was over: an event of its own";
        ASSERT_EQ(r.log.lines.size(), 3u);
        EXPECT_TRUE(contains(r.log.lines[0], ":5: ")) << r.log.lines[0];
        EXPECT_TRUE(contains(r.log.lines[1], ":6: ")) << r.log.lines[1];
        EXPECT_TRUE(contains(r.log.lines[2], ":7: ")) << r.log.lines[2];
        EXPECT_EQ(r.stats().malformed, 3u);
}

TEST(ReplayLog, HoldsMoreEventsThanItCanKeepInFlight)
{
        std::string log = log_event(9999);

        for (int i = 0; i < 3000; i++) /* all at the same moment: only room moves them on */
                log += records::line("SYSCALL", std::to_string(i), records::SYSCALL) + "\n";
        for (int i = 0; i < 3000; i++)
                log += records::line("PROCTITLE", std::to_string(i), records::PROCTITLE) + "\n";
        File file(log);
        Replay r(file.path());
        std::vector<Event> events = r.take();

        ASSERT_EQ(events.size(), 3002u);
        for (uint64_t i = 0; i < 3000; i++)
                ASSERT_EQ(events[i + 2]->seq, i);
        EXPECT_EQ(r.stats().incomplete, 3000u - 1023u);
}

/* A line that can't be read may have been a call: a gap, once something could have been cut by it. */
TEST(Replay, ASkippedLineIsAGap)
{
        File file("not json\n" + trace_line(1) + "\n{}\nnot json\n" + trace_line(2) + "\n");
        Replay r(file.path());
        std::vector<Event> events = r.take();

        ASSERT_EQ(events.size(), 4u);
        EXPECT_EQ(events[0]->type, COSMOS_EVENT_CALL);
        for (size_t i : {1, 2}) {
                EXPECT_EQ(events[i]->type, COSMOS_EVENT_LOSS);
                EXPECT_EQ(events[i]->loss_kind, COSMOS_LOSS_GAP);
                EXPECT_EQ(events[i]->loss_count, 1u);
                EXPECT_EQ(events[i]->timestamp, events[0]->timestamp);
                EXPECT_EQ(events[i]->container_id, nullptr); /* of whatever process */
        }
        EXPECT_EQ(events[3]->pid, 2);
        EXPECT_EQ(r.stats().events, 2u);
        EXPECT_EQ(r.stats().malformed, 3u);
}

/* Also one that is too long to be looked at, in the middle and at the end. */
TEST(Replay, ALineThatIsTooLongIsAGap)
{
        const std::string huge((16u << 20) + 1000000u, 'x');

        for (const std::string &rest : {"\n" + trace_line(2) + "\n", std::string("\n"), std::string()}) {
                File file(trace_line(1) + "\n" + huge + rest);
                Replay r(file.path());
                std::vector<Event> events = r.take();

                ASSERT_EQ(events.size(), rest.size() > 1 ? 3u : 2u);
                EXPECT_EQ(events[1]->type, COSMOS_EVENT_LOSS);
                EXPECT_EQ(r.stats().malformed, 1u);
                EXPECT_EQ(r.end, 2);
        }
}

/* What was skipped stood somewhere among the events in flight. */
TEST(ReplayLog, NothingIsSplicedOverASkippedLine)
{
        auto syscall = [](int serial) {
                return records::line("SYSCALL", std::to_string(serial), records::SYSCALL) + "\n";
        };
        auto end = [](int serial) { return records::line("EOE", std::to_string(serial), "") + "\n"; };
        File file("damaged\n" + syscall(1) + end(1) + syscall(2) + syscall(3) + "damaged\n" + syscall(4) + end(2) +
                  end(3) + end(4) + syscall(5) + end(5));
        Replay r(file.path());
        std::string order;

        EXPECT_EQ(r.next(), -COSMOS_EFORMAT) << "a first line that is no record makes it a trace";
        File log(file.read().substr(strlen("damaged\n")));
        Replay good(log.path());
        for (const Event &e : good.take())
                order += e->type == COSMOS_EVENT_LOSS    ? "gap "
                         : e->type == COSMOS_EVENT_TRACE ? "head "
                                                         : std::to_string(e->seq) + " ";
        EXPECT_EQ(order, "head 1 gap 2 gap 3 gap 4 5 ");
        EXPECT_EQ(good.stats().events, 6u);
}

/* Every prefix of a small log and trace, and every byte of them damaged: no crash,
 * and what is delivered, skipped and ignored adds up. */
TEST(Replay, DamagedInputsAddUp)
{
        const std::string trace = trace_line(1) + "\n" + trace_line(2, R"(,"args":["0"],"ret":-1)") + "\n";
        const std::string log = log_event(1);

        for (const std::string &whole : {trace, log})
                for (size_t n = 1; n < 2 * whole.size(); n++) {
                        std::string content = whole.substr(0, n);

                        if (n >= whole.size()) {
                                content = whole;
                                content[n - whole.size()] = static_cast<char>(content[n - whole.size()] ^ 0x5a);
                        }
                        File file(content);
                        Replay r(file.path());
                        uint64_t events = 0;

                        for (const Event &e : r.take())
                                events += e->type != COSMOS_EVENT_LOSS;
                        EXPECT_TRUE(r.end == 2 || r.end == -COSMOS_EFORMAT) << content;
                        EXPECT_EQ(r.stats().events, events);
                        EXPECT_EQ(r.stats().malformed, r.log.lines.size());
                        EXPECT_EQ(r.end == 2, r.stats().malformed < r.stats().records);
                        EXPECT_TRUE(whole == log ||
                                    r.stats().records == events + r.stats().malformed + r.stats().ignored);
                }
}
