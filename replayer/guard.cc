// A tape of production traffic is full of writes, and a mistyped --target is all it takes to do
// them again. Tests run against loopback or a private network, so those are always allowed; what
// is public needs a word from the user, and the word is checked against the addresses that will
// really be dialled, not only against the name.
//
//   loopback, private, unix      allowed
//   public, --allow-host fits    allowed: the host as named, or every public address of it
//   public, else                 only when all of the tape is GET, HEAD and OPTIONS
//   the recorded upstream        when public, only with --allow-recorded-upstream, too
//
// A name may stand for several addresses, and any of them may be dialled when the ones before it do
// not answer: one public address makes the target public. The tape is looked through before the
// first byte is sent, for a refusal half-way would be too late; what it holds is the plan's to say.
#include "replayer/guard.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

namespace wiretape {
namespace {

bool fits(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return fnmatch(glob.c_str(), name.c_str(), FNM_CASEFOLD) == 0;
  });
}

bool is_allowed(const GuardOptions& options, const Endpoint& target,
                const std::vector<Address>& addresses) {
  if (fits(options.allow_hosts, target.host)) return true;
  return std::all_of(addresses.begin(), addresses.end(), [&](const Address& address) {
    return !is_public(address) || fits(options.allow_hosts, address.ip());
  });
}

bool is_unspecified(const Address& address) {
  return address.ip() == "0.0.0.0" || address.ip() == "::";
}

// "app:3000". What has more colons, or something else behind one, is an IPv6 address, or a part.
bool has_port(std::string_view glob) {
  const size_t colon = glob.find(':');
  if (colon == std::string_view::npos || colon + 1 == glob.size()) return false;
  const std::string_view port = glob.substr(colon + 1);
  return std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Error refusal(const std::string& what) {
  return {ErrorSource::usage, what};
}

}  // namespace

bool is_public(const Address& address) {
  return !address.is_loopback() && !address.is_private() && !is_unspecified(address);
}

Result<void> check_allow_host(std::string_view glob) {
  const auto wrong = [&](const char* why) { return refusal(fmt::format("\"{}\" {}", glob, why)); };
  if (glob.empty()) return wrong("fits no host (write a host's name, an address, or a glob)");
  if (glob.find('/') != std::string_view::npos) {
    return wrong("holds a slash (write a host's name, an address such as 10.1.*, or a glob)");
  }
  if (has_port(glob)) return wrong("names a port (write the host without it)");
  return {};
}

std::string why_refused(const GuardOptions& options, const Endpoint& target,
                        const std::vector<Address>& addresses, const Plan& plan) {
  const auto found = std::find_if(addresses.begin(), addresses.end(), is_public);
  if (found == addresses.end()) return "";
  const std::string who = fmt::format("{} ({})", target.text(), found->ip());
  if (plan.goes_back && !options.allow_recorded_upstream) {
    return who + " is the server that was recorded (allow it with --allow-recorded-upstream)";
  }
  if (plan.writes() == 0 || is_allowed(options, target, addresses)) return "";
  return fmt::format(
      "{} is a public address and the tape holds more than GET, HEAD and OPTIONS "
      "(allow it with --allow-host '{}')",
      who, target.host);
}

Result<void> check_target(const GuardOptions& options, const std::string& tape_path,
                          const Endpoint& target, const std::vector<Address>& addresses,
                          Stretch stretch) {
  const auto found = std::find_if(addresses.begin(), addresses.end(), is_public);
  if (found == addresses.end()) return {};
  if (options.allow_recorded_upstream && is_allowed(options, target, addresses)) return {};
  auto tape = TapeSource::open(tape_path, 1);  // a reader of its own: the run's stays where it is
  if (!tape) return tape.error();
  auto plan = look_through(**tape, target, addresses, stretch);
  if (!plan) return plan.error();
  const std::string why = why_refused(options, target, addresses, *plan);
  return why.empty() ? Result<void>() : refusal(why);
}

}  // namespace wiretape
