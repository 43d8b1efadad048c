/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that look like /proc, /sys/fs/cgroup and Docker's state; a clock that can be moved. */
#pragma once

#include <cosmos/container.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

/* Let ns pass for the library: for both clocks, so that start times still fit. */
void pass_ns(int64_t ns);
/* Set the realtime clock forward or back. */
void set_clock_ns(int64_t ns);
int64_t now_ns();
int64_t boot_ns();

std::string make_id(char digit);          /* 64 times */
std::string make_id(unsigned int number); /* its digits at the front */

struct Proc {
        int32_t ppid = 1;
        std::string comm = "app";
        std::string cgroup = "0::/\n";
        std::vector<std::string> cmdline = {};
        double age = 100; /* seconds */
        unsigned int flags = 0x400000;
        uint64_t start = 0; /* ticks; 0: by age */
        std::string mounts = "";
        uint64_t switches = 0;
};

/* A copy of what came out. */
struct Out {
        cosmos_event event;
        std::string id, name, image;
};

class Tree
{
      public:
        Tree();
        ~Tree();
        void write(const std::string &path, const std::string &text);
        void remove(const std::string &path);
        uint64_t put(int32_t pid, const Proc &proc); /* returns the start time */
        void end(int32_t pid);
        void switches(int32_t pid, uint64_t n, int threads = 1);
        void cgroup(const std::string &path);
        void cgroup_end(const std::string &path);
        void docker(const std::string &id, const std::string &name, const std::string &image);

        std::string root, proc_root, cgroup_root, docker_root;
};

class ResolverTest : public ::testing::Test
{
      protected:
        ~ResolverTest() override;
        cosmos_resolver_options options();
        void open();
        void open(const cosmos_resolver_options &options);
        std::vector<Out> drain();
        std::vector<Out> feed(const cosmos_event &event);
        std::vector<Out> tick(double seconds = 0.5);
        std::vector<Out> call(int32_t pid, int32_t ppid, const char *comm = "app", double age = 0);
        std::vector<Out> exec(int32_t pid, int32_t ppid, const char *comm = "app", const char *exe = nullptr,
                              double age = 0);
        std::vector<Out> exec_as(uint32_t uid, int32_t pid, int32_t ppid, const char *exe, const std::string &argv);
        std::string in(const std::vector<Out> &out); /* the id that the last event came out with; "" none */

        Tree tree;
        cosmos_resolver *resolver = nullptr;
        cosmos_diag diag = {};
        std::vector<std::string> log;
        std::vector<const char *> select;
        bool detect = false;
        bool discover = false;
};

/* cgroup text of a container in the given style. */
std::string docker_cgroup(const std::string &id);
