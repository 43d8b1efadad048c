/* SPDX-License-Identifier: Apache-2.0 */
#include "../support.h"
#include "fixture.h"

extern "C" {
#include "container/cgroup.h"
}

#include <cstring>

static std::string parse(const std::string &text, std::string *path = nullptr, std::string *controllers = nullptr)
{
        const support::Bytes bytes(text);
        cosmos__cgroup cgroup;

        if (cosmos__cgroup_parse(bytes.data(), bytes.size(), &cgroup) != 1)
                return "";
        if (path)
                *path = std::string(cgroup.path, cgroup.n_path);
        if (controllers)
                *controllers = std::string(cgroup.controllers, cgroup.n_controllers);
        EXPECT_EQ(strlen(cgroup.id), 64u);
        return cgroup.id;
}

static const std::string A = make_id('a'), B = make_id('b');

TEST(Cgroup, KnowsTheRuntimes)
{
        const std::string paths[] = {
            "/docker/" + A,
            "/" + A,
            "/system.slice/docker-" + A + ".scope",
            "/kubepods/burstable/pod8f7cb0a5-1d35-4b51-b5b1-2f8e0a1c7a3c/" + A,
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8f7c.slice/cri-containerd-" + A +
                ".scope",
            "/kubepods.slice/kubepods-burstable.slice/crio-" + A + ".scope",
            "/machine.slice/libpod-" + A + ".scope",
            "/libpod_parent/libpod-" + A,
            "/system.slice/containerd.service/kubepods-besteffort-pod8f7c.slice:cri-containerd:" + A,
            "/system.slice/nerdctl-" + A + ".scope",
            "/../" + A,
        };

        for (const auto &path : paths) {
                std::string found;

                EXPECT_EQ(parse("0::" + path + "\n", &found), A) << path;
                EXPECT_EQ(found, path);
                EXPECT_EQ(parse("0::" + path), A) << path << " without a newline";
        }
}

TEST(Cgroup, HostIsNoContainer)
{
        const std::string paths[] = {
            "/",
            "/init.scope",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/docker.service",
            "/process_api/319488520eac8c33c58c1703e9eb77d6",
            "/machine.slice/libpod-conmon-" + A + ".scope",
            "/system.slice/crio-conmon-" + A + ".scope",
        };

        for (const auto &path : paths)
                EXPECT_EQ(parse("0::" + path + "\n"), "") << path;
        EXPECT_EQ(parse(""), "");
        EXPECT_EQ(parse("\n\n\n"), "");
}

TEST(Cgroup, LookAlikes)
{
        const std::string s(63, 'a'), l(65, 'a');

        EXPECT_EQ(parse("0::/docker/" + s), "");
        EXPECT_EQ(parse("0::/docker/" + l), "");
        EXPECT_EQ(parse("0::/system.slice/docker-" + s + ".scope"), "");
        EXPECT_EQ(parse("0::/system.slice/docker-" + l + ".scope"), "");
        EXPECT_EQ(parse("0::/system.slice/docker" + A + ".scope"), "");
        EXPECT_EQ(parse("0::/docker/" + std::string(64, 'A')), "") << "runtimes write lower case";
        EXPECT_EQ(parse("0::/docker/" + std::string(63, 'a') + "g"), "");
        EXPECT_EQ(parse("0::/docker/" + A + ".service"), "");
        EXPECT_EQ(parse("0::/docker/" + A + "-x"), "");
        EXPECT_EQ(parse("0::/docker/-" + A), "");
        EXPECT_EQ(parse("0:" + A), "");
        EXPECT_EQ(parse("0::" + A), "") << "no path";
        EXPECT_EQ(parse("/docker/" + A), "") << "no line of this file";
        EXPECT_EQ(parse(std::string("0::/docker/") + std::string(32, 'a') + std::string(1, 0) + std::string(31, 'a')),
                  "");
}

TEST(Cgroup, OutermostWins)
{
        std::string path;

        EXPECT_EQ(parse("0::/docker/" + A + "/docker/" + B + "\n", &path), A);
        EXPECT_EQ(path, "/docker/" + A);
        EXPECT_EQ(parse("0::/docker/" + A + "/init.scope\n", &path), A);
        EXPECT_EQ(path, "/docker/" + A);
        EXPECT_EQ(parse("0::/machine.slice/libpod-" + A + ".scope/container\n", &path), A);
        EXPECT_EQ(path, "/machine.slice/libpod-" + A + ".scope");
}

TEST(Cgroup, HierarchiesInTheirOrder)
{
        std::string path, controllers;

        EXPECT_EQ(parse("11:memory:/docker/" + A + "\n1:name=systemd:/docker/" + A + "\n", &path, &controllers), A);
        EXPECT_EQ(controllers, "name=systemd");
        EXPECT_EQ(parse("11:memory:/docker/" + A + "\n4:cpu,cpuacct:/docker/" + A + "\n1:name=systemd:/\n0::/\n", &path,
                        &controllers),
                  A);
        EXPECT_EQ(controllers, "memory");
        EXPECT_EQ(parse("1:name=systemd:/docker/" + B + "\n0::/docker/" + A + "\n", &path, &controllers), A);
        EXPECT_EQ(controllers, "");
        EXPECT_EQ(parse("nonsense\n::\n:\n0::\n0::/docker/" + A), A) << "lines that are none are skipped";
}

TEST(Cgroup, RemovedUnderAnEndingProcess)
{
        std::string path;

        EXPECT_EQ(parse("0::/docker/" + A + " (deleted)\n", &path), A);
        EXPECT_EQ(path, "/docker/" + A);
}

TEST(Cgroup, AnyCutIsSafe)
{
        const std::string text = "11:memory:/docker/" + A + "\n1:name=systemd:/docker/" + A + "/docker/" + B +
                                 "\n0::/system.slice/docker-" + A + ".scope\n";

        for (size_t n = 0; n <= text.size(); n++) {
                std::string id = parse(text.substr(0, n));

                EXPECT_TRUE(id.empty() || id == A) << n;
        }
        EXPECT_EQ(parse("0::" + std::string(100000, '/') + A), A);
        EXPECT_EQ(parse("0::/" + std::string(100000, 'a')), "");
}
