/* SPDX-License-Identifier: Apache-2.0 */
/* Thresholds of container images, in the object and in a model's file. */
#include "threshold/thresholds.h"

#include "predictor/blob.h"
#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <cerrno>
#include <cmath>

using support::contains;
using support::File;
using thresholds::adaptive;
using thresholds::fitted;
using thresholds::fixed;
using thresholds::info;
using thresholds::Threshold;

namespace
{

void add(const Threshold &t, const std::string &image, const Threshold &its)
{
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_threshold_add_image(t.get(), image.c_str(), its.get(), &diag), 0) << diag.text;
}

double theta_of(const Threshold &t, const char *image)
{
        return cosmos_threshold_theta(cosmos_threshold_of(t.get(), image));
}

Threshold of_model(const std::string &path)
{
        cosmos_model *model = nullptr;
        cosmos_threshold *threshold = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load_file(&model, path.c_str(), nullptr, &diag), 0) << diag.text;
        EXPECT_EQ(cosmos_threshold_new_model(&threshold, model, &diag), 0) << diag.text;
        cosmos_model_unref(model);
        return Threshold(threshold);
}

/* What cosmos_threshold_save() says. */
std::string save(const Threshold &t, const std::string &from, const std::string &to, int error = 0)
{
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_threshold_save(t.get(), from.c_str(), to.c_str(), &diag), -error) << diag.text;
        return diag.text;
}

/* The tensors' bytes: behind the header. */
std::string data_of(const std::string &file)
{
        uint64_t length;

        memcpy(&length, file.data(), sizeof(length));
        return file.substr(8 + length);
}

Threshold with_images()
{
        Threshold t = fitted({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.9);

        add(t, "mariadb:11", fitted({0.1, 0.2, 0.3}, 0.5));
        add(t, "b\xc3\xa4r \"quoted\"", fixed(-7.25));
        return t;
}

} // namespace

/* ---- the object -------------------------------------------------------------------------------- */

TEST(Images, EachIsJudgedByItsOwn)
{
        Threshold t = fixed(2);

        for (int i = 0; i < 200; i++) /* in disorder */
                add(t, "image-" + std::to_string(i * 77 % 200), fixed(i * 77 % 200));
        EXPECT_EQ(info(t.get()).n_images, 200u);
        for (int i = 0; i < 200; i++)
                EXPECT_EQ(theta_of(t, ("image-" + std::to_string(i)).c_str()), i);
        for (const char *other : {"image-", "image-200", "a", "z", ""})
                EXPECT_EQ(cosmos_threshold_of(t.get(), other), t.get()) << other;
        EXPECT_EQ(cosmos_threshold_of(t.get(), nullptr), t.get());
        EXPECT_EQ(theta_of(t, "another"), 2);
}

