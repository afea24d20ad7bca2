// Two good answers of one server never have the same headers: there is a Date in them, a request
// id, a Via of whatever stood between. Those are left out; what is left says a lot (a cookie that
// is not set any more, an ETag that changed, a redirect to elsewhere).
//
//   recorded   Server  Date  ETag  Set-Cookie  Set-Cookie
//                 |     |x    |        |           |          side by side first: same name, same
//   replayed   Server  Date  ETag  Set-Cookie  Set-Cookie     value, or left out
//
// Nearly all answers end there, without any look-up for a field that is the same. What does not is
// sorted by name, and compared name by name.
#include "replayer/header_compare.h"

#include <fnmatch.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <map>

namespace wiretape {
namespace {

constexpr size_t retained_bytes_max = 4096;  // of one head, from use to use
constexpr std::string_view content_length = "content-length";

// Left out unless --match asks for them; in order of the alphabet.
constexpr std::string_view left_out_names[] = {
    "age",
    "b3",
    "cf-ray",
    "connection",
    "date",
    "fly-request-id",
    "keep-alive",
    "proxy-connection",
    "request-id",
    "server-timing",
    "trace-id",
    "traceparent",
    "traceresponse",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-cf-id",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-amzn-trace-id",
    "x-azure-ref",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-datadog-parent-id",
    "x-datadog-trace-id",
    "x-envoy-upstream-service-time",
    "x-github-request-id",
    "x-ms-request-id",
    "x-nf-request-id",
    "x-process-time",
    "x-request-id",
    "x-request-start",
    "x-response-time",
    "x-runtime",
    "x-served-by",
    "x-timer",
    "x-trace-id",
    "x-transaction-id",
    "x-vercel-id",
};
static_assert(std::is_sorted(std::begin(left_out_names), std::end(left_out_names)));

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

using Values = std::vector<std::string_view>;
struct ValuesOfBoth {
  Values recorded;
  Values replayed;
};

std::string joined(const Values& values) {
  if (values.empty()) return "(absent)";
  std::string text;
  for (const std::string_view value : values) (text += text.empty() ? "" : ", ") += value;
  return text;
}

std::map<std::string, ValuesOfBoth> by_name(const HeaderRules& rules, const HeaderFields& recorded,
                                            const HeaderFields& replayed) {
  std::map<std::string, ValuesOfBoth> names;
  for (size_t i = 0; i < recorded.size(); ++i) {
    names[lower(recorded.name(i))].recorded.push_back(recorded.value(i));
  }
  for (size_t i = 0; i < replayed.size(); ++i) {
    names[lower(replayed.name(i))].replayed.push_back(replayed.value(i));
  }
  std::erase_if(names, [&](const auto& entry) { return rules.leaves_out(entry.first); });
  return names;
}

bool same_side_by_side(const HeaderRules& rules, const HeaderFields& recorded,
                       const HeaderFields& replayed) {
  if (recorded.size() != replayed.size()) return false;
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (!same_name(recorded.name(i), replayed.name(i))) return false;
    if (recorded.value(i) == replayed.value(i)) continue;
    if (!rules.leaves_out(lower(recorded.name(i)))) return false;
  }
  return true;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return a == b || std::equal(a.begin(), a.end(), b.begin(), b.end(),
                              [](char x, char y) { return lower(x) == lower(y); });
}

void HeaderRules::ignore(std::string_view glob) {
  ignored_.push_back(lower(glob));
}

void HeaderRules::match(std::string_view name) {
  matched_.push_back(lower(name));
}

bool HeaderRules::leaves_out(const std::string& lower_name) const {
  const bool ignored = std::any_of(ignored_.begin(), ignored_.end(), [&](const auto& glob) {
    return fnmatch(glob.c_str(), lower_name.c_str(), 0) == 0;
  });
  if (ignored) return true;
  return std::binary_search(std::begin(left_out_names), std::end(left_out_names), lower_name) &&
         !contains(matched_, lower_name);
}

void HeaderFields::assign(const HttpHead& head) {
  clear();
  for (const HttpField& field : head.fields) {
    Place place;
    place.name = static_cast<uint32_t>(text_.size());
    place.value = static_cast<uint32_t>(text_.append(field.name).size());
    place.end = static_cast<uint32_t>(text_.append(field.value).size());
    places_.push_back(place);
  }
  assert(places_.empty() || places_.back().end == text_.size());
}

void HeaderFields::clear() {
  if (memory_bytes() > retained_bytes_max) *this = HeaderFields();
  text_.clear();
  places_.clear();
}

std::string_view HeaderFields::name(size_t i) const {
  const Place& p = places_[i];
  return std::string_view(text_).substr(p.name, p.value - p.name);
}

std::string_view HeaderFields::value(size_t i) const {
  const Place& p = places_[i];
  return std::string_view(text_).substr(p.value, p.end - p.value);
}

std::string_view HeaderFields::value_of(std::string_view lower_name) const {
  std::string_view found;
  size_t count = 0;
  for (size_t i = 0; i < size(); ++i) {
    if (!same_name(name(i), lower_name)) continue;
    found = value(i);
    ++count;
  }
  return count == 1 ? found : std::string_view();
}

std::optional<HeaderDifference> compare_headers(const HeaderRules& rules,
                                                const HeaderFields& recorded,
                                                const HeaderFields& replayed, bool bodiless) {
  if (same_side_by_side(rules, recorded, replayed)) return std::nullopt;
  HeaderDifference difference;
  for (const auto& [name, values] : by_name(rules, recorded, replayed)) {
    if (values.recorded == values.replayed) continue;
    const bool both = !values.recorded.empty() && !values.replayed.empty();
    if (name == content_length && !(bodiless && both)) continue;
    if (difference.names++ > 0) continue;
    difference.name = name;
    difference.recorded = joined(values.recorded);
    difference.replayed = joined(values.replayed);
  }
  if (difference.names == 0) return std::nullopt;
  return difference;
}

}  // namespace wiretape
