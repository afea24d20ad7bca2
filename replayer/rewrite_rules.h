// What of the recorded requests' heads is to be sent differently: the user's words, checked, and
// the rules that they come to. Bytes that no rule names are sent as they were recorded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace wiretape {

// A field to be set, or, without a value, to be removed. Names are compared without regard to case
// (RFC 9110 section 5.1).
struct RewriteRule {
  std::string name;
  std::optional<std::string> value;

  bool fits(std::string_view field_name) const;
  // "Name: value", as it is sent, without the line's end. Only with a value.
  std::string line() const;
};

using RewriteRules = std::vector<RewriteRule>;  // no two of one name; empty: nothing is rewritten

// Whether the target is not asked for a 100 where the recorded server was, and need not be waited
// for (RFC 9110 section 10.1.1).
bool removes_expect(const RewriteRules& rules);

struct RewriteOptions {
  std::string host = "recorded";  // or "target", or the value itself
  RewriteRules fields;            // by --set-header and --remove-header

  bool removes_expect() const { return wiretape::removes_expect(fields); }
};

// Each takes one value of its flag. Errors (usage) read well behind the flag's name: no token (RFC
// 9110 section 5.6.2), no field value (section 5.5), a field that says where a message ends, or two
// rules for one name.
Result<void> add_set_header(RewriteOptions& options, std::string_view field);  // "Name: value"
Result<void> add_remove_header(RewriteOptions& options, std::string_view name);
Result<void> set_host(RewriteOptions& options, std::string_view value);

// Host as a client of `target` would write it: without the port where that is 80 (RFC 9110 section
// 7.2), and "localhost" for a unix socket.
std::string host_of(const Endpoint& target);

// When the whole command line is read: an error (usage) where its flags contradict each other.
Result<void> check_rewriting(const RewriteOptions& options);

// All of them, Host first. The options must have been found right.
RewriteRules rules_of(const RewriteOptions& options, const Endpoint& target);

}  // namespace wiretape
