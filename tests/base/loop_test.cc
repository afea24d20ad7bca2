// The loop and what is thinly over it: posted tasks, timers, signals, child processes, log lines.
#include "base/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "base/absolute_timer.h"
#include "base/log.h"
#include "base/process.h"
#include "base/result.h"
#include "base/signal.h"
#include "tests/support/loop_support.h"

namespace wiretape {
namespace {

using test::run_for;
using test::run_until;

TEST(Loop, RunsWhatOtherThreadsPostInTheirOrder) {
  Loop loop;
  constexpr int tasks = 2000;
  std::vector<int> seen[3];
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&loop, &mine] {
      for (int i = 0; i < tasks; ++i) loop.post([&mine, i] { mine.push_back(i); });
    });
  }
  EXPECT_TRUE(run_until(
      loop, [&] { return seen[0].size() + seen[1].size() + seen[2].size() == 3 * tasks; }));
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : seen) {
    ASSERT_EQ(mine.size(), size_t{tasks});
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
  }
}

TEST(Loop, RunsWhatATaskPosts) {
  Loop loop;
  int runs = 0;
  std::function<void()> again = [&] {
    if (++runs < 5) loop.post(again);
  };
  loop.post(again);
  EXPECT_TRUE(run_until(loop, [&] { return runs == 5; }));
}

TEST(Loop, EndsAtOnceWhenNothingIsLeft) {
  Loop loop;
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(Loop, IsStoppedFromAnotherThreadByPost) {
  Loop loop;
  Timer keeps_it_running(loop, [] {});
  keeps_it_running.start_once(3600 * ns_per_s);
  std::thread other([&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  other.join();
}

TEST(Loop, CallsTheHookBeforeItWaits) {
  Loop loop;
  int hooks = 0;
  loop.before_wait([&] { ++hooks; });
  EXPECT_TRUE(run_until(loop, [&] { return hooks >= 3; }));
  loop.before_wait(nullptr);
}

TEST(Timers, FireOnceNotBeforeTheirTime) {
  Loop loop;
  int fired = 0;
  const int64_t begin_ns = monotonic_ns();
  int64_t fired_ns = 0;
  Timer timer(loop, [&] {
    ++fired;
    fired_ns = monotonic_ns();
  });
  timer.start_once(3 * ns_per_ms + 1);
  run_until(loop, [&] { return fired > 0; });
  run_for(loop, 10 * ns_per_ms);
  EXPECT_EQ(fired, 1);
  EXPECT_GE(fired_ns - begin_ns, 3 * ns_per_ms);
}

TEST(Timers, RepeatUntilStopped) {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.start_every(ns_per_ms);
  EXPECT_TRUE(run_until(loop, [&] { return fired >= 3; }));
  timer.stop();
  const int then = fired;
  run_for(loop, 5 * ns_per_ms);
  EXPECT_EQ(fired, then);
}

TEST(Timers, MayBeDestroyedByTheirOwnCall) {
  Loop loop;
  int fired = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    timer.reset();
    ++fired;
  });
  timer->start_every(ns_per_ms);
  EXPECT_TRUE(run_until(loop, [&] { return fired == 1; }));
  run_for(loop, 5 * ns_per_ms);
  EXPECT_EQ(fired, 1);
}

TEST(Timers, WithoutAReferenceDoNotKeepTheLoop) {
  Loop loop;
  Timer timer(loop, [] {});
  timer.start_once(3600 * ns_per_s);
  timer.unref();
  loop.run();
}

TEST(AbsoluteTimers, FireAtTheirMomentAndAtOnceForOneThatPassed) {
  Loop loop;
  int64_t fired_ns = 0;
  auto timer = AbsoluteTimer::create(loop, [&] { fired_ns = monotonic_ns(); });
  ASSERT_TRUE(timer.ok());
  for (const int64_t ahead_ns : {2 * ns_per_ms, int64_t{0}, -ns_per_s, -monotonic_ns() - 5}) {
    fired_ns = 0;
    const int64_t due_ns = monotonic_ns() + ahead_ns;
    timer->start_at(due_ns);
    EXPECT_TRUE(run_until(loop, [&] { return fired_ns != 0; }));
    EXPECT_GE(fired_ns, due_ns);
  }
}

TEST(AbsoluteTimers, StoppedOnesStaySilent) {
  Loop loop;
  int fired = 0;
  auto timer = AbsoluteTimer::create(loop, [&] { ++fired; });
  timer->start_at(monotonic_ns() + 2 * ns_per_ms);
  timer->stop();
  run_for(loop, 8 * ns_per_ms);
  EXPECT_EQ(fired, 0);
}

TEST(Signals, ArriveOnTheLoopEachTime) {
  Loop loop;
  int seen = 0;
  Signal signal(loop, SIGUSR1, [&] { ++seen; });
  ::raise(SIGUSR1);
  EXPECT_TRUE(run_until(loop, [&] { return seen == 1; }));
  ::raise(SIGUSR1);
  EXPECT_TRUE(run_until(loop, [&] { return seen == 2; }));
}

class ProcessTest : public testing::Test {
 protected:
  int status_of(const std::string& script) {
    int status = -1;
    Process::CannotStart error{};
    auto process = Process::start(
        loop_, {"sh", "-c", script}, {{"WIRETAPE_TEST", "a b"}, {"PWD", "changed"}},
        [&](int s) { status = s; }, &error);
    EXPECT_NE(process, nullptr) << error.message;
    EXPECT_TRUE(run_until(loop_, [&] { return status >= 0; }));
    EXPECT_FALSE(process->running());
    return status;
  }
  Loop loop_;
};

TEST_F(ProcessTest, GivesItsExitStatus) {
  EXPECT_EQ(status_of("exit 0"), 0);
  EXPECT_EQ(status_of("exit 3"), 3);
  EXPECT_EQ(status_of("kill -TERM $$"), 128 + SIGTERM);
}

TEST_F(ProcessTest, HasOurEnvironmentAndMore) {
  EXPECT_EQ(status_of("test \"$WIRETAPE_TEST\" = 'a b' && test -n \"$PATH\""), 0);
}

TEST_F(ProcessTest, IsSentSignalsWhileItRuns) {
  int status = -1;
  Process::CannotStart error{};
  auto process = Process::start(
      loop_, {"sleep", "60"}, {}, [&](int s) { status = s; }, &error);
  ASSERT_NE(process, nullptr);
  EXPECT_TRUE(process->running());
  process->signal(SIGINT);
  EXPECT_TRUE(run_until(loop_, [&] { return status == 128 + SIGINT; }));
  process->signal(SIGINT);
}

TEST_F(ProcessTest, SaysWhetherItWasNotFoundOrCannotRun) {
  Process::CannotStart error{};
  const auto never = [](int) { ADD_FAILURE(); };
  EXPECT_EQ(Process::start(loop_, {"no-such-command-here"}, {}, never, &error), nullptr);
  EXPECT_TRUE(error.not_found);
  EXPECT_EQ(error.message, "cannot run no-such-command-here: command not found");
  EXPECT_EQ(Process::start(loop_, {"/etc"}, {}, never, &error), nullptr);
  EXPECT_FALSE(error.not_found);
  EXPECT_EQ(error.message.find("cannot run /etc: "), 0u);
}

TEST(Log, PrefixesWhatToLookAt) {
  set_log_color(ColorChoice::never);
  testing::internal::CaptureStderr();
  say("plain {}", 1);
  warn("warned {}", 2);
  fail("failed {}", 3);
  detail("not shown");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "plain 1\nwiretape: warned 2\nwiretape: failed 3\n");
}