TEST(Images, WhatCannotBeAdded)
{
        Threshold t = fixed(2), its = fixed(1), holds = fixed(1);
        cosmos_diag diag = {""};
        auto fails = [&](cosmos_threshold *to, const std::string &image, cosmos_threshold *what, int error) {
                EXPECT_EQ(cosmos_threshold_add_image(to, image.c_str(), what, &diag), -error);
        };

        add(holds, "x", its);
        add(t, "db", its);
        fails(t.get(), "db", its.get(), EEXIST);
        EXPECT_TRUE(contains(diag.text, "'db'")) << diag.text;
        fails(t.get(), "", its.get(), EINVAL);
        fails(t.get(), std::string(COSMOS_MODEL_IMAGE_NAME_MAX + 1, 'i'), its.get(), EINVAL);
        EXPECT_TRUE(contains(diag.text, "513 bytes")) << diag.text;
        fails(t.get(), "new", holds.get(), EINVAL);
        fails(cosmos_threshold_of(t.get(), "db"), "new", its.get(), EINVAL);
        fails(adaptive(2, 0.9).get(), "new", its.get(), EINVAL);
        fails(t.get(), "new", adaptive(2, 0.9).get(), EINVAL);
        EXPECT_EQ(cosmos_threshold_add_image(nullptr, "x", its.get(), &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_add_image(t.get(), nullptr, its.get(), &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_add_image(t.get(), "x", nullptr, &diag), -EINVAL);
        for (int i = 1; i < COSMOS_MODEL_IMAGES_MAX; i++)
                add(t, std::to_string(i), its);
        fails(t.get(), "one more", its.get(), E2BIG);
        add(fixed(1), std::string(COSMOS_MODEL_IMAGE_NAME_MAX, 'i'), its);
}

/* ---- a model's file ------------------------------------------------------------------------------ */

TEST(Save, IsReadBackToTheBit)
{
        const std::string before = blob::Blob().bytes();
        File from(before), to;
        Threshold t = with_images();

        save(t, from.path(), to.path());
        EXPECT_EQ(from.read(), before);
        EXPECT_EQ(data_of(to.read()).size(), data_of(before).size());
        Threshold again = of_model(to.path());
        EXPECT_EQ(info(again.get()).n_images, 2u);
        for (const char *image : {"another", "mariadb:11", "b\xc3\xa4r \"quoted\""}) {
                const cosmos_threshold_info a = info(cosmos_threshold_of(t.get(), image)),
                                            b = info(cosmos_threshold_of(again.get(), image));

                EXPECT_EQ(a.theta, b.theta);
                EXPECT_EQ(a.n, b.n);
                EXPECT_TRUE(a.quantile == b.quantile || (std::isnan(a.quantile) && std::isnan(b.quantile)));
                EXPECT_TRUE(a.spread == b.spread || (std::isnan(a.spread) && std::isnan(b.spread)));
        }
        const std::string header = to.read();
        EXPECT_TRUE(contains(header, R"("cosmos.quantile":"0.9")")) << header.substr(0, 2000);
        EXPECT_TRUE(contains(header, R"("cosmos.threshold":"9.0")")) << header.substr(0, 2000);
        EXPECT_TRUE(contains(header, R"("cosmos.threshold_rule":"0.9 of 10 scores")")) << header.substr(0, 2000);
        save(again, to.path(), to.path());
        EXPECT_EQ(to.read(), header) << "the same content is the same bytes";
}

TEST(Save, LeavesTheTensorsAndTheOtherKeysAsTheyAre)
{
        blob::Options options;
        options.layers = {3, 2};
        blob::Blob b(options);

        b.store_int8();
        b.set("another", "kept");
        b.set("quantile", "0.5");
        b.set("threshold", "4");
        b.set("threshold_rule", "old");
        b.set("threshold_spread", "3");
        b.set("thresholds", R"({"old":{"theta":1}})");
        File file(b.bytes());
        save(fixed(2.5), file.path(), file.path());
        const std::string after = file.read();
        cosmos_model *model = nullptr;
        ASSERT_EQ(cosmos_model_load_file(&model, file.path(), nullptr, nullptr), 0);
        EXPECT_STREQ(cosmos_model_metadata(model, "cosmos.another"), "kept");
        EXPECT_STREQ(cosmos_model_metadata(model, "cosmos.threshold"), "2.5");
        for (const char *gone :
             {"cosmos.quantile", "cosmos.threshold_spread", "cosmos.thresholds", "cosmos.threshold_n"})
                EXPECT_EQ(cosmos_model_metadata(model, gone), nullptr) << gone;
        cosmos_model_unref(model);
        /* The writer's order is that of names, behind it the bytes; each tensor holds what it held. */
        EXPECT_EQ(data_of(after).size(), data_of(b.bytes()).size());
        save(fixed(2.5), file.path(), file.path());
        EXPECT_EQ(file.read(), after);
}

TEST(Save, OfOneThatHasAdapted)
{
        File file(blob::Blob().bytes());
        Threshold t = adaptive(2, 0.9);

        cosmos_threshold_update(t.get(), 5);
        save(t, file.path(), file.path());
        EXPECT_EQ(theta_of(of_model(file.path()), nullptr), cosmos_threshold_theta(t.get()));
        EXPECT_TRUE(contains(file.read(), "adaptive, after 1 scores"));
}

TEST(Save, AFullDiskLeavesTheModel)
{
        const std::string before = blob::Blob().bytes();
        File file(before);
        struct rlimit old, small;
        auto *handler = signal(SIGXFSZ, SIG_IGN);

        getrlimit(RLIMIT_FSIZE, &old);
        small = old;
        small.rlim_cur = 100;
        setrlimit(RLIMIT_FSIZE, &small);
        const std::string said = save(with_images(), file.path(), file.path(), EFBIG);
        setrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, handler);
        EXPECT_TRUE(contains(said, file.path()) && contains(said, "as it was")) << said;
        EXPECT_EQ(file.read(), before);
        EXPECT_TRUE(contains(save(fixed(1), file.path(), "/dev/full", ENOSPC), "No space left"));
        EXPECT_TRUE(contains(save(fixed(1), "/none", "/dev/full", ENOENT), "'/none'"));
        EXPECT_TRUE(contains(save(fixed(1), "/dev/null", "/dev/full", COSMOS_EFORMAT), "'/dev/null'"));
        EXPECT_TRUE(contains(save(fixed(1), file.path(), "/none/x", ENOENT), "'/none/x'"));
}

TEST(Copy, WhatCouldNotBeLoadedIsNotWritten)
{
        const std::string before = blob::Blob().bytes();
        File file(before);
        cosmos_diag diag = {""};
        const cosmos_model_metadata_entry bad[] = {{"cosmos.window", "0"}}, gone[] = {{"cosmos.arch", nullptr}},
                                          bytes[] = {{"cosmos.note", "\xff"}}, fine[] = {{"cosmos.note", "x"}};

        for (const auto *entry : {bad, gone, bytes}) {
                EXPECT_EQ(cosmos_model_copy(file.path(), file.path(), entry, 1, &diag), -EINVAL);
                EXPECT_TRUE(contains(diag.text, entry->key)) << diag.text;
        }
        EXPECT_EQ(file.read(), before);
        EXPECT_EQ(cosmos_model_copy(file.path(), file.path(), nullptr, 1, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_copy(nullptr, file.path(), fine, 1, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_copy(file.path(), file.path(), fine, 1, &diag), 0) << diag.text;
        EXPECT_TRUE(contains(file.read(), R"("cosmos.note":"x")"));
        EXPECT_EQ(cosmos_model_copy(file.path(), file.path(), nullptr, 0, &diag), 0) << diag.text;
}

/* ---- what a file may say ---------------------------------------------------------------------------- */

TEST(Thresholds, AreReadAndValidated)
{
        blob::Blob b;
        auto load_error = [&](const std::string &json, const std::string &word) {
                std::string said = "(it loads)";

                b.set("thresholds", json);
                try {
                        blob::load(b.bytes());
                } catch (const std::runtime_error &e) {
                        said = e.what();
                }
                EXPECT_TRUE(contains(said, "cosmos.thresholds") && contains(said, word)) << json << ": " << said;
        };

        load_error("{}", "'cosmos.threshold' is not");
        b.set("threshold", "2");
        for (const char *json :
             {"", "[]", "1", "{", "{\"a\":{\"theta\":1},\"a\":{\"theta\":2}}", "{\"a\":{\"theta\":1}} x"})
                load_error(json, "is not a JSON object");
        for (const char *entry : {"1", "[]", "{}", R"({"theta":"1"})", R"({"theta":null})", R"({"theta":true})"})
                load_error("{\"im\":" + std::string(entry) + "}", "image 'im': it must be an object");
        for (const char *quantile : {"0", "-1", "1.01", "\"x\"", "null"})
                load_error("{\"im\":{\"theta\":1,\"quantile\":" + std::string(quantile) + "}}", "'quantile' must be");
        for (const char *spread : {"0", "-1", "[]", "1.1e6"})
                load_error("{\"im\":{\"theta\":1,\"spread\":" + std::string(spread) + "}}", "'spread' must be");
        for (const char *n : {"0", "-1", "1.5", "4294967296", "\"1\""})
                load_error("{\"im\":{\"theta\":1,\"n\":" + std::string(n) + "}}", "'n' must be");
        load_error(R"({"":{"theta":1}})", "empty or too long");
        load_error("{\"" + std::string(COSMOS_MODEL_IMAGE_NAME_MAX + 1, 'i') + "\":{\"theta\":1}}",
                   "empty or too long");
        std::string many = "{";
        for (int i = 0; i <= COSMOS_MODEL_IMAGES_MAX; i++)
                many += (i ? ",\"" : "\"") + std::to_string(i) + "\":{\"theta\":1}";
        load_error(many + "}", "257 images");

        b.set("thresholds",
              R"({"b":{"theta":1,"other":[]},"a":{"theta":-0.5,"quantile":1,"n":4294967295,"spread":2}})");
        blob::Model model = blob::load(b.bytes());
        cosmos_model_threshold one = {};
        one.size = sizeof(one);
        ASSERT_EQ(cosmos_model_get_threshold(model.get(), 0, &one), 0);
        EXPECT_STREQ(one.image, "a");
        EXPECT_EQ(one.theta, -0.5);
        EXPECT_EQ(one.quantile, 1);
        EXPECT_EQ(one.n, 4294967295u);
        EXPECT_EQ(one.spread, 2);
        ASSERT_EQ(cosmos_model_get_threshold(model.get(), 1, &one), 0);
        EXPECT_STREQ(one.image, "b");
        EXPECT_TRUE(std::isnan(one.quantile) && std::isnan(one.spread));
        EXPECT_EQ(one.n, 0u);
        EXPECT_EQ(cosmos_model_get_threshold(model.get(), 2, &one), -ENOENT);
        b.set("thresholds", "{}");
        EXPECT_EQ(cosmos_model_get_threshold(blob::load(b.bytes()).get(), 0, &one), -ENOENT);
}
