/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/lines.h"

#include <cosmos/error.h>

#include <signal.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

using support::call;
using support::contains;
using support::Event;
using support::File;

namespace
{

struct Pipe {
        int fds[2];

        explicit Pipe(int flags = 0)
        {
                EXPECT_EQ(pipe2(fds, O_CLOEXEC | flags), 0);
        }
        ~Pipe()
        {
                close(fds[0]);
                close(fds[1]);
        }
};

class Jsonl
{
      public:
        explicit Jsonl(int fd)
        {
                EXPECT_EQ(cosmos_sink_new_jsonl(&sink, fd, &diag), 0) << diag.text;
        }
        ~Jsonl()
        {
                cosmos_sink_free(sink);
        }
        int write(const cosmos_event *event)
        {
                return cosmos_sink_write_event(sink, event, &diag);
        }
        int flush()
        {
                return cosmos_sink_flush(sink, &diag);
        }

        cosmos_sink *sink = nullptr;
        cosmos_diag diag = {""};
};

std::string read_some(int fd, size_t max)
{
        std::string out(max, 0);
        ssize_t n = read(fd, out.data(), max);

        out.resize(n > 0 ? static_cast<size_t>(n) : 0);
        return out;
}

} // namespace

TEST(Sink, GathersLinesUntilFlush)
{
        File file;
        int fd = open(file.path(), O_WRONLY | O_CLOEXEC);
        lines::Writer writer;
        std::string expected;
        {
                Jsonl sink(fd);

                for (int pid = 1; pid <= 10; pid++) {
                        ASSERT_EQ(sink.write(call(pid, "read")), 0);
                        expected += writer.write(call(pid, "read")) + "\n";
                }
                EXPECT_EQ(file.read(), "");
                EXPECT_EQ(sink.flush(), 0);
                EXPECT_EQ(file.read(), expected);
                EXPECT_EQ(sink.flush(), 0);
                EXPECT_EQ(file.read(), expected) << "once";
                for (int i = 0; i < 5000; i++) {
                        ASSERT_EQ(sink.write(call(i, "write")), 0);
                        expected += writer.write(call(i, "write")) + "\n";
                }
                EXPECT_GT(file.read().size(), expected.size() - 70000) << "the buffer is of 64 KiB";
                EXPECT_EQ(sink.flush(), 0);
                EXPECT_EQ(file.read(), expected);
                ASSERT_EQ(sink.write(call(1, "close")), 0);
        }
        EXPECT_EQ(file.read(), expected) << "free does not flush";
        EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC) << "the descriptor is borrowed";
        close(fd);
}

TEST(Sink, WritesScoresToo)
{
        File file;
        int fd = open(file.path(), O_WRONLY | O_CLOEXEC);
        cosmos_score score = {};
        Jsonl sink(fd);

        score.comm = "c";
        score.model = "m";
        ASSERT_EQ(cosmos_sink_write_score(sink.sink, &score, nullptr), 0);
        ASSERT_EQ(sink.flush(), 0);
        EXPECT_EQ(lines::get(lines::parse(file.read().substr(0, file.read().size() - 1)), "type"), "\"score\"");
        close(fd);
}

TEST(Sink, SaysWhenTheReaderIsGone)
{
        struct sigaction ignore = {}, before;
        Pipe pipe;
        Jsonl sink(pipe.fds[1]);
        int r = 0;

        ignore.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &ignore, &before);
        close(pipe.fds[0]);
        pipe.fds[0] = -1;
        EXPECT_EQ(sink.write(call(1, "read")), 0);
        EXPECT_EQ(sink.flush(), -EPIPE);
        EXPECT_TRUE(contains(sink.diag.text, "write") && contains(sink.diag.text, "ipe")) << sink.diag.text;
        for (int i = 0; i < 2000 && r == 0; i++)
                r = sink.write(call(1, "read"));
        EXPECT_EQ(r, -EPIPE) << "of the write that fills the buffer too";
        sigaction(SIGPIPE, &before, nullptr);
}

