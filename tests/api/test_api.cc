/* SPDX-License-Identifier: Apache-2.0 */
/* The public API as its headers promise it. Arguments: the golden model, a trace. */
#include <cosmos/cosmos.h>

#include <support.h>

#include <sys/wait.h>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

using support::contains;
using support::File;

namespace
{

std::string model_path, trace_path;

cosmos_model *load()
{
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load_file(&model, model_path.c_str(), nullptr, &diag), 0) << diag.text;
        return model;
}

/* An option struct of a later version: ours, and `tail` behind it. */
template <typename T> struct Later {
        T options = {};
        uint64_t tail[4] = {};

        Later()
        {
                options.size = sizeof(*this);
        }
};

/* Which sizes of options a constructor takes; `make` returns its result and
 * frees what it made. */
template <typename T> void expect_sizes(const std::function<int(const T *, cosmos_diag *)> &make, bool works)
{
        cosmos_diag diag = {""};
        Later<T> later;
        T options = {};

        EXPECT_EQ(make(&options, &diag), -EINVAL) << "a size that was not set";
        EXPECT_TRUE(contains(diag.text, "size")) << diag.text;
        later.tail[3] = 1;
        EXPECT_EQ(make(&later.options, &diag), -E2BIG) << "a field that this library does not know";
        EXPECT_NE(diag.text[0], 0);
        later.options.size = SIZE_MAX;
        EXPECT_EQ(make(&later.options, &diag), -E2BIG);
        if (!works)
                return;
        later = Later<T>();
        EXPECT_EQ(make(&later.options, &diag), 0) << "one that is not used: " << diag.text;
        options.size = sizeof(size_t);
        EXPECT_EQ(make(&options, &diag), 0) << "an older one: " << diag.text;
}

} // namespace

TEST(Api, FreeTakesNullAndReturnsNull)
{
        EXPECT_EQ(cosmos_collector_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_resolver_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_vocab_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_sequencer_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_corpus_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_model_unref(nullptr), nullptr);
        EXPECT_EQ(cosmos_predictor_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_session_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_threshold_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_sink_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_detector_free(nullptr), nullptr);
}

TEST(Api, TheLibraryIsThatOfTheHeaders)
{
        EXPECT_STREQ(cosmos_version(), COSMOS_VERSION_STRING);
}

TEST(Api, OurErrorsStandAboveTheSystems)
{
        for (int ours : {COSMOS_EFORMAT, COSMOS_EVERSION, COSMOS_EMISMATCH, COSMOS_EOWNER, COSMOS_EUNAVAILABLE}) {
                char text[64];

                EXPECT_GT(ours, 4095); /* the kernel's MAX_ERRNO */
                EXPECT_STREQ(strerror_r(ours, text, sizeof(text)), ("Unknown error " + std::to_string(ours)).c_str());
                EXPECT_FALSE(contains(cosmos_strerror(ours, text, sizeof(text)), "nknown"));
        }
}

/* ---- option structs --------------------------------------------------------------------- */

TEST(ApiOptions, OfAudit)
{
        cosmos_collector *collector = nullptr;
        cosmos_audit_options options = {};

        /* Nothing of the kernel is touched before the options are known to be good. */
        if (cosmos_collector_open_audit(&collector, &options, nullptr) == -COSMOS_EUNAVAILABLE)
                GTEST_SKIP() << "built without libaudit";
        expect_sizes<cosmos_audit_options>(
            [&](auto *o, cosmos_diag *diag) { return cosmos_collector_open_audit(&collector, o, diag); }, false);
        EXPECT_EQ(collector, nullptr);
}

