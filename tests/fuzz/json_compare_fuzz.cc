// Any path, any two documents. A document equals itself, a difference has a place, ignoring all of
// it leaves nothing, and nothing runs out of stack.
//
// The input is three lines: the path, the recorded document, the replayed one (to the end).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "replayer/json_compare.h"

using namespace wiretape;

namespace {

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

void check(bool holds) {
  if (!holds) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto path = JsonPath::parse(take_line(rest));
  const std::string_view recorded = take_line(rest);
  const auto plain = compare_json(recorded, rest, {});
  const auto itself = compare_json(recorded, recorded, {});
  check(!itself || itself->same);
  check(!plain || itself);
  if (plain && !plain->same) {
    check(plain->path.starts_with('$') && plain->recorded + plain->replayed != "");
  }
  if (path) {
    const auto with_path = compare_json(recorded, rest, {*path});
    check(with_path.has_value() == plain.has_value());
    check(!plain || !plain->same || with_path->same);
  }
  const auto nothing_left = compare_json(recorded, rest, {*JsonPath::parse("$")});
  check(!nothing_left || nothing_left->same);
  return 0;
}
