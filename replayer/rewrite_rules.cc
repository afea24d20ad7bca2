// The rules of rewriting, and what may not be one. A rule must leave the message where it was: who
// could change Content-Length or Transfer-Encoding, or slip a line end into a value, would have the
// target see requests that nobody recorded (RFC 9112 section 11.2 calls it request smuggling).
//
//   --host VALUE           ->  Host: VALUE       set
//   --set-header 'A: b'    ->  A: b              set
//   --remove-header C      ->  C                 without a value
//
// What is checked here is checked when the command line is read, before a tape is opened.
#include "replayer/rewrite_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace wiretape {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool is_token_char(char c) {
  const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
  const bool digit = c >= '0' && c <= '9';
  return letter || digit || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

// Visible characters, anything beyond ASCII, blanks and tabs.
bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

bool is_host_char(char c) {
  return c > 0x20 && c < 0x7f && std::string_view("/@?#\\\"<>").find(c) == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

Error usage(std::string message) {
  return {ErrorSource::usage, std::move(message)};
}

Result<void> check_name(std::string_view name) {
  if (!is_token(name)) {
    return usage(
        fmt::format("\"{}\" is not a field's name (letters, digits and !#$%&'*+-.^_`|~)", name));
  }
  for (const char* framing : {"Content-Length", "Transfer-Encoding"}) {
    if (RewriteRule{framing, {}}.fits(name)) {
      return usage(
          fmt::format("{} says where a request ends, and the body is sent as it was "
                      "recorded (leave it as it is)",
                      framing));
    }
  }
  return {};
}

Result<void> add(RewriteOptions& options, RewriteRule rule) {
  for (const RewriteRule& other : options.fields) {
    if (!other.fits(rule.name)) continue;
    const char* what = other.value.has_value() == rule.value.has_value()
                           ? "is named twice"
                           : "is both set and removed";
    return usage(fmt::format("{} {} (say what should become of it once)", rule.name, what));
  }
  options.fields.push_back(std::move(rule));
  return {};
}

}  // namespace

bool RewriteRule::fits(std::string_view field_name) const {
  return std::equal(name.begin(), name.end(), field_name.begin(), field_name.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

std::string RewriteRule::line() const {
  assert(value);
  return value->empty() ? name + ":" : name + ": " + *value;
}

bool removes_expect(const RewriteRules& rules) {
  return std::any_of(rules.begin(), rules.end(), [](const RewriteRule& rule) {
    return rule.fits("Expect") &&
           !(rule.value && RewriteRule{"100-continue", {}}.fits(*rule.value));
  });
}

Result<void> add_set_header(RewriteOptions& options, std::string_view field) {
  const size_t colon = field.find(':');
  if (colon == std::string_view::npos) {
    return usage(fmt::format("\"{}\" has no colon (write 'Name: value')", field));
  }
  const std::string_view name = field.substr(0, colon);
  const std::string_view value = trimmed(field.substr(colon + 1));
  if (auto checked = check_name(name); !checked) return checked;
  if (!std::all_of(value.begin(), value.end(), is_value_char)) {
    return usage(
        fmt::format("the value of {} holds a line end or another control character", name));
  }
  if (RewriteRule{"Host", {}}.fits(name)) return usage("Host has a flag of its own (--host VALUE)");
  return add(options, {std::string(name), std::string(value)});
}

Result<void> add_remove_header(RewriteOptions& options, std::string_view name) {
  if (name.find(':') != std::string_view::npos) {
    return usage(fmt::format("\"{}\" holds a colon (write the name alone)", name));
  }
  if (auto checked = check_name(name); !checked) return checked;
  return add(options, {std::string(name), {}});
}

Result<void> set_host(RewriteOptions& options, std::string_view value) {
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_host_char)) {
    return usage(
        fmt::format("\"{}\" is not a host (write recorded, target, or HOST or HOST:PORT "
                    "as it should be sent)",
                    value));
  }
  options.host = value;
  return {};
}

std::string host_of(const Endpoint& target) {
  if (target.is_unix()) return "localhost";
  std::string text = target.text();
  if (target.port == 80) text.resize(text.rfind(':'));
  return text;
}

Result<void> check_rewriting(const RewriteOptions& options) {
  const bool removes_host = std::any_of(options.fields.begin(), options.fields.end(),
                                        [](const RewriteRule& rule) { return rule.fits("Host"); });
  if (options.host == "recorded" || !removes_host) return {};
  return usage("--host and --remove-header Host contradict each other (give one of them)");
}

RewriteRules rules_of(const RewriteOptions& options, const Endpoint& target) {
  assert(check_rewriting(options));
  if (options.host == "recorded") return options.fields;
  RewriteRules rules{{"Host", options.host == "target" ? host_of(target) : options.host}};
  rules.insert(rules.end(), options.fields.begin(), options.fields.end());
  return rules;
}

}  // namespace wiretape