TEST(ApiOptions, OfBpf)
{
        cosmos_collector *collector = nullptr;
        cosmos_bpf_options options = {};
        cosmos_diag diag = {""};
        auto set = [&](const std::function<void(cosmos_bpf_options &)> &change) {
                options = {};
                options.size = sizeof(options);
                change(options);
                diag.text[0] = 0;
                return cosmos_collector_open_bpf(&collector, &options, &diag);
        };

        /* Nothing is asked of the kernel before the options are known to be good. */
        if (cosmos_collector_open_bpf(&collector, &options, nullptr) == -COSMOS_EUNAVAILABLE)
                GTEST_SKIP() << "built without the bpf backend";
        expect_sizes<cosmos_bpf_options>(
            [&](auto *o, cosmos_diag *reterr) { return cosmos_collector_open_bpf(&collector, o, reterr); }, false);
        for (uint32_t bit = 0; bit < 32; bit++) {
                const bool may_be_without = bit < 2, may_be_with = bit >= 2 && bit < 5;

                EXPECT_TRUE(may_be_without || set([&](auto &o) { o.without = 1u << bit; }) == -EINVAL) << bit;
                EXPECT_TRUE(may_be_without || contains(diag.text, "without")) << diag.text;
                EXPECT_TRUE(may_be_with || set([&](auto &o) { o.with = 1u << bit; }) == -EINVAL) << bit;
                EXPECT_TRUE(may_be_with || contains(diag.text, "with")) << diag.text;
        }
        EXPECT_EQ(set([](auto &o) {
                          o.with = COSMOS_BPF_PATH_CLASS;
                          o.without = COSMOS_BPF_TEXT;
                  }),
                  -EINVAL);
        EXPECT_TRUE(contains(diag.text, "path")) << diag.text;
        for (uint32_t bytes : {1u, 4096u, 32768u, 65535u, 65537u, (1u << 16) + 4096u, (1u << 30) + 1, 1u << 31, ~0u}) {
                EXPECT_EQ(set([&](auto &o) { o.ring_bytes = bytes; }), -EINVAL) << bytes;
                EXPECT_TRUE(contains(diag.text, "ring_bytes") && contains(diag.text, std::to_string(bytes)))
                    << diag.text;
        }
        EXPECT_EQ(collector, nullptr);
}

/* As a user who may not use eBPF, whatever this machine allows: what is wrong with the
 * options is said first. */
TEST(ApiOptions, OfBpfWithoutPrivileges)
{
        const char *calls[] = {"read", "openta"};
        cosmos_bpf_options unknown = {};
        auto open_as_nobody = [](const cosmos_bpf_options *options) {
                std::string said;
                char text[sizeof(cosmos_diag) + 32];
                int fds[2];

                EXPECT_EQ(pipe(fds), 0);
                pid_t child = fork();
                if (child == 0) {
                        cosmos_collector *collector = nullptr;
                        cosmos_diag diag = {""};
                        int r = geteuid() == 0 && setresuid(65534, 65534, 65534) < 0
                                    ? 1
                                    : cosmos_collector_open_bpf(&collector, options, &diag);

                        dprintf(fds[1], "%d %s", r, diag.text);
                        _exit(collector != nullptr);
                }
                close(fds[1]);
                for (ssize_t n; (n = read(fds[0], text, sizeof(text))) > 0;)
                        said.append(text, static_cast<size_t>(n));
                close(fds[0]);
                int status = 1;
                EXPECT_EQ(waitpid(child, &status, 0), child);
                EXPECT_EQ(status, 0);
                return said;
        };

        unknown.size = sizeof(unknown);
        if (cosmos_bpf_options none = {}; contains(open_as_nobody(&none), std::to_string(-COSMOS_EUNAVAILABLE)))
                GTEST_SKIP() << "built without the bpf backend";
        std::string said = open_as_nobody(nullptr);
        EXPECT_EQ(said.find(std::to_string(-COSMOS_EUNAVAILABLE) + " eBPF can't be used: "), 0u) << said;
        unknown.calls = calls;
        unknown.n_calls = 2;
        said = open_as_nobody(&unknown);
        EXPECT_EQ(said.find(std::to_string(-EINVAL) + " "), 0u) << said;
        EXPECT_TRUE(contains(said, "'openta'")) << said;
}

TEST(ApiOptions, OfReplay)
{
        expect_sizes<cosmos_replay_options>(
            [](auto *o, cosmos_diag *diag) {
                    cosmos_collector *collector = nullptr;
                    int r = cosmos_collector_open_replay(&collector, trace_path.c_str(), o, diag);

                    EXPECT_EQ(collector != nullptr, r == 0);
                    cosmos_collector_free(collector);
                    return r;
            },
            true);
}

TEST(ApiOptions, OfResolver)
{
        expect_sizes<cosmos_resolver_options>(
            [](auto *o, cosmos_diag *diag) {
                    cosmos_resolver *resolver = nullptr;
                    int r = cosmos_resolver_new(&resolver, o, diag);

                    EXPECT_EQ(resolver != nullptr, r == 0);
                    cosmos_resolver_free(resolver);
                    return r;
            },
            true);
}

