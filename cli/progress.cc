// While a run lasts, one line on the terminal answers what its user asks: how much is sent, how
// fast, is it in time, is anything wrong, how long will it take.
//
//   sent 1200/4000, 240/s, late 85 us (p99), 3 different, 12 s left
//
// What is not known is left out: the total of a tape without an index, the time left before the
// first answer.
#include "cli/progress.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"

namespace wiretape {
namespace {

std::string short_time(int64_t ns) {
  if (ns < ns_per_ms) return fmt::format("{} us", ns / ns_per_us);
  if (ns < 10 * ns_per_s) return fmt::format("{} ms", ns / ns_per_ms);
  const int64_t s = ns / ns_per_s;
  return s < 120 ? fmt::format("{} s", s) : fmt::format("{} min {} s", s / 60, s % 60);
}

}  // namespace

std::string progress_text(const Progress& progress) {
  std::string text = fmt::format("sent {}", progress.sent);
  if (progress.total >= progress.sent && progress.total > 0) {
    text += fmt::format("/{}", progress.total);
  }
  if (progress.running_ns > 0) {
    const double seconds = static_cast<double>(progress.running_ns) / ns_per_s;
    text += fmt::format(", {:.0f}/s", static_cast<double>(progress.sent) / seconds);
  }
  text += fmt::format(", late {} (p99), {} different", short_time(progress.lateness_p99_ns),
                      progress.differences);
  if (progress.errors > 0) {
    text += fmt::format(", {} error{}", progress.errors, progress.errors == 1 ? "" : "s");
  }
  if (progress.left_ns >= 0) {
    text += fmt::format(", {} s left", (progress.left_ns + ns_per_s - 1) / ns_per_s);
  }
  return text;
}

void show_progress(const Progress& progress) {
  set_status_line(progress_text(progress));
}

}  // namespace wiretape
