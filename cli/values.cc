// Values as people write them: "1.5m", "64MiB", "-1". Everything is read by hand, because the
// standard library's readers accept what nobody meant (leading spaces, hexadecimal floats, a
// silently ignored tail) and their errors name no alternative.
//
//   "1.5m"  ->  number "1.5"  +  unit "m"  ->  1.5 * 60e9 ns
//
// A unit table gives each suffix its factor. Durations and sizes share the reader; they differ in
// the table, and in what a number without a unit means.
//
// closest_match() is the "did you mean" of flags and subcommands: the edit distance in which a
// swap of neighbours counts as one slip, because that is what fingers do.
#include "cli/values.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/clock.h"

namespace wiretape {
namespace {

struct Unit {
  std::string_view suffix;
  double factor;
};

constexpr Unit duration_units[] = {
    {"", double(ns_per_s)},    {"ns", 1},
    {"us", double(ns_per_us)}, {"ms", double(ns_per_ms)},
    {"s", double(ns_per_s)},   {"m", 60.0 * ns_per_s},
    {"h", 3600.0 * ns_per_s},
};

// Exact in a double, and far beyond what is meant by anybody (104 days).
constexpr double quantity_max = 9007199254740992.0;

Error wrong(std::string_view text, std::string_view what) {
  return {ErrorSource::usage, fmt::format("\"{}\" is not {}", text, what)};
}

// A whole decimal number, and where it ends; nothing when there is none at the start.
const char* read_number(std::string_view text, double* number) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *number, std::chars_format::fixed);
  return error == std::errc() && std::isfinite(*number) ? end : nullptr;
}

// `text` by the units of a table; negative when it is not one of them.
double read_quantity(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const char* end = read_number(text, &number);
  if (end == nullptr) return -1;
  const std::string_view suffix = text.substr(end - text.data());
  for (const Unit& unit : units) {
    if (unit.suffix == suffix) return number * unit.factor;
  }
  return -1;
}

// Edit distance in which swapping two neighbours is one step.
size_t slips_between(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string_view without_dashes(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('-'), text.size()));
}

}  // namespace

Result<int64_t> parse_duration(std::string_view text) {
  const double ns = read_quantity(text, duration_units);
  if (ns < 0 || ns > quantity_max) return wrong(text, "a duration (try 5s, 200ms or 1m)");
  return static_cast<int64_t>(std::llround(ns));
}

Result<int64_t> parse_integer(std::string_view text, int64_t least, int64_t most) {
  int64_t number = 0;
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, number);
  if (error == std::errc() && end == text_end && number >= least && number <= most) return number;
  std::string what = "a whole number from " + std::to_string(least);
  // Beyond ten digits the limit is the computer's, and tells nobody anything.
  what += most > 9'999'999'999 ? " up" : " to " + std::to_string(most);
  return wrong(text, what);
}

Result<double> parse_number(std::string_view text, double least, double most) {
  double number = 0;
  const char* end = read_number(text, &number);
  const bool all = end == text.data() + text.size();
  if (end != nullptr && all && number >= least && number <= most) return number;
  return wrong(text, "a number that fits here");
}

std::string_view closest_match(std::string_view text, std::span<const std::string> candidates) {
  const std::string_view typed = without_dashes(text);
  std::string_view best;
  size_t best_slips = typed.size() / 3 + 2;  // that many is another word, not a slip
  for (const std::string& candidate : candidates) {
    const std::string_view word = without_dashes(candidate);
    const bool begun = typed.size() >= 3 && word.starts_with(typed);
    const size_t slips = begun ? 1 : slips_between(typed, word);
    if (slips >= best_slips) continue;
    best = candidate;
    best_slips = slips;
  }
  return best;
}

}  // namespace wiretape