TEST(Sink, SaysWhenTheDiskIsFull)
{
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                GTEST_SKIP() << "no /dev/full";
        Jsonl sink(fd);
        EXPECT_EQ(sink.write(call(1, "read")), 0);
        EXPECT_EQ(sink.flush(), -ENOSPC);
        EXPECT_TRUE(contains(sink.diag.text, "space")) << sink.diag.text;
        EXPECT_EQ(sink.flush(), -ENOSPC) << "the line has still not left";
        close(fd);
}

/* Nothing is lost, written twice or torn, however slowly the other end reads. */
TEST(Sink, KeepsWhatAFullPipeDoesNotTake)
{
        std::mt19937 random(37);
        Pipe pipe(O_NONBLOCK);
        Jsonl sink(pipe.fds[1]);
        lines::Writer writer;
        std::string expected, seen;
        int full = 0;

        for (int i = 0; i < 20000; i++) {
                Event e = call(i, "read");
                int r;

                (*e).path = e.keep(std::string(random() % 300, 'p'));
                expected += writer.write(e) + "\n";
                r = sink.write(e);
                ASSERT_TRUE(r == 0 || r == -EAGAIN) << r;
                full += r == -EAGAIN;
                if (random() % 4 == 0)
                        seen += read_some(pipe.fds[0], random() % 2000);
                if (random() % 50 == 0) {
                        r = sink.flush();
                        ASSERT_TRUE(r == 0 || r == -EAGAIN) << r;
                }
        }
        EXPECT_GT(full, 0);
        while (sink.flush() == -EAGAIN)
                seen += read_some(pipe.fds[0], 65536);
        for (std::string more; !(more = read_some(pipe.fds[0], 65536)).empty();)
                seen += more;
        EXPECT_EQ(seen.size(), expected.size());
        EXPECT_TRUE(seen == expected);
}

/* What is more than a pipe holds would make us wait for its reader with each write. */
TEST(Sink, WritesWholeLinesAndNoMoreThanAPipeHolds)
{
        std::mt19937 random(41);
        lines::Writer writer;
        std::string expected, seen;
        int fds[2];

        ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0); /* keeps writes apart */
        std::thread reader([&] {
                for (std::string more; !(more = read_some(fds[0], 1 << 20)).empty(); seen += more) {
                        EXPECT_EQ(more.back(), '\n');
                        EXPECT_TRUE(more.size() <= 65536 || std::count(more.begin(), more.end(), '\n') == 1);
                }
        });
        {
                Jsonl sink(fds[1]);

                for (int i = 0; i < 3000; i++) {
                        Event e = call(i, "read");

                        (*e).path = e.keep(std::string(i % 500 == 499 ? 70000 : random() % 500, 'p'));
                        expected += writer.write(e) + "\n";
                        ASSERT_EQ(sink.write(e), 0);
                }
                EXPECT_EQ(sink.flush(), 0);
        }
        close(fds[1]);
        reader.join();
        close(fds[0]);
        EXPECT_TRUE(seen == expected);
}

TEST(Sink, ABlockingPipeBlocks)
{
        Pipe pipe;
        Jsonl sink(pipe.fds[1]);
        std::string seen;
        std::thread reader([&] {
                for (std::string more; !(more = read_some(pipe.fds[0], 4096)).empty();) {
                        seen += more;
                        if (seen.size() > 300000)
                                usleep(10);
                }
        });

        for (int i = 0; i < 10000; i++)
                ASSERT_EQ(sink.write(call(i, "read")), 0);
        ASSERT_EQ(sink.flush(), 0);
        close(pipe.fds[1]);
        pipe.fds[1] = -1;
        reader.join();
        EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 10000);
}

TEST(Sink, RefusesADescriptorThatIsNone)
{
        cosmos_sink *sink = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_sink_new_jsonl(&sink, -1, &diag), -EBADF);
        EXPECT_EQ(sink, nullptr);
        EXPECT_NE(diag.text[0], 0);
}

/* ---- functions ---------------------------------------------------------------------------- */