TEST(ApiOptions, OfSequencer)
{
        const char *const names[] = {"<start>", "<unknown>"};
        cosmos_vocab *vocab = nullptr;

        ASSERT_EQ(cosmos_vocab_new(&vocab, names, 2, nullptr), 0);
        expect_sizes<cosmos_sequencer_options>(
            [&](auto *o, cosmos_diag *diag) {
                    cosmos_sequencer *sequencer = nullptr;
                    int r = cosmos_sequencer_new(&sequencer, vocab, o, diag);

                    EXPECT_EQ(sequencer != nullptr, r == 0);
                    cosmos_sequencer_free(sequencer);
                    return r;
            },
            true);
        cosmos_vocab_free(vocab);
}

TEST(ApiOptions, OfCorpus)
{
        expect_sizes<cosmos_corpus_options>(
            [](auto *o, cosmos_diag *diag) {
                    cosmos_corpus *corpus = nullptr;
                    const char *path = trace_path.c_str();
                    int r = cosmos_corpus_read(&corpus, &path, 1, o, diag);

                    EXPECT_EQ(corpus != nullptr, r == 0);
                    cosmos_corpus_free(corpus);
                    return r;
            },
            true);
}

TEST(ApiOptions, OfSinkCallbacks)
{
        expect_sizes<cosmos_sink_callbacks>(
            [](auto *o, cosmos_diag *diag) {
                    cosmos_sink *sink = nullptr;
                    int r = cosmos_sink_new_callback(&sink, o, diag);

                    EXPECT_EQ(sink != nullptr, r == 0);
                    cosmos_sink_free(sink);
                    return r;
            },
            true);
}

TEST(ApiOptions, OfDetector)
{
        cosmos_sink *sink = nullptr;
        cosmos_model *model = load();

        ASSERT_EQ(cosmos_sink_new_callback(&sink, nullptr, nullptr), 0);
        expect_sizes<cosmos_detector_options>(
            [&](auto *o, cosmos_diag *diag) {
                    cosmos_detector *detector = nullptr;
                    int r = cosmos_detector_new(&detector, model, sink, o, diag);

                    EXPECT_EQ(detector != nullptr, r == 0);
                    cosmos_detector_free(detector);
                    return r;
            },
            true);
        cosmos_sink_free(sink);
        cosmos_model_unref(model);
}

TEST(ApiStats, OfAnOlderCallerStayWithinItsStruct)
{
        cosmos_collector *collector = nullptr;
        const cosmos_event *event;
        cosmos_collector_stats stats;

        ASSERT_EQ(cosmos_collector_open_replay(&collector, trace_path.c_str(), nullptr, nullptr), 0);
        for (int i = 0; i < 3; i++)
                ASSERT_EQ(cosmos_collector_next(collector, &event, nullptr), 1);
        memset(&stats, 0x5a, sizeof(stats));
        stats.size = offsetof(cosmos_collector_stats, events);
        cosmos_collector_get_stats(collector, &stats);
        EXPECT_EQ(stats.records, 3u);
        EXPECT_EQ(stats.events, 0x5a5a5a5a5a5a5a5au);
        cosmos_collector_free(collector);
}

/* ---- the whole chain ---------------------------------------------------------------------- */