TEST(Log, VerboseGivesTheDetailsToo) {
  set_log_color(ColorChoice::never);
  set_log_verbose(true);
  testing::internal::CaptureStderr();
  detail("shown {}", 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "shown 1\n");
  set_log_verbose(false);
}

TEST(Log, QuietLeavesWarningsAndErrors) {
  set_log_color(ColorChoice::never);
  set_log_quiet(true);
  testing::internal::CaptureStderr();
  say("plain");
  warn("warned");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "wiretape: warned\n");
  set_log_quiet(false);
}

TEST(Log, ColoursWhenTold) {
  set_log_color(ColorChoice::always);
  testing::internal::CaptureStderr();
  fail("failed");
  const std::string text = testing::internal::GetCapturedStderr();
  set_log_color(ColorChoice::automatic);
  EXPECT_EQ(text, "\x1b[31mwiretape: failed\x1b[0m\n");
}

TEST(Results, HoldAValueOrAnError) {
  const Result<int> value = 5;
  EXPECT_TRUE(value.ok());
  EXPECT_EQ(*value, 5);
  const Result<int> error = Error{ErrorSource::disk, "full"};
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.error().message, "full");
  EXPECT_EQ(error.error().source, ErrorSource::disk);
  EXPECT_TRUE(Result<void>().ok());
  EXPECT_FALSE(Result<void>(Error{ErrorSource::tape, "torn"}).ok());
}

}  // namespace
}  // namespace wiretape