TEST(SinkOfLines, CallsItsFunctionForEachLine)
{
        std::vector<std::string> seen;
        cosmos_sink *sink = nullptr;
        auto take = [](void *userdata, const char *text, size_t length) {
                EXPECT_EQ(text[length], 0);
                static_cast<std::vector<std::string> *>(userdata)->push_back(std::string(text, length));
                return 0;
        };

        ASSERT_EQ(cosmos_sink_new_lines(&sink, take, &seen, nullptr), 0);
        for (int pid : {1, 2}) {
                ASSERT_EQ(cosmos_sink_write_event(sink, call(pid, "read"), nullptr), 0);
                EXPECT_EQ(seen.size(), static_cast<size_t>(pid)) << "at once";
                EXPECT_EQ(lines::get(lines::parse(seen.back()), "pid"), std::to_string(pid));
        }
        EXPECT_EQ(cosmos_sink_flush(sink, nullptr), 0);
        EXPECT_EQ(seen.size(), 2u);
        cosmos_sink_free(sink);
}

TEST(SinkOfLines, ANegativeReturnIsThatOfTheWrite)
{
        int answer = -EDOM;
        cosmos_sink *sink = nullptr;
        cosmos_score score = {};
        auto take = [](void *userdata, const char *, size_t) { return *static_cast<int *>(userdata); };

        ASSERT_EQ(cosmos_sink_new_lines(&sink, take, &answer, nullptr), 0);
        EXPECT_EQ(cosmos_sink_write_event(sink, call(1, "read"), nullptr), -EDOM);
        EXPECT_EQ(cosmos_sink_write_score(sink, &score, nullptr), -EDOM);
        answer = 5;
        EXPECT_EQ(cosmos_sink_write_event(sink, call(1, "read"), nullptr), 0);
        cosmos_sink_free(sink);
        sink = nullptr;
        EXPECT_EQ(cosmos_sink_new_lines(&sink, nullptr, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(sink, nullptr);
}

TEST(SinkOfCallbacks, LendsTheStructs)
{
        struct Seen {
                const cosmos_event *event;
                const cosmos_score *score;
                int answer;
        } seen = {nullptr, nullptr, 0};
        cosmos_sink_callbacks callbacks = {};
        cosmos_sink *sink = nullptr;
        cosmos_score score = {};
        Event event = call(1, "read");

        callbacks.size = sizeof(callbacks);
        callbacks.event = [](void *userdata, const cosmos_event *e) {
                static_cast<Seen *>(userdata)->event = e;
                return static_cast<Seen *>(userdata)->answer;
        };
        callbacks.score = [](void *userdata, const cosmos_score *s) {
                static_cast<Seen *>(userdata)->score = s;
                return static_cast<Seen *>(userdata)->answer;
        };
        callbacks.userdata = &seen;
        ASSERT_EQ(cosmos_sink_new_callback(&sink, &callbacks, nullptr), 0);
        EXPECT_EQ(cosmos_sink_write_event(sink, event, nullptr), 0);
        EXPECT_EQ(seen.event, static_cast<const cosmos_event *>(event));
        EXPECT_EQ(cosmos_sink_write_score(sink, &score, nullptr), 0);
        EXPECT_EQ(seen.score, &score);
        seen.answer = -EDOM;
        EXPECT_EQ(cosmos_sink_write_event(sink, event, nullptr), -EDOM);
        EXPECT_EQ(cosmos_sink_write_score(sink, &score, nullptr), -EDOM);
        EXPECT_EQ(cosmos_sink_flush(sink, nullptr), 0);
        cosmos_sink_free(sink);
        sink = nullptr;
        callbacks.event = nullptr;
        callbacks.score = nullptr;
        ASSERT_EQ(cosmos_sink_new_callback(&sink, &callbacks, nullptr), 0);
        EXPECT_EQ(cosmos_sink_write_event(sink, event, nullptr), 0);
        EXPECT_EQ(cosmos_sink_write_score(sink, &score, nullptr), 0);
        cosmos_sink_free(sink);
        sink = nullptr;
        callbacks.size = 0;
        EXPECT_EQ(cosmos_sink_new_callback(&sink, &callbacks, nullptr), -EINVAL);
        EXPECT_EQ(sink, nullptr);
        EXPECT_EQ(cosmos_sink_free(nullptr), nullptr);
}
