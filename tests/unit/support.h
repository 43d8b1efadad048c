/* SPDX-License-Identifier: Apache-2.0 */
/* What several suites need: events that own their strings, files, pipes, log lines. */
#ifndef COSMOS_TEST_SUPPORT_H
#define COSMOS_TEST_SUPPORT_H

#include <cosmos/collector.h>
#include <cosmos/event.h>
#include <cosmos/log.h>

#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cinttypes>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace support
{

constexpr int64_t SECOND = 1000000000;
constexpr int64_t T0 = INT64_C(1795407611) * SECOND; /* 2026-11-23T04:20:11Z */

/* Exactly as large as the text, so that a sanitizer sees a read past it; never NULL. */
class Bytes
{
      public:
        explicit Bytes(const std::string &text) : n(text.size()), bytes(new uint8_t[n])
        {
                std::copy(text.begin(), text.end(), bytes.get());
        }
        uint8_t *data() const
        {
                return bytes.get();
        }
        size_t size() const
        {
                return n;
        }

      private:
        size_t n;
        std::unique_ptr<uint8_t[]> bytes;
};

/* A copy of an event that owns its strings, since events are lent. */
class Event
{
      public:
        Event() = default;
        Event(const Event &other)
        {
                assign(other.e);
        }
        Event &operator=(const Event &other)
        {
                if (this != &other)
                        assign(other.e);
                return *this;
        }
        explicit Event(const cosmos_event &other)
        {
                assign(other);
        }

        operator const cosmos_event *() const
        {
                return &e;
        }
        const cosmos_event *operator->() const
        {
                return &e;
        }
        cosmos_event &operator*()
        {
                return e;
        }

        /* NULL stays NULL. */
        const char *keep(const char *text)
        {
                if (!text)
                        return nullptr;
                texts.emplace_back(text);
                return texts.back().c_str();
        }
        const char *keep(const std::string &text)
        {
                return keep(text.c_str());
        }

      private:
        void assign(const cosmos_event &other)
        {
                texts.clear();
                e = other;
                for (const char **text : {&e.container_id, &e.container_name, &e.image, &e.host, &e.comm, &e.exe,
                                          &e.syscall, &e.path, &e.argv, &e.addr, &e.source, &e.calls})
                        *text = keep(*text);
        }

        cosmos_event e = {};
        std::deque<std::string> texts; /* does not move them */
};

inline std::string text_of(const char *text)
{
        return text ? "'" + std::string(text) + "'" : "-";
}

/* All that is known of an event, so that two can be compared and a difference be read. */
inline std::string describe(const cosmos_event &e)
{
        std::string out = "type " + std::to_string(e.type) + " known " + std::to_string(e.known) + " at " +
                          std::to_string(e.timestamp) + "/" + std::to_string(e.timestamp_digits);
        auto number = [&](const char *name, uint32_t bit, auto value) {
                if (e.known & bit)
                        out += std::string(" ") + name + " " + std::to_string(value);
        };

        number("seq", COSMOS_KNOWN_SEQ, e.seq);
        number("pid", COSMOS_KNOWN_PID, e.pid);
        number("tid", COSMOS_KNOWN_TID, e.tid);
        number("ppid", COSMOS_KNOWN_PPID, e.ppid);
        number("uid", COSMOS_KNOWN_UID, e.uid);
        number("auid", COSMOS_KNOWN_AUID, e.auid);
        number("nr", COSMOS_KNOWN_NR, e.nr);
        number("ret", COSMOS_KNOWN_RET, e.ret);
        number("proc_start", COSMOS_KNOWN_PROC_START, e.proc_start);
        number("thread_start", COSMOS_KNOWN_THREAD_START, e.thread_start);
        out += " container " + text_of(e.container_id) + text_of(e.container_name) + text_of(e.image) + " host " +
               text_of(e.host) + " comm " + text_of(e.comm) + " exe " + text_of(e.exe);
        if (e.type == COSMOS_EVENT_CALL) {
                out += " call " + text_of(e.syscall) + " arch " + std::to_string(e.arch) + " args";
                for (uint32_t i = 0; i < e.n_args; i++)
                        out += " " + std::to_string(e.args[i]);
                out += " path " + text_of(e.path) + " argv " + text_of(e.argv) + " addr " + text_of(e.addr);
                number("fd_kind", COSMOS_KNOWN_FD_KIND, static_cast<int>(e.fd_kind));
                number("size_class", COSMOS_KNOWN_SIZE_CLASS, e.size_class);
                number("path_class", COSMOS_KNOWN_PATH_CLASS, static_cast<int>(e.path_class));
        }
        if (e.type == COSMOS_EVENT_LOSS)
                out += " loss " + std::to_string(e.loss_kind) + " of " + std::to_string(e.loss_count);
        if (e.type == COSMOS_EVENT_TRACE)
                out += " source " + text_of(e.source) + " calls " + text_of(e.calls);
        return out;
}

/* A call of process `pid`, `ms` after T0. */
inline Event call(int32_t pid, const std::string &name, int64_t ms = 0)
{
        Event event;

        (*event).type = COSMOS_EVENT_CALL;
        (*event).known = COSMOS_KNOWN_PID;
        (*event).timestamp = T0 + ms * 1000000;
        (*event).timestamp_digits = 3;
        (*event).pid = pid;
        (*event).comm = event.keep("comm");
        (*event).syscall = event.keep(name);
        return event;
}

inline Event other(cosmos_event_type type, int64_t ms = 0)
{
        Event event;

        (*event).type = type;
        (*event).timestamp = T0 + ms * 1000000;
        (*event).timestamp_digits = 3;
        return event;
}

/* A file that goes with the object. */
class File
{
      public:
        explicit File(const std::string &content = "")
        {
                int fd = mkstemp(name.data());

                EXPECT_GE(fd, 0);
                put(fd, content);
                close(fd);
        }
        ~File()
        {
                unlink(name.c_str());
        }
        File(const File &) = delete;
        File &operator=(const File &) = delete;

        static void put(int fd, const std::string &bytes)
        {
                for (size_t done = 0; done < bytes.size();) {
                        ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);

                        ASSERT_GT(n, 0);
                        done += static_cast<size_t>(n);
                }
        }
        const char *path() const
        {
                return name.c_str();
        }
        std::string read() const
        {
                return read_all(name);
        }
        static std::string read_all(const std::string &path)
        {
                std::string out;
                char block[65536];
                int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);

                for (ssize_t n; fd >= 0 && (n = ::read(fd, block, sizeof(block))) > 0;)
                        out.append(block, static_cast<size_t>(n));
                close(fd);
                return out;
        }

      private:
        std::string name = "/tmp/cosmos-test-XXXXXX";
};

