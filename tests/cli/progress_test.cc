// The text of the progress line.
#include "cli/progress.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

TEST(Progress, SaysWhatIsKnown) {
  Progress progress;
  progress.sent = 1200;
  progress.total = 4000;
  progress.running_ns = 5'000'000'000;
  progress.lateness_p99_ns = 85'000;
  progress.differences = 3;
  progress.left_ns = 11'100'000'000;
  EXPECT_EQ(progress_text(progress),
            "sent 1200/4000, 240/s, late 85 us (p99), 3 different, 12 s left");
}

TEST(Progress, TellsErrorsApart) {
  Progress progress;
  progress.differences = 2;
  progress.errors = 1;
  EXPECT_EQ(progress_text(progress), "sent 0, late 0 us (p99), 2 different, 1 error");
  progress.errors = 5;
  EXPECT_EQ(progress_text(progress), "sent 0, late 0 us (p99), 2 different, 5 errors");
}

TEST(Progress, LeavesOutWhatIsNot) {
  Progress progress;
  progress.sent = 7;
  EXPECT_EQ(progress_text(progress), "sent 7, late 0 us (p99), 0 different");
}

}  // namespace
}  // namespace wiretape
