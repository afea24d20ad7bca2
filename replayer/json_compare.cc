// Two answers of the same program may differ in one value out of thousands, and the offset of its
// first byte says little. So both documents are parsed, and walked together:
//
//   recorded   { "user": { "id": 17, "at": "10:02" } }      $.user.at is ignored:
//                  |          |                              the walk does not go there
//   replayed   { "user": { "id": 18, "at": "11:40" } }      $.user.id: 17 -> 18
//
// The walk carries the ignored paths that fit so far, each with the number of steps taken, so that
// ten paths cost ten comparisons at a value, wherever it stands.
//
// What a server sends may be made to hurt: the depth is counted before anything is parsed, and
// bounds both the parser and the walk.
#include "replayer/json_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <nlohmann/json.hpp>

#include "replayer/quote.h"

namespace wiretape {
namespace {

using Json = nlohmann::json;
using Step = JsonPath::Step;

constexpr size_t value_text_max = 64;
constexpr size_t path_text_max = 200;
constexpr const char* absent = "(absent)";

// --- Paths ---

bool ends_name(char c) {
  return c == '.' || c == '[' || c == ']';
}

// Takes one step off the front of `rest`; none when it is not one.
std::optional<Step> take_dotted(std::string_view& rest) {
  rest.remove_prefix(1);
  const auto end = std::find_if(rest.begin(), rest.end(), ends_name);
  const std::string name(rest.begin(), end);
  rest.remove_prefix(name.size());
  if (name.empty()) return std::nullopt;
  if (name == "*") return Step{Step::Kind::every_member, "", 0};
  return Step{Step::Kind::member, name, 0};
}

// Where the string that begins at 1 ends, behind its closing quote; npos when it does not.
size_t end_of_string(std::string_view text) {
  for (size_t i = 2; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

std::optional<Step> take_quoted(std::string_view& rest) {
  const size_t end = end_of_string(rest);
  if (end >= rest.size() || rest[end] != ']') return std::nullopt;
  const Json name = Json::parse(rest.substr(1, end - 1), nullptr, false);
  rest.remove_prefix(end + 1);
  if (!name.is_string()) return std::nullopt;
  return Step{Step::Kind::member, name.get<std::string>(), 0};
}

std::optional<Step> take_bracketed(std::string_view& rest) {
  if (rest.starts_with("[*]")) {
    rest.remove_prefix(3);
    return Step{Step::Kind::every_element, "", 0};
  }
  if (rest.starts_with("[\"")) return take_quoted(rest);
  Step step{Step::Kind::element, "", 0};
  const char* end = rest.data() + rest.size();
  const auto [behind, error] = std::from_chars(rest.data() + 1, end, step.index);
  if (error != std::errc() || behind == end || *behind != ']') return std::nullopt;
  rest.remove_prefix(static_cast<size_t>(behind + 1 - rest.data()));
  return step;
}

// --- The walk ---

struct Active {
  const JsonPath* path;
  size_t steps;  // that fit
};
using Actives = std::vector<Active>;

bool is_all(const Active& active) {
  return active.steps == active.path->steps().size();
}

bool fits(const Step& pattern, const Step& step) {
  switch (pattern.kind) {
    case Step::Kind::member:
      return step.kind == Step::Kind::member && pattern.name == step.name;
    case Step::Kind::element:
      return step.kind == Step::Kind::element && pattern.index == step.index;
    case Step::Kind::every_member:
      return step.kind == Step::Kind::member;
    case Step::Kind::every_element:
      return step.kind == Step::Kind::element;
  }
  return false;
}

Actives after(const Actives& actives, const Step& step) {
  Actives next;
  for (const Active& active : actives) {
    if (fits(active.path->steps()[active.steps], step)) {
      next.push_back({active.path, active.steps + 1});
    }
  }
  return next;
}

std::string text_of(const Step& step) {
  if (step.kind == Step::Kind::element) return fmt::format("[{}]", step.index);
  const bool plain = !step.name.empty() && step.name != "*" &&
                     std::none_of(step.name.begin(), step.name.end(),
                                  [](char c) { return ends_name(c) || c <= ' ' || c > '~'; });
  return plain ? "." + step.name : "[" + Json(step.name).dump(-1, ' ', true) + "]";
}

std::string text_of(const Json* value) {
  return value == nullptr ? absent : one_line(value->dump(-1, ' ', true), value_text_max);
}

// Invariant: path_ leads to the values that are looked at.
class Walk {
 public:
  // False at the first difference. Either may be missing, not both.
  bool same(const Json* recorded, const Json* replayed, const Actives& ignored) {
    if (std::any_of(ignored.begin(), ignored.end(), is_all)) return true;
    if (recorded != nullptr && replayed != nullptr) {
      if (recorded->is_object() && replayed->is_object()) {
        return same_members(*recorded, *replayed, ignored);
      }
      if (recorded->is_array() && replayed->is_array()) {
        return same_elements(*recorded, *replayed, ignored);
      }
      if (*recorded == *replayed) return true;
    }
    found_.path = "$";
    for (const Step& step : path_) found_.path += text_of(step);
    found_.path = one_line(found_.path, path_text_max);
    found_.recorded = text_of(recorded);
    found_.replayed = text_of(replayed);
    return false;
  }

  JsonComparison take() { return std::move(found_); }

 private:
  bool same_child(Step step, const Json* recorded, const Json* replayed, const Actives& ignored) {
    const Actives next = after(ignored, step);
    path_.push_back(std::move(step));
    const bool is_same = same(recorded, replayed, next);
    path_.pop_back();
    assert(path_.size() < json_depth_max);
    return is_same;
  }

  // Both are sorted by name.
  bool same_members(const Json& recorded, const Json& replayed, const Actives& ignored) {
    auto a = recorded.begin();
    auto b = replayed.begin();
    while (a != recorded.end() || b != replayed.end()) {
      const bool has_a = a != recorded.end() && (b == replayed.end() || a.key() <= b.key());
      const bool has_b = b != replayed.end() && (a == recorded.end() || b.key() <= a.key());
      Step step{Step::Kind::member, has_a ? a.key() : b.key(), 0};
      if (!same_child(std::move(step), has_a ? &*a : nullptr, has_b ? &*b : nullptr, ignored)) {
        return false;
      }
      if (has_a) ++a;
      if (has_b) ++b;
    }
    return true;
  }

  bool same_elements(const Json& recorded, const Json& replayed, const Actives& ignored) {
    const size_t count = std::max(recorded.size(), replayed.size());
    for (size_t i = 0; i < count; ++i) {
      const Json* a = i < recorded.size() ? &recorded[i] : nullptr;
      const Json* b = i < replayed.size() ? &replayed[i] : nullptr;
      if (!same_child(Step{Step::Kind::element, "", i}, a, b, ignored)) return false;
    }
    return true;
  }

  std::vector<Step> path_;
  JsonComparison found_;
};

// Of brackets outside strings; what is not JSON may have any.
size_t depth_of(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (in_string) continue;
    if (c == '{' || c == '[') deepest = std::max(deepest, ++depth);
    if ((c == '}' || c == ']') && depth > 0) --depth;
  }
  return deepest;
}

std::optional<Json> parsed(std::string_view text) {
  if (text.size() > json_bytes_max || depth_of(text) > json_depth_max) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

}  // namespace

Result<JsonPath> JsonPath::parse(std::string_view text) {
  const Error wrong{ErrorSource::usage,
                    fmt::format("\"{}\" is not a path (such as $.user.id, $.items[0].price, "
                                "$.items[*].id, $[\"odd name\"])",
                                one_line(text, path_text_max))};
  if (!text.starts_with('$')) return wrong;
  JsonPath path;
  for (std::string_view rest = text.substr(1); !rest.empty();) {
    const auto step = rest.front() == '.'   ? take_dotted(rest)
                      : rest.front() == '[' ? take_bracketed(rest)
                                            : std::nullopt;
    if (!step) return wrong;
    path.steps_.push_back(*step);
  }
  return path;
}

std::optional<JsonComparison> compare_json(std::string_view recorded, std::string_view replayed,
                                           const std::vector<JsonPath>& ignored) {
  const auto a = parsed(recorded);
  const auto b = a ? parsed(replayed) : std::nullopt;
  if (!a || !b) return std::nullopt;
  Actives actives;
  for (const JsonPath& path : ignored) actives.push_back({&path, 0});
  Walk walk;
  const bool same = walk.same(&*a, &*b, actives);
  JsonComparison comparison = walk.take();
  comparison.same = same;
  return comparison;
}

}  // namespace wiretape