/* A folder that goes with the object, and the files in it. */
class Folder
{
      public:
        Folder()
        {
                EXPECT_NE(mkdtemp(name.data()), nullptr);
        }
        ~Folder()
        {
                for (const std::string &file : files())
                        unlink(at(file).c_str());
                rmdir(name.c_str());
        }
        Folder(const Folder &) = delete;
        Folder &operator=(const Folder &) = delete;

        std::string at(const std::string &file) const
        {
                return name + "/" + file;
        }
        std::set<std::string> files() const
        {
                std::set<std::string> found;
                DIR *folder = opendir(name.c_str());

                while (const dirent *entry = readdir(folder))
                        found.insert(entry->d_name);
                closedir(folder);
                found.erase(".");
                found.erase("..");
                return found;
        }

      private:
        std::string name = "/tmp/cosmos-test-XXXXXX";
};

/* A named pipe: what a reader opens by its path can be fed in pieces. */
class Fifo
{
      public:
        Fifo()
        {
                EXPECT_EQ(mkfifo(name.c_str(), 0600), 0);
                /* Open for both: neither end waits for the other. */
                fd = open(name.c_str(), O_RDWR | O_CLOEXEC);
                EXPECT_GE(fd, 0);
        }
        ~Fifo()
        {
                finish();
                unlink(name.c_str());
        }
        Fifo(const Fifo &) = delete;
        Fifo &operator=(const Fifo &) = delete;

        const char *path() const
        {
                return name.c_str();
        }
        void put(const std::string &bytes)
        {
                File::put(fd, bytes);
        }
        void finish()
        {
                if (fd >= 0)
                        close(fd);
                fd = -1;
        }

      private:
        std::string name = "/tmp/cosmos-test-fifo-" + std::to_string(getpid()) + "-" + std::to_string(counter()++);
        int fd = -1;

        static int &counter()
        {
                static int n;

                return n;
        }
};

/* Log lines, as they came. */
struct Log {
        std::vector<std::string> lines;

        cosmos_log hook()
        {
                return {[](void *userdata, cosmos_log_level, const char *text) {
                                static_cast<Log *>(userdata)->lines.push_back(text);
                        },
                        this};
        }
};

inline bool contains(const std::string &text, const std::string &part)
{
        return text.find(part) != std::string::npos;
}

} // namespace support

#endif