TEST(ApiChain, FromATraceToScores)
{
        struct Seen {
                std::vector<std::string> scores;
                size_t anomalous = 0;
        } seen;
        cosmos_resolver_options resolving = {};
        cosmos_detector_options detecting = {};
        cosmos_detector_stats stats = {};
        cosmos_sink_callbacks callbacks = {};
        cosmos_collector *collector = nullptr;
        cosmos_resolver *resolver = nullptr;
        cosmos_threshold *threshold = nullptr;
        cosmos_detector *detector = nullptr;
        cosmos_model *model = load();
        cosmos_sink *sink = nullptr;
        cosmos_diag diag = {""};

        callbacks.size = sizeof(callbacks);
        callbacks.userdata = &seen;
        callbacks.score = [](void *userdata, const cosmos_score *score) {
                Seen *s = static_cast<Seen *>(userdata);

                EXPECT_TRUE(std::isfinite(score->score));
                EXPECT_STREQ(score->container_name, "web");
                EXPECT_EQ(score->verdict, score->score <= score->threshold ? COSMOS_NORMAL : COSMOS_ANOMALOUS);
                EXPECT_EQ(score->n_why, 1u);
                s->scores.push_back(std::to_string(score->pid));
                s->anomalous += score->verdict == COSMOS_ANOMALOUS;
                return 0;
        };
        resolving.size = sizeof(resolving); /* live 0: a replay */
        ASSERT_EQ(cosmos_threshold_new_fixed(&threshold, 0, &diag), 0) << diag.text;
        detecting.size = sizeof(detecting);
        detecting.threshold = threshold;
        detecting.why = 1;
        ASSERT_EQ(cosmos_sink_new_callback(&sink, &callbacks, &diag), 0) << diag.text;
        ASSERT_EQ(cosmos_detector_new(&detector, model, sink, &detecting, &diag), 0) << diag.text;
        ASSERT_EQ(cosmos_collector_open_replay(&collector, trace_path.c_str(), nullptr, &diag), 0) << diag.text;
        ASSERT_EQ(cosmos_resolver_new(&resolver, &resolving, &diag), 0) << diag.text;
        EXPECT_EQ(cosmos_collector_is_live(collector), 0);
        EXPECT_EQ(cosmos_detector_run(detector, collector, resolver, &diag), 2) << diag.text;
        stats.size = sizeof(stats);
        cosmos_detector_get_stats(detector, &stats);
        EXPECT_EQ(seen.scores.size(), stats.normal + stats.anomalous);
        EXPECT_EQ(seen.anomalous, stats.anomalous);
        EXPECT_GT(stats.anomalous, 0u) << "nothing is below 0 nats";
        EXPECT_EQ(stats.sequences, 2u);
        EXPECT_EQ(stats.open, 0u);
        EXPECT_STREQ(diag.text, "") << "an untouched diag stays as it was";
        cosmos_detector_free(detector);
        cosmos_sink_free(sink);
        cosmos_resolver_free(resolver);
        cosmos_collector_free(collector);
        cosmos_threshold_free(threshold);
        cosmos_model_unref(model);
}

/* ---- what a collector that died left behind -------------------------------------------------- */

TEST(ApiMend, WithoutAStateThereIsNothingToDo)
{
        cosmos_diag diag = {""};
        int r = cosmos_audit_mend("/nowhere/at/all", &diag);

        if (r == -COSMOS_EUNAVAILABLE)
                GTEST_SKIP() << "built without libaudit";
        EXPECT_EQ(r, 0);
}

TEST(ApiMend, OfAnotherBootIsOverAndOneThatIsNoStateIsSaid)
{
        std::string dir = "/tmp/cosmos-test-XXXXXX", path;
        const std::string fields = R"("pid":1,"start":1,"enabled":0,"failure":1,"rate_limit":0,"backlog_limit":64,)"
                                   R"("backlog_wait_time":15000,"rules":7})";
        cosmos_diag diag = {""};
        auto write_state = [&](const std::string &content) {
                int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                File::put(fd, content);
                close(fd);
        };

        if (cosmos_audit_mend("/nowhere", nullptr) == -COSMOS_EUNAVAILABLE)
                GTEST_SKIP() << "built without libaudit";
        ASSERT_NE(mkdtemp(dir.data()), nullptr);
        path = dir + "/audit.json";
        write_state("{\"boot_id\":\"of another boot\"," + fields);
        EXPECT_EQ(cosmos_audit_mend(dir.c_str(), &diag), 0) << diag.text;
        EXPECT_EQ(access(path.c_str(), F_OK), -1) << "a boot has restored everything: the state is of no use";
        for (const std::string &content :
             {std::string(), std::string("{"), std::string("{\"boot_id\":5," + fields), std::string(100000, 'x')}) {
                write_state(content);
                EXPECT_LT(cosmos_audit_mend(dir.c_str(), &diag), 0);
                EXPECT_TRUE(contains(diag.text, path)) << diag.text;
                EXPECT_EQ(access(path.c_str(), F_OK), 0) << "a person must look at it";
        }
        unlink(path.c_str());
        rmdir(dir.c_str());
}

int main(int argc, char **argv)
{
        testing::InitGoogleTest(&argc, argv);
        if (argc != 3) {
                fprintf(stderr, "usage: %s MODEL TRACE\n", argv[0]);
                return 2;
        }
        model_path = argv[1];
        trace_path = argv[2];
        return RUN_ALL_TESTS();
}
